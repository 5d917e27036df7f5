//! Asks whether certificates of notation's signatures are revoked: responders of OCSP first, then the lists that a certificate names.
//!
//! As notation does it: over plain HTTP only, as what comes is signed; through the proxy that the environment names; with little patience.
//! Nothing is kept, as an artifact is verified once. Redirects do not lead into inner networks from outside of them.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use ferro_http::{Client, Request, SafeUrl, describe, leads_inside, leads_out_of_tls};
use ferro_verify::notation::{Inquiry, Refusal};
use ferro_verify::revocation::{Link, List, MAX_ADDRESSES, Status};
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Method, StatusCode};
use k8s_openapi::jiff::Timestamp;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use tokio::time::timeout;

use crate::reconcile::Shared;

/// How long a responder may take, as upstream.
const RESPONDER_PATIENCE: Duration = Duration::from_secs(2);
/// How long fetching a list may take, as upstream.
const LIST_PATIENCE: Duration = Duration::from_secs(5);
/// The largest answer of a responder, as upstream.
const MAX_ANSWER: u64 = 20 << 10;
/// The largest list, as upstream.
const MAX_LIST: u64 = 32 << 20;
/// Longer questions are posted (RFC 6960 appendix A.1).
const MAX_QUESTION: usize = 255;
const MAX_REDIRECTS: usize = 10;

/// Finds out what a signature's certificates are worth.
pub(super) struct Asker<'a> {
    pub shared: &'a Shared,
    pub client: &'a Client,
    /// What is verified, for the log.
    pub what: &'a str,
}

