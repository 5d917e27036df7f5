//! Runs of the reconciler against an API server in memory, with the flags and gates of a command line.

#[path = "../../../ferro-apply/tests/it/requests.rs"]
mod requests;
#[path = "../../../ferro-apply/tests/it/server.rs"]
#[expect(dead_code, reason = "shared with tests that need more of it")]
mod server;

mod flags;
mod gates;
mod runs;

use std::sync::Arc;
use std::time::Duration;

use ferro_api::kustomize::Kustomization;
use ferro_api::meta::Artifact;
use ferro_api::{FluxObject, condition};
use ferro_apply::targets::Targets;
use ferro_apply::{Cluster, LiveIndex, Mapper};
use ferro_artifact::archive::ArchiveWriter;
use ferro_artifact::digest::Algorithm;
use ferro_artifact::fetch::{Cache, CacheOptions};
use ferro_runtime::events::{Event, Recorder};
use ferro_runtime::flags::{FeatureGates, PaceFlags};
use ferro_runtime::metrics::Metrics;
use ferro_runtime::reconcile::{Interrupt, Outcome, Pass, Reconciler};
use ferro_runtime::sources::{SourceId, Sources, Standing};
use kube::runtime::reflector;
use kube::runtime::watcher::Event as WatchEvent;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::args::{FEATURE_GATES, test_settings};
use crate::dependency::Dependents;
use crate::reconciler::KustomizeReconciler;
use crate::source::{source_of, unready};

use self::requests::Requests;
use self::server::Server;

const PATIENCE: Duration = Duration::from_secs(30);

/// A reconciler and its surroundings.
struct Scenario {
    server: Server,
    requests: Requests,
    reconciler: KustomizeReconciler,
    recorder: Recorder,
    events: mpsc::Receiver<Event>,
    store: reflector::store::Writer<Kustomization>,
    _files: ferro_testkit::http::Server,
    _cache: tempfile::TempDir,
}

impl Scenario {
    /// With one artifact of these files, which all sources have.
    fn new(arguments: &[&str], gates: &str, files: &[(&str, &str)]) -> Self {
        let server = Server::default();
        let (client, requests) = server.client();
        let settings = test_settings(arguments);
        let (drifts, _heard_by_nobody) = mpsc::unbounded_channel();
        let live = LiveIndex::reporting_to(client.clone(), crate::ownership(&settings), None, drifts.clone());
        let cluster = Cluster {
            client: client.clone(),
            mapper: Arc::new(Mapper::new(client.clone())),
            live,
        };
        let options = crate::target_options(&settings, drifts, Metrics::default());
        let targets = Targets::new(cluster, options);
        let (store, writer) = reflector::store();
        let (recorder, events) = Recorder::for_test();
        let cache = tempfile::tempdir().unwrap();
        let options = CacheOptions {
            path: cache.path().join("cache"),
            ..CacheOptions::default()
        };
        let bytes = archive(files);
        let digest = Algorithm::Sha256.digest(&bytes).to_string();
        let http = ferro_testkit::http::Server::start(move |_| {
            ferro_testkit::http::Response::new(200, bytes.clone())
        });
        let sources = Sources::new(unready);
        for kind in ["GitRepository", "ExternalArtifact"] {
            for namespace in ["ns", "other"] {
                let artifact = Artifact {
                    url: http.url("/a.tar.gz"),
                    digest: digest.clone(),
                    revision: "main@sha1:1".into(),
                    ..Artifact::default()
                };
                sources.set(source_id(kind, namespace), standing(Some(artifact)));
            }
        }
        let reconciler = KustomizeReconciler {
            client,
            targets,
            sources: Arc::new(sources),
            store,
            dependents: Dependents::default(),
            wake: Box::new(|_| {}),
            stop: CancellationToken::new(),
            artifacts: Cache::new(options).unwrap(),
            remote_bases: None,
            pace: PaceFlags {
                requeue_dependency: Duration::from_secs(7),
                ..PaceFlags::default()
            },
            gates: FeatureGates::parse(&FEATURE_GATES, gates).unwrap(),
            settings: Arc::new(settings),
            settled: std::sync::Mutex::default(),
            contention: Arc::default(),
            metrics: Metrics::default(),
            patient: std::sync::Mutex::default(),
        };
        Self {
            server,
            requests,
            reconciler,
            recorder,
            events,
            store: writer,
            _files: http,
            _cache: cache,
        }
    }

