//! Passes over a HelmChart, from the object as the API server has it to conditions, events, requests and files, with sources in the storage and
//! repositories on the loopback interface.

mod local;
mod registry;
mod remote;
mod trouble;
mod vocabulary;

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ferro_api::source::{Bucket, BucketSpec, GitRepository, GitRepositorySpec, HelmChartSpec};
use ferro_artifact::storage::StorageOptions;
use ferro_helmrepo::Limits;
use ferro_runtime::controller::Controller;
use ferro_runtime::events::{Event, Recorder};
use ferro_runtime::reconcile::Interrupt;
use ferro_testkit::api::FakeApi;
use kube::runtime::{reflector, watcher};
use tempfile::TempDir;
use tokio::sync::{Semaphore, mpsc};
use tokio_util::sync::CancellationToken;

use super::*;
use crate::auth::cloud::Cloud;
use crate::helmrepository::HelmRepositoryReconciler;
use crate::helmrepository::tests::server::{HelmServer, archive, chart};
use crate::helmrepository::tests::{
    conditions_of, failed, message_of, reference, repository, secret, stalled,
};
use crate::reconcile::testing::{SourceBench as _, source_bench};

/// A reconciler with all that it needs.
struct Bench {
    _root: TempDir,
    data: PathBuf,
    reconciler: HelmChartReconciler,
    /// Makes the artifacts of repositories.
    repositories: HelmRepositoryReconciler,
    writer: reflector::store::Writer<HelmChart>,
    helm: reflector::store::Writer<HelmRepository>,
    git: reflector::store::Writer<GitRepository>,
    buckets: reflector::store::Writer<Bucket>,
    recorder: Recorder,
    events: mpsc::Receiver<Event>,
    api: FakeApi,
    shared: Shared,
}

impl Bench {
    fn new() -> Self {
        Self::with(Limits::default())
    }

    fn with(limits: Limits) -> Self {
        Self::within(limits, &[])
    }

    /// With variables that say where credentials are.
    fn within(limits: Limits, environment: &[(&str, &str)]) -> Self {
        let root = tempfile::tempdir().unwrap();
        let data = root.path().join("data");
        std::fs::create_dir_all(&data).unwrap();
        let api = FakeApi::default();
        let options = StorageOptions::new(&data, "source-controller.flux-system.svc.");
        let shared = Shared {
            client: api.client(),
            storage: Storage::open(options).unwrap(),
            requeue_dependency: Duration::from_secs(30),
            stop: CancellationToken::new(),
            workers: Arc::new(Semaphore::new(2)),
        };
        let minute = Duration::from_secs(60);
        let cache = IndexCache::new(2, minute, minute);
        let access = Access::new(Cloud::for_test(api.client(), environment, ""), limits);
        let (store, writer) = reflector::store();
        let (helm_store, helm) = listed();
        let (git_store, git) = listed();
        let (bucket_store, buckets) = listed();
        let sources = Sources {
            helm: helm_store.clone(),
            git: git_store,
            buckets: Some(bucket_store),
        };
        let triggers = Controller::<HelmChart>::default().triggers;
        let dependants = Dependants::new(store.clone(), triggers);
        let repositories =
            HelmRepositoryReconciler::new(shared.clone(), access.clone(), cache.clone(), helm_store);
        // Nobody listens there.
        let mirror = [("TUF_MIRROR", "http://127.0.0.1:1")];
        let public_root = PublicRoot::new(ferro_cloud::Environment::of(&mirror));
        let reconciler = HelmChartReconciler::new(
            shared.clone(),
            store,
            sources,
            access,
            cache,
            dependants,
            public_root,
        );
        let (recorder, events) = Recorder::for_test();
        Self {
            _root: root,
            data,
            reconciler,
            repositories,
            writer,
            helm,
            git,
            buckets,
            recorder,
            events,
            api,
            shared,
        }
    }

    /// One pass, as the chassis runs it.
    async fn pass(&mut self, object: &mut HelmChart) -> Outcome {
        self.pass_shown(object).await.0
    }

    /// Makes the repository known, with its index if it has one.
    async fn add(&mut self, object: &mut HelmRepository) {
        if !object.spec.is_oci() {
            let (mut pass, _drafts) = Pass::new(object.clone(), Interrupt::default(), self.recorder.clone());
            assert_eq!(self.repositories.reconcile(&mut pass).await, Outcome::Done);
            *object = pass.object;
            self.events();
        }
        self.helm
            .apply_watcher_event(&watcher::Event::Apply(object.clone()));
    }

