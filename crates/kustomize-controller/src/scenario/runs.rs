//! What a run leaves behind.

use super::*;
use crate::inventory::inventory;

const CONFIG_MAP: &str = "/api/v1/namespaces/ns/configmaps/a";

#[tokio::test]
async fn cluster_scoped_object_survives_an_inventory_that_gives_it_a_namespace() {
    let widget = "apiVersion: example.com/v1\nkind: Widget\nmetadata: {name: w}\n";
    let scenario = Scenario::new(&[], "", &[("w.yaml", widget)]);
    let (mut object, outcome) = scenario
        .run(&kustomization(&json!({ "targetNamespace": "ns" })))
        .await;
    assert_eq!(outcome, Outcome::Done);
    let ids = |object: &Kustomization| -> Vec<String> {
        let entries = &object
            .status
            .as_ref()
            .unwrap()
            .inventory
            .as_ref()
            .unwrap()
            .entries;
        entries.iter().map(|entry| entry.id.clone()).collect()
    };
    assert_eq!(ids(&object), ["_w_example.com_Widget"]);
    let path = "/apis/example.com/v1/widgets/w";
    let before = scenario.server.get(path).unwrap();
    // As a process left it that was ended between the announcement and the result.
    let entries = &mut object
        .status
        .as_mut()
        .unwrap()
        .inventory
        .as_mut()
        .unwrap()
        .entries;
    entries[0].id = "ns_w_example.com_Widget".into();
    object.metadata.generation = Some(2);
    let (object, outcome) = scenario.run(&object).await;
    assert_eq!(outcome, Outcome::Done);
    assert_eq!(ids(&object), ["_w_example.com_Widget"]);
    assert_eq!(scenario.server.get(path).unwrap(), before);
}

#[tokio::test]
async fn run_that_may_not_watch_asks_each_time() {
    let scenario = Scenario::new(&[], "", &[("a.yaml", &config_map("a", "{k: v}"))]);
    scenario.server.forbid_lists();
    let (object, _) = scenario.run(&kustomization(&json!({}))).await;
    scenario.requests.take();
    // Somebody else writes it, which no watch tells.
    let mut changed = scenario.server.get(CONFIG_MAP).unwrap();
    changed["data"]["k"] = "theirs".into();
    scenario.server.put(CONFIG_MAP, changed);
    let (_, outcome) = scenario.run(&object).await;
    assert_eq!(outcome, Outcome::Done);
    assert_eq!(scenario.server.get(CONFIG_MAP).unwrap()["data"]["k"], "v");
}

#[tokio::test]
async fn run_that_somebody_asked_for_looks_at_everything() {
    let mut scenario = Scenario::new(&[], "", &[("a.yaml", &config_map("a", "{k: v}"))]);
    let (mut object, _) = scenario.run(&kustomization(&json!({}))).await;
    let unpacked = |messages: &[String]| messages.len();
    scenario.events();
    // Nothing has changed: nothing is built.
    object.spec.path = Some("./".into());
    std::fs::remove_dir_all(scenario._cache.path()).unwrap();
    let (mut object, outcome) = scenario.run(&object).await;
    assert_eq!(outcome, Outcome::Done);
    assert_eq!(unpacked(&scenario.events()), 1);
    // With a request it is, which shows because what would be built is gone.
    request(&mut object);
    scenario.store_source("main@sha1:1");
    let (object, _) = scenario.run(&object).await;
    let (_, reason, message) = ready(&object);
    assert_eq!(reason, ferro_api::reason::ARTIFACT_FAILED, "{message}");
}

#[tokio::test]
async fn run_that_somebody_asked_for_sees_what_no_watch_has_told_of_its_source() {
    let scenario = Scenario::new(&[], "", &[("a.yaml", &config_map("a", "{k: v}"))]);
    scenario.store_source("main@sha1:2");
    let revision = |object: &Kustomization| {
        let status = object.status.as_ref().unwrap();
        status.last_applied_revision.clone().unwrap()
    };
    let (mut object, _) = scenario.run(&kustomization(&json!({}))).await;
    assert_eq!(revision(&object), "main@sha1:1");
    request(&mut object);
    let (object, _) = scenario.run(&object).await;
    assert_eq!(revision(&object), "main@sha1:2");
}

#[tokio::test]
async fn values_from_secrets_are_not_shown() {
    let mut scenario = Scenario::new(
        &[],
        "",
        &[("a.yaml", &config_map("a", "{refused: \"${password}\"}"))],
    );
    let path = "/api/v1/namespaces/ns/secrets/vars";
    // A value of another key is no text, which matters to nobody who does not use it.
    let data = json!({ "password": "aHVudGVyMg==", "keystore": "/v8=" });
    let secret = json!({ "apiVersion": "v1", "kind": "Secret", "metadata": { "name": "vars", "namespace": "ns" }, "data": data });
    scenario.server.put(path, secret);
    let from = json!({ "postBuild": { "substituteFrom": [{ "kind": "Secret", "name": "vars" }] } });
    let (object, outcome) = scenario.run(&kustomization(&from)).await;
    let expected =
        "ConfigMap/ns/a dry-run failed (Invalid): data.refused: Invalid value: \"*****\": must not be there";
    assert_eq!(ready(&object).2, expected);
    assert_eq!(scenario.events(), [expected]);
    let shown = format!("{outcome:?} {:?}", object.status);
    assert!(
        !shown.contains("hunter2") && !shown.contains("aHVudGVyMg"),
        "{shown}"
    );
}

