//! Passes over a GitRepository, from the object as the API server has it to conditions, events, requests and files, against a Git server on the
//! loopback interface.

mod artifact;
mod lfs;
mod provider;
mod trouble;
mod verification;
mod vocabulary;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ferro_api::meta::LocalObjectReference;
use ferro_api::source::{GitRepositoryInclude, GitRepositorySpec, GitRepositoryVerification};
use ferro_api::{ConditionStatus, annotation};
use ferro_artifact::storage::{Storage, StorageOptions};
use ferro_runtime::controller::Controller;
use ferro_runtime::events::{Event, Recorder};
use ferro_runtime::reconcile::Interrupt;
use ferro_testkit::git::{Access, GitServer, Repository};
use ferro_testkit::http::{Response, Server};
use kube::Client;
use kube::client::Body;
use kube::runtime::{reflector, watcher};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::{Semaphore, mpsc};
use tokio_util::sync::CancellationToken;

use super::*;
use crate::reconcile::testing::{SourceBench as _, source_bench};

/// A repository served over HTTP.
struct Git {
    repository: Repository,
    server: GitServer,
}

impl Git {
    fn new() -> Self {
        Self::guarded(None)
    }

    /// With what `Authorization` must be, if anything.
    fn guarded(authorization: Option<&str>) -> Self {
        Self::serve(Repository::new(), authorization)
    }

    /// With another object format.
    fn with_format(format: &str) -> Self {
        Self::serve(Repository::with_format(format), None)
    }

    fn serve(repository: Repository, authorization: Option<&str>) -> Self {
        let access = Access {
            authorization: authorization.map(str::to_owned),
            ..Access::default()
        };
        let server = GitServer::start(&[("app", &repository)], access);
        Self { repository, server }
    }

    fn url(&self) -> String {
        self.server.url("app")
    }

    /// Commits the files and returns the hash.
    fn commit(&self, message: &str, files: &[(&str, &str)]) -> String {
        for (path, content) in files {
            self.repository.write(path, content);
        }
        let hash = self.repository.commit(message);
        self.repository.push();
        hash
    }

    /// The requests since the last call.
    fn requests(&self) -> usize {
        self.server.take_seen().len()
    }
}

/// Bytes that LFS objects may have.
const LFS_MAX_SIZE: u64 = 1 << 20;

/// A reconciler with all that it needs.
struct Bench {
    _root: TempDir,
    data: PathBuf,
    reconciler: GitRepositoryReconciler,
    writer: reflector::store::Writer<GitRepository>,
    recorder: Recorder,
    events: mpsc::Receiver<Event>,
    api: Arc<Mutex<Vec<String>>>,
    secrets: Secrets,
}

/// Secrets by name; tests change them.
type Secrets = Arc<Mutex<BTreeMap<String, BTreeMap<String, String>>>>;

/// An API server that has Secrets and nothing else.
fn api(secrets: Secrets, log: Arc<Mutex<Vec<String>>>) -> Client {
    let service = tower::service_fn(move |request: http::Request<Body>| {
        let path = request.uri().path().to_owned();
        log.lock().unwrap().push(format!("{} {path}", request.method()));
        let name = path.rsplit('/').next().unwrap_or_default();
        let (code, body) = match secrets
            .lock()
            .unwrap()
            .get(name)
            .filter(|_| path.contains("/secrets/"))
        {
            Some(data) => {
                let data: BTreeMap<_, _> = data
                    .iter()
                    .map(|(key, value)| (key, k8s_openapi::ByteString(value.clone().into_bytes())))
                    .collect();
                let secret = json!({ "apiVersion": "v1", "kind": "Secret", "metadata": { "name": name }, "data": data });
                (200, secret)
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
        let (data, cache) = (root.path().join("data"), root.path().join("git"));
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
            client: api(Arc::clone(&secrets), Arc::clone(&log)),
            storage: Storage::open(StorageOptions::new(&data, "source-controller.flux-system.svc.")).unwrap(),
            requeue_dependency: Duration::from_secs(30),
            stop: CancellationToken::new(),
            workers: Arc::new(Semaphore::new(2)),
        };
        let cloud = Cloud::for_test(shared.client.clone(), environment, gates);
        let (store, writer) = reflector::store();
        let triggers = Controller::<GitRepository>::default().triggers;
        let cache = GitCache::open(cache.to_str().unwrap(), &data, 1 << 30).unwrap();
        let options = GitOptions {
            ssh: SshOptions::default(),
            cache,
            lfs_max_size: LFS_MAX_SIZE,
        };
        let reconciler = GitRepositoryReconciler::new(shared, cloud, options, store, triggers);
        let (recorder, events) = Recorder::for_test();
        Self {
            _root: root,
            data,
            reconciler,
            writer,
            recorder,
            events,
            api: log,
            secrets,
        }
    }

    /// Makes `object` what the watch shows.
    fn show(&mut self, object: &GitRepository) {
        self.writer
            .apply_watcher_event(&watcher::Event::Apply(object.clone()));
    }

    /// One pass, as the chassis runs it.
    async fn pass(&mut self, object: &mut GitRepository) -> Outcome {
        self.pass_shown(object).await.0
    }

    fn set_secret(&self, name: &str, key: &str, value: &str) {
        let mut secrets = self.secrets.lock().unwrap();
        let entries = secrets.entry(name.to_owned()).or_default();
        entries.insert(key.to_owned(), value.to_owned());
    }

    /// `severity reason message` of the events since the last call.
    fn events(&mut self) -> Vec<String> {
        std::iter::from_fn(|| self.events.try_recv().ok())
            .map(|event| format!("{} {} {}", event.severity.as_str(), event.reason, event.message))
            .collect()
    }

    fn stored(&self, object: &GitRepository) -> PathBuf {
        self.data.join(&object.artifact().unwrap().path)
    }
}

source_bench!(Bench, GitRepository);

fn repository(url: &str) -> GitRepository {
    let mut object = GitRepository::new("app", GitRepositorySpec::default());
    object.metadata.namespace = Some("default".to_owned());
    object.metadata.generation = Some(1);
    object.spec.url = url.to_owned();
    object.spec.reference = Some(GitRepositoryRef {
        branch: Some("main".to_owned()),
        ..GitRepositoryRef::default()
    });
    object.status_mut().observed_generation = Some(-1);
    object
}

/// `type=status/reason` of each condition.
fn conditions_of(object: &GitRepository) -> Vec<String> {
    let text = |c: &ferro_api::Condition| format!("{}={}/{}", c.type_, c.status, c.reason);
    object.conditions().iter().map(text).collect()
}

fn message_of<'o>(object: &'o GitRepository, type_: &str) -> &'o str {
    object.condition(type_).map_or("", |condition| &condition.message)
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
