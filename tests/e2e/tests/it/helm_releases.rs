//! HelmReleases: charts of repositories and registries are installed, upgraded, rolled back and uninstalled.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context as _, Result, ensure};
use e2e::{Case, Entry, Target, cases, config_map};
use ferro_testkit::http::{Response, Server};
use ferro_testkit::registry::Registry;
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};

pub(crate) fn cases() -> Vec<Entry> {
    cases!["helm_releases":
        chart_is_installed_upgraded_and_uninstalled,
        new_chart_version_upgrades_the_release,
        failed_install_is_reported_and_mended_by_the_next_chart,
        failed_upgrade_is_rolled_back_and_given_up,
        values_of_a_config_map_reach_a_chart_of_a_registry,
        drift_of_a_release_is_undone_as_it_happens,
    ]
}

const SOURCE: &str = "source.toolkit.fluxcd.io/v1";
pub(crate) const HELM: &str = "helm.toolkit.fluxcd.io/v2";

/// A template that the API server accepts.
pub(crate) const SOUND: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {{ .Release.Name }}\ndata:\n  key: {{ .Values.key | quote }}\n  chart: {{ .Chart.Version | quote }}\n";
/// A template with a value that the API server refuses.
pub(crate) const BROKEN: &str =
    "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {{ .Release.Name }}\ndata:\n  key: [one]\n";

/// Files and who serves them.
pub(crate) struct Files {
    content: Arc<Mutex<BTreeMap<String, Vec<u8>>>>,
    server: Server,
}

impl Files {
    pub(crate) fn start() -> Self {
        let content: Arc<Mutex<BTreeMap<String, Vec<u8>>>> = Arc::default();
        let shared = Arc::clone(&content);
        let server = Server::start(move |request| {
            let content = shared.lock().unwrap_or_else(PoisonError::into_inner);
            let found = content.get(&request.path).cloned();
            found.map_or_else(|| Response::new(404, ""), |content| Response::new(200, content))
        });
        Self { content, server }
    }

    pub(crate) fn put(&self, path: &str, file: Vec<u8>) {
        let mut content = self.content.lock().unwrap_or_else(PoisonError::into_inner);
        content.insert(path.to_owned(), file);
    }

    pub(crate) fn url(&self, path: &str) -> String {
        self.server.url(path)
    }
}

/// A Helm repository with versions of the chart `app`.
pub(crate) struct Charts {
    versions: Mutex<Vec<String>>,
    files: Files,
}

impl Charts {
    pub(crate) fn start() -> Self {
        Self {
            versions: Mutex::default(),
            files: Files::start(),
        }
    }

    /// Those of a repository that a HelmRepository names, with a first version of the chart.
    pub(crate) async fn offered(case: &Case, template: &str) -> Result<(Self, Target)> {
        let charts = Self::start();
        charts.publish("1.0.0", template)?;
        let source = charts.source(case).await?;
        Ok((charts, source))
    }

    /// Has one more version of the chart, of which the HelmRepository is told.
    pub(crate) async fn offer(&self, source: &Target, version: &str, template: &str) -> Result<()> {
        self.publish(version, template)?;
        source.reconcile().await.map(drop)
    }

    /// Has one more version of the chart, with this template.
    pub(crate) fn publish(&self, version: &str, template: &str) -> Result<()> {
        self.publish_files(version, &[("templates/map.yaml", template)])
    }

    /// Has one more version of the chart, with these files.
    pub(crate) fn publish_files(&self, version: &str, more: &[(&str, &str)]) -> Result<()> {
        let mut versions = self.versions.lock().unwrap_or_else(PoisonError::into_inner);
        versions.push(version.to_owned());
        let mut index = "apiVersion: v1\nentries:\n  app:\n".to_owned();
        for version in versions.iter() {
            writeln!(
                index,
                "  - {{apiVersion: v2, name: app, version: {version}, urls: [app-{version}.tgz]}}"
            )?;
        }
        self.files
            .put(&format!("/app-{version}.tgz"), archive(version, more)?);
        self.files.put("/index.yaml", index.into_bytes());
        Ok(())
    }

    /// The address of the repository.
    pub(crate) fn url(&self) -> String {
        self.files.url("")
    }

