//! The flags and feature gates of helm-controller (`spec/helm.md` D.10).

use std::time::Duration;

use clap::Args;
use ferro_artifact::digest::Algorithm;
use ferro_runtime::flags::{AccountFlags, ApplierFlags, FeatureGates, FlagError, duration};

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
    pub(crate) use ferro_runtime::flags::OBJECT_LEVEL_WORKLOAD_IDENTITY;

    pub(crate) const DISABLE_CHART_DIGEST_TRACKING: &str = "DisableChartDigestTracking";
    pub(crate) const ADDITIVE_CEL_DEPENDENCY_CHECK: &str = "AdditiveCELDependencyCheck";
    pub(crate) const EXTERNAL_ARTIFACT: &str = "ExternalArtifact";
    pub(crate) const DISABLE_CONFIG_WATCHERS: &str = "DisableConfigWatchers";
    pub(crate) const OOM_WATCH: &str = "OOMWatch";
    pub(crate) const USE_HELM3_DEFAULTS: &str = "UseHelm3Defaults";
    pub(crate) const DEFAULT_TO_RETRY_ON_FAILURE: &str = "DefaultToRetryOnFailure";
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
    /// How long releases that are worked on may take to end when the process is told to; as long as they like where it is negative.
    #[arg(long, value_parser = grace, default_value = "600s")]
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

impl Settings {
    /// Refuses combinations that make no sense.
    ///
    /// # Errors
    /// When a flag needs a feature gate that is off.
    pub fn validate(&self, gates: &FeatureGates) -> Result<(), FlagError> {
        gates.allow_default_accounts(&[(
            "--default-kubeconfig-service-account",
            &self.shared.default_kubeconfig_service_account,
        )])
    }
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

/// A time in which to end; without a limit where it is negative, as controller-runtime has it.
fn grace(text: &str) -> Result<Duration, String> {
    match text.strip_prefix('-') {
        Some(positive) => duration(positive).map(|time| if time.is_zero() { time } else { Duration::MAX }),
        None => duration(text),
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
    fn default_accounts_of_identities_need_their_gate() {
        let gates = |text| FeatureGates::parse(&FEATURE_GATES, text).unwrap();
        let on = gates("ObjectLevelWorkloadIdentity=true");
        // The account whose rights are used is no identity at a cloud.
        let settings = test_settings(&["--default-service-account=default"]);
        assert!(settings.validate(&gates("")).is_ok());
        let flag = "--default-kubeconfig-service-account";
        let settings = test_settings(&[&format!("{flag}=default")]);
        assert!(settings.validate(&on).is_ok());
        let error = settings.validate(&gates("")).unwrap_err().to_string();
        let expected = format!(
            "cannot set default service accounts when the feature gate ObjectLevelWorkloadIdentity is not enabled: {flag}"
        );
        assert_eq!(error, expected);
    }

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
        let grace = |flags: &[&str]| test_settings(flags).helm.graceful_shutdown_timeout;
        assert_eq!(grace(&[]), Duration::from_secs(600));
        assert_eq!(grace(&["--graceful-shutdown-timeout=-1s"]), Duration::MAX);
        assert_eq!(grace(&["--graceful-shutdown-timeout=0"]), Duration::ZERO);
    }

    #[test]
    fn digest_algorithms_are_known_by_name() {
        let settings = test_settings(&["--snapshot-digest-algo=blake3", "--no-cross-namespace-refs"]);
        assert_eq!(settings.helm.snapshot_digest_algo, Algorithm::Blake3);
        assert!(settings.shared.no_cross_namespace_refs);
        assert!(algorithm("md5").is_err());
    }
}
