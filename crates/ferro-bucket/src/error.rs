//! Errors of object storages.

use http::StatusCode;

/// The result of this crate's functions.
pub type Result<T> = std::result::Result<T, Error>;

/// Why an object storage could not be read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The address is none that a client can be made for. The text is that of the reference's library.
    #[error("{0}")]
    InvalidEndpoint(String),
    /// No storage has a bucket of such a name. The text is that of the reference's library.
    #[error("{0}")]
    InvalidBucketName(&'static str),
    /// The key is none that can be asked for, or be stored as a file.
    #[error("the name {problem}")]
    InvalidKey {
        /// What is wrong with it.
        problem: &'static str,
    },
    /// No answer came.
    #[error(transparent)]
    Http(Box<ferro_http::Error>),
    /// The storage refused.
    #[error("{message}")]
    Refused {
        /// The status of the response.
        status: StatusCode,
        /// The storage's word for programs, such as `NoSuchKey`.
        code: String,
        /// The storage's text for people.
        message: String,
    },
    /// The storage wants to be asked elsewhere. Credentials and signatures are for one host, so nobody follows.
    #[error(
        "the storage answered {status} and refers to another address: name the right endpoint and region"
    )]
    Redirected {
        /// The status of the response.
        status: StatusCode,
    },
    /// The answer cannot be understood.
    #[error("the storage's answer is malformed: {reason}")]
    Malformed {
        /// What is wrong with it.
        reason: String,
    },
    /// The listing comes back to where it was, or does not end.
    #[error("the storage's listing does not end: {reason}")]
    Endless {
        /// How that was seen.
        reason: &'static str,
    },
    /// A credential that cannot be used.
    #[error("{0}")]
    Credential(String),
}

impl From<ferro_http::Error> for Error {
    fn from(error: ferro_http::Error) -> Self {
        Self::Http(Box::new(error))
    }
}

impl From<ferro_cloud::Error> for Error {
    fn from(error: ferro_cloud::Error) -> Self {
        match error {
            ferro_cloud::Error::Http(error) => Self::Http(error),
            ferro_cloud::Error::Credential(reason) => Self::Credential(reason),
        }
    }
}

impl Error {
    pub(crate) fn malformed(reason: impl Into<String>) -> Self {
        Self::Malformed {
            reason: reason.into(),
        }
    }

    pub(crate) fn credential(reason: impl Into<String>) -> Self {
        Self::Credential(reason.into())
    }

    /// The storage's word for why it refused.
    #[must_use]
    pub fn code(&self) -> Option<&str> {
        match self {
            Self::Refused { code, .. } => Some(code),
            _ => None,
        }
    }

    /// Whether the transfer broke, so that trying the same again may help.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Http(error) => error.is_transient(),
            _ => false,
        }
    }
}
