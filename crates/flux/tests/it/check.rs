//! `flux check` and `flux version`.

use serde_json::{Value, json};

use crate::script::{Step, flux};

const DEPLOYMENTS: &str = "/apis/apps/v1/namespaces/flux-system/deployments";
const CRDS: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
const ANCHOR: &str = "gitrepositories.source.toolkit.fluxcd.io";

fn server(version: &str) -> Step {
    let info = json!({
        "major": "1", "minor": "35", "gitVersion": version, "gitCommit": "", "gitTreeState": "",
        "buildDate": "", "goVersion": "", "compiler": "", "platform": "",
    });
    Step::get("/version", &info)
}

fn crd(labels: &Value) -> Value {
    json!({
        "metadata": {"name": ANCHOR, "labels": labels},
        "status": {"storedVersions": ["v1beta2", "v1"]},
    })
}

fn deployment(available: u64) -> Value {
    json!({
        "metadata": {"name": "source-controller", "generation": 1},
        "spec": {"replicas": 1, "template": {"spec": {"containers": [{"image": "example.com/fluxcd/source-controller:v1.9.1"}]}}},
        "status": {
            "observedGeneration": 1, "replicas": 1, "updatedReplicas": 1, "availableReplicas": available,
            "conditions": [{"type": "Available", "status": "True"}],
        },
    })
}

fn anchor(labels: &Value) -> Step {
    Step::get(&format!("{CRDS}/{ANCHOR}"), &crd(labels))
}

fn deployments(items: &[Value]) -> Step {
    Step::list(DEPLOYMENTS, items).with_query("labelSelector=app.kubernetes.io%2Fpart-of%3Dflux")
}

#[tokio::test(start_paused = true)]
async fn prerequisites() {
    flux("check --pre", vec![server("v1.35.4")]).await.expect(
        "",
        "► checking prerequisites\n✔ Kubernetes 1.35.4 >=1.33.0-0\n✔ prerequisites checks passed\n",
    );
    flux("check --pre", vec![server("v1.32.9")]).await.expect_failure(
        "",
        "► checking prerequisites\n\
         ✗ Kubernetes version v1.32.9 does not match >=1.33.0-0\n\
         ✗ check failed\n",
    );
}

#[tokio::test(start_paused = true)]
async fn a_healthy_installation() {
    let labels = json!({
        "app.kubernetes.io/version": "v2.9.4", "app.kubernetes.io/part-of": "flux", "kustomize.toolkit.fluxcd.io/namespace": "flux-system",
    });
    let script = vec![
        server("v1.35.4"),
        anchor(&labels),
        deployments(&[deployment(1)]),
        Step::list(DEPLOYMENTS, &[deployment(1)]).with_query("metadata.name%3Dsource-controller"),
        Step::list(CRDS, &[crd(&labels)]).with_query("labelSelector=app.kubernetes.io%2Fpart-of%3Dflux"),
    ];
    flux("check", script).await.expect(
        "",
        "► checking prerequisites\n\
         ✔ Kubernetes 1.35.4 >=1.33.0-0\n\
         ✔ prerequisites checks passed\n\
         ► checking version in cluster\n\
         ✔ distribution: flux-v2.9.4\n\
         ✔ bootstrapped: true\n\
         ► checking controllers\n\
         ✔ source-controller: deployment ready\n\
         ► example.com/fluxcd/source-controller:v1.9.1\n\
         ► checking crds\n\
         ✔ gitrepositories.source.toolkit.fluxcd.io/v1\n\
         ✔ all checks passed\n",
    );
}

#[tokio::test(start_paused = true)]
async fn every_check_runs_even_if_one_fails() {
    let script = vec![
        server("v1.35.4"),
        anchor(&json!({})).failing(404, "NotFound", "not found"),
        deployments(&[]),
        Step::list(CRDS, &[]),
    ];
    flux("check", script).await.expect_failure(
        "",
        "► checking prerequisites\n\
         ✔ Kubernetes 1.35.4 >=1.33.0-0\n\
         ✔ prerequisites checks passed\n\
         ► checking version in cluster\n\
         ✗ checking failed: not found\n\
         ► checking controllers\n\
         ✗ no controllers found in the 'flux-system' namespace with the label selector 'app.kubernetes.io/part-of=flux'\n\
         ► checking crds\n\
         ✗ no crds found with the label selector 'app.kubernetes.io/part-of=flux'\n\
         ✗ check failed\n",
    );
}

#[tokio::test(start_paused = true)]
async fn controllers_must_be_ready_and_complete() {
    let script = vec![
        server("v1.35.4"),
        anchor(&json!({})),
        deployments(&[deployment(0)]),
        Step::list(DEPLOYMENTS, &[deployment(0)]),
        Step::idle_watch(DEPLOYMENTS),
        Step::list(CRDS, &[crd(&json!({}))]),
    ];
    let outcome = flux(
        "check --timeout 1m --components source-controller,helm-controller",
        script,
    )
    .await;
    assert_eq!(outcome.code, 1);
    for line in [
        "✗ source-controller: deployment not ready\n",
        "✗ helm-controller: deployment not found\n",
        "✔ bootstrapped: false\n",
    ] {
        assert!(outcome.err.contains(line), "{outcome:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn versions() {
    let own = flux::VERSION;
    flux("version --client", vec![])
        .await
        .expect(&format!("flux: {own}\n"), "");
    let labels = json!({"app.kubernetes.io/version": "v2.9.4", "app.kubernetes.io/part-of": "flux"});
    let script = || vec![anchor(&labels), deployments(&[deployment(1)])];
    flux("version", script()).await.expect(
        &format!("flux: {own}\ndistribution: flux-v2.9.4\nsource-controller: v1.9.1\n"),
        "",
    );
    let json = format!(
        "{{\n  \"flux\": \"{own}\",\n  \"distribution\": \"flux-v2.9.4\",\n  \"source-controller\": \"v1.9.1\"\n}}\n"
    );
    flux("version -o json", script()).await.expect(&json, "");
    flux("version -o xml", vec![])
        .await
        .expect_failure("", "✗ --output must be json or yaml, not xml\n");
    flux("version", vec![anchor(&labels), deployments(&[])])
        .await
        .expect_failure("", "✗ no deployments found in flux-system namespace\n");
}
