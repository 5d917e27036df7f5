//! Scenarios of a pass, each with the exact requests that it may make.

use super::*;
use ferro_api::condition;
use ferro_api::kustomize::Kustomization;
use ferro_testkit::api::FakeApi;
use kube::runtime::{reflector, watcher};
use serde_json::json;

use crate::conditions;
use crate::events::Event;
use crate::reconcile::Cause;

const PATH: &str = "/apis/kustomize.toolkit.fluxcd.io/v1/namespaces/ns/kustomizations/apps";

/// A reconciler that does what the test says.
#[derive(Default)]
struct Scripted {
    outcome: Option<Outcome>,
    panics: bool,
    lasts: Duration,
    waits_for_interrupt: bool,
    cannot_finalize: bool,
    flushes: bool,
    panics_after: bool,
}

impl Reconciler for Scripted {
    type Object = Kustomization;

    async fn reconcile(&self, pass: &mut Pass<Kustomization>) -> Outcome {
        pass.progress("working");
        if self.flushes {
            pass.flush().await.unwrap();
        }
        tokio::time::sleep(self.lasts).await;
        assert!(!self.panics, "made to panic");
        if self.waits_for_interrupt {
            return match pass.interrupt.fired().await {
                Cause::NewWork(_) => Outcome::Superseded,
                Cause::Shutdown => Outcome::Stopped,
            };
        }
        conditions::mark_true(
            &mut pass.object,
            condition::READY,
            "ReconciliationSucceeded",
            "done",
        );
        self.outcome.clone().unwrap_or(Outcome::Done)
    }

    fn finish(&self, object: &mut Kustomization, outcome: &Outcome) {
        assert!(!self.panics_after, "made to panic");
        crate::reconcile::finish(object, outcome);
    }

    async fn finalize(&self, pass: &mut Pass<Kustomization>) -> Result<(), String> {
        if self.flushes {
            pass.flush().await?;
        }
        if self.waits_for_interrupt {
            pass.interrupt.fired().await;
            return Err("called off".to_owned());
        }
        if self.cannot_finalize {
            conditions::mark_false(&mut pass.object, condition::READY, "Held", "still in use");
            Err("still in use".to_owned())
        } else {
            Ok(())
        }
    }
}

struct Fixture {
    api: FakeApi,
    env: Arc<Env<Scripted>>,
    watched: Mutex<reflector::store::Writer<Kustomization>>,
    _events: mpsc::Receiver<Event>,
}

fn fixture(reconciler: Scripted) -> Fixture {
    let api = FakeApi::default();
    let (recorder, events) = Recorder::for_test();
    let (store, watched) = reflector::store();
    let env = Env {
        reconciler,
        writer: Writer::new(api.client(), "gotk-test"),
        recorder,
        metrics: Metrics::default(),
        backoff: Backoff::new(Duration::from_millis(750), Duration::from_secs(900)),
        jitter: 0,
        written: Mutex::default(),
        triggers: Triggers::new().0,
        store,
        name: "kustomization".to_owned(),
    };
    Fixture {
        api,
        env: Arc::new(env),
        watched: Mutex::new(watched),
        _events: events,
    }
}

impl Fixture {
    /// Puts the object into the server, with `metadata` and `spec` added, and returns it as a watch would.
    fn object(&self, metadata: serde_json::Value, spec: serde_json::Value) -> Arc<Kustomization> {
        let mut object = json!({
            "apiVersion": "kustomize.toolkit.fluxcd.io/v1", "kind": "Kustomization",
            "metadata": { "name": "apps", "namespace": "ns", "uid": "u", "generation": 1 },
            "spec": { "interval": "10m", "prune": true, "sourceRef": { "kind": "GitRepository", "name": "g" } }
        });
        for (field, value) in [("metadata", metadata), ("spec", spec)] {
            let Some(added) = value.as_object() else { continue };
            for (key, value) in added {
                object[field][key] = value.clone();
            }
        }
        let object: Kustomization = serde_json::from_value(self.api.put(PATH, object)).unwrap();
        self.watch_shows(&object);
        Arc::new(object)
    }

    fn watch_shows(&self, object: &Kustomization) {
        lock(&self.watched).apply_watcher_event(&watcher::Event::Apply(object.clone()));
    }

    fn stored(&self) -> Kustomization {
        serde_json::from_value(self.api.get(PATH).unwrap()).unwrap()
    }

