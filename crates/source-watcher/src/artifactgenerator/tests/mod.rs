//! Passes over an ArtifactGenerator, from the object as the API server has it to conditions, events, requests and files, against sources on the
//! loopback interface.

mod disk;
mod outputs;
mod pattern;
mod refusals;
mod vocabulary;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ferro_api::meta::Artifact;
use ferro_api::source_extensions::ArtifactGeneratorSourceKind;
use ferro_artifact::archive::ArchiveWriter;
use ferro_artifact::digest::Algorithm;
use ferro_artifact::fetch::CacheOptions;
use ferro_artifact::storage::StorageOptions;
use ferro_runtime::events::Event;
use ferro_runtime::reconcile::Interrupt;
use ferro_testkit::api::FakeApi;
use ferro_testkit::http::{Response, Server};
use kube::runtime::{reflector, watcher};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::mpsc;

use super::*;
use crate::follow::SourceId;

/// Archives by their paths.
type Archives = Arc<Mutex<BTreeMap<String, Vec<u8>>>>;

/// A reconciler with all that it needs.
struct Bench {
    root: TempDir,
    api: FakeApi,
    archives: Archives,
    server: Server,
    reconciler: ArtifactGeneratorReconciler,
    writer: reflector::store::Writer<ArtifactGenerator>,
    recorder: Recorder,
    events: mpsc::Receiver<Event>,
}

fn storage(root: &TempDir, host: &str) -> Storage {
    let data = root.path().join("data");
    std::fs::create_dir_all(&data).unwrap();
    Storage::open(StorageOptions::new(data, host)).unwrap()
}

impl Bench {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        let (api, archives) = (FakeApi::default(), Archives::default());
        let served = Arc::clone(&archives);
        let server = Server::start(move |request| match served.lock().unwrap().get(&request.path) {
            Some(bytes) => Response::new(200, bytes.clone()),
            None => Response::new(404, ""),
        });
        let folder = root.path().join("cache");
        let cache = Cache::new(CacheOptions {
            path: folder.clone(),
            retries: 0,
            ..CacheOptions::default()
        });
        let (store, writer) = reflector::store();
        let (recorder, events) = Recorder::for_test();
        let followed = Followed::default();
        // They were listed, and there were none.
        followed.set_output((String::new(), String::new()), None);
        let reconciler = ArtifactGeneratorReconciler {
            client: api.client(),
            storage: storage(&root, "source-watcher.flux-system.svc."),
            cache: cache.unwrap(),
            followed: Arc::new(followed),
            store,
            recorder: recorder.clone(),
            stop: CancellationToken::new(),
            workers: Arc::new(Semaphore::new(2)),
            options: Options {
                requeue_dependency: Duration::from_secs(7),
                timeout: Duration::from_secs(60),
                no_cross_namespace_refs: false,
                direct_source_fetch: false,
                scratch: folder,
            },
        };
        Self {
            root,
            api,
            archives,
            server,
            reconciler,
            writer,
            recorder,
            events,
        }
    }

    /// The artifact of files, which is served.
    fn archive(&self, revision: &str, files: &[(&str, &str)]) -> Artifact {
        let bytes = tarball(files);
        let digest = Algorithm::Sha256.digest(&bytes);
        let path = format!("/{}.tar.gz", digest.hex());
        self.archives.lock().unwrap().insert(path.clone(), bytes);
        Artifact {
            url: self.server.url(&path),
            digest: digest.to_string(),
            revision: revision.to_owned(),
            ..Artifact::default()
        }
    }

    fn set(
        &self,
        kind: ArtifactGeneratorSourceKind,
        namespace: &str,
        name: &str,
        artifact: Option<Artifact>,
    ) {
        let key = (namespace.to_owned(), name.to_owned());
        self.reconciler
            .followed
            .set_source(SourceId { kind, key }, artifact);
    }

    /// Gives the GitRepository `ns/git` an artifact of these files.
    fn commit(&self, revision: &str, files: &[(&str, &str)]) {
        let artifact = self.archive(revision, files);
        self.set(GIT, "ns", "git", Some(artifact));
    }

    /// One pass, as the chassis runs it.
    async fn pass(&mut self, object: &mut ArtifactGenerator) -> Outcome {
        self.writer
            .apply_watcher_event(&watcher::Event::Apply(object.clone()));
        let (mut pass, _drafts) = Pass::new(object.clone(), Interrupt::default(), self.recorder.clone());
        let outcome = self.reconciler.reconcile(&mut pass).await;
        self.reconciler.finish(&mut pass.object, &outcome);
        if let Some(token) = object.reconcile_requested_at().map(str::to_owned) {
            pass.object.set_last_handled_reconcile_at(&token);
        }
        *object = pass.object;
        outcome
    }

    /// A pass that must find all as it should be: the status stays, nothing is asked of the API server, nobody is told.
    async fn idle(&mut self, object: &mut ArtifactGenerator) {
        self.api.take_requests();
        self.events();
        let before = object.status.clone();
        assert_eq!(self.pass(object).await, Outcome::Done);
        assert_eq!(object.status, before);
        assert_eq!(self.api.take_request_lines(), [""; 0]);
        assert_eq!(self.events(), [""; 0]);
    }

    /// `severity reason message` of the events since the last call.
    fn events(&mut self) -> Vec<String> {
        std::iter::from_fn(|| self.events.try_recv().ok())
            .map(|event| format!("{} {} {}", event.severity.as_str(), event.reason, event.message))
            .collect()
    }

    /// An ExternalArtifact as the API server has it.
    fn output(&self, name: &str) -> Option<Value> {
        self.api.get(&output_path(name))
    }

    /// The files in the artifact of an ExternalArtifact, with their contents.
    fn files(&self, name: &str) -> Vec<(String, String)> {
        let output = self.output(name).unwrap();
        let path = output["status"]["artifact"]["path"].as_str().unwrap();
        let bytes = std::fs::read(self.root.path().join("data").join(path)).unwrap();
        let digest = Algorithm::Sha256.digest(&bytes).to_string();
        assert_eq!(output["status"]["artifact"]["digest"], digest.as_str());
        assert_eq!(output["status"]["artifact"]["size"], bytes.len());
        let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(bytes.as_slice()));
        let mut files = Vec::new();
        for entry in archive.entries().unwrap() {
            let mut entry = entry.unwrap();
            if entry.header().entry_type().is_file() {
                let mut text = String::new();
                std::io::Read::read_to_string(&mut entry, &mut text).unwrap();
                files.push((entry.path().unwrap().display().to_string(), text));
            }
        }
        files
    }
}

