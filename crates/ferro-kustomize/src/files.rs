//! Where files come from: a trait, and a tree held in memory.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use crate::path;

/// What a path turned out to be once links were followed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolved {
    /// The clean absolute path without links.
    pub path: String,
    /// Whether it is a directory.
    pub is_dir: bool,
}

/// An entry of a directory.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct DirEntry {
    /// The last element of the path.
    pub name: String,
    /// Whether it is a directory itself (a link to one is not).
    pub is_dir: bool,
}

/// Why a file could not be reached.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum FileError {
    /// Nothing is there; `path` is the first missing element.
    #[error("{operation} {path}: no such file or directory")]
    NotFound {
        /// What was tried, as the operating system names it.
        operation: &'static str,
        /// The path.
        path: String,
    },
    /// An element used as a directory is none.
    #[error("{operation} {path}: not a directory")]
    NotADirectory {
        /// What was tried.
        operation: &'static str,
        /// The path.
        path: String,
    },
    /// A directory was to be read as a file.
    #[error("read {path}: is a directory")]
    IsADirectory {
        /// The path.
        path: String,
    },
    /// The path leads out of the directory that access is confined to.
    #[error("fs-security-constraint {operation} {path}: path '{resolved}' is not in or below '{root}'")]
    Confined {
        /// What was tried.
        operation: &'static str,
        /// The path as asked for.
        path: String,
        /// Where it leads.
        resolved: String,
        /// The directory that must not be left.
        root: String,
    },
    /// The file is larger than what may be read.
    #[error("read {path}: {size} bytes are more than the limit of {limit}")]
    TooLarge {
        /// The path.
        path: String,
        /// The file's size.
        size: u64,
        /// The limit.
        limit: u64,
    },
    /// Anything else.
    #[error("{operation} {path}: {message}")]
    Other {
        /// What was tried.
        operation: &'static str,
        /// The path.
        path: String,
        /// What the system says.
        message: String,
    },
}

/// A tree of files that a build reads from. All paths are absolute and slash-separated.
///
/// An implementation decides what may be reached at all; what a layer may reach within it is the
/// business of [`LoadRestrictions`](crate::LoadRestrictions).
pub trait Files: Send + Sync {
    /// Follows links and tells what the path is.
    fn resolve(&self, path: &str) -> Result<Resolved, FileError>;
    /// Reads a whole file; `path` is one that [`Self::resolve`] returned.
    fn read(&self, path: &str) -> Result<Cow<'_, [u8]>, FileError>;
    /// Lists a directory in the order of names.
    fn list(&self, path: &str) -> Result<Vec<DirEntry>, FileError>;
}

/// A tree of files in memory.
///
/// ```
/// use ferro_kustomize::{Files, MemoryFiles};
///
/// let files = MemoryFiles::from([("/app/a.yaml", "kind: A"), ("/app/b/c.yaml", "kind: C")]);
/// assert!(files.resolve("/app/b").is_ok_and(|found| found.is_dir));
/// ```
#[derive(Clone, Debug, Default)]
pub struct MemoryFiles {
    files: BTreeMap<String, Vec<u8>>,
    dirs: BTreeSet<String>,
    links: BTreeMap<String, String>,
}

/// Go gives up after as many links.
const MAX_LINKS: usize = 255;

impl MemoryFiles {
    /// Makes an empty tree.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds or replaces a file; its directories come into being.
    pub fn insert(&mut self, path: &str, content: impl Into<Vec<u8>>) {
        let path = path::join("/", path);
        self.insert_dir(path::parent(&path));
        self.files.insert(path, content.into());
    }

    /// Adds an empty directory.
    pub fn insert_dir(&mut self, path: &str) {
        let mut dir = path::join("/", path);
        while dir != "/" && self.dirs.insert(dir.clone()) {
            dir = path::parent(&dir).to_owned();
        }
    }

    /// Adds a symbolic link; a relative target starts at the link's directory.
    pub fn insert_link(&mut self, path: &str, target: &str) {
        let path = path::join("/", path);
        self.insert_dir(path::parent(&path));
        self.links.insert(path, target.to_owned());
    }