    /// Applies the HelmRepository for this server.
    pub(crate) async fn source(&self, case: &Case) -> Result<Target> {
        let spec = json!({"interval": "1h", "url": self.url()});
        applied(case, SOURCE, "HelmRepository", spec).await
    }
}

pub(crate) fn chart(version: &str, template: &str) -> Result<Vec<u8>> {
    archive(version, &[("templates/map.yaml", template)])
}

fn archive(version: &str, more: &[(&str, &str)]) -> Result<Vec<u8>> {
    let metadata = format!("apiVersion: v2\nname: app\nversion: {version}\n");
    let files = [
        ("Chart.yaml", metadata.as_str()),
        ("values.yaml", "key: default\n"),
    ];
    let files: Vec<_> = files.iter().chain(more).copied().collect();
    packed("app", &files)
}

/// The archive of a chart.
pub(crate) fn packed(chart: &str, files: &[(&str, &str)]) -> Result<Vec<u8>> {
    let mut tar = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::default()));
    for (name, content) in files {
        let name = format!("{chart}/{name}");
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        tar.append_data(&mut header, name, content.as_bytes())?;
    }
    Ok(tar.into_inner()?.finish()?)
}

/// Applies an object called `app`.
async fn applied(case: &Case, api_version: &str, kind: &str, spec: Value) -> Result<Target> {
    let target = case.object(api_version, kind, "app")?;
    let object = json!({"apiVersion": api_version, "kind": kind, "metadata": {"name": "app"}, "spec": spec});
    target.apply(&object).await?;
    Ok(target)
}

/// Applies a HelmRelease of the newest chart `app` of the HelmRepository; `more` is merged into its spec.
pub(crate) async fn release(case: &Case, more: &[(&str, Value)]) -> Result<Target> {
    let chart = json!({"spec": {"chart": "app", "sourceRef": {"kind": "HelmRepository", "name": "app"}}});
    let mut spec = json!({"interval": "1h", "chart": chart});
    for (key, value) in more {
        spec[*key] = value.clone();
    }
    applied(case, HELM, "HelmRelease", spec).await
}

/// `version status` of each snapshot of the history, the newest first.
pub(crate) fn history(object: &Value) -> Vec<String> {
    let snapshots = object["status"]["history"].as_array();
    let told = |snapshot: &Value| {
        let status = snapshot["status"].as_str().unwrap_or_default();
        format!("{} {status}", snapshot["version"])
    };
    snapshots.into_iter().flatten().map(told).collect()
}

pub(crate) fn has_history(object: &Value, expected: &[&str]) -> Result<()> {
    ensure!(history(object) == expected, "{}", object["status"]);
    Ok(())
}

/// Waits until the ConfigMap of the chart has this entry.
pub(crate) async fn has(case: &Case, key: &str, value: &str) -> Result<()> {
    let has_it = |it: &Value| it["data"][key] == value;
    let what = format!("{key} is {value}");
    case.config_map("app")?.until(&what, has_it).await?;
    Ok(())
}

/// Helm's record of a revision.
pub(crate) fn record(case: &Case, revision: u32) -> Result<Target> {
    case.object("v1", "Secret", &format!("sh.helm.release.v1.app.v{revision}"))
}

/// What a condition is expected to tell of an action on a revision.
fn told(case: &Case, action: &str, outcome: &str, revision: u32, chart: &str) -> String {
    let namespace = case.namespace();
    format!("Helm {action} {outcome} for release {namespace}/app.v{revision} with chart app@{chart}")
}

