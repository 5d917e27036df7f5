//! Actions that fail, each at each of its stages, and what comes after them (`spec/helm.md` C.3, C.4, F.4, F.11).

use super::*;

const MAP: (&str, &str) = (
    "podinfo/templates/map.yaml",
    "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: app\ndata:\n  chart: {{ .Chart.Version | quote }}\n  k: {{ .Values.k | quote }}\n",
);
const VALUES: (&str, &str) = ("podinfo/values.yaml", "k: default\n");
const APP: &str = "/api/v1/namespaces/ns/configmaps/app";
const JOBS: &str = "/apis/batch/v1/namespaces/ns/jobs";
const FAILED: &str = "failed early due to stalled resources: [Job/ns/hook status: 'Failed']";

/// A template with a Job called `name` for a stage.
fn hook(name: &str, event: &str) -> String {
    format!(
        "apiVersion: batch/v1\nkind: Job\nmetadata:\n  name: {name}\n  annotations: {{helm.sh/hook: {event}}}\n"
    )
}

impl Scenario {
    /// Has the source offer a version of the chart with a Job for a stage.
    fn publish_with_hook(&mut self, version: &str, event: &str) {
        self.publish(
            version,
            &[VALUES, MAP, ("podinfo/templates/hook.yaml", &hook("hook", event))],
        );
    }

    /// Runs until a pass asks for no other at once; at most ten times.
    async fn settle(&self, mut object: HelmRelease) -> (HelmRelease, Outcome) {
        for _ in 0..10 {
            let (next, outcome) = self.run(&object).await;
            object = next;
            if !matches!(outcome, Outcome::Backoff { .. }) {
                return (object, outcome);
            }
        }
        panic!("it does not come to an end: {:?}", ready(&object));
    }

    fn chart_in_the_cluster(&self) -> Option<String> {
        let map = self.server.api.get(APP)?;
        map["data"]["chart"].as_str().map(str::to_owned)
    }
}

fn failures(object: &HelmRelease) -> (i64, i64, i64) {
    let status = object.status.as_ref().unwrap();
    (status.failures, status.install_failures, status.upgrade_failures)
}

/// `version status action` of each snapshot, the newest first.
fn history(object: &HelmRelease) -> Vec<String> {
    let snapshots = &object.status.as_ref().unwrap().history;
    snapshots
        .iter()
        .map(|it| {
            let action = it.action.clone().unwrap_or_default();
            format!("v{} {} {action}", it.version, it.status)
        })
        .collect()
}

#[tokio::test]
async fn hook_of_an_install_that_fails_is_told_and_counted() {
    for (event, prefix, is_applied) in [
        ("pre-install", "failed pre-install: ", false),
        ("post-install", "failed post-install: ", true),
    ] {
        let mut scenario = Scenario::new(&[]);
        scenario.publish_with_hook("1.0.0", event);
        scenario.server.end_job("hook", "Failed");
        let (object, outcome) = scenario.run(&release(&json!({}))).await;
        assert!(matches!(outcome, Outcome::Stalled { .. }), "{outcome:?}");
        let message =
            format!("Helm install failed for release ns/app with chart podinfo@1.0.0: {prefix}{FAILED}");
        let expected = ("False".into(), "InstallFailed".into(), message.clone());
        assert_eq!(told(&object, condition::RELEASED), expected);
        assert_eq!(ready(&object), expected);
        assert_eq!(
            told(&object, condition::STALLED).2,
            "Failed to install after 1 attempt(s)"
        );
        assert_eq!(failures(&object), (1, 1, 0));
        assert_eq!(history(&object), ["v1 failed install"]);
        assert_eq!(scenario.statuses(), ["v1 failed"]);
        assert_eq!(scenario.chart_in_the_cluster().is_some(), is_applied);
        // Without a policy a hook stays until the next one is made.
        assert!(scenario.server.api.get(&format!("{JOBS}/hook")).is_some());
        let record = &scenario.records()[0];
        assert_eq!(record.hooks[0].last_run.phase, "Failed");
        assert_eq!(
            record.info.description,
            format!("Release \"app\" failed: {prefix}{FAILED}")
        );
        let events = scenario.events();
        assert_eq!(events.len(), 1, "{events:?}");
        let (head, log) = events[0].split_once("\n\nLast Helm logs:\n\n").unwrap();
        assert_eq!(head, format!("InstallFailed: {message}"));
        assert!(
            log.contains(": executing hook: {") && log.ends_with("\"phase\":\"Failed\"}"),
            "{log}"
        );
    }
}

