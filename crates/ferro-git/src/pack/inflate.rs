//! Inflating what lies somewhere in a file.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt as _;
use std::sync::{Mutex, PoisonError};

use flate2::{Decompress, FlushDecompress, Status};

/// How much is read from the file at once.
const INPUT: usize = 16 << 10;
/// How many buffers are kept for the next reader.
const MAX_IDLE: usize = 4;

/// Buffers of readers that are done.
#[derive(Debug, Default)]
pub(super) struct Pool(Mutex<Vec<Scratch>>);

#[derive(Debug)]
struct Scratch {
    state: Decompress,
    input: Vec<u8>,
}

impl Pool {
    fn take(&self) -> Scratch {
        let idle = self.0.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut scratch = idle.unwrap_or_else(|| Scratch {
            state: Decompress::new(true),
            input: vec![0; INPUT],
        });
        scratch.state.reset(true);
        scratch
    }

    fn put(&self, scratch: Scratch) {
        let mut idle = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < MAX_IDLE {
            idle.push(scratch);
        }
    }
}

/// Yields exactly the announced number of bytes, or fails.
pub(super) struct Inflate<'a> {
    file: &'a File,
    position: u64,
    pool: &'a Pool,
    scratch: Option<Scratch>,
    /// What of the input is still to be used.
    from: usize,
    until: usize,
    left: u64,
}

impl<'a> Inflate<'a> {
    /// What begins at `position` of `file` and has `size` bytes when it is inflated.
    pub(super) fn new(file: &'a File, position: u64, size: u64, pool: &'a Pool) -> Self {
        Self {
            file,
            position,
            pool,
            scratch: Some(pool.take()),
            from: 0,
            until: 0,
            left: size,
        }
    }
}

impl Read for Inflate<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let wanted = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        let buffer = buffer.get_mut(..wanted).unwrap_or_default();
        let Some(scratch) = &mut self.scratch else {
            return Ok(0);
        };
        if buffer.is_empty() {
            return Ok(0);
        }
        loop {
            if self.from == self.until {
                self.from = 0;
                self.until = self.file.read_at(&mut scratch.input, self.position)?;
                self.position += self.until as u64;
            }
            let input = scratch.input.get(self.from..self.until).unwrap_or_default();
            let (before_in, before_out) = (scratch.state.total_in(), scratch.state.total_out());
            let status = scratch
                .state
                .decompress(input, buffer, FlushDecompress::None)
                .map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "an object is damaged"))?;
            let used = scratch.state.total_in() - before_in;
            let made = scratch.state.total_out() - before_out;
            self.from += usize::try_from(used).unwrap_or_default();
            self.left -= made;
            if made > 0 {
                return Ok(usize::try_from(made).unwrap_or_default());
            }
            if status == Status::StreamEnd || used == 0 {
                return Err(io::Error::new(
                    io::ErrorKind::UnexpectedEof,
                    "an object is cut short",
                ));
            }
        }
    }
}

impl Drop for Inflate<'_> {
    fn drop(&mut self) {
        if let Some(scratch) = self.scratch.take() {
            self.pool.put(scratch);
        }
    }
}
