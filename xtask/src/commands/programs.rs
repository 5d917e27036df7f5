//! The project's own programs, started beside a cluster.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use xtask::process::{self, Nursery, Process};
use xtask::{http, paths, ports};

const READY_LIMIT: Duration = Duration::from_secs(60);

/// The programs that people install.
const PROGRAMS: [&str; 6] = [
    "source-controller",
    "kustomize-controller",
    "helm-controller",
    "source-watcher",
    "ferroflux",
    "flux",
];

/// How the programs are compiled: the profile and the folder of their own in Cargo's target directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Profile {
    /// What people install, and what is measured.
    Release,
    /// What is tested, in half the time.
    Quick,
}

impl Profile {
    fn name(self) -> &'static str {
        match self {
            Self::Release => "release",
            Self::Quick => "quick",
        }
    }

    /// Where the programs are.
    pub(crate) fn dir(self) -> PathBuf {
        paths::target().join(self.name())
    }
}

/// The command that compiles them; always all of them, because Cargo compiles a library anew for another choice of programs
/// when that changes the features that are on.
pub(crate) fn build_command(profile: Profile) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command
        .args(["build", "--profile", profile.name(), "--locked"])
        .args(PROGRAMS.map(|it| format!("--package={it}")));
    command.current_dir(paths::root()).stdin(Stdio::null());
    command
}

/// Compiles the programs, unless they are given, and gives their directory.
pub(crate) fn build(given: Option<&Path>, profile: Profile) -> Result<PathBuf> {
    if let Some(dir) = given {
        return dir
            .canonicalize()
            .with_context(|| format!("--bin {}", dir.display()));
    }
    let status = build_command(profile)
        .arg("--quiet")
        .status()
        .context("cannot start cargo")?;
    ensure!(status.success(), "the programs do not compile");
    Ok(profile.dir())
}

/// A controller and where it answers.
#[derive(Debug)]
pub(crate) struct Controller {
    pub process: Process,
    pub metrics: SocketAddr,
}

/// What a controller is started with.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Setup<'a> {
    pub bin: &'a Path,
    pub kubeconfig: &'a Path,
    /// Where it keeps its log and its artifacts.
    pub dir: &'a Path,
    /// The only namespace that it looks at, if any.
    pub namespace: Option<&'a str>,
}

impl Controller {
    /// Starts a controller and waits until it says that it is ready.
    pub(crate) fn start(nursery: &Nursery, setup: Setup<'_>, name: &str, flags: &[String]) -> Result<Self> {
        let [metrics, health] =
            [ports::free()?, ports::free()?].map(|port| SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
        let mut command = Command::new(setup.bin.join(name));
        command
            .arg(format!("--kubeconfig={}", setup.kubeconfig.display()))
            .arg(format!("--metrics-addr={metrics}"))
            .arg(format!("--health-addr={health}"))
            .args(flags)
            .env_remove("KUBECONFIG")
            // Its temporary files go with the rest.
            .env("TMPDIR", setup.dir);
        if let Some(namespace) = setup.namespace {
            command
                .arg("--watch-all-namespaces=false")
                .env("RUNTIME_NAMESPACE", namespace);
        }
        let mut process = nursery.start(name, command, &setup.dir.join(format!("{name}.log")))?;
        let ready = || http::get(health, "/readyz", Duration::from_secs(5)).ok();
        process::until(&format!("{name} ready"), READY_LIMIT, ready, || {
            match process.exited() {
                Some(status) => bail!(
                    "{name} ended ({status}); the end of its output:\n{}",
                    process.log_tail(15)
                ),
                None => Ok(()),
            }
        })?;
        Ok(Self { process, metrics })
    }

    /// The flags for a store of artifacts in this directory, on a free port.
    pub(crate) fn storage_flags(dir: &Path) -> Result<Vec<String>> {
        std::fs::create_dir_all(dir)?;
        let address = format!("127.0.0.1:{}", ports::free()?);
        Ok(vec![
            format!("--storage-path={}", dir.display()),
            format!("--storage-addr={address}"),
            format!("--storage-adv-addr={address}"),
        ])
    }

    /// Fails when it has ended.
    pub(crate) fn check(&mut self) -> Result<()> {
        match self.process.exited() {
            None => Ok(()),
            Some(status) => {
                let (name, tail) = (self.process.name(), self.process.log_tail(15));
                bail!("{name} ended ({status}); the end of its output:\n{tail}")
            }
        }
    }
}

/// Runs a command that must succeed, without its output.
pub(crate) fn quiet(mut command: Command) -> Result<String> {
    let res = command
        .output()
        .with_context(|| format!("cannot start {}", command.get_program().display()))?;
    let errors = String::from_utf8_lossy(&res.stderr);
    ensure!(res.status.success(), "{command:?} failed: {}", errors.trim());
    Ok(String::from_utf8_lossy(&res.stdout).into_owned())
}
