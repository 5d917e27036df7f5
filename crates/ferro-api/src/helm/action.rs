//! How Helm's actions are done, and what follows when they fail.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::crd::{cel, go_int};
use crate::macros::string_enum;
use crate::meta::{Duration, is_false};

string_enum! {
    /// What happens to the CRDs in the `crds` directory of a chart.
    pub enum CrdsPolicy {
        /// Nothing.
        Skip = "Skip",
        /// Those that do not exist are created.
        #[default]
        Create = "Create",
        /// They are created or replaced, but never deleted.
        CreateReplace = "CreateReplace",
    }
}

string_enum! {
    /// What follows a failure.
    pub enum StrategyName {
        /// The failure is undone, as `remediation` says.
        #[default]
        RemediateOnFailure = "RemediateOnFailure",
        /// The action is tried again as an upgrade, and nothing is undone.
        RetryOnFailure = "RetryOnFailure",
    }
}

string_enum! {
    /// How a failed upgrade is undone.
    pub enum RemediationStrategy {
        /// By rolling back to the revision before.
        #[default]
        Rollback = "rollback",
        /// By uninstalling.
        Uninstall = "uninstall",
    }
}

string_enum! {
    /// Whether the server merges what is applied.
    pub enum ServerSideApplyMode {
        /// It does.
        Enabled = "enabled",
        /// It does not: Helm makes three-way patches.
        Disabled = "disabled",
        /// As for the revision before.
        #[default]
        Auto = "auto",
    }
}

string_enum! {
    /// What happens when a release gets a chart of another name.
    pub enum ChartNameChangeStrategyKind {
        /// It is upgraded.
        InPlaceUpdate = "InPlaceUpdate",
        /// It is uninstalled and installed anew.
        #[default]
        Reinstall = "Reinstall",
    }
}

string_enum! {
    /// What becomes of the objects that deleted objects own.
    pub enum DeletionPropagation {
        /// They are deleted afterwards.
        #[default]
        Background = "background",
        /// They are deleted first.
        Foreground = "foreground",
        /// They stay.
        Orphan = "orphan",
    }
}

/// How installing is done.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct Install {
    /// What happens to the CRDs of the chart: Skip, Create (the default) or CreateReplace.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub crds: Option<CrdsPolicy>,
    /// Whether the target namespace is created if it does not exist.
    #[serde(skip_serializing_if = "is_false")]
    pub create_namespace: bool,
    /// Whether the hooks of the chart are left out.
    #[serde(skip_serializing_if = "is_false")]
    pub disable_hooks: bool,
    /// Whether manifests are applied without checking them against the schemas of the API server.
    #[serde(rename = "disableOpenAPIValidation", skip_serializing_if = "is_false")]
    pub disable_openapi_validation: bool,
    /// Whether values are used without checking them against the schema of the chart.
    #[serde(skip_serializing_if = "is_false")]
    pub disable_schema_validation: bool,
    /// Whether it is an error if an object exists already without belonging to the release.
    #[serde(skip_serializing_if = "is_false")]
    pub disable_take_ownership: bool,
    /// Whether the action ends without waiting for objects to become healthy.
    #[serde(skip_serializing_if = "is_false")]
    pub disable_wait: bool,
    /// Whether the action ends without waiting for Jobs to complete.
    #[serde(skip_serializing_if = "is_false")]
    pub disable_wait_for_jobs: bool,
    /// What follows a failure with the strategy RemediateOnFailure.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remediation: Option<InstallRemediation>,
    /// Whether the name of a release that was uninstalled or has failed may be used again.
    #[serde(skip_serializing_if = "is_false")]
    pub replace: bool,
    /// Whether the server merges what is applied (the default).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server_side_apply: Option<bool>,
    /// No longer used; see `crds`.
    #[serde(rename = "skipCRDs", skip_serializing_if = "is_false")]
    pub skip_crds: bool,
    /// What follows a failure.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub strategy: Option<InstallStrategy>,
    /// How long each single operation may take; without it, the timeout of the release.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Duration>,
}

/// What follows a failed install.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = cel(&[(
    "!has(self.retryInterval) || self.name != 'RemediateOnFailure'",
    ".retryInterval cannot be set when .name is 'RemediateOnFailure'",
)])))]
pub struct InstallStrategy {
    /// RemediateOnFailure (uninstall, then install again) or RetryOnFailure (upgrade).
    pub name: StrategyName,
    /// How long to wait before trying again with RetryOnFailure; without it, 5 minutes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_interval: Option<Duration>,
}

