//! The streaming tar.gz writer.

use std::io::{self, Read, Write};

use super::gzip::Gzip;
use super::header::{self, BLOCK, Type};

/// The compressor always gets this much at once.
const CHUNK: usize = 64 * 1024;

const MODE_DIRECTORY: u32 = 0o750;
const MODE_FILE: u32 = 0o600;
const MODE_EXECUTABLE: u32 = 0o700;

/// Writes entries in the order given; see [`super::archive_blocking`] for whole trees.
#[derive(Debug)]
pub struct ArchiveWriter<W: Write> {
    out: Chunked<W>,
    buffer: Vec<u8>,
}

impl<W: Write> ArchiveWriter<W> {
    /// Starts an archive.
    pub fn new(out: W) -> Self {
        Self {
            out: Chunked::new(Gzip::new(out)),
            buffer: vec![0; CHUNK],
        }
    }

    /// Adds a directory.
    pub fn directory(&mut self, name: &[u8]) -> io::Result<()> {
        self.out
            .write_all(&header::encode(name, Type::Directory, MODE_DIRECTORY, 0))
    }

    /// Adds a file of exactly `size` bytes; a reader that yields fewer or more is an error.
    pub fn file(
        &mut self,
        name: &[u8],
        is_executable: bool,
        size: u64,
        content: &mut dyn Read,
    ) -> io::Result<()> {
        let mode = if is_executable { MODE_EXECUTABLE } else { MODE_FILE };
        self.out
            .write_all(&header::encode(name, Type::File, mode, size))?;
        let mut written = 0_u64;
        loop {
            let count = match content.read(&mut self.buffer) {
                Ok(0) => break,
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            written += count as u64;
            if written > size {
                break;
            }
            self.out
                .write_all(self.buffer.get(..count).unwrap_or(&self.buffer))?;
        }
        if written != size {
            let message = format!("a file announced with {size} bytes yielded {written} or more");
            return Err(io::Error::new(io::ErrorKind::InvalidData, message));
        }
        self.pad(size)
    }

    /// Writes the trailer and returns the underlying writer.
    pub fn finish(mut self) -> io::Result<W> {
        self.out.write_all(&[0; 2 * BLOCK])?;
        self.out.finish()
    }

    fn pad(&mut self, size: u64) -> io::Result<()> {
        let missing = size.next_multiple_of(BLOCK as u64) - size;
        let zeros = [0; BLOCK];
        self.out.write_all(
            zeros
                .get(..usize::try_from(missing).unwrap_or_default())
                .unwrap_or_default(),
        )
    }
}

/// Hands blocks of exactly [`CHUNK`] bytes on, so that what arrives does not depend on how it was written.
#[derive(Debug)]
struct Chunked<W: Write> {
    /// None after an error: there is nothing to go on with.
    inner: Option<Gzip<W>>,
    pending: Vec<u8>,
}

impl<W: Write> Chunked<W> {
    fn new(inner: Gzip<W>) -> Self {
        Self {
            inner: Some(inner),
            pending: Vec::with_capacity(CHUNK),
        }
    }

    fn write_all(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let (now, later) = bytes.split_at(bytes.len().min(CHUNK - self.pending.len()));
            self.pending.extend_from_slice(now);
            bytes = later;
            if self.pending.len() == CHUNK {
                let inner = self.inner.take().ok_or_else(failed_before)?;
                self.inner = Some(inner.write(&self.pending)?);
                self.pending.clear();
            }
        }
        Ok(())
    }

    fn finish(mut self) -> io::Result<W> {
        let inner = self.inner.take().ok_or_else(failed_before)?;
        inner.write(&self.pending)?.finish()
    }
}

fn failed_before() -> io::Error {
    io::Error::other("an earlier write of the archive failed")
}
