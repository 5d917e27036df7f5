//! Connections: one for all requests that end soon, and as many as it takes for watches.
//!
//! A server bounds the streams of a connection (kube-apiserver: 100), and tells the bound to the HTTP/2 library only, which makes
//! what is above it wait in silence. A watch keeps its stream for minutes, so that enough of them would keep out everything else: leases would
//! not be renewed, and writes would time out. Hence no watch is on the connection of the other requests, and each further connection
//! carries a bounded number of them. A server with a lower bound than assumed is found out: a watch that is not answered is tried
//! on a fresh connection, and where that helps, the first one was full.

use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use http::request::Parts;
use http::{Method, Request, Response};
use hyper::body::{Body as HttpBody, Bytes, Frame, Incoming, SizeHint};
use hyper_util::client::legacy::connect::Connect;
use hyper_util::client::legacy::{Client as HyperClient, Error as HyperError};
use kube::client::Body;
use tower::Service;

/// Watches on one connection, until the server turns out to allow fewer.
const WATCHES: usize = 64;
/// A server answers a watch at once; one that is not answered for so long may be held up by the bound of its connection.
const PATIENCE: Duration = Duration::from_secs(1);

/// Sends requests over the right connection. Cheap to clone.
pub(super) struct Spread<C> {
    calls: HyperClient<C, Body>,
    watches: Arc<Pool<C>>,
}

impl<C> Clone for Spread<C>
where
    C: Clone,
{
    fn clone(&self) -> Self {
        Self {
            calls: self.calls.clone(),
            watches: Arc::clone(&self.watches),
        }
    }
}

impl<C> Spread<C> {
    /// Uses clients made by `connect`, each of which has a connection of its own.
    pub(super) fn new(connect: impl Fn() -> HyperClient<C, Body> + Send + Sync + 'static) -> Self {
        Self::patient(connect, PATIENCE)
    }

    fn patient(
        connect: impl Fn() -> HyperClient<C, Body> + Send + Sync + 'static,
        patience: Duration,
    ) -> Self {
        Self {
            calls: connect(),
            watches: Arc::new(Pool {
                connect: Box::new(connect),
                patience,
                limit: AtomicUsize::new(WATCHES),
                lines: Mutex::default(),
                probe: tokio::sync::Mutex::default(),
            }),
        }
    }
}

impl<C> Service<Request<Body>> for Spread<C>
where
    C: Connect + Clone + Send + Sync + 'static,
{
    type Response = Response<Counted>;
    type Error = HyperError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, HyperError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), HyperError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        if is_watch(&request) {
            let (pool, (parts, _)) = (Arc::clone(&self.watches), request.into_parts());
            return Box::pin(async move { pool.watch(&parts).await });
        }
        let answer = self.calls.request(request);
        Box::pin(async move { Ok(answer.await?.map(|body| Counted { body, _open: None })) })
    }
}

fn is_watch(request: &Request<Body>) -> bool {
    let query = request.uri().query().unwrap_or_default();
    request.method() == Method::GET
        && query
            .split('&')
            .any(|pair| matches!(pair, "watch=true" | "watch=1"))
}

/// A watch has no body, so it can be sent more than once.
fn copy(parts: &Parts) -> Request<Body> {
    let mut request = Request::new(Body::empty());
    request.method_mut().clone_from(&parts.method);
    request.uri_mut().clone_from(&parts.uri);
    request.headers_mut().clone_from(&parts.headers);
    request
}

/// The connections of watches.
struct Pool<C> {
    connect: Box<dyn Fn() -> HyperClient<C, Body> + Send + Sync>,
    patience: Duration,
    /// Watches that a connection may carry.
    limit: AtomicUsize,
    lines: Mutex<Vec<Arc<Line<C>>>>,
    /// Held by who tries whether a connection is full.
    probe: tokio::sync::Mutex<()>,
}

struct Line<C> {
    client: HyperClient<C, Body>,
    /// Watches on this connection, and how many of them the server has answered.
    open: AtomicUsize,
    answered: AtomicUsize,
}

