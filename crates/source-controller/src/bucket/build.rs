//! From files to a stored artifact, on one thread: what did not change is taken out of the last artifact, the folder is archived, and the link to
//! the newest artifact is set.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;
use std::time::SystemTime;

use ferro_api::meta::{Artifact, Time};
use ferro_api::reason;
use ferro_artifact::archive::{ArchiveError, ArchiveLimits, archive_blocking};
use ferro_artifact::ignore::{IGNORE_FILE, Matcher};
use ferro_artifact::storage::{ArtifactPath, PublishError, Storage, StorageError, Stored};
use ferro_artifact::tree::{DiskDirectory, TreeError};
use ferro_bucket::Listed;
use ferro_http::describe;
use flate2::read::MultiGzDecoder;
use k8s_openapi::jiff::Timestamp;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use super::download::path_of;
use super::index::Index;
use super::memory::{BucketMemory, Record};
use crate::reconcile::Failure;

/// The name of the link to the newest artifact.
pub(super) const LATEST: &str = "latest.tar.gz";

/// A folder for the files of a pass, with the bucket's ignore file in it.
///
/// # Errors
/// When it cannot be made.
pub(super) fn folder_blocking(prefix: &str, ignore_file: Option<&[u8]>) -> Result<TempDir, Failure> {
    let made = TempDir::with_prefix(prefix).and_then(|folder| {
        if let Some(content) = ignore_file {
            fs::write(folder.path().join(IGNORE_FILE), content)?;
        }
        Ok(folder)
    });
    made.map_err(|error| {
        let message = format!("failed to create temporary working directory: {error}");
        Failure::storage(reason::DIRECTORY_CREATION_FAILED, message)
    })
}

/// The last artifact, and what it was made of.
pub(super) struct Last {
    pub path: ArtifactPath,
    pub record: Record,
}

impl Last {
    /// Puts the objects that are still of the version that went into the last artifact into `folder`. Returns those that are not there: all,
    /// if the artifact cannot be read.
    pub(super) fn reuse_blocking(
        &self,
        storage: &Storage,
        objects: BTreeMap<String, Listed>,
        folder: &Path,
        cancel: &CancellationToken,
    ) -> Result<Vec<Listed>, Failure> {
        let is_same = |listed: &Listed| {
            !listed.etag.is_empty() && self.record.etags.get(&listed.key) == Some(&listed.etag)
        };
        let (same, mut changed): (Vec<Listed>, Vec<Listed>) = objects.into_values().partition(is_same);
        if same.is_empty() {
            return Ok(changed);
        }
        let mut wanted: BTreeMap<_, _> = same
            .into_iter()
            .map(|listed| (path_of(&listed.key), listed))
            .collect();
        let taken = storage
            .open_blocking(&self.path)
            .map_err(io::Error::other)
            .and_then(|file| take(file, &mut wanted, folder, cancel));
        if cancel.is_cancelled() {
            return Err(Failure::plain("the pass was cut short".to_owned()));
        }
        if let Err(error) = taken {
            tracing::warn!(%error, "objects of the last artifact are fetched again");
        }
        changed.extend(wanted.into_values());
        Ok(changed)
    }
}

/// Unpacks what is wanted; what was unpacked is wanted no longer. A file that could not be unpacked whole is removed.
fn take(
    archive: fs::File,
    wanted: &mut BTreeMap<std::path::PathBuf, Listed>,
    folder: &Path,
    cancel: &CancellationToken,
) -> io::Result<()> {
    let mut archive = tar::Archive::new(MultiGzDecoder::new(io::BufReader::with_capacity(
        1 << 16,
        archive,
    )));
    let mut made = std::path::PathBuf::new();
    for entry in archive.entries()? {
        if cancel.is_cancelled() {
            return Err(io::ErrorKind::Interrupted.into());
        }
        let mut entry = entry?;
        let path = entry.path()?.into_owned();
        if !entry.header().entry_type().is_file() || !wanted.contains_key(&path) {
            continue;
        }
        let target = folder.join(&path);
        if let Some(parent) = target.parent().filter(|parent| *parent != made) {
            fs::create_dir_all(parent)?;
            made = parent.to_owned();
        }
        let copied = fs::File::create_new(&target).and_then(|mut file| io::copy(&mut entry, &mut file));
        if let Err(error) = copied {
            drop(fs::remove_file(&target));
            return Err(error);
        }
        wanted.remove(&path);
        if wanted.is_empty() {
            break;
        }
    }
    Ok(())
}

