//! Deltas: lists of what to copy from another object, and what to insert.

use std::io::{BufRead as _, BufReader, Read};
use std::path::Path;

use super::content::{Content, Sink};
use super::{Kind, MAX_DELTA, PackError};

/// What a copy of zero bytes means.
const DEFAULT_COPY: u64 = 0x1_0000;

/// Makes an object of `base` and the delta that `source` yields; `at` is where that lies in its pack.
pub(super) fn apply(
    source: impl Read,
    base: &Content,
    kind: Kind,
    at: u64,
    directory: &Path,
) -> Result<Content, PackError> {
    let malformed = |reason| PackError::Malformed { reason, at };
    let mut source = BufReader::with_capacity(4096, source);
    if number(&mut source, at)? != base.len() {
        return Err(malformed("a delta is for a base of another size"));
    }
    let size = number(&mut source, at)?;
    kind.check(size, MAX_DELTA)?;
    let mut sink = Sink::new(size, directory)?;
    let mut left = size;
    while let Some(instruction) = next(&mut source)? {
        let count = if instruction & 0x80 == 0 {
            let count = u64::from(instruction);
            if count == 0 {
                return Err(malformed("a delta has an unknown instruction"));
            }
            left.checked_sub(count)
                .ok_or_else(|| malformed("a delta yields more than it says"))?;
            insert(&mut source, count, &mut sink)?;
            count
        } else {
            let from = operand(&mut source, instruction, 4)?;
            let count = match operand(&mut source, instruction >> 4, 3)? {
                0 => DEFAULT_COPY,
                count => count,
            };
            left.checked_sub(count)
                .ok_or_else(|| malformed("a delta yields more than it says"))?;
            if !base.copy(from, count, &mut sink)? {
                return Err(malformed("a delta copies what its base does not have"));
            }
            count
        };
        left -= count;
    }
    if left > 0 {
        return Err(malformed("a delta yields less than it says"));
    }
    Ok(sink.finish()?)
}

fn insert(source: &mut BufReader<impl Read>, count: u64, sink: &mut Sink) -> Result<(), PackError> {
    let copied = std::io::copy(&mut source.take(count), sink)?;
    if copied < count {
        return Err(std::io::Error::from(std::io::ErrorKind::UnexpectedEof).into());
    }
    Ok(())
}

/// The next instruction; none at the end.
fn next(source: &mut BufReader<impl Read>) -> Result<Option<u8>, PackError> {
    let first = source.fill_buf()?.first().copied();
    if first.is_some() {
        source.consume(1);
    }
    Ok(first)
}

/// A number whose bytes are there where a bit of `present` is set, the lowest first.
fn operand(source: &mut impl Read, present: u8, bytes: u32) -> Result<u64, PackError> {
    let mut number = 0;
    for index in (0..bytes).filter(|index| present & (1 << index) != 0) {
        let mut byte = [0];
        source.read_exact(&mut byte)?;
        number |= u64::from(byte[0]) << (8 * index);
    }
    Ok(number)
}

/// A number of seven bits a byte, the lowest first.
fn number(source: &mut impl Read, at: u64) -> Result<u64, PackError> {
    let (mut number, mut shift) = (0, 0);
    loop {
        let mut byte = [0];
        source.read_exact(&mut byte)?;
        number |= u64::from(byte[0] & 0x7f) << shift;
        if byte[0] & 0x80 == 0 {
            return Ok(number);
        }
        shift += 7;
        if shift > 56 {
            let reason = "the size in a delta is out of range";
            return Err(PackError::Malformed { reason, at });
        }
    }
}
