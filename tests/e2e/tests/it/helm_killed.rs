//! helm-controller and the API server end in the middle of a release. Each test has a cluster for itself; what source-controller says of
//! charts is written by the test.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use e2e::{Case, Controller, Entry, Target, cases, condition};
use k8s_openapi::api::core::v1::{Pod, Secret};
use kube::api::{ListParams, Patch, PatchParams};
use kube::{Api, ResourceExt as _};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::helm_releases::{Files, history, packed};

pub(crate) fn cases() -> Vec<Entry> {
    let all: Vec<Entry> = cases!["helm_killed":
        controller_killed_in_any_phase_goes_on,
        api_server_gone_during_waits_loses_nothing,
    ];
    all.into_iter().map(|it| it.alone().within(300)).collect()
}

pub(crate) const LIMIT: Duration = Duration::from_secs(120);
const SOURCE: &str = "source.toolkit.fluxcd.io/v1";
const HELM: &str = "helm.toolkit.fluxcd.io/v2";
/// Objects of the release that is killed while they are written.
pub(crate) const MANY: usize = 400;

/// A Pod that runs and never gets ready, until the test ends it; `lines` go into its annotations.
pub(crate) fn pod(name: &str, annotations: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Pod\nmetadata:\n  name: {name}\n  labels: {{blocks: \"true\"}}\n  annotations: {{test-stage: never-ready{annotations}}}\n\
         spec: {{terminationGracePeriodSeconds: 0, restartPolicy: Never, containers: [{{name: main, image: none.invalid/none}}]}}\n"
    )
}

pub(crate) fn hook(name: &str, event: &str) -> String {
    pod(name, &format!(", helm.sh/hook: {event}"))
}

pub(crate) fn map(name: &str, value: &str) -> String {
    format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}}}\ndata: {{key: {value}}}\n")
}

pub(crate) fn many(value: &str) -> String {
    let maps: Vec<String> = (0..MANY)
        .map(|index| map(&format!("apply-{index}"), value))
        .collect();
    maps.join("---\n")
}

/// The API server refuses it.
pub(crate) const BROKEN: &str =
    "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: broken}\ndata: {key: [one]}\n";

/// Charts and who serves them.
pub(crate) struct Charts {
    case: Case,
    files: Files,
}

impl Charts {
    pub(crate) fn start(case: &Case) -> Self {
        Self {
            case: case.clone(),
            files: Files::start(),
        }
    }

    /// Offers a version of a chart with this template, as source-controller does.
    pub(crate) async fn offer(&self, name: &str, version: &str, template: &str) -> Result<()> {
        self.offer_files(name, version, &[("templates/all.yaml", template)])
            .await
    }

    /// Offers a version of a chart with these files.
    pub(crate) async fn offer_files(&self, name: &str, version: &str, files: &[(&str, &str)]) -> Result<()> {
        let archive = chart(name, version, files)?;
        let path = format!("/{name}-{version}.tgz");
        let digest = format!("sha256:{}", hex(&Sha256::digest(&archive)));
        let size = archive.len();
        self.files.put(&path, archive);
        let target = self.case.object(SOURCE, "HelmChart", name)?;
        let spec = json!({ "interval": "1h", "chart": name, "sourceRef": { "kind": "HelmRepository", "name": "none" } });
        let object =
            json!({ "apiVersion": SOURCE, "kind": "HelmChart", "metadata": { "name": name }, "spec": spec });
        target.apply(&object).await?;
        let now = "2026-01-01T00:00:00Z";
        let artifact = json!({ "url": self.files.url(&path), "path": path, "digest": digest, "revision": version,
            "lastUpdateTime": now, "size": size });
        let ready = json!({ "type": "Ready", "status": "True", "reason": "ChartPullSucceeded", "message": "",
            "lastTransitionTime": now, "observedGeneration": 1 });
        let status = json!({ "observedGeneration": 1, "artifact": artifact, "conditions": [ready] });
        target.merge_status(&json!({ "status": status })).await
    }

