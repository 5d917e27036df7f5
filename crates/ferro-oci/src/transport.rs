//! Requests to one registry: scheme, authentication, redirects, repetition.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use ferro_http::{
    Auth, Request, Response, Retry, SafeUrl, Secret, leads_inside, leads_out_of_tls, may_keep_auth,
};
use http::header::{LOCATION, RETRY_AFTER};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use tokio::time::{Instant, sleep};

use crate::challenge::{self, Challenge, Header};
use crate::error::{Refusal, Shown};
use crate::{Credentials, Error, Repository, Result};

/// How often a request is redirected at most.
const MAX_REDIRECTS: usize = 10;

/// The most of an error's body that is read.
const MAX_ERROR_BODY: u64 = 64 * 1024;

/// The longest that a registry may have us wait before a repetition.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(15);

/// As go-containerregistry: thrice, a second and three seconds apart.
pub(crate) const RETRY: Retry = Retry {
    retries: 2,
    min_wait: Duration::from_secs(1),
    max_wait: Duration::from_secs(3),
};

/// What is to be done with a repository.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Action {
    Pull,
    Push,
}

/// How a registry is spoken to.
#[derive(Clone, Debug)]
pub(crate) struct Endpoint {
    pub is_plain: bool,
    pub challenge: Challenge,
}

/// What is known of a registry; clients of one registry share it.
#[derive(Debug, Default)]
pub(crate) struct Known(Mutex<Option<Endpoint>>);

impl Known {
    fn lock(&self) -> MutexGuard<'_, Option<Endpoint>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Tokens for a repository with certain credentials; clients of one repository share them.
#[derive(Debug, Default)]
pub(crate) struct Tokens(Mutex<HashMap<Action, Grant>>);

/// A token, and what it was asked for.
#[derive(Clone, Debug)]
pub(crate) struct Grant {
    pub token: Secret<String>,
    pub scopes: Vec<String>,
    pub expires: Instant,
}

impl Tokens {
    pub(crate) fn lock(&self) -> MutexGuard<'_, HashMap<Action, Grant>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The way to one repository; clones share everything.
#[derive(Clone, Debug)]
pub(crate) struct Transport {
    pub http: ferro_http::Client,
    pub repository: Repository,
    pub credentials: Arc<Credentials>,
    pub known: Arc<Known>,
    pub tokens: Arc<Tokens>,
    pub retry: Retry,
}

/// A request before scheme and credentials are known.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub method: Method,
    /// Path and query at the registry.
    pub target: String,
    pub headers: HeaderMap,
    pub body: Bytes,
    pub action: Action,
}

impl Call {
    pub(crate) fn new(method: Method, target: String, action: Action) -> Self {
        Self {
            method,
            target,
            headers: HeaderMap::new(),
            body: Bytes::new(),
            action,
        }
    }

    pub(crate) fn pull(method: Method, target: String) -> Self {
        Self::new(method, target, Action::Pull)
    }

    #[must_use]
    pub(crate) fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.insert(name, value);
        self
    }

    #[must_use]
    pub(crate) fn body(mut self, body: Bytes) -> Self {
        self.body = body;
        self
    }

    /// Whether doing it twice is the same as doing it once.
    fn is_repeatable(&self) -> bool {
        matches!(self.method, Method::GET | Method::HEAD | Method::PUT)
    }

    fn request(&self, url: &SafeUrl) -> Result<Request> {
        let mut request = Request::to(self.method.clone(), url)?
            .without_redirects()
            .body(self.body.clone());
        for (name, value) in &self.headers {
            request = request.header(name.clone(), value.clone());
        }
        Ok(request)
    }
}

/// A response, with what errors about it have to name.
#[derive(Debug)]
pub(crate) struct Answer {
    pub method: Method,
    /// What was asked, before redirects.
    pub url: SafeUrl,
    pub response: Response,
}

impl Answer {
    /// Turns any status but those expected into an error.
    pub(crate) async fn expect(self, statuses: &[StatusCode]) -> Result<Self> {
        if statuses.contains(&self.response.status()) {
            return Ok(self);
        }
        Err(self.refusal().await)
    }

    pub(crate) async fn refusal(self) -> Error {
        let (url, status) = (self.response.url().clone(), self.response.status());
        // What the body would have said is worth less than the status.
        let body = self.response.bytes(MAX_ERROR_BODY).await.unwrap_or_default();
        Box::new(Refusal::new(self.method, &url, status, &body)).into()
    }

    pub(crate) fn invalid(&self, reason: impl Into<String>) -> Error {
        Error::Response {
            method: self.method.clone(),
            url: Shown::new(&self.url),
            reason: reason.into(),
        }
    }

    /// The text of a header, empty if there is none.
    pub(crate) fn header(&self, name: impl http::header::AsHeaderName) -> &str {
        let value = self.response.headers().get(name);
        value.and_then(|value| value.to_str().ok()).unwrap_or_default()
    }
}

