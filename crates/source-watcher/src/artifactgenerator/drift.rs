//! Whether anything is to be done: what was made last is compared with what is asked for, with the store and with the cluster.

use ferro_api::source::ExternalArtifact;
use ferro_api::source_extensions::{ArtifactGenerator, ExternalArtifactReference};
use ferro_api::{FluxObject, controller, label};
use ferro_artifact::storage::{ArtifactPath, Integrity, Storage};
use kube::ResourceExt;

use crate::externalartifact::{artifact, owner};
use crate::follow::Followed;

/// The spec is another one.
pub(super) const GENERATION_CHANGED: &str = "GenerationChanged";
/// The last pass failed.
pub(super) const NOT_READY: &str = "NotReady";

/// The entries of the inventory.
pub(super) fn inventory(generator: &ArtifactGenerator) -> &[ExternalArtifactReference] {
    generator.status.as_ref().map_or(&[], |status| &status.inventory)
}

/// Where the artifact of an entry is stored.
pub(super) fn path_of(entry: &ExternalArtifactReference) -> Option<ArtifactPath> {
    ArtifactPath::new(
        ExternalArtifact::KIND,
        &entry.namespace,
        &entry.name,
        &entry.filename,
    )
    .ok()
}

/// How the object itself differs from what was last made of it; upstream's word for it.
pub(super) fn of_object(generator: &ArtifactGenerator, sources_digest: &str) -> Option<&'static str> {
    let spec = &generator.spec;
    let is_templated = spec
        .path_pattern
        .as_deref()
        .is_some_and(|pattern| !pattern.is_empty());
    let observed = generator
        .status
        .as_ref()
        .and_then(|it| it.observed_sources_digest.as_deref());
    if generator.observed_generation() != generator.metadata.generation {
        Some(GENERATION_CHANGED)
    } else if !generator.is_ready() {
        Some(NOT_READY)
    } else if observed != Some(sources_digest) {
        Some("SourcesChanged")
    } else if !is_templated && inventory(generator).len() != spec.artifacts.len() {
        Some("ArtifactsChanged")
    } else {
        None
    }
}

/// How the store differs from the inventory. A file that is damaged is removed. Blocks the thread, though a file that has not changed
/// since it was last read is not read again.
pub(super) fn of_storage_blocking(
    storage: &Storage,
    inventory: &[ExternalArtifactReference],
) -> Option<&'static str> {
    for entry in inventory {
        let Some(path) = path_of(entry) else {
            return Some("ArtifactMissing");
        };
        match storage.verify_blocking(&path, &entry.digest) {
            Ok(Integrity::Intact) => {}
            Ok(Integrity::Missing) => return Some("ArtifactMissing"),
            Ok(Integrity::Mismatch { reason }) => {
                tracing::error!(reason, artifact = %path, "artifact is damaged, removing it");
                if let Err(error) = storage.remove_blocking(&path) {
                    tracing::error!(%error, artifact = %path, "cannot remove damaged artifact");
                }
                return Some("ArtifactCorrupted");
            }
            Err(error) => {
                tracing::error!(%error, artifact = %path, "cannot read artifact");
                return Some("ArtifactCorrupted");
            }
        }
    }
    None
}

/// How the cluster differs from the inventory.
pub(super) fn of_cluster(
    generator: &ArtifactGenerator,
    followed: &Followed,
    storage: &Storage,
) -> Option<&'static str> {
    let (namespace, uid) = (
        generator.namespace().unwrap_or_default(),
        generator.uid().unwrap_or_default(),
    );
    let Some(live) = followed.outputs(&namespace, label::ARTIFACT_GENERATOR, &uid) else {
        return Some("ExternalArtifactsNotFound");
    };
    let inventory = inventory(generator);
    let is_as_listed = live.len() == inventory.len()
        && live.iter().all(|live| {
            inventory
                .iter()
                .any(|entry| is_entry(entry, live, storage, generator))
        });
    (!is_as_listed).then_some("ExternalArtifactsChanged")
}

/// Whether an ExternalArtifact is what an entry of the inventory says, and names the address where it is served now.
fn is_entry(
    entry: &ExternalArtifactReference,
    live: &ExternalArtifact,
    storage: &Storage,
    generator: &ArtifactGenerator,
) -> bool {
    let url = path_of(entry).map(|path| storage.url(&path));
    let managed = live.labels().get(label::MANAGED_BY).map(String::as_str);
    entry.name == live.name_any()
        && Some(&entry.namespace) == live.namespace().as_ref()
        && owner(live) == generator.uid().as_deref()
        && managed == Some(controller::SOURCE_WATCHER)
        && live.is_ready()
        && artifact(live)
            .is_some_and(|artifact| artifact.digest == entry.digest && Some(&artifact.url) == url.as_ref())
}
