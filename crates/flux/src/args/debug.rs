//! `flux debug`.

use clap::{Args as _, Command};

/// Flags of `debug helmrelease`.
#[derive(Clone, Debug, clap::Args)]
pub struct DebugReleaseArgs {
    /// Name of the object
    pub name: String,

    /// Print the status
    #[arg(long)]
    pub show_status: bool,

    /// Print the values that the release is made with; those from Secrets are in it
    #[arg(long)]
    pub show_values: bool,

    /// Print the history of the release
    #[arg(long)]
    pub show_history: bool,
}

/// Flags of `debug kustomization`.
#[derive(Clone, Debug, clap::Args)]
pub struct DebugKustomizationArgs {
    /// Name of the object
    pub name: String,

    /// Print the status
    #[arg(long)]
    pub show_status: bool,

    /// Print the variables of the substitution; those from Secrets are in it
    #[arg(long)]
    pub show_vars: bool,

    /// Print the history of the object
    #[arg(long)]
    pub show_history: bool,
}

pub(super) fn command() -> Command {
    let release = DebugReleaseArgs::augment_args(Command::new("helmrelease"))
        .visible_alias("hr")
        .about("Debug a HelmRelease object")
        .after_help(super::examples(
            "flux debug hr app --show-status\nflux debug hr app --show-values > values.yaml",
        ));
    let kustomization = DebugKustomizationArgs::augment_args(Command::new("kustomization"))
        .visible_alias("ks")
        .about("Debug a Kustomization object")
        .after_help(super::examples("flux debug ks app --show-vars > vars.env"));
    Command::new("debug")
        .about("Find out why an object is not what it should be")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(release)
        .subcommand(kustomization)
}
