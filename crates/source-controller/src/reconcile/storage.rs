//! The artifact of an object and the storage: retention, integrity, address (`spec/sources-and-images.md` sections 5.3 and 5.4).

use std::time::{Duration, SystemTime};

use ferro_api::meta::Artifact;
use ferro_api::{FluxObject, condition, reason};
use ferro_artifact::storage::{ArtifactPath, Integrity, ObjectKey, PathError, Storage, StorageError};
use ferro_http::describe;
use ferro_runtime::conditions;
use ferro_runtime::events::Severity;
use ferro_runtime::reconcile::Pass;
use kube::ResourceExt;

use super::{Failure, Shared, SourceObject, progressive};

/// Collecting the garbage of one object ends after this time; the rest stays for the next pass.
const COLLECTION_LIMIT: Duration = Duration::from_secs(5);

/// The path at which an object's artifact `file` is stored.
///
/// # Errors
/// When `file` is no file name.
pub(crate) fn artifact_path<K: FluxObject>(object: &K, file: &str) -> Result<ArtifactPath, PathError> {
    let namespace = object.namespace().unwrap_or_default();
    ArtifactPath::new(K::KIND, &namespace, &object.name_any(), file)
}

fn object_key<K: FluxObject>(object: &K) -> ObjectKey {
    ObjectKey::new(
        K::KIND,
        &object.namespace().unwrap_or_default(),
        &object.name_any(),
    )
}

/// What was found of an artifact.
#[derive(Debug)]
struct Found {
    collected: usize,
    integrity: Integrity,
}

/// Collects garbage, and sees to it that the artifact in the status is what is stored and served. The storage reads a file again only if
/// it changed since its digest was last computed, so that this costs a look at the directory.
pub(super) async fn check<K: SourceObject>(shared: &Shared, pass: &mut Pass<K>) -> Result<(), Failure> {
    conditions::delete(&mut pass.object, condition::STORAGE_OPERATION_FAILED);
    let mut disappeared = false;
    if let Some(artifact) = pass.object.artifact().cloned() {
        match own_path(&pass.object, &artifact.path) {
            Some(path) => {
                let url = shared.storage.url(&path);
                let found = look(shared, path, artifact.digest.clone()).await?;
                disappeared = found.integrity != Integrity::Intact;
                report(pass, &found);
                pass.object
                    .set_artifact((!disappeared).then_some(Artifact { url, ..artifact }));
            }
            // Not a path of ours: nothing there may be collected, nor served.
            None => {
                disappeared = true;
                pass.object.set_artifact(None);
            }
        }
    }
    if pass.object.artifact().is_none() {
        let message = if disappeared {
            "building artifact: disappeared from storage"
        } else {
            "building artifact"
        };
        progressive(&mut pass.object, true, message);
        conditions::delete(&mut pass.object, condition::ARTIFACT_IN_STORAGE);
        pass.publish();
    }
    Ok(())
}

/// The path of the artifact, if it lies in the object's own directory.
fn own_path<K: FluxObject>(object: &K, path: &str) -> Option<ArtifactPath> {
    let path = ArtifactPath::parse(path).ok()?;
    let own = artifact_path(object, path.file()).ok()?;
    (own == path).then_some(path)
}

async fn look(shared: &Shared, path: ArtifactPath, digest: String) -> Result<Found, Failure> {
    let storage = shared.storage.clone();
    shared
        .off_thread(move |_| look_blocking(&storage, &path, &digest))
        .await?
}

fn look_blocking(storage: &Storage, path: &ArtifactPath, digest: &str) -> Result<Found, Failure> {
    // Garbage that cannot be removed now can be removed next time.
    let collected = storage
        .collect_garbage_blocking(path, SystemTime::now(), COLLECTION_LIMIT)
        .map_or(0, |garbage| garbage.removed.len());
    let integrity = storage.verify_blocking(path, digest).map_err(|error| {
        let message = format!("failed to read artifact from storage: {}", describe(&error));
        Failure::storage(reason::READ_OPERATION_FAILED, message)
    })?;
    if matches!(integrity, Integrity::Mismatch { .. }) {
        storage.remove_blocking(path).map_err(|error: StorageError| {
            let cause = describe(&error);
            Failure::plain(format!(
                "failed to remove artifact after digest mismatch: {cause}"
            ))
        })?;
    }
    Ok(Found { collected, integrity })
}

fn report<K: FluxObject>(pass: &Pass<K>, found: &Found) {
    let metadata = std::collections::BTreeMap::new;
    if found.collected > 0 {
        let message = format!("garbage collected {} artifacts", found.collected);
        tracing::info!("{message}");
        pass.event(
            Severity::Trace,
            reason::GARBAGE_COLLECTION_SUCCEEDED,
            &message,
            metadata(),
        );
    }
    if let Integrity::Mismatch { reason: cause } = &found.integrity {
        let message = format!("failed to verify integrity of artifact: {cause}");
        tracing::error!("{message}");
        pass.event(
            Severity::Error,
            reason::ARTIFACT_VERIFICATION_FAILED,
            &message,
            metadata(),
        );
    }
}

/// Removes all that an object stored; tells whether there was anything.
///
/// # Errors
/// When the storage fails.
pub(crate) async fn forget<K: FluxObject>(shared: &Shared, object: &K) -> Result<bool, Failure> {
    let (storage, key) = (shared.storage.clone(), object_key(object));
    let removed = shared
        .off_thread(move |_| storage.remove_object_blocking(&key))
        .await?;
    removed.map_err(|error| {
        let message = format!(
            "garbage collection for deleted resource failed: {}",
            describe(&error)
        );
        Failure::unmarked(reason::GARBAGE_COLLECTION_FAILED, message)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use ferro_api::source::GitRepository;

    #[test]
    fn own_path_refuses_the_directory_of_another_object() {
        let mut object = GitRepository::default();
        object.metadata.namespace = Some("default".to_owned());
        object.metadata.name = Some("app".to_owned());
        assert!(own_path(&object, "gitrepository/default/app/1.tar.gz").is_some());
        for path in [
            "",
            "gitrepository/default/other/1.tar.gz",
            "gitrepository/other/app/1.tar.gz",
            "bucket/default/app/1.tar.gz",
            "gitrepository/default/app/../other/1.tar.gz",
        ] {
            assert!(own_path(&object, path).is_none(), "{path}");
        }
    }
}