impl<C> Pool<C> {
    fn lines(&self) -> MutexGuard<'_, Vec<Arc<Line<C>>>> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place on a connection with room, which is a new one if need be or if `fresh`.
    fn place(self: &Arc<Self>, fresh: bool) -> Open<C> {
        let mut lines = self.lines();
        let limit = self.limit.load(Ordering::SeqCst);
        let with_room = |line: &&Arc<Line<C>>| !fresh && line.open.load(Ordering::SeqCst) < limit;
        let line = lines.iter().find(with_room).map(Arc::clone).unwrap_or_else(|| {
            let line = Arc::new(Line {
                client: (self.connect)(),
                open: AtomicUsize::new(0),
                answered: AtomicUsize::new(0),
            });
            lines.push(Arc::clone(&line));
            line
        });
        line.open.fetch_add(1, Ordering::SeqCst);
        Open {
            pool: Arc::clone(self),
            line,
            answered: false,
        }
    }
}

impl<C> Pool<C>
where
    C: Connect + Clone + Send + Sync + 'static,
{
    async fn watch(self: &Arc<Self>, parts: &Parts) -> Result<Response<Counted>, HyperError> {
        loop {
            let place = self.place(false);
            let mut answer = pin!(place.line.client.request(copy(parts)));
            let limit = self.limit.load(Ordering::SeqCst);
            let _probing = tokio::select! {
                biased;
                answer = &mut answer => return place.settle(answer),
                probing = self.suspicious() => probing,
            };
            if self.limit.load(Ordering::SeqCst) < limit {
                // Somebody else found out that there is room for fewer.
                continue;
            }
            let other = self.place(true);
            let mut second = pin!(other.line.client.request(copy(parts)));
            let second = tokio::select! {
                biased;
                answer = &mut answer => return place.settle(answer),
                second = &mut second => second,
            };
            if second.is_err() {
                return place.settle(answer.await);
            }
            // If it was slow and not stuck, it is answered about now.
            if let Ok(answer) = tokio::time::timeout(self.patience, answer).await {
                return place.settle(answer);
            }
            let room = place.line.answered.load(Ordering::SeqCst).max(1);
            self.limit.fetch_min(room, Ordering::SeqCst);
            tracing::info!(
                watches = room,
                "the API server bounds the streams of a connection"
            );
            return other.settle(second);
        }
    }

    /// Returns when a request has waited for too long, and nobody else tries why.
    async fn suspicious(&self) -> tokio::sync::MutexGuard<'_, ()> {
        tokio::time::sleep(self.patience).await;
        self.probe.lock().await
    }
}

/// A place on a connection.
struct Open<C> {
    pool: Arc<Pool<C>>,
    line: Arc<Line<C>>,
    answered: bool,
}

impl<C: Send + Sync + 'static> Open<C> {
    fn settle(
        mut self,
        answer: Result<Response<Incoming>, HyperError>,
    ) -> Result<Response<Counted>, HyperError> {
        let answer = answer?;
        self.answered = true;
        self.line.answered.fetch_add(1, Ordering::SeqCst);
        Ok(answer.map(|body| Counted {
            body,
            _open: Some(Box::new(self)),
        }))
    }
}

impl<C> Drop for Open<C> {
    fn drop(&mut self) {
        if self.answered {
            self.line.answered.fetch_sub(1, Ordering::SeqCst);
        }
        let mut lines = self.pool.lines();
        if self.line.open.fetch_sub(1, Ordering::SeqCst) == 1 && lines.len() > 1 {
            lines.retain(|line| !Arc::ptr_eq(line, &self.line));
        }
    }
}

/// The body of an answer, which keeps the place of its watch until it is dropped.
pub(super) struct Counted {
    body: Incoming,
    _open: Option<Box<dyn Send + Sync>>,
}

impl HttpBody for Counted {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
#[path = "spread_tests.rs"]
mod tests;
