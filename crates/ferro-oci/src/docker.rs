//! Docker configurations: which credentials are for which repository.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use ferro_gocompat::path;
use ferro_http::Secret;
use serde::Deserialize;
use url::Url;

use crate::{Credentials, Error, Repository, Result};

/// Entries of all configurations together.
const MAX_ENTRIES: usize = 10_000;

/// Credentials by the repositories that they are for. Of several that fit, those of the more specific key are taken, and of equal keys those that
/// were added first; host names in keys may have wildcards, paths fit what they are the beginning of. It is the matching of the kubelet.
#[derive(Debug, Default)]
pub struct Keyring {
    entries: Vec<Entry>,
}

#[derive(Debug)]
struct Entry {
    /// Host, port and path as one text; decides the order.
    key: String,
    host: String,
    port: String,
    path: String,
    credentials: Credentials,
}

#[derive(Deserialize)]
struct Config {
    #[serde(default)]
    auths: Option<BTreeMap<String, Auth>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Auth {
    username: Option<String>,
    password: Option<String>,
    auth: Option<String>,
    identitytoken: Option<String>,
    registrytoken: Option<String>,
}

impl Keyring {
    /// An empty one: everybody is anonymous.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds the `auths` of a `config.json`, which is also what `.dockerconfigjson` of a Secret holds.
    ///
    /// # Errors
    /// When it cannot be understood.
    pub fn add_config(&mut self, json: &[u8]) -> Result<()> {
        let config: Config = serde_json::from_slice(json).map_err(|error| malformed(&error))?;
        self.add(config.auths.unwrap_or_default())
    }

    /// Adds the entries of the older form, `.dockercfg`.
    ///
    /// # Errors
    /// When it cannot be understood.
    pub fn add_legacy_config(&mut self, json: &[u8]) -> Result<()> {
        self.add(serde_json::from_slice(json).map_err(|error| malformed(&error))?)
    }

    fn add(&mut self, auths: BTreeMap<String, Auth>) -> Result<()> {
        for (key, auth) in auths {
            if self.entries.len() >= MAX_ENTRIES {
                return Err(Error::DockerConfig {
                    reason: format!("more than {MAX_ENTRIES} entries"),
                });
            }
            self.entries.push(Entry::new(&key, auth)?);
        }
        // Stable, so that of equal keys the first stays the first.
        self.entries.sort_by(|a, b| b.key.cmp(&a.key));
        Ok(())
    }

    /// The credentials for a repository.
    pub fn resolve(&self, repository: &Repository) -> Credentials {
        let found = self.entries.iter().find(|entry| entry.is_for(repository));
        found.map_or(Credentials::Anonymous, |entry| entry.credentials.clone())
    }
}

impl Entry {
    fn new(text: &str, auth: Auth) -> Result<Self> {
        let rest = text
            .strip_prefix("https://")
            .or_else(|| text.strip_prefix("http://"))
            .unwrap_or(text);
        let (authority, path) = match rest.find(['/', '?', '#']) {
            Some(index) => rest.split_at(index),
            None => (rest, ""),
        };
        // Keys may be anything; what could never name a host matches none.
        let path = path.split(['?', '#']).next().unwrap_or_default();
        let path = ["/v2/", "/v1/"]
            .iter()
            .find(|prefix| path.starts_with(**prefix))
            .map_or(path, |_| path.get(3..).unwrap_or_default());
        let path = if path == "/" { "" } else { path };
        let (host, port) = split_port(authority);
        Ok(Self {
            key: format!("{authority}{path}"),
            host: host.to_owned(),
            port: port.to_owned(),
            path: path.to_owned(),
            credentials: auth.credentials(text)?,
        })
    }

    fn is_for(&self, repository: &Repository) -> bool {
        let (host, port) = split_port(repository.registry());
        if port != self.port || !format!("/{}", repository.path()).starts_with(&self.path) {
            return false;
        }
        let (patterns, parts) = (self.host.split('.'), host.split('.'));
        patterns.clone().count() == parts.clone().count()
            && patterns
                .zip(parts)
                .all(|(pattern, part)| path::matches(pattern, part).unwrap_or(false))
    }
}

impl Auth {
    fn credentials(self, key: &str) -> Result<Credentials> {
        let (username, password) = match self.auth.filter(|auth| !auth.is_empty()) {
            Some(auth) => decode(&auth).map_err(|reason| Error::DockerConfig {
                reason: format!("unable to decode auth field of {:?}: {reason}", host_only(key)),
            })?,
            None => (
                self.username.unwrap_or_default(),
                Secret::new(self.password.unwrap_or_default()),
            ),
        };
        let token = |token: Option<String>| token.filter(|token| !token.is_empty()).map(Secret::new);
        Ok(match (token(self.registrytoken), token(self.identitytoken)) {
            (Some(token), _) => Credentials::Token(token),
            (None, Some(token)) => Credentials::Identity(token),
            (None, None) => Credentials::basic(&username, password.expose()),
        })
    }
}

/// `user:password` in base64, with or without padding.
fn decode(text: &str) -> std::result::Result<(String, Secret<String>), &'static str> {
    let text = text.trim();
    let engine = if text.ends_with('=') {
        STANDARD
    } else {
        STANDARD_NO_PAD
    };
    let bytes = engine.decode(text).map_err(|_| "illegal base64 data")?;
    let pair = Secret::new(String::from_utf8(bytes).map_err(|_| "not UTF-8")?);
    let (username, password) = pair
        .expose()
        .split_once(':')
        .ok_or("must be formatted as base64(username:password)")?;
    Ok((username.to_owned(), password.into()))
}

