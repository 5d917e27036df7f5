//! What can go wrong with a remote repository.

use std::error::Error as StdError;

use ferro_http::SafeUrl;

use crate::known_hosts::CertificateProblem;

/// The result of this crate's functions.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A situation that a user or an operator can do something about.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The URL is malformed or of a scheme that is not supported.
    #[error("invalid repository URL: {reason}")]
    InvalidUrl {
        /// What is wrong with it.
        reason: String,
    },
    /// The credentials cannot be used with this repository.
    #[error("{reason}")]
    InvalidAuth {
        /// What is wrong with them.
        reason: String,
    },
    /// The private key is encrypted and there is no passphrase, or the wrong one.
    #[error("the SSH identity is encrypted and {reason}")]
    EncryptedKey {
        /// Which of the two.
        reason: &'static str,
    },
    /// TLS or proxy settings cannot be used.
    #[error("failed to create the HTTP client")]
    Client(#[source] Box<ferro_http::Error>),
    /// The server wants other credentials.
    #[error("authentication required")]
    AuthenticationRequired,
    /// The server knows us and says no.
    #[error("authorization failed")]
    AuthorizationFailed,
    /// There is no such repository, or none that we may see.
    #[error("repository not found")]
    RepositoryNotFound,
    /// The SSH server refused the key.
    #[error(
        "ssh: handshake failed: ssh: unable to authenticate, attempted methods [none publickey], no supported methods remain"
    )]
    SshAuthenticationFailed,
    /// `known_hosts` has another key for the host.
    #[error("ssh: handshake failed: knownhosts: key mismatch")]
    HostKeyMismatch {
        /// The host as it was looked up.
        host: String,
        /// The algorithm and fingerprint of the key that the server showed.
        offered: String,
    },
    /// `known_hosts` has no key for the host.
    #[error("ssh: handshake failed: knownhosts: key is unknown")]
    HostKeyUnknown {
        /// The host as it was looked up.
        host: String,
        /// The algorithm and fingerprint of the key that the server showed.
        offered: String,
    },
    /// `known_hosts` revokes the key that the server showed.
    #[error("ssh: handshake failed: knownhosts: key is revoked")]
    HostKeyRevoked {
        /// The host as it was looked up.
        host: String,
    },
    /// The server shows a host certificate that does not count.
    #[error("ssh: handshake failed: {problem}")]
    HostCertificate {
        /// The host as it was looked up.
        host: String,
        /// What is wrong with it.
        problem: CertificateProblem,
    },
    /// The two sides share no algorithm.
    #[error("ssh: handshake failed: no common algorithm for {kind}")]
    NoCommonAlgorithm {
        /// What it would be for.
        kind: String,
    },
    /// No connection could be made, or it broke.
    #[error("failed to reach the repository")]
    Unreachable {
        /// Why.
        source: Box<dyn StdError + Send + Sync>,
    },
    /// The server answered with something else than Git's protocol.
    #[error("unexpected answer from the server: {reason}")]
    UnexpectedAnswer {
        /// What it was.
        reason: String,
    },
    /// The server, or the exchange with it, failed.
    #[error("git protocol error: {reason}")]
    Protocol {
        /// The chain of causes.
        reason: String,
    },
    /// The server sent a pack that is damaged, builds on what is not there, has an object that is too large, or
    /// found no place on the disk.
    #[error("failed to store the received pack: {reason}")]
    Pack {
        /// The chain of causes.
        reason: String,
    },
    /// A file is too large to be held in memory.
    #[error("file or object {id} has {size} bytes, more than the {limit} that are supported")]
    ObjectTooLarge {
        /// The object.
        id: String,
        /// Its size in bytes.
        size: u64,
        /// The limit in bytes.
        limit: u64,
    },
    /// The time limit of the operation has passed.
    #[error("context deadline exceeded")]
    Timeout,
    /// The operation was cancelled.
    #[error("context canceled")]
    Cancelled,
    /// The remote has no ref of this name.
    #[error("couldn't find remote ref \"{name}\"")]
    RefNotFound {
        /// The full name.
        name: String,
    },
    /// A ref given by its full name does not exist or is malformed.
    #[error("unable to resolve ref '{name}' to a specific commit")]
    UnresolvedName {
        /// The name.
        name: String,
    },
    /// The semver range cannot be parsed.
    #[error("semver parse error: {reason}")]
    InvalidSemver {
        /// What is wrong with it.
        reason: String,
    },
    /// No tag is in the range.
    #[error("no match found for semver: {range}")]
    NoSemverMatch {
        /// The range.
        range: String,
    },
    /// The commit does not exist in the remote, or is not what it claims to be.
    #[error("unable to resolve commit object for '{commit}': object not found")]
    CommitNotFound {
        /// The hash.
        commit: String,
    },
    /// An object has another type than it should.
    #[error("object {id} is a {found}, expected a {expected}")]
    UnexpectedObject {
        /// The object.
        id: String,
        /// What it is.
        found: String,
        /// What it should be.
        expected: &'static str,
    },
    /// The remote is empty where a tag or commit was asked for.
    #[error("remote repository is empty")]
    EmptyRemote,
    /// A directory of the sparse checkout does not exist in the commit.
    #[error("sparse checkout dir '{path}' does not exist in repository")]
    SparseDirectoryNotFound {
        /// The directory.
        path: String,
    },
    /// A submodule could not be fetched.
    #[error("submodule '{path}': {reason}")]
    Submodule {
        /// The path in the parent.
        path: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A submodule could not be fetched because of its remote.
    #[error("failed to fetch submodule '{path}' from '{url}'")]
    SubmoduleFetch {
        /// The path in the parent.
        path: String,
        /// The URL of the submodule, without credentials.
        url: String,
        /// Why.
        source: Box<Self>,
    },
    /// The server sends more than allowed.
    #[error("the repository sends more than {limit} bytes for one revision")]
    PackTooLarge {
        /// The limit.
        limit: u64,
    },
    /// An object of Git LFS could not be fetched.
    #[error("failed to fetch LFS objects: {reason}")]
    Lfs {
        /// What is wrong.
        reason: String,
    },
    /// The local cache failed.
    #[error("failed to {action} the repository cache")]
    Cache {
        /// What was tried.
        action: &'static str,
        /// Why it failed.
        source: Box<dyn StdError + Send + Sync>,
    },
}

