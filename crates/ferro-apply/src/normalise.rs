//! Giving objects the form in which they are compared and applied, as upstream's typed round trip does.
//!
//! What an API server would default under a key that lists are merged by, or would refuse, is settled here: the
//! protocol of ports, a Secret's `stringData`, a `status`. Everything else is left to the server.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};

/// Normalises an object before it is applied.
///
/// Fields of the wrong type are left for the server to refuse.
pub fn normalise(object: &mut Value) {
    let api_version = text(object, "apiVersion");
    let kind = text(object, "kind");
    let group = api_version.split_once('/').map_or("", |(group, _)| group);
    match (group, kind.as_str()) {
        ("", "Secret") => merge_string_data(object),
        ("", "Service") => default_protocols(object.pointer_mut("/spec/ports")),
        _ => {}
    }
    if let Some(pod) = pod_pointer(group, &kind).and_then(|pointer| object.pointer_mut(pointer)) {
        normalise_pod(pod);
    }
    drop_null_creation(object);
    let is_definition = group == "apiextensions.k8s.io" && kind == "CustomResourceDefinition";
    if !is_definition && let Some(fields) = object.as_object_mut() {
        fields.remove("status");
    }
}

fn text(object: &Value, field: &str) -> String {
    object
        .get(field)
        .and_then(Value::as_str)
        .unwrap_or_default()
        .to_owned()
}

/// Where the pod, or the template of one, is in an object of a kind.
fn pod_pointer(group: &str, kind: &str) -> Option<&'static str> {
    match (group, kind) {
        ("", "Pod") => Some(""),
        ("", "PodTemplate") => Some("/template"),
        ("", "ReplicationController")
        | ("apps" | "extensions", "Deployment" | "StatefulSet" | "DaemonSet" | "ReplicaSet")
        | ("batch", "Job") => Some("/spec/template"),
        ("batch", "CronJob") => Some("/spec/jobTemplate/spec/template"),
        _ => None,
    }
}

fn normalise_pod(pod: &mut Value) {
    drop_null_creation(pod);
    for list in ["containers", "initContainers"] {
        let containers = pod
            .pointer_mut(&format!("/spec/{list}"))
            .and_then(Value::as_array_mut);
        for container in containers.into_iter().flatten() {
            default_protocols(container.get_mut("ports"));
        }
    }
}

/// The protocol is part of the key that ports are merged by: two entries of one port need it.
fn default_protocols(ports: Option<&mut Value>) {
    for port in ports.and_then(Value::as_array_mut).into_iter().flatten() {
        if let Some(fields) = port.as_object_mut()
            && fields
                .get("protocol")
                .is_none_or(|protocol| protocol.is_null() || protocol == "")
        {
            fields.insert("protocol".to_owned(), "TCP".into());
        }
    }
}

/// `stringData` becomes part of `data`, over what is there. The server does the same, but would forget to remove what left it.
fn merge_string_data(secret: &mut Value) {
    let Some(fields) = secret.as_object_mut() else {
        return;
    };
    let decodable = |map: Option<&Value>| match map {
        None | Some(Value::Null) => true,
        Some(Value::Object(map)) => map.values().all(|value| value.is_string() || value.is_null()),
        Some(_) => false,
    };
    if !decodable(fields.get("data")) || !decodable(fields.get("stringData")) {
        return;
    }
    let Some(plain) = fields.remove("stringData") else {
        return;
    };
    let Value::Object(plain) = plain else { return };
    if plain.is_empty() {
        return;
    }
    let data = fields.entry("data").or_insert(Value::Null);
    if data.is_null() {
        *data = Value::Object(Map::new());
    }
    if let Some(data) = data.as_object_mut() {
        let encode = |value: &Value| STANDARD.encode(value.as_str().unwrap_or_default()).into();
        data.extend(plain.iter().map(|(key, value)| (key.clone(), encode(value))));
    }
}

