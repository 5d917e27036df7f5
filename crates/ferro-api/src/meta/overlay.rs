//! The parts of Kustomize's language that specs embed.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use crate::crd::preserve_unknown_fields;
use crate::macros::string_enum;

/// Labels and annotations that every object gets.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct CommonMetadata {
    /// Annotations, which replace those of the same name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// Labels, which replace those of the same name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
}

/// A change to objects.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Patch {
    /// A strategic merge patch or a list of JSON 6902 operations, as YAML or JSON.
    pub patch: String,
    /// The objects to change; without it, the object that a strategic merge patch names.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<Selector>,
}

string_enum! {
    /// Operations of JSON 6902.
    pub enum JsonPatchOperationKind {
        /// Compares a value.
        #[default]
        Test = "test",
        /// Removes a value.
        Remove = "remove",
        /// Adds a value.
        Add = "add",
        /// Replaces a value.
        Replace = "replace",
        /// Moves a value.
        Move = "move",
        /// Copies a value.
        Copy = "copy",
    }
}

/// A list of JSON 6902 operations as older versions write it, with the objects to change.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct JsonPatch {
    /// The operations, in order.
    pub patch: Vec<JsonPatchOperation>,
    /// The objects to change.
    pub target: Selector,
}

/// An operation of JSON 6902.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct JsonPatchOperation {
    /// JSON pointer of the value that is moved or copied.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// What is done.
    pub op: JsonPatchOperationKind,
    /// JSON pointer of the value that is changed.
    pub path: String,
    /// The new value, or the one to compare with.
    #[serde(deserialize_with = "even_null", skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "preserve_unknown_fields")]
    pub value: Option<Value>,
}

/// Reads a value that is there even if it is null: `add` and `test` mean it.
fn even_null<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(deserializer).map(Some)
}

/// A choice of objects: those that match every field that is given.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct Selector {
    /// A selector over annotations, written like a label selector.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub annotation_selector: Option<String>,
    /// API group, as a regular expression that must match as a whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// Kind, as a regular expression that must match as a whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// A label selector, such as `app=web,tier!=cache`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label_selector: Option<String>,
    /// Name, as a regular expression that must match as a whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Namespace, as a regular expression that must match as a whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// API version, as a regular expression that must match as a whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
}

/// A new name, tag or digest for a container image.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct Image {
    /// Digest to set; it replaces the tag.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// Image to look for, without tag.
    pub name: String,
    /// Name to use instead.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub new_name: Option<String>,
    /// Tag to set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub new_tag: Option<String>,
}

/// How the health of a kind of objects is read from their fields, by CEL expressions.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct CustomHealthCheck {
    /// API version of the objects.
    pub api_version: String,
    /// When the object has reached its desired state.
    pub current: String,
    /// When the object has failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failed: Option<String>,
    /// When the object is still on its way.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub in_progress: Option<String>,
    /// Kind of the objects; without it, every kind of the group.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
}
