//! Reducing an object of the cluster, on arrival, to the few facts that are kept of it.

use ferro_kstatus::Health;
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ManagedFieldsEntry;
use kube::ResourceExt;
use kube::api::DynamicObject;
use serde_json::{Map, Value, json};

use crate::fields::owned_hash;
use crate::managed_fields::has_leftovers;
use crate::object::{ObjectId, hash_value};

/// Whose objects these are, and by which names: labels of the group say the owner, annotations of the group the policy.
#[derive(Clone, Debug)]
pub struct Ownership {
    /// `kustomize.toolkit.fluxcd.io`.
    pub group: String,
    /// Field manager of all applies.
    pub manager: String,
    /// Further managers whose fields are taken over.
    pub override_managers: Vec<String>,
    /// Whether edits with kubectl are undone, and what it leaves on objects is removed.
    pub undoes_edits: bool,
}

impl Ownership {
    /// A key of the group, such as `kustomize.toolkit.fluxcd.io/name`.
    #[must_use]
    pub fn key(&self, name: &str) -> String {
        format!("{}/{name}", self.group)
    }

    /// Whether the entry belongs to a manager whose fields are taken over before an apply (`spec/kustomize-and-notification.md` F.4).
    #[must_use]
    pub fn overrides(&self, entry: &ManagedFieldsEntry) -> bool {
        if !entry.subresource.as_deref().unwrap_or_default().is_empty() {
            return false;
        }
        let name = entry.manager.as_deref().unwrap_or_default();
        let update = entry.operation.as_deref() == Some("Update");
        let edits = name.starts_with("kubectl") || (update && name == "before-first-apply");
        (edits && self.undoes_edits)
            || (update && name == self.manager)
            || self.override_managers.iter().any(|known| known == name)
    }
}

/// The object that others belong to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Owner {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

/// What an object in the cluster says about how it wants to be treated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Markers {
    /// `reconcile: disabled` or `ssa: Ignore`.
    pub ignore: bool,
    /// `ssa: Merge`.
    pub merge: bool,
    /// `force: enabled`.
    pub force: bool,
    /// `prune: disabled`.
    pub keep: bool,
}

impl Markers {
    /// Reads them off labels and annotations, by values in any case.
    pub(crate) fn read(ownership: &Ownership, object: &impl ResourceExt) -> Self {
        let has = |name: &str, value: &str| {
            let key = ownership.key(name);
            [object.labels(), object.annotations()].iter().any(|map| {
                map.get(&key)
                    .is_some_and(|found| found.eq_ignore_ascii_case(value))
            })
        };
        let ignore = has("reconcile", "disabled") || has("ssa", "Ignore");
        Self {
            ignore,
            merge: has("ssa", "Merge"),
            force: has("force", "enabled"),
            keep: ignore || has("prune", "disabled"),
        }
    }
}

/// What is known of an object in the cluster.
#[derive(Clone, Debug)]
pub struct Observation {
    /// Resource version; they grow.
    pub version: u64,
    /// Unique id, which tells a new object of the same name apart.
    pub uid: String,
    /// Fingerprint of the fields that we applied.
    pub owned: Option<u64>,
    /// Fingerprint of all that an apply could change: what [`crate::drift::differs`] compares.
    pub content: u64,
    /// Whether a manager whose edits are undone has put fields on it.
    pub edited: bool,
    /// Readiness by the rules of its kind.
    pub health: Health,
    /// To whom it belongs by its labels.
    pub owner: Option<Owner>,
    /// Policy.
    pub markers: Markers,
    /// Whether it may vanish by itself: it has done its work, or says that it goes when it has.
    pub transient: bool,
    /// Who wrote last, other than us.
    pub last_writer: Option<String>,
}

impl Observation {
    /// Whether `other` stands for the same state as far as we are concerned.
    #[must_use]
    pub fn same_state(&self, other: &Self) -> bool {
        self.uid == other.uid && self.owned == other.owned && self.edited == other.edited
    }

    /// A fingerprint of what decides [`Self::same_state`].
    #[must_use]
    pub fn fingerprint(&self) -> u64 {
        use std::hash::{Hash, Hasher};
        let mut hasher = std::hash::DefaultHasher::new();
        (&self.uid, self.owned, self.edited).hash(&mut hasher);
        hasher.finish()
    }
}

