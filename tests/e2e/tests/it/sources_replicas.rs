//! Replicas of source-controller behind one address: each serves every artifact, and none is missed when the leader dies. Each test has a
//! cluster for itself and starts the controllers.

use std::net::SocketAddr;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use e2e::{Case, Controller, Entry, Repository, Target, cases, config_map, text};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

pub(crate) fn cases() -> Vec<Entry> {
    let all = cases!["replicas":
        replicas_with_own_storages_serve_through_failovers,
        replicas_with_a_shared_storage_serve_and_fetch_nothing,
        standby_without_the_artifacts_is_not_ready_until_it_leads,
    ];
    all.into_iter().map(|it| it.alone().within(600)).collect()
}

pub(crate) const ELECTION: [&str; 4] = [
    "--enable-leader-election",
    "--leader-election-lease-duration=3s",
    "--leader-election-renew-deadline=2s",
    "--leader-election-retry-period=500ms",
];
const APPS: usize = 3;

/// Hands connections to whoever listens, in turn, as a Service does with replicas that are ready.
pub(crate) struct Balancer {
    pub(crate) address: SocketAddr,
    replicas: Arc<Mutex<Vec<u16>>>,
    task: JoinHandle<()>,
}

impl Balancer {
    pub(crate) async fn start() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let replicas = Arc::<Mutex<Vec<u16>>>::default();
        let known = Arc::clone(&replicas);
        let task = tokio::spawn(async move {
            let mut turn = 0;
            while let Ok((client, _)) = listener.accept().await {
                turn += 1;
                let mut ports = known.lock().unwrap_or_else(PoisonError::into_inner).clone();
                let length = ports.len().max(1);
                ports.rotate_left(turn % length);
                tokio::spawn(pass(client, ports));
            }
        });
        Ok(Self {
            address,
            replicas,
            task,
        })
    }

    pub(crate) fn add(&self, controller: &Controller) {
        let mut replicas = self.replicas.lock().unwrap_or_else(PoisonError::into_inner);
        replicas.push(controller.storage_port());
    }
}

impl Drop for Balancer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn pass(mut client: TcpStream, ports: Vec<u16>) {
    for port in ports {
        if let Ok(mut replica) = TcpStream::connect(("127.0.0.1", port)).await {
            // Either may go away at any time.
            drop(tokio::io::copy_bidirectional(&mut client, &mut replica).await);
            return;
        }
    }
}

/// A client that downloads what is advertised, over and over.
pub(crate) struct Downloads {
    stop: Arc<AtomicBool>,
    count: Arc<AtomicUsize>,
    task: JoinHandle<Result<usize>>,
}

impl Downloads {
    pub(crate) fn start(case: &Case, targets: Vec<Target>) -> Self {
        let (stop, count) = (Arc::<AtomicBool>::default(), Arc::<AtomicUsize>::default());
        let (stopped, counted, case) = (Arc::clone(&stop), Arc::clone(&count), case.clone());
        let task = tokio::spawn(async move {
            let mut broken = 0;
            while !stopped.load(Ordering::SeqCst) {
                for target in &targets {
                    let object = target.get().await?;
                    // A client that knows of no artifact waits.
                    if object["status"]["artifact"].is_null() {
                        continue;
                    }
                    match download(&case, &object).await? {
                        true => drop(counted.fetch_add(1, Ordering::SeqCst)),
                        false => broken += 1,
                    }
                }
            }
            Ok(broken)
        });
        Self { stop, count, task }
    }

