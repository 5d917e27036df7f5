//! Errors with the texts of Go's text/template.

use std::fmt;

/// What went wrong in parsing or executing a template, or in a function that it called.
///
/// An error is a message and the error that caused it. Its text is the whole chain, as Go prints it; each
/// link can be looked at by itself with [`Error::message`] and [`Error::cause`].
pub struct Error(Box<Link>);

/// Errors are rare and results are not: in a box they do not make those larger.
struct Link {
    kind: ErrorKind,
    message: String,
    cause: Option<Error>,
}

/// Where an error comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// A function said so, or a caller.
    Plain,
    /// The parser: `template: name:line: …`.
    Parse,
    /// The execution of a template (Go's `ExecError`): `template: name:line:col: executing …`.
    Exec,
    /// A limit of ours that Go does not have.
    Limit,
}

impl Error {
    /// Makes an error of a message.
    pub fn new(message: impl Into<String>) -> Self {
        Self::of_kind(ErrorKind::Plain, message)
    }

    /// Makes an error whose text is a prefix and the text of its cause; like `fmt.Errorf("prefix: %w", err)`
    /// the prefix holds its own punctuation.
    pub fn wrap(prefix: impl Into<String>, cause: Self) -> Self {
        Self::new(prefix).caused_by(cause)
    }

    pub(crate) fn of_kind(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self(Box::new(Link {
            kind,
            message: message.into(),
            cause: None,
        }))
    }

    pub(crate) fn caused_by(mut self, cause: Self) -> Self {
        self.0.cause = Some(cause);
        self
    }

    /// Returns where it comes from.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// Returns the message without the text of the cause.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// Returns the error that caused it.
    pub fn cause(&self) -> Option<&Self> {
        self.0.cause.as_ref()
    }

    /// Goes through the error and its causes.
    pub fn chain(&self) -> impl Iterator<Item = &Self> {
        std::iter::successors(Some(self), |error| error.cause())
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.chain().try_for_each(|error| f.write_str(error.message()))
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}({self})", self.kind())
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.cause().map(|cause| cause as _)
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        // Nested includes make long chains; dropping them must not recurse.
        let mut next = self.cause.take();
        while let Some(mut error) = next {
            next = error.0.cause.take();
        }
    }
}
