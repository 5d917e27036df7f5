//! What can be wrong with an assignment.

use ferro_gocompat::quote::quote;

use super::{MAX_INDEX, MAX_NESTED_NAME_LEVEL};

/// Why assignments could not be read; the texts are upstream's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A key without a `=`.
    #[error("key {} has no value", quote(.0))]
    NoValue(String),
    /// A key that a comma follows.
    #[error("key {} has no value (cannot end with ,)", quote(.0))]
    EndsWithComma(String),
    /// A key that ends in a dot.
    #[error("key map {} has no value", quote(.0))]
    EmptyMap(String),
    /// Too many dots.
    #[error(
        "value name nested level is greater than maximum supported nested level of {MAX_NESTED_NAME_LEVEL}"
    )]
    TooManyNames,
    /// Something else is where a map or list is wanted.
    #[error("unable to parse key: interface conversion: interface {{}} is {found}, not {wanted}")]
    Mismatch {
        /// The Go type of what is there.
        found: &'static str,
        /// The one that is wanted.
        wanted: &'static str,
    },
    /// An index is no number.
    #[error("error parsing index: strconv.Atoi: parsing {}: {problem}", quote(text))]
    Index {
        /// What it is.
        text: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// An index is negative.
    #[error("negative {0} index not allowed")]
    NegativeIndex(i64),
    /// An index is too large.
    #[error("index of {0} is greater than maximum supported index of {MAX_INDEX}")]
    IndexTooLarge(i64),
    /// Something stands behind `]`.
    #[error("unexpected data at end of array index: {}", quote_runes(.0))]
    AfterIndex(String),
    /// A list is not closed.
    #[error("list must terminate with '}}'")]
    UnterminatedList,
    /// A value is not JSON.
    #[error("{0}")]
    Json(String),
    /// A file could not be read.
    #[error("{0}")]
    Load(String),
    /// Indexes are nested too deeply, or ask for too much. Upstream takes the memory.
    #[error("value is nested too deeply or its lists are too long")]
    TooLarge,
}

/// Prints a text as `%q` does one that is a list of characters.
fn quote_runes(text: &str) -> String {
    let quote_rune = |c: char| match c {
        '\'' => "'\\''".to_owned(),
        '"' => "'\"'".to_owned(),
        c => format!("'{}'", quote(c.encode_utf8(&mut [0; 4])).trim_matches('"')),
    };
    let runes: Vec<String> = text.chars().map(quote_rune).collect();
    format!("[{}]", runes.join(" "))
}

/// Why parsing stops: the end of the text is none to complain about.
#[derive(Debug)]
pub(super) enum Stop {
    End,
    Error(Error),
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Error(error)
    }
}
