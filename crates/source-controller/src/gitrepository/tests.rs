//! Passes over a GitRepository, from the object as the API server has it to conditions, events, requests and files, against a Git server on the
//! loopback interface.

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
use crate::args::FEATURE_GATES;

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
        let repository = Repository::new();
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
        let gates = FeatureGates::parse(&FEATURE_GATES, "").unwrap();
        let (store, writer) = reflector::store();
        let triggers = Controller::<GitRepository>::default().triggers;
        let cache = GitCache::open(cache.to_str().unwrap(), &data, 1 << 30).unwrap();
        let ssh = SshOptions::default();
        let reconciler = GitRepositoryReconciler::new(shared, gates, ssh, cache, store, triggers);
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
        self.show(object);
        let (mut pass, _drafts) = Pass::new(object.clone(), Interrupt::default(), self.recorder.clone());
        let outcome = self.reconciler.reconcile(&mut pass).await;
        self.reconciler.finish(&mut pass.object, &outcome);
        if let Some(token) = object.reconcile_requested_at().map(str::to_owned) {
            pass.object.set_last_handled_reconcile_at(&token);
        }
        *object = pass.object;
        outcome
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

#[tokio::test(flavor = "multi_thread")]
async fn first_fetch_then_nothing_new_then_a_new_commit() {
    let (git, mut bench) = (Git::new(), Bench::new(&[]));
    let first = git.commit(
        "Add the app\n\nAll of it.",
        &[("app/a.yaml", "a: 1\n"), ("logo.png", "x")],
    );
    let mut object = repository(&git.url());
    assert_eq!(bench.pass(&mut object).await, Outcome::Done);
    assert_eq!(conditions_of(&object), READY);
    let revision = format!("main@sha1:{first}");
    let stored = format!("stored artifact for revision '{revision}'");
    assert_eq!(message_of(&object, "Ready"), stored);
    assert_eq!(message_of(&object, "ArtifactInStorage"), stored);
    assert_eq!(object.observed_generation(), Some(1));
    let artifact = object.artifact().unwrap().clone();
    assert_eq!(artifact.revision, revision);
    assert_eq!(artifact.path, format!("gitrepository/default/app/{first}.tar.gz"));
    assert_eq!(
        artifact.url,
        format!("http://source-controller.flux-system.svc./{}", artifact.path)
    );
    let file = bench.stored(&object);
    assert_eq!(
        artifact.size,
        i64::try_from(std::fs::metadata(&file).unwrap().len()).ok()
    );
    assert_eq!(names(&file), [".", "app", "app/a.yaml"]);
    assert_eq!(
        bench.events(),
        ["info NewArtifact stored artifact for commit 'Add the app'"]
    );

    // Nothing new: one listing, no event, and a status that is equal to the last byte.
    git.requests();
    let before = object.clone();
    assert_eq!(bench.pass(&mut object).await, Outcome::Done);
    assert_eq!(object, before);
    assert_eq!(git.requests(), 1, "the listing");
    assert_eq!(bench.events(), Vec::<String>::new());
    assert_eq!(*bench.api.lock().unwrap(), Vec::<String>::new());

    // Who asks is told.
    let requested = annotation::RECONCILE_REQUESTED_AT.to_owned();
    object.metadata.annotations = Some(BTreeMap::from([(requested, "now".to_owned())]));
    bench.pass(&mut object).await;
    let told = format!(
        "trace GitOperationSucceeded no changes since last reconciliation: observed revision '{revision}'"
    );
    assert_eq!(bench.events(), [told]);

    let second = git.commit("Change it", &[("app/a.yaml", "a: 2\n")]);
    assert_eq!(bench.pass(&mut object).await, Outcome::Done);
    assert_eq!(conditions_of(&object), READY);
    assert_eq!(object.artifact().unwrap().revision, format!("main@sha1:{second}"));
    assert_eq!(
        bench.events(),
        ["info NewArtifact stored artifact for commit 'Change it'"]
    );
    assert!(file.exists(), "who still reads the old artifact can");
}

