//! Fetching artifacts: each digest is downloaded and unpacked once, for all who use it.

mod copy;
mod unpack;
mod whole;

use std::collections::HashMap;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::{Buf, Bytes};
use ferro_http::{Client, ClientOptions, Request, Retry, SafeUrl};
use futures::FutureExt as _;
use futures::future::{BoxFuture, Shared as SharedFuture};
use tokio::sync::mpsc;

pub use copy::{CopyOptions, copy};
pub use unpack::{UnpackError, UnpackLimits, extract_blocking};
pub use whole::{DownloadOptions, download};

use crate::digest::{Digest, DigestError};
use crate::private;

/// Pieces of a body that may wait between network and disk.
const WINDOW: usize = 16;

/// How the folders of artifacts begin.
const PREFIX: &str = "artifact-";

/// How a [`Cache`] works.
#[derive(Clone, Debug)]
pub struct CacheOptions {
    /// The folder in which artifacts are unpacked; those that an earlier process left there are removed at start, and nothing else.
    pub path: PathBuf,
    /// Bytes of unpacked files that are kept for later; what is in use stays, whatever it weighs.
    pub max_bytes: u64,
    /// What one archive may cost.
    pub limits: UnpackLimits,
    /// How often a download is tried again.
    pub retries: u32,
    /// Bounds of the waits between tries.
    pub retry_wait: (Duration, Duration),
    /// How long a download may take in all.
    pub timeout: Duration,
}

impl Default for CacheOptions {
    /// One gigabyte in the system's temporary folder; nine more tries after 5 s to 30 s, as upstream; ten minutes a download.
    fn default() -> Self {
        Self {
            path: std::env::temp_dir().join("ferroflux-artifacts"),
            max_bytes: 1 << 30,
            limits: UnpackLimits::default(),
            retries: 9,
            retry_wait: (Duration::from_secs(5), Duration::from_secs(30)),
            timeout: Duration::from_secs(600),
        }
    }
}

