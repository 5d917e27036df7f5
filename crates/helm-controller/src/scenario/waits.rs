//! How long is waited, and for what (`spec/helm.md` A.3, D.6).

use super::*;

const MAP: (&str, &str) = (
    "podinfo/templates/map.yaml",
    "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: app\ndata:\n  chart: {{ .Chart.Version | quote }}\n  k: {{ .Values.k | quote }}\n",
);
const VALUES: (&str, &str) = ("podinfo/values.yaml", "k: default\n");
/// A Job that nobody runs.
const JOB: (&str, &str) = (
    "podinfo/templates/job.yaml",
    "apiVersion: batch/v1\nkind: Job\nmetadata:\n  name: idle\nspec:\n  completions: 1\n",
);
const APP: &str = "/api/v1/namespaces/ns/configmaps/app";

#[tokio::test]
async fn action_is_over_at_its_own_timeout_or_that_of_the_spec() {
    for (spec, error) in [
        (
            json!({ "timeout": "1s" }),
            Some("timeout waiting for: [Job/ns/idle status: '"),
        ),
        (
            json!({ "timeout": "1h", "install": { "timeout": "1s" } }),
            Some("timeout waiting for: [Job/ns/idle status: '"),
        ),
        (
            json!({ "timeout": "1s", "waitStrategy": { "name": "legacy" } }),
            Some("context deadline exceeded"),
        ),
        (
            json!({ "timeout": "1h", "install": { "disableWait": true } }),
            None,
        ),
    ] {
        let mut scenario = Scenario::new(&[]);
        scenario.publish("1.0.0", &[VALUES, MAP, JOB]);
        let (object, _) = run(&scenario, &spec).await;
        let (_, reason, message) = ready(&object);
        match error {
            Some(error) => assert!(
                reason == "InstallFailed" && message.contains(error),
                "{spec}: {message}"
            ),
            None => assert_eq!(reason, "InstallSucceeded", "{spec}: {message}"),
        }
    }
}

#[tokio::test]
async fn nothing_is_waited_for_where_that_is_disabled() {
    let broken = (
        "podinfo/templates/broken.yaml",
        "apiVersion: v1\nkind: Unknown\nmetadata:\n  name: x\n",
    );
    let off = json!({ "disableWait": true });
    let mut scenario = Scenario::new(&[]);
    scenario.publish("1.0.0", &[VALUES, MAP]);
    let spec = json!({ "rollback": off, "uninstall": off, "upgrade": { "disableWait": true, "remediation": { "retries": 1 } } });
    let (object, _) = run(&scenario, &spec).await;
    scenario.publish("1.1.0", &[VALUES, MAP, JOB]);
    let (object, _) = scenario.run(&object).await;
    assert_eq!(ready(&object).1, "UpgradeSucceeded", "{:?}", ready(&object));
    scenario.publish("1.2.0", &[VALUES, MAP, broken]);
    let (object, _) = scenario.run(&object).await;
    assert_eq!(ready(&object).1, "RollbackSucceeded", "{:?}", ready(&object));
    scenario.server.api.take_requests();
    scenario.finalize(&object).await.unwrap();
    let lines = scenario.server.api.take_request_lines();
    let deleted = lines
        .iter()
        .position(|line| *line == format!("DELETE {APP}"))
        .unwrap();
    assert!(!lines[deleted..].contains(&format!("GET {APP}")), "{lines:?}");
}

#[tokio::test]
async fn jobs_that_have_begun_are_enough_where_their_end_is_not_waited_for() {
    let broken = (
        "podinfo/templates/broken.yaml",
        "apiVersion: v1\nkind: Unknown\nmetadata:\n  name: x\n",
    );
    for (off, installed, rolled_back) in [
        (true, "InstallSucceeded", "RollbackSucceeded"),
        (false, "InstallFailed", "RollbackFailed"),
    ] {
        let mut scenario = Scenario::new(&[]);
        scenario.publish("1.0.0", &[VALUES, MAP, JOB]);
        scenario.server.end_job("idle", "Started");
        let spec = json!({ "timeout": "1s", "install": { "disableWaitForJobs": off } });
        let (object, _) = run(&scenario, &spec).await;
        assert_eq!(ready(&object).1, installed, "{:?}", ready(&object));

        let mut scenario = Scenario::new(&[]);
        scenario.publish("1.0.0", &[VALUES, MAP, JOB]);
        scenario.server.end_job("idle", "Started");
        let spec = json!({ "timeout": "1s", "install": { "disableWait": true }, "rollback": { "disableWaitForJobs": off },
            "upgrade": { "remediation": { "retries": 1 } } });
        let (object, _) = run(&scenario, &spec).await;
        scenario.publish("2.0.0", &[VALUES, MAP, broken]);
        let (object, _) = scenario.run(&object).await;
        assert_eq!(ready(&object).1, rolled_back, "{:?}", ready(&object));
    }
}

#[tokio::test]
async fn every_action_has_a_timeout_of_its_own() {
    let stalls = |event: &str, spec: Value| {
        let event = event.to_owned();
        async move {
            let mut scenario = Scenario::new(&[]);
            scenario.publish(
                "1.0.0",
                &[VALUES, MAP, ("podinfo/templates/hook.yaml", &hook(&event))],
            );
            let mut whole = json!({ "timeout": "1h" });
            for (key, value) in spec.as_object().unwrap() {
                whole[key] = value.clone();
            }
            let (object, _) = run(&scenario, &whole).await;
            (scenario, object)
        }
    };
    let error = "timeout waiting for: [Job/ns/hook status: 'InProgress']";
    let (_, object) = stalls("test", json!({ "test": { "enable": true, "timeout": "1s" } })).await;
    assert!(ready(&object).2.ends_with(error), "{:?}", ready(&object));
    let (scenario, object) = stalls("pre-upgrade", json!({})).await;
    let upgrade = json!({ "timeout": "1h", "values": { "k": "2" }, "upgrade": { "timeout": "1s" } });
    let (object, _) = scenario.run(&with(&object, &upgrade)).await;
    assert!(ready(&object).2.ends_with(error), "{:?}", ready(&object));
    let (scenario, object) = stalls("pre-delete", json!({ "uninstall": { "timeout": "1s" } })).await;
    assert_eq!(scenario.finalize(&object).await.unwrap_err(), error);
    let (mut scenario, object) = stalls(
        "pre-rollback",
        json!({ "rollback": { "timeout": "1s" }, "upgrade": { "remediation": { "retries": 1 } } }),
    )
    .await;
    let broken = (
        "podinfo/templates/broken.yaml",
        "apiVersion: v1\nkind: Unknown\nmetadata:\n  name: x\n",
    );
    scenario.publish("2.0.0", &[VALUES, MAP, broken]);
    let (object, _) = scenario.run(&object).await;
    assert_eq!(ready(&object).1, "RollbackFailed");
    assert!(ready(&object).2.ends_with(error), "{:?}", ready(&object));
}
