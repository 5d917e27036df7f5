//! Taking a pack in.

use std::fs::File;
use std::io::{self, BufRead, BufWriter, Read, Write};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use flate2::{Crc, Decompress, FlushDecompress, Status};
use gix_hash::{Kind as Hash, ObjectId};
use tempfile::NamedTempFile;

use super::entry::{Header, Stored};
use super::index::{self, Listed, Names};
use super::resolve;
use super::store::{self, Objects};
use super::{Kind, MAX_COUNT, MAX_DELTA, PackError, finish, hasher};

const SIGNATURE: &[u8] = b"PACK";
/// How much is inflated at once.
const BUFFER: usize = 64 << 10;

/// What a pack is held to.
#[derive(Clone, Copy)]
pub(crate) struct Bounds<'a> {
    /// The hash function of the repository.
    pub(crate) hash: Hash,
    /// Ends the work.
    pub(crate) interrupted: &'a AtomicBool,
}

impl Bounds<'_> {
    pub(super) fn check(&self) -> Result<(), PackError> {
        if self.interrupted.load(Ordering::Relaxed) {
            return Err(PackError::Interrupted);
        }
        Ok(())
    }
}

/// Stores the pack that `source` yields in `directory`, with an index of it. Its deltas may build on what is `known`.
///
/// All of it is checked: nothing is left behind when it is not as it should be. Blocks the thread.
pub(crate) fn receive_blocking(
    source: &mut dyn BufRead,
    directory: &Path,
    known: &Objects,
    bounds: Bounds<'_>,
) -> Result<(), PackError> {
    let mut pack = store::temporary(directory)?;
    let mut listing = Receiver::new(source, pack.as_file_mut(), bounds).run()?;
    if listing.offsets.is_empty() {
        return Ok(());
    }
    resolve::resolve(pack.as_file(), &mut listing, known, directory, bounds)?;
    let index = listing.index(directory)?;
    let name = store::next_name(directory)?;
    persist(pack, &directory.join(&name).with_extension("pack"))?;
    // A pack without an index does not count, so that comes last.
    persist(index, &directory.join(&name).with_extension("idx"))?;
    Ok(())
}

fn persist(file: NamedTempFile, path: &Path) -> io::Result<()> {
    file.persist_noclobber(path)
        .map(drop)
        .map_err(|error| error.error)
}

/// The objects of a pack, in its order.
#[derive(Debug)]
pub(super) struct Listing {
    pub(super) offsets: Vec<u64>,
    crcs: Vec<u32>,
    pub(super) is_whole: Vec<bool>,
    pub(super) names: Names,
    /// Deltas by the objects that they build on: first that, then the delta.
    pub(super) of_place: Vec<(u32, u32)>,
    /// Deltas whose base is known by its name.
    pub(super) of_name: Vec<(ObjectId, u32)>,
    hash: Hash,
    sum: Vec<u8>,
}

impl Listing {
    /// Writes the index.
    fn index(&self, directory: &Path) -> io::Result<NamedTempFile> {
        let mut order: Vec<u32> = (0..self.offsets.len() as u32).collect();
        let at = |index: u32| index as usize;
        let is_delta = |index: u32| !self.is_whole.get(at(index)).copied().unwrap_or_default();
        // Of one that is there twice the whole one is listed, from which no delta leads back to it.
        order.sort_unstable_by_key(|index| (self.names.get(at(*index)), is_delta(*index), *index));
        order.dedup_by_key(|index| self.names.get(at(*index)));
        let listed = |index: u32| Listed {
            offset: self.offsets.get(at(index)).copied().unwrap_or_default(),
            crc: self.crcs.get(at(index)).copied().unwrap_or_default(),
        };
        let file = store::temporary(directory)?;
        let out = file.as_file().try_clone()?;
        index::write(out, self.hash, &self.names, &order, listed, &self.sum)?;
        Ok(file)
    }
}

/// Reads a pack from its beginning to its end.
struct Receiver<'a> {
    source: Tee<'a>,
    inflate: Decompress,
    buffer: Vec<u8>,
    bounds: Bounds<'a>,
    listing: Listing,
}

impl<'a> Receiver<'a> {
    fn new(source: &'a mut dyn BufRead, out: &'a mut File, bounds: Bounds<'a>) -> Self {
        Self {
            source: Tee {
                inner: source,
                out: BufWriter::with_capacity(BUFFER, out),
                sum: index::sum(bounds.hash),
                crc: Crc::new(),
                position: 0,
            },
            inflate: Decompress::new(true),
            buffer: vec![0; BUFFER],
            bounds,
            listing: Listing {
                offsets: Vec::new(),
                crcs: Vec::new(),
                is_whole: Vec::new(),
                names: Names::new(bounds.hash),
                of_place: Vec::new(),
                of_name: Vec::new(),
                hash: bounds.hash,
                sum: Vec::new(),
            },
        }
    }

