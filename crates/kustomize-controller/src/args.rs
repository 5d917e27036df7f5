//! The flags and feature gates of kustomize-controller (`spec/kustomize-and-notification.md` I.4).

use clap::Args;
use ferro_runtime::flags::{AccountFlags, ApplierFlags, FeatureGates, FlagError};

/// Names and defaults of the feature gates.
pub const FEATURE_GATES: [(&str, bool); 12] = [
    ("CacheSecretsAndConfigMaps", false),
    ("DisableStatusPollerCache", true),
    (gate::DISABLE_FAIL_FAST, false),
    (gate::STRICT_SUBSTITUTIONS, true),
    (gate::GROUP_CHANGE_LOG, false),
    (gate::ADDITIVE_CEL_DEPENDENCY_CHECK, false),
    (gate::EXTERNAL_ARTIFACT, false),
    // Off upstream, where a fix that is pushed waits until the check of what it fixes has timed out.
    (gate::CANCEL_HEALTH_CHECKS, true),
    (gate::DISABLE_CONFIG_WATCHERS, false),
    ("DirectSourceFetch", false),
    (gate::MIGRATE_API_VERSION, false),
    (gate::OBJECT_LEVEL_WORKLOAD_IDENTITY, false),
];

/// Feature gates that change what this controller does. The others of upstream are accepted: what they switch is decided by the design
/// (health is watched, sources and variables are what the watches and reads say).
pub(crate) mod gate {
    pub(crate) use ferro_runtime::flags::OBJECT_LEVEL_WORKLOAD_IDENTITY;

    pub(crate) const DISABLE_FAIL_FAST: &str = "DisableFailFastBehavior";
    pub(crate) const GROUP_CHANGE_LOG: &str = "GroupChangeLog";
    pub(crate) const CANCEL_HEALTH_CHECKS: &str = "CancelHealthCheckOnNewRevision";
    pub(crate) const STRICT_SUBSTITUTIONS: &str = "StrictPostBuildSubstitutions";
    pub(crate) const ADDITIVE_CEL_DEPENDENCY_CHECK: &str = "AdditiveCELDependencyCheck";
    pub(crate) const EXTERNAL_ARTIFACT: &str = "ExternalArtifact";
    pub(crate) const DISABLE_CONFIG_WATCHERS: &str = "DisableConfigWatchers";
    pub(crate) const MIGRATE_API_VERSION: &str = "MigrateAPIVersion";
}

/// Flags of kustomize-controller alone.
#[derive(Args, Clone, Debug)]
pub struct KustomizeFlags {
    /// Dry-runs and applies in flight for one Kustomization; up to four times as many where objects are new.
    #[arg(long, default_value_t = 4)]
    pub concurrent_ssa: u16,
    /// Refuse bases that are fetched from elsewhere.
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value_t = false, action = clap::ArgAction::Set)]
    pub no_remote_bases: bool,
    /// Kinds applied before the rest, as `group/Kind`, or `Kind` in the core group, with commas between.
    #[arg(long, value_delimiter = ',', value_parser = stage_kind)]
    pub custom_apply_stage_kinds: Vec<String>,
    /// Service account that decrypts where a Kustomization names none. This version refuses such Kustomizations when this is set.
    #[arg(long, default_value = "")]
    pub default_decryption_service_account: String,
    /// Secret with age keys for those who name none; this version refuses encrypted Secrets.
    #[arg(long, default_value = "")]
    pub sops_age_secret: String,
    /// ConfigMap with the address of Vault for those who name none; this version refuses encrypted Secrets.
    #[arg(long, default_value = "")]
    pub sops_vault_configmap: String,
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

/// All settings of kustomize-controller.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Its own.
    pub kustomize: KustomizeFlags,
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
        gates.allow_default_accounts(&[
            (
                "--default-kubeconfig-service-account",
                &self.shared.default_kubeconfig_service_account,
            ),
            (
                "--default-decryption-service-account",
                &self.kustomize.default_decryption_service_account,
            ),
        ])
    }
}

impl KustomizeFlags {
    /// These flags, with those that stand apart.
    #[must_use]
    pub fn with(self, shared: ApplierFlags, account: AccountFlags) -> Settings {
        Settings {
            kustomize: self,
            shared,
            account,
        }
    }
}

/// A kind as `group/Kind`, or `Kind` in the core group.
fn stage_kind(text: &str) -> Result<String, String> {
    let text = text.trim();
    let kind = match text.split('/').collect::<Vec<_>>().as_slice() {
        [kind] | [_, kind] => *kind,
        _ => "",
    };
    let is_kind = kind.starts_with(|c: char| c.is_ascii_uppercase());
    if (is_kind && !text.starts_with('/')) || text.is_empty() {
        Ok(text.to_owned())
    } else {
        Err(format!("`{text}` is no kind; expected `group/Kind` or `Kind`"))
    }
}

/// Settings as a command line gives them.
#[cfg(test)]
pub(crate) fn test_settings(arguments: &[&str]) -> Settings {
    use clap::Parser;

    #[derive(Parser)]
    struct Program {
        #[command(flatten)]
        kustomize: KustomizeFlags,
        #[command(flatten)]
        shared: ApplierFlags,
        #[command(flatten)]
        account: AccountFlags,
    }
    let program = Program::parse_from(["program"].iter().chain(arguments));
    program.kustomize.with(program.shared, program.account)
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
        for flag in [
            "--default-kubeconfig-service-account",
            "--default-decryption-service-account",
        ] {
            let settings = test_settings(&[&format!("{flag}=default")]);
            assert!(settings.validate(&on).is_ok());
            let error = settings.validate(&gates("")).unwrap_err().to_string();
            let expected = format!(
                "cannot set default service accounts when the feature gate ObjectLevelWorkloadIdentity is not enabled: {flag}"
            );
            assert_eq!(error, expected);
        }
    }

    #[test]
    fn flags_of_upstreams_lockdown_are_accepted() {
        let settings = test_settings(&[
            "--no-cross-namespace-refs=true",
            "--no-remote-bases=true",
            "--default-service-account=default",
            "--default-decryption-service-account=default",
            "--default-kubeconfig-service-account=default",
            "--sops-age-secret=keys",
            "--sops-vault-configmap=vault",
            "--insecure-kubeconfig-exec",
            "--insecure-kubeconfig-tls=false",
        ]);
        assert!(settings.shared.no_cross_namespace_refs && settings.kustomize.no_remote_bases);
        assert_eq!(settings.account.default_service_account, "default");
        assert!(settings.shared.insecure_kubeconfig_exec && !settings.shared.insecure_kubeconfig_tls);
    }

    #[test]
    fn stage_kinds_may_have_blanks_but_must_be_kinds() {
        let flags = test_settings(&["--custom-apply-stage-kinds=apps/Deployment, Service"]).kustomize;
        assert_eq!(flags.custom_apply_stage_kinds, ["apps/Deployment", "Service"]);
        assert!(test_settings(&[]).kustomize.custom_apply_stage_kinds.is_empty());
        assert!(stage_kind("apps/v1/Deployment").is_err() && stage_kind("deployments").is_err());
        assert!(stage_kind("/Service").is_err());
    }
}
