//! What feature gates switch.

use super::*;
use ferro_runtime::reconcile::Cause;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

/// Never ready: nobody gives it an address.
const PENDING: &str =
    "apiVersion: v1\nkind: Service\nmetadata: {name: s, namespace: ns}\nspec: {type: LoadBalancer}\n";

#[tokio::test]
async fn external_artifact_allows_the_kind() {
    let spec = json!({ "sourceRef": { "kind": "ExternalArtifact", "name": "source" } });
    let map = config_map("a", "{k: v}");
    let (object, outcome) = Scenario::new(&[], "", &[("a.yaml", &map)])
        .run(&kustomization(&spec))
        .await;
    assert!(matches!(outcome, Outcome::Stalled { .. }), "{outcome:?}");
    let message = "can't access 'ExternalArtifact/ns/source', ExternalArtifact feature gate is disabled";
    assert_eq!(
        ready(&object),
        ("False".into(), "AccessDenied".into(), message.into())
    );
    let scenario = Scenario::new(&[], "ExternalArtifact=true", &[("a.yaml", &map)]);
    let (_, outcome) = scenario.run(&kustomization(&spec)).await;
    assert_eq!(outcome, Outcome::Done);
}

#[tokio::test]
async fn strict_post_build_substitutions_refuse_unknown_variables() {
    let spec = json!({ "postBuild": { "substitute": { "known": "x" } } });
    let map = config_map("a", "{k: \"${unknown}\"}");
    let reason = |gates: &'static str| {
        let scenario = Scenario::new(&[], gates, &[("a.yaml", &map)]);
        let object = kustomization(&spec);
        async move { ready(&scenario.run(&object).await.0).1 }
    };
    assert_eq!(reason("").await, "BuildFailed");
    assert_eq!(
        reason("StrictPostBuildSubstitutions=false").await,
        "ReconciliationSucceeded"
    );
}

#[tokio::test]
async fn additive_cel_dependency_check_asks_for_readiness_too() {
    let spec = json!({ "dependsOn": [{ "name": "first", "readyExpr": "dep.metadata.name == 'first'" }] });
    let map = config_map("a", "{k: v}");
    let message = |gates: &'static str| {
        let mut scenario = Scenario::new(&[], gates, &[("a.yaml", &map)]);
        let mut first = kustomization(&json!({}));
        first.metadata.name = Some("first".into());
        scenario.show(&first);
        let object = kustomization(&spec);
        async move { ready(&scenario.run(&object).await.0).2 }
    };
    assert_eq!(message("").await, "Applied revision: main@sha1:1");
    assert_eq!(
        message("AdditiveCELDependencyCheck=true").await,
        "dependency 'ns/first' is not ready"
    );
}

#[tokio::test]
async fn expression_that_does_not_compile_names_the_dependency() {
    let spec = json!({ "dependsOn": [{ "name": "first", "readyExpr": "dep." }] });
    let mut scenario = Scenario::new(&[], "", &[]);
    let mut first = kustomization(&json!({}));
    first.metadata.name = Some("first".into());
    scenario.show(&first);
    let (object, _) = scenario.run(&kustomization(&spec)).await;
    let message = ready(&object).2;
    let start =
        "Reconciliation failed terminally due to configuration error: failed to evaluate dependency first: ";
    assert!(message.starts_with(start), "{message}");
    let event = scenario.events.try_recv().unwrap();
    assert_eq!(
        event.metadata["kustomize.toolkit.fluxcd.io/revision"],
        "main@sha1:1"
    );
}

#[tokio::test]
async fn disable_fail_fast_behavior_waits_for_the_others() {
    let failing = json!([{ "apiVersion": "v1", "kind": "ConfigMap", "current": "false", "failed": "true" }]);
    let spec = json!({ "wait": true, "timeout": "20m", "healthCheckExprs": failing });
    let map = config_map("a", "{k: v}");
    let files = [("a.yaml", map.as_str()), ("s.yaml", PENDING)];
    let (object, _) = Scenario::new(&[], "", &files).run(&kustomization(&spec)).await;
    let message = ready(&object).2;
    assert!(
        message.ends_with("failed early due to stalled resources: [ConfigMap/ns/a status: 'Failed']"),
        "{message}"
    );
    let scenario = Scenario::new(&[], "DisableFailFastBehavior=true", &files);
    let mut pass = scenario.pass(&kustomization(&spec));
    let run = tokio::time::timeout(
        Duration::from_millis(500),
        scenario.reconciler.reconcile(&mut pass),
    );
    assert!(run.await.is_err(), "it waits for the Service");
    assert_eq!(
        scenario.requests.count(|request| request.starts_with("PATCH ")),
        2
    );
}

