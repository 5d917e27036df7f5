//! A real folder.

use std::cell::RefCell;
use std::io;
use std::path::{Path, PathBuf};

use super::directory::{Directory, Entry, EntryKind};
use crate::Notice;

/// A folder of the file system. Links are followed, and noted.
#[derive(Debug)]
pub struct RealDirectory {
    root: PathBuf,
    notices: RefCell<Vec<Notice>>,
}

impl RealDirectory {
    /// Takes the folder; it is not looked at before it is read.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self {
            root: root.into(),
            notices: RefCell::default(),
        }
    }

    /// What there is to say about what was read.
    pub fn into_notices(self) -> Vec<Notice> {
        self.notices.into_inner()
    }

    fn kind(&self, path: &Path) -> io::Result<EntryKind> {
        let mut metadata = std::fs::symlink_metadata(path)?;
        if metadata.is_symlink() {
            let resolved = std::fs::canonicalize(path)?;
            let text = "found symbolic link in path. Contents of linked file included and used";
            let notice = Notice::info(text)
                .with("path", path.display().to_string())
                .with("resolved", resolved.display().to_string());
            self.notices.borrow_mut().push(notice);
            metadata = std::fs::metadata(resolved)?;
        }
        Ok(if metadata.is_dir() {
            EntryKind::Directory
        } else if metadata.is_file() {
            EntryKind::File(metadata.len())
        } else {
            EntryKind::Other
        })
    }
}

impl Directory for RealDirectory {
    fn list(&self, path: &str) -> io::Result<Vec<Entry>> {
        let mut names = Vec::new();
        for entry in std::fs::read_dir(self.root.join(path))? {
            let entry = entry?;
            names.push((entry.file_name().to_string_lossy().into_owned(), entry.path()));
        }
        names.sort();
        names
            .into_iter()
            .map(|(name, path)| {
                let kind = self.kind(&path)?;
                Ok(Entry { name, kind })
            })
            .collect()
    }

    fn read(&self, path: &str) -> io::Result<Vec<u8>> {
        std::fs::read(self.root.join(path))
    }
}