/// The position of a fault, and nothing of what stands there.
fn malformed(error: &serde_json::Error) -> Error {
    Error::DockerConfig {
        reason: format!(
            "malformed JSON at line {} column {}",
            error.line(),
            error.column()
        ),
    }
}

fn host_only(key: &str) -> String {
    let url = if key.contains("://") {
        Url::parse(key)
    } else {
        Url::parse(&format!("https://{key}"))
    };
    let host = url.ok().and_then(|url| url.host_str().map(str::to_owned));
    host.unwrap_or_default()
}

fn split_port(authority: &str) -> (&str, &str) {
    let host = crate::name::host_of(authority);
    let port = authority
        .get(host.len()..)
        .and_then(|rest| rest.strip_prefix(':'));
    (host, port.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(keyring: &Keyring, repository: &str) -> String {
        match keyring.resolve(&Repository::parse(repository, false).unwrap()) {
            Credentials::Anonymous => "anonymous".to_owned(),
            Credentials::Basic { username, password } => format!("{username}:{}", password.expose()),
            Credentials::Identity(token) => format!("identity {}", token.expose()),
            Credentials::Token(token) => format!("token {}", token.expose()),
        }
    }

    #[test]
    fn resolve_prefers_the_more_specific_key() {
        let mut keyring = Keyring::new();
        let config = r#"{"auths":{
            "r.io": {"username":"host","password":"p"},
            "r.io/org": {"username":"org","password":"p"},
            "r.io/org/app": {"username":"app","password":"p"},
            "*.glob.io": {"username":"glob","password":"p"},
            "https://port.io:5000/v2/": {"username":"port","password":"p"},
            "https://index.docker.io/v1/": {"auth":"aHViOnA="},
            "http://plain.io": {"auth":"cGxhaW46cA"},
            "id.io": {"auth":"PHRva2VuPjo=","identitytoken":"i"},
            "token.io": {"registrytoken":"t"},
            "half.io": {"username":"x"},
            "empty.io": {}
        },"credsStore":"desktop","HttpHeaders":{}}"#;
        keyring.add_config(config.as_bytes()).unwrap();
        let cases = [
            ("r.io/org/app", "app:p"),
            ("r.io/org/application", "app:p"),
            ("r.io/org/other", "org:p"),
            ("r.io/else/x", "host:p"),
            ("r.io:5000/org/app", "anonymous"),
            ("a.glob.io/xx", "glob:p"),
            ("a.b.glob.io/xx", "anonymous"),
            ("glob.io/xx", "anonymous"),
            ("port.io:5000/a/b", "port:p"),
            ("port.io/a/b", "anonymous"),
            ("ubuntu", "hub:p"),
            ("docker.io/a/b", "hub:p"),
            ("plain.io/a/b", "plain:p"),
            ("id.io/xx", "identity i"),
            ("token.io/xx", "token t"),
            ("half.io/xx", "anonymous"),
            ("empty.io/xx", "anonymous"),
            ("other.io/xx", "anonymous"),
        ];
        for (repository, expected) in cases {
            assert_eq!(name(&keyring, repository), expected, "{repository}");
        }
    }

    #[test]
    fn resolve_of_equal_keys_the_first_added() {
        let mut keyring = Keyring::new();
        keyring
            .add_legacy_config(br#"{"r.io":{"username":"first","password":"p"}}"#)
            .unwrap();
        keyring
            .add_config(br#"{"auths":{"https://r.io":{"username":"second","password":"p"}}}"#)
            .unwrap();
        assert_eq!(name(&keyring, "r.io/xx"), "first:p");
        keyring.add_config(br#"{"auths":null}"#).unwrap();
        keyring.add_config(b"{}").unwrap();
    }

    #[test]
    fn add_names_faults_without_showing_secrets() {
        let cases: [(&[u8], &str); 4] = [
            (
                b"{\"auths\":{\"r.io\":\"hunter2\"}}",
                "invalid docker config: malformed JSON at line 1 column 26",
            ),
            (
                b"hunter2",
                "invalid docker config: malformed JSON at line 1 column 1",
            ),
            (
                br#"{"auths":{"u:hunter2@r.io":{"auth":"!"}}}"#,
                "invalid docker config: unable to decode auth field of \"r.io\": illegal base64 data",
            ),
            (
                br#"{"auths":{"r.io":{"auth":"aHVudGVyMg=="}}}"#,
                "invalid docker config: unable to decode auth field of \"r.io\": must be formatted as base64(username:password)",
            ),
        ];
        for (config, expected) in cases {
            assert_eq!(
                Keyring::new().add_config(config).unwrap_err().to_string(),
                expected
            );
        }
    }
}
