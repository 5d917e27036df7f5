//! Releases that are merged on the client's side, and values that are kept.

use super::*;

const MAP: (&str, &str) = (
    "podinfo/templates/map.yaml",
    "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: app\ndata:\n{{ toYaml .Values.data | indent 2 }}\n",
);
const APP: &str = "/api/v1/namespaces/ns/configmaps/app";

fn data(scenario: &Scenario) -> Value {
    scenario.server.api.get(APP).unwrap()["data"].clone()
}

fn with(object: &HelmRelease, values: Value, spec: impl FnOnce(&mut HelmRelease)) -> HelmRelease {
    let mut changed = object.clone();
    changed.spec.values = Some(values);
    changed.metadata.generation = object.metadata.generation.map(|generation| generation + 1);
    spec(&mut changed);
    changed
}

/// The writes to the ConfigMap since the last call.
fn writes(scenario: &Scenario) -> Vec<String> {
    let seen = scenario.server.api.take_requests().into_iter();
    seen.filter(|seen| seen.method != "GET" && seen.path.contains("configmaps"))
        .map(|seen| format!("{} {}", seen.method, seen.body.unwrap_or_default()["data"]))
        .collect()
}

#[tokio::test]
async fn client_side_release_stays_so_until_asked_otherwise() {
    let mut scenario = Scenario::new(&[]);
    scenario.publish("1.0.0", &[MAP]);
    let spec =
        json!({ "install": { "serverSideApply": false }, "values": { "data": { "a": "1", "gone": "x" } } });
    let (object, outcome) = scenario.run(&release(&spec)).await;
    assert_eq!(outcome, Outcome::Done, "{:?}", ready(&object));
    assert_eq!(scenario.records()[0].apply_method, "csa");
    assert_eq!(writes(&scenario), [r#"POST {"a":"1","gone":"x"}"#]);

    // Others' fields stay, those that are no longer asked for go.
    let mut live = scenario.server.api.get(APP).unwrap();
    live["data"]["theirs"] = json!("t");
    scenario.server.api.put(APP, live);
    let changed = with(&object, json!({ "data": { "a": "2" } }), |_| {});
    let (object, outcome) = scenario.run(&changed).await;
    assert_eq!(outcome, Outcome::Done, "{:?}", ready(&object));
    assert_eq!(writes(&scenario), [r#"PATCH {"a":"2","gone":null}"#]);
    assert_eq!(data(&scenario), json!({ "a": "2", "theirs": "t" }));
    assert_eq!(scenario.records()[1].apply_method, "csa");

    // The server takes over when it is to.
    let changed = with(&object, json!({ "data": { "a": "3" } }), |release| {
        release.spec.upgrade = serde_json::from_value(json!({ "serverSideApply": "enabled" })).unwrap();
    });
    let (object, _) = scenario.run(&changed).await;
    assert_eq!(scenario.records()[2].apply_method, "ssa");
    // And stays in charge.
    let changed = with(&object, json!({ "data": { "a": "4" } }), |release| {
        release.spec.upgrade = None;
    });
    scenario.run(&changed).await;
    assert_eq!(scenario.records()[3].apply_method, "ssa");
    assert_eq!(data(&scenario)["a"], "4");
}

#[tokio::test]
async fn client_side_upgrade_that_fails_says_so_in_helms_words() {
    let mut scenario = Scenario::new(&[]);
    scenario.publish("1.0.0", &[MAP]);
    let spec = json!({ "install": { "serverSideApply": false }, "values": { "data": { "a": "1" } } });
    let (object, _) = scenario.run(&release(&spec)).await;
    scenario.server.refuse_write(APP);
    let changed = with(&object, json!({ "data": { "a": "2" } }), |_| {});
    let (object, _) = scenario.run(&changed).await;
    let message = told(&object, condition::RELEASED).2;
    assert!(
        message.ends_with("cannot patch \"app\" with kind ConfigMap: made to fail"),
        "{message}"
    );
    assert_eq!(scenario.statuses(), ["v1 deployed", "v2 failed"]);
}

#[tokio::test]
async fn values_of_the_revision_before_are_preserved() {
    let values = |text: &'static str| ("podinfo/values.yaml", text);
    let mut scenario = Scenario::new(&[]);
    scenario.publish("1.0.0", &[MAP, values("data: {default: old}\n")]);
    let spec = json!({ "upgrade": { "preserveValues": true }, "values": { "data": { "a": "1", "b": "1" } } });
    let (object, _) = scenario.run(&release(&spec)).await;
    scenario.publish("2.0.0", &[MAP, values("data: {default: new}\n")]);
    let changed = with(&object, json!({ "data": { "b": "2" } }), |_| {});
    let (object, outcome) = scenario.run(&changed).await;
    assert_eq!(outcome, Outcome::Done, "{:?}", ready(&object));
    assert_eq!(data(&scenario), json!({ "default": "old", "a": "1", "b": "2" }));
    let record = &scenario.records()[1];
    assert_eq!(json!(record.config), json!({ "data": { "a": "1", "b": "2" } }));
    assert_eq!(json!(record.chart.values().unwrap())["data"]["default"], "old");
    // What was kept makes nothing to do the next time.
    let (again, outcome) = scenario.run(&object).await;
    assert_eq!(outcome, Outcome::Done);
    assert_eq!(again, object);
    assert_eq!(scenario.statuses(), ["v1 superseded", "v2 deployed"]);
}

#[tokio::test]
async fn fields_that_a_kind_does_not_have_are_refused() {
    let mut scenario = Scenario::new(&[]);
    let hook = (
        "podinfo/templates/hook.yaml",
        "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: hook\n  annotations: {helm.sh/hook: pre-install}\n",
    );
    scenario.publish("1.0.0", &[MAP, hook]);
    let (object, _) = scenario
        .run(&release(&json!({ "values": { "data": { "a": "1" } } })))
        .await;
    assert_eq!(ready(&object).0, "True");
    let seen = scenario.server.api.take_requests();
    let applies: Vec<_> = seen.iter().filter(|seen| seen.method == "PATCH").collect();
    assert_eq!(applies.len(), 2, "{applies:?}");
    for (name, validation) in [("hook", "Strict"), ("app", "Ignore")] {
        // Those of built-in kinds are refused in any case.
        let apply = applies.iter().find(|seen| seen.path.ends_with(name)).unwrap();
        let asked = format!("fieldValidation={validation}");
        assert!(apply.query.contains(&asked), "{applies:?}");
    }
}

#[tokio::test]
async fn uninstalling_a_revision_of_somebody_else_is_told() {
    let mut scenario = Scenario::new(&[]);
    scenario.publish("1.0.0", &[MAP]);
    let (object, _) = scenario
        .run(&release(&json!({ "values": { "data": { "a": "1" } } })))
        .await;
    let mut record = scenario.records().remove(0);
    record.version = 2;
    let storage = crate::storage::Storage::new(scenario.server.client(), "ns", "app");
    storage.create(&record).await.unwrap();
    scenario.events();
    let error = scenario.finalize(&object).await.unwrap_err();
    assert_eq!(
        error,
        "release mismatch: uninstalled release ns/app.v2 != current release ns/app.v1"
    );
    assert!(scenario.events()[0].starts_with("UninstallFailed: Helm uninstall failed for release ns/app.v1"));
    // It is gone nevertheless, which is no event of ours.
    scenario.finalize(&object).await.unwrap();
    assert_eq!(scenario.events(), [""; 0]);
    assert_eq!(scenario.statuses(), [""; 0]);
}

#[tokio::test]
async fn what_a_failed_upgrade_created_is_cleaned_up() {
    let mut scenario = Scenario::new(&[]);
    scenario.publish("1.0.0", &[MAP]);
    let spec =
        json!({ "upgrade": { "cleanupOnFail": true, "timeout": "1s" }, "values": { "data": { "a": "1" } } });
    let (object, _) = scenario.run(&release(&spec)).await;
    let new = (
        "podinfo/templates/new.yaml",
        "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: new\n",
    );
    // Nobody runs it, so that it never ends.
    let hook = (
        "podinfo/templates/hook.yaml",
        "apiVersion: batch/v1\nkind: Job\nmetadata:\n  name: hook\n  annotations: {helm.sh/hook: post-upgrade}\n",
    );
    scenario.publish("1.1.0", &[MAP, new, hook]);
    let (object, _) = scenario.run(&object).await;
    assert_eq!(scenario.statuses(), ["v1 deployed", "v2 failed"]);
    let message = told(&object, condition::RELEASED).2;
    assert!(
        message
            .contains("post-upgrade hooks failed: timeout waiting for: [Job/ns/hook status: 'InProgress']"),
        "{message}"
    );
    assert_eq!(
        scenario.server.api.get("/api/v1/namespaces/ns/configmaps/new"),
        None
    );
    assert_eq!(data(&scenario)["a"], "1");
}