    /// Makes known a GitRepository with an artifact of these files.
    fn git(&mut self, revision: &str, files: &[(&str, &str)]) {
        let mut object = GitRepository::new("app", GitRepositorySpec::default());
        object.metadata.namespace = Some("default".to_owned());
        object.set_artifact(Some(self.store(GitRepository::KIND, revision, &archive(files))));
        self.git.apply_watcher_event(&watcher::Event::Apply(object));
    }

    /// Makes known a Bucket with an artifact of these files.
    fn bucket(&mut self, revision: &str, files: &[(&str, &str)]) {
        let mut object = Bucket::new("app", BucketSpec::default());
        object.metadata.namespace = Some("default".to_owned());
        object.set_artifact(Some(self.store(Bucket::KIND, revision, &archive(files))));
        self.buckets.apply_watcher_event(&watcher::Event::Apply(object));
    }

    /// Stores what a source would store.
    fn store(&self, kind: &str, revision: &str, content: &[u8]) -> Artifact {
        let storage = &self.shared.storage;
        let name = revision.rsplit(':').next().unwrap();
        let path = ArtifactPath::new(kind, "default", "app", &format!("{name}.tar.gz")).unwrap();
        std::fs::create_dir_all(self.data.join(path.directory())).unwrap();
        let written = storage.publish_blocking(&path, |out| std::io::Write::write_all(out, content));
        let (stored, ()) = written.unwrap();
        Artifact {
            path: path.to_string(),
            revision: revision.to_owned(),
            digest: stored.digest.to_string(),
            ..Artifact::default()
        }
    }

    fn secret(&self, name: &str, entries: &[(&str, &str)]) {
        secret(&self.api, name, entries);
    }

    /// `severity reason message` of the events since the last call.
    fn events(&mut self) -> Vec<String> {
        std::iter::from_fn(|| self.events.try_recv().ok())
            .map(|event| format!("{} {} {}", event.severity.as_str(), event.reason, event.message))
            .collect()
    }

    fn stored(&self, object: &HelmChart) -> PathBuf {
        self.data.join(&object.artifact().unwrap().path)
    }

    /// A file of the stored chart.
    fn file(&self, object: &HelmChart, name: &str) -> Option<String> {
        entries(&self.stored(object)).remove(&format!("{}/{name}", object.spec_name()))
    }
}

source_bench!(Bench, HelmChart);

/// A store that has had its first list.
fn listed<K>() -> (Store<K>, reflector::store::Writer<K>)
where
    K: Resource<DynamicType = ()> + Clone + 'static,
{
    let (store, mut writer) = reflector::store();
    writer.apply_watcher_event(&watcher::Event::Init);
    writer.apply_watcher_event(&watcher::Event::InitDone);
    (store, writer)
}

/// The name of the chart that an object is about.
trait SpecName {
    fn spec_name(&self) -> &str;
}

impl SpecName for HelmChart {
    fn spec_name(&self) -> &str {
        self.spec.chart.rsplit('/').next().unwrap_or_default()
    }
}

/// The files of an archive with their content.
fn entries(path: &Path) -> BTreeMap<String, String> {
    let file = std::fs::File::open(path).unwrap();
    let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(file));
    let mut files = BTreeMap::new();
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        let mut content = Vec::new();
        entry.read_to_end(&mut content).unwrap();
        let name = entry.path().unwrap().display().to_string();
        files.insert(name, String::from_utf8_lossy(&content).into_owned());
    }
    files
}

/// A HelmChart of the tests.
fn object(kind: ChartSourceKind, chart: &str) -> HelmChart {
    let mut object = HelmChart::new("app", HelmChartSpec::default());
    object.metadata.namespace = Some("default".to_owned());
    object.metadata.generation = Some(1);
    object.spec.chart = chart.to_owned();
    object.spec.source_ref.kind = kind;
    object.spec.source_ref.name = "app".to_owned();
    object.status_mut().observed_generation = Some(-1);
    object
}

const PULLED: [&str; 2] = [
    "Ready=True/ChartPullSucceeded",
    "ArtifactInStorage=True/ChartPullSucceeded",
];
const PACKAGED: [&str; 2] = [
    "Ready=True/ChartPackageSucceeded",
    "ArtifactInStorage=True/ChartPackageSucceeded",
];
