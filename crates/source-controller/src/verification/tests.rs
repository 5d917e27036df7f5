//! Charts in a registry, signed by the program that `tests/data/signatures.json` of ferro-verify is recorded from.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ferro_api::FluxObject;
use ferro_api::meta::Artifact;
use ferro_api::source::{
    GitRepository, HelmChartSpec, HelmChartVerification, HelmRepository, HelmRepositorySpec,
    HelmRepositoryType,
};
use ferro_artifact::storage::{Storage, StorageOptions};
use ferro_helmrepo::Limits;
use ferro_oci::{Descriptor, media_type};
use ferro_runtime::controller::Controller;
use ferro_runtime::events::{Event, Recorder};
use ferro_runtime::reconcile::{Interrupt, Outcome, Pass, Reconciler as _};
use ferro_testkit::api::FakeApi;
use ferro_testkit::registry::Registry;
use kube::Resource;
use kube::runtime::reflector::{self, Store, store::Writer};
use kube::runtime::watcher;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::{Semaphore, mpsc};
use tokio_util::sync::CancellationToken;

use super::*;
use crate::auth::cloud::Cloud;
use crate::helmchart::{Dependants, HelmChartReconciler, Sources};
use crate::helmrepository::{Access, IndexCache};

const CHART: &str = "charts/app";

/// A registry with a chart, and a reconciler with all that it needs.
struct Bench {
    root: TempDir,
    reconciler: HelmChartReconciler,
    writer: Writer<HelmChart>,
    helm: Writer<HelmRepository>,
    _git: Writer<GitRepository>,
    recorder: Recorder,
    events: mpsc::Receiver<Event>,
    api: FakeApi,
    registry: Arc<Registry>,
    fixtures: Value,
}

fn listed<K>() -> (Store<K>, Writer<K>)
where
    K: Resource<DynamicType = ()> + Clone + 'static,
{
    let (store, mut writer) = reflector::store();
    writer.apply_watcher_event(&watcher::Event::Init);
    writer.apply_watcher_event(&watcher::Event::InitDone);
    (store, writer)
}

impl Bench {
    fn new() -> Self {
        Self::within(Registry::start())
    }

    fn within(registry: Registry) -> Self {
        // Nobody listens there.
        Self::trusting(registry, &[("TUF_MIRROR", "http://127.0.0.1:1")])
    }

    /// With variables that say where the public root is.
    fn trusting(registry: Registry, environment: &[(&str, &str)]) -> Self {
        let root = tempfile::tempdir().unwrap();
        let api = FakeApi::default();
        let options = StorageOptions::new(root.path(), "source-controller.flux-system.svc.");
        let shared = Shared {
            client: api.client(),
            storage: Storage::open(options).unwrap(),
            requeue_dependency: Duration::from_secs(30),
            stop: CancellationToken::new(),
            workers: Arc::new(Semaphore::new(2)),
        };
        let minute = Duration::from_secs(60);
        let (store, writer) = reflector::store();
        let (helm_store, helm) = listed();
        let (git_store, git) = listed();
        let sources = Sources {
            helm: helm_store,
            git: git_store,
            buckets: None,
        };
        let dependants = Dependants::new(store.clone(), Controller::<HelmChart>::default().triggers);
        let access = Access::new(Cloud::for_test(api.client(), &[], ""), Limits::default());
        let cache = IndexCache::new(2, minute, minute);
        let public_root = PublicRoot::new(ferro_cloud::Environment::of(environment));
        let reconciler =
            HelmChartReconciler::new(shared, store, sources, access, cache, dependants, public_root);
        let (recorder, events) = Recorder::for_test();
        let text = include_str!("../../../ferro-verify/tests/data/signatures.json");
        let bench = Self {
            root,
            reconciler,
            writer,
            helm,
            _git: git,
            recorder,
            events,
            api,
            registry: Arc::new(registry),
            fixtures: serde_json::from_str(text).unwrap(),
        };
        bench.push();
        bench
    }

    fn text(&self, path: &str) -> &str {
        self.fixtures.pointer(path).and_then(Value::as_str).unwrap()
    }

    fn package(&self) -> Vec<u8> {
        STANDARD.decode(self.text("/chart/package")).unwrap()
    }

    /// Pushes the chart that is signed.
    fn push(&self) {
        self.registry.put_blob(CHART, b"{}");
        self.registry.put_blob(CHART, &self.package());
        let manifest = self.text("/chart/manifest").as_bytes();
        self.registry
            .put_manifest(CHART, "1.2.3", media_type::OCI_MANIFEST, manifest);
    }

