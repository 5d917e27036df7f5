//! Compression on several cores.
//!
//! What comes first is one gzip member, as good as it gets for its time; nearly all archives are no larger. What follows is cut into
//! blocks, each a member of its own (RFC 1952 section 2.2: readers take them for one text), which threads compress side by side and
//! more lightly. Where a block repeats itself too little, as pictures and archives do, repetitions are not looked for: that is most of the
//! time. The bytes depend on the content only, not on how many threads there are.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::num::NonZero;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use flate2::write::GzEncoder;
use flate2::{Compression, Crc, GzBuilder};
use zlib_rs::{DeflateConfig, ReturnCode, Strategy, compress_bound, compress_slice};

/// The size of the first member.
const FIRST: usize = 8 << 20;
/// The size of those that follow.
const BLOCK: usize = 1 << 20;
const FIRST_LEVEL: u32 = 6;
/// Half the time of the first level for a tenth more to store, of the charts of the conformance corpus.
const LEVEL: i32 = 3;
/// So many pieces of a block, each of so many bytes, tell whether it repeats itself.
const SAMPLES: usize = 4;
const SAMPLE: usize = 16 << 10;
/// Repetitions that save less than one byte in so many are not worth the four times longer that finding them takes.
const WORTHWHILE: usize = 32;
/// "Unknown" in the gzip header: the digest must not depend on the platform.
const OS_UNKNOWN: u8 = 255;
/// More threads would wait for what is read.
const MAX_THREADS: usize = 4;

/// Compresses what is written.
#[derive(Debug)]
pub(super) enum Gzip<W: Write> {
    First { out: Box<GzEncoder<W>>, taken: usize },
    Blocks(Blocks<W>),
}

/// What follows the first member.
#[derive(Debug)]
pub(super) struct Blocks<W> {
    out: W,
    /// Not yet a block.
    pending: Vec<u8>,
    /// Blocks in the order in which they are written.
    running: VecDeque<Running>,
    threads: usize,
}

type Compressed = io::Result<Vec<u8>>;

#[derive(Debug)]
enum Running {
    Thread(JoinHandle<Compressed>),
    /// There was no thread to have.
    Done(Compressed),
}

impl<W: Write> Gzip<W> {
    pub(super) fn new(out: W) -> Self {
        Self::First {
            out: Box::new(member(out, FIRST_LEVEL)),
            taken: 0,
        }
    }

    /// Takes more. Where a block ends must not depend on how the content is cut into writes, so all but the last are of one size that
    /// divides those of the members.
    pub(super) fn write(self, bytes: &[u8]) -> io::Result<Self> {
        match self {
            Self::First { mut out, mut taken } => {
                out.write_all(bytes)?;
                taken += bytes.len();
                if taken < FIRST {
                    return Ok(Self::First { out, taken });
                }
                Ok(Self::Blocks(Blocks::new(out.finish()?)))
            }
            Self::Blocks(mut blocks) => {
                blocks.write(bytes)?;
                Ok(Self::Blocks(blocks))
            }
        }
    }

    /// Ends the text.
    pub(super) fn finish(self) -> io::Result<W> {
        match self {
            Self::First { out, .. } => out.finish(),
            Self::Blocks(blocks) => blocks.finish(),
        }
    }
}

impl<W: Write> Blocks<W> {
    fn new(out: W) -> Self {
        let threads = thread::available_parallelism().map_or(1, NonZero::get);
        Self {
            out,
            pending: Vec::with_capacity(BLOCK),
            running: VecDeque::new(),
            threads: threads.min(MAX_THREADS),
        }
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.pending.extend_from_slice(bytes);
        if self.pending.len() < BLOCK {
            return Ok(());
        }
        let block = std::mem::replace(&mut self.pending, Vec::with_capacity(BLOCK));
        self.start(block)
    }

    fn start(&mut self, block: Vec<u8>) -> io::Result<()> {
        if self.running.len() >= self.threads {
            self.put_first()?;
        }
        let block = Arc::new(block);
        let theirs = Arc::clone(&block);
        let thread = thread::Builder::new().name("gzip".to_owned());
        let running = match thread.spawn(move || compress(&theirs)) {
            Ok(handle) => Running::Thread(handle),
            Err(_) => Running::Done(compress(&block)),
        };
        self.running.push_back(running);
        Ok(())
    }

    fn put_first(&mut self) -> io::Result<()> {
        let compressed = match self.running.pop_front() {
            Some(Running::Thread(handle)) => handle
                .join()
                .map_err(|_| io::Error::other("compressing failed"))??,
            Some(Running::Done(compressed)) => compressed?,
            None => return Ok(()),
        };
        self.out.write_all(&compressed)
    }

    fn finish(mut self) -> io::Result<W> {
        let block = std::mem::take(&mut self.pending);
        if !block.is_empty() {
            self.start(block)?;
        }
        while !self.running.is_empty() {
            self.put_first()?;
        }
        Ok(self.out)
    }
}

