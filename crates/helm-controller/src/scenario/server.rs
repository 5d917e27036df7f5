//! An API server in memory: testkit's, with discovery, lists, and watches that stay silent.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use ferro_testkit::api::FakeApi;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use kube::Client;
use kube::client::Body;
use serde_json::{Value, json};

type Response = http::Response<UnsyncBoxBody<Bytes, Infallible>>;

/// The server; clones share its state.
#[derive(Clone, Default)]
pub(super) struct Server {
    pub(super) api: FakeApi,
    paths: Arc<Mutex<BTreeSet<String>>>,
    users: Arc<Mutex<BTreeSet<String>>>,
    /// With what was asked.
    credentials: Arc<Mutex<BTreeSet<String>>>,
    /// Writes to these paths fail once, after as many have succeeded; dry-runs do not.
    refused: Arc<Mutex<BTreeMap<String, usize>>>,
    /// How Jobs of these names end as soon as they are made; others run on.
    ends: Arc<Mutex<BTreeMap<String, &'static str>>>,
}

impl Server {
    pub(super) fn client(&self) -> Client {
        let server = self.clone();
        let inner = self.api.client();
        let service = tower::service_fn(move |request: http::Request<Body>| {
            let (server, inner) = (server.clone(), inner.clone());
            async move { Ok::<_, Infallible>(server.answer(inner, request).await) }
        });
        Client::new(service, "default")
    }

    /// Serves on the loopback interface as long as the test runs; its URL.
    pub(super) async fn serve(&self) -> String {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let server = self.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let server = server.clone();
                let service = hyper::service::service_fn(move |request: http::Request<Incoming>| {
                    let server = server.clone();
                    async move {
                        let (parts, body) = request.into_parts();
                        let bytes = body.collect().await?.to_bytes();
                        let request = http::Request::from_parts(parts, Body::from(bytes));
                        let inner = server.api.client();
                        Ok::<_, hyper::Error>(server.answer(inner, request).await)
                    }
                });
                let stream = hyper_util::rt::TokioIo::new(stream);
                let connection = hyper::server::conn::http1::Builder::new().serve_connection(stream, service);
                tokio::spawn(async { connection.await.is_ok() });
            }
        });
        url
    }

    /// With whose rights was written; without a name, with those of whoever connects.
    pub(super) fn users(&self) -> Vec<String> {
        self.users.lock().unwrap().iter().cloned().collect()
    }

    /// The credentials with which was asked.
    pub(super) fn credentials(&self) -> Vec<String> {
        self.credentials.lock().unwrap().iter().cloned().collect()
    }

    /// The objects of a kind in a namespace.
    pub(super) fn list(&self, path: &str) -> Vec<Value> {
        let paths = self.paths.lock().unwrap().clone();
        let below = |known: &&String| {
            let rest = known.strip_prefix(path).and_then(|rest| rest.strip_prefix('/'));
            rest.is_some_and(|name| !name.contains('/'))
        };
        paths
            .iter()
            .filter(below)
            .filter_map(|path| self.api.get(path))
            .collect()
    }

    /// Puts an object at a path, where lists find it too.
    pub(super) fn put(&self, path: &str, object: Value) {
        self.paths.lock().unwrap().insert(path.to_owned());
        self.api.put(path, object);
    }

    /// Has the next write to a path fail.
    pub(super) fn refuse_write(&self, path: &str) {
        self.refuse_write_after(path, 0);
    }

    /// Has the write to a path fail that comes after so many others.
    pub(super) fn refuse_write_after(&self, path: &str, writes: usize) {
        self.refused.lock().unwrap().insert(path.to_owned(), writes);
    }

    fn is_refused(&self, path: &str) -> bool {
        let mut refused = self.refused.lock().unwrap();
        match refused.get_mut(path) {
            Some(0) => refused.remove(path).is_some(),
            Some(left) => {
                *left -= 1;
                false
            }
            None => false,
        }
    }

    /// Has Jobs of that name end with this condition as soon as they are made.
    pub(super) fn end_job(&self, name: &str, condition: &'static str) {
        self.ends.lock().unwrap().insert(name.to_owned(), condition);
    }

    /// Runs a Job that was just written.
    fn run_job(&self, path: &str) {
        let name = path.rsplit('/').next().unwrap_or_default();
        let end = self.ends.lock().unwrap().get(name).copied();
        if let (Some(end), Some(mut job)) = (end, self.api.get(path)) {
            let condition = json!({ "type": end, "status": "True", "reason": "BackoffLimitExceeded" });
            job["status"] = json!({ "startTime": "2026-01-01T00:00:00Z", "conditions": [condition] });
            self.api.put(path, job);
        }
    }

    async fn answer(&self, inner: Client, request: http::Request<Body>) -> Response {
        let (mut parts, body) = request.into_parts();
        let (path, query) = (
            parts.uri.path().to_owned(),
            parts.uri.query().unwrap_or_default().to_owned(),
        );
        let user = parts.headers.get("impersonate-user");
        let user = user.map_or_else(String::new, |user| user.to_str().unwrap().to_owned());
        if let Some(credential) = parts.headers.get("authorization") {
            let credential = credential.to_str().unwrap().to_owned();
            self.credentials.lock().unwrap().insert(credential);
        }
        if parts.method != "GET" {
            self.users.lock().unwrap().insert(user);
        }
        let bytes = body.collect().await.unwrap().to_bytes();
        match (parts.method.as_str(), path.as_str()) {
            ("GET", "/version") => {
                return respond(&json!({ "major": "1", "minor": "35", "gitVersion": "v1.35.0",
                "gitCommit": "", "gitTreeState": "", "buildDate": "", "goVersion": "", "compiler": "", "platform": "" }));
            }
            ("GET", "/api") => {
                return respond(&discovery(
                    "",
                    &[("ConfigMap", "configmaps"), ("Secret", "secrets")],
                ));
            }
            ("GET", "/apis") => return respond(&discovery("batch", &[("Job", "jobs")])),
            ("GET", _) if query.contains("watch=") => {
                let silent = futures::stream::pending::<Result<hyper::body::Frame<Bytes>, Infallible>>();
                return http::Response::new(http_body_util::StreamBody::new(silent).boxed_unsync());
            }
            // A token that says for whom and for what it is.
            ("POST", path) if path.ends_with("/token") => {
                let account = path
                    .trim_end_matches("/token")
                    .rsplit('/')
                    .next()
                    .unwrap_or_default();
                let request: Value = serde_json::from_slice(&bytes).unwrap();
                let token = format!(
                    "{account}-for-{}",
                    request["spec"]["audiences"][0].as_str().unwrap()
                );
                return respond(&json!({ "metadata": {}, "spec": { "audiences": [] },
                    "status": { "token": token, "expirationTimestamp": "2999-01-01T00:00:00Z" } }));
            }
            // A pod has printed what this annotation says.
            ("GET", path) if path.ends_with("/log") => {
                let pod = self.api.get(path.trim_end_matches("/log")).unwrap_or_default();
                let printed = pod["metadata"]["annotations"]["printed"]
                    .as_str()
                    .unwrap_or_default();
                return http::Response::new(Full::new(Bytes::from(printed.to_owned())).boxed_unsync());
            }
            ("GET", path) if is_list(path) => {
                let asked = |key: &str| query.split('&').find_map(|pair| pair.strip_prefix(key));
                let selector = asked("labelSelector=");
                let name = asked("fieldSelector=metadata.name%3D");
                let items: Vec<Value> = self
                    .list(path)
                    .into_iter()
                    .filter(|object| selector.is_none_or(|selector| is_selected(object, selector)))
                    .filter(|object| name.is_none_or(|name| object["metadata"]["name"] == name))
                    .collect();
                return respond(
                    &json!({ "kind": "List", "apiVersion": "v1", "metadata": { "resourceVersion": "1" }, "items": items }),
                );
            }
            _ => {}
        }
        let writes = parts.method == "PATCH" && !query.contains("dryRun");
        let is_job = writes && path.contains("/jobs/");
        if writes && self.is_refused(&path) {
            self.api.fail_next("PATCH", &path, 422);
        }
        let mut bytes = bytes;
        if let Ok(mut value) = serde_json::from_slice::<Value>(&bytes) {
            let name = value["metadata"]["name"].as_str().unwrap_or_default().to_owned();
            let key = if parts.method == "POST" {
                format!("{path}/{name}")
            } else {
                path.clone()
            };
            // What has been replaced is what it was.
            if parts.method != "PATCH" {
                value["metadata"]["uid"] = key.as_str().into();
                bytes = Bytes::from(value.to_string());
            }
            // An apply to what is not there creates, whatever version it asks for.
            if parts.method == "PATCH" && self.api.get(&key).is_none() {
                value["metadata"]
                    .as_object_mut()
                    .map(|metadata| metadata.remove("resourceVersion"));
                bytes = Bytes::from(value.to_string());
            }
            self.paths.lock().unwrap().insert(key);
        }
        parts.headers.remove("content-length");
        let request = http::Request::from_parts(parts, Body::from(bytes));
        let (parts, body) = inner.send(request).await.unwrap().into_parts();
        let mut bytes = body.collect().await.unwrap().to_bytes();
        if is_job {
            self.run_job(&path);
            // What an apply answers is all that is heard of it here.
            bytes = self
                .api
                .get(&path)
                .map_or(bytes, |job| Bytes::from(job.to_string()));
        }
        http::Response::from_parts(parts, Full::new(bytes).boxed_unsync())
    }
}

