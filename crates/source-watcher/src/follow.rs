//! What the watches say: the artifacts of all sources, and the ExternalArtifacts as they are in the cluster.
//!
//! Of a source only its artifact counts; whether it is ready is not asked, so that a source that fails keeps its last artifact in use.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use ferro_api::group;
use ferro_api::meta::Artifact;
use ferro_api::source::ExternalArtifact;
use ferro_api::source_extensions::{ArtifactGenerator, ArtifactGeneratorSourceKind as Kind, SourceReference};
use ferro_runtime::process::chain;
use ferro_runtime::watch::{Change, follow};
use kube::api::ApiResource;
use kube::core::DynamicObject;
use kube::runtime::watcher;
use kube::{Api, Client, ResourceExt};
use tokio::sync::oneshot;

/// Objects listed at once.
const PAGE: u32 = 100;

/// Namespace and name.
pub(crate) type Key = (String, String);

/// Which source.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct SourceId {
    /// The kind.
    pub kind: Kind,
    /// Namespace and name.
    pub key: Key,
}

impl SourceId {
    /// The source that a generator refers to.
    pub(crate) fn of(generator: &ArtifactGenerator, source: &SourceReference) -> Self {
        let own = || generator.namespace().unwrap_or_default();
        let namespace = source.namespace.clone().filter(|it| !it.is_empty());
        Self {
            kind: source.kind,
            key: (namespace.unwrap_or_else(own), source.name.clone()),
        }
    }

    /// How the API server knows the kind.
    pub(crate) fn resource(kind: Kind) -> ApiResource {
        let plural = match kind {
            Kind::Bucket => "buckets",
            Kind::GitRepository => "gitrepositories",
            Kind::OCIRepository => "ocirepositories",
            Kind::HelmChart => "helmcharts",
            Kind::ExternalArtifact => "externalartifacts",
        };
        ApiResource {
            group: group::SOURCE.to_owned(),
            version: "v1".to_owned(),
            api_version: format!("{}/v1", group::SOURCE),
            kind: kind.as_str().to_owned(),
            plural: plural.to_owned(),
        }
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

/// What an event was about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum News {
    /// A source has another artifact.
    Source(SourceId),
    /// An ExternalArtifact is other than it was, or gone.
    Output(Key),
}

/// All that is followed; shared by the watches and the reconciler.
#[derive(Debug, Default)]
pub(crate) struct Followed {
    sources: RwLock<HashMap<SourceId, Option<Arc<Artifact>>>>,
    /// None until they were listed.
    outputs: RwLock<Option<HashMap<Key, Arc<ExternalArtifact>>>>,
}

/// A source, reduced to what counts.
struct Seen {
    key: Key,
    artifact: Option<Artifact>,
    output: Option<Arc<ExternalArtifact>>,
}

impl Seen {
    /// Reads an object. One that does not fit its schema has no artifact.
    fn of(kind: Kind, object: DynamicObject) -> Self {
        let key = (object.namespace().unwrap_or_default(), object.name_any());
        let artifact = artifact_of(&object);
        let output = (kind == Kind::ExternalArtifact)
            .then(|| object.try_parse::<ExternalArtifact>().ok())
            .flatten()
            .map(|mut output| {
                output.metadata.managed_fields = None;
                Arc::new(output)
            });
        Self {
            key,
            artifact,
            output,
        }
    }
}

/// The artifact in the status of a source of any kind.
pub(crate) fn artifact_of(object: &DynamicObject) -> Option<Artifact> {
    let artifact = object.data.pointer("/status/artifact")?;
    serde_json::from_value(artifact.clone()).ok()
}

impl Followed {
    /// What is known of a source.
    pub(crate) fn source(&self, id: &SourceId) -> Lookup {
        match read(&self.sources).get(id) {
            None => Lookup::NotFound,
            Some(None) => Lookup::NoArtifact,
            Some(Some(artifact)) => Lookup::Artifact(Arc::clone(artifact)),
        }
    }

