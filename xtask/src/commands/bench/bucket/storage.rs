//! A storage that speaks as much of S3 as it takes to read a bucket, and counts what it hands out.

use std::fmt::Write as _;
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context as _, Result};

/// The bucket.
pub(super) const BUCKET: &str = "bench";
/// Who may read it.
pub(super) const ACCESS_KEY: &str = "reader";

const TIMEOUT: Duration = Duration::from_secs(60);
/// The most bytes of a request's head.
const MAX_HEAD: u64 = 64 * 1024;

/// What was asked for.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Asked {
    /// Objects that were handed out.
    pub downloads: u64,
    /// Pages of the listing.
    pub listings: u64,
    /// Everything else, such as objects that are not there.
    pub others: u64,
}

#[derive(Debug)]
struct Shared {
    /// The version of each object, of which its content and its ETag are made.
    versions: Vec<AtomicU32>,
    downloads: AtomicU64,
    listings: AtomicU64,
    others: AtomicU64,
    stopped: AtomicBool,
}

/// The storage; it ends when it is dropped.
#[derive(Debug)]
pub(super) struct Storage {
    pub address: SocketAddr,
    shared: Arc<Shared>,
    listener: Option<JoinHandle<()>>,
}

/// The key of an object; keys sort as their numbers do.
pub(super) fn key(index: usize) -> String {
    format!("apps/{:03}/app-{index:06}.yaml", index / 500)
}

/// What an object holds.
pub(super) fn content(index: usize, version: u32) -> String {
    format!(
        "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: app-{index}\ndata:\n  version: \"{version}\"\n  text: {}\n",
        "abcdefgh".repeat(64)
    )
}

fn etag(index: usize, version: u32) -> String {
    format!("{index:016x}{version:016x}")
}

impl Storage {
    /// Serves so many objects on a free port.
    pub(super) fn start(count: usize) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("cannot open a port")?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            versions: (0..count).map(|_| AtomicU32::new(1)).collect(),
            downloads: AtomicU64::new(0),
            listings: AtomicU64::new(0),
            others: AtomicU64::new(0),
            stopped: AtomicBool::new(false),
        });
        let theirs = Arc::clone(&shared);
        let listener = Some(thread::spawn(move || accept(&listener, &theirs)));
        Ok(Self {
            address,
            shared,
            listener,
        })
    }

    /// Gives every n-th object its next version.
    pub(super) fn change_every(&self, nth: usize) {
        for version in self.shared.versions.iter().step_by(nth) {
            version.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// The version of an object, if there is one of that number.
    pub(super) fn version(&self, index: usize) -> Option<u32> {
        let version = self.shared.versions.get(index)?;
        Some(version.load(Ordering::Relaxed))
    }

    /// What was asked for since the last call.
    pub(super) fn take_asked(&self) -> Asked {
        let take = |counter: &AtomicU64| counter.swap(0, Ordering::Relaxed);
        Asked {
            downloads: take(&self.shared.downloads),
            listings: take(&self.shared.listings),
            others: take(&self.shared.others),
        }
    }
}

impl Drop for Storage {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::Release);
        // Wakes the listener, which then sees that it shall stop.
        drop(TcpStream::connect_timeout(&self.address, Duration::from_secs(1)));
        if let Some(listener) = self.listener.take() {
            drop(listener.join());
        }
    }
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    for stream in listener.incoming() {
        if shared.stopped.load(Ordering::Acquire) {
            return;
        }
        let Ok(stream) = stream else { continue };
        let shared = Arc::clone(shared);
        // A client that goes away is no concern of the storage.
        thread::spawn(move || drop(converse(stream, &shared)));
    }
}

/// Answers the requests of a connection until the client closes it.
fn converse(stream: TcpStream, shared: &Shared) -> io::Result<()> {
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.set_write_timeout(Some(TIMEOUT))?;
    stream.set_nodelay(true)?;
    let mut output = stream.try_clone()?;
    let mut input = BufReader::new(stream);
    while let Some((target, is_signed)) = read_request(&mut input)? {
        let (status, etag, body) = if is_signed {
            shared.answer(&target)
        } else {
            shared.others.fetch_add(1, Ordering::Relaxed);
            ("403 Forbidden", String::new(), error("AccessDenied"))
        };
        let length = body.len();
        let head = format!("HTTP/1.1 {status}\r\nETag: \"{etag}\"\r\nContent-Length: {length}\r\n\r\n");
        output.write_all(format!("{head}{body}").as_bytes())?;
    }
    Ok(())
}

