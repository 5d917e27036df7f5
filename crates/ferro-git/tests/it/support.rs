//! What the tests share.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::Path;
use std::time::Duration;

use ferro_artifact::archive::{ArchiveLimits, archive_blocking};
use ferro_artifact::ignore::Matcher;
use ferro_git::{Checkout, Context, PullOptions, Pulled, Reference, Remote, Result};

/// Runs a blocking pull on a thread of a runtime.
pub(crate) fn pull(remote: &Remote, cache: &Path, options: &PullOptions) -> Result<Outcome> {
    pull_with(
        remote,
        cache,
        options,
        Context::with_timeout(Duration::from_secs(60)),
    )
}

/// What blocking calls belong to.
pub(crate) fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap()
}

pub(crate) fn pull_with(
    remote: &Remote,
    cache: &Path,
    options: &PullOptions,
    context: Context,
) -> Result<Outcome> {
    let runtime = runtime();
    let _guard = runtime.enter();
    ferro_git::pull_blocking(remote, cache, options, context).map(|pulled| match pulled {
        Pulled::Unchanged(resolved) => Outcome::Unchanged(resolved.revision),
        Pulled::Empty => Outcome::Empty,
        Pulled::Checkout(checkout) => Outcome::Files(Files::of(&checkout)),
    })
}

/// What a pull brought, detached from its runtime and cache.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Unchanged(String),
    Empty,
    Files(Files),
}

impl Outcome {
    pub(crate) fn files(self) -> Files {
        match self {
            Self::Files(files) => files,
            other => panic!("expected files, found {other:?}"),
        }
    }
}

/// A checkout, archived and read back.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Files {
    pub(crate) revision: String,
    pub(crate) message: String,
    pub(crate) tag: Option<String>,
    /// Path to `mode content`; directories have no content.
    pub(crate) entries: BTreeMap<String, String>,
}

impl Files {
    fn of(checkout: &Checkout) -> Self {
        let root = checkout.root();
        let matcher = Matcher::load_blocking(&root, None, &Default::default()).unwrap();
        let archived = archive_blocking(
            &root,
            &matcher,
            ArchiveLimits::default(),
            &Default::default(),
            Vec::new(),
        );
        let (bytes, _) = archived.unwrap();
        let entries = entries(&bytes);
        Self {
            revision: checkout.resolved().revision.clone(),
            message: checkout.commit().short_message(),
            tag: checkout.tag().map(|tag| tag.name.clone()),
            entries,
        }
    }

    /// The paths of all entries.
    pub(crate) fn paths(&self) -> Vec<&str> {
        self.entries.keys().map(String::as_str).collect()
    }
}

/// The entries of an archive: path to `mode content`.
pub(crate) fn entries(archive: &[u8]) -> BTreeMap<String, String> {
    let mut archive = tar::Archive::new(flate2::read::MultiGzDecoder::new(archive));
    let mut entries = BTreeMap::new();
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        let name = String::from_utf8(entry.path_bytes().into_owned()).unwrap();
        let mut content = format!("{:o} ", entry.header().mode().unwrap());
        entry.read_to_string(&mut content).unwrap();
        entries.insert(name, content.trim_end().to_owned());
    }
    entries
}

pub(crate) fn branch(name: &str) -> PullOptions {
    let reference = Reference {
        branch: Some(name.to_owned()),
        ..Reference::default()
    };
    PullOptions {
        reference,
        ..PullOptions::default()
    }
}

/// Options for a reference with one field set.
pub(crate) fn reference(set: impl FnOnce(&mut Reference)) -> PullOptions {
    let mut options = PullOptions::default();
    set(&mut options.reference);
    options
}

/// A proxy that tunnels one connection; its request comes over the channel.
pub(crate) fn connect_proxy() -> (std::net::SocketAddr, std::sync::mpsc::Receiver<String>) {
    use std::io::Write as _;
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (sender, log) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let (mut client, _) = listener.accept().unwrap();
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            client.read_exact(&mut byte).unwrap();
            request.extend(byte);
        }
        let request = String::from_utf8(request).unwrap();
        let target = request.split(' ').nth(1).unwrap().to_owned();
        sender.send(request).unwrap();
        let mut server = std::net::TcpStream::connect(target).unwrap();
        client
            .write_all(b"HTTP/1.1 200 Connection established\r\n\r\n")
            .unwrap();
        let (mut from_client, mut to_server) = (client.try_clone().unwrap(), server.try_clone().unwrap());
        std::thread::spawn(move || drop(std::io::copy(&mut from_client, &mut to_server)));
        drop(std::io::copy(&mut server, &mut client));
    });
    (address, log)
}
