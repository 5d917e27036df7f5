//! The artifact storage on disk: `<kind>/<namespace>/<name>/<file>` below one base directory.
//!
//! Files appear whole or not at all (written beside their place, synced, renamed), carry mode 0600 and are
//! never reached through a symbolic link. The layout, the lock files and the retention rules are upstream's,
//! so that a volume can be handed over in both directions.

mod gc;
mod path;

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use crate::digest::{Algorithm, Digest, HashingWriter, digest_reader};

pub use gc::{Garbage, ObjectKey};
pub use path::{ArtifactPath, PathError, advertised_host};

const DIR_MODE: u32 = 0o700;
const FILE_MODE: u32 = 0o600;
/// The prefix of files that are still being written.
pub(crate) const TEMP_PREFIX: &str = ".tmp-";
/// The suffix of lock files.
pub(crate) const LOCK_SUFFIX: &str = ".lock";

/// Why an operation on the storage failed.
#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    /// The base directory does not exist or is no directory.
    #[error("invalid storage path '{path}': it must be an existing directory")]
    InvalidBase {
        /// The directory.
        path: String,
    },
    /// A path would leave the storage.
    #[error(transparent)]
    Path(#[from] PathError),
    /// A directory on the way is a symbolic link.
    #[error("'{path}' in the storage is not a plain directory")]
    NotPlain {
        /// The path below the base.
        path: String,
    },
    /// The lock of an artifact could not be taken.
    #[error("failed to lock '{path}'")]
    Lock {
        /// The lock file below the base.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// There is no room for more.
    #[error("the storage is full: failed to {action} '{path}'")]
    Full {
        /// What was tried.
        action: &'static str,
        /// The path below the base.
        path: String,
        /// What is full: the disk, or the share of it that is ours.
        source: io::Error,
    },
    /// The disk failed.
    #[error("failed to {action} '{path}'")]
    Io {
        /// What was tried.
        action: &'static str,
        /// The path below the base.
        path: String,
        /// Why it failed.
        source: io::Error,
    },
}

impl StorageError {
    /// A failure of the disk, told from one that is full.
    fn disk(action: &'static str, path: String, source: io::Error) -> Self {
        if is_full(&source) {
            Self::Full { action, path, source }
        } else {
            Self::Io { action, path, source }
        }
    }
}

fn is_full(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
    )
}

/// Why an artifact could not be published: the storage failed, or what was to be stored.
#[derive(Debug, thiserror::Error)]
pub enum PublishError<E: std::error::Error + 'static> {
    /// The storage failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The content could not be produced.
    #[error(transparent)]
    Content(E),
}

/// How a storage is set up.
#[derive(Debug, Clone)]
pub struct StorageOptions {
    /// The base directory, which must exist.
    pub base: PathBuf,
    /// The host that artifact URLs name; it may start with a scheme.
    pub host: String,
    /// The algorithm of new digests.
    pub algorithm: Algorithm,
    /// How long a file that is not current is kept.
    pub retention_ttl: Duration,
    /// How many files of an object are kept at most, the current one included.
    pub retention_records: usize,
    /// Bytes that the base directory may hold in all; none is bounded by the disk only.
    pub quota: Option<u64>,
}

impl StorageOptions {
    /// Upstream's defaults: sha256, one minute, two records.
    pub fn new(base: impl Into<PathBuf>, host: impl Into<String>) -> Self {
        Self {
            base: base.into(),
            host: host.into(),
            algorithm: Algorithm::default(),
            retention_ttl: Duration::from_secs(60),
            retention_records: 2,
            quota: None,
        }
    }
}

/// What [`Storage::publish_blocking`] stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// Where.
    pub path: ArtifactPath,
    /// The digest of the file.
    pub digest: Digest,
    /// The size of the file in bytes.
    pub size: u64,
    /// When it was published.
    pub updated: SystemTime,
}

/// What [`Storage::verify_blocking`] found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Integrity {
    /// The file has the digest.
    Intact,
    /// There is no regular file.
    Missing,
    /// The file has another digest, or the expected one is malformed.
    Mismatch {
        /// What is wrong, for an event.
        reason: String,
    },
}

