//! The command line: the flags of every controller, those that they share once.

use clap::{Parser, ValueEnum};
use ferro_api::controller;
use ferro_runtime::flags::{AccountFlags, ApplierFlags, PaceFlags, ProcessFlags};
use helm_controller::args::HelmFlags;
use kustomize_controller::args::KustomizeFlags;
use source_controller::args::SourceFlags;
use source_watcher::args::{SharedFlags, WatcherFlags};

/// A controller that can be run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Which {
    /// Fetches sources.
    #[value(name = controller::SOURCE)]
    Source,
    /// Applies Kustomizations.
    #[value(name = controller::KUSTOMIZE)]
    Kustomize,
    /// Releases charts.
    #[value(name = controller::HELM)]
    Helm,
    /// Composes artifacts.
    #[value(name = controller::SOURCE_WATCHER)]
    Watcher,
}

/// Runs Flux's controllers in one process.
#[derive(Clone, Debug, Parser)]
#[command(name = "ferroflux", version, max_term_width = 100)]
pub(crate) struct Cli {
    /// Controllers to run, with commas between.
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = [Which::Source, Which::Kustomize, Which::Helm])]
    pub(crate) controllers: Vec<Which>,
    #[command(flatten)]
    pub(crate) process: ProcessFlags,
    /// `--concurrent`, `--requeue-dependency` and `--default-service-account` are here, and hold for every controller.
    #[command(flatten)]
    pub(crate) source: SourceFlags,
    /// These hold for all controllers that apply objects.
    #[command(flatten)]
    applier: ApplierFlags,
    #[command(flatten)]
    kustomize: KustomizeFlags,
    #[command(flatten)]
    helm: HelmFlags,
    #[command(flatten)]
    pub(crate) watcher: WatcherFlags,
}

impl Cli {
    /// The settings of kustomize-controller.
    pub(crate) fn kustomize(&self) -> kustomize_controller::args::Settings {
        self.kustomize.clone().with(self.applier.clone(), self.account())
    }

    /// The settings of helm-controller.
    pub(crate) fn helm(&self) -> helm_controller::args::Settings {
        self.helm.clone().with(self.applier.clone(), self.account())
    }

    /// The flags that source-watcher has in common with others. Its cache is a folder of its own.
    pub(crate) fn watcher_shared(&self) -> SharedFlags {
        let kustomize = &self.kustomize;
        let cache = match kustomize.artifact_cache_path.as_str() {
            "" => String::new(),
            path => format!("{path}/{}", controller::SOURCE_WATCHER),
        };
        SharedFlags {
            concurrent: self.source.concurrent,
            requeue_dependency: self.source.requeue_dependency,
            http_retry: self.applier.http_retry,
            no_cross_namespace_refs: self.applier.no_cross_namespace_refs,
            artifact_cache_path: cache,
            artifact_cache_size: kustomize.artifact_cache_size,
        }
    }

    /// The pace of those that apply objects.
    pub(crate) fn pace(&self) -> PaceFlags {
        PaceFlags {
            concurrent: self.source.concurrent,
            requeue_dependency: self.source.requeue_dependency,
        }
    }

    fn account(&self) -> AccountFlags {
        AccountFlags {
            default_service_account: self.source.default_service_account.clone(),
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
        let cli = Cli::parse_from([
            "ferroflux",
            "--default-service-account=none",
            "--no-cross-namespace-refs=true",
        ]);
        assert_eq!(cli.source.default_service_account, "none");
        let (kustomize, helm) = (cli.kustomize(), cli.helm());
        assert_eq!(kustomize.account.default_service_account, "none");
        assert_eq!(helm.account.default_service_account, "none");
        assert!(kustomize.shared.no_cross_namespace_refs && helm.shared.no_cross_namespace_refs);
    }

    #[test]
    fn controllers_are_chosen_by_name() {
        let cli = Cli::parse_from(["ferroflux"]);
        assert_eq!(cli.controllers, [Which::Source, Which::Kustomize, Which::Helm]);
        let cli = Cli::parse_from([
            "ferroflux",
            "--controllers=kustomize-controller,helm-controller",
            "--concurrent=20",
        ]);
        assert_eq!(cli.controllers, [Which::Kustomize, Which::Helm]);
        assert_eq!(cli.pace().concurrent, 20);
        let cli = Cli::parse_from([
            "ferroflux",
            "--controllers=source-watcher",
            "--artifact-cache-path=/c",
        ]);
        assert_eq!(cli.controllers, [Which::Watcher]);
        assert_eq!(cli.watcher_shared().artifact_cache_path, "/c/source-watcher");
        assert!(Cli::try_parse_from(["ferroflux", "--controllers=nobody"]).is_err());
    }
}
