//! Names of repositories and what is in them, read as go-containerregistry reads them.

use std::fmt;
use std::net::IpAddr;

use url::Url;

use crate::{Digest, DigestError};

/// The scheme of a repository's address in Flux.
pub const URL_PREFIX: &str = "oci://";
/// The tag that is meant where none is named.
pub const DEFAULT_TAG: &str = "latest";

const DOCKER_HUB: &str = "index.docker.io";
const DOCKER_HUB_ALIAS: &str = "docker.io";
const REPOSITORY_CHARS: &str = "abcdefghijklmnopqrstuvwxyz0123456789_-./";
const TAG_CHARS: &str = "abcdefghijklmnopqrstuvwxyz0123456789_-.ABCDEFGHIJKLMNOPQRSTUVWXYZ";

/// A name that is none; the texts are those of go-containerregistry where it refuses the name, too.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Nothing was given.
    #[error("a repository name must be specified")]
    Empty,
    /// A part is too short or too long.
    #[error("{part} must be between {min} and {max} characters in length: {text}")]
    Length {
        /// `repository` or `tag`.
        part: &'static str,
        /// The least count of characters.
        min: usize,
        /// The greatest count of characters.
        max: usize,
        /// The part as given.
        text: String,
    },
    /// A part has characters that it may not have.
    #[error("{part} can only contain the characters `{allowed}`: {text}{hint}")]
    Characters {
        /// `repository` or `tag`.
        part: &'static str,
        /// What it may have.
        allowed: &'static str,
        /// The part as given.
        text: String,
        /// What to do about it, if that is known.
        hint: String,
    },
    /// The path would lead elsewhere once it is part of a URL.
    #[error("repository must not have empty, '.' or '..' components: {text}")]
    Components {
        /// The repository as given.
        text: String,
    },
    /// The host is none.
    #[error("registries must be valid RFC 3986 URI authorities: {text}")]
    Registry {
        /// The host as given.
        text: String,
    },
    /// The address does not start as one of a repository does.
    #[error("URL must be in format 'oci://<domain>/<org>/<repo>'")]
    Scheme,
}

/// A repository: the host of the registry, and the path in it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Repository {
    registry: String,
    path: String,
    is_insecure: bool,
}

impl Repository {
    /// Reads a name such as `ghcr.io/org/app`; without a host, Docker Hub is meant. An insecure registry may be spoken to over plain HTTP.
    ///
    /// # Errors
    /// When it is no name of a repository; a tag or digest at its end makes it none.
    pub fn parse(name: &str, is_insecure: bool) -> Result<Self, NameError> {
        if name.is_empty() {
            return Err(NameError::Empty);
        }
        let (registry, path) = match name.split_once('/') {
            Some((host, path)) if host.contains(['.', ':']) => (host, path),
            _ => ("", name),
        };
        check("repository", path, REPOSITORY_CHARS, 2, 255)?;
        if path
            .split('/')
            .any(|component| matches!(component, "" | "." | ".."))
        {
            return Err(NameError::Components {
                text: path.to_owned(),
            });
        }
        let registry = match registry {
            "" | DOCKER_HUB_ALIAS => DOCKER_HUB.to_owned(),
            host => checked_host(host)?,
        };
        let path = if registry == DOCKER_HUB && !path.contains('/') {
            format!("library/{path}")
        } else {
            path.to_owned()
        };
        Ok(Self {
            registry,
            path,
            is_insecure,
        })
    }

    /// Reads an address such as `oci://ghcr.io/org/app`.
    ///
    /// # Errors
    /// When it does not start with `oci://`, or what follows is no name of a repository.
    pub fn parse_url(url: &str, is_insecure: bool) -> Result<Self, NameError> {
        let name = url.strip_prefix(URL_PREFIX).ok_or(NameError::Scheme)?;
        Self::parse(name, is_insecure)
    }

    /// The registry's host, with the port if one was given.
    pub fn registry(&self) -> &str {
        &self.registry
    }

    /// The path in the registry.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Whether plain HTTP was allowed for it.
    pub const fn is_insecure(&self) -> bool {
        self.is_insecure
    }

    /// A repository below this one.
    ///
    /// # Errors
    /// When the names together are none.
    pub fn join(&self, name: &str) -> Result<Self, NameError> {
        Self::parse(&format!("{self}/{name}"), self.is_insecure)
    }

    /// Something in the repository.
    pub fn reference(&self, identifier: Identifier) -> Reference {
        Reference {
            repository: self.clone(),
            identifier,
        }
    }

    /// Whether plain HTTP may be tried where the registry does not speak TLS: it was allowed, or the host is this machine or in a private
    /// network, as go-containerregistry decides it.
    pub(crate) fn may_be_plain(&self) -> bool {
        self.is_insecure || self.is_local()
    }

