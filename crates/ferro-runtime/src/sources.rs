//! The sources of a controller that consumes artifacts, kept current by watches, and reduced to what matters of them: their artifact,
//! and whether it may be used.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use ferro_api::group;
use ferro_api::meta::{Artifact, Condition};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::ApiResource;
use kube::core::DynamicResourceScope;
use kube::runtime::watcher;
use kube::{Api, Client, Resource, ResourceExt};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::process::{Process, chain};
use crate::watch::{Change, follow};

/// Sources fetched at once when a watch starts.
const PAGE: u32 = 100;

/// A kind of sources.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SourceKind {
    /// Its name.
    pub kind: &'static str,
    /// The plural in its URL.
    pub plural: &'static str,
}

impl SourceKind {
    /// How the kind is served.
    #[must_use]
    pub fn resource(&self) -> ApiResource {
        ApiResource {
            group: group::SOURCE.to_owned(),
            version: "v1".to_owned(),
            api_version: format!("{}/v1", group::SOURCE),
            kind: self.kind.to_owned(),
            plural: self.plural.to_owned(),
        }
    }
}

/// Which source.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SourceId {
    /// Its kind.
    pub kind: &'static str,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

impl std::fmt::Display for SourceId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}/{}", self.kind, self.namespace, self.name)
    }
}

/// A source of any kind, with what nobody asks for left out when decoding.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Source {
    /// Its metadata.
    pub metadata: ObjectMeta,
    /// What it has come to.
    #[serde(default)]
    pub status: SourceStatus,
}

/// The part of a source's status that all kinds have.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct SourceStatus {
    /// What it has produced last.
    pub artifact: Option<Artifact>,
    /// Its conditions.
    pub conditions: Vec<Condition>,
    /// The generation that its controller has seen.
    pub observed_generation: Option<i64>,
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
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Standing {
    /// What it has produced last.
    pub artifact: Option<Arc<Artifact>>,
    /// Why it cannot be used, if it cannot.
    pub unready: Option<String>,
    /// The generation of its spec.
    pub generation: i64,
    /// The version at which it was seen.
    pub resource_version: String,
}

impl Standing {
    /// The artifact, if it may be used.
    fn usable(&self) -> Option<&Artifact> {
        self.artifact.as_deref().filter(|_| self.unready.is_none())
    }
}

/// Says of a source of a kind why its artifact cannot be used, if it cannot.
pub type Unready = fn(kind: &str, source: &Source) -> Option<String>;

/// All sources of some kinds.
#[derive(Debug)]
pub struct Sources {
    unready: Unready,
    known: RwLock<HashMap<SourceId, Standing>>,
}

impl Sources {
    /// Without any source yet. `unready` is the readiness that the controller asks for beyond an artifact.
    #[must_use]
    pub fn new(unready: Unready) -> Self {
        Self {
            unready,
            known: RwLock::default(),
        }
    }

    /// Follows the sources of these kinds in a task of `tasks`, and calls `changed` when one has something new. Returns once each kind
    /// was listed or found to be out of reach, so that the first passes do not miss a source that is there.
    pub async fn follow(
        kinds: &'static [SourceKind],
        unready: Unready,
        process: &Process,
        namespace: Option<String>,
        tasks: &mut JoinSet<()>,
        changed: impl Fn(&SourceId, Option<&Artifact>) + Send + Sync + 'static,
    ) -> Arc<Self> {
        let sources = Arc::new(Self::new(unready));
        let (listed, mut all_listed) = watch::channel(false);
        let (client, followed) = (process.client.clone(), Arc::clone(&sources));
        tasks.spawn(async move {
            let missing = AtomicUsize::new(kinds.len());
            let done = || {
                if missing.fetch_sub(1, Ordering::SeqCst) == 1 {
                    listed.send_replace(true);
                }
            };
            let followed = kinds.iter().map(|kind| {
                let resource = kind.resource();
                let api: Api<Source> = match &namespace {
                    Some(namespace) => Api::namespaced_with(client.clone(), namespace, &resource),
                    None => Api::all_with(client.clone(), &resource),
                };
                followed.follow_kind(api, *kind, &done, &changed)
            });
            futures::future::join_all(followed).await;
        });
        tokio::select! {
            _ = all_listed.wait_for(|listed| *listed) => {}
            () = process.stop.cancelled() => {}
        }
        sources
    }

