//! Remote bases: files over HTTP and repositories that a kustomization names by URL.
//!
//! A reference is resolved with one round trip, and none where it is a whole commit; each commit is fetched
//! once, alone, and kept as plain files for all builds that name it. What may be fetched is bounded in size,
//! count and time. Upstream clones anew for every mention, without bounds but for the time.
//!
//! With `--no-remote-bases` nothing is fetched: neither repositories, which upstream refuses after it has
//! cloned them, nor single files, which it lets through although the flag says otherwise.

mod tree;

use std::borrow::Cow;
use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ferro_git::{Context, ObjectId, PullOptions, Pulled, Reference, RemoteRef};
use ferro_http::{Client, ClientOptions, Request, SafeUrl, describe};
use ferro_kustomize::{
    Checkout, DirEntry, DirFiles, FileError, Files, GitUrl, RemoteError, RemoteSource, Resolved,
};
use sha2::{Digest, Sha256};
use tokio::runtime::Handle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use self::tree::Tree;

/// What remote bases may cost.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Bytes of a file over HTTP.
    pub(crate) max_file: u64,
    /// Bytes that a repository may send.
    pub(crate) max_pack: u64,
    /// Bytes of a repository's files.
    pub(crate) max_bytes: u64,
    /// Files and directories of a repository.
    pub(crate) max_entries: usize,
    /// Bytes of all repositories' files that are kept for later; what is in use stays, whatever it weighs.
    pub(crate) max_kept: u64,
    /// Time for one fetch; a URL may ask for less, or for more than its default up to this.
    pub(crate) max_time: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_file: 32 << 20,
            max_pack: 256 << 20,
            max_bytes: 512 << 20,
            max_entries: 100_000,
            max_kept: 1 << 30,
            max_time: Duration::from_secs(300),
        }
    }
}

/// Names one tree: what to clone, with credentials, so that nobody is given what another may read; the
/// commit; and whether submodules are in it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Key {
    url: [u8; 32],
    commit: ObjectId,
    submodules: bool,
}

struct Slot {
    tree: Arc<Tree>,
    used: u64,
}

/// The trees that were fetched.
#[derive(Default)]
struct Slots {
    slots: HashMap<Key, Slot>,
    clock: u64,
}

impl Slots {
    fn take(&mut self, key: &Key) -> Option<Arc<Tree>> {
        self.clock += 1;
        let slot = self.slots.get_mut(key)?;
        slot.used = self.clock;
        Some(Arc::clone(&slot.tree))
    }

    /// Adds a tree, and lets go of those not used for the longest time until the rest is small enough.
    fn put(&mut self, key: Key, tree: Arc<Tree>, max_kept: u64) {
        self.clock += 1;
        let used = self.clock;
        self.slots.insert(key, Slot { tree, used });
        while self.slots.values().map(|slot| slot.tree.bytes()).sum::<u64>() > max_kept {
            let idle = self.slots.iter().filter(|(_, slot)| slot.used != used);
            let Some((oldest, _)) = idle.min_by_key(|(_, slot)| slot.used) else {
                return;
            };
            let oldest = oldest.clone();
            self.slots.remove(&oldest);
        }
    }
}

/// Fetches remote bases and keeps them.
pub(crate) struct RemoteBases {
    directory: PathBuf,
    client: Client,
    limits: Limits,
    slots: Mutex<Slots>,
    /// One fetch at a time for each URL: who comes second finds what the first has brought.
    fetching: Mutex<HashMap<[u8; 32], Arc<Mutex<()>>>>,
    serial: AtomicU64,
}

impl RemoteBases {
    /// An empty cache in `directory`, which is all its own.
    ///
    /// # Errors
    /// When the directory cannot be made and emptied, or this system trusts no certificates at all.
    pub(crate) fn new(directory: PathBuf, limits: Limits) -> io::Result<Self> {
        match std::fs::remove_dir_all(&directory) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        std::fs::create_dir_all(&directory)?;
        Ok(Self {
            directory,
            client: Client::new(&ClientOptions::default()).map_err(io::Error::other)?,
            limits,
            slots: Mutex::default(),
            fetching: Mutex::default(),
            serial: AtomicU64::new(0),
        })
    }

    fn path(&self, what: &str) -> PathBuf {
        let number = self.serial.fetch_add(1, Ordering::Relaxed);
        self.directory.join(format!("{what}-{number}"))
    }

