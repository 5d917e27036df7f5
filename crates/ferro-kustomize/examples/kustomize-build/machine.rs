//! The files of the machine.

use std::borrow::Cow;
use std::io;

use ferro_kustomize::{DirEntry, DirFiles, FileError, Files, Resolved};

/// The machine's files; paths that are relative start at the current directory, and are named as they are given.
pub(crate) struct MachineFiles {
    dir: String,
    files: DirFiles,
}

impl MachineFiles {
    pub(crate) fn new() -> io::Result<Self> {
        let dir = std::env::current_dir()?.to_string_lossy().into_owned();
        let files = DirFiles::unconfined();
        Ok(Self { dir, files })
    }

    fn absolute<'p>(&self, path: &'p str) -> Cow<'p, str> {
        if path.starts_with('/') {
            Cow::Borrowed(path)
        } else {
            Cow::Owned(format!("{}/{path}", self.dir))
        }
    }
}

impl Files for MachineFiles {
    fn resolve(&self, path: &str) -> Result<Resolved, FileError> {
        self.files.resolve(&self.absolute(path))
    }

    fn read(&self, path: &str) -> Result<Cow<'_, [u8]>, FileError> {
        self.files.read(path)
    }

    fn list(&self, path: &str) -> Result<Vec<DirEntry>, FileError> {
        self.files.list(&self.absolute(path))
    }
}
