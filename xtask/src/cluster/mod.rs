//! A real Kubernetes control plane for tests, the demo and the benchmark.
//!
//! ```no_run
//! # fn main() -> anyhow::Result<()> {
//! let mut cluster = xtask::cluster::Cluster::start(&xtask::cluster::Options::default())?;
//! println!("{}", cluster.kubeconfig().display());
//! cluster.restart_api_server()?;
//! # Ok(())
//! # }
//! ```
//!
//! etcd, kube-apiserver and kube-controller-manager always run; with nodes, kube-scheduler and kwok run too, and pods become
//! ready. Everything listens on free ports of the loopback interface and keeps its files in one directory, so that any
//! number of clusters live side by side. They end when the value is dropped, and when this process dies.

pub mod build;
mod files;

use std::net::{Ipv4Addr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use rustix::process::Signal;

use crate::process::{self, Nursery, Process};
use crate::{paths, ports};

/// How long a component may take to become ready; the machine may be compiling meanwhile.
const START_LIMIT: Duration = Duration::from_secs(120);
/// How long a component may take to end by itself; kube-apiserver would wait for its watchers for a minute.
const STOP_LIMIT: Duration = Duration::from_secs(3);

/// What kind of cluster to start.
#[derive(Clone, Debug)]
pub struct Options {
    /// The cluster's name, which is also that of the context in its kubeconfig.
    pub name: String,
    /// Its directory, made if missing and removed at the end; without it, a temporary one.
    pub dir: Option<PathBuf>,
    /// How many nodes it has. With none, no scheduler and no pod runs.
    pub nodes: u32,
    /// Requests a second that kube-controller-manager may make. Its own default of 20 is slower than any contender.
    pub controller_manager_qps: u32,
    /// Further flags of kube-apiserver.
    pub api_server_flags: Vec<String>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            name: "test".to_owned(),
            dir: None,
            nodes: 1,
            controller_manager_qps: 500,
            api_server_flags: Vec::new(),
        }
    }
}

/// Whom a kubeconfig is for.
#[derive(Clone, Copy, Debug)]
pub struct User<'a> {
    /// The name by which the kubeconfig calls them.
    pub name: &'a str,
    /// Their bearer token.
    pub token: &'a str,
    /// The namespace that they work in unless they say another.
    pub namespace: Option<&'a str>,
}

/// A running cluster.
#[derive(Debug)]
pub struct Cluster {
    // Dropped in this order: whoever talks to the API server, the API server, its store, and the directory at last.
    others: Vec<Process>,
    api_server: Process,
    etcd: Process,
    layout: Layout,
    options: Options,
    nursery: Nursery,
}

/// The places and names that a cluster's components share.
#[derive(Clone, Debug)]
struct Layout {
    bin: PathBuf,
    dir: PathBuf,
    token: String,
    api_port: u16,
    etcd_port: u16,
    etcd_peer_port: u16,
}

impl Cluster {
    /// Builds what is missing and starts a cluster; returns when it serves and its controllers work.
    ///
    /// # Errors
    /// When a program cannot be built or started, or dies: the error then shows the end of its log.
    pub fn start(options: &Options) -> Result<Self> {
        let bin = build::build()?;
        let dir = match &options.dir {
            Some(dir) => empty_dir(dir)?,
            None => paths::temporary(&options.name)?,
        };
        let nursery = Nursery::new(Some(&dir))?;
        let layout = Layout {
            bin,
            dir,
            token: files::random_token()?,
            api_port: ports::free()?,
            etcd_port: ports::free()?,
            etcd_peer_port: ports::free()?,
        };
        files::write(&layout, options)?;

        let etcd = layout.start(&nursery, "etcd", &layout.etcd_flags())?;
        let api_server = layout.start(&nursery, "kube-apiserver", &layout.api_server_flags(options))?;
        let mut cluster = Self {
            others: Vec::new(),
            api_server,
            etcd,
            layout,
            options: options.clone(),
            nursery,
        };
        cluster.wait_for_api_server()?;
        cluster.start_others()?;
        cluster.wait_for_controllers()?;
        Ok(cluster)
    }