async fn chart_is_installed_upgraded_and_uninstalled(case: Case) -> Result<()> {
    let _offered = Charts::offered(&case, SOUND).await?;
    let release_of = |value: &str| [("values", json!({"key": value}))];
    let release = release(&case, &release_of("one")).await?;
    let message = told(&case, "install", "succeeded", 1, "1.0.0");
    let object = release
        .expect("Ready", "True", "InstallSucceeded", &message)
        .await?;
    has_history(&object, &["1 deployed"])?;
    let namespace = case.namespace();
    for (field, expected) in [
        ("helmChart", json!(format!("{namespace}/{namespace}-app"))),
        ("storageNamespace", json!(namespace)),
        ("lastAttemptedGeneration", json!(1)),
        ("lastAttemptedReleaseAction", json!("install")),
    ] {
        ensure!(
            object["status"][field] == expected,
            "{field}: {}",
            object["status"]
        );
    }
    ensure!(
        object["status"]["lastAttemptedRevision"] == "1.0.0"
            && object["status"]["inventory"]["entries"][0]["id"]
                == format!("{}_app__ConfigMap", case.namespace()),
        "{}",
        object["status"]
    );
    has(&case, "key", "one").await?;
    let stored = record(&case, 1)?.get().await?;
    ensure!(
        stored["type"] == "helm.sh/release.v1"
            && stored["metadata"]["labels"]["status"] == "deployed"
            && stored["metadata"]["labels"]["owner"] == "helm",
        "{}",
        stored["metadata"]
    );
    release
        .expect_event("Normal", "InstallSucceeded", &message)
        .await?;

    // The same again: nothing is released.
    let object = release.reconcile().await?;
    has_history(&object, &["1 deployed"])?;

    release
        .merge(&json!({"spec": {"values": {"key": "two"}}}))
        .await?;
    let message = told(&case, "upgrade", "succeeded", 2, "1.0.0");
    let object = release
        .expect("Ready", "True", "UpgradeSucceeded", &message)
        .await?;
    has_history(&object, &["2 deployed", "1 superseded"])?;
    has(&case, "key", "two").await?;

    release.delete().await?;
    release.gone().await?;
    case.config_map("app")?.gone().await?;
    let chart = format!("{}-app", case.namespace());
    case.object(SOURCE, "HelmChart", &chart)?.gone().await?;
    for revision in [1, 2] {
        let left = record(&case, revision)?.find().await?;
        ensure!(left.is_none(), "{}", left.unwrap_or_default()["metadata"]);
    }
    Ok(())
}

async fn new_chart_version_upgrades_the_release(case: Case) -> Result<()> {
    let (charts, source) = Charts::offered(&case, SOUND).await?;
    let release = release(&case, &[]).await?;
    release.ready().await?;
    has(&case, "key", "default").await?;
    charts.offer(&source, "1.1.0", SOUND).await?;
    has(&case, "chart", "1.1.0").await?;
    let message = told(&case, "upgrade", "succeeded", 2, "1.1.0");
    let object = release
        .expect("Ready", "True", "UpgradeSucceeded", &message)
        .await?;
    has_history(&object, &["2 deployed", "1 superseded"])
}

async fn failed_install_is_reported_and_mended_by_the_next_chart(case: Case) -> Result<()> {
    let (charts, source) = Charts::offered(&case, BROKEN).await?;
    let release = release(&case, &[]).await?;
    let message = format!(
        "Helm install failed for release {}/app with chart app@1.0.0: ",
        case.namespace()
    );
    let object = release
        .expect("Ready", "False", "InstallFailed", &message)
        .await?;
    let ready = e2e::condition(&object, "Ready").context("a condition that was seen")?;
    let text = ready["message"].as_str().unwrap_or_default();
    ensure!(text.contains(".data.key: expected string"), "{text}");
    has_history(&object, &["1 failed"])?;
    ensure!(object["status"]["installFailures"] == 1, "{}", object["status"]);
    release
        .expect(
            "Stalled",
            "True",
            "RetriesExceeded",
            "Failed to install after 1 attempt(s)",
        )
        .await?;
    ensure!(case.config_map("app")?.find().await?.is_none());

    charts.offer(&source, "1.0.1", SOUND).await?;
    let message = told(&case, "upgrade", "succeeded", 2, "1.0.1");
    let object = release
        .expect("Ready", "True", "UpgradeSucceeded", &message)
        .await?;
    ensure!(
        e2e::condition(&object, "Stalled").is_none(),
        "{}",
        object["status"]
    );
    has(&case, "chart", "1.0.1").await
}

