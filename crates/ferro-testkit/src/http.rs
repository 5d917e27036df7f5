//! A loopback HTTP server around a function.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;

use bytes::Bytes;
use futures::StreamExt;
use http::{HeaderMap, Method, StatusCode};
use http_body_util::{BodyExt, StreamBody, combinators::BoxBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};
use tokio_rustls::TlsAcceptor;

/// What a handler gets.
#[derive(Debug)]
pub struct Request {
    /// The method.
    pub method: Method,
    /// The path, still encoded.
    pub path: String,
    /// The query, empty when there is none.
    pub query: String,
    /// The headers.
    pub headers: HeaderMap,
    /// The whole body.
    pub body: Bytes,
}

impl Request {
    /// The text of a header, empty when it is absent.
    pub fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
    }
}

/// What a handler answers.
#[derive(Debug)]
pub struct Response {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Body,
}

/// A body, at once or in pieces.
#[derive(Debug)]
pub enum Body {
    /// The whole body.
    Full(Bytes),
    /// Pieces as they come; the response ends when the sender is dropped.
    Stream(mpsc::Receiver<Bytes>),
}

impl Response {
    /// A response with a body.
    pub fn new(status: u16, body: impl Into<Bytes>) -> Self {
        let status = StatusCode::from_u16(status).expect("a valid status");
        Self {
            status,
            headers: Vec::new(),
            body: Body::Full(body.into()),
        }
    }

    /// A response whose body is sent as it comes.
    pub fn stream(status: u16, body: mpsc::Receiver<Bytes>) -> Self {
        Self {
            body: Body::Stream(body),
            ..Self::new(status, Bytes::new())
        }
    }

    /// Adds a header.
    #[must_use]
    pub fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }
}

/// A body for [`Response::stream`] that begins with `head`, and then comes one byte at a time and never ends.
pub fn drip(head: &'static [u8]) -> mpsc::Receiver<Bytes> {
    let (sender, pieces) = mpsc::channel(1);
    std::thread::spawn(move || {
        let mut piece = Bytes::from_static(head);
        while sender.blocking_send(piece).is_ok() {
            piece = Bytes::from_static(b" ");
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
    });
    pieces
}

/// The function behind a server; it may block.
pub type Handler = dyn Fn(Request) -> Response + Send + Sync;

/// A server that runs until it is dropped.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    is_tls: bool,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Serves plain HTTP.
    pub fn start(handler: impl Fn(Request) -> Response + Send + Sync + 'static) -> Self {
        Self::run(free_port(), Arc::new(handler), None)
    }

    /// Serves plain HTTP at an address, for a server that comes back.
    ///
    /// # Errors
    /// When somebody else listens there.
    pub fn start_at(
        address: SocketAddr,
        handler: impl Fn(Request) -> Response + Send + Sync + 'static,
    ) -> std::io::Result<Self> {
        let listener = std::net::TcpListener::bind(address)?;
        Ok(Self::run(listener, Arc::new(handler), None))
    }

    /// Serves HTTPS.
    pub fn start_tls(
        config: Arc<rustls::ServerConfig>,
        handler: impl Fn(Request) -> Response + Send + Sync + 'static,
    ) -> Self {
        Self::run(free_port(), Arc::new(handler), Some(TlsAcceptor::from(config)))
    }

    /// The address it listens on.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// The URL of a path on the server.
    pub fn url(&self, path: &str) -> String {
        let scheme = if self.is_tls { "https" } else { "http" };
        format!("{scheme}://{}{path}", self.address)
    }

    fn run(listener: std::net::TcpListener, handler: Arc<Handler>, tls: Option<TlsAcceptor>) -> Self {
        listener.set_nonblocking(true).expect("a socket option");
        let address = listener.local_addr().expect("a bound socket");
        let is_tls = tls.is_some();
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_multi_thread()
                .worker_threads(1)
                .enable_all()
                .build()
                .expect("a runtime");
            runtime.block_on(async {
                let listener = TcpListener::from_std(listener).expect("a listener");
                tokio::select! {
                    () = accept(listener, handler, tls) => {}
                    _ = stopped => {}
                }
            });
            // Connections that are still open are cut.
            runtime.shutdown_background();
        });
        Self {
            address,
            is_tls,
            stop: Some(stop),
            thread: Some(thread),
        }
    }
}

fn free_port() -> std::net::TcpListener {
    std::net::TcpListener::bind(("127.0.0.1", 0)).expect("a free port")
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

async fn accept(listener: TcpListener, handler: Arc<Handler>, tls: Option<TlsAcceptor>) {
    while let Ok((stream, _)) = listener.accept().await {
        let (handler, tls) = (handler.clone(), tls.clone());
        tokio::spawn(async move {
            match tls {
                None => serve(stream, handler).await,
                Some(acceptor) => {
                    if let Ok(stream) = acceptor.accept(stream).await {
                        serve(stream, handler).await;
                    }
                }
            }
        });
    }
}

async fn serve<S>(stream: S, handler: Arc<Handler>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = service_fn(move |request| answer(request, handler.clone()));
    let builder = auto::Builder::new(TokioExecutor::new());
    // A client that goes away is no concern of the server.
    drop(builder.serve_connection(TokioIo::new(stream), service).await);
}

async fn answer(
    request: hyper::Request<Incoming>,
    handler: Arc<Handler>,
) -> Result<hyper::Response<BoxBody<Bytes, Infallible>>, hyper::Error> {
    let (parts, body) = request.into_parts();
    let request = Request {
        method: parts.method,
        path: parts.uri.path().to_owned(),
        query: parts.uri.query().unwrap_or_default().to_owned(),
        headers: parts.headers,
        body: body.collect().await?.to_bytes(),
    };
    let response = tokio::task::spawn_blocking(move || handler(request))
        .await
        .unwrap_or_else(|_| Response::new(500, "the handler panicked"));
    let body = match response.body {
        Body::Full(bytes) => BodyExt::boxed(http_body_util::Full::new(bytes)),
        Body::Stream(mut pieces) => {
            let next = move |cx: &mut std::task::Context<'_>| pieces.poll_recv(cx);
            let frames = futures::stream::poll_fn(next).map(|piece| Ok(Frame::data(piece)));
            BodyExt::boxed(StreamBody::new(frames))
        }
    };
    let mut builder = hyper::Response::builder().status(response.status);
    for (name, value) in response.headers {
        builder = builder.header(name, value);
    }
    Ok(builder.body(body).expect("valid headers"))
}
