//! The `helm` command lines as witnesses: they read, change and remove what the controller releases, and the controller takes over what
//! they have installed.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use anyhow::{Context as _, Result, anyhow, ensure};
use e2e::{Case, Entry, Target, cases};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::helm_releases::{BROKEN, Charts, SOUND, chart, has, has_history, history, record, release};
use crate::helm_waits::unpacked;

/// Building a `helm` takes minutes where nothing of it is there.
const SECONDS: u64 = 1200;

pub(crate) fn cases() -> Vec<Entry> {
    let all: Vec<Entry> = cases!["helm_witness":
        helm_3_reads_what_is_released,
        helm_4_reads_what_is_released,
        release_of_helm_3_is_taken_over,
        release_of_helm_4_is_taken_over,
        release_as_upstream_leaves_it_is_adopted_as_it_is,
        revisions_after_failures_are_those_of_helm,
    ];
    all.into_iter().map(|it| it.within(SECONDS)).collect()
}

async fn helm_3_reads_what_is_released(case: Case) -> Result<()> {
    helm_reads_what_is_released(case, Version::Three).await
}

async fn helm_4_reads_what_is_released(case: Case) -> Result<()> {
    helm_reads_what_is_released(case, Version::Four).await
}

async fn release_of_helm_3_is_taken_over(case: Case) -> Result<()> {
    release_of_helm_is_taken_over(case, Version::Three).await
}

async fn release_of_helm_4_is_taken_over(case: Case) -> Result<()> {
    release_of_helm_is_taken_over(case, Version::Four).await
}

#[derive(Clone, Copy)]
enum Version {
    Three,
    Four,
}

impl Version {
    /// The folder of its Go module, and the package of its program.
    const fn module(self) -> (&'static str, &'static str) {
        match self {
            Self::Three => ("v3", "helm.sh/helm/v3/cmd/helm"),
            Self::Four => ("v4", "helm.sh/helm/v4/cmd/helm"),
        }
    }
}

/// The program, built once for all runs from the module that is pinned in `tests/helm`; nothing where there is no Go.
fn program(version: Version) -> Result<Option<PathBuf>> {
    static BUILT: [OnceLock<Result<Option<PathBuf>, String>>; 2] = [OnceLock::new(), OnceLock::new()];
    let slot = match version {
        Version::Three => &BUILT[0],
        Version::Four => &BUILT[1],
    };
    let built = slot.get_or_init(|| build(version).map_err(|error| format!("{error:#}")));
    built.clone().map_err(|error| anyhow!(error))
}

fn build(version: Version) -> Result<Option<PathBuf>> {
    let (folder, package) = version.module();
    let pinned = xtask::paths::root().join("tests/helm").join(folder);
    let modules = std::fs::read_to_string(pinned.join("go.mod"))?;
    let module = package.trim_end_matches("/cmd/helm");
    let tag = modules
        .lines()
        .find_map(|line| line.trim().strip_prefix(module)?.split_whitespace().next())
        .context("the module is pinned")?;
    let name = format!("helm-{tag}");
    if let Some(dir) = std::env::var_os("FERRO_HELM_BIN") {
        return Ok(Some(Path::new(&dir).join(name)));
    }
    let program = xtask::paths::root().join("target/helm").join(name);
    if program.exists() {
        return Ok(Some(program));
    }
    if Command::new("go").arg("version").output().is_err() {
        return Ok(None);
    }
    let flags = format!("-s -w -X {module}/internal/version.version={tag}");
    let output = Command::new("go")
        .args(["build", "-trimpath", "-ldflags", &flags, "-o"])
        .arg(&program)
        .arg(package)
        .current_dir(&pinned)
        .output()?;
    let told = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "go build of {package}: {told}");
    Ok(Some(program))
}

/// A `helm` that works in the namespace of a case.
struct Helm {
    case: Case,
    program: PathBuf,
}

impl Helm {
    async fn of(case: &Case, version: Version) -> Result<Option<Self>> {
        let Some(program) = case.blocking(move |_| program(version)).await? else {
            case.skip("no go to build helm with");
            return Ok(None);
        };
        let case = case.clone();
        Ok(Some(Self { case, program }))
    }

    async fn run(&self, args: &[&str]) -> Result<String> {
        let args: Vec<String> = args.iter().map(|&arg| arg.to_owned()).collect();
        let (program, namespace) = (self.program.clone(), self.case.namespace().to_owned());
        let home = self.case.dir()?;
        let output = self.case.blocking(move |world| {
            let kubeconfig = world.kubeconfig().to_string_lossy();
            let common = ["--kubeconfig", &kubeconfig, "--namespace", &namespace];
            let args: Vec<&str> = common
                .into_iter()
                .chain(args.iter().map(String::as_str))
                .collect();
            let home = home.to_string_lossy();
            let env = [
                ("HELM_CACHE_HOME", &*home),
                ("HELM_CONFIG_HOME", &*home),
                ("HELM_DATA_HOME", &*home),
            ];
            e2e::run(&program, &args, &env, "")?.success()
        });
        Ok(output.await?.stdout)
    }

