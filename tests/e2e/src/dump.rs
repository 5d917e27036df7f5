//! What a failed test leaves for its reader.

use std::fmt::Write as _;
use std::path::Path;

use kube::Client;
use kube::api::{Api, ApiResource, DynamicObject, GroupVersionKind, ListParams};
use serde_json::Value;

use crate::world::World;

/// Kinds whose objects are shown in full.
const SHOWN: [(&str, &str, &str); 4] = [
    ("source.toolkit.fluxcd.io", "v1", "GitRepository"),
    ("source.toolkit.fluxcd.io", "v1", "ExternalArtifact"),
    ("kustomize.toolkit.fluxcd.io", "v1", "Kustomization"),
    ("", "v1", "Event"),
];
/// Lines of each controller's log that are shown.
const LOG_LINES: usize = 40;

/// The objects, events and log lines of a namespace.
pub(crate) async fn namespace(world: &World, namespace: &str) -> String {
    let mut text = format!("--- state of namespace {namespace} ---\n");
    for (group, version, kind) in SHOWN {
        let objects = list(world.client(), namespace, group, version, kind).await;
        for object in objects {
            let line = if kind == "Event" {
                event(&object)
            } else {
                full(&object)
            };
            _ = writeln!(text, "{line}");
        }
    }
    for log in world.logs() {
        _ = writeln!(text, "--- {} ---\n{}", log.display(), matching(&log, namespace));
    }
    text
}

async fn list(client: &Client, namespace: &str, group: &str, version: &str, kind: &str) -> Vec<Value> {
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind));
    let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), namespace, &resource);
    let listed = api.list(&ListParams::default()).await;
    let objects = listed.map(|it| it.items).unwrap_or_default();
    objects
        .into_iter()
        .filter_map(|it| serde_json::to_value(it).ok())
        .collect()
}

fn full(object: &Value) -> String {
    let mut object = object.clone();
    if let Some(metadata) = object["metadata"].as_object_mut() {
        metadata.remove("managedFields");
    }
    // An inventory of thousands says nothing.
    if let Some(entries) = object
        .pointer_mut("/status/inventory/entries")
        .and_then(Value::as_array_mut)
    {
        entries.truncate(20);
    }
    serde_json::to_string_pretty(&object).unwrap_or_default()
}

fn event(event: &Value) -> String {
    let object = &event["involvedObject"];
    format!(
        "event {} {}/{} {}: {}",
        event["type"], object["kind"], object["name"], event["reason"], event["message"]
    )
}

fn matching(log: &Path, namespace: &str) -> String {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let all: Vec<&str> = text
        .lines()
        .filter(|it| it.contains(namespace) || it.contains("panic"))
        .collect();
    all.get(all.len().saturating_sub(LOG_LINES)..)
        .unwrap_or_default()
        .join("\n")
}
