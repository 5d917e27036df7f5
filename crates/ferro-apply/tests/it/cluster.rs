//! Against a real API server, named by `FERRO_TEST_KUBECONFIG`; each test works in a namespace of its own.

use std::sync::Arc;
use std::time::Duration;

use ferro_apply::ignore::{RuleSpec, Rules};
use ferro_apply::{ApplyOptions, Cluster, Entry, WaitOptions};
use ferro_kstatus::{HealthExpr, HealthExprs};
use kube::api::{DeleteParams, DynamicObject, Patch, PatchParams, PostParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use tower::ServiceBuilder;

use crate::support::{Fixture, GROUP, PATIENCE, Requests, actions, config_map, deployment};

async fn fixture(name: &str) -> Option<Fixture> {
    let Some(path) = std::env::var_os("FERRO_TEST_KUBECONFIG") else {
        println!("skipped: FERRO_TEST_KUBECONFIG is not set");
        return None;
    };
    // A name of its own, so that what an earlier run left does not matter.
    let started = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap();
    let name = format!("{name}-{:x}", started.as_millis());
    let requests = Requests::default();
    let fixture = Fixture::new(client(&path, &requests).await, requests, &name);
    let namespace: DynamicObject =
        serde_json::from_value(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}))
            .unwrap();
    let types = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
    api(&fixture.cluster, &types)
        .await
        .create(&PostParams::default(), &namespace)
        .await
        .unwrap();
    fixture.requests.take();
    Some(fixture)
}

async fn client(path: &std::ffi::OsStr, requests: &Requests) -> Client {
    let kubeconfig = Kubeconfig::read_from(path).unwrap();
    let config = kube::Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default())
        .await
        .unwrap();
    let requests = requests.clone();
    let record = ServiceBuilder::new().map_request(move |request: http::Request<kube::client::Body>| {
        requests.note(request.method(), request.uri());
        request
    });
    kube::client::ClientBuilder::try_from(config)
        .unwrap()
        .with_layer(&record.into_inner())
        .build()
}

/// A second controller on the same cluster, which knows nothing of the first.
async fn restarted(fixture: &Fixture) -> Fixture {
    let requests = Requests::default();
    let path = std::env::var_os("FERRO_TEST_KUBECONFIG").unwrap();
    Fixture::new(client(&path, &requests).await, requests, &fixture.owner.name)
}

async fn api(cluster: &Cluster, object: &Value) -> Api<DynamicObject> {
    let object = ferro_apply::Object::new(object.clone()).unwrap();
    let mapping = cluster.map(object.id(), object.version()).await.unwrap();
    cluster.api(&mapping, &object.id().namespace)
}

async fn get(cluster: &Cluster, object: &Value) -> Option<Value> {
    let found = api(cluster, object)
        .await
        .get_opt(object["metadata"]["name"].as_str().unwrap())
        .await
        .unwrap();
    found.map(|found| serde_json::to_value(found).unwrap())
}

/// Writes as another tool would.
async fn write(cluster: &Cluster, object: &Value, manager: &str, patch: &Value) {
    let params = PatchParams {
        field_manager: Some(manager.into()),
        ..PatchParams::default()
    };
    let name = object["metadata"]["name"].as_str().unwrap();
    api(cluster, object)
        .await
        .patch(name, &params, &Patch::Merge(patch))
        .await
        .unwrap();
}