#[tokio::test]
async fn value_that_is_no_text_fails_those_who_use_it() {
    let scenario = Scenario::new(&[], "", &[("a.yaml", &config_map("a", "{k: \"${keystore}\"}"))]);
    let path = "/api/v1/namespaces/ns/secrets/vars";
    let secret = json!({ "metadata": { "name": "vars", "namespace": "ns" }, "data": { "keystore": "/v8=" } });
    scenario.server.put(path, secret);
    let from = json!({ "postBuild": { "substituteFrom": [{ "kind": "Secret", "name": "vars" }] } });
    let (object, _) = scenario.run(&kustomization(&from)).await;
    assert_eq!(ready(&object).1, "BuildFailed");
    assert_eq!(scenario.server.get(CONFIG_MAP), None);
}

#[tokio::test]
async fn missing_variables_fail_the_build_of_the_revision_that_was_attempted() {
    let mut scenario = Scenario::new(&[], "", &[("a.yaml", &config_map("a", "{k: v}"))]);
    let from = json!({ "postBuild": { "substituteFrom": [{ "kind": "ConfigMap", "name": "vars" }] } });
    let (object, _) = scenario.run(&kustomization(&from)).await;
    let expected = "substitute from 'ConfigMap/vars' error: \"vars\" not found";
    let (status, reason, message) = ready(&object);
    assert_eq!(
        (status.as_str(), reason.as_str(), message.as_str()),
        ("False", "BuildFailed", expected)
    );
    assert_eq!(
        object.status.unwrap().last_attempted_revision.as_deref(),
        Some("main@sha1:1")
    );
    let event = scenario.events.try_recv().unwrap();
    assert_eq!(
        event.metadata["kustomize.toolkit.fluxcd.io/revision"],
        "main@sha1:1"
    );
}

#[tokio::test]
async fn failed_apply_forgets_nothing_that_is_there() {
    let files = [
        ("a.yaml", config_map("a", "{k: v}")),
        ("b.yaml", config_map("b", "{refused: x}")),
    ];
    let files: Vec<(&str, &str)> = files.iter().map(|(name, text)| (*name, text.as_str())).collect();
    let scenario = Scenario::new(&[], "", &files);
    let (object, _) = scenario.run(&kustomization(&json!({}))).await;
    assert_eq!(ready(&object).1, "ReconciliationFailed");
    let names: Vec<String> = inventory(&object)
        .into_iter()
        .map(|entry| entry.id.name)
        .collect();
    assert_eq!(names, ["a"]);
}

#[tokio::test]
async fn wait_without_anything_to_wait_for_says_nothing_of_health() {
    let ignored = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: a\n  namespace: ns\n  annotations: {kustomize.toolkit.fluxcd.io/ssa: Ignore}\n";
    let mut scenario = Scenario::new(&[], "", &[("a.yaml", ignored)]);
    let (object, outcome) = scenario.run(&kustomization(&json!({ "wait": true }))).await;
    assert_eq!(outcome, Outcome::Done);
    assert!(object.condition(condition::HEALTHY).is_none());
    assert_eq!(scenario.events().len(), 1);
}

#[tokio::test]
async fn interrupt_before_the_health_check_leaves_ready_alone() {
    let mut scenario = Scenario::new(&[], "", &[("a.yaml", &config_map("a", "{k: v}"))]);
    let mut pass = scenario.pass(&kustomization(&json!({})));
    pass.interrupt.fire(ferro_runtime::reconcile::Cause::NewWork(
        "ConfigMap/ns/vars".into(),
    ));
    let outcome = scenario.reconciler.reconcile(&mut pass).await;
    assert_eq!(outcome, Outcome::Superseded);
    assert_eq!(ready(&pass.object).1, "Progressing");
    assert_eq!(scenario.events(), [""; 0]);
}

#[tokio::test]
async fn missing_source_is_named_by_its_kind() {
    let scenario = Scenario::new(&[], "", &[]);
    let spec = json!({ "sourceRef": { "kind": "Bucket", "name": "none" } });
    let (object, _) = scenario.run(&kustomization(&spec)).await;
    assert_eq!(
        ready(&object).2,
        "Bucket.source.toolkit.fluxcd.io \"none\" not found"
    );
}

#[tokio::test]
async fn two_owners_of_an_object_both_put_their_own_in() {
    let scenario = Scenario::new(&[], "", &[("a.yaml", &config_map("a", "{k: v}"))]);
    let first = kustomization(&json!({}));
    let mut second = first.clone();
    second.metadata.name = Some("other".into());
    let (first, _) = scenario.run(&first).await;
    scenario.run(&second).await;
    scenario.run(&first).await;
    let label = "kustomize.toolkit.fluxcd.io/name";
    assert_eq!(
        scenario.server.get(CONFIG_MAP).unwrap()["metadata"]["labels"][label],
        "apps"
    );
}

#[tokio::test]
async fn deletion_waits_for_a_kubeconfig_that_is_gone() {
    let scenario = Scenario::new(&[], "", &[("a.yaml", &config_map("a", "{k: v}"))]);
    let (mut object, _) = scenario.run(&kustomization(&json!({}))).await;
    object.spec.kube_config = serde_json::from_value(json!({ "secretRef": { "name": "gone" } })).unwrap();
    let finalize =
        async |object: &Kustomization| scenario.reconciler.finalize(&mut scenario.pass(object)).await;
    let error = finalize(&object).await.unwrap_err();
    assert!(
        error.starts_with("unable to read KubeConfig secret 'ns/gone' error: "),
        "{error}"
    );
    // Who wants nothing deleted does not need it.
    object.spec.deletion_policy = serde_json::from_value(json!("Orphan")).unwrap();
    finalize(&object).await.unwrap();
    assert!(scenario.server.get(CONFIG_MAP).is_some());
}

fn request(object: &mut Kustomization) {
    object.metadata.annotations = Some(std::collections::BTreeMap::from([(
        "reconcile.fluxcd.io/requestedAt".to_owned(),
        "now".to_owned(),
    )]));
}
