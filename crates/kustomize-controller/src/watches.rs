//! What else than a Kustomization itself asks for its reconcile (`spec/kustomize-and-notification.md` I.2), and drift.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ferro_api::kustomize::{Kustomization, SubstituteSourceKind};
use ferro_api::{FluxObject, reason};
use ferro_apply::error::message;
use ferro_apply::{Drift, ObjectId};
use ferro_runtime::controller::Triggers;
use ferro_runtime::events::{Recorder, Severity};
use ferro_runtime::metrics::Metrics;
use ferro_runtime::reconcile::event;
use futures::StreamExt;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::core::PartialObjectMeta;
use kube::runtime::reflector::{ObjectRef, Store};
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, Client, ResourceExt};
use serde::de::DeserializeOwned;
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::contention::{Contention, Verdict};
use crate::dependency::{Key, in_order};
use crate::lock;
use crate::notice::{labels, of_last_applied};
use crate::source::SourceId;

/// Has all that use `source` reconciled, dependencies first; those that are at `revision` already are left alone.
pub(crate) fn source_changed(
    store: &Store<Kustomization>,
    triggers: &Triggers<Kustomization>,
    source: &SourceId,
    revision: Option<&str>,
) {
    let concerned = store.state().into_iter().filter(|kustomization| {
        SourceId::of(kustomization) == *source
            && !(is_settled(kustomization) && is_at(kustomization, revision))
    });
    let keys = concerned
        .map(|kustomization| ObjectRef::from_obj(kustomization.as_ref()))
        .collect();
    for key in in_order(store, keys) {
        triggers.supersede(key, source.to_string());
    }
}

fn is_settled(kustomization: &Kustomization) -> bool {
    kustomization.is_ready() || kustomization.is_condition_true(ferro_api::condition::RECONCILING)
}

fn is_at(kustomization: &Kustomization, revision: Option<&str>) -> bool {
    revision.is_some()
        && kustomization
            .status()
            .and_then(|status| status.last_attempted_revision.as_deref())
            == revision
}

/// How long to pause after a watch failed, at first and at most.
const PAUSE: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(30));

/// Follows the metadata of ConfigMaps and Secrets that carry the label, and has those reconciled that refer to one that changed.
pub(crate) async fn follow_configs(
    client: Client,
    namespace: Option<String>,
    selector: String,
    store: Store<Kustomization>,
    triggers: Triggers<Kustomization>,
) {
    let config_maps = follow_config::<ConfigMap>(&client, namespace.as_deref(), &selector, &store, &triggers);
    let secrets = follow_config::<Secret>(&client, namespace.as_deref(), &selector, &store, &triggers);
    tokio::join!(config_maps, secrets);
}

async fn follow_config<K>(
    client: &Client,
    namespace: Option<&str>,
    selector: &str,
    store: &Store<Kustomization>,
    triggers: &Triggers<Kustomization>,
) where
    K: kube::Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>,
    K: Clone + DeserializeOwned + std::fmt::Debug + Send + 'static,
{
    let api: Api<PartialObjectMeta<K>> = match namespace {
        Some(namespace) => Api::namespaced(client.clone(), namespace),
        None => Api::all(client.clone()),
    };
    let kind = K::kind(&()).into_owned();
    let config = watcher::Config::default().labels(selector).page_size(500);
    let mut events = watcher(api, config).boxed();
    let mut known = Configs::default();
    let mut pause = PAUSE.0;
    while let Some(next) = events.next().await {
        let changed = match next {
            Ok(event) => {
                if !matches!(event, Event::Init) {
                    pause = PAUSE.0;
                }
                known.take_in(event)
            }
            Err(error) => {
                tracing::debug!(error = message(&error), kind, "cannot watch");
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(PAUSE.1);
                continue;
            }
        };
        if changed.is_empty() {
            continue;
        }
        for kustomization in store.state() {
            let own = kustomization.namespace().unwrap_or_default();
            let read = changed
                .iter()
                .find(|(namespace, name)| *namespace == own && refers_to(&kustomization, &kind, name));
            if let Some((namespace, name)) = read {
                triggers.supersede(
                    ObjectRef::from_obj(kustomization.as_ref()),
                    format!("{kind}/{namespace}/{name}"),
                );
            }
        }
    }
}