/// The artifact storage; clones share it.
#[derive(Debug, Clone)]
pub struct Storage {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    options: StorageOptions,
    /// Files whose digest is known, by what the file system says of them: reading every artifact again
    /// on each reconcile is what upstream does, and costs more than all else.
    verified: Mutex<HashMap<ArtifactPath, Fingerprint>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Fingerprint {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
    digest: Digest,
}

impl Fingerprint {
    fn new(metadata: &fs::Metadata, digest: Digest) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
            digest,
        }
    }
}

/// An advisory lock on an artifact, held until dropped.
#[derive(Debug)]
pub struct ArtifactLock {
    _file: File,
}

impl Storage {
    /// Opens the storage in an existing directory.
    pub fn open(options: StorageOptions) -> Result<Self, StorageError> {
        let invalid = || StorageError::InvalidBase {
            path: options.base.display().to_string(),
        };
        // Resolved once: everything below is then checked against a path without links.
        let base = options.base.canonicalize().map_err(|_| invalid())?;
        if !base.is_dir() {
            return Err(invalid());
        }
        let options = StorageOptions { base, ..options };
        Ok(Self {
            inner: Arc::new(Inner {
                options,
                verified: Mutex::default(),
            }),
        })
    }

    /// The base directory, free of links.
    pub fn base(&self) -> &Path {
        &self.inner.options.base
    }

    /// The algorithm of new digests.
    pub fn algorithm(&self) -> Algorithm {
        self.inner.options.algorithm
    }

    /// The URL of an artifact on the current host.
    pub fn url(&self, path: &ArtifactPath) -> String {
        self.url_of(&path.to_string())
    }

    fn url_of(&self, relative: &str) -> String {
        let host = self.inner.options.host.as_str();
        let scheme = if host.starts_with("http://") || host.starts_with("https://") {
            ""
        } else {
            "http://"
        };
        format!("{scheme}{}/{relative}", host.trim_end_matches('/'))
    }

    /// The absolute path of an artifact.
    pub fn locate(&self, path: &ArtifactPath) -> PathBuf {
        self.base().join(path.relative())
    }

    /// Whether a regular file is stored at `path`.
    pub fn exists_blocking(&self, path: &ArtifactPath) -> bool {
        self.check_plain(&path.directory()).is_ok()
            && fs::symlink_metadata(self.locate(path)).is_ok_and(|metadata| metadata.is_file())
    }

