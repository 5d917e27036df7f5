//! A small API server in memory, behind a [`kube::Client`]: it keeps objects by their paths, checks resource versions, and notes
//! each request, so that a test can hold a reconcile to its budget.
//!
//! It knows GET, PUT, POST, DELETE and PATCH (merge patches; an apply is merged too, which is enough where nobody else owns fields), the
//! `status` subresource, optimistic locking, and finalizers. It does not know watches, lists, schemas or admission.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::BodyExt;
use kube::Client;
use kube::client::Body;
use serde_json::{Value, json};

/// A request as it came.
#[derive(Clone, Debug, PartialEq)]
pub struct Seen {
    /// `GET`, `PATCH`, ….
    pub method: String,
    /// Path without the query.
    pub path: String,
    /// Query.
    pub query: String,
    /// Body, if it was JSON.
    pub body: Option<Value>,
}

#[derive(Default)]
struct State {
    objects: BTreeMap<String, Value>,
    version: u64,
    seen: Vec<Seen>,
    failures: VecDeque<(String, String, u16)>,
}

/// The server; clones share its state.
#[derive(Clone, Default)]
pub struct FakeApi(Arc<Mutex<State>>);

impl FakeApi {
    /// A client that talks to it.
    #[must_use]
    pub fn client(&self) -> Client {
        let api = self.clone();
        let service = tower::service_fn(move |request: Request<Body>| {
            let api = api.clone();
            async move { api.answer(request).await }
        });
        Client::new(service, "default")
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts an object at `path`, and gives it a new resource version, which is returned with it.
    pub fn put(&self, path: &str, object: impl serde::Serialize) -> Value {
        let mut state = self.state();
        let object = serde_json::to_value(object).unwrap_or_default();
        store(&mut state, path, object)
    }

    /// The object at `path`.
    #[must_use]
    pub fn get(&self, path: &str) -> Option<Value> {
        self.state().objects.get(path).cloned()
    }

    /// Has the next request with this method and this end of its path fail with `code`.
    pub fn fail_next(&self, method: &str, path_end: &str, code: u16) {
        self.state()
            .failures
            .push_back((method.to_owned(), path_end.to_owned(), code));
    }

    /// The requests since the last call.
    pub fn take_requests(&self) -> Vec<Seen> {
        std::mem::take(&mut self.state().seen)
    }

    /// The requests since the last call, as `METHOD path`.
    pub fn take_request_lines(&self) -> Vec<String> {
        self.take_requests()
            .into_iter()
            .map(|seen| format!("{} {}", seen.method, seen.path))
            .collect()
    }

    async fn answer(&self, request: Request<Body>) -> Result<Response<Body>, std::convert::Infallible> {
        let (parts, body) = request.into_parts();
        let bytes = body
            .collect()
            .await
            .map(http_body_util::Collected::to_bytes)
            .unwrap_or_default();
        let body: Option<Value> = serde_json::from_slice(&bytes).ok();
        let (path, query) = (
            parts.uri.path().to_owned(),
            parts.uri.query().unwrap_or_default().to_owned(),
        );
        let mut state = self.state();
        let method = parts.method.to_string();
        state.seen.push(Seen {
            method: method.clone(),
            path: path.clone(),
            query: query.clone(),
            body: body.clone(),
        });
        let failure = state
            .failures
            .iter()
            .position(|(m, end, _)| *m == method && path.ends_with(end.as_str()));
        if let Some((_, _, code)) = failure.and_then(|index| state.failures.remove(index)) {
            return Ok(status(code, "made to fail"));
        }
        let dry_run = query.contains("dryRun=All");
        Ok(handle(&mut state, &parts.method, &path, body, dry_run))
    }
}

fn handle(
    state: &mut State,
    method: &Method,
    path: &str,
    body: Option<Value>,
    dry_run: bool,
) -> Response<Body> {
    let (key, subresource) = match path.strip_suffix("/status") {
        Some(key) => (key.to_owned(), true),
        None => (path.to_owned(), false),
    };
    let found = state.objects.get(&key).cloned();
    match (method.as_str(), found, body) {
        ("GET", Some(object), _) => reply(StatusCode::OK, &object),
        ("POST", _, Some(body)) => {
            let name = body
                .pointer("/metadata/name")
                .and_then(Value::as_str)
                .unwrap_or_default()
                .to_owned();
            reply(StatusCode::CREATED, &store(state, &format!("{key}/{name}"), body))
        }
        ("PATCH" | "PUT", found, Some(change)) => {
            let creates = found.is_none();
            if creates && change.pointer("/metadata/name").is_none() {
                return status(404, "not found");
            }
            let mut object = found.unwrap_or_else(|| json!({}));
            let wanted = change.pointer("/metadata/resourceVersion");
            if wanted.is_some_and(|wanted| Some(wanted) != object.pointer("/metadata/resourceVersion")) {
                return status(409, "the object has been modified");
            }
            if subresource {
                merge(&mut object, &json!({ "status": change.get("status") }));
            } else {
                merge(&mut object, &change);
            }
            if dry_run {
                return reply(StatusCode::OK, &object);
            }
            reply(
                if creates {
                    StatusCode::CREATED
                } else {
                    StatusCode::OK
                },
                &store(state, &key, object),
            )
        }
        ("DELETE", Some(object), _) => {
            state.objects.remove(&key);
            reply(StatusCode::OK, &object)
        }
        _ => status(404, "not found"),
    }
}

/// Keeps an object under a new resource version, unless it is being deleted and nothing holds it.
fn store(state: &mut State, path: &str, mut object: Value) -> Value {
    state.version += 1;
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.insert("resourceVersion".to_owned(), state.version.to_string().into());
    }
    let held = object
        .pointer("/metadata/finalizers")
        .and_then(Value::as_array)
        .is_some_and(|names| !names.is_empty());
    let deleted = object
        .pointer("/metadata/deletionTimestamp")
        .is_some_and(|time| !time.is_null());
    if deleted && !held {
        state.objects.remove(path);
    } else {
        state.objects.insert(path.to_owned(), object.clone());
    }
    object
}

/// JSON merge patch (RFC 7386).
fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(fields) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = json!({});
    }
    let Some(object) = target.as_object_mut() else {
        return;
    };
    for (key, value) in fields {
        if value.is_null() {
            object.remove(key);
        } else {
            merge(object.entry(key.clone()).or_insert(Value::Null), value);
        }
    }
}

fn reply(code: StatusCode, value: &Value) -> Response<Body> {
    let mut response = Response::new(Body::from(Bytes::from(value.to_string())));
    *response.status_mut() = code;
    response
}

fn status(code: u16, message: &str) -> Response<Body> {
    let reason = match code {
        404 => "NotFound",
        409 => "Conflict",
        _ => "InternalError",
    };
    let body = json!({
        "kind": "Status", "apiVersion": "v1", "status": "Failure", "message": message, "reason": reason, "code": code
    });
    reply(
        StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
        &body,
    )
}
