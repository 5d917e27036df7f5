//! Trees of files: those of sources, as they lie unpacked on disk, and those that are composed of them, which exist in memory only. A file is
//! shared by all trees that have it and read when the archive is written, so that nothing is copied on the way.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Cursor, Read};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ferro_artifact::archive::MAX_ENTRIES;
use ferro_artifact::tree::{self, Directory, Entry, EntryKind, MAX_DEPTH, TreeError};
use tokio_util::sync::CancellationToken;

/// Where the bytes of a file are.
#[derive(Debug)]
enum Bytes {
    Disk(PathBuf),
    Memory(Vec<u8>),
}

/// A file.
#[derive(Debug)]
pub(crate) struct File {
    bytes: Bytes,
    is_executable: bool,
}

impl File {
    /// A file that was made here.
    pub(crate) fn in_memory(bytes: Vec<u8>, is_executable: bool) -> Self {
        Self {
            bytes: Bytes::Memory(bytes),
            is_executable,
        }
    }

    /// Its size and its bytes.
    pub(crate) fn open(&self) -> io::Result<(u64, Box<dyn Read + '_>)> {
        match &self.bytes {
            Bytes::Disk(path) => {
                let file = fs::File::open(path)?;
                Ok((file.metadata()?.len(), Box::new(file)))
            }
            Bytes::Memory(bytes) => Ok((bytes.len() as u64, Box::new(Cursor::new(bytes)))),
        }
    }

    pub(crate) fn is_executable(&self) -> bool {
        self.is_executable
    }
}

/// What a name in a directory stands for.
#[derive(Clone, Debug)]
pub(crate) enum Node {
    /// A directory.
    Directory(Tree),
    /// A file.
    File(Arc<File>),
}

/// A directory.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tree {
    nodes: BTreeMap<String, Node>,
}

/// What lies at a path.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Found<'a> {
    /// A directory.
    Directory(&'a Tree),
    /// A file.
    File(&'a Arc<File>),
}

/// Why a file or directory cannot be put where it is wanted, in the words of the system calls that upstream makes.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum PutError {
    /// There is a directory in the place of the file.
    #[error("openat {path}: is a directory")]
    IsDirectory {
        /// The place.
        path: String,
    },
    /// A file is on the way.
    #[error("failed to create destination directory: mkdirat {path}: not a directory")]
    NotADirectory {
        /// The place.
        path: String,
    },
    /// The tree has become too large.
    #[error("more than {MAX_ENTRIES} files and directories")]
    TooMany,
}

impl Tree {
    /// The files below a directory on disk. What is neither a file nor a directory is left out, links first of all.
    ///
    /// # Errors
    /// When the disk fails, or there is more than an artifact may hold.
    pub(crate) fn scan_blocking(root: &Path, cancel: &CancellationToken) -> Result<Self, TreeError> {
        let mut count = 0;
        Self::scan(root, 0, &mut count, cancel)
    }

    fn scan(
        directory: &Path,
        depth: usize,
        count: &mut u64,
        cancel: &CancellationToken,
    ) -> Result<Self, TreeError> {
        let failed = |source| TreeError::Io {
            path: directory.display().to_string(),
            source,
        };
        if depth > MAX_DEPTH {
            return Err(TreeError::TooDeep {
                path: directory.display().to_string(),
            });
        }
        let mut nodes = BTreeMap::new();
        for entry in fs::read_dir(directory).map_err(failed)? {
            if cancel.is_cancelled() {
                return Err(TreeError::Cancelled);
            }
            let entry = entry.map_err(failed)?;
            *count += 1;
            if *count > MAX_ENTRIES {
                return Err(TreeError::TooManyEntries { limit: MAX_ENTRIES });
            }
            let kind = entry.file_type().map_err(failed)?;
            // Archives with other names are refused when they are unpacked.
            let Ok(name) = entry.file_name().into_string() else {
                continue;
            };
            if kind.is_dir() {
                let below = Self::scan(&entry.path(), depth + 1, count, cancel)?;
                nodes.insert(name, Node::Directory(below));
            } else if kind.is_file() {
                let mode = entry.metadata().map_err(failed)?.permissions().mode();
                let file = File {
                    bytes: Bytes::Disk(entry.path()),
                    is_executable: mode & 0o111 != 0,
                };
                nodes.insert(name, Node::File(Arc::new(file)));
            }
        }
        Ok(Self { nodes })
    }

