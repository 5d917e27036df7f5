//! From what was received to a stored artifact, on one thread: what did not change is taken out of the last artifact on the way, and the link
//! to the newest artifact is set.

use std::fs::File;
use std::io;
use std::path::Path;
use std::time::SystemTime;

use ferro_api::meta::{Artifact, Time};
use ferro_api::reason;
use ferro_artifact::digest::{Digest, DigestError};
use ferro_artifact::ignore::IGNORE_FILE;
use ferro_artifact::storage::{ArtifactPath, PublishError, Storage, StorageError, Stored};
use ferro_bucket::Listed;
use ferro_http::describe;
use k8s_openapi::jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use super::index::Index;
use super::listing::Found;
use super::memory::{BucketMemory, Record};
use super::plan::{PathError, Plan, WriteError};
use super::spool::Spool;
use crate::reconcile::Failure;

/// The name of the link to the newest artifact.
pub(super) const LATEST: &str = "latest.tar.gz";

/// The last artifact, and what it was made of.
pub(super) struct Last {
    pub path: ArtifactPath,
    pub record: Record,
}

impl Last {
    /// Whether this version of the object can be taken out of the artifact. Names with line ends are not read back from archives.
    fn has(&self, listed: &Listed) -> bool {
        let is_same = self.record.etags.get(&listed.key) == Some(&listed.etag);
        is_same && !listed.etag.is_empty() && !listed.key.contains('\n')
    }
}

/// What an artifact will be made of.
pub(super) struct Draft {
    pub plan: Plan,
    pub spool: Spool,
    /// Where what is kept comes from.
    last: Option<Last>,
}

impl Draft {
    /// Begins with what the last artifact has of the objects that were found, and the bucket's ignore file. Returns what has to be received.
    ///
    /// # Errors
    /// When there is no room for temporary files, or an object has no place in an archive.
    pub(super) fn begin_blocking(
        scratch: &Path,
        last: Option<Last>,
        found: Found,
    ) -> Result<(Self, Vec<Listed>), BeginError> {
        let spool = Spool::create_blocking(scratch).map_err(BeginError::Scratch)?;
        let mut plan = Plan::default();
        if let Some(content) = found.ignore_file {
            let place = spool.put_blocking(&content).map_err(BeginError::Scratch)?;
            plan.expect(IGNORE_FILE)
                .map_err(|error| BeginError::Path(IGNORE_FILE.to_owned(), error))?;
            plan.receive(IGNORE_FILE, place);
        }
        let mut changed = Vec::new();
        for (key, listed) in found.objects {
            let is_kept = last.as_ref().is_some_and(|last| last.has(&listed));
            let planned = if is_kept {
                plan.keep(&key)
            } else {
                plan.expect(&key)
            };
            planned.map_err(|error| BeginError::Path(key, error))?;
            if !is_kept {
                changed.push(listed);
            }
        }
        Ok((Self { plan, spool, last }, changed))
    }
}

/// Why a draft could not be begun.
#[derive(Debug)]
pub(super) enum BeginError {
    /// Temporary files cannot be made.
    Scratch(io::Error),
    /// The object of that key has no place in an archive.
    Path(String, PathError),
}

/// All that is needed to make an artifact.
pub(super) struct Job {
    pub storage: Storage,
    pub memory: BucketMemory,
    /// A path in the object's directory.
    pub directory: ArtifactPath,
    pub namespace: String,
    pub name: String,
    pub draft: Draft,
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
    /// Does the work. `None` where the last artifact, of which something is kept, has turned out to be another file than it was.
    ///
    /// # Errors
    /// With the condition and the text that the reference gives to each fault.
    pub(super) fn run_blocking(self, cancel: &CancellationToken) -> Result<Option<Built>, Failure> {
        let digest = self.index.digest(self.storage.algorithm());
        let path = self
            .directory
            .sibling(&format!("{}.tar.gz", digest.hex()))
            .map_err(|error| Failure::storage(reason::INVALID_PATH, describe(&error)))?;
        let _lock = self
            .storage
            .lock_blocking(&path)
            .map_err(|error| not_locked(&error))?;
        let stored = match self.publish_blocking(&path, cancel) {
            Ok(stored) => stored,
            Err(PublishError::Content(error @ WriteError::Last(_))) => {
                tracing::warn!(error = %describe(&error), "all objects are fetched again");
                return Ok(None);
            }
            Err(error) => return Err(not_archived(&error)),
        };
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
        Ok(Some(Built { artifact, latest }))
    }

    fn publish_blocking(
        &self,
        path: &ArtifactPath,
        cancel: &CancellationToken,
    ) -> Result<Stored, PublishError<WriteError>> {
        let Draft { plan, spool, last } = &self.draft;
        let published = self.storage.publish_blocking(path, |out| {
            let last = last.as_ref().map(|last| self.open_blocking(last)).transpose()?;
            plan.write_blocking(spool, last, cancel, out)
        });
        published.map(|(stored, ())| stored)
    }

    fn open_blocking(&self, last: &Last) -> Result<(File, Digest), WriteError> {
        let unusable = WriteError::Last;
        let digest = last
            .record
            .digest
            .parse()
            .map_err(|error: DigestError| unusable(io::Error::other(error)))?;
        let file = self
            .storage
            .open_blocking(&last.path)
            .map_err(|error| unusable(io::Error::other(error)))?;
        Ok((file, digest))
    }
}

fn not_archived(error: &PublishError<WriteError>) -> Failure {
    let cause = match error {
        PublishError::Storage(error) => describe(error),
        PublishError::Content(error) => describe(error),
    };
    let message = format!("unable to archive artifact to storage: {cause}");
    Failure::storage(reason::ARCHIVE_OPERATION_FAILED, message)
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