/// A member of its own (RFC 1952 section 2.3).
fn compress(block: &[u8]) -> Compressed {
    let strategy = if repeats_itself(block)? {
        Strategy::Default
    } else {
        Strategy::HuffmanOnly
    };
    let mut member = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, OS_UNKNOWN];
    deflate(block, strategy, &mut member)?;
    let mut crc = Crc::new();
    crc.update(block);
    member.extend_from_slice(&crc.sum().to_le_bytes());
    member.extend_from_slice(&crc.amount().to_le_bytes());
    Ok(member)
}

/// Whether looking for repetitions in a block makes it smaller.
fn repeats_itself(block: &[u8]) -> io::Result<bool> {
    let (mut with, mut without) = (Vec::new(), Vec::new());
    for piece in block.chunks(block.len().div_ceil(SAMPLES).max(SAMPLE)) {
        let sample = piece.get(..SAMPLE).unwrap_or(piece);
        deflate(sample, Strategy::Default, &mut with)?;
        deflate(sample, Strategy::HuffmanOnly, &mut without)?;
    }
    Ok(with.len() + without.len() / WORTHWHILE < without.len())
}

/// Appends what becomes of these bytes.
fn deflate(bytes: &[u8], strategy: Strategy, out: &mut Vec<u8>) -> io::Result<()> {
    let start = out.len();
    out.resize(start + compress_bound(bytes.len()), 0);
    let config = DeflateConfig {
        level: LEVEL,
        // No header and no trailer, and the largest window.
        window_bits: -15,
        strategy,
        ..DeflateConfig::default()
    };
    let (written, code) = compress_slice(out.get_mut(start..).unwrap_or_default(), bytes, config);
    let end = start + written.len();
    if code != ReturnCode::Ok {
        return Err(io::Error::other(format!("compressing failed: {code:?}")));
    }
    out.truncate(end);
    Ok(())
}

fn member<W: Write>(out: W, level: u32) -> GzEncoder<W> {
    GzBuilder::new()
        .mtime(0)
        .operating_system(OS_UNKNOWN)
        .write(out, Compression::new(level))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    use flate2::read::{GzDecoder, MultiGzDecoder};

    fn text(size: usize) -> Vec<u8> {
        (0..size).map(|index| (index * index / 7 % 251) as u8).collect()
    }

    fn random(size: usize) -> Vec<u8> {
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let next = |_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 56) as u8
        };
        (0..size).map(next).collect()
    }

    fn written(text: &[u8]) -> Vec<u8> {
        let mut gzip = Gzip::new(Vec::new());
        for part in text.chunks(64 << 10) {
            gzip = gzip.write(part).unwrap();
        }
        gzip.finish().unwrap()
    }

    #[test]
    fn large_texts_are_read_as_one_and_are_the_same_each_time() {
        let text = text(FIRST + 3 * BLOCK + 12_345);
        let first = written(&text);
        let mut read = Vec::new();
        MultiGzDecoder::new(first.as_slice())
            .read_to_end(&mut read)
            .unwrap();
        assert!(read == text);
        assert!(written(&text) == first);
    }

    #[test]
    fn blocks_of_all_kinds_are_read_and_none_becomes_larger_than_it_would() {
        let text = text(BLOCK);
        let random = random(BLOCK);
        // Letters are as good as random, but there are few of them.
        let letters: Vec<u8> = random.iter().map(|byte| b'0' + byte % 64).collect();
        let mixed = [&random[..BLOCK / 2], &text[BLOCK / 2..]].concat();
        for (block, repeats) in [
            (&text, true),
            (&mixed, true),
            (&random, false),
            (&letters, false),
            (&text[..1].to_vec(), false),
        ] {
            assert_eq!(repeats_itself(block).unwrap(), repeats);
            let compressed = compress(block).unwrap();
            let mut read = Vec::new();
            GzDecoder::new(compressed.as_slice())
                .read_to_end(&mut read)
                .unwrap();
            assert!(read == *block);
            let mut searched = Vec::new();
            deflate(block, Strategy::Default, &mut searched).unwrap();
            assert!(compressed.len() <= searched.len() + searched.len() / WORTHWHILE + 18);
        }
    }

    #[test]
    fn small_texts_are_one_member() {
        for size in [0, 1, FIRST - 1, FIRST] {
            let text = text(size);
            let mut read = Vec::new();
            GzDecoder::new(written(&text).as_slice())
                .read_to_end(&mut read)
                .unwrap();
            assert!(read == text, "{size}");
        }
    }

    #[test]
    fn what_cannot_be_written_is_an_error() {
        struct Full(usize);
        impl Write for Full {
            fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
                self.0 = self
                    .0
                    .checked_sub(bytes.len())
                    .ok_or(io::ErrorKind::StorageFull)?;
                Ok(bytes.len())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let random = random(FIRST + 4 * BLOCK);
        let mut gzip = Ok(Gzip::new(Full(FIRST + BLOCK)));
        for part in random.chunks(64 << 10) {
            gzip = gzip.and_then(|gzip| gzip.write(part));
        }
        let error = gzip.and_then(Gzip::finish).map(drop).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
    }
}
