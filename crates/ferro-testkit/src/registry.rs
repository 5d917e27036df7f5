//! An OCI registry in memory that can be told to misbehave.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sha2::{Digest as _, Sha256};

use crate::http::{Request, Response, Server};

/// Answers a request in place of the registry; `None` lets the registry answer.
type Hook = dyn Fn(&Request) -> Option<Response> + Send + Sync;

/// What a registry has, by the path of the repository and the name in it.
#[derive(Debug, Default)]
struct Content {
    /// Media type and bytes by tag or digest.
    manifests: BTreeMap<(String, String), (String, Vec<u8>)>,
    blobs: BTreeMap<(String, String), Vec<u8>>,
    uploads: BTreeMap<String, Vec<u8>>,
    seen: Vec<String>,
}

/// A registry that runs until it is dropped.
#[derive(Debug)]
pub struct Registry {
    content: Arc<Mutex<Content>>,
    server: Server,
}

/// `sha256:<hex>` of bytes.
pub fn digest(bytes: &[u8]) -> String {
    let hash = Sha256::digest(bytes);
    hash.iter().fold("sha256:".to_owned(), |mut text, byte| {
        let _infallible = write!(text, "{byte:02x}");
        text
    })
}

impl Registry {
    /// One that behaves.
    pub fn start() -> Self {
        Self::with(|_| None)
    }

    /// One in whose place `hook` may answer.
    pub fn with(hook: impl Fn(&Request) -> Option<Response> + Send + Sync + 'static) -> Self {
        let content: Arc<Mutex<Content>> = Arc::default();
        let state = Arc::clone(&content);
        let server = Server::start(move |request| serve(&state, &hook, &request));
        Self { content, server }
    }

    /// One that is spoken to over TLS.
    pub fn with_tls(
        config: Arc<rustls::ServerConfig>,
        hook: impl Fn(&Request) -> Option<Response> + Send + Sync + 'static,
    ) -> Self {
        let content: Arc<Mutex<Content>> = Arc::default();
        let state = Arc::clone(&content);
        let server = Server::start_tls(config, move |request| serve(&state, &hook, &request));
        Self { content, server }
    }

    /// Host and port.
    pub fn host(&self) -> String {
        self.server.address().to_string()
    }

    /// Stores a blob and returns its digest.
    pub fn put_blob(&self, repository: &str, bytes: &[u8]) -> String {
        let digest = digest(bytes);
        let key = (repository.to_owned(), digest.clone());
        lock(&self.content).blobs.insert(key, bytes.to_vec());
        digest
    }

    /// Stores a manifest under its digest and, unless that is empty, a tag.
    pub fn put_manifest(&self, repository: &str, tag: &str, media_type: &str, bytes: &[u8]) -> String {
        let digest = digest(bytes);
        let mut content = lock(&self.content);
        for name in [tag, &digest].into_iter().filter(|name| !name.is_empty()) {
            let key = (repository.to_owned(), name.to_owned());
            content
                .manifests
                .insert(key, (media_type.to_owned(), bytes.to_vec()));
        }
        digest
    }