/// Reduces `object`; also returns it as a JSON value, without managed fields, for who needs more.
#[must_use]
pub fn observe(mut object: DynamicObject, ownership: &Ownership, now: Timestamp) -> (Observation, Value) {
    let entries = object.metadata.managed_fields.take().unwrap_or_default();
    let markers = Markers::read(ownership, &object);
    let owner = owner_of(&object, ownership);
    let edited = entries.iter().any(|entry| ownership.overrides(entry))
        || ownership.undoes_edits && has_leftovers(object.labels(), object.annotations());
    let last_writer = entries
        .iter()
        .filter(|entry| entry.manager.as_deref() != Some(&ownership.manager))
        // Times have no fractions of a second; among equals the one whose edits are undone is the one to name.
        .max_by_key(|entry| {
            let overridden = ownership.overrides(entry);
            (entry.time.as_ref().map(|time| time.0), overridden)
        })
        .and_then(|entry| entry.manager.clone());
    let (version, uid) = (version_of(&object), object.uid().unwrap_or_default());
    let value = into_value(object);
    let owned = owned_hash(&value, &entries, &ownership.manager);
    let content = content_hash(&value);
    let health = ferro_kstatus::health(&value, now);
    let transient = is_transient(&value);
    (
        Observation {
            version,
            uid,
            owned,
            content,
            edited,
            health,
            owner,
            markers,
            transient,
            last_writer,
        },
        value,
    )
}

/// Hashes labels, annotations and all that is neither metadata nor status.
fn content_hash(value: &Value) -> u64 {
    use std::hash::Hasher;
    let mut hasher = std::hash::DefaultHasher::new();
    for part in ["labels", "annotations"] {
        let map = value.get("metadata").and_then(|metadata| metadata.get(part));
        // An empty map is none.
        match map.and_then(Value::as_object) {
            Some(map) if !map.is_empty() => map.iter().for_each(|(key, value)| {
                hash_value(&Value::String(key.clone()), &mut hasher);
                hash_value(value, &mut hasher);
            }),
            _ => {}
        }
        hasher.write_u8(0xfd);
    }
    let counts = |key: &str| key != "metadata" && key != "status";
    for (key, value) in value
        .as_object()
        .into_iter()
        .flatten()
        .filter(|(key, _)| counts(key))
    {
        hasher.write(key.as_bytes());
        hasher.write_u8(0xff);
        hash_value(value, &mut hasher);
    }
    hasher.finish()
}

/// The resource version as a number; zero where it is none.
pub(crate) fn version_of(object: &impl ResourceExt) -> u64 {
    object
        .resource_version()
        .and_then(|version| version.parse().ok())
        .unwrap_or(0)
}

/// Whether an object that vanishes has only done what was to be expected of it: Jobs with a time to live, and what has run to its end
/// (Jobs, Pods, runs of Tekton and Argo), which garbage collectors and pruners remove.
fn is_transient(value: &Value) -> bool {
    let text = |pointer| value.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let is_set = |pointer| value.pointer(pointer).is_some_and(|value| !value.is_null());
    let is_job = text("/kind") == "Job" && text("/apiVersion").starts_with("batch/");
    let has_failed = |condition: &Value| condition["type"] == "Failed" && condition["status"] == "True";
    let conditions = || value.pointer("/status/conditions").and_then(Value::as_array);
    match text("/kind") {
        _ if is_set("/status/completionTime") || is_set("/status/finishedAt") => true,
        _ if is_job => {
            is_set("/spec/ttlSecondsAfterFinished")
                || conditions().is_some_and(|conditions| conditions.iter().any(has_failed))
        }
        "Pod" => matches!(text("/status/phase"), "Succeeded" | "Failed"),
        _ => false,
    }
}

pub(crate) fn owner_of(object: &impl ResourceExt, ownership: &Ownership) -> Option<Owner> {
    let label = |name: &str| object.labels().get(&ownership.key(name)).cloned();
    Some(Owner {
        namespace: label("namespace")?,
        name: label("name")?,
    })
}

fn into_value(object: DynamicObject) -> Value {
    let mut fields = match object.data {
        Value::Object(fields) => fields,
        _ => Map::new(),
    };
    if let Some(types) = object.types {
        fields.insert("apiVersion".to_owned(), types.api_version.into());
        fields.insert("kind".to_owned(), types.kind.into());
    }
    fields.insert("metadata".to_owned(), json!(object.metadata));
    Value::Object(fields)
}