    /// Puts its signature where cosign 2 does.
    fn sign(&self) {
        let payload = STANDARD
            .decode(self.text("/chart/signed/simple/payload"))
            .unwrap();
        self.registry.put_blob(CHART, &payload);
        let mut layer = Descriptor::of(cosign::SIMPLE_SIGNING, &payload);
        let signature = self.text("/chart/signed/simple/signature").to_owned();
        layer
            .annotations
            .insert(cosign::annotation::SIGNATURE.to_owned(), signature);
        let config = Descriptor::of(media_type::HELM_CONFIG, b"{}");
        let manifest = json!({ "schemaVersion": 2, "config": config, "layers": [layer] }).to_string();
        let tag = self.text("/chart/digest").replace(':', "-") + ".sig";
        self.registry
            .put_manifest(CHART, &tag, media_type::OCI_MANIFEST, manifest.as_bytes());
    }

    /// Makes a repository known, of charts in the registry or on a server.
    fn repository(&mut self, url: &str) {
        let mut object = HelmRepository::new("app", HelmRepositorySpec::default());
        object.metadata.namespace = Some("default".to_owned());
        object.spec.url = url.to_owned();
        object.spec.insecure = true;
        if url.starts_with("oci:") {
            object.spec.type_ = Some(HelmRepositoryType::Oci);
        } else {
            let path = "helmrepository/default/app/index-1.yaml";
            let file = self.root.path().join(path);
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(file, "apiVersion: v1\nentries: {}\n").unwrap();
            object.status.get_or_insert_default().artifact = Some(Artifact {
                path: path.to_owned(),
                ..Artifact::default()
            });
        }
        self.helm.apply_watcher_event(&watcher::Event::Apply(object));
    }

    fn registry_url(&self) -> String {
        format!("oci://{}/charts", self.registry.host())
    }

    fn secret(&self, name: &str, entries: &[(&str, &str)]) {
        let entries = entries.iter().map(|(key, value)| (*key, STANDARD.encode(value)));
        let data: std::collections::BTreeMap<_, _> = entries.collect();
        let secret = json!({ "apiVersion": "v1", "kind": "Secret", "metadata": { "name": name, "namespace": "default" }, "data": data });
        self.api
            .put(&format!("/api/v1/namespaces/default/secrets/{name}"), secret);
    }

    /// One pass, as the chassis runs it.
    async fn pass(&mut self, object: &mut HelmChart) -> Outcome {
        self.writer
            .apply_watcher_event(&watcher::Event::Apply(object.clone()));
        let (mut pass, _drafts) = Pass::new(object.clone(), Interrupt::default(), self.recorder.clone());
        let outcome = self.reconciler.reconcile(&mut pass).await;
        self.reconciler.finish(&mut pass.object, &outcome);
        *object = pass.object;
        outcome
    }

    /// `severity reason message` of the events since the last call.
    fn events(&mut self) -> Vec<String> {
        std::iter::from_fn(|| self.events.try_recv().ok())
            .map(|event| format!("{} {} {}", event.severity.as_str(), event.reason, event.message))
            .collect()
    }

    fn stored(&self, object: &HelmChart) -> PathBuf {
        self.root.path().join(&object.artifact().unwrap().path)
    }
}

fn chart(secret: Option<&str>) -> HelmChart {
    let mut object = HelmChart::new("app", HelmChartSpec::default());
    object.metadata.namespace = Some("default".to_owned());
    object.metadata.generation = Some(1);
    object.spec.chart = "app".to_owned();
    object.spec.source_ref.name = "app".to_owned();
    object.spec.verify = Some(HelmChartVerification {
        secret_ref: secret.map(|name| LocalObjectReference {
            name: name.to_owned(),
        }),
        ..HelmChartVerification::default()
    });
    object.status_mut().observed_generation = Some(-1);
    object
}

fn conditions_of(object: &HelmChart) -> Vec<String> {
    let text = |c: &ferro_api::Condition| format!("{}={}/{}", c.type_, c.status, c.reason);
    object.conditions().iter().map(text).collect()
}

fn message_of<'o>(object: &'o HelmChart, type_: &str) -> &'o str {
    object.condition(type_).map_or("", |condition| &condition.message)
}

fn failed(message: &str) -> Outcome {
    Outcome::Backoff {
        error: message.to_owned(),
    }
}