/// What follows a failed upgrade.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = cel(&[(
    "!has(self.retryInterval) || self.name == 'RetryOnFailure'",
    ".retryInterval can only be set when .name is 'RetryOnFailure'",
)])))]
pub struct UpgradeStrategy {
    /// RemediateOnFailure (undo it as `remediation` says) or RetryOnFailure (upgrade again).
    pub name: StrategyName,
    /// How long to wait before trying again with RetryOnFailure; without it, 5 minutes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_interval: Option<Duration>,
}

/// The time before trying again with [`StrategyName::RetryOnFailure`] when none is set.
const DEFAULT_RETRY_INTERVAL: Duration = Duration::from_mins(5);

impl InstallStrategy {
    /// Returns how long to wait before trying again.
    #[must_use]
    pub fn retry_interval_or_default(&self) -> Duration {
        self.retry_interval.unwrap_or(DEFAULT_RETRY_INTERVAL)
    }
}

impl UpgradeStrategy {
    /// Returns how long to wait before trying again.
    #[must_use]
    pub fn retry_interval_or_default(&self) -> Duration {
        self.retry_interval.unwrap_or(DEFAULT_RETRY_INTERVAL)
    }
}

/// How a failed install is undone: by uninstalling.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct InstallRemediation {
    /// Whether failing tests are no failure; without it, what `test.ignoreFailures` says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ignore_test_failures: Option<bool>,
    /// Whether the last failure is undone too, when no retries are left; not, by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remediate_last_failure: Option<bool>,
    /// How often installing is tried again; without limit if negative.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "go_int")]
    pub retries: Option<i64>,
}

/// How a failed upgrade is undone.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct UpgradeRemediation {
    /// Whether failing tests are no failure; without it, what `test.ignoreFailures` says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ignore_test_failures: Option<bool>,
    /// Whether the last failure is undone too, when no retries are left; by default if there are any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remediate_last_failure: Option<bool>,
    /// How often upgrading is tried again; without limit if negative.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "go_int")]
    pub retries: Option<i64>,
    /// How the failure is undone: rollback (the default) or uninstall.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub strategy: Option<RemediationStrategy>,
}

/// What the remediations of install and upgrade have in common.
pub trait Remediation {
    /// Returns how often the action is tried again; without limit if negative.
    fn retries(&self) -> i64;

    /// Reports whether failing tests are no failure, given what `test.ignoreFailures` says.
    fn ignores_test_failures(&self, by_default: bool) -> bool;

    /// Reports whether the last failure is undone too.
    fn remediates_last_failure(&self) -> bool;

    /// Returns how the failure is undone.
    fn strategy(&self) -> RemediationStrategy;

    /// Reports whether no retries are left after a number of failures.
    fn is_exhausted(&self, failures: i64) -> bool {
        self.retries() >= 0 && failures > self.retries()
    }
}

impl Remediation for InstallRemediation {
    fn retries(&self) -> i64 {
        self.retries.unwrap_or(0)
    }

    fn ignores_test_failures(&self, by_default: bool) -> bool {
        self.ignore_test_failures.unwrap_or(by_default)
    }

    fn remediates_last_failure(&self) -> bool {
        self.remediate_last_failure.unwrap_or(false)
    }

    fn strategy(&self) -> RemediationStrategy {
        RemediationStrategy::Uninstall
    }
}

impl Remediation for UpgradeRemediation {
    fn retries(&self) -> i64 {
        self.retries.unwrap_or(0)
    }

    fn ignores_test_failures(&self, by_default: bool) -> bool {
        self.ignore_test_failures.unwrap_or(by_default)
    }

    fn remediates_last_failure(&self) -> bool {
        self.remediate_last_failure.unwrap_or_else(|| self.retries() > 0)
    }

    fn strategy(&self) -> RemediationStrategy {
        self.strategy.unwrap_or_default()
    }
}

