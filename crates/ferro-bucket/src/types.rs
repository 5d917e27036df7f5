//! What all storages have in common.

use bytes::Bytes;
use ferro_http::{Response, SafeUrl};
use http::header::ETAG;

use crate::{Error, Result};

/// An object of a listing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listed {
    /// The name.
    pub key: String,
    /// Changes when the content does; as the storage's own library shows it.
    pub etag: String,
    /// Bytes, as far as the storage says.
    pub size: u64,
    /// What the object is asked for by, besides its name, to get exactly this version.
    pub version: Option<String>,
}

/// A part of a listing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Page {
    pub objects: Vec<Listed>,
    /// Where the next part begins.
    pub next: Option<String>,
}

/// An object that is being received.
#[derive(Debug)]
pub struct Object {
    /// As [`Listed::etag`], of the content that is received.
    pub etag: String,
    pub(crate) response: Response,
    pub(crate) left: Option<u64>,
}

impl Object {
    pub(crate) fn new(etag: String, response: Response) -> Self {
        let left = response.content_length();
        Self { etag, response, left }
    }

    /// The announced length.
    #[must_use]
    pub fn size(&self) -> Option<u64> {
        self.response.content_length()
    }

    /// The next piece of the content, `None` at its end.
    ///
    /// # Errors
    /// When the transfer breaks, or what comes is shorter or longer than was announced.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>> {
        let chunk = self.response.chunk().await?;
        let differs = || Error::malformed("the content has another length than was announced");
        match (&chunk, &mut self.left) {
            (Some(chunk), Some(left)) => *left = left.checked_sub(chunk.len() as u64).ok_or_else(differs)?,
            (None, Some(left)) if *left > 0 => return Err(differs()),
            _ => {}
        }
        Ok(chunk)
    }
}

/// The `ETag` header of a response without its quotes; empty if there is none.
pub(crate) fn etag(response: &Response) -> &str {
    let value = response.headers().get(ETAG);
    let text = value.and_then(|value| value.to_str().ok()).unwrap_or_default();
    unquoted(text)
}

/// An ETag without its quotes.
pub(crate) fn unquoted(etag: &str) -> &str {
    let etag = etag.strip_prefix('"').unwrap_or(etag);
    etag.strip_suffix('"').unwrap_or(etag)
}

/// Refuses keys that cannot be asked for: a URL has no way to name them, and no file may be called so.
pub(crate) fn check_key(key: &str) -> Result<()> {
    let invalid = |problem| Err(Error::InvalidKey { problem });
    if key.is_empty() {
        return invalid("is empty");
    }
    if key.contains('\0') {
        return invalid("holds a NUL character");
    }
    if key.split('/').any(|part| matches!(part, "." | "..")) {
        return invalid("holds '.' or '..' as a component of its path");
    }
    Ok(())
}

/// Host and port as the `Host` header has them.
pub(crate) fn host_of(url: &SafeUrl) -> String {
    let url = url.expose();
    let host = url.host_str().unwrap_or_default();
    url.port()
        .map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn check_key_refuses_what_has_no_url() {
        for key in ["a", "/a", "a//b", "a/..b/...", ".a", "ä\n"] {
            assert!(check_key(key).is_ok(), "{key:?}");
        }
        for key in ["", ".", "..", "../a", "a/../b", "a/.", "a\0"] {
            assert!(check_key(key).is_err(), "{key:?}");
        }
    }

    #[test]
    fn unquoted_takes_one_pair_off() {
        assert_eq!(unquoted("\"a-2\""), "a-2");
        assert_eq!(unquoted("a"), "a");
    }
}