    /// Writes a file through `write` and puts it in place at once; digest and size come for free.
    pub fn publish_blocking<T, E: std::error::Error + 'static>(
        &self,
        path: &ArtifactPath,
        write: impl FnOnce(&mut dyn Write) -> Result<T, E>,
    ) -> Result<(Stored, T), PublishError<E>> {
        let directory = self.make_directory(path)?;
        let failed = |action| move |source| StorageError::disk(action, path.to_string(), source);
        let temp = tempfile::Builder::new()
            .prefix(TEMP_PREFIX)
            .permissions(fs::Permissions::from_mode(FILE_MODE))
            .tempfile_in(&directory)
            .map_err(failed("create a temporary file for"))?;
        let bounded = Bounded::new(io::BufWriter::new(temp), self.room());
        let mut writer = HashingWriter::new(bounded, self.algorithm());
        let written = write(&mut writer);
        let (bounded, digest, size) = writer.finish();
        // Whatever the content makes of it: the cause is ours.
        if let Some(full) = bounded.full {
            return Err(failed("write")(full).into());
        }
        let value = written.map_err(PublishError::Content)?;
        let temp = bounded
            .inner
            .into_inner()
            .map_err(io::IntoInnerError::into_error)
            .map_err(failed("write"))?;
        temp.as_file().sync_all().map_err(failed("sync"))?;
        let file = temp
            .persist(self.locate(path))
            .map_err(|error| failed("rename")(error.error))?;
        sync_directory(&directory).map_err(failed("sync the directory of"))?;
        let metadata = file.metadata().map_err(failed("stat"))?;
        self.remember(path, Fingerprint::new(&metadata, digest.clone()));
        let stored = Stored {
            path: path.clone(),
            digest,
            size,
            updated: SystemTime::now(),
        };
        Ok((stored, value))
    }

    /// The bytes that may still be written, where that is bounded, and the bound.
    fn room(&self) -> Option<(u64, u64)> {
        let quota = self.inner.options.quota?;
        Some((quota.saturating_sub(bytes_below(self.base(), 0)), quota))
    }

    /// Checks the file at `path` against a digest, in any supported algorithm.
    ///
    /// A file that has not changed since its digest was last computed is not read again.
    pub fn verify_blocking(&self, path: &ArtifactPath, digest: &str) -> Result<Integrity, StorageError> {
        if self.check_plain(&path.directory()).is_err() {
            return Ok(Integrity::Missing);
        }
        let failed = |action| {
            move |source| StorageError::Io {
                action,
                path: path.to_string(),
                source,
            }
        };
        let location = self.locate(path);
        let metadata = match fs::symlink_metadata(&location) {
            Ok(metadata) if metadata.is_file() => metadata,
            Ok(_) => return Ok(Integrity::Missing),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Integrity::Missing),
            Err(error) => return Err(failed("stat")(error)),
        };
        let expected: Digest = match digest.parse() {
            Ok(expected) => expected,
            Err(error) => {
                return Ok(Integrity::Mismatch {
                    reason: format!("{error}"),
                });
            }
        };
        let fingerprint = Fingerprint::new(&metadata, expected.clone());
        if self.verified().get(path) == Some(&fingerprint) {
            return Ok(Integrity::Intact);
        }
        let mut file = File::open(&location).map_err(failed("open"))?;
        let (found, _) = digest_reader(expected.algorithm(), &mut file).map_err(failed("read"))?;
        if found == expected {
            self.remember(path, fingerprint);
            return Ok(Integrity::Intact);
        }
        let reason = format!("computed digest '{found}' does not match '{expected}'");
        Ok(Integrity::Mismatch { reason })
    }

    /// Opens an artifact for reading.
    pub fn open_blocking(&self, path: &ArtifactPath) -> Result<File, StorageError> {
        self.check_plain(&path.directory())?;
        let failed = |source| StorageError::Io {
            action: "open",
            path: path.to_string(),
            source,
        };
        let location = self.locate(path);
        if !fs::symlink_metadata(&location).map_err(failed)?.is_file() {
            return Err(StorageError::NotPlain {
                path: path.to_string(),
            });
        }
        File::open(location).map_err(failed)
    }

    /// Points the link `name` in the artifact's directory at the artifact and returns the link's URL.
    pub fn link_blocking(&self, path: &ArtifactPath, name: &str) -> Result<String, StorageError> {
        let link = path.sibling(name)?;
        let directory = self.make_directory(path)?;
        let failed = |action| {
            move |source| StorageError::Io {
                action,
                path: path.to_string(),
                source,
            }
        };
        let temp = directory.join(format!("{name}.tmp"));
        remove_if_present(&temp).map_err(failed("remove the temporary link to"))?;
        std::os::unix::fs::symlink(self.locate(path), &temp).map_err(failed("link"))?;
        fs::rename(&temp, self.locate(&link)).map_err(failed("rename the link to"))?;
        Ok(self.url(&link))
    }

    /// Removes a file or link beside artifacts; one that is not there is no error.
    pub fn remove_blocking(&self, path: &ArtifactPath) -> Result<(), StorageError> {
        self.check_plain(&path.directory())?;
        self.verified().remove(path);
        let failed = |source| StorageError::Io {
            action: "remove",
            path: path.to_string(),
            source,
        };
        remove_if_present(&self.locate(path)).map_err(failed)
    }

    /// Takes the advisory lock of an artifact, waiting for other holders.
    pub fn lock_blocking(&self, path: &ArtifactPath) -> Result<ArtifactLock, StorageError> {
        self.make_directory(path)?;
        let failed = |source| StorageError::Lock {
            path: format!("{path}{LOCK_SUFFIX}"),
            source,
        };
        let mut location = self.locate(path).into_os_string();
        location.push(LOCK_SUFFIX);
        let location = PathBuf::from(location);
        loop {
            let file = open_lock(&location).map_err(failed)?;
            file.lock().map_err(failed)?;
            // Garbage collection may have removed the file between open and lock.
            let held = file.metadata().map_err(failed)?;
            let is_same = fs::symlink_metadata(&location)
                .is_ok_and(|found| (found.dev(), found.ino()) == (held.dev(), held.ino()));
            if is_same {
                return Ok(ArtifactLock { _file: file });
            }
        }
    }

    fn make_directory(&self, path: &ArtifactPath) -> Result<PathBuf, StorageError> {
        let relative = path.directory();
        let failed = |source| StorageError::Io {
            action: "create",
            path: relative.clone(),
            source,
        };
        let directory = self.base().join(&relative);
        fs::DirBuilder::new()
            .recursive(true)
            .mode(DIR_MODE)
            .create(&directory)
            .map_err(failed)?;
        self.check_plain(&relative)?;
        Ok(directory)
    }

    /// Refuses a directory that is reached through a symbolic link.
    fn check_plain(&self, relative: &str) -> Result<(), StorageError> {
        let mut location = self.base().to_owned();
        for component in relative.split('/') {
            location.push(component);
            let is_plain = fs::symlink_metadata(&location).is_ok_and(|metadata| metadata.is_dir());
            if !is_plain {
                return Err(StorageError::NotPlain {
                    path: relative.to_owned(),
                });
            }
        }
        Ok(())
    }

    fn remember(&self, path: &ArtifactPath, fingerprint: Fingerprint) {
        self.verified().insert(path.clone(), fingerprint);
    }

    fn verified(&self) -> std::sync::MutexGuard<'_, HashMap<ArtifactPath, Fingerprint>> {
        self.inner.verified.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Passes bytes on while there is room, and remembers when there was none.