    async fn pass(&self, object: Arc<Kustomization>) -> Action {
        Arc::clone(&self.env).pass(object).await
    }
}

fn finalized() -> serde_json::Value {
    json!({ "finalizers": ["finalizers.fluxcd.io"] })
}

#[tokio::test]
async fn new_object_costs_a_finalizer_and_a_status() {
    let fixture = fixture(Scripted::default());
    let action = fixture.pass(fixture.object(json!({}), json!({}))).await;
    assert_eq!(action, Action::requeue(Duration::from_secs(600)));
    assert_eq!(
        fixture.api.take_request_lines(),
        [format!("PATCH {PATH}"), format!("PATCH {PATH}/status")]
    );
    let stored = fixture.stored();
    assert!(stored.is_ready() && stored.condition(condition::RECONCILING).is_none());
    assert_eq!(stored.observed_generation(), Some(1));
}

#[tokio::test]
async fn pass_without_news_writes_nothing() {
    let fixture = fixture(Scripted::default());
    fixture.pass(fixture.object(finalized(), json!({}))).await;
    fixture.api.take_requests();
    fixture.pass(Arc::new(fixture.stored())).await;
    assert!(fixture.api.take_requests().is_empty());
}

#[tokio::test]
async fn pass_starts_from_what_was_written_even_if_the_watch_lags() {
    let fixture = fixture(Scripted::default());
    let old = fixture.object(json!({}), json!({}));
    fixture.pass(Arc::clone(&old)).await;
    fixture.api.take_requests();
    fixture.pass(Arc::clone(&old)).await;
    assert!(
        fixture.api.take_requests().is_empty(),
        "the stale object was taken for the truth"
    );
    let current = fixture.stored();
    fixture.env.caught_up(&ObjectRef::from_obj(&current), &current);
    assert!(lock(&fixture.env.written).is_empty());
}

#[tokio::test(start_paused = true)]
async fn long_pass_shows_its_progress() {
    let fixture = fixture(Scripted {
        lasts: Duration::from_secs(3),
        ..Scripted::default()
    });
    fixture.pass(fixture.object(finalized(), json!({}))).await;
    let requests = fixture.api.take_requests();
    let reconciling =
        |body: &serde_json::Value| body["status"]["conditions"].to_string().contains("\"working\"");
    assert_eq!(requests.len(), 2);
    assert!(
        reconciling(requests[0].body.as_ref().unwrap()) && !reconciling(requests[1].body.as_ref().unwrap())
    );
}

#[tokio::test]
async fn flushed_draft_is_written_before_the_pass_goes_on() {
    let fixture = fixture(Scripted {
        flushes: true,
        panics: true,
        ..Scripted::default()
    });
    fixture.pass(fixture.object(finalized(), json!({}))).await;
    let first = fixture.api.take_requests().remove(0);
    assert!(
        first.body.unwrap()["status"]["conditions"]
            .to_string()
            .contains("\"working\"")
    );
}

#[tokio::test]
async fn failure_backs_off_and_marks_the_retry() {
    let outcome = Outcome::Backoff {
        error: "no".to_owned(),
    };
    let fixture = fixture(Scripted {
        outcome: Some(outcome),
        ..Scripted::default()
    });
    let object = fixture.object(finalized(), json!({}));
    assert_eq!(
        fixture.pass(Arc::clone(&object)).await,
        Action::requeue(Duration::from_millis(750))
    );
    assert_eq!(
        fixture.pass(object).await,
        Action::requeue(Duration::from_millis(1500))
    );
    assert_eq!(
        fixture.stored().condition(condition::RECONCILING).unwrap().reason,
        "ProgressingWithRetry"
    );
}

#[tokio::test]
async fn stalled_object_waits_for_a_change() {
    let outcome = Outcome::Stalled {
        error: "no".to_owned(),
    };
    let fixture = fixture(Scripted {
        outcome: Some(outcome),
        ..Scripted::default()
    });
    assert_eq!(
        fixture.pass(fixture.object(finalized(), json!({}))).await,
        Action::await_change()
    );
    // Whether it counts as observed is the reconciler's to say.
    assert_eq!(fixture.stored().observed_generation(), None);
}

