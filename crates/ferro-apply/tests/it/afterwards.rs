//! Pruning, namespaces of kinds that have none, and waiting, against the server in memory.

use std::time::Duration;

use ferro_apply::{Entry, ObjectId, WaitError, WaitOptions};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::server::Server;
use crate::support::{Fixture, PATIENCE, actions, config_map};

const WIDGET: &str = "/apis/example.com/v1/widgets/w";

fn fixture(server: &Server) -> Fixture {
    let (client, requests) = server.client();
    Fixture::new(client, requests, "apps")
}

fn widget() -> Value {
    // As kustomize leaves it that sets a namespace.
    json!({"apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"name": "w", "namespace": "n"}})
}

fn entry(group: &str, kind: &str, namespace: &str, name: &str) -> Entry {
    Entry {
        id: ObjectId {
            group: group.into(),
            kind: kind.into(),
            namespace: namespace.into(),
            name: name.into(),
        },
        version: "v1".into(),
    }
}

#[tokio::test]
async fn object_of_a_cluster_scoped_kind_is_known_without_its_namespace() {
    let server = Server::default();
    let fixture = fixture(&server);
    let mut objects = fixture.objects(&[widget(), config_map("n", "a", &json!({}))]);
    fixture.cluster.settle_namespaces(&mut objects).await;
    let ids: Vec<String> = objects.iter().map(|object| object.id().to_string()).collect();
    assert_eq!(ids, ["Widget/w", "ConfigMap/n/a"]);
    // A kind that is not served yet is known by its definition.
    let crd = json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": {"name": "gears.example.com"},
        "spec": {"group": "example.com", "names": {"kind": "Gear"}, "scope": "Cluster"}
    });
    let gear =
        json!({"apiVersion": "example.com/v1", "kind": "Gear", "metadata": {"name": "g", "namespace": "n"}});
    let mut objects = fixture.objects(&[crd, gear]);
    fixture.cluster.settle_namespaces(&mut objects).await;
    assert_eq!(objects[1].id().to_string(), "Gear/g");
}

#[tokio::test]
async fn prune_spares_what_is_kept_under_its_right_name() {
    let server = Server::default();
    let fixture = fixture(&server);
    let kept = fixture.apply(&[widget()]).await.entries();
    assert_eq!(kept, [entry("example.com", "Widget", "", "w")]);
    let alias = entry("example.com", "Widget", "n", "w");
    let prune = |kept: Vec<Entry>| {
        let (cluster, owner, alias) = (&fixture.cluster, &fixture.owner, alias.clone());
        async move { cluster.prune(vec![alias], &kept, owner, 4).await.unwrap() }
    };
    assert_eq!(actions(&prune(kept).await), ["skipped"]);
    assert!(server.get(WIDGET).is_some());
    assert_eq!(actions(&prune(Vec::new()).await), ["deleted"]);
    assert!(server.get(WIDGET).is_none());
}

#[tokio::test]
async fn prune_judges_the_object_as_it_is_and_not_as_the_index_has_it() {
    let server = Server::default();
    let fixture = fixture(&server);
    let entries = fixture.apply(&[config_map("n", "a", &json!({}))]).await.entries();
    let path = "/api/v1/namespaces/n/configmaps/a";
    // The watch is silent, so the index does not learn that somebody wants it kept.
    let mut changed = server.get(path).unwrap();
    changed["metadata"]["annotations"] = json!({"kustomize.toolkit.fluxcd.io/prune": "disabled"});
    server.put(path, changed);
    let pruned = fixture
        .cluster
        .prune(entries, &[], &fixture.owner, 4)
        .await
        .unwrap();
    assert_eq!(actions(&pruned), ["skipped"]);
    assert!(server.get(path).is_some());
}

#[tokio::test]
async fn objects_of_an_api_that_is_down_are_not_taken_for_deleted() {
    let server = Server::default();
    let entries = fixture(&server).apply(&[widget()]).await.entries();
    server.lose_widgets();
    // One that has never seen the API, and knows it by discovery only.
    let fixture = fixture(&server);
    let error = fixture
        .cluster
        .prune(entries.clone(), &[], &fixture.owner, 4)
        .await
        .unwrap_err();
    assert_eq!(error.left, entries);
    assert_eq!(
        error.causes[0].to_string(),
        "Widget/w dry-run failed: the API \"example.com/v1\" does not answer now: stale GroupVersion discovery: example.com/v1"
    );
    let left = fixture
        .cluster
        .wait_for_termination(&entries, Duration::from_millis(1))
        .await;
    assert_eq!(left.unwrap_err(), [entries[0].id.clone()]);
    assert!(server.get(WIDGET).is_some());
}

#[tokio::test]
async fn kinds_of_an_api_that_went_down_are_still_known() {
    let server = Server::default();
    let fixture = fixture(&server);
    let entries = fixture.apply(&[widget()]).await.entries();
    server.lose_widgets();
    fixture.cluster.mapper.invalidate().await;
    // A miss has discovery asked again.
    let missing = entry("", "Nothing", "n", "a");
    assert!(fixture.cluster.map(&missing.id, "v1").await.is_err());
    assert!(fixture.cluster.map(&entries[0].id, "v1").await.is_ok());
}

#[tokio::test]
async fn apply_that_is_cancelled_begins_no_further_object() {
    let server = Server::default();
    let fixture = fixture(&server);
    let options = fixture.options();
    options.cancel.cancel();
    let objects = [config_map("n", "a", &json!({}))];
    let error = fixture.apply_with(&objects, &options).await.unwrap_err();
    assert_eq!(error, WaitError::Cancelled.to_string());
    assert_eq!(fixture.requests.take(), [""; 0]);
}

#[tokio::test]
async fn wait_has_one_watch_for_the_objects_of_a_kind_and_namespace() {
    let server = Server::default();
    for index in 0..50 {
        let name = format!("m{index}");
        server.put(
            &format!("/api/v1/namespaces/n/configmaps/{name}"),
            config_map("n", &name, &json!({})),
        );
    }
    let fixture = fixture(&server);
    let mut entries: Vec<Entry> = (0..50)
        .map(|index| entry("", "ConfigMap", "n", &format!("m{index}")))
        .collect();
    let options = WaitOptions {
        timeout: PATIENCE,
        fail_fast: true,
        exprs: std::sync::Arc::default(),
        cancel: CancellationToken::new(),
        vanishing: Vec::new(),
    };
    fixture.cluster.wait(&entries, &options).await.unwrap();
    let lists = fixture
        .requests
        .count(|request| request.contains("/namespaces/n/configmaps?"));
    assert!(lists <= 2, "a list and a watch, not {lists}");
    entries.push(entry("", "ConfigMap", "n", "missing"));
    let short = WaitOptions {
        timeout: Duration::from_millis(100),
        ..options
    };
    let error = fixture.cluster.wait(&entries, &short).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "timeout waiting for: [ConfigMap/n/missing status: 'NotFound']"
    );
}
