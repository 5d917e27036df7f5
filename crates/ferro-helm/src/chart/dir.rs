//! A real folder.

use std::cell::RefCell;
use std::fs::DirEntry;
use std::io::{self, Read as _};
use std::path::PathBuf;

use super::archive::MAX_FILE_SIZE;
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

    fn kind(&self, entry: &DirEntry) -> io::Result<EntryKind> {
        let mut metadata = entry.metadata()?;
        if metadata.is_symlink() {
            let path = entry.path();
            let resolved = std::fs::canonicalize(&path)?;
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
            names.push((entry.file_name().to_string_lossy().into_owned(), entry));
        }
        names.sort_by(|(a, _), (b, _)| a.cmp(b));
        names
            .into_iter()
            .map(|(name, entry)| {
                let kind = self.kind(&entry)?;
                Ok(Entry { name, kind })
            })
            .collect()
    }

    fn read(&self, path: &str) -> io::Result<Vec<u8>> {
        std::fs::read(self.root.join(path))
    }

    fn read_into(&self, path: &str, size: u64, buffer: &mut Vec<u8>) -> io::Result<()> {
        let mut file = std::fs::File::open(self.root.join(path))?;
        // One byte more: where that stays free, the file has not grown, and no other call has to show its end.
        buffer.resize(usize::try_from(size).unwrap_or(0).max(1) + 1, 0);
        let mut len = 0;
        loop {
            if len == buffer.len() {
                // It is growing.
                buffer.resize(len * 2, 0);
            }
            match file.read(buffer.get_mut(len..).unwrap_or_default()) {
                Ok(0) => break,
                Ok(_) if len > MAX_FILE_SIZE as usize => break,
                Ok(read) => {
                    len += read;
                    if len as u64 == size {
                        break;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        buffer.truncate(len);
        Ok(())
    }
}
