//! Regular expressions as Go reads them.

pub(crate) use ferro_gocompat::regexp::Regex;

use crate::error::{Error, Result};

/// Compiles a pattern in Go's syntax.
pub(crate) fn compile(pattern: &str) -> Result<Regex> {
    Regex::go(pattern).map_err(|error| Error::other(error.to_string()))
}