/// A chart whose hook for `event` fails, with this policy for what it prints, and pods that have printed.
fn publish_with_output(scenario: &mut Scenario, event: &str, policy: &str) {
    let annotations = format!("helm.sh/hook: {event}, helm.sh/hook-output-log-policy: '{policy}'");
    let job = super::hook(event).replace(&format!("helm.sh/hook: \"{event}\""), &annotations);
    scenario.publish("1.0.0", &[("podinfo/templates/hook.yaml", &job), MAP]);
    scenario.server.end_job("hook", "Failed");
    for (name, job) in [("hook-x", "hook"), ("other", "other")] {
        let pod = json!({ "apiVersion": "v1", "kind": "Pod",
            "metadata": { "name": name, "namespace": "ns", "labels": { "job-name": job }, "annotations": { "printed": format!("begin\nno table {name}\n") } },
            "spec": { "containers": [{ "name": "migrate" }] } });
        let path = format!("/api/v1/namespaces/ns/pods/{name}");
        scenario.server.put(&path, pod);
    }
}

const PRINTED: &str =
    "printed by a hook: {\"container\":\"migrate\",\"line\":\"no table hook-x\",\"pod\":\"hook-x\"}";

#[tokio::test]
async fn output_of_a_failed_hook_is_told_where_its_policy_says_so() {
    for (policy, is_told) in [("hook-succeeded", false), ("hook-succeeded, hook-failed", true)] {
        let mut scenario = Scenario::new(&[]);
        publish_with_output(&mut scenario, "pre-install", policy);
        scenario.run(&release(&json!({}))).await;
        let events = scenario.events();
        assert_eq!(events[0].contains(PRINTED), is_told, "{events:?}");
        assert!(!events[0].contains("no table other"), "{events:?}");
    }
}

#[tokio::test]
async fn output_of_a_failed_test_is_told_where_its_policy_says_so() {
    for (policy, is_told) in [("hook-succeeded", false), ("hook-failed", true)] {
        let mut scenario = Scenario::new(&[]);
        publish_with_output(&mut scenario, "test", policy);
        let (object, _) = scenario
            .run(&release(&json!({ "test": { "enable": true } })))
            .await;
        let (_, reason, message) = told(&object, condition::TEST_SUCCESS);
        assert_eq!(reason, "TestFailed");
        assert!(!message.contains('\n'), "{message}");
        let events = scenario.events();
        let failed = format!("TestFailed: {message}");
        let event = events.iter().find(|event| event.starts_with(&failed)).unwrap();
        // Without output the event is upstream's.
        assert_eq!(*event != failed, is_told, "{event}");
        assert_eq!(event.contains(PRINTED), is_told, "{event}");
        assert!(!event.contains("no table other"), "{event}");
    }
}

#[tokio::test]
async fn container_that_has_printed_nothing_does_not_hide_the_others() {
    let mut scenario = Scenario::new(&[]);
    publish_with_output(&mut scenario, "pre-install", "hook-failed");
    let waiting = json!({ "apiVersion": "v1", "kind": "Pod",
        "metadata": { "name": "hook-a", "namespace": "ns", "labels": { "job-name": "hook" } },
        "spec": { "containers": [{ "name": "migrate" }] } });
    scenario.server.put("/api/v1/namespaces/ns/pods/hook-a", waiting);
    scenario
        .server
        .api
        .fail_next("GET", "/api/v1/namespaces/ns/pods/hook-a/log", 400);
    scenario.run(&release(&json!({}))).await;
    let events = scenario.events();
    assert!(events[0].contains(PRINTED), "{events:?}");
}

