//! `flux build` and `flux diff`.

use clap::{Args as _, Command};

/// Where a release and what it is made of are taken from.
#[derive(Clone, Debug, clap::Args)]
pub struct InputArgs {
    /// Name of the HelmRelease
    pub name: String,

    /// Path of a manifest with the HelmRelease, instead of the one in the cluster
    #[arg(long, value_name = "file")]
    pub helmrelease_file: Option<String>,

    /// Path of the chart, a directory or an archive, instead of the artifact of its source
    #[arg(long, value_name = "path")]
    pub chart_path: Option<String>,

    /// Paths of manifests with ConfigMaps and Secrets for valuesFrom; those come before the cluster's
    #[arg(long, value_delimiter = ',', value_name = "files")]
    pub values_from_files: Vec<String>,

    /// Paths of files with values that win over all others
    #[arg(long, value_delimiter = ',', value_name = "files")]
    pub values: Vec<String>,

    /// Version of Kubernetes that the chart is rendered for [default: that of the cluster]
    #[arg(long, value_name = "version")]
    pub kube_version: Option<String>,

    /// Further API versions that the chart is told of
    #[arg(long, value_delimiter = ',', value_name = "versions")]
    pub api_versions: Vec<String>,

    /// Look at the cluster with the rights of spec.serviceAccountName, which you must be allowed to impersonate
    #[arg(long)]
    pub as_service_account: bool,
}

/// Flags of `build helmrelease`.
#[derive(Clone, Debug, clap::Args)]
pub struct BuildReleaseArgs {
    #[command(flatten)]
    #[expect(missing_docs, reason = "clap would take them for those of the command")]
    pub input: InputArgs,

    /// Do without a cluster: everything must be in local files
    #[arg(long)]
    pub dry_run: bool,

    /// Build an upgrade, where that is not known from a cluster
    #[arg(long)]
    pub is_upgrade: bool,

    /// Leave hooks out
    #[arg(long)]
    pub no_hooks: bool,

    /// Leave custom resource definitions out
    #[arg(long)]
    pub skip_crds: bool,
}

const BUILD_EXAMPLES: &str = "flux build hr app\n\
    flux build hr app --chart-path=./charts/app --values=./try.yaml\n\
    flux build hr app --dry-run --helmrelease-file=./app.yaml --chart-path=./charts/app --values-from-files=./secrets.yaml";

const DIFF_EXAMPLES: &str = "flux diff hr app --helmrelease-file=./app.yaml\n\
    flux diff hr app --chart-path=./charts/app";

pub(super) fn build_command() -> Command {
    Command::new("build")
        .about("Build objects")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(
            BuildReleaseArgs::augment_args(Command::new("helmrelease"))
                .visible_alias("hr")
                .about("Print the objects of a HelmRelease as helm-controller would apply them")
                .after_help(super::examples(BUILD_EXAMPLES)),
        )
}

pub(super) fn diff_command() -> Command {
    let exit_codes = "Exit codes: 0 nothing would change, 1 something would, 2 there was an error";
    Command::new("diff")
        .about("Compare objects with those of the cluster")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(
            InputArgs::augment_args(Command::new("helmrelease"))
                .visible_alias("hr")
                .about("Print what an upgrade of a HelmRelease would change in the cluster")
                .after_help(format!("{exit_codes}\n\n{}", super::examples(DIFF_EXAMPLES))),
        )
}
