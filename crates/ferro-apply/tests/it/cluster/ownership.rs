//! What an apply writes, and whose fields it leaves alone.

use std::sync::Arc;
use std::time::Duration;

use ferro_apply::ApplyOptions;
use ferro_apply::ignore::{RuleSpec, Rules};
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use serde_json::json;

use super::{api, fixture, get, restarted, wait_options, write};
use crate::support::{GROUP, PATIENCE, actions, config_map, deployment};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn apply_costs_what_it_must() {
    let Some(fixture) = fixture("ferro-budget").await else {
        return;
    };
    let ns = fixture.owner.name.clone();
    let ns = ns.as_str();
    let objects = [
        json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "a", "namespace": ns}}),
        json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "a", "namespace": ns}, "spec": {"ports": [{"port": 80, "protocol": "TCP"}]}}),
        deployment(ns, "a", 0),
        json!({"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": {"name": "a", "namespace": ns},
            "spec": {"defaultBackend": {"service": {"name": "a", "port": {"number": 80}}}}}),
    ];
    let changes = fixture.apply(&objects).await;
    assert_eq!(actions(&changes), ["created"; 4]);
    assert_eq!(
        fixture.requests.take(),
        [
            "PATCH serviceaccounts/a",
            "PATCH services/a",
            "PATCH deployments/a",
            "PATCH ingresses/a"
        ]
    );
    fixture
        .cluster
        .wait(&changes.entries(), &wait_options())
        .await
        .unwrap();
    assert_eq!(actions(&fixture.apply(&objects).await), ["unchanged"; 4]);
    assert_eq!(fixture.requests.take(), [""; 0]);
    let restarted = restarted(&fixture).await;
    assert_eq!(actions(&restarted.apply(&objects).await), ["unchanged"; 4]);
    let mut requests = restarted.requests.take();
    requests.sort();
    assert_eq!(
        requests,
        [
            "PATCH deployments/a dry-run",
            "PATCH ingresses/a dry-run",
            "PATCH serviceaccounts/a dry-run",
            "PATCH services/a dry-run"
        ]
    );
    assert_eq!(actions(&restarted.apply(&objects).await), ["unchanged"; 4]);
    assert_eq!(restarted.requests.take(), [""; 0]);
    let changed = [
        objects[0].clone(),
        objects[1].clone(),
        deployment(ns, "a", 1),
        objects[3].clone(),
    ];
    assert_eq!(
        actions(&fixture.apply(&changed).await),
        ["unchanged", "unchanged", "configured", "unchanged"]
    );
    assert_eq!(
        fixture.requests.take(),
        ["PATCH deployments/a dry-run", "PATCH deployments/a"]
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn drift_is_seen_and_undone_and_foreign_fields_are_kept() {
    let Some(mut fixture) = fixture("ferro-drift").await else {
        return;
    };
    let ns = fixture.owner.name.clone();
    let ns = ns.as_str();
    let map = config_map(ns, "a", &json!({"k": "v"}));
    fixture.apply(std::slice::from_ref(&map)).await;
    // Another manager's field is none of ours.
    write(&fixture.cluster, &map, "other", &json!({"data": {"theirs": "x"}})).await;
    // An edit with kubectl is undone with all that it added.
    write(
        &fixture.cluster,
        &map,
        "kubectl-edit",
        &json!({"data": {"k": "w", "more": "y"}, "metadata": {"labels": {"added": "z"}}}),
    )
    .await;
    let drift = fixture.drift().await;
    assert_eq!(
        (drift.object.name.as_str(), drift.deleted, drift.writer.as_deref()),
        ("a", false, Some("kubectl-edit"))
    );
    assert_eq!(
        actions(&fixture.apply(std::slice::from_ref(&map)).await),
        ["configured"]
    );
    let live = get(&fixture.cluster, &map).await.unwrap();
    assert_eq!(live["data"], json!({"k": "v", "theirs": "x"}));
    assert_eq!(live["metadata"]["labels"].get("added"), None);
    fixture.requests.take();
    assert_eq!(
        actions(&fixture.apply(std::slice::from_ref(&map)).await),
        ["unchanged"]
    );
    assert_eq!(fixture.requests.take(), [""; 0]);
    api(&fixture.cluster, &map)
        .await
        .delete("a", &DeleteParams::default())
        .await
        .unwrap();
    assert!(fixture.drift().await.deleted);
    assert_eq!(
        actions(&fixture.apply(std::slice::from_ref(&map)).await),
        ["created"]
    );
    assert!(fixture.drifts.try_recv().is_err());
    // A frozen object is left alone, and does not call for repair.
    let freeze = json!({"metadata": {"annotations": {format!("{GROUP}/reconcile"): "disabled"}}});
    write(&fixture.cluster, &map, "kubectl-annotate", &freeze).await;
    write(
        &fixture.cluster,
        &map,
        "kubectl-edit",
        &json!({"data": {"k": "frozen"}}),
    )
    .await;
    let frozen = async {
        while actions(&fixture.apply(std::slice::from_ref(&map)).await) != ["skipped"] {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, frozen).await.unwrap();
    assert!(fixture.drifts.try_recv().is_err());
    write(
        &fixture.cluster,
        &map,
        "kubectl-annotate",
        &json!({"metadata": {"annotations": null}}),
    )
    .await;
    fixture.drift().await;
    assert_eq!(
        actions(&fixture.apply(std::slice::from_ref(&map)).await),
        ["configured"]
    );
    assert_eq!(get(&fixture.cluster, &map).await.unwrap()["data"]["k"], "v");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn takeover_from_upstream_writes_nothing() {
    let Some(fixture) = fixture("ferro-takeover").await else {
        return;
    };
    let ns = fixture.owner.name.clone();
    let ns = ns.as_str();
    // Upstream's payload has the zero values of Go's types.
    let ours = deployment(ns, "a", 0);
    let mut theirs = fixture
        .objects(std::slice::from_ref(&ours))
        .remove(0)
        .value()
        .clone();
    theirs["spec"]["strategy"] = json!({});
    theirs["spec"]["template"]["spec"]["containers"][0]["resources"] = json!({});
    theirs["spec"]["template"]["metadata"]["creationTimestamp"] = json!(null);
    let params = PatchParams::apply("kustomize-controller").force();
    api(&fixture.cluster, &ours)
        .await
        .patch("a", &params, &Patch::Apply(&theirs))
        .await
        .unwrap();
    tokio::time::sleep(Duration::from_millis(500)).await;
    let before = get(&fixture.cluster, &ours).await.unwrap();
    fixture.requests.take();
    assert_eq!(
        actions(&fixture.apply(std::slice::from_ref(&ours)).await),
        ["unchanged"]
    );
    assert_eq!(fixture.requests.take(), ["PATCH deployments/a dry-run"]);
    assert_eq!(get(&fixture.cluster, &ours).await.unwrap(), before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn takeover_from_kubectl_folds_its_fields() {
    let Some(fixture) = fixture("ferro-kubectl").await else {
        return;
    };
    let ns = fixture.owner.name.clone();
    let ns = ns.as_str();
    let mut theirs = config_map(ns, "a", &json!({"k": "v", "old": "x"}));
    theirs["metadata"]["annotations"] = json!({"kubectl.kubernetes.io/last-applied-configuration": "{}"});
    let params = PostParams {
        field_manager: Some("kubectl-client-side-apply".into()),
        dry_run: false,
    };
    let object = serde_json::from_value(theirs.clone()).unwrap();
    api(&fixture.cluster, &theirs)
        .await
        .create(&params, &object)
        .await
        .unwrap();
    let ours = config_map(ns, "a", &json!({"k": "v"}));
    assert_eq!(
        actions(&fixture.apply(std::slice::from_ref(&ours)).await),
        ["configured"]
    );
    let live = get(&fixture.cluster, &ours).await.unwrap();
    assert_eq!(live["data"], json!({"k": "v"}));
    assert_eq!(live["metadata"].get("annotations"), None);
    let managers: Vec<&str> = live["metadata"]["managedFields"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|entry| entry["manager"].as_str())
        .collect();
    assert_eq!(managers, ["kustomize-controller"]);
    fixture.requests.take();
    assert_eq!(
        actions(&fixture.apply(std::slice::from_ref(&ours)).await),
        ["unchanged"]
    );
    assert_eq!(fixture.requests.take(), [""; 0]);
    // `ssa: Merge` keeps what kubectl adds.
    let mut merged = ours.clone();
    merged["metadata"]["annotations"] = json!({format!("{GROUP}/ssa"): "Merge"});
    fixture.apply(std::slice::from_ref(&merged)).await;
    write(
        &fixture.cluster,
        &ours,
        "kubectl-edit",
        &json!({"data": {"theirs": "y"}}),
    )
    .await;
    fixture.apply(std::slice::from_ref(&merged)).await;
    assert_eq!(
        get(&fixture.cluster, &ours).await.unwrap()["data"],
        json!({"k": "v", "theirs": "y"})
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ignored_fields_stay_as_they_are() {
    let Some(fixture) = fixture("ferro-ignore").await else {
        return;
    };
    let ns = fixture.owner.name.clone();
    let ns = ns.as_str();
    let map = config_map(ns, "a", &json!({"k": "1", "ignored": "1"}));
    let rule = RuleSpec {
        target: None,
        paths: vec!["/data/ignored".into()],
    };
    let options = ApplyOptions {
        ignore: Arc::new(Rules::compile(&[rule]).unwrap()),
        ..fixture.options()
    };
    fixture
        .apply_with(std::slice::from_ref(&map), &options)
        .await
        .unwrap();
    write(
        &fixture.cluster,
        &map,
        "other",
        &json!({"data": {"ignored": "theirs"}}),
    )
    .await;
    let settled = async {
        while actions(
            &fixture
                .apply_with(std::slice::from_ref(&map), &options)
                .await
                .unwrap(),
        ) != ["unchanged"]
        {}
    };
    tokio::time::timeout(PATIENCE, settled).await.unwrap();
    let changed = config_map(ns, "a", &json!({"k": "2", "ignored": "1"}));
    assert_eq!(
        actions(
            &fixture
                .apply_with(std::slice::from_ref(&changed), &options)
                .await
                .unwrap()
        ),
        ["configured"]
    );
    assert_eq!(
        get(&fixture.cluster, &map).await.unwrap()["data"],
        json!({"k": "2", "ignored": "theirs"})
    );
    assert_eq!(
        actions(
            &fixture
                .apply_with(std::slice::from_ref(&changed), &options)
                .await
                .unwrap()
        ),
        ["unchanged"]
    );
}