    /// Stores an artifact with layers of these media types, as `flux push artifact` does, and returns the digest of its manifest.
    pub fn put_artifact(
        &self,
        repository: &str,
        tag: &str,
        layers: &[(&str, &[u8])],
        annotations: &[(&str, &str)],
    ) -> String {
        let descriptor = |media_type: &str, bytes: &[u8]| {
            let digest = self.put_blob(repository, bytes);
            let size = bytes.len();
            format!(r#"{{"mediaType":"{media_type}","digest":"{digest}","size":{size}}}"#)
        };
        let config = descriptor("application/vnd.cncf.flux.config.v1+json", b"{}");
        let layers: Vec<String> = layers
            .iter()
            .map(|(media_type, bytes)| descriptor(media_type, bytes))
            .collect();
        let annotations: Vec<String> = annotations
            .iter()
            .map(|(key, value)| format!("{key:?}:{value:?}"))
            .collect();
        let media_type = "application/vnd.oci.image.manifest.v1+json";
        let manifest = format!(
            r#"{{"schemaVersion":2,"mediaType":"{media_type}","config":{config},"layers":[{}],"annotations":{{{}}}}}"#,
            layers.join(","),
            annotations.join(",")
        );
        self.put_manifest(repository, tag, media_type, manifest.as_bytes())
    }

    /// Removes a tag.
    pub fn remove_tag(&self, repository: &str, tag: &str) {
        let key = (repository.to_owned(), tag.to_owned());
        lock(&self.content).manifests.remove(&key);
    }

    /// The bytes of a blob.
    pub fn blob(&self, repository: &str, digest: &str) -> Option<Vec<u8>> {
        let key = (repository.to_owned(), digest.to_owned());
        lock(&self.content).blobs.get(&key).cloned()
    }

    /// `METHOD path` of the requests since the last call.
    pub fn take_seen(&self) -> Vec<String> {
        std::mem::take(&mut lock(&self.content).seen)
    }
}

fn lock(content: &Mutex<Content>) -> MutexGuard<'_, Content> {
    content.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A response that says what is wrong as registries do.
pub fn refusal(status: u16, code: &str, message: &str) -> Response {
    let body = format!(r#"{{"errors":[{{"code":"{code}","message":"{message}"}}]}}"#);
    Response::new(status, body)
}

fn serve(state: &Mutex<Content>, hook: &Hook, request: &Request) -> Response {
    let line = format!("{} {}", request.method, request.path);
    lock(state).seen.push(line);
    if let Some(response) = hook(request) {
        return response;
    }
    let unknown = || refusal(404, "NAME_UNKNOWN", "repository name not known to registry");
    let Some(path) = request.path.strip_prefix("/v2/") else {
        return Response::new(404, "");
    };
    if path.is_empty() {
        return Response::new(200, "{}");
    }
    let mut content = lock(state);
    for kind in ["/manifests/", "/blobs/", "/tags/"] {
        if let Some((repository, name)) = path.split_once(kind) {
            return match kind {
                "/manifests/" => content.manifest(request, repository, name),
                "/blobs/" => content.blob(request, repository, name),
                _ => content.tags(repository).unwrap_or_else(unknown),
            };
        }
    }
    unknown()
}

impl Content {
    fn tags(&self, repository: &str) -> Option<Response> {
        let names: Vec<&str> = self
            .manifests
            .keys()
            .filter(|(owner, name)| owner == repository && !name.contains(':'))
            .map(|(_, name)| name.as_str())
            .collect();
        let tags = list(&names);
        (!names.is_empty()).then(|| Response::new(200, format!(r#"{{"name":"{repository}","tags":{tags}}}"#)))
    }

    fn manifest(&mut self, request: &Request, repository: &str, name: &str) -> Response {
        let key = (repository.to_owned(), name.to_owned());
        match (request.method.as_str(), self.manifests.get(&key)) {
            ("GET" | "HEAD", Some((media_type, bytes))) => Response::new(200, bytes.clone())
                .header("content-type", media_type.clone())
                .header("docker-content-digest", digest(bytes)),
            ("GET" | "HEAD", None) => refusal(404, "MANIFEST_UNKNOWN", "manifest unknown"),
            ("PUT", _) => {
                let digest = digest(&request.body);
                let entry = (request.header("content-type").to_owned(), request.body.to_vec());
                let by_digest = (repository.to_owned(), digest.clone());
                self.manifests.insert(key, entry.clone());
                self.manifests.insert(by_digest, entry);
                Response::new(201, "").header("docker-content-digest", digest)
            }
            _ => Response::new(405, ""),
        }
    }

    fn blob(&mut self, request: &Request, repository: &str, name: &str) -> Response {
        let key = (repository.to_owned(), name.to_owned());
        match (request.method.as_str(), name.strip_prefix("uploads/")) {
            ("POST", Some(_)) => {
                let id = self.uploads.len().to_string();
                self.uploads.insert(id.clone(), Vec::new());
                let location = format!("/v2/{repository}/blobs/uploads/{id}?state=0");
                Response::new(202, "").header("location", location)
            }
            ("PATCH" | "PUT", Some(id)) => self.upload(request, repository, id),
            ("GET" | "HEAD", None) => match self.blobs.get(&key) {
                Some(bytes) => Response::new(200, bytes.clone()),
                None => refusal(404, "BLOB_UNKNOWN", "blob unknown to registry"),
            },
            _ => Response::new(405, ""),
        }
    }

    fn upload(&mut self, request: &Request, repository: &str, id: &str) -> Response {
        let Some(data) = self.uploads.get_mut(id) else {
            return refusal(404, "BLOB_UPLOAD_UNKNOWN", "blob upload unknown to registry");
        };
        // The state makes sure that the client goes where it was sent.
        let state = format!("state={}", data.len());
        if !request.query.starts_with(&state) {
            return refusal(400, "BLOB_UPLOAD_INVALID", "blob upload invalid");
        }
        let first = data.len();
        data.extend_from_slice(&request.body);
        if request.method == "PATCH" {
            if request.header("content-range") != format!("{first}-{}", data.len().saturating_sub(1)) {
                return Response::new(416, "");
            }
            let location = format!("/v2/{repository}/blobs/uploads/{id}?state={}", data.len());
            return Response::new(202, "").header("location", location);
        }
        let digest = digest(data);
        if request.query != format!("{state}&digest={}", digest.replace(':', "%3A")) {
            return refusal(
                400,
                "DIGEST_INVALID",
                "provided digest did not match uploaded content",
            );
        }
        let data = std::mem::take(data);
        self.blobs.insert((repository.to_owned(), digest), data);
        Response::new(201, "")
    }
}

/// Tags need no escapes.
fn list(names: &[&str]) -> String {
    let quoted: Vec<String> = names.iter().map(|name| format!("\"{name}\"")).collect();
    format!("[{}]", quoted.join(","))
}
