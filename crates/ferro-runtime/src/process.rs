//! A controller process: what it starts before the first reconcile and stops after the last.

use std::error::Error;
use std::future::Future;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use kube::Client;
use prometheus_client::registry::Registry;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::flags::{ProcessFlags, optional_listen_addr, runtime_namespace};
use crate::leader::{Elector, LeaseTimes, Lost, lease_name};
use crate::metrics::Metrics;
use crate::server::{self, Pending, Readiness};
use crate::{client, logging};

/// Any error that ends a process.
pub type Fatal = Box<dyn Error + Send + Sync>;

/// Time for reconciles in flight to come to an end after the signal to stop, unless a controller asks for another.
const GRACE: Duration = Duration::from_secs(25);

/// What the controllers of a process share. Cheap to clone.
#[derive(Clone)]
pub struct Process {
    /// Flags as given.
    pub flags: Arc<ProcessFlags>,
    /// Client of the API server.
    pub client: Client,
    /// Metrics of the process.
    pub metrics: Metrics,
    /// Readiness of the process; each controller registers.
    pub readiness: Readiness,
    /// Cancelled when the process is to stop.
    pub stop: CancellationToken,
    /// Host and port of the API server.
    #[cfg(feature = "artifacts")]
    pub(crate) server: Arc<String>,
    /// The file servers of the process.
    #[cfg(feature = "artifacts")]
    pub artifact_servers: crate::artifacts::Servers,
    failed: Arc<AtomicBool>,
    /// Pending until there is a controller to wait for, or one that waits for its lease.
    starting: Arc<Mutex<Pending>>,
    /// Cancelled when this process must not act any more.
    deposed: CancellationToken,
    grace: Arc<Mutex<Duration>>,
}

impl Process {
    /// Makes the process unready until the returned part reports.
    pub(crate) fn register(&self) -> Pending {
        let pending = self.readiness.register();
        self.started();
        pending
    }

    fn started(&self) {
        self.starting
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .ready();
    }

    /// The process as a controller sees it that has its own feature gates.
    #[must_use]
    pub fn with_feature_gates(&self, feature_gates: String) -> Self {
        let mut flags = (*self.flags).clone();
        flags.feature_gates = feature_gates;
        Self {
            flags: Arc::new(flags),
            ..self.clone()
        }
    }

    /// Sets how long the work may take to end once the process is told to. A process that takes longer ends with an error, as upstream's
    /// do; nothing is waited for where the time is zero.
    pub fn set_grace(&self, grace: Duration) {
        *self.grace.lock().unwrap_or_else(PoisonError::into_inner) = grace;
    }

    /// How long the work may take to end once the process is told to.
    #[must_use]
    pub fn grace(&self) -> Duration {
        *self.grace.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends the process, which then exits with an error.
    pub fn fail(&self) {
        self.failed.store(true, Ordering::SeqCst);
        self.stop.cancel();
    }

    /// Ends the process at once: another one may act from now on, and two that do undo each other's work.
    fn depose(&self) {
        self.fail();
        self.deposed.cancel();
    }

    /// Waits for the lease of `controller`, if leader election is on. Returns the task that keeps it, which must be awaited after
    /// the controller's work has ended, or none if the process is stopping.
    pub async fn lead(&self, controller: &str) -> Option<Leadership> {
        self.lead_from(controller, None, |_| self.started()).await
    }

    /// As [`Process::lead`], for who serves other replicas at `address`. `standby` is called while another one leads, with its address.
    pub(crate) async fn lead_from(
        &self,
        controller: &str,
        address: Option<String>,
        standby: impl Fn(Option<&str>),
    ) -> Option<Leadership> {
        let done = CancellationToken::new();
        if !self.flags.enable_leader_election {
            return Some(Leadership { done, task: None });
        }
        let times = LeaseTimes {
            duration: self.flags.leader_election_lease_duration,
            renew_deadline: self.flags.leader_election_renew_deadline,
            retry_period: self.flags.leader_election_retry_period,
            release_on_cancel: self.flags.leader_election_release_on_cancel,
        };
        let namespace = runtime_namespace().unwrap_or_else(|| self.client.default_namespace().to_owned());
        let name = lease_name(controller, &self.flags.watch_label_selector);
        let elector = Elector::new(self.client.clone(), &namespace, name, times, self.metrics.clone())
            .at_address(address);
        if !elector.acquire(&self.stop, standby).await {
            return None;
        }
        let (process, stop) = (self.clone(), done.clone());
        let task = tokio::spawn(async move {
            let lost = elector.hold(&stop).await;
            if lost != Lost::Released {
                tracing::error!(?lost, "leader election lost");
                process.depose();
            }
        });
        Some(Leadership {
            done,
            task: Some(task),
        })
    }
}

/// The right to act; see [`Process::lead`].
#[derive(Debug)]
pub struct Leadership {
    done: CancellationToken,
    task: Option<tokio::task::JoinHandle<()>>,
}

impl Leadership {
    /// Gives the lease up. To be called after the last write.
    pub async fn release(self) {
        self.done.cancel();
        if let Some(task) = self.task {
            // A panic of the task has been reported by the runtime; the lease runs out by itself.
            let _ended = task.await;
        }
    }
}

/// Runs `controllers` in a process called `name` until SIGTERM or SIGINT, and says how it ended.
pub fn main<F, Fut>(name: &'static str, flags: ProcessFlags, controllers: F) -> ExitCode
where
    F: FnOnce(Process) -> Fut,
    Fut: Future<Output = Result<(), Fatal>>,
{
    logging::init(flags.log_encoding, flags.log_level);
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            tracing::error!(%error, "cannot start the async runtime");
            return ExitCode::FAILURE;
        }
    };
    let outcome = runtime.block_on(run(name, flags, controllers));
    runtime.shutdown_timeout(Duration::from_secs(2));
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            tracing::error!(error = chain(error.as_ref()), "{name} cannot run");
            ExitCode::FAILURE
        }
    }
}

