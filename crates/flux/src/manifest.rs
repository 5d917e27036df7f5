//! Objects as they are printed, to be read by people and applied by programs.

use anyhow::{Context as _, Result};
use kube::api::DynamicObject;
use serde_json::{Map, Value, json};

use crate::kind::KindRow;

/// Reduces an object to what its users gave it, in the form that this version writes.
///
/// # Errors
///
/// Returns an error if the object is not one of its kind.
pub fn reduced(row: &KindRow, object: &DynamicObject) -> Result<Value> {
    let metadata = &object.metadata;
    let mut kept = Map::new();
    kept.insert("name".to_owned(), json!(metadata.name));
    kept.insert("namespace".to_owned(), json!(metadata.namespace));
    for (field, entries) in [
        ("labels", &metadata.labels),
        ("annotations", &metadata.annotations),
    ] {
        if let Some(entries) = entries.as_ref().filter(|entries| !entries.is_empty()) {
            kept.insert(field.to_owned(), json!(entries));
        }
    }
    let spec = object.data.get("spec").cloned().unwrap_or_default();
    complete(row, &Value::Object(kept), &spec)
}

/// Puts an object of a kind together, in the form that this version writes.
///
/// # Errors
///
/// Returns an error if it is none of its kind.
pub fn complete(row: &KindRow, metadata: &Value, spec: &Value) -> Result<Value> {
    let name = metadata.get("name").and_then(Value::as_str).unwrap_or_default();
    let object = json!({
        "apiVersion": row.info.api_version(),
        "kind": row.info.kind,
        "metadata": metadata,
        "spec": spec,
    });
    (row.typed)(&object).with_context(|| format!("{} '{name}' cannot be read", row.info.kind))
}

/// Writes an object in YAML format as one of several documents, with a blank line after it.
///
/// # Errors
///
/// Returns an error if there is no YAML of it.
pub fn document(object: &Value) -> Result<String> {
    Ok(format!("---\n{}\n", yaml(object)?))
}

/// Writes a value in YAML format.
///
/// # Errors
///
/// Returns an error if there is no YAML of it.
pub fn yaml(value: &Value) -> Result<String> {
    ferro_yaml::sigs::to_string(value).context("cannot be written in YAML format")
}