/// All that is needed to make an artifact of a folder.
pub(super) struct Job {
    pub storage: Storage,
    pub memory: BucketMemory,
    /// A path in the object's directory.
    pub directory: ArtifactPath,
    pub namespace: String,
    pub name: String,
    pub folder: TempDir,
    pub index: Index,
    pub origin: String,
}

/// A stored artifact.
pub(super) struct Built {
    pub artifact: Artifact,
    /// The address of the link to it, or why there is none.
    pub latest: Result<String, String>,
}

impl Job {
    /// Does the work.
    ///
    /// # Errors
    /// With the condition and the text that the reference gives to each fault.
    pub(super) fn run_blocking(self, cancel: &CancellationToken) -> Result<Built, Failure> {
        let digest = self.index.digest(self.storage.algorithm());
        let path = self
            .directory
            .sibling(&format!("{}.tar.gz", digest.hex()))
            .map_err(|error| Failure::storage(reason::INVALID_PATH, describe(&error)))?;
        let _lock = self
            .storage
            .lock_blocking(&path)
            .map_err(|error| not_locked(&error))?;
        let stored = self.publish_blocking(&path, cancel)?;
        let latest = self
            .storage
            .link_blocking(&path, LATEST)
            .map_err(|error| describe(&error));
        let artifact = Artifact {
            digest: stored.digest.to_string(),
            last_update_time: time(stored.updated),
            path: stored.path.to_string(),
            revision: digest.to_string(),
            size: i64::try_from(stored.size).ok(),
            url: self.storage.url(&stored.path),
            ..Artifact::default()
        };
        let record = Record {
            digest: artifact.digest.clone(),
            origin: self.origin,
            etags: self.index.etags().clone(),
        };
        self.memory.record_blocking(&self.namespace, &self.name, &record);
        Ok(Built { artifact, latest })
    }

    fn publish_blocking(&self, path: &ArtifactPath, cancel: &CancellationToken) -> Result<Stored, Failure> {
        let tree = DiskDirectory::new(self.folder.path());
        let published = self.storage.publish_blocking(path, |out| {
            archive_blocking(&tree, &Matcher::default(), ArchiveLimits::default(), cancel, out)?;
            // Past this point the file is put in place, which is too late for a pass that was cut short.
            if cancel.is_cancelled() {
                return Err(ArchiveError::from(TreeError::Cancelled));
            }
            Ok(())
        });
        published.map(|(stored, ())| stored).map_err(|error| {
            let cause = match &error {
                PublishError::Storage(error) => describe(error),
                PublishError::Content(error) => describe(error),
            };
            let message = format!("unable to archive artifact to storage: {cause}");
            Failure::storage(reason::ARCHIVE_OPERATION_FAILED, message)
        })
    }
}

fn not_locked(error: &StorageError) -> Failure {
    let cause = describe(error);
    match error {
        StorageError::Lock { .. } => Failure::unmarked(
            reason::FAILED,
            format!("failed to acquire lock for artifact: {cause}"),
        ),
        _ => Failure::storage(
            reason::DIRECTORY_CREATION_FAILED,
            format!("failed to create artifact directory: {cause}"),
        ),
    }
}

/// Whole seconds, as the API has them.
fn time(at: SystemTime) -> Time {
    Timestamp::try_from(at).map(Time::from).unwrap_or_default()
}