impl Asker<'_> {
    /// Asks about all certificates, one after the other, so that one list is in memory at most, and one of changes to it.
    ///
    /// # Errors
    /// When one is revoked or unknown, and the policy enforces that none is.
    pub(super) async fn settle(&self, inquiry: Inquiry) -> Result<(), Refusal> {
        let inquiry = Arc::new(inquiry);
        let mut statuses = Vec::new();
        for place in 0..inquiry.links().len() {
            statuses.push(self.status(&inquiry, place).await);
        }
        match inquiry.conclude(&statuses) {
            Err(refusal) if !inquiry.is_enforced() => {
                let what = self.what;
                tracing::info!(
                    "verification check for type 'revocation' failed for '{what}' with message: '{refusal}'"
                );
                Ok(())
            }
            verdict => verdict,
        }
    }

    async fn status(&self, inquiry: &Arc<Inquiry>, place: usize) -> Status {
        let Some(link) = inquiry.links().get(place) else {
            return Status::Unknown;
        };
        if !link.responders().is_empty() {
            let status = self.ask_responders(inquiry, link).await;
            if status != Status::Unknown || link.lists().is_empty() {
                return status;
            }
        }
        match self.read_lists(inquiry, place, link).await {
            Ok(status) => status,
            Err(cause) => {
                tracing::warn!(
                    "a list of revoked certificates cannot be used for '{}': {cause}",
                    self.what
                );
                Status::Unknown
            }
        }
    }

    /// The first answer counts.
    async fn ask_responders(&self, inquiry: &Inquiry, link: &Link) -> Status {
        for address in link.responders().iter().take(MAX_ADDRESSES) {
            let asked = timeout(RESPONDER_PATIENCE, self.ask(address, &link.request())).await;
            let answer = asked.unwrap_or_else(|_| Err("it does not answer in time".to_owned()));
            let judged = answer.and_then(|answer| {
                let judged = link.judge_response(&answer, inquiry.signed(), Timestamp::now());
                judged.map_err(|error| error.to_string())
            });
            match judged {
                Ok(status) => return status,
                Err(cause) => tracing::warn!(
                    "the OCSP responder {} cannot be used for '{}': {cause}",
                    shown(address),
                    self.what
                ),
            }
        }
        Status::Unknown
    }

    async fn ask(&self, address: &str, question: &[u8]) -> Result<Bytes, String> {
        let encoded = STANDARD.encode(question);
        let escaped = utf8_percent_encode(&encoded, NON_ALPHANUMERIC).to_string();
        let failed = |error: ferro_http::Error| describe(&error);
        let request = if escaped.len() < MAX_QUESTION {
            let address = format!("{}/{escaped}", address.trim_end_matches('/'));
            Request::get(&address).map_err(failed)?
        } else {
            let kind = HeaderValue::from_static("application/ocsp-request");
            let request = Request::new(Method::POST, address).map_err(failed)?;
            request.header(CONTENT_TYPE, kind).body(question.to_vec())
        };
        self.fetch(request, MAX_ANSWER).await
    }

    /// All lists count, as each may be about some reasons only.
    async fn read_lists(&self, inquiry: &Arc<Inquiry>, place: usize, link: &Link) -> Result<Status, String> {
        if link.lists().len() > MAX_ADDRESSES {
            return Err(format!("there are more than {MAX_ADDRESSES} lists"));
        }
        for address in link.lists() {
            let of_it = |cause: String| format!("{}: {cause}", shown(address));
            let list = self.list(address).await.map_err(of_it)?;
            let changes = self.changes(&list).await.map_err(of_it)?;
            let inquiry = Arc::clone(inquiry);
            let judge = move |_: &_| {
                let link = inquiry.links().get(place);
                let list = List::parse(&list)?;
                let changes = changes.as_deref().map(List::parse).transpose()?;
                let judge = |link: &Link| {
                    link.judge_list(&list, changes.as_ref(), inquiry.signed(), Timestamp::now())
                };
                link.map_or(Ok(Status::Unknown), judge)
            };
            let judged = self
                .shared
                .off_thread(judge)
                .await
                .map_err(|failure| of_it(failure.message))?;
            match judged {
                Ok(Status::Good) => {}
                Ok(status) => return Ok(status),
                Err(error) => return Err(of_it(error.to_string())),
            }
        }
        Ok(Status::Good)
    }

    async fn list(&self, address: &str) -> Result<Bytes, String> {
        let request = Request::get(address).map_err(|error| describe(&error))?;
        let fetched = timeout(LIST_PATIENCE, self.fetch(request, MAX_LIST)).await;
        fetched.unwrap_or_else(|_| Err("it does not come in time".to_owned()))
    }

    /// The changes since a list, from the first address that has them.
    async fn changes(&self, list: &[u8]) -> Result<Option<Bytes>, String> {
        let addresses = List::parse(list)
            .map_err(|error| error.to_string())?
            .changes()
            .to_vec();
        let mut last = None;
        for address in addresses.iter().take(MAX_ADDRESSES) {
            let fetched = self.list(address).await.and_then(|changes| {
                List::parse(&changes).map_err(|error| error.to_string())?;
                Ok(changes)
            });
            match fetched {
                Ok(changes) => return Ok(Some(changes)),
                Err(cause) => last = Some(format!("changes at {}: {cause}", shown(address))),
            }
        }
        last.map_or(Ok(None), Err)
    }

    /// Fetches a document. Certificates name addresses of plain HTTP, as what has TLS would have certificates to be looked at itself.
    async fn fetch(&self, mut request: Request, limit: u64) -> Result<Bytes, String> {
        if request.url().expose().scheme() != "http" {
            return Err("only HTTP is supported".to_owned());
        }
        let failed = |error: ferro_http::Error| describe(&error);
        for _ in 0..=MAX_REDIRECTS {
            let response = self.client.send(&request.clone().without_redirects()).await;
            let response = response.map_err(failed)?;
            let Some(next) = response.redirect_target() else {
                if response.status() != StatusCode::OK {
                    return Err(format!("status {}", response.status()));
                }
                return response.bytes(limit).await.map_err(failed);
            };
            let next = next.map_err(failed)?;
            if leads_out_of_tls(request.url(), &next) {
                return Err("redirect from https to plain http refused".to_owned());
            }
            if leads_inside(request.url(), &next) {
                return Err(format!("redirect to the inner address '{next}' refused"));
            }
            request = Request::to(Method::GET, &next).map_err(failed)?;
        }
        Err(format!("more than {MAX_REDIRECTS} redirects"))
    }
}

/// An address without what may be a credential in it.
fn shown(address: &str) -> String {
    SafeUrl::parse(address).map_or_else(|_| "of no valid address".to_owned(), |url| url.to_string())
}

#[cfg(test)]
mod tests;
