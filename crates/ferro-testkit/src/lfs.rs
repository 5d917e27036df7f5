//! A Git server with Git LFS beside it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use bytes::Bytes;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::git::{self, Access, Repository};
use crate::http::{Request, Response, Server};

/// How an object is handed out: the request, and the object's content if it is there.
type Transfer = dyn Fn(&Request, Option<Bytes>) -> Response + Send + Sync;
/// What a batch says of an object, by its digest, size and the address it has by default.
type Answer = dyn Fn(&str, u64, &str) -> Value + Send + Sync;

#[derive(Default)]
struct State {
    objects: BTreeMap<String, Bytes>,
    seen: Vec<String>,
    transfer: Option<Arc<Transfer>>,
    answer: Option<Arc<Answer>>,
}

/// `git http-backend` and an LFS server on the same loopback address. Repositories are at `/<name>.git`, their objects at `/lfs/<oid>`.
pub struct LfsServer {
    server: Server,
    state: Arc<Mutex<State>>,
}

impl LfsServer {
    /// Serves repositories by names without `.git`.
    pub fn start(repositories: &[(&str, &Repository)], access: Access) -> Self {
        let named: Vec<(String, &Repository)> = repositories
            .iter()
            .map(|(name, repository)| (format!("{name}.git"), *repository))
            .collect();
        let named: Vec<(&str, &Repository)> = named
            .iter()
            .map(|(name, repository)| (name.as_str(), *repository))
            .collect();
        let (git, _) = git::handler(&named, access.clone());
        let state: Arc<Mutex<State>> = Arc::default();
        let of_handler = Arc::clone(&state);
        let server = Server::start(move |request| {
            if request.path.ends_with("/info/lfs/objects/batch") {
                note(&of_handler, &request);
                batch(&of_handler, &request, &access)
            } else if let Some(oid) = request.path.strip_prefix("/lfs/").map(str::to_owned) {
                note(&of_handler, &request);
                transfer(&of_handler, &request, &oid)
            } else {
                git(request)
            }
        });
        Self { server, state }
    }

    /// The URL of a repository.
    pub fn url(&self, name: &str) -> String {
        self.server.url(&format!("/{name}.git"))
    }

    /// The URL of anything else.
    pub fn url_of(&self, path: &str) -> String {
        self.server.url(path)
    }

    /// Stores an object and returns its pointer file.
    pub fn put(&self, content: &[u8]) -> String {
        let oid = oid(content);
        let pointer = pointer(&oid, content.len());
        let content = Bytes::copy_from_slice(content);
        lock(&self.state).objects.insert(oid, content);
        pointer
    }

    /// Hands objects out in another way.
    pub fn transfer(&self, transfer: impl Fn(&Request, Option<Bytes>) -> Response + Send + Sync + 'static) {
        lock(&self.state).transfer = Some(Arc::new(transfer));
    }

    /// Answers batches in another way.
    pub fn answer(&self, answer: impl Fn(&str, u64, &str) -> Value + Send + Sync + 'static) {
        lock(&self.state).answer = Some(Arc::new(answer));
    }

    /// Does as it should again.
    pub fn behave(&self) {
        let mut state = lock(&self.state);
        (state.transfer, state.answer) = (None, None);
    }

    /// The requests for objects since the last call: method and path, `Authorization` and `X-Token` behind it where they were sent.
    pub fn take_seen(&self) -> Vec<String> {
        std::mem::take(&mut lock(&self.state).seen)
    }
}

/// The SHA-256 of a content.
pub fn oid(content: &[u8]) -> String {
    Sha256::digest(content)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// The pointer file of an object.
pub fn pointer(oid: &str, size: usize) -> String {
    format!("version https://git-lfs.github.com/spec/v1\noid sha256:{oid}\nsize {size}\n")
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().expect("no test panics here")
}

fn note(state: &Mutex<State>, request: &Request) {
    let mut line = format!("{} {}", request.method, request.path);
    for name in ["authorization", "x-token"] {
        let value = request.header(name);
        if !value.is_empty() {
            line.push_str(&format!(" {value}"));
        }
    }
    lock(state).seen.push(line);
}

fn batch(state: &Mutex<State>, request: &Request, access: &Access) -> Response {
    let refuses = |expected: &String| expected != request.header("authorization");
    if access.authorization.as_ref().is_some_and(refuses) {
        return Response::new(401, "{}");
    }
    let asked: Value = serde_json::from_slice(&request.body).unwrap_or_default();
    let is_question = asked
        .get("operation")
        .is_some_and(|operation| operation == "download")
        && request.header("accept") == "application/vnd.git-lfs+json"
        && request.header("content-type") == "application/vnd.git-lfs+json";
    if !is_question {
        return Response::new(422, "{}");
    }
    let answer = lock(state).answer.clone();
    let mut objects = Vec::new();
    let listed = asked.get("objects").and_then(Value::as_array);
    for object in listed.into_iter().flatten() {
        let oid = object.get("oid").and_then(Value::as_str).unwrap_or_default();
        let size = object.get("size").and_then(Value::as_u64).unwrap_or_default();
        let href = format!("http://{}/lfs/{oid}", request.header("host"));
        let is_here = lock(state).objects.contains_key(oid);
        objects.push(match &answer {
            Some(answer) => answer(oid, size, &href),
            None if is_here => json!({ "oid": oid, "size": size, "actions": { "download": { "href": href } } }),
            None => {
                json!({ "oid": oid, "size": size, "error": { "code": 404, "message": "Object does not exist" } })
            }
        });
    }
    let body = json!({ "transfer": "basic", "objects": objects }).to_string();
    Response::new(200, body).header("content-type", "application/vnd.git-lfs+json")
}

fn transfer(state: &Mutex<State>, request: &Request, oid: &str) -> Response {
    let (transfer, content) = {
        let state = lock(state);
        (state.transfer.clone(), state.objects.get(oid).cloned())
    };
    match (transfer, content) {
        (Some(transfer), content) => transfer(request, content),
        (None, Some(content)) => Response::new(200, content),
        (None, None) => Response::new(404, "not here"),
    }
}
