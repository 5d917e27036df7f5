//! Programs and servers that end at the worst moment. Each test has a cluster for itself and starts the controllers.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use e2e::{Case, Controller, Entry, Repository, Target, cases, condition, config_map, text};
use futures::StreamExt as _;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::runtime::watcher::{self, Event};
use kube::{Api, ResourceExt as _};
use serde_json::{Value, json};

use crate::apply::{applied, inventory};

pub(crate) fn cases() -> Vec<Entry> {
    let all = cases!["resilience":
        controllers_killed_twenty_times_converge_and_write_once,
        commit_made_while_the_controllers_are_down_leaves_no_orphan,
        api_server_restarted_under_load_converges_and_writes_once,
        controllers_restarted_write_nothing_and_serve_the_same_artifact,
        artifact_lost_or_damaged_is_made_again,
        replicas_with_leader_election_take_over,
        drift_watch_switched_off_waits_for_the_interval,
        remote_bases_switched_off_are_refused,
        controllers_told_to_stop_leave_what_they_wait_for,
        one_process_runs_all_controllers,
    ];
    all.into_iter().map(|it| it.alone().within(600)).collect()
}

const LIMIT: Duration = Duration::from_secs(120);
const GROUPS: usize = 5;
const OBJECTS: usize = 20;

/// Starts a controller of the case's world.
async fn start(
    case: &Case,
    program: &'static str,
    dir: &'static str,
    flags: &'static [&'static str],
) -> Result<Controller> {
    case.blocking(move |world| {
        let mut setup = world.setup(program, flags);
        setup.dir = world.dir().join(dir);
        world.start_controller(setup)
    })
    .await
}

async fn both(case: &Case) -> Result<(Controller, Controller)> {
    let source = start(case, "source-controller", "source-controller", &[]).await?;
    let kustomize = start(case, "kustomize-controller", "kustomize-controller", &[]).await?;
    Ok((source, kustomize))
}

/// Ends a controller at once and starts it again.
async fn bounce(mut controller: Controller) -> Result<Controller> {
    tokio::task::spawn_blocking(move || {
        controller.kill();
        controller.launch()?;
        controller.wait_ready()?;
        Ok(controller)
    })
    .await?
}

/// Names and distinct versions of the test's ConfigMaps, as a watch saw them.
#[derive(Clone, Default)]
struct Writes(Arc<Mutex<BTreeMap<String, BTreeSet<String>>>>);

impl Writes {
    /// Watches until the test is over.
    fn watch(case: &Case) -> (Self, tokio::task::JoinHandle<()>) {
        let it = Self::default();
        let (seen, client, namespace) = (
            it.clone(),
            case.world().client().clone(),
            case.namespace().to_owned(),
        );
        let task = tokio::spawn(async move {
            let api: Api<ConfigMap> = Api::namespaced(client, &namespace);
            let config = watcher::Config::default().labels("kustomize.toolkit.fluxcd.io/name");
            let mut events = watcher::watcher(api, config).boxed();
            while let Some(event) = events.next().await {
                match event {
                    Ok(Event::Apply(object) | Event::InitApply(object)) => {
                        let key = format!("{}/{}", object.name_any(), object.uid().unwrap_or_default());
                        let version = object.resource_version().unwrap_or_default();
                        if let Ok(mut seen) = seen.0.lock() {
                            seen.entry(key).or_default().insert(version);
                        }
                    }
                    Ok(_) => {}
                    // The watch begins anew by itself.
                    Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
                }
            }
        });
        (it, task)
    }

    /// No object was written after it was made.
    fn check(&self) -> Result<()> {
        let seen = self.0.lock().map_err(|_| anyhow::anyhow!("the watch panicked"))?;
        ensure!(!seen.is_empty(), "the watch saw nothing");
        let twice: Vec<_> = seen.iter().filter(|it| it.1.len() > 1).collect();
        ensure!(twice.is_empty(), "objects were written again: {twice:?}");
        Ok(())
    }
}

/// A repository with a directory for each group, and its Kustomizations.
struct Install {
    repository: Repository,
    kustomizations: Vec<Target>,
}

impl Install {
    async fn new(case: &Case) -> Result<Self> {
        Ok(Self {
            repository: case.repository("app")?,
            kustomizations: Vec::new(),
        })
    }

