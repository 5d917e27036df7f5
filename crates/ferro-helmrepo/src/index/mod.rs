//! Indexes of repositories: read as a stream, stored in order, looked up without being loaded.
//!
//! An index is read once, when it is new. Its entries are checked, written to a file in the form in which upstream stores them, and forgotten;
//! only where each one is stays in memory, to put them in order. The stored index is then searched for one chart at a time.

mod entry;
mod line;
mod lookup;
mod read;
mod split;
mod store;

use std::fs::File;
use std::io;

pub use lookup::{ChartVersion, LookupError, Table, find, find_in};
pub use store::Index;

/// Why an index cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum IndexError {
    /// There is nothing in it.
    #[error("empty index.yaml file")]
    Empty,
    /// It does not say its version, and so may be anything.
    #[error("no API version specified")]
    NoApiVersion,
    /// It is not an index; in upstream's words.
    #[error("{0}")]
    Malformed(String),
    /// There is more in it than anybody has charts.
    #[error("the index has more than {limit} versions of charts")]
    TooManyEntries {
        /// The limit.
        limit: usize,
    },
    /// One version of a chart, or what comes with the charts, is too large.
    #[error("an entry of the index is larger than {} bytes", split::MAX_PIECE)]
    PieceTooLong,
    /// It is written in a way that can only be read as a whole, and is too large for that.
    #[error(
        "an index larger than {limit} bytes must be JSON, or YAML in block style without anchors and tags"
    )]
    Irregular {
        /// The limit.
        limit: u64,
    },
    /// The disk failed.
    #[error("failed to read the index: {0}")]
    Io(#[from] io::Error),
}

/// Reads the index in `file` from its beginning.
///
/// It costs memory for its largest entry, and some twenty bytes for each version of a chart.
///
/// # Errors
/// When it is no index, or too large in some way.
pub fn read_index(file: &mut File) -> Result<Index, IndexError> {
    read::read(file)
}

#[cfg(test)]
mod tests;
