//! The engine: from unpacked sources and a recipe to a tree of files, and from there to a stored artifact.
//!
//! * `tree`: files and directories, read from disk once a source and shared from then on.
//! * `copy`: one step of a recipe. `glob`, `merge`: its parts.
//! * `checksum`: the name of the artifact's file.
//!
//! Nothing here knows of Kubernetes objects but for the recipe, and everything holds its thread.

mod checksum;
mod copy;
mod glob;
mod merge;
#[cfg(test)]
mod tests;
pub(crate) mod tree;

use ferro_api::source_extensions::CopyOperation;
use ferro_artifact::archive::{ArchiveError, ArchiveLimits, archive_blocking};
use ferro_artifact::ignore::Matcher;
use ferro_artifact::storage::{ArtifactPath, PathError, PublishError, Storage, StorageError, Stored};
use ferro_http::describe;

use self::checksum::{ChecksumError, file_name_blocking};
use self::copy::{CopyError, apply_blocking};
use self::tree::{Stage, Tree};

pub(crate) use self::copy::Kitchen;

/// Why an artifact could not be made. The texts are upstream's.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BuildError {
    /// A step cannot be done.
    #[error("failed to apply copy operations: failed to apply copy operation from '{from}' to '{to}': {why}")]
    Copy {
        /// The source of the step.
        from: String,
        /// Its destination.
        to: String,
        /// Why.
        why: Box<CopyError>,
    },
    /// The files have no checksum.
    #[error("failed to hash staging dir: {}", describe(.0))]
    Checksum(#[from] ChecksumError),
    /// The name is none for a file.
    #[error("failed to create artifact directory: {0}")]
    Path(#[from] PathError),
    /// The artifact's directory cannot be made.
    #[error("failed to create artifact directory: {}", describe(.0))]
    Directory(StorageError),
    /// The storage cannot be locked.
    #[error("failed to acquire artifact lock: {}", describe(.0))]
    Lock(StorageError),
    /// The archive cannot be stored.
    #[error("failed to create artifact: {}", describe(.0))]
    Publish(#[from] PublishError<ArchiveError>),
}

/// Follows a recipe, step by step.
///
/// # Errors
/// When a step makes no sense for the files that are there.
pub(crate) fn compose_blocking(steps: &[CopyOperation], kitchen: &Kitchen<'_>) -> Result<Tree, BuildError> {
    let mut stage = Stage::default();
    for step in steps {
        apply_blocking(step, kitchen, &mut stage).map_err(|why| BuildError::Copy {
            from: step.from.clone(),
            to: step.to.clone(),
            why: Box::new(why),
        })?;
    }
    Ok(stage.into_tree())
}

/// Stores a tree as the artifact of an ExternalArtifact.
///
/// # Errors
/// When the storage does not take it, or it is larger than an artifact may be.
pub(crate) fn publish_blocking(
    storage: &Storage,
    kind: &str,
    namespace: &str,
    name: &str,
    tree: &Tree,
    kitchen: &Kitchen<'_>,
) -> Result<Stored, BuildError> {
    let path = ArtifactPath::new(kind, namespace, name, &file_name_blocking(name, tree)?)?;
    let _lock = storage.lock_blocking(&path).map_err(|error| match error {
        StorageError::Lock { .. } => BuildError::Lock(error),
        _ => BuildError::Directory(error),
    })?;
    // What nobody wants in an artifact stays out: there are no rules of users here.
    let matcher = Matcher::with_defaults(Vec::new());
    let (stored, _) = storage.publish_blocking(&path, |out| {
        archive_blocking(tree, &matcher, ArchiveLimits::default(), kitchen.cancel, out)
            .map(|(_, stats)| stats)
    })?;
    Ok(stored)
}
