//! A real folder.

use std::cell::RefCell;
use std::fs::DirEntry;
use std::io::{self, Read as _};
use std::path::PathBuf;

use super::archive::MAX_FILE_SIZE;
use super::directory::{Directory, Entry, EntryKind};
use crate::Notice;

/// Most files of charts are read at once into so many bytes.
const MIN_BUFFER: usize = 16 << 10;

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
        // What it is, the folder tells. How long files are shows when they are read: asking first is another call for each.
        let mut kind = entry.file_type()?;
        if kind.is_symlink() {
            let path = entry.path();
            let resolved = std::fs::canonicalize(&path)?;
            let text = "found symbolic link in path. Contents of linked file included and used";
            let notice = Notice::info(text)
                .with("path", path.display().to_string())
                .with("resolved", resolved.display().to_string());
            self.notices.borrow_mut().push(notice);
            kind = std::fs::metadata(resolved)?.file_type();
        }
        Ok(if kind.is_dir() {
            EntryKind::Directory
        } else if kind.is_file() {
            EntryKind::File
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

    fn read_into(&self, path: &str, buffer: &mut Vec<u8>) -> io::Result<usize> {
        let mut file = std::fs::File::open(self.root.join(path))?;
        let mut len = 0;
        loop {
            if len == buffer.len() {
                buffer.resize((len * 2).max(MIN_BUFFER), 0);
            }
            match file.read(buffer.get_mut(len..).unwrap_or_default()) {
                Ok(0) => break,
                Ok(read) => len += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
            // It is refused for its size, whatever else is in it.
            if len as u64 > MAX_FILE_SIZE {
                break;
            }
        }
        Ok(len)
    }
}
