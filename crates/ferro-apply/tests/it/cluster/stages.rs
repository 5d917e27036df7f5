//! The order of an apply, and what its errors leave behind.

use std::sync::Arc;
use std::time::Duration;

use ferro_apply::{ApplyOptions, WaitOptions};
use ferro_kstatus::{HealthExpr, HealthExprs};
use kube::api::{DeleteParams, Patch, PatchParams};
use serde_json::json;

use super::{api, fixture, get, restarted, wait_options, write};
use crate::support::{PATIENCE, actions, config_map, deployment};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn definitions_and_their_resources_go_together() {
    let Some(fixture) = fixture("ferro-crd").await else {
        return;
    };
    let ns = fixture.owner.name.clone();
    let ns = ns.as_str();
    let definition = json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "widgets.ferro.example.com"},
        "spec": {"group": "ferro.example.com", "scope": "Namespaced", "names": {"kind": "Widget", "plural": "widgets", "singular": "widget"},
            "versions": [{"name": "v1", "served": true, "storage": true, "subresources": {"status": {}}, "schema": {"openAPIV3Schema": {"type": "object",
                "properties": {"spec": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}, "status": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}}}}}]}});
    let definitions = api(&fixture.cluster, &definition).await;
    let _gone = definitions
        .delete("widgets.ferro.example.com", &DeleteParams::default())
        .await;
    while definitions
        .get_opt("widgets.ferro.example.com")
        .await
        .unwrap()
        .is_some()
    {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let widget = json!({"apiVersion": "ferro.example.com/v1", "kind": "Widget", "metadata": {"name": "w", "namespace": ns}, "spec": {"a": 1}});
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": ns}});
    let objects = [widget.clone(), definition.clone(), namespace];
    let changes = fixture.apply(&objects).await;
    assert_eq!(actions(&changes), ["created", "configured", "created"]);
    // An expression judges it, on watches.
    let expr = HealthExpr {
        api_version: "ferro.example.com/v1",
        kind: "Widget",
        current: "status.phase == 'done'",
        in_progress: None,
        failed: Some("status.phase == 'broken'"),
    };
    let options = WaitOptions {
        exprs: Arc::new(HealthExprs::compile(&[expr]).unwrap()),
        ..wait_options()
    };
    let entries = changes.entries();
    let wait = fixture.cluster.wait(&entries, &options);
    let finish = async {
        tokio::time::sleep(Duration::from_millis(200)).await;
        let patch = json!({"status": {"phase": "done"}});
        api(&fixture.cluster, &widget)
            .await
            .patch_status("w", &PatchParams::default(), &Patch::Merge(&patch))
            .await
            .unwrap();
    };
    let (outcome, ()) = Box::pin(tokio::time::timeout(PATIENCE, async {
        tokio::join!(wait, finish)
    }))
    .await
    .unwrap();
    outcome.unwrap();
    let short = WaitOptions {
        timeout: Duration::from_millis(300),
        ..options.clone()
    };
    let patch = json!({"status": {"phase": "broken"}});
    api(&fixture.cluster, &widget)
        .await
        .patch_status("w", &PatchParams::default(), &Patch::Merge(&patch))
        .await
        .unwrap();
    let error = async {
        loop {
            if let Err(error) = fixture.cluster.wait(&entries, &short).await {
                return error.to_string();
            }
        }
    };
    let error = tokio::time::timeout(PATIENCE, error).await.unwrap();
    assert_eq!(
        error,
        format!("failed early due to stalled resources: [Widget/{ns}/w status: 'Failed']")
    );
    let restarted = restarted(&fixture).await;
    assert_eq!(actions(&restarted.apply(&objects).await), ["unchanged"; 3]);
    assert_eq!(
        actions(
            &restarted
                .cluster
                .prune(
                    vec![entries[2].clone(), entries[0].clone()],
                    &[],
                    &fixture.owner,
                    4
                )
                .await
                .unwrap()
        ),
        ["deleted"; 2]
    );
    restarted
        .cluster
        .wait_for_termination(&entries[..1], PATIENCE)
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn immutable_fields_need_force() {
    let Some(fixture) = fixture("ferro-immutable").await else {
        return;
    };
    let ns = fixture.owner.name.clone();
    let ns = ns.as_str();
    let first = deployment(ns, "a", 0);
    fixture.apply(std::slice::from_ref(&first)).await;
    let mut second = first.clone();
    second["spec"]["selector"]["matchLabels"] = json!({"app": "b"});
    second["spec"]["template"]["metadata"]["labels"] = json!({"app": "b"});
    let error = fixture
        .apply_with(std::slice::from_ref(&second), &fixture.options())
        .await
        .unwrap_err();
    assert!(
        error.starts_with(&format!(
            "Deployment/{ns}/a dry-run failed (Invalid): Deployment.apps \"a\" is invalid: spec.selector"
        )),
        "{error}"
    );
    let force = ApplyOptions {
        force: true,
        ..fixture.options()
    };
    // A plainly invalid object is not deleted.
    let uid = get(&fixture.cluster, &first).await.unwrap()["metadata"]["uid"].clone();
    let invalid = {
        let mut object = first.clone();
        object["spec"]["replicas"] = json!(-1);
        object
    };
    assert!(
        fixture
            .apply_with(std::slice::from_ref(&invalid), &force)
            .await
            .is_err()
    );
    assert_eq!(
        get(&fixture.cluster, &first).await.unwrap()["metadata"]["uid"],
        uid
    );
    assert_eq!(
        actions(
            &fixture
                .apply_with(std::slice::from_ref(&second), &force)
                .await
                .unwrap()
        ),
        ["created"]
    );
    assert_ne!(
        get(&fixture.cluster, &first).await.unwrap()["metadata"]["uid"],
        uid
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn errors_leave_the_rest_alone() {
    let Some(fixture) = fixture("ferro-errors").await else {
        return;
    };
    let ns = fixture.owner.name.clone();
    let ns = ns.as_str();
    let good = config_map(ns, "good", &json!({"k": "1"}));
    fixture.apply(std::slice::from_ref(&good)).await;
    let invalid = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "bad", "namespace": ns}, "spec": {"ports": [{"port": 99999}]}});
    let changed = config_map(ns, "good", &json!({"k": "2"}));
    let error = fixture
        .apply_with(&[changed, invalid], &fixture.options())
        .await
        .unwrap_err();
    assert!(
        error.starts_with(&format!(
            "Service/{ns}/bad dry-run failed (Invalid): Service \"bad\" is invalid"
        )),
        "{error}"
    );
    assert_eq!(
        get(&fixture.cluster, &good).await.unwrap()["data"]["k"],
        "1",
        "nothing of the stage is written"
    );
    let unknown = json!({"apiVersion": "no.example.com/v1", "kind": "Nothing", "metadata": {"name": "a", "namespace": ns}});
    let error = fixture
        .apply_with(&[unknown], &fixture.options())
        .await
        .unwrap_err();
    assert_eq!(
        error,
        format!(
            "Nothing/{ns}/a dry-run failed: no matches for kind \"Nothing\" in version \"no.example.com/v1\""
        )
    );
    let error = fixture
        .apply_with(&[config_map("missing-ns", "a", &json!({}))], &fixture.options())
        .await
        .unwrap_err();
    assert_eq!(
        error,
        "ConfigMap/missing-ns/a not found: namespaces \"missing-ns\" not found"
    );
    let mut bare = config_map(ns, "a", &json!({}));
    bare["metadata"].as_object_mut().unwrap().remove("namespace");
    let error = fixture.apply_with(&[bare], &fixture.options()).await.unwrap_err();
    assert!(
        error.starts_with("ConfigMap/a namespace not specified: "),
        "{error}"
    );
    // A misspelt field of a built-in kind goes unnoticed, as with upstream.
    let mut odd = deployment(ns, "odd", 0);
    odd["spec"]["replica"] = json!(3);
    odd["spec"]["template"]["spec"]["containers"][0]["imagePullPolice"] = json!("x");
    assert_eq!(
        actions(&fixture.apply(std::slice::from_ref(&odd)).await),
        ["created"]
    );
    assert_eq!(
        actions(&fixture.apply(std::slice::from_ref(&odd)).await),
        ["unchanged"]
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_versions_of_a_kind_do_not_disturb_each_other() {
    let Some(mut fixture) = fixture("ferro-versions").await else {
        return;
    };
    let ns = fixture.owner.name.clone();
    let ns = ns.as_str();
    let target = json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": "a"});
    let old = json!({"apiVersion": "autoscaling/v1", "kind": "HorizontalPodAutoscaler", "metadata": {"name": "old", "namespace": ns},
        "spec": {"scaleTargetRef": target, "maxReplicas": 3, "targetCPUUtilizationPercentage": 50}});
    let new = json!({"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": {"name": "new", "namespace": ns},
        "spec": {"scaleTargetRef": target, "maxReplicas": 3, "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 50}}}]}});
    let objects = [old.clone(), new.clone()];
    fixture.apply(&objects).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    fixture.requests.take();
    assert_eq!(actions(&fixture.apply(&objects).await), ["unchanged"; 2]);
    assert_eq!(fixture.requests.take(), [""; 0]);
    assert!(fixture.drifts.try_recv().is_err());
    write(
        &fixture.cluster,
        &old,
        "other",
        &json!({"spec": {"maxReplicas": 9}}),
    )
    .await;
    assert_eq!(fixture.drift().await.object.name, "old");
    fixture.apply(&objects).await;
    assert_eq!(
        get(&fixture.cluster, &old).await.unwrap()["spec"]["maxReplicas"],
        3
    );
    let restarted = restarted(&fixture).await;
    assert_eq!(actions(&restarted.apply(&objects).await), ["unchanged"; 2]);
    restarted.requests.take();
    assert_eq!(actions(&restarted.apply(&objects).await), ["unchanged"; 2]);
    assert_eq!(restarted.requests.take(), [""; 0]);
}
