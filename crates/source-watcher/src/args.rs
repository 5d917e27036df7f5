//! The flags and feature gates of source-watcher (`spec/sources-and-images.md` section 20).

use std::time::Duration;

use clap::Args;
use ferro_runtime::flags::duration;

/// Names and defaults of the feature gates.
pub const FEATURE_GATES: [(&str, bool); 1] = [(DIRECT_SOURCE_FETCH, false)];

/// Sources are read from the API server in each pass instead of from the watches.
pub(crate) const DIRECT_SOURCE_FETCH: &str = "DirectSourceFetch";

/// Flags that no other controller has.
#[derive(Args, Clone, Copy, Debug)]
pub struct WatcherFlags {
    /// The longest time of one reconcile of an ArtifactGenerator.
    #[arg(long, value_parser = duration, default_value = "10m")]
    pub reconciliation_timeout: Duration,
}

/// Flags that other controllers have, too, with defaults of their own; a process that runs several has them once.
#[derive(Args, Clone, Debug)]
pub struct SharedFlags {
    /// ArtifactGenerators reconciled at once.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u16).range(1..))]
    pub concurrent: u16,
    /// Time after which an ArtifactGenerator whose sources are not there is looked at again.
    #[arg(long, value_parser = duration, default_value = "5s")]
    pub requeue_dependency: Duration,
    /// Attempts to fetch an artifact.
    #[arg(long, default_value_t = 9)]
    pub http_retry: u32,
    /// Refuse sources in other namespaces.
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value_t = false, action = clap::ArgAction::Set)]
    pub no_cross_namespace_refs: bool,
    /// Folder in which artifacts are kept unpacked; by default one in the system's temporary folder.
    #[arg(long, default_value = "")]
    pub artifact_cache_path: String,
    /// Bytes of unpacked artifacts that are kept.
    #[arg(long, default_value_t = 1 << 30)]
    pub artifact_cache_size: u64,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::{CommandFactory, Parser};
    use ferro_runtime::artifacts::StorageFlags;
    use ferro_runtime::flags::ProcessFlags;

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        process: ProcessFlags,
        #[command(flatten)]
        storage: StorageFlags,
        #[command(flatten)]
        shared: SharedFlags,
        #[command(flatten)]
        watcher: WatcherFlags,
    }

    #[test]
    fn watcher_flags_have_the_defaults_of_the_reference() {
        Cli::command().debug_assert();
        let cli = Cli::parse_from(["source-watcher"]);
        assert_eq!((cli.shared.concurrent, cli.shared.http_retry), (10, 9));
        assert_eq!(cli.shared.requeue_dependency, Duration::from_secs(5));
        assert_eq!(cli.watcher.reconciliation_timeout, Duration::from_secs(600));
        assert!(!cli.shared.no_cross_namespace_refs);
    }

    #[test]
    fn watcher_flags_of_the_standard_manifests_parse() {
        let cli = Cli::parse_from([
            "source-watcher",
            "--events-addr=http://notification-controller.flux-system.svc.cluster.local./",
            "--watch-all-namespaces",
            "--log-level=info",
            "--log-encoding=json",
            "--enable-leader-election",
            "--storage-path=/data",
            "--storage-adv-addr=source-watcher.flux-system.svc.cluster.local.",
            "--no-cross-namespace-refs=true",
            "--feature-gates=DirectSourceFetch=true",
        ]);
        assert!(cli.process.enable_leader_election && cli.shared.no_cross_namespace_refs);
        assert_eq!(cli.storage.storage_path, "/data");
    }
}