    /// The file with which clients reach this cluster as its administrator.
    #[must_use]
    pub fn kubeconfig(&self) -> PathBuf {
        self.layout.kubeconfig()
    }

    /// Writes a kubeconfig for another user, which only its owner can read.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write_kubeconfig(&self, user: &User<'_>, path: &Path) -> Result<()> {
        files::kubeconfig(&self.layout, &self.options.name, user, path)
    }

    /// The cluster's directory, which is removed at its end: a place for files that belong to a test.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.layout.dir
    }

    /// The API server's address.
    #[must_use]
    pub fn server(&self) -> String {
        self.layout.server()
    }

    /// The administrator's bearer token.
    #[must_use]
    pub fn token(&self) -> &str {
        &self.layout.token
    }

    /// The certificate authority of the API server, in PEM.
    #[must_use]
    pub fn certificate_authority(&self) -> PathBuf {
        self.layout.certificate_authority()
    }

    /// The directory of the programs: kubectl and the others.
    #[must_use]
    pub fn bin(&self) -> &Path {
        &self.layout.bin
    }

    /// Where further programs can be started that end with the cluster.
    #[must_use]
    pub fn nursery(&self) -> &Nursery {
        &self.nursery
    }

    /// A `kubectl` command for this cluster.
    #[must_use]
    pub fn kubectl(&self) -> Command {
        let mut command = Command::new(self.layout.bin.join("kubectl"));
        command.arg("--kubeconfig").arg(self.kubeconfig());
        // Discovery is cached under the home directory by default, where it outlives the cluster.
        command
            .arg("--cache-dir")
            .arg(self.layout.dir.join("kubectl-cache"));
        command
    }

    /// The names and process ids of the components.
    pub fn processes(&self) -> impl Iterator<Item = (&str, u32)> {
        [&self.etcd, &self.api_server]
            .into_iter()
            .chain(&self.others)
            .map(|it| (it.name(), it.id()))
    }

    /// Fails when a component has died, with the end of its log.
    ///
    /// # Errors
    /// When a component has died.
    pub fn check(&mut self) -> Result<()> {
        for process in [&mut self.etcd, &mut self.api_server]
            .into_iter()
            .chain(&mut self.others)
        {
            if let Some(status) = process.exited() {
                let (name, tail) = (process.name(), process.log_tail(15));
                bail!(
                    "{name} of cluster {} died ({status}); the end of its output:\n{tail}",
                    self.options.name
                );
            }
        }
        Ok(())
    }

    /// Ends the API server, by force if `signal` is KILL, and leaves it ended.
    pub fn stop_api_server(&mut self, signal: Signal) {
        self.api_server.signal(signal);
        if self.api_server.wait(STOP_LIMIT).is_none() {
            self.api_server.kill();
        }
    }

    /// Starts the API server again after [`Self::stop_api_server`], at its old address, and waits until it serves.
    ///
    /// # Errors
    /// When it does not become ready.
    pub fn start_api_server(&mut self) -> Result<()> {
        let flags = self.layout.api_server_flags(&self.options);
        self.api_server = self.layout.start(&self.nursery, "kube-apiserver", &flags)?;
        self.wait_for_api_server()
    }

    /// Restarts the API server, as an upgrade of a control plane does.
    ///
    /// # Errors
    /// When it does not become ready again.
    pub fn restart_api_server(&mut self) -> Result<()> {
        self.stop_api_server(Signal::TERM);
        self.start_api_server()
    }

    /// Waits for the port first, because each look through `kubectl` costs a tenth of a second of CPU.
    fn wait_for_api_server(&mut self) -> Result<()> {
        let end = Instant::now() + START_LIMIT;
        let address = (Ipv4Addr::LOCALHOST, self.layout.api_port);
        loop {
            self.check()?;
            if TcpStream::connect(address).is_ok() && self.is_ready()? {
                return Ok(());
            }
            if end < Instant::now() {
                let tail = self.api_server.log_tail(15);
                bail!(
                    "kube-apiserver not ready after {} s; the end of its output:\n{tail}",
                    START_LIMIT.as_secs()
                );
            }
            thread::sleep(Duration::from_millis(50));
        }
    }

    fn is_ready(&self) -> Result<bool> {
        let res = self
            .kubectl()
            .args(["get", "--raw", "/readyz"])
            .output()
            .context("cannot start kubectl")?;
        Ok(res.status.success())
    }

    fn start_others(&mut self) -> Result<()> {
        let qps = self.options.controller_manager_qps;
        let flags = self.layout.controller_manager_flags(qps);
        self.others.push(
            self.layout
                .start(&self.nursery, "kube-controller-manager", &flags)?,
        );
        if self.options.nodes == 0 {
            return Ok(());
        }
        let flags = self.layout.scheduler_flags();
        self.others
            .push(self.layout.start(&self.nursery, "kube-scheduler", &flags)?);
        let flags = self.layout.kwok_flags();
        self.others
            .push(self.layout.start(&self.nursery, "kwok", &flags)?);
        self.run_kubectl(&["create", "-f", "nodes.json"])
    }

    /// Pods need their namespace's service account, which is there once the controllers work.
    fn wait_for_controllers(&mut self) -> Result<()> {
        let limit = format!("--timeout={}s", START_LIMIT.as_secs());
        self.run_kubectl(&[
            "wait",
            "--for=create",
            "serviceaccount/default",
            "--namespace=default",
            &limit,
        ])?;
        if 0 < self.options.nodes {
            self.run_kubectl(&["wait", "--for=condition=Ready", "node", "--all", &limit])?;
        }
        Ok(())
    }

    /// Runs kubectl in the cluster's directory; a component that died explains a failure better than kubectl can.
    fn run_kubectl(&mut self, args: &[&str]) -> Result<()> {
        let mut command = self.kubectl();
        let res = command
            .args(args)
            .current_dir(&self.layout.dir)
            .output()
            .context("cannot start kubectl")?;
        if res.status.success() {
            return Ok(());
        }
        self.check()?;
        let verb = args.first().copied().unwrap_or_default();
        Err(anyhow!(
            "kubectl {verb}: {}",
            String::from_utf8_lossy(&res.stderr).trim()
        ))
    }
}

