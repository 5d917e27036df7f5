//! `flux check`.

use clap::{Args as _, Command};
use ferro_api::Duration;

/// Flags of `check`.
#[derive(Clone, Debug, clap::Args)]
pub struct CheckArgs {
    /// Check only what an installation needs
    #[arg(long)]
    pub pre: bool,

    /// Controllers that must be there
    #[arg(long, value_delimiter = ',', value_name = "names")]
    pub components: Vec<String>,

    /// Further controllers that must be there
    #[arg(long, value_delimiter = ',', value_name = "names")]
    pub components_extra: Vec<String>,

    /// Accepted for compatibility: the cluster is watched
    #[arg(long, hide = true, default_value = "5s")]
    pub poll_interval: Duration,
}

pub(super) fn command() -> Command {
    CheckArgs::augment_args(Command::new("check")).about("Check the cluster and the installation")
}
