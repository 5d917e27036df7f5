//! What the tests of a run share.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use anyhow::{Context as _, Result};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use xtask::cluster::{Cluster, Options};
use xtask::gitserver::GitServer;

use crate::controller::{Controller, Setup};

/// A cluster with a Git server and, if wanted, the controllers.
pub struct World {
    // Dropped in this order: the controllers before the cluster that they talk to.
    controllers: Mutex<Vec<Controller>>,
    git: GitServer,
    client: Client,
    cluster: Mutex<Cluster>,
    dir: PathBuf,
    kubeconfig: PathBuf,
    kubectl: PathBuf,
}

/// Where the manifests of the project's CRDs are.
pub(crate) fn crds() -> PathBuf {
    xtask::paths::root().join("config/crd/bases")
}

/// Why the tests cannot run here, if they cannot.
pub(crate) fn missing() -> Option<String> {
    let server = xtask::paths::cluster().join("bin/kube-apiserver");
    if std::env::var_os("FERRO_CLUSTER_BIN").is_none() && !server.exists() {
        return Some("no control plane, run make cluster".to_owned());
    }
    let dir = crate::controller::programs();
    let names = [
        "source-controller",
        "kustomize-controller",
        "helm-controller",
        "source-watcher",
    ];
    let name = names.into_iter().find(|name| !dir.join(name).exists())?;
    Some(format!(
        "no {name} in {}, run cargo build --profile quick",
        dir.display()
    ))
}

impl World {
    /// Starts a cluster with the CRDs, a Git server, and the controllers.
    ///
    /// # Errors
    /// When one of them does not start.
    pub fn start() -> Result<Self> {
        let world = Self::start_bare("e2e")?;
        let source = world.setup("source-controller", &["--concurrent=8"]);
        let kustomize = world.setup(
            "kustomize-controller",
            &[
                "--concurrent=8",
                "--feature-gates=ExternalArtifact=true",
                "--http-retry=1",
            ],
        );
        let helm = world.setup("helm-controller", &["--http-retry=1"]);
        let watcher = world.setup("source-watcher", &["--http-retry=1"]);
        for setup in [source, kustomize, helm, watcher] {
            let controller = world.start_controller(setup)?;
            lock(&world.controllers).push(controller);
        }
        Ok(world)
    }

    /// Starts a cluster with the CRDs and a Git server, and leaves the controllers to the test.
    ///
    /// Must be called inside a Tokio runtime.
    ///
    /// # Errors
    /// When one of them does not start.
    pub fn start_bare(name: &str) -> Result<Self> {
        let cluster = Cluster::start(&Options {
            name: name.to_owned(),
            ..Options::default()
        })?;
        let (dir, kubeconfig, kubectl) = (
            cluster.dir().to_path_buf(),
            cluster.kubeconfig(),
            cluster.bin().join("kubectl"),
        );
        let git = GitServer::start(&dir.join("git"))?;
        let client = connect(&kubeconfig)?;
        let world = Self {
            controllers: Mutex::default(),
            git,
            client,
            cluster: Mutex::new(cluster),
            dir,
            kubeconfig,
            kubectl,
        };
        world.install_crds()?;
        Ok(world)
    }

    fn install_crds(&self) -> Result<()> {
        let bases = crds();
        let bases = bases.to_string_lossy();
        self.kubectl(&["apply", "--server-side", "-f", &bases])?;
        // Served is more than written: the first requests for a kind fail until its CRD is established.
        self.kubectl(&[
            "wait",
            "--for=condition=Established",
            "--timeout=60s",
            "crd",
            "--all",
        ])?;
        Ok(())
    }

    /// How to start a controller in this world with the tests' flags and those given.
    #[must_use]
    pub fn setup(&self, program: &str, flags: &[&str]) -> Setup {
        Setup {
            program: program.to_owned(),
            dir: self.dir.join(program),
            kubeconfig: self.kubeconfig.clone(),
            arguments: Vec::new(),
            flags: flags.iter().map(|&it| it.to_owned()).collect(),
            namespace: "default".to_owned(),
        }
    }

