//! The ExternalArtifacts that generators make: what they should be, whether they are, and the requests that make them so.

use std::collections::BTreeMap;
use std::sync::Arc;

use ferro_api::meta::{Artifact, NamespacedObjectKindReference, Time};
use ferro_api::object::Kind as _;
use ferro_api::source::{ExternalArtifact, ExternalArtifactSpec, ExternalArtifactStatus};
use ferro_api::source_extensions::ArtifactGenerator;
use ferro_api::{Condition, ConditionStatus, FluxObject, condition, controller, label, reason};
use ferro_runtime::process::chain;
use kube::api::{DeleteParams, Patch, PatchParams, Preconditions};
use kube::{Api, Client, ResourceExt};
use serde_json::json;

use crate::follow::Key;

/// What the condition Ready of an ExternalArtifact says.
const READY: &str = "Artifact is ready";

/// What an ExternalArtifact should be.
pub(crate) fn desired(
    generator: &ArtifactGenerator,
    name: &str,
    captures: &BTreeMap<String, String>,
    artifact: Artifact,
) -> ExternalArtifact {
    let common = generator.spec.common_metadata.clone().unwrap_or_default();
    let mut labels = common.labels;
    labels.extend(captures.clone());
    labels.insert(
        label::MANAGED_BY.to_owned(),
        controller::SOURCE_WATCHER.to_owned(),
    );
    labels.insert(
        label::ARTIFACT_GENERATOR.to_owned(),
        generator.uid().unwrap_or_default(),
    );
    let reference = NamespacedObjectKindReference {
        api_version: Some(ArtifactGenerator::INFO.api_version()),
        kind: ArtifactGenerator::KIND.to_owned(),
        name: generator.name_any(),
        namespace: generator.namespace(),
    };
    let mut object = ExternalArtifact::new(
        name,
        ExternalArtifactSpec {
            source_ref: Some(reference),
        },
    );
    object.metadata.namespace = generator.namespace();
    object.metadata.labels = Some(labels);
    object.metadata.annotations = Some(common.annotations).filter(|annotations| !annotations.is_empty());
    object.status = Some(ExternalArtifactStatus {
        artifact: Some(artifact),
        conditions: Vec::new(),
    });
    object
}

/// The generator that made an ExternalArtifact, by its UID.
pub(crate) fn owner(object: &ExternalArtifact) -> Option<&str> {
    object.labels().get(label::ARTIFACT_GENERATOR).map(String::as_str)
}

/// The artifact in the status.
pub(crate) fn artifact(object: &ExternalArtifact) -> Option<&Artifact> {
    object.status.as_ref()?.artifact.as_ref()
}

/// Whether an artifact is the same but for the time when it was written.
fn is_same_artifact(a: &Artifact, b: &Artifact) -> bool {
    let timeless = |artifact: &Artifact| Artifact {
        last_update_time: Time::default(),
        ..artifact.clone()
    };
    timeless(a) == timeless(b)
}

/// Whether what is in the cluster has all that is desired. What others added to it does not count.
pub(crate) fn is_current(live: &ExternalArtifact, desired: &ExternalArtifact) -> bool {
    let has = |all: &BTreeMap<String, String>, some: &BTreeMap<String, String>| {
        some.iter().all(|(key, value)| all.get(key) == Some(value))
    };
    let artifacts = artifact(live).zip(artifact(desired));
    has(live.labels(), desired.labels())
        && has(live.annotations(), desired.annotations())
        && live.spec == desired.spec
        && artifacts.is_some_and(|(live, desired)| is_same_artifact(live, desired))
        && live.is_ready()
        && live.metadata.deletion_timestamp.is_none()
}

/// Writes ExternalArtifacts.
#[derive(Clone)]
pub(crate) struct Writer {
    client: Client,
}

impl Writer {
    /// Writes with a client.
    pub(crate) const fn new(client: Client) -> Self {
        Self { client }
    }

    fn api(&self, namespace: &str) -> Api<ExternalArtifact> {
        Api::namespaced(self.client.clone(), namespace)
    }

