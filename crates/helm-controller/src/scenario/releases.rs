//! The life of a release.

use super::*;
use ferro_helm::record::Status;

const MAP: (&str, &str) = (
    "podinfo/templates/map.yaml",
    "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {{ .Release.Name }}\ndata:\n  k: {{ .Values.k | quote }}\n  revision: {{ .Release.Revision | quote }}\n",
);
const VALUES: (&str, &str) = ("podinfo/values.yaml", "k: default\n");
const OTHER: (&str, &str) = (
    "podinfo/templates/other.yaml",
    "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: other\n",
);
const HOOK: (&str, &str) = (
    "podinfo/templates/hook.yaml",
    "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: hook\n  annotations: {helm.sh/hook: \"pre-install,pre-upgrade\", helm.sh/hook-delete-policy: hook-succeeded}\n",
);
const BROKEN: (&str, &str) = (
    "podinfo/templates/map.yaml",
    "apiVersion: v1\nkind: Unknown\nmetadata:\n  name: x\n",
);
const CONFIG_MAPS: &str = "/api/v1/namespaces/ns/configmaps";

#[tokio::test]
async fn release_is_installed_left_alone_upgraded_and_uninstalled() {
    let mut scenario = Scenario::new(&[]);
    scenario.publish("1.0.0", &[VALUES, MAP, OTHER, HOOK]);
    let (object, outcome) = scenario.run(&release(&json!({ "values": { "k": "one" } }))).await;
    assert_eq!(outcome, Outcome::Done, "{:?}", ready(&object));
    let succeeded = "Helm install succeeded for release ns/app.v1 with chart podinfo@1.0.0".to_owned();
    assert_eq!(
        ready(&object),
        ("True".into(), "InstallSucceeded".into(), succeeded.clone())
    );
    assert_eq!(scenario.events(), [format!("InstallSucceeded: {succeeded}")]);
    let status = object.status.clone().unwrap();
    assert_eq!((status.history.len(), status.observed_generation), (1, Some(1)));
    assert_eq!(status.history[0].action.as_deref(), Some("install"));
    assert_eq!(status.history[0].status, "deployed");
    assert_eq!(status.last_attempted_revision.as_deref(), Some("1.0.0"));
    let ids: Vec<_> = status
        .inventory
        .unwrap()
        .entries
        .into_iter()
        .map(|entry| entry.id)
        .collect();
    assert_eq!(ids, ["ns_app__ConfigMap", "ns_other__ConfigMap"]);
    let map = scenario.server.api.get(&format!("{CONFIG_MAPS}/app")).unwrap();
    assert_eq!(map["data"], json!({ "k": "one", "revision": "1" }));
    assert_eq!(map["metadata"]["labels"]["app.kubernetes.io/managed-by"], "Helm");
    assert_eq!(map["metadata"]["labels"]["helm.toolkit.fluxcd.io/name"], "app");
    assert_eq!(map["metadata"]["annotations"]["meta.helm.sh/release-name"], "app");
    // The hook was made, and went.
    assert_eq!(scenario.server.api.get(&format!("{CONFIG_MAPS}/hook")), None);
    let record = &scenario.records()[0];
    assert_eq!(
        (record.info.status.clone(), record.info.description.as_str()),
        (Status::Deployed, "Install complete")
    );
    assert_eq!(record.hooks[0].last_run.phase, "Succeeded");
    assert!(record.manifest.contains("# Source: podinfo/templates/map.yaml\n"));

    // Nothing has changed: nothing is written, and the status is the same to the byte.
    scenario.server.api.take_requests();
    let (again, outcome) = scenario.run(&object).await;
    assert_eq!(outcome, Outcome::Done);
    assert_eq!(again, object);
    let written: Vec<_> = scenario
        .server
        .api
        .take_requests()
        .into_iter()
        .filter(|seen| seen.method != "GET")
        .collect();
    assert_eq!(written, []);

    // Another chart without one of the objects.
    scenario.publish("1.1.0", &[VALUES, MAP]);
    let (object, outcome) = scenario.run(&object).await;
    assert_eq!(outcome, Outcome::Done, "{:?}", ready(&object));
    assert_eq!(ready(&object).1, "UpgradeSucceeded");
    assert_eq!(scenario.statuses(), ["v1 superseded", "v2 deployed"]);
    assert_eq!(scenario.server.api.get(&format!("{CONFIG_MAPS}/other")), None);
    let history = &object.status.as_ref().unwrap().history;
    let seen: Vec<_> = history
        .iter()
        .map(|known| (known.version, known.status.as_str()))
        .collect();
    assert_eq!(seen, [(2, "deployed"), (1, "superseded")]);
    assert_eq!(scenario.events().len(), 1);

    // Other values.
    let mut changed = object.clone();
    changed.spec.values = Some(json!({ "k": "two" }));
    changed.metadata.generation = Some(2);
    let (object, _) = scenario.run(&changed).await;
    let map = scenario.server.api.get(&format!("{CONFIG_MAPS}/app")).unwrap();
    assert_eq!(map["data"], json!({ "k": "two", "revision": "3" }));

    scenario.finalize(&object).await.unwrap();
    assert_eq!(scenario.server.api.get(&format!("{CONFIG_MAPS}/app")), None);
    assert_eq!(scenario.statuses(), [""; 0]);
    assert!(
        scenario
            .events()
            .last()
            .unwrap()
            .contains("Helm uninstall succeeded for release ns/app.v3")
    );
}

