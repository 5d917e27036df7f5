//! What the fields of a HelmRelease do (`spec/helm.md` A.3).

use super::*;

const MAP: (&str, &str) = (
    "podinfo/templates/map.yaml",
    "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: app\ndata:\n  chart: {{ .Chart.Version | quote }}\n  k: {{ .Values.k | quote }}\n",
);
const VALUES: (&str, &str) = ("podinfo/values.yaml", "k: default\n");
const OTHER: (&str, &str) = (
    "podinfo/templates/other.yaml",
    "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: other\n",
);
const APP: &str = "/api/v1/namespaces/ns/configmaps/app";
const OTHER_PATH: &str = "/api/v1/namespaces/ns/configmaps/other";

#[tokio::test]
async fn target_and_storage_namespaces_are_those_of_the_spec() {
    let mut scenario = Scenario::new(&[]);
    scenario.publish("1.0.0", &[VALUES, MAP]);
    let spec = |creates: bool| json!({ "targetNamespace": "prod", "storageNamespace": "store", "install": { "createNamespace": creates } });
    let (object, outcome) = run(&scenario, &spec(true)).await;
    assert_eq!(outcome, Outcome::Done, "{:?}", ready(&object));
    let map = "/api/v1/namespaces/prod/configmaps/app";
    assert!(scenario.server.api.get(map).is_some());
    let namespace = scenario.server.api.get("/api/v1/namespaces/prod").unwrap();
    assert_eq!(namespace["metadata"]["labels"]["name"], "prod");
    let records = scenario.records_in("/api/v1/namespaces/store/secrets");
    assert_eq!((records[0].name.as_str(), records.len()), ("prod-app", 1));
    assert_eq!(records[0].namespace, "prod");
    let status = object.status.clone().unwrap();
    assert_eq!(status.storage_namespace.as_deref(), Some("store"));
    scenario.finalize(&object).await.unwrap();
    assert_eq!(scenario.server.api.get(map), None);
    // A namespace outlives its release.
    assert!(scenario.server.api.get("/api/v1/namespaces/prod").is_some());

    let mut scenario = Scenario::new(&[]);
    scenario.publish("1.0.0", &[VALUES, MAP]);
    run(&scenario, &spec(false)).await;
    assert!(scenario.server.api.get("/api/v1/namespaces/prod").is_none());
}

#[tokio::test]
async fn hooks_are_not_run_where_they_are_disabled() {
    let all = "pre-install, post-install, pre-upgrade, post-upgrade, pre-rollback, pre-delete, post-delete";
    let mut scenario = Scenario::new(&[]);
    scenario.publish(
        "1.0.0",
        &[VALUES, MAP, ("podinfo/templates/hook.yaml", &hook(all))],
    );
    let off = json!({ "disableHooks": true });
    let spec = json!({ "install": off, "upgrade": { "disableHooks": true, "remediation": { "retries": 1 } },
        "rollback": off, "uninstall": off, "test": { "enable": false } });
    let (object, outcome) = run(&scenario, &spec).await;
    assert_eq!(outcome, Outcome::Done, "{:?}", ready(&object));
    let broken = (
        "podinfo/templates/broken.yaml",
        "apiVersion: v1\nkind: Unknown\nmetadata:\n  name: x\n",
    );
    scenario.publish(
        "2.0.0",
        &[VALUES, MAP, ("podinfo/templates/hook.yaml", &hook(all)), broken],
    );
    let (object, _) = scenario.run(&object).await;
    assert_eq!(ready(&object).1, "RollbackSucceeded");
    scenario.finalize(&object).await.unwrap();
    let requests = scenario.server.api.take_requests();
    assert!(
        requests.iter().all(|seen| !seen.path.contains("/jobs")),
        "{requests:?}"
    );
}

#[tokio::test]
async fn history_is_kept_and_its_name_used_again_where_asked_for() {
    let mut scenario = Scenario::new(&[]);
    scenario.publish("1.0.0", &[VALUES, MAP]);
    let (object, _) = run(&scenario, &json!({ "uninstall": { "keepHistory": true } })).await;
    scenario.finalize(&object).await.unwrap();
    assert_eq!(scenario.statuses(), ["v1 uninstalled"]);
    assert_eq!(scenario.server.api.get(APP), None);
    let (object, outcome) = run(&scenario, &json!({})).await;
    assert!(matches!(outcome, Outcome::Backoff { .. }), "{outcome:?}");
    assert!(
        ready(&object)
            .2
            .ends_with("release name check failed: cannot reuse a name that is still in use")
    );
    let (object, outcome) = run(&scenario, &json!({ "install": { "replace": true } })).await;
    assert_eq!(outcome, Outcome::Done, "{:?}", ready(&object));
    assert_eq!(scenario.statuses(), ["v1 superseded", "v2 deployed"]);
    assert_eq!(ready(&object).1, "InstallSucceeded");
}

