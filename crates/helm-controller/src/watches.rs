//! What else than a HelmRelease itself asks for its reconcile (`spec/helm.md` B.9).

use ferro_api::helm::{HelmRelease, ValuesSourceKind};
use ferro_api::meta::Artifact;
use ferro_api::{FluxObject, condition};
use ferro_apply::error::message;
use ferro_runtime::controller::Triggers;
use ferro_runtime::watch::{Change, follow};
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::core::PartialObjectMeta;
use kube::runtime::reflector::{ObjectRef, Store};
use kube::runtime::watcher;
use kube::{Api, Client, ResourceExt};
use serde::de::DeserializeOwned;
use std::collections::HashMap;

use crate::source::SourceId;

/// Has all reconciled that use `source`, unless they are at its artifact already.
pub(crate) fn source_changed(
    store: &Store<HelmRelease>,
    triggers: &Triggers<HelmRelease>,
    source: &SourceId,
    artifact: Option<&Artifact>,
) {
    for release in store.state() {
        if SourceId::of(&release).as_ref() == Some(source)
            && !(is_settled(&release) && is_at(&release, artifact))
        {
            triggers.supersede(ObjectRef::from_obj(release.as_ref()), source.to_string());
        }
    }
}

fn is_settled(release: &HelmRelease) -> bool {
    release.is_ready() || release.is_condition_true(condition::RECONCILING)
}

/// Whether the last attempt was with the artifact: by its digest where that is known, else by its revision.
fn is_at(release: &HelmRelease, artifact: Option<&Artifact>) -> bool {
    let (Some(artifact), Some(status)) = (artifact, release.status()) else {
        return false;
    };
    match &status.last_attempted_revision_digest {
        Some(digest) => artifact.revision.ends_with(digest.as_str()),
        None => status.last_attempted_revision.as_deref() == Some(&artifact.revision),
    }
}

/// Follows the metadata of ConfigMaps and Secrets that carry the label, and has those reconciled that refer to one that changed.
pub(crate) async fn follow_configs(
    client: Client,
    namespace: Option<String>,
    selector: String,
    store: Store<HelmRelease>,
    triggers: Triggers<HelmRelease>,
) {
    let config_maps = follow_config::<ConfigMap>(&client, namespace.as_deref(), &selector, &store, &triggers);
    let secrets = follow_config::<Secret>(&client, namespace.as_deref(), &selector, &store, &triggers);
    tokio::join!(config_maps, secrets);
}

/// Namespace and name.
type ConfigKey = (String, String);

async fn follow_config<K>(
    client: &Client,
    namespace: Option<&str>,
    selector: &str,
    store: &Store<HelmRelease>,
    triggers: &Triggers<HelmRelease>,
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
    let facts = |object: PartialObjectMeta<K>| {
        let key = (object.namespace().unwrap_or_default(), object.name_any());
        Some((key, object.resource_version()))
    };
    let mut known: Option<HashMap<ConfigKey, Option<String>>> = None;
    follow(api, config, facts, |change| {
        let changed = match change {
            Change::Applied((key, version)) => {
                known.get_or_insert_default().insert(key.clone(), version);
                vec![key]
            }
            Change::Deleted((key, _)) => {
                known.get_or_insert_default().remove(&key);
                vec![key]
            }
            Change::Listed(listed) => {
                let new: HashMap<_, _> = listed.into_iter().collect();
                // At start every release is reconciled anyway.
                let changed = known
                    .as_ref()
                    .map(|old| differences(old, &new))
                    .unwrap_or_default();
                known = Some(new);
                changed
            }
            Change::Failing { error, .. } => {
                tracing::debug!(error = message(&error), kind, "cannot watch");
                return;
            }
        };
        if changed.is_empty() {
            return;
        }
        for release in store.state() {
            let own = release.namespace().unwrap_or_default();
            let read = changed
                .iter()
                .find(|(namespace, name)| *namespace == own && refers_to(&release, &kind, name));
            if let Some((namespace, name)) = read {
                triggers.supersede(
                    ObjectRef::from_obj(release.as_ref()),
                    format!("{kind}/{namespace}/{name}"),
                );
            }
        }
    })
    .await;
}

fn differences(
    old: &HashMap<ConfigKey, Option<String>>,
    new: &HashMap<ConfigKey, Option<String>>,
) -> Vec<ConfigKey> {
    let news = new
        .iter()
        .filter(|(key, version)| old.get(*key) != Some(*version))
        .map(|(key, _)| key);
    let gone = old.keys().filter(|key| !new.contains_key(*key));
    news.chain(gone).cloned().collect()
}

/// Whether the spec reads the ConfigMap or Secret `name`.
fn refers_to(release: &HelmRelease, kind: &str, name: &str) -> bool {
    let wanted = match kind {
        "ConfigMap" => ValuesSourceKind::ConfigMap,
        _ => ValuesSourceKind::Secret,
    };
    release
        .spec
        .values_from
        .iter()
        .any(|from| from.kind == wanted && from.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn is_at_compares_digests_where_they_are_known() {
        let release = |status: serde_json::Value| -> HelmRelease {
            serde_json::from_value(json!({ "status": status })).unwrap()
        };
        let artifact = |revision: &str| Artifact {
            revision: revision.into(),
            ..Artifact::default()
        };
        let tracked = release(
            json!({ "lastAttemptedRevision": "1.0.0+abc", "lastAttemptedRevisionDigest": "sha256:abc" }),
        );
        assert!(is_at(&tracked, Some(&artifact("1.0.0@sha256:abc"))));
        assert!(!is_at(&tracked, Some(&artifact("1.0.0@sha256:def"))));
        let plain = release(json!({ "lastAttemptedRevision": "1.0.0" }));
        assert!(is_at(&plain, Some(&artifact("1.0.0"))) && !is_at(&plain, None));
    }

    #[test]
    fn refers_to_and_differences() {
        let release: HelmRelease =
            serde_json::from_value(json!({ "spec": { "valuesFrom": [{ "kind": "Secret", "name": "a" }] } }))
                .unwrap();
        assert!(refers_to(&release, "Secret", "a") && !refers_to(&release, "ConfigMap", "a"));
        let map = |entries: &[(&str, &str)]| -> HashMap<ConfigKey, Option<String>> {
            let entry = |(name, version): &(&str, &str)| {
                (("n".to_owned(), (*name).to_owned()), Some((*version).to_owned()))
            };
            entries.iter().map(entry).collect()
        };
        let mut changed: Vec<String> = differences(
            &map(&[("same", "1"), ("old", "1"), ("gone", "1")]),
            &map(&[("same", "1"), ("old", "2"), ("new", "1")]),
        )
        .into_iter()
        .map(|(_, name)| name)
        .collect();
        changed.sort();
        assert_eq!(changed, ["gone", "new", "old"]);
    }
}