/// Makes a directory, or takes one that is empty: it goes when the cluster does, with all that is in it.
fn empty_dir(dir: &Path) -> Result<PathBuf> {
    std::fs::create_dir_all(dir).with_context(|| format!("cannot create {}", dir.display()))?;
    ensure!(
        std::fs::read_dir(dir)?.next().is_none(),
        "{} is not empty; the cluster's directory is removed with the cluster, so name one that does not exist",
        dir.display()
    );
    Ok(dir.canonicalize()?)
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // All but the store at once; kube-apiserver would wait for a minute for the store if that went first.
        for it in self.others.iter().chain([&self.api_server]) {
            it.signal(Signal::TERM);
        }
        let end = Instant::now() + STOP_LIMIT;
        for it in self.others.iter_mut().chain([&mut self.api_server]) {
            if it.wait(end.saturating_duration_since(Instant::now())).is_none() {
                it.kill();
            }
        }
        self.etcd.stop(STOP_LIMIT);
        process::remove_dir(&self.layout.dir);
    }
}

impl Layout {
    fn kubeconfig(&self) -> PathBuf {
        self.dir.join("kubeconfig")
    }

    fn certificate_authority(&self) -> PathBuf {
        self.dir.join("pki/ca.crt")
    }

    fn server(&self) -> String {
        format!("https://127.0.0.1:{}", self.api_port)
    }

