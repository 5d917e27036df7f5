//! The files of a commit on disk.

use std::ffi::OsStr;
use std::fs;
use std::io::{self, Read as _, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use ferro_artifact::tree::{Content, Directory, EntryKind, MAX_DEPTH, TreeError};
use tokio_util::sync::CancellationToken;

use super::Limits;

/// Why a tree could not be written.
#[derive(Debug, thiserror::Error)]
pub(super) enum WriteError {
    /// It has a name that no path may have.
    #[error("'{0}' is no name of a file")]
    Name(String),
    /// It has too many files.
    #[error("the repository has more than {0} files and directories")]
    Entries(usize),
    /// Its files are too large.
    #[error("the files of the repository are larger than {0} bytes")]
    Bytes(u64),
    /// Its directories nest too deeply.
    #[error("'{0}' is nested more than {MAX_DEPTH} levels deep")]
    Depth(String),
    /// The work was called off.
    #[error("the build was called off")]
    Cancelled,
    /// The repository could not be read.
    #[error(transparent)]
    Tree(#[from] TreeError),
    /// The disk failed.
    #[error("cannot write the repository's files")]
    Io(#[from] io::Error),
}

/// The files of a commit. Nobody may write there. The folder goes when the last user and the cache have let
/// go of it.
#[derive(Debug)]
pub(super) struct Tree {
    path: PathBuf,
    bytes: u64,
}

impl Tree {
    /// Writes a tree to `path`, which is not there yet. Links are left out, as source-controller does.
    pub(super) fn write(
        path: PathBuf,
        root: &dyn Directory,
        limits: &Limits,
        cancel: &CancellationToken,
    ) -> Result<Self, WriteError> {
        // From here on, what was written goes if the rest fails.
        let mut tree = Self { path, bytes: 0 };
        fs::create_dir(&tree.path)?;
        let mut writer = Writer {
            limits,
            cancel,
            bytes: 0,
            entries: 0,
        };
        writer.directory(root, &tree.path, 0)?;
        tree.bytes = writer.bytes;
        Ok(tree)
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) const fn bytes(&self) -> u64 {
        self.bytes
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        remove(&self.path);
    }
}

pub(super) fn remove(path: &Path) {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            tracing::debug!(%error, path = %path.display(), "cannot remove the files of a remote base");
        }
        _ => {}
    }
}

struct Writer<'a> {
    limits: &'a Limits,
    cancel: &'a CancellationToken,
    bytes: u64,
    entries: usize,
}

impl Writer<'_> {
    fn directory(&mut self, directory: &dyn Directory, path: &Path, depth: usize) -> Result<(), WriteError> {
        if depth > MAX_DEPTH {
            return Err(WriteError::Depth(path.display().to_string()));
        }
        for entry in directory.entries()? {
            if self.cancel.is_cancelled() {
                return Err(WriteError::Cancelled);
            }
            self.entries += 1;
            if self.entries > self.limits.max_entries {
                return Err(WriteError::Entries(self.limits.max_entries));
            }
            let path = path.join(name(&entry.name)?);
            match entry.kind {
                EntryKind::Directory(inner) => {
                    fs::create_dir(&path)?;
                    self.directory(&*inner, &path, depth + 1)?;
                }
                EntryKind::File(content) => self.file(&*content, &path)?,
                EntryKind::Other => {}
            }
        }
        Ok(())
    }

    fn file(&mut self, content: &dyn Content, path: &Path) -> Result<(), WriteError> {
        let (size, mut reader) = content.open()?;
        self.bytes = self.bytes.saturating_add(size);
        if self.bytes > self.limits.max_bytes {
            return Err(WriteError::Bytes(self.limits.max_bytes));
        }
        let mut file = fs::File::create_new(path)?;
        let mut buffer = [0; 1 << 13];
        loop {
            let read = reader.read(&mut buffer)?;
            let Some(piece) = buffer.get(..read).filter(|piece| !piece.is_empty()) else {
                return Ok(());
            };
            file.write_all(piece)?;
        }
    }
}

/// The name of an entry, which comes from outside and must be one step down.
fn name(bytes: &[u8]) -> Result<&OsStr, WriteError> {
    let is_step = !matches!(bytes, b"" | b"." | b"..") && !bytes.iter().any(|byte| matches!(byte, b'/' | 0));
    if is_step {
        Ok(OsStr::from_bytes(bytes))
    } else {
        Err(WriteError::Name(String::from_utf8_lossy(bytes).into_owned()))
    }
}
