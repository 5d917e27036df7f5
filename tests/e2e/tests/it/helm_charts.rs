//! Public charts, as people install them: installed, upgraded, rolled back and uninstalled, with nothing left behind.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use e2e::{Case, Entry, Target, cases, condition};
use flate2::Compression;
use flate2::write::GzEncoder;
use futures::{StreamExt as _, TryStreamExt as _};
use serde_json::{Value, json};

use crate::helm_releases::{Files, history};

pub(crate) fn cases() -> Vec<Entry> {
    let all: Vec<Entry> = cases!["helm_charts":
        public_charts_come_and_go_without_a_trace,
    ];
    all.into_iter().map(|it| it.within(400)).collect()
}

const LIMIT: std::time::Duration = std::time::Duration::from_secs(200);
/// Releases at the same time.
const CONCURRENCY: usize = 4;
/// Charts whose pods need nothing that a cluster without a kubelet lacks, such as volumes.
const CHARTS: [&str; 12] = [
    "alertmanager-snmp-notifier",
    "cadvisor",
    "external-dns",
    "haproxy",
    "kube-state-metrics",
    "memcached",
    "metrics-server",
    "node-exporter",
    "prometheus-blackbox-exporter",
    "prometheus-pushgateway",
    "prometheus-snmp-exporter",
    "sealed-secrets",
];

fn corpus() -> PathBuf {
    xtask::paths::root().join("../shared/corpus/charts")
}

/// A Helm repository with the charts that are there.
struct Repository {
    charts: Vec<String>,
    files: Files,
}

impl Repository {
    fn start() -> Result<Self> {
        let (files, mut charts) = (Files::start(), Vec::new());
        let mut index = "apiVersion: v1\nentries:\n".to_owned();
        for folder in CHARTS {
            let dir = corpus().join(folder).join("chart");
            let Ok(metadata) = std::fs::read_to_string(dir.join("Chart.yaml")) else {
                continue;
            };
            let metadata: Value = serde_saphyr::from_str(&metadata)?;
            let text = |key: &str| metadata[key].as_str().unwrap_or_default().to_owned();
            let (name, version) = (text("name"), text("version"));
            files.put(&format!("/{name}.tgz"), archive(&dir, &name)?);
            writeln!(
                index,
                "  {name}:\n  - {{apiVersion: v2, name: {name}, version: {version:?}, urls: [{name}.tgz]}}"
            )?;
            charts.push(name);
        }
        files.put("/index.yaml", index.into_bytes());
        Ok(Self { charts, files })
    }
}

fn archive(dir: &Path, name: &str) -> Result<Vec<u8>> {
    let mut tar = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
    tar.append_dir_all(name, dir)?;
    Ok(tar.into_inner()?.finish()?)
}

/// A change that the API server refuses of every object: a label that is none.
fn refused() -> Value {
    let patch = "- {op: add, path: /metadata/labels/e2e, value: \"not a label!\"}";
    json!([{ "kustomize": { "patches": [{ "patch": patch, "target": { "kind": "Service|Deployment|DaemonSet|StatefulSet" } }] } }])
}

async fn released(case: &Case, name: &str) -> Result<Target> {
    let chart =
        json!({ "spec": { "chart": name, "sourceRef": { "kind": "HelmRepository", "name": "charts" } } });
    let spec = json!({ "interval": "1h", "chart": chart, "upgrade": { "remediation": { "retries": -1, "remediateLastFailure": true } } });
    let target = case.object("helm.toolkit.fluxcd.io/v2", "HelmRelease", name)?;
    let object = json!({ "apiVersion": "helm.toolkit.fluxcd.io/v2", "kind": "HelmRelease", "metadata": { "name": name }, "spec": spec });
    target.apply(&object).await?;
    Ok(target)
}

