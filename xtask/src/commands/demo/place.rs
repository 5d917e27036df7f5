//! Where the demo happens: in a cluster of its own, or in one that exists.

use std::env;
use std::ffi::OsStr;
use std::io::{self, BufRead as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};
use xtask::cluster::{Cluster, Options, build};
use xtask::process::Nursery;
use xtask::{paths, term};

use super::super::programs::quiet;

/// A cluster and a directory for the demo's files.
#[derive(Debug)]
pub(super) struct Place {
    pub kubeconfig: PathBuf,
    pub dir: PathBuf,
    pub nursery: Nursery,
    pub kubectl: PathBuf,
    /// Ends with this value; none if the cluster is the user's.
    cluster: Option<Cluster>,
}

impl Place {
    pub(super) fn new() -> Result<Self> {
        let cluster = Cluster::start(&Options {
            name: "demo".to_owned(),
            nodes: 2,
            ..Options::default()
        })?;
        Ok(Self {
            kubeconfig: cluster.kubeconfig(),
            dir: cluster.dir().to_path_buf(),
            nursery: cluster.nursery().clone(),
            kubectl: cluster.bin().join("kubectl"),
            cluster: Some(cluster),
        })
    }

    pub(super) fn existing(kubeconfig: PathBuf) -> Result<Self> {
        let dir = paths::temporary("demo")?;
        let nursery = Nursery::new(Some(&dir))?;
        Ok(Self {
            kubeconfig,
            dir,
            nursery,
            kubectl: kubectl()?,
            cluster: None,
        })
    }

    pub(super) fn is_ours(&self) -> bool {
        self.cluster.is_some()
    }

    pub(super) fn kubectl(&self) -> Command {
        let mut command = Command::new(&self.kubectl);
        command
            .env("KUBECONFIG", &self.kubeconfig)
            .arg("--cache-dir")
            .arg(self.dir.join("kubectl-cache"));
        command
    }

    pub(super) fn check(&mut self) -> Result<()> {
        self.cluster.as_mut().map_or(Ok(()), Cluster::check)
    }
}

/// The user's kubectl, or the one that comes with the test control plane.
fn kubectl() -> Result<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let found = env::split_paths(&path)
        .map(|it| it.join("kubectl"))
        .find(|it| it.is_file());
    found.map_or_else(|| Ok(build::build()?.join("kubectl")), Ok)
}

/// Asks whether the cluster behind this kubeconfig may be changed.
pub(super) fn agreed(kubeconfig: &OsStr) -> Result<bool> {
    let mut command = Command::new(kubectl()?);
    command
        .env("KUBECONFIG", kubeconfig)
        .args(["config", "view", "--minify", "-o"]);
    command.arg("jsonpath={.current-context} at {.clusters[0].cluster.server}");
    let name = quiet(command)
        .with_context(|| format!("cannot read the kubeconfig {}", Path::new(kubeconfig).display()))?;
    term::line(format_args!(
        "KUBECONFIG is set: the demo would use {}.",
        term::bold(name.trim())
    ));
    term::line(
        "It installs Flux's CRDs if they are missing, works in the namespace `demo`, and removes that at its end;",
    );
    term::line("the controllers run on this machine and look at that namespace only.");
    drop(write!(io::stdout(), "Go on? [y/N] "));
    io::stdout().flush()?;
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}
