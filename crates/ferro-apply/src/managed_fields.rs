//! Taking over fields from kubectl and its like (F.4).
//!
//! An object that was applied with kubectl, or edited with it, has entries of those managers in its managed fields. Their
//! fields are folded into our own entry; an apply that then leaves them out removes them. Fields of other managers
//! stay theirs.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ManagedFieldsEntry;
use serde_json::{Map, Value, json};

use crate::observe::Ownership;

/// What older tools leave on objects, by the part of the metadata.
const LEFTOVERS: [(&str, &str); 4] = [
    ("annotations", "kubectl.kubernetes.io/last-applied-configuration"),
    ("annotations", "kustomize.toolkit.fluxcd.io/checksum"),
    ("annotations", "fluxcd.io/sync-checksum"),
    ("labels", "fluxcd.io/sync-gc-mark"),
];

/// Whether older tools have left something in labels or annotations.
pub(crate) fn has_leftovers(
    labels: &BTreeMap<String, String>,
    annotations: &BTreeMap<String, String>,
) -> bool {
    LEFTOVERS
        .iter()
        .any(|(part, key)| if *part == "labels" { labels } else { annotations }.contains_key(*key))
}

/// The JSON patch that makes the fields of overridden managers ours and removes what older tools left; `None` when
/// there is nothing to do.
///
/// The patch holds only for the resource version of `live`: managed fields are replaced as a whole, and an entry
/// written meanwhile must not be lost.
#[must_use]
pub fn migrate(live: &Value, ownership: &Ownership) -> Option<Value> {
    let metadata = live.get("metadata")?;
    let mut operations: Vec<Value> = LEFTOVERS
        .iter()
        .filter(|_| ownership.undoes_edits)
        .filter(|(part, key)| metadata.get(part).is_some_and(|map| map.get(key).is_some()))
        .map(|(part, key)| json!({"op": "remove", "path": format!("/metadata/{part}/{}", escape(key))}))
        .collect();
    if let Some(entries) = metadata.get("managedFields").and_then(Value::as_array)
        && let Some(folded) = fold(entries, ownership)
    {
        operations.push(json!({"op": "replace", "path": "/metadata/managedFields", "value": folded}));
    }
    if operations.is_empty() {
        return None;
    }
    if let Some(version) = metadata.get("resourceVersion") {
        operations.push(json!({"op": "replace", "path": "/metadata/resourceVersion", "value": version}));
    }
    Some(Value::Array(operations))
}

/// The JSON patch that moves all managed fields to `api_version`; `None` when they are of it.
///
/// The API server cannot apply to an object while managed fields are of a version that is no longer served (gate
/// `MigrateAPIVersion`). Like that of [`migrate`], the patch holds for the resource version of `live` only.
#[must_use]
pub fn to_version(live: &Value, api_version: &str) -> Option<Value> {
    let metadata = live.get("metadata")?;
    let mut entries = metadata.get("managedFields")?.as_array()?.clone();
    let mut moved = false;
    for entry in entries.iter_mut().filter_map(Value::as_object_mut) {
        let former = entry.insert("apiVersion".to_owned(), api_version.into());
        moved |= former.is_none_or(|former| former != api_version);
    }
    if !moved {
        return None;
    }
    let mut operations = vec![json!({"op": "replace", "path": "/metadata/managedFields", "value": entries})];
    if let Some(version) = metadata.get("resourceVersion") {
        operations.push(json!({"op": "replace", "path": "/metadata/resourceVersion", "value": version}));
    }
    Some(Value::Array(operations))
}

