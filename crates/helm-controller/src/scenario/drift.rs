//! Drift: told, undone, or left alone.

use super::*;

const MAP: (&str, &str) = (
    "podinfo/templates/map.yaml",
    "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: app\ndata:\n  k: one\n  free: mine\n",
);
const OTHER: (&str, &str) = (
    "podinfo/templates/other.yaml",
    "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: other\ndata: {k: one}\n",
);
const APP: &str = "/api/v1/namespaces/ns/configmaps/app";
const OTHER_PATH: &str = "/api/v1/namespaces/ns/configmaps/other";

/// A released chart, as a process finds it that has just begun.
async fn released(drift: &Value) -> (Scenario, HelmRelease) {
    let mut scenario = Scenario::new(&[]);
    scenario.publish("1.0.0", &[MAP, OTHER]);
    let (object, outcome) = scenario.run(&release(&json!({ "driftDetection": drift }))).await;
    assert_eq!(outcome, Outcome::Done, "{:?}", ready(&object));
    scenario.events();
    scenario.forget_cluster();
    (scenario, object)
}

/// Changes a field of an object as somebody else would.
fn edit(scenario: &Scenario, path: &str, pointer: &str, value: &Value) {
    let mut object = scenario.server.api.get(path).unwrap();
    *object.pointer_mut(pointer).unwrap() = value.clone();
    scenario.server.api.put(path, object);
}

fn remove(scenario: &Scenario, path: &str) {
    let mut object = scenario.server.api.get(path).unwrap();
    object["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
    scenario.server.api.put(path, object);
}

const FOUND: &str = "Cluster state of release ns/app.v1 has drifted from the desired state:\n";

#[tokio::test]
async fn drift_is_told_and_undone() {
    let (mut scenario, object) = released(&json!({ "mode": "enabled" })).await;
    edit(&scenario, APP, "/data/k", &json!("two"));
    remove(&scenario, OTHER_PATH);
    let (object, outcome) = scenario.run(&object).await;
    assert_eq!(outcome, Outcome::Done, "{:?}", ready(&object));
    assert_eq!(
        scenario.events(),
        [
            format!(
                "DriftDetected: {FOUND}ConfigMap/ns/app changed (0 additions, 1 changes, 0 removals)\nConfigMap/ns/other removed"
            ),
            "DriftCorrected: Cluster state of release ns/app.v1 has been corrected:\nConfigMap/ns/other created\nConfigMap/ns/app configured"
                .to_owned()
        ]
    );
    assert_eq!(
        told(&object, condition::DRIFTED),
        (
            "False".into(),
            "NoDriftDetected".into(),
            "No drift detected against the cluster state".into()
        )
    );
    assert_eq!(ready(&object).0, "True");
    assert_eq!(scenario.server.api.get(APP).unwrap()["data"]["k"], "one");
    assert!(scenario.server.api.get(OTHER_PATH).is_some());
    assert_eq!(scenario.statuses(), ["v1 deployed"]);

    // What is known to be as it was left costs nothing.
    scenario.server.api.take_requests();
    let (again, _) = scenario.run(&object).await;
    assert_eq!(again, object);
    let asked: Vec<String> = scenario.server.api.take_request_lines();
    assert!(asked.iter().all(|line| !line.contains("configmaps")), "{asked:?}");
}

#[tokio::test]
async fn drift_is_only_told_where_a_warning_is_asked_for() {
    let (mut scenario, object) = released(&json!({ "mode": "warn" })).await;
    edit(&scenario, APP, "/data/k", &json!("two"));
    let (object, outcome) = scenario.run(&object).await;
    assert_eq!(outcome, Outcome::Done);
    let text = format!("{FOUND}ConfigMap/ns/app changed (0 additions, 1 changes, 0 removals)");
    assert_eq!(
        told(&object, condition::DRIFTED),
        ("True".into(), "DriftDetected".into(), text)
    );
    assert_eq!(ready(&object).0, "True");
    assert_eq!(scenario.events().len(), 1);
    assert_eq!(scenario.server.api.get(APP).unwrap()["data"]["k"], "two");
}

#[tokio::test]
async fn drift_that_is_ignored_stays() {
    let rules = json!([{ "paths": ["/data/free"], "target": { "kind": "ConfigMap", "name": "a.*" } },
        { "paths": [""], "target": { "name": "other" } }]);
    let (mut scenario, object) = released(&json!({ "mode": "enabled", "ignore": rules })).await;
    edit(&scenario, APP, "/data/free", &json!("theirs"));
    remove(&scenario, OTHER_PATH);
    let (object, outcome) = scenario.run(&object).await;
    assert_eq!(outcome, Outcome::Done);
    assert_eq!(scenario.events(), [""; 0]);
    assert_eq!(scenario.server.api.get(OTHER_PATH), None);

    // With other drift, the field keeps what it has.
    scenario.forget_cluster();
    edit(&scenario, APP, "/data/k", &json!("two"));
    scenario.run(&object).await;
    let events = scenario.events();
    assert!(
        events[0].ends_with(
            "ConfigMap/ns/app changed (0 additions, 1 changes, 0 removals)\nConfigMap/ns/other excluded"
        ),
        "{events:?}"
    );
    let data = scenario.server.api.get(APP).unwrap()["data"].clone();
    assert_eq!(data, json!({ "k": "one", "free": "theirs" }));
}

#[tokio::test]
async fn object_that_says_so_in_the_cluster_is_left_alone() {
    let (mut scenario, object) = released(&json!({ "mode": "enabled" })).await;
    edit(&scenario, APP, "/data/k", &json!("two"));
    edit(
        &scenario,
        APP,
        "/metadata/annotations",
        &json!({ "helm.toolkit.fluxcd.io/driftDetection": "disabled" }),
    );
    let (object, _) = scenario.run(&object).await;
    assert_eq!(told(&object, condition::DRIFTED).1, "NoDriftDetected");
    assert_eq!(scenario.events(), [""; 0]);
}

#[tokio::test]
async fn correction_that_fails_is_told_and_tried_again() {
    let (mut scenario, object) = released(&json!({ "mode": "enabled" })).await;
    remove(&scenario, APP);
    edit(&scenario, OTHER_PATH, "/data/k", &json!("two"));
    // The dry-run of each succeeds, the write of one does not.
    scenario.server.refuse_write(APP);
    let (object, outcome) = scenario.run(&object).await;
    assert!(matches!(outcome, Outcome::Backoff { .. }), "{outcome:?}");
    assert_eq!(told(&object, condition::DRIFTED).0, "True");
    let events = scenario.events();
    assert_eq!(
        events[1],
        "DriftCorrectionFailed: Failed to partially correct cluster state of release ns/app.v1:\n\
         ConfigMap/ns/app creation failure: made to fail\n\nSuccessful corrections:\nConfigMap/ns/other configured"
    );
    scenario.run(&object).await;
    assert!(scenario.server.api.get(APP).is_some());
}
