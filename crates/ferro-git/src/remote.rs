//! Where a repository is and how to get in.

use ferro_http::{ClientOptions, SafeUrl, Secret};

use crate::{Error, Result};

/// A remote repository.
#[derive(Debug, Clone)]
pub struct Remote {
    /// Its URL.
    pub url: RepositoryUrl,
    /// Credentials.
    pub auth: Auth,
    /// TLS, proxy and time limits of HTTP.
    pub http: ClientOptions,
    /// Algorithms of SSH.
    pub ssh: SshOptions,
}

impl Remote {
    /// A remote that needs no credentials, with default options.
    pub fn new(url: &str) -> Result<Self> {
        let url = RepositoryUrl::parse(url)?;
        let (http, ssh) = (ClientOptions::default(), SshOptions::default());
        Ok(Self {
            url,
            auth: Auth::None,
            http,
            ssh,
        })
    }

    /// Sets the credentials.
    #[must_use]
    pub fn with_auth(mut self, auth: Auth) -> Self {
        self.auth = auth;
        self
    }
}

/// Credentials for a remote.
#[derive(Debug, Clone, Default)]
pub enum Auth {
    /// None, beyond what the URL holds.
    #[default]
    None,
    /// Basic or bearer authentication over HTTP.
    Http(ferro_http::Auth),
    /// A private key over SSH.
    Ssh(SshAuth),
}

/// What SSH needs: who we are and whom we trust.
#[derive(Debug, Clone)]
pub struct SshAuth {
    /// The private key, in OpenSSH or PEM form.
    pub identity: Secret<String>,
    /// The passphrase of the key.
    pub passphrase: Option<Secret<String>>,
    /// The content of a `known_hosts` file.
    pub known_hosts: String,
}

/// SSH algorithms; an empty list means the defaults.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SshOptions {
    /// Key exchange algorithms, most wanted first.
    pub kex_algorithms: Vec<String>,
    /// Host key algorithms, most wanted first.
    pub host_key_algorithms: Vec<String>,
}

/// The scheme of a repository's URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    /// HTTP or HTTPS.
    Http,
    /// SSH.
    Ssh,
}

/// A checked URL: `http`, `https` or `ssh`, with a host.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct RepositoryUrl(SafeUrl);

impl RepositoryUrl {
    /// Parses a URL; the scp form (`host:path`) is none.
    pub fn parse(text: &str) -> Result<Self> {
        let invalid = |reason: String| Error::InvalidUrl { reason };
        let url = SafeUrl::parse(text).map_err(|error| invalid(error.to_string()))?;
        if !matches!(url.expose().scheme(), "http" | "https" | "ssh") {
            return Err(invalid(format!(
                "scheme '{}' is not http, https or ssh",
                url.expose().scheme()
            )));
        }
        if url.expose().host_str().is_none_or(str::is_empty) {
            return Err(invalid("it has no host".to_owned()));
        }
        Ok(Self(url))
    }

    /// The URL, safe to print.
    pub const fn url(&self) -> &SafeUrl {
        &self.0
    }

    /// Its scheme.
    pub fn scheme(&self) -> Scheme {
        if self.0.expose().scheme() == "ssh" {
            Scheme::Ssh
        } else {
            Scheme::Http
        }
    }

    /// The URL of a submodule: absolute or in scp form as it is, `./` and `../` relative to this one.
    pub fn join(&self, reference: &str) -> Result<Self> {
        if !(reference.starts_with("./") || reference.starts_with("../")) {
            return Self::parse(&scp_form(reference).unwrap_or_else(|| reference.to_owned()));
        }
        let mut url = self.0.expose().clone();
        let mut parts: Vec<&str> = url.path().split('/').filter(|part| !part.is_empty()).collect();
        for part in reference.split('/') {
            match part {
                "" | "." => {}
                ".." => {
                    if parts.pop().is_none() {
                        let reason = format!("'{reference}' leads above the root of its parent's host");
                        return Err(Error::InvalidUrl { reason });
                    }
                }
                name => parts.push(name),
            }
        }
        let path = format!("/{}", parts.join("/"));
        url.set_path(&path);
        Ok(Self(SafeUrl::new(url)))
    }

    pub(crate) fn host(&self) -> &str {
        self.0.expose().host_str().unwrap_or_default()
    }
}

/// The URL of `[user@]host:path`, as `.gitmodules` often has it: no scheme, and a colon before the first slash.
fn scp_form(reference: &str) -> Option<String> {
    let (host, path) = reference.split_once(':')?;
    let is_scp = !host.is_empty() && !host.contains('/') && !path.starts_with("//") && !path.is_empty();
    is_scp.then(|| format!("ssh://{host}/{}", path.trim_start_matches('/')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parse_unsupported_urls_are_refused() {
        for url in [
            "git@github.com:a/b",
            "file:///tmp/x",
            "git://h/x",
            "ssh:///x",
            "",
            "ftp://h/x",
        ] {
            assert!(RepositoryUrl::parse(url).is_err(), "{url}");
        }
        assert_eq!(
            RepositoryUrl::parse("ssh://git@h:22/x").unwrap().scheme(),
            Scheme::Ssh
        );
    }

    #[test]
    fn join_resolves_relative_submodule_urls() {
        let cases = [
            ("https://h/org/app.git", "../lib.git", "https://h/org/lib.git"),
            ("https://h/org/app", "./sub", "https://h/org/app/sub"),
            ("ssh://git@h:2222/org/app", "../../x/y", "ssh://git@h:2222/x/y"),
            ("https://h/a", "https://other/b", "https://other/b"),
            (
                "https://h/a",
                "git@github.com:org/lib.git",
                "ssh://git@github.com/org/lib.git",
            ),
            ("ssh://git@h/a", "host:/abs/lib", "ssh://host/abs/lib"),
        ];
        for (base, reference, expected) in cases {
            let joined = RepositoryUrl::parse(base).unwrap().join(reference).unwrap();
            assert_eq!(joined.url().expose().as_str(), expected);
        }
        assert!(
            RepositoryUrl::parse("https://h/a")
                .unwrap()
                .join("../../b")
                .is_err()
        );
    }
}
