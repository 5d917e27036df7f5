//! A Helm repository on the loopback interface.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, MutexGuard};

use ferro_artifact::digest::Algorithm;
use ferro_testkit::http::{Request, Response, Server};
use flate2::Compression;
use flate2::write::GzEncoder;

/// What may take the place of an answer.
type Instead = Box<dyn Fn(&Request) -> Option<Response> + Send>;

#[derive(Default)]
struct State {
    files: BTreeMap<String, Vec<u8>>,
    /// Whether answers carry what the next question can be put by.
    has_validators: bool,
    /// The `Authorization` that is asked for.
    guard: Option<String>,
    instead: Option<Instead>,
    seen: Vec<String>,
}

/// The repository.
pub(crate) struct HelmServer {
    state: Arc<Mutex<State>>,
    server: Server,
}

impl HelmServer {
    pub(crate) fn start() -> Self {
        let state: Arc<Mutex<State>> = Arc::default();
        let shared = Arc::clone(&state);
        let server = Server::start(move |request| answer(&mut shared.lock().unwrap(), &request));
        Self { state, server }
    }

    pub(crate) fn start_tls(config: Arc<rustls::ServerConfig>) -> Self {
        let state: Arc<Mutex<State>> = Arc::default();
        let shared = Arc::clone(&state);
        let server = Server::start_tls(config, move |request| {
            answer(&mut shared.lock().unwrap(), &request)
        });
        Self { state, server }
    }

    pub(crate) fn url(&self) -> String {
        self.server.url("/charts")
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// Serves a file below `/charts`.
    pub(crate) fn put(&self, name: &str, content: impl Into<Vec<u8>>) {
        self.state()
            .files
            .insert(format!("/charts/{name}"), content.into());
    }

    /// Serves charts and the index of them.
    pub(crate) fn serve(&self, charts: &[(&str, &str)]) -> String {
        let mut versions: BTreeMap<&str, Vec<(&str, Vec<u8>)>> = BTreeMap::new();
        for (name, version) in charts {
            let archive = chart(name, version, &[]);
            self.put(&format!("{name}-{version}.tgz"), archive.clone());
            versions.entry(name).or_default().push((version, archive));
        }
        let mut index = "apiVersion: v1\nentries:\n".to_owned();
        for (name, versions) in versions {
            writeln!(index, "  {name}:").unwrap();
            for (version, archive) in versions {
                let digest = Algorithm::Sha256.digest(&archive);
                writeln!(
                    index,
                    "  - apiVersion: v2\n    name: {name}\n    version: {version}\n    digest: {}\n    urls: [{name}-{version}.tgz]",
                    digest.hex()
                )
                .unwrap();
            }
        }
        self.put("index.yaml", index.clone());
        index
    }

    pub(crate) fn validators(&self, has: bool) {
        self.state().has_validators = has;
    }

    /// Answers only to who has this `Authorization`.
    pub(crate) fn guard(&self, authorization: &str) {
        self.state().guard = Some(authorization.to_owned());
    }

    pub(crate) fn instead(&self, instead: impl Fn(&Request) -> Option<Response> + Send + 'static) {
        self.state().instead = Some(Box::new(instead));
    }

    /// Method and path of the requests since the last call, with the credentials that came.
    pub(crate) fn seen(&self) -> Vec<String> {
        std::mem::take(&mut self.state().seen)
    }
}

fn answer(state: &mut State, request: &Request) -> Response {
    let mut line = format!("{} {}", request.method, request.path);
    for name in ["authorization", "if-none-match"] {
        if !request.header(name).is_empty() {
            write!(line, " {name}={}", request.header(name)).unwrap();
        }
    }
    state.seen.push(line);
    if let Some(response) = state.instead.as_ref().and_then(|instead| instead(request)) {
        return response;
    }
    let is_let_in = state
        .guard
        .as_ref()
        .is_none_or(|guard| request.header("authorization") == guard);
    if !is_let_in {
        return Response::new(401, "who are you?");
    }
    let Some(content) = state.files.get(&request.path) else {
        return Response::new(404, "not here");
    };
    if !state.has_validators {
        return Response::new(200, content.clone());
    }
    let etag = format!("\"{}\"", Algorithm::Sha1.digest(content).hex());
    let status = if request.header("if-none-match") == etag {
        304
    } else {
        200
    };
    let body = if status == 304 {
        Vec::new()
    } else {
        content.clone()
    };
    Response::new(status, body).header("etag", etag)
}

/// A tar.gz of these files.
pub(crate) fn archive(files: &[(&str, &str)]) -> Vec<u8> {
    let mut tar = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::default()));
    for (name, content) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        tar.append_data(&mut header, name, content.as_bytes()).unwrap();
    }
    tar.into_inner().unwrap().finish().unwrap()
}

/// The archive of a chart with these files besides its own, whose names are below the chart.
pub(crate) fn chart(name: &str, version: &str, files: &[(&str, &str)]) -> Vec<u8> {
    let metadata = format!("apiVersion: v2\nname: {name}\nversion: {version}\n");
    let mut all = vec![(format!("{name}/Chart.yaml"), metadata.as_str())];
    if files.iter().all(|(file, _)| *file != "values.yaml") {
        all.push((format!("{name}/values.yaml"), "replicas: 1\n"));
    }
    all.extend(
        files
            .iter()
            .map(|(file, content)| (format!("{name}/{file}"), *content)),
    );
    let all: Vec<_> = all
        .iter()
        .map(|(file, content)| (file.as_str(), *content))
        .collect();
    archive(&all)
}
