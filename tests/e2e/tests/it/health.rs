//! Kustomizations that wait until what they applied works.

use anyhow::{Result, ensure};
use e2e::{Case, Entry, cases, condition, config_map, text};
use serde_json::json;

use crate::apply::{applied, deployment};

pub(crate) fn cases() -> Vec<Entry> {
    cases!["health":
        wait_ends_when_all_objects_are_ready,
        wait_times_out_then_passes_when_fixed,
        health_checks_named_are_the_only_ones,
        object_missing_times_out,
        object_failed_ends_the_wait_early,
        expressions_decide_for_their_kind,
        expressions_malformed_stall,
        dependent_starts_the_moment_health_passes,
    ]
}

async fn wait_ends_when_all_objects_are_ready(case: Case) -> Result<()> {
    let job = "apiVersion: batch/v1\nkind: Job\nmetadata: {name: job}\nspec: {template: {spec: {restartPolicy: Never, containers: [{name: main, image: none.invalid/none}]}}}\n";
    let files = [
        ("app.yaml", deployment("app", "delayed")),
        ("job.yaml", job.to_owned()),
        ("map.yaml", config_map("map", &[])),
    ];
    let files: Vec<_> = files.iter().map(|it| (it.0, it.1.as_str())).collect();
    let (repository, kustomization) = case.app(&files, json!({"wait": true, "timeout": "1m"})).await?;
    let object = applied(&kustomization, &repository.git(&["rev-parse", "HEAD"])?).await?;
    let healthy = condition(&object, "Healthy")
        .map(|it| (text(it, "/status"), text(it, "/reason"), text(it, "/message")))
        .unwrap_or_default();
    ensure!(
        healthy.0 == "True" && healthy.1 == "Succeeded" && healthy.2.starts_with("Health check passed in "),
        "{healthy:?}"
    );
    let live = case.object("apps/v1", "Deployment", "app")?.get().await?;
    ensure!(live["status"]["availableReplicas"] == 1, "{}", live["status"]);
    let live = case.object("batch/v1", "Job", "job")?.get().await?;
    ensure!(live["status"]["succeeded"] == 1, "{}", live["status"]);
    kustomization
        .expect_event("Normal", "Progressing", "Health check passed in ")
        .await
}

async fn wait_times_out_then_passes_when_fixed(case: Case) -> Result<()> {
    let more = json!({"wait": true, "timeout": "3s", "retryInterval": "1h"});
    let (repository, kustomization) = case
        .app(&[("app.yaml", &deployment("app", "never-ready"))], more)
        .await?;
    let pending = format!(
        "timeout waiting for: [Deployment/{}/app status: 'InProgress'",
        case.namespace()
    );
    let object = kustomization
        .expect("Ready", "False", "HealthCheckFailed", &pending)
        .await?;
    let ready = condition(&object, "Ready")
        .map(|it| text(it, "/message"))
        .unwrap_or_default();
    ensure!(ready.starts_with("health check failed after "), "{ready}");
    kustomization
        .expect("Healthy", "False", "HealthCheckFailed", &pending)
        .await?;
    kustomization
        .expect_event("Warning", "HealthCheckFailed", &pending)
        .await?;
    // What was applied stays, and is known.
    ensure!(
        object["status"]["inventory"]["entries"].as_array().map(Vec::len) == Some(1),
        "{}",
        object["status"]
    );
    ensure!(
        object["status"]["lastAppliedRevision"].is_null(),
        "{}",
        object["status"]
    );

    let fixed = repository.commit(&[("app.yaml", &deployment("app", ""))])?;
    kustomization.merge(&json!({"spec": {"timeout": "1m"}})).await?;
    case.fetch("app", &fixed).await?;
    let object = applied(&kustomization, &fixed).await?;
    ensure!(
        condition(&object, "Healthy").is_some_and(|it| it["status"] == "True"),
        "{}",
        object["status"]
    );
    Ok(())
}

async fn health_checks_named_are_the_only_ones(case: Case) -> Result<()> {
    let files = [
        ("good.yaml", deployment("good", "")),
        ("bad.yaml", deployment("bad", "never-ready")),
    ];
    let files: Vec<_> = files.iter().map(|it| (it.0, it.1.as_str())).collect();
    // Without an API version it is that of Deployments.
    let checks = json!([{"kind": "Deployment", "name": "good", "namespace": case.namespace()}]);
    let (repository, kustomization) = case
        .app(&files, json!({"healthChecks": checks, "timeout": "1m"}))
        .await?;
    let object = applied(&kustomization, &repository.git(&["rev-parse", "HEAD"])?).await?;
    ensure!(
        condition(&object, "Healthy").is_some_and(|it| it["status"] == "True"),
        "{}",
        object["status"]
    );
    // Without any check the condition goes.
    kustomization
        .merge(&json!({"spec": {"healthChecks": null}}))
        .await?;
    kustomization
        .until("no condition speaks of health", |it| {
            condition(it, "Healthy").is_none()
                && it["status"]["observedGeneration"] == it["metadata"]["generation"]
        })
        .await?;
    Ok(())
}