/// The same as [`main`] in a runtime that is there. Whether the process ended well.
///
/// # Errors
/// When it cannot run.
pub async fn run<F, Fut>(name: &'static str, flags: ProcessFlags, controllers: F) -> Result<bool, Fatal>
where
    F: FnOnce(Process) -> Fut,
    Fut: Future<Output = Result<(), Fatal>>,
{
    // Fails only if a provider is installed already, and then that one serves.
    let _already_installed = rustls::crypto::ring::default_provider().install_default();
    let (mut registry, metrics) = (Registry::default(), Metrics::default());
    metrics.register(&mut registry);
    let health = listener(&flags.health_addr, "health").await?;
    let scraped = listener(&flags.metrics_addr, "metrics").await?;
    let config = client::config(&flags.kubeconfig).await?;
    #[cfg(feature = "artifacts")]
    let server = {
        let (host, is_tls) = (
            config.cluster_url.host(),
            config.cluster_url.scheme_str() == Some("https"),
        );
        let port = config
            .cluster_url
            .port_u16()
            .unwrap_or(if is_tls { 443 } else { 80 });
        Arc::new(format!("{}:{port}", host.unwrap_or_default()))
    };
    let user_agent = format!("{name}/v{}", env!("CARGO_PKG_VERSION"));
    let client = client::build(config, &user_agent, &metrics)?;
    let readiness = Readiness::default();
    let process = Process {
        flags: Arc::new(flags),
        client,
        metrics,
        starting: Arc::new(Mutex::new(readiness.register())),
        readiness,
        stop: CancellationToken::new(),
        #[cfg(feature = "artifacts")]
        server,
        #[cfg(feature = "artifacts")]
        artifact_servers: crate::artifacts::Servers::default(),
        failed: Arc::new(AtomicBool::new(false)),
        deposed: CancellationToken::new(),
        grace: Arc::new(Mutex::new(GRACE)),
    };
    let mut servers = JoinSet::new();
    let served = CancellationToken::new();
    if let Some(health) = health {
        let serving = server::serve_health(health, process.readiness.clone(), served.clone());
        servers.spawn(serving);
    }
    if let Some(scraped) = scraped {
        let serving = server::serve_metrics(scraped, Arc::new(Mutex::new(registry)), served.clone());
        servers.spawn(serving);
    }
    spawn_signals(process.stop.clone())?;

    tracing::info!(version = env!("CARGO_PKG_VERSION"), "starting {name}");
    let work = controllers(process.clone());
    let bounded = async {
        process.stop.cancelled().await;
        let grace = process.grace();
        tokio::time::sleep(grace).await;
        grace
    };
    let outcome = tokio::select! {
        outcome = work => outcome,
        () = process.deposed.cancelled() => Ok(()),
        grace = bounded => {
            // Who gives no time does not expect that it is enough.
            if !grace.is_zero() {
                tracing::error!(?grace, "reconciles did not end within the grace period");
                process.fail();
            }
            Ok(())
        }
    };
    served.cancel();
    servers.shutdown().await;
    outcome?;
    Ok(!process.failed.load(Ordering::SeqCst))
}

/// Listens on the address of a flag, unless it switches the server off.
async fn listener(address: &str, purpose: &'static str) -> Result<Option<TcpListener>, Fatal> {
    match optional_listen_addr(address)? {
        Some(address) => Ok(Some(server::bind(address, purpose).await?)),
        None => Ok(None),
    }
}

/// Turns the signals of a terminal or an orchestrator into the stop token; a second one ends the process at once, by the
/// default disposition that tokio cannot restore, hence the abort.
fn spawn_signals(stop: CancellationToken) -> std::io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tracing::info!("stopping");
        stop.cancel();
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        std::process::abort();
    });
    Ok(())
}

