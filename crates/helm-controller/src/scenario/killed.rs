//! What the next process makes of a release that the one before left in the middle of something (`spec/helm.md` C.1, C.5, F.11).

use super::*;
use crate::storage::Storage;
use ferro_helm::record::Status;

const MAP: (&str, &str) = (
    "podinfo/templates/map.yaml",
    "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: app\ndata:\n  chart: {{ .Chart.Version | quote }}\n",
);
const BROKEN: (&str, &str) = (
    "podinfo/templates/broken.yaml",
    "apiVersion: v1\nkind: Unknown\nmetadata:\n  name: x\n",
);

/// Leaves the newest record, or a new one after it, as a process does that is killed while the record has this status.
async fn leave(scenario: &Scenario, status: Status, is_new: bool) {
    let storage = Storage::new(scenario.server.client(), "ns", "app");
    let mut record = scenario.records().pop().unwrap();
    record.set_status(status, "left");
    if is_new {
        record.version += 1;
        storage.create(&record).await.unwrap();
    } else {
        storage.update(&record).await.unwrap();
    }
}

fn unlocked(version: u32, status: &str) -> String {
    format!(
        "PendingRelease: Unlocked Helm release ns/app.v{version} with chart podinfo@1.0.0 in {status} state"
    )
}

#[tokio::test]
async fn install_that_was_cut_off_is_unlocked_and_upgraded() {
    let mut scenario = Scenario::new(&[]);
    scenario.publish("1.0.0", &[MAP]);
    scenario.run(&release(&json!({}))).await;
    scenario.events();
    leave(&scenario, Status::PendingInstall, false).await;
    // The status was never written, or written without the revision.
    let (object, outcome) = scenario.run(&release(&json!({}))).await;
    assert_eq!(outcome, Outcome::Done);
    assert_eq!(scenario.statuses(), ["v1 superseded", "v2 deployed"]);
    let events = scenario.events();
    assert_eq!(events[0], unlocked(1, "pending-install"));
    assert!(events[1].starts_with("UpgradeSucceeded: "), "{events:?}");
    assert_eq!(object.status.unwrap().install_failures, 0);
}

#[tokio::test]
async fn rollback_that_was_cut_off_is_unlocked_and_done_again() {
    let mut scenario = Scenario::new(&[]);
    scenario.publish("1.0.0", &[MAP]);
    let spec = json!({ "upgrade": { "remediation": { "retries": 1 } } });
    let (mut object, _) = scenario.run(&release(&spec)).await;
    scenario.publish("2.0.0", &[MAP, BROKEN]);
    // What the process before had written: the upgrade has failed, and that was counted.
    object.spec.upgrade = None;
    let (mut object, _) = scenario.run(&object).await;
    object.spec.upgrade = serde_json::from_value(spec["upgrade"].clone()).unwrap();
    assert_eq!(scenario.statuses(), ["v1 deployed", "v2 failed"]);
    scenario.events();
    leave(&scenario, Status::PendingRollback, true).await;
    let (object, outcome) = scenario.run(&object).await;
    assert!(matches!(outcome, Outcome::Backoff { .. }), "{outcome:?}");
    assert!(
        scenario.events()[0].ends_with("in pending-rollback state"),
        "the revision is unlocked first"
    );
    assert_eq!(
        scenario.statuses(),
        ["v1 superseded", "v2 failed", "v3 failed", "v4 deployed"]
    );
    assert_eq!(ready(&object).1, "RollbackSucceeded");
    assert_eq!(object.status.as_ref().unwrap().upgrade_failures, 1);
    let (object, outcome) = scenario.run(&object).await;
    assert!(matches!(outcome, Outcome::Stalled { .. }), "{outcome:?}");
    assert_eq!(object.status.as_ref().unwrap().upgrade_failures, 2);
    assert_eq!(scenario.statuses().last().unwrap(), "v6 deployed");
}

