//! What can go wrong with YAML.

/// The result of reading or writing YAML.
pub type Result<T> = std::result::Result<T, Error>;

/// Why a text could not be read, or a tree not be written.
///
/// The messages are those of Go's libraries where these have one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The text is not YAML.
    #[error("yaml: {}{problem}", at(*line))]
    Syntax {
        /// The line, 0 when it is not known or the first (Go then names none).
        line: u32,
        /// What is wrong.
        problem: String,
    },
    /// The bytes are not text that YAML allows.
    #[error("yaml: {problem}")]
    Encoding {
        /// What is wrong.
        problem: &'static str,
    },
    /// An alias names an anchor that does not exist (yet).
    #[error("yaml: unknown anchor '{name}' referenced")]
    UnknownAnchor {
        /// The name.
        name: String,
        /// The alias' line.
        line: u32,
    },
    /// An alias stands inside the value that it refers to.
    #[error("yaml: anchor '{name}' value contains itself")]
    RecursiveAlias {
        /// The anchor's name.
        name: String,
    },
    /// Aliases would blow the document up.
    #[error("yaml: document contains excessive aliasing")]
    ExcessiveAliasing,
    /// A merge key has a value that cannot be merged; these are kyaml's words, which name no line.
    #[error("{problem}")]
    Merge {
        /// The line.
        line: u32,
        /// What is wrong.
        problem: &'static str,
    },
    /// A scalar does not fit the tag that stands before it.
    #[error("yaml: cannot decode {found} `{text}` as a {wanted}")]
    TagMismatch {
        /// What the text reads as.
        found: String,
        /// The text.
        text: String,
        /// The tag.
        wanted: String,
    },
    /// `!!binary` text that is not base64.
    #[error("yaml: !!binary value contains invalid base64 data")]
    InvalidBase64,
    /// A mapping has the same key twice.
    #[error("yaml: unmarshal errors:\n  {}", .0.join("\n  "))]
    DuplicateKeys(Vec<String>),
    /// A key cannot be one in JSON.
    #[error("{0}")]
    UnsupportedKey(String),
    /// A value has no JSON form (infinities, not-a-number).
    #[error("json: unsupported value: {0}")]
    UnsupportedValue(&'static str),
    /// The text is longer than the caller allows.
    #[error("yaml: document of {size} bytes exceeds the limit of {limit}")]
    TooLarge {
        /// Its size.
        size: usize,
        /// The limit.
        limit: usize,
    },
    /// Collections are nested more deeply than the caller allows.
    #[error("yaml: {}exceeded max depth of {limit}", at(*line))]
    TooDeep {
        /// The line.
        line: u32,
        /// The limit.
        limit: usize,
    },
    /// There are more nodes than the caller allows.
    #[error("yaml: document has more than {limit} nodes")]
    TooManyNodes {
        /// The limit.
        limit: usize,
    },
}

/// Formats a line as Go does, which leaves it out when it counts from zero and is the first.
fn at(line: u32) -> String {
    if line == 0 {
        String::new()
    } else {
        format!("line {line}: ")
    }
}