#[tokio::test(flavor = "multi_thread")]
async fn refused_credentials_keep_the_artifact_and_recovery_is_told() {
    let mut bench = Bench::new(&[("auth", &[("username", "u"), ("password", "hunter2")])]);
    // u:hunter2
    let git = Git::guarded(Some("Basic dTpodW50ZXIy"));
    git.commit("One", &[("a.yaml", "a: 1\n")]);
    let mut object = repository(&git.url());
    object.spec.secret_ref = Some(LocalObjectReference {
        name: "auth".to_owned(),
    });
    assert_eq!(bench.pass(&mut object).await, Outcome::Done);
    assert_eq!(
        *bench.api.lock().unwrap(),
        ["GET /api/v1/namespaces/default/secrets/auth"]
    );
    bench.events();
    let artifact = object.artifact().unwrap().clone();

    git.commit("Two", &[("a.yaml", "a: 2\n")]);
    bench.set_secret("auth", "password", "other");
    let url = git.url();
    let message = format!(
        "failed to checkout and determine revision: unable to list remote for '{url}': authentication required"
    );
    let failed = Outcome::Backoff {
        error: message.clone(),
    };
    assert_eq!(bench.pass(&mut object).await, failed);
    let expected = [
        "Reconciling=True/ProgressingWithRetry",
        "Ready=False/GitOperationFailed",
        "ArtifactInStorage=True/Succeeded",
        "FetchFailed=True/GitOperationFailed",
    ];
    assert_eq!(conditions_of(&object), expected);
    assert_eq!(message_of(&object, "Ready"), message);
    assert_eq!(object.artifact(), Some(&artifact));
    assert!(bench.stored(&object).exists());
    assert_eq!(bench.events(), [format!("error GitOperationFailed {message}")]);
    // The next failure is the same, so there is nothing to write.
    let before = object.clone();
    assert_eq!(bench.pass(&mut object).await, failed);
    assert_eq!(object, before);
    bench.events();

    object.spec.secret_ref = Some(LocalObjectReference {
        name: "gone".to_owned(),
    });
    bench.pass(&mut object).await;
    let missing = "failed to get secret 'default/gone': secrets \"gone\" not found";
    assert_eq!(message_of(&object, "FetchFailed"), missing);
    assert_eq!(bench.events(), [format!("error AuthenticationFailed {missing}")]);

    git.repository.git(&["reset", "--quiet", "--hard", "HEAD~1"]);
    git.repository.push();
    bench.set_secret("auth", "password", "hunter2");
    object.spec.secret_ref = Some(LocalObjectReference {
        name: "auth".to_owned(),
    });
    assert_eq!(bench.pass(&mut object).await, Outcome::Done);
    assert_eq!(conditions_of(&object), READY);
    assert_eq!(object.artifact(), Some(&artifact));
    let revision = &artifact.revision;
    assert_eq!(
        bench.events(),
        [format!("info Succeeded stored artifact for commit '{revision}'")]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn faults_of_the_spec_have_their_conditions() {
    let (git, mut bench) = (Git::new(), Bench::new(&[("proxy", &[("username", "u")])]));
    let url = git.url();
    let mut empty = repository(&url);
    bench.pass(&mut empty).await;
    let expected = [
        "Reconciling=True/ProgressingWithRetry",
        "Ready=False/EmptyGitRepository",
        "FetchFailed=True/EmptyGitRepository",
    ];
    assert_eq!(conditions_of(&empty), expected);
    assert_eq!(message_of(&empty, "Ready"), "git repository is empty");
    assert_eq!(empty.observed_generation(), Some(-1));
    git.commit("One", &[("a.yaml", "a: 1\n")]);
    bench.events();

    let mut missing = repository(&url);
    missing.spec.reference.as_mut().unwrap().branch = Some("gone".to_owned());
    bench.pass(&mut missing).await;
    assert_eq!(
        message_of(&missing, "Ready"),
        format!(
            "failed to checkout and determine revision: unable to clone '{url}': couldn't find remote ref \"refs/heads/gone\""
        )
    );

    let mut malformed = repository("https://u:hunter2@[::1/app");
    let outcome = bench.pass(&mut malformed).await;
    assert!(matches!(outcome, Outcome::Stalled { .. }), "{outcome:?}");
    assert_eq!(
        conditions_of(&malformed),
        [
            "Stalled=True/URLInvalid",
            "Ready=False/URLInvalid",
            "FetchFailed=True/URLInvalid"
        ]
    );
    assert_eq!(malformed.observed_generation(), Some(1));

    let mut verified = repository(&url);
    verified.spec.verify = Some(GitRepositoryVerification::default());
    git.requests();
    let outcome = bench.pass(&mut verified).await;
    assert!(matches!(outcome, Outcome::Stalled { .. }), "{outcome:?}");
    assert_eq!(git.requests(), 0, "what cannot be verified is not fetched");
    assert!(verified.artifact().is_none());
    assert_eq!(
        conditions_of(&verified),
        [
            "Stalled=True/VerificationError",
            "Ready=False/VerificationError",
            "SourceVerified=False/VerificationError"
        ]
    );

    let mut proxied = repository(&url);
    proxied.spec.proxy_secret_ref = Some(LocalObjectReference {
        name: "proxy".to_owned(),
    });
    bench.pass(&mut proxied).await;
    assert_eq!(
        message_of(&proxied, "Ready"),
        "failed to configure proxy options: secret 'default/proxy': key 'address' not found"
    );

    let mut sparse = repository(&url);
    sparse.spec.sparse_checkout = vec!["./gone".to_owned()];
    bench.pass(&mut sparse).await;
    assert_eq!(
        message_of(&sparse, "Ready"),
        "failed to sparse checkout directories : sparse checkout dir 'gone' does not exist in repository"
    );
    let shown = bench.events().join("\n");
    assert!(!shown.contains("hunter2"), "{shown}");
}

#[tokio::test(flavor = "multi_thread")]
async fn damaged_or_missing_artifact_is_built_again() {
    let (git, mut bench) = (Git::new(), Bench::new(&[]));
    git.commit("One", &[("a.yaml", "a: 1\n")]);
    let mut object = repository(&git.url());
    bench.pass(&mut object).await;
    bench.events();
    let artifact = object.artifact().unwrap().clone();

    let file = bench.stored(&object);
    std::fs::write(&file, "damaged").unwrap();
    assert_eq!(bench.pass(&mut object).await, Outcome::Done);
    let events = bench.events();
    assert!(
        events[0].starts_with(
            "error ArtifactVerificationFailed failed to verify integrity of artifact: computed digest"
        ),
        "{events:?}"
    );
    assert_eq!(object.artifact().unwrap().digest, artifact.digest);
    assert_eq!(
        std::fs::metadata(&file).unwrap().len(),
        u64::try_from(artifact.size.unwrap()).unwrap()
    );

    std::fs::remove_file(&file).unwrap();
    assert_eq!(bench.pass(&mut object).await, Outcome::Done);
    assert_eq!(conditions_of(&object), READY);
    assert!(file.exists());

    // The remote is gone as well: nothing is served, and the status does not say otherwise.
    std::fs::remove_file(&file).unwrap();
    object.spec.url = git.server.url("gone");
    bench.pass(&mut object).await;
    assert!(object.artifact().is_none());
    assert!(object.condition(condition::ARTIFACT_IN_STORAGE).is_none());

    // The path of another object is never touched.
    object.spec.url = git.url();
    let mut other = repository(&git.url());
    other.metadata.name = Some("other".to_owned());
    other.set_artifact(Some(artifact.clone()));
    bench.pass(&mut object).await;
    assert_eq!(bench.pass(&mut other).await, Outcome::Done);
    assert!(file.exists());
    assert!(
        other
            .artifact()
            .unwrap()
            .path
            .starts_with("gitrepository/default/other/")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn content_configuration_rebuilds_the_same_revision() {
    let (git, mut bench) = (Git::new(), Bench::new(&[]));
    git.commit(
        "One",
        &[
            ("a/x.yaml", "a: 1\n"),
            ("b/x.yaml", "b: 1\n"),
            ("c.yaml", "c: 1\n"),
        ],
    );
    let mut object = repository(&git.url());
    bench.pass(&mut object).await;
    assert_eq!(
        names(&bench.stored(&object)),
        [".", "a", "a/x.yaml", "b", "b/x.yaml", "c.yaml"]
    );
    let revision = object.artifact().unwrap().revision.clone();

    object.spec.ignore = Some("/a\n".to_owned());
    bench.events();
    assert_eq!(bench.pass(&mut object).await, Outcome::Done);
    assert_eq!(names(&bench.stored(&object)), [".", "b", "b/x.yaml", "c.yaml"]);
    assert_eq!(object.artifact().unwrap().revision, revision);
    assert_eq!(
        object.status.as_ref().unwrap().observed_ignore.as_deref(),
        Some("/a\n")
    );
    assert_eq!(
        bench.events(),
        ["info NewArtifact stored artifact for commit 'One'"]
    );

    object.spec.ignore = None;
    object.spec.sparse_checkout = vec!["a".to_owned()];
    assert_eq!(bench.pass(&mut object).await, Outcome::Done);
    assert_eq!(names(&bench.stored(&object)), [".", "a", "a/x.yaml"]);
    assert_eq!(object.status.as_ref().unwrap().observed_sparse_checkout, ["a"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn include_is_waited_for_placed_and_followed() {
    let (git, other, mut bench) = (Git::new(), Git::new(), Bench::new(&[]));
    git.commit("App", &[("app.yaml", "a: 1\n"), ("lib/old.yaml", "x: 1\n")]);
    other.commit("Lib", &[("deploy/lib.yaml", "l: 1\n"), ("README.md", "x")]);
    let mut object = repository(&git.url());
    object.spec.include = vec![GitRepositoryInclude {
        repository: LocalObjectReference {
            name: "lib".to_owned(),
        },
        from_path: Some("./deploy".to_owned()),
        to_path: None,
    }];
    assert_eq!(
        bench.pass(&mut object).await,
        Outcome::Wait(Duration::from_secs(30))
    );
    let missing =
        "could not get resource for include 'lib': GitRepository.source.toolkit.fluxcd.io \"lib\" not found";
    assert_eq!(message_of(&object, "IncludeUnavailable"), missing);
    assert_eq!(
        conditions_of(&object),
        [
            "Reconciling=True/ProgressingWithRetry",
            "Ready=False/NotFound",
            "IncludeUnavailable=True/NotFound"
        ]
    );
    assert_eq!(bench.events(), [format!("trace NotFound {missing}")]);

    let mut lib = repository(&other.url());
    lib.metadata.name = Some("lib".to_owned());
    bench.show(&lib);
    bench.pass(&mut object).await;
    assert_eq!(
        message_of(&object, "Ready"),
        "no artifact available for include 'lib'"
    );
    bench.pass(&mut lib).await;
    bench.show(&lib);
    assert_eq!(bench.pass(&mut object).await, Outcome::Done);
    assert_eq!(conditions_of(&object), READY);
    assert_eq!(
        names(&bench.stored(&object)),
        [".", "app.yaml", "lib", "lib/lib.yaml"]
    );
    let status = object.status.as_ref().unwrap();
    assert_eq!(status.included_artifacts, [lib.artifact().unwrap().clone()]);
    assert_eq!(status.observed_include, object.spec.include);
    git.requests();
    let before = object.clone();
    bench.pass(&mut object).await;
    assert_eq!((git.requests(), &object), (1, &before));

    other.commit("More", &[("deploy/more.yaml", "m: 1\n")]);
    bench.pass(&mut lib).await;
    bench.show(&lib);
    assert_eq!(bench.pass(&mut object).await, Outcome::Done);
    assert_eq!(
        names(&bench.stored(&object)),
        [".", "app.yaml", "lib", "lib/lib.yaml", "lib/more.yaml"]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn shutdown_and_a_changed_spec_cut_a_pass_short() {
    let hold = Arc::new(std::sync::Barrier::new(2));
    let (arrived, waiting) = (Arc::clone(&hold), Arc::clone(&hold));
    let stuck = Server::start(move |_| {
        arrived.wait();
        arrived.wait();
        Response::new(500, "")
    });
    let mut bench = Bench::new(&[]);
    let object = repository(&stuck.url("/app"));
    bench.show(&object);
    let interrupt = Interrupt::default();
    let (mut pass, _drafts) = Pass::new(object.clone(), interrupt.clone(), bench.recorder.clone());
    let mut newer = object.clone();
    newer.metadata.generation = Some(2);
    let writer = &mut bench.writer;
    let change = async {
        let waiting = Arc::clone(&waiting);
        tokio::task::spawn_blocking(move || waiting.wait()).await.unwrap();
        writer.apply_watcher_event(&watcher::Event::Apply(newer));
        interrupt.fire(ferro_runtime::reconcile::Cause::NewWork(
            "GitRepository/default/app".to_owned(),
        ));
    };
    let (outcome, ()) = tokio::join!(bench.reconciler.reconcile(&mut pass), change);
    assert_eq!(outcome, Outcome::Superseded);
    bench.reconciler.shared.stop.cancel();
    assert_eq!(bench.reconciler.reconcile(&mut pass).await, Outcome::Stopped);
    tokio::task::spawn_blocking(move || waiting.wait()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn deletion_removes_what_is_stored() {
    let (git, mut bench) = (Git::new(), Bench::new(&[]));
    git.commit("One", &[("a.yaml", "a: 1\n")]);
    let mut object = repository(&git.url());
    bench.pass(&mut object).await;
    bench.events();
    let file = bench.stored(&object);
    let (mut pass, _drafts) = Pass::new(object, Interrupt::default(), bench.recorder.clone());
    bench.reconciler.finalize(&mut pass).await.unwrap();
    assert!(!file.parent().unwrap().exists());
    bench.reconciler.finalize(&mut pass).await.unwrap();
    assert_eq!(
        bench.events(),
        ["trace GarbageCollectionSucceeded garbage collected artifacts for deleted resource"]
    );
}

#[test]
fn suspended_object_is_observed_and_otherwise_left_alone() {
    let bench = tokio::runtime::Runtime::new()
        .unwrap()
        .block_on(async { Bench::new(&[]) });
    let mut object = repository("https://example.com/app");
    conditions::mark_true(&mut object, condition::ARTIFACT_IN_STORAGE, "Succeeded", "stored");
    bench.reconciler.suspended(&mut object);
    assert_eq!(object.observed_generation(), Some(1));
    let ready = object.condition(condition::READY).unwrap();
    assert_eq!(
        (ready.status, ready.message.as_str()),
        (ConditionStatus::True, "stored")
    );
}
