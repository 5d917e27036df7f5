//! What is known about a Helm release.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::crd::go_int;
use crate::macros::{flux_status, string_enum};
use crate::meta::{Condition, Duration, ResourceInventory, Time};

string_enum! {
    /// An action that makes a new revision of a release.
    pub enum ReleaseAction {
        /// The first one.
        #[default]
        Install = "install",
        /// A further one.
        Upgrade = "upgrade",
    }
}

/// What was last released, and how it went.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct HelmReleaseStatus {
    /// What is known about the release.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
    /// How often reconciling has failed since it last succeeded.
    #[serde(skip_serializing_if = "is_zero")]
    pub failures: i64,
    /// The HelmChart that was made for the release, as `<namespace>/<name>`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub helm_chart: Option<String>,
    /// The revisions of the release that matter, newest first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub history: Vec<ReleaseSnapshot>,
    /// How often installing has failed since it last succeeded.
    #[serde(skip_serializing_if = "is_zero")]
    pub install_failures: i64,
    /// The objects of the release.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub inventory: Option<ResourceInventory>,
    /// Digest of the values that were last tried.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_attempted_config_digest: Option<String>,
    /// The generation that was last tried.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_attempted_generation: Option<i64>,
    /// The action that was last tried.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_attempted_release_action: Option<ReleaseAction>,
    /// How long the action that was last tried took.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub last_attempted_release_action_duration: Option<Duration>,
    /// The version of the chart that was last tried.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_attempted_revision: Option<String>,
    /// The digest of the chart that was last tried, if its source has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_attempted_revision_digest: Option<String>,
    /// Checksum of the values that were last tried, as older versions of Flux wrote it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_attempted_values_checksum: Option<String>,
    /// The last request for a forced upgrade that was handled.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_handled_force_at: Option<String>,
    /// The last reconcile request that was handled.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_handled_reconcile_at: Option<String>,
    /// The last request to reset the failure counts that was handled.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_handled_reset_at: Option<String>,
    /// The revision of the last release, as older versions of Flux wrote it.
    #[serde(skip_serializing_if = "is_zero")]
    #[schemars(schema_with = "go_int")]
    pub last_release_revision: i64,
    /// Digest of the common metadata that the release was made with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_common_metadata_digest: Option<String>,
    /// The generation that this status speaks of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Digest of the post-renderers that the release was made with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_post_renderers_digest: Option<String>,
    /// Namespace where Helm keeps the records of the release.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("minLength" = 1, "maxLength" = 63))]
    pub storage_namespace: Option<String>,
    /// How often upgrading has failed since it last succeeded.
    #[serde(skip_serializing_if = "is_zero")]
    pub upgrade_failures: i64,
}
flux_status!(HelmReleaseStatus);

/// One revision of a release.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct ReleaseSnapshot {
    /// The action that made it: install, upgrade, rollback, uninstall or uninstall-remediation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub action: Option<String>,
    /// How `digest` is computed; without it, in a way that is no longer checked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub api_version: Option<String>,
    /// Version of the application in the chart.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub app_version: Option<String>,
    /// Name of the chart.
    pub chart_name: String,
    /// Version of the chart.
    pub chart_version: String,
    /// Digest of the values, as `<algorithm>:<checksum>`.
    pub config_digest: String,
    /// When it was deleted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deleted: Option<Time>,
    /// Digest of Helm's record, as `<algorithm>:<checksum>`.
    pub digest: String,
    /// When the release was first made.
    pub first_deployed: Time,
    /// When this revision was made.
    pub last_deployed: Time,
    /// Name of the release.
    pub name: String,
    /// Namespace of the release.
    pub namespace: String,
    /// Digest of the OCI artifact that the chart came from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub oci_digest: Option<String>,
    /// State of the release in Helm's words.
    pub status: String,
    /// The tests of the chart, and how they went. Absent: they were not run; empty: there are none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub test_hooks: Option<BTreeMap<String, Option<TestHookStatus>>>,
    /// Number of the revision.
    #[schemars(schema_with = "go_int")]
    pub version: i64,
}

impl ReleaseSnapshot {
    /// Returns the name of the revision: `<namespace>/<name>.v<version>`.
    #[must_use]
    pub fn full_release_name(&self) -> String {
        format!("{}/{}.v{}", self.namespace, self.name, self.version)
    }

    /// Returns the chart and its version: `<name>@<version>`.
    #[must_use]
    pub fn versioned_chart_name(&self) -> String {
        format!("{}@{}", self.chart_name, self.chart_version)
    }
}

/// How one test went.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct TestHookStatus {
    /// When it last ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_completed: Option<Time>,
    /// When it last began.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_started: Option<Time>,
    /// How it is or ended, in Helm's words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phase: Option<String>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
fn is_zero(count: &i64) -> bool {
    *count == 0
}
