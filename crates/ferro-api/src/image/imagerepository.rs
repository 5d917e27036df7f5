//! `ImageRepository`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::crd::{TIMEOUT_PATTERN, go_int};
use crate::macros::{flux_object, flux_status, kind};
use crate::meta::{AccessFrom, Condition, Duration, LocalObjectReference, Time, is_false};
use crate::source::RegistryProvider;
use crate::vocabulary::group;

kind! {
    /// An image in a registry whose tags are scanned.
    ImageRepository {
        group: group::IMAGE,
        version: "v1",
        plural: "imagerepositories",
        short_names: ["imgrepo", "imagerepo"],
        spec: ImageRepositorySpec,
        status: ImageRepositoryStatus,
    }
}
flux_object!(ImageRepository, ImageRepositoryStatus, interval: |o| Some(o.spec.interval), suspend: |o| o.spec.suspend);
flux_status!(ImageRepositoryStatus);

/// Which image, and how often to look.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct ImageRepositorySpec {
    /// Namespaces whose image policies may use this repository; without it, only its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub access_from: Option<AccessFrom>,
    /// A Secret with `ca.crt`, or `tls.crt` and `tls.key`, for the connection.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cert_secret_ref: Option<LocalObjectReference>,
    /// Regular expressions of tags to leave out; without any, signatures of Cosign are.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("maxItems" = 25, "x-default" = [r"^.*\.sig$"]))]
    pub exclusion_list: Vec<String>,
    /// Name of the image, without scheme and tag.
    pub image: String,
    /// Whether the registry is spoken to over plain HTTP.
    #[serde(skip_serializing_if = "is_false")]
    pub insecure: bool,
    /// How often the tags are scanned.
    pub interval: Duration,
    /// How the registry is authenticated to.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-default" = "generic"))]
    pub provider: Option<RegistryProvider>,
    /// A Secret that describes a proxy: `address`, `username`, `password`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub proxy_secret_ref: Option<LocalObjectReference>,
    /// A Secret with a Docker configuration that holds credentials for the registry.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<LocalObjectReference>,
    /// A ServiceAccount in the namespace whose image pull secrets and cloud identity are used.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("maxLength" = 253))]
    pub service_account_name: Option<String>,
    /// Whether scanning is paused.
    #[serde(skip_serializing_if = "is_false")]
    pub suspend: bool,
    /// How long a scan may take; without it, the interval.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("pattern" = TIMEOUT_PATTERN))]
    pub timeout: Option<Duration>,
}

impl ImageRepositorySpec {
    /// The tags that are left out when nothing else is said.
    pub const DEFAULT_EXCLUSION_LIST: &'static [&'static str] = &[r"^.*\.sig$"];

    /// Returns how long a scan may take: `timeout` or the interval, but never less than a second.
    #[must_use]
    pub fn timeout_or_default(&self) -> Duration {
        self.timeout.unwrap_or(self.interval).max(Duration::from_secs(1))
    }
}

/// What was last scanned.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct ImageRepositoryStatus {
    /// Full name of the image, with registry.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub canonical_image_name: Option<String>,
    /// What is known about the repository.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
    /// The last reconcile request that was handled.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_handled_reconcile_at: Option<String>,
    /// What the last scan found.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_scan_result: Option<ScanResult>,
    /// The expressions that the last scan left tags out by.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub observed_exclusion_list: Vec<String>,
    /// The generation that this status speaks of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
}

/// What a scan found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct ScanResult {
    /// A few of the tags: the first ones in descending order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub latest_tags: Vec<String>,
    /// Checksum of the list of tags.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revision: Option<String>,
    /// When the scan took place.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scan_time: Option<Time>,
    /// How many tags there are.
    #[schemars(schema_with = "go_int")]
    pub tag_count: i64,
}