#[tokio::test]
async fn objects_are_deleted_with_the_propagation_of_the_spec() {
    for (spec, expected) in [
        (json!({}), "Background"),
        (json!({ "deletionPropagation": "foreground" }), "Foreground"),
        (json!({ "deletionPropagation": "orphan" }), "Orphan"),
    ] {
        let mut scenario = Scenario::new(&[]);
        scenario.publish("1.0.0", &[VALUES, MAP]);
        let (object, _) = run(&scenario, &json!({ "uninstall": spec })).await;
        scenario.server.api.take_requests();
        scenario.finalize(&object).await.unwrap();
        let requests = scenario.server.api.take_requests();
        let deleted = requests
            .iter()
            .find(|seen| seen.method == "DELETE" && seen.path == APP)
            .unwrap();
        assert_eq!(deleted.body.as_ref().unwrap()["propagationPolicy"], expected);
    }
}

#[tokio::test]
async fn objects_of_others_are_taken_unless_that_is_disabled() {
    let foreign = |name: &str| json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": name, "namespace": "ns" } });
    let refusal = |action: &str, name: &str| {
        format!(
            "unable to continue with {action}: ConfigMap \"{name}\" in namespace \"ns\" exists and cannot be imported into the current release: invalid ownership metadata"
        )
    };
    let off = json!({ "disableTakeOwnership": true });
    let mut scenario = Scenario::new(&[]);
    scenario.publish("1.0.0", &[VALUES, MAP]);
    scenario.server.api.put(APP, foreign("app"));
    let (object, _) = run(&scenario, &json!({ "install": off })).await;
    assert!(
        ready(&object).2.contains(&refusal("install", "app")),
        "{:?}",
        ready(&object)
    );
    assert_eq!(scenario.statuses(), [""; 0]);
    let (object, outcome) = run(&scenario, &json!({ "upgrade": off })).await;
    assert_eq!(outcome, Outcome::Done, "{:?}", ready(&object));
    scenario.server.api.put(OTHER_PATH, foreign("other"));
    scenario.publish("2.0.0", &[VALUES, MAP, OTHER]);
    let (object, _) = scenario.run(&object).await;
    assert!(
        ready(&object).2.contains(&refusal("update", "other")),
        "{:?}",
        ready(&object)
    );
    assert_eq!(scenario.statuses(), ["v1 deployed"]);
    let (object, outcome) = scenario.run(&with(&object, &json!({}))).await;
    assert_eq!(outcome, Outcome::Done, "{:?}", ready(&object));
}

#[tokio::test]
async fn values_are_checked_by_the_schema_unless_that_is_disabled() {
    let schema = (
        "podinfo/values.schema.json",
        r#"{"properties": {"k": {"type": "integer"}}}"#,
    );
    let mut scenario = Scenario::new(&[]);
    scenario.publish("1.0.0", &[VALUES, MAP, schema]);
    let (object, _) = run(&scenario, &json!({})).await;
    assert!(
        ready(&object)
            .2
            .contains("values don't meet the specifications of the schema"),
        "{:?}",
        ready(&object)
    );
    let off = json!({ "disableSchemaValidation": true });
    let (object, outcome) = run(&scenario, &json!({ "install": off })).await;
    assert_eq!(outcome, Outcome::Done, "{:?}", ready(&object));
    let values = json!({ "k": "two" });
    let (refused, _) = scenario.run(&with(&object, &json!({ "values": values }))).await;
    assert_eq!(ready(&refused).1, "UpgradeFailed");
    let (_, outcome) = scenario
        .run(&with(&object, &json!({ "values": values, "upgrade": off })))
        .await;
    assert_eq!(outcome, Outcome::Done);
}

