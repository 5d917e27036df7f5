//! Fetching artifacts: each digest is downloaded and unpacked once, for all who use it.

mod unpack;

use std::collections::HashMap;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::{Buf, Bytes};
use ferro_http::{Client, ClientOptions, Request, Retry, SafeUrl};
use tokio::sync::{OnceCell, mpsc};

pub use unpack::{UnpackError, UnpackLimits};

use crate::digest::{Digest, DigestError};

/// Pieces of a body that may wait between network and disk.
const WINDOW: usize = 16;

/// How a [`Cache`] works.
#[derive(Clone, Debug)]
pub struct CacheOptions {
    /// The folder that is all the cache's own; what is in it at start is removed.
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
            // A body cut short reads like a damaged archive; a damaged archive costs a few tries.
            Self::Timeout { .. } | Self::Unpack(UnpackError::Damaged(_)) => true,
            _ => false,
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

#[derive(Default)]
struct Slot {
    cell: Arc<OnceCell<Arc<Unpacked>>>,
    used: u64,
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
}

impl Cache {
    /// An empty cache.
    ///
    /// # Errors
    /// When the folder cannot be made and emptied, or this system trusts no certificates at all.
    pub fn new(options: CacheOptions) -> Result<Self, FetchError> {
        let failed = |source| FetchError::Folder {
            path: options.path.clone(),
            source,
        };
        match std::fs::remove_dir_all(&options.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
            _ => {}
        }
        std::fs::create_dir_all(&options.path).map_err(failed)?;
        let client = Client::new(&ClientOptions::default())?;
        Ok(Self {
            shared: Arc::new(Shared {
                client,
                options,
                slots: Mutex::default(),
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
        let cell = {
            let mut slots = self.lock();
            slots.clock += 1;
            let now = slots.clock;
            let slot = slots.slots.entry(digest.clone()).or_default();
            slot.used = now;
            Arc::clone(&slot.cell)
        };
        let unpacked = cell
            .get_or_try_init(|| self.download(url, &digest))
            .await
            .cloned();
        self.evict(&digest);
        unpacked
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Slots> {
        self.shared.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets go of what was used longest ago, until the rest fits; never of `latest`.
    fn evict(&self, latest: &Digest) {
        let mut freed = Vec::new();
        {
            let mut slots = self.lock();
            let size = |slot: &Slot| slot.cell.get().map_or(0, |unpacked| unpacked.bytes);
            let mut total: u64 = slots.slots.values().map(size).sum();
            while total > self.shared.options.max_bytes {
                let others = slots
                    .slots
                    .iter()
                    .filter(|(digest, slot)| *digest != latest && slot.cell.initialized());
                let Some(oldest) = others
                    .min_by_key(|(_, slot)| slot.used)
                    .map(|(digest, _)| digest.clone())
                else {
                    break;
                };
                if let Some(slot) = slots.slots.remove(&oldest) {
                    total = total.saturating_sub(size(&slot));
                    freed.push(slot);
                }
            }
            // A download that failed leaves an empty slot, which nobody else may be waiting for.
            slots
                .slots
                .retain(|_, slot| slot.cell.initialized() || Arc::strong_count(&slot.cell) > 1);
        }
        drop(freed);
    }

    async fn download(&self, url: &str, digest: &Digest) -> Result<Arc<Unpacked>, FetchError> {
        let url = located(url)?;
        let options = &self.shared.options;
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
        let response = self.shared.client.send(&request).await?;
        if response.status() == http::StatusCode::NOT_FOUND {
            return Err(FetchError::NotFound { url: url.clone() });
        }
        let mut response = response.error_for_status()?;
        let limits = self.shared.options.limits;
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
        let folder = self.shared.options.path.clone();
        let failed = move |source| FetchError::Folder {
            path: folder.clone(),
            source,
        };
        let unpacked = tempfile::Builder::new()
            .prefix("artifact-")
            .tempdir_in(&self.shared.options.path)
            .map_err(&failed)?;
        let (pieces, body) = mpsc::channel(WINDOW);
        let (root, hasher) = (unpacked.path().to_owned(), digest.algorithm().hasher());
        let task = tokio::task::spawn_blocking(move || {
            unpack::unpack_blocking(Body::new(body), &root, limits, hasher)
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
        let contents = task.await.map_err(|error| failed(io::Error::other(error)))?;
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

/// The URL, with the host that the environment may put in place of the cluster's own, for controllers that run outside of it.
fn located(url: &str) -> Result<SafeUrl, FetchError> {
    let variable = if url.contains("//source-watcher") {
        "SOURCE_WATCHER_LOCALHOST"
    } else {
        "SOURCE_CONTROLLER_LOCALHOST"
    };
    let host = std::env::var(variable).ok().filter(|host| !host.is_empty());
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
    SafeUrl::parse(&text).map_err(|error| {
        ferro_http::Error::InvalidUrl {
            reason: error.to_string(),
        }
        .into()
    })
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
