//! What follows a failure: retries, remediation, or nothing until somebody asks (`spec/helm.md` C.2 to C.4, D.8, F.11).

use super::*;

const MAP: (&str, &str) = (
    "podinfo/templates/map.yaml",
    "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: app\ndata:\n  chart: {{ .Chart.Version | quote }}\n  k: {{ .Values.k | quote }}\n",
);
const VALUES: (&str, &str) = ("podinfo/values.yaml", "k: default\n");
const BROKEN: (&str, &str) = (
    "podinfo/templates/broken.yaml",
    "apiVersion: v1\nkind: Unknown\nmetadata:\n  name: x\n",
);

fn failures(object: &HelmRelease) -> (i64, i64, i64) {
    let status = object.status.as_ref().unwrap();
    (status.failures, status.install_failures, status.upgrade_failures)
}

fn stalled(object: &HelmRelease) -> String {
    told(object, condition::STALLED).2
}

/// A release of 1.0.0 whose upgrade to 2.0.0 is going to fail.
async fn about_to_fail(spec: &Value) -> (Scenario, HelmRelease) {
    let mut scenario = Scenario::new(&[]);
    scenario.publish("1.0.0", &[VALUES, MAP]);
    let (object, outcome) = scenario.run(&release(spec)).await;
    assert_eq!(outcome, Outcome::Done, "{:?}", ready(&object));
    scenario.publish("2.0.0", &[VALUES, MAP, BROKEN]);
    scenario.events();
    (scenario, object)
}

/// The object after somebody has asked for a reconcile with more than that.
fn asked(object: &HelmRelease, annotation: &str, token: &str) -> HelmRelease {
    let mut asked = object.clone();
    for name in ["requestedAt", annotation] {
        let key = format!("reconcile.fluxcd.io/{name}");
        let annotations = asked.metadata.annotations.get_or_insert_default();
        annotations.insert(key, token.to_owned());
    }
    asked
}

#[tokio::test]
async fn retry_on_failure_waits_and_upgrades_until_it_succeeds() {
    let strategy = json!({ "name": "RetryOnFailure", "retryInterval": "1m30s" });
    // An install that fails is not uninstalled, but upgraded.
    let mut scenario = Scenario::new(&[]);
    scenario.publish("1.0.0", &[VALUES, MAP, BROKEN]);
    let spec = json!({ "install": { "strategy": strategy }, "upgrade": { "strategy": strategy } });
    let (mut object, outcome) = scenario.run(&release(&spec)).await;
    let wait = Outcome::Wait(Duration::from_secs(90));
    assert_eq!(outcome, wait);
    assert_eq!(ready(&object).1, "InstallFailed");
    assert_eq!(
        told(&object, condition::RECONCILING),
        (
            "True".into(),
            "ProgressingWithRetry".into(),
            "retrying after 1m30s".into()
        )
    );
    assert!(object.condition(condition::STALLED).is_none());
    assert_eq!(failures(&object), (1, 1, 0));
    for attempt in 1..7 {
        let (next, outcome) = scenario.run(&object).await;
        assert_eq!(outcome, wait);
        assert_eq!(ready(&next).1, "UpgradeFailed");
        assert_eq!(failures(&next), (1 + attempt, 1, attempt));
        object = next;
    }
    assert!(object.status.as_ref().unwrap().history.len() <= 6);
    // It succeeds at last, which ends the counting.
    scenario.publish("1.0.1", &[VALUES, MAP]);
    let (object, outcome) = scenario.run(&object).await;
    assert_eq!(outcome, Outcome::Done);
    assert_eq!(ready(&object).1, "UpgradeSucceeded");
    assert_eq!(failures(&object), (0, 0, 0));
    assert!(object.condition(condition::RECONCILING).is_none());
}

