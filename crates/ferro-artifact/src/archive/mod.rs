//! Deterministic tar.gz archives: equal input gives equal bytes.
//!
//! Nothing of the machine goes in: entries are sorted by name in each directory, owners and times are
//! zero, modes are one of three, and the compressor gets its input in blocks of one size so that its output
//! does not depend on how the content was read.

mod files;
mod gzip;
mod header;
mod writer;

use std::io::Write;

use tokio_util::sync::CancellationToken;

use crate::ignore::Matcher;
use crate::tree::{self, Budget, Content, Directory, EntryKind, TreeError};

pub use files::FileArchive;
pub use writer::ArchiveWriter;

/// Entries of an archive, and of a tree that is archived, excluded ones included.
pub const MAX_ENTRIES: u64 = 500_000;
/// The sum of the sizes of an archive's files before compression: 4 GiB.
pub const MAX_BYTES: u64 = 4 << 30;

/// Bounds on what goes into an archive.
#[derive(Debug, Clone, Copy)]
pub struct ArchiveLimits {
    /// The count of entries that are looked at.
    pub max_entries: u64,
    /// The sum of file sizes before compression.
    pub max_bytes: u64,
}

impl Default for ArchiveLimits {
    /// [`MAX_ENTRIES`] and [`MAX_BYTES`], which is what those who fetch the archive accept.
    fn default() -> Self {
        Self {
            max_entries: MAX_ENTRIES,
            max_bytes: MAX_BYTES,
        }
    }
}

/// What went into an archive.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ArchiveStats {
    /// The count of directories and files.
    pub entries: u64,
    /// The count of files.
    pub files: u64,
    /// The sum of file sizes.
    pub bytes: u64,
}

impl ArchiveStats {
    /// Counts an entry, unless it is too much.
    fn add(
        &mut self,
        size: u64,
        limits: &ArchiveLimits,
        path: impl FnOnce() -> String,
    ) -> Result<(), ArchiveError> {
        self.entries += 1;
        self.bytes = self.bytes.saturating_add(size);
        if self.bytes > limits.max_bytes {
            return Err(ArchiveError::TooLarge {
                limit: limits.max_bytes,
                path: path(),
            });
        }
        Ok(())
    }
}

