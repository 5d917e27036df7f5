//! Field ownership: what of an object is ours.
//!
//! An object has drifted when a field that we applied no longer has our value, or when a tool whose edits are undone (kubectl) has put its
//! name on it. Everything else, such as the replicas that an autoscaler sets or the annotations of the deployment
//! controller, is none of our business, and costs nothing when it changes.

use std::hash::{DefaultHasher, Hasher};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ManagedFieldsEntry;
use serde_json::Value;

use crate::object::hash_value;

/// Whether the entry is that of `manager`'s applies.
fn is_own(entry: &ManagedFieldsEntry, manager: &str) -> bool {
    entry.manager.as_deref() == Some(manager)
        && entry.operation.as_deref() == Some("Apply")
        && entry.subresource.as_deref().unwrap_or_default().is_empty()
}

/// A fingerprint of the fields of `object` that `manager` applied: their paths and their values. None if it applied none.
#[must_use]
pub fn owned_hash(object: &Value, entries: &[ManagedFieldsEntry], manager: &str) -> Option<u64> {
    let own = entries.iter().find(|entry| is_own(entry, manager))?;
    let mut hasher = DefaultHasher::new();
    if let Some(fields) = &own.fields_v1 {
        hash_fields(&fields.0, Some(object), &mut hasher);
    }
    Some(hasher.finish())
}

/// Walks a `fieldsV1` tree beside the value that it describes.
fn hash_fields(fields: &Value, value: Option<&Value>, hasher: &mut DefaultHasher) {
    let Some(fields) = fields.as_object() else { return };
    for (key, below) in fields {
        hasher.write(key.as_bytes());
        hasher.write_u8(0xff);
        if key == "." {
            hasher.write_u8(u8::from(value.is_some()));
            continue;
        }
        let child = value.and_then(|value| descend(value, key));
        if below.as_object().is_none_or(serde_json::Map::is_empty) {
            match child {
                Some(leaf) => hash_value(leaf, hasher),
                None => hasher.write_u8(0xfe),
            }
        } else {
            hash_fields(below, child, hasher);
        }
    }
}

/// The part of `value` that a path element of `fieldsV1` names: `f:field`, `k:{keys of an item}`, `v:item`, `i:index`.
fn descend<'a>(value: &'a Value, element: &str) -> Option<&'a Value> {
    let (kind, rest) = element.split_once(':')?;
    match kind {
        "f" => value.get(rest),
        "k" => {
            let keys: Value = serde_json::from_str(rest).ok()?;
            let keys = keys.as_object()?;
            value
                .as_array()?
                .iter()
                .find(|item| keys.iter().all(|(key, wanted)| item.get(key) == Some(wanted)))
        }
        "v" => {
            let wanted: Value = serde_json::from_str(rest).ok()?;
            value.as_array()?.iter().find(|item| **item == wanted)
        }
        "i" => value.as_array()?.get(rest.parse::<usize>().ok()?),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::FieldsV1;
    use serde_json::json;

    fn entry(manager: &str, operation: &str, fields: Value) -> ManagedFieldsEntry {
        ManagedFieldsEntry {
            manager: Some(manager.to_owned()),
            operation: Some(operation.to_owned()),
            fields_v1: Some(FieldsV1(fields)),
            ..ManagedFieldsEntry::default()
        }
    }

    #[test]
    fn owned_hash_changes_with_our_fields_only() {
        let fields = json!({
            "f:metadata": { "f:labels": { "f:app": {} } },
            "f:spec": {
                "f:containers": { "k:{\"name\":\"web\"}": { ".": {}, "f:image": {}, "f:name": {} } },
                "f:finalizers": { "v:\"x\"": {} }
            }
        });
        let entries = [
            entry("us", "Apply", fields),
            entry("them", "Update", json!({ "f:spec": { "f:replicas": {} } })),
        ];
        let hash = |object: Value| owned_hash(&object, &entries, "us").unwrap();
        let base = json!({
            "metadata": { "labels": { "app": "a" } },
            "spec": { "containers": [{ "name": "web", "image": "a:1" }], "finalizers": ["x"], "replicas": 1 }
        });
        let original = hash(base.clone());
        let mut changed = base.clone();
        changed["spec"]["replicas"] = json!(5);
        changed["metadata"]["labels"]["other"] = json!("b");
        changed["spec"]["containers"] = json!([{ "name": "sidecar" }, { "name": "web", "image": "a:1" }]);
        assert_eq!(hash(changed), original);
        for (pointer, value) in [
            ("/spec/containers/0/image", json!("a:2")),
            ("/spec/containers", json!([])),
            ("/spec/finalizers", json!([])),
            ("/metadata/labels/app", json!("b")),
        ] {
            let mut changed = base.clone();
            *changed.pointer_mut(pointer).unwrap() = value;
            assert_ne!(hash(changed), original, "{pointer}");
        }
        assert_eq!(owned_hash(&base, &entries, "nobody"), None);
    }
}