    /// The names in the directory, in order, and what they stand for.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &Node)> {
        self.nodes.iter().map(|(name, node)| (name.as_str(), node))
    }

    /// What lies at a clean relative path; `.` is the directory itself. A path that is not clean leads nowhere.
    pub(crate) fn find(&self, path: &str) -> Option<Found<'_>> {
        if path == "." {
            return Some(Found::Directory(self));
        }
        let mut here = Found::Directory(self);
        for name in path.split('/') {
            let Found::Directory(directory) = here else {
                return None;
            };
            // No name is empty, `.` or `..`.
            here = match directory.nodes.get(name)? {
                Node::Directory(below) => Found::Directory(below),
                Node::File(file) => Found::File(file),
            };
        }
        Some(here)
    }

    /// Every file with its path, in the order of the paths' bytes.
    pub(crate) fn files(&self) -> Vec<(String, &File)> {
        let mut files = Vec::new();
        self.collect("", &mut files);
        files.sort_by(|a, b| a.0.cmp(&b.0));
        files
    }

    fn collect<'a>(&'a self, prefix: &str, files: &mut Vec<(String, &'a File)>) {
        for (name, node) in &self.nodes {
            let path = join(prefix, name);
            match node {
                Node::Directory(below) => below.collect(&path, files),
                Node::File(file) => files.push((path, file)),
            }
        }
    }
}

/// `directory/name`; the root is empty or `.`.
pub(crate) fn join(directory: &str, name: &str) -> String {
    match directory {
        "" | "." => name.to_owned(),
        directory => format!("{directory}/{name}"),
    }
}

/// A path as Go's `path.Clean` has it, for relative paths.
pub(crate) fn clean(path: &str) -> String {
    let is_rooted = path.starts_with('/');
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => {
                parts.pop();
            }
            ".." if is_rooted => {}
            part => parts.push(part),
        }
    }
    match (is_rooted, parts.is_empty()) {
        (true, _) => format!("/{}", parts.join("/")),
        (false, true) => ".".to_owned(),
        (false, false) => parts.join("/"),
    }
}

/// The tree that is being composed.
#[derive(Debug, Default)]
pub(crate) struct Stage {
    root: Tree,
    entries: u64,
}

impl Stage {
    /// What lies at a clean path.
    pub(crate) fn find(&self, path: &str) -> Option<Found<'_>> {
        self.root.find(path)
    }

    /// The tree.
    pub(crate) fn into_tree(self) -> Tree {
        self.root
    }

    /// Makes a directory and those above it. A file in its place is left there.
    ///
    /// # Errors
    /// When a file is on the way.
    pub(crate) fn make_directory(&mut self, path: &str) -> Result<(), PutError> {
        if path == "." || matches!(self.find(path), Some(Found::File(_))) {
            return Ok(());
        }
        self.directory(path).map(drop)
    }

    /// Puts a file in place, over one that is there.
    ///
    /// # Errors
    /// When a directory is in its place, or a file on the way.
    pub(crate) fn put(&mut self, path: &str, file: Arc<File>) -> Result<(), PutError> {
        let (parent, name) = path.rsplit_once('/').unwrap_or((".", path));
        let is_directory = path == "." || matches!(self.find(path), Some(Found::Directory(_)));
        if is_directory {
            return Err(PutError::IsDirectory {
                path: path.to_owned(),
            });
        }
        self.spend()?;
        let parent = self.directory(parent)?;
        parent.nodes.insert(name.to_owned(), Node::File(file));
        Ok(())
    }

    /// The directory at a clean path, made if it is not there.
    fn directory(&mut self, path: &str) -> Result<&mut Tree, PutError> {
        let names = path.split('/').filter(|name| *name != ".");
        let mut made = 0;
        let mut here = &mut self.root;
        for name in names {
            let node = here.nodes.entry(name.to_owned()).or_insert_with(|| {
                made += 1;
                Node::Directory(Tree::default())
            });
            match node {
                Node::Directory(below) => here = below,
                Node::File(_) => {
                    return Err(PutError::NotADirectory {
                        path: path.to_owned(),
                    });
                }
            }
        }
        self.entries += made;
        if self.entries > MAX_ENTRIES {
            return Err(PutError::TooMany);
        }
        Ok(here)
    }

    fn spend(&mut self) -> Result<(), PutError> {
        self.entries += 1;
        if self.entries > MAX_ENTRIES {
            return Err(PutError::TooMany);
        }
        Ok(())
    }
}

