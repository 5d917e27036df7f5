//! Which version of each object went into the stored artifact, so that a change fetches only what changed: the rest is taken out of the
//! artifact. Kept on disk beside the caches, as the storage is served to everybody; it may vanish at any time.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use ferro_artifact::digest::Algorithm;
use ferro_artifact::private;
use serde::{Deserialize, Serialize};

/// The largest record; larger buckets are fetched whole.
const MAX_RECORD: u64 = 64 << 20;

/// What all records may have together.
const MAX_BYTES: u64 = 256 << 20;

/// What an artifact was made of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Record {
    /// The digest of the artifact.
    pub digest: String,
    /// Where the objects came from: the same key and ETag elsewhere is not the same content.
    pub origin: String,
    /// ETags by key.
    pub etags: BTreeMap<String, String>,
}

/// The directory of all records. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct BucketMemory {
    root: PathBuf,
    /// Keeps other processes out of the directory.
    _lock: Arc<File>,
}

impl BucketMemory {
    /// The one in the system's temporary folder that belongs to `storage`.
    ///
    /// # Errors
    /// When the directory cannot be made, is used by another process, or belongs to another user.
    pub(crate) fn open(storage: &Path) -> io::Result<Self> {
        let name = Algorithm::Sha256.digest(storage.as_os_str().as_encoded_bytes());
        let name = name.hex().get(..12).unwrap_or_default().to_owned();
        Self::at(std::env::temp_dir().join(format!("source-controller-bucket-{name}")))
    }

    /// The one at `root`.
    ///
    /// # Errors
    /// As [`BucketMemory::open`].
    pub(super) fn at(root: PathBuf) -> io::Result<Self> {
        let lock = Arc::new(private::open_blocking(&root)?);
        Ok(Self { root, _lock: lock })
    }

    /// What the artifact `digest` of the object was made of, if that is known.
    pub(super) fn recall_blocking(&self, namespace: &str, name: &str, digest: &str) -> Option<Record> {
        let path = self.path(namespace, name);
        if fs::metadata(&path).ok()?.len() > MAX_RECORD {
            return None;
        }
        let record: Record = serde_json::from_slice(&fs::read(path).ok()?).ok()?;
        (record.digest == digest).then_some(record)
    }

    /// Notes what an artifact was made of. What cannot be written is not known next time, and nothing worse.
    pub(super) fn record_blocking(&self, namespace: &str, name: &str, record: &Record) {
        let written = serde_json::to_vec(record)
            .map_err(io::Error::from)
            .and_then(|text| self.write(&self.path(namespace, name), &text));
        if let Err(error) = written {
            tracing::debug!(%error, "what the artifact was made of is not recorded");
        }
        self.trim();
    }

    fn write(&self, path: &Path, text: &[u8]) -> io::Result<()> {
        if text.len() as u64 > MAX_RECORD {
            return self.remove(path);
        }
        let mut file = tempfile::NamedTempFile::new_in(&self.root)?;
        file.write_all(text)?;
        file.persist(path)?;
        Ok(())
    }

    /// Forgets an object that is gone.
    pub(super) fn forget_blocking(&self, namespace: &str, name: &str) {
        drop(self.remove(&self.path(namespace, name)));
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        match fs::remove_file(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            other => other,
        }
    }

    /// Removes the oldest records until the others fit.
    fn trim(&self) {
        let Ok(entries) = fs::read_dir(&self.root) else {
            return;
        };
        let mut found: Vec<(SystemTime, u64, PathBuf)> = entries
            .filter_map(Result::ok)
            .filter_map(|entry| {
                let metadata = entry.metadata().ok()?;
                Some((metadata.modified().ok()?, metadata.len(), entry.path()))
            })
            .filter(|(_, _, path)| path.extension().is_some_and(|extension| extension == "json"))
            .collect();
        found.sort();
        let mut total: u64 = found.iter().map(|(_, bytes, _)| bytes).sum();
        for (_, bytes, path) in found {
            if total <= MAX_BYTES {
                break;
            }
            total = total.saturating_sub(bytes);
            drop(self.remove(&path));
        }
    }

    /// Names by their digest: the two together may be longer than a file's name.
    fn path(&self, namespace: &str, name: &str) -> PathBuf {
        let digest = Algorithm::Sha256.digest(format!("{namespace}/{name}").as_bytes());
        self.root.join(format!("{}.json", digest.hex()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recall_needs_the_same_artifact() {
        let root = tempfile::tempdir().unwrap();
        let memory = BucketMemory::at(root.path().to_owned()).unwrap();
        let record = Record {
            digest: "sha256:1".to_owned(),
            origin: "s3".to_owned(),
            etags: BTreeMap::from([("a\n\"b".to_owned(), "1".to_owned())]),
        };
        assert_eq!(memory.recall_blocking("default", "app", "sha256:1"), None);
        memory.record_blocking("default", "app", &record);
        assert_eq!(
            memory.recall_blocking("default", "app", "sha256:1"),
            Some(record.clone())
        );
        assert_eq!(memory.recall_blocking("default", "app", "sha256:2"), None);
        assert_eq!(memory.recall_blocking("default", "other", "sha256:1"), None);
        fs::write(memory.path("default", "app"), "{").unwrap();
        assert_eq!(memory.recall_blocking("default", "app", "sha256:1"), None);
        memory.record_blocking("default", "app", &record);
        memory.forget_blocking("default", "app");
        assert_eq!(memory.recall_blocking("default", "app", "sha256:1"), None);
    }
}