    /// The tree of a repository, fetched if it is not there.
    fn tree(&self, url: &GitUrl, cancel: &CancellationToken) -> Result<Arc<Tree>, RemoteError> {
        let fetch = Fetch::new(self, url, cancel)?;
        let wanted = fetch.wanted()?;
        let key = |commit| Key {
            url: fetch.url_digest,
            commit,
            submodules: url.submodules,
        };
        if let Some(known) = lock(&self.slots).take(&key(wanted.commit)) {
            return Ok(known);
        }
        let turn = Arc::clone(lock(&self.fetching).entry(fetch.url_digest).or_default());
        let turn_guard = lock(&turn);
        // Not to be held while fetching: others ask for other URLs.
        let known = lock(&self.slots).take(&key(wanted.commit));
        let fetched = match known {
            Some(known) => Ok(known),
            None => fetch.tree(&wanted).map(|(commit, tree)| {
                let tree = Arc::new(tree);
                lock(&self.slots).put(key(commit), Arc::clone(&tree), self.limits.max_kept);
                tree
            }),
        };
        drop(turn_guard);
        let mut fetching = lock(&self.fetching);
        if Arc::strong_count(&turn) == 2 {
            fetching.remove(&fetch.url_digest);
        }
        fetched
    }

    async fn file(&self, url: &str) -> Result<Vec<u8>, RemoteError> {
        let failed = |error: ferro_http::Error| RemoteError::Failed(describe(&error));
        let request = Request::get(url).map_err(failed)?;
        let response = self.client.send(&request).await.map_err(failed)?;
        let status = response.status();
        if !status.is_success() {
            return Err(RemoteError::Status {
                code: status.as_u16(),
                reason: status.canonical_reason().unwrap_or_default().to_owned(),
            });
        }
        let body = response.bytes(self.limits.max_file).await.map_err(failed)?;
        Ok(body.into())
    }
}

/// What a reference means.
struct Wanted {
    commit: ObjectId,
    reference: Reference,
}

/// One fetch of a repository.
struct Fetch<'a> {
    bases: &'a RemoteBases,
    url: &'a GitUrl,
    url_digest: [u8; 32],
    remote: ferro_git::Remote,
    context: Context,
    timeout: Duration,
}

impl<'a> Fetch<'a> {
    fn new(bases: &'a RemoteBases, url: &'a GitUrl, cancel: &CancellationToken) -> Result<Self, RemoteError> {
        let remote = ferro_git::Remote::new(&with_scheme(&url.clone_url))
            .map_err(|error| RemoteError::Failed(describe(&error)))?;
        let timeout = url.timeout.min(bases.limits.max_time);
        Ok(Self {
            bases,
            url,
            url_digest: Sha256::digest(&url.clone_url).into(),
            remote,
            context: Context {
                cancel: cancel.clone(),
                deadline: Instant::now() + timeout,
            },
            timeout,
        })
    }

    /// Finds the commit. Names are looked for where git looks for them.
    fn wanted(&self) -> Result<Wanted, RemoteError> {
        let name = self.url.reference.as_deref().unwrap_or("HEAD");
        if let Ok(commit) = ObjectId::from_hex(name.as_bytes()) {
            let reference = Reference {
                commit: Some(name.to_owned()),
                ..Reference::default()
            };
            return Ok(Wanted { commit, reference });
        }
        let candidates = ["", "refs/", "refs/tags/", "refs/heads/"].map(|prefix| format!("{prefix}{name}"));
        let found = ferro_git::list_refs_blocking(&self.remote, &candidates, self.context.clone())
            .map_err(|error| self.failure(&error))?;
        let find = |candidate: &String| found.iter().find(|found: &&RemoteRef| found.name == *candidate);
        let Some(found) = candidates.iter().find_map(find) else {
            return Err(self.refused(&format!("fatal: couldn't find remote ref {name}")));
        };
        let reference = Reference {
            name: Some(found.name.clone()),
            ..Reference::default()
        };
        Ok(Wanted {
            commit: found.target,
            reference,
        })
    }

    /// Fetches the commit and writes its files. The reference may have moved on meanwhile.
    fn tree(&self, wanted: &Wanted) -> Result<(ObjectId, Tree), RemoteError> {
        let options = PullOptions {
            reference: wanted.reference.clone(),
            recurse_submodules: self.url.submodules,
            limits: ferro_git::Limits {
                max_pack: self.bases.limits.max_pack,
            },
            ..PullOptions::default()
        };
        let objects = Scratch(self.bases.path("objects"));
        let pulled = ferro_git::pull_blocking(&self.remote, &objects.0, &options, self.context.clone())
            .map_err(|error| self.failure(&error))?;
        let Pulled::Checkout(checkout) = pulled else {
            return Err(self.refused("fatal: couldn't find remote ref HEAD"));
        };
        let tree = Tree::write(
            self.bases.path("tree"),
            &checkout.root(),
            &self.bases.limits,
            &self.context.cancel,
        )
        .map_err(|error| self.refused(&describe(&error)))?;
        Ok((checkout.resolved().commit, tree))
    }

    /// What upstream runs, as its messages show it.
    fn command(&self) -> String {
        let name = self.url.reference.as_deref().unwrap_or("HEAD");
        format!("git fetch --depth=1 {} {name}", self.remote.url.url())
    }