/// Namespace and name.
type ConfigKey = (String, String);

/// ConfigMaps or Secrets at the versions last seen, to tell what a new list brings from what it repeats.
#[derive(Default)]
struct Configs {
    versions: HashMap<ConfigKey, Option<String>>,
    /// What the list that is being read has had so far.
    listed: HashMap<ConfigKey, Option<String>>,
    /// A list was complete.
    is_known: bool,
}

fn config_key(object: &impl ResourceExt) -> ConfigKey {
    (object.namespace().unwrap_or_default(), object.name_any())
}

impl Configs {
    /// Those that are new, changed or gone by an event. At start nothing is: every Kustomization is reconciled then anyway.
    fn take_in(&mut self, event: Event<impl ResourceExt>) -> Vec<ConfigKey> {
        match event {
            Event::Init => {
                self.listed.clear();
                Vec::new()
            }
            Event::InitApply(object) => {
                let key = config_key(&object);
                self.listed.insert(key, object.resource_version());
                Vec::new()
            }
            Event::InitDone => {
                let old = std::mem::replace(&mut self.versions, std::mem::take(&mut self.listed));
                if !std::mem::replace(&mut self.is_known, true) {
                    return Vec::new();
                }
                let news = self
                    .versions
                    .iter()
                    .filter(|(key, version)| old.get(*key) != Some(*version));
                let gone = old.keys().filter(|key| !self.versions.contains_key(*key));
                news.map(|(key, _)| key).chain(gone).cloned().collect()
            }
            Event::Apply(object) => {
                let key = config_key(&object);
                self.versions.insert(key.clone(), object.resource_version());
                vec![key]
            }
            Event::Delete(object) => {
                let key = config_key(&object);
                self.versions.remove(&key);
                vec![key]
            }
        }
    }
}

/// Whether the spec reads the ConfigMap or Secret `name`.
fn refers_to(kustomization: &Kustomization, kind: &str, name: &str) -> bool {
    let spec = &kustomization.spec;
    let substitutes = spec
        .post_build
        .iter()
        .flat_map(|post_build| &post_build.substitute_from);
    let config = spec.kube_config.as_ref();
    match kind {
        "ConfigMap" => {
            substitutes
                .clone()
                .any(|from| from.kind == SubstituteSourceKind::ConfigMap && from.name == name)
                || config
                    .and_then(|config| config.config_map_ref.as_ref())
                    .is_some_and(|reference| reference.name == name)
        }
        _ => {
            substitutes
                .clone()
                .any(|from| from.kind == SubstituteSourceKind::Secret && from.name == name)
                || config
                    .and_then(|config| config.secret_ref.as_ref())
                    .is_some_and(|reference| reference.name == name)
                || spec
                    .decryption
                    .as_ref()
                    .and_then(|decryption| decryption.secret_ref.as_ref())
                    .is_some_and(|reference| reference.name == name)
        }
    }
}

/// Repairs drift as it happens.
pub(crate) struct Repairs {
    pub(crate) store: Store<Kustomization>,
    pub(crate) triggers: Triggers<Kustomization>,
    pub(crate) recorder: Recorder,
    pub(crate) metrics: Metrics,
    pub(crate) contention: Arc<Mutex<Contention>>,
    /// Those for which a repair is put off already.
    pub(crate) postponed: Arc<Mutex<HashSet<Key>>>,
}

impl Repairs {
    /// Has the owner of each drifted object reconciled: at once, or, where somebody else keeps writing the object, after a wait that grows.
    pub(crate) async fn run(self, mut drifts: mpsc::UnboundedReceiver<Drift>) {
        while let Some(drift) = drifts.recv().await {
            let key = ObjectRef::new(&drift.owner.name).within(&drift.owner.namespace);
            let Some(owner) = self.store.get(&key) else {
                continue;
            };
            if owner.is_suspended() || owner.metadata.deletion_timestamp.is_some() {
                continue;
            }
            let what = if drift.deleted { "deleted" } else { "changed" };
            tracing::info!(object = %drift.object, owner = %key, writer = drift.writer, "drift: managed object was {what}");
            let verdict = lock(&self.contention).drifted(&drift.object, Instant::now());
            match verdict {
                Verdict::Now => self.triggers.enqueue(key),
                Verdict::After { wait, repairs } => self.postpone(&owner, key, &drift, wait, repairs),
            }
        }
    }

