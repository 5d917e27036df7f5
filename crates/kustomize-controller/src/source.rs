//! The sources that Kustomizations refer to, reduced to what matters of them: their artifact.
//!
//! Any kind of source is read only through `status.artifact`; whether it is ready is not asked, so that a source that
//! fails keeps its last artifact in use (`spec/kustomize-and-notification.md` B.7).

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use ferro_api::group;
use ferro_api::kustomize::{Kustomization, KustomizationSourceKind};
use ferro_api::meta::Artifact;
use ferro_apply::error::message;
use futures::StreamExt;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::ApiResource;
use kube::core::DynamicResourceScope;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, Client, Resource, ResourceExt};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

/// Which source: kind, namespace, name.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct SourceId {
    pub(crate) kind: KustomizationSourceKind,
    pub(crate) namespace: String,
    pub(crate) name: String,
}

impl SourceId {
    /// The source of a Kustomization.
    pub(crate) fn of(kustomization: &Kustomization) -> Self {
        let source = &kustomization.spec.source_ref;
        let own = || kustomization.namespace().unwrap_or_default();
        Self {
            kind: source.kind,
            namespace: source
                .namespace
                .clone()
                .filter(|namespace| !namespace.is_empty())
                .unwrap_or_else(own),
            name: source.name.clone(),
        }
    }
}

impl std::fmt::Display for SourceId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}/{}", self.kind.as_str(), self.namespace, self.name)
    }
}

/// How long to pause after a watch failed, at first and at most.
const PAUSE: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(10));

/// The kinds of sources, with the plural in their URL.
const KINDS: [(KustomizationSourceKind, &str); 4] = [
    (KustomizationSourceKind::GitRepository, "gitrepositories"),
    (KustomizationSourceKind::OCIRepository, "ocirepositories"),
    (KustomizationSourceKind::Bucket, "buckets"),
    (KustomizationSourceKind::ExternalArtifact, "externalartifacts"),
];

