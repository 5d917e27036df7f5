//! Git repositories made with the real `git`, and its HTTP backend behind a loopback server.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};

use bytes::Bytes;

use crate::http::{Request, Response, Server};

/// Whether `git` is installed.
pub fn is_available() -> bool {
    Command::new("git")
        .arg("--version")
        .output()
        .is_ok_and(|output| output.status.success())
}

/// A bare repository that is served, and the working copy that commits are made in.
#[derive(Debug)]
pub struct Repository {
    directory: tempfile::TempDir,
}

impl Repository {
    /// An empty repository whose first branch is `main`.
    pub fn new() -> Self {
        Self::with_format("sha1")
    }

    /// An empty repository with the given object format.
    pub fn with_format(format: &str) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let repository = Self { directory };
        let format = format!("--object-format={format}");
        let bare = repository.bare();
        let bare = bare.to_str().expect("a plain path");
        let root = repository.directory.path();
        run(root, &["init", "-q", "--bare", "-b", "main", &format, bare]);
        run(root, &["init", "-q", "-b", "main", &format, "work"]);
        repository.git(&["remote", "add", "origin", bare]);
        for (key, value) in [("http.receivepack", "false"), ("uploadpack.allowFilter", "false")] {
            run(&repository.bare(), &["config", key, value]);
        }
        repository
    }

    /// The directory of the bare repository.
    pub fn bare(&self) -> PathBuf {
        self.directory.path().join("repo.git")
    }

    /// The working copy.
    pub fn work(&self) -> PathBuf {
        self.directory.path().join("work")
    }

    /// Runs git in the working copy and returns what it prints.
    pub fn git(&self, arguments: &[&str]) -> String {
        run(&self.work(), arguments)
    }

    /// Runs git in the bare repository.
    pub fn git_bare(&self, arguments: &[&str]) -> String {
        run(&self.bare(), arguments)
    }

    /// Writes a file of the working copy.
    pub fn write(&self, name: &str, content: &str) -> &Self {
        let path = self.work().join(name);
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("a directory");
        std::fs::write(path, content).expect("a file");
        self
    }

    /// Commits everything in the working copy and returns the hash.
    pub fn commit(&self, message: &str) -> String {
        self.git(&["add", "-A"]);
        self.git(&["commit", "-q", "--allow-empty", "-m", message]);
        self.git(&["rev-parse", "HEAD"])
    }

    /// Pushes all branches and tags, forcing where history was rewritten.
    pub fn push(&self) -> &Self {
        self.git(&["push", "-q", "--force", "origin", "--all"]);
        self.git(&["push", "-q", "--force", "origin", "--tags"]);
        self
    }

    /// Writes one file, commits and pushes; returns the hash.
    pub fn publish(&self, name: &str, content: &str) -> String {
        let hash = self.write(name, content).commit(&format!("Change {name}"));
        self.push();
        hash
    }
}

impl Default for Repository {
    fn default() -> Self {
        Self::new()
    }
}

/// Runs git without the user's configuration; a failure is a panic with its output.
pub fn run(directory: &Path, arguments: &[&str]) -> String {
    let output = Command::new("git")
        .current_dir(directory)
        .args(["-c", "protocol.file.allow=always", "-c", "commit.gpgsign=false"])
        .args(arguments)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_AUTHOR_NAME", "Author")
        .env("GIT_AUTHOR_EMAIL", "author@example.com")
        .env("GIT_COMMITTER_NAME", "Committer")
        .env("GIT_COMMITTER_EMAIL", "committer@example.com")
        .output()
        .expect("git runs");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "git {arguments:?}: {errors}");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// What a server checks before it lets a request through.
#[derive(Debug, Clone, Default)]
pub struct Access {
    /// The `Authorization` header that requests must have.
    pub authorization: Option<String>,
    /// Whether the server only speaks version 0 of the protocol.
    pub is_old: bool,
}

/// A request as the server saw it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// Method and path with query.
    pub line: String,
    /// The `Authorization` header.
    pub authorization: String,
    /// The request body.
    pub body: Bytes,
}