    /// Changes the release. Helm 4 has the server tell it of fields that the controller applied, unless it is to take them.
    async fn change(&self, args: &[&str]) -> Result<String> {
        let forced = (!self.is_helm_3()).then_some("--force-conflicts");
        let args: Vec<&str> = args.iter().copied().chain(forced).collect();
        self.run(&args).await
    }

    fn is_helm_3(&self) -> bool {
        self.program.to_string_lossy().contains("helm-v3")
    }

    async fn json(&self, args: &[&str]) -> Result<Value> {
        let args: Vec<&str> = args.iter().copied().chain(["--output", "json"]).collect();
        Ok(serde_json::from_str(&self.run(&args).await?)?)
    }

    /// `revision status` of all that `helm history` shows, the oldest first.
    async fn history(&self) -> Result<Vec<String>> {
        let shown = self.json(&["history", "app"]).await?;
        let line = |entry: &Value| {
            let status = entry["status"].as_str().unwrap_or_default();
            format!("{} {status}", entry["revision"])
        };
        Ok(shown.as_array().into_iter().flatten().map(line).collect())
    }
}

async fn key_is(case: &Case, value: &str) -> Result<()> {
    has(case, "key", value).await
}

async fn uid(case: &Case) -> Result<String> {
    let map = case.config_map("app")?.get().await?;
    Ok(e2e::text(&map, "/metadata/uid"))
}

/// A release in two revisions, as the controller makes it.
async fn released(case: &Case, charts: &Charts) -> Result<Target> {
    charts.publish("1.0.0", SOUND)?;
    charts.source(case).await?;
    let release = release(case, &[("values", json!({"key": "one"}))]).await?;
    release.ready().await?;
    release
        .merge(&json!({"spec": {"values": {"key": "two"}}}))
        .await?;
    let object = release
        .expect("Ready", "True", "UpgradeSucceeded", "Helm upgrade succeeded")
        .await?;
    has_history(&object, &["2 deployed", "1 superseded"])?;
    Ok(release)
}

async fn helm_reads_what_is_released(case: Case, version: Version) -> Result<()> {
    let Some(helm) = Helm::of(&case, version).await? else {
        return Ok(());
    };
    let charts = Charts::start();
    let release = released(&case, &charts).await?;
    let listed = helm.json(&["list"]).await?;
    let first = &listed[0];
    ensure!(
        first["name"] == "app"
            && first["revision"] == "2"
            && first["status"] == "deployed"
            && first["chart"] == "app-1.0.0",
        "{listed}"
    );
    let revisions = helm.history().await?;
    ensure!(revisions == ["1 superseded", "2 deployed"], "{revisions:?}");
    let values = helm.json(&["get", "values", "app"]).await?;
    ensure!(values == json!({"key": "two"}), "{values}");
    let all = helm
        .json(&["get", "values", "app", "--revision", "1", "--all"])
        .await?;
    ensure!(all == json!({"key": "one"}), "{all}");
    let manifest = helm.run(&["get", "manifest", "app"]).await?;
    ensure!(
        manifest.starts_with("---\n# Source: app/templates/map.yaml\n")
            && manifest.contains("helm.toolkit.fluxcd.io/name: app"),
        "{manifest}"
    );

    // Meanwhile nobody undoes what helm does.
    release.merge(&json!({"spec": {"suspend": true}})).await?;
    let before = uid(&case).await?;
    helm.change(&["rollback", "app", "1"]).await?;
    key_is(&case, "one").await?;
    let revisions = helm.history().await?;
    ensure!(
        revisions == ["1 superseded", "2 superseded", "3 deployed"],
        "{revisions:?}"
    );
    // The controller finds a revision that is not its own, and releases what is asked for.
    release.merge(&json!({"spec": {"suspend": false}})).await?;
    key_is(&case, "two").await?;
    let object = release
        .until("the newest revision is ours", |object| {
            history(object)
                .first()
                .is_some_and(|newest| newest == "4 deployed")
        })
        .await?;
    ensure!(
        e2e::condition(&object, "Ready").is_some_and(|ready| ready["status"] == "True"),
        "{}",
        object["status"]
    );
    ensure!(before == uid(&case).await?, "the object was made anew");

    release.merge(&json!({"spec": {"suspend": true}})).await?;
    helm.run(&["uninstall", "app"]).await?;
    case.config_map("app")?.gone().await?;
    let listed = helm.json(&["list", "--all"]).await.or_else(|error| {
        // Helm 4 lists all by default and has no such flag.
        let unknown = error.to_string().contains("unknown flag");
        unknown.then(|| json!([])).ok_or(error)
    })?;
    ensure!(listed == json!([]), "{listed}");
    release.merge(&json!({"spec": {"suspend": false}})).await?;
    key_is(&case, "two").await?;
    let object = release
        .until("it is installed again", |object| {
            history(object) == ["1 deployed"]
        })
        .await?;
    ensure!(
        object["status"]["lastAttemptedReleaseAction"] == "install",
        "{}",
        object["status"]
    );
    Ok(())
}