#[tokio::test]
async fn suspended_release_is_left_when_its_object_goes() {
    let mut scenario = Scenario::new(&[]);
    scenario.publish("1.0.0", &[VALUES, MAP]);
    let (mut object, _) = scenario.run(&release(&json!({}))).await;
    object.spec.suspend = true;
    scenario.finalize(&object).await.unwrap();
    assert_eq!(scenario.statuses(), ["v1 deployed"]);
}

#[tokio::test]
async fn release_of_another_process_is_adopted_or_upgraded() {
    let mut scenario = Scenario::new(&[]);
    scenario.publish("1.0.0", &[VALUES, MAP]);
    let (object, _) = scenario.run(&release(&json!({}))).await;
    // A process that has never seen it, with the status that the one before wrote: nothing is done.
    let (again, _) = scenario.run(&object).await;
    assert_eq!(again, object);
    assert_eq!(scenario.statuses(), ["v1 deployed"]);
    // Without that status it is upgraded.
    let (object, outcome) = scenario.run(&release(&json!({}))).await;
    assert_eq!(outcome, Outcome::Done);
    assert_eq!(scenario.statuses(), ["v1 superseded", "v2 deployed"]);
    assert_eq!(ready(&object).1, "UpgradeSucceeded");
}

#[tokio::test]
async fn pending_release_is_unlocked_and_upgraded() {
    let mut scenario = Scenario::new(&[]);
    scenario.publish("1.0.0", &[VALUES, MAP]);
    let (object, _) = scenario.run(&release(&json!({}))).await;
    let mut record = scenario.records().remove(0);
    record.version = 2;
    record.set_status(Status::PendingUpgrade, "Preparing upgrade");
    let storage = crate::storage::Storage::new(scenario.server.client(), "ns", "app");
    storage.create(&record).await.unwrap();
    scenario.events();
    let (_, outcome) = scenario.run(&object).await;
    assert_eq!(outcome, Outcome::Done);
    assert_eq!(scenario.statuses(), ["v1 superseded", "v2 failed", "v3 deployed"]);
    assert_eq!(
        scenario.events()[0],
        "PendingRelease: Unlocked Helm release ns/app.v2 with chart podinfo@1.0.0 in pending-upgrade state"
    );
    assert_eq!(
        scenario.records()[1].info.description,
        "Release unlocked from stale 'pending-upgrade' state"
    );
}

