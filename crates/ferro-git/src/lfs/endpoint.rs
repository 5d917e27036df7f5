//! Where the LFS server of a repository is, and what it wants to see.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::sync::Arc;

use ferro_http::{Auth, SafeUrl};
use http::{HeaderMap, HeaderName, HeaderValue};
use serde::Deserialize;

use super::refused;
use crate::interrupt::Interrupt;
use crate::transport::{Failure, ssh};
use crate::{Error, Remote, Result, Scheme, config};

/// The largest answer of `git-lfs-authenticate`.
const MAX_ANSWER: u64 = 64 << 10;

/// An LFS server.
#[derive(Debug)]
pub(super) struct Endpoint {
    /// Its address, without a slash at the end.
    pub(super) url: SafeUrl,
    /// Credentials for its origin.
    pub(super) auth: Option<Auth>,
    /// Headers for its origin.
    pub(super) headers: HeaderMap,
}

impl Endpoint {
    /// The LFS server of `remote`. The repository's `.lfsconfig` may name another path, but no other host: who can commit to a repository must
    /// not choose where its credentials go.
    pub(super) fn find(remote: &Remote, lfsconfig: &str, interrupt: &Arc<Interrupt>) -> Result<Self> {
        let named = config::value_of(lfsconfig, "lfs", "url");
        let named = named.map(|url| parse_named(remote, &url)).transpose()?;
        match (remote.url.scheme(), named) {
            (Scheme::Http, named) => {
                let auth = match &remote.auth {
                    crate::Auth::Http(auth) => Some(auth.clone()),
                    crate::Auth::None | crate::Auth::Ssh(_) => Auth::from_url(remote.url.url()),
                };
                let url = match named {
                    Some(url) => url,
                    None => default_url(remote)?,
                };
                let headers = HeaderMap::new();
                Ok(Self { url, auth, headers })
            }
            (Scheme::Ssh, Some(url)) => Ok(Self {
                url,
                auth: None,
                headers: HeaderMap::new(),
            }),
            (Scheme::Ssh, None) => Self::authenticate(remote, interrupt),
        }
    }

    /// Asks the SSH server for an address and a token.
    fn authenticate(remote: &Remote, interrupt: &Arc<Interrupt>) -> Result<Self> {
        let failure = Failure::default();
        let reader = ssh::ask(remote, "git-lfs-authenticate", "download", interrupt, &failure)?;
        let mut answer = Vec::new();
        let read = reader.take(MAX_ANSWER).read_to_end(&mut answer);
        read.map_err(|error| match failure.take() {
            Some(ended @ (Error::Timeout | Error::Cancelled)) => ended,
            Some(cause) => unanswered(&cause.to_string()),
            None => unanswered(&error.to_string()),
        })?;
        let answer: Login = serde_json::from_slice(&answer).map_err(|_not_shown| {
            refused("the SSH server's answer to git-lfs-authenticate is not what it should be".to_owned())
        })?;
        let url = match answer.href.as_deref().filter(|href| !href.is_empty()) {
            Some(href) => parse(href)?,
            None => default_url(remote)?,
        };
        Ok(Self {
            url,
            auth: None,
            headers: headers(&answer.header)?,
        })
    }
}

/// The program may be missing on the server, which sounds as if the repository were.
fn unanswered(cause: &str) -> Error {
    refused(format!(
        "the SSH server does not answer git-lfs-authenticate: {cause}"
    ))
}

/// What `git-lfs-authenticate` prints.
#[derive(Deserialize)]
struct Login {
    href: Option<String>,
    #[serde(default)]
    header: BTreeMap<String, String>,
}

/// Headers that a server wants to see; they count as credentials.
pub(super) fn headers(named: &BTreeMap<String, String>) -> Result<HeaderMap> {
    let mut headers = HeaderMap::new();
    for (name, value) in named {
        let name = HeaderName::from_bytes(name.as_bytes());
        let value = HeaderValue::from_str(value);
        let (Ok(name), Ok(mut value)) = (name, value) else {
            return Err(refused("the LFS server asks for a malformed header".to_owned()));
        };
        // Those are the connection's.
        if matches!(
            name.as_str(),
            "host" | "connection" | "content-length" | "transfer-encoding"
        ) {
            continue;
        }
        value.set_sensitive(true);
        headers.insert(name, value);
    }
    Ok(headers)
}

