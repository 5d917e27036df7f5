//! Objects on disk, each in a file named by its digest.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Read, Write as _};
use std::path::{Path, PathBuf};

use ferro_artifact::digest::{Algorithm, Hasher};
use tempfile::NamedTempFile;

use super::pointer::Pointer;
use crate::{Error, Result};

/// The objects that a checkout's pointers stand for.
#[derive(Debug)]
pub struct LfsObjects {
    directory: PathBuf,
}

impl LfsObjects {
    pub(super) fn open(directory: &Path) -> Result<Self> {
        fs::create_dir_all(directory).map_err(Error::cache("create"))?;
        Ok(Self {
            directory: directory.to_owned(),
        })
    }

    fn path(&self, oid: &str) -> PathBuf {
        self.directory.join(oid)
    }

    /// Whether the object is here, as far as its size tells; its digest is computed when it is read.
    pub(super) fn has(&self, pointer: &Pointer) -> bool {
        pointer.size == 0
            || fs::metadata(self.path(&pointer.oid))
                .is_ok_and(|found| found.is_file() && found.len() == pointer.size)
    }

    /// A place for an object that is about to arrive.
    pub(super) fn incoming(&self, pointer: &Pointer) -> Result<Incoming> {
        let file = NamedTempFile::with_prefix_in("incoming-", &self.directory);
        Ok(Incoming {
            file: file.map_err(Error::cache("write to"))?,
            target: self.path(&pointer.oid),
            pointer: pointer.clone(),
            hasher: Algorithm::Sha256.hasher(),
            received: 0,
        })
    }

    /// Removes all but the objects that are named, and what earlier processes left half done.
    pub(super) fn keep_only(&self, oids: &BTreeSet<&str>) -> Result<()> {
        let entries = fs::read_dir(&self.directory).map_err(Error::cache("read"))?;
        for entry in entries.filter_map(io::Result::ok) {
            let is_kept = entry.file_name().to_str().is_some_and(|name| oids.contains(name));
            if !is_kept {
                fs::remove_file(entry.path()).map_err(Error::cache("empty"))?;
            }
        }
        Ok(())
    }

    /// The content that a pointer stands for. It is verified while it is read; what is damaged is removed, so that it is fetched again.
    pub(crate) fn read(&self, pointer: &Pointer) -> io::Result<Box<dyn Read>> {
        let path = self.path(&pointer.oid);
        let content: Box<dyn Read> = if pointer.size == 0 {
            Box::new(io::empty())
        } else {
            Box::new(File::open(&path)?)
        };
        Ok(Box::new(Verified {
            content,
            path,
            hasher: Some(Algorithm::Sha256.hasher()),
            pointer: pointer.clone(),
        }))
    }
}

/// An object that arrives.
pub(super) struct Incoming {
    file: NamedTempFile,
    target: PathBuf,
    pointer: Pointer,
    hasher: Hasher,
    received: u64,
}

impl Incoming {
    /// Takes the next piece; the error says what is wrong with the object.
    pub(super) fn write(&mut self, piece: &[u8]) -> Result<(), String> {
        self.received += piece.len() as u64;
        if self.received > self.pointer.size {
            return Err(format!(
                "the server sends more than its {} bytes",
                self.pointer.size
            ));
        }
        self.hasher.update(piece);
        self.file.write_all(piece).map_err(|error| error.to_string())
    }

    /// Puts the object in its place if it is what it should be.
    pub(super) fn finish(self) -> Result<(), String> {
        let (received, expected) = (self.received, self.pointer.size);
        if received != expected {
            return Err(format!("the server sent {received} of its {expected} bytes"));
        }
        let found = self.hasher.finish();
        if found.hex() != self.pointer.oid {
            return Err(format!("the server sent another content, with digest {found}"));
        }
        let kept = self.file.persist(self.target);
        kept.map(drop).map_err(|error| error.error.to_string())
    }
}

/// Reads a file, and fails at its end if it is not what its name says.
struct Verified {
    content: Box<dyn Read>,
    path: PathBuf,
    /// Taken at the end.
    hasher: Option<Hasher>,
    pointer: Pointer,
}

impl Read for Verified {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.content.read(buffer)?;
        let Some(hasher) = &mut self.hasher else {
            return Ok(count);
        };
        hasher.update(buffer.get(..count).unwrap_or_default());
        if count == 0
            && !buffer.is_empty()
            && let Some(hasher) = self.hasher.take()
            && hasher.finish().hex() != self.pointer.oid
        {
            drop(fs::remove_file(&self.path));
            let oid = &self.pointer.oid;
            return Err(io::Error::other(format!("LFS object {oid} is damaged on disk")));
        }
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pointer(content: &[u8]) -> Pointer {
        Pointer {
            oid: Algorithm::Sha256.digest(content).hex().to_owned(),
            size: content.len() as u64,
        }
    }

    fn read(objects: &LfsObjects, pointer: &Pointer) -> io::Result<Vec<u8>> {
        let mut content = Vec::new();
        objects.read(pointer)?.read_to_end(&mut content)?;
        Ok(content)
    }

    #[test]
    fn objects_are_kept_when_they_are_what_they_should_be() {
        let directory = tempfile::tempdir().unwrap();
        let objects = LfsObjects::open(directory.path()).unwrap();
        let wanted = pointer(b"content");
        for (pieces, fault) in [
            (&["content", "!"][..], "the server sends more than its 7 bytes"),
            (&["conten"], "the server sent 6 of its 7 bytes"),
            (&["Content"], "the server sent another content"),
        ] {
            let mut incoming = objects.incoming(&wanted).unwrap();
            let written = pieces
                .iter()
                .try_for_each(|piece| incoming.write(piece.as_bytes()));
            let error = written.and_then(|()| incoming.finish()).unwrap_err();
            assert!(error.starts_with(fault), "{error}");
            assert!(!objects.has(&wanted));
        }
        let mut incoming = objects.incoming(&wanted).unwrap();
        incoming.write(b"con").unwrap();
        incoming.write(b"tent").unwrap();
        incoming.finish().unwrap();
        assert!(objects.has(&wanted));
        assert_eq!(read(&objects, &wanted).unwrap(), b"content");
        assert!(read(&objects, &pointer(b"")).unwrap().is_empty());

        fs::write(directory.path().join("incoming-x"), "left behind").unwrap();
        objects.keep_only(&BTreeSet::from([wanted.oid.as_str()])).unwrap();
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
        objects.keep_only(&BTreeSet::new()).unwrap();
        assert!(!objects.has(&wanted));
    }

    #[test]
    fn damaged_object_is_an_error_and_gone() {
        let directory = tempfile::tempdir().unwrap();
        let objects = LfsObjects::open(directory.path()).unwrap();
        let wanted = pointer(b"content");
        fs::write(directory.path().join(&wanted.oid), "CONTENT").unwrap();
        assert!(objects.has(&wanted));
        let error = read(&objects, &wanted).unwrap_err().to_string();
        assert!(error.ends_with("is damaged on disk"), "{error}");
        assert!(!objects.has(&wanted));
    }
}