#[tokio::test]
async fn hook_of_an_upgrade_that_fails_is_told_and_counted() {
    for (event, prefix, chart) in [
        ("pre-upgrade", "pre-upgrade hooks failed: ", "1.0.0"),
        ("post-upgrade", "post-upgrade hooks failed: ", "2.0.0"),
    ] {
        let mut scenario = Scenario::new(&[]);
        scenario.publish("1.0.0", &[VALUES, MAP]);
        let (object, _) = scenario.run(&release(&json!({}))).await;
        scenario.publish_with_hook("2.0.0", event);
        scenario.server.end_job("hook", "Failed");
        let (object, outcome) = scenario.run(&object).await;
        assert!(matches!(outcome, Outcome::Stalled { .. }), "{outcome:?}");
        let message =
            format!("Helm upgrade failed for release ns/app with chart podinfo@2.0.0: {prefix}{FAILED}");
        assert_eq!(ready(&object), ("False".into(), "UpgradeFailed".into(), message));
        assert_eq!(failures(&object), (1, 0, 1));
        assert_eq!(
            history(&object),
            ["v2 failed upgrade", "v1 deployed install"],
            "{event}"
        );
        assert_eq!(scenario.statuses(), ["v1 deployed", "v2 failed"]);
        assert_eq!(scenario.chart_in_the_cluster().as_deref(), Some(chart));
    }
}

#[tokio::test]
async fn hook_is_deleted_as_its_policies_say() {
    for (policy, end, is_left) in [
        ("hook-succeeded", "Complete", false),
        ("hook-failed", "Complete", true),
        ("hook-failed", "Failed", false),
        ("hook-succeeded", "Failed", true),
        ("before-hook-creation", "Complete", true),
    ] {
        let mut scenario = Scenario::new(&[]);
        let policy_line = format!("pre-install, helm.sh/hook-delete-policy: {policy}");
        scenario.publish_with_hook("1.0.0", &policy_line);
        scenario.server.end_job("hook", end);
        scenario.run(&release(&json!({}))).await;
        let found = scenario.server.api.get(&format!("{JOBS}/hook"));
        assert_eq!(found.is_some(), is_left, "{policy} {end}");
    }
}

#[tokio::test]
async fn hooks_of_a_stage_run_by_weight_and_those_after_a_failure_do_not() {
    let mut scenario = Scenario::new(&[]);
    let weighed = |name: &str, weight: i32| {
        let event = format!(
            "pre-install, helm.sh/hook-weight: \"{weight}\", helm.sh/hook-delete-policy: hook-succeeded"
        );
        hook(name, &event)
    };
    let (first, second, third) = (weighed("z", -5), weighed("hook", 0), weighed("a", 5));
    scenario.publish(
        "1.0.0",
        &[
            MAP,
            VALUES,
            ("podinfo/templates/1.yaml", &third),
            ("podinfo/templates/2.yaml", &second),
            ("podinfo/templates/3.yaml", &first),
        ],
    );
    scenario.server.end_job("z", "Complete");
    scenario.server.end_job("hook", "Failed");
    let (object, _) = scenario.run(&release(&json!({}))).await;
    assert!(ready(&object).2.ends_with(FAILED), "{:?}", ready(&object));
    let made: Vec<String> = scenario
        .server
        .api
        .take_requests()
        .into_iter()
        .filter(|seen| seen.method == "PATCH" && seen.path.starts_with(JOBS))
        .map(|seen| seen.path.rsplit('/').next().unwrap().to_owned())
        .collect();
    assert_eq!(made, ["z", "hook"]);
    // What has succeeded before is not left behind.
    assert!(scenario.server.api.get(&format!("{JOBS}/z")).is_none());
}

