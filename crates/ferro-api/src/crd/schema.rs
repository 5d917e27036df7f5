//! Structural schemas by the conventions of controller-gen.

#![expect(
    clippy::indexing_slicing,
    reason = "the values are built here, and indexing them inserts"
)]

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::{Map, Value, json};

use crate::object::KindInfo;

/// Keyword under which types name the default of the API server.
const DEFAULT: &str = "x-default";

/// Returns the schema of a type.
pub(super) fn of<T: JsonSchema>() -> Value {
    let settings = SchemaSettings::draft2020_12().for_serialize().with(|settings| {
        settings.inline_subschemas = true;
        settings.meta_schema = None;
    });
    let mut schema = settings.into_generator().into_root_schema_for::<T>().to_value();
    normalize(&mut schema);
    schema
}

/// Returns the schema of a kind, given those of its spec and its status.
pub(super) fn of_kind(info: &KindInfo, spec: Value, status: Option<Value>) -> Value {
    let mut schema = json!({
        "description": description(info.description),
        "type": "object",
        "properties": {
            "apiVersion": {
                "description": "API group and version of the object.",
                "type": "string",
            },
            "kind": {
                "description": "Kind of the object.",
                "type": "string",
            },
            "metadata": {"type": "object"},
        },
    });
    schema["properties"]["spec"] = spec;
    if let Some(status) = status {
        schema["properties"]["status"] = status;
    }
    schema
}

/// Joins the lines of a doc comment.
fn description(lines: &[&str]) -> String {
    lines
        .iter()
        .map(|line| line.trim())
        .collect::<Vec<_>>()
        .join("\n")
}

/// Returns the schema of Go's `int`: an integer without a format.
pub(crate) fn go_int(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "integer"})
}

/// Returns the schema of a field that takes anything.
pub(crate) fn preserve_unknown_fields(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"x-kubernetes-preserve-unknown-fields": true})
}

/// Returns the schema of a list that takes anything.
pub(crate) fn any_list(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "array", "items": {"x-kubernetes-preserve-unknown-fields": true}})
}

/// Turns what schemars makes into what the API server takes.
fn normalize(schema: &mut Value) {
    let Value::Object(node) = schema else { return };
    drop_null(node);
    node.remove("title");
    node.remove("default");
    if let Some(default) = node.remove(DEFAULT) {
        node.insert("default".to_owned(), default);
    }
    if let Some(Value::Array(required)) = node.get_mut("required") {
        required.sort_by(|a, b| a.as_str().cmp(&b.as_str()));
    }
    if let Some(Value::Object(properties)) = node.get_mut("properties") {
        properties.values_mut().for_each(normalize);
    }
    for keyword in ["items", "additionalProperties"] {
        if let Some(child) = node.get_mut(keyword) {
            normalize(child);
        }
    }
}

/// Removes the null that schemars adds for `Option`: to a list of types or values, or as an alternative.
fn drop_null(node: &mut Map<String, Value>) {
    if let Some(Value::Array(values)) = node.get_mut("enum") {
        values.retain(|value| !value.is_null());
    }
    if let Some(Value::Array(types)) = node.get_mut("type") {
        types.retain(|name| name != "null");
        if let [single] = types.as_mut_slice() {
            let single = single.take();
            node.insert("type".to_owned(), single);
        }
    }
    let Some(Value::Array(alternatives)) = node.get_mut("anyOf") else {
        return;
    };
    alternatives.retain(|alternative| alternative["type"] != "null");
    if let [Value::Object(single)] = alternatives.as_mut_slice() {
        let single = std::mem::take(single);
        node.remove("anyOf");
        for (keyword, value) in single {
            // What the field says, such as its description, goes before what its type says.
            node.entry(keyword).or_insert(value);
        }
        drop_null(node);
    }
}