    /// Starts a controller that ends with the world.
    ///
    /// # Errors
    /// When it does not become ready.
    pub fn start_controller(&self, setup: Setup) -> Result<Controller> {
        let nursery = self.cluster().nursery().clone();
        std::fs::create_dir_all(&setup.dir)?;
        Controller::start(&nursery, setup)
    }

    /// A controller that is not running yet and ends with the world.
    ///
    /// # Errors
    /// When its directory cannot be made.
    pub fn prepare_controller(&self, setup: Setup) -> Result<Controller> {
        let nursery = self.cluster().nursery().clone();
        std::fs::create_dir_all(&setup.dir)?;
        Controller::prepare(&nursery, setup)
    }

    /// Runs `kubectl` and gives its standard output.
    ///
    /// # Errors
    /// When it fails; the error has its standard error.
    pub fn kubectl(&self, args: &[&str]) -> Result<String> {
        let kubeconfig = self.kubeconfig.to_string_lossy();
        let cache = self.dir.join("kubectl-cache");
        let cache = cache.to_string_lossy();
        let common = ["--kubeconfig", &kubeconfig, "--cache-dir", &cache];
        let args: Vec<&str> = common.into_iter().chain(args.iter().copied()).collect();
        let output = crate::process::run(&self.kubectl, &args, &[], "")?;
        output.success().map(|it| it.stdout)
    }

    /// The client of the tests, an administrator.
    #[must_use]
    pub const fn client(&self) -> &Client {
        &self.client
    }

    /// The kubeconfig of the administrator.
    #[must_use]
    pub fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    /// A directory that is removed at the world's end.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The Git server.
    #[must_use]
    pub const fn git(&self) -> &GitServer {
        &self.git
    }

    /// The cluster itself, to break it.
    pub fn cluster(&self) -> MutexGuard<'_, Cluster> {
        lock(&self.cluster)
    }

    /// The most memory that the shared controller of that name ever had resident, in bytes.
    ///
    /// # Errors
    /// When it does not run.
    pub fn peak_memory(&self, controller: &str) -> Result<u64> {
        let controllers = lock(&self.controllers);
        let found = controllers.iter().find(|it| it.name() == controller);
        found
            .with_context(|| format!("no {controller} in this world"))?
            .peak_memory()
    }

    /// The metrics of the shared controller of that name.
    ///
    /// # Errors
    /// When it does not run.
    pub fn metrics(&self, controller: &str) -> Result<String> {
        let controllers = lock(&self.controllers);
        let found = controllers.iter().find(|it| it.name() == controller);
        found
            .with_context(|| format!("no {controller} in this world"))?
            .metrics()
    }

    /// What the shared controller of that name has logged so far.
    ///
    /// # Errors
    /// When it does not run, or its log cannot be read.
    pub fn log(&self, controller: &str) -> Result<String> {
        let controllers = lock(&self.controllers);
        let found = controllers.iter().find(|it| it.name() == controller);
        let found = found.with_context(|| format!("no {controller} in this world"))?;
        Ok(String::from_utf8_lossy(&std::fs::read(found.log())?).into_owned())
    }

    /// The logs of all controllers that were started here.
    pub(crate) fn logs(&self) -> Vec<PathBuf> {
        let mut logs = Vec::new();
        let dirs = std::fs::read_dir(&self.dir).into_iter().flatten().flatten();
        let is_program = |name: &str| name.contains("controller") || name.contains("watcher");
        for dir in dirs.filter(|it| is_program(&it.file_name().to_string_lossy())) {
            let files = std::fs::read_dir(dir.path()).into_iter().flatten().flatten();
            logs.extend(
                files
                    .map(|it| it.path())
                    .filter(|it| it.extension().is_some_and(|it| it == "log")),
            );
        }
        logs
    }
}

fn connect(kubeconfig: &Path) -> Result<Client> {
    let file = Kubeconfig::read_from(kubeconfig)?;
    let handle = tokio::runtime::Handle::current();
    let config = handle.block_on(Config::from_custom_kubeconfig(
        file,
        &KubeConfigOptions::default(),
    ))?;
    Client::try_from(config).map_err(Into::into)
}

/// Locks, even after the panic of another test: what is guarded here is whole between any two statements.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
