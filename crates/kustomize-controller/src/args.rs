//! The flags and feature gates of kustomize-controller (`spec/kustomize-and-notification.md` I.4).

use std::time::Duration;

use clap::Args;
use ferro_runtime::flags::duration;

/// Names and defaults of the feature gates.
pub const FEATURE_GATES: [(&str, bool); 12] = [
    ("CacheSecretsAndConfigMaps", false),
    ("DisableStatusPollerCache", true),
    (gate::DISABLE_FAIL_FAST, false),
    (gate::STRICT_SUBSTITUTIONS, true),
    ("GroupChangeLog", false),
    (gate::ADDITIVE_CEL_DEPENDENCY_CHECK, false),
    (gate::EXTERNAL_ARTIFACT, false),
    ("CancelHealthCheckOnNewRevision", true),
    (gate::DISABLE_CONFIG_WATCHERS, false),
    ("DirectSourceFetch", false),
    (gate::MIGRATE_API_VERSION, false),
    (gate::OBJECT_LEVEL_WORKLOAD_IDENTITY, false),
];

/// Feature gates that change what this controller does. The others of upstream are accepted: what they switch is decided by the design
/// (health is watched, newer work always ends a wait).
pub(crate) mod gate {
    pub(crate) const DISABLE_FAIL_FAST: &str = "DisableFailFastBehavior";
    pub(crate) const STRICT_SUBSTITUTIONS: &str = "StrictPostBuildSubstitutions";
    pub(crate) const ADDITIVE_CEL_DEPENDENCY_CHECK: &str = "AdditiveCELDependencyCheck";
    pub(crate) const EXTERNAL_ARTIFACT: &str = "ExternalArtifact";
    pub(crate) const DISABLE_CONFIG_WATCHERS: &str = "DisableConfigWatchers";
    pub(crate) const MIGRATE_API_VERSION: &str = "MigrateAPIVersion";
    pub(crate) const OBJECT_LEVEL_WORKLOAD_IDENTITY: &str = "ObjectLevelWorkloadIdentity";
}

/// Flags that every controller has, with defaults of its own; a process that runs several has them once.
#[derive(Args, Clone, Copy, Debug)]
pub struct PaceFlags {
    /// Kustomizations reconciled at once.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..))]
    pub concurrent: u16,
    /// Time after which a Kustomization whose dependencies are not ready is looked at again.
    #[arg(long, value_parser = duration, default_value = "30s")]
    pub requeue_dependency: Duration,
}

impl Default for PaceFlags {
    fn default() -> Self {
        Self {
            concurrent: 4,
            requeue_dependency: Duration::from_secs(30),
        }
    }
}

/// Flags of kustomize-controller.
#[derive(Args, Clone, Debug)]
pub struct KustomizeFlags {
    /// Dry-runs and applies in flight for one Kustomization.
    #[arg(long, default_value_t = 4)]
    pub concurrent_ssa: u16,
    /// Refuse bases that are fetched from elsewhere.
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value_t = false, action = clap::ArgAction::Set)]
    pub no_remote_bases: bool,
    /// Refuse sources in other namespaces.
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value_t = false, action = clap::ArgAction::Set)]
    pub no_cross_namespace_refs: bool,
    /// Attempts to fetch an artifact.
    #[arg(long, default_value_t = 9)]
    pub http_retry: u32,
    /// Field managers, besides kubectl's, whose fields are taken over; can be repeated.
    #[arg(long)]
    pub override_manager: Vec<String>,
    /// Kinds applied before the rest, as `group/Kind` with commas between.
    #[arg(long, default_value = "", value_delimiter = ',')]
    pub custom_apply_stage_kinds: Vec<String>,
    /// Repair managed objects as soon as they change, not only at the next interval.
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value_t = true, action = clap::ArgAction::Set)]
    pub watch_drift: bool,
    /// Folder in which artifacts are kept unpacked; by default one in the system's temporary folder.
    #[arg(long, default_value = "")]
    pub artifact_cache_path: String,
    /// Bytes of unpacked artifacts that are kept.
    #[arg(long, default_value_t = 1 << 30)]
    pub artifact_cache_size: u64,
}