async fn failed_upgrade_is_rolled_back_and_given_up(case: Case) -> Result<()> {
    let (charts, source) = Charts::offered(&case, SOUND).await?;
    let upgrade = json!({"remediation": {"retries": 1}});
    let release = release(&case, &[("upgrade", upgrade)]).await?;
    release.ready().await?;
    charts.offer(&source, "1.1.0", BROKEN).await?;
    let message = "Failed to upgrade after 2 attempt(s)";
    let object = release
        .expect("Stalled", "True", "RetriesExceeded", message)
        .await?;
    let expected = format!(
        "Helm rollback to previous release {}/app.v3 with chart app@1.0.0 succeeded",
        case.namespace()
    );
    let ready = e2e::condition(&object, "Ready").context("a condition that was seen")?;
    ensure!(
        ready["status"] == "False" && ready["reason"] == "RollbackSucceeded" && ready["message"] == expected,
        "{ready}"
    );
    ensure!(object["status"]["upgradeFailures"] == 2, "{}", object["status"]);
    ensure!(
        history(&object)
            .first()
            .is_some_and(|newest| newest == "5 deployed"),
        "{}",
        object["status"]
    );
    let status = |revision| {
        let case = &case;
        async move {
            let record = record(case, revision)?.get().await?;
            anyhow::Ok(record["metadata"]["labels"]["status"].clone())
        }
    };
    // As Helm leaves them: failed revisions stay failed.
    for (revision, expected) in [(2, "failed"), (3, "superseded"), (4, "failed"), (5, "deployed")] {
        let found = status(revision).await?;
        ensure!(found == expected, "v{revision} is {found}");
    }
    has(&case, "chart", "1.0.0").await
}

async fn values_of_a_config_map_reach_a_chart_of_a_registry(case: Case) -> Result<()> {
    let registry = Registry::start();
    let media_type = "application/vnd.cncf.helm.chart.content.v1.tar+gzip";
    registry.put_artifact(
        "charts/app",
        "1.0.0",
        &[(media_type, &chart("1.0.0", SOUND)?)],
        &[],
    );
    let spec = json!({
        "interval": "1h", "url": format!("oci://{}/charts/app", registry.host()), "insecure": true,
        "ref": {"tag": "1.0.0"}, "layerSelector": {"mediaType": media_type, "operation": "copy"},
    });
    applied(&case, SOURCE, "OCIRepository", spec).await?;
    let spec = json!({
        "interval": "1h", "chartRef": {"kind": "OCIRepository", "name": "app"},
        "valuesFrom": [{"kind": "ConfigMap", "name": "values"}],
        "releaseName": "app", "dependsOn": [],
    });
    let release = applied(&case, HELM, "HelmRelease", spec).await?;
    let message = format!(
        "could not resolve ConfigMap chart values reference '{}/values' with key 'values.yaml'",
        case.namespace()
    );
    release.expect("Ready", "False", "ValuesError", &message).await?;
    case.apply(&config_map("values", &[("values.yaml", "key: mapped")]))
        .await?;
    let object = release.ready().await?;
    has(&case, "key", "mapped").await?;
    let digest = object["status"]["history"][0]["ociDigest"].as_str();
    ensure!(
        digest.is_some_and(|digest| digest.starts_with("sha256:"))
            && object["status"]["lastAttemptedRevisionDigest"].as_str() == digest,
        "{}",
        object["status"]
    );

    // A ConfigMap with the label is followed, and the release upgraded at once.
    let labels = json!({"reconcile.fluxcd.io/watch": "Enabled"});
    let change = json!({"metadata": {"labels": labels}, "data": {"values.yaml": "key: changed"}});
    case.config_map("values")?.merge(&change).await?;
    has(&case, "key", "changed").await
}

async fn drift_of_a_release_is_undone_as_it_happens(case: Case) -> Result<()> {
    let _offered = Charts::offered(&case, SOUND).await?;
    let release = release(&case, &[("driftDetection", json!({"mode": "enabled"}))]).await?;
    release.ready().await?;
    let map = case.config_map("app")?;
    map.merge_as("somebody", &json!({"data": {"key": "theirs", "more": "theirs"}}))
        .await?;
    // The interval is an hour: it is the change itself that is noticed.
    let name = format!("ConfigMap/{}/app", case.namespace());
    let message = format!(
        "of release {}/app.v1 has been corrected:\n{name} configured",
        case.namespace()
    );
    release
        .expect_event("Normal", "DriftCorrected", &format!("Cluster state {message}"))
        .await?;
    let object = map
        .until("key is as it was", |it| it["data"]["key"] == "default")
        .await?;
    // Helm leaves fields that others add.
    ensure!(object["data"]["more"] == "theirs", "{}", object["data"]);
    map.delete().await?;
    has(&case, "key", "default").await?;
    let message = "No drift detected against the cluster state";
    let object = release
        .expect("Drifted", "False", "NoDriftDetected", message)
        .await?;
    has_history(&object, &["1 deployed"])
}
