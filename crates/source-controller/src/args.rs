//! The flags and feature gates of source-controller (`spec/sources-and-images.md` section 20).

use std::time::Duration;

use clap::Args;
use ferro_git::SshOptions;
use ferro_helmrepo::Limits;
use ferro_runtime::artifacts::StorageFlags;
use ferro_runtime::flags::{FeatureGates, duration};

use crate::helmrepository::IndexCache;

/// Names and defaults of the feature gates.
pub const FEATURE_GATES: [(&str, bool); 2] = [
    ("CacheSecretsAndConfigMaps", false),
    (OBJECT_LEVEL_WORKLOAD_IDENTITY, false),
];

/// Lets an object name the ServiceAccount whose cloud identity it uses.
pub(crate) const OBJECT_LEVEL_WORKLOAD_IDENTITY: &str = "ObjectLevelWorkloadIdentity";

/// Flags of source-controller.
#[derive(Args, Clone, Debug)]
pub struct SourceFlags {
    /// Objects of each kind that are reconciled at once.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..))]
    pub concurrent: u16,
    /// Time after which an object that waits for another one is looked at again.
    #[arg(long, value_parser = duration, default_value = "30s")]
    pub requeue_dependency: Duration,
    /// The store of artifacts.
    #[command(flatten)]
    pub storage: StorageFlags,
    /// ServiceAccount whose cloud identity is used where an object names none.
    #[arg(long, default_value = "")]
    pub default_service_account: String,
    /// Largest index of a Helm repository, in bytes.
    #[arg(long, default_value_t = 52_428_800)]
    pub helm_index_max_size: u64,
    /// Largest Helm chart, in bytes.
    #[arg(long, default_value_t = 10_485_760)]
    pub helm_chart_max_size: u64,
    /// Largest file in a Helm chart, in bytes.
    #[arg(long, default_value_t = 5_242_880)]
    pub helm_chart_file_max_size: u64,
    /// Indexes of Helm repositories that are kept in memory; 0 for none.
    #[arg(long, default_value_t = 0)]
    pub helm_cache_max_size: usize,
    /// Time for which an index of a Helm repository is kept in memory.
    #[arg(long, value_parser = duration, default_value = "15m")]
    pub helm_cache_ttl: Duration,
    /// Time between clean-ups of the indexes in memory.
    #[arg(long, value_parser = duration, default_value = "1m")]
    pub helm_cache_purge_interval: Duration,
    /// Folder in which fetched Git repositories are kept, so that the next fetch brings only the changes; by default one in the system's
    /// temporary folder.
    #[arg(long, default_value = "")]
    pub git_cache_path: String,
    /// Bytes of fetched Git repositories that are kept; 0 for none.
    #[arg(long, default_value_t = 1 << 30)]
    pub git_cache_size: u64,
    /// Bytes that the Git LFS objects of one revision may have together.
    #[arg(long, default_value_t = 1 << 30)]
    pub git_lfs_max_size: u64,
    /// Key exchange algorithms that SSH connections may use, in order of preference; by default those of the SSH library.
    #[arg(long, value_delimiter = ',')]
    pub ssh_kex_algos: Vec<String>,
    /// Host key algorithms that SSH connections may use, in order of preference; by default those of the SSH library.
    #[arg(long, value_delimiter = ',')]
    pub ssh_hostkey_algos: Vec<String>,
}

/// A combination of flags that cannot be honoured.
#[derive(Debug, thiserror::Error)]
pub enum ArgsError {
    /// `--default-service-account` without the gate that it needs.
    #[error("--default-service-account needs --feature-gates={OBJECT_LEVEL_WORKLOAD_IDENTITY}=true")]
    DefaultServiceAccount,
}

impl SourceFlags {
    /// How SSH servers are spoken to.
    pub(crate) fn ssh_options(&self) -> SshOptions {
        SshOptions {
            kex_algorithms: self.ssh_kex_algos.clone(),
            host_key_algorithms: self.ssh_hostkey_algos.clone(),
        }
    }

    /// Bounds of indexes and charts.
    pub(crate) const fn helm_limits(&self) -> Limits {
        Limits {
            index: self.helm_index_max_size,
            chart: self.helm_chart_max_size,
            chart_file: self.helm_chart_file_max_size,
        }
    }

    /// The indexes that are kept in memory.
    pub(crate) fn index_cache(&self) -> IndexCache {
        IndexCache::new(
            self.helm_cache_max_size,
            self.helm_cache_ttl,
            self.helm_cache_purge_interval,
        )
    }