    /// An ExternalArtifact as it is in the cluster.
    pub(crate) fn output(&self, key: &Key) -> Option<Arc<ExternalArtifact>> {
        read(&self.outputs).as_ref()?.get(key).cloned()
    }

    /// The ExternalArtifacts of a namespace with this label; none at all while they are not known.
    pub(crate) fn outputs(
        &self,
        namespace: &str,
        label: &str,
        value: &str,
    ) -> Option<Vec<Arc<ExternalArtifact>>> {
        let is_wanted = |(key, output): &(&Key, &Arc<ExternalArtifact>)| {
            key.0 == namespace && output.labels().get(label).is_some_and(|found| found == value)
        };
        let outputs = read(&self.outputs);
        let outputs = outputs.as_ref()?.iter().filter(is_wanted);
        Some(outputs.map(|(_, output)| Arc::clone(output)).collect())
    }

    /// Records the artifact of a source; true if it is the first one or another one.
    pub(crate) fn set_source(&self, id: SourceId, artifact: Option<Artifact>) -> bool {
        let new = artifact.map(Arc::new);
        let old = write(&self.sources).insert(id, new.clone()).flatten();
        let identity = |it: &Arc<Artifact>| (it.revision.clone(), it.digest.clone(), it.url.clone());
        new.is_some() && old.as_ref().map(identity) != new.as_ref().map(identity)
    }

    /// Records an ExternalArtifact, or that it is gone.
    pub(crate) fn set_output(&self, key: Key, output: Option<Arc<ExternalArtifact>>) {
        let mut outputs = write(&self.outputs);
        let outputs = outputs.get_or_insert_default();
        match output {
            Some(output) => {
                outputs.insert(key, output);
            }
            None => {
                outputs.remove(&key);
            }
        }
    }

    fn shown(&self, kind: Kind, seen: Seen) -> Vec<News> {
        let mut news = Vec::new();
        if kind == Kind::ExternalArtifact {
            self.set_output(seen.key.clone(), seen.output);
            news.push(News::Output(seen.key.clone()));
        }
        let id = SourceId { kind, key: seen.key };
        if self.set_source(id.clone(), seen.artifact) {
            news.push(News::Source(id));
        }
        news
    }

    fn gone(&self, kind: Kind, key: Key) -> Vec<News> {
        write(&self.sources).remove(&SourceId {
            kind,
            key: key.clone(),
        });
        if kind != Kind::ExternalArtifact {
            return Vec::new();
        }
        self.set_output(key.clone(), None);
        vec![News::Output(key)]
    }

    fn listed(&self, kind: Kind, all: Vec<Seen>) -> Vec<News> {
        let listed: HashSet<&Key> = all.iter().map(|seen| &seen.key).collect();
        let missing: Vec<Key> = read(&self.sources)
            .keys()
            .filter(|id| id.kind == kind && !listed.contains(&id.key))
            .map(|id| id.key.clone())
            .collect();
        let mut news: Vec<News> = missing.into_iter().flat_map(|key| self.gone(kind, key)).collect();
        if kind == Kind::ExternalArtifact {
            write(&self.outputs).get_or_insert_default();
        }
        news.extend(all.into_iter().flat_map(|seen| self.shown(kind, seen)));
        news
    }

    fn told(&self, kind: Kind, change: Change<Seen>) -> Vec<News> {
        match change {
            Change::Applied(seen) => self.shown(kind, seen),
            Change::Deleted(seen) => self.gone(kind, seen.key),
            Change::Listed(all) => self.listed(kind, all),
            Change::Failing { error, .. } => {
                tracing::debug!(
                    error = chain(&error),
                    kind = kind.as_str(),
                    "cannot watch sources"
                );
                Vec::new()
            }
        }
    }