/// The path with its query, and whether the request is signed by who may read; nothing at the end of the connection.
fn read_request(input: &mut BufReader<TcpStream>) -> io::Result<Option<(String, bool)>> {
    let mut head = input.by_ref().take(MAX_HEAD);
    let mut line = String::new();
    if head.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let target = line.split(' ').nth(1).unwrap_or_default().to_owned();
    let signed = format!("AWS4-HMAC-SHA256 Credential={ACCESS_KEY}/");
    let mut is_signed = false;
    loop {
        line.clear();
        if head.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        match line.trim_end().split_once(": ") {
            Some((name, value)) if name.eq_ignore_ascii_case("authorization") => {
                is_signed = value.starts_with(&signed);
            }
            Some(_) => {}
            None => return Ok(Some((target, is_signed))),
        }
    }
}

fn error(code: &str) -> String {
    format!("<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>{code}</Message></Error>")
}

impl Shared {
    /// Status, ETag and body.
    fn answer(&self, target: &str) -> (&'static str, String, String) {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let rest = path
            .strip_prefix('/')
            .and_then(|it| it.strip_prefix(BUCKET))
            .and_then(|it| it.strip_prefix('/'));
        match rest {
            Some("") => {
                self.listings.fetch_add(1, Ordering::Relaxed);
                return ("200 OK", String::new(), self.page(query));
            }
            Some(rest) => {
                if let Some((index, version)) = self.object(rest) {
                    self.downloads.fetch_add(1, Ordering::Relaxed);
                    return ("200 OK", etag(index, version), content(index, version));
                }
            }
            None => {}
        }
        self.others.fetch_add(1, Ordering::Relaxed);
        ("404 Not Found", String::new(), error("NoSuchKey"))
    }

    fn object(&self, path: &str) -> Option<(usize, u32)> {
        let (_, name) = path.rsplit_once("/app-")?;
        let index = name.strip_suffix(".yaml")?.parse().ok()?;
        let version = self.versions.get(index)?;
        (key(index) == path).then(|| (index, version.load(Ordering::Relaxed)))
    }

    /// A page of the listing; its token is the number of the first object on it.
    fn page(&self, query: &str) -> String {
        let value = |name: &str| {
            let pairs = query.split('&').filter_map(|it| it.split_once('='));
            pairs
                .filter(|it| it.0 == name)
                .find_map(|it| it.1.parse::<usize>().ok())
        };
        let from = value("continuation-token").unwrap_or(0);
        let to = from.saturating_add(value("max-keys").unwrap_or(1000).min(1000));
        let mut xml = String::from("<ListBucketResult><EncodingType>url</EncodingType>");
        let versions = self.versions.iter().enumerate().skip(from).take(to - from);
        for (index, version) in versions {
            let version = version.load(Ordering::Relaxed);
            let (key, etag, size) = (key(index), etag(index, version), content(index, version).len());
            // Writing to a String does not fail.
            let _ = write!(
                xml,
                "<Contents><Key>{key}</Key><ETag>&quot;{etag}&quot;</ETag><Size>{size}</Size></Contents>"
            );
        }
        let is_truncated = to < self.versions.len();
        let _ = write!(xml, "<IsTruncated>{is_truncated}</IsTruncated>");
        if is_truncated {
            let _ = write!(xml, "<NextContinuationToken>{to}</NextContinuationToken>");
        }
        xml + "</ListBucketResult>"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn storage(count: usize) -> Shared {
        Shared {
            versions: (0..count).map(|_| AtomicU32::new(1)).collect(),
            downloads: AtomicU64::new(0),
            listings: AtomicU64::new(0),
            others: AtomicU64::new(0),
            stopped: AtomicBool::new(false),
        }
    }

    #[test]
    fn pages_have_each_object_once() {
        let storage = storage(2500);
        let (mut query, mut found) = ("list-type=2&max-keys=1000".to_owned(), 0);
        for truncated in [true, true, false] {
            let (status, _, page) = storage.answer(&format!("/bench/?{query}"));
            assert_eq!(status, "200 OK");
            found += page.matches("<Key>").count();
            assert!(page.contains(&format!("<IsTruncated>{truncated}<")));
            query = format!("list-type=2&max-keys=1000&continuation-token={found}");
        }
        assert_eq!(found, 2500);
    }

    #[test]
    fn only_what_is_handed_out_counts_as_downloaded() {
        let storage = storage(2);
        let answers = [
            "/bench/apps/000/app-000001.yaml",
            "/bench/apps/000/app-000002.yaml",
        ];
        let answers = answers.map(|it| storage.answer(it));
        assert_eq!(answers[0], ("200 OK", etag(1, 1), content(1, 1)));
        assert_eq!(answers[1].0, "404 Not Found");
        for path in [
            "/other/",
            "/bench",
            "/bench/.sourceignore",
            "/bench/apps/app-1.yaml",
        ] {
            assert_eq!(storage.answer(path).0, "404 Not Found", "{path}");
        }
        assert_eq!(storage.downloads.load(Ordering::Relaxed), 1);
        assert_eq!(storage.others.load(Ordering::Relaxed), 5);
    }
}