/// Installs a chart, upgrades it, has an upgrade fail and be rolled back, and uninstalls it.
async fn live(case: &Case, name: &str) -> Result<()> {
    let release = released(case, name).await?;
    let object = release
        .expect_within(LIMIT, "Ready", "True", "InstallSucceeded", "")
        .await?;
    ensure!(history(&object) == ["1 deployed"], "{}", object["status"]);
    let made = object["status"]["inventory"]["entries"].as_array().map(Vec::len);
    ensure!(made.is_some_and(|made| made > 0), "{}", object["status"]);

    // Every object is changed.
    let metadata = json!({ "annotations": { "e2e": "upgraded" } });
    release
        .merge(&json!({ "spec": { "commonMetadata": metadata } }))
        .await?;
    let object = release
        .expect_within(LIMIT, "Ready", "True", "UpgradeSucceeded", "")
        .await?;
    ensure!(
        history(&object) == ["2 deployed", "1 superseded"],
        "{}",
        object["status"]
    );

    // And none of them is after that.
    let remediation = json!({ "retries": 0, "remediateLastFailure": true });
    let change = json!({ "postRenderers": refused(), "upgrade": { "remediation": remediation } });
    release.merge(&json!({ "spec": change })).await?;
    let object = release
        .expect_within(
            LIMIT,
            "Stalled",
            "True",
            "RetriesExceeded",
            "Failed to upgrade after 1 attempt(s)",
        )
        .await?;
    let ready = condition(&object, "Ready").context("a condition that was seen")?;
    ensure!(ready["reason"] == "RollbackSucceeded", "{ready}");
    ensure!(
        history(&object).starts_with(&["4 deployed".to_owned(), "3 failed".to_owned()]),
        "{}",
        object["status"]
    );

    release.delete().await?;
    release.gone().await
}

/// All that is labelled as an object of this test's releases. Definitions outlive their releases, and are deleted here.
async fn left(case: &Case) -> Result<Vec<String>> {
    let selector = format!("helm.toolkit.fluxcd.io/namespace={}", case.namespace());
    let namespace = case.namespace().to_owned();
    case.blocking(move |world| {
        let kinds = world.kubectl(&["api-resources", "--verbs=list,delete", "-o", "name"])?;
        world.kubectl(&["delete", "crds", "-l", &selector, "--ignore-not-found"])?;
        let kinds: Vec<&str> = kinds.lines().filter(|kind| is_lasting(kind)).collect();
        let labelled = world.kubectl(&["get", &kinds.join(","), "-A", "-l", &selector, "-o", "name"])?;
        let records = world.kubectl(&[
            "get",
            "secrets",
            "-n",
            &namespace,
            "-l",
            "owner=helm",
            "-o",
            "name",
        ])?;
        Ok(labelled
            .lines()
            .chain(records.lines())
            .map(str::to_owned)
            .collect())
    })
    .await
}

/// Whether a kind is there as long as the cluster is: definitions of other tests come and go.
fn is_lasting(kind: &str) -> bool {
    let group = kind.split_once('.').map_or("", |(_, group)| group);
    let is_built_in = matches!(group, "" | "apps" | "autoscaling" | "batch" | "policy")
        || group.ends_with(".k8s.io")
        || group.ends_with(".fluxcd.io");
    is_built_in && !kind.starts_with("events")
}

async fn public_charts_come_and_go_without_a_trace(case: Case) -> Result<()> {
    if !corpus().is_dir() {
        case.skip("there is no corpus of charts");
        return Ok(());
    }
    let repository = Repository::start()?;
    ensure!(repository.charts.len() > 8, "{:?}", repository.charts);
    let source = case.object("source.toolkit.fluxcd.io/v1", "HelmRepository", "charts")?;
    let spec = json!({ "interval": "1h", "url": repository.files.url("") });
    let object = json!({ "apiVersion": "source.toolkit.fluxcd.io/v1", "kind": "HelmRepository", "metadata": { "name": "charts" }, "spec": spec });
    source.apply(&object).await?;
    let lives = repository.charts.iter().map(|name| {
        let (case, name) = (case.clone(), name.clone());
        async move { live(&case, &name).await.with_context(|| name) }
    });
    futures::stream::iter(lives.collect::<Vec<_>>())
        .buffer_unordered(CONCURRENCY)
        .try_collect::<Vec<()>>()
        .await?;
    // Objects that are deleted in the background go after their owners.
    let end = tokio::time::Instant::now() + e2e::PATIENCE;
    loop {
        let left = left(&case).await?;
        if left.is_empty() {
            return Ok(());
        }
        ensure!(tokio::time::Instant::now() < end, "left behind: {left:?}");
        tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    }
}
