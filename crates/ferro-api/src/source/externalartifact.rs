//! `ExternalArtifact`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::macros::{flux_object, kind};
use crate::meta::{Artifact, Condition, NamespacedObjectKindReference};
use crate::object::FluxStatus;
use crate::vocabulary::group;

kind! {
    /// An artifact that some other controller makes and serves. Nothing reconciles this object: its
    /// producer writes the status.
    ExternalArtifact {
        group: group::SOURCE,
        version: "v1",
        plural: "externalartifacts",
        short_names: ["ea"],
        spec: ExternalArtifactSpec,
        status: ExternalArtifactStatus,
    }
}
flux_object!(ExternalArtifact, ExternalArtifactStatus, interval: |_| None, suspend: |_| false);

/// Who makes the artifact.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct ExternalArtifactSpec {
    /// The object that the artifact is made from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source_ref: Option<NamespacedObjectKindReference>,
}

/// What the producer made.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct ExternalArtifactStatus {
    /// The newest artifact.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub artifact: Option<Artifact>,
    /// What is known about the artifact.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
}

impl FluxStatus for ExternalArtifactStatus {
    fn conditions(&self) -> &[Condition] {
        &self.conditions
    }

    fn conditions_mut(&mut self) -> &mut Vec<Condition> {
        &mut self.conditions
    }

    fn observed_generation(&self) -> Option<i64> {
        None
    }

    fn set_observed_generation(&mut self, _: i64) {}

    fn last_handled_reconcile_at(&self) -> Option<&str> {
        None
    }

    fn set_last_handled_reconcile_at(&mut self, _: &str) {}
}