/// Why an archive could not be made.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// The tree could not be read.
    #[error(transparent)]
    Tree(#[from] TreeError),
    /// An entry's name is no single path component.
    #[error("tree entry '{path}' has a name that no archive may hold")]
    InvalidName {
        /// The path of the entry.
        path: String,
    },
    /// Two entries of a directory have the same name.
    #[error("tree entry '{path}' occurs twice")]
    DuplicateName {
        /// The path of the entry.
        path: String,
    },
    /// A file came after one that belongs behind it.
    #[error("file '{path}' is out of order")]
    OutOfOrder {
        /// The path of the file.
        path: String,
    },
    /// A file could not be read to its end, or changed its size meanwhile.
    #[error("failed to read file '{path}'")]
    Content {
        /// The path of the file.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// The files are larger than allowed.
    #[error("files of more than {limit} bytes in total, exceeded at '{path}'")]
    TooLarge {
        /// The limit.
        limit: u64,
        /// The file that exceeded it.
        path: String,
    },
    /// The archive could not be written.
    #[error("failed to write the archive")]
    Write(#[source] std::io::Error),
}

/// Writes the tree below `root` as tar.gz to `out`, without what `matcher` excludes.
///
/// The walk is depth first, by name in each directory. An excluded directory has no entry of its own, but
/// what is below it is still looked at where a rule could include it again. Blocks the thread.
pub fn archive_blocking<W: Write>(
    root: &dyn Directory,
    matcher: &Matcher,
    limits: ArchiveLimits,
    cancel: &CancellationToken,
    out: W,
) -> Result<(W, ArchiveStats), ArchiveError> {
    let mut walk = Walk {
        writer: ArchiveWriter::new(out),
        matcher,
        limits,
        budget: Budget::new(limits.max_entries, cancel),
        stats: ArchiveStats::default(),
        path: Vec::new(),
    };
    walk.budget.spend()?;
    walk.writer.directory(b".").map_err(ArchiveError::Write)?;
    walk.stats.entries += 1;
    walk.directory(root)?;
    let stats = walk.stats;
    let out = walk.writer.finish().map_err(ArchiveError::Write)?;
    Ok((out, stats))
}

struct Walk<'a, W: Write> {
    writer: ArchiveWriter<W>,
    matcher: &'a Matcher,
    limits: ArchiveLimits,
    budget: Budget<'a>,
    stats: ArchiveStats,
    path: Vec<Vec<u8>>,
}

impl<W: Write> Walk<'_, W> {
    fn directory(&mut self, directory: &dyn Directory) -> Result<(), ArchiveError> {
        if self.path.len() > tree::MAX_DEPTH {
            return Err(TreeError::too_deep(&self.path).into());
        }
        let mut entries = directory.entries()?;
        entries.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        let mut previous: Option<Vec<u8>> = None;
        for entry in entries {
            self.budget.spend()?;
            let is_duplicate = previous.as_ref() == Some(&entry.name);
            self.path.push(entry.name.clone());
            if is_duplicate {
                return Err(ArchiveError::DuplicateName { path: self.display() });
            }
            if !is_component(&entry.name) {
                return Err(ArchiveError::InvalidName { path: self.display() });
            }
            match entry.kind {
                EntryKind::Directory(below) => self.subdirectory(below.as_ref())?,
                EntryKind::File(content) => self.file(content.as_ref())?,
                EntryKind::Other => {}
            }
            self.path.pop();
            previous = Some(entry.name);
        }
        Ok(())
    }

    fn subdirectory(&mut self, directory: &dyn Directory) -> Result<(), ArchiveError> {
        if !self.is_excluded(true) {
            self.count(0)?;
            self.writer
                .directory(&self.path.join(&b'/'))
                .map_err(ArchiveError::Write)?;
        } else if !self.matcher.can_include_below_excluded() {
            return Ok(());
        }
        self.directory(directory)
    }

    fn file(&mut self, content: &dyn Content) -> Result<(), ArchiveError> {
        if self.is_excluded(false) {
            return Ok(());
        }
        let (size, mut reader) = content.open()?;
        self.count(size)?;
        self.stats.files += 1;
        let name = self.path.join(&b'/');
        copy_file(
            &mut self.writer,
            &name,
            content.is_executable(),
            size,
            &mut reader,
            || tree::display_path(&self.path),
        )
    }

    fn is_excluded(&self, is_dir: bool) -> bool {
        let path: Vec<&[u8]> = self.path.iter().map(Vec::as_slice).collect();
        self.matcher.is_excluded(&path, is_dir)
    }

    fn count(&mut self, size: u64) -> Result<(), ArchiveError> {
        self.stats
            .add(size, &self.limits, || tree::display_path(&self.path))
    }

    fn display(&self) -> String {
        tree::display_path(&self.path)
    }
}

/// Adds a file, and tells who failed: the reader of its content, or the archive's writer.
fn copy_file<W: Write>(
    writer: &mut ArchiveWriter<W>,
    name: &[u8],
    is_executable: bool,
    size: u64,
    content: &mut dyn std::io::Read,
    path: impl FnOnce() -> String,
) -> Result<(), ArchiveError> {
    let mut source = ReadOnly {
        inner: content,
        error: None,
    };
    let written = writer.file(name, is_executable, size, &mut source);
    match (written, source.error) {
        (Ok(()), _) => Ok(()),
        (Err(_), Some(source)) => Err(ArchiveError::Content { path: path(), source }),
        (Err(error), None) => Err(ArchiveError::Write(error)),
    }
}

/// Remembers a reader's error, to tell it from one of the archive's writer.
struct ReadOnly<'a> {
    inner: &'a mut dyn std::io::Read,
    error: Option<std::io::Error>,
}

impl std::io::Read for ReadOnly<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        match self.inner.read(buffer) {
            Err(error) if error.kind() != std::io::ErrorKind::Interrupted => {
                let kind = error.kind();
                self.error = Some(error);
                Err(kind.into())
            }
            other => other,
        }
    }
}

fn is_component(name: &[u8]) -> bool {
    !matches!(name, b"" | b"." | b"..") && !name.iter().any(|byte| matches!(byte, b'/' | 0))
}