#[tokio::test]
async fn chart_of_another_name_replaces_the_release_or_upgrades_it() {
    for (strategy, statuses) in [
        (json!({}), vec!["v1 deployed"]),
        (
            json!({ "chartNameChangeStrategy": "Reinstall" }),
            vec!["v1 deployed"],
        ),
        (
            json!({ "chartNameChangeStrategy": "InPlaceUpdate" }),
            vec!["v1 superseded", "v2 deployed"],
        ),
    ] {
        let mut scenario = Scenario::new(&[]);
        scenario.publish("1.0.0", &[VALUES, MAP]);
        let (mut object, _) = run(&scenario, &json!({ "upgrade": strategy })).await;
        scenario.publish_as("renamed", "1.0.0", &[VALUES, MAP]);
        let mut outcome = Outcome::Stopped;
        for _ in 0..2 {
            (object, outcome) = scenario.run(&object).await;
        }
        assert_eq!(outcome, Outcome::Done, "{:?}", ready(&object));
        assert_eq!(scenario.statuses(), statuses, "{strategy}");
        assert_eq!(
            scenario.records().last().unwrap().chart.metadata().name,
            "renamed"
        );
    }
}

#[tokio::test]
async fn custom_readiness_counts_for_objects_and_hooks() {
    let exprs = json!([{ "apiVersion": "v1", "kind": "ConfigMap", "current": "data.k == 'good'",
        "inProgress": "data.k == 'soon'", "failed": "data.k == 'bad'" }]);
    let hook = (
        "podinfo/templates/hook.yaml",
        "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: hook\n  annotations: {helm.sh/hook: pre-install}\ndata:\n  k: {{ .Values.hook }}\n",
    );
    for (object, made, error) in [
        ("good", "good", None),
        (
            "bad",
            "good",
            Some("failed early due to stalled resources: [ConfigMap/ns/app status: 'Failed'"),
        ),
        (
            "soon",
            "good",
            Some("timeout waiting for: [ConfigMap/ns/app status: 'InProgress'"),
        ),
        (
            "good",
            "bad",
            Some(
                "failed pre-install: failed early due to stalled resources: [ConfigMap/ns/hook status: 'Failed']",
            ),
        ),
    ] {
        let mut scenario = Scenario::new(&[]);
        scenario.publish("1.0.0", &[VALUES, MAP, hook]);
        let values = json!({ "k": object, "hook": made });
        let (object, _) = run(
            &scenario,
            &json!({ "timeout": "2s", "healthCheckExprs": exprs, "values": values }),
        )
        .await;
        let (_, reason, message) = ready(&object);
        match error {
            None => assert_eq!(reason, "InstallSucceeded", "{message}"),
            Some(error) => assert!(message.contains(error), "{message}"),
        }
    }
}

#[tokio::test]
async fn hook_of_a_client_side_release_is_created_and_its_failure_told_as_helm_3_does() {
    let mut scenario = Scenario::new(&[]);
    let made = (
        "podinfo/templates/made.yaml",
        "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: made\n  annotations: {helm.sh/hook: pre-install}\n",
    );
    scenario.publish("1.0.0", &[VALUES, MAP, made]);
    let (object, outcome) = run(&scenario, &json!({ "install": { "serverSideApply": false } })).await;
    assert_eq!(outcome, Outcome::Done, "{:?}", ready(&object));
    let requests = scenario.server.api.take_requests();
    let writes: Vec<&str> = requests
        .iter()
        .filter(|seen| {
            seen.body
                .as_ref()
                .is_some_and(|body| body["metadata"]["name"] == "made")
        })
        .map(|seen| seen.method.as_str())
        .collect();
    assert_eq!(writes, ["POST"]);

    let mut scenario = Scenario::new(&[]);
    scenario.publish(
        "1.0.0",
        &[VALUES, MAP, ("podinfo/templates/hook.yaml", &hook("pre-install"))],
    );
    scenario.server.end_job("hook", "Failed");
    let (object, _) = run(&scenario, &json!({ "waitStrategy": { "name": "legacy" } })).await;
    assert!(
        ready(&object)
            .2
            .ends_with("failed pre-install: job hook failed: BackoffLimitExceeded"),
        "{:?}",
        ready(&object)
    );
}