#[tokio::test]
async fn uninstall_that_was_cut_off_is_unlocked_and_done_again() {
    // One that was to undo an install that has failed.
    let mut scenario = Scenario::new(&[]);
    scenario.publish("1.0.0", &[MAP, BROKEN]);
    let (mut object, _) = scenario.run(&release(&json!({}))).await;
    assert_eq!(scenario.statuses(), ["v1 failed"]);
    object.spec.install = serde_json::from_value(json!({ "remediation": { "retries": 1 } })).unwrap();
    scenario.events();
    leave(&scenario, Status::Uninstalling, false).await;
    let (object, outcome) = scenario.run(&object).await;
    assert!(matches!(outcome, Outcome::Backoff { .. }), "{outcome:?}");
    assert_eq!(scenario.events()[0], unlocked(1, "uninstalling"));
    assert_eq!(scenario.statuses(), [""; 0]);
    assert_eq!(told(&object, condition::REMEDIATED).1, "UninstallSucceeded");
    assert_eq!(object.status.as_ref().unwrap().install_failures, 1);
    let (object, outcome) = scenario.run(&object).await;
    assert!(matches!(outcome, Outcome::Stalled { .. }), "{outcome:?}");
    assert_eq!(object.status.as_ref().unwrap().install_failures, 2);

    // One that somebody has begun who is gone.
    let mut scenario = Scenario::new(&[]);
    scenario.publish("1.0.0", &[MAP]);
    let (object, _) = scenario.run(&release(&json!({}))).await;
    leave(&scenario, Status::Uninstalling, false).await;
    let (object, outcome) = scenario.run(&object).await;
    assert_eq!(outcome, Outcome::Done);
    assert_eq!(scenario.statuses(), ["v1 superseded", "v2 deployed"]);

    // One of a HelmRelease that goes.
    leave(&scenario, Status::Uninstalling, false).await;
    scenario.finalize(&object).await.unwrap();
    assert_eq!(scenario.statuses(), [""; 0]);
}

#[tokio::test]
async fn release_that_was_cut_off_before_its_tests_ended_is_tested_again() {
    let mut scenario = Scenario::new(&[]);
    let job = "apiVersion: batch/v1\nkind: Job\nmetadata:\n  name: t\n  annotations: {helm.sh/hook: test}\n";
    scenario.publish("1.0.0", &[MAP, ("podinfo/templates/t.yaml", job)]);
    scenario.server.end_job("t", "Complete");
    let spec = json!({ "test": { "enable": true } });
    let (mut object, _) = scenario.run(&release(&spec)).await;
    // What is written before the tests begin.
    object.status.as_mut().unwrap().history[0].test_hooks = None;
    scenario.events();
    let (object, outcome) = scenario.run(&object).await;
    assert_eq!(outcome, Outcome::Done);
    assert_eq!(ready(&object).1, "TestSucceeded");
    assert_eq!(scenario.statuses(), ["v1 deployed"]);
    let events = scenario.events();
    assert_eq!(events.len(), 1, "{events:?}");
}

#[tokio::test]
async fn unlock_that_fails_is_told_and_tried_again() {
    let mut scenario = Scenario::new(&[]);
    scenario.publish("1.0.0", &[MAP]);
    let (object, _) = scenario.run(&release(&json!({}))).await;
    leave(&scenario, Status::PendingUpgrade, true).await;
    scenario.events();
    let record = "/api/v1/namespaces/ns/secrets/sh.helm.release.v1.app.v2";
    scenario.server.api.fail_next("PUT", record, 500);
    let (object, outcome) = scenario.run(&object).await;
    assert!(matches!(outcome, Outcome::Backoff { .. }), "{outcome:?}");
    let expected = "Unlock of Helm release ns/app.v2 with chart podinfo@1.0.0 in pending-upgrade state failed: update: failed to update: made to fail";
    assert_eq!(
        told(&object, condition::RELEASED),
        ("False".into(), "PendingRelease".into(), expected.into())
    );
    assert_eq!(scenario.events(), [format!("PendingRelease: {expected}")]);
    let (object, outcome) = scenario.run(&object).await;
    assert_eq!(outcome, Outcome::Done);
    assert_eq!(ready(&object).1, "UpgradeSucceeded");
    assert_eq!(scenario.statuses(), ["v1 superseded", "v2 failed", "v3 deployed"]);
}

