//! What goes into an artifact, in its order, and where each file comes from: the last artifact, or what was received.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufReader, Read, Write};
use std::path::{Path, PathBuf};

use ferro_artifact::archive::{ArchiveError, ArchiveLimits, FileArchive};
use ferro_artifact::digest::{Digest, Hasher};
use ferro_artifact::tree::TreeError;
use flate2::read::MultiGzDecoder;
use tokio_util::sync::CancellationToken;

use super::spool::{Place, Spool};

/// The longest name of a file that those who unpack the artifact can make.
const MAX_NAME: usize = 255;
/// The longest path, with what it is below.
const MAX_PATH: usize = 4000;

/// So much of the last artifact is read at once.
const BUFFER: usize = 64 << 10;

/// Why an object can have no file.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum PathError {
    #[error("another object has the same path")]
    SamePath,
    #[error("its path leads through another object")]
    ThroughObject,
    #[error("its path has more than {MAX_PATH} bytes, or a name in it more than {MAX_NAME}")]
    TooLong,
}

/// Why an archive could not be made.
#[derive(Debug, thiserror::Error)]
pub(super) enum WriteError {
    /// The last artifact has not what it should have; without it the archive can be made.
    #[error("the last artifact cannot be used")]
    Last(#[source] io::Error),
    #[error("failed to write the received objects to a temporary file")]
    Spool(#[source] io::Error),
    #[error(transparent)]
    Archive(#[from] ArchiveError),
}

/// Where the object of that key lies in the archive; slashes that name nothing do not count.
pub(super) fn path_of(key: &str) -> PathBuf {
    key.split('/').filter(|part| !part.is_empty()).collect()
}

/// The files of an artifact. Paths compare by their components, which is the order of an archive.
#[derive(Debug, Default)]
pub(super) struct Plan {
    files: BTreeMap<PathBuf, Content>,
}

#[derive(Debug)]
enum Content {
    /// It is in the last artifact.
    Kept,
    /// It is not there yet. If it does not come, the object is gone, and there is no file.
    Awaited,
    Received(Place),
}

impl Plan {
    /// Plans a file that the last artifact has.
    ///
    /// # Errors
    /// When the object can have no file.
    pub(super) fn keep(&mut self, key: &str) -> Result<(), PathError> {
        self.add(path_of(key), Content::Kept)
    }

    /// Plans a file that is still to be received.
    ///
    /// # Errors
    /// When the object can have no file.
    pub(super) fn expect(&mut self, key: &str) -> Result<(), PathError> {
        self.add(path_of(key), Content::Awaited)
    }

    /// Notes where a planned file was received.
    pub(super) fn receive(&mut self, key: &str, place: Place) {
        if let Some(content) = self.files.get_mut(&path_of(key)) {
            *content = Content::Received(place);
        }
    }

    fn add(&mut self, path: PathBuf, content: Content) -> Result<(), PathError> {
        let is_long = |name: &std::ffi::OsStr| name.len() > MAX_NAME;
        if path.as_os_str().len() > MAX_PATH || path.iter().any(is_long) {
            return Err(PathError::TooLong);
        }
        if self.files.contains_key(&path) {
            return Err(PathError::SamePath);
        }
        // What is below a path comes right after it.
        let next = self.files.range(path.clone()..).next();
        let has_below = next.is_some_and(|(next, _)| next.starts_with(&path));
        let mut above = path.ancestors().skip(1);
        if has_below || above.any(|above| self.files.contains_key(above)) {
            return Err(PathError::ThroughObject);
        }
        self.files.insert(path, content);
        Ok(())
    }

    /// Writes the archive: what is kept is read from `last` in one go, its digest checked on the way. The bytes are those of an
    /// archive of the same files from anywhere else.
    ///
    /// # Errors
    /// [`WriteError::Last`] when `last` is not the file of that digest, or has not what is kept; otherwise when something cannot be read or
    /// written, or is too much.
    pub(super) fn write_blocking(
        &self,
        spool: &Spool,
        last: Option<(File, Digest)>,
        cancel: &CancellationToken,
        out: &mut dyn Write,
    ) -> Result<(), WriteError> {
        spool.flush_blocking().map_err(WriteError::Spool)?;
        let mut archive = FileArchive::start_blocking(out, ArchiveLimits::default(), cancel)?;
        match last {
            Some((file, digest)) => {
                let mut last = open(file, &digest);
                let mut entries = last.entries().map_err(WriteError::Last)?;
                self.write_files(spool, &mut archive, Some(&mut entries))?;
                check(last, &digest).map_err(WriteError::Last)?;
            }
            None => self.write_files(spool, &mut archive, None)?,
        }
        archive.finish_blocking()?;
        // Past this point the file is put in place, which is too late for a pass that was cut short.
        if cancel.is_cancelled() {
            return Err(ArchiveError::from(TreeError::Cancelled).into());
        }
        Ok(())
    }

    fn write_files<W: Write>(
        &self,
        spool: &Spool,
        archive: &mut FileArchive<'_, W>,
        mut last: Option<&mut tar::Entries<'_, Last>>,
    ) -> Result<(), WriteError> {
        for (path, content) in &self.files {
            match content {
                Content::Awaited => {}
                Content::Received(place) => {
                    archive.file_blocking(path, place.size(), &mut spool.read(place))?;
                }
                Content::Kept => {
                    let mut file = find(last.as_deref_mut(), path).map_err(WriteError::Last)?;
                    let written = archive.file_blocking(path, file.left, &mut file);
                    written.map_err(|error| match error {
                        ArchiveError::Content { source, .. } => WriteError::Last(source),
                        other => other.into(),
                    })?;
                }
            }
        }
        Ok(())
    }
}

/// The last artifact, unpacked.
type Last = MultiGzDecoder<BufReader<Hashed>>;

fn open(file: File, digest: &Digest) -> tar::Archive<Last> {
    let hashed = Hashed {
        file,
        hasher: digest.algorithm().hasher(),
    };
    tar::Archive::new(MultiGzDecoder::new(BufReader::with_capacity(BUFFER, hashed)))
}

/// Goes on to a file of the last artifact.
fn find<'l>(
    last: Option<&mut tar::Entries<'l, Last>>,
    path: &Path,
) -> io::Result<Whole<tar::Entry<'l, Last>>> {
    for entry in last.into_iter().flatten() {
        let entry = entry?;
        if entry.header().entry_type().is_file() && *entry.path()? == *path {
            let left = entry.size();
            return Ok(Whole { inner: entry, left });
        }
    }
    let message = format!("it has no file '{}' where it should be", path.display());
    Err(io::Error::new(io::ErrorKind::NotFound, message))
}

/// Whether all of the last artifact, to its end, has the digest.
fn check(last: tar::Archive<Last>, expected: &Digest) -> io::Result<()> {
    let mut rest = last.into_inner().into_inner();
    io::copy(&mut rest, &mut io::sink())?;
    let found = rest.into_inner().hasher.finish();
    if found != *expected {
        let message = format!("computed digest '{found}' does not match '{expected}'");
        return Err(io::Error::new(io::ErrorKind::InvalidData, message));
    }
    Ok(())
}

/// A file whose digest is computed while it is read.
struct Hashed {
    file: File,
    hasher: Hasher,
}

impl Read for Hashed {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read(buffer)?;
        self.hasher.update(buffer.get(..count).unwrap_or_default());
        Ok(count)
    }
}

/// A file of which nothing may be missing.
struct Whole<R> {
    inner: R,
    left: u64,
}

impl<R: Read> Read for Whole<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        if count == 0 && self.left > 0 && !buffer.is_empty() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.left = self.left.saturating_sub(count as u64);
        Ok(count)
    }
}

#[cfg(test)]
mod tests;