#[tokio::test]
async fn rollback_is_made_as_the_spec_says() {
    let broken = (
        "podinfo/templates/broken.yaml",
        "apiVersion: v1\nkind: Unknown\nmetadata:\n  name: x\n",
    );
    let rolled_back = |rollback: Value| async move {
        let mut scenario = Scenario::new(&[]);
        scenario.publish("1.0.0", &[VALUES, MAP, OTHER]);
        let spec = json!({ "rollback": rollback, "upgrade": { "remediation": { "retries": 1 } } });
        let (object, _) = run(&scenario, &spec).await;
        scenario.publish("2.0.0", &[VALUES, MAP, broken]);
        scenario.server.api.take_requests();
        let (object, _) = scenario.run(&object).await;
        (scenario, object)
    };
    for (rollback, method) in [
        (json!({}), "ssa"),
        (json!({ "recreate": true }), "ssa"),
        (json!({ "serverSideApply": "disabled" }), "csa"),
        (json!({ "serverSideApply": "enabled", "force": true }), "ssa"),
        (json!({ "serverSideApply": "disabled", "force": true }), "csa"),
    ] {
        let (scenario, object) = rolled_back(rollback.clone()).await;
        assert_eq!(
            ready(&object).1,
            "RollbackSucceeded",
            "{rollback}: {:?}",
            ready(&object)
        );
        assert_eq!(
            scenario.records().last().unwrap().apply_method,
            method,
            "{rollback}"
        );
        // Objects are replaced only where the server does not merge them.
        let requests = scenario.server.api.take_requests();
        let replaced = requests
            .iter()
            .any(|seen| seen.method == "PUT" && seen.path == APP);
        assert_eq!(
            replaced,
            method == "csa" && rollback["force"] == true,
            "{rollback}"
        );
    }
}

#[tokio::test]
async fn what_a_failed_rollback_created_is_cleaned_up_where_asked_for() {
    for cleans_up in [false, true] {
        let mut scenario = Scenario::new(&[]);
        scenario.publish("1.0.0", &[VALUES, MAP, OTHER]);
        let spec = json!({ "timeout": "2s", "rollback": { "cleanupOnFail": cleans_up } });
        let (object, _) = run(&scenario, &spec).await;
        // The upgrade removes an object, changes the other, and then fails.
        let hook = hook("post-upgrade");
        scenario.publish("2.0.0", &[VALUES, MAP, ("podinfo/templates/hook.yaml", &hook)]);
        scenario.server.end_job("hook", "Failed");
        let (mut object, _) = scenario.run(&object).await;
        assert!(scenario.server.api.get(OTHER_PATH).is_none());
        // Another process rolls back, as far as it is let.
        scenario.forget_cluster();
        object.spec.upgrade = serde_json::from_value(json!({ "remediation": { "retries": 1 } })).unwrap();
        scenario.server.refuse_write(APP);
        let (object, _) = scenario.run(&object).await;
        assert_eq!(ready(&object).1, "RollbackFailed", "{:?}", ready(&object));
        assert_eq!(scenario.server.api.get(OTHER_PATH).is_none(), cleans_up);
    }
}

#[tokio::test]
async fn values_come_from_keys_to_paths() {
    let mut scenario = Scenario::new(&[]);
    let map = (
        "podinfo/templates/map.yaml",
        "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: app\ndata:\n{{ toYaml .Values.data | indent 2 }}\n",
    );
    scenario.publish("1.0.0", &[map]);
    let values = json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "v", "namespace": "ns" },
        "data": { "whole": "data: {a: one}\n", "part": "two", "plain": "{x,y}" } });
    scenario
        .server
        .api
        .put("/api/v1/namespaces/ns/configmaps/v", values);
    let from = |key: &str, path: &str, literal: bool| json!({ "kind": "ConfigMap", "name": "v", "valuesKey": key, "targetPath": path, "literal": literal });
    let whole = json!({ "kind": "ConfigMap", "name": "v", "valuesKey": "whole" });
    let spec = json!({ "valuesFrom": [whole, from("part", "data.b", false), from("plain", "data.c", true)] });
    let (object, outcome) = run(&scenario, &spec).await;
    assert_eq!(outcome, Outcome::Done, "{:?}", ready(&object));
    let live = scenario.server.api.get(APP).unwrap();
    assert_eq!(live["data"], json!({ "a": "one", "b": "two", "c": "{x,y}" }));
}

#[tokio::test]
async fn release_is_made_with_the_rights_of_its_account() {
    let mut scenario = Scenario::new(&[]);
    scenario.publish("1.0.0", &[VALUES, MAP]);
    let account = json!({ "apiVersion": "v1", "kind": "ServiceAccount", "metadata": { "name": "tenant", "namespace": "ns" } });
    scenario
        .server
        .api
        .put("/api/v1/namespaces/ns/serviceaccounts/tenant", account);
    let (object, outcome) = run(&scenario, &json!({ "serviceAccountName": "tenant" })).await;
    assert_eq!(outcome, Outcome::Done, "{:?}", ready(&object));
    scenario.finalize(&object).await.unwrap();
    assert_eq!(scenario.statuses(), [""; 0]);
    assert_eq!(scenario.server.users(), ["system:serviceaccount:ns:tenant"]);
}

