//! `flux reconcile`.

use serde_json::{Value, json};

use crate::script::{GIT, KS, Outcome, Step, flux, git, ks, with};

fn handled(object: Value) -> Value {
    with(object, "/status/lastHandledReconcileAt", json!("after"))
}

fn path(collection: &str, name: &str) -> String {
    format!("{collection}/{name}")
}

/// Returns the value of an annotation that a request set.
fn annotation<'a>(outcome: &'a Outcome, request: usize, name: &str) -> &'a str {
    outcome.bodies[request]["metadata"]["annotations"][name]
        .as_str()
        .unwrap_or_default()
}

#[tokio::test(start_paused = true)]
async fn a_source_is_reconciled() {
    let object = git("podinfo", "True", "ok");
    let done = with(
        handled(object.clone()),
        "/status/artifact",
        json!({"revision": "main@sha1:0cafe"}),
    );
    let script = vec![
        Step::get(&path(GIT, "podinfo"), &object),
        Step::patch(&path(GIT, "podinfo"), &object),
        // Not handled yet: it has to be watched.
        Step::list(GIT, &[object]).with_query("metadata.name%3Dpodinfo"),
        Step::watch(GIT, &[done]),
    ];
    let outcome = flux("reconcile source git podinfo", script).await;
    outcome.expect(
        "",
        "► annotating GitRepository podinfo in flux-system namespace\n\
         ✔ GitRepository annotated\n\
         ◎ waiting for GitRepository reconciliation\n\
         ✔ fetched revision main@sha1:0cafe\n",
    );
    let token = annotation(&outcome, 0, "reconcile.fluxcd.io/requestedAt");
    assert!(token.parse::<jiff::Timestamp>().is_ok(), "{token}");
}

#[tokio::test(start_paused = true)]
async fn a_kustomization_is_reconciled_after_its_source() {
    let object = ks("apps", "True", "ok");
    let source = with(
        git("podinfo", "True", "ok"),
        "/status/artifact",
        json!({"revision": "main@sha1:1"}),
    );
    let done = with(
        handled(object.clone()),
        "/status/lastAppliedRevision",
        json!("main@sha1:1"),
    );
    let script = vec![
        Step::get(&path(KS, "apps"), &object),
        Step::get(&path(GIT, "podinfo"), &source),
        Step::patch(&path(GIT, "podinfo"), &source),
        Step::list(GIT, &[handled(source)]),
        Step::patch(&path(KS, "apps"), &object),
        Step::list(KS, &[done]),
    ];
    flux("reconcile ks apps --with-source", script).await.expect(
        "",
        "► annotating GitRepository podinfo in flux-system namespace\n\
         ✔ GitRepository annotated\n\
         ◎ waiting for GitRepository reconciliation\n\
         ✔ fetched revision main@sha1:1\n\
         ► annotating Kustomization apps in flux-system namespace\n\
         ✔ Kustomization annotated\n\
         ◎ waiting for Kustomization reconciliation\n\
         ✔ applied revision main@sha1:1\n",
    );
}

#[tokio::test(start_paused = true)]
async fn a_suspended_object_is_refused() {
    let object = with(ks("apps", "True", "ok"), "/spec/suspend", json!(true));
    for args in ["reconcile ks apps", "reconcile ks apps --with-source"] {
        flux(args, vec![Step::get(&path(KS, "apps"), &object)])
            .await
            .expect_failure("", "✗ resource is suspended\n");
    }
}