    /// Commits objects whose names say the round; those of the last round are gone.
    fn commit(&self, round: usize) -> Result<String> {
        for group in 0..GROUPS {
            let objects: Vec<_> = (0..OBJECTS)
                .map(|it| config_map(&format!("r{round}-g{group}-{it}"), &[]))
                .collect();
            self.repository
                .write(&format!("g{group}/all.yaml"), objects.join("---\n").as_bytes())?;
        }
        self.repository.commit(&[])
    }

    async fn apply(&mut self, case: &Case) -> Result<()> {
        case.git_repository("app", self.repository.url(), json!({}))
            .await?;
        for group in 0..GROUPS {
            let more = json!({"path": format!("./g{group}"), "wait": true});
            self.kustomizations
                .push(case.kustomize(&format!("g{group}"), "app", more).await?);
        }
        Ok(())
    }

    /// Every group has the commit, and the cluster has exactly the objects of the round, each in its group's inventory.
    async fn converged(&self, case: &Case, round: usize, commit: &str) -> Result<()> {
        let message = format!("Applied revision: main@sha1:{commit}");
        let mut known = BTreeSet::new();
        for it in &self.kustomizations {
            let object = it
                .expect_within(LIMIT, "Ready", "True", "ReconciliationSucceeded", &message)
                .await?;
            known.extend(inventory(&object));
        }
        let expected = |group: usize| (0..OBJECTS).map(move |it| format!("r{round}-g{group}-{it}"));
        let expected: BTreeSet<_> = (0..GROUPS).flat_map(expected).collect();
        let live = live(case).await?;
        ensure!(
            live == expected,
            "orphans: {:?}, missing: {:?}",
            live.difference(&expected),
            expected.difference(&live)
        );
        let ids: BTreeSet<_> = expected
            .iter()
            .map(|it| format!("{}_{it}__ConfigMap", case.namespace()))
            .collect();
        ensure!(
            known == ids,
            "the inventories do not match: {:?}",
            known.symmetric_difference(&ids)
        );
        Ok(())
    }
}

/// The names of the managed ConfigMaps that are not being deleted.
async fn live(case: &Case) -> Result<BTreeSet<String>> {
    let api: Api<ConfigMap> = Api::namespaced(case.world().client().clone(), case.namespace());
    let parameters = kube::api::ListParams::default().labels("kustomize.toolkit.fluxcd.io/name");
    let list = api.list(&parameters).await?;
    Ok(list
        .iter()
        .filter(|it| it.metadata.deletion_timestamp.is_none())
        .map(kube::ResourceExt::name_any)
        .collect())
}

/// When the controllers end, and which: another choice in every run, and the same one again with `FERRO_E2E_SEED` set to the number that
/// a failure shows.
struct Chance {
    seed: u64,
    state: u64,
}

impl Chance {
    fn new() -> Result<Self> {
        let seed = match std::env::var("FERRO_E2E_SEED") {
            Ok(text) => text.parse().context("FERRO_E2E_SEED is no number")?,
            Err(_) => std::time::SystemTime::UNIX_EPOCH.elapsed()?.as_nanos() as u64,
        };
        Ok(Self { seed, state: seed })
    }

    /// A number below `limit`, by SplitMix64.
    fn below(&mut self, limit: u64) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % limit
    }
}

async fn controllers_killed_twenty_times_converge_and_write_once(case: Case) -> Result<()> {
    let (mut source, mut kustomize) = both(&case).await?;
    let (writes, watch) = Writes::watch(&case);
    let mut install = Install::new(&case).await?;
    let mut commit = install.commit(0)?;
    install.apply(&case).await?;
    let mut chance = Chance::new()?;
    for round in 0..20 {
        if round > 0 {
            commit = install.commit(round)?;
            case.source("app")?.request().await?;
        }
        let (moment, victims) = (Duration::from_millis(chance.below(1000)), 1 + chance.below(3));
        tokio::time::sleep(moment).await;
        if victims != 1 {
            kustomize = bounce(kustomize).await?;
        }
        if victims != 2 {
            source = bounce(source).await?;
        }
        let what = || {
            let seed = chance.seed;
            format!("round {round}: kill {victims} after {moment:?}; FERRO_E2E_SEED={seed}")
        };
        install
            .converged(&case, round, &commit)
            .await
            .with_context(what)?;
        writes.check().with_context(what)?;
    }
    watch.abort();
    drop((source, kustomize));
    Ok(())
}