/// `git http-backend` behind a loopback server: `/<name>` is the repository of that name.
#[derive(Debug)]
pub struct GitServer {
    server: Server,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl GitServer {
    /// Serves repositories over plain HTTP.
    pub fn start(repositories: &[(&str, &Repository)], access: Access) -> Self {
        let (handler, seen) = handler(repositories, access);
        Self {
            server: Server::start(handler),
            seen,
        }
    }

    /// Serves repositories over HTTPS.
    pub fn start_tls(
        config: Arc<rustls::ServerConfig>,
        repositories: &[(&str, &Repository)],
        access: Access,
    ) -> Self {
        let (handler, seen) = handler(repositories, access);
        Self {
            server: Server::start_tls(config, handler),
            seen,
        }
    }

    /// The URL of a repository.
    pub fn url(&self, name: &str) -> String {
        self.server.url(&format!("/{name}"))
    }

    /// Takes the requests that came since the last call.
    pub fn take_seen(&self) -> Vec<Seen> {
        std::mem::take(&mut *self.seen.lock().expect("no test panics here"))
    }
}

pub(crate) type Log = Arc<Mutex<Vec<Seen>>>;

pub(crate) fn handler(
    repositories: &[(&str, &Repository)],
    access: Access,
) -> (impl Fn(Request) -> Response + Send + Sync + 'static, Log) {
    let paths: HashMap<String, PathBuf> = repositories
        .iter()
        .map(|(name, repository)| ((*name).to_owned(), repository.bare()))
        .collect();
    let seen = Log::default();
    let log = seen.clone();
    let handler = move |request: Request| {
        let authorization = request.header("authorization").to_owned();
        let line = format!("{} {}?{}", request.method, request.path, request.query);
        let entry = Seen {
            line,
            authorization: authorization.clone(),
            body: request.body.clone(),
        };
        log.lock().expect("no test panics here").push(entry);
        if access
            .authorization
            .as_ref()
            .is_some_and(|expected| *expected != authorization)
        {
            return Response::new(401, "").header("www-authenticate", "Basic realm=\"test\"");
        }
        let mut parts = request.path.trim_start_matches('/').splitn(2, '/');
        let (name, rest) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        match paths.get(name) {
            Some(path) => backend(path, rest, &request, access.is_old),
            None => Response::new(404, "not here"),
        }
    };
    (handler, seen)
}

/// Runs the CGI program for one request.
fn backend(repository: &Path, path_info: &str, request: &Request, is_old: bool) -> Response {
    let mut command = Command::new("git");
    command
        .arg("http-backend")
        .env("GIT_PROJECT_ROOT", repository)
        .env("GIT_HTTP_EXPORT_ALL", "1")
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_CONFIG_COUNT", "1")
        .env("GIT_CONFIG_KEY_0", "safe.directory")
        .env("GIT_CONFIG_VALUE_0", "*")
        .env("PATH_INFO", format!("/{path_info}"))
        .env("REQUEST_METHOD", request.method.as_str())
        .env("QUERY_STRING", &request.query)
        .env("CONTENT_TYPE", request.header("content-type"))
        .env("HTTP_CONTENT_ENCODING", request.header("content-encoding"))
        .env("CONTENT_LENGTH", request.body.len().to_string())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    if !is_old {
        command.env("GIT_PROTOCOL", request.header("git-protocol"));
    }
    let mut child = command.spawn().expect("git http-backend runs");
    let mut input = child.stdin.take().expect("a pipe");
    let body = request.body.clone();
    std::thread::spawn(move || drop(input.write_all(&body)));
    let mut output = BufReader::new(child.stdout.take().expect("a pipe"));
    let (mut status, mut headers) = (200, Vec::new());
    loop {
        let mut line = String::new();
        let is_end = output.read_line(&mut line).expect("CGI headers are text") == 0;
        let Some((name, value)) = line.trim().split_once(": ") else {
            break;
        };
        if name.eq_ignore_ascii_case("status") {
            status = value
                .split(' ')
                .next()
                .and_then(|code| code.parse().ok())
                .unwrap_or(500);
        } else {
            headers.push((name.to_owned(), value.to_owned()));
        }
        if is_end {
            break;
        }
    }
    let (sender, pieces) = tokio::sync::mpsc::channel(4);
    std::thread::spawn(move || {
        let mut buffer = vec![0; 64 * 1024];
        while let Ok(count) = output.read(&mut buffer) {
            if count == 0
                || sender
                    .blocking_send(Bytes::copy_from_slice(buffer.get(..count).unwrap_or_default()))
                    .is_err()
            {
                break;
            }
        }
        drop(output);
        drop(child.wait());
    });
    let mut response = Response::stream(status, pieces);
    response.headers = headers;
    response
}