impl Directory for Tree {
    fn entries(&self) -> Result<Vec<Entry<'_>>, TreeError> {
        Ok(self
            .nodes
            .iter()
            .map(|(name, node)| Entry {
                name: name.as_bytes().to_vec(),
                kind: match node {
                    Node::Directory(below) => EntryKind::Directory(Box::new(below)),
                    Node::File(file) => EntryKind::File(Box::new(file.as_ref())),
                },
            })
            .collect())
    }
}

impl tree::Content for File {
    fn is_executable(&self) -> bool {
        self.is_executable
    }

    fn open(&self) -> Result<(u64, Box<dyn Read + '_>), TreeError> {
        Self::open(self).map_err(|source| TreeError::Io {
            path: match &self.bytes {
                Bytes::Disk(path) => path.display().to_string(),
                Bytes::Memory(_) => "merged file".to_owned(),
            },
            source,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(text: &str) -> Arc<File> {
        Arc::new(File::in_memory(text.as_bytes().to_vec(), false))
    }

    #[test]
    fn clean_is_gos() {
        let cases = [
            ("", "."),
            ("./a//b/", "a/b"),
            ("a/../b", "b"),
            ("../a", "../a"),
            ("a/../../b", "../b"),
            ("/a/../../b", "/b"),
        ];
        for (path, expected) in cases {
            assert_eq!(clean(path), expected, "{path}");
        }
    }

    #[test]
    fn stage_refuses_what_a_file_system_refuses() {
        let mut stage = Stage::default();
        stage.put("a/b", file("1")).unwrap();
        stage.put("a/b", file("2")).unwrap();
        let is_directory = PutError::IsDirectory { path: "a".into() };
        assert_eq!(stage.put("a", file("3")), Err(is_directory));
        let is_file = PutError::NotADirectory { path: "a/b".into() };
        assert_eq!(stage.put("a/b/c", file("4")), Err(is_file));
        // As with upstream, whose mkdir takes what exists.
        stage.make_directory("a/b").unwrap();
        assert!(matches!(stage.find("a/b"), Some(Found::File(_))));
        stage.make_directory("a/c/d").unwrap();
        assert!(matches!(stage.find("a/c/d"), Some(Found::Directory(_))));
    }

    #[test]
    fn files_are_in_the_order_of_whole_paths() {
        let mut stage = Stage::default();
        for path in ["a/x", "a-b", "b"] {
            stage.put(path, file("")).unwrap();
        }
        let tree = stage.into_tree();
        let paths: Vec<_> = tree.files().into_iter().map(|(path, _)| path).collect();
        assert_eq!(paths, ["a-b", "a/x", "b"]);
    }

    #[test]
    fn scan_leaves_links_out_and_ends_when_cancelled() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("d")).unwrap();
        fs::write(root.path().join("d/f"), "text").unwrap();
        std::os::unix::fs::symlink("/etc", root.path().join("link")).unwrap();
        let tree = Tree::scan_blocking(root.path(), &CancellationToken::new()).unwrap();
        assert!(matches!(tree.find("d/f"), Some(Found::File(_))));
        assert!(tree.find("link").is_none() && tree.find("../d").is_none() && tree.find("d/f/g").is_none());
        let cancelled = CancellationToken::new();
        cancelled.cancel();
        let outcome = Tree::scan_blocking(root.path(), &cancelled);
        assert!(matches!(outcome, Err(TreeError::Cancelled)));
    }
}
