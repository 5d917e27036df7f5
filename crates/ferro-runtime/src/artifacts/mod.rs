//! What controllers share that make artifacts: the flags of their store, the store, and its server.

mod mirror;
mod replica;
pub mod sweep;

use std::future::Future;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use ferro_artifact::digest::Algorithm;
use ferro_artifact::server::{Fallback, FileServer};
use ferro_artifact::storage::{Storage, StorageOptions, advertised_host};
use tokio::sync::Mutex;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

pub use replica::{Artifacts, Lead};

use crate::flags::{duration, listen_addr};
use crate::process::Fatal;
use crate::server::bind;

/// Time for the last downloads after the last pass.
const DRAIN: Duration = Duration::from_secs(5);

/// Flags of a store of artifacts.
#[derive(Args, Clone, Debug)]
pub struct StorageFlags {
    /// Folder in which artifacts are stored; must exist.
    #[arg(long, env = "STORAGE_PATH", default_value = "/data")]
    pub storage_path: String,
    /// Address on which artifacts are served.
    #[arg(long, env = "STORAGE_ADDRESS", default_value = ":9090")]
    pub storage_addr: String,
    /// Host, or scheme and host, under which other programs reach the artifacts; by default that of --storage-addr.
    #[arg(long, env = "STORAGE_ADV_ADDR", default_value = "")]
    pub storage_adv_addr: String,
    /// Host and port under which other replicas reach the artifacts of this one while it leads; by default the address from which it talks
    /// to the API server, and the port of --storage-addr.
    #[arg(long, env = "STORAGE_REPLICA_ADDR", default_value = "")]
    pub storage_replica_addr: String,
    /// Time for which artifacts that are no longer current are kept.
    #[arg(long, value_parser = duration, default_value = "1m")]
    pub artifact_retention_ttl: Duration,
    /// Artifacts of one object that are kept at most.
    #[arg(long, default_value_t = 2)]
    pub artifact_retention_records: usize,
    /// Bytes that the folder may hold in all; an artifact that does not fit is refused. 0 for no bound but the disk.
    #[arg(long, default_value_t = 0)]
    pub storage_quota: u64,
    /// Algorithm of the digests of artifacts: sha1, sha256, sha384, sha512 or blake3.
    #[arg(long, value_parser = algorithm, default_value = "sha256")]
    pub artifact_digest_algo: Algorithm,
}

fn algorithm(text: &str) -> Result<Algorithm, String> {
    Algorithm::ALL
        .into_iter()
        .find(|algorithm| algorithm.name() == text)
        .ok_or_else(|| {
            let known = Algorithm::ALL.map(Algorithm::name).join(", ");
            format!("unsupported digest algorithm '{text}'; known: {known}")
        })
}

impl StorageFlags {
    /// Refuses a folder that is not there and an address that is none, before anything waits for a lease.
    ///
    /// # Errors
    /// When the store could not be opened and served with these flags.
    pub fn check(&self) -> Result<(), Fatal> {
        listen_addr(&self.storage_addr)?;
        self.open(0)?;
        Ok(())
    }

    /// Opens the store, which is served on `port`.
    fn open(&self, port: u16) -> Result<Storage, Fatal> {
        // A port that the system chose has to be known to who fetches.
        let address = match self.storage_addr.strip_suffix(":0") {
            Some(host) => format!("{host}:{port}"),
            None => self.storage_addr.clone(),
        };
        Ok(Storage::open(StorageOptions {
            base: self.storage_path.clone().into(),
            host: advertised_host(&address, &self.storage_adv_addr, &crate::hostname()),
            algorithm: self.artifact_digest_algo,
            retention_ttl: self.artifact_retention_ttl,
            retention_records: self.artifact_retention_records,
            quota: Some(self.storage_quota).filter(|bytes| *bytes > 0),
        })?)
    }
}

/// The file servers of a process: controllers that have an address and a folder in common have the server in common, too. Cheap to clone.
#[derive(Clone, Default)]
pub struct Servers(Arc<Mutex<Vec<Running>>>);