/// Generated manifests carry `creationTimestamp: null`, which nobody means.
fn drop_null_creation(object: &mut Value) {
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.remove("creationTimestamp");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn check(mut object: Value, expected: &Value) {
        normalise(&mut object);
        assert_eq!(object, *expected);
        let again = object.clone();
        normalise(&mut object);
        assert_eq!(object, again, "a second time changes nothing");
    }

    #[test]
    fn string_data_wins_over_data() {
        check(
            json!({"apiVersion": "v1", "kind": "Secret", "data": {"a": "eA==", "b": "eQ=="}, "stringData": {"a": "1", "c": ""}}),
            &json!({"apiVersion": "v1", "kind": "Secret", "data": {"a": "MQ==", "b": "eQ==", "c": ""}}),
        );
        check(
            json!({"apiVersion": "v1", "kind": "Secret", "data": null, "stringData": {"a": "1"}}),
            &json!({"apiVersion": "v1", "kind": "Secret", "data": {"a": "MQ=="}}),
        );
        check(
            json!({"apiVersion": "v1", "kind": "Secret", "stringData": {}}),
            &json!({"apiVersion": "v1", "kind": "Secret"}),
        );
        // What is malformed is left to the server, which names it.
        let malformed = json!({"apiVersion": "v1", "kind": "Secret", "stringData": {"a": 1}});
        check(malformed.clone(), &malformed);
        let malformed = json!({"apiVersion": "v1", "kind": "Secret", "data": [], "stringData": {"a": "1"}});
        check(malformed.clone(), &malformed);
        let other = json!({"apiVersion": "example.com/v1", "kind": "Secret", "stringData": {"a": "1"}});
        check(other.clone(), &other);
    }

    #[test]
    fn ports_get_their_protocol() {
        let ports = json!([{"port": 80}, {"port": 53, "protocol": "UDP"}, {"port": 1, "protocol": null}]);
        let full = json!([{"port": 80, "protocol": "TCP"}, {"port": 53, "protocol": "UDP"}, {"port": 1, "protocol": "TCP"}]);
        check(
            json!({"apiVersion": "v1", "kind": "Service", "spec": {"ports": ports}}),
            &json!({"apiVersion": "v1", "kind": "Service", "spec": {"ports": full}}),
        );
        let pod = |ports: &Value| json!({"spec": {"containers": [{"name": "a", "ports": ports}, {"name": "b"}], "initContainers": [{"ports": ports}]}});
        let cases = [
            ("v1", "Pod", ""),
            ("apps/v1", "Deployment", "/spec/template"),
            ("batch/v1", "CronJob", "/spec/jobTemplate/spec/template"),
        ];
        for (api_version, kind, pointer) in cases {
            let object = |pod: Value| {
                let mut value = pod;
                for token in pointer.split('/').rev().filter(|token| !token.is_empty()) {
                    value = json!({token: value});
                }
                value["apiVersion"] = api_version.into();
                value["kind"] = kind.into();
                value
            };
            check(object(pod(&ports)), &object(pod(&full)));
        }
    }

    #[test]
    fn status_and_creation_time_go() {
        check(
            json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "a", "creationTimestamp": null},
                   "spec": {"template": {"metadata": {"creationTimestamp": null, "labels": {"a": "b"}}}}, "status": {}}),
            &json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "a"},
                   "spec": {"template": {"metadata": {"labels": {"a": "b"}}}}}),
        );
        check(
            json!({"apiVersion": "example.com/v1", "kind": "Thing", "metadata": {"creationTimestamp": "2020-01-01T00:00:00Z"}, "status": {"a": 1}}),
            &json!({"apiVersion": "example.com/v1", "kind": "Thing", "metadata": {}}),
        );
        let definition = json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "status": {"conditions": []}});
        check(definition.clone(), &definition);
    }

    #[test]
    fn any_shape_is_survived() {
        for value in [
            json!(null),
            json!([]),
            json!({"apiVersion": 1, "kind": []}),
            json!({"apiVersion": "v1", "kind": "Service", "spec": {"ports": 3}}),
        ] {
            check(value.clone(), &value);
        }
    }
}
