//! Passes over a Bucket, from the object as the API server has it to conditions, events, requests and files, against an S3 storage on the
//! loopback interface.

mod artifact;
mod reuse;
mod storage;
mod trouble;
mod vocabulary;
mod ways;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ferro_api::annotation;
use ferro_api::source::BucketSpec;
use ferro_artifact::digest::Algorithm;
use ferro_artifact::storage::{Storage, StorageOptions};
use ferro_runtime::events::{Event, Recorder};
use ferro_runtime::reconcile::Interrupt;
use ferro_testkit::http::{Request, Response, Server};
use kube::Client;
use kube::client::Body;
use kube::runtime::reflector;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::{Semaphore, mpsc};
use tokio_util::sync::CancellationToken;

use self::storage::FakeS3;
use super::*;
use crate::reconcile::testing::{SourceBench as _, source_bench};

/// Secrets by name; tests change them.
type Secrets = Arc<Mutex<BTreeMap<String, BTreeMap<String, String>>>>;

/// A reconciler with all that it needs.
struct Bench {
    _root: TempDir,
    data: PathBuf,
    reconciler: BucketReconciler,
    writer: reflector::store::Writer<Bucket>,
    recorder: Recorder,
    events: mpsc::Receiver<Event>,
    api: Arc<Mutex<Vec<String>>>,
}

/// An API server that has Secrets, and a ServiceAccount that names a role and gets tokens.
fn api(secrets: Secrets, log: Arc<Mutex<Vec<String>>>) -> Client {
    let service = tower::service_fn(move |request: http::Request<Body>| {
        let path = request.uri().path().to_owned();
        log.lock().unwrap().push(format!("{} {path}", request.method()));
        let name = path.rsplit('/').next().unwrap_or_default();
        let is_secret = path.contains("/secrets/");
        let (code, body) = match secrets.lock().unwrap().get(name).filter(|_| is_secret) {
            Some(data) => {
                let data: BTreeMap<_, _> = data
                    .iter()
                    .map(|(key, value)| (key, k8s_openapi::ByteString(value.clone().into_bytes())))
                    .collect();
                (
                    200,
                    json!({ "apiVersion": "v1", "kind": "Secret", "metadata": { "name": name }, "data": data }),
                )
            }
            None => (
                404,
                json!({ "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": "not found", "reason": "NotFound", "code": 404 }),
            ),
        };
        let body = Value::to_string(&body).into_bytes();
        std::future::ready(http::Response::builder().status(code).body(Body::from(body)))
    });
    Client::new(service, "default")
}

impl Bench {
    fn new(secrets: &[(&str, &[(&str, &str)])]) -> Self {
        Self::with(secrets, &[], "")
    }

    /// With variables of the environment, and feature gates.
    fn with(secrets: &[(&str, &[(&str, &str)])], environment: &[(&str, &str)], gates: &str) -> Self {
        let root = tempfile::tempdir().unwrap();
        let data = root.path().join("data");
        std::fs::create_dir_all(&data).unwrap();
        let log: Arc<Mutex<Vec<String>>> = Arc::default();
        let secrets = secrets.iter().map(|(name, entries)| {
            let entries = entries
                .iter()
                .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
            ((*name).to_owned(), entries.collect())
        });
        let secrets: Secrets = Arc::new(Mutex::new(secrets.collect()));
        let shared = Shared {
            client: api(secrets, Arc::clone(&log)),
            storage: open(&data, Algorithm::Sha256),
            requeue_dependency: Duration::from_secs(30),
            stop: CancellationToken::new(),
            workers: Arc::new(Semaphore::new(2)),
        };
        let options = BucketOptions {
            cloud: Cloud::for_test(shared.client.clone(), environment, gates),
            memory: BucketMemory::at(root.path().join("memory")).unwrap(),
            scratch: root.path().to_owned(),
        };
        let (store, writer) = reflector::store();
        let reconciler = BucketReconciler::new(shared, options, store);
        let (recorder, events) = Recorder::for_test();
        Self {
            _root: root,
            data,
            reconciler,
            writer,
            recorder,
            events,
            api: log,
        }
    }

    /// One pass, as the chassis runs it.
    async fn pass(&mut self, object: &mut Bucket) -> Outcome {
        self.pass_shown(object).await.0
    }

    /// `severity reason message` of the events since the last call.
    fn events(&mut self) -> Vec<String> {
        std::iter::from_fn(|| self.events.try_recv().ok())
            .map(|event| format!("{} {} {}", event.severity.as_str(), event.reason, event.message))
            .collect()
    }

    fn stored(&self, object: &Bucket) -> PathBuf {
        self.data.join(&object.artifact().unwrap().path)
    }
}

source_bench!(Bench, Bucket);

fn open(data: &Path, algorithm: Algorithm) -> Storage {
    let options = StorageOptions::new(data, "source-controller.flux-system.svc.");
    Storage::open(StorageOptions { algorithm, ..options }).unwrap()
}

fn bucket(endpoint: &str) -> Bucket {
    let mut object = Bucket::new("app", BucketSpec::default());
    object.metadata.namespace = Some("default".to_owned());
    object.metadata.generation = Some(1);
    object.spec.bucket_name = "podinfo".to_owned();
    object.spec.endpoint = endpoint.to_owned();
    object.spec.insecure = true;
    object.status_mut().observed_generation = Some(-1);
    object
}

/// `type=status/reason` of each condition.
fn conditions_of(object: &Bucket) -> Vec<String> {
    let text = |c: &ferro_api::Condition| format!("{}={}/{}", c.type_, c.status, c.reason);
    object.conditions().iter().map(text).collect()
}

fn message_of<'o>(object: &'o Bucket, type_: &str) -> &'o str {
    object.condition(type_).map_or("", |condition| &condition.message)
}

/// The files in a stored artifact with their content.
fn files(path: &Path) -> BTreeMap<String, String> {
    let file = std::fs::File::open(path).unwrap();
    let mut archive = tar::Archive::new(flate2::read::MultiGzDecoder::new(file));
    let mut files = BTreeMap::new();
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        if entry.header().entry_type().is_file() {
            let content = std::io::read_to_string(&mut entry).unwrap();
            files.insert(entry.path().unwrap().display().to_string(), content);
        }
    }
    files
}

const READY: [&str; 2] = ["Ready=True/Succeeded", "ArtifactInStorage=True/Succeeded"];
const FETCH_FAILED: [&str; 3] = [
    "Reconciling=True/ProgressingWithRetry",
    "Ready=False/BucketOperationFailed",
    "FetchFailed=True/BucketOperationFailed",
];
