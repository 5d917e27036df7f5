//! The tree an archive is made from: a directory on disk, a Git tree, or several laid over each other.
//!
//! A tree is read lazily, one directory at a time, so that a commit goes into an archive without a
//! checkout and memory follows the depth of the tree, not its size.

use std::fs;
use std::io::{self, Read};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use tokio_util::sync::CancellationToken;

/// How deep directories may nest.
pub const MAX_DEPTH: usize = 512;

/// Why a tree could not be read.
#[derive(Debug, thiserror::Error)]
pub enum TreeError {
    /// Directories nest deeper than [`MAX_DEPTH`].
    #[error("directory '{path}' is nested more than {MAX_DEPTH} levels deep")]
    TooDeep {
        /// The directory.
        path: String,
    },
    /// A file is larger than its reader allows.
    #[error("file '{path}' is larger than {limit} bytes")]
    FileTooLarge {
        /// The file, as well as it is known.
        path: String,
        /// The limit.
        limit: u64,
    },
    /// There is more to look at than allowed.
    #[error("more than {limit} files and directories")]
    TooManyEntries {
        /// The limit.
        limit: u64,
    },
    /// The ignore files have more rules than allowed.
    #[error("more than {limit} ignore rules")]
    TooManyRules {
        /// The limit.
        limit: usize,
    },
    /// The work was cancelled.
    #[error("reading the tree was cancelled")]
    Cancelled,
    /// A path leads through something that is no directory.
    #[error("'{path}' is not a directory")]
    NotADirectory {
        /// The path.
        path: String,
    },
    /// The disk failed.
    #[error("failed to read '{path}'")]
    Io {
        /// What was read.
        path: String,
        /// Why it failed.
        source: io::Error,
    },
    /// The provider of the tree failed.
    #[error(transparent)]
    Source(Box<dyn std::error::Error + Send + Sync>),
}

impl TreeError {
    pub(crate) fn too_deep(path: &[Vec<u8>]) -> Self {
        Self::TooDeep {
            path: display_path(path),
        }
    }

    /// Names the directory of a file that was known by its name only.
    pub(crate) fn below(mut self, directory: &[Vec<u8>]) -> Self {
        if let Self::FileTooLarge { path, .. } | Self::Io { path, .. } = &mut self
            && !directory.is_empty()
            && !path.contains('/')
        {
            *path = format!("{}/{path}", display_path(directory));
        }
        self
    }

    fn io(path: &Path, source: io::Error) -> Self {
        Self::Io {
            path: path.display().to_string(),
            source,
        }
    }
}

pub(crate) fn display_path<P: AsRef<[u8]>>(path: &[P]) -> String {
    let parts: Vec<_> = path
        .iter()
        .map(|part| String::from_utf8_lossy(part.as_ref()))
        .collect();
    parts.join("/")
}

/// How much of a tree may still be looked at.
#[derive(Debug)]
pub(crate) struct Budget<'a> {
    limit: u64,
    spent: u64,
    cancel: &'a CancellationToken,
}

impl<'a> Budget<'a> {
    pub(crate) const fn new(limit: u64, cancel: &'a CancellationToken) -> Self {
        Self {
            limit,
            spent: 0,
            cancel,
        }
    }

    /// Takes note of one more entry.
    pub(crate) fn spend(&mut self) -> Result<(), TreeError> {
        if self.cancel.is_cancelled() {
            return Err(TreeError::Cancelled);
        }
        self.spent += 1;
        if self.spent > self.limit {
            return Err(TreeError::TooManyEntries { limit: self.limit });
        }
        Ok(())
    }
}

/// A directory of a tree.
pub trait Directory {
    /// Its entries, in any order.
    fn entries(&self) -> Result<Vec<Entry<'_>>, TreeError>;

    /// Where the symbolic link `name` leads, as it is written; none where there is no such link.
    fn link(&self, name: &[u8]) -> Result<Option<Vec<u8>>, TreeError> {
        let _without_links = name;
        Ok(None)
    }
}

/// A regular file of a tree.
pub trait Content {
    /// Whether anyone may execute it.
    fn is_executable(&self) -> bool;

    /// Its size and a reader that yields exactly that many bytes.
    fn open(&self) -> Result<(u64, Box<dyn Read + '_>), TreeError>;

    /// The whole file, when it is not larger than `limit` bytes.
    fn read_all(&self, limit: u64) -> Result<Vec<u8>, TreeError> {
        let (size, mut reader) = self.open()?;
        if size > limit {
            return Err(TreeError::FileTooLarge {
                path: crate::ignore::IGNORE_FILE.to_owned(),
                limit,
            });
        }
        let mut bytes = Vec::with_capacity(usize::try_from(size).unwrap_or_default());
        reader.read_to_end(&mut bytes).map_err(|source| TreeError::Io {
            path: crate::ignore::IGNORE_FILE.to_owned(),
            source,
        })?;
        Ok(bytes)
    }
}

/// A named member of a directory.
pub struct Entry<'a> {
    /// The name: one path component.
    pub name: Vec<u8>,
    /// What it is.
    pub kind: EntryKind<'a>,
}