    fn postpone(&self, owner: &Kustomization, key: Key, drift: &Drift, wait: Duration, repairs: u32) {
        self.metrics.drift_contended(&labels(&key));
        if !lock(&self.postponed).insert(key.clone()) {
            return;
        }
        let message = contended(&drift.object, drift.writer.as_deref(), wait, repairs);
        self.recorder.send(event(
            owner,
            Severity::Error,
            reason::DRIFT_DETECTED,
            &message,
            of_last_applied(owner),
        ));
        let (triggers, postponed) = (self.triggers.clone(), Arc::clone(&self.postponed));
        tokio::spawn(async move {
            tokio::time::sleep(wait).await;
            lock(&postponed).remove(&key);
            triggers.enqueue(key);
        });
    }
}

fn contended(object: &ObjectId, writer: Option<&str>, wait: Duration, repairs: u32) -> String {
    let writer = writer.map_or_else(
        || "another writer".to_owned(),
        |writer| format!("field manager '{writer}'"),
    );
    format!(
        "{object} was changed again by {writer} after {repairs} corrections, next correction in {}",
        ferro_api::meta::Duration::from(wait)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refers_to_finds_every_reference() {
        let kustomization: Kustomization = serde_json::from_value(serde_json::json!({ "spec": {
            "postBuild": { "substituteFrom": [{ "kind": "ConfigMap", "name": "vars" }, { "kind": "Secret", "name": "secret-vars" }] },
            "decryption": { "provider": "sops", "secretRef": { "name": "keys" } },
            "kubeConfig": { "secretRef": { "name": "remote" } }
        }}))
        .unwrap();
        assert!(
            refers_to(&kustomization, "ConfigMap", "vars") && !refers_to(&kustomization, "Secret", "vars")
        );
        for name in ["secret-vars", "keys", "remote"] {
            assert!(refers_to(&kustomization, "Secret", name), "{name}");
        }
    }

    #[test]
    fn new_list_of_configs_triggers_for_what_it_changed_only() {
        let config = |name: &str, version: &str| -> ConfigMap {
            serde_json::from_value(serde_json::json!({
                "metadata": { "namespace": "n", "name": name, "resourceVersion": version }
            }))
            .unwrap()
        };
        let mut known = Configs::default();
        let mut list = |configs: &[(&str, &str)]| {
            let mut changed = known.take_in(Event::<ConfigMap>::Init);
            for (name, version) in configs {
                changed.extend(known.take_in(Event::InitApply(config(name, version))));
            }
            changed.extend(known.take_in(Event::<ConfigMap>::InitDone));
            let mut names: Vec<String> = changed.into_iter().map(|(_, name)| name).collect();
            names.sort();
            names
        };
        assert_eq!(list(&[("same", "1"), ("changes", "2"), ("goes", "3")]), [""; 0]);
        assert_eq!(
            list(&[("same", "1"), ("changes", "4"), ("comes", "5")]),
            ["changes", "comes", "goes"]
        );
        assert_eq!(list(&[("same", "1"), ("changes", "4"), ("comes", "5")]), [""; 0]);
        let gone = known.take_in(Event::Delete(config("same", "6")));
        assert_eq!(gone, [("n".to_owned(), "same".to_owned())]);
        assert_eq!(known.take_in(Event::Apply(config("same", "7"))).len(), 1);
    }

    #[test]
    fn contended_names_the_writer_and_the_wait() {
        let object = ObjectId {
            kind: "Deployment".into(),
            namespace: "n".into(),
            name: "a".into(),
            group: "apps".into(),
        };
        let message = contended(&object, Some("hpa"), Duration::from_secs(2), 5);
        assert_eq!(
            message,
            "Deployment/n/a was changed again by field manager 'hpa' after 5 corrections, next correction in 2s"
        );
    }
}