/// How upgrading is done.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct Upgrade {
    /// What happens when the chart has another name than before: InPlaceUpdate or Reinstall (the
    /// default).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chart_name_change_strategy: Option<ChartNameChangeStrategyKind>,
    /// Whether objects that a failed upgrade created are deleted.
    #[serde(skip_serializing_if = "is_false")]
    pub cleanup_on_fail: bool,
    /// What happens to the CRDs of the chart: Skip, Create (the default) or CreateReplace.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub crds: Option<CrdsPolicy>,
    /// Whether the hooks of the chart are left out.
    #[serde(skip_serializing_if = "is_false")]
    pub disable_hooks: bool,
    /// Whether manifests are applied without checking them against the schemas of the API server.
    #[serde(rename = "disableOpenAPIValidation", skip_serializing_if = "is_false")]
    pub disable_openapi_validation: bool,
    /// Whether values are used without checking them against the schema of the chart.
    #[serde(skip_serializing_if = "is_false")]
    pub disable_schema_validation: bool,
    /// Whether it is an error if an object exists already without belonging to the release.
    #[serde(skip_serializing_if = "is_false")]
    pub disable_take_ownership: bool,
    /// Whether the action ends without waiting for objects to become healthy.
    #[serde(skip_serializing_if = "is_false")]
    pub disable_wait: bool,
    /// Whether the action ends without waiting for Jobs to complete.
    #[serde(skip_serializing_if = "is_false")]
    pub disable_wait_for_jobs: bool,
    /// Whether objects are replaced instead of patched. It has no effect with server-side apply.
    #[serde(skip_serializing_if = "is_false")]
    pub force: bool,
    /// Whether the values of the revision before are kept, with the new ones over them.
    #[serde(skip_serializing_if = "is_false")]
    pub preserve_values: bool,
    /// What follows a failure with the strategy RemediateOnFailure.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remediation: Option<UpgradeRemediation>,
    /// Whether the server merges what is applied: enabled, disabled, or auto (the default) as for the
    /// revision before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server_side_apply: Option<ServerSideApplyMode>,
    /// What follows a failure.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub strategy: Option<UpgradeStrategy>,
    /// How long each single operation may take; without it, the timeout of the release.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Duration>,
}

/// Whether and how the tests of the chart are run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct Test {
    /// Whether the tests are run after each install and upgrade.
    #[serde(skip_serializing_if = "is_false")]
    pub enable: bool,
    /// Which tests are run; without it, all.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub filters: Vec<TestFilter>,
    /// Whether failing tests leave the release ready.
    #[serde(skip_serializing_if = "is_false")]
    pub ignore_failures: bool,
    /// How long each test may take; without it, the timeout of the release.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Duration>,
}

/// A test to run, or not to run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct TestFilter {
    /// Whether the test is left out.
    #[serde(skip_serializing_if = "is_false")]
    pub exclude: bool,
    /// Name of the test.
    #[schemars(extend("minLength" = 1, "maxLength" = 253))]
    pub name: String,
}

/// How rolling back is done.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct Rollback {
    /// Whether objects that a failed rollback created are deleted.
    #[serde(skip_serializing_if = "is_false")]
    pub cleanup_on_fail: bool,
    /// Whether the hooks of the chart are left out.
    #[serde(skip_serializing_if = "is_false")]
    pub disable_hooks: bool,
    /// Whether the action ends without waiting for objects to become healthy.
    #[serde(skip_serializing_if = "is_false")]
    pub disable_wait: bool,
    /// Whether the action ends without waiting for Jobs to complete.
    #[serde(skip_serializing_if = "is_false")]
    pub disable_wait_for_jobs: bool,
    /// Whether objects are replaced instead of patched. It has no effect with server-side apply.
    #[serde(skip_serializing_if = "is_false")]
    pub force: bool,
    /// No longer used.
    #[serde(skip_serializing_if = "is_false")]
    pub recreate: bool,
    /// Whether the server merges what is applied: enabled, disabled, or auto (the default) as for the
    /// revision that is rolled back to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server_side_apply: Option<ServerSideApplyMode>,
    /// How long each single operation may take; without it, the timeout of the release.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Duration>,
}

/// How uninstalling is done.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct Uninstall {
    /// What becomes of the objects that deleted objects own: background (deleted afterwards),
    /// foreground (deleted first) or orphan (kept).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-default" = "background"))]
    pub deletion_propagation: Option<DeletionPropagation>,
    /// Whether the hooks of the chart are left out.
    #[serde(skip_serializing_if = "is_false")]
    pub disable_hooks: bool,
    /// Whether the action ends without waiting for the objects to be gone.
    #[serde(skip_serializing_if = "is_false")]
    pub disable_wait: bool,
    /// Whether Helm keeps its records of the release.
    #[serde(skip_serializing_if = "is_false")]
    pub keep_history: bool,
    /// How long each single operation may take; without it, the timeout of the release.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Duration>,
}
