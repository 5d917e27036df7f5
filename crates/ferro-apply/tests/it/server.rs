//! A small API server in memory: discovery, lists, watches that stay silent, reads and server-side apply of ConfigMaps
//! and Services. It knows no conflicts between managers; a manager owns what its last apply had.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use kube::Client;
use kube::client::Body;
use serde_json::{Map, Value, json};

use crate::support::Requests;

type Response = http::Response<UnsyncBoxBody<Bytes, Infallible>>;

#[derive(Default)]
struct Store {
    objects: BTreeMap<String, Value>,
    version: u64,
    forbids_lists: bool,
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

    /// Puts an object there as somebody else would.
    pub(crate) fn put(&self, path: &str, mut object: Value) {
        let mut store = self.store.lock().unwrap();
        store.version += 1;
        object["metadata"]["resourceVersion"] = store.version.to_string().into();
        object["metadata"]["uid"] = format!("uid-{}", store.version).into();
        store.objects.insert(path.to_owned(), object);
    }

    pub(crate) fn get(&self, path: &str) -> Option<Value> {
        self.store.lock().unwrap().objects.get(path).cloned()
    }

    async fn answer(&self, request: http::Request<Body>) -> Response {
        self.requests.note(request.method(), request.uri());
        let (parts, body) = request.into_parts();
        let (path, query) = (
            parts.uri.path().to_owned(),
            parts.uri.query().unwrap_or_default().to_owned(),
        );
        let body = body.collect_bytes().await.unwrap();
        match (parts.method.as_str(), path.as_str()) {
            ("GET", "/api") => respond(
                200,
                &discovery("", &[("ConfigMap", "configmaps"), ("Service", "services")]),
            ),
            ("GET", "/apis") => respond(
                200,
                &json!({"kind": "APIGroupDiscoveryList", "apiVersion": "apidiscovery.k8s.io/v2", "metadata": {}, "items": []}),
            ),
            ("GET", _) if query.contains("watch=") => {
                let silent = http_body_util::StreamBody::new(futures::stream::pending::<
                    Result<hyper::body::Frame<Bytes>, Infallible>,
                >());
                http::Response::new(silent.boxed_unsync())
            }
            ("GET", path) if path.starts_with("/api/v1/namespaces/") => match self.get(path) {
                Some(object) => respond(200, &object),
                None => respond(404, &status(404, "NotFound", "not found")),
            },
            ("GET", path) => self.list(path),
            ("PATCH", path) => self.apply(path, &query, &serde_json::from_slice(&body).unwrap()),
            other => respond(405, &status(405, "MethodNotAllowed", &format!("{other:?}"))),
        }
    }

    fn list(&self, path: &str) -> Response {
        let store = self.store.lock().unwrap();
        if store.forbids_lists {
            return respond(403, &status(403, "Forbidden", "may not list"));
        }
        let kind = format!("/{}/", path.rsplit('/').next().unwrap());
        let labelled = |object: &&Value| {
            object["metadata"]["labels"]
                .get("kustomize.toolkit.fluxcd.io/name")
                .is_some()
        };
        let items: Vec<&Value> = store
            .objects
            .iter()
            .filter(|(path, _)| path.contains(&kind))
            .map(|(_, object)| object)
            .filter(labelled)
            .collect();
        respond(
            200,
            &json!({"kind": "List", "apiVersion": "v1", "metadata": {"resourceVersion": store.version.to_string()}, "items": items}),
        )
    }

    fn apply(&self, path: &str, query: &str, payload: &Value) -> Response {
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

fn discovery(group: &str, kinds: &[(&str, &str)]) -> Value {
    let resources: Vec<Value> = kinds
        .iter()
        .map(|(kind, plural)| {
            json!({"resource": plural, "responseKind": {"group": group, "version": "v1", "kind": kind}, "scope": "Namespaced",
                "singularResource": kind.to_lowercase(), "verbs": ["get", "list", "patch", "watch"]})
        })
        .collect();
    json!({"kind": "APIGroupDiscoveryList", "apiVersion": "apidiscovery.k8s.io/v2", "metadata": {},
        "items": [{"metadata": {"name": group}, "versions": [{"version": "v1", "freshness": "Current", "resources": resources}]}]})
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