    fn failure(&self, error: &ferro_git::Error) -> RemoteError {
        match error {
            ferro_git::Error::Timeout => {
                let timeout = ferro_api::Duration::from(self.timeout);
                RemoteError::Timeout(format!("hit {timeout} timeout running '{}'", self.command()))
            }
            error => self.refused(&describe(error)),
        }
    }

    fn refused(&self, reason: &str) -> RemoteError {
        RemoteError::Failed(format!("failed to run '{}': {reason}", self.command()))
    }
}

/// `user@host:path` as a URL.
fn with_scheme(clone_url: &str) -> Cow<'_, str> {
    if clone_url.contains("://") {
        return clone_url.into();
    }
    match clone_url.split_once(':') {
        Some((host, path)) => format!("ssh://{host}/{}", path.trim_start_matches('/')).into(),
        None => clone_url.into(),
    }
}

/// A directory that goes when this does.
struct Scratch(PathBuf);

impl Drop for Scratch {
    fn drop(&mut self) {
        tree::remove(&self.0);
    }
}

/// The files of a tree, which stays while they are in use.
struct TreeFiles {
    files: DirFiles,
    _tree: Arc<Tree>,
}

impl Files for TreeFiles {
    fn resolve(&self, path: &str) -> Result<Resolved, FileError> {
        self.files.resolve(path)
    }

    fn read(&self, path: &str) -> Result<Cow<'_, [u8]>, FileError> {
        self.files.read(path)
    }

    fn list(&self, path: &str) -> Result<Vec<DirEntry>, FileError> {
        self.files.list(path)
    }
}

/// The remote source of one build, which runs on a thread that may block.
pub(crate) struct Session<'a> {
    bases: &'a RemoteBases,
    cancel: &'a CancellationToken,
    is_used: AtomicBool,
    /// Where trees lie, and what they are of.
    places: Mutex<Vec<(String, String)>>,
}

impl<'a> Session<'a> {
    pub(crate) fn new(bases: &'a RemoteBases, cancel: &'a CancellationToken) -> Self {
        Self {
            bases,
            cancel,
            is_used: AtomicBool::new(false),
            places: Mutex::default(),
        }
    }

    /// Whether the build asked for anything; then it may come out differently another time.
    pub(crate) fn is_used(&self) -> bool {
        self.is_used.load(Ordering::Relaxed)
    }

    /// Replaces the places of trees by their URLs.
    pub(crate) fn with_urls(&self, text: &str) -> String {
        let places = lock(&self.places);
        places.iter().fold(text.to_owned(), |text, (place, url)| {
            text.replace(place.as_str(), url)
        })
    }
}

impl RemoteSource for Session<'_> {
    fn get(&self, url: &str) -> Result<Vec<u8>, RemoteError> {
        self.is_used.store(true, Ordering::Relaxed);
        let timeout = self.bases.limits.max_time.min(Duration::from_secs(60));
        Handle::current().block_on(async {
            tokio::select! {
                file = self.bases.file(url) => file,
                () = self.cancel.cancelled() => Err(RemoteError::Failed("the build was called off".to_owned())),
                () = tokio::time::sleep(timeout) => {
                    let shown = SafeUrl::parse(url).map_or_else(|_| "the file".to_owned(), |url| url.to_string());
                    Err(RemoteError::Timeout(format!("hit {timeout:?} timeout getting {shown}")))
                }
            }
        })
    }

    fn checkout(&self, url: &GitUrl) -> Result<Checkout, RemoteError> {
        self.is_used.store(true, Ordering::Relaxed);
        let tree = self.bases.tree(url, self.cancel)?;
        let files =
            DirFiles::confined(tree.path()).map_err(|error| RemoteError::Failed(error.to_string()))?;
        let root = files.root().unwrap_or_default().to_owned();
        let shown = SafeUrl::parse(&with_scheme(&url.clone_url)).map_or_else(
            |_| "the repository".to_owned(),
            |url| url.without_credentials().to_string(),
        );
        lock(&self.places).push((root.clone(), shown));
        Ok(Checkout {
            files: Arc::new(TreeFiles { files, _tree: tree }),
            root,
        })
    }
}

/// What stands in for remote bases where they are switched off. The text is the one with which upstream
/// refuses repositories, for which they are directories outside of the artifact.
pub(crate) struct NoRemoteBases<'a> {
    pub(crate) root: &'a Path,
}

impl NoRemoteBases<'_> {
    fn refusal(&self, url: &str) -> RemoteError {
        RemoteError::Failed(format!(
            "fs-security-constraint abs {url}: path '{url}' is not in or below '{}'",
            self.root.display()
        ))
    }
}

impl RemoteSource for NoRemoteBases<'_> {
    fn get(&self, url: &str) -> Result<Vec<u8>, RemoteError> {
        Err(self.refusal(url))
    }

    fn checkout(&self, url: &GitUrl) -> Result<Checkout, RemoteError> {
        Err(self.refusal(&url.raw))
    }
}

fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
