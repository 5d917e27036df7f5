//! The HTTP file server of the artifact storage: GET and HEAD of regular files, and nothing else.
//!
//! `GET /` answers without content, as upstream's readiness probe asks for it; directories are not listed.
//! Links are followed as long as they end inside the storage (`latest.tar.gz` is one).

mod conditions;
mod fallback;
mod stall;

use std::convert::Infallible;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt as _;
use http::header::{self, HeaderMap, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Empty, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::storage::{LOCK_SUFFIX, TEMP_PREFIX};
use conditions::{ByteRange, Validators};
pub use fallback::{Fallback, Fallbacks, REPLICA};
use stall::StallLimit;

type Body = UnsyncBoxBody<Bytes, io::Error>;

/// How much of a file is in memory for one download.
const CHUNK: usize = 64 * 1024;
/// How many connections are served at once; more wait to be accepted.
const MAX_CONNECTIONS: usize = 1024;
/// How long a client may take to send its request, and an idle connection stays open.
const HEADER_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a client may not take any byte of a download.
const STALL_TIMEOUT: Duration = Duration::from_secs(60);
/// How long downloads may go on after the stop.
const GRACE: Duration = Duration::from_secs(5);

/// Serves the files below a directory.
#[derive(Debug, Clone)]
pub struct FileServer {
    root: Arc<Path>,
    fallbacks: Fallbacks,
}

impl FileServer {
    /// Serves the files below `root`, which must exist.
    pub fn new(root: &Path) -> io::Result<Self> {
        Ok(Self {
            root: root.canonicalize()?.into(),
            fallbacks: Fallbacks::default(),
        })
    }

    /// Those who are asked for files that are not there.
    pub const fn fallbacks(&self) -> &Fallbacks {
        &self.fallbacks
    }

    /// Accepts connections until `stop` is cancelled, then lets running downloads finish for five seconds.
    pub async fn serve(self, listener: TcpListener, stop: CancellationToken) {
        let connections = Arc::new(Semaphore::new(MAX_CONNECTIONS));
        let (tasks, cut) = (TaskTracker::new(), CancellationToken::new());
        loop {
            let accepted = tokio::select! {
                () = stop.cancelled() => break,
                accepted = accept(&listener, &connections) => accepted,
            };
            match accepted {
                Ok((stream, permit)) => {
                    let (server, stop, cut) = (self.clone(), stop.clone(), cut.clone());
                    tasks.spawn(async move {
                        server.connection(stream, stop, cut).await;
                        drop(permit);
                    });
                }
                Err(error) => {
                    // Out of descriptors, most likely: wait for some to be closed.
                    tracing::warn!(%error, "failed to accept a connection");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
        drop(listener);
        tasks.close();
        if tokio::time::timeout(GRACE, tasks.wait()).await.is_err() {
            cut.cancel();
            tasks.wait().await;
        }
    }

    async fn connection(self, stream: TcpStream, stop: CancellationToken, cut: CancellationToken) {
        let service = service_fn(move |request| {
            let server = self.clone();
            async move { Ok::<_, Infallible>(server.answer(&request).await) }
        });
        let mut builder = hyper::server::conn::http1::Builder::new();
        builder
            .timer(TokioTimer::new())
            .header_read_timeout(HEADER_TIMEOUT)
            .max_buf_size(CHUNK);
        let stream = StallLimit::new(stream, STALL_TIMEOUT);
        let connection = builder.serve_connection(TokioIo::new(stream), service);
        tokio::pin!(connection);
        let mut is_stopping = false;
        loop {
            tokio::select! {
                // A client that goes away is no concern of ours.
                _ = connection.as_mut() => return,
                () = stop.cancelled(), if !is_stopping => {
                    is_stopping = true;
                    connection.as_mut().graceful_shutdown();
                }
                () = cut.cancelled() => return,
            }
        }
    }

    async fn answer(&self, request: &Request<Incoming>) -> Response<Body> {
        let is_head = request.method() == Method::HEAD;
        if !is_head && request.method() != Method::GET {
            let mut response = status(StatusCode::METHOD_NOT_ALLOWED);
            response
                .headers_mut()
                .insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
            return response;
        }
        if request.uri().path() == "/" {
            return status(StatusCode::OK);
        }
        let Some(relative) = relative_path(request.uri().path()) else {
            return status(StatusCode::NOT_FOUND);
        };
        let headers = request.headers().clone();
        let mut opened = self.open(&relative).await;
        // Another replica wants to know what is here, and asks others itself.
        if matches!(opened, Ok(None))
            && !headers.contains_key(REPLICA)
            && self.fallbacks.obtain(&relative).await
        {
            opened = self.open(&relative).await;
        }
        match opened {
            Ok(Some(file)) => file.respond(&headers, is_head).await,
            Ok(None) => status(StatusCode::NOT_FOUND),
            Err(error) => {
                tracing::error!(%error, path = request.uri().path(), "failed to read from the storage");
                status(StatusCode::INTERNAL_SERVER_ERROR)
            }
        }
    }

    async fn open(&self, relative: &Path) -> io::Result<Option<OpenFile>> {
        let (root, relative) = (self.root.clone(), relative.to_owned());
        let opened = tokio::task::spawn_blocking(move || open(&root, &relative)).await;
        opened.unwrap_or_else(|error| Err(io::Error::other(error)))
    }
}

async fn accept(
    listener: &TcpListener,
    connections: &Arc<Semaphore>,
) -> io::Result<(TcpStream, OwnedSemaphorePermit)> {
    let permit = connections
        .clone()
        .acquire_owned()
        .await
        .map_err(io::Error::other)?;
    let (stream, _) = listener.accept().await?;
    stream.set_nodelay(true)?;
    Ok((stream, permit))
}

/// The path of a URL below the root; `None` for anything that a storage does not serve.
fn relative_path(path: &str) -> Option<PathBuf> {
    let decoded = percent_encoding::percent_decode_str(path.strip_prefix('/')?)
        .decode_utf8()
        .ok()?;
    let mut relative = PathBuf::new();
    for part in decoded.split('/') {
        let is_plain = !matches!(part, "" | "." | "..") && !part.contains(['\\', '\0']);
        if !is_plain {
            return None;
        }
        relative.push(part);
    }
    // Of files only: an object may be called `yarn.lock`.
    let file = decoded.rsplit('/').next().unwrap_or_default();
    let is_internal = file.starts_with(TEMP_PREFIX) || file.ends_with(LOCK_SUFFIX);
    (!is_internal).then_some(relative)
}

/// A file ready to be sent.
struct OpenFile {
    file: std::fs::File,
    size: u64,
    validators: Validators,
    content_type: &'static str,
}

/// Opens a regular file below the root, `None` where there is none.
fn open(root: &Path, relative: &Path) -> io::Result<Option<OpenFile>> {
    let is_absent = |error: &io::Error| {
        use io::ErrorKind::{InvalidFilename, NotADirectory, NotFound};
        matches!(error.kind(), NotFound | NotADirectory | InvalidFilename)
    };
    let location = root.join(relative);
    let location = match location.canonicalize() {
        Ok(location) => location,
        Err(error) if is_absent(&error) || location.is_symlink() => return Ok(None),
        Err(error) => return Err(error),
    };
    if !location.starts_with(root) || !location.is_file() {
        return Ok(None);
    }
    let file = match std::fs::File::open(&location) {
        Ok(file) => file,
        // Garbage collection was faster.
        Err(error) if is_absent(&error) => return Ok(None),
        Err(error) => return Err(error),
    };
    let metadata = file.metadata()?;
    let content_type = content_type(relative);
    Ok(Some(OpenFile {
        size: metadata.len(),
        validators: Validators::of(&metadata),
        file,
        content_type,
    }))
}

fn content_type(path: &Path) -> &'static str {
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("gz" | "tgz") => "application/gzip",
        Some("yaml" | "yml") => "application/yaml",
        Some("json") => "application/json",
        _ => "application/octet-stream",
    }
}

impl OpenFile {
    async fn respond(self, request: &HeaderMap, is_head: bool) -> Response<Body> {
        if let Some(code) = self.validators.precondition(request) {
            let mut response = status(code);
            self.validators.write(response.headers_mut());
            return response;
        }
        let range = if self.validators.allow_range(request) {
            ByteRange::requested(request, self.size)
        } else {
            ByteRange::Whole
        };
        let (code, first, length) = match range {
            ByteRange::Whole => (StatusCode::OK, 0, self.size),
            ByteRange::Part { first, length } => (StatusCode::PARTIAL_CONTENT, first, length),
            ByteRange::Unsatisfiable => {
                let mut response = status(StatusCode::RANGE_NOT_SATISFIABLE);
                insert(
                    response.headers_mut(),
                    header::CONTENT_RANGE,
                    format!("bytes */{}", self.size),
                );
                return response;
            }
        };
        let (validators, content_type, size) = (self.validators.clone(), self.content_type, self.size);
        let body = if is_head {
            Ok(empty())
        } else {
            self.body(first, length).await
        };
        let mut response = match body {
            Ok(body) => Response::new(body),
            Err(error) => {
                tracing::error!(%error, "failed to read from the storage");
                return status(StatusCode::INTERNAL_SERVER_ERROR);
            }
        };
        *response.status_mut() = code;
        let headers = response.headers_mut();
        validators.write(headers);
        headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
        if code == StatusCode::PARTIAL_CONTENT {
            let last = first + length.saturating_sub(1);
            insert(
                headers,
                header::CONTENT_RANGE,
                format!("bytes {first}-{last}/{size}"),
            );
        }
        response
    }

    async fn body(self, first: u64, length: u64) -> io::Result<Body> {
        let mut file = tokio::fs::File::from_std(self.file);
        file.set_max_buf_size(CHUNK);
        if first > 0 {
            file.seek(io::SeekFrom::Start(first)).await?;
        }
        let pieces = tokio_util::io::ReaderStream::with_capacity(file.take(length), CHUNK);
        Ok(StreamBody::new(pieces.map(|piece| piece.map(Frame::data))).boxed_unsync())
    }
}

fn insert(headers: &mut HeaderMap, name: header::HeaderName, value: String) {
    if let Ok(value) = HeaderValue::try_from(value) {
        headers.insert(name, value);
    }
}

fn empty() -> Body {
    Empty::new().map_err(|never| match never {}).boxed_unsync()
}

fn status(code: StatusCode) -> Response<Body> {
    // A short text for people; probes and controllers only look at the status.
    let has_text = code.is_client_error() || code.is_server_error();
    let text = if has_text {
        code.canonical_reason().unwrap_or_default()
    } else {
        ""
    };
    let mut response = Response::new(Full::from(text).map_err(|never| match never {}).boxed_unsync());
    *response.status_mut() = code;
    response
}