/// Why an artifact could not be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FetchError {
    /// The server does not have it (any more).
    #[error("artifact not found at {url}")]
    NotFound {
        /// Where it should have been.
        url: SafeUrl,
    },
    /// The download failed.
    #[error("failed to download artifact")]
    Download(#[from] ferro_http::Error),
    /// The download took too long.
    #[error("failed to download artifact from {url} within {timeout:?}")]
    Timeout {
        /// Where from.
        url: SafeUrl,
        /// The time it had.
        timeout: Duration,
    },
    /// The digest in the source's status is none.
    #[error("invalid artifact digest")]
    Digest(#[from] DigestError),
    /// What came is something else.
    #[error("failed to verify artifact: computed digest '{found}' doesn't match '{expected}'")]
    Mismatch {
        /// What was announced.
        expected: Digest,
        /// What came.
        found: Digest,
    },
    /// The archive cannot be unpacked.
    #[error("failed to unpack artifact")]
    Unpack(#[from] UnpackError),
    /// A download that several waited for failed; never [`FetchError::NotFound`], which all of them get.
    #[error(transparent)]
    Shared(Arc<Self>),
    /// What came cannot be stored.
    #[error("failed to store artifact")]
    Store(#[source] io::Error),
    /// The cache's folder cannot be used.
    #[error("cannot use the folder '{}'", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

impl FetchError {
    fn is_transient(&self) -> bool {
        match self {
            Self::Download(error) => error.is_transient(),
            // A body cut short is a failed download, so a damaged archive is what the server has.
            Self::Timeout { .. } => true,
            _ => false,
        }
    }

    /// The failure of a download for each of those who waited for it.
    fn shared(error: &Arc<Self>) -> Self {
        match &**error {
            Self::NotFound { url } => Self::NotFound { url: url.clone() },
            _ => Self::Shared(error.clone()),
        }
    }
}

/// An artifact's files. Nobody may write there. The folder goes when the last user and the cache have let go of it.
#[derive(Debug)]
pub struct Unpacked {
    path: PathBuf,
    bytes: u64,
}

impl Unpacked {
    /// The folder with the files.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Unpacked {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.path) {
            tracing::debug!(%error, path = %self.path.display(), "cannot remove unpacked artifact");
        }
    }
}

/// A download that is under way or done; all who want its outcome hold a clone.
type Download = SharedFuture<BoxFuture<'static, Result<Arc<Unpacked>, Arc<FetchError>>>>;

struct Slot {
    download: Download,
    used: u64,
}

impl Slot {
    fn bytes(&self) -> u64 {
        match self.download.peek() {
            Some(Ok(unpacked)) => unpacked.bytes,
            Some(Err(_)) | None => 0,
        }
    }

    fn is_unpacked(&self) -> bool {
        matches!(self.download.peek(), Some(Ok(_)))
    }
}

#[derive(Default)]
struct Slots {
    slots: HashMap<Digest, Slot>,
    clock: u64,
}

/// Artifacts by digest. Cheap to clone.
#[derive(Clone)]
pub struct Cache {
    shared: Arc<Shared>,
}

struct Shared {
    client: Client,
    options: CacheOptions,
    slots: Mutex<Slots>,
    /// Keeps other processes out of the folder.
    _lock: std::fs::File,
}

impl Cache {
    /// An empty cache.
    ///
    /// # Errors
    /// When the folder cannot be made and emptied, is used by another process or belongs to another user, or this system trusts no
    /// certificates at all.
    pub fn new(options: CacheOptions) -> Result<Self, FetchError> {
        let failed = |source| FetchError::Folder {
            path: options.path.clone(),
            source,
        };
        let lock = private::open_blocking(&options.path).map_err(failed)?;
        remove_leftovers(&options.path).map_err(failed)?;
        let client = Client::new(&ClientOptions::default())?;
        Ok(Self {
            shared: Arc::new(Shared {
                client,
                options,
                slots: Mutex::default(),
                _lock: lock,
            }),
        })
    }

    /// The files of the artifact with this digest, downloaded from `url` unless they are there. Whoever asks while a download is
    /// under way waits for it.
    ///
    /// # Errors
    /// When the artifact cannot be had, or is not what it should be. Nothing of it is kept then.
    pub async fn get(&self, url: &str, digest: &str) -> Result<Arc<Unpacked>, FetchError> {
        let digest: Digest = digest.parse()?;
        let download = self.download_for(url, &digest);
        let outcome = download.clone().await;
        self.settle(&digest, &download);
        outcome.map_err(|error| FetchError::shared(&error))
    }

    /// The download of a digest, joined if it is under way or done, begun if not.
    fn download_for(&self, url: &str, digest: &Digest) -> Download {
        let mut slots = self.lock();
        slots.clock += 1;
        let now = slots.clock;
        let slot = slots.slots.entry(digest.clone()).or_insert_with(|| {
            let (shared, url, digest) = (Arc::clone(&self.shared), url.to_owned(), digest.clone());
            let download = async move { shared.download(&url, &digest).await.map_err(Arc::new) };
            Slot {
                download: download.boxed().shared(),
                used: now,
            }
        });
        slot.used = now;
        slot.download.clone()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Slots> {
        self.shared.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Forgets a download that failed, and lets go of what was used longest ago until the rest fits; never
    /// of the latest.
    fn settle(&self, latest: &Digest, download: &Download) {
        let mut freed = Vec::new();
        {
            let mut slots = self.lock();
            let is_failed = matches!(download.peek(), Some(Err(_)));
            let is_same = |slot: &Slot| slot.download.ptr_eq(download);
            if is_failed && slots.slots.get(latest).is_some_and(is_same) {
                freed.extend(slots.slots.remove(latest));
            }
            // Nobody waits for it any more: whoever did has been cancelled.
            let is_abandoned =
                |slot: &Slot| slot.download.peek().is_none() && slot.download.strong_count() == Some(1);
            slots.slots.retain(|_, slot| !is_abandoned(slot));
            let mut total: u64 = slots.slots.values().map(Slot::bytes).sum();
            while total > self.shared.options.max_bytes {
                let others = slots
                    .slots
                    .iter()
                    .filter(|(digest, slot)| *digest != latest && slot.is_unpacked());
                let oldest = others
                    .min_by_key(|(_, slot)| slot.used)
                    .map(|(digest, _)| digest.clone());
                let Some(slot) = oldest.and_then(|digest| slots.slots.remove(&digest)) else {
                    break;
                };
                total = total.saturating_sub(slot.bytes());
                freed.push(slot);
            }
        }
        // Folders are removed without the lock.
        drop(freed);
    }
}

/// Removes what a process that was killed has unpacked.
fn remove_leftovers(folder: &Path) -> io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        if entry
            .file_name()
            .as_encoded_bytes()
            .starts_with(PREFIX.as_bytes())
            && entry.file_type()?.is_dir()
        {
            std::fs::remove_dir_all(entry.path())?;
        }
    }
    Ok(())
}

impl Shared {
    async fn download(&self, url: &str, digest: &Digest) -> Result<Arc<Unpacked>, FetchError> {
        let url = reachable(url)?;
        let options = &self.options;
        let retry = Retry {
            retries: options.retries,
            min_wait: options.retry_wait.0,
            max_wait: options.retry_wait.1,
        };
        let mut attempt = 0;
        loop {
            let outcome = match tokio::time::timeout(options.timeout, self.download_once(&url, digest)).await
            {
                Ok(outcome) => outcome,
                Err(_) => Err(FetchError::Timeout {
                    url: url.clone(),
                    timeout: options.timeout,
                }),
            };
            match outcome {
                Err(error) if error.is_transient() && attempt < retry.retries => {
                    tracing::debug!(%error, %url, attempt, "artifact download failed, trying again");
                    tokio::time::sleep(retry.wait(attempt)).await;
                    attempt += 1;
                }
                outcome => return outcome.map(Arc::new),
            }
        }
    }

    async fn download_once(&self, url: &SafeUrl, digest: &Digest) -> Result<Unpacked, FetchError> {
        let request = Request::to(http::Method::GET, url)?;
        let response = self.client.send(&request).await?;
        if response.status() == http::StatusCode::NOT_FOUND {
            return Err(FetchError::NotFound { url: url.clone() });
        }
        let mut response = response.error_for_status()?;
        let limits = self.options.limits;
        if response
            .content_length()
            .is_some_and(|length| length > limits.compressed)
        {
            return Err(UnpackError::TooLarge {
                limit: limits.compressed,
                form: "compressed",
            }
            .into());
        }
        let folder = self.options.path.clone();
        let failed = move |source| FetchError::Folder {
            path: folder.clone(),
            source,
        };
        let unpacked = tempfile::Builder::new()
            .prefix(PREFIX)
            .tempdir_in(&self.options.path)
            .map_err(&failed)?;
        let (pieces, body) = mpsc::channel(WINDOW);
        let hasher = digest.algorithm().hasher();
        // The folder belongs to the thread until it is done, so that it is removed after the last write even
        // when nobody waits any more.
        let task = tokio::task::spawn_blocking(move || {
            let contents = unpack::unpack_blocking(Body::new(body), unpacked.path(), limits, hasher);
            (unpacked, contents)
        });
        let mut broken = None;
        loop {
            match response.chunk().await {
                Ok(Some(piece)) => {
                    // The other side is gone when it has found a fault: it says which.
                    if pieces.send(Ok(piece)).await.is_err() {
                        break;
                    }
                }
                Ok(None) => break,
                Err(error) => {
                    let _unread = pieces.send(Err(io::Error::other("the download broke off"))).await;
                    broken = Some(error);
                    break;
                }
            }
        }
        drop(pieces);
        let (unpacked, contents) = task.await.map_err(|error| failed(io::Error::other(error)))?;
        if let Some(error) = broken {
            return Err(error.into());
        }
        let contents = contents?;
        if contents.digest != *digest {
            return Err(FetchError::Mismatch {
                expected: digest.clone(),
                found: contents.digest,
            });
        }
        Ok(Unpacked {
            path: unpacked.keep(),
            bytes: contents.bytes,
        })
    }
}

/// The URL of an artifact as this process reaches it.
///
/// # Errors
/// When it is no URL.
pub fn reachable(url: &str) -> Result<SafeUrl, FetchError> {
    located(url, |name| std::env::var(name).ok())
}

/// The URL, with the host that the environment may put in place of the cluster's own, for controllers that
/// run outside of it.
fn located(url: &str, environment: impl Fn(&str) -> Option<String>) -> Result<SafeUrl, FetchError> {
    let variable = if url.contains("//source-watcher") {
        "SOURCE_WATCHER_LOCALHOST"
    } else {
        "SOURCE_CONTROLLER_LOCALHOST"
    };
    let host = environment(variable).filter(|host| !host.is_empty());
    let text = match (host, url.split_once("://")) {
        (Some(host), Some((scheme, rest))) => {
            let path = rest
                .find('/')
                .and_then(|slash| rest.get(slash..))
                .unwrap_or_default();
            format!("{scheme}://{host}{path}")
        }
        _ => url.to_owned(),
    };
    let invalid = |error: url::ParseError| ferro_http::Error::InvalidUrl {
        reason: error.to_string(),
    };
    Ok(SafeUrl::parse(&text).map_err(invalid)?)
}

/// The pieces of a body as a reader, for the thread that unpacks.
struct Body {
    pieces: mpsc::Receiver<io::Result<Bytes>>,
    current: Bytes,
}

impl Body {
    fn new(pieces: mpsc::Receiver<io::Result<Bytes>>) -> Self {
        Self {
            pieces,
            current: Bytes::new(),
        }
    }
}

impl Read for Body {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.current.is_empty() {
            match self.pieces.blocking_recv() {
                Some(piece) => self.current = piece?,
                None => return Ok(0),
            }
        }
        let count = buffer.len().min(self.current.len());
        self.current
            .copy_to_slice(buffer.get_mut(..count).unwrap_or_default());
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn located_replaces_the_host_as_the_environment_says() {
        let environment = |name: &str| match name {
            "SOURCE_CONTROLLER_LOCALHOST" => Some("localhost:9090".to_owned()),
            "SOURCE_WATCHER_LOCALHOST" => Some("127.0.0.1:9091".to_owned()),
            _ => None,
        };
        let cases = [
            (
                "http://source-controller.flux-system.svc./a/b.tar.gz",
                "http://localhost:9090/a/b.tar.gz",
            ),
            (
                "http://source-watcher.flux-system.svc./a/b.tar.gz",
                "http://127.0.0.1:9091/a/b.tar.gz",
            ),
        ];
        for (url, expected) in cases {
            assert_eq!(located(url, environment).unwrap().expose().as_str(), expected);
            assert_eq!(located(url, |_| None).unwrap().expose().as_str(), url);
            assert_eq!(
                located(url, |_| Some(String::new())).unwrap().expose().as_str(),
                url
            );
        }
        assert!(located("no url", |_| None).is_err());
    }
}