/// An error with its causes in one line.
#[must_use]
pub fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let line = error.to_string();
        // Some libraries repeat the cause in their own text.
        if !text.contains(&line) {
            text.push_str(": ");
            text.push_str(&line);
        }
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        process: ProcessFlags,
    }

    /// Runs `controllers` without servers, for an API server that is not asked anything.
    async fn run_with<Fut>(controllers: impl FnOnce(Process) -> Fut) -> Result<bool, Fatal>
    where
        Fut: Future<Output = Result<(), Fatal>>,
    {
        let path = std::env::temp_dir().join(format!("ferro-runtime-{:016x}", rand::random::<u64>()));
        let kubeconfig = r#"{"apiVersion": "v1", "kind": "Config", "current-context": "c",
            "clusters": [{"name": "c", "cluster": {"server": "http://127.0.0.1:1"}}],
            "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}], "users": [{"name": "u", "user": {}}]}"#;
        std::fs::write(&path, kubeconfig).unwrap();
        let flags = [
            "test",
            "--health-addr=0",
            "--metrics-addr=0",
            &format!("--kubeconfig={}", path.display()),
        ];
        let outcome = run("test", Cli::parse_from(flags).process, controllers).await;
        std::fs::remove_file(&path).unwrap();
        outcome
    }

    #[tokio::test(start_paused = true)]
    async fn process_that_lost_its_lease_ends_at_once() {
        let start = tokio::time::Instant::now();
        let outcome = run_with(|process| async move {
            process.depose();
            // An apply that looks at no interrupt.
            std::future::pending().await
        });
        assert!(!outcome.await.unwrap());
        assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn work_has_the_grace_that_was_set_and_no_more() {
        let (second, grace) = (Duration::from_secs(1), Duration::from_secs(600));
        let cases = [
            // What the work takes, the grace that it has, how long the process lasts and whether it ends well.
            (Some(grace - second), grace, grace - second, true),
            (None, grace, grace, false),
            (None, second, second, false),
            (None, Duration::ZERO, Duration::ZERO, true),
            (Some(100 * grace), Duration::MAX, 100 * grace, true),
        ];
        for (takes, grace, lasts, is_well) in cases {
            let start = tokio::time::Instant::now();
            let outcome = run_with(|process| async move {
                process.set_grace(grace);
                process.stop.cancel();
                match takes {
                    Some(time) => tokio::time::sleep(time).await,
                    None => std::future::pending().await,
                }
                Ok(())
            });
            assert_eq!(outcome.await.unwrap(), is_well, "{takes:?} within {grace:?}");
            let lasted = start.elapsed();
            assert!(
                lasted >= lasts && lasted < lasts + second,
                "{lasted:?} within {grace:?}"
            );
        }
    }

    #[tokio::test]
    async fn process_is_ready_when_its_controllers_are() {
        let outcome = run_with(|process| async move {
            assert!(!process.readiness.is_ready(), "nothing has registered yet");
            let mut first = process.register();
            assert!(!process.readiness.is_ready());
            first.ready();
            assert!(process.readiness.is_ready());
            Ok(())
        });
        assert!(outcome.await.unwrap());
    }
}
