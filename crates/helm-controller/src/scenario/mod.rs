//! Runs of the reconciler against an API server in memory.

mod budget;
mod drift;
mod failures;
mod files;
mod flags;
mod killed;
mod merging;
mod options;
mod releases;
mod remote;
mod server;
mod strategies;
mod takeover;
mod waits;
mod windows;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use ferro_api::helm::HelmRelease;
use ferro_api::meta::Artifact;
use ferro_api::{FluxObject, condition};
use ferro_apply::targets::Targets;
use ferro_apply::{Cluster, LiveIndex, Mapper};
use ferro_artifact::archive::ArchiveWriter;
use ferro_artifact::digest::Algorithm;
use ferro_helm::record::{Record, secret};
use ferro_runtime::events::{Event, Recorder};
use ferro_runtime::flags::{FeatureGates, PaceFlags};
use ferro_runtime::metrics::Metrics;
use ferro_runtime::reconcile::{Interrupt, Outcome, Pass, Reconciler};
use ferro_runtime::sources::{SourceId, Sources, Standing};
use kube::Client;
use kube::runtime::reflector;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::args::{FEATURE_GATES, Settings, test_settings};
use crate::chart::Charts;
use crate::files::Artifacts;
use crate::reconciler::{HelmReconciler, Memory};
use crate::site::Discoveries;
use crate::source::{CHART, KINDS, unready};

use self::server::Server;

const PATIENCE: Duration = Duration::from_secs(60);
const RECORDS: &str = "/api/v1/namespaces/ns/secrets";

/// A reconciler and its surroundings.
struct Scenario {
    server: Server,
    reconciler: HelmReconciler,
    recorder: Recorder,
    events: mpsc::Receiver<Event>,
    http: Vec<ferro_testkit::http::Server>,
    _cache: tempfile::TempDir,
}

/// The clusters, of which nothing is known yet. Nobody hears of drift.
fn targets(client: &Client, settings: &Settings) -> Targets {
    let (drifts, _) = mpsc::unbounded_channel();
    let live = LiveIndex::reporting_to(client.clone(), crate::ownership(settings), None, drifts.clone());
    let cluster = Cluster {
        client: client.clone(),
        mapper: Arc::new(Mapper::new(client.clone())),
        live,
    };
    let options = crate::target_options(settings, drifts, Metrics::default());
    Targets::new(cluster, options)
}

impl Scenario {
    fn new(arguments: &[&str]) -> Self {
        Self::with_gates(arguments, "")
    }

    fn with_gates(arguments: &[&str], gates: &str) -> Self {
        let server = Server::default();
        let client = server.client();
        let settings = test_settings(arguments);
        let (store, _writer) = reflector::store();
        let (recorder, events) = Recorder::for_test();
        let cache = tempfile::tempdir().unwrap();
        let reconciler = HelmReconciler {
            targets: targets(&client, &settings),
            client,
            sources: Arc::new(Sources::new(unready)),
            charts: Charts::new(0, Duration::from_secs(10), 1 << 20).unwrap(),
            artifacts: Artifacts::new(cache.path().to_str().unwrap(), 0),
            discoveries: Discoveries::default(),
            store,
            wake: Box::new(|_| {}),
            stop: CancellationToken::new(),
            settings,
            pace: PaceFlags {
                requeue_dependency: Duration::from_secs(7),
                ..PaceFlags::default()
            },
            gates: FeatureGates::parse(&FEATURE_GATES, gates).unwrap(),
            jitter: 0,
            running: Mutex::default(),
            memory: Memory::default(),
            contention: Arc::default(),
        };
        Self {
            server,
            reconciler,
            recorder,
            events,
            http: Vec::new(),
            _cache: cache,
        }
    }

    /// Has the source offer a chart of these files.
    fn publish(&mut self, version: &str, files: &[(&str, &str)]) {
        self.publish_as("podinfo", version, files);
    }

    /// The same for a chart of another name.
    fn publish_as(&mut self, name: &str, version: &str, files: &[(&str, &str)]) {
        let chart = format!("apiVersion: v2\nname: {name}\nversion: {version}\nappVersion: 9.9.9\n");
        let mut all = vec![("podinfo/Chart.yaml", chart.as_str())];
        all.extend(files);
        let bytes = archive(&all);
        let digest = Algorithm::Sha256.digest(&bytes).to_string();
        let http = ferro_testkit::http::Server::start(move |_| {
            ferro_testkit::http::Response::new(200, bytes.clone())
        });
        let artifact = Artifact {
            url: http.url("/podinfo.tgz"),
            digest,
            revision: version.to_owned(),
            ..Artifact::default()
        };
        self.http.push(http);
        self.offer(CHART.kind, Some(artifact));
    }

    /// Has the source of a kind offer an artifact, and watches have told so.
    fn offer(&self, kind: &'static str, artifact: Option<Artifact>) {
        let plural = KINDS.iter().find(|it| it.kind == kind).unwrap().plural;
        let path = format!("/apis/source.toolkit.fluxcd.io/v1/namespaces/ns/{plural}/podinfo");
        let source = json!({
            "metadata": { "name": "podinfo", "namespace": "ns", "generation": 1, "resourceVersion": "1" },
            "status": { "artifact": artifact, "observedGeneration": 1 }
        });
        self.server.put(&path, source);
        self.told(kind, artifact);
    }