async fn commit_made_while_the_controllers_are_down_leaves_no_orphan(case: Case) -> Result<()> {
    let (source, mut kustomize) = both(&case).await?;
    let mut install = Install::new(&case).await?;
    install.commit(0)?;
    install.apply(&case).await?;
    for round in 1..6 {
        // Some objects of the round are there and in no inventory when the controller ends.
        let before = round - 1;
        let marker = case.config_map(&format!("r{before}-g0-0"))?;
        marker.back("the round has begun", |_| true).await?;
        kustomize.kill();
        let commit = install.commit(round)?;
        case.fetch("app", &commit).await?;
        kustomize = bounce(kustomize).await?;
        install
            .converged(&case, round, &commit)
            .await
            .with_context(|| format!("round {round}"))?;
        if round < 5 {
            let next = install.commit(round)?;
            case.fetch("app", &next).await?;
        }
    }
    drop((source, kustomize));
    Ok(())
}

async fn api_server_restarted_under_load_converges_and_writes_once(case: Case) -> Result<()> {
    let (mut source, mut kustomize) = both(&case).await?;
    let (writes, watch) = Writes::watch(&case);
    let mut install = Install::new(&case).await?;
    let mut commit = install.commit(0)?;
    install.apply(&case).await?;
    for (round, signal) in [rustix::process::Signal::KILL, rustix::process::Signal::TERM]
        .into_iter()
        .enumerate()
    {
        if round > 0 {
            commit = install.commit(round)?;
            case.source("app")?.request().await?;
        }
        tokio::time::sleep(Duration::from_millis(300)).await;
        case.blocking(move |world| {
            let mut cluster = world.cluster();
            cluster.stop_api_server(signal);
            cluster.start_api_server()
        })
        .await?;
        install
            .converged(&case, round, &commit)
            .await
            .with_context(|| format!("after {signal:?}"))?;
        writes.check().with_context(|| format!("after {signal:?}"))?;
        ensure!(
            source.is_running() && kustomize.is_running(),
            "a controller ended with the API server"
        );
    }
    // Drift is still seen: the watches are back.
    let name = "r1-g0-0";
    case.config_map(name)?.delete().await?;
    case.config_map(name)?
        .back("it is back", |it| it["metadata"]["deletionTimestamp"].is_null())
        .await?;
    watch.abort();
    Ok(())
}

async fn controllers_restarted_write_nothing_and_serve_the_same_artifact(case: Case) -> Result<()> {
    let (mut source, mut kustomize) = both(&case).await?;
    let (writes, watch) = Writes::watch(&case);
    let mut install = Install::new(&case).await?;
    let commit = install.commit(0)?;
    install.apply(&case).await?;
    install.converged(&case, 0, &commit).await?;
    let artifact = case.source("app")?.get().await?["status"]["artifact"].clone();
    for _ in 0..2 {
        let (source_ended, kustomize_ended);
        (source_ended, source, kustomize_ended, kustomize) = tokio::task::spawn_blocking(move || {
            let ended = (source.stop(), kustomize.stop());
            for it in [&mut source, &mut kustomize] {
                it.launch()?;
                it.wait_ready()?;
            }
            anyhow::Ok((ended.0, source, ended.1, kustomize))
        })
        .await??;
        ensure!(
            source_ended && kustomize_ended,
            "a controller did not end well: {source_ended} {kustomize_ended}"
        );
        let (status, _) = case.download(&text(&artifact, "/url")).await?;
        ensure!(status == 200, "the artifact is not served: status {status}");
        for it in &install.kustomizations {
            it.reconcile().await?;
        }
        case.source("app")?.reconcile().await?;
        install.converged(&case, 0, &commit).await?;
        writes.check()?;
        let after = case.source("app")?.get().await?["status"]["artifact"].clone();
        ensure!(
            after == artifact,
            "the artifact was made again: {after}, before {artifact}"
        );
    }
    watch.abort();
    Ok(())
}