/// Has a client be the last writer of a revision, so many minutes ago.
fn written_by(scenario: &Scenario, revision: u32, manager: &str, minutes: i64) {
    let secrets = "/api/v1/namespaces/ns/secrets";
    let name = format!("sh.helm.release.v1.app.v{revision}");
    let is_it = |secret: &Value| secret["metadata"]["name"] == *name;
    let mut secret = scenario.server.list(secrets).into_iter().find(is_it).unwrap();
    let at = jiff::Timestamp::now() - jiff::SignedDuration::from_mins(minutes);
    secret["metadata"]["managedFields"] = json!([
        { "manager": manager, "operation": "Update", "time": at },
        { "manager": "another", "operation": "Update", "time": "2026-01-01T00:00:00Z" }
    ]);
    scenario.server.put(&format!("{secrets}/{name}"), secret);
}

#[tokio::test]
async fn revision_that_another_client_has_begun_is_left_alone_for_the_timeout() {
    let mut scenario = Scenario::new(&[]);
    scenario.publish("1.0.0", &[MAP]);
    let (object, _) = scenario.run(&release(&json!({ "timeout": "10m" }))).await;
    leave(&scenario, Status::PendingUpgrade, true).await;
    scenario.events();
    written_by(&scenario, 2, "helm", 3);
    let before = ready(&object);
    let (object, outcome) = scenario.run(&object).await;
    assert_eq!(outcome, Outcome::Wait(Duration::from_secs(30)));
    assert_eq!(scenario.statuses(), ["v1 deployed", "v2 pending-upgrade"]);
    assert_eq!(ready(&object), before);
    let reconciling = object.condition(condition::RECONCILING).unwrap();
    assert_eq!(reconciling.reason, "LockedByOther");
    let begin = "Revision 2 is pending-upgrade by helm, which wrote last at ";
    assert!(reconciling.message.starts_with(begin), "{}", reconciling.message);
    // It is told once.
    let (object, _) = scenario.run(&object).await;
    assert_eq!(scenario.events().len(), 1);

    // It has had its time.
    written_by(&scenario, 2, "helm", 11);
    let (object, outcome) = scenario.run(&object).await;
    assert_eq!(outcome, Outcome::Done);
    assert_eq!(scenario.statuses(), ["v1 superseded", "v2 failed", "v3 deployed"]);
    assert!(object.condition(condition::RECONCILING).is_none());

    // What this controller has begun in an earlier life is not waited for.
    leave(&scenario, Status::PendingUpgrade, false).await;
    written_by(&scenario, 3, "helm-controller", 0);
    let (_, outcome) = scenario.run(&object).await;
    assert_eq!(outcome, Outcome::Done);
    assert_eq!(scenario.statuses().last().unwrap(), "v4 deployed");
}

#[tokio::test]
async fn release_that_is_waited_for_when_the_process_stops_goes_on_in_the_next() {
    for event in ["pre-install", "post-install"] {
        let mut scenario = Scenario::new(&[]);
        let job = hook(event);
        scenario.publish("1.0.0", &[MAP, ("podinfo/templates/hook.yaml", &job)]);
        let before = release(&json!({}));
        let stopping = async {
            let job = "/apis/batch/v1/namespaces/ns/jobs/hook";
            while scenario.server.api.get(job).is_none() {
                tokio::task::yield_now().await;
            }
            scenario.reconciler.stop.cancel();
        };
        let ((_, outcome), ()) = tokio::join!(scenario.run(&before), stopping);
        assert_eq!(outcome, Outcome::Stopped, "{event}");
        assert_eq!(scenario.statuses(), ["v1 failed"], "{event}");

        // Of a pass that is stopped nothing gets into the status.
        scenario.reconciler.stop = CancellationToken::new();
        scenario.forget_cluster();
        scenario.server.end_job("hook", "Complete");
        let (object, outcome) = scenario.run(&before).await;
        assert_eq!(outcome, Outcome::Done, "{event}: {:?}", ready(&object));
        assert_eq!(ready(&object).1, "UpgradeSucceeded");
        assert_eq!(object.status.unwrap().install_failures, 0);
        assert_eq!(scenario.statuses().last().unwrap(), "v2 deployed");
    }
}
