//! Tokens from a registry's token service.

use std::time::Duration;

use bytes::Bytes;
use ferro_http::{Request, SafeUrl, Secret, may_keep_auth};
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{Method, StatusCode};
use serde::Deserialize;
use tokio::time::Instant;
use url::form_urlencoded;

use crate::challenge::{Bearer, check_realm};
use crate::error::Refusal;
use crate::transport::{Action, Grant, Transport, redirect_target};
use crate::{Credentials, Error, Result};

/// The largest answer of a token service that is read.
const MAX_BODY: u64 = 64 * 1024;
/// How long a token is good for where nothing is said, and how long one is kept at most.
const LIFETIME: Duration = Duration::from_secs(60);
const MAX_LIFETIME: Duration = Duration::from_secs(3600);
const MAX_REDIRECTS: usize = 10;
/// Who asks, where the service wants to know.
const CLIENT_ID: &str = "flux";

#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    token: String,
    #[serde(default)]
    access_token: String,
    #[serde(default)]
    expires_in: Option<u64>,
}

impl Transport {
    /// Gets a new token and keeps it for who asks next.
    pub(crate) async fn renew(
        &self,
        bearer: &Bearer,
        action: Action,
        scopes: Vec<String>,
        is_plain: bool,
    ) -> Result<Secret<String>> {
        if let Credentials::Token(token) = self.credentials.as_ref() {
            return Ok(token.clone());
        }
        let body = match self.credentials.as_ref() {
            Credentials::Identity(identity) => match self.exchange(bearer, identity, &scopes).await {
                // Not every token service has this way.
                Err(error) if error.status() == Some(StatusCode::NOT_FOUND) => {
                    self.ask(bearer, &scopes, is_plain).await?
                }
                other => other?,
            },
            _ => self.ask(bearer, &scopes, is_plain).await?,
        };
        let no_token = || Error::NoToken {
            url: bearer.realm.clone(),
        };
        let answer: Answer = serde_json::from_slice(&body).map_err(|_| no_token())?;
        let token = Some(answer.access_token)
            .filter(|token| !token.is_empty())
            .unwrap_or(answer.token);
        if token.is_empty() {
            return Err(no_token());
        }
        let token = Secret::new(token);
        let lifetime = answer
            .expires_in
            .map_or(LIFETIME, Duration::from_secs)
            .min(MAX_LIFETIME);
        let grant = Grant {
            token: token.clone(),
            scopes,
            // Not to the last second: the clock of the registry may be ahead.
            expires: Instant::now() + lifetime.mul_f64(0.9),
        };
        self.tokens.lock().insert(action, grant);
        Ok(token)
    }

    /// Asks with user name and password, or with nothing.
    async fn ask(&self, bearer: &Bearer, scopes: &[String], is_plain: bool) -> Result<Bytes> {
        let mut url = bearer.realm.expose().clone();
        {
            let mut query = url.query_pairs_mut();
            for scope in scopes {
                query.append_pair("scope", scope);
            }
            query.append_pair("service", &bearer.service);
        }
        let start = SafeUrl::new(url);
        let mut url = start.clone();
        for _ in 0..=MAX_REDIRECTS {
            let mut request = Request::to(Method::GET, &url)?.without_redirects();
            request = match self.credentials.as_basic() {
                _ if !may_keep_auth(&start, &url) => request.without_identity(),
                Some(auth) => request.auth(auth),
                None => request,
            };
            let response = self.send_retrying(&request, true).await?;
            if !response.status().is_redirection() {
                return read(Method::GET, response).await;
            }
            let next = redirect_target(&url, response.headers())?;
            check_realm(&next, self.repository.registry(), is_plain).map_err(|reason| Error::Redirect {
                reason: format!("refusing token-server redirect: {reason}"),
            })?;
            url = next;
        }
        Err(Error::Redirect {
            reason: format!("stopped after {MAX_REDIRECTS} redirects"),
        })
    }

    /// Asks with a token that stands for a login.
    async fn exchange(&self, bearer: &Bearer, identity: &Secret<String>, scopes: &[String]) -> Result<Bytes> {
        let body = form_urlencoded::Serializer::new(String::new())
            .append_pair("scope", &scopes.join(" "))
            .append_pair("service", &bearer.service)
            .append_pair("client_id", CLIENT_ID)
            .append_pair("grant_type", "refresh_token")
            .append_pair("refresh_token", identity.expose())
            .finish();
        let request = Request::to(Method::POST, &bearer.realm)?
            .header(
                CONTENT_TYPE,
                HeaderValue::from_static("application/x-www-form-urlencoded"),
            )
            .body(body);
        read(Method::POST, self.send_retrying(&request, true).await?).await
    }
}

async fn read(method: Method, response: ferro_http::Response) -> Result<Bytes> {
    let (url, status) = (response.url().clone(), response.status());
    let body = response.bytes(MAX_BODY).await?;
    if status == StatusCode::OK {
        return Ok(body);
    }
    Err(Box::new(Refusal::new(method, &url, status, &body)).into())
}