    fn start(&self, nursery: &Nursery, name: &str, flags: &[String]) -> Result<Process> {
        let mut command = Command::new(self.bin.join(name));
        command.args(flags).current_dir(&self.dir);
        // What is meant for the user's own clusters and proxies must not reach these.
        for name in [
            "KUBECONFIG",
            "HTTP_PROXY",
            "HTTPS_PROXY",
            "http_proxy",
            "https_proxy",
            "ALL_PROXY",
            "all_proxy",
        ] {
            command.env_remove(name);
        }
        nursery.start(name, command, &self.dir.join(format!("{name}.log")))
    }

    fn etcd_flags(&self) -> Vec<String> {
        let client = format!("http://127.0.0.1:{}", self.etcd_port);
        let peer = format!("http://127.0.0.1:{}", self.etcd_peer_port);
        vec![
            "--name=default".to_owned(),
            "--data-dir=etcd".to_owned(),
            format!("--listen-client-urls={client}"),
            format!("--advertise-client-urls={client}"),
            format!("--listen-peer-urls={peer}"),
            format!("--initial-advertise-peer-urls={peer}"),
            format!("--initial-cluster=default={peer}"),
            // Nothing here has to survive a power cut.
            "--unsafe-no-fsync".to_owned(),
            "--log-level=warn".to_owned(),
        ]
    }

    fn api_server_flags(&self, options: &Options) -> Vec<String> {
        let mut flags = vec![
            "--bind-address=127.0.0.1".to_owned(),
            "--advertise-address=127.0.0.1".to_owned(),
            format!("--secure-port={}", self.api_port),
            format!("--etcd-servers=http://127.0.0.1:{}", self.etcd_port),
            "--tls-cert-file=pki/server.crt".to_owned(),
            "--tls-private-key-file=pki/server.key".to_owned(),
            "--service-account-issuer=https://kubernetes.default.svc".to_owned(),
            "--service-account-signing-key-file=pki/sa.key".to_owned(),
            "--service-account-key-file=pki/sa.pub".to_owned(),
            "--service-cluster-ip-range=10.96.0.0/16".to_owned(),
            "--token-auth-file=tokens.csv".to_owned(),
            "--authorization-mode=RBAC".to_owned(),
            "--allow-privileged".to_owned(),
            // The Service `kubernetes` would lead nowhere, and keeping its endpoints delays the end.
            "--endpoint-reconciler-type=none".to_owned(),
            "--profiling=false".to_owned(),
        ];
        flags.extend(options.api_server_flags.iter().cloned());
        flags
    }

    fn controller_manager_flags(&self, qps: u32) -> Vec<String> {
        vec![
            "--kubeconfig=kubeconfig".to_owned(),
            "--bind-address=127.0.0.1".to_owned(),
            "--secure-port=0".to_owned(),
            "--use-service-account-credentials".to_owned(),
            "--service-account-private-key-file=pki/sa.key".to_owned(),
            "--root-ca-file=pki/ca.crt".to_owned(),
            "--leader-elect=false".to_owned(),
            format!("--kube-api-qps={qps}"),
            format!("--kube-api-burst={}", qps.saturating_mul(2)),
            "--profiling=false".to_owned(),
        ]
    }

    fn scheduler_flags(&self) -> Vec<String> {
        vec![
            "--kubeconfig=kubeconfig".to_owned(),
            "--bind-address=127.0.0.1".to_owned(),
            "--secure-port=0".to_owned(),
            "--leader-elect=false".to_owned(),
            "--kube-api-qps=500".to_owned(),
            "--kube-api-burst=1000".to_owned(),
            "--profiling=false".to_owned(),
        ]
    }

    fn kwok_flags(&self) -> Vec<String> {
        vec![
            format!(
                "--config={}",
                paths::root().join("tests/cluster/kwok-stages.yaml").display()
            ),
            "--kubeconfig=kubeconfig".to_owned(),
            "--manage-all-nodes=true".to_owned(),
            "--node-ip=127.0.0.1".to_owned(),
            "--node-port=0".to_owned(),
        ]
    }
}
