//! Requests that the API server puts off are sent again.
//!
//! It says `Retry-After` where it has not begun on a request: while it fills the cache of a new kind ("storage is (re)initializing"), where
//! priority and fairness sheds load, or where it shuts down. Go's client, and so kubectl and Flux, waits and asks again up to ten
//! times. An answer without that header may have had effects, and is for the caller.

use std::time::Duration;

use http::header::RETRY_AFTER;
use http::{HeaderMap, Request, Response, StatusCode};
use kube::client::Body;
use tokio::time::Sleep;
use tower::BoxError;
use tower::retry::Policy;

/// How often a request is sent again.
const RETRIES: u32 = 10;
/// No wait is longer, whatever the server says: who waits has a time limit of its own.
const LONGEST: Duration = Duration::from_secs(30);

/// When to send again.
#[derive(Clone, Debug, Default)]
pub(super) struct WhenToldTo {
    retries: u32,
}

impl<B> Policy<Request<Body>, Response<B>, BoxError> for WhenToldTo {
    type Future = Sleep;

    fn retry(&mut self, _: &mut Request<Body>, answer: &mut Result<Response<B>, BoxError>) -> Option<Sleep> {
        let answer = answer.as_ref().ok()?;
        let wait = wait(answer.status(), answer.headers())?;
        if self.retries == RETRIES {
            return None;
        }
        self.retries += 1;
        Some(tokio::time::sleep(wait))
    }

    fn clone_request(&mut self, request: &Request<Body>) -> Option<Request<Body>> {
        let mut copy = Request::new(request.body().try_clone()?);
        copy.method_mut().clone_from(request.method());
        copy.uri_mut().clone_from(request.uri());
        copy.headers_mut().clone_from(request.headers());
        copy.extensions_mut().clone_from(request.extensions());
        Some(copy)
    }
}

/// How long the server wants us to wait before we ask again, if it wants that.
fn wait(status: StatusCode, headers: &HeaderMap) -> Option<Duration> {
    let puts_off = status == StatusCode::TOO_MANY_REQUESTS || status.is_server_error();
    let seconds = headers.get(RETRY_AFTER)?.to_str().ok()?.parse().ok()?;
    puts_off.then(|| Duration::from_secs(seconds).min(LONGEST))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    use http::Method;
    use tower::{Service, ServiceBuilder, ServiceExt, service_fn};

    use super::*;

    /// Asks a server that puts off the first `busy` requests; returns the last status and how many requests it saw.
    async fn ask(busy: u32, status: u16, retry_after: Option<&str>) -> (u16, u32) {
        let seen = Arc::new(AtomicU32::new(0));
        let count = Arc::clone(&seen);
        let retry_after = retry_after.map(ToOwned::to_owned);
        let server = service_fn(move |request: Request<Body>| {
            assert_eq!(request.method(), Method::PATCH);
            let is_busy = count.fetch_add(1, Ordering::SeqCst) < busy;
            let mut answer = Response::builder().status(if is_busy { status } else { 200 });
            if let Some(value) = &retry_after {
                answer = answer.header(RETRY_AFTER, value);
            }
            std::future::ready(answer.body(()).map_err(BoxError::from))
        });
        let mut client = ServiceBuilder::new().retry(WhenToldTo::default()).service(server);
        let request = Request::patch("http://api/x").body(Body::from(b"{}".to_vec()));
        let client = client.ready().await.unwrap();
        let answer = client.call(request.unwrap()).await.unwrap();
        (answer.status().as_u16(), seen.load(Ordering::SeqCst))
    }

    #[tokio::test]
    async fn what_the_server_puts_off_is_asked_again() {
        assert_eq!(ask(3, 429, Some("0")).await, (200, 4));
        assert_eq!(ask(3, 503, Some("0")).await, (200, 4));
    }

    #[tokio::test]
    async fn it_is_asked_ten_times_more_at_most() {
        assert_eq!(ask(u32::MAX, 429, Some("0")).await, (429, 11));
    }

    #[tokio::test]
    async fn other_answers_are_for_the_caller() {
        assert_eq!(ask(1, 429, None).await, (429, 1));
        assert_eq!(ask(1, 500, Some("soon")).await, (500, 1));
        assert_eq!(ask(1, 409, Some("0")).await, (409, 1));
    }

    #[test]
    fn waits_are_bounded() {
        let headers = HeaderMap::from_iter([(RETRY_AFTER, "86400".parse().unwrap())]);
        assert_eq!(wait(StatusCode::TOO_MANY_REQUESTS, &headers), Some(LONGEST));
    }
}
