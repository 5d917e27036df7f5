//! The flags and feature gates of helm-controller (`spec/helm.md` D.10).

use std::time::Duration;

use clap::Args;
use ferro_artifact::digest::Algorithm;
use ferro_runtime::flags::{AccountFlags, ApplierFlags, duration};

/// Names and defaults of the feature gates.
pub const FEATURE_GATES: [(&str, bool); 15] = [
    ("CacheSecretsAndConfigMaps", false),
    ("DetectDrift", false),
    ("CorrectDrift", false),
    ("AllowDNSLookups", false),
    (gate::OOM_WATCH, false),
    ("AdoptLegacyReleases", true),
    (gate::DISABLE_CHART_DIGEST_TRACKING, false),
    (gate::ADDITIVE_CEL_DEPENDENCY_CHECK, false),
    (gate::EXTERNAL_ARTIFACT, false),
    (gate::DISABLE_CONFIG_WATCHERS, false),
    ("DirectSourceFetch", false),
    (gate::USE_HELM3_DEFAULTS, false),
    ("CancelHealthCheckOnNewRevision", false),
    (gate::DEFAULT_TO_RETRY_ON_FAILURE, false),
    (gate::OBJECT_LEVEL_WORKLOAD_IDENTITY, false),
];

/// Feature gates that change what this controller does. The others of upstream are accepted: what they switch is decided by the design.
pub(crate) mod gate {
    pub(crate) const DISABLE_CHART_DIGEST_TRACKING: &str = "DisableChartDigestTracking";
    pub(crate) const ADDITIVE_CEL_DEPENDENCY_CHECK: &str = "AdditiveCELDependencyCheck";
    pub(crate) const EXTERNAL_ARTIFACT: &str = "ExternalArtifact";
    pub(crate) const DISABLE_CONFIG_WATCHERS: &str = "DisableConfigWatchers";
    pub(crate) const OOM_WATCH: &str = "OOMWatch";
    pub(crate) const USE_HELM3_DEFAULTS: &str = "UseHelm3Defaults";
    pub(crate) const DEFAULT_TO_RETRY_ON_FAILURE: &str = "DefaultToRetryOnFailure";
    pub(crate) const OBJECT_LEVEL_WORKLOAD_IDENTITY: &str = "ObjectLevelWorkloadIdentity";
}

/// Flags of helm-controller alone.
#[derive(Args, Clone, Debug)]
pub struct HelmFlags {
    /// Algorithm of the digests in the history.
    #[arg(long, default_value = "sha256", value_parser = algorithm)]
    pub snapshot_digest_algo: Algorithm,
    /// How long a download of a chart may take.
    #[arg(long, value_parser = duration, default_value = "30s")]
    pub http_timeout: Duration,
    /// How long releases that are worked on may take to end when the process is told to.
    #[arg(long, value_parser = duration, default_value = "600s")]
    pub graceful_shutdown_timeout: Duration,
    /// Percentage of the memory at which the process is stopped in good order, with the gate OOMWatch.
    #[arg(long, default_value_t = 95)]
    pub oom_watch_memory_threshold: u8,
    /// How often memory is looked at, with the gate OOMWatch.
    #[arg(long, value_parser = duration, default_value = "500ms")]
    pub oom_watch_interval: Duration,
    /// File with the memory that there may be; by default that of the control group.
    #[arg(long, default_value = "")]
    pub oom_watch_max_memory_path: String,
    /// File with the memory in use; by default that of the control group.
    #[arg(long, default_value = "")]
    pub oom_watch_current_memory_path: String,
    /// Bytes of unpacked charts that are kept for releases to come.
    #[arg(long, default_value_t = 16 << 20)]
    pub chart_cache_size: usize,
    /// Folder for unpacked artifacts that values are taken from; by default one in the system's temporary folder.
    #[arg(long, default_value = "")]
    pub values_cache_path: String,
}

/// All settings of helm-controller.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Its own.
    pub helm: HelmFlags,
    /// Those that it has in common with others.
    pub shared: ApplierFlags,
    /// The service account of those who name none.
    pub account: AccountFlags,
}

impl HelmFlags {
    /// These flags, with those that stand apart.
    #[must_use]
    pub fn with(self, shared: ApplierFlags, account: AccountFlags) -> Settings {
        Settings {
            helm: self,
            shared,
            account,
        }
    }
}

fn algorithm(text: &str) -> Result<Algorithm, String> {
    text.parse::<Algorithm>().map_err(|error| error.to_string())
}

/// Settings as a command line gives them.
#[cfg(test)]
pub(crate) fn test_settings(arguments: &[&str]) -> Settings {
    use clap::Parser;

    #[derive(Parser)]
    struct Program {
        #[command(flatten)]
        helm: HelmFlags,
        #[command(flatten)]
        shared: ApplierFlags,
        #[command(flatten)]
        account: AccountFlags,
    }
    let program = Program::parse_from(["program"].iter().chain(arguments));
    program.helm.with(program.shared, program.account)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_of_upstreams_manifests_are_accepted() {
        let settings = test_settings(&[
            "--graceful-shutdown-timeout=60s",
            "--oom-watch-memory-threshold=90",
            "--oom-watch-interval=1s",
            "--oom-watch-max-memory-path=/max",
            "--oom-watch-current-memory-path=/current",
            "--default-kubeconfig-service-account=default",
        ]);
        assert_eq!(settings.helm.graceful_shutdown_timeout, Duration::from_secs(60));
        let default = test_settings(&[]).helm.graceful_shutdown_timeout;
        assert_eq!(default, Duration::from_secs(600));
    }

    #[test]
    fn digest_algorithms_are_known_by_name() {
        let settings = test_settings(&["--snapshot-digest-algo=blake3", "--no-cross-namespace-refs"]);
        assert_eq!(settings.helm.snapshot_digest_algo, Algorithm::Blake3);
        assert!(settings.shared.no_cross_namespace_refs);
        assert!(algorithm("md5").is_err());
    }
}
