//! Packs: received as a stream, kept on disk as they came, read piece by piece.
//!
//! The memory that this takes does not grow with the repository, nor with the size of a file in it. Packs are read at positions and never
//! mapped, because a mapped file counts as memory of the process once it has been read through. A file that is stored whole is inflated
//! while it is read; one that is stored as a delta is put together in memory when it is small, and in an unnamed file beside the pack when
//! it is not. What grows is the list of objects, by some fifty bytes each while a pack is received.
//!
//! Every object is hashed when it arrives, by the function that Git uses, which notices known attacks on SHA-1.

mod content;
mod delta;
mod entry;
mod index;
mod inflate;
mod receive;
mod resolve;
mod store;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;

use std::io;

use gix_hash::ObjectId;

pub(crate) use receive::{Bounds, receive_blocking};
pub(crate) use store::{Objects, tidy};

/// The largest commit, tag or tree: those are read into memory whole. It is a tree of more files than an archive may have.
pub(crate) const MAX_STRUCTURE: u64 = 32 << 20;
/// The largest object that is stored as a delta, or that a delta builds on. Git makes none of more unless it is told to.
const MAX_DELTA: u64 = 512 << 20;
/// How many deltas may build on each other; Git makes no more.
const MAX_CHAIN: usize = 4095;
/// The most objects that a pack may have.
const MAX_COUNT: usize = 16 << 20;
/// Larger objects are put together on disk.
const SPILL: u64 = 8 << 20;

/// What is wrong with a pack.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PackError {
    /// It could not be read or stored.
    #[error(transparent)]
    Io(io::Error),
    /// It ends before its end.
    #[error("the pack is cut short")]
    CutShort,
    /// It is not as it should be.
    #[error("{reason}, at byte {at}")]
    Malformed {
        /// What is wrong.
        reason: &'static str,
        /// Where the object begins that has the fault.
        at: u64,
    },
    /// It has more objects than allowed.
    #[error("the pack has more than {MAX_COUNT} objects")]
    TooMany,
    /// An object is larger than allowed.
    #[error("an object of {size} bytes is too large: the limit for its kind is {limit}")]
    TooLarge {
        /// Its size.
        size: u64,
        /// The limit.
        limit: u64,
    },
    /// Deltas build on each other more often than allowed.
    #[error("more than {MAX_CHAIN} deltas build on each other")]
    TooDeep,
    /// A delta builds on what is not there.
    #[error("a delta builds on object {id}, which is not there")]
    NoBase {
        /// The object.
        id: ObjectId,
    },
    /// The content of an object is part of an attack on the hash function.
    #[error("{0}")]
    Collision(String),
    /// The operation was called off.
    #[error("interrupted")]
    Interrupted,
}

impl From<io::Error> for PackError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::UnexpectedEof => Self::CutShort,
            _ => Self::Io(error),
        }
    }
}

/// The kinds of objects, by their numbers in a pack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Kind {
    Commit = 1,
    Tree = 2,
    Blob = 3,
    Tag = 4,
}

impl Kind {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Commit => "commit",
            Self::Tree => "tree",
            Self::Blob => "blob",
            Self::Tag => "tag",
        }
    }

    /// Refuses what could not be read later on.
    fn check(self, size: u64, limit: u64) -> Result<(), PackError> {
        let limit = if self == Self::Blob { limit } else { MAX_STRUCTURE };
        if size > limit {
            return Err(PackError::TooLarge { size, limit });
        }
        Ok(())
    }
}

/// Begins the hash of an object.
fn hasher(hash: gix_hash::Kind, kind: Kind, size: u64) -> gix_hash::Hasher {
    let mut hasher = gix_hash::hasher(hash);
    hasher.update(format!("{} {size}\0", kind.name()).as_bytes());
    hasher
}

fn finish(hasher: gix_hash::Hasher) -> Result<ObjectId, PackError> {
    hasher
        .try_finalize()
        .map_err(|error| PackError::Collision(error.to_string()))
}