fn escape(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

/// Folds the entries of overridden managers into the entry of `manager`, which comes last; `None` when there are none.
fn fold(entries: &[Value], ownership: &Ownership) -> Option<Vec<Value>> {
    let manager = ownership.manager.as_str();
    let overridden = |entry: &Value| {
        serde_json::from_value::<ManagedFieldsEntry>(entry.clone())
            .is_ok_and(|entry| ownership.overrides(&entry))
    };
    let (taken, mut kept): (Vec<Value>, Vec<Value>) = entries.iter().cloned().partition(overridden);
    let first = taken.first()?;
    let own = kept
        .iter()
        .position(|entry| is_own(entry, manager))
        .map(|index| kept.remove(index));
    let base = own.unwrap_or_else(|| first.clone());
    let Value::Object(mut base) = base else {
        return None;
    };
    let fields = base.remove("fieldsV1").unwrap_or_default();
    let unite_with = |union, entry: &Value| unite(union, entry.get("fieldsV1").cloned().unwrap_or_default());
    base.insert("fieldsV1".to_owned(), taken.iter().fold(fields, unite_with));
    base.insert("manager".to_owned(), manager.into());
    base.insert("operation".to_owned(), "Apply".into());
    kept.push(Value::Object(base));
    Some(kept)
}

fn is_own(entry: &Value, manager: &str) -> bool {
    let text = |field: &str| entry.get(field).and_then(Value::as_str).unwrap_or_default();
    text("manager") == manager && text("operation") == "Apply" && text("subresource").is_empty()
}

/// Unites two field sets. An empty node is a member; a node with children is one only if it has the child `.`.
fn unite(left: Value, right: Value) -> Value {
    let (mut left, mut right) = match (left, right) {
        (Value::Object(left), Value::Object(right)) => (left, right),
        (Value::Object(one), _) | (_, Value::Object(one)) => return Value::Object(one),
        _ => return Value::Object(Map::new()),
    };
    if left.is_empty() != right.is_empty() {
        let shallow = if left.is_empty() { &mut left } else { &mut right };
        shallow.insert(".".to_owned(), Value::Object(Map::new()));
    }
    for (key, below) in right {
        let united = match left.remove(&key) {
            Some(present) => unite(present, below),
            None => below,
        };
        left.insert(key, united);
    }
    Value::Object(left)
}

#[cfg(test)]
mod tests {
    use super::*;

    const US: &str = "kustomize-controller";

    fn us(extra: &[String]) -> Ownership {
        Ownership {
            group: "kustomize.toolkit.fluxcd.io".into(),
            manager: US.into(),
            override_managers: extra.to_vec(),
            undoes_edits: true,
        }
    }

    fn entry(manager: &str, operation: &str, fields: Value) -> Value {
        json!({"manager": manager, "operation": operation, "apiVersion": "v1", "fieldsType": "FieldsV1", "fieldsV1": fields})
    }

    fn object(entries: Vec<Value>) -> Value {
        json!({"metadata": {"name": "a", "resourceVersion": "7", "managedFields": entries}})
    }

    fn folded(entries: Vec<Value>, extra: &[String]) -> Option<Value> {
        let patch = migrate(&object(entries), &us(extra))?;
        assert_eq!(
            patch[1],
            json!({"op": "replace", "path": "/metadata/resourceVersion", "value": "7"})
        );
        assert_eq!(patch[0]["path"], "/metadata/managedFields");
        Some(patch[0]["value"].clone())
    }

    #[test]
    fn nothing_to_fold_is_no_patch() {
        for entries in [
            vec![],
            vec![entry(US, "Apply", json!({"f:data": {}}))],
            vec![
                entry(US, "Apply", json!({})),
                entry("helm", "Update", json!({})),
                entry("flux-client-side-apply", "Update", json!({})),
            ],
        ] {
            assert_eq!(migrate(&object(entries), &us(&[])), None);
        }
        assert_eq!(migrate(&json!({"metadata": {"name": "a"}}), &us(&[])), None);
        assert_eq!(migrate(&json!(1), &us(&[])), None);
    }

    #[test]
    fn kubectl_entries_join_ours_which_comes_last() {
        let ours = entry(US, "Apply", json!({"f:data": {"f:a": {}}}));
        let edit = entry(
            "kubectl-edit",
            "Update",
            json!({"f:data": {"f:b": {}}, "f:metadata": {"f:labels": {".": {}, "f:x": {}}}}),
        );
        let other = entry("hpa", "Update", json!({"f:spec": {"f:replicas": {}}}));
        assert_eq!(
            folded(vec![ours, edit, other.clone()], &[]),
            Some(json!([
                other,
                entry(
                    US,
                    "Apply",
                    json!({
                        "f:data": {"f:a": {}, "f:b": {}}, "f:metadata": {"f:labels": {".": {}, "f:x": {}}}
                    })
                )
            ]))
        );
    }

    #[test]
    fn without_an_entry_of_ours_the_first_one_is_renamed() {
        let mut before = entry("before-first-apply", "Update", json!({"f:data": {"f:a": {}}}));
        before["time"] = "2026-01-01T00:00:00Z".into();
        let client = entry(
            "kubectl-client-side-apply",
            "Update",
            json!({"f:data": {"f:b": {}}}),
        );
        let result = folded(vec![before, client], &[]).unwrap();
        let mut expected = entry(US, "Apply", json!({"f:data": {"f:a": {}, "f:b": {}}}));
        expected["time"] = "2026-01-01T00:00:00Z".into();
        assert_eq!(result, json!([expected]));
    }

    #[test]
    fn which_managers_are_overridden() {
        let extra = ["extra".to_owned()];
        for (manager, operation, taken) in [
            ("kubectl", "Apply", true),
            ("kubectl-patch", "Update", true),
            ("before-first-apply", "Update", true),
            ("before-first-apply", "Apply", false),
            (US, "Update", true),
            ("extra", "Apply", true),
            ("extra", "Update", true),
            ("my-kubectl", "Update", false),
        ] {
            let result = folded(vec![entry(manager, operation, json!({"f:data": {}}))], &extra);
            assert_eq!(result.is_some(), taken, "{manager} {operation}");
        }
        let mut status = entry("kubectl-edit", "Update", json!({"f:status": {}}));
        status["subresource"] = "status".into();
        assert_eq!(folded(vec![status], &[]), None);
    }

    #[test]
    fn to_version_moves_every_entry_and_holds_for_one_resource_version() {
        let mut old = entry("helm", "Update", json!({"f:data": {}}));
        old["apiVersion"] = "v1beta1".into();
        let patch = to_version(&object(vec![entry(US, "Apply", json!({})), old]), "v1").unwrap();
        let moved = patch[0]["value"].as_array().unwrap();
        assert!(moved.iter().all(|entry| entry["apiVersion"] == "v1"), "{patch}");
        assert_eq!(moved[1]["manager"], "helm");
        assert_eq!(patch[1]["value"], "7");
        assert_eq!(
            to_version(&object(vec![entry(US, "Apply", json!({}))]), "v1"),
            None
        );
        assert_eq!(to_version(&object(Vec::new()), "v1"), None);
    }

    #[test]
    fn leftovers_are_removed() {
        let live = json!({"metadata": {
            "annotations": {"kubectl.kubernetes.io/last-applied-configuration": "{}", "kustomize.toolkit.fluxcd.io/checksum": "x", "keep": "y"},
            "labels": {"fluxcd.io/sync-gc-mark": "z"}
        }});
        assert_eq!(
            migrate(&live, &us(&[])),
            Some(json!([
                {"op": "remove", "path": "/metadata/annotations/kubectl.kubernetes.io~1last-applied-configuration"},
                {"op": "remove", "path": "/metadata/annotations/kustomize.toolkit.fluxcd.io~1checksum"},
                {"op": "remove", "path": "/metadata/labels/fluxcd.io~1sync-gc-mark"}
            ]))
        );
    }

    #[test]
    fn unite_keeps_members_apart_from_parents() {
        for (left, right, union) in [
            (json!({}), json!({}), json!({})),
            (json!({}), json!({"f:a": {}}), json!({".": {}, "f:a": {}})),
            (json!({"f:a": {}}), json!({}), json!({".": {}, "f:a": {}})),
            (
                json!({"f:a": {"f:b": {}}}),
                json!({"f:a": {"f:c": {}}}),
                json!({"f:a": {"f:b": {}, "f:c": {}}}),
            ),
            (
                json!({"f:a": {}}),
                json!({"f:a": {"f:c": {}}}),
                json!({"f:a": {".": {}, "f:c": {}}}),
            ),
            (
                json!({"f:a": {".": {}, "f:b": {}}}),
                json!({"f:a": {}}),
                json!({"f:a": {".": {}, "f:b": {}}}),
            ),
        ] {
            assert_eq!(unite(left.clone(), right.clone()), union, "{left} and {right}");
        }
    }
}