/// What an entry is.
pub enum EntryKind<'a> {
    /// A directory.
    Directory(Box<dyn Directory + 'a>),
    /// A regular file.
    File(Box<dyn Content + 'a>),
    /// A symbolic link or anything else that no archive holds.
    Other,
}

impl std::fmt::Debug for Entry<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let kind = match self.kind {
            EntryKind::Directory(_) => "directory",
            EntryKind::File(_) => "file",
            EntryKind::Other => "other",
        };
        write!(f, "{kind} {}", String::from_utf8_lossy(&self.name))
    }
}

impl<D: Directory + ?Sized> Directory for &D {
    fn entries(&self) -> Result<Vec<Entry<'_>>, TreeError> {
        (**self).entries()
    }

    fn link(&self, name: &[u8]) -> Result<Option<Vec<u8>>, TreeError> {
        (**self).link(name)
    }
}

impl<C: Content + ?Sized> Content for &C {
    fn is_executable(&self) -> bool {
        (**self).is_executable()
    }

    fn open(&self) -> Result<(u64, Box<dyn Read + '_>), TreeError> {
        (**self).open()
    }
}

/// A directory without entries.
#[derive(Debug, Clone, Copy, Default)]
pub struct EmptyDirectory;

impl Directory for EmptyDirectory {
    fn entries(&self) -> Result<Vec<Entry<'_>>, TreeError> {
        Ok(Vec::new())
    }
}

/// A directory on disk; symbolic links in it are not followed.
#[derive(Debug, Clone)]
pub struct DiskDirectory {
    path: PathBuf,
}

impl DiskDirectory {
    /// The directory at `path`, which may itself be reached through links.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }
}

impl Directory for DiskDirectory {
    fn entries(&self) -> Result<Vec<Entry<'_>>, TreeError> {
        let failed = |source| TreeError::io(&self.path, source);
        let mut entries = Vec::new();
        for found in fs::read_dir(&self.path).map_err(failed)? {
            let found = found.map_err(failed)?;
            let kind = found.file_type().map_err(failed)?;
            let path = found.path();
            let kind = if kind.is_dir() {
                EntryKind::Directory(Box::new(Self { path }))
            } else if kind.is_file() {
                let mode = found.metadata().map_err(failed)?.permissions().mode();
                EntryKind::File(Box::new(DiskFile {
                    path,
                    is_executable: mode & 0o111 != 0,
                }))
            } else {
                EntryKind::Other
            };
            entries.push(Entry {
                name: found.file_name().into_vec(),
                kind,
            });
        }
        Ok(entries)
    }

    fn link(&self, name: &[u8]) -> Result<Option<Vec<u8>>, TreeError> {
        let path = self.path.join(std::ffi::OsStr::from_bytes(name));
        match fs::read_link(&path) {
            Ok(target) => Ok(Some(target.into_os_string().into_vec())),
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::NotFound | io::ErrorKind::InvalidInput
                ) =>
            {
                Ok(None)
            }
            Err(source) => Err(TreeError::io(&path, source)),
        }
    }
}

#[derive(Debug)]
struct DiskFile {
    path: PathBuf,
    is_executable: bool,
}

impl Content for DiskFile {
    fn is_executable(&self) -> bool {
        self.is_executable
    }

    fn open(&self) -> Result<(u64, Box<dyn Read + '_>), TreeError> {
        let failed = |source| TreeError::io(&self.path, source);
        let file = fs::File::open(&self.path).map_err(failed)?;
        let size = file.metadata().map_err(failed)?.len();
        Ok((size, Box::new(file)))
    }
}

/// What a [`Mount`] puts in place.
#[derive(Clone, Copy)]
pub enum MountSource<'a> {
    /// A whole directory.
    Directory(&'a dyn Directory),
    /// One file.
    File(&'a dyn Content),
}

/// Something laid over a tree at a path; what was there is replaced.
#[derive(Clone)]
pub struct Mount<'a> {
    /// Where, in components below the root; not empty for a file.
    pub path: Vec<Vec<u8>>,
    /// What.
    pub source: MountSource<'a>,
}

impl<'a> Mount<'a> {
    /// Mounts `source` at a slash separated path; `.` and empty components do not count, and `..` goes no
    /// higher than the root.
    pub fn new(path: &str, source: MountSource<'a>) -> Self {
        Self {
            path: components(path),
            source,
        }
    }
}

/// Splits a slash separated path the way a secure join does: it never leaves the root.
pub fn components(path: &str) -> Vec<Vec<u8>> {
    let mut parts: Vec<Vec<u8>> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            name => parts.push(name.as_bytes().to_vec()),
        }
    }
    parts
}

