//! A tree of files from a tar archive.

use std::io::{self, Read};

use tar::{Archive, EntryType};

use crate::files::MemoryFiles;

/// What an archive may hold.
#[derive(Clone, Copy, Debug)]
pub struct ArchiveLimits {
    /// Bytes of all files together.
    pub bytes: u64,
    /// Entries of every kind.
    pub entries: usize,
}

impl Default for ArchiveLimits {
    fn default() -> Self {
        Self {
            bytes: 256 << 20,
            entries: 100_000,
        }
    }
}

/// Why an archive is no tree of files.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ArchiveError {
    /// It cannot be read.
    #[error("the archive cannot be read: {0}")]
    Read(#[from] io::Error),
    /// A path is not text.
    #[error("entry {0} of the archive has a name that is not UTF-8")]
    Name(usize),
    /// It holds more than it may.
    #[error("the archive has more than {limit} {of}")]
    TooLarge {
        /// What there is too much of.
        of: &'static str,
        /// The limit.
        limit: u64,
    },
}

impl MemoryFiles {
    /// Reads a tar archive that is not compressed. Its root becomes `/`; links stay within it, and what is neither file nor
    /// directory nor link is left out.
    ///
    /// ```
    /// use ferro_kustomize::{ArchiveLimits, MemoryFiles, Options, build};
    ///
    /// # let mut builder = tar::Builder::new(Vec::new());
    /// # for (path, text) in [
    /// #     ("app/kustomization.yaml", "resources: [pod.yaml]\n"),
    /// #     ("app/pod.yaml", "apiVersion: v1\nkind: Pod\nmetadata:\n  name: web\n"),
    /// # ] {
    /// #     let mut header = tar::Header::new_gnu();
    /// #     header.set_size(text.len() as u64);
    /// #     builder.append_data(&mut header, path, text.as_bytes())?;
    /// # }
    /// # let archive = builder.into_inner()?;
    /// let files = MemoryFiles::from_tar(archive.as_slice(), ArchiveLimits::default())?;
    /// assert_eq!(build(&files, "/app", &Options::default())?.len(), 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn from_tar(archive: impl Read, limits: ArchiveLimits) -> Result<Self, ArchiveError> {
        let mut files = Self::new();
        let mut left = limits.bytes;
        for (index, entry) in Archive::new(archive).entries()?.enumerate() {
            if index >= limits.entries {
                return Err(ArchiveError::TooLarge {
                    of: "entries",
                    limit: u64::try_from(limits.entries).unwrap_or(u64::MAX),
                });
            }
            let mut entry = entry?;
            let name = entry.path()?.to_str().map(str::to_owned);
            let name = name.ok_or(ArchiveError::Name(index))?;
            match entry.header().entry_type() {
                EntryType::Directory => files.insert_dir(&name),
                EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse => {
                    let content = read(&mut entry, left).map_err(|_| ArchiveError::TooLarge {
                        of: "bytes",
                        limit: limits.bytes,
                    })?;
                    let content = content?;
                    left = left.saturating_sub(u64::try_from(content.len()).unwrap_or(u64::MAX));
                    files.insert(&name, content);
                }
                kind @ (EntryType::Symlink | EntryType::Link) => {
                    let target = entry.link_name()?;
                    let target = target.as_ref().and_then(|target| target.to_str());
                    let target = target.ok_or(ArchiveError::Name(index))?;
                    // A hard link names its file from the root of the archive.
                    let root = if kind == EntryType::Link { "/" } else { "" };
                    files.insert_link(&name, &format!("{root}{target}"));
                }
                _ => {}
            }
        }
        Ok(files)
    }
}

/// Reads to the end, or fails the outer way if that is further than `limit` bytes.
fn read(entry: &mut impl Read, limit: u64) -> Result<io::Result<Vec<u8>>, ()> {
    let mut content = Vec::new();
    match entry.take(limit.saturating_add(1)).read_to_end(&mut content) {
        Ok(length) if u64::try_from(length).is_ok_and(|length| length > limit) => Err(()),
        Ok(_) => Ok(Ok(content)),
        Err(error) => Ok(Err(error)),
    }
}

#[cfg(test)]
mod tests {
    use crate::files::Files;

    use super::*;

    fn archive() -> Vec<u8> {
        let mut builder = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_gnu();
        header.set_size(3);
        builder.append_data(&mut header, "a/f", &b"abc"[..]).unwrap();
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(EntryType::Symlink);
        header.set_size(0);
        builder.append_link(&mut header, "b/link", "../a/f").unwrap();
        builder.into_inner().unwrap()
    }

    #[test]
    fn files_and_links_are_found() {
        let files = MemoryFiles::from_tar(archive().as_slice(), ArchiveLimits::default()).unwrap();
        let found = files.resolve("/b/link").unwrap();
        assert_eq!(files.read(&found.path).unwrap().as_ref(), b"abc");
    }

    #[test]
    fn limits_hold() {
        let read = |bytes, entries| {
            MemoryFiles::from_tar(archive().as_slice(), ArchiveLimits { bytes, entries })
                .map_err(|error| error.to_string())
        };
        assert_eq!(read(2, 9).unwrap_err(), "the archive has more than 2 bytes");
        assert_eq!(read(3, 1).unwrap_err(), "the archive has more than 1 entries");
        assert!(read(3, 2).is_ok());
        assert!(MemoryFiles::from_tar(&[1_u8; 600][..], ArchiveLimits::default()).is_err());
    }
}
