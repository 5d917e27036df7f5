//! Errors of token services.

/// The result of this crate's functions.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why there are no credentials to be had. Shows nothing of a secret.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A request cannot be made, or no answer came.
    #[error(transparent)]
    Http(Box<ferro_http::Error>),
    /// What was given cannot be used, or a service refused it; the text says which.
    #[error("{0}")]
    Credential(String),
}

impl From<ferro_http::Error> for Error {
    fn from(error: ferro_http::Error) -> Self {
        Self::Http(Box::new(error))
    }
}

impl Error {
    pub(crate) fn credential(reason: impl Into<String>) -> Self {
        Self::Credential(reason.into())
    }
}
