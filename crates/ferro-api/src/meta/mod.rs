//! Types that several groups share: references, artifacts, conditions, durations.

mod condition;
mod duration;
mod overlay;
mod time;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use self::condition::{Condition, ConditionStatus};
pub use self::duration::{Duration, ParseDurationError};
pub use self::overlay::{
    CommonMetadata, CustomHealthCheck, Image, JsonPatch, JsonPatchOperation, JsonPatchOperationKind, Patch,
    Selector,
};
pub use self::time::Time;
use crate::crd::cel;

/// The name of an object in the same namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct LocalObjectReference {
    /// Name of the object.
    pub name: String,
}

/// The name of an object and, where it is not the same, its namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct NamespacedObjectReference {
    /// Name of the object.
    pub name: String,
    /// Namespace of the object; without it, the namespace of the object that refers to it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
}

/// The kind and name of an object and, where it is not the same, its namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct NamespacedObjectKindReference {
    /// API group and version of the object.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub api_version: Option<String>,
    /// Kind of the object.
    pub kind: String,
    /// Name of the object.
    pub name: String,
    /// Namespace of the object.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
}

/// An object that must be ready first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct DependencyReference {
    /// Name of the object.
    pub name: String,
    /// Namespace of the object; without it, the namespace of the object that depends on it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// A CEL expression that says when the dependency is ready, in terms of `dep` (the dependency) and
    /// `self` (the object that depends on it).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ready_expr: Option<String>,
}

/// The name of a Secret and a key in it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct SecretKeyReference {
    /// Name of the Secret.
    pub name: String,
    /// Key in the Secret; without it, a key that the user of the reference knows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
}

/// How another cluster is reached: by a whole kubeconfig in a Secret, or by an address in a ConfigMap
/// with credentials of the controller's or a service account's cloud identity.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = cel(&[
    (
        "has(self.configMapRef) || has(self.secretRef)",
        "exactly one of spec.kubeConfig.configMapRef or spec.kubeConfig.secretRef must be specified",
    ),
    (
        "!has(self.configMapRef) || !has(self.secretRef)",
        "exactly one of spec.kubeConfig.configMapRef or spec.kubeConfig.secretRef must be specified",
    ),
])))]
pub struct KubeConfigReference {
    /// A ConfigMap that describes the cluster: `provider` (aws, azure, gcp or generic), `cluster`,
    /// `address`, `ca.crt`, `audiences`, `serviceAccountName`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub config_map_ref: Option<LocalObjectReference>,
    /// A Secret with a kubeconfig. Without `key`, the keys `value` and `value.yaml` are tried.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<SecretKeyReference>,
}

/// What a source has produced, and where it is to be had.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct Artifact {
    /// Digest of the file, as `<algorithm>:<checksum>`.
    #[schemars(extend("pattern" = "^[a-z0-9]+(?:[.+_-][a-z0-9]+)*:[a-zA-Z0-9=_-]+$"))]
    pub digest: String,
    /// When the artifact was last written.
    pub last_update_time: Time,
    /// Facts from the upstream, such as annotations of an OCI artifact.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub metadata: BTreeMap<String, String>,
    /// Path of the file below the root of the storage.
    pub path: String,
    /// What the artifact was made of: a Git revision, a chart version, a digest.
    pub revision: String,
    /// Bytes in the file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size: Option<i64>,
    /// HTTP address of the file.
    pub url: String,
}

/// The objects that an object applied.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ResourceInventory {
    /// One entry for each object, in the order in which they are applied.
    pub entries: Vec<ResourceRef>,
}

/// One object of an inventory.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ResourceRef {
    /// Identity of the object: `<namespace>_<name>_<group>_<kind>`, with absent parts empty.
    pub id: String,
    /// API version that the object was applied in.
    pub v: String,
}

/// Which namespaces may refer to an object.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct AccessFrom {
    /// Namespaces whose objects may refer to this one: those that match any selector. An empty
    /// selector matches every namespace.
    pub namespace_selectors: Vec<NamespaceSelector>,
}

/// A choice of namespaces.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct NamespaceSelector {
    /// Labels that the namespace must have, all of them.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub match_labels: BTreeMap<String, String>,
}

/// Reports whether a flag is off, and thus not written.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
pub(crate) fn is_false(flag: &bool) -> bool {
    !*flag
}