#[tokio::test]
async fn rollback_that_fails_is_told_and_tried_again() {
    let rolls_back = json!({ "upgrade": { "remediation": { "retries": 1 } } });
    // Its hook fails.
    let mut scenario = Scenario::new(&[]);
    scenario.publish_with_hook("1.0.0", "pre-rollback");
    let (object, _) = scenario.run(&release(&rolls_back)).await;
    scenario.publish_with_hook("2.0.0", "post-upgrade");
    scenario.server.end_job("hook", "Failed");
    scenario.events();
    let (object, outcome) = scenario.run(&object).await;
    assert!(matches!(outcome, Outcome::Backoff { .. }), "{outcome:?}");
    let message =
        format!("Helm rollback to previous release ns/app.v1 with chart podinfo@1.0.0 failed: {FAILED}");
    let expected = ("False".into(), "RollbackFailed".into(), message.clone());
    assert_eq!(told(&object, condition::REMEDIATED), expected);
    assert_eq!(ready(&object), expected);
    assert_eq!(failures(&object), (2, 0, 1));
    // Helm leaves it pending there; it is unlocked the next time, and rolled back again.
    assert_eq!(
        scenario.statuses(),
        ["v1 deployed", "v2 failed", "v3 pending-rollback"]
    );
    let events = scenario.events();
    assert!(
        events[1].starts_with(&format!("RollbackFailed: {message}\n\nLast Helm logs:\n\n")),
        "{events:?}"
    );
    scenario.server.end_job("hook", "Complete");
    let (object, outcome) = scenario.run(&object).await;
    assert!(matches!(outcome, Outcome::Backoff { .. }), "{outcome:?}");
    assert_eq!(ready(&object).1, "RollbackSucceeded");
    assert_eq!(failures(&object).2, 1);
    assert_eq!(
        scenario.statuses(),
        ["v1 superseded", "v2 failed", "v3 failed", "v4 deployed"]
    );
    assert_eq!(scenario.chart_in_the_cluster().as_deref(), Some("1.0.0"));

    // An object is refused.
    let mut scenario = Scenario::new(&[]);
    scenario.publish("1.0.0", &[VALUES, MAP]);
    let (object, _) = scenario.run(&release(&rolls_back)).await;
    scenario.publish_with_hook("2.0.0", "post-upgrade");
    scenario.server.end_job("hook", "Failed");
    scenario.server.refuse_write_after(APP, 1);
    let (object, _) = scenario.run(&object).await;
    let (status, reason, message) = told(&object, condition::REMEDIATED);
    assert_eq!((status.as_str(), reason.as_str()), ("False", "RollbackFailed"));
    assert!(message.ends_with("made to fail"), "{message}");
    assert_eq!(scenario.statuses(), ["v1 deployed", "v2 failed", "v3 failed"]);
    let (object, _) = scenario.run(&object).await;
    assert_eq!(ready(&object).1, "RollbackSucceeded");
    assert_eq!(scenario.chart_in_the_cluster().as_deref(), Some("1.0.0"));
}