async fn release_of_helm_is_taken_over(case: Case, version: Version) -> Result<()> {
    let Some(helm) = Helm::of(&case, version).await? else {
        return Ok(());
    };
    let package = case.dir()?.join("app-1.0.0.tgz");
    std::fs::write(&package, chart("1.0.0", SOUND)?)?;
    let package = package.to_string_lossy().into_owned();
    helm.run(&["install", "app", &package, "--set", "key=one"])
        .await?;
    let before = uid(&case).await?;

    let _offered = Charts::offered(&case, SOUND).await?;
    let release = release(&case, &[("values", json!({"key": "one"}))]).await?;
    // As upstream does: a release that the status does not know is upgraded, because it lacks the labels of its origin.
    let object = release
        .expect("Ready", "True", "UpgradeSucceeded", "Helm upgrade succeeded")
        .await?;
    has_history(&object, &["2 deployed"])?;
    let revisions = helm.history().await?;
    ensure!(revisions == ["1 superseded", "2 deployed"], "{revisions:?}");
    let map = case.config_map("app")?.get().await?;
    ensure!(
        map["metadata"]["labels"]["helm.toolkit.fluxcd.io/name"] == "app",
        "{map}"
    );
    ensure!(before == uid(&case).await?, "the object was made anew");
    // What Helm 3 has merged on its side goes on to be merged so.
    let manages = |operation: &str| {
        let entries = map["metadata"]["managedFields"].as_array();
        entries
            .into_iter()
            .flatten()
            .any(|entry| entry["manager"] == "helm-controller" && entry["operation"] == operation)
    };
    ensure!(
        manages("Update") == helm.is_helm_3() && manages("Apply") != helm.is_helm_3(),
        "{map}"
    );
    // From then on nothing is released that does not differ.
    let object = release.reconcile().await?;
    has_history(&object, &["2 deployed"])?;

    // And helm goes on with it.
    release.merge(&json!({"spec": {"suspend": true}})).await?;
    helm.change(&["upgrade", "app", &package, "--set", "key=three"])
        .await?;
    key_is(&case, "three").await?;
    let values = helm.json(&["get", "values", "app"]).await?;
    ensure!(values == json!({"key": "three"}), "{values}");
    Ok(())
}

fn digest(text: &str) -> String {
    let hex: String = Sha256::digest(text.as_bytes())
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    format!("sha256:{hex}")
}

/// Of a record, what upstream has the digest of in its history: these fields in this order, and a line feed.
fn observed(record: &Value) -> String {
    let fields = |object: &Value, keys: &[&str]| {
        let there = keys.iter().filter(|key| !object[**key].is_null());
        let fields: Vec<String> = there.map(|key| format!("{key:?}:{}", object[*key])).collect();
        format!("{{{}}}", fields.join(","))
    };
    let times = ["first_deployed", "last_deployed", "deleted"];
    let info = fields(
        &record["info"],
        &[&times[..], &["description", "status", "notes"]].concat(),
    );
    let metadata = fields(&record["chart"]["metadata"], &["name", "version", "apiVersion"]);
    format!(
        "{{\"name\":{},\"version\":{},\"info\":{info},\"chartMetadata\":{metadata},\"config\":{},\"manifest\":{},\"hooks\":null,\"namespace\":{}}}\n",
        record["name"], record["version"], record["config"], record["manifest"], record["namespace"]
    )
}

/// The status that upstream's controller has after it has installed the chart of a record with the value `one`.
fn left_by_upstream(record: &Value) -> Value {
    let second = |key: &str| {
        let time = record["info"][key].as_str().unwrap_or_default();
        format!("{}Z", time.get(..19).unwrap_or_default())
    };
    let values = digest("key: one\n");
    let snapshot = json!({
        "apiVersion": "v2", "action": "install", "name": "app", "namespace": record["namespace"], "version": 1,
        "status": "deployed", "chartName": "app", "chartVersion": "1.0.0", "configDigest": values,
        "digest": digest(&observed(record)), "firstDeployed": second("first_deployed"), "lastDeployed": second("last_deployed"),
    });
    let condition = |kind: &str| {
        json!({"type": kind, "status": "True", "reason": "InstallSucceeded", "message": "as upstream has it",
            "observedGeneration": 2, "lastTransitionTime": "2026-01-01T00:00:00Z"})
    };
    json!({
        "observedGeneration": 2, "lastAttemptedGeneration": 2, "lastAttemptedRevision": "1.0.0",
        "lastAttemptedReleaseAction": "install", "lastAttemptedConfigDigest": values,
        "storageNamespace": record["namespace"], "history": [snapshot],
        "conditions": [condition("Ready"), condition("Released")],
    })
}