    /// Follows links element by element.
    fn follow(&self, asked: &str) -> Result<String, FileError> {
        if self.links.is_empty() {
            return Ok(path::clean(asked));
        }
        let (mut at, mut links) = ("/".to_owned(), 0);
        let parts = |path: &str| path.split('/').rev().map(str::to_owned).collect::<Vec<_>>();
        let mut pending = parts(asked);
        while let Some(part) = pending.pop() {
            let next = path::join(&at, &part);
            let Some(target) = self.links.get(&next).filter(|_| part != "..") else {
                at = next;
                continue;
            };
            links += 1;
            if links > MAX_LINKS {
                return Err(FileError::Other {
                    operation: "lstat",
                    path: asked.to_owned(),
                    message: "too many links".to_owned(),
                });
            }
            if target.starts_with('/') {
                "/".clone_into(&mut at);
            }
            pending.extend(parts(target));
        }
        Ok(at)
    }

    fn first_missing(&self, path: &str) -> FileError {
        let mut at = String::new();
        for part in path.split('/').filter(|part| !part.is_empty()) {
            if self.files.contains_key(&at) {
                return FileError::NotADirectory {
                    operation: "lstat",
                    path: path.to_owned(),
                };
            }
            at = format!("{at}/{part}");
            if !self.dirs.contains(&at) && !self.files.contains_key(&at) {
                break;
            }
        }
        FileError::NotFound {
            operation: "lstat",
            path: at,
        }
    }
}

impl<P: AsRef<str>, C: Into<Vec<u8>>, const N: usize> From<[(P, C); N]> for MemoryFiles {
    fn from(files: [(P, C); N]) -> Self {
        files.into_iter().collect()
    }
}

impl<P: AsRef<str>, C: Into<Vec<u8>>> FromIterator<(P, C)> for MemoryFiles {
    fn from_iter<I: IntoIterator<Item = (P, C)>>(files: I) -> Self {
        let mut tree = Self::new();
        for (path, content) in files {
            tree.insert(path.as_ref(), content);
        }
        tree
    }
}

impl Files for MemoryFiles {
    fn resolve(&self, path: &str) -> Result<Resolved, FileError> {
        let path = self.follow(path)?;
        if path == "/" || self.dirs.contains(&path) {
            return Ok(Resolved { path, is_dir: true });
        }
        if self.files.contains_key(&path) {
            return Ok(Resolved { path, is_dir: false });
        }
        Err(self.first_missing(&path))
    }

    fn read(&self, path: &str) -> Result<Cow<'_, [u8]>, FileError> {
        match self.files.get(path) {
            Some(content) => Ok(Cow::Borrowed(content)),
            None if path == "/" || self.dirs.contains(path) => Err(FileError::IsADirectory {
                path: path.to_owned(),
            }),
            None => Err(FileError::NotFound {
                operation: "open",
                path: path.to_owned(),
            }),
        }
    }

    fn list(&self, path: &str) -> Result<Vec<DirEntry>, FileError> {
        let dir = self.resolve(path)?;
        if !dir.is_dir {
            return Err(FileError::NotADirectory {
                operation: "readdirent",
                path: dir.path,
            });
        }
        let prefix = if dir.path == "/" {
            dir.path
        } else {
            format!("{}/", dir.path)
        };
        let child = |path: &String| {
            let name = path.strip_prefix(&prefix)?;
            (!name.is_empty() && !name.contains('/')).then(|| name.to_owned())
        };
        let below = |path: &&String| path.starts_with(&prefix);
        let dirs = self
            .dirs
            .range(prefix.clone()..)
            .take_while(below)
            .filter_map(child);
        let files = self
            .files
            .range(prefix.clone()..)
            .map(|(path, _)| path)
            .take_while(below)
            .filter_map(child);
        let mut entries: Vec<_> = dirs
            .map(|name| DirEntry { name, is_dir: true })
            .chain(files.map(|name| DirEntry { name, is_dir: false }))
            .collect();
        let links = self.links.keys().filter(below).filter_map(child);
        entries.extend(links.map(|name| DirEntry { name, is_dir: false }));
        entries.sort();
        Ok(entries)
    }
}