/// A source of any kind, with all but its artifact left out when decoding.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Source {
    metadata: ObjectMeta,
    #[serde(default)]
    status: SourceStatus,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct SourceStatus {
    #[serde(default)]
    artifact: Option<Artifact>,
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
pub(crate) enum Lookup {
    /// There is no such object.
    NotFound,
    /// It has not produced anything yet.
    NoArtifact,
    /// Its artifact.
    Artifact(Arc<Artifact>),
}

/// All sources, kept current by watches.
#[derive(Debug, Default)]
pub(crate) struct Sources {
    artifacts: RwLock<HashMap<SourceId, Option<Arc<Artifact>>>>,
}

impl Sources {
    /// What is known of `id`.
    pub(crate) fn get(&self, id: &SourceId) -> Lookup {
        match self
            .artifacts
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .get(id)
        {
            None => Lookup::NotFound,
            Some(None) => Lookup::NoArtifact,
            Some(Some(artifact)) => Lookup::Artifact(Arc::clone(artifact)),
        }
    }

    /// Records the artifact of `id`; true if it is the first one, or of another revision.
    pub(crate) fn set(&self, id: SourceId, artifact: Option<Artifact>) -> bool {
        let mut artifacts = self.artifacts.write().unwrap_or_else(PoisonError::into_inner);
        let new = artifact.map(Arc::new);
        let old = artifacts.insert(id, new.clone()).flatten();
        match (old, new) {
            (Some(old), Some(new)) => old.revision != new.revision,
            (None, Some(_)) => true,
            (_, None) => false,
        }
    }

    fn remove(&self, id: &SourceId) {
        self.artifacts
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(id);
    }

    /// Forgets the sources of a kind that a complete list did not have.
    fn keep_only(&self, kind: KustomizationSourceKind, listed: &HashSet<SourceId>) {
        self.artifacts
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .retain(|id, _| id.kind != kind || listed.contains(id));
    }

    /// Follows the sources of all kinds for ever and calls `changed` when one has a new revision. `listed` turns true once each
    /// kind was listed, or found to be missing in this cluster.
    pub(crate) async fn follow(
        &self,
        client: &Client,
        namespace: Option<&str>,
        listed: &watch::Sender<bool>,
        changed: impl Fn(&SourceId),
    ) {
        let missing = std::sync::atomic::AtomicUsize::new(KINDS.len());
        let done = || {
            if missing.fetch_sub(1, std::sync::atomic::Ordering::SeqCst) == 1 {
                listed.send_replace(true);
            }
        };
        futures::future::join_all(
            KINDS
                .iter()
                .map(|(kind, plural)| self.follow_kind(client, namespace, *kind, plural, &done, &changed)),
        )
        .await;
    }

    async fn follow_kind(
        &self,
        client: &Client,
        namespace: Option<&str>,
        kind: KustomizationSourceKind,
        plural: &str,
        done: &impl Fn(),
        changed: &impl Fn(&SourceId),
    ) {
        let resource = ApiResource {
            group: group::SOURCE.to_owned(),
            version: "v1".to_owned(),
            api_version: format!("{}/v1", group::SOURCE),
            kind: kind.as_str().to_owned(),
            plural: plural.to_owned(),
        };
        let api: Api<Source> = match namespace {
            Some(namespace) => Api::namespaced_with(client.clone(), namespace, &resource),
            None => Api::all_with(client.clone(), &resource),
        };
        let mut events = watcher(api, watcher::Config::default().page_size(100)).boxed();
        let mut reported = false;
        let mut report = || {
            if !std::mem::replace(&mut reported, true) {
                done();
            }
        };
        let mut listed = HashSet::new();
        let mut pause = PAUSE.0;
        while let Some(event) = events.next().await {
            let error = match event {
                Ok(event) => {
                    if !matches!(event, Event::Init) {
                        pause = PAUSE.0;
                    }
                    if matches!(event, Event::InitDone) {
                        report();
                    }
                    if let Some(id) = self.take_in(kind, event, &mut listed) {
                        changed(&id);
                    }
                    continue;
                }
                Err(error) => error,
            };
            let text = message(&error);
            match refused(&error) {
                // A cluster without the kind has no sources of it.
                Some(404) => report(),
                Some(403) => {
                    tracing::warn!(
                        error = text,
                        kind = kind.as_str(),
                        "sources of this kind may not be listed"
                    );
                    report();
                }
                _ => tracing::debug!(error = text, kind = kind.as_str(), "cannot watch sources"),
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(PAUSE.1);
        }
    }

    /// Notes what an event tells; the source that has something new.
    fn take_in(
        &self,
        kind: KustomizationSourceKind,
        event: Event<Source>,
        listed: &mut HashSet<SourceId>,
    ) -> Option<SourceId> {
        match event {
            Event::Init => listed.clear(),
            Event::InitDone => self.keep_only(kind, &std::mem::take(listed)),
            Event::Delete(source) => self.remove(&id_of(kind, &source)),
            Event::InitApply(source) => {
                let id = id_of(kind, &source);
                listed.insert(id.clone());
                return self.set(id.clone(), source.status.artifact).then_some(id);
            }
            Event::Apply(source) => {
                let id = id_of(kind, &source);
                return self.set(id.clone(), source.status.artifact).then_some(id);
            }
        }
        None
    }
}

/// The code with which the API server refuses a list or watch.
fn refused(error: &watcher::Error) -> Option<u16> {
    use kube::runtime::watcher::Error;
    match error {
        Error::InitialListFailed(kube::Error::Api(status))
        | Error::WatchStartFailed(kube::Error::Api(status)) => Some(status.code),
        _ => None,
    }
}

fn id_of(kind: KustomizationSourceKind, source: &Source) -> SourceId {
    SourceId {
        kind,
        namespace: source.namespace().unwrap_or_default(),
        name: source.name_any(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn artifact(revision: &str) -> Artifact {
        Artifact {
            revision: revision.to_owned(),
            ..Artifact::default()
        }
    }

    #[test]
    fn set_reports_new_revisions_only() {
        let sources = Sources::default();
        let id = SourceId {
            kind: KustomizationSourceKind::GitRepository,
            namespace: "a".into(),
            name: "b".into(),
        };
        assert_eq!(sources.get(&id), Lookup::NotFound);
        assert!(!sources.set(id.clone(), None));
        assert_eq!(sources.get(&id), Lookup::NoArtifact);
        assert!(sources.set(id.clone(), Some(artifact("main@sha1:1"))));
        assert!(!sources.set(id.clone(), Some(artifact("main@sha1:1"))));
        assert!(sources.set(id.clone(), Some(artifact("main@sha1:2"))));
        sources.remove(&id);
        assert_eq!(sources.get(&id), Lookup::NotFound);
    }

    #[test]
    fn sources_that_a_new_list_does_not_have_are_gone() {
        let sources = Sources::default();
        let kind = KustomizationSourceKind::GitRepository;
        let source = |name: &str| Source {
            metadata: ObjectMeta {
                namespace: Some("a".into()),
                name: Some(name.into()),
                ..ObjectMeta::default()
            },
            status: SourceStatus {
                artifact: Some(artifact("main@sha1:1")),
            },
        };
        let other = SourceId {
            kind: KustomizationSourceKind::Bucket,
            ..id_of(kind, &source("kept"))
        };
        sources.set(other.clone(), Some(artifact("sha256:1")));
        let mut listed = HashSet::new();
        let mut list = |names: &[&str]| {
            sources.take_in(kind, Event::Init, &mut listed);
            let events = names.iter().map(|name| Event::InitApply(source(name)));
            let news = events.filter_map(|event| sources.take_in(kind, event, &mut listed));
            let news: Vec<String> = news.map(|id| id.name).collect();
            sources.take_in(kind, Event::InitDone, &mut listed);
            news
        };
        assert_eq!(list(&["kept", "deleted"]), ["kept", "deleted"]);
        assert_eq!(list(&["kept"]), [""; 0]);
        assert_eq!(sources.get(&id_of(kind, &source("deleted"))), Lookup::NotFound);
        for id in [id_of(kind, &source("kept")), other] {
            assert!(matches!(sources.get(&id), Lookup::Artifact(_)), "{id}");
        }
    }

    #[test]
    fn source_of_a_kustomization_defaults_to_its_namespace() {
        let kustomization: Kustomization = serde_json::from_value(serde_json::json!({
            "metadata": { "name": "apps", "namespace": "team" },
            "spec": { "sourceRef": { "kind": "Bucket", "name": "b" } }
        }))
        .unwrap();
        assert_eq!(SourceId::of(&kustomization).to_string(), "Bucket/team/b");
    }
}