    /// Has watches tell what the source of a kind offers.
    fn told(&self, kind: &'static str, artifact: Option<Artifact>) {
        let standing = Standing {
            unready: artifact.is_none().then(|| "does not have an artifact".to_owned()),
            artifact: artifact.map(Arc::new),
            generation: 1,
            resource_version: "1".into(),
        };
        let id = SourceId {
            kind,
            namespace: "ns".into(),
            name: "podinfo".into(),
        };
        self.reconciler.sources.set(id, standing);
    }

    /// The artifact that the HelmChart offers.
    fn published(&self) -> Artifact {
        let id = SourceId {
            kind: CHART.kind,
            namespace: "ns".into(),
            name: "podinfo".into(),
        };
        let artifact = self.reconciler.sources.get(&id).unwrap().artifact.unwrap();
        Artifact::clone(&artifact)
    }

    /// Runs once; the object as it would be written then.
    async fn run(&self, object: &HelmRelease) -> (HelmRelease, Outcome) {
        let mut pass = Pass::new(object.clone(), Interrupt::default(), self.recorder.clone()).0;
        let outcome = tokio::time::timeout(PATIENCE, Box::pin(self.reconciler.reconcile(&mut pass)))
            .await
            .unwrap();
        let mut object = std::mem::take(&mut pass.object);
        self.reconciler.finish(&mut object, &outcome);
        (object, outcome)
    }

    async fn finalize(&self, object: &HelmRelease) -> Result<(), String> {
        self.let_go(object).await.1
    }

    /// Finalizes; the object as it is then.
    async fn let_go(&self, object: &HelmRelease) -> (HelmRelease, Result<(), String>) {
        let mut pass = Pass::new(object.clone(), Interrupt::default(), self.recorder.clone()).0;
        let outcome = tokio::time::timeout(PATIENCE, self.reconciler.finalize(&mut pass))
            .await
            .unwrap();
        (pass.object, outcome)
    }

    /// Forgets what is known of the cluster, as a process that begins does.
    fn forget_cluster(&mut self) {
        self.reconciler.targets = targets(&self.server.client(), &self.reconciler.settings);
    }

    /// What the events since the last call say.
    fn events(&mut self) -> Vec<String> {
        let mut told = Vec::new();
        while let Ok(event) = self.events.try_recv() {
            told.push(format!("{}: {}", event.reason, event.message));
        }
        told
    }

    /// The records in the storage, the oldest first.
    fn records(&self) -> Vec<Record> {
        self.records_in(RECORDS)
    }

    /// Those in the Secrets below a path.
    fn records_in(&self, path: &str) -> Vec<Record> {
        let mut records: Vec<Record> = self
            .server
            .list(path)
            .iter()
            .filter(|object| object["type"] == secret::TYPE)
            .map(|object| {
                let text = object["data"]["release"].as_str().unwrap();
                let bytes: k8s_openapi::ByteString = serde_json::from_value(text.into()).unwrap();
                secret::decode(&bytes.0).unwrap()
            })
            .collect();
        records.sort_by_key(|record| record.version);
        records
    }

    fn statuses(&self) -> Vec<String> {
        self.records()
            .iter()
            .map(|record| format!("v{} {}", record.version, record.info.status))
            .collect()
    }
}

fn archive(files: &[(&str, &str)]) -> Vec<u8> {
    let mut writer = ArchiveWriter::new(Vec::new());
    for (name, text) in files {
        let length = u64::try_from(text.len()).unwrap();
        writer
            .file(name.as_bytes(), false, length, &mut text.as_bytes())
            .unwrap();
    }
    writer.finish().unwrap()
}

/// A HelmRelease with this spec, and what it needs at least.
fn release(spec: &Value) -> HelmRelease {
    let mut whole = json!({ "interval": "1h", "chartRef": { "kind": "HelmChart", "name": "podinfo" } });
    whole
        .as_object_mut()
        .unwrap()
        .extend(spec.as_object().unwrap().clone());
    serde_json::from_value(json!({
        "metadata": { "name": "app", "namespace": "ns", "uid": "u", "generation": 1 }, "spec": whole
    }))
    .unwrap()
}

/// Status, reason and message of a condition.
fn told(object: &HelmRelease, type_: &str) -> (String, String, String) {
    let found = object.condition(type_).unwrap();
    (
        found.status.to_string(),
        found.reason.clone(),
        found.message.clone(),
    )
}

fn ready(object: &HelmRelease) -> (String, String, String) {
    told(object, condition::READY)
}

/// A template with a Job for some stages.
fn hook(events: &str) -> String {
    format!(
        "apiVersion: batch/v1\nkind: Job\nmetadata:\n  name: hook\n  annotations: {{helm.sh/hook: \"{events}\"}}\n"
    )
}

async fn run(scenario: &Scenario, spec: &Value) -> (HelmRelease, Outcome) {
    scenario.run(&release(spec)).await
}

/// The object with another spec.
fn with(object: &HelmRelease, spec: &Value) -> HelmRelease {
    let mut changed = object.clone();
    changed.spec = release(spec).spec;
    changed.metadata.generation = object.metadata.generation.map(|generation| generation + 1);
    changed
}