    /// Waits for some more downloads.
    pub(crate) async fn more(&self) {
        let goal = self.count.load(Ordering::SeqCst) + 4 * APPS;
        while self.count.load(Ordering::SeqCst) < goal && !self.task.is_finished() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Ends it; how many connections broke.
    pub(crate) async fn end(self) -> Result<usize> {
        self.stop.store(true, Ordering::SeqCst);
        self.task.await?
    }
}

/// Whether the artifact came whole; an answer that is not the artifact is an error, a connection that broke is not.
pub(crate) async fn download(case: &Case, object: &Value) -> Result<bool> {
    let artifact = &object["status"]["artifact"];
    let Ok((status, body)) = case.download(&text(artifact, "/url")).await else {
        return Ok(false);
    };
    ensure!(status == 200, "status {status} for {artifact}");
    let size = artifact["size"].as_u64().unwrap_or_default();
    if (body.len() as u64) < size {
        return Ok(false);
    }
    let digest = Sha256::digest(&body);
    let digest: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    ensure!(
        artifact["digest"] == format!("sha256:{digest}"),
        "sha256:{digest} is served as {artifact}"
    );
    Ok(true)
}

/// Starts a replica with files of its own, which may have to wait for the lease.
pub(crate) async fn start_replica(
    case: &Case,
    program: &'static str,
    dir: &'static str,
    flags: &[String],
) -> Result<Controller> {
    let flags: Vec<String> = ELECTION
        .iter()
        .map(|&it| it.to_owned())
        .chain(flags.iter().cloned())
        .collect();
    case.blocking(move |world| {
        let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
        let mut setup = world.setup(program, &flags);
        setup.dir = world.dir().join(dir);
        world.start_controller(setup)
    })
    .await
}

async fn start(case: &Case, dir: &'static str, flags: &[String]) -> Result<Controller> {
    start_replica(case, "source-controller", dir, flags).await
}

pub(crate) async fn again(mut controller: Controller) -> Result<Controller> {
    tokio::task::spawn_blocking(move || {
        controller.launch()?;
        controller.wait_ready()?;
        Ok(controller)
    })
    .await?
}

async fn apps(case: &Case) -> Result<Vec<(Repository, Target)>> {
    let mut apps = Vec::new();
    for index in 0..APPS {
        let name = format!("app-{index}");
        let repository = case.repository(&name)?;
        repository.commit(&[("a.yaml", &config_map(&name, &[]))])?;
        let target = case
            .git_repository(&name, repository.url(), json!({"interval": "1h"}))
            .await?;
        target.ready().await?;
        apps.push((repository, target));
    }
    Ok(apps)
}

/// Commits, and waits until that is what the artifact has.
async fn change((repository, target): &(Repository, Target), value: &str) -> Result<()> {
    let commit = repository.commit(&[("a.yaml", &config_map("changed", &[("key", value)]))])?;
    target.request().await?;
    let stored = |it: &Value| text(it, "/status/artifact/revision").ends_with(&commit);
    target.until("the commit is stored", stored).await?;
    Ok(())
}

pub(crate) fn serves(controller: &Controller) -> bool {
    std::net::TcpStream::connect(("127.0.0.1", controller.storage_port())).is_ok()
}

/// The files of artifacts below a storage, with their inodes.
pub(crate) fn files(storage: &Path) -> Result<Vec<(PathBuf, u64)>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(storage)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            files.extend(self::files(&entry.path())?);
        } else if entry.path().extension().is_some_and(|it| it == "gz") {
            files.push((entry.path(), entry.metadata()?.ino()));
        }
    }
    files.sort();
    Ok(files)
}

