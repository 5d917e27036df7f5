//! A small API server in memory: discovery, lists, watches that stay silent, reads, server-side apply and deletion of ConfigMaps,
//! Secrets, Services, and Widgets, which live in no namespace. It knows no conflicts between managers; a manager owns what its last
//! apply had. A ConfigMap's key `invalid` is refused, and so is `refused`, whose value is quoted.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use kube::Client;
use kube::client::Body;
use serde_json::{Map, Value, json};

use super::requests::Requests;

type Response = http::Response<UnsyncBoxBody<Bytes, Infallible>>;

#[derive(Default)]
struct Store {
    objects: BTreeMap<String, Value>,
    version: u64,
    forbids_lists: bool,
    widgets_are_stale: bool,
    in_flight: usize,
    most_in_flight: usize,
}

/// The server.
#[derive(Clone, Default)]
pub(crate) struct Server {
    store: Arc<Mutex<Store>>,
    requests: Requests,
}

impl Server {
    pub(crate) fn client(&self) -> (Client, Requests) {
        let requests = Requests::default();
        let server = Self {
            store: Arc::clone(&self.store),
            requests: requests.clone(),
        };
        let service = tower::service_fn(move |request: http::Request<Body>| {
            let server = server.clone();
            async move { Ok::<_, Infallible>(server.answer(request).await) }
        });
        (Client::new(service, "default"), requests)
    }

    pub(crate) fn forbid_lists(&self) {
        self.store.lock().unwrap().forbids_lists = true;
    }

    /// Has the server of Widgets not answer.
    pub(crate) fn lose_widgets(&self) {
        self.store.lock().unwrap().widgets_are_stale = true;
    }

    /// The most applies that were under way at once, since the last call.
    pub(crate) fn most_in_flight(&self) -> usize {
        std::mem::take(&mut self.store.lock().unwrap().most_in_flight)
    }

    /// Puts an object there as somebody else would.
    pub(crate) fn put(&self, path: &str, mut object: Value) {
        let mut store = self.store.lock().unwrap();
        store.version += 1;
        object["metadata"]["resourceVersion"] = store.version.to_string().into();
        object["metadata"]["uid"] = format!("uid-{}", store.version).into();
        store.objects.insert(path.to_owned(), object);
    }

    /// Takes an object away as somebody else would; no watch tells.
    pub(crate) fn remove(&self, path: &str) {
        assert!(self.store.lock().unwrap().objects.remove(path).is_some());
    }

    pub(crate) fn get(&self, path: &str) -> Option<Value> {
        self.store.lock().unwrap().objects.get(path).cloned()
    }

    async fn answer(&self, request: http::Request<Body>) -> Response {
        self.requests.note(&request);
        let (parts, body) = request.into_parts();
        let (path, query) = (
            parts.uri.path().to_owned(),
            parts.uri.query().unwrap_or_default().to_owned(),
        );
        let body = body.collect_bytes().await.unwrap();
        match (parts.method.as_str(), path.as_str()) {
            ("GET", "/api") => respond(
                200,
                &discovery(
                    "",
                    "Current",
                    &[
                        ("ConfigMap", "configmaps", "Namespaced"),
                        ("Secret", "secrets", "Namespaced"),
                        ("Service", "services", "Namespaced"),
                    ],
                ),
            ),
            ("GET", "/apis") if self.store.lock().unwrap().widgets_are_stale => {
                respond(200, &discovery("example.com", "Stale", &[]))
            }
            ("GET", "/apis") => respond(
                200,
                &discovery("example.com", "Current", &[("Widget", "widgets", "Cluster")]),
            ),
            ("GET", _) if query.contains("watch=") => {
                let silent = http_body_util::StreamBody::new(futures::stream::pending::<
                    Result<hyper::body::Frame<Bytes>, Infallible>,
                >());
                http::Response::new(silent.boxed_unsync())
            }
            ("GET", path) if names_an_object(path) => match self.get(path) {
                Some(object) => respond(200, &object),
                None => respond(404, &not_found(path)),
            },
            ("GET", path) => self.list(path, &query),
            ("DELETE", path) => self.delete(path, &serde_json::from_slice(&body).unwrap_or_default()),
            ("PATCH", path) => {
                self.enter();
                // Others get a chance to be here at the same time.
                for _ in 0..8 {
                    tokio::task::yield_now().await;
                }
                let response = self.apply(path, &query, &serde_json::from_slice(&body).unwrap());
                self.store.lock().unwrap().in_flight -= 1;
                response
            }
            other => respond(405, &status(405, "MethodNotAllowed", &format!("{other:?}"))),
        }
    }