/// Whether an object has the labels; also those that are only asked for by name.
fn is_selected(object: &Value, selector: &str) -> bool {
    let plain = selector
        .replace("%3D", "=")
        .replace("%2C", ",")
        .replace("%2F", "/");
    plain.split(',').all(|wanted| match wanted.split_once('=') {
        Some((key, value)) => object["metadata"]["labels"][key] == value,
        None => object["metadata"]["labels"].get(wanted).is_some(),
    })
}

fn is_list(path: &str) -> bool {
    let parts: Vec<&str> = path.trim_start_matches('/').split('/').collect();
    let resource = if parts.first() == Some(&"api") { 2 } else { 3 };
    match parts.get(resource) {
        Some(&"namespaces") => parts.len() == resource + 3,
        _ => parts.len() == resource + 1,
    }
}

fn discovery(group: &str, kinds: &[(&str, &str)]) -> Value {
    let resources: Vec<Value> = kinds
        .iter()
        .map(|(kind, plural)| {
            json!({ "resource": plural, "responseKind": { "group": group, "version": "v1", "kind": kind },
                "scope": "Namespaced", "singularResource": kind.to_lowercase(), "verbs": ["get", "list", "patch", "watch"] })
        })
        .collect();
    json!({ "kind": "APIGroupDiscoveryList", "apiVersion": "apidiscovery.k8s.io/v2", "metadata": {},
        "items": [{ "metadata": { "name": group }, "versions": [{ "version": "v1", "freshness": "Current", "resources": resources }] }] })
}

fn respond(value: &Value) -> Response {
    http::Response::new(Full::new(Bytes::from(value.to_string())).boxed_unsync())
}