const GIT: ArtifactGeneratorSourceKind = ArtifactGeneratorSourceKind::GitRepository;

fn output_path(name: &str) -> String {
    format!("/apis/source.toolkit.fluxcd.io/v1/namespaces/ns/externalartifacts/{name}")
}

fn tarball(files: &[(&str, &str)]) -> Vec<u8> {
    let mut writer = ArchiveWriter::new(Vec::new());
    for (path, text) in files {
        writer
            .file(path.as_bytes(), false, text.len() as u64, &mut text.as_bytes())
            .unwrap();
    }
    writer.finish().unwrap()
}

/// A generator with this spec, and the source `git` unless it says otherwise.
fn generator(spec: &Value) -> ArtifactGenerator {
    let mut whole = json!({ "sources": [{ "alias": "git", "kind": "GitRepository", "name": "git" }] });
    whole
        .as_object_mut()
        .unwrap()
        .extend(spec.as_object().unwrap().clone());
    serde_json::from_value(json!({
        "metadata": { "name": "ag", "namespace": "ns", "uid": "uid-1", "generation": 1 }, "spec": whole
    }))
    .unwrap()
}

/// A generator that puts all of its source into the artifact `app`.
fn whole() -> ArtifactGenerator {
    generator(&json!({ "artifacts": [all("app")] }))
}

/// The output `name`, with all of the source `git`.
fn all(name: &str) -> Value {
    json!({ "name": name, "copy": [{ "from": "@git/", "to": "@artifact/" }] })
}

fn set_spec(object: &mut ArtifactGenerator, spec: &Value) {
    object.spec = generator(spec).spec;
    object.metadata.generation = object.metadata.generation.map(|generation| generation + 1);
}

/// `type=status/reason` of each condition.
fn conditions_of(object: &ArtifactGenerator) -> Vec<String> {
    let text = |c: &ferro_api::Condition| format!("{}={}/{}", c.type_, c.status, c.reason);
    object.conditions().iter().map(text).collect()
}

fn message(object: &ArtifactGenerator) -> &str {
    object
        .condition(condition::READY)
        .map_or("", |condition| &condition.message)
}

fn inventory(object: &ArtifactGenerator) -> Vec<(&str, &str, &str)> {
    let entries = drift::inventory(object).iter();
    entries
        .map(|entry| {
            (
                entry.name.as_str(),
                entry.namespace.as_str(),
                entry.digest.as_str(),
            )
        })
        .collect()
}

fn text(path: &str, content: &str) -> (String, String) {
    (path.to_owned(), content.to_owned())
}
