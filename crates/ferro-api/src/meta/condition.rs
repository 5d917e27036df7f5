//! Conditions: the observations that make up a status.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Time;
use crate::macros::string_enum;

string_enum! {
    /// Whether a condition holds.
    pub enum ConditionStatus {
        /// It holds.
        True = "True",
        /// It does not hold.
        False = "False",
        /// It is not known (yet).
        #[default]
        Unknown = "Unknown",
    }
}

/// One observation about an object.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct Condition {
    /// When the condition last changed.
    pub last_transition_time: Time,
    /// What a person should know about the change; may be empty.
    #[schemars(extend("maxLength" = 32768))]
    pub message: String,
    /// The `metadata.generation` that the condition speaks of. If it is behind the object's, the
    /// condition is out of date.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("minimum" = 0))]
    pub observed_generation: Option<i64>,
    /// A word for programs that says why the condition changed.
    #[schemars(extend(
        "minLength" = 1,
        "maxLength" = 1024,
        "pattern" = "^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$"
    ))]
    pub reason: String,
    /// Whether the condition holds: True, False or Unknown.
    pub status: ConditionStatus,
    /// What is observed, in CamelCase or as foo.example.com/CamelCase.
    #[serde(rename = "type")]
    #[schemars(extend(
        "maxLength" = 316,
        "pattern" = "^([a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])$"
    ))]
    pub type_: String,
}