#[tokio::test]
async fn cancel_health_check_on_new_revision_ends_the_wait() {
    let mut scenario = Scenario::new(&[], "", &[("s.yaml", PENDING)]);
    let mut pass = scenario.pass(&kustomization(&json!({ "wait": true, "timeout": "20m" })));
    let interrupt = pass.interrupt.clone();
    let waiting = scenario.requests.clone();
    let interrupts = async {
        while waiting.count(|request| request.starts_with("PATCH ")) == 0 {
            tokio::task::yield_now().await;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
        interrupt.fire(Cause::NewWork("GitRepository/ns/source".into()));
    };
    let run = tokio::time::timeout(PATIENCE, scenario.reconciler.reconcile(&mut pass));
    let (outcome, ()) = tokio::join!(run, interrupts);
    assert_eq!(outcome.unwrap(), Outcome::Superseded);
    let message = "New reconciliation triggered by GitRepository/ns/source";
    assert_eq!(
        ready(&pass.object),
        ("False".into(), "HealthCheckCanceled".into(), message.into())
    );
    assert_eq!(
        scenario.events().last().unwrap(),
        "Health checks canceled due to new reconciliation triggered by GitRepository/ns/source"
    );
}

#[tokio::test]
async fn without_cancel_health_check_on_new_revision_only_deletion_ends_the_wait() {
    let scenario = Scenario::new(
        &[],
        "CancelHealthCheckOnNewRevision=false",
        &[("s.yaml", PENDING)],
    );
    let object = kustomization(&json!({ "wait": true, "timeout": "20m" }));
    let mut pass = scenario.pass(&object);
    let interrupt = pass.interrupt.clone();
    let mut run = Box::pin(scenario.reconciler.reconcile(&mut pass));
    let applied = async {
        while scenario.requests.count(|request| request.starts_with("PATCH ")) == 0 {
            tokio::task::yield_now().await;
        }
    };
    let both = async {
        tokio::select! { _ = &mut run => unreachable!(), () = applied => {} }
    };
    tokio::time::timeout(PATIENCE, both).await.unwrap();
    interrupt.fire(Cause::NewWork("GitRepository/ns/source".into()));
    let patient = tokio::time::timeout(Duration::from_millis(200), &mut run).await;
    assert!(patient.is_err(), "{patient:?}");
    let mut leaving = object.clone();
    leaving.metadata.deletion_timestamp = Some(Time(jiff::Timestamp::UNIX_EPOCH));
    scenario.reconciler.observed(&leaving);
    let outcome = tokio::time::timeout(PATIENCE, run).await.unwrap();
    assert_eq!(outcome, Outcome::Superseded);
}

#[test]
fn disable_config_watchers_leaves_configs_unwatched() {
    let selector = |gates: &str| {
        let gates = FeatureGates::parse(&FEATURE_GATES, gates).unwrap();
        crate::config_selector(&gates, "a=b")
    };
    assert_eq!(selector("").as_deref(), Some("a=b"));
    assert_eq!(selector("DisableConfigWatchers=true"), None);
}

#[tokio::test]
async fn migrate_api_version_moves_fields_of_versions_that_are_gone() {
    let widget = "apiVersion: example.com/v1\nkind: Widget\nmetadata: {name: w}\nspec: {size: 2}\n";
    let message = |gates: &'static str| {
        let scenario = Scenario::new(&[], gates, &[("w.yaml", widget)]);
        scenario.server.put(
            "/apis/example.com/v1/widgets/w",
            json!({
                "apiVersion": "example.com/v1", "kind": "Widget", "spec": { "size": 1 },
                "metadata": {
                    "name": "w",
                    "labels": { "kustomize.toolkit.fluxcd.io/name": "apps", "kustomize.toolkit.fluxcd.io/namespace": "ns" },
                    "managedFields": [{
                        "manager": "kustomize-controller", "operation": "Apply", "apiVersion": "example.com/v0",
                        "fieldsType": "FieldsV1", "time": "2026-01-01T00:00:00Z", "fieldsV1": { "f:spec": { "f:size": {} } }
                    }]
                }
            }),
        );
        async move {
            let (object, _) = scenario.run(&kustomization(&json!({}))).await;
            ready(&object).2
        }
    };
    let failed = message("").await;
    assert!(
        failed.contains("invalid group/version: example.com/v0"),
        "{failed}"
    );
    assert_eq!(
        message("MigrateAPIVersion=true").await,
        "Applied revision: main@sha1:1"
    );
}