#[tokio::test]
async fn uninstall_remediation_that_fails_is_told_and_tried_again() {
    let mut scenario = Scenario::new(&[]);
    let both = [hook("hook", "post-install"), hook("bye", "pre-delete")].join("---\n");
    scenario.publish("1.0.0", &[VALUES, MAP, ("podinfo/templates/hooks.yaml", &both)]);
    scenario.server.end_job("hook", "Failed");
    scenario.server.end_job("bye", "Failed");
    let spec = json!({ "install": { "remediation": { "retries": 1 } } });
    let (object, outcome) = scenario.run(&release(&spec)).await;
    assert!(matches!(outcome, Outcome::Backoff { .. }), "{outcome:?}");
    let message = "Helm uninstall remediation for release ns/app.v1 with chart podinfo@1.0.0 failed: \
                   failed early due to stalled resources: [Job/ns/bye status: 'Failed']";
    assert_eq!(
        told(&object, condition::REMEDIATED),
        ("False".into(), "UninstallFailed".into(), message.into())
    );
    assert_eq!(ready(&object).1, "InstallFailed");
    assert_eq!(told(&object, condition::RECONCILING).1, "ProgressingWithRetry");
    assert_eq!(failures(&object), (2, 1, 0));
    assert_eq!(scenario.statuses(), ["v1 uninstalling"]);
    let events = scenario.events();
    assert!(
        events[1].starts_with(&format!("UninstallFailed: {message}\n\nLast Helm logs:")),
        "{events:?}"
    );

    // Upstream cannot get out of that; here it is unlocked, uninstalled, and installed again.
    scenario.server.end_job("bye", "Complete");
    scenario.server.end_job("hook", "Complete");
    let (object, outcome) = scenario.settle(object).await;
    assert_eq!(outcome, Outcome::Done);
    assert_eq!(ready(&object).1, "InstallSucceeded");
    assert_eq!(scenario.statuses(), ["v1 deployed"]);
    assert_eq!(history(&object), ["v1 deployed install"]);
    assert!(object.condition(condition::REMEDIATED).is_none());
}

#[tokio::test]
async fn uninstall_that_fails_keeps_the_object_and_goes_on_the_next_time() {
    for (event, message, is_left, statuses) in [
        (
            "pre-delete",
            FAILED.to_owned(),
            true,
            vec!["v1 uninstalling".to_owned()],
        ),
        (
            "post-delete",
            format!("uninstallation completed with 1 error(s): {FAILED}"),
            false,
            vec![],
        ),
    ] {
        let mut scenario = Scenario::new(&[]);
        scenario.publish_with_hook("1.0.0", event);
        scenario.server.end_job("hook", "Failed");
        let (object, _) = scenario.run(&release(&json!({}))).await;
        scenario.events();
        let (object, outcome) = scenario.let_go(&object).await;
        assert_eq!(outcome.unwrap_err(), message);
        let text = format!("Helm uninstall failed for release ns/app.v1 with chart podinfo@1.0.0: {message}");
        assert_eq!(
            ready(&object),
            ("False".into(), "UninstallFailed".into(), text.clone())
        );
        let events = scenario.events();
        assert!(
            events[0].starts_with(&format!("UninstallFailed: {text}\n\nLast Helm logs:")),
            "{events:?}"
        );
        assert_eq!(scenario.chart_in_the_cluster().is_some(), is_left, "{event}");
        assert_eq!(scenario.statuses(), statuses);
        scenario.server.end_job("hook", "Complete");
        scenario.finalize(&object).await.unwrap();
        assert_eq!(scenario.chart_in_the_cluster(), None);
        assert_eq!(scenario.statuses(), [""; 0]);
    }
}

