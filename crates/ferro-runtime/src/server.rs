//! The two small HTTP servers of every controller process: metrics with profiles, and health with readiness.

use std::io::ErrorKind;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use prometheus_client::registry::Registry;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// Whether the process is ready: all the parts that registered have reported. It stays so: what is registered later is not waited for.
#[derive(Clone, Debug, Default)]
pub struct Readiness(Arc<Mutex<Parts>>);

#[derive(Debug, Default)]
struct Parts {
    pending: usize,
    was_ready: bool,
}

impl Readiness {
    /// Makes the process unready until the returned part reports with [`Pending::ready`].
    #[must_use]
    pub fn register(&self) -> Pending {
        self.parts().pending += 1;
        Pending(Some(self.clone()))
    }

    /// Whether nothing is pending, or was not at some time.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        let parts = self.parts();
        parts.was_ready || parts.pending == 0
    }

    fn parts(&self) -> MutexGuard<'_, Parts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A part of the process that is not ready yet.
#[derive(Debug)]
pub struct Pending(Option<Readiness>);

impl Pending {
    /// Reports that the part is ready. Further calls change nothing.
    pub fn ready(&mut self) {
        if let Some(readiness) = self.0.take() {
            let mut parts = readiness.parts();
            parts.pending -= 1;
            parts.was_ready |= parts.pending == 0;
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

/// Binds `address`, so that a port that is taken is reported at start. All addresses (`[::]`) are those of IPv4, too, and those of IPv4 alone
/// where the host has no IPv6.
///
/// # Errors
/// When the address cannot be bound.
pub async fn bind(address: SocketAddr, purpose: &'static str) -> Result<TcpListener, BindError> {
    let bound = match TcpListener::bind(address).await {
        Err(error) if address.ip() == Ipv6Addr::UNSPECIFIED && error.kind() != ErrorKind::AddrInUse => {
            TcpListener::bind((Ipv4Addr::UNSPECIFIED, address.port())).await
        }
        bound => bound,
    };
    bound.map_err(|source| BindError {
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

/// Serves `/metrics`, and profiles below `/debug/pprof/`, until `stop`.
pub async fn serve_metrics(listener: TcpListener, registry: Arc<Mutex<Registry>>, stop: CancellationToken) {
    let router = Router::new()
        .route("/metrics", get(metrics))
        .merge(crate::pprof::routes())
        .with_state(registry);
    serve(listener, router, stop).await;
}

async fn metrics(State(registry): State<Arc<Mutex<Registry>>>) -> impl IntoResponse {
    let mut body = String::new();
    let registry = registry.lock().unwrap_or_else(PoisonError::into_inner);
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
#[allow(clippy::print_stderr, reason = "says what was skipped")]
mod tests {
    use super::*;

    #[tokio::test]
    async fn all_addresses_are_those_of_both_families() {
        let listener = bind(crate::flags::listen_addr(":0").unwrap(), "test")
            .await
            .unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::net::TcpStream::connect((Ipv4Addr::LOCALHOST, port))
            .await
            .unwrap();
        let error = bind(listener.local_addr().unwrap(), "test").await.unwrap_err();
        assert!(error.to_string().contains("cannot listen on"), "{error}");
        if TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).await.is_ok() {
            tokio::net::TcpStream::connect((Ipv6Addr::LOCALHOST, port))
                .await
                .unwrap();
        } else {
            eprintln!("skipped: this host has no IPv6");
        }
    }

    #[test]
    fn readiness_waits_for_every_part() {
        let readiness = Readiness::default();
        let (mut first, mut second) = (readiness.register(), readiness.register());
        first.ready();
        first.ready();
        assert!(!readiness.is_ready());
        second.ready();
        assert!(readiness.is_ready());
        let _later = readiness.register();
        assert!(readiness.is_ready(), "it never becomes unready again");
    }
}
