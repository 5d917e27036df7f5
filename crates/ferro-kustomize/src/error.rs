//! What can go wrong in a build, with its causes.

use std::fmt;
use std::sync::Arc;

use ferro_yaml::Text;

use crate::files::FileError;
use crate::helm::ChartError;
use crate::id::ResourceId;

/// Where the text is that an error speaks of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Location {
    /// The file, as it is named in the build.
    pub file: Arc<str>,
    /// The document in the file, counted from 1; 0 where that has no meaning.
    pub document: u32,
    /// The line in the file, counted from 1; 0 where it is not known.
    pub line: u32,
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if self.line > 0 {
            write!(f, ":{}", self.line)?;
        }
        if self.document > 0 {
            write!(f, " (document {})", self.document)?;
        }
        Ok(())
    }
}

/// A failed build.
///
/// `{}` prints the text that kustomize prints. `{:#}` adds the place in the files where the cause lies,
/// when there is one.
#[derive(Clone, Debug)]
pub struct Error {
    kind: Box<ErrorKind>,
    location: Option<Box<Location>>,
    warnings: Vec<String>,
}

/// The situations that fail a build.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ErrorKind {
    /// A directory without a kustomization file.
    #[error(
        "unable to find one of 'kustomization.yaml', 'kustomization.yml' or 'Kustomization' in directory '{dir}'"
    )]
    MissingKustomization {
        /// The directory.
        dir: String,
    },
    /// A directory with more than one kustomization file.
    #[error("Found multiple kustomization files under: {dir}\n")]
    MultipleKustomizations {
        /// The directory.
        dir: String,
    },
    /// A kustomization file that cannot be decoded.
    #[error("invalid Kustomization: {0}")]
    InvalidKustomization(String),
    /// A kustomization file that says nothing.
    #[error("kustomization.yaml is empty")]
    EmptyKustomization,
    /// Text that is not YAML.
    #[error("MalformedYAMLError: yaml: {message}{}", InFile(.file.as_deref()))]
    MalformedYaml {
        /// What the parser says, with its line.
        message: String,
        /// The file.
        file: Option<Arc<str>>,
    },
    /// A file that cannot be reached.
    #[error("{0}")]
    File(#[from] FileError),
    /// A file that a layer may not read.
    #[error("security; file '{file}' is not in or below '{root}'")]
    Restricted {
        /// The file.
        file: String,
        /// The layer's directory.
        root: String,
    },
    /// A server that answered a request with a failure.
    #[error("HTTP Error: {0}")]
    Http(String),
    /// A clone that took too long.
    #[error("{0}")]
    Timeout(String),
    /// A second resource with the same identity.
    #[error("may not add resource with an already registered id: {id}")]
    DuplicateId {
        /// The identity.
        id: ResourceId,
    },
    /// A patch whose resource was not found, or was found more than once.
    #[error("{found} matches for Id {id}; failed to find unique target for patch {id}")]
    PatchTarget {
        /// `no` or `multiple`.
        found: &'static str,
        /// The identity that the patch names.
        id: ResourceId,
    },
    /// A plugin that is not built in.
    #[error("external plugins disabled; unable to load external plugin '{kind}'")]
    ExternalPlugin {
        /// The plugin's kind.
        kind: Text,
    },
    /// A chart that cannot be fetched or rendered.
    #[error(transparent)]
    Chart(#[from] ChartError),
    /// An input for which upstream loses data without a word.
    #[error("{0}")]
    DataLoss(String),
    /// An entry that could be used neither as a file nor as a directory.
    #[error("accumulation err='{as_file}': {as_directory}")]
    Accumulation {
        /// Why it is no file.
        as_file: Error,
        /// Why it is no directory.
        #[source]
        as_directory: Error,
    },
    /// A cause with the words that say what was being done.
    #[error("{words}: {cause}")]
    While {
        /// What was being done.
        words: String,
        /// The cause.
        #[source]
        cause: Error,
    },
    /// A cause that is printed as Go prints a quoted string.
    #[error("{words} {}", GoQuoted(.cause))]
    Quoted {
        /// What was being done.
        words: &'static str,
        /// The cause.
        #[source]
        cause: Error,
    },
    /// Anything else.
    #[error("{0}")]
    Other(String),
}

struct InFile<'a>(Option<&'a str>);

