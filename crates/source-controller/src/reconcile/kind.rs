//! What a kind must say about itself for the shared steps to work on it.

use ferro_api::meta::Artifact;
use ferro_api::source::GitRepository;
use ferro_api::{FluxObject, condition};

/// A kind whose reconciler makes artifacts.
pub(crate) trait SourceObject: FluxObject {
    /// The conditions that decide Ready, the first deciding among equals.
    const SUMMARY: &'static [&'static str];
    /// The conditions that say that the last pass failed; when they go, users hear of the recovery.
    const FAILURES: &'static [&'static str];

    /// The artifact of the last successful pass.
    fn artifact(&self) -> Option<&Artifact>;

    /// Records the artifact.
    fn set_artifact(&mut self, artifact: Option<Artifact>);
}

impl SourceObject for GitRepository {
    const SUMMARY: &'static [&'static str] = &[
        condition::STORAGE_OPERATION_FAILED,
        condition::FETCH_FAILED,
        condition::INCLUDE_UNAVAILABLE,
        condition::ARTIFACT_OUTDATED,
        condition::ARTIFACT_IN_STORAGE,
        condition::SOURCE_VERIFIED,
        condition::STALLED,
        condition::RECONCILING,
    ];
    const FAILURES: &'static [&'static str] = &[
        condition::FETCH_FAILED,
        condition::INCLUDE_UNAVAILABLE,
        condition::STORAGE_OPERATION_FAILED,
    ];

    fn artifact(&self) -> Option<&Artifact> {
        self.status.as_ref()?.artifact.as_ref()
    }

    fn set_artifact(&mut self, artifact: Option<Artifact>) {
        self.status_mut().artifact = artifact;
    }
}
