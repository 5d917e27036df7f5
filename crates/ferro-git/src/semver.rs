//! Choosing a tag by a range of versions.

use crate::refs::{RemoteRef, Resolved};
use crate::{Error, Result};

/// The tag with the highest version in `range`.
pub(crate) fn resolve(range: &str, _refs: &[RemoteRef]) -> Result<Option<Resolved>> {
    Err(Error::NoSemverMatch {
        range: range.to_owned(),
    })
}