    /// What is known of a source; nothing if there is none.
    #[must_use]
    pub fn get(&self, id: &SourceId) -> Option<Standing> {
        self.known
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .get(id)
            .cloned()
    }

    /// What a source is now, for a pass that somebody has just asked for: they may have seen of the source what its watch has yet to
    /// tell, since the watches of two kinds keep no order. Costs a request, and where that fails, what is known counts.
    ///
    /// Nothing is recorded, so that the watch still finds it new, and tells all who use the source.
    pub async fn look(&self, client: &Client, kind: SourceKind, id: &SourceId) -> Option<Standing> {
        let api: Api<Source> = Api::namespaced_with(client.clone(), &id.namespace, &kind.resource());
        match api.get_opt(&id.name).await {
            Ok(source) => source.map(|source| self.standing(id.kind, source)),
            Err(error) => {
                tracing::debug!(error = chain(&error), source = %id, "cannot look at a source");
                self.get(id)
            }
        }
    }

    /// Records what is known; true if there is something new to use: the artifact of another revision, or one that can be used now.
    pub fn set(&self, id: SourceId, standing: Standing) -> bool {
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        let new = standing.usable().map(|artifact| artifact.revision.clone());
        let old = known.insert(id, standing);
        let old = old.as_ref().and_then(Standing::usable);
        new.is_some() && new.as_deref() != old.map(|artifact| artifact.revision.as_str())
    }

    /// Records what a write has answered, unless a watch has shown something newer meanwhile.
    pub fn written(&self, id: SourceId, standing: Standing) {
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        let version = |standing: &Standing| standing.resource_version.parse::<u64>().ok();
        let is_old = known
            .get(&id)
            .is_some_and(|seen| version(seen) > version(&standing));
        if !is_old {
            known.insert(id, standing);
        }
    }

    /// Forgets a source.
    pub fn remove(&self, id: &SourceId) {
        self.known
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(id);
    }

    /// What a source says of itself.
    #[must_use]
    pub fn standing(&self, kind: &str, source: Source) -> Standing {
        Standing {
            unready: (self.unready)(kind, &source),
            artifact: source.status.artifact.map(Arc::new),
            generation: source.metadata.generation.unwrap_or_default(),
            resource_version: source.metadata.resource_version.unwrap_or_default(),
        }
    }

    async fn follow_kind(
        &self,
        api: Api<Source>,
        kind: SourceKind,
        done: &impl Fn(),
        changed: &impl Fn(&SourceId, Option<&Artifact>),
    ) {
        let mut reported = false;
        let mut report = || {
            if !std::mem::replace(&mut reported, true) {
                done();
            }
        };
        let config = watcher::Config::default().page_size(PAGE);
        let keep = |source: Source| {
            let id = id_of(kind, &source);
            Some((id, self.standing(kind.kind, source)))
        };
        follow(api, config, keep, |change| match change {
            Change::Failing { error, .. } => {
                let text = chain(&error);
                match refused(&error) {
                    // A cluster without the kind has no sources of it.
                    Some(404) => report(),
                    Some(403) => {
                        let kind = kind.kind;
                        tracing::warn!(error = text, kind, "sources of this kind may not be listed");
                        report();
                    }
                    _ => tracing::debug!(error = text, kind = kind.kind, "cannot watch sources"),
                }
            }
            change => {
                let is_list = matches!(change, Change::Listed(_));
                for id in self.told(kind, change) {
                    let artifact = self.get(&id).and_then(|standing| standing.artifact);
                    changed(&id, artifact.as_deref());
                }
                if is_list {
                    report();
                }
            }
        })
        .await;
    }

    /// Notes what a watch tells; the sources that have something new.
    fn told(&self, kind: SourceKind, change: Change<(SourceId, Standing)>) -> Vec<SourceId> {
        let listed = match change {
            Change::Applied(source) => vec![source],
            Change::Deleted((id, _)) => {
                self.remove(&id);
                return Vec::new();
            }
            Change::Listed(sources) => {
                self.keep_only(kind, &sources);
                sources
            }
            Change::Failing { .. } => return Vec::new(),
        };
        // All are known before anybody is told of one: whoever asks about one may ask about another.
        let news = listed.into_iter().filter_map(|(id, standing)| {
            let is_new = self.set(id.clone(), standing);
            is_new.then_some(id)
        });
        news.collect()
    }