fn parse(text: &str) -> Result<SafeUrl> {
    let url = SafeUrl::parse(text.trim_end_matches('/'));
    url.ok()
        .filter(|url| matches!(url.expose().scheme(), "http" | "https"))
        .ok_or_else(|| refused("the address of the LFS server is not an HTTP URL".to_owned()))
}

/// The address in `.lfsconfig`, which must be at the repository's host.
fn parse_named(remote: &Remote, text: &str) -> Result<SafeUrl> {
    let url = SafeUrl::new(parse(text)?.without_credentials());
    let is_at_home = match remote.url.scheme() {
        Scheme::Http => ferro_http::may_keep_auth(remote.url.url(), &url),
        Scheme::Ssh => url.expose().scheme() == "https" && url.expose().host_str() == Some(remote.url.host()),
    };
    if is_at_home {
        return Ok(url);
    }
    Err(refused(format!(
        "'.lfsconfig' of the repository names the LFS server '{url}', which is not at the repository's host: it is not asked"
    )))
}

/// `<repository>.git/info/lfs`.
fn default_url(remote: &Remote) -> Result<SafeUrl> {
    let mut url = remote.url.url().without_credentials();
    if remote.url.scheme() == Scheme::Ssh {
        let host = remote.url.host();
        let path = url.path();
        url = format!("https://{host}{path}")
            .parse()
            .map_err(|error: url::ParseError| Error::InvalidUrl {
                reason: error.to_string(),
            })?;
    }
    let path = url.path().trim_end_matches('/');
    let end = if path.ends_with(".git") { "" } else { ".git" };
    let path = format!("{path}{end}/info/lfs");
    url.set_path(&path);
    url.set_query(None);
    Ok(SafeUrl::new(url))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Context;

    #[tokio::test]
    async fn find_takes_the_usual_address_or_another_at_the_same_host() {
        let interrupt = Interrupt::new(Context::with_timeout(std::time::Duration::from_secs(1)));
        let find = |url: &str, named: &str| {
            let remote = Remote::new(url).unwrap();
            let text = format!("[lfs]\n\turl = {named}\n");
            let text = if named.is_empty() { "" } else { &text };
            let found = Endpoint::find(&remote, text, &interrupt);
            found.map(|found| found.url.expose().to_string())
        };
        for (url, named, expected) in [
            ("https://h/org/app", "", "https://h/org/app.git/info/lfs"),
            ("https://h/org/app.git/", "", "https://h/org/app.git/info/lfs"),
            ("https://u:p@h:8443/app", "", "https://h:8443/app.git/info/lfs"),
            ("https://h/app", "https://h/lfs/", "https://h/lfs"),
            ("http://h/app", "https://h/lfs", "https://h/lfs"),
            ("https://h/app", "https://u:p@h/lfs", "https://h/lfs"),
            ("ssh://git@h:2222/app", "https://h/lfs", "https://h/lfs"),
        ] {
            assert_eq!(find(url, named).unwrap(), expected, "{url} {named}");
        }
        for (url, named) in [
            ("https://h/app", "https://other/lfs"),
            ("https://h/app", "http://h/lfs"),
            ("https://h/app", "https://h:8443/lfs"),
            ("ssh://git@h/app", "http://h/lfs"),
            ("ssh://git@h/app", "https://other/lfs"),
            ("https://h/app", "file:///etc"),
            ("https://h/app", "ssh://h/app"),
        ] {
            assert!(
                matches!(find(url, named), Err(Error::Lfs { .. })),
                "{url} {named}"
            );
        }
    }

    #[test]
    fn headers_are_credentials_and_none_of_the_connections() {
        let named = |name: &str, value: &str| BTreeMap::from([(name.to_owned(), value.to_owned())]);
        let found = headers(&named("Authorization", "Bearer hunter2")).unwrap();
        assert!(found["authorization"].is_sensitive());
        assert!(!format!("{found:?}").contains("hunter2"));
        assert!(headers(&named("Content-Length", "1")).unwrap().is_empty());
        assert!(headers(&named("X", "a\r\nb: c")).is_err());
        assert!(headers(&named("X Y", "a")).is_err());
    }
}