    fn run(mut self) -> Result<Listing, PackError> {
        let malformed = |reason| PackError::Malformed { reason, at: 0 };
        let mut head = [0; 12];
        self.source.read_exact(&mut head)?;
        let number = |bytes: Option<&[u8]>| bytes.and_then(|it| it.try_into().ok()).map(u32::from_be_bytes);
        if !head.starts_with(SIGNATURE) || !matches!(number(head.get(4..8)), Some(2 | 3)) {
            return Err(malformed("what was sent is no pack"));
        }
        let count = number(head.get(8..)).unwrap_or_default();
        if count as usize > MAX_COUNT {
            return Err(PackError::TooMany);
        }
        for index in 0..count {
            self.bounds.check()?;
            self.object(index)?;
        }
        let expected = self.source.sum.clone().finish();
        let mut sum = vec![0; self.bounds.hash.len_in_bytes()];
        self.source.read_exact(&mut sum)?;
        if sum != expected.as_ref() {
            return Err(malformed("the checksum of the pack is wrong"));
        }
        self.source.out.flush()?;
        self.listing.sum = sum;
        Ok(self.listing)
    }

    fn object(&mut self, index: u32) -> Result<(), PackError> {
        let at = self.source.position;
        self.source.crc.reset();
        let header = Header::read(&mut self.source, at, self.bounds.hash)?;
        let name = match header.stored {
            Stored::Whole(kind) => Some(self.whole(kind, header.size, at)?),
            Stored::DeltaAt(place) => {
                let base = self.listing.offsets.binary_search(&place);
                let base = base.map_err(|_| PackError::Malformed {
                    reason: "a delta builds on what is no object",
                    at,
                })?;
                self.listing.of_place.push((base as u32, index));
                self.delta(header.size, at)?;
                None
            }
            Stored::DeltaOf(id) => {
                self.listing.of_name.push((id, index));
                self.delta(header.size, at)?;
                None
            }
        };
        self.listing.offsets.push(at);
        self.listing.crcs.push(self.source.crc.sum());
        self.listing.is_whole.push(name.is_some());
        self.listing.names.push(name.as_ref());
        Ok(())
    }

    fn whole(&mut self, kind: Kind, size: u64, at: u64) -> Result<ObjectId, PackError> {
        kind.check(size, u64::MAX)?;
        let mut hasher = hasher(self.bounds.hash, kind, size);
        self.inflate(size, at, |bytes| hasher.update(bytes))?;
        finish(hasher)
    }

    fn delta(&mut self, size: u64, at: u64) -> Result<(), PackError> {
        let limit = MAX_DELTA;
        if size > limit {
            return Err(PackError::TooLarge { size, limit });
        }
        self.inflate(size, at, |_| {})
    }

    /// Reads what is compressed, which must be exactly of this size.
    fn inflate(&mut self, size: u64, at: u64, mut take: impl FnMut(&[u8])) -> Result<(), PackError> {
        let malformed = |reason| PackError::Malformed { reason, at };
        self.inflate.reset(true);
        loop {
            let input = self.source.inner.fill_buf()?;
            let (before_in, before_out) = (self.inflate.total_in(), self.inflate.total_out());
            let status = self
                .inflate
                .decompress(input, &mut self.buffer, FlushDecompress::None)
                .map_err(|_| malformed("an object is damaged"))?;
            let used = (self.inflate.total_in() - before_in) as usize;
            let made = (self.inflate.total_out() - before_out) as usize;
            let is_at_end = input.is_empty();
            take(self.buffer.get(..made).unwrap_or_default());
            self.source.pass(used)?;
            let total = self.inflate.total_out();
            if total > size {
                return Err(malformed("an object is larger than it says"));
            }
            if status == Status::StreamEnd {
                if total < size {
                    return Err(malformed("an object is smaller than it says"));
                }
                return Ok(());
            }
            if is_at_end {
                return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
            }
            if used == 0 && made == 0 {
                return Err(malformed("an object is damaged"));
            }
            // One object can be large.
            self.bounds.check()?;
        }
    }
}

/// Writes and sums up what is read.
struct Tee<'a> {
    inner: &'a mut dyn BufRead,
    out: BufWriter<&'a mut File>,
    sum: ring::digest::Context,
    crc: Crc,
    position: u64,
}

impl Tee<'_> {
    /// Passes on so many of the bytes that are at hand.
    fn pass(&mut self, count: usize) -> io::Result<()> {
        let bytes = self.inner.fill_buf()?.get(..count).unwrap_or_default();
        self.out.write_all(bytes)?;
        self.sum.update(bytes);
        self.crc.update(bytes);
        self.position += count as u64;
        self.inner.consume(count);
        Ok(())
    }
}

impl Read for Tee<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let bytes = self.inner.fill_buf()?;
        let count = bytes.len().min(buffer.len());
        if let (Some(to), Some(from)) = (buffer.get_mut(..count), bytes.get(..count)) {
            to.copy_from_slice(from);
        }
        self.pass(count)?;
        Ok(count)
    }
}
