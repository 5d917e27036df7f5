//! The metadata of events about a Kustomization (`spec/kustomize-and-notification.md` I.1).

use std::collections::BTreeMap;

use ferro_api::meta::Artifact;
use ferro_api::{event, group};

/// Metadata with the revision, and that of the origin, where known.
pub(crate) fn metadata(revision: Option<&str>, origin: Option<&str>) -> BTreeMap<String, String> {
    let key = |name: &str| format!("{}/{name}", group::KUSTOMIZE);
    let mut metadata = BTreeMap::new();
    if let Some(revision) = revision {
        metadata.insert(key(event::REVISION), revision.to_owned());
    }
    if let Some(origin) = origin {
        metadata.insert(key(event::ORIGIN_REVISION), origin.to_owned());
    }
    metadata
}

/// Metadata of an artifact's revision.
pub(crate) fn of_artifact(artifact: &Artifact) -> BTreeMap<String, String> {
    metadata(Some(&artifact.revision), origin_revision(artifact))
}

/// Metadata of the event that ends each successful run: commit-status providers act on it.
pub(crate) fn of_success(artifact: &Artifact) -> BTreeMap<String, String> {
    let mut metadata = of_artifact(artifact);
    metadata.insert(
        format!("{}/{}", group::KUSTOMIZE, event::COMMIT_STATUS),
        event::COMMIT_STATUS_UPDATE.to_owned(),
    );
    metadata
}

/// The revision of what the artifact was made from, for artifacts that say so.
pub(crate) fn origin_revision(artifact: &Artifact) -> Option<&str> {
    artifact
        .metadata
        .get(event::OCI_REVISION)
        .map(String::as_str)
        .filter(|revision| !revision.is_empty())
}