/// The identity of an object of a known kind.
#[must_use]
pub fn id_of(group: &str, kind: &str, object: &impl ResourceExt) -> ObjectId {
    ObjectId {
        group: group.to_owned(),
        kind: kind.to_owned(),
        namespace: object.namespace().unwrap_or_default(),
        name: object.name_any(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ownership() -> Ownership {
        Ownership {
            group: "kustomize.toolkit.fluxcd.io".into(),
            manager: "kustomize-controller".into(),
            override_managers: vec![],
            undoes_edits: true,
        }
    }

    fn object(replicas: i64, manager: &str) -> DynamicObject {
        serde_json::from_value(json!({
            "apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {
                "name": "web", "namespace": "default", "uid": "u", "resourceVersion": "12",
                "labels": { "kustomize.toolkit.fluxcd.io/name": "apps", "kustomize.toolkit.fluxcd.io/namespace": "flux-system" },
                "annotations": { "kustomize.toolkit.fluxcd.io/prune": "Disabled" },
                "managedFields": [
                    { "manager": "kustomize-controller", "operation": "Apply", "fieldsType": "FieldsV1", "fieldsV1": { "f:spec": { "f:replicas": {} } } },
                    { "manager": manager, "operation": "Update", "time": "2026-01-01T00:00:00Z", "fieldsV1": {} }
                ]
            },
            "spec": { "replicas": replicas }
        }))
        .unwrap()
    }

    #[test]
    fn observe_keeps_owner_policy_and_fingerprint() {
        let now = Timestamp::UNIX_EPOCH;
        let (first, value) = observe(object(1, "hpa"), &ownership(), now);
        assert_eq!(
            first.owner,
            Some(Owner {
                namespace: "flux-system".into(),
                name: "apps".into()
            })
        );
        assert!(first.markers.keep && !first.markers.ignore && !first.edited);
        assert_eq!((first.version, first.last_writer.as_deref()), (12, Some("hpa")));
        assert!(value.pointer("/metadata/managedFields").is_none());
        assert!(first.same_state(&observe(object(1, "other"), &ownership(), now).0));
        assert_eq!(
            first.content,
            observe(object(1, "other"), &ownership(), now).0.content
        );
        assert_ne!(
            first.content,
            observe(object(2, "hpa"), &ownership(), now).0.content
        );
        assert!(!first.same_state(&observe(object(2, "hpa"), &ownership(), now).0));
        assert!(!first.same_state(&observe(object(1, "kubectl-edit"), &ownership(), now).0));
    }

    #[test]
    fn objects_that_vanish_by_themselves_are_transient() {
        let job = |rest: Value| {
            let mut job = json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "a"}});
            job.as_object_mut()
                .unwrap()
                .extend(rest.as_object().unwrap().clone());
            is_transient(&job)
        };
        assert!(!job(json!({})));
        assert!(job(json!({"spec": {"ttlSecondsAfterFinished": 0}})));
        assert!(!job(json!({"spec": {"ttlSecondsAfterFinished": null}})));
        assert!(job(json!({"status": {"completionTime": "2026-01-01T00:00:00Z"}})));
        assert!(job(
            json!({"status": {"conditions": [{"type": "Failed", "status": "True"}]}})
        ));
        let pod = |phase: &str| {
            is_transient(&json!({"apiVersion": "v1", "kind": "Pod", "status": {"phase": phase}}))
        };
        assert!(pod("Succeeded") && !pod("Running"));
        assert!(!is_transient(
            &json!({"apiVersion": "x/v1", "kind": "Job", "spec": {"ttlSecondsAfterFinished": 1}})
        ));
    }

    #[test]
    fn overrides_knows_kubectl_and_our_own_updates() {
        let entry = |manager: &str, operation: &str| ManagedFieldsEntry {
            manager: Some(manager.to_owned()),
            operation: Some(operation.to_owned()),
            ..ManagedFieldsEntry::default()
        };
        let mut us = Ownership {
            manager: "us".into(),
            override_managers: vec!["extra".into()],
            ..ownership()
        };
        let overridden =
            |us: &Ownership, manager: &str, operation: &str| us.overrides(&entry(manager, operation));
        assert!(overridden(&us, "kubectl-edit", "Update") && overridden(&us, "kubectl", "Apply"));
        assert!(overridden(&us, "us", "Update") && !overridden(&us, "us", "Apply"));
        assert!(overridden(&us, "extra", "Apply") && !overridden(&us, "flux-client-side-apply", "Update"));
        let mut scale = entry("kubectl", "Update");
        scale.subresource = Some("scale".into());
        assert!(!us.overrides(&scale));
        us.undoes_edits = false;
        assert!(!overridden(&us, "kubectl-edit", "Update") && overridden(&us, "extra", "Update"));
        assert!(overridden(&us, "us", "Update") && !overridden(&us, "before-first-apply", "Update"));
    }
}