#[tokio::test]
async fn failed_upgrade_is_rolled_back_until_retries_are_exhausted() {
    let mut scenario = Scenario::new(&[]);
    scenario.publish("1.0.0", &[VALUES, MAP]);
    let spec = json!({ "upgrade": { "remediation": { "retries": 1 } } });
    let (object, _) = scenario.run(&release(&spec)).await;
    scenario.publish("2.0.0", &[BROKEN]);
    let (object, outcome) = scenario.run(&object).await;
    assert!(matches!(outcome, Outcome::Backoff { .. }), "{outcome:?}");
    assert_eq!(scenario.statuses(), ["v1 superseded", "v2 failed", "v3 deployed"]);
    assert_eq!(ready(&object).1, "RollbackSucceeded");
    assert_eq!(told(&object, condition::RELEASED).1, "UpgradeFailed");
    assert_eq!(object.status.as_ref().unwrap().upgrade_failures, 1);
    let (object, outcome) = scenario.run(&object).await;
    assert!(matches!(outcome, Outcome::Stalled { .. }), "{outcome:?}");
    assert_eq!(
        told(&object, condition::STALLED),
        (
            "True".into(),
            "RetriesExceeded".into(),
            "Failed to upgrade after 2 attempt(s)".into()
        )
    );
    // The chart is mended: the failures are forgotten.
    scenario.publish("2.0.1", &[VALUES, MAP]);
    let (object, outcome) = scenario.run(&object).await;
    assert_eq!(outcome, Outcome::Done);
    assert_eq!(ready(&object).0, "True");
    assert_eq!(object.status.as_ref().unwrap().upgrade_failures, 0);
}

#[tokio::test]
async fn failed_install_without_retries_is_left_and_with_them_uninstalled() {
    let mut scenario = Scenario::new(&[]);
    scenario.publish("1.0.0", &[BROKEN]);
    let (object, outcome) = scenario.run(&release(&json!({}))).await;
    assert!(matches!(outcome, Outcome::Stalled { .. }), "{outcome:?}");
    assert_eq!(scenario.statuses(), ["v1 failed"]);
    assert_eq!(ready(&object).1, "InstallFailed");
    assert_eq!(
        told(&object, condition::STALLED).2,
        "Failed to install after 1 attempt(s)"
    );
    let mut scenario = Scenario::new(&[]);
    scenario.publish("1.0.0", &[BROKEN]);
    let spec = json!({ "install": { "remediation": { "retries": 1 } } });
    let (object, outcome) = scenario.run(&release(&spec)).await;
    assert!(matches!(outcome, Outcome::Backoff { .. }), "{outcome:?}");
    assert_eq!(scenario.statuses(), [""; 0]);
    assert_eq!(told(&object, condition::REMEDIATED).1, "UninstallSucceeded");
    let (object, _) = scenario.run(&object).await;
    assert_eq!(scenario.statuses(), ["v1 failed"]);
    assert_eq!(
        told(&object, condition::STALLED).2,
        "Failed to install after 2 attempt(s)"
    );
}

#[tokio::test]
async fn release_with_another_name_replaces_the_old_one() {
    let mut scenario = Scenario::new(&[]);
    scenario.publish("1.0.0", &[VALUES, MAP]);
    let (mut object, _) = scenario.run(&release(&json!({}))).await;
    object.spec.release_name = Some("renamed".into());
    object.metadata.generation = Some(2);
    let (object, outcome) = scenario.run(&object).await;
    assert!(matches!(outcome, Outcome::Backoff { .. }), "{outcome:?}");
    assert_eq!(scenario.server.api.get(&format!("{CONFIG_MAPS}/app")), None);
    let (_, outcome) = scenario.run(&object).await;
    assert_eq!(outcome, Outcome::Done);
    assert!(
        scenario
            .server
            .api
            .get(&format!("{CONFIG_MAPS}/renamed"))
            .is_some()
    );
    assert_eq!(scenario.records()[0].name, "renamed");
}