#[tokio::test]
async fn upgrade_with_retries_left_is_rolled_back_and_tried_again() {
    let (mut scenario, object) =
        about_to_fail(&json!({ "upgrade": { "remediation": { "retries": 2 } } })).await;
    let (object, outcome) = scenario.run(&object).await;
    assert!(matches!(outcome, Outcome::Backoff { .. }), "{outcome:?}");
    let message = "Helm rollback to previous release ns/app.v1 with chart podinfo@1.0.0 succeeded";
    let expected = (
        "False".to_owned(),
        "RollbackSucceeded".to_owned(),
        message.to_owned(),
    );
    assert_eq!(ready(&object), expected);
    assert_eq!(
        told(&object, condition::REMEDIATED),
        ("True".into(), "RollbackSucceeded".into(), message.into())
    );
    assert_eq!(
        told(&object, condition::RECONCILING),
        ("True".into(), "ProgressingWithRetry".into(), message.into())
    );
    let events = scenario.events();
    assert!(
        events[0]
            .starts_with("UpgradeFailed: Helm upgrade failed for release ns/app with chart podinfo@2.0.0: "),
        "{events:?}"
    );
    assert_eq!(events[1], format!("RollbackSucceeded: {message}"));
    let history: Vec<_> = object.status.as_ref().unwrap().history.iter().collect();
    let seen: Vec<_> = history
        .iter()
        .map(|it| (it.version, it.status.as_str(), it.action.as_deref().unwrap()))
        .collect();
    assert_eq!(
        seen,
        [
            (3, "deployed", "rollback"),
            (2, "failed", "upgrade"),
            (1, "superseded", "install")
        ]
    );
    let (object, _) = scenario.run(&object).await;
    let (object, outcome) = scenario.run(&object).await;
    assert!(matches!(outcome, Outcome::Stalled { .. }), "{outcome:?}");
    assert_eq!(stalled(&object), "Failed to upgrade after 3 attempt(s)");
    assert_eq!(failures(&object), (3, 0, 3));
    assert_eq!(scenario.statuses().last().unwrap(), "v7 deployed");

    // Asked to be released as it was before, it is there already.
    scenario.publish("1.0.0", &[VALUES, MAP]);
    let (object, outcome) = scenario.run(&object).await;
    assert_eq!(outcome, Outcome::Done);
    let message = "Helm upgrade succeeded for release ns/app.v7 with chart podinfo@1.0.0".to_owned();
    assert_eq!(
        ready(&object),
        ("True".into(), "UpgradeSucceeded".into(), message)
    );
    assert!(object.condition(condition::REMEDIATED).is_none());
    assert!(object.condition(condition::STALLED).is_none());
    assert_eq!(scenario.statuses().last().unwrap(), "v7 deployed");
}

#[tokio::test]
async fn last_failure_is_remediated_as_the_spec_says() {
    for (action, remediation, reason, statuses) in [
        (
            "upgrade",
            json!({ "retries": 0 }),
            "UpgradeFailed",
            vec!["v1 deployed", "v2 failed"],
        ),
        (
            "upgrade",
            json!({ "remediateLastFailure": true }),
            "RollbackSucceeded",
            vec!["v1 superseded", "v2 failed", "v3 deployed"],
        ),
        (
            "upgrade",
            json!({ "retries": 1, "remediateLastFailure": false }),
            "UpgradeFailed",
            vec!["v1 superseded", "v2 failed", "v3 deployed", "v4 failed"],
        ),
        (
            "upgrade",
            json!({ "remediateLastFailure": true, "strategy": "uninstall" }),
            "UpgradeFailed",
            vec![],
        ),
        (
            "install",
            json!({ "remediateLastFailure": true }),
            "InstallFailed",
            vec![],
        ),
        (
            "install",
            json!({ "retries": 0 }),
            "InstallFailed",
            vec!["v1 failed"],
        ),
    ] {
        let spec = json!({ action: { "remediation": remediation } });
        let (scenario, mut object) = match action {
            "upgrade" => about_to_fail(&spec).await,
            _ => {
                let mut scenario = Scenario::new(&[]);
                scenario.publish("2.0.0", &[VALUES, MAP, BROKEN]);
                (scenario, release(&spec))
            }
        };
        let retries = remediation["retries"].as_i64().unwrap_or(0);
        for attempt in 0..=retries {
            let (next, outcome) = scenario.run(&object).await;
            object = next;
            let is_last = attempt == retries;
            let reinstalls = remediation["strategy"] == "uninstall";
            assert_eq!(
                matches!(outcome, Outcome::Stalled { .. }),
                is_last && !reinstalls,
                "{spec}: {outcome:?}"
            );
        }
        assert_eq!(ready(&object).1, reason, "{spec}");
        assert_eq!(scenario.statuses(), statuses, "{spec}");
    }
}

#[tokio::test]
async fn upgrade_that_is_uninstalled_is_installed_again() {
    let remediation = json!({ "retries": 1, "strategy": "uninstall" });
    let (mut scenario, object) = about_to_fail(&json!({ "upgrade": { "remediation": remediation } })).await;
    let (object, outcome) = scenario.run(&object).await;
    assert!(matches!(outcome, Outcome::Backoff { .. }), "{outcome:?}");
    let message = "Helm uninstall remediation for release ns/app.v2 with chart podinfo@2.0.0 succeeded";
    assert_eq!(
        told(&object, condition::REMEDIATED),
        ("True".into(), "UninstallSucceeded".into(), message.into())
    );
    assert_eq!(scenario.events()[1], format!("UninstallSucceeded: {message}"));
    assert_eq!(scenario.statuses(), [""; 0]);
    scenario.publish("2.0.1", &[VALUES, MAP]);
    let (object, outcome) = scenario.run(&object).await;
    assert_eq!(outcome, Outcome::Done);
    assert_eq!(ready(&object).1, "InstallSucceeded");
    assert_eq!(scenario.statuses(), ["v1 deployed"]);
}