#[tokio::test]
async fn tests_of_a_chart_pass_fail_or_are_ignored() {
    let test = |more: Value| {
        let mut spec = json!({ "test": { "enable": true } });
        for (key, value) in more.as_object().unwrap() {
            spec[key] = value.clone();
        }
        spec
    };
    let tested = |end: &'static str, spec: Value| async move {
        let mut scenario = Scenario::new(&[]);
        let both = [hook("hook", "test"), hook("other", "test")].join("---\n");
        scenario.publish("1.0.0", &[VALUES, MAP, ("podinfo/templates/tests.yaml", &both)]);
        scenario.server.end_job("hook", end);
        scenario.server.end_job("other", "Complete");
        let (object, outcome) = scenario.run(&release(&spec)).await;
        (scenario, object, outcome)
    };
    let (mut scenario, object, outcome) = tested("Complete", test(json!({}))).await;
    assert_eq!(outcome, Outcome::Done);
    let message = "Helm test succeeded for release ns/app.v1 with chart podinfo@1.0.0: 2 test hooks completed successfully";
    assert_eq!(
        ready(&object),
        ("True".into(), "TestSucceeded".into(), message.into())
    );
    assert_eq!(scenario.events()[1], format!("TestSucceeded: {message}"));
    let tests = object.status.as_ref().unwrap().history[0]
        .test_hooks
        .clone()
        .unwrap();
    let phases: Vec<_> = tests
        .values()
        .map(|it| it.as_ref().unwrap().phase.as_deref())
        .collect();
    assert_eq!(phases, [Some("Succeeded"); 2]);
    // They are not run again.
    let (again, _) = scenario.run(&object).await;
    assert_eq!(again, object);

    let (mut scenario, object, outcome) = tested("Failed", test(json!({}))).await;
    assert!(matches!(outcome, Outcome::Stalled { .. }), "{outcome:?}");
    let message = format!("Helm test failed for release ns/app.v1 with chart podinfo@1.0.0: {FAILED}");
    assert_eq!(
        ready(&object),
        ("False".into(), "TestFailed".into(), message.clone())
    );
    assert_eq!(told(&object, condition::RELEASED).1, "InstallSucceeded");
    assert_eq!(
        told(&object, condition::STALLED).2,
        "Failed to install after 1 attempt(s)"
    );
    assert_eq!(failures(&object), (1, 1, 0));
    assert_eq!(scenario.statuses(), ["v1 deployed"]);
    assert_eq!(scenario.events()[1], format!("TestFailed: {message}"));

    // Ignored, in either of the two ways; they are told all the same.
    for spec in [
        json!({ "test": { "enable": true, "ignoreFailures": true } }),
        test(json!({ "install": { "remediation": { "ignoreTestFailures": true } } })),
    ] {
        let is_told = spec["install"].is_object();
        let (_, object, outcome) = tested("Failed", spec).await;
        assert_eq!(outcome, Outcome::Done);
        assert_eq!(told(&object, condition::TEST_SUCCESS).1, "TestFailed");
        assert_eq!(
            ready(&object).1,
            if is_told { "TestFailed" } else { "InstallSucceeded" }
        );
        assert_eq!(failures(&object), (1, 0, 0));
    }

    // The one that fails is left out.
    let spec = json!({ "test": { "enable": true, "filters": [{ "name": "hook", "exclude": true }] } });
    let (_, object, outcome) = tested("Failed", spec).await;
    assert_eq!(outcome, Outcome::Done);
    assert!(ready(&object).2.ends_with("1 test hook completed successfully"));

    // Uninstalled, and installed again.
    let spec = test(json!({ "install": { "remediation": { "retries": 1 } } }));
    let (scenario, object, _) = tested("Failed", spec).await;
    assert_eq!(told(&object, condition::REMEDIATED).1, "UninstallSucceeded");
    assert_eq!(ready(&object).1, "TestFailed");
    assert_eq!(scenario.statuses(), [""; 0]);
    let (object, outcome) = scenario.run(&object).await;
    assert!(matches!(outcome, Outcome::Stalled { .. }), "{outcome:?}");
    assert_eq!(failures(&object).1, 2);
    assert_eq!(scenario.statuses(), ["v1 deployed"]);
}

#[tokio::test]
async fn test_that_fails_after_an_upgrade_is_rolled_back() {
    let mut scenario = Scenario::new(&[]);
    scenario.publish_with_hook("1.0.0", "test");
    scenario.server.end_job("hook", "Complete");
    let spec = json!({ "test": { "enable": true }, "upgrade": { "remediation": { "retries": 1 } } });
    let (object, _) = scenario.run(&release(&spec)).await;
    scenario.publish_with_hook("2.0.0", "test");
    scenario.server.end_job("hook", "Failed");
    let (object, _) = scenario.run(&object).await;
    assert_eq!(ready(&object).1, "RollbackSucceeded");
    assert_eq!(failures(&object), (1, 0, 1));
    assert_eq!(
        scenario.statuses(),
        ["v1 superseded", "v2 superseded", "v3 deployed"]
    );
    assert_eq!(scenario.chart_in_the_cluster().as_deref(), Some("1.0.0"));
}