    /// Offers a chart and has it released.
    pub(crate) async fn release(&self, name: &str, template: &str, more: &[(&str, Value)]) -> Result<Target> {
        self.offer(name, "1.0.0", template).await?;
        self.release_offered(name, more).await
    }

    /// Has a chart released that is offered already.
    pub(crate) async fn release_offered(&self, name: &str, more: &[(&str, Value)]) -> Result<Target> {
        let mut spec =
            json!({ "interval": "1h", "timeout": "10m", "chartRef": { "kind": "HelmChart", "name": name } });
        for (key, value) in more {
            spec[*key] = value.clone();
        }
        let target = self.case.object(HELM, "HelmRelease", name)?;
        let object =
            json!({ "apiVersion": HELM, "kind": "HelmRelease", "metadata": { "name": name }, "spec": spec });
        target.apply(&object).await?;
        Ok(target)
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn chart(name: &str, version: &str, files: &[(&str, &str)]) -> Result<Vec<u8>> {
    let metadata = format!("apiVersion: v2\nname: {name}\nversion: {version}\n");
    let files: Vec<_> = [("Chart.yaml", metadata.as_str())]
        .iter()
        .chain(files)
        .copied()
        .collect();
    packed(name, &files)
}

pub(crate) async fn start(case: &Case) -> Result<Controller> {
    case.blocking(|world| {
        let setup = world.setup("helm-controller", &["--concurrent=16", "--http-retry=1"]);
        world.start_controller(setup)
    })
    .await
}

/// Ends the controller at once, and starts it again.
pub(crate) async fn bounce(mut controller: Controller) -> Result<Controller> {
    tokio::task::spawn_blocking(move || {
        controller.kill();
        controller.launch()?;
        controller.wait_ready()?;
        Ok(controller)
    })
    .await?
}

/// Has the API server killed, and ended, and each time come back.
pub(crate) async fn lose_api_server(case: &Case) -> Result<()> {
    for signal in [rustix::process::Signal::KILL, rustix::process::Signal::TERM] {
        case.blocking(move |world| {
            let mut cluster = world.cluster();
            cluster.stop_api_server(signal);
            // Requests and watches that are tried meanwhile fail.
            std::thread::sleep(Duration::from_secs(2));
            cluster.start_api_server()
        })
        .await?;
    }
    Ok(())
}

/// Waits until a Pod that blocks is there.
pub(crate) async fn blocked(case: &Case, pod: &str) -> Result<()> {
    let pod = case.object("v1", "Pod", pod)?;
    pod.back("it blocks", |it| it["status"]["phase"] == "Running")
        .await
}

/// From now on ends every Pod that blocks: hooks have succeeded, or come to the phase in their annotation `ends`; others are ready.
pub(crate) fn unblock(case: &Case) -> tokio::task::JoinHandle<()> {
    let pods: Api<Pod> = Api::namespaced(case.world().client().clone(), case.namespace());
    tokio::spawn(async move {
        let blocking = ListParams::default().labels("blocks=true");
        loop {
            let found = pods.list(&blocking).await.map(|it| it.items).unwrap_or_default();
            for pod in found {
                let phase = pod.status.as_ref().and_then(|it| it.phase.as_deref());
                let is_hook = pod.annotations().contains_key("helm.sh/hook");
                // A scheduler that has lost the API server may take long to find it again: a hook need not have run to have ended.
                let blocks = phase == Some("Running") || (is_hook && phase == Some("Pending"));
                if !blocks {
                    continue;
                }
                let end = pod.annotations().get("ends").map_or("Succeeded", String::as_str);
                let status = match is_hook {
                    true => json!({ "phase": end }),
                    false => json!({ "conditions": [{ "type": "Ready", "status": "True" }] }),
                };
                let patch = Patch::Strategic(json!({ "status": status }));
                // Those that are being deleted need no end.
                drop(
                    pods.patch_status(&pod.name_any(), &PatchParams::default(), &patch)
                        .await,
                );
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    })
}

/// `revision status` of each of Helm's records of a release, the oldest first.
pub(crate) async fn records(case: &Case, release: &str) -> Result<Vec<String>> {
    let api: Api<Secret> = Api::namespaced(case.world().client().clone(), case.namespace());
    let found = api
        .list(&ListParams::default().labels(&format!("owner=helm,name={release}")))
        .await?;
    let label = |it: &Secret, key: &str| it.labels().get(key).cloned().unwrap_or_default();
    let mut all: Vec<(u32, String)> = found
        .iter()
        .map(|it| {
            (
                label(it, "version").parse().unwrap_or_default(),
                label(it, "status"),
            )
        })
        .collect();
    all.sort();
    Ok(all
        .into_iter()
        .map(|(revision, status)| format!("{revision} {status}"))
        .collect())
}

pub(crate) async fn has_records(case: &Case, release: &str, expected: &[&str]) -> Result<()> {
    let found = records(case, release).await?;
    ensure!(found == expected, "{release}: {found:?}");
    Ok(())
}

/// Waits until a release has come to an end that is not to change any more.
pub(crate) async fn ends(release: &Target, kind: &str, reason: &str, message: &str) -> Result<Value> {
    let status = "True";
    release
        .expect_within(LIMIT, kind, status, reason, message)
        .await
        .with_context(|| release.id())
}

/// One release for each phase in which a process can be killed.
struct Phases {
    before: Target,
    wait: Target,
    after: Target,
    test: Target,
    rollback: Target,
    remediation: Target,
    uninstall: Target,
    apply: Target,
}

impl Phases {
    /// Releases that come to where they are blocked.
    async fn begin(case: &Case, charts: &Charts) -> Result<Self> {
        let retries = json!({ "remediation": { "retries": 1 } });
        let release = |name: &'static str, template: String, more: Vec<(&'static str, Value)>| async move {
            charts.release(name, &template, &more).await
        };
        let with_hook = |name: &str, event: &str| {
            format!(
                "{}---\n{}",
                map(name, "one"),
                hook(&format!("{name}-hook"), event)
            )
        };
        let it = Self {
            before: release("before", with_hook("before", "pre-install"), vec![]).await?,
            wait: release("wait", pod("wait", ""), vec![]).await?,
            after: release("after", with_hook("after", "post-install"), vec![]).await?,
            test: release(
                "test",
                with_hook("test", "test"),
                vec![("test", json!({ "enable": true }))],
            )
            .await?,
            rollback: release(
                "rollback",
                with_hook("rollback", "pre-rollback"),
                vec![("upgrade", retries.clone())],
            )
            .await?,
            remediation: release(
                "remediation",
                with_hook("remediation", "pre-delete") + BROKEN,
                vec![("install", retries)],
            )
            .await?,
            uninstall: release("uninstall", with_hook("uninstall", "pre-delete"), vec![]).await?,
            apply: release("apply", many("one"), vec![]).await?,
        };
        it.rollback.ready().await?;
        charts.offer("rollback", "2.0.0", BROKEN).await?;
        it.uninstall.ready().await?;
        it.uninstall.delete().await?;
        it.apply.ready_within(LIMIT).await?;
        for pod in [
            "before-hook",
            "wait",
            "after-hook",
            "test-hook",
            "rollback-hook",
            "remediation-hook",
            "uninstall-hook",
        ] {
            blocked(case, pod).await?;
        }
        // The last, so that the process ends while it is under way.
        charts.offer("apply", "2.0.0", &many("two")).await?;
        let pending = case.object("v1", "Secret", "sh.helm.release.v1.apply.v2")?;
        pending.back("the upgrade has begun", |_| true).await?;
        Ok(it)
    }
}

async fn controller_killed_in_any_phase_goes_on(case: Case) -> Result<()> {
    let charts = Charts::start(&case);
    let controller = start(&case).await?;
    let phases = Phases::begin(&case, &charts).await?;
    let controller = bounce(controller).await?;
    let unblocking = unblock(&case);

    // What was installed without an end is unlocked, and released again.
    for release in [&phases.before, &phases.wait, &phases.after] {
        let name = release.name();
        let unlocked = format!(
            "Unlocked Helm release {}/{name}.v1 with chart {name}@1.0.0 in pending-install state",
            case.namespace()
        );
        let object = ends(release, "Ready", "UpgradeSucceeded", ".v2 with chart").await?;
        release
            .expect_event("Normal", "PendingRelease", &unlocked)
            .await?;
        ensure!(
            object["status"]["installFailures"].is_null() && history(&object) == ["2 deployed"],
            "{}",
            object["status"]
        );
        has_records(&case, name, &["1 superseded", "2 deployed"]).await?;
    }
    // What was released is not released again, only tested.
    let object = ends(&phases.test, "Ready", "TestSucceeded", "1 test hook completed").await?;
    ensure!(history(&object) == ["1 deployed"], "{}", object["status"]);
    has_records(&case, "test", &["1 deployed"]).await?;

    // A rollback still knows where to, and how often it has failed.
    let stalled = "Failed to upgrade after 2 attempt(s)";
    let object = ends(&phases.rollback, "Stalled", "RetriesExceeded", stalled).await?;
    let ready = condition(&object, "Ready").context("a condition that was seen")?;
    ensure!(
        ready["reason"] == "RollbackSucceeded" && object["status"]["upgradeFailures"] == 2,
        "{}",
        object["status"]
    );
    has_records(
        &case,
        "rollback",
        &["2 failed", "3 failed", "4 superseded", "5 failed", "6 deployed"],
    )
    .await?;
    // So does an uninstall that was to undo an install.
    let stalled = "Failed to install after 2 attempt(s)";
    let object = ends(&phases.remediation, "Stalled", "RetriesExceeded", stalled).await?;
    ensure!(object["status"]["installFailures"] == 2, "{}", object["status"]);
    has_records(&case, "remediation", &["1 failed"]).await?;
    // One that was to be the end is.
    phases.uninstall.gone().await?;
    case.config_map("uninstall")?.gone().await?;
    has_records(&case, "uninstall", &[]).await?;

    // Objects half of which were written are all as they should be.
    let object = ends(&phases.apply, "Ready", "UpgradeSucceeded", "chart apply@2.0.0").await?;
    for index in [0, MANY / 2, MANY - 1] {
        let found = case.config_map(&format!("apply-{index}"))?.get().await?;
        ensure!(found["data"]["key"] == "two", "{found}");
    }
    let inventory = object["status"]["inventory"]["entries"].as_array().map(Vec::len);
    ensure!(
        inventory == Some(MANY) && object["status"]["upgradeFailures"].is_null(),
        "{inventory:?}"
    );
    unblocking.abort();
    drop(controller);
    Ok(())
}

async fn api_server_gone_during_waits_loses_nothing(case: Case) -> Result<()> {
    let charts = Charts::start(&case);
    let mut controller = start(&case).await?;
    let wait = charts.release("wait", &pod("wait", ""), &[]).await?;
    let hooked = charts
        .release("hooked", &hook("hooked-hook", "post-install"), &[])
        .await?;
    let leaving = charts
        .release("leaving", &hook("leaving-hook", "pre-delete"), &[])
        .await?;
    leaving.ready().await?;
    leaving.delete().await?;
    for pod in ["wait", "hooked-hook", "leaving-hook"] {
        blocked(&case, pod).await?;
    }
    lose_api_server(&case).await?;
    ensure!(
        controller.is_running(),
        "the controller ended with the API server"
    );
    let unblocking = unblock(&case);
    for release in [&wait, &hooked] {
        let object = ends(release, "Ready", "InstallSucceeded", ".v1 with chart").await?;
        ensure!(
            history(&object) == ["1 deployed"] && object["status"]["failures"].is_null(),
            "{}",
            object["status"]
        );
        has_records(&case, release.name(), &["1 deployed"]).await?;
    }
    leaving.gone().await?;
    has_records(&case, "leaving", &[]).await?;
    unblocking.abort();
    drop(controller);
    Ok(())
}