/// Files laid over a tree: they are read in place of, or beside, what the tree holds, which stays as
/// it is.
pub struct OverlaidFiles<'a> {
    below: &'a dyn Files,
    above: BTreeMap<String, Vec<u8>>,
}

impl<'a> OverlaidFiles<'a> {
    /// Lays nothing over `below` yet.
    pub fn new(below: &'a dyn Files) -> Self {
        Self {
            below,
            above: BTreeMap::new(),
        }
    }

    /// Puts a file over the tree. The path must be one without links, or below a directory that has
    /// none.
    pub fn insert(&mut self, path: &str, content: impl Into<Vec<u8>>) {
        self.above.insert(path::clean(path), content.into());
    }
}

impl Files for OverlaidFiles<'_> {
    fn resolve(&self, path: &str) -> Result<Resolved, FileError> {
        let clean = path::clean(path);
        if self.above.contains_key(&clean) {
            return Ok(Resolved {
                path: clean,
                is_dir: false,
            });
        }
        // The last element may be ours while a directory before it is a link.
        let parent = self.below.resolve(path::parent(&clean));
        if let Ok(parent) = parent {
            let candidate = path::join(&parent.path, path::base_name(&clean));
            if self.above.contains_key(&candidate) {
                return Ok(Resolved {
                    path: candidate,
                    is_dir: false,
                });
            }
        }
        self.below.resolve(path)
    }

    fn read(&self, path: &str) -> Result<Cow<'_, [u8]>, FileError> {
        match self.above.get(path) {
            Some(content) => Ok(Cow::Borrowed(content)),
            None => self.below.read(path),
        }
    }

    fn list(&self, path: &str) -> Result<Vec<DirEntry>, FileError> {
        let dir = self.below.resolve(path)?;
        let mut entries = self.below.list(path)?;
        for ours in self.above.keys().filter(|ours| path::parent(ours) == dir.path) {
            let entry = DirEntry {
                name: path::base_name(ours).to_owned(),
                is_dir: false,
            };
            if let Err(at) = entries.binary_search(&entry) {
                entries.insert(at, entry);
            }
        }
        Ok(entries)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_elements_are_named_as_the_system_does() {
        let files = MemoryFiles::from([("/a/f", "")]);
        let text = |path| files.resolve(path).unwrap_err().to_string();
        assert_eq!(text("/a/x/y"), "lstat /a/x: no such file or directory");
        assert_eq!(text("/a/f/y"), "lstat /a/f/y: not a directory");
    }

    #[test]
    fn listing_shows_direct_children_only() {
        let files = MemoryFiles::from([("/a/f", ""), ("/a/d/g", ""), ("/ab", "")]);
        let names: Vec<_> = files
            .list("/a")
            .unwrap()
            .into_iter()
            .map(|entry| entry.name)
            .collect();
        assert_eq!(names, ["d", "f"]);
        assert_eq!(files.list("/").unwrap().len(), 2);
    }

    #[test]
    fn links_are_followed_and_never_leave_the_tree() {
        let mut files = MemoryFiles::from([("/a/real/f", "x")]);
        files.insert_link("/a/link", "real");
        files.insert_link("/b/up", "../../../a/link/f");
        files.insert_link("/b/round", "round");
        let found = |path| files.resolve(path).map(|found| found.path);
        assert_eq!(found("/a/link/f").unwrap(), "/a/real/f");
        assert_eq!(found("/b/up").unwrap(), "/a/real/f");
        assert!(
            found("/b/round")
                .unwrap_err()
                .to_string()
                .ends_with("too many links")
        );
        assert_eq!(files.list("/a").unwrap().len(), 2);
    }

    #[test]
    fn an_overlaid_file_hides_the_one_below_and_is_listed() {
        let below = MemoryFiles::from([("/a/f", "old")]);
        let mut files = OverlaidFiles::new(&below);
        files.insert("/a/f", "new");
        files.insert("/a/k", "kind: K");
        assert_eq!(files.read("/a/f").unwrap().as_ref(), b"new");
        assert_eq!(files.list("/a").unwrap().len(), 2);
        assert!(files.resolve("/a/./k").is_ok());
        assert_eq!(below.read("/a/f").unwrap().as_ref(), b"old");
    }
}