async fn artifact_lost_or_damaged_is_made_again(case: Case) -> Result<()> {
    let (source, _kustomize) = both(&case).await?;
    let (repository, kustomization) = case.app(&[("a.yaml", &config_map("a", &[]))], json!({})).await?;
    kustomization.ready().await?;
    let commit = repository.git(&["rev-parse", "HEAD"])?;
    let target = case.source("app")?;
    let artifact = target.get().await?["status"]["artifact"].clone();
    let file = case
        .world()
        .dir()
        .join("source-controller/data")
        .join(text(&artifact, "/path"));
    let is_whole = |it: &Value| text(it, "/status/artifact/revision").ends_with(&commit);
    std::fs::write(&file, "damaged")?;
    target.request().await?;
    target
        .expect_event(
            "Warning",
            "ArtifactVerificationFailed",
            "failed to verify integrity of artifact: ",
        )
        .await?;
    target.until("the artifact is whole", is_whole).await?;
    target.reconcile().await?;
    ensure!(
        case.download(&text(&artifact, "/url")).await?.1.len() > 100,
        "the artifact is still damaged"
    );
    std::fs::remove_file(&file)?;
    target.reconcile().await?;
    target.until("the artifact is back", is_whole).await?;
    ensure!(
        case.download(&text(&artifact, "/url")).await?.0 == 200,
        "the artifact is still lost"
    );
    drop(source);
    Ok(())
}

const ELECTION: &[&str] = &[
    "--enable-leader-election",
    "--leader-election-lease-duration=3s",
    "--leader-election-renew-deadline=2s",
    "--leader-election-retry-period=500ms",
];

async fn replicas_with_leader_election_take_over(case: Case) -> Result<()> {
    let _source = start(&case, "source-controller", "source-controller", &[]).await?;
    let lease = Target::new(
        case.world().client(),
        "default",
        "coordination.k8s.io/v1",
        "Lease",
        "kustomize-controller-leader-election",
    )?;
    let holder = |it: &Value| text(it, "/spec/holderIdentity");
    let mut first = start(&case, "kustomize-controller", "first-controller", ELECTION).await?;
    lease.back("somebody leads", |it| !holder(it).is_empty()).await?;
    let leader = holder(&lease.get().await?);
    let second = start(&case, "kustomize-controller", "second-controller", ELECTION).await?;

    let (repository, kustomization) = case
        .app(&[("a.yaml", &config_map("a", &[("key", "one")]))], json!({}))
        .await?;
    applied(&kustomization, &repository.git(&["rev-parse", "HEAD"])?).await?;
    ensure!(
        holder(&lease.get().await?) == leader,
        "the second took over from a living first"
    );
    // The log of who only waits has no word of the object.
    let idle = std::fs::read_to_string(second.log())?;
    ensure!(!idle.contains(case.namespace()), "the second acted: {idle}");

    // Without a word: the lease must run out.
    first.kill();
    let commit = repository.commit(&[("a.yaml", &config_map("a", &[("key", "two")]))])?;
    case.fetch("app", &commit).await?;
    applied(&kustomization, &commit).await?;
    let heir = holder(&lease.get().await?);
    ensure!(heir != leader && !heir.is_empty(), "{heir} leads after {leader}");

    // With a word: the lease is given up, and the other takes it at once.
    let mut first = tokio::task::spawn_blocking(move || {
        first.launch()?;
        first.wait_ready()?;
        anyhow::Ok(first)
    })
    .await??;
    let (ended, _second) = tokio::task::spawn_blocking(move || {
        let mut second = second;
        (second.stop(), second)
    })
    .await?;
    ensure!(ended, "the leader did not end well");
    let commit = repository.commit(&[("a.yaml", &config_map("a", &[("key", "three")]))])?;
    case.fetch("app", &commit).await?;
    applied(&kustomization, &commit).await?;
    ensure!(first.is_running(), "the first ended");
    Ok(())
}

async fn drift_watch_switched_off_waits_for_the_interval(case: Case) -> Result<()> {
    let _source = start(&case, "source-controller", "source-controller", &[]).await?;
    let _kustomize = start(
        &case,
        "kustomize-controller",
        "kustomize-controller",
        &["--watch-drift=false"],
    )
    .await?;
    let (_, kustomization) = case
        .app(&[("a.yaml", &config_map("a", &[("key", "ours")]))], json!({}))
        .await?;
    kustomization.ready().await?;
    let a = case.config_map("a")?;
    a.merge(&json!({"data": {"key": "theirs"}})).await?;
    // Time enough for another Kustomization from nothing to ready.
    let other = case.repository("other")?;
    other.commit(&[("b.yaml", &config_map("b", &[]))])?;
    case.git_repository("other", other.url(), json!({})).await?;
    case.kustomize("other", "other", json!({})).await?.ready().await?;
    ensure!(
        a.get().await?["data"]["key"] == "theirs",
        "drift was repaired without being looked for"
    );
    kustomization.reconcile().await?;
    ensure!(
        a.get().await?["data"]["key"] == "ours",
        "a reconcile does not repair drift"
    );
    Ok(())
}

