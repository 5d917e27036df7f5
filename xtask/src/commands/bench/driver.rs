//! What drives the work: objects made and changed, several at once.

use std::path::Path;
use std::thread;
use std::time::Duration;

use anyhow::Result;
use serde_json::json;
use xtask::api::Api;
use xtask::cluster::Cluster;
use xtask::paths;

use super::super::programs::{Controller, Setup, quiet};

/// The longest that a phase may take.
pub(super) const LIMIT: Duration = Duration::from_secs(600);
/// How many requests are in flight; enough that the driver is not what limits.
const PARALLEL: usize = 8;

/// The name of an application.
pub(super) fn name(index: usize) -> String {
    format!("app-{index:04}")
}

/// Does something for every application.
pub(super) fn for_each(count: usize, act: impl Fn(usize) -> Result<()> + Sync) -> Result<()> {
    let act = &act;
    thread::scope(|scope| {
        let workers = (0..PARALLEL).map(|worker| {
            let mine = (worker..count).step_by(PARALLEL);
            scope.spawn(move || mine.into_iter().try_for_each(act))
        });
        let workers: Vec<_> = workers.collect();
        workers
            .into_iter()
            .try_for_each(|it| it.join().map_err(|_| anyhow::anyhow!("a worker panicked"))?)
    })
}

/// Starts source-controller, with a store of its own.
pub(super) fn source_controller(cluster: &Cluster, bin: &Path, concurrent: usize) -> Result<Controller> {
    let dir = cluster.dir().join("source-controller");
    std::fs::create_dir_all(&dir)?;
    let setup = Setup {
        bin,
        kubeconfig: &cluster.kubeconfig(),
        dir: &dir,
        namespace: None,
    };
    let mut flags = Controller::storage_flags(&cluster.dir().join("storage"))?;
    flags.push(format!("--concurrent={concurrent}"));
    Controller::start(cluster.nursery(), setup, "source-controller", &flags)
}

/// Makes the kinds and the namespace `bench`.
pub(super) fn prepare(cluster: &Cluster, api: &Api) -> Result<()> {
    let crds = paths::root().join("config/crd/bases");
    for args in [
        &["apply", "--server-side"][..],
        &["wait", "--for=condition=Established", "--timeout=60s"],
    ] {
        let mut command = cluster.kubectl();
        command.args(args).arg("-f").arg(&crds);
        quiet(command)?;
    }
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "bench"}});
    api.create("/api/v1/namespaces", &namespace)
}
