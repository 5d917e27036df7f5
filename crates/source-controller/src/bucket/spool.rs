//! Objects that were received, one after the other in one file: a file for each would cost more than to fetch it.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

/// The most of an object that is kept in memory at once; a larger one lies in the file in pieces.
pub(super) const PIECE: usize = 64 << 10;

/// So many bytes are written at once.
const WRITE: usize = 256 << 10;

/// A place in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Extent {
    start: u64,
    length: u64,
}

/// Where an object lies.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Place {
    extents: Vec<Extent>,
}

impl Place {
    /// The bytes of the object.
    pub(super) fn size(&self) -> u64 {
        self.extents.iter().map(|extent| extent.length).sum()
    }

    /// Adds a piece at the end of the object.
    fn push(&mut self, piece: Extent) {
        match self.extents.last_mut() {
            Some(last) if last.start + last.length == piece.start => last.length += piece.length,
            _ => self.extents.push(piece),
        }
    }
}

/// The file, which has no name: nothing of it is left when the process ends, however that may be. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Spool {
    file: Arc<File>,
    tail: Arc<Mutex<Tail>>,
}

/// What is not written yet.
#[derive(Debug, Default)]
struct Tail {
    /// Where it belongs.
    start: u64,
    bytes: Vec<u8>,
}

impl Tail {
    /// What is there, which is to be written; nothing is left.
    fn take(&mut self) -> (u64, Vec<u8>) {
        let start = self.start;
        self.start += self.bytes.len() as u64;
        (start, std::mem::take(&mut self.bytes))
    }
}

impl Spool {
    /// An empty one in a folder.
    ///
    /// # Errors
    /// When the file cannot be made.
    pub(super) fn create_blocking(folder: &Path) -> io::Result<Self> {
        Ok(Self {
            file: Arc::new(tempfile::tempfile_in(folder)?),
            tail: Arc::default(),
        })
    }

    /// Adds a piece to an object, and empties `piece`.
    ///
    /// # Errors
    /// When the disk fails.
    pub(super) async fn put(&self, place: &mut Place, piece: &mut Vec<u8>) -> io::Result<()> {
        let due = {
            let mut tail = self.tail.lock().unwrap_or_else(PoisonError::into_inner);
            if !piece.is_empty() {
                place.push(Extent {
                    start: tail.start + tail.bytes.len() as u64,
                    length: piece.len() as u64,
                });
            }
            tail.bytes.append(piece);
            (tail.bytes.len() >= WRITE).then(|| tail.take())
        };
        let Some((start, bytes)) = due else {
            return Ok(());
        };
        let file = Arc::clone(&self.file);
        let writing = tokio::task::spawn_blocking(move || file.write_all_at(&bytes, start));
        writing.await.map_err(io::Error::other)?
    }

    /// Writes what was put in from memory.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(super) fn put_blocking(&self, bytes: &[u8]) -> io::Result<Place> {
        let mut place = Place::default();
        let mut tail = self.tail.lock().unwrap_or_else(PoisonError::into_inner);
        place.push(Extent {
            start: tail.start + tail.bytes.len() as u64,
            length: bytes.len() as u64,
        });
        tail.bytes.extend_from_slice(bytes);
        let (start, bytes) = tail.take();
        self.file.write_all_at(&bytes, start)?;
        Ok(place)
    }

    /// Writes what is still in memory, after which all can be read.
    ///
    /// # Errors
    /// When the disk fails.
    pub(super) fn flush_blocking(&self) -> io::Result<()> {
        let (start, bytes) = self.tail.lock().unwrap_or_else(PoisonError::into_inner).take();
        self.file.write_all_at(&bytes, start)
    }

    /// Reads an object.
    pub(super) fn read<'s>(&'s self, place: &'s Place) -> SpoolReader<'s> {
        SpoolReader {
            file: &self.file,
            extents: place.extents.iter(),
            current: Extent { start: 0, length: 0 },
        }
    }
}

/// An object that is being read.
#[derive(Debug)]
pub(super) struct SpoolReader<'s> {
    file: &'s File,
    extents: std::slice::Iter<'s, Extent>,
    /// What is left of a piece.
    current: Extent,
}

impl Read for SpoolReader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.current.length == 0 {
            let Some(next) = self.extents.next() else {
                return Ok(0);
            };
            self.current = *next;
        }
        let most = usize::try_from(self.current.length)
            .unwrap_or(usize::MAX)
            .min(buffer.len());
        let count = self
            .file
            .read_at(buffer.get_mut(..most).unwrap_or_default(), self.current.start)?;
        if count == 0 && most > 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.current.start += count as u64;
        self.current.length -= count as u64;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn objects_put_in_piece_by_piece_at_once_are_read_whole() {
        let spool = Spool::create_blocking(&std::env::temp_dir()).unwrap();
        let text = |object: usize, piece: usize| vec![(object * 7 + piece) as u8; PIECE - object];
        let ignored = spool.put_blocking(b"*.md\n").unwrap();
        let mut places = vec![Place::default(); 5];
        for piece in 0..9 {
            for (object, place) in places.iter_mut().enumerate() {
                let mut bytes = text(object, piece);
                spool.put(place, &mut bytes).await.unwrap();
                assert!(bytes.is_empty());
            }
        }
        let mut empty = Place::default();
        spool.put(&mut empty, &mut Vec::new()).await.unwrap();
        spool.flush_blocking().unwrap();
        let read = |place: &Place| {
            let mut bytes = Vec::new();
            spool.read(place).read_to_end(&mut bytes).unwrap();
            assert_eq!(bytes.len() as u64, place.size());
            bytes
        };
        for (object, place) in places.iter().enumerate() {
            let expected: Vec<u8> = (0..9).flat_map(|piece| text(object, piece)).collect();
            assert!(read(place) == expected, "{object}");
        }
        assert_eq!(read(&ignored), b"*.md\n");
        assert_eq!(read(&empty), b"");
    }

    #[tokio::test]
    async fn an_object_alone_is_one_extent() {
        let spool = Spool::create_blocking(&std::env::temp_dir()).unwrap();
        let mut place = Place::default();
        for _ in 0..9 {
            spool.put(&mut place, &mut vec![1; PIECE]).await.unwrap();
        }
        assert_eq!((place.extents.len(), place.size()), (1, 9 * PIECE as u64));
        let mut bytes = Vec::new();
        let unwritten = spool.read(&place).read_to_end(&mut bytes).unwrap_err();
        assert_eq!(unwritten.kind(), io::ErrorKind::UnexpectedEof);
    }
}
