//! Where the objects of a pack begin: Git's index files, version 2.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use gix_hash::{Kind, ObjectId};

const SIGNATURE: &[u8] = &[0xff, b't', b'O', b'c', 0, 0, 0, 2];
const FANOUT: u64 = SIGNATURE.len() as u64;
const NAMES: u64 = FANOUT + 256 * 4;
/// Marks a place in the table of large offsets.
const LARGE: u32 = 1 << 31;

/// The names of objects, one after the other.
#[derive(Debug)]
pub(super) struct Names {
    hash: Kind,
    bytes: Vec<u8>,
}

impl Names {
    pub(super) const fn new(hash: Kind) -> Self {
        Self {
            hash,
            bytes: Vec::new(),
        }
    }

    /// Adds one that is not known yet, or is.
    pub(super) fn push(&mut self, id: Option<&ObjectId>) {
        match id {
            Some(id) => self.bytes.extend_from_slice(id.as_bytes()),
            None => self.bytes.resize(self.bytes.len() + self.hash.len_in_bytes(), 0),
        }
    }

    pub(super) fn set(&mut self, index: usize, id: &ObjectId) {
        let length = self.hash.len_in_bytes();
        if let Some(place) = self.bytes.get_mut(index * length..(index + 1) * length) {
            place.copy_from_slice(id.as_bytes());
        }
    }

    pub(super) fn get(&self, index: usize) -> &[u8] {
        let length = self.hash.len_in_bytes();
        self.bytes
            .get(index * length..(index + 1) * length)
            .unwrap_or_default()
    }
}

/// An object of a new index.
pub(super) struct Listed {
    pub(super) offset: u64,
    pub(super) crc: u32,
}

/// Writes the index of a pack with these objects, in the order `order` which is that of their names.
pub(super) fn write(
    out: File,
    hash: Kind,
    names: &Names,
    order: &[u32],
    object: impl Fn(u32) -> Listed,
    pack_sum: &[u8],
) -> io::Result<()> {
    let mut out = Summed {
        out: BufWriter::with_capacity(64 << 10, out),
        sum: sum(hash),
    };
    out.write_all(SIGNATURE)?;
    let mut counts = [0_u32; 256];
    let name = |index: &u32| names.get(*index as usize);
    for index in order {
        if let Some(count) = name(index)
            .first()
            .and_then(|byte| counts.get_mut(usize::from(*byte)))
        {
            *count += 1;
        }
    }
    let mut total = 0;
    for count in counts {
        total += count;
        out.write_all(&u32::to_be_bytes(total))?;
    }
    for index in order {
        out.write_all(name(index))?;
    }
    for index in order {
        out.write_all(&object(*index).crc.to_be_bytes())?;
    }
    let mut large = Vec::new();
    for index in order {
        let offset = object(*index).offset;
        let short = u32::try_from(offset).ok().filter(|short| short & LARGE == 0);
        let short = short.unwrap_or_else(|| {
            large.push(offset);
            LARGE | (large.len() as u32 - 1)
        });
        out.write_all(&short.to_be_bytes())?;
    }
    for offset in large {
        out.write_all(&offset.to_be_bytes())?;
    }
    out.write_all(pack_sum)?;
    let sum = out.sum.finish();
    out.out.write_all(sum.as_ref())?;
    out.out.flush()
}

/// A checksum of the file format, which protects against accidents.
pub(super) fn sum(hash: Kind) -> ring::digest::Context {
    ring::digest::Context::new(match hash {
        Kind::Sha256 => &ring::digest::SHA256,
        _ => &ring::digest::SHA1_FOR_LEGACY_USE_ONLY,
    })
}

struct Summed<W> {
    out: W,
    sum: ring::digest::Context,
}

impl<W: Write> Write for Summed<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.out.write(bytes)?;
        self.sum.update(bytes.get(..count).unwrap_or_default());
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// An index, read at positions.
#[derive(Debug)]
pub(super) struct Index {
    file: File,
    hash: Kind,
    /// How many objects have names whose first byte is this or lower.
    fanout: Vec<u32>,
    pack_sum: Vec<u8>,
}

impl Index {
    pub(super) fn open(path: &Path, hash: Kind) -> io::Result<Self> {
        let damaged = || io::Error::new(io::ErrorKind::InvalidData, "an index is damaged");
        let file = File::open(path)?;
        let length = hash.len_in_bytes();
        let mut head = vec![0; SIGNATURE.len() + 256 * 4];
        file.read_exact_at(&mut head, 0)?;
        let counts = head.strip_prefix(SIGNATURE).ok_or_else(damaged)?;
        let count = |bytes: &[u8]| bytes.try_into().map(u32::from_be_bytes).unwrap_or_default();
        let fanout: Vec<u32> = counts.chunks_exact(4).map(count).collect();
        if !fanout.is_sorted() {
            return Err(damaged());
        }
        let mut pack_sum = vec![0; length];
        let size = file.metadata()?.len();
        let trailer = size.checked_sub(2 * length as u64).ok_or_else(damaged)?;
        file.read_exact_at(&mut pack_sum, trailer)?;
        Ok(Self {
            file,
            hash,
            fanout,
            pack_sum,
        })
    }

    /// The checksum at the end of the pack that this belongs to.
    pub(super) fn pack_sum(&self) -> &[u8] {
        &self.pack_sum
    }

    /// Where an object begins.
    pub(super) fn find(&self, id: &ObjectId) -> io::Result<Option<u64>> {
        let first = usize::from(id.first_byte());
        let bound = |at: usize| self.fanout.get(at).copied().unwrap_or_default();
        let (mut low, mut high) = (first.checked_sub(1).map_or(0, bound), bound(first));
        let length = self.hash.len_in_bytes();
        let mut name = [0; 32];
        let name = name.get_mut(..length).unwrap_or_default();
        while low < high {
            let middle = low + (high - low) / 2;
            self.file
                .read_exact_at(name, NAMES + u64::from(middle) * length as u64)?;
            match (*name).cmp(id.as_bytes()) {
                std::cmp::Ordering::Equal => return self.offset(middle).map(Some),
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Greater => high = middle,
            }
        }
        Ok(None)
    }

    fn offset(&self, index: u32) -> io::Result<u64> {
        let count = u64::from(self.fanout.last().copied().unwrap_or_default());
        let offsets = NAMES + count * (self.hash.len_in_bytes() as u64 + 4);
        let mut short = [0; 4];
        self.file
            .read_exact_at(&mut short, offsets + u64::from(index) * 4)?;
        let short = u32::from_be_bytes(short);
        if short & LARGE == 0 {
            return Ok(u64::from(short));
        }
        let mut long = [0; 8];
        let at = offsets + count * 4 + u64::from(short & !LARGE) * 8;
        self.file.read_exact_at(&mut long, at)?;
        Ok(u64::from_be_bytes(long))
    }
}
