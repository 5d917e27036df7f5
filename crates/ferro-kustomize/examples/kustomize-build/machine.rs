//! What the program takes from the machine: files, the time, randomness.

use std::borrow::Cow;
use std::io::{self, Read};
use std::time::SystemTime;

use ferro_gocompat::time::Time;
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

/// The clock and the randomness that charts may ask for.
pub(crate) struct System;

impl ferro_sprig::Environment for System {
    fn now(&self) -> Time {
        let since = SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or_default();
        let seconds = i64::try_from(since.as_secs()).unwrap_or(i64::MAX);
        Time::from_unix(seconds, i64::from(since.subsec_nanos()))
    }

    fn fill_random(&self, bytes: &mut [u8]) {
        let source = std::fs::File::open("/dev/urandom");
        source
            .and_then(|mut source| source.read_exact(bytes))
            .expect("a system has randomness");
    }
}