async fn replicas_with_own_storages_serve_through_failovers(case: Case) -> Result<()> {
    let balancer = Balancer::start().await?;
    let flags = [format!("--storage-adv-addr={}", balancer.address)];
    let mut first = start(&case, "first-controller", &flags).await?;
    balancer.add(&first);
    let apps = apps(&case).await?;
    let mut second = start(&case, "second-controller", &flags).await?;
    ensure!(serves(&second), "a standby that is ready does not serve");
    let data = case.world().dir().join("second-controller/data");
    ensure!(files(&data)?.len() == APPS, "the standby has {:?}", files(&data)?);
    balancer.add(&second);

    let targets = || -> Result<Vec<Target>> {
        (0..APPS)
            .map(|index| case.source(&format!("app-{index}")))
            .collect()
    };
    let downloads = Downloads::start(&case, targets()?);
    downloads.more().await;
    change(&apps[0], "one").await?;
    downloads.more().await;
    first.kill();
    downloads.more().await;
    // Only a leader makes new artifacts.
    change(&apps[1], "two").await?;
    downloads.more().await;
    // The first comes back with what it had, and is the heir of its heir.
    let mut first = again(first).await?;
    change(&apps[2], "three").await?;
    downloads.more().await;
    second.kill();
    downloads.more().await;
    change(&apps[0], "four").await?;
    downloads.more().await;
    let broken = downloads.end().await?;
    ensure!(broken <= 2, "{broken} downloads broke off, at two kills");

    // What is deleted goes from the copies, too.
    let second = again(second).await?;
    let gone = data.join(format!("gitrepository/{}/app-2", case.namespace()));
    ensure!(gone.exists(), "the standby lacks an artifact");
    apps[2].1.delete().await?;
    until("the copy is removed", || !gone.exists()).await?;
    drop((first.stop(), second));
    Ok(())
}

pub(crate) async fn until(what: &str, is_met: impl Fn() -> bool) -> Result<()> {
    let wait = async {
        while !is_met() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let waited = tokio::time::timeout(Duration::from_secs(60), wait).await;
    waited.with_context(|| format!("{what}: not within a minute"))
}

async fn replicas_with_a_shared_storage_serve_and_fetch_nothing(case: Case) -> Result<()> {
    let balancer = Balancer::start().await?;
    let data = case.world().dir().join("shared-data");
    std::fs::create_dir_all(&data)?;
    let flags = [
        format!("--storage-adv-addr={}", balancer.address),
        format!("--storage-path={}", data.display()),
    ];
    let mut first = start(&case, "first-controller", &flags).await?;
    balancer.add(&first);
    let apps = apps(&case).await?;
    let before = files(&data)?;
    let second = start(&case, "second-controller", &flags).await?;
    ensure!(serves(&second), "a standby that is ready does not serve");
    balancer.add(&second);
    let targets = (0..APPS)
        .map(|index| case.source(&format!("app-{index}")))
        .collect::<Result<_>>()?;
    let downloads = Downloads::start(&case, targets);
    downloads.more().await;
    first.kill();
    downloads.more().await;
    change(&apps[0], "one").await?;
    downloads.more().await;
    let broken = downloads.end().await?;
    ensure!(broken <= 1, "{broken} downloads broke off, at one kill");
    let after = files(&data)?;
    for file in &before {
        ensure!(after.contains(file), "{file:?} was written again: {after:?}");
    }
    Ok(())
}

/// Nobody has them: the leader is gone, and so is its storage.
async fn standby_without_the_artifacts_is_not_ready_until_it_leads(case: Case) -> Result<()> {
    let mut first = start(&case, "first-controller", &[]).await?;
    let apps = apps(&case).await?;
    first.kill();
    // The lease still has its holder when the next one comes.
    let setup = |world: &e2e::World| {
        let mut setup = world.setup("source-controller", &ELECTION);
        setup.dir = world.dir().join("second-controller");
        let mut second = world.prepare_controller(setup)?;
        second.launch()?;
        Ok(second)
    };
    let mut second = case.blocking(move |world| setup(world)).await?;
    let port = format!(":{}/", second.storage_port());
    for (_, target) in &apps {
        // Made anew by the new leader.
        let moved = |it: &Value| text(it, "/status/artifact/url").contains(&port);
        let object = target.until("the second has the artifact", moved).await?;
        ensure!(download(&case, &object).await?, "the artifact is not served");
    }
    let ready = tokio::task::spawn_blocking(move || second.wait_ready());
    ready.await??;
    Ok(())
}