struct Bounded<W> {
    inner: W,
    room: Option<(u64, u64)>,
    full: Option<io::Error>,
}

impl<W: Write> Bounded<W> {
    const fn new(inner: W, room: Option<(u64, u64)>) -> Self {
        Self {
            inner,
            room,
            full: None,
        }
    }

    fn refuse(&mut self, error: io::Error) -> io::Error {
        let kind = error.kind();
        if is_full(&error) {
            self.full = Some(error);
            return kind.into();
        }
        error
    }
}

impl<W: Write> Write for Bounded<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if let Some((left, quota)) = self.room {
            let Some(left) = left.checked_sub(bytes.len() as u64) else {
                let message = format!("all artifacts together may not have more than {quota} bytes");
                return Err(self.refuse(io::Error::new(io::ErrorKind::QuotaExceeded, message)));
            };
            self.room = Some((left, quota));
        }
        // All of it, so that what is counted is what was written.
        match self.inner.write_all(bytes) {
            Ok(()) => Ok(bytes.len()),
            Err(error) => Err(self.refuse(error)),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// The bytes of all files below a directory. What cannot be read does not count.
fn bytes_below(directory: &Path, depth: usize) -> u64 {
    // Kind, namespace, name, file, and what caches need.
    const DEEPEST: usize = 16;
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let bytes = entries.map(|entry| match entry.metadata() {
        Ok(found) if found.is_dir() && depth < DEEPEST => bytes_below(&entry.path(), depth + 1),
        Ok(found) if found.is_file() => found.len(),
        _ => 0,
    });
    bytes.sum()
}

fn open_lock(location: &Path) -> io::Result<File> {
    let mut options = File::options();
    options.read(true).write(true).create(true).truncate(false);
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, FILE_MODE);
    options.open(location)
}

fn remove_if_present(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

fn sync_directory(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A disk without room.
    struct FullDisk;

    impl Write for FullDisk {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::StorageFull.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn full_disk_is_told_from_a_broken_one() {
        let mut bounded = Bounded::new(FullDisk, None);
        assert_eq!(
            bounded.write(b"x").unwrap_err().kind(),
            io::ErrorKind::StorageFull
        );
        let error = StorageError::disk("write", "a".to_owned(), bounded.full.unwrap());
        assert_eq!(error.to_string(), "the storage is full: failed to write 'a'");
        let error = StorageError::disk("write", "a".to_owned(), io::Error::other("broken"));
        assert_eq!(error.to_string(), "failed to write 'a'");
    }
}