    /// Follows one kind for ever. `listed` fires once it was listed, or found to be missing or out of bounds in this cluster.
    pub(crate) async fn follow(
        &self,
        client: Client,
        namespace: Option<&str>,
        kind: Kind,
        listed: oneshot::Sender<()>,
        tell: impl Fn(News),
    ) {
        let resource = SourceId::resource(kind);
        let api: Api<DynamicObject> = match namespace {
            Some(namespace) => Api::namespaced_with(client, namespace, &resource),
            None => Api::all_with(client, &resource),
        };
        let config = watcher::Config::default().page_size(PAGE);
        let mut listed = Some(listed);
        let keep = |object| Some(Seen::of(kind, object));
        follow(api, config, keep, |change| {
            let is_known = match &change {
                Change::Listed(_) => true,
                Change::Failing { error, .. } => is_refused(error),
                Change::Applied(_) | Change::Deleted(_) => false,
            };
            self.told(kind, change).into_iter().for_each(&tell);
            if let Some(listed) = listed.take_if(|_| is_known) {
                // Nobody waits when the process is stopping.
                let _unheard = listed.send(());
            }
        })
        .await;
    }
}

/// Whether the API server does not have the kind, or does not let us see it.
fn is_refused(error: &watcher::Error) -> bool {
    use watcher::Error::{InitialListFailed, WatchStartFailed};
    match error {
        InitialListFailed(kube::Error::Api(status)) | WatchStartFailed(kube::Error::Api(status)) => {
            matches!(status.code, 403 | 404)
        }
        _ => false,
    }
}

fn read<T>(lock: &RwLock<T>) -> RwLockReadGuard<'_, T> {
    lock.read().unwrap_or_else(PoisonError::into_inner)
}

fn write<T>(lock: &RwLock<T>) -> RwLockWriteGuard<'_, T> {
    lock.write().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn seen(kind: Kind, name: &str, revision: &str) -> Seen {
        let object = json!({
            "apiVersion": "source.toolkit.fluxcd.io/v1", "kind": kind.as_str(),
            "metadata": { "namespace": "ns", "name": name, "labels": { "owner": "u" } },
            "status": { "artifact": {
                "revision": revision, "digest": "sha256:0", "url": "http://x", "path": "p",
                "lastUpdateTime": "2026-01-01T00:00:00Z"
            } }
        });
        Seen::of(kind, serde_json::from_value(object).unwrap())
    }

    fn id(kind: Kind, name: &str) -> SourceId {
        SourceId {
            kind,
            key: ("ns".to_owned(), name.to_owned()),
        }
    }

    #[test]
    fn sources_are_news_when_their_artifact_is_another_one() {
        let followed = Followed::default();
        let git = Kind::GitRepository;
        let source = id(git, "a");
        assert_eq!(followed.source(&source), Lookup::NotFound);
        let told = |change| followed.told(git, change);
        let news = [News::Source(source.clone())];
        assert_eq!(told(Change::Listed(vec![seen(git, "a", "1")])), news);
        assert_eq!(told(Change::Applied(seen(git, "a", "1"))), []);
        assert_eq!(told(Change::Applied(seen(git, "a", "2"))), news);
        let none = Seen {
            artifact: None,
            ..seen(git, "a", "")
        };
        assert_eq!(told(Change::Applied(none)), []);
        assert_eq!(followed.source(&source), Lookup::NoArtifact);
        // A list that does not have it.
        assert_eq!(told(Change::Listed(Vec::new())), []);
        assert_eq!(followed.source(&source), Lookup::NotFound);
    }

    #[test]
    fn outputs_are_unknown_until_they_are_listed() {
        let followed = Followed::default();
        let kind = Kind::ExternalArtifact;
        assert!(followed.outputs("ns", "owner", "u").is_none());
        let key = ("ns".to_owned(), "a".to_owned());
        let news = followed.told(kind, Change::Listed(vec![seen(kind, "a", "1")]));
        assert_eq!(news, [News::Output(key.clone()), News::Source(id(kind, "a"))]);
        assert_eq!(followed.outputs("ns", "owner", "u").unwrap().len(), 1);
        assert_eq!(followed.outputs("ns", "owner", "other").unwrap().len(), 0);
        assert_eq!(followed.outputs("other", "owner", "u").unwrap().len(), 0);
        let news = followed.told(kind, Change::Listed(Vec::new()));
        assert_eq!(news, [News::Output(key.clone())]);
        assert!(followed.output(&key).is_none());
    }
}
