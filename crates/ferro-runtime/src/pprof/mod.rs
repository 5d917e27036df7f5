//! `/debug/pprof/` beside the metrics, as Go's programs have it (`spec/sources-and-images.md` section 21): a CPU profile that
//! `go tool pprof` reads, and the command line.
//!
//! What Go's runtime knows and Rust's does not (goroutines, an allocator that samples) is answered by 501 and the reason. Stacks are
//! taken in a signal handler of the crate `pprof`, a hundred times for a second of CPU time and only while somebody asks for a
//! profile; until then nothing is set up. From then on the tables of that crate, some 200 MB with what the allocator keeps, stay:
//! they are static. That, and that a profile without symbols tells nobody much, is why profiles are a feature (`profile`) which released
//! programs do not have.

use axum::Router;
use axum::extract::{Path, RawQuery};
use axum::http::StatusCode;
#[cfg(feature = "profile")]
use axum::http::header;
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;

#[cfg(feature = "profile")]
mod cpu;
#[cfg(feature = "profile")]
mod message;

const INDEX: &str = "/debug/pprof/

profile?seconds=30  CPU profile of the next seconds, 300 at most, in programs built with `ferro-runtime/profile`: go tool pprof http://…/debug/pprof/profile
cmdline             the command line, its words ended by NUL
";

/// How long a profile takes that is asked for without `seconds`, as in Go.
#[cfg(feature = "profile")]
const DEFAULT_SECONDS: u64 = 30;
/// The longest profile that can be asked for.
#[cfg(feature = "profile")]
const MAX_SECONDS: u64 = 300;

/// The routes below `/debug/pprof/`.
pub(crate) fn routes<S: Clone + Send + Sync + 'static>() -> Router<S> {
    Router::new()
        .route(
            "/debug/pprof",
            get(|| async { Redirect::permanent("/debug/pprof/") }),
        )
        .route("/debug/pprof/", get(|| async { INDEX }))
        .route("/debug/pprof/cmdline", get(cmdline))
        .route("/debug/pprof/profile", get(profile))
        .route("/debug/pprof/{name}", get(other))
}

async fn cmdline() -> String {
    let words: Vec<_> = std::env::args_os()
        .map(|it| it.to_string_lossy().into_owned())
        .collect();
    words.join("\0")
}

async fn other(Path(name): Path<String>) -> Response {
    let reason = match name.as_str() {
        "goroutine" => {
            "there are no goroutines in this program, and its tasks keep no stacks while they wait"
        }
        "heap" | "allocs" => {
            "the allocator of this program does not sample what is allocated; see /metrics for its size"
        }
        "block" | "mutex" => "the locks of this program do not record who waits for them",
        "threadcreate" => {
            "the threads of this program are made at its start; where they came from is not recorded"
        }
        "trace" => "an execution trace is one of Go's runtime, which this program does not have",
        "symbol" => "addresses are resolved in the profile itself, as far as the program has its symbols",
        _ => return (StatusCode::NOT_FOUND, format!("unknown profile: {name}\n")).into_response(),
    };
    (
        StatusCode::NOT_IMPLEMENTED,
        format!("no profile {name}: {reason}\n"),
    )
        .into_response()
}

#[cfg(not(feature = "profile"))]
async fn profile(RawQuery(_): RawQuery) -> Response {
    let reason = "no CPU profile: this program was built without the feature `ferro-runtime/profile`\n";
    (StatusCode::NOT_IMPLEMENTED, reason).into_response()
}

#[cfg(feature = "profile")]
async fn profile(RawQuery(query): RawQuery) -> Response {
    let seconds = match seconds(query.as_deref().unwrap_or_default()) {
        Ok(seconds) => seconds,
        Err(reason) => return (StatusCode::BAD_REQUEST, reason).into_response(),
    };
    match cpu::profile(std::time::Duration::from_secs(seconds)).await {
        Ok(profile) => {
            let head = [
                (header::CONTENT_TYPE, "application/octet-stream"),
                (header::CONTENT_DISPOSITION, "attachment; filename=\"profile\""),
                (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
            ];
            (head, profile).into_response()
        }
        Err(error @ cpu::ProfileError::Busy) => (StatusCode::CONFLICT, format!("{error}\n")).into_response(),
        Err(error @ cpu::ProfileError::Memory { .. }) => {
            (StatusCode::SERVICE_UNAVAILABLE, format!("{error}\n")).into_response()
        }
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")).into_response(),
    }
}

/// What the query asks for.
#[cfg(feature = "profile")]
fn seconds(query: &str) -> Result<u64, String> {
    let given = query.split('&').find_map(|it| it.strip_prefix("seconds="));
    match given.map(str::parse) {
        None => Ok(DEFAULT_SECONDS),
        Some(Ok(seconds)) if (1..=MAX_SECONDS).contains(&seconds) => Ok(seconds),
        Some(_) => Err(format!(
            "seconds must be a whole number from 1 to {MAX_SECONDS}\n"
        )),
    }
}

#[cfg(test)]
mod tests;
