//! The project's controllers as processes.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use rustix::process::Signal;
use xtask::process::{Nursery, Process};

/// A controller may wait for the API server's first answers, on a busy machine.
const START_LIMIT: Duration = Duration::from_secs(60);

/// How to start a controller.
#[derive(Clone, Debug)]
pub struct Setup {
    /// The program and name of the controller.
    pub program: String,
    /// Where its files and its log go.
    pub dir: PathBuf,
    /// The kubeconfig that it uses.
    pub kubeconfig: PathBuf,
    /// Arguments before all flags of the tests, which win over them.
    pub arguments: Vec<String>,
    /// Further flags.
    pub flags: Vec<String>,
    /// The value of RUNTIME_NAMESPACE.
    pub namespace: String,
}

/// A controller, running or not.
#[derive(Debug)]
pub struct Controller {
    setup: Setup,
    nursery: Nursery,
    metrics: u16,
    health: u16,
    storage: u16,
    flags: Vec<String>,
    log: PathBuf,
    process: Option<Process>,
}

/// Where the project's programs are.
pub(crate) fn programs() -> PathBuf {
    match std::env::var_os("FERRO_E2E_BIN") {
        Some(dir) if !dir.is_empty() => PathBuf::from(dir),
        _ => xtask::paths::target().join("quick"),
    }
}

impl Controller {
    /// Starts the controller and waits until it is ready.
    ///
    /// # Errors
    /// When it does not become ready; the error shows the end of its log.
    pub fn start(nursery: &Nursery, setup: Setup) -> Result<Self> {
        let mut it = Self::prepare(nursery, setup)?;
        it.launch()?;
        it.wait_ready()?;
        Ok(it)
    }

    /// A controller that is not running yet.
    ///
    /// # Errors
    /// When its directory cannot be made or no port is free.
    pub fn prepare(nursery: &Nursery, setup: Setup) -> Result<Self> {
        let ports = [
            xtask::ports::free()?,
            xtask::ports::free()?,
            xtask::ports::free()?,
        ];
        let (metrics, health, storage) = (ports[0], ports[1], ports[2]);
        let mut flags = setup.arguments.clone();
        flags.extend([
            format!("--kubeconfig={}", setup.kubeconfig.display()),
            format!("--metrics-addr=127.0.0.1:{metrics}"),
            format!("--health-addr=127.0.0.1:{health}"),
            // Failures are tried again quickly, so that tests of recovery are quick.
            "--min-retry-delay=200ms".to_owned(),
            "--max-retry-delay=2s".to_owned(),
            "--requeue-dependency=1s".to_owned(),
        ]);
        let program = setup.program.as_str();
        let serves = matches!(program, "source-controller" | "source-watcher" | "ferroflux");
        let unpacks = matches!(program, "kustomize-controller" | "source-watcher" | "ferroflux");
        if serves {
            let data = setup.dir.join("data");
            std::fs::create_dir_all(&data)?;
            flags.push(format!("--storage-path={}", data.display()));
            flags.push(format!("--storage-addr=127.0.0.1:{storage}"));
            flags.push(format!("--storage-adv-addr=127.0.0.1:{storage}"));
        }
        if unpacks {
            let cache = setup.dir.join("cache");
            std::fs::create_dir_all(&cache)?;
            flags.push(format!("--artifact-cache-path={}", cache.display()));
        }
        if program == "helm-controller" {
            flags.push(format!(
                "--values-cache-path={}",
                setup.dir.join("cache").display()
            ));
        }
        flags.extend(setup.flags.iter().cloned());
        let log = setup.dir.join(format!("{}.log", setup.program));
        Ok(Self {
            setup,
            nursery: nursery.clone(),
            metrics,
            health,
            storage,
            flags,
            log,
            process: None,
        })
    }

    /// Starts the process and does not wait.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn launch(&mut self) -> Result<()> {
        let program = programs().join(&self.setup.program);
        ensure!(
            program.exists(),
            "{} is missing: build it with `cargo build --profile quick`",
            program.display()
        );
        let mut command = Command::new(program);
        command
            .args(&self.flags)
            .env("RUNTIME_NAMESPACE", &self.setup.namespace)
            .env_remove("KUBECONFIG");
        // All traffic stays on the machine; a proxy of the user's must not see it.
        for name in [
            "HTTP_PROXY",
            "HTTPS_PROXY",
            "ALL_PROXY",
            "http_proxy",
            "https_proxy",
            "all_proxy",
        ] {
            command.env_remove(name);
        }
        self.process = Some(self.nursery.start(&self.setup.program, command, &self.log)?);
        Ok(())
    }

    /// Waits until the controller says that it is ready.
    ///
    /// # Errors
    /// When it does not in time, or ends.
    pub fn wait_ready(&mut self) -> Result<()> {
        let address = ([127, 0, 0, 1], self.health).into();
        let ready = || xtask::http::get(address, "/readyz", Duration::from_secs(5)).ok();
        let (name, process) = (&self.setup.program, self.process.as_mut());
        let process = process.with_context(|| format!("{name} was not started"))?;
        let tail = |process: &Process| format!("{name}; the end of its log:\n{}", process.log_tail(15));
        let mut ended = None;
        let waited = xtask::process::until("readiness", START_LIMIT, ready, || {
            ended = process.exited();
            ensure!(ended.is_none(), "it ended: {ended:?}");
            Ok(())
        });
        waited.map(drop).with_context(|| tail(process))
    }

    /// Ends the controller by SIGKILL.
    pub fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill();
        }
    }

    /// Asks the controller to end, as an orchestrator does, and gives whether it did by itself.
    pub fn stop(&mut self) -> bool {
        let Some(mut process) = self.process.take() else {
            return true;
        };
        process.signal(Signal::TERM);
        process
            .wait(Duration::from_secs(30))
            .is_some_and(|it| it.success())
    }

    /// Whether the process runs.
    pub fn is_running(&mut self) -> bool {
        self.process.as_mut().is_some_and(|it| it.exited().is_none())
    }

    /// The name of the controller.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.setup.program
    }

    /// The log of the controller over all its lives.
    #[must_use]
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// The port of its artifact server.
    #[must_use]
    pub const fn storage_port(&self) -> u16 {
        self.storage
    }

    /// The port of its metrics.
    #[must_use]
    pub const fn metrics_port(&self) -> u16 {
        self.metrics
    }

    /// The port of its health.
    #[must_use]
    pub const fn health_port(&self) -> u16 {
        self.health
    }

    /// Its metrics, in Prometheus' text format.
    ///
    /// # Errors
    /// When it does not run.
    pub fn metrics(&self) -> Result<String> {
        let address = ([127, 0, 0, 1], self.metrics).into();
        xtask::http::get(address, "/metrics", Duration::from_secs(30))
    }

    /// The most memory that the process ever had resident, in bytes.
    ///
    /// # Errors
    /// When the process does not run.
    pub fn peak_memory(&self) -> Result<u64> {
        let process = self
            .process
            .as_ref()
            .with_context(|| format!("{} does not run", self.name()))?;
        let status = std::fs::read_to_string(format!("/proc/{}/status", process.id()))?;
        let line = status
            .lines()
            .find_map(|it| it.strip_prefix("VmHWM:"))
            .context("no VmHWM in /proc")?;
        let kilobytes: u64 = line.trim().trim_end_matches(" kB").trim().parse()?;
        Ok(kilobytes * 1024)
    }
}
