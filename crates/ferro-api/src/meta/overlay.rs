//! The parts of Kustomize's language that specs embed.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

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
