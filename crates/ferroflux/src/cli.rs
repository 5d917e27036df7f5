//! The command line: the flags of every controller, those that they share once.

use clap::{Parser, ValueEnum};
use ferro_api::controller;
use ferro_runtime::flags::ProcessFlags;
use kustomize_controller::args::{AccountFlags, KustomizeFlags, PaceFlags};
use source_controller::args::SourceFlags;

/// A controller that can be run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Which {
    /// Fetches sources.
    #[value(name = controller::SOURCE)]
    Source,
    /// Applies Kustomizations.
    #[value(name = controller::KUSTOMIZE)]
    Kustomize,
}

/// Runs Flux's controllers in one process.
#[derive(Clone, Debug, Parser)]
#[command(name = "ferroflux", version, max_term_width = 100)]
pub(crate) struct Cli {
    /// Controllers to run, with commas between.
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = [Which::Source, Which::Kustomize])]
    pub(crate) controllers: Vec<Which>,
    #[command(flatten)]
    pub(crate) process: ProcessFlags,
    /// `--concurrent`, `--requeue-dependency` and `--default-service-account` are here, and hold for every controller.
    #[command(flatten)]
    pub(crate) source: SourceFlags,
    #[command(flatten)]
    kustomize: KustomizeFlags,
}

impl Cli {
    /// The flags of kustomize-controller.
    pub(crate) fn kustomize(&self) -> KustomizeFlags {
        self.kustomize.clone().with_account(AccountFlags {
            default_service_account: self.source.default_service_account.clone(),
        })
    }

    /// The pace of kustomize-controller.
    pub(crate) fn pace(&self) -> PaceFlags {
        PaceFlags {
            concurrent: self.source.concurrent,
            requeue_dependency: self.source.requeue_dependency,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn flags_of_all_controllers_fit_together() {
        Cli::command().debug_assert();
    }

    #[test]
    fn lockdown_holds_for_every_controller() {
        let cli = Cli::parse_from(["ferroflux", "--default-service-account=none"]);
        assert_eq!(cli.source.default_service_account, "none");
        assert_eq!(cli.kustomize().default_service_account, "none");
    }

    #[test]
    fn controllers_are_chosen_by_name() {
        let cli = Cli::parse_from(["ferroflux"]);
        assert_eq!(cli.controllers, [Which::Source, Which::Kustomize]);
        let cli = Cli::parse_from([
            "ferroflux",
            "--controllers=kustomize-controller",
            "--concurrent=20",
        ]);
        assert_eq!(cli.controllers, [Which::Kustomize]);
        assert_eq!(cli.pace().concurrent, 20);
        assert!(Cli::try_parse_from(["ferroflux", "--controllers=nobody"]).is_err());
    }
}
