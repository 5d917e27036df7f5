//! The source-controller: fetches what sources hold, and serves it as artifacts.
//!
//! For each object of a source kind it keeps one promise: `status.artifact` names a tar.gz file that is stored, intact and served, made of the
//! revision in the upstream that the spec selects. What fails leaves the last good artifact in place, and says why in the conditions.
//!
//! * [`args`]: the flags.
//! * `reconcile`: what all source kinds share, around the steps of a kind: the check of the storage, classes of failures, conditions, events.
//! * `auth`: credentials from Secrets, and from clouds by who the process or a ServiceAccount is.
//! * `gitrepository`, `ocirepository`, `helmrepository`, `helmchart`: the steps of each kind.
//! * `verification`: signatures of artifacts in registries.
//! * `sweep`: removes from the storage what no object owns.
//!
//! Fetching, archiving and storing are the work of `ferro-git`, `ferro-oci`, `ferro-helmrepo` and `ferro-artifact`; what every controller does is in `ferro-runtime`.
//! The reference is the source-controller of Flux 2.9 (`spec/sources-and-images.md`). Known differences:
//!
//! * An unchanged upstream costs one listing of its refs and no request to the API server, whatever selects the revision; the event that
//!   says so is sent only to who asked for the reconcile.
//! * The digest of a stored file is computed again only when the file has changed, and once after a start.
//! * A new artifact has the GitRepositories that include it reconciled at once.
//! * The storage is swept of what belongs to no object.
//! * Replicas that wait for the lease keep copies of all artifacts and serve them, too.

pub mod args;
mod auth;
mod bucket;
mod gitrepository;
mod helmchart;
mod helmrepository;
mod ocirepository;
mod reconcile;
mod sweep;
mod verification;

use std::sync::Arc;

use ferro_api::source::{Bucket, GitRepository, HelmChart, HelmRepository, OCIRepository};
use ferro_api::{FluxObject, controller};
use ferro_artifact::storage::Storage;
use ferro_cloud::{Environment, TokenCache};
use ferro_runtime::artifacts::Artifacts;
use ferro_runtime::controller::{Controller, Options};
use ferro_runtime::events::Recorder;
use ferro_runtime::flags::FeatureGates;
use ferro_runtime::process::{Fatal, Process};
use ferro_runtime::reconcile::Reconciler;
use ferro_runtime::sources::SourceKind;
use tokio::sync::Semaphore;

use crate::args::SourceFlags;
use crate::auth::cloud::{Cloud, Counted};
use crate::bucket::{BucketMemory, BucketOptions, BucketReconciler};
use crate::gitrepository::{GitCache, GitOptions, GitRepositoryReconciler};
use crate::helmchart::{Dependants, HelmChartReconciler, Sources, Telling};
use crate::helmrepository::{Access, HelmRepositoryReconciler};
use crate::ocirepository::OCIRepositoryReconciler;
use crate::reconcile::Shared;
use crate::verification::PublicRoot;

/// Runs the controller until the process stops.
///
/// # Errors
/// When the flags cannot be honoured, the storage cannot be used, or its address is taken.
pub async fn run(process: Process, flags: SourceFlags) -> Result<(), Fatal> {
    let gates = FeatureGates::parse(&args::FEATURE_GATES, &process.flags.feature_gates)?;
    flags.validate(&gates)?;
    flags.storage.check()?;
    let namespace = process.flags.watch_namespace()?;
    let artifacts = Artifacts {
        kinds: &KINDS,
        labels: process.flags.watch_label_selector.clone(),
        namespace: namespace.clone(),
    };
    let servers = &process.artifact_servers;
    let leading = servers.lead(&process, controller::SOURCE, &flags.storage, artifacts);
    let Some(lead) = leading.await? else {
        return Ok(());
    };
    let act = async |storage: Storage| act(&process, &flags, gates, namespace, &storage).await;
    let result = servers.serve(&flags.storage, act).await;
    lead.release(servers).await;
    result
}

/// The kinds whose artifacts are made here.
const KINDS: [SourceKind; 5] = [
    source_kind(GitRepository::KIND, "gitrepositories"),
    source_kind(OCIRepository::KIND, "ocirepositories"),
    source_kind(Bucket::KIND, "buckets"),
    source_kind(HelmRepository::KIND, "helmrepositories"),
    source_kind(HelmChart::KIND, "helmcharts"),
];

const fn source_kind(kind: &'static str, plural: &'static str) -> SourceKind {
    SourceKind { kind, plural }
}

