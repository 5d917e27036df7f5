//! Passes over a HelmRepository, from the object as the API server has it to conditions, events, requests and files, against a repository on
//! the loopback interface.

mod artifact;
pub(crate) mod server;
mod trouble;
mod vocabulary;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ferro_api::meta::LocalObjectReference;
use ferro_api::source::HelmRepositorySpec;
use ferro_api::{FluxObject, annotation};
use ferro_artifact::digest::Algorithm;
use ferro_artifact::storage::StorageOptions;
use ferro_helmrepo::Limits;
use ferro_runtime::events::{Event, Recorder};
use ferro_runtime::reconcile::Interrupt;
use ferro_testkit::api::FakeApi;
use ferro_testkit::http::Response;
use kube::runtime::reflector;
use serde_json::json;
use tempfile::TempDir;
use tokio::sync::{Semaphore, mpsc};
use tokio_util::sync::CancellationToken;

use self::server::HelmServer;
use super::*;
use crate::auth::cloud::Cloud;
use crate::reconcile::testing::{SourceBench as _, source_bench};

/// A reconciler with all that it needs.
struct Bench {
    _root: TempDir,
    data: PathBuf,
    reconciler: HelmRepositoryReconciler,
    cache: IndexCache,
    writer: reflector::store::Writer<HelmRepository>,
    recorder: Recorder,
    events: mpsc::Receiver<Event>,
    api: FakeApi,
}

impl Bench {
    fn new() -> Self {
        Self::with(Limits::default(), Algorithm::Sha256, 1)
    }

    fn with(limits: Limits, algorithm: Algorithm, cached: usize) -> Self {
        let root = tempfile::tempdir().unwrap();
        let data = root.path().join("data");
        std::fs::create_dir_all(&data).unwrap();
        let api = FakeApi::default();
        let options = StorageOptions::new(&data, "source-controller.flux-system.svc.");
        let shared = Shared {
            client: api.client(),
            storage: Storage::open(StorageOptions { algorithm, ..options }).unwrap(),
            requeue_dependency: Duration::from_secs(30),
            stop: CancellationToken::new(),
            workers: Arc::new(Semaphore::new(2)),
        };
        let minute = Duration::from_secs(60);
        let cache = IndexCache::new(cached, minute, minute);
        let (store, writer) = reflector::store();
        let access = Access::new(Cloud::for_test(api.client(), &[], ""), limits);
        let reconciler = HelmRepositoryReconciler::new(shared, access, cache.clone(), store);
        let (recorder, events) = Recorder::for_test();
        Self {
            _root: root,
            data,
            reconciler,
            cache,
            writer,
            recorder,
            events,
            api,
        }
    }

    /// One pass, as the chassis runs it.
    async fn pass(&mut self, object: &mut HelmRepository) -> Outcome {
        self.pass_shown(object).await.0
    }

    /// Puts a Secret into the API server.
    fn secret(&self, name: &str, entries: &[(&str, &str)]) {
        secret(&self.api, name, entries);
    }

    /// `severity reason message` of the events since the last call.
    fn events(&mut self) -> Vec<String> {
        std::iter::from_fn(|| self.events.try_recv().ok())
            .map(|event| format!("{} {} {}", event.severity.as_str(), event.reason, event.message))
            .collect()
    }

    fn stored(&self, object: &HelmRepository) -> PathBuf {
        self.data.join(&object.artifact().unwrap().path)
    }
}

source_bench!(Bench, HelmRepository);

/// Puts a Secret into the API server.
pub(crate) fn secret(api: &FakeApi, name: &str, entries: &[(&str, &str)]) {
    let data: BTreeMap<_, _> = entries
        .iter()
        .map(|(key, value)| (*key, k8s_openapi::ByteString(value.as_bytes().to_vec())))
        .collect();
    let secret = json!({ "apiVersion": "v1", "kind": "Secret", "metadata": { "name": name, "namespace": "default" }, "data": data });
    api.put(&format!("/api/v1/namespaces/default/secrets/{name}"), secret);
}

/// A HelmRepository of the tests with this address.
pub(crate) fn repository(url: &str) -> HelmRepository {
    let mut object = HelmRepository::new("app", HelmRepositorySpec::default());
    object.metadata.namespace = Some("default".to_owned());
    object.metadata.generation = Some(1);
    object.spec.url = url.to_owned();
    object.status_mut().observed_generation = Some(-1);
    object
}

pub(crate) fn reference(name: &str) -> Option<LocalObjectReference> {
    Some(LocalObjectReference {
        name: name.to_owned(),
    })
}

/// `type=status/reason` of each condition.
pub(crate) fn conditions_of<K: FluxObject>(object: &K) -> Vec<String> {
    let text = |c: &ferro_api::Condition| format!("{}={}/{}", c.type_, c.status, c.reason);
    object.conditions().iter().map(text).collect()
}

pub(crate) fn message_of<'o, K: FluxObject>(object: &'o K, type_: &str) -> &'o str {
    object.condition(type_).map_or("", |condition| &condition.message)
}

pub(crate) fn failed(message: &str) -> Outcome {
    Outcome::Backoff {
        error: message.to_owned(),
    }
}

pub(crate) fn stalled(message: &str) -> Outcome {
    Outcome::Stalled {
        error: message.to_owned(),
    }
}

const READY: [&str; 2] = ["Ready=True/Succeeded", "ArtifactInStorage=True/Succeeded"];