#[tokio::test(start_paused = true)]
async fn a_stalled_object_fails_with_its_reason() {
    let object = ks("apps", "True", "ok");
    let stalled = json!([
        {"type": "Stalled", "status": "True", "message": "bad expression"},
        {"type": "Ready", "status": "False", "message": "bad expression"},
    ]);
    let stalled = with(handled(object.clone()), "/status/conditions", stalled);
    let script = vec![
        Step::get(&path(KS, "apps"), &object),
        Step::patch(&path(KS, "apps"), &object),
        Step::list(KS, &[stalled]),
    ];
    let outcome = flux("reconcile ks apps", script).await;
    assert_eq!(outcome.code, 1);
    assert!(
        outcome
            .err
            .ends_with("✗ Kustomization reconciliation failed: 'bad expression'\n"),
        "{outcome:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_failing_object_is_waited_for_until_the_time_is_over() {
    let object = ks("apps", "True", "ok");
    let failing = handled(ks("apps", "False", "kustomize build failed"));
    let script = vec![
        Step::get(&path(KS, "apps"), &object),
        Step::patch(&path(KS, "apps"), &object),
        Step::list(KS, &[failing]),
        Step::idle_watch(KS),
    ];
    let outcome = flux("reconcile ks apps --timeout 1m", script).await;
    assert_eq!(outcome.code, 1);
    let message = "✗ context deadline exceeded: kustomize build failed\n";
    assert!(outcome.err.ends_with(message), "{outcome:?}");
}

#[tokio::test(start_paused = true)]
async fn credentials_that_expire_end_a_wait() {
    let object = ks("apps", "True", "ok");
    let refused = Step::list(KS, &[]).failing(401, "Unauthorized", "Unauthorized");
    let script = vec![
        Step::get(&path(KS, "apps"), &object),
        Step::patch(&path(KS, "apps"), &object),
        refused,
    ];
    let outcome = flux("reconcile ks apps", script).await;
    assert_eq!(outcome.code, 1);
    assert!(outcome.err.ends_with("\n✗ Unauthorized\n"), "{outcome:?}");
}

#[tokio::test(start_paused = true)]
async fn a_silent_server_is_not_waited_for_beyond_the_timeout() {
    let script = vec![Step::get(&path(KS, "apps"), &Value::Null).unanswered()];
    let outcome = flux("reconcile ks apps --timeout 3s", script).await;
    outcome.expect_failure("", "✗ context deadline exceeded\n");
}

#[tokio::test(start_paused = true)]
async fn an_unknown_object_is_named_by_the_server() {
    let message = "kustomizations.kustomize.toolkit.fluxcd.io \"x\" not found";
    let missing = Step::get(&path(KS, "x"), &Value::Null).failing(404, "NotFound", message);
    flux("reconcile ks x", vec![missing])
        .await
        .expect_failure("", &format!("✗ {message}\n"));
    flux("reconcile ks", vec![])
        .await
        .expect_failure("", "✗ Kustomization name is required\n");
}

#[tokio::test(start_paused = true)]
async fn a_static_object_has_nothing_to_reconcile() {
    let helm = "/apis/source.toolkit.fluxcd.io/v1/namespaces/flux-system/helmrepositories/charts";
    let object = json!({"metadata": {"name": "charts"}, "spec": {"type": "oci"}});
    flux("reconcile source helm charts", vec![Step::get(helm, &object)])
        .await
        .expect("", "✔ reconciliation not supported by the object\n");
}

#[tokio::test(start_paused = true)]
async fn a_helm_release_takes_its_chart_along() {
    let releases = "/apis/helm.toolkit.fluxcd.io/v2/namespaces/flux-system/helmreleases";
    let repository = "/apis/source.toolkit.fluxcd.io/v1/namespaces/charts/helmrepositories/repo";
    let charts = "/apis/source.toolkit.fluxcd.io/v1/namespaces/charts/helmcharts";
    let release = with(
        ks("app", "True", "ok"),
        "/spec/chart",
        json!({"spec": {"sourceRef": {"kind": "HelmRepository", "name": "repo", "namespace": "charts"}}}),
    );
    let chart = with(
        ks("flux-system-app", "True", "ok"),
        "/metadata/namespace",
        json!("charts"),
    );
    let done = with(
        handled(release.clone()),
        "/status/history",
        json!([{"chartVersion": "1.2.3"}]),
    );
    let script = vec![
        Step::get(&path(releases, "app"), &release),
        Step::get(
            repository,
            &json!({"metadata": {"name": "repo"}, "spec": {"type": "oci"}}),
        ),
        Step::get(&path(charts, "flux-system-app"), &chart),
        Step::patch(&path(charts, "flux-system-app"), &chart),
        Step::list(charts, &[handled(chart)]),
        Step::patch(&path(releases, "app"), &release),
        Step::list(releases, &[done]),
    ];
    let outcome = flux("reconcile hr app --with-source --force --reset", script).await;
    assert_eq!(outcome.code, 0, "{outcome:?}");
    assert!(outcome.err.ends_with("✔ applied revision 1.2.3\n"), "{outcome:?}");
    let token = annotation(&outcome, 1, "reconcile.fluxcd.io/requestedAt");
    assert_eq!(annotation(&outcome, 1, "reconcile.fluxcd.io/forceAt"), token);
    assert_eq!(annotation(&outcome, 1, "reconcile.fluxcd.io/resetAt"), token);
    assert_eq!(annotation(&outcome, 0, "reconcile.fluxcd.io/forceAt"), "");
}