    fn enter(&self) {
        let mut store = self.store.lock().unwrap();
        store.in_flight += 1;
        store.most_in_flight = store.most_in_flight.max(store.in_flight);
    }

    fn delete(&self, path: &str, options: &Value) -> Response {
        let mut store = self.store.lock().unwrap();
        let Some(present) = store.objects.get(path) else {
            return respond(404, &not_found(path));
        };
        for field in ["uid", "resourceVersion"] {
            let wanted = &options["preconditions"][field];
            if !wanted.is_null() && *wanted != present["metadata"][field] {
                return respond(409, &status(409, "Conflict", "precondition failed"));
            }
        }
        store.objects.remove(path);
        respond(200, &status(200, "", ""))
    }

    fn list(&self, path: &str, query: &str) -> Response {
        let store = self.store.lock().unwrap();
        if store.forbids_lists {
            return respond(403, &status(403, "Forbidden", "may not list"));
        }
        let kind = format!("/{}/", path.rsplit('/').next().unwrap());
        let is_asked_for = |object: &&Value| {
            !query.contains("labelSelector=")
                || object["metadata"]["labels"]
                    .get("kustomize.toolkit.fluxcd.io/name")
                    .is_some()
        };
        let items: Vec<&Value> = store
            .objects
            .iter()
            .filter(|(path, _)| path.contains(&kind))
            .map(|(_, object)| object)
            .filter(is_asked_for)
            .collect();
        respond(
            200,
            &json!({"kind": "List", "apiVersion": "v1", "metadata": {"resourceVersion": store.version.to_string()}, "items": items}),
        )
    }

    /// A JSON patch that replaces fields.
    fn patch(&self, path: &str, operations: &[Value]) -> Response {
        let mut store = self.store.lock().unwrap();
        let next = store.version + 1;
        let Some(object) = store.objects.get_mut(path) else {
            return respond(404, &not_found(path));
        };
        for operation in operations {
            assert_eq!(operation["op"], "replace", "{operation}");
            let target = object.pointer_mut(operation["path"].as_str().unwrap()).unwrap();
            if operation["path"] == "/metadata/resourceVersion" && *target != operation["value"] {
                return respond(409, &status(409, "Conflict", "the object has been modified"));
            }
            *target = operation["value"].clone();
        }
        object["metadata"]["resourceVersion"] = next.to_string().into();
        let object = object.clone();
        store.version = next;
        respond(200, &object)
    }