impl Error {
    pub(crate) fn cache(action: &'static str) -> impl FnOnce(std::io::Error) -> Self {
        move |source| Self::Cache {
            action,
            source: source.into(),
        }
    }

    /// Translates what the HTTP client says.
    pub(crate) fn http(error: ferro_http::Error) -> Self {
        use ferro_http::Error as Http;
        match error {
            Http::Status { status, .. } => match status.as_u16() {
                401 => Self::AuthenticationRequired,
                403 => Self::AuthorizationFailed,
                404 => Self::RepositoryNotFound,
                _ => Self::UnexpectedAnswer {
                    reason: format!("status {status}"),
                },
            },
            Http::InvalidCredentials => Self::InvalidAuth {
                reason: error.to_string(),
            },
            other => Self::Unreachable {
                source: Box::new(other),
            },
        }
    }

    /// Whether the credentials, not the network or the content, are at fault.
    pub const fn is_auth(&self) -> bool {
        matches!(
            self,
            Self::InvalidAuth { .. }
                | Self::EncryptedKey { .. }
                | Self::AuthenticationRequired
                | Self::AuthorizationFailed
                | Self::SshAuthenticationFailed
        )
    }

    /// The text in which upstream reports this failure for the repository at `url`.
    ///
    /// `is_listing` says whether refs were compared with an earlier revision, which upstream does in a
    /// step of its own.
    pub fn upstream_message(&self, url: &SafeUrl, is_listing: bool) -> String {
        let text = ferro_http::describe(self);
        match self {
            Self::UnresolvedName { .. }
            | Self::InvalidSemver { .. }
            | Self::NoSemverMatch { .. }
            | Self::CommitNotFound { .. }
            | Self::SparseDirectoryNotFound { .. }
            | Self::InvalidUrl { .. } => text,
            Self::InvalidAuth { .. } | Self::EncryptedKey { .. } | Self::Client(_) => {
                format!("unable to construct auth method with options: {text}")
            }
            Self::EmptyRemote | Self::RepositoryNotFound if !is_listing => {
                format!("unable to clone: {text}: git repository: '{url}'")
            }
            Self::RefNotFound { .. } => format!("unable to clone '{url}': {text}"),
            _ if is_listing => format!("unable to list remote for '{url}': {text}"),
            _ => format!("unable to clone '{url}': {text}"),
        }
    }
}