impl Transport {
    /// Sends a request with the credentials that the registry wants. A token that turns out to have expired, or to allow too little, is replaced
    /// once.
    pub(crate) async fn send(&self, call: &Call) -> Result<Answer> {
        let endpoint = self.endpoint().await?;
        let auth = self.authorize(&endpoint, call.action).await?;
        let answer = self.send_with(call, &endpoint, auth).await;
        let answer = self.keep_known(answer)?;
        if answer.response.status() != StatusCode::UNAUTHORIZED {
            return Ok(answer);
        }
        let asked = challenge::headers(answer.response.headers());
        if asked.is_empty() {
            return Ok(answer);
        }
        let now = Endpoint {
            challenge: challenge::choose(&asked, self.repository.registry(), endpoint.is_plain)?,
            ..endpoint.clone()
        };
        let auth = match &now.challenge {
            // The same would be refused again.
            Challenge::Basic if endpoint.challenge == Challenge::Basic => return Ok(answer),
            Challenge::Basic => self.credentials.as_basic(),
            Challenge::Bearer(bearer) => {
                let scopes = self.scopes(call.action, &asked);
                Some(Auth::Bearer(
                    self.renew(bearer, call.action, scopes, endpoint.is_plain).await?,
                ))
            }
        };
        if now.challenge != endpoint.challenge {
            *self.known.lock() = Some(now.clone());
        }
        drop(answer);
        self.send_with(call, &now, auth).await
    }

    /// Forgets how the registry is spoken to when it cannot be reached so any more.
    fn keep_known(&self, answer: Result<Answer>) -> Result<Answer> {
        if matches!(answer, Err(Error::Http(ferro_http::Error::Connect { .. }))) {
            *self.known.lock() = None;
        }
        answer
    }

    /// The address of a path at the registry.
    fn url(&self, is_plain: bool, target: &str) -> Result<SafeUrl> {
        let scheme = if is_plain { "http" } else { "https" };
        let text = format!("{scheme}://{}{target}", self.repository.registry());
        SafeUrl::parse(&text).map_err(|error| {
            let reason = error.to_string();
            ferro_http::Error::InvalidUrl { reason }.into()
        })
    }

    async fn endpoint(&self) -> Result<Endpoint> {
        let known = self.known.lock().clone();
        if let Some(endpoint) = known {
            return Ok(endpoint);
        }
        let endpoint = self.ping().await?;
        *self.known.lock() = Some(endpoint.clone());
        Ok(endpoint)
    }

    /// Asks the registry how it wants to be spoken to. Where plain HTTP is allowed, it is tried if the registry does not speak TLS; a certificate that
    /// is not trusted is no reason, for that is what an attacker has to show.
    async fn ping(&self) -> Result<Endpoint> {
        let https = match self.ping_with(false).await {
            Err(Error::Http(error)) if self.repository.may_be_plain() && is_no_tls(&error) => {
                Error::Http(error)
            }
            other => return other,
        };
        match self.ping_with(true).await {
            Err(Error::Http(http)) => Err(Error::BothSchemes {
                https: Box::new(https),
                http: Box::new(Error::Http(http)),
            }),
            // It does speak plain HTTP, and that it did not speak TLS is beside the point.
            other => other,
        }
    }

    async fn ping_with(&self, is_plain: bool) -> Result<Endpoint> {
        let call = Call::pull(Method::GET, "/v2/".to_owned());
        let url = self.url(is_plain, &call.target)?;
        let answer = self.send_following(&call, &url, None).await?;
        let asked = match answer.response.status() {
            StatusCode::OK => Vec::new(),
            StatusCode::UNAUTHORIZED => challenge::headers(answer.response.headers()),
            _ => return Err(answer.refusal().await),
        };
        Ok(Endpoint {
            is_plain,
            challenge: challenge::choose(&asked, self.repository.registry(), is_plain)?,
        })
    }

    async fn authorize(&self, endpoint: &Endpoint, action: Action) -> Result<Option<Auth>> {
        if let Credentials::Token(token) = self.credentials.as_ref() {
            return Ok(Some(Auth::Bearer(token.clone())));
        }
        let Challenge::Bearer(bearer) = &endpoint.challenge else {
            return Ok(self.credentials.as_basic());
        };
        let grant = self.tokens.lock().get(&action).cloned();
        let token = match grant {
            Some(grant) if grant.expires > Instant::now() => grant.token,
            other => {
                let scopes = other.map_or_else(|| vec![self.scope(action)], |grant| grant.scopes);
                self.renew(bearer, action, scopes, endpoint.is_plain).await?
            }
        };
        Ok(Some(Auth::Bearer(token)))
    }

    fn scope(&self, action: Action) -> String {
        let actions = match action {
            Action::Pull => "pull",
            Action::Push => "push,pull",
        };
        format!("repository:{}:{actions}", self.repository.path())
    }