    fn apply(&self, path: &str, query: &str, payload: &Value) -> Response {
        if let Some(operations) = payload.as_array() {
            return self.patch(path, operations);
        }
        if let Some(value) = payload["data"]["refused"].as_str() {
            let message = format!("data.refused: Invalid value: \"{value}\": must not be there");
            return respond(422, &status(422, "Invalid", &message));
        }
        if payload["data"]["invalid"] == "yes" {
            return respond(422, &status(422, "Invalid", "data is invalid"));
        }
        let mut store = self.store.lock().unwrap();
        let present = store.objects.get(path).cloned();
        if let (Some(present), Some(version)) = (&present, payload["metadata"].get("resourceVersion"))
            && present["metadata"]["resourceVersion"] != *version
        {
            return respond(409, &status(409, "Conflict", "the object has been modified"));
        }
        let is_gone = |entry: &Value| entry["apiVersion"] == "example.com/v0";
        let entries = present
            .as_ref()
            .map(|present| &present["metadata"]["managedFields"]);
        if entries
            .and_then(Value::as_array)
            .is_some_and(|entries| entries.iter().any(is_gone))
        {
            let message = "request to convert CR to an invalid group/version: example.com/v0";
            return respond(500, &status(500, "InternalError", message));
        }
        let next = store.version + 1;
        let mut object = present
            .clone()
            .unwrap_or_else(|| json!({"metadata": {"uid": format!("uid-{next}"), "resourceVersion": ""}}));
        let mut payload = payload.clone();
        payload["metadata"]
            .as_object_mut()
            .unwrap()
            .remove("resourceVersion");
        merge(&mut object, &payload);
        object["metadata"]["managedFields"] = json!([{"manager": "kustomize-controller", "operation": "Apply", "apiVersion": "v1",
            "fieldsType": "FieldsV1", "time": "2026-01-01T00:00:00Z", "fieldsV1": fields(&payload)}]);
        let changed = present.as_ref() != Some(&object);
        if changed && !query.contains("dryRun=All") {
            store.version = next;
            object["metadata"]["resourceVersion"] = next.to_string().into();
            store.objects.insert(path.to_owned(), object.clone());
        }
        respond(if present.is_some() { 200 } else { 201 }, &object)
    }
}

fn merge(target: &mut Value, patch: &Value) {
    match (target, patch) {
        (Value::Object(target), Value::Object(patch)) => {
            for (key, value) in patch {
                merge(target.entry(key.clone()).or_insert(Value::Null), value);
            }
        }
        (target, patch) => *target = patch.clone(),
    }
}

/// What the payload sets, without its identity.
fn fields(payload: &Value) -> Value {
    let Some(map) = payload.as_object() else {
        return json!({});
    };
    let identity = ["apiVersion", "kind", "name", "namespace"];
    map.iter()
        .filter(|(key, _)| !identity.contains(&key.as_str()))
        .map(|(key, value)| (format!("f:{key}"), fields(value)))
        .collect::<Map<String, Value>>()
        .into()
}

fn discovery(group: &str, freshness: &str, kinds: &[(&str, &str, &str)]) -> Value {
    let resources: Vec<Value> = kinds
        .iter()
        .map(|(kind, plural, scope)| {
            json!({"resource": plural, "responseKind": {"group": group, "version": "v1", "kind": kind}, "scope": scope,
                "singularResource": kind.to_lowercase(), "verbs": ["get", "list", "patch", "watch"]})
        })
        .collect();
    json!({"kind": "APIGroupDiscoveryList", "apiVersion": "apidiscovery.k8s.io/v2", "metadata": {},
        "items": [{"metadata": {"name": group}, "versions": [{"version": "v1", "freshness": freshness, "resources": resources}]}]})
}

/// Whether a path is that of an object, not of a list.
fn names_an_object(path: &str) -> bool {
    let parts: Vec<&str> = path.trim_start_matches('/').split('/').collect();
    let resource = if parts[0] == "api" { 2 } else { 3 };
    let is_namespaced = parts.get(resource) == Some(&"namespaces") && parts.len() > resource + 2;
    parts.len() == resource + if is_namespaced { 4 } else { 2 }
}

fn not_found(path: &str) -> Value {
    let name = path.rsplit('/').next().unwrap_or_default();
    status(404, "NotFound", &format!("\"{name}\" not found"))
}

fn status(code: u16, reason: &str, message: &str) -> Value {
    json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "code": code, "reason": reason, "message": message})
}

fn respond(code: u16, body: &Value) -> Response {
    let response = http::Response::builder()
        .status(code)
        .header("content-type", "application/json");
    response
        .body(Full::new(Bytes::from(serde_json::to_vec(body).unwrap())).boxed_unsync())
        .unwrap()
}