    /// Has the API server know the source with this revision of the one artifact.
    fn store_source(&self, revision: &str) {
        let known = self
            .reconciler
            .sources
            .get(&source_id("GitRepository", "ns"))
            .unwrap();
        let mut artifact = known.artifact.as_deref().unwrap().clone();
        artifact.revision = revision.to_owned();
        let path = "/apis/source.toolkit.fluxcd.io/v1/namespaces/ns/gitrepositories/source";
        let source = json!({ "metadata": { "name": "source", "namespace": "ns" }, "status": { "artifact": artifact } });
        self.server.put(path, source);
    }

    fn pass(&self, object: &Kustomization) -> Pass<Kustomization> {
        // Drafts are read by nobody.
        Pass::new(object.clone(), Interrupt::default(), self.recorder.clone()).0
    }

    /// Runs once; the object as it is then.
    async fn run(&self, object: &Kustomization) -> (Kustomization, Outcome) {
        let mut pass = self.pass(object);
        let outcome = tokio::time::timeout(PATIENCE, self.reconciler.reconcile(&mut pass))
            .await
            .unwrap();
        (pass.object, outcome)
    }

    /// What the events since the last call say.
    fn events(&mut self) -> Vec<String> {
        let mut messages = Vec::new();
        while let Ok(event) = self.events.try_recv() {
            messages.push(event.message);
        }
        messages
    }

    /// Shows the reconciler an object as its watch would.
    fn show(&mut self, object: &Kustomization) {
        self.store.apply_watcher_event(&WatchEvent::Apply(object.clone()));
        self.reconciler.observed(object);
    }
}

fn source_id(kind: &str, namespace: &str) -> SourceId {
    let spec = json!({ "sourceRef": { "kind": kind, "name": "source", "namespace": namespace } });
    source_of(&kustomization(&spec))
}

fn standing(artifact: Option<Artifact>) -> Standing {
    Standing {
        artifact: artifact.map(Arc::new),
        ..Standing::default()
    }
}

fn archive(files: &[(&str, &str)]) -> Vec<u8> {
    let mut writer = ArchiveWriter::new(Vec::new());
    writer.directory(b".").unwrap();
    for (name, text) in files {
        let length = u64::try_from(text.len()).unwrap();
        writer
            .file(name.as_bytes(), false, length, &mut text.as_bytes())
            .unwrap();
    }
    writer.finish().unwrap()
}

/// A Kustomization with this spec, and what it needs at least.
fn kustomization(spec: &Value) -> Kustomization {
    let mut whole = json!({
        "interval": "1h", "prune": true, "path": "./",
        "sourceRef": { "kind": "GitRepository", "name": "source" }
    });
    whole
        .as_object_mut()
        .unwrap()
        .extend(spec.as_object().unwrap().clone());
    serde_json::from_value(json!({
        "metadata": { "name": "apps", "namespace": "ns", "uid": "u", "generation": 1 }, "spec": whole
    }))
    .unwrap()
}

fn config_map(name: &str, data: &str) -> String {
    format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}, namespace: ns}}\ndata: {data}\n")
}

/// Status, reason and message of the Ready condition.
fn ready(object: &Kustomization) -> (String, String, String) {
    let ready = object.condition(condition::READY).unwrap();
    (
        ready.status.to_string(),
        ready.reason.clone(),
        ready.message.clone(),
    )
}