    /// What a new token has to allow: what the registry misses first, as some token services look at the first scope only.
    fn scopes(&self, action: Action, asked: &[Header]) -> Vec<String> {
        let had = self.tokens.lock().get(&action).map(|grant| grant.scopes.clone());
        let had = had.unwrap_or_else(|| vec![self.scope(action)]);
        let mut scopes: Vec<String> = asked
            .iter()
            .filter_map(|header| header.parameters.get("scope"))
            .filter(|scope| !had.contains(scope))
            .cloned()
            .collect();
        scopes.extend(had);
        scopes.truncate(8);
        scopes
    }

    async fn send_with(&self, call: &Call, endpoint: &Endpoint, auth: Option<Auth>) -> Result<Answer> {
        let url = self.url(endpoint.is_plain, &call.target)?;
        self.send_following(call, &url, auth.as_ref()).await
    }

    /// Follows redirects, to each of which credentials go along only if it is the registry itself.
    async fn send_following(&self, call: &Call, start: &SafeUrl, auth: Option<&Auth>) -> Result<Answer> {
        let mut url = start.clone();
        for _ in 0..=MAX_REDIRECTS {
            let mut request = call.request(&url)?;
            request = match auth {
                _ if !may_keep_auth(start, &url) => request.without_identity(),
                Some(auth) => request.auth(auth.clone()),
                None => request,
            };
            let response = self.send_retrying(&request, call.is_repeatable()).await?;
            let follows = matches!(call.method, Method::GET | Method::HEAD);
            if !follows || !is_redirect(response.status()) {
                return Ok(Answer {
                    method: call.method.clone(),
                    url: start.clone(),
                    response,
                });
            }
            let next = redirect_target(&url, response.headers())?;
            self.check_redirect(start, &next)?;
            url = next;
        }
        Err(redirect_error(
            start,
            &format!("more than {MAX_REDIRECTS} redirects"),
        ))
    }

    /// Repeats what failed for a reason that may pass, unless doing it twice is another thing than doing it once.
    pub(crate) async fn send_retrying(&self, request: &Request, is_repeatable: bool) -> Result<Response> {
        let mut attempt = 0;
        loop {
            let outcome = self.http.send(request).await;
            let wait = match &outcome {
                _ if !is_repeatable || attempt >= self.retry.retries => return Ok(outcome?),
                Ok(response) if is_passing(response.status()) => retry_after(response.headers()),
                Err(ferro_http::Error::Transfer { .. }) => None,
                Ok(_) | Err(_) => return Ok(outcome?),
            };
            drop(outcome);
            sleep(wait.unwrap_or_else(|| self.retry.wait(attempt))).await;
            attempt += 1;
        }
    }

    /// Refuses redirects out of TLS, and into networks that the registry should not be able to have requests sent to.
    fn check_redirect(&self, start: &SafeUrl, next: &SafeUrl) -> Result<()> {
        if leads_out_of_tls(start, next) && !self.repository.is_insecure() {
            return Err(redirect_error(start, "redirect from https to plain http refused"));
        }
        if leads_inside(start, next) {
            let host = |url: &SafeUrl| url.expose().host_str().unwrap_or_default().to_owned();
            let (from, to) = (host(start), host(next));
            let reason =
                format!("SSRF protection: redirect from {from:?} to private/link-local host {to:?} denied");
            return Err(Error::Redirect { reason });
        }
        Ok(())
    }
}

/// Whether the other side may be one that does not speak TLS.
fn is_no_tls(error: &ferro_http::Error) -> bool {
    matches!(error, ferro_http::Error::Connect { .. }) && !error.is_untrusted()
}

/// Statuses that may be another soon, as go-containerregistry counts them.
fn is_passing(status: StatusCode) -> bool {
    matches!(status.as_u16(), 408 | 429 | 499 | 500 | 502 | 503 | 504 | 522)
}

fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds).min(MAX_RETRY_AFTER))
}

fn is_redirect(status: StatusCode) -> bool {
    matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308)
}

fn redirect_error(url: &SafeUrl, reason: &str) -> Error {
    Error::Redirect {
        reason: format!("{reason} at {}", Shown::new(url)),
    }
}

pub(crate) fn redirect_target(from: &SafeUrl, headers: &HeaderMap) -> Result<SafeUrl> {
    let location = headers.get(LOCATION).and_then(|value| value.to_str().ok());
    let location = location.ok_or_else(|| redirect_error(from, "redirect without a location"))?;
    let url = from
        .expose()
        .join(location)
        .map_err(|_| redirect_error(from, "redirect to a malformed location"))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(redirect_error(from, "redirect to a location that is not HTTP"));
    }
    // A server must not choose what we authenticate with.
    Ok(SafeUrl::new(SafeUrl::new(url).without_credentials()))
}