#[tokio::test]
async fn interval_of_zero_is_no_reason_to_come_again() {
    let fixture = fixture(Scripted::default());
    let object = fixture.object(finalized(), json!({ "interval": "0s" }));
    assert_eq!(fixture.pass(object).await, Action::await_change());
    for outcome in [
        Outcome::Wait(Duration::ZERO),
        Outcome::Retry {
            error: "no".to_owned(),
            after: Duration::ZERO,
        },
    ] {
        let ended = Ended {
            outcome,
            interval: None,
            gone: false,
        };
        let key = ObjectRef::new("apps").within("ns");
        assert_eq!(fixture.env.next(&key, ended).0, Action::await_change());
    }
}

#[tokio::test]
async fn panic_around_the_reconciler_leaves_nothing_behind() {
    let fixture = fixture(Scripted {
        panics_after: true,
        ..Scripted::default()
    });
    let object = fixture.object(finalized(), json!({}));
    assert_eq!(
        fixture.pass(object).await,
        Action::requeue(Duration::from_millis(750))
    );
    assert!(lock(&fixture.env.triggers.running).is_empty());
    let text = scraped(&fixture);
    assert!(
        text.contains(r#"controller_runtime_active_workers{controller="kustomization"} 0"#),
        "{text}"
    );
}

#[tokio::test]
async fn deleted_object_leaves_no_series_and_no_copy() {
    let fixture = fixture(Scripted::default());
    let metadata =
        json!({ "finalizers": ["finalizers.fluxcd.io"], "deletionTimestamp": "2026-01-01T00:00:00Z" });
    let object = fixture.object(metadata, json!({}));
    // The watch tells of the deletion before the pass ends.
    fixture.env.forget(&ObjectRef::from_obj(object.as_ref()));
    fixture.pass(object).await;
    let text = scraped(&fixture);
    assert!(!text.contains(r#"name="apps""#), "{text}");
    assert!(lock(&fixture.env.written).is_empty());
}

#[tokio::test]
async fn copy_is_kept_only_while_the_watch_lags() {
    let fixture = fixture(Scripted::default());
    let written = fixture.object(finalized(), json!({}));
    fixture.env.remember(Kustomization::clone(&written));
    assert!(lock(&fixture.env.written).is_empty(), "the watch was first");
}

fn scraped(fixture: &Fixture) -> String {
    let (mut registry, mut text) = (prometheus_client::registry::Registry::default(), String::new());
    fixture.env.metrics.register(&mut registry);
    prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
    text
}

#[tokio::test]
async fn panic_fails_the_object_only_for_now() {
    let fixture = fixture(Scripted {
        panics: true,
        ..Scripted::default()
    });
    let action = fixture.pass(fixture.object(finalized(), json!({}))).await;
    assert_eq!(action, Action::requeue(Duration::from_millis(750)));
}

#[tokio::test]
async fn suspended_object_is_left_alone_but_its_request_is_answered() {
    let fixture = fixture(Scripted {
        panics: true,
        ..Scripted::default()
    });
    let metadata = json!({
        "finalizers": ["finalizers.fluxcd.io"], "annotations": { "reconcile.fluxcd.io/requestedAt": "now" }
    });
    let action = fixture
        .pass(fixture.object(metadata, json!({ "suspend": true })))
        .await;
    assert_eq!(action, Action::await_change());
    assert_eq!(fixture.stored().last_handled_reconcile_at(), Some("now"));
}

#[tokio::test]
async fn deletion_finalizes_before_it_lets_go() {
    let metadata =
        json!({ "finalizers": ["finalizers.fluxcd.io"], "deletionTimestamp": "2026-01-01T00:00:00Z" });
    let stuck = fixture(Scripted {
        cannot_finalize: true,
        ..Scripted::default()
    });
    let action = stuck.pass(stuck.object(metadata.clone(), json!({}))).await;
    assert_eq!(action, Action::requeue(Duration::from_millis(750)));
    // What holds it is told, once.
    assert_eq!(stuck.api.take_request_lines(), [format!("PATCH {PATH}/status")]);
    assert_eq!(
        stuck.stored().condition(condition::READY).unwrap().message,
        "still in use"
    );
    stuck.pass(Arc::new(stuck.stored())).await;
    assert!(stuck.api.take_requests().is_empty());

    let fixture = fixture(Scripted {
        flushes: true,
        ..Scripted::default()
    });
    assert_eq!(
        fixture.pass(fixture.object(metadata, json!({}))).await,
        Action::await_change()
    );
    assert_eq!(fixture.api.take_request_lines(), [format!("PATCH {PATH}")]);
    assert!(fixture.api.get(PATH).is_none());
}

/// What a finalizer leaves undone because the process ends is no failure, and newer work before that changes nothing.
#[tokio::test]
async fn deletion_is_left_to_the_next_process() {
    let metadata =
        json!({ "finalizers": ["finalizers.fluxcd.io"], "deletionTimestamp": "2026-01-01T00:00:00Z" });
    let fixture = fixture(Scripted {
        waits_for_interrupt: true,
        ..Scripted::default()
    });
    let object = fixture.object(metadata, json!({}));
    let key = ObjectRef::from_obj(object.as_ref());
    let (env, running) = (
        Arc::clone(&fixture.env),
        tokio::spawn(Arc::clone(&fixture.env).pass(object)),
    );
    while !lock(&env.triggers.running).contains_key(&key) {
        tokio::task::yield_now().await;
    }
    let interrupt = lock(&env.triggers.running)[&key].clone();
    interrupt.fire(Cause::NewWork("GitRepository/ns/g".to_owned()));
    interrupt.fire(Cause::Shutdown);
    interrupt.fire(Cause::NewWork("GitRepository/ns/g".to_owned()));
    assert_eq!(running.await.unwrap(), Action::await_change());
    assert!(fixture.api.take_requests().is_empty() && fixture.api.get(PATH).is_some());
}

#[tokio::test]
async fn newer_work_interrupts_a_pass() {
    let fixture = fixture(Scripted {
        waits_for_interrupt: true,
        ..Scripted::default()
    });
    let object = fixture.object(finalized(), json!({}));
    let key = ObjectRef::from_obj(object.as_ref());
    let (env, running) = (
        Arc::clone(&fixture.env),
        tokio::spawn(Arc::clone(&fixture.env).pass(object)),
    );
    while !lock(&env.triggers.running).contains_key(&key) {
        tokio::task::yield_now().await;
    }
    env.triggers.supersede(key, "GitRepository/ns/g".to_owned());
    assert_eq!(running.await.unwrap(), Action::requeue(Duration::ZERO));
}

#[tokio::test]
async fn conflicting_write_is_redone_and_keeps_conditions_of_others() {
    let fixture = fixture(Scripted::default());
    let object = fixture.object(finalized(), json!({}));
    let mut changed = serde_json::to_value(object.as_ref()).unwrap();
    changed["status"] = json!({ "conditions": [{
        "type": "Foreign", "status": "True", "reason": "r", "message": "m", "lastTransitionTime": "2026-01-01T00:00:00Z"
    }] });
    fixture.api.put(PATH, changed);
    fixture.pass(object).await;
    let stored = fixture.stored();
    assert!(stored.is_ready() && stored.is_condition_true("Foreign"));
}

#[tokio::test]
async fn conflicting_write_leaves_conditions_that_others_changed() {
    let fixture = fixture(Scripted::default());
    let condition = |status: &str| {
        json!({ "conditions": [{
            "type": "Foreign", "status": status, "reason": "r", "message": "m", "lastTransitionTime": "2026-01-01T00:00:00Z"
        }] })
    };
    let mut stored = serde_json::to_value(fixture.object(finalized(), json!({})).as_ref()).unwrap();
    stored["status"] = condition("True");
    let seen: Kustomization = serde_json::from_value(fixture.api.put(PATH, stored.clone())).unwrap();
    stored["status"] = condition("False");
    fixture.api.put(PATH, stored);
    fixture.pass(Arc::new(seen)).await;
    let stored = fixture.stored();
    assert!(stored.is_ready() && stored.condition("Foreign").is_some());
    assert!(
        !stored.is_condition_true("Foreign"),
        "the other's change was reverted"
    );
}

#[tokio::test]
async fn status_of_a_deleted_object_is_not_written_to_its_successor() {
    let fixture = fixture(Scripted::default());
    let object = fixture.object(finalized(), json!({}));
    fixture.object(json!({ "uid": "another" }), json!({}));
    assert_eq!(fixture.pass(object).await, Action::await_change());
    assert!(fixture.stored().status.is_none());
}

#[tokio::test]
async fn object_that_vanished_is_no_error() {
    let fixture = fixture(Scripted::default());
    let object = fixture.object(finalized(), json!({}));
    fixture.api.fail_next("PATCH", "/status", 404);
    assert_eq!(fixture.pass(object).await, Action::await_change());
}
