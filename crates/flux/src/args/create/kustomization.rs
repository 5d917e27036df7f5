//! `flux create kustomization`.

use clap::Command;
use ferro_api::Duration;

use super::leaf;
use super::reference::{TypedReference, kustomization_source};

/// Flags of `create kustomization`.
#[derive(Clone, Debug, clap::Args)]
pub struct KustomizationArgs {
    /// Where the files are: <kind>/<name>.<namespace>
    #[arg(long, value_parser = kustomization_source)]
    pub source: Option<TypedReference>,

    /// Path of the directory in the source
    #[arg(long, default_value = "./")]
    pub path: String,

    /// Delete objects that are no longer in the source
    #[arg(long)]
    pub prune: bool,

    /// Wait for all objects to become healthy
    #[arg(long)]
    pub wait: bool,

    /// Objects to wait for: <kind>/<name>.<namespace>
    #[arg(long, value_delimiter = ',', value_name = "objects")]
    pub health_check: Vec<String>,

    /// How long objects may take to become healthy
    #[arg(long, default_value = "2m", value_name = "duration")]
    pub health_check_timeout: Duration,

    /// Accepted for compatibility: the API server validates
    #[arg(long, hide = true)]
    pub validation: Option<String>,

    /// Kustomizations that must be ready before: <name> or <namespace>/<name>
    #[arg(long, value_delimiter = ',', value_name = "names")]
    pub depends_on: Vec<String>,

    /// Name of the service account with whose rights objects are applied
    #[arg(long, value_name = "name")]
    pub service_account: Option<String>,

    /// What decrypts files
    #[arg(long, value_parser = ["sops"])]
    pub decryption_provider: Option<String>,

    /// Name of a Secret with the keys of the decryption
    #[arg(long, value_name = "name")]
    pub decryption_secret: Option<String>,

    /// Namespace of all objects
    #[arg(long, value_name = "namespace")]
    pub target_namespace: Option<String>,

    /// Name of a Secret with the kubeconfig of another cluster
    #[arg(long, value_name = "name")]
    pub kubeconfig_secret_ref: Option<String>,

    /// When to try again after a failure
    #[arg(long, value_name = "duration")]
    pub retry_interval: Option<Duration>,
}

pub(super) fn command() -> Command {
    let examples = "flux create kustomization app --source=GitRepository/app --path=./deploy --prune --interval=60m --wait\n\
        flux create kustomization policies --depends-on=app --source=OCIRepository/policies.flux-system --prune";
    leaf::<KustomizationArgs>("kustomization", "Create or update a Kustomization", examples)
        .visible_alias("ks")
}