    /// Refuses combinations that make no sense.
    ///
    /// # Errors
    /// When a flag needs a feature gate that is off.
    pub fn validate(&self, gates: &FeatureGates) -> Result<(), ArgsError> {
        if !self.default_service_account.is_empty() && !gates.enabled(OBJECT_LEVEL_WORKLOAD_IDENTITY) {
            return Err(ArgsError::DefaultServiceAccount);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::{Instant, SystemTime};

    use clap::{CommandFactory, Parser};
    use ferro_artifact::digest::Algorithm;
    use ferro_artifact::storage::{ArtifactPath, Storage};
    use ferro_helmrepo::index::Table;
    use ferro_runtime::artifacts::Servers;
    use ferro_runtime::process::Fatal;

    use super::*;

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        process: ferro_runtime::flags::ProcessFlags,
        #[command(flatten)]
        source: SourceFlags,
    }

    #[test]
    fn flags_have_the_defaults_of_the_reference() {
        Cli::command().debug_assert();
        let flags = Cli::parse_from(["source-controller"]).source;
        assert_eq!(flags.concurrent, 2);
        assert_eq!(flags.requeue_dependency, Duration::from_secs(30));
        assert_eq!(flags.storage.artifact_digest_algo, Algorithm::Sha256);
        assert!(flags.ssh_kex_algos.is_empty());
    }

    #[test]
    fn flags_of_the_standard_manifests_parse() {
        let cli = Cli::parse_from([
            "source-controller",
            "--events-addr=http://notification-controller.flux-system.svc.cluster.local./",
            "--watch-all-namespaces",
            "--log-level=info",
            "--log-encoding=json",
            "--enable-leader-election",
            "--storage-path=/data",
            "--storage-adv-addr=source-controller.flux-system.svc.cluster.local.",
            "--ssh-kex-algos=curve25519-sha256,ecdh-sha2-nistp256",
            "--artifact-digest-algo=blake3",
        ]);
        assert!(cli.process.enable_leader_election);
        assert_eq!(
            cli.source.ssh_kex_algos,
            ["curve25519-sha256", "ecdh-sha2-nistp256"]
        );
        assert_eq!(cli.source.storage.artifact_digest_algo, Algorithm::Blake3);
        assert!(Cli::try_parse_from(["source-controller", "--artifact-digest-algo=md5"]).is_err());
        assert!(Cli::try_parse_from(["source-controller", "--concurrent=0"]).is_err());
    }

    #[test]
    fn flags_of_ssh_and_helm_reach_those_who_need_them() {
        let flags = Cli::parse_from([
            "source-controller",
            "--ssh-kex-algos=curve25519-sha256",
            "--ssh-hostkey-algos=ssh-ed25519,rsa-sha2-256",
            "--helm-index-max-size=1",
            "--helm-chart-max-size=2",
            "--helm-chart-file-max-size=3",
            "--helm-cache-max-size=1",
            "--helm-cache-ttl=10s",
            "--helm-cache-purge-interval=1m",
        ])
        .source;
        let ssh = flags.ssh_options();
        assert_eq!(ssh.kex_algorithms, ["curve25519-sha256"]);
        assert_eq!(ssh.host_key_algorithms, ["ssh-ed25519", "rsa-sha2-256"]);
        let limits = flags.helm_limits();
        assert_eq!((limits.index, limits.chart, limits.chart_file), (1, 2, 3));
        // One index for ten seconds, and its place for a minute.
        let (cache, start) = (flags.index_cache(), Instant::now());
        let at = |seconds| start + Duration::from_secs(seconds);
        let table = Arc::new(Table::default());
        cache.set("a", Arc::clone(&table), at(0)).unwrap();
        cache.set("b", Arc::clone(&table), at(0)).unwrap_err();
        assert!(cache.get("a", at(9)).is_some());
        assert!(cache.get("a", at(30)).is_none());
        cache.set("b", Arc::clone(&table), at(50)).unwrap_err();
        cache.set("b", table, at(62)).unwrap();
        let off = Cli::parse_from(["source-controller"]).source;
        assert!(!off.index_cache().is_on());
    }

    #[tokio::test]
    async fn retention_flags_decide_how_many_artifacts_stay() {
        let base = tempfile::tempdir().unwrap();
        let path = format!("--storage-path={}", base.path().display());
        for (ttl, records, expected) in [("1h", "3", 3), ("1h", "10", 5), ("0s", "10", 1)] {
            let flags = Cli::parse_from([
                "source-controller",
                &path,
                "--storage-addr=127.0.0.1:0",
                &format!("--artifact-retention-ttl={ttl}"),
                &format!("--artifact-retention-records={records}"),
            ]);
            let kept = async |storage: Storage| {
                let artifact = |name: &str| ArtifactPath::new("Bucket", "ns", "b", name).unwrap();
                std::fs::create_dir_all(storage.base().join(artifact("a").directory())).unwrap();
                for name in ["a", "b", "c", "d", "e"] {
                    let written = storage.publish_blocking(&artifact(name), |out| out.write_all(b"x"));
                    written.unwrap();
                }
                let later = SystemTime::now() + Duration::from_secs(60);
                let collected = storage.collect_garbage_blocking(&artifact("e"), later, Duration::MAX);
                assert_eq!(5 - collected.unwrap().removed.len(), expected, "{ttl} {records}");
                Ok::<_, Fatal>(())
            };
            Servers::default()
                .serve(&flags.source.storage, kept)
                .await
                .unwrap();
        }
    }

    #[test]
    fn default_service_account_needs_its_gate() {
        let flags = Cli::parse_from(["source-controller", "--default-service-account=flux"]).source;
        let gates = |text| FeatureGates::parse(&FEATURE_GATES, text).unwrap();
        assert!(flags.validate(&gates("")).is_err());
        assert!(flags.validate(&gates("ObjectLevelWorkloadIdentity=true")).is_ok());
    }
}