#[tokio::test]
async fn release_whose_account_is_gone_is_left_when_its_object_goes() {
    let mut scenario = Scenario::new(&[]);
    scenario.publish("1.0.0", &[VALUES, MAP]);
    let (object, _) = run(&scenario, &json!({ "serviceAccountName": "gone" })).await;
    assert_eq!(ready(&object).1, "InstallSucceeded", "{:?}", ready(&object));
    let (object, outcome) = scenario.let_go(&object).await;
    outcome.unwrap();
    assert_eq!(scenario.statuses(), ["v1 deployed"]);
    assert!(scenario.server.api.get(APP).is_some());
    // Whether it is gone must be known.
    let path = "/api/v1/namespaces/ns/serviceaccounts/gone";
    scenario.server.api.fail_next("GET", path, 500);
    let (object, outcome) = scenario.let_go(&object).await;
    let error = "failed to confirm ServiceAccount 'gone' can be used to uninstall release: made to fail";
    assert_eq!(outcome.unwrap_err(), error);
    assert_eq!(
        ready(&object),
        ("False".into(), "UninstallFailed".into(), error.into())
    );
    assert_eq!(scenario.statuses(), ["v1 deployed"]);
}

#[tokio::test]
async fn dependency_is_judged_by_the_expression_of_the_spec() {
    let mut scenario = Scenario::new(&[]);
    scenario.publish("1.0.0", &[VALUES, MAP]);
    let dependency = json!({ "apiVersion": "helm.toolkit.fluxcd.io/v2", "kind": "HelmRelease",
        "metadata": { "name": "db", "namespace": "ns" }, "spec": { "interval": "1h" } });
    let path = "/apis/helm.toolkit.fluxcd.io/v2/namespaces/ns/helmreleases/db";
    scenario.server.api.put(path, dependency);
    let depends = |expression: &str| json!({ "dependsOn": [{ "name": "db", "readyExpr": expression }] });
    let (object, _) = run(&scenario, &depends("dep.metadata.name == self.metadata.name")).await;
    assert_eq!(
        ready(&object),
        (
            "False".into(),
            "DependencyNotReady".into(),
            "dependency 'ns/db' is not ready according to readyExpr eval".into()
        )
    );
    let (object, outcome) = run(&scenario, &depends("dep.metadata.name ==")).await;
    assert!(matches!(outcome, Outcome::Stalled { .. }), "{outcome:?}");
    assert_eq!(told(&object, condition::STALLED).1, "InvalidCELExpression");
    let (_, outcome) = run(&scenario, &depends("dep.spec.interval == '1h0m0s'")).await;
    assert_eq!(outcome, Outcome::Done);
}

#[tokio::test]
async fn status_has_the_digests_of_what_was_released() {
    let mut scenario = Scenario::new(&[]);
    scenario.publish("1.0.0", &[VALUES, MAP]);
    let spec = json!({ "commonMetadata": { "labels": { "a": "b" } },
        "postRenderers": [{ "kustomize": { "images": [{ "name": "x" }] } }] });
    let (object, _) = run(&scenario, &spec).await;
    let status = object.status.clone().unwrap();
    let empty = Algorithm::Sha256.digest(b"").to_string();
    assert_eq!(
        status.last_attempted_config_digest.as_deref(),
        Some(empty.as_str())
    );
    assert_eq!(status.history[0].config_digest, empty);
    assert!(
        status
            .observed_common_metadata_digest
            .unwrap()
            .starts_with("sha256:")
    );
    assert!(
        status
            .observed_post_renderers_digest
            .unwrap()
            .starts_with("sha256:")
    );
    assert!(status.last_attempted_release_action_duration.is_some());

    // What older versions wrote is read, and removed.
    let mut old = object.clone();
    let status = old.status.as_mut().unwrap();
    status.last_attempted_config_digest = None;
    status.last_attempted_values_checksum = Some(Algorithm::Sha1.digest(b"").hex().to_owned());
    (status.last_release_revision, status.failures) = (3, 7);
    let (object, _) = scenario.run(&old).await;
    let status = object.status.unwrap();
    assert_eq!(
        (
            status.last_attempted_values_checksum,
            status.last_release_revision
        ),
        (None, 0)
    );
    assert_eq!(status.failures, 7, "the values are the same");
}