async fn object_missing_times_out(case: Case) -> Result<()> {
    let checks =
        json!([{"apiVersion": "v1", "kind": "ConfigMap", "name": "none", "namespace": case.namespace()}]);
    let (_, kustomization) = case
        .app(
            &[("a.yaml", &config_map("a", &[]))],
            json!({"healthChecks": checks, "timeout": "2s"}),
        )
        .await?;
    let message = format!(
        "timeout waiting for: [ConfigMap/{}/none status: 'NotFound'",
        case.namespace()
    );
    kustomization
        .expect("Ready", "False", "HealthCheckFailed", &message)
        .await?;
    // It passes as soon as the object is there, at the next try.
    case.apply(&config_map("none", &[])).await?;
    kustomization.ready().await?;
    Ok(())
}

async fn object_failed_ends_the_wait_early(case: Case) -> Result<()> {
    let job = "apiVersion: batch/v1\nkind: Job\nmetadata: {name: job}\nspec:\n  backoffLimit: 0\n  template:\n    metadata: {annotations: {test-stage: fail}}\n    spec: {restartPolicy: Never, containers: [{name: main, image: none.invalid/none}]}\n";
    let (_, kustomization) = case
        .app(&[("job.yaml", job)], json!({"wait": true, "timeout": "20m"}))
        .await?;
    let message = format!(
        "failed early due to stalled resources: [Job/{}/job status: 'Failed'",
        case.namespace()
    );
    kustomization
        .expect("Ready", "False", "HealthCheckFailed", &message)
        .await?;
    Ok(())
}

async fn expressions_decide_for_their_kind(case: Case) -> Result<()> {
    let expressions = json!([{
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "current": "data.phase == 'done'",
        "failed": "data.phase == 'broken'",
    }]);
    let map = |phase: &str| config_map("a", &[("phase", phase)]);
    let more = json!({"wait": true, "timeout": "20m", "healthCheckExprs": expressions});
    let (repository, kustomization) = case.app(&[("a.yaml", &map("running"))], more).await?;
    kustomization
        .expect("Healthy", "Unknown", "Progressing", "Running health checks")
        .await?;
    let broken = repository.commit(&[("a.yaml", &map("broken"))])?;
    case.fetch("app", &broken).await?;
    let message = format!("ConfigMap/{}/a status: 'Failed'", case.namespace());
    kustomization
        .expect("Ready", "False", "HealthCheckFailed", &message)
        .await?;
    let done = repository.commit(&[("a.yaml", &map("done"))])?;
    case.fetch("app", &done).await?;
    applied(&kustomization, &done).await?;
    Ok(())
}

async fn expressions_malformed_stall(case: Case) -> Result<()> {
    let expressions = json!([{"apiVersion": "v1", "kind": "ConfigMap", "current": "data."}]);
    let (_, kustomization) = case
        .app(
            &[("a.yaml", &config_map("a", &[]))],
            json!({"wait": true, "healthCheckExprs": expressions}),
        )
        .await?;
    let message = "Reconciliation failed terminally due to configuration error: ";
    let object = kustomization
        .expect("Stalled", "True", "InvalidCELExpression", message)
        .await?;
    ensure!(
        condition(&object, "Ready")
            .is_some_and(|it| it["status"] == "False" && it["reason"] == "InvalidCELExpression"),
        "{}",
        object["status"]
    );
    kustomization
        .expect_event("Warning", "InvalidCELExpression", message)
        .await
}

async fn dependent_starts_the_moment_health_passes(case: Case) -> Result<()> {
    let repository = case.repository("app")?;
    let commit = repository.commit(&[
        ("a/a.yaml", &deployment("a", "")),
        ("b/b.yaml", &config_map("b", &[])),
    ])?;
    case.git_repository("app", repository.url(), json!({})).await?;
    let a = case
        .kustomize("a", "app", json!({"path": "./a", "wait": true, "timeout": "1m"}))
        .await?;
    let b = case
        .kustomize("b", "app", json!({"path": "./b", "dependsOn": [{"name": "a"}]}))
        .await?;
    applied(&a, &commit).await?;
    applied(&b, &commit).await?;
    Ok(())
}
