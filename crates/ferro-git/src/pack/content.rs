//! The content of an object while others are made of it.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::Arc;

use super::{PackError, SPILL};

/// How much of a file is moved at once.
const CHUNK: usize = 64 << 10;

/// In memory, or in a file that has no name and ends with the last of its readers.
#[derive(Debug, Clone)]
pub(super) enum Content {
    Memory(Arc<Vec<u8>>),
    Disk(Arc<File>, u64),
}

impl Content {
    /// Takes what `source` yields, which is `size` bytes.
    pub(super) fn read(source: &mut impl Read, size: u64, directory: &Path) -> Result<Self, PackError> {
        let mut sink = Sink::new(size, directory)?;
        io::copy(&mut source.take(size), &mut sink)?;
        Ok(sink.finish()?)
    }

    pub(super) fn len(&self) -> u64 {
        match self {
            Self::Memory(bytes) => bytes.len() as u64,
            Self::Disk(_, length) => *length,
        }
    }

    /// How much of memory it takes.
    pub(super) fn weight(&self) -> usize {
        match self {
            Self::Memory(bytes) => bytes.len(),
            Self::Disk(..) => 0,
        }
    }

    /// Moves it to disk.
    pub(super) fn spill(&mut self, directory: &Path) -> io::Result<()> {
        if let Self::Memory(bytes) = self {
            let mut file = tempfile::tempfile_in(directory)?;
            file.write_all(bytes)?;
            *self = Self::Disk(Arc::new(file), bytes.len() as u64);
        }
        Ok(())
    }

    /// Hands a part of it to `out`; false where there is no such part.
    pub(super) fn copy(&self, from: u64, count: u64, out: &mut impl Write) -> io::Result<bool> {
        let Some(until) = from.checked_add(count).filter(|until| *until <= self.len()) else {
            return Ok(false);
        };
        match self {
            Self::Memory(bytes) => {
                let place = |at: u64| usize::try_from(at).unwrap_or(usize::MAX);
                out.write_all(bytes.get(place(from)..place(until)).unwrap_or_default())?;
            }
            Self::Disk(file, _) => {
                let mut buffer = vec![0; CHUNK.min(usize::try_from(count).unwrap_or(CHUNK))];
                let mut at = from;
                while at < until {
                    let wanted = usize::try_from(until - at).unwrap_or(CHUNK).min(CHUNK);
                    let part = buffer.get_mut(..wanted).unwrap_or_default();
                    file.read_exact_at(part, at)?;
                    out.write_all(part)?;
                    at += wanted as u64;
                }
            }
        }
        Ok(true)
    }

    /// A reader from the beginning.
    pub(super) fn reader(self) -> Reader {
        Reader { content: self, at: 0 }
    }
}

#[derive(Debug)]
pub(super) struct Reader {
    content: Content,
    at: u64,
}

impl Read for Reader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = match &self.content {
            Content::Memory(bytes) => {
                let from = usize::try_from(self.at).unwrap_or(usize::MAX);
                bytes.get(from..).unwrap_or_default().read(buffer)?
            }
            Content::Disk(file, _) => file.read_at(buffer, self.at)?,
        };
        self.at += count as u64;
        Ok(count)
    }
}

/// Where the content of an object of known size is put.
#[derive(Debug)]
pub(super) enum Sink {
    Memory(Vec<u8>),
    Disk(io::BufWriter<File>, u64),
}

impl Sink {
    pub(super) fn new(size: u64, directory: &Path) -> io::Result<Self> {
        if size > SPILL {
            let file = tempfile::tempfile_in(directory)?;
            return Ok(Self::Disk(io::BufWriter::with_capacity(CHUNK, file), 0));
        }
        Ok(Self::Memory(Vec::with_capacity(
            usize::try_from(size).unwrap_or_default(),
        )))
    }

    pub(super) fn finish(self) -> io::Result<Content> {
        Ok(match self {
            Self::Memory(bytes) => Content::Memory(Arc::new(bytes)),
            Self::Disk(out, length) => {
                let file = out.into_inner().map_err(io::IntoInnerError::into_error)?;
                Content::Disk(Arc::new(file), length)
            }
        })
    }
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Memory(all) => all.write(bytes),
            Self::Disk(out, length) => {
                let count = out.write(bytes)?;
                *length += count as u64;
                Ok(count)
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Memory(_) => Ok(()),
            Self::Disk(out, _) => out.flush(),
        }
    }
}