async fn remote_bases_switched_off_are_refused(case: Case) -> Result<()> {
    let _source = start(&case, "source-controller", "source-controller", &[]).await?;
    let _kustomize = start(
        &case,
        "kustomize-controller",
        "kustomize-controller",
        &["--no-remote-bases"],
    )
    .await?;
    let (_, url, kustomization) = crate::build::with_remote_base(&case).await?;
    let message = format!("fs-security-constraint abs {url}: path '{url}' is not in or below");
    kustomization
        .expect("Ready", "False", "BuildFailed", &message)
        .await?;
    Ok(())
}

/// Nobody waits for health, a silent server, a finalizer of others or an address that takes no events, when the process is to end.
async fn controllers_told_to_stop_leave_what_they_wait_for(case: Case) -> Result<()> {
    let events = &["--events-addr=http://127.0.0.1:9/"];
    let mut source = start(&case, "source-controller", "source-controller", events).await?;
    let mut kustomize = start(&case, "kustomize-controller", "kustomize-controller", events).await?;
    // Takes connections and never says a word.
    let silent = std::net::TcpListener::bind("127.0.0.1:0")?;
    let url = format!("http://{}/silent.git", silent.local_addr()?);
    case.git_repository("silent", &url, json!({})).await?;
    let stuck = config_map("stuck", &[]).replace(
        "name: stuck\n",
        "name: stuck\n  finalizers: [e2e.example.com/stays]\n",
    );
    let waiting = crate::apply::deployment("waiting", "");
    let repository = case.repository("app")?;
    repository.commit(&[("stuck/a.yaml", &stuck), ("waiting/a.yaml", &waiting)])?;
    case.git_repository("app", repository.url(), json!({})).await?;
    let stuck = case
        .kustomize(
            "stuck",
            "app",
            json!({"path": "./stuck", "deletionPolicy": "WaitForTermination"}),
        )
        .await?;
    stuck.ready().await?;
    stuck.delete().await?;
    case.config_map("stuck")?
        .until("it is being deleted", |it| {
            !it["metadata"]["deletionTimestamp"].is_null()
        })
        .await?;
    let health = json!({"path": "./waiting", "healthChecks": [{"kind": "Deployment", "name": "none", "namespace": case.namespace()}]});
    let waiting = case.kustomize("waiting", "app", health).await?;
    waiting
        .until("it waits for health", |it| {
            condition(it, "Healthy").is_some_and(|it| it["status"] == "Unknown")
        })
        .await?;
    let ended = tokio::task::spawn_blocking(move || [source.stop(), kustomize.stop()]).await?;
    ensure!(ended == [true, true], "a controller did not end well: {ended:?}");
    // What was not over is as it was.
    let object = waiting.get().await?;
    let ready = condition(&object, "Ready").map(|it| text(it, "/reason"));
    ensure!(ready.as_deref() == Some("Progressing"), "{object}");
    case.config_map("stuck")?
        .merge(&json!({"metadata": {"finalizers": null}}))
        .await?;
    drop(silent);
    Ok(())
}

async fn one_process_runs_all_controllers(case: Case) -> Result<()> {
    let mut all = start(&case, "ferroflux", "ferroflux-controller", &[]).await?;
    let (repository, kustomization) = case
        .app(&[("a.yaml", &config_map("a", &[("key", "one")]))], json!({}))
        .await?;
    applied(&kustomization, &repository.git(&["rev-parse", "HEAD"])?).await?;
    let a = case.config_map("a")?;
    a.merge(&json!({"data": {"key": "theirs"}})).await?;
    a.until("it is restored", |it| it["data"]["key"] == "one").await?;
    let ended = tokio::task::spawn_blocking(move || all.stop()).await?;
    ensure!(ended, "it did not end well");
    Ok(())
}