#[tokio::test]
async fn history_keeps_as_many_revisions_as_asked_for() {
    let mut scenario = Scenario::new(&[]);
    scenario.publish("1.0.0", &[VALUES, MAP]);
    let (mut object, _) = scenario.run(&release(&json!({ "maxHistory": 2 }))).await;
    for generation in 2..5 {
        object.spec.values = Some(json!({ "k": generation.to_string() }));
        object.metadata.generation = Some(generation);
        object = scenario.run(&object).await.0;
    }
    assert_eq!(scenario.statuses(), ["v3 superseded", "v4 deployed"]);
}

#[tokio::test]
async fn source_that_is_not_ready_is_told() {
    let scenario = Scenario::new(&[]);
    let (object, outcome) = scenario.run(&release(&json!({}))).await;
    assert!(matches!(outcome, Outcome::Backoff { .. }));
    assert_eq!(
        ready(&object).2,
        "could not get Source object: helmcharts.source.toolkit.fluxcd.io \"podinfo\" not found"
    );
    let locked = Scenario::new(&["--no-cross-namespace-refs=true"]);
    let spec = json!({ "chartRef": { "kind": "HelmChart", "name": "podinfo", "namespace": "other" } });
    let (object, _) = locked.run(&release(&spec)).await;
    assert_eq!(
        (ready(&object).1, ready(&object).2),
        (
            "AccessDenied".into(),
            "cross-namespace references are not allowed: cannot access HelmChart other/podinfo".into()
        )
    );
}

#[tokio::test]
async fn values_from_secrets_are_merged_in_order() {
    let mut scenario = Scenario::new(&[]);
    scenario.publish("1.0.0", &[VALUES, MAP]);
    let secret = json!({ "apiVersion": "v1", "kind": "Secret", "metadata": { "name": "v", "namespace": "ns" },
        "data": { "values.yaml": "azogZnJvbS1zZWNyZXQ=" } });
    scenario.server.api.put(&format!("{RECORDS}/v"), secret);
    let spec = json!({ "valuesFrom": [{ "kind": "Secret", "name": "v" }, { "kind": "ConfigMap", "name": "none", "optional": true }] });
    let (object, outcome) = scenario.run(&release(&spec)).await;
    assert_eq!(outcome, Outcome::Done, "{:?}", ready(&object));
    let map = scenario.server.api.get(&format!("{CONFIG_MAPS}/app")).unwrap();
    assert_eq!(map["data"]["k"], "from-secret");
    let (object, _) = scenario
        .run(&release(
            &json!({ "valuesFrom": [{ "kind": "ConfigMap", "name": "none" }] }),
        ))
        .await;
    assert_eq!(
        ready(&object),
        (
            "False".into(),
            "ValuesError".into(),
            "could not resolve ConfigMap chart values reference 'ns/none' with key 'values.yaml': configmaps \"none\" not found".into()
        )
    );
}

#[tokio::test]
async fn record_that_cannot_be_written_is_told_in_helms_words() {
    let mut scenario = Scenario::new(&[]);
    scenario.publish("1.0.0", &[VALUES, MAP]);
    scenario.server.api.fail_next("POST", RECORDS, 500);
    let (object, outcome) = scenario.run(&release(&json!({}))).await;
    assert!(matches!(outcome, Outcome::Backoff { .. }), "{outcome:?}");
    let message = "Helm install failed for release ns/app with chart podinfo@1.0.0: create: failed to create: made to fail";
    assert_eq!(
        ready(&object),
        ("False".into(), "InstallFailed".into(), message.into())
    );
    assert_eq!(scenario.statuses(), [""; 0]);
    let (object, outcome) = scenario.run(&object).await;
    assert_eq!(outcome, Outcome::Done, "{:?}", ready(&object));
    assert_eq!(scenario.statuses(), ["v1 deployed"]);
}
