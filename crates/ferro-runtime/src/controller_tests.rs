//! What a controller makes of the events of its watch.

use super::*;
use ferro_api::kustomize::Kustomization;
use ferro_testkit::api::FakeApi;
use serde_json::json;

use crate::reconcile::{Outcome, Pass};

#[derive(Default)]
struct Idle;

impl Reconciler for Idle {
    type Object = Kustomization;

    async fn reconcile(&self, _: &mut Pass<Kustomization>) -> Outcome {
        Outcome::Done
    }

    async fn finalize(&self, _: &mut Pass<Kustomization>) -> Result<(), String> {
        Ok(())
    }
}

struct Fixture {
    following: Following<Idle, fn()>,
    store: Store<Kustomization>,
    queued: mpsc::UnboundedReceiver<ObjectRef<Kustomization>>,
}

fn fixture() -> Fixture {
    let controller = Controller::<Kustomization>::default();
    let env = Env {
        reconciler: Idle,
        writer: Writer::new(FakeApi::default().client(), "gotk-test"),
        recorder: Recorder::for_test().0,
        metrics: crate::metrics::Metrics::default(),
        backoff: Backoff::new(Duration::from_millis(750), Duration::from_secs(900)),
        jitter: 0,
        written: Mutex::default(),
        triggers: controller.triggers,
        store: controller.store.clone(),
        name: "kustomization".to_owned(),
    };
    let initialised: fn() = || {};
    Fixture {
        following: Following {
            env: Arc::new(env),
            store: controller.writer,
            seen: HashMap::new(),
            initialised,
        },
        store: controller.store,
        queued: controller.queued,
    }
}

impl Fixture {
    /// The names of those for which a reconcile was asked.
    fn take_queued(&mut self) -> Vec<String> {
        std::iter::from_fn(|| self.queued.try_recv().ok())
            .map(|key| key.name)
            .collect()
    }
}

fn object(name: &str, version: u64, generation: i64, requested_at: Option<&str>) -> Kustomization {
    let annotations = requested_at.map(|at| json!({ "reconcile.fluxcd.io/requestedAt": at }));
    serde_json::from_value(json!({
        "metadata": {
            "name": name, "namespace": "ns", "uid": name, "generation": generation,
            "resourceVersion": version.to_string(), "annotations": annotations
        },
        "spec": { "interval": "10m", "prune": true, "sourceRef": { "kind": "GitRepository", "name": "g" } }
    }))
    .unwrap()
}

#[tokio::test]
async fn new_list_is_in_the_store_before_anybody_is_told() {
    let mut fixture = fixture();
    let first = vec![
        object("a", 1, 1, None),
        object("b", 2, 1, None),
        object("c", 3, 1, None),
    ];
    fixture.following.told(Change::Listed(first));
    assert_eq!(fixture.take_queued(), ["a", "b", "c"]);
    let key = |name: &str| ObjectRef::new(name).within("ns");
    let gone = object("c", 9, 1, None);
    lock(&fixture.following.env.written).insert(key("c"), Arc::new(gone));
    fixture.following.env.backoff.failed(key("c"));
    // While the watch was away: `a` was changed, `c` was deleted, `d` was made.
    let second = vec![
        object("a", 10, 2, None),
        object("b", 2, 1, None),
        object("d", 11, 1, None),
    ];
    fixture.following.told(Change::Listed(second));
    assert_eq!(fixture.take_queued(), ["a", "d"]);
    assert_eq!(fixture.store.get(&key("a")).unwrap().metadata.generation, Some(2));
    assert!(fixture.store.get(&key("d")).is_some() && fixture.store.get(&key("c")).is_none());
    assert!(
        lock(&fixture.following.env.written).is_empty(),
        "its copy is forgotten"
    );
    assert!(!fixture.following.seen.contains_key(&key("c")));
    let backoff = &fixture.following.env.backoff;
    assert_eq!(
        backoff.failed(key("c")),
        Duration::from_millis(750),
        "its failures are forgotten"
    );
}

#[tokio::test]
async fn request_that_is_taken_back_asks_for_nothing() {
    let mut fixture = fixture();
    fixture.following.told(Change::Applied(object("a", 1, 1, None)));
    assert_eq!(fixture.take_queued(), ["a"]);
    fixture
        .following
        .told(Change::Applied(object("a", 2, 1, Some("now"))));
    assert_eq!(fixture.take_queued(), ["a"]);
    fixture.following.told(Change::Applied(object("a", 3, 1, None)));
    assert!(fixture.take_queued().is_empty());
    fixture
        .following
        .told(Change::Applied(object("a", 4, 1, Some("later"))));
    assert_eq!(fixture.take_queued(), ["a"]);
}

#[test]
fn annotations_that_say_what_is_to_be_done_are_work() {
    use ferro_api::helm::HelmRelease;
    let token = |annotations: serde_json::Value, known: Option<&Token>| {
        let object = json!({ "metadata": { "name": "a", "generation": 1, "annotations": annotations } });
        Token::of(&serde_json::from_value::<HelmRelease>(object).unwrap(), known)
    };
    let none = token(json!({ "other": "1" }), None);
    assert_eq!(none, token(json!({ "other": "2" }), Some(&none)));
    for name in ["windows", "windowsTimeZone", "windowsDrift", "valuesFiles"] {
        let name = format!("helm.toolkit.fluxcd.io/{name}");
        let one = token(json!({ name.as_str(): "1" }), Some(&none));
        assert_ne!(one, none, "{name}");
        assert_ne!(one, token(json!({ name.as_str(): "2" }), Some(&one)), "{name}");
        assert_eq!(token(json!({}), Some(&one)), none, "{name} is taken back");
    }
}

#[tokio::test(start_paused = true)]
async fn queue_is_measured() {
    let (triggers, _queued) = Triggers::<Kustomization>::new();
    let depth = Gauge::default();
    triggers.depth.set(depth.clone()).unwrap();
    let key = |name: &str| ObjectRef::new(name).within("ns");
    triggers.enqueue(key("a"));
    triggers.enqueue(key("a"));
    triggers.enqueue(key("b"));
    assert_eq!(depth.get(), 2, "an object waits once");
    tokio::time::advance(Duration::from_secs(3)).await;
    assert_eq!(triggers.taken(&key("a")), Duration::from_secs(3));
    assert_eq!(triggers.taken(&key("a")), Duration::ZERO);
    assert_eq!(depth.get(), 1);
}
