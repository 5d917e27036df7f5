//! The source-controller: fetches what sources hold, and serves it as artifacts.
//!
//! For each object of a source kind it keeps one promise: `status.artifact` names a tar.gz file that is stored, intact and served, made of the
//! revision in the upstream that the spec selects. What fails leaves the last good artifact in place, and says why in the conditions.
//!
//! * [`args`]: the flags.
//! * `reconcile`: what all source kinds share, around the steps of a kind: the check of the storage, classes of failures, conditions, events.
//! * `auth`: credentials from Secrets.
//! * `gitrepository`: the steps of GitRepository.
//! * `sweep`: removes from the storage what no object owns.
//!
//! Fetching, archiving and storing are the work of `ferro-git` and `ferro-artifact`; what every controller does is in `ferro-runtime`.
//! The reference is the source-controller of Flux 2.9 (`spec/sources-and-images.md`). Known differences:
//!
//! * An unchanged upstream costs one listing of its refs and no request to the API server, whatever selects the revision; the event that
//!   says so is sent only to who asked for the reconcile.
//! * The digest of a stored file is computed again only when the file has changed, and once after a start.
//! * A new artifact has the GitRepositories that include it reconciled at once.
//! * The storage is swept of what belongs to no object; it is served by replicas that wait for the lease, too.
//! * Not there yet: `spec.verify` of other kinds than GitRepository, the providers aws, azure and github, and the kinds other than GitRepository. What is asked of
//!   them is refused in the conditions, never ignored.

pub mod args;
mod auth;
mod gitrepository;
mod reconcile;
mod sweep;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use ferro_api::controller;
use ferro_api::source::GitRepository;
use ferro_artifact::server::FileServer;
use ferro_artifact::storage::{Storage, StorageOptions, advertised_host};
use ferro_git::SshOptions;
use ferro_runtime::controller::{Controller, Options};
use ferro_runtime::events::Recorder;
use ferro_runtime::flags::{FeatureGates, listen_addr};
use ferro_runtime::process::{Fatal, Process};
use ferro_runtime::server::bind;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::args::SourceFlags;
use crate::gitrepository::{GitCache, GitRepositoryReconciler};
use crate::reconcile::Shared;

/// Time for the last downloads after the last pass.
const DRAIN: Duration = Duration::from_secs(5);

/// Runs the controller until the process stops. Only the holder of the lease listens: what another replica has in its storage is
/// of no use, and whoever does not listen is not ready behind the Service of the artifacts.
///
/// # Errors
/// When the flags cannot be honoured, the storage cannot be used, or its address is taken.
pub async fn run(process: Process, flags: SourceFlags) -> Result<(), Fatal> {
    let gates = FeatureGates::parse(&args::FEATURE_GATES, &process.flags.feature_gates)?;
    flags.validate(&gates)?;
    let namespace = process.flags.watch_namespace()?;
    let address = listen_addr(&flags.storage_addr)?;
    // Shows at start when there is no such folder.
    let server = FileServer::new(flags.storage_path.as_ref())?;
    let Some(leadership) = process.lead(controller::SOURCE).await else {
        return Ok(());
    };
    let result = lead(&process, &flags, gates, namespace, address, server).await;
    leadership.release().await;
    result
}

/// Serves artifacts and makes them.
async fn lead(
    process: &Process,
    flags: &SourceFlags,
    gates: FeatureGates,
    namespace: Option<String>,
    address: SocketAddr,
    server: FileServer,
) -> Result<(), Fatal> {
    let listener = bind(address, "artifacts").await?;
    let storage = open_storage(flags, listener.local_addr()?.port())?;
    let (served, mut servers) = (CancellationToken::new(), JoinSet::new());
    servers.spawn(server.serve(listener, served.clone()));
    let result = act(process, flags, gates, namespace, &storage).await;
    served.cancel();
    finish(servers).await;
    result
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
    let shared = Shared {
        client: process.client.clone(),
        storage: storage.clone(),
        requeue_dependency: flags.requeue_dependency,
        stop: process.stop.clone(),
        workers: Arc::new(Semaphore::new(usize::from(flags.concurrent))),
    };
    let options = Options {
        manager: controller::SOURCE.to_owned(),
        concurrent: flags.concurrent,
    };
    let ssh = SshOptions {
        kex_algorithms: flags.ssh_kex_algos.clone(),
        host_key_algorithms: flags.ssh_hostkey_algos.clone(),
    };
    let cache = GitCache::open(&flags.git_cache_path, storage.base(), flags.git_cache_size)?;
    let controller = Controller::<GitRepository>::default();
    let sweeping = sweep::run(
        process.clone(),
        namespace.clone(),
        storage.clone(),
        controller.store.clone(),
    );
    let reconciler = GitRepositoryReconciler::new(
        shared,
        gates,
        ssh,
        cache,
        controller.store.clone(),
        controller.triggers.clone(),
    );
    let reconciling = controller.run(process, namespace, recorder, options, reconciler);
    tokio::join!(reconciling, sweeping);
    senders.finish().await;
    Ok(())
}

/// Opens the storage, which is served on `port`.
fn open_storage(flags: &SourceFlags, port: u16) -> Result<Storage, Fatal> {
    // A port that the system chose has to be known to who fetches.
    let address = match flags.storage_addr.strip_suffix(":0") {
        Some(host) => format!("{host}:{port}"),
        None => flags.storage_addr.clone(),
    };
    let hostname = ferro_runtime::hostname();
    Ok(Storage::open(StorageOptions {
        base: flags.storage_path.clone().into(),
        host: advertised_host(&address, &flags.storage_adv_addr, &hostname),
        algorithm: flags.artifact_digest_algo,
        retention_ttl: flags.artifact_retention_ttl,
        retention_records: flags.artifact_retention_records,
    })?)
}

/// Lets tasks come to their end, within bounds.
async fn finish(mut tasks: JoinSet<()>) {
    let ended = async { while tasks.join_next().await.is_some() {} };
    if tokio::time::timeout(DRAIN, ended).await.is_err() {
        tasks.shutdown().await;
    }
}