    fn is_local(&self) -> bool {
        let host = host_of(&self.registry);
        if host == "localhost" || host.ends_with(".localhost") {
            return true;
        }
        match host.trim_matches(['[', ']']).parse::<IpAddr>() {
            Ok(IpAddr::V4(address)) => {
                address == std::net::Ipv4Addr::LOCALHOST || (address.is_private() && !address.is_link_local())
            }
            Ok(IpAddr::V6(address)) => address.is_loopback(),
            Err(_) => false,
        }
    }
}

impl fmt::Display for Repository {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.registry, self.path)
    }
}

/// What names a manifest in a repository.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Identifier {
    /// A tag, which may move.
    Tag(Tag),
    /// A digest, which is the content.
    Digest(Digest),
}

impl Identifier {
    /// A tag.
    ///
    /// # Errors
    /// When it has characters that a tag cannot have, or too many.
    pub fn tag(text: &str) -> Result<Self, NameError> {
        Tag::parse(text).map(Self::Tag)
    }

    /// A digest.
    ///
    /// # Errors
    /// When it is malformed.
    pub fn digest(text: &str) -> Result<Self, DigestError> {
        text.parse().map(Self::Digest)
    }
}

impl fmt::Display for Identifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tag(tag) => f.write_str(tag.as_str()),
            Self::Digest(digest) => digest.fmt(f),
        }
    }
}

/// A well-formed tag.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Tag(String);