    /// Applies an object and its status; the object as it is then.
    ///
    /// # Errors
    /// When the API server refuses.
    pub(crate) async fn apply(
        &self,
        desired: &ExternalArtifact,
        live: Option<&ExternalArtifact>,
    ) -> Result<ExternalArtifact, String> {
        let (name, api) = (
            desired.name_any(),
            self.api(&desired.namespace().unwrap_or_default()),
        );
        let params = PatchParams::apply(controller::SOURCE_WATCHER).force();
        let object = ExternalArtifact {
            status: None,
            ..desired.clone()
        };
        let applied = api
            .patch(&name, &params, &Patch::Apply(&object))
            .await
            .map_err(|error| format!("failed to apply ExternalArtifact: {}", chain(&error)))?;
        let status = status(desired, &applied, live);
        let patch = json!({
            "apiVersion": ExternalArtifact::INFO.api_version(), "kind": ExternalArtifact::KIND,
            "metadata": { "name": name, "namespace": desired.namespace() }, "status": status
        });
        api.patch_status(&name, &params, &Patch::Apply(patch))
            .await
            .map_err(|error| format!("failed to patch ExternalArtifact status: {}", chain(&error)))
    }

    /// Deletes an object; one that is not there is no error. One that was made anew since it was seen stays.
    ///
    /// # Errors
    /// When the API server refuses.
    pub(crate) async fn delete(&self, key: &Key, live: Option<&Arc<ExternalArtifact>>) -> Result<(), String> {
        let params = DeleteParams {
            preconditions: live.and_then(|live| live.uid()).map(|uid| Preconditions {
                uid: Some(uid),
                resource_version: None,
            }),
            ..DeleteParams::default()
        };
        match self.api(&key.0).delete(&key.1, &params).await {
            Ok(_) => Ok(()),
            Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => Ok(()),
            Err(error) => Err(format!("failed to delete ExternalArtifact: {}", chain(&error))),
        }
    }
}

/// The status to write: what has not changed keeps its times.
fn status(
    desired: &ExternalArtifact,
    applied: &ExternalArtifact,
    live: Option<&ExternalArtifact>,
) -> ExternalArtifactStatus {
    let mut artifact = artifact(desired).cloned().unwrap_or_default();
    let old = live.and_then(|live| self::artifact(live));
    if let Some(old) = old.filter(|old| old.digest == artifact.digest && old.path == artifact.path) {
        artifact.last_update_time = old.last_update_time;
    }
    let mut ready = Condition {
        type_: condition::READY.to_owned(),
        status: ConditionStatus::True,
        reason: reason::SUCCEEDED.to_owned(),
        message: READY.to_owned(),
        observed_generation: applied.metadata.generation,
        last_transition_time: Time::from(jiff::Timestamp::now()),
    };
    let before = live.and_then(|live| live.condition(condition::READY));
    if let Some(before) = before.filter(|it| it.status == ready.status) {
        ready.last_transition_time = before.last_transition_time;
    }
    ExternalArtifactStatus {
        artifact: Some(artifact),
        conditions: vec![ready],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(digest: &str) -> ExternalArtifact {
        let mut generator = ArtifactGenerator::new("ag", Default::default());
        generator.metadata.namespace = Some("ns".into());
        generator.metadata.uid = Some("uid-1".into());
        let artifact = Artifact {
            digest: digest.to_owned(),
            last_update_time: Time::from(jiff::Timestamp::now()),
            ..Artifact::default()
        };
        desired(&generator, "app", &BTreeMap::new(), artifact)
    }

    #[test]
    fn is_current_ignores_what_others_added_and_the_time() {
        let mut live = object("sha256:1");
        live.status = Some(status(&live, &live, None));
        live.status_mut().artifact.as_mut().unwrap().last_update_time = Time::default();
        live.labels_mut().insert("theirs".into(), "x".into());
        assert!(is_current(&live, &object("sha256:1")));
        assert!(!is_current(&live, &object("sha256:2")));
        let without = |change: fn(&mut ExternalArtifact)| {
            let mut live = live.clone();
            change(&mut live);
            is_current(&live, &object("sha256:1"))
        };
        assert!(!without(|live| live.metadata.labels = None));
        assert!(!without(|live| live.spec.source_ref = None));
        assert!(!without(|live| live.status = None));
        assert!(!without(|live| live.status_mut().conditions.clear()));
    }

    #[test]
    fn status_keeps_the_times_of_what_is_as_it_was() {
        let mut live = object("sha256:1");
        live.status = Some(status(&live, &live, None));
        live.status_mut().artifact.as_mut().unwrap().last_update_time = Time::default();
        live.status_mut().conditions[0].last_transition_time = Time::default();
        let same = status(&object("sha256:1"), &live, Some(&live));
        assert_eq!(same.artifact.unwrap().last_update_time, Time::default());
        let other = status(&object("sha256:2"), &live, Some(&live));
        assert_ne!(other.artifact.unwrap().last_update_time, Time::default());
        assert_eq!(other.conditions[0].last_transition_time, Time::default());
    }
}
