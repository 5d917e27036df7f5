use super::*;
use serde_json::json;

fn deployment(spec: Value) -> Value {
    json!({ "apiVersion": "apps/v1", "kind": "Deployment", "metadata": { "name": "a" }, "spec": spec })
}

fn containers(items: Value) -> Value {
    deployment(json!({ "template": { "spec": { "containers": items } } }))
}

#[test]
fn three_way_takes_what_is_asked_for_and_keeps_what_others_added() {
    let original = deployment(json!({ "replicas": 1, "paused": true, "old": { "a": 1, "b": 2 } }));
    let modified =
        deployment(json!({ "replicas": 2, "old": { "a": 1 }, "none": null, "new": { "x": null, "y": 1 } }));
    let live =
        deployment(json!({ "replicas": 5, "paused": true, "theirs": 1, "old": { "a": 3, "b": 2, "c": 4 } }));
    assert_eq!(
        three_way(&original, &modified, &live)["spec"],
        json!({ "replicas": 2, "theirs": 1, "old": { "a": 1, "c": 4 }, "new": { "y": 1 } })
    );
}

#[test]
fn lists_of_built_in_kinds_merge_by_their_keys() {
    let original = containers(json!([{ "name": "a", "image": "a:1" }, { "name": "gone", "image": "g" }]));
    let modified = containers(json!([{ "name": "new", "image": "n" }, { "name": "a", "image": "a:2" }]));
    let live = containers(
        json!([{ "name": "sidecar", "image": "s" }, { "name": "a", "image": "a:1", "tty": true },
        { "name": "gone", "image": "g" }]),
    );
    let merged = three_way(&original, &modified, &live);
    assert_eq!(
        merged.pointer("/spec/template/spec/containers").unwrap(),
        &json!([{ "name": "sidecar", "image": "s" }, { "name": "new", "image": "n" }, { "name": "a", "image": "a:2", "tty": true }])
    );
    // Other kinds have lists as a whole.
    let widget = |items: Value| json!({ "apiVersion": "example.com/v1", "kind": "Widget", "spec": { "items": items } });
    let merged = three_way(
        &widget(json!([])),
        &widget(json!([{ "name": "a" }])),
        &widget(json!([{ "name": "b" }])),
    );
    assert_eq!(merged["spec"]["items"], json!([{ "name": "a" }]));
}

#[test]
fn strategy_of_a_deployment_keeps_only_what_is_asked_for() {
    let modified = deployment(json!({ "strategy": { "type": "Recreate" } }));
    let live =
        deployment(json!({ "strategy": { "type": "RollingUpdate", "rollingUpdate": { "maxSurge": 1 } } }));
    let merged = three_way(&modified, &modified, &live);
    assert_eq!(merged["spec"]["strategy"], json!({ "type": "Recreate" }));
}

#[test]
fn finalizers_of_others_stay() {
    let map = |finalizers: Value| json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "finalizers": finalizers } });
    let merged = three_way(
        &map(json!(["old", "a"])),
        &map(json!(["a", "b"])),
        &map(json!(["theirs", "old", "a"])),
    );
    assert_eq!(merged["metadata"]["finalizers"], json!(["theirs", "a", "b"]));
}

#[test]
fn patch_is_what_differs() {
    let from = json!({ "a": 1, "b": { "c": 1, "d": [1] }, "e": 1 });
    let to = json!({ "a": 1, "b": { "c": 2, "d": [1, 2] }, "f": {} });
    assert_eq!(
        patch(&from, &to),
        Some(json!({ "b": { "c": 2, "d": [1, 2] }, "e": null, "f": {} }))
    );
    assert_eq!(patch(&from, &from), None);
}