/// A tree with others laid over it; later mounts win.
pub struct Overlay<'a> {
    base: Box<dyn Directory + 'a>,
    mounts: Vec<Mount<'a>>,
    depth: usize,
}

impl<'a> Overlay<'a> {
    /// Lays `mounts` over `base` in order.
    pub fn new(base: Box<dyn Directory + 'a>, mounts: Vec<Mount<'a>>) -> Self {
        Self {
            base,
            mounts,
            depth: 0,
        }
    }

    /// The mounts from index `first` on at or below the child `name`.
    fn mounts_in(&self, name: &[u8], first: usize) -> Vec<Mount<'a>> {
        let is_in = |mount: &&Mount<'a>| mount.path.get(self.depth).is_some_and(|part| part == name);
        self.mounts.iter().skip(first).filter(is_in).cloned().collect()
    }

    fn overlay_child<'s>(
        &self,
        name: &[u8],
        base: Option<EntryKind<'s>>,
        mounts: Vec<Mount<'a>>,
    ) -> Result<EntryKind<'s>, TreeError>
    where
        'a: 's,
    {
        let depth = self.depth + 1;
        // The last mount at exactly this path hides the base and every earlier mount.
        let exact = mounts.iter().rposition(|mount| mount.path.len() == depth);
        let (base, below) = match exact {
            Some(index) => {
                let mut mounts = mounts;
                let below = mounts.split_off(index + 1);
                let base = mounts.pop().map(|mount| match mount.source {
                    MountSource::Directory(directory) => EntryKind::Directory(Box::new(directory)),
                    MountSource::File(file) => EntryKind::File(Box::new(file)),
                });
                (base, below)
            }
            None => (base, mounts),
        };
        if below.is_empty() {
            return Ok(base.unwrap_or(EntryKind::Other));
        }
        let base: Box<dyn Directory + 's> = match base {
            None => Box::new(EmptyDirectory),
            Some(EntryKind::Directory(directory)) => directory,
            Some(EntryKind::File(_) | EntryKind::Other) => {
                return Err(TreeError::NotADirectory {
                    path: String::from_utf8_lossy(name).into_owned(),
                });
            }
        };
        Ok(EntryKind::Directory(Box::new(Overlay {
            base,
            mounts: below,
            depth,
        })))
    }
}

impl Directory for Overlay<'_> {
    fn entries(&self) -> Result<Vec<Entry<'_>>, TreeError> {
        // A mount of the root itself replaces everything before it.
        let root = self
            .mounts
            .iter()
            .rposition(|mount| mount.path.len() == self.depth);
        let mut entries = match root
            .and_then(|index| self.mounts.get(index))
            .map(|mount| mount.source)
        {
            Some(MountSource::Directory(directory)) => directory.entries()?,
            Some(MountSource::File(_)) => return Err(TreeError::NotADirectory { path: ".".to_owned() }),
            None => self.base.entries()?,
        };
        let first = root.map_or(0, |index| index + 1);
        let mut names: Vec<&[u8]> = self
            .mounts
            .iter()
            .skip(first)
            .filter_map(|mount| mount.path.get(self.depth).map(Vec::as_slice))
            .collect();
        names.sort_unstable();
        names.dedup();
        for name in names {
            let position = entries.iter().position(|entry| entry.name == name);
            let base = position.map(|index| entries.swap_remove(index).kind);
            let mounts = self.mounts_in(name, first);
            let kind = self.overlay_child(name, base, mounts)?;
            entries.push(Entry {
                name: name.to_vec(),
                kind,
            });
        }
        Ok(entries)
    }

    fn link(&self, name: &[u8]) -> Result<Option<Vec<u8>>, TreeError> {
        let is_at_root = |mount: &&Mount<'_>| mount.path.len() == self.depth;
        match self.mounts.iter().rfind(is_at_root).map(|mount| mount.source) {
            _ if !self.mounts_in(name, 0).is_empty() => Ok(None),
            Some(MountSource::Directory(directory)) => directory.link(name),
            Some(MountSource::File(_)) => Ok(None),
            None => self.base.link(name),
        }
    }
}

/// Walks to `path` and hands what lies there to `then`; `None` when there is nothing.
pub fn with_path<R>(
    root: &dyn Directory,
    path: &[Vec<u8>],
    then: &mut dyn FnMut(MountSource<'_>) -> R,
) -> Result<Option<R>, TreeError> {
    let Some((first, rest)) = path.split_first() else {
        return Ok(Some(then(MountSource::Directory(root))));
    };
    let Some(entry) = root.entries()?.into_iter().find(|entry| entry.name == *first) else {
        return Ok(None);
    };
    match entry.kind {
        EntryKind::Directory(directory) => with_path(directory.as_ref(), rest, then),
        EntryKind::File(file) if rest.is_empty() => Ok(Some(then(MountSource::File(file.as_ref())))),
        EntryKind::File(_) | EntryKind::Other => Ok(None),
    }
}