impl fmt::Display for InFile<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.map_or(Ok(()), |file| write!(f, " in File: {file}"))
    }
}

struct GoQuoted<'a>(&'a Error);

impl fmt::Display for GoQuoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&ferro_gocompat::quote::quote(&self.0.to_string()))
    }
}

/// The result of anything that can fail in a build.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// Makes an error of a text alone.
    pub(crate) fn other(text: impl Into<String>) -> Self {
        ErrorKind::Other(text.into()).into()
    }

    /// Says what was being done when the error came up.
    #[must_use]
    pub(crate) fn during(self, words: impl Into<String>) -> Self {
        ErrorKind::While {
            words: words.into(),
            cause: self,
        }
        .into()
    }

    /// Says where the cause lies, unless a deeper cause already said it.
    #[must_use]
    pub(crate) fn at(mut self, location: Option<Location>) -> Self {
        if self.location().is_none() {
            self.location = location.map(Box::new);
        }
        self
    }

    /// Keeps the notes that were made before the build failed.
    #[must_use]
    pub(crate) fn after(mut self, warnings: Vec<String>) -> Self {
        self.warnings = warnings;
        self
    }

    /// Returns the notes that kustomize prints to standard error before it fails, such as those on deprecated fields.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// Returns the situation; look at [`Self::root_cause`] for the innermost one.
    pub fn kind(&self) -> &ErrorKind {
        &self.kind
    }

    /// Returns where the cause lies.
    pub fn location(&self) -> Option<&Location> {
        self.location
            .as_deref()
            .or_else(|| self.cause().and_then(Self::location))
            .or_else(|| match &*self.kind {
                ErrorKind::Accumulation { as_file, .. } => as_file.location(),
                _ => None,
            })
    }

    /// Returns the innermost situation.
    pub fn root_cause(&self) -> &ErrorKind {
        self.cause().map_or(&self.kind, Self::root_cause)
    }

    fn cause(&self) -> Option<&Self> {
        match &*self.kind {
            ErrorKind::While { cause, .. } | ErrorKind::Quoted { cause, .. } => Some(cause),
            ErrorKind::Accumulation { as_directory, .. } => Some(as_directory),
            _ => None,
        }
    }

    /// The text of the innermost cause.
    pub(crate) fn root_text(&self) -> String {
        self.root_cause().to_string()
    }

    pub(crate) fn is_malformed_yaml(&self) -> bool {
        matches!(self.root_cause(), ErrorKind::MalformedYaml { .. })
    }

    pub(crate) fn is_http(&self) -> bool {
        matches!(self.root_cause(), ErrorKind::Http(_))
    }

    pub(crate) fn is_timeout(&self) -> bool {
        matches!(self.root_cause(), ErrorKind::Timeout(_))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.kind, f)?;
        match self.location() {
            Some(location) if f.alternate() => write!(f, "\n  at {location}"),
            _ => Ok(()),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.kind.source()
    }
}

impl<K: Into<ErrorKind>> From<K> for Error {
    fn from(kind: K) -> Self {
        Self {
            kind: Box::new(kind.into()),
            location: None,
            warnings: Vec::new(),
        }
    }
}

/// Adds context to results.
pub(crate) trait Context<T> {
    /// Says what was being done.
    fn during(self, words: impl FnOnce() -> String) -> Result<T>;
}

impl<T, E: Into<Error>> Context<T> for Result<T, E> {
    fn during(self, words: impl FnOnce() -> String) -> Result<T> {
        self.map_err(|error| error.into().during(words()))
    }
}

/// Formats a text at once into an error.
macro_rules! fail {
    ($($text:tt)*) => {
        return Err($crate::error::Error::other(format!($($text)*)))
    };
}
pub(crate) use fail;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_alternate_form_adds_the_place() {
        let place = Location {
            file: "a.yaml".into(),
            document: 2,
            line: 7,
        };
        let error = Error::other("broken").at(Some(place)).during("reading");
        assert_eq!(error.to_string(), "reading: broken");
        assert_eq!(
            format!("{error:#}"),
            "reading: broken\n  at a.yaml:7 (document 2)"
        );
        assert!(matches!(error.root_cause(), ErrorKind::Other(_)));
        let cause = std::error::Error::source(&error).unwrap();
        assert_eq!(cause.to_string(), "broken");
    }
}
