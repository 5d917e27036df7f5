//! What follows an apply: pruning and waiting.

use std::time::Duration;

use ferro_apply::{Entry, WaitOptions};
use kube::api::PostParams;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::{api, fixture, get, wait_options, write};
use crate::support::{GROUP, PATIENCE, config_map, deployment};

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
        .prune(entries.clone(), &[], &fixture.owner, 4)
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