    /// Forgets the sources of a kind that a complete list does not have.
    fn keep_only(&self, kind: SourceKind, listed: &[(SourceId, Standing)]) {
        let listed: HashSet<&SourceId> = listed.iter().map(|(id, _)| id).collect();
        self.known
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .retain(|id, _| id.kind != kind.kind || listed.contains(id));
    }
}

/// The code with which the API server refuses a list or watch.
fn refused(error: &watcher::Error) -> Option<u16> {
    match error {
        watcher::Error::InitialListFailed(kube::Error::Api(status))
        | watcher::Error::WatchStartFailed(kube::Error::Api(status)) => Some(status.code),
        _ => None,
    }
}

fn id_of(kind: SourceKind, source: &Source) -> SourceId {
    SourceId {
        kind: kind.kind,
        namespace: source.namespace().unwrap_or_default(),
        name: source.name_any(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIT: SourceKind = SourceKind {
        kind: "GitRepository",
        plural: "gitrepositories",
    };

    fn sources() -> Sources {
        Sources::new(|_, source| {
            source
                .metadata
                .deletion_timestamp
                .as_ref()
                .map(|_| "leaving".to_owned())
        })
    }

    fn source(name: &str, revision: Option<&str>) -> Source {
        Source {
            metadata: ObjectMeta {
                namespace: Some("a".into()),
                name: Some(name.into()),
                ..ObjectMeta::default()
            },
            status: SourceStatus {
                artifact: revision.map(|revision| Artifact {
                    revision: revision.to_owned(),
                    ..Artifact::default()
                }),
                ..SourceStatus::default()
            },
        }
    }

    #[test]
    fn set_tells_of_new_revisions_that_can_be_used() {
        let sources = sources();
        let id = id_of(GIT, &source("b", None));
        let set = |source: Source| sources.set(id.clone(), sources.standing(GIT.kind, source));
        assert_eq!(sources.get(&id), None);
        assert!(!set(source("b", None)));
        assert_eq!(sources.get(&id).unwrap().artifact, None);
        assert!(set(source("b", Some("main@sha1:1"))));
        assert!(!set(source("b", Some("main@sha1:1"))));
        assert!(set(source("b", Some("main@sha1:2"))));
        let mut unusable = source("b", Some("main@sha1:3"));
        unusable.metadata.deletion_timestamp = Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(
            jiff::Timestamp::UNIX_EPOCH,
        ));
        assert!(!set(unusable));
        assert_eq!(sources.get(&id).unwrap().unready.as_deref(), Some("leaving"));
        assert!(set(source("b", Some("main@sha1:3"))));
        sources.remove(&id);
        assert_eq!(sources.get(&id), None);
    }

    #[test]
    fn answer_of_a_write_does_not_replace_what_came_after_it() {
        let sources = sources();
        let id = id_of(GIT, &source("b", None));
        let at = |version: &str| Standing {
            resource_version: version.to_owned(),
            ..Standing::default()
        };
        let known = || sources.get(&id).unwrap().resource_version;
        sources.written(id.clone(), at("9"));
        assert_eq!(known(), "9");
        sources.set(id.clone(), at("10"));
        sources.written(id.clone(), at("9"));
        assert_eq!(known(), "10");
        sources.written(id.clone(), at("11"));
        assert_eq!(known(), "11");
    }

    #[test]
    fn sources_that_a_new_list_does_not_have_are_gone() {
        let sources = sources();
        let other = SourceId {
            kind: "Bucket",
            ..id_of(GIT, &source("kept", None))
        };
        sources.set(
            other.clone(),
            sources.standing("Bucket", source("kept", Some("sha256:1"))),
        );
        let list = |names: &[&str]| {
            let listed = names.iter().map(|name| {
                let source = source(name, Some("main@sha1:1"));
                (id_of(GIT, &source), sources.standing(GIT.kind, source))
            });
            let news = sources.told(GIT, Change::Listed(listed.collect()));
            news.into_iter().map(|id| id.name).collect::<Vec<_>>()
        };
        assert_eq!(list(&["kept", "deleted"]), ["kept", "deleted"]);
        assert_eq!(list(&["kept"]), [""; 0]);
        assert_eq!(sources.get(&id_of(GIT, &source("deleted", None))), None);
        for id in [id_of(GIT, &source("kept", None)), other] {
            assert!(sources.get(&id).unwrap().artifact.is_some(), "{id}");
        }
    }
}
