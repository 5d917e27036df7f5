//! Responses, read with bounds.

use bytes::Bytes;
use http::{HeaderMap, StatusCode};

use crate::{Error, Result, SafeUrl, client};

/// A response whose body has not been read yet; dropping it closes or returns the connection.
#[derive(Debug)]
pub struct Response {
    pub(crate) inner: reqwest::Response,
    pub(crate) url: SafeUrl,
}

impl Response {
    /// The status.
    pub fn status(&self) -> StatusCode {
        self.inner.status()
    }

    /// The headers.
    pub fn headers(&self) -> &HeaderMap {
        self.inner.headers()
    }

    /// The URL that answered, after redirects.
    pub const fn url(&self) -> &SafeUrl {
        &self.url
    }

    /// The announced length of the body.
    pub fn content_length(&self) -> Option<u64> {
        self.inner.content_length()
    }

    /// Where the response redirects to, if it does; for requests that do not follow redirects.
    pub fn redirect_target(&self) -> Option<Result<SafeUrl>> {
        let is_redirect = client::is_redirect(self.status());
        is_redirect.then(|| client::redirect_target(&self.url, self.headers()))
    }

    /// Turns a response that is no success into an error.
    pub fn error_for_status(self) -> Result<Self> {
        let status = self.status();
        if status.is_success() {
            Ok(self)
        } else {
            Err(Error::Status {
                url: self.url,
                status,
            })
        }
    }

    /// The next piece of the body, `None` at its end.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>> {
        self.inner
            .chunk()
            .await
            .map_err(|error| Error::request(&self.url, error))
    }

    /// The whole body, if it is not larger than `limit`.
    pub async fn bytes(mut self, limit: u64) -> Result<Bytes> {
        let too_large = |url: &SafeUrl| Error::BodyTooLarge {
            url: url.clone(),
            limit,
        };
        if self.content_length().is_some_and(|length| length > limit) {
            return Err(too_large(&self.url));
        }
        let Some(first) = self.chunk().await? else {
            return Ok(Bytes::new());
        };
        let mut body = Vec::from(first);
        while body.len() as u64 <= limit {
            match self.chunk().await? {
                Some(chunk) => body.extend_from_slice(&chunk),
                None => return Ok(body.into()),
            }
        }
        Err(too_large(&self.url))
    }
}
