//! `Alert`.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::CrossNamespaceObjectReference;
use crate::macros::{kind, string_enum};
use crate::meta::{LocalObjectReference, is_false};
use crate::vocabulary::group;

kind! {
    /// A choice of events, and where to send them.
    Alert {
        group: group::NOTIFICATION,
        version: "v1beta3",
        plural: "alerts",
        short_names: [],
        spec: AlertSpec,
    }
}

string_enum! {
    /// How grave an event must be.
    pub enum EventSeverity {
        /// Any event will do.
        #[default]
        Info = "info",
        /// It must report a failure.
        Error = "error",
    }
}

/// Which events are sent, and where.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct AlertSpec {
    /// Facts to add to the metadata of every event, such as the name of the cluster.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub event_metadata: BTreeMap<String, String>,
    /// Which events are sent: info (all) or error (failures).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-default" = "info"))]
    pub event_severity: Option<EventSeverity>,
    /// The objects whose events are sent.
    pub event_sources: Vec<CrossNamespaceObjectReference>,
    /// Regular expressions of messages that are not sent.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub exclusion_list: Vec<String>,
    /// Regular expressions of messages that are sent; without any, all are.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub inclusion_list: Vec<String>,
    /// The Provider to send to, in the same namespace.
    pub provider_ref: LocalObjectReference,
    /// A line about the place or purpose of the events. Use `eventMetadata` instead.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("maxLength" = 255))]
    pub summary: Option<String>,
    /// Whether sending is paused.
    #[serde(skip_serializing_if = "is_false")]
    pub suspend: bool,
}

impl AlertSpec {
    /// Returns how grave an event must be.
    #[must_use]
    pub fn event_severity_or_default(&self) -> EventSeverity {
        self.event_severity.unwrap_or_default()
    }
}
