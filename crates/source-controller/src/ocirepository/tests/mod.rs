//! Passes over an OCIRepository, from the object as the API server has it to conditions, events, requests and files, against a registry on
//! the loopback interface.

mod artifact;
mod hostile;
mod provider;
mod public_root;
mod selection;
mod trouble;
mod verification;
mod vocabulary;

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use ferro_api::meta::LocalObjectReference;
use ferro_api::source::{LayerSelector, OCIRepositoryRef, OCIRepositorySpec, OciLayerOperation};
use ferro_api::{ConditionStatus, FluxObject, annotation as object_annotation};
use ferro_artifact::storage::{Storage, StorageOptions};
use ferro_cloud::Environment;
use ferro_oci::media_type;
use ferro_runtime::events::{Event, Recorder};
use ferro_runtime::reconcile::Interrupt;
use ferro_testkit::api::FakeApi;
use ferro_testkit::http::{Request, Response};
use ferro_testkit::registry::Registry;
use flate2::Compression;
use flate2::write::GzEncoder;
use kube::runtime::reflector;
use serde_json::json;
use tempfile::TempDir;
use tokio::sync::{Semaphore, mpsc};
use tokio_util::sync::CancellationToken;

use super::*;
use crate::reconcile::testing::{SourceBench as _, source_bench};

/// The repository of the tests.
const APP: &str = "org/app";

/// A reconciler with all that it needs.
struct Bench {
    _root: TempDir,
    data: PathBuf,
    reconciler: OCIRepositoryReconciler,
    writer: reflector::store::Writer<OCIRepository>,
    recorder: Recorder,
    events: mpsc::Receiver<Event>,
    api: FakeApi,
}

impl Bench {
    fn new() -> Self {
        Self::with_gates("")
    }

    fn with_gates(gates: &str) -> Self {
        // Nobody listens there.
        Self::with(&[("TUF_MIRROR", "http://127.0.0.1:1")], gates)
    }

    /// With variables of the environment, and feature gates.
    fn with(environment: &[(&str, &str)], gates: &str) -> Self {
        let root = tempfile::tempdir().unwrap();
        let data = root.path().join("data");
        std::fs::create_dir_all(&data).unwrap();
        let api = FakeApi::default();
        let shared = Shared {
            client: api.client(),
            storage: Storage::open(StorageOptions::new(&data, "source-controller.flux-system.svc.")).unwrap(),
            requeue_dependency: Duration::from_secs(30),
            stop: CancellationToken::new(),
            workers: Arc::new(Semaphore::new(2)),
        };
        let cloud = Cloud::for_test(shared.client.clone(), environment, gates);
        let (store, writer) = reflector::store();
        let public_root = PublicRoot::new(Environment::of(environment));
        let reconciler = OCIRepositoryReconciler::new(shared, cloud, public_root, store);
        let (recorder, events) = Recorder::for_test();
        Self {
            _root: root,
            data,
            reconciler,
            writer,
            recorder,
            events,
            api,
        }
    }

    /// One pass, as the chassis runs it.
    async fn pass(&mut self, object: &mut OCIRepository) -> Outcome {
        self.pass_shown(object).await.0
    }

    /// Puts a Secret into the API server.
    fn secret(&self, name: &str, entries: &[(&str, &str)]) {
        let data: BTreeMap<_, _> = entries
            .iter()
            .map(|(key, value)| (*key, k8s_openapi::ByteString(value.as_bytes().to_vec())))
            .collect();
        let secret = json!({ "apiVersion": "v1", "kind": "Secret", "metadata": { "name": name, "namespace": "default" }, "data": data });
        self.api
            .put(&format!("/api/v1/namespaces/default/secrets/{name}"), secret);
    }

    /// Puts a ServiceAccount with pull secrets into the API server.
    fn service_account(&self, name: &str, secrets: &[&str]) {
        let secrets: Vec<_> = secrets.iter().map(|name| json!({ "name": name })).collect();
        let account = json!({ "apiVersion": "v1", "kind": "ServiceAccount", "metadata": { "name": name }, "imagePullSecrets": secrets });
        self.api.put(
            &format!("/api/v1/namespaces/default/serviceaccounts/{name}"),
            account,
        );
    }

    /// `severity reason message` of the events since the last call.
    fn events(&mut self) -> Vec<String> {
        std::iter::from_fn(|| self.events.try_recv().ok())
            .map(|event| format!("{} {} {}", event.severity.as_str(), event.reason, event.message))
            .collect()
    }

    fn stored(&self, object: &OCIRepository) -> PathBuf {
        self.data.join(&object.artifact().unwrap().path)
    }
}

source_bench!(Bench, OCIRepository);

/// An object for the repository of the tests in this registry.
fn object(registry: &Registry) -> OCIRepository {
    let mut object = OCIRepository::new("app", OCIRepositorySpec::default());
    object.metadata.namespace = Some("default".to_owned());
    object.metadata.generation = Some(1);
    object.spec.url = format!("oci://{}/{APP}", registry.host());
    object.spec.insecure = true;
    object.status_mut().observed_generation = Some(-1);
    object
}

fn reference(name: &str) -> Option<LocalObjectReference> {
    Some(LocalObjectReference {
        name: name.to_owned(),
    })
}

/// `type=status/reason` of each condition.
fn conditions_of(object: &OCIRepository) -> Vec<String> {
    let text = |c: &ferro_api::Condition| format!("{}={}/{}", c.type_, c.status, c.reason);
    object.conditions().iter().map(text).collect()
}

fn message_of<'o>(object: &'o OCIRepository, type_: &str) -> &'o str {
    object.condition(type_).map_or("", |condition| &condition.message)
}

/// A tar.gz of these files.
fn archive(files: &[(&str, &str)]) -> Vec<u8> {
    let mut tar = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::default()));
    for (name, content) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        tar.append_data(&mut header, name, content.as_bytes()).unwrap();
    }
    tar.into_inner().unwrap().finish().unwrap()
}

/// Pushes files as `flux push artifact` does and returns the digest.
fn push(registry: &Registry, tag: &str, files: &[(&str, &str)]) -> String {
    let layer = archive(files);
    registry.put_artifact(APP, tag, &[(media_type::FLUX_CONTENT, &layer)], &[])
}

/// The names in a stored artifact.
fn names(path: &Path) -> Vec<String> {
    let file = std::fs::File::open(path).unwrap();
    let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(file));
    let entries = archive.entries().unwrap();
    entries
        .map(|entry| entry.unwrap().path().unwrap().display().to_string())
        .collect()
}

const READY: [&str; 2] = ["Ready=True/Succeeded", "ArtifactInStorage=True/Succeeded"];