/// Makes artifacts.
async fn act(
    process: &Process,
    flags: &SourceFlags,
    gates: FeatureGates,
    namespace: Option<String>,
    storage: &Storage,
) -> Result<(), Fatal> {
    let (recorder, senders) = Recorder::start(
        process.client.clone(),
        controller::SOURCE,
        &process.flags.events_addr,
        &process.stop,
    )?;
    let cloud = Cloud {
        client: process.client.clone(),
        gates,
        tokens: TokenCache::new(
            process.flags.token_cache_max_size,
            process.flags.token_cache_max_duration,
        )
        .observed_by(Arc::new(Counted::new(process.metrics.clone()))),
        environment: Environment::Process,
        default_account: flags.default_service_account.clone(),
        retry: None,
    };
    let kinds = Kinds {
        process,
        flags,
        cloud,
        public_root: PublicRoot::new(Environment::Process),
        namespace,
        storage,
        recorder,
    };
    let cache = GitCache::open(&flags.git_cache_path, storage.base(), flags.git_cache_size)?;
    let (git, helm) = (
        Controller::<GitRepository>::default(),
        Controller::<HelmRepository>::default(),
    );
    let memory = BucketMemory::open(storage.base())?;
    let (buckets, charts) = (
        Controller::<Bucket>::default(),
        Controller::<HelmChart>::default(),
    );
    let dependants = Dependants::new(charts.store.clone(), charts.triggers.clone());
    let sources = Sources {
        helm: helm.store.clone(),
        git: git.store.clone(),
        buckets: Some(buckets.store.clone()),
    };
    tokio::join!(
        Box::pin(kinds.git_repositories(git, cache, &dependants)),
        Box::pin(kinds.oci_repositories()),
        Box::pin(kinds.buckets(buckets, memory, &dependants)),
        Box::pin(kinds.helm(helm, charts, sources, &dependants)),
    );
    drop(kinds);
    senders.finish().await;
    Ok(())
}

/// What the controller of each kind is made with.
struct Kinds<'a> {
    process: &'a Process,
    flags: &'a SourceFlags,
    cloud: Cloud,
    public_root: PublicRoot,
    namespace: Option<String>,
    storage: &'a Storage,
    recorder: Recorder,
}

impl Kinds<'_> {
    async fn git_repositories(
        &self,
        controller: Controller<GitRepository>,
        cache: GitCache,
        dependants: &Dependants,
    ) {
        let options = GitOptions {
            ssh: self.flags.ssh_options(),
            cache,
            lfs_max_size: self.flags.git_lfs_max_size,
        };
        let reconciler = GitRepositoryReconciler::new(
            self.shared(),
            self.cloud.clone(),
            options,
            controller.store.clone(),
            controller.triggers.clone(),
        );
        self.run(controller, Telling::new(reconciler, dependants.clone()))
            .await;
    }

    async fn buckets(&self, controller: Controller<Bucket>, memory: BucketMemory, dependants: &Dependants) {
        let options = BucketOptions {
            cloud: self.cloud.clone(),
            memory,
            scratch: std::env::temp_dir(),
        };
        let reconciler = BucketReconciler::new(self.shared(), options, controller.store.clone());
        self.run(controller, Telling::new(reconciler, dependants.clone()))
            .await;
    }

    async fn oci_repositories(&self) {
        let controller = Controller::<OCIRepository>::default();
        let store = controller.store.clone();
        let reconciler =
            OCIRepositoryReconciler::new(self.shared(), self.cloud.clone(), self.public_root.clone(), store);
        self.run(controller, reconciler).await;
    }

    /// Helm repositories, and the charts that come from them and from other sources.
    async fn helm(
        &self,
        repositories: Controller<HelmRepository>,
        charts: Controller<HelmChart>,
        sources: Sources,
        dependants: &Dependants,
    ) {
        let flags = self.flags;
        let access = Access::new(self.cloud.clone(), flags.helm_limits());
        let cache = flags.index_cache();
        let repository = HelmRepositoryReconciler::new(
            self.shared(),
            access.clone(),
            cache.clone(),
            repositories.store.clone(),
        );
        let chart = HelmChartReconciler::new(
            self.shared(),
            charts.store.clone(),
            sources,
            access,
            cache,
            dependants.clone(),
            self.public_root.clone(),
        );
        tokio::join!(
            self.run(repositories, Telling::new(repository, dependants.clone())),
            self.run(charts, chart),
        );
    }

    /// The flags count for each kind by itself, as upstream has them.
    fn shared(&self) -> Shared {
        Shared {
            client: self.process.client.clone(),
            storage: self.storage.clone(),
            requeue_dependency: self.flags.requeue_dependency,
            stop: self.process.stop.clone(),
            workers: Arc::new(Semaphore::new(usize::from(self.flags.concurrent))),
        }
    }

    /// Reconciles the objects of one kind, and sweeps the storage of what belonged to those that are gone.
    async fn run<K, R>(&self, controller: Controller<K>, reconciler: R)
    where
        K: FluxObject,
        R: Reconciler<Object = K>,
    {
        let options = Options {
            manager: controller::SOURCE.to_owned(),
            concurrent: self.flags.concurrent,
        };
        let sweeping = sweep::run(
            self.process,
            self.namespace.as_deref(),
            self.storage,
            controller.store.clone(),
        );
        let (namespace, recorder) = (self.namespace.clone(), self.recorder.clone());
        let reconciling = controller.run(self.process, namespace, recorder, options, reconciler);
        tokio::join!(reconciling, sweeping);
    }
}
