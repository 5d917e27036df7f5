//! From a layer in the registry to a stored artifact, on one thread: fetch, check, unpack, leave out, archive, publish.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::time::SystemTime;

use bytes::Bytes;
use ferro_api::meta::{Artifact, Time};
use ferro_api::reason;
use ferro_api::source::OciLayerOperation;
use ferro_artifact::archive::{ArchiveError, ArchiveLimits, archive_blocking};
use ferro_artifact::ignore::Matcher;
use ferro_artifact::storage::{ArtifactPath, PublishError, Storage, StorageError, Stored};
use ferro_artifact::tree::TreeError;
use ferro_http::describe;
use ferro_oci::{Blob, Client, Descriptor};
use k8s_openapi::jiff::Timestamp;
use tokio::runtime::Handle;
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;

use super::TIMED_OUT;
use super::layer::{Layer, Limits};
use crate::reconcile::Failure;

/// The link to the newest artifact, beside it.
pub(super) const LINK: &str = "latest.tar.gz";

/// The largest layer that is copied as it is: no consumer fetches a larger artifact.
const MAX_COPY: u64 = 1 << 30;

/// All that is needed to build an artifact.
pub(super) struct Build {
    pub client: Client,
    pub layer: Descriptor,
    pub operation: OciLayerOperation,
    /// Patterns of `spec.ignore`.
    pub ignore: Option<String>,
    pub revision: String,
    /// Annotations of the manifest.
    pub metadata: BTreeMap<String, String>,
    pub storage: Storage,
    pub path: ArtifactPath,
    /// When the object's time is up.
    pub deadline: Instant,
    /// Drives the transfer while this thread waits for it.
    pub runtime: Handle,
}

/// What was built.
#[derive(Debug)]
pub(super) struct Built {
    pub artifact: Artifact,
    /// The address of the link to the newest artifact, or why there is none.
    pub link: Result<String, String>,
}

impl Build {
    /// Does the work.
    ///
    /// # Errors
    /// With the condition and the text that the reference gives to each fault.
    pub(super) fn run_blocking(self, cancel: &CancellationToken) -> Result<Built, Failure> {
        let _lock = self
            .storage
            .lock_blocking(&self.path)
            .map_err(|error| not_locked(&error))?;
        let content = self.open_blocking(cancel)?;
        let stored = match self.operation {
            OciLayerOperation::Extract => self.extract_blocking(content, cancel)?,
            OciLayerOperation::Copy => self.copy_blocking(content)?,
        };
        let link = self.storage.link_blocking(&self.path, LINK);
        Ok(Built {
            artifact: Artifact {
                digest: stored.digest.to_string(),
                last_update_time: time(stored.updated),
                metadata: self.metadata,
                path: stored.path.to_string(),
                revision: self.revision,
                size: i64::try_from(stored.size).ok(),
                url: self.storage.url(&stored.path),
            },
            link: link.map_err(|error| describe(&error)),
        })
    }

    fn open_blocking(&self, cancel: &CancellationToken) -> Result<Transfer, Failure> {
        let failed = |cause: String| {
            layer_failure(format!(
                "failed to extract the first layer from artifact: {cause}"
            ))
        };
        let opening = timeout_at(self.deadline, self.client.blob(&self.layer));
        let blob = self.runtime.block_on(async {
            tokio::select! {
                biased;
                () = cancel.cancelled() => Err(failed("cancelled".to_owned())),
                opened = opening => match opened {
                    Ok(Ok(blob)) => Ok(blob),
                    Ok(Err(error)) => Err(failed(describe(&error))),
                    Err(_) => Err(failed(TIMED_OUT.to_owned())),
                },
            }
        })?;
        Ok(Transfer {
            blob,
            piece: Bytes::new(),
            deadline: self.deadline,
            runtime: self.runtime.clone(),
            cancel: cancel.clone(),
        })
    }