#[tokio::test]
async fn install_is_retried_without_end_where_retries_are_negative() {
    let mut scenario = Scenario::new(&[]);
    scenario.publish("1.0.0", &[VALUES, MAP, BROKEN]);
    let mut object = release(&json!({ "install": { "remediation": { "retries": -1 } } }));
    for attempt in 1..6 {
        let (next, outcome) = scenario.run(&object).await;
        assert!(matches!(outcome, Outcome::Backoff { .. }), "{outcome:?}");
        assert_eq!(failures(&next).1, attempt);
        assert!(next.condition(condition::STALLED).is_none());
        object = next;
    }
}

#[tokio::test]
async fn rollback_without_a_way_back_is_given_up_and_to_a_changed_record_is_an_upgrade() {
    // The revision before is gone from the storage.
    let spec = json!({ "upgrade": { "remediation": { "retries": 3 } } });
    let (scenario, mut object) = about_to_fail(&spec).await;
    object.status.as_mut().unwrap().history.clear();
    let (object, outcome) = scenario.run(&object).await;
    assert!(matches!(outcome, Outcome::Stalled { .. }), "{outcome:?}");
    assert_eq!(
        told(&object, condition::STALLED),
        (
            "True".into(),
            "MissingRollbackTarget".into(),
            "Failed to perform remediation: missing target release for rollback: cannot remediate failed release"
                .into()
        )
    );
    // Somebody has changed it: what is not known to be good is not gone back to.
    let (scenario, object) = about_to_fail(&spec).await;
    let storage = crate::storage::Storage::new(scenario.server.client(), "ns", "app");
    let mut first = scenario.records().remove(0);
    let mut failing = object.clone();
    failing.spec.test = None;
    let (failing, _) = {
        // One failure, and no remediation yet.
        failing.spec.upgrade = None;
        scenario.run(&failing).await
    };
    first.manifest.push_str("# changed\n");
    storage.update(&first).await.unwrap();
    let mut remediating = failing;
    remediating.spec.upgrade = object.spec.upgrade.clone();
    let (object, _) = scenario.run(&remediating).await;
    assert_eq!(ready(&object).1, "UpgradeFailed");
    assert_eq!(scenario.statuses().len(), 3);
}

#[tokio::test]
async fn exhausted_release_is_tried_again_when_reset_or_forced() {
    let (scenario, object) = about_to_fail(&json!({})).await;
    let (object, outcome) = scenario.run(&object).await;
    assert!(matches!(outcome, Outcome::Stalled { .. }), "{outcome:?}");
    // Nothing has changed, nothing is done.
    let (object, _) = scenario.run(&object).await;
    assert_eq!(scenario.statuses(), ["v1 deployed", "v2 failed"]);
    let (object, _) = scenario.run(&asked(&object, "forceAt", "1")).await;
    assert_eq!(scenario.statuses(), ["v1 deployed", "v2 failed", "v3 failed"]);
    assert_eq!(failures(&object).2, 2);
    let status = object.status.as_ref().unwrap();
    assert_eq!(status.last_handled_force_at.as_deref(), Some("1"));
    let (object, _) = scenario.run(&asked(&object, "resetAt", "2")).await;
    assert_eq!(scenario.statuses().last().unwrap(), "v4 failed");
    assert_eq!(failures(&object), (1, 0, 1));
    let status = object.status.as_ref().unwrap();
    assert_eq!(status.last_handled_reset_at.as_deref(), Some("2"));
}

#[tokio::test]
async fn release_in_sync_is_upgraded_once_when_forced() {
    let mut scenario = Scenario::new(&[]);
    scenario.publish("1.0.0", &[VALUES, MAP]);
    let (object, _) = scenario.run(&release(&json!({}))).await;
    let forced = asked(&object, "forceAt", "1");
    let (object, outcome) = scenario.run(&forced).await;
    assert_eq!(outcome, Outcome::Done);
    assert_eq!(scenario.statuses(), ["v1 superseded", "v2 deployed"]);
    assert_eq!(ready(&object).1, "UpgradeSucceeded");
    let (_, outcome) = scenario.run(&object).await;
    assert_eq!(outcome, Outcome::Done);
    assert_eq!(scenario.statuses(), ["v1 superseded", "v2 deployed"]);
}

#[tokio::test]
async fn failure_that_left_no_record_is_tried_again_and_not_counted() {
    let mut scenario = Scenario::new(&[]);
    let unrendered = ("podinfo/templates/x.yaml", "{{ fail \"no way\" }}");
    scenario.publish("1.0.0", &[VALUES, MAP, unrendered]);
    let (object, outcome) = scenario.run(&release(&json!({}))).await;
    assert!(matches!(outcome, Outcome::Backoff { .. }), "{outcome:?}");
    let (status, reason, message) = ready(&object);
    assert_eq!((status.as_str(), reason.as_str()), ("False", "InstallFailed"));
    assert!(message.ends_with("no way"), "{message}");
    assert_eq!(failures(&object), (1, 0, 0));
    assert_eq!(scenario.statuses(), [""; 0]);
    assert!(object.condition(condition::STALLED).is_none());
}