fn wait_options() -> WaitOptions {
    WaitOptions {
        timeout: PATIENCE,
        fail_fast: true,
        exprs: Arc::default(),
        cancel: CancellationToken::new(),
        vanishing: Vec::new(),
    }
}

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
                .prune(vec![entries[2].clone(), entries[0].clone()], &fixture.owner, 4)
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pruning_respects_owners_and_markers() {
    let Some(fixture) = fixture("ferro-prune").await else {
        return;
    };
    let ns = fixture.owner.name.clone();
    let ns = ns.as_str();
    let mut kept = config_map(ns, "kept", &json!({}));
    kept["metadata"]["annotations"] = json!({format!("{GROUP}/prune"): "Disabled"});
    let objects = [
        config_map(ns, "gone", &json!({})),
        kept,
        config_map(ns, "taken", &json!({})),
        deployment(ns, "d", 0),
    ];
    let mut entries: Vec<Entry> = fixture.apply(&objects).await.entries();
    write(
        &fixture.cluster,
        &objects[2],
        "other",
        &json!({"metadata": {"labels": {format!("{GROUP}/name"): "somebody"}}}),
    )
    .await;
    let mut missing = entries[0].clone();
    missing.id.name = "never-there".into();
    entries.push(missing);
    let taken = async {
        loop {
            let live = get(&fixture.cluster, &objects[2]).await.unwrap();
            if live["metadata"]["labels"][format!("{GROUP}/name")] == "somebody" {
                tokio::time::sleep(Duration::from_millis(100)).await;
                return;
            }
        }
    };
    taken.await;
    let pruned = fixture
        .cluster
        .prune(entries.clone(), &fixture.owner, 4)
        .await
        .unwrap();
    let actions: Vec<(String, &str)> = pruned
        .0
        .iter()
        .map(|change| (change.entry.id.to_string(), change.action.as_str()))
        .collect();
    let expected = [
        ("Deployment", "d", "deleted"),
        ("ConfigMap", "taken", "skipped"),
        ("ConfigMap", "never-there", "deleted"),
        ("ConfigMap", "kept", "skipped"),
        ("ConfigMap", "gone", "deleted"),
    ];
    assert_eq!(
        actions,
        expected.map(|(kind, name, action)| (format!("{kind}/{ns}/{name}"), action))
    );
    let gone: Vec<Entry> = entries.into_iter().filter(|entry| entry.id.name == "d").collect();
    fixture
        .cluster
        .wait_for_termination(&gone, PATIENCE)
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn waits_end_with_readiness_failure_or_time() {
    let Some(fixture) = fixture("ferro-wait").await else {
        return;
    };
    let ns = fixture.owner.name.clone();
    let ns = ns.as_str();
    let changes = fixture.apply(&[deployment(ns, "ready", 0)]).await;
    fixture
        .cluster
        .wait(&changes.entries(), &wait_options())
        .await
        .unwrap();
    let stuck = fixture.apply(&[deployment(ns, "stuck", 1)]).await;
    let short = WaitOptions {
        timeout: Duration::from_millis(500),
        ..wait_options()
    };
    let error = fixture.cluster.wait(&stuck.entries(), &short).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("timeout waiting for: [Deployment/{ns}/stuck status: 'InProgress']")
    );
    // An object that nobody here applied, made while it is waited for.
    let foreign = config_map(ns, "foreign", &json!({}));
    let mut entry = stuck.entries().remove(0);
    let object = ferro_apply::Object::new(foreign.clone()).unwrap();
    entry.id = object.id().clone();
    let entries = [entry];
    let error = fixture.cluster.wait(&entries, &short).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("timeout waiting for: [ConfigMap/{ns}/foreign status: 'NotFound']")
    );
    let options = wait_options();
    let create = async {
        tokio::time::sleep(Duration::from_millis(200)).await;
        let object = serde_json::from_value(foreign.clone()).unwrap();
        api(&fixture.cluster, &foreign)
            .await
            .create(&PostParams::default(), &object)
            .await
            .unwrap();
    };
    let (outcome, ()) = tokio::join!(fixture.cluster.wait(&entries, &options), create);
    outcome.unwrap();
    let cancel = CancellationToken::new();
    let options = WaitOptions {
        cancel: cancel.clone(),
        ..wait_options()
    };
    let stuck = stuck.entries();
    let (outcome, ()) = tokio::join!(fixture.cluster.wait(&stuck, &options), async { cancel.cancel() });
    assert_eq!(outcome, Err(ferro_apply::WaitError::Cancelled));
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
