//! What lies outside the tree: files over HTTP, bases in Git repositories.

use std::sync::Arc;

use crate::files::Files;
use crate::giturl::GitUrl;

/// A repository that was checked out.
#[derive(Clone)]
pub struct Checkout {
    /// The files of the checkout.
    pub files: Arc<dyn Files>,
    /// The directory in `files` that holds the repository's root, without links.
    pub root: String,
}

/// Why something remote could not be had.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RemoteError {
    /// The server answered with a failure.
    #[error("status code {code} ({reason})")]
    Status {
        /// The status code.
        code: u16,
        /// Its standard text.
        reason: String,
    },
    /// It took too long.
    #[error("{0}")]
    Timeout(String),
    /// Anything else.
    #[error("{0}")]
    Failed(String),
}

/// Fetches what a build names by URL. The engine asks for each URL once per build.
pub trait RemoteSource: Send + Sync {
    /// Reads a file over HTTP.
    fn get(&self, url: &str) -> Result<Vec<u8>, RemoteError>;
    /// Checks out a repository.
    fn checkout(&self, url: &GitUrl) -> Result<Checkout, RemoteError>;
}

/// Tells whether an entry is a URL that files are fetched from.
pub(crate) fn is_http(text: &str) -> bool {
    let scheme = text.split_once(':').map(|(scheme, _)| scheme);
    scheme.is_some_and(|scheme| scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https"))
}

/// Returns the form in which Go shows an HTTP address, if that has no host.
pub(crate) fn without_host(url: &str) -> Option<String> {
    let (scheme, rest) = url.split_once(':')?;
    let scheme = scheme.to_ascii_lowercase();
    match rest.strip_prefix("//") {
        Some(path) if path.starts_with('/') => Some(format!("{scheme}://{path}")),
        Some(rest) if rest.is_empty() || rest.starts_with(['?', '#']) => Some(format!("{scheme}:{rest}")),
        Some(_) => None,
        None => Some(format!("{scheme}:{rest}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_without_a_host_are_shown_as_go_shows_them() {
        assert_eq!(without_host("HTTP:/x").as_deref(), Some("http:/x"));
        assert_eq!(without_host("https://").as_deref(), Some("https:"));
        assert_eq!(without_host("https:///x").as_deref(), Some("https:///x"));
        assert_eq!(without_host("https://host/x"), None);
    }
}