struct Running {
    address: SocketAddr,
    folder: PathBuf,
    port: u16,
    users: usize,
    server: FileServer,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Servers {
    /// Opens the store and serves it while `act` works, after [`Servers::lead`].
    ///
    /// # Errors
    /// When the store cannot be used, or its address is taken.
    pub async fn serve<Fut>(
        &self,
        flags: &StorageFlags,
        act: impl FnOnce(Storage) -> Fut,
    ) -> Result<(), Fatal>
    where
        Fut: Future<Output = Result<(), Fatal>>,
    {
        let port = self.start(flags).await?;
        let result = match flags.open(port) {
            Ok(storage) => act(storage).await,
            Err(error) => Err(error),
        };
        self.release(port).await;
        result
    }

    /// Starts the server, or becomes one more user of the one that runs; the port.
    async fn start(&self, flags: &StorageFlags) -> Result<u16, Fatal> {
        let address = listen_addr(&flags.storage_addr)?;
        let folder = PathBuf::from(&flags.storage_path);
        let mut servers = self.0.lock().await;
        let is_same = |running: &&mut Running| running.address == address && running.folder == folder;
        if let Some(running) = servers.iter_mut().find(is_same) {
            running.users += 1;
            return Ok(running.port);
        }
        let server = FileServer::new(&folder)?;
        let listener = bind(address, "artifacts").await?;
        let (port, stop) = (listener.local_addr()?.port(), CancellationToken::new());
        let task = tokio::spawn(server.clone().serve(listener, stop.clone()));
        servers.push(Running {
            address,
            folder,
            port,
            users: 1,
            server,
            stop,
            task,
        });
        Ok(port)
    }

    /// Has the server on `port` ask `fallback` for files that are not there.
    async fn ask(&self, port: u16, fallback: Arc<dyn Fallback>) {
        let servers = self.0.lock().await;
        if let Some(running) = servers.iter().find(|running| running.port == port) {
            running.server.fallbacks().add(fallback);
        }
    }

    /// Ends the server with its last user, and lets downloads come to their end, within bounds.
    async fn release(&self, port: u16) {
        let mut servers = self.0.lock().await;
        let Some(index) = servers.iter().position(|running| running.port == port) else {
            return;
        };
        if let Some(running) = servers.get_mut(index).filter(|running| running.users > 1) {
            running.users -= 1;
            return;
        }
        let running = servers.swap_remove(index);
        drop(servers);
        running.stop.cancel();
        let task = running.task.abort_handle();
        if tokio::time::timeout(DRAIN, running.task).await.is_err() {
            task.abort();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        storage: StorageFlags,
    }

    fn flags(arguments: &[&str]) -> StorageFlags {
        Cli::parse_from(["program"].iter().chain(arguments)).storage
    }

    #[test]
    fn storage_flags_reach_the_store() {
        let folder = tempfile::tempdir().unwrap();
        let path = format!("--storage-path={}", folder.path().display());
        let given = flags(&[
            &path,
            "--storage-adv-addr=watcher.flux-system.svc.",
            "--artifact-digest-algo=blake3",
            "--storage-quota=10",
        ]);
        let storage = given.open(1).unwrap();
        assert_eq!(storage.algorithm(), Algorithm::Blake3);
        let artifact = ferro_artifact::storage::ArtifactPath::new("Kind", "ns", "name", "file").unwrap();
        assert_eq!(
            storage.url(&artifact),
            "http://watcher.flux-system.svc./kind/ns/name/file"
        );
        let full = storage.publish_blocking(&artifact, |out| out.write_all(&[0; 11]));
        assert!(full.unwrap_err().to_string().starts_with("the storage is full"));
        let chosen = flags(&[&path, "--storage-addr=127.0.0.1:0"]).open(4711).unwrap();
        assert_eq!(chosen.url(&artifact), "http://127.0.0.1:4711/kind/ns/name/file");
        assert!(Cli::try_parse_from(["program", "--artifact-digest-algo=md5"]).is_err());
    }

    #[test]
    fn check_refuses_a_folder_that_is_not_there_and_an_address_that_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let path = format!("--storage-path={}", folder.path().display());
        assert!(flags(&[&path]).check().is_ok());
        assert!(flags(&["--storage-path=/nowhere/at/all"]).check().is_err());
        assert!(flags(&[&path, "--storage-addr=nobody"]).check().is_err());
    }

    #[tokio::test]
    async fn controllers_with_one_store_share_its_server_until_the_last_ends() {
        let folder = tempfile::tempdir().unwrap();
        let path = format!("--storage-path={}", folder.path().display());
        let flags = flags(&[&path, "--storage-addr=127.0.0.1:0"]);
        let servers = Servers::default();
        let first = servers.start(&flags).await.unwrap();
        assert_eq!(servers.start(&flags).await.unwrap(), first);
        servers.release(first).await;
        let is_open = || std::net::TcpStream::connect(("127.0.0.1", first)).is_ok();
        assert!(is_open());
        servers.release(first).await;
        assert!(!is_open());
    }
}
