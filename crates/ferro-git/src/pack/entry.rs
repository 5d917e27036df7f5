//! The header of an object in a pack.

use std::io::{self, Read};

use gix_hash::ObjectId;

use super::{Kind, PackError};

/// More than any header has.
pub(super) const MAX_HEADER: usize = 64;
/// Objects of 2^63 bytes are a lie.
const MAX_SHIFT: u32 = 56;

/// How an object is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stored {
    /// Whole.
    Whole(Kind),
    /// As a delta of what begins there in the same pack.
    DeltaAt(u64),
    /// As a delta of this object.
    DeltaOf(ObjectId),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) stored: Stored,
    /// The size of what follows, inflated: of the object, or of the delta.
    pub(super) size: u64,
    /// The size of the header itself.
    pub(super) length: u64,
}

impl Header {
    /// Reads the header of the object that begins at byte `at` of the pack.
    pub(super) fn read(source: &mut impl Read, at: u64, hash: gix_hash::Kind) -> Result<Self, PackError> {
        let malformed = |reason| PackError::Malformed { reason, at };
        let mut length = 1;
        let mut byte = next(source)?;
        let kind = (byte >> 4) & 7;
        let mut size = u64::from(byte & 15);
        let mut shift = 4;
        while byte & 0x80 != 0 {
            byte = next(source)?;
            length += 1;
            if shift > MAX_SHIFT {
                return Err(malformed("the size of an object is out of range"));
            }
            size |= u64::from(byte & 0x7f) << shift;
            shift += 7;
        }
        let stored = match kind {
            1 => Stored::Whole(Kind::Commit),
            2 => Stored::Whole(Kind::Tree),
            3 => Stored::Whole(Kind::Blob),
            4 => Stored::Whole(Kind::Tag),
            6 => {
                let (distance, count) = distance(source, at)?;
                length += count;
                let base = at.checked_sub(distance).filter(|_| distance > 0);
                Stored::DeltaAt(
                    base.ok_or_else(|| malformed("a delta builds on what is outside of the pack"))?,
                )
            }
            7 => {
                let mut id = [0; 32];
                let id = id.get_mut(..hash.len_in_bytes()).unwrap_or_default();
                source.read_exact(id)?;
                length += id.len() as u64;
                let id = ObjectId::try_from(&*id).map_err(|_| malformed("an object has no valid name"))?;
                Stored::DeltaOf(id)
            }
            _ => return Err(malformed("an object has an unknown type")),
        };
        Ok(Self { stored, size, length })
    }
}

/// How far before its delta a base begins. Each byte but the last stands for one more than it says, so that no number has two forms.
fn distance(source: &mut impl Read, at: u64) -> Result<(u64, u64), PackError> {
    let mut byte = next(source)?;
    let mut distance = u64::from(byte & 0x7f);
    let mut count = 1;
    while byte & 0x80 != 0 {
        byte = next(source)?;
        count += 1;
        if distance >= 1 << MAX_SHIFT {
            let reason = "the base of a delta is out of range";
            return Err(PackError::Malformed { reason, at });
        }
        distance = ((distance + 1) << 7) | u64::from(byte & 0x7f);
    }
    Ok((distance, count))
}

fn next(source: &mut impl Read) -> io::Result<u8> {
    let mut byte = [0];
    source.read_exact(&mut byte)?;
    Ok(byte[0])
}
