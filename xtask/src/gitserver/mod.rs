//! Git repositories over HTTP on the loopback interface, served by Git's own `git http-backend`.
//!
//! ```no_run
//! # fn main() -> anyhow::Result<()> {
//! # let dir = std::path::Path::new("/tmp/repositories");
//! let server = xtask::gitserver::GitServer::start(dir)?;
//! let repository = server.create("podinfo")?;
//! repository.write("app/config.yaml", "kind: ConfigMap\n")?;
//! let commit = repository.commit("Add the configuration")?;
//! println!("{} at {commit}", repository.url());
//! # Ok(())
//! # }
//! ```

mod cgi;
mod repository;

use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context as _, Result};

pub use repository::Repository;

/// A server of all repositories below a directory.
#[derive(Debug)]
pub struct GitServer {
    root: PathBuf,
    address: SocketAddr,
    shared: Arc<Shared>,
    listener: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    root: PathBuf,
    /// What the header `Authorization` must be, if anything.
    authorization: Option<String>,
    requests: AtomicU64,
    stopped: AtomicBool,
}

impl GitServer {
    /// Serves the directory on a free port to everyone.
    ///
    /// # Errors
    /// When the port cannot be opened or the directory not be made.
    pub fn start(root: &Path) -> Result<Self> {
        Self::start_with(root, None)
    }

    /// Serves the directory to those who know the name and password.
    ///
    /// # Errors
    /// When the port cannot be opened or the directory not be made.
    pub fn start_private(root: &Path, user: &str, password: &str) -> Result<Self> {
        use base64::Engine as _;
        let credentials = base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}"));
        Self::start_with(root, Some(format!("Basic {credentials}")))
    }

    fn start_with(root: &Path, authorization: Option<String>) -> Result<Self> {
        std::fs::create_dir_all(root).with_context(|| format!("cannot create {}", root.display()))?;
        let root = root.canonicalize()?;
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("cannot open a port")?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            root: root.clone(),
            authorization,
            requests: AtomicU64::new(0),
            stopped: AtomicBool::new(false),
        });
        let accepted = Arc::clone(&shared);
        let listener = Some(thread::spawn(move || accept(&listener, &accepted)));
        Ok(Self {
            root,
            address,
            shared,
            listener,
        })
    }

    /// Makes an empty repository whose default branch is `main`.
    ///
    /// # Errors
    /// When Git cannot make it.
    pub fn create(&self, name: &str) -> Result<Repository> {
        Repository::create(&self.root, name, format!("http://{}/{name}.git", self.address))
    }

    /// The address it listens on.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// How many requests it has got so far.
    #[must_use]
    pub fn requests(&self) -> u64 {
        self.shared.requests.load(Ordering::Relaxed)
    }
}

impl Drop for GitServer {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::Release);
        // Wakes the listener, which then sees that it shall stop.
        drop(TcpStream::connect_timeout(&self.address, Duration::from_secs(1)));
        if let Some(listener) = self.listener.take() {
            drop(listener.join());
        }
    }
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    for stream in listener.incoming().flatten() {
        if shared.stopped.load(Ordering::Acquire) {
            return;
        }
        let shared = Arc::clone(shared);
        // A connection that breaks is the client's to report.
        thread::spawn(move || drop(cgi::answer(stream, &shared)));
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    fn clone(url: &str, into: &Path) -> std::process::Output {
        let mut command = Command::new("git");
        repository::isolated(&mut command);
        command
            .args(["clone", "--quiet", "--depth=1", url])
            .arg(into)
            .output()
            .unwrap()
    }

    #[test]
    fn a_commit_can_be_cloned_and_a_change_pushed_back() {
        let dir = crate::paths::temporary("gitserver").unwrap();
        let server = GitServer::start(&dir.join("root")).unwrap();
        let repository = server.create("app").unwrap();
        repository.write("base/config.yaml", "kind: ConfigMap\n").unwrap();
        let commit = repository.commit("Add the configuration").unwrap();

        let copy = dir.join("copy");
        let res = clone(repository.url(), &copy);
        assert!(res.status.success(), "{}", String::from_utf8_lossy(&res.stderr));
        assert_eq!(
            std::fs::read_to_string(copy.join("base/config.yaml")).unwrap(),
            "kind: ConfigMap\n"
        );

        // Large enough that Git sends it in chunks, after having asked whether it may.
        let noise: Vec<u8> = (0..3_000_000_u32)
            .map(|it| (it.wrapping_mul(2_654_435_761) >> 24) as u8)
            .collect();
        std::fs::write(copy.join("noise"), noise).unwrap();
        for args in [
            &["add", "noise"][..],
            &["commit", "--quiet", "-m", "Add noise"],
            &["push", "--quiet"],
        ] {
            let mut command = Command::new("git");
            repository::isolated(&mut command);
            let res = command.args(args).current_dir(&copy).output().unwrap();
            assert!(res.status.success(), "{}", String::from_utf8_lossy(&res.stderr));
        }
        assert_eq!(repository.git(&["rev-parse", "main^"]).unwrap(), commit);
        std::fs::remove_dir_all(dir).unwrap();
    }

    #[test]
    fn a_private_server_wants_the_password() {
        let dir = crate::paths::temporary("gitserver").unwrap();
        let server = GitServer::start_private(&dir.join("root"), "user", "secret").unwrap();
        let repository = server.create("app").unwrap();
        repository.commit("Begin").unwrap();
        assert!(!clone(repository.url(), &dir.join("refused")).status.success());
        let url = repository.url().replace("http://", "http://user:secret@");
        assert!(clone(&url, &dir.join("copy")).status.success());
        std::fs::remove_dir_all(dir).unwrap();
    }
}