async fn release_as_upstream_leaves_it_is_adopted_as_it_is(case: Case) -> Result<()> {
    let Some(helm) = Helm::of(&case, Version::Four).await? else {
        return Ok(());
    };
    let _offered = Charts::offered(&case, SOUND).await?;
    let package = case.dir()?.join("app-1.0.0.tgz");
    std::fs::write(&package, chart("1.0.0", SOUND)?)?;
    let package = package.to_string_lossy().into_owned();
    helm.run(&["install", "app", &package, "--set", "key=one"])
        .await?;
    let (stored, map) = (record(&case, 1)?, case.config_map("app")?);
    let before = (stored.get().await?, map.get().await?);
    let packed = before.0["data"]["release"].as_str().context("a record")?;
    let status = left_by_upstream(&unpacked(packed)?);

    let more = [
        ("suspend", json!(true)),
        ("values", json!({"key": "one"})),
        ("driftDetection", json!({"mode": "enabled"})),
    ];
    let release = release(&case, &more).await?;
    release.merge_status(&json!({"status": status})).await?;
    release.merge(&json!({"spec": {"suspend": false}})).await?;
    let told = "No drift detected against the cluster state";
    let object = release
        .expect("Drifted", "False", "NoDriftDetected", told)
        .await?;
    ensure!(
        object["status"]["history"] == status["history"],
        "{} is not {}",
        object["status"]["history"],
        status["history"]
    );
    let ready = e2e::condition(&object, "Ready").context("a condition")?;
    ensure!(ready["message"] == "as upstream has it", "{ready}");
    let version = |object: &Value| e2e::text(object, "/metadata/resourceVersion");
    ensure!(
        version(&before.0) == version(&stored.get().await?),
        "the record was written"
    );
    ensure!(
        version(&before.1) == version(&map.get().await?),
        "the object was written"
    );
    let revisions = helm.history().await?;
    ensure!(revisions == ["1 deployed"], "{revisions:?}");

    // It goes on from there.
    release
        .merge(&json!({"spec": {"values": {"key": "two"}}}))
        .await?;
    key_is(&case, "two").await?;
    let object = release
        .expect("Ready", "True", "UpgradeSucceeded", "app.v2 with chart app@1.0.0")
        .await?;
    has_history(&object, &["2 deployed", "1 superseded"])
}

async fn revisions_after_failures_are_those_of_helm(case: Case) -> Result<()> {
    let Some(helm) = Helm::of(&case, Version::Four).await? else {
        return Ok(());
    };
    // An install and an upgrade that fail, and an upgrade that does not, by helm itself.
    let dir = case.dir()?;
    let (broken, sound) = (dir.join("broken.tgz"), dir.join("sound.tgz"));
    std::fs::write(&broken, chart("1.0.0", BROKEN)?)?;
    std::fs::write(&sound, chart("1.0.1", SOUND)?)?;
    let [broken, sound] = [broken, sound].map(|path| path.to_string_lossy().into_owned());
    for action in ["install", "upgrade"] {
        let outcome = helm.run(&[action, "app", &broken]).await;
        ensure!(outcome.is_err(), "helm {action} of a broken chart succeeded");
    }
    helm.run(&["upgrade", "app", &sound]).await?;
    let expected = helm.history().await?;
    ensure!(expected.len() == 3, "{expected:?}");
    helm.run(&["uninstall", "app"]).await?;

    // The same by the controller, which has to be asked for the second.
    let (charts, source) = Charts::offered(&case, BROKEN).await?;
    let release = release(&case, &[]).await?;
    let given_up = |action: &str| format!("Failed to {action} after 1 attempt(s)");
    release
        .expect("Stalled", "True", "RetriesExceeded", &given_up("install"))
        .await?;
    let asked = json!({"reconcile.fluxcd.io/requestedAt": "again", "reconcile.fluxcd.io/resetAt": "again"});
    release
        .merge(&json!({"metadata": {"annotations": asked}}))
        .await?;
    release
        .expect("Stalled", "True", "RetriesExceeded", &given_up("upgrade"))
        .await?;
    charts.offer(&source, "1.0.1", SOUND).await?;
    release
        .expect("Ready", "True", "UpgradeSucceeded", "app.v3 with chart app@1.0.1")
        .await?;
    let found = helm.history().await?;
    ensure!(found == expected, "{found:?}, and helm has {expected:?}");
    Ok(())
}