    fn extract_blocking(&self, mut content: Transfer, cancel: &CancellationToken) -> Result<Stored, Failure> {
        let failed =
            |cause: String| layer_failure(format!("failed to extract layer contents from artifact: {cause}"));
        let layer = Layer::read_blocking(&mut content, Limits::default())
            .map_err(|error| failed(describe(&error)))?;
        // Only the end of the transfer tells whether it is what the manifest says.
        io::copy(&mut content, &mut io::sink()).map_err(|error| failed(describe(&error)))?;
        let matcher = Matcher::load_blocking(&layer, self.ignore.as_deref(), cancel).map_err(|error| {
            let cause = describe(&error);
            let message = format!("failed to load source ignore patterns from repository: {cause}");
            Failure::unmarked(reason::SOURCE_IGNORE_ERROR, message)
        })?;
        let published = self.storage.publish_blocking(&self.path, |out| {
            archive_blocking(&layer, &matcher, ArchiveLimits::default(), cancel, out)?;
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

    /// Stores the layer to the byte.
    fn copy_blocking(&self, mut content: Transfer) -> Result<Stored, Failure> {
        if self.layer.size > MAX_COPY {
            return Err(not_copied(&format!(
                "the layer of {} bytes is larger than {MAX_COPY} bytes",
                self.layer.size
            )));
        }
        let published = self
            .storage
            .publish_blocking(&self.path, |out| copy(&mut content, out));
        let unstored = |cause: String| {
            let message = format!("unable to copy artifact to storage: {cause}");
            Failure::storage(reason::ARCHIVE_OPERATION_FAILED, message)
        };
        published.map(|(stored, ())| stored).map_err(|error| match error {
            PublishError::Storage(error) => unstored(describe(&error)),
            PublishError::Content(CopyError::Write(error)) => unstored(describe(&error)),
            PublishError::Content(CopyError::Read(error)) => not_copied(&describe(&error)),
        })
    }
}

#[derive(Debug, thiserror::Error)]
enum CopyError {
    #[error(transparent)]
    Read(io::Error),
    #[error(transparent)]
    Write(io::Error),
}

fn copy(content: &mut Transfer, out: &mut dyn Write) -> Result<(), CopyError> {
    loop {
        let Some(piece) = content.next().map_err(CopyError::Read)? else {
            return Ok(());
        };
        out.write_all(&piece).map_err(CopyError::Write)?;
    }
}

/// A blob as a reader for a thread of its own. It ends well only if all of the content came and is what the manifest says.
struct Transfer {
    blob: Blob,
    piece: Bytes,
    deadline: Instant,
    runtime: Handle,
    cancel: CancellationToken,
}

impl Transfer {
    fn next(&mut self) -> io::Result<Option<Bytes>> {
        let Self {
            blob,
            deadline,
            cancel,
            ..
        } = self;
        self.runtime.block_on(async {
            tokio::select! {
                biased;
                () = cancel.cancelled() => Err(io::Error::other("cancelled")),
                piece = timeout_at(*deadline, blob.chunk()) => match piece {
                    Ok(piece) => piece.map_err(io::Error::other),
                    Err(_) => Err(io::Error::other(TIMED_OUT)),
                },
            }
        })
    }
}

impl Read for Transfer {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.piece.is_empty() {
            match self.next()? {
                Some(piece) => self.piece = piece,
                None => return Ok(0),
            }
        }
        let piece = self.piece.split_to(self.piece.len().min(buffer.len()));
        if let Some(target) = buffer.get_mut(..piece.len()) {
            target.copy_from_slice(&piece);
        }
        Ok(piece.len())
    }
}

fn layer_failure(message: String) -> Failure {
    Failure::fetch(reason::OCI_ARTIFACT_LAYER_OPERATION_FAILED, message)
}

fn not_copied(cause: &str) -> Failure {
    layer_failure(format!("failed to copy layer from artifact: {cause}"))
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
