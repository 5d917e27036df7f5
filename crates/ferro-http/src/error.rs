//! Errors of requests.

use std::error::Error as StdError;
use std::fmt::Write as _;
use std::time::Duration;

use http::StatusCode;

use crate::SafeUrl;

/// The result of this crate's functions.
pub type Result<T> = std::result::Result<T, Error>;

type Source = Box<dyn StdError + Send + Sync>;

/// Why a client could not be made or a request failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The CA bundle holds no certificate, or one that is malformed.
    #[error("invalid CA certificate: {reason}")]
    InvalidCa {
        /// What is wrong with it.
        reason: String,
    },
    /// The client certificate or its key cannot be used.
    #[error("invalid client certificate or key: {reason}")]
    InvalidIdentity {
        /// What is wrong with it.
        reason: String,
    },
    /// The proxy's address is malformed or has a scheme that is not supported.
    #[error("invalid proxy address: {reason}")]
    InvalidProxy {
        /// What is wrong with it.
        reason: String,
    },
    /// The URL is malformed or not HTTP.
    #[error("invalid URL: {reason}")]
    InvalidUrl {
        /// What is wrong with it.
        reason: String,
    },
    /// A credential holds characters that no header may hold.
    #[error("credentials hold characters that cannot be sent in a header")]
    InvalidCredentials,
    /// No connection to the host (or the proxy) could be made.
    #[error("failed to connect to {url}")]
    Connect {
        /// The URL.
        url: SafeUrl,
        /// Why.
        source: Source,
    },
    /// Connecting, or waiting for the next byte, took too long.
    #[error("timed out waiting for {url}")]
    Timeout {
        /// The URL.
        url: SafeUrl,
    },
    /// There were more redirects than allowed, or one led nowhere.
    #[error("{reason} at {url}")]
    Redirect {
        /// The URL that redirected.
        url: SafeUrl,
        /// What is wrong with it.
        reason: String,
    },
    /// The connection broke, or the peer does not speak HTTP.
    #[error("failed to read from {url}")]
    Transfer {
        /// The URL.
        url: SafeUrl,
        /// Why.
        source: Source,
    },
    /// The response says that the request failed.
    #[error("{url} answered {status}")]
    Status {
        /// The URL.
        url: SafeUrl,
        /// The status.
        status: StatusCode,
    },
    /// The body is larger than the caller allows.
    #[error("the body of {url} is larger than {limit} bytes")]
    BodyTooLarge {
        /// The URL.
        url: SafeUrl,
        /// The limit.
        limit: u64,
    },
    /// All tries failed.
    #[error("giving up on {url} after {attempts} attempts in {elapsed:?}")]
    RetriesExhausted {
        /// The URL.
        url: SafeUrl,
        /// How many there were.
        attempts: u32,
        /// How long they took.
        elapsed: Duration,
        /// The last failure.
        source: Box<Self>,
    },
}

impl Error {
    pub(crate) fn request(url: &SafeUrl, error: reqwest::Error) -> Self {
        let url = url.clone();
        // The URL inside the error would show credentials.
        let error = error.without_url();
        if error.is_timeout() {
            Self::Timeout { url }
        } else if error.is_connect() {
            Self::Connect {
                url,
                source: error.into(),
            }
        } else {
            Self::Transfer {
                url,
                source: error.into(),
            }
        }
    }

    /// The status of the response, if one came.
    pub fn status(&self) -> Option<StatusCode> {
        match self {
            Self::Status { status, .. } => Some(*status),
            Self::RetriesExhausted { source, .. } => source.status(),
            _ => None,
        }
    }

    /// Whether the host was reached, and showed a certificate that is not trusted.
    pub fn is_untrusted(&self) -> bool {
        let Self::Connect { source, .. } = self else {
            return false;
        };
        let mut cause: Option<&(dyn StdError + 'static)> = Some(source.as_ref());
        while let Some(error) = cause {
            if let Some(rustls::Error::InvalidCertificate(_)) = error.downcast_ref() {
                return true;
            }
            // An I/O error does not count what it wraps among its causes, and may wrap another one.
            cause = match error
                .downcast_ref::<std::io::Error>()
                .and_then(std::io::Error::get_ref)
            {
                Some(inner) => Some(inner),
                None => error.source(),
            };
        }
        false
    }

    /// Whether trying the same again may help.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Connect { .. } | Self::Timeout { .. } | Self::Transfer { .. } => true,
            Self::Status { status, .. } => crate::retry::is_transient_status(*status),
            Self::RetriesExhausted { source, .. } => source.is_transient(),
            _ => false,
        }
    }
}

/// An error with its causes on one line: `a: b: c`; a cause that only repeats its parent is left out.
pub fn describe(error: &dyn StdError) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(current) = cause {
        let message = current.to_string();
        if !text.ends_with(&message) {
            let _ = write!(text, ": {message}");
        }
        cause = current.source();
    }
    text
}