impl Tag {
    /// Reads a tag.
    ///
    /// # Errors
    /// When it has characters that a tag cannot have, or too many.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        check("tag", text, TAG_CHARS, 1, 128)?;
        // As a part of a URL these would name something else.
        if matches!(text, "." | "..") {
            return Err(NameError::Components {
                text: text.to_owned(),
            });
        }
        Ok(Self(text.to_owned()))
    }

    /// The tag `latest`.
    pub fn latest() -> Self {
        Self(DEFAULT_TAG.to_owned())
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A manifest in a repository.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Reference {
    /// The repository.
    pub repository: Repository,
    /// The manifest.
    pub identifier: Identifier,
}

impl Reference {
    /// Reads `ghcr.io/org/app:tag`, `ghcr.io/org/app@sha256:…` or both at once, in which case the digest counts; with neither, the tag
    /// `latest` is meant.
    ///
    /// # Errors
    /// When a part is malformed.
    pub fn parse(text: &str, is_insecure: bool) -> Result<Self, ReferenceError> {
        let (name, digest) = match text.split_once('@') {
            Some((name, digest)) => (name, Some(digest.parse()?)),
            None => (text, None),
        };
        let (name, tag) = match name.rsplit_once(':') {
            Some((name, tag)) if !tag.contains('/') => (name, Some(Tag::parse(tag)?)),
            _ => (name, None),
        };
        let repository = Repository::parse(name, is_insecure)?;
        let identifier = match (digest, tag) {
            (Some(digest), _) => Identifier::Digest(digest),
            (None, tag) => Identifier::Tag(tag.unwrap_or_else(Tag::latest)),
        };
        Ok(Self {
            repository,
            identifier,
        })
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let separator = match self.identifier {
            Identifier::Tag(_) => ':',
            Identifier::Digest(_) => '@',
        };
        write!(f, "{}{separator}{}", self.repository, self.identifier)
    }
}

/// A reference that is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReferenceError {
    /// The repository or the tag is malformed.
    #[error(transparent)]
    Name(#[from] NameError),
    /// The digest is malformed.
    #[error(transparent)]
    Digest(#[from] DigestError),
}

fn check(
    part: &'static str,
    text: &str,
    allowed: &'static str,
    min: usize,
    max: usize,
) -> Result<(), NameError> {
    let length = text.chars().count();
    if length < min || length > max {
        let text = text.chars().take(2 * max).collect();
        return Err(NameError::Length { part, min, max, text });
    }
    if text.chars().all(|c| allowed.contains(c)) {
        return Ok(());
    }
    let tag = text.rsplit_once(':').map(|(_, tag)| tag);
    let hint = tag.filter(|tag| part == "repository" && !tag.contains(['/', '@']));
    Err(NameError::Characters {
        part,
        allowed,
        text: text.to_owned(),
        hint: hint.map_or_else(String::new, |tag| {
            format!("; URL must not contain a tag; remove ':{tag}'")
        }),
    })
}

/// The host as it was given, if that is all it is.
fn checked_host(host: &str) -> Result<String, NameError> {
    let invalid = || NameError::Registry {
        text: host.chars().take(255).collect(),
    };
    let url = Url::parse(&format!("https://{host}/")).map_err(|_| invalid())?;
    let is_authority = !host.contains(['@', '?', '#', '%', '/', '\\', ' ', '\t', '\n', '\r']);
    if !is_authority || url.path() != "/" || url.host_str().is_none() {
        return Err(invalid());
    }
    Ok(host.to_owned())
}

/// The host without the port.
pub(crate) fn host_of(authority: &str) -> &str {
    match authority.rsplit_once(':') {
        // The colons of an address in brackets are its own.
        Some((host, port)) if !port.contains(']') => host,
        _ => authority,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parse_names_as_go_containerregistry_does() {
        let cases = [
            ("ubuntu", "index.docker.io/library/ubuntu"),
            ("localhost/x", "index.docker.io/localhost/x"),
            ("docker.io/a/b", "index.docker.io/a/b"),
            ("docker.io/ab", "index.docker.io/library/ab"),
            ("localhost:5000/x/y", "localhost:5000/x/y"),
            ("[::1]:5000/ab", "[::1]:5000/ab"),
            ("ghcr.io/org/app", "ghcr.io/org/app"),
        ];
        for (name, expected) in cases {
            assert_eq!(
                Repository::parse(name, false).unwrap().to_string(),
                expected,
                "{name}"
            );
        }
    }

    #[test]
    fn parse_refuses_what_is_no_name() {
        let characters =
            "repository can only contain the characters `abcdefghijklmnopqrstuvwxyz0123456789_-./`";
        let cases = [
            ("", "a repository name must be specified".to_owned()),
            (
                "x.y/a",
                "repository must be between 2 and 255 characters in length: a".to_owned(),
            ),
            (
                "ghcr.io/",
                "repository must be between 2 and 255 characters in length: ".to_owned(),
            ),
            ("ghcr.io/UP/x", format!("{characters}: UP/x")),
            (
                "ghcr.io/a/b:1.0",
                format!("{characters}: a/b:1.0; URL must not contain a tag; remove ':1.0'"),
            ),
            (
                "ghcr.io/a@sha256:x",
                format!("{characters}: a@sha256:x; URL must not contain a tag; remove ':x'"),
            ),
            (
                "user@ghcr.io/aa",
                "registries must be valid RFC 3986 URI authorities: user@ghcr.io".to_owned(),
            ),
            (
                "a:b/cc",
                "registries must be valid RFC 3986 URI authorities: a:b".to_owned(),
            ),
            (
                "gh cr.io/aa",
                "registries must be valid RFC 3986 URI authorities: gh cr.io".to_owned(),
            ),
            (
                "a.b/../../c",
                "repository must not have empty, '.' or '..' components: ../../c".to_owned(),
            ),
            (
                "ghcr.io//aa",
                "repository must not have empty, '.' or '..' components: /aa".to_owned(),
            ),
        ];
        for (name, expected) in cases {
            assert_eq!(
                Repository::parse(name, false).unwrap_err().to_string(),
                expected,
                "{name}"
            );
        }
        assert_eq!(
            Repository::parse_url("https://a.b/c", false).unwrap_err(),
            NameError::Scheme
        );
    }

    #[test]
    fn may_be_plain_this_machine_and_private_networks() {
        let cases = [
            ("localhost:5000/ab", true),
            ("foo.localhost:1/ab", true),
            ("127.0.0.1:5000/ab", true),
            ("127.0.0.2:5000/ab", false),
            ("[::1]:5000/ab", true),
            ("10.1.2.3/ab", true),
            ("172.16.0.1/ab", true),
            ("192.168.1.1:80/ab", true),
            ("8.8.8.8/ab", false),
            ("localhost.example.com/ab", false),
            ("ghcr.io/ab", false),
        ];
        for (name, expected) in cases {
            assert_eq!(
                Repository::parse(name, false).unwrap().may_be_plain(),
                expected,
                "{name}"
            );
            assert!(Repository::parse(name, true).unwrap().may_be_plain(), "{name}");
        }
    }

    #[test]
    fn reference_parses_tags_and_digests() {
        let hex = "0123456789abcdef".repeat(4);
        let cases = [
            ("ghcr.io/a/b".to_owned(), "ghcr.io/a/b:latest".to_owned()),
            (
                "localhost:5000/ab:1.0".to_owned(),
                "localhost:5000/ab:1.0".to_owned(),
            ),
            (
                "localhost:5000/ab".to_owned(),
                "localhost:5000/ab:latest".to_owned(),
            ),
            (format!("a.b/cc:1@sha256:{hex}"), format!("a.b/cc@sha256:{hex}")),
        ];
        for (text, expected) in cases {
            assert_eq!(Reference::parse(&text, false).unwrap().to_string(), expected);
        }
        for text in ["a.b/cc:", "a.b/cc:a b", "a.b/cc@sha256:1", "a.b/cc:..", "a.b/cc@"] {
            assert!(Reference::parse(text, false).is_err(), "{text}");
        }
    }
}
