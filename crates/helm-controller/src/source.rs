//! The objects whose artifacts are charts: HelmCharts, OCIRepositories, ExternalArtifacts (`spec/helm.md` B.2, B.3).

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use ferro_api::helm::{ChartRefKind, HelmRelease};
use ferro_api::meta::{Artifact, Condition, ConditionStatus};
use ferro_api::{condition, group};
use ferro_apply::error::message;
use ferro_runtime::watch::{Change, follow};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::ApiResource;
use kube::core::DynamicResourceScope;
use kube::runtime::watcher;
use kube::{Api, Client, Resource, ResourceExt};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use crate::helmchart;

/// Which source.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct SourceId {
    pub(crate) kind: ChartRefKind,
    pub(crate) namespace: String,
    pub(crate) name: String,
}

impl SourceId {
    /// The source of a release; none if its spec names none, or two.
    pub(crate) fn of(release: &HelmRelease) -> Option<Self> {
        let own = release.namespace().unwrap_or_default();
        match (&release.spec.chart, &release.spec.chart_ref) {
            (None, Some(reference)) => Some(Self {
                kind: reference.kind,
                namespace: non_empty(reference.namespace.as_deref()).map_or(own, str::to_owned),
                name: reference.name.clone(),
            }),
            (Some(template), None) => Some(Self {
                kind: ChartRefKind::HelmChart,
                namespace: helmchart::namespace(release, template),
                name: helmchart::name(release),
            }),
            _ => None,
        }
    }
}

impl std::fmt::Display for SourceId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}/{}", self.kind.as_str(), self.namespace, self.name)
    }
}

/// A text that is there and not empty.
pub(crate) fn non_empty(text: Option<&str>) -> Option<&str> {
    text.filter(|text| !text.is_empty())
}

/// The kinds, with the plural in their URL.
pub(crate) const KINDS: [(ChartRefKind, &str); 3] = [
    (ChartRefKind::HelmChart, "helmcharts"),
    (ChartRefKind::OCIRepository, "ocirepositories"),
    (ChartRefKind::ExternalArtifact, "externalartifacts"),
];

/// A source, with what nobody here asks for left out when decoding.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Source {
    pub(crate) metadata: ObjectMeta,
    #[serde(default)]
    pub(crate) status: SourceStatus,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct SourceStatus {
    artifact: Option<Artifact>,
    conditions: Vec<Condition>,
    observed_generation: Option<i64>,
}

impl Resource for Source {
    type DynamicType = ApiResource;
    type Scope = DynamicResourceScope;

    fn kind(resource: &ApiResource) -> Cow<'_, str> {
        resource.kind.as_str().into()
    }
    fn group(resource: &ApiResource) -> Cow<'_, str> {
        resource.group.as_str().into()
    }
    fn version(resource: &ApiResource) -> Cow<'_, str> {
        resource.version.as_str().into()
    }
    fn plural(resource: &ApiResource) -> Cow<'_, str> {
        resource.plural.as_str().into()
    }
    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }
    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}

/// What is known of a source.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Standing {
    pub(crate) artifact: Option<Arc<Artifact>>,
    /// Why it cannot be used, if it cannot.
    pub(crate) unready: Option<String>,
    pub(crate) generation: i64,
    pub(crate) resource_version: String,
}

impl Standing {
    pub(crate) fn of(kind: ChartRefKind, source: Source) -> Self {
        let generation = source.metadata.generation.unwrap_or_default();
        Self {
            unready: unready(kind, generation, &source.status),
            artifact: source.status.artifact.map(Arc::new),
            generation,
            resource_version: source.metadata.resource_version.unwrap_or_default(),
        }
    }
}

fn unready(kind: ChartRefKind, generation: i64, status: &SourceStatus) -> Option<String> {
    let found = |type_: &str, wanted| {
        let found = status
            .conditions
            .iter()
            .find(|condition| condition.type_ == type_);
        found.filter(|condition| condition.status == wanted)
    };
    // Whoever makes these keeps no conditions that could be relied on.
    if kind != ChartRefKind::ExternalArtifact {
        if status.observed_generation != Some(generation) {
            let told = found(condition::READY, ConditionStatus::False).map(|ready| ready.message.clone());
            let untold = "latest generation of object has not been reconciled";
            return Some(told.unwrap_or_else(|| untold.to_owned()));
        }
        if let Some(stalled) = found(condition::STALLED, ConditionStatus::True) {
            return Some(stalled.message.clone());
        }
    }
    status
        .artifact
        .is_none()
        .then(|| "does not have an artifact".to_owned())
}

/// All sources, kept current by watches.
#[derive(Debug, Default)]
pub(crate) struct Sources(RwLock<HashMap<SourceId, Standing>>);

impl Sources {
    pub(crate) fn get(&self, id: &SourceId) -> Option<Standing> {
        self.0
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .get(id)
            .cloned()
    }

    /// Records what is known; true if there is something new to release: another artifact, or one that can be used now.
    pub(crate) fn set(&self, id: SourceId, standing: Standing) -> bool {
        let mut sources = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let facts = |standing: &Standing| {
            let artifact = standing.artifact.as_ref();
            artifact.map(|artifact| (artifact.revision.clone(), artifact.digest.clone()))
        };
        let usable = standing.unready.is_none();
        let new = facts(&standing);
        let old = sources.insert(id, standing);
        usable && old.is_none_or(|old| old.unready.is_some() || facts(&old) != new)
    }

