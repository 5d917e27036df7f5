//! The two small HTTP servers of every controller process: metrics, and health with readiness.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use prometheus_client::registry::Registry;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// Whether the process is ready: all the parts that registered have reported.
#[derive(Clone, Debug, Default)]
pub struct Readiness(Arc<AtomicUsize>);

impl Readiness {
    /// Makes the process unready until the returned part reports with [`Pending::ready`].
    #[must_use]
    pub fn register(&self) -> Pending {
        self.0.fetch_add(1, Ordering::SeqCst);
        Pending(Some(Arc::clone(&self.0)))
    }

    /// Whether nothing is pending.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.0.load(Ordering::SeqCst) == 0
    }
}

/// A part of the process that is not ready yet.
#[derive(Debug)]
pub struct Pending(Option<Arc<AtomicUsize>>);

impl Pending {
    /// Reports that the part is ready. Further calls change nothing.
    pub fn ready(&mut self) {
        if let Some(count) = self.0.take() {
            count.fetch_sub(1, Ordering::SeqCst);
        }
    }
}

/// A server could not be started.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address} for {purpose}")]
pub struct BindError {
    address: SocketAddr,
    purpose: &'static str,
    #[source]
    source: std::io::Error,
}

/// Binds `address`, so that a port that is taken is reported at start.
///
/// # Errors
/// When the address cannot be bound.
pub async fn bind(address: SocketAddr, purpose: &'static str) -> Result<TcpListener, BindError> {
    TcpListener::bind(address).await.map_err(|source| BindError {
        address,
        purpose,
        source,
    })
}

/// Serves `/healthz` and `/readyz` until `stop`.
pub async fn serve_health(listener: TcpListener, readiness: Readiness, stop: CancellationToken) {
    let ready = |State(readiness): State<Readiness>| async move {
        if readiness.is_ready() {
            (StatusCode::OK, "ok")
        } else {
            (StatusCode::SERVICE_UNAVAILABLE, "starting")
        }
    };
    let router = Router::new()
        .route("/healthz", get(|| async { "ok" }))
        .route("/readyz", get(ready))
        .with_state(readiness);
    serve(listener, router, stop).await;
}

/// Serves `/metrics` until `stop`.
pub async fn serve_metrics(listener: TcpListener, registry: Arc<Mutex<Registry>>, stop: CancellationToken) {
    let router = Router::new().route("/metrics", get(metrics)).with_state(registry);
    serve(listener, router, stop).await;
}

async fn metrics(State(registry): State<Arc<Mutex<Registry>>>) -> impl IntoResponse {
    let mut body = String::new();
    let registry = registry.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    match prometheus_client::encoding::text::encode(&mut body, &registry) {
        Ok(()) => Ok((
            [(
                header::CONTENT_TYPE,
                "application/openmetrics-text; version=1.0.0; charset=utf-8",
            )],
            body,
        )),
        Err(_) => Err(StatusCode::INTERNAL_SERVER_ERROR),
    }
}

async fn serve(listener: TcpListener, router: Router, stop: CancellationToken) {
    if let Err(error) = axum::serve(listener, router)
        .with_graceful_shutdown(stop.cancelled_owned())
        .await
    {
        tracing::error!(%error, "http server stopped");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readiness_waits_for_every_part() {
        let readiness = Readiness::default();
        let (mut first, mut second) = (readiness.register(), readiness.register());
        first.ready();
        first.ready();
        assert!(!readiness.is_ready());
        second.ready();
        assert!(readiness.is_ready());
    }
}
