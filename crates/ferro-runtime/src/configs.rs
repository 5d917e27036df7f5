//! The ConfigMaps and Secrets that objects read: a change of one has those reconciled that refer to it.

use std::collections::HashMap;
use std::fmt::Debug;

use ferro_api::FluxObject;
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::core::PartialObjectMeta;
use kube::runtime::reflector::{ObjectRef, Store};
use kube::runtime::watcher;
use kube::{Api, Client, ResourceExt};
use serde::de::DeserializeOwned;

use crate::controller::Triggers;
use crate::process::chain;
use crate::watch::{Change, follow};

/// Metadata fetched at once when a watch starts.
const PAGE: u32 = 500;

/// One of the two kinds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConfigKind {
    /// A ConfigMap.
    ConfigMap,
    /// A Secret.
    Secret,
}

/// Whether an object reads the ConfigMap or Secret of this name in its own namespace.
pub type RefersTo<K> = fn(object: &K, kind: ConfigKind, name: &str) -> bool;

/// Follows the metadata of ConfigMaps and Secrets with certain labels, and has those reconciled that refer to one that changed.
pub struct Configs<K: FluxObject> {
    /// Where they are.
    pub client: Client,
    /// The namespace that is watched, or none for all.
    pub namespace: Option<String>,
    /// The labels that they have.
    pub selector: String,
    /// The objects that may refer to them.
    pub store: Store<K>,
    /// Asks for reconciles.
    pub triggers: Triggers<K>,
    /// Who reads what.
    pub refers_to: RefersTo<K>,
}

impl<K: FluxObject> Configs<K> {
    /// Follows them for ever.
    pub async fn follow(self) {
        tokio::join!(
            self.follow_kind::<ConfigMap>(ConfigKind::ConfigMap),
            self.follow_kind::<Secret>(ConfigKind::Secret)
        );
    }

    async fn follow_kind<C>(&self, kind: ConfigKind)
    where
        C: kube::Resource<DynamicType = (), Scope = NamespaceResourceScope>,
        C: Clone + DeserializeOwned + Debug + Send + 'static,
    {
        let client = self.client.clone();
        let api: Api<PartialObjectMeta<C>> = match &self.namespace {
            Some(namespace) => Api::namespaced(client, namespace),
            None => Api::all(client),
        };
        let config = watcher::Config::default().labels(&self.selector).page_size(PAGE);
        let facts = |object: PartialObjectMeta<C>| {
            let key = (object.namespace().unwrap_or_default(), object.name_any());
            Some((key, object.resource_version()))
        };
        let mut known = Known::default();
        follow(api, config, facts, |change| {
            if let Change::Failing { error, .. } = &change {
                tracing::debug!(error = chain(error), ?kind, "cannot watch");
            }
            self.tell(kind, &known.take_in(change));
        })
        .await;
    }

    /// Has those reconciled that read one of these.
    fn tell(&self, kind: ConfigKind, changed: &[ConfigKey]) {
        if changed.is_empty() {
            return;
        }
        for object in self.store.state() {
            let own = object.namespace().unwrap_or_default();
            let read = changed
                .iter()
                .find(|(namespace, name)| *namespace == own && (self.refers_to)(&object, kind, name));
            if let Some((namespace, name)) = read {
                let by = format!("{kind:?}/{namespace}/{name}");
                self.triggers.supersede(ObjectRef::from_obj(object.as_ref()), by);
            }
        }
    }
}

/// Namespace and name.
type ConfigKey = (String, String);
/// At which version each was seen.
type Versions = HashMap<ConfigKey, Option<String>>;

/// ConfigMaps or Secrets at the versions last seen, to tell what a new list brings from what it repeats. None before the first list.
#[derive(Default)]
struct Known(Option<Versions>);

impl Known {
    /// Those that are new, changed or gone. At start nothing is: every object is reconciled then anyway.
    fn take_in(&mut self, change: Change<(ConfigKey, Option<String>)>) -> Vec<ConfigKey> {
        match change {
            Change::Applied((key, version)) => {
                self.0.get_or_insert_default().insert(key.clone(), version);
                vec![key]
            }
            Change::Deleted((key, _)) => {
                self.0.get_or_insert_default().remove(&key);
                vec![key]
            }
            Change::Listed(listed) => {
                let new: Versions = listed.into_iter().collect();
                let changed = self.0.as_ref().map(|old| differences(old, &new));
                self.0 = Some(new);
                changed.unwrap_or_default()
            }
            Change::Failing { .. } => Vec::new(),
        }
    }
}

fn differences(old: &Versions, new: &Versions) -> Vec<ConfigKey> {
    let news = new
        .iter()
        .filter(|(key, version)| old.get(*key) != Some(*version));
    let gone = old.keys().filter(|key| !new.contains_key(*key));
    news.map(|(key, _)| key).chain(gone).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn new_list_triggers_for_what_it_changed_only() {
        let config =
            |name: &str, version: &str| (("n".to_owned(), name.to_owned()), Some(version.to_owned()));
        let mut known = Known::default();
        let mut list = |configs: &[(&str, &str)]| {
            let listed = configs.iter().map(|(name, version)| config(name, version));
            let changed = known.take_in(Change::Listed(listed.collect()));
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
        let gone = known.take_in(Change::Deleted(config("same", "6")));
        assert_eq!(gone, [("n".to_owned(), "same".to_owned())]);
        assert_eq!(known.take_in(Change::Applied(config("same", "7"))).len(), 1);
    }
}
