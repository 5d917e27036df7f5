//! `HelmRepository`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::RegistryProvider;
use crate::crd::TIMEOUT_PATTERN;
use crate::macros::{flux_object, flux_status, kind, string_enum};
use crate::meta::{AccessFrom, Artifact, Condition, Duration, LocalObjectReference, is_false};
use crate::vocabulary::group;

kind! {
    /// A Helm repository: an HTTP server with an index, which is made an artifact, or a place in an OCI
    /// registry, which charts are fetched from directly.
    HelmRepository {
        group: group::SOURCE,
        version: "v1",
        plural: "helmrepositories",
        short_names: ["helmrepo"],
        spec: HelmRepositorySpec,
        status: HelmRepositoryStatus,
    }
}
flux_object!(
    HelmRepository,
    HelmRepositoryStatus,
    interval: |o| Some(o.spec.interval_or_default()),
    suspend: |o| o.spec.suspend
);
flux_status!(HelmRepositoryStatus);

string_enum! {
    /// What serves the charts.
    pub enum HelmRepositoryType {
        /// An HTTP server with an index.
        #[default]
        Default = "default",
        /// An OCI registry.
        Oci = "oci",
    }
}

/// Where the repository is, and how often to look.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct HelmRepositorySpec {
    /// Reserved for access from other namespaces; it has no effect.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub access_from: Option<AccessFrom>,
    /// A Secret with `ca.crt`, or `tls.crt` and `tls.key`, for the connection.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cert_secret_ref: Option<LocalObjectReference>,
    /// Whether an OCI registry is spoken to over plain HTTP.
    #[serde(skip_serializing_if = "is_false")]
    pub insecure: bool,
    /// How often the index is checked for changes; without it, every minute.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interval: Option<Duration>,
    /// Whether credentials are also sent to other hosts that the index names for charts.
    #[serde(skip_serializing_if = "is_false")]
    pub pass_credentials: bool,
    /// How an OCI registry is authenticated to.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-default" = "generic"))]
    pub provider: Option<RegistryProvider>,
    /// A Secret with credentials: `username` and `password`, or for OCI a Docker configuration.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<LocalObjectReference>,
    /// Whether reconciliation is paused. The last artifact stays available.
    #[serde(skip_serializing_if = "is_false")]
    pub suspend: bool,
    /// How long fetching the index or a chart may take; without it, a minute.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("pattern" = TIMEOUT_PATTERN))]
    pub timeout: Option<Duration>,
    /// What serves the charts: default (an HTTP server with an index) or oci.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub type_: Option<HelmRepositoryType>,
    /// Address of the repository, over http, https or oci.
    #[schemars(extend("pattern" = "^(http|https|oci)://.*$"))]
    pub url: String,
}

impl HelmRepositorySpec {
    /// Returns how often the index is checked for changes.
    #[must_use]
    pub fn interval_or_default(&self) -> Duration {
        self.interval.unwrap_or(Duration::from_mins(1))
    }

    /// Returns how long fetching the index or a chart may take.
    #[must_use]
    pub fn timeout_or_default(&self) -> Duration {
        self.timeout.unwrap_or(Duration::from_secs(60))
    }

    /// Reports whether the charts are in an OCI registry.
    #[must_use]
    pub fn is_oci(&self) -> bool {
        self.type_ == Some(HelmRepositoryType::Oci)
    }
}

/// What was last fetched and stored.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct HelmRepositoryStatus {
    /// The artifact of the last successful reconcile: the index.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub artifact: Option<Artifact>,
    /// What is known about the source.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
    /// The last reconcile request that was handled.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_handled_reconcile_at: Option<String>,
    /// The generation that this status speaks of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// HTTP address that always leads to the newest artifact.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
}
