//! `flux suspend` and `flux resume`.

use serde_json::{Value, json};

use crate::script::{KS, Step, flux, ks, with};

fn set(name: &str, suspend: bool) -> Step {
    let object = with(ks(name, "True", "ok"), "/spec/suspend", json!(suspend));
    Step::patch(&format!("{KS}/{name}"), &object).with_body(json!({"spec": {"suspend": suspend}}))
}

fn find(name: &'static str, items: &[Value]) -> Step {
    let query = match name {
        "apps" => "fieldSelector=metadata.name%3Dapps",
        "infra" => "fieldSelector=metadata.name%3Dinfra",
        _ => "fieldSelector=metadata.name",
    };
    Step::list(KS, items).with_query(query)
}

#[tokio::test(start_paused = true)]
async fn objects_are_suspended_once_each() {
    let script = vec![
        find("apps", &[ks("apps", "True", "ok")]),
        set("apps", true),
        find("foo", &[]),
        find("infra", &[ks("infra", "True", "ok")]).failing(403, "Forbidden", "no"),
    ];
    flux("suspend kustomization apps foo apps infra", script)
        .await
        .expect(
            "",
            "► suspending kustomization apps in flux-system namespace\n\
         ✔ kustomization suspended\n\
         ✗ Kustomization foo not found in flux-system namespace\n\
         ✗ failed suspending Kustomization infra in flux-system namespace: no\n",
        );
}

#[tokio::test(start_paused = true)]
async fn all_objects_of_a_namespace_are_suspended() {
    let script = vec![
        Step::list(KS, &[ks("apps", "True", "ok"), ks("infra", "True", "ok")]),
        set("apps", true),
        set("infra", true),
    ];
    let outcome = flux("suspend ks --all", script).await;
    assert_eq!(
        (
            outcome.code,
            outcome.err.matches("✔ kustomization suspended").count()
        ),
        (0, 2)
    );
    flux("suspend ks --all", vec![Step::list(KS, &[])])
        .await
        .expect_failure("", "✗ no objects found\n");
    flux("suspend source git", vec![])
        .await
        .expect_failure("", "✗ source git name is required\n");
}

#[tokio::test(start_paused = true)]
async fn one_resumed_object_is_waited_for() {
    let suspended = with(ks("apps", "True", "ok"), "/spec/suspend", json!(true));
    let behind = with(ks("apps", "True", "ok"), "/metadata/generation", json!(2));
    let done = with(
        ks("apps", "True", "ok"),
        "/status/lastAppliedRevision",
        json!("main@sha1:1"),
    );
    let script = vec![
        find("apps", &[suspended]),
        set("apps", false),
        find("apps", &[behind]),
        Step::watch(KS, &[done]),
    ];
    flux("resume kustomization apps", script).await.expect(
        "",
        "► resuming kustomization apps in flux-system namespace\n\
         ✔ kustomization resumed\n\
         ◎ waiting for Kustomization reconciliation\n\
         ✔ Kustomization apps reconciliation completed\n\
         ✔ applied revision main@sha1:1\n",
    );
}

#[tokio::test(start_paused = true)]
async fn several_resumed_objects_are_not_waited_for() {
    let script = vec![
        find("apps", &[ks("apps", "True", "ok")]),
        set("apps", false),
        find("foo", &[]),
    ];
    flux("resume kustomization apps foo", script).await.expect(
        "",
        "► resuming kustomization apps in flux-system namespace\n\
         ✔ kustomization resumed\n\
         ✗ Kustomization object 'foo' not found in flux-system namespace\n",
    );
    let script = vec![find("apps", &[ks("apps", "True", "ok")]), set("apps", false)];
    flux("resume kustomization apps --wait=false", script)
        .await
        .expect(
            "",
            "► resuming kustomization apps in flux-system namespace\n✔ kustomization resumed\n",
        );
}

#[tokio::test(start_paused = true)]
async fn a_resumed_object_that_stalls_is_a_failure() {
    let stalled = json!([
        {"type": "Stalled", "status": "True", "message": "bad expression"},
        {"type": "Ready", "status": "False", "message": "bad expression"},
    ]);
    let stalled = with(ks("apps", "True", "ok"), "/status/conditions", stalled);
    let script = vec![
        find("apps", &[ks("apps", "True", "ok")]),
        set("apps", false),
        find("apps", &[stalled]),
    ];
    flux("resume kustomization apps", script).await.expect_failure(
        "",
        "► resuming kustomization apps in flux-system namespace\n\
         ✔ kustomization resumed\n\
         ◎ waiting for Kustomization reconciliation\n\
         ✗ bad expression\n\
         ✗ reconciliation failed for 1 Kustomization(s)\n",
    );
}

#[tokio::test(start_paused = true)]
async fn a_static_object_is_ready_at_once() {
    let alerts = "/apis/notification.toolkit.fluxcd.io/v1beta3/namespaces/flux-system/alerts";
    let alert = json!({"metadata": {"name": "slack", "generation": 3}, "spec": {}});
    let script = vec![
        Step::list(alerts, std::slice::from_ref(&alert)),
        Step::patch(&format!("{alerts}/slack"), &alert),
        Step::list(alerts, std::slice::from_ref(&alert)),
    ];
    let outcome = flux("resume alert slack", script).await;
    assert_eq!(outcome.code, 0);
    assert!(
        outcome.err.ends_with("✔ Alert reconciliation completed\n"),
        "{outcome:?}"
    );
}