const VERIFIED: [&str; 3] = [
    "Ready=True/ChartPullSucceeded",
    "ArtifactInStorage=True/ChartPullSucceeded",
    "SourceVerified=True/Succeeded",
];

#[tokio::test(flavor = "multi_thread")]
async fn charts_are_pulled_once_a_key_vouches_for_them() {
    let mut bench = Bench::new();
    let (other, own) = (
        bench.text("/keys/rsa/public").to_owned(),
        bench.text("/chart/signed/public").to_owned(),
    );
    bench.secret("keys", &[("a.pub", &other), ("b.pub", &own)]);
    let url = bench.registry_url();
    bench.repository(&url);
    let mut object = chart(Some("keys"));
    let reference = format!(
        "{}/{CHART}@{}",
        bench.registry.host(),
        bench.text("/chart/digest")
    );
    let message = format!("chart verification error: no matching signatures were found for '{reference}'");
    assert_eq!(bench.pass(&mut object).await, failed(&message));
    assert!(object.artifact().is_none());
    assert_eq!(
        conditions_of(&object),
        [
            "Reconciling=True/ProgressingWithRetry",
            "Ready=False/VerificationError",
            "BuildFailed=True/ChartVerificationError",
            "SourceVerified=False/VerificationError",
        ]
    );
    assert_eq!(message_of(&object, "SourceVerified"), message);
    assert_eq!(message_of(&object, "BuildFailed"), message);
    assert_eq!(
        bench.events(),
        [format!("error ChartVerificationError {message}")]
    );

    bench.sign();
    assert_eq!(bench.pass(&mut object).await, Outcome::Done);
    assert_eq!(conditions_of(&object), VERIFIED);
    assert_eq!(
        message_of(&object, "SourceVerified"),
        "verified signature of version 1.2.3"
    );
    assert_eq!(std::fs::read(bench.stored(&object)).unwrap(), bench.package());

    // It is verified each time, and what is stored stays when it no longer holds.
    bench.secret("keys", &[("a.pub", &other)]);
    assert_eq!(bench.pass(&mut object).await, failed(&message));
    assert_eq!(std::fs::read(bench.stored(&object)).unwrap(), bench.package());
    assert!(conditions_of(&object).contains(&"Ready=False/VerificationError".to_owned()));

    object.spec.verify = None;
    object.metadata.generation = Some(2);
    assert_eq!(bench.pass(&mut object).await, Outcome::Done);
    assert_eq!(conditions_of(&object), VERIFIED[..2]);
}

#[tokio::test(flavor = "multi_thread")]
async fn tags_that_move_after_they_were_verified_do_no_harm() {
    let is_asked = Arc::new(AtomicBool::new(false));
    let asked = Arc::clone(&is_asked);
    let registry = Registry::with(move |request| {
        // Once the signature is fetched, the tag is another chart's.
        if request.path.ends_with(".sig") {
            asked.store(true, Ordering::Relaxed);
        }
        let is_moved = asked.load(Ordering::Relaxed) && request.path.ends_with("/manifests/1.2.3");
        is_moved.then(|| ferro_testkit::registry::refusal(403, "DENIED", "moved"))
    });
    let mut bench = Bench::within(registry);
    let own = bench.text("/chart/signed/public").to_owned();
    bench.secret("keys", &[("a.pub", &own)]);
    let url = bench.registry_url();
    bench.repository(&url);
    bench.sign();
    let mut object = chart(Some("keys"));
    assert_eq!(bench.pass(&mut object).await, Outcome::Done);
    assert!(is_asked.load(Ordering::Relaxed));
    assert_eq!(std::fs::read(bench.stored(&object)).unwrap(), bench.package());
}

