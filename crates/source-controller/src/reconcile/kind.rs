//! What a kind must say about itself for the shared steps to work on it.

use ferro_api::meta::Artifact;
use ferro_api::source::{Bucket, GitRepository, HelmChart, HelmRepository, OCIRepository};
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

    /// The reason of the event about a pass that went well, which is `usual` but for kinds that tell more.
    fn success_reason<'a>(&'a self, usual: &'a str) -> &'a str {
        usual
    }
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

impl SourceObject for OCIRepository {
    const SUMMARY: &'static [&'static str] = &[
        condition::STORAGE_OPERATION_FAILED,
        condition::FETCH_FAILED,
        condition::ARTIFACT_OUTDATED,
        condition::ARTIFACT_IN_STORAGE,
        condition::SOURCE_VERIFIED,
        condition::STALLED,
        condition::RECONCILING,
    ];
    const FAILURES: &'static [&'static str] = &[condition::FETCH_FAILED, condition::STORAGE_OPERATION_FAILED];

    fn artifact(&self) -> Option<&Artifact> {
        self.status.as_ref()?.artifact.as_ref()
    }

    fn set_artifact(&mut self, artifact: Option<Artifact>) {
        self.status_mut().artifact = artifact;
    }
}

impl SourceObject for HelmRepository {
    const SUMMARY: &'static [&'static str] = &[
        condition::STORAGE_OPERATION_FAILED,
        condition::FETCH_FAILED,
        condition::ARTIFACT_OUTDATED,
        condition::ARTIFACT_IN_STORAGE,
        condition::STALLED,
        condition::RECONCILING,
    ];
    const FAILURES: &'static [&'static str] = &[condition::FETCH_FAILED, condition::STORAGE_OPERATION_FAILED];

    fn artifact(&self) -> Option<&Artifact> {
        self.status.as_ref()?.artifact.as_ref()
    }

    fn set_artifact(&mut self, artifact: Option<Artifact>) {
        self.status_mut().artifact = artifact;
    }
}

impl SourceObject for HelmChart {
    const SUMMARY: &'static [&'static str] = &[
        condition::STORAGE_OPERATION_FAILED,
        condition::FETCH_FAILED,
        condition::BUILD_FAILED,
        condition::ARTIFACT_OUTDATED,
        condition::ARTIFACT_IN_STORAGE,
        condition::SOURCE_VERIFIED,
        condition::STALLED,
        condition::RECONCILING,
    ];
    const FAILURES: &'static [&'static str] = &[
        condition::BUILD_FAILED,
        condition::FETCH_FAILED,
        condition::STORAGE_OPERATION_FAILED,
    ];

    fn artifact(&self) -> Option<&Artifact> {
        self.status.as_ref()?.artifact.as_ref()
    }

    fn set_artifact(&mut self, artifact: Option<Artifact>) {
        self.status_mut().artifact = artifact;
    }

    fn success_reason<'a>(&'a self, usual: &'a str) -> &'a str {
        let stored = self.condition(condition::ARTIFACT_IN_STORAGE);
        stored.map_or(usual, |stored| stored.reason.as_str())
    }
}

impl SourceObject for Bucket {
    const SUMMARY: &'static [&'static str] = &[
        condition::STORAGE_OPERATION_FAILED,
        condition::FETCH_FAILED,
        condition::ARTIFACT_OUTDATED,
        condition::ARTIFACT_IN_STORAGE,
        condition::STALLED,
        condition::RECONCILING,
    ];
    const FAILURES: &'static [&'static str] = &[condition::FETCH_FAILED, condition::STORAGE_OPERATION_FAILED];

    fn artifact(&self) -> Option<&Artifact> {
        self.status.as_ref()?.artifact.as_ref()
    }

    fn set_artifact(&mut self, artifact: Option<Artifact>) {
        let status = self.status_mut();
        if artifact.is_none() {
            status.url = None;
        }
        status.artifact = artifact;
    }
}
