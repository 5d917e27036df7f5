//! `flux version`.

use clap::{Args as _, Command};

/// Flags of `version`.
#[derive(Clone, Debug, clap::Args)]
pub struct VersionArgs {
    /// Print the version of this program only
    #[arg(long)]
    pub client: bool,

    /// Format: yaml or json
    #[arg(short, long, default_value = "yaml", value_name = "format")]
    pub output: String,
}

pub(super) fn command() -> Command {
    VersionArgs::augment_args(Command::new("version"))
        .about("Print the versions of this program and of Flux in the cluster")
}
