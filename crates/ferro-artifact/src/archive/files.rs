//! Archives of files that come one by one.

use std::io::{Read, Write};
use std::path::{Component, Path, PathBuf};

use tokio_util::sync::CancellationToken;

use super::{ArchiveError, ArchiveLimits, ArchiveStats, ArchiveWriter, copy_file};
use crate::tree::{self, Budget, TreeError};

/// Writes files that are given in the order of an archive, with the directories that they are in.
///
/// The order is that of [`Path`]: by name in each directory, a directory in the place of its name. The bytes are those that
/// [`archive_blocking`](super::archive_blocking) makes of a folder with these files and nothing else.
#[derive(Debug)]
pub struct FileArchive<'c, W: Write> {
    writer: ArchiveWriter<W>,
    limits: ArchiveLimits,
    budget: Budget<'c>,
    stats: ArchiveStats,
    /// The last file.
    previous: PathBuf,
}

impl<'c, W: Write> FileArchive<'c, W> {
    /// Starts an archive. Blocks the thread, as all of it does.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn start_blocking(
        out: W,
        limits: ArchiveLimits,
        cancel: &'c CancellationToken,
    ) -> Result<Self, ArchiveError> {
        let mut archive = Self {
            writer: ArchiveWriter::new(out),
            limits,
            budget: Budget::new(limits.max_entries, cancel),
            stats: ArchiveStats::default(),
            previous: PathBuf::new(),
        };
        archive.directory(Path::new("."))?;
        Ok(archive)
    }

    /// Adds a file of exactly `size` bytes that nobody may execute.
    ///
    /// # Errors
    /// When the path is not below the root, does not come after the last one, or leads through a file; when `content` fails or has another
    /// size; when a limit is exceeded or the archive cannot be written.
    pub fn file_blocking(
        &mut self,
        path: &Path,
        size: u64,
        content: &mut dyn Read,
    ) -> Result<(), ArchiveError> {
        self.check(path)?;
        let parent = path.parent().unwrap_or(path);
        let last = self.previous.parent().unwrap_or(&self.previous);
        let is_there = |(a, b): &(Component<'_>, Component<'_>)| a == b;
        let known = parent
            .components()
            .zip(last.components())
            .take_while(is_there)
            .count();
        let mut directories: Vec<&Path> = parent.ancestors().collect();
        // The root, which has an entry of another name.
        directories.pop();
        for directory in directories.into_iter().rev().skip(known) {
            self.directory(directory)?;
        }
        self.budget.spend()?;
        self.stats
            .add(size, &self.limits, || path.display().to_string())?;
        self.stats.files += 1;
        copy_file(&mut self.writer, name_of(path), false, size, content, || {
            path.display().to_string()
        })?;
        path.clone_into(&mut self.previous);
        Ok(())
    }

    /// Ends the archive. Returns what it was written to.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn finish_blocking(self) -> Result<(W, ArchiveStats), ArchiveError> {
        let out = self.writer.finish().map_err(ArchiveError::Write)?;
        Ok((out, self.stats))
    }

    fn directory(&mut self, path: &Path) -> Result<(), ArchiveError> {
        self.budget.spend()?;
        self.stats.entries += 1;
        self.writer.directory(name_of(path)).map_err(ArchiveError::Write)
    }

    fn check(&self, path: &Path) -> Result<(), ArchiveError> {
        let shown = || path.display().to_string();
        let mut depth = 0;
        for part in path.components() {
            match part {
                Component::Normal(name) if !name.as_encoded_bytes().contains(&0) => depth += 1,
                _ => return Err(ArchiveError::InvalidName { path: shown() }),
            }
        }
        // What is compared and what is written must be the same.
        if depth == 0 || path.components().collect::<PathBuf>().as_os_str() != path.as_os_str() {
            return Err(ArchiveError::InvalidName { path: shown() });
        }
        if depth > tree::MAX_DEPTH + 1 {
            return Err(TreeError::TooDeep { path: shown() }.into());
        }
        let is_first = self.previous.as_os_str().is_empty();
        if !is_first && path.starts_with(&self.previous) {
            return Err(ArchiveError::DuplicateName { path: shown() });
        }
        if !is_first && path < self.previous.as_path() {
            return Err(ArchiveError::OutOfOrder { path: shown() });
        }
        Ok(())
    }
}

fn name_of(path: &Path) -> &[u8] {
    path.as_os_str().as_encoded_bytes()
}