#[tokio::test(flavor = "multi_thread")]
async fn faults_of_the_settings_are_named() {
    let mut bench = Bench::new();
    bench.sign();
    bench.secret("empty", &[("a.txt", "x")]);
    bench.secret("broken", &[("a.pub", "x")]);
    let url = bench.registry_url();
    bench.repository(&url);
    let prefix = "failed to verify the signature using provider 'cosign': ";
    for (secret, cause) in [
        ("gone", format!("{prefix}secrets \"gone\" not found")),
        (
            "empty",
            format!("{prefix}no public keys found in secret 'default/empty'"),
        ),
        (
            "broken",
            "chart verification error: PEM decoding failed".to_owned(),
        ),
    ] {
        let mut object = chart(Some(secret));
        assert_eq!(bench.pass(&mut object).await, failed(&cause));
        assert_eq!(message_of(&object, "SourceVerified"), cause);
    }
    // Without a Secret the public root judges, which knows nobody of the tests.
    let mut object = chart(None);
    assert!(matches!(bench.pass(&mut object).await, Outcome::Backoff { .. }));
    let message = message_of(&object, "SourceVerified");
    assert!(
        message.starts_with("chart verification error: failed to verify oci://")
            && message.contains("no matching signatures"),
        "{message}"
    );

    let mut object = chart(Some("broken"));
    object.spec.version = Some("9.x".to_owned());
    bench.pass(&mut object).await;
    let message = message_of(&object, "FetchFailed");
    assert!(
        message.starts_with("chart pull error: failed to get chart version for remote reference: "),
        "{message}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn charts_on_servers_cannot_be_verified() {
    let mut bench = Bench::new();
    let url = format!("http://{}/charts", bench.registry.host());
    bench.repository(&url);
    let mut object = chart(Some("keys"));
    let message = "chart verification error: not implemented";
    assert_eq!(bench.pass(&mut object).await, failed(message));
    assert_eq!(
        conditions_of(&object)[1..],
        [
            "Ready=False/VerificationError",
            "BuildFailed=True/ChartVerificationError",
            "SourceVerified=False/VerificationError",
        ]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn identities_that_vouch_for_charts_are_judged_by_the_public_root() {
    const BUNDLE: &str = "application/vnd.dev.sigstore.bundle.v0.3+json";
    let (tuf, folder) = (testing::Tuf::start(), tempfile::tempdir().unwrap());
    let root = folder.path().join("root.json");
    std::fs::write(&root, tuf.root(1)).unwrap();
    let (mirror, root) = (tuf.url(), root.to_str().unwrap().to_owned());
    let environment = [("TUF_MIRROR", mirror.as_str()), ("TUF_ROOT_JSON", &root)];
    let mut bench = Bench::trusting(Registry::start(), &environment);
    tuf.publish(1, &bench.fixtures["trustedRoot"].to_string());
    bench.repository(&bench.registry_url());
    // What is signed there is no chart, so it is pulled in vain once its signature was found good.
    let registry = Arc::clone(&bench.registry);
    let (manifest, digest) = (
        bench.text("/manifest").to_owned(),
        bench.text("/digest").to_owned(),
    );
    let bundle = bench.fixtures["bundles"]["good"].to_string();
    registry.put_manifest(CHART, "3.0.0", media_type::OCI_MANIFEST, manifest.as_bytes());
    registry.put_blob(CHART, bundle.as_bytes());
    let referrer = json!({
        "schemaVersion": 2, "mediaType": media_type::OCI_MANIFEST, "artifactType": BUNDLE,
        "config": Descriptor::of(media_type::EMPTY, b"{}"),
        "layers": [Descriptor::of(BUNDLE, bundle.as_bytes())],
        "subject": { "mediaType": media_type::OCI_MANIFEST, "digest": digest, "size": 1 },
    })
    .to_string();
    let listed = registry.put_manifest(CHART, "", media_type::OCI_MANIFEST, referrer.as_bytes());
    let listed = json!({ "mediaType": media_type::OCI_MANIFEST, "digest": listed, "size": referrer.len(), "artifactType": BUNDLE });
    let index = json!({ "schemaVersion": 2, "mediaType": media_type::OCI_INDEX, "manifests": [listed] });
    registry.put_manifest(
        CHART,
        &digest.replace(':', "-"),
        media_type::OCI_INDEX,
        index.to_string().as_bytes(),
    );
    for (subject, expected) in [
        (
            "^https://github.com/other/",
            "chart verification error: failed to verify oci://",
        ),
        (
            "^https://github.com/org/",
            "chart pull error: failed to download chart for remote reference: ",
        ),
    ] {
        let mut object = chart(None);
        object.spec.version = Some("3.0.0".to_owned());
        let verify = object.spec.verify.as_mut().unwrap();
        verify.match_oidc_identity = vec![OidcIdentityMatch {
            issuer: "^https://token".to_owned(),
            subject: subject.to_owned(),
        }];
        let Outcome::Backoff { error } = bench.pass(&mut object).await else {
            panic!("{object:?}");
        };
        assert!(error.starts_with(expected), "{error}");
    }
    assert_eq!(tuf.take_asked().len(), 6);
}