    pub(crate) fn remove(&self, id: &SourceId) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).remove(id);
    }

    fn keep_only(&self, kind: ChartRefKind, listed: &HashSet<SourceId>) {
        let mut sources = self.0.write().unwrap_or_else(PoisonError::into_inner);
        sources.retain(|id, _| id.kind != kind || listed.contains(id));
    }

    /// Follows the sources of all kinds for ever and calls `changed` when one has something new. `listed` turns true once each kind was
    /// listed, or found to be out of reach.
    pub(crate) async fn follow(
        &self,
        client: &Client,
        namespace: Option<&str>,
        listed: &watch::Sender<bool>,
        changed: impl Fn(&SourceId),
    ) {
        let missing = AtomicUsize::new(KINDS.len());
        let done = || {
            if missing.fetch_sub(1, Ordering::SeqCst) == 1 {
                listed.send_replace(true);
            }
        };
        let kinds = KINDS
            .iter()
            .map(|(kind, _)| self.follow_kind(client, namespace, *kind, &done, &changed));
        futures::future::join_all(kinds).await;
    }

    async fn follow_kind(
        &self,
        client: &Client,
        namespace: Option<&str>,
        kind: ChartRefKind,
        done: &impl Fn(),
        changed: &impl Fn(&SourceId),
    ) {
        let resource = resource(kind);
        let api: Api<Source> = match namespace {
            Some(namespace) => Api::namespaced_with(client.clone(), namespace, &resource),
            None => Api::all_with(client.clone(), &resource),
        };
        let id = |source: &Source| SourceId {
            kind,
            namespace: source.namespace().unwrap_or_default(),
            name: source.name_any(),
        };
        let take = |source: Source| {
            let id = id(&source);
            if self.set(id.clone(), Standing::of(kind, source)) {
                changed(&id);
            }
        };
        let mut reported = false;
        let mut report = || {
            if !std::mem::replace(&mut reported, true) {
                done();
            }
        };
        let config = watcher::Config::default().page_size(100);
        follow(api, config, Some, |change| match change {
            Change::Applied(source) => take(source),
            Change::Deleted(source) => self.remove(&id(&source)),
            Change::Listed(sources) => {
                self.keep_only(kind, &sources.iter().map(id).collect());
                // Whoever asks about one of them may ask about another.
                sources.into_iter().for_each(take);
                report();
            }
            Change::Failing { error, .. } => {
                tracing::warn!(
                    error = message(&error),
                    kind = kind.as_str(),
                    "cannot watch sources"
                );
                // A cluster that does not have the kind, or does not show it, has no sources of it for us.
                if matches!(refused(&error), Some(403 | 404)) {
                    report();
                }
            }
        })
        .await;
    }
}

/// How a kind of sources is served.
pub(crate) fn resource(kind: ChartRefKind) -> ApiResource {
    let plural = KINDS
        .iter()
        .find(|(known, _)| *known == kind)
        .map_or("", |(_, plural)| plural);
    ApiResource {
        group: group::SOURCE.to_owned(),
        version: "v1".to_owned(),
        api_version: format!("{}/v1", group::SOURCE),
        kind: kind.as_str().to_owned(),
        plural: plural.to_owned(),
    }
}

fn refused(error: &watcher::Error) -> Option<u16> {
    match error {
        watcher::Error::InitialListFailed(kube::Error::Api(status))
        | watcher::Error::WatchStartFailed(kube::Error::Api(status)) => Some(status.code),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn standing(kind: ChartRefKind, status: &Value) -> Standing {
        let source =
            json!({ "metadata": { "name": "a", "namespace": "n", "generation": 2 }, "status": status });
        Standing::of(kind, serde_json::from_value(source).unwrap())
    }

    #[test]
    fn old_artifact_of_a_failing_source_is_used_once_the_source_has_seen_its_spec() {
        let artifact = json!({ "revision": "1.0.0", "digest": "sha256:a", "url": "u", "path": "p", "lastUpdateTime": "2026-01-01T00:00:00Z" });
        let failing = json!([{ "type": "Ready", "status": "False", "reason": "X", "message": "no route", "lastTransitionTime": "2026-01-01T00:00:00Z" }]);
        let unready = |status: &Value| standing(ChartRefKind::HelmChart, status).unready;
        assert_eq!(
            unready(&json!({ "artifact": artifact, "conditions": failing, "observedGeneration": 2 })),
            None
        );
        assert_eq!(
            unready(&json!({ "artifact": artifact, "conditions": failing, "observedGeneration": 1 }))
                .unwrap(),
            "no route"
        );
        assert_eq!(
            unready(&json!({ "artifact": artifact, "observedGeneration": 1 })).unwrap(),
            "latest generation of object has not been reconciled"
        );
        assert_eq!(
            unready(&json!({ "observedGeneration": 2 })).unwrap(),
            "does not have an artifact"
        );
        assert_eq!(
            standing(ChartRefKind::ExternalArtifact, &json!({ "artifact": artifact })).unready,
            None
        );
    }

    #[test]
    fn set_tells_of_what_can_be_released_only() {
        let sources = Sources::default();
        let id = SourceId {
            kind: ChartRefKind::HelmChart,
            namespace: "n".into(),
            name: "a".into(),
        };
        let with = |revision: &str, observed: i64| {
            let artifact = json!({ "revision": revision, "digest": "sha256:a", "url": "u", "path": "p", "lastUpdateTime": "2026-01-01T00:00:00Z" });
            standing(
                ChartRefKind::HelmChart,
                &json!({ "artifact": artifact, "observedGeneration": observed }),
            )
        };
        assert!(!sources.set(id.clone(), with("1", 1)));
        assert!(sources.set(id.clone(), with("1", 2)));
        assert!(!sources.set(id.clone(), with("1", 2)));
        assert!(sources.set(id.clone(), with("2", 2)));
    }
}
