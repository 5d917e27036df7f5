//! A fetched commit as a tree that an archive can be made of, without a working copy.

use std::collections::BTreeMap;
use std::io::{Cursor, Read};
use std::path::{Path, PathBuf};

use ferro_artifact::tree::{Content, Directory, EmptyDirectory, Entry, EntryKind, TreeError};
use gix_hash::ObjectId;
use gix_object::TreeRefIter;
use gix_object::tree::EntryKind as Mode;

use crate::lfs::{LfsObjects, MAX_POINTER, Pointer};
use crate::object::{Commit, Tag};
use crate::pack::{Kind, Objects};
use crate::refs::Resolved;
use crate::repository::Repository;
use crate::{Error, Remote, Result};

/// A commit whose files are at hand, submodules included.
///
/// It holds the lock of the cache directory, so that nothing changes below it.
pub struct Checkout {
    resolved: Resolved,
    commit: Commit,
    tag: Option<Tag>,
    modules: Vec<Module>,
    sparse: Vec<String>,
    /// The cache of the main repository.
    directory: PathBuf,
}

/// One repository of a checkout: the main one comes first.
pub(crate) struct Module {
    pub(crate) remote: Remote,
    pub(crate) objects: Objects,
    pub(crate) tree: ObjectId,
    /// Which repository lies at which gitlink.
    pub(crate) children: BTreeMap<Vec<u8>, usize>,
    pub(crate) _repository: Repository,
}

impl std::fmt::Debug for Checkout {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Checkout")
            .field("revision", &self.resolved.revision)
            .finish_non_exhaustive()
    }
}

impl Checkout {
    pub(crate) fn new(
        resolved: Resolved,
        commit: Commit,
        tag: Option<Tag>,
        modules: Vec<Module>,
        sparse: Vec<String>,
        directory: PathBuf,
    ) -> Self {
        Self {
            resolved,
            commit,
            tag,
            modules,
            sparse,
            directory,
        }
    }

    /// What was asked for and found.
    pub const fn resolved(&self) -> &Resolved {
        &self.resolved
    }

    /// The commit.
    pub const fn commit(&self) -> &Commit {
        &self.commit
    }

    /// The annotated tag that led to the commit.
    pub const fn tag(&self) -> Option<&Tag> {
        self.tag.as_ref()
    }

    /// The root directory. With a sparse checkout it has only what lies below the listed paths.
    pub fn root(&self) -> impl Directory + '_ {
        self.directory_at_root(None)
    }

    /// As [`Checkout::root`], with the objects of Git LFS in the place of their pointers.
    pub fn root_with<'a>(&'a self, objects: &'a LfsObjects) -> impl Directory + 'a {
        self.directory_at_root(Some(objects))
    }

    fn directory_at_root<'a>(&'a self, lfs: Option<&'a LfsObjects>) -> GitDirectory<'a> {
        GitDirectory {
            checkout: self,
            lfs,
            module: 0,
            tree: self.commit.tree,
            path: Vec::new(),
            inner: Vec::new(),
        }
    }

    /// Where the cache of the main repository is.
    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    pub(crate) fn module(&self, index: usize) -> Result<&Module> {
        let missing = || Error::Cache {
            action: "find a submodule in",
            source: format!("there is no module {index}").into(),
        };
        self.modules.get(index).ok_or_else(missing)
    }

    /// Whether a file at `path` belongs to the checkout; like go-git, by plain prefix.
    pub(crate) fn has_file(&self, path: &[u8]) -> bool {
        self.sparse.is_empty()
            || self
                .sparse
                .iter()
                .any(|prefix| path.starts_with(prefix.as_bytes()))
    }

    /// Whether the directory at `path` may hold files that belong to the checkout.
    pub(crate) fn has_directory_at(&self, path: &[u8]) -> bool {
        Self::has_directory(&self.sparse, path)
    }

    /// Whether a directory may hold files that belong to the checkout.
    pub(crate) fn has_directory(sparse: &[String], path: &[u8]) -> bool {
        let below = [path, b"/"].concat();
        sparse.is_empty()
            || sparse.iter().any(|prefix| {
                let prefix = prefix.as_bytes();
                below.starts_with(prefix) || prefix.starts_with(&below)
            })
    }
}

/// A directory of a Git tree.
struct GitDirectory<'a> {
    checkout: &'a Checkout,
    lfs: Option<&'a LfsObjects>,
    module: usize,
    tree: ObjectId,
    /// The path below the root of the checkout.
    path: Vec<u8>,
    /// The path below the root of the module.
    inner: Vec<u8>,
}

impl GitDirectory<'_> {
    fn child(&self, name: &[u8], id: ObjectId, mode: Mode) -> Result<Option<EntryKind<'_>>, TreeError> {
        let path = join(&self.path, name);
        let inner = join(&self.inner, name);
        let checkout = self.checkout;
        let lfs = self.lfs;
        let has_directory = || checkout.has_directory_at(&path);
        Ok(Some(match mode {
            Mode::Tree if has_directory() => EntryKind::Directory(Box::new(Self {
                checkout,
                lfs,
                module: self.module,
                tree: id,
                path,
                inner,
            })),
            Mode::Blob | Mode::BlobExecutable if checkout.has_file(&path) => {
                let is_executable = mode == Mode::BlobExecutable;
                let objects = &checkout.module(self.module).map_err(source)?.objects;
                EntryKind::File(Box::new(GitFile {
                    objects,
                    lfs,
                    id,
                    is_executable,
                    path,
                }))
            }
            // A link leaves no trace but the directory it is in.
            Mode::Link if checkout.has_file(&path) => EntryKind::Other,
            Mode::Commit if has_directory() => {
                match checkout.module(self.module).map_err(source)?.children.get(&inner) {
                    Some(&module) => {
                        let tree = checkout.module(module).map_err(source)?.tree;
                        EntryKind::Directory(Box::new(Self {
                            checkout,
                            lfs,
                            module,
                            tree,
                            path,
                            inner: Vec::new(),
                        }))
                    }
                    None => EntryKind::Directory(Box::new(EmptyDirectory)),
                }
            }
            Mode::Tree | Mode::Blob | Mode::BlobExecutable | Mode::Link | Mode::Commit => return Ok(None),
        }))
    }
}

impl Directory for GitDirectory<'_> {
    fn entries(&self) -> Result<Vec<Entry<'_>>, TreeError> {
        let objects = &self.checkout.module(self.module).map_err(source)?.objects;
        let listed = list(objects, &self.tree).map_err(source)?;
        let mut entries = Vec::with_capacity(listed.len());
        for (name, id, mode) in listed {
            if let Some(kind) = self.child(&name, id, mode)? {
                entries.push(Entry { name, kind });
            }
        }
        Ok(entries)
    }

    fn link(&self, name: &[u8]) -> Result<Option<Vec<u8>>, TreeError> {
        let objects = &self.checkout.module(self.module).map_err(source)?.objects;
        let listed = list(objects, &self.tree).map_err(source)?;
        let found = listed
            .into_iter()
            .find(|(entry, _, mode)| entry == name && *mode == Mode::Link);
        match found {
            Some((_, id, _)) if self.checkout.has_file(&join(&self.path, name)) => {
                objects.read(&id, Kind::Blob).map(Some).map_err(source)
            }
            _ => Ok(None),
        }
    }
}

fn source(error: Error) -> TreeError {
    TreeError::Source(Box::new(error))
}

struct GitFile<'a> {
    objects: &'a Objects,
    lfs: Option<&'a LfsObjects>,
    id: ObjectId,
    is_executable: bool,
    path: Vec<u8>,
}

impl Content for GitFile<'_> {
    fn is_executable(&self) -> bool {
        self.is_executable
    }

    fn open(&self) -> Result<(u64, Box<dyn Read + '_>), TreeError> {
        let failed = |source| TreeError::Io {
            path: String::from_utf8_lossy(&self.path).into_owned(),
            source,
        };
        let found = self.objects.stream(&self.id, Kind::Blob);
        let (size, reader) = found.map_err(|error| failed(std::io::Error::other(error)))?;
        match self.lfs {
            Some(objects) if size < MAX_POINTER => smudge(objects, reader).map_err(failed),
            _ => Ok((size, reader)),
        }
    }
}

/// A small file, or what it points to.
fn smudge<'a>(
    objects: &LfsObjects,
    reader: Box<dyn Read + 'a>,
) -> std::io::Result<(u64, Box<dyn Read + 'a>)> {
    let mut content = Vec::new();
    reader.take(MAX_POINTER).read_to_end(&mut content)?;
    Ok(match Pointer::parse(&content) {
        Some(pointer) => (pointer.size, objects.read(&pointer)?),
        None => (content.len() as u64, Box::new(Cursor::new(content))),
    })
}

pub(crate) fn join(path: &[u8], name: &[u8]) -> Vec<u8> {
    if path.is_empty() {
        name.to_vec()
    } else {
        [path, b"/", name].concat()
    }
}

/// The entries of a tree object, in its own order.
pub(crate) fn list(objects: &Objects, tree: &ObjectId) -> Result<Vec<(Vec<u8>, ObjectId, Mode)>> {
    // The empty tree exists without being stored.
    if tree.is_empty_tree() {
        return Ok(Vec::new());
    }
    let bytes = objects.read(tree, Kind::Tree)?;
    let mut entries = Vec::new();
    for entry in TreeRefIter::from_bytes(&bytes, tree.kind()) {
        let malformed = |error: gix_error::Error| Error::Cache {
            action: "read a tree of",
            source: format!("{tree}: {error}").into(),
        };
        let entry = entry.map_err(malformed)?;
        entries.push((entry.filename.to_vec(), entry.oid.to_owned(), entry.mode.kind()));
    }
    Ok(entries)
}

/// Follows a path down from a tree; `None` when something on it is missing.
pub(crate) fn lookup(objects: &Objects, tree: &ObjectId, path: &str) -> Result<Option<(ObjectId, Mode)>> {
    let mut current = (*tree, Mode::Tree);
    for part in path.split('/').filter(|part| !part.is_empty()) {
        if current.1 != Mode::Tree {
            return Ok(None);
        }
        let found = list(objects, &current.0)?
            .into_iter()
            .find(|(name, _, _)| name == part.as_bytes());
        match found {
            Some((_, id, mode)) => current = (id, mode),
            None => return Ok(None),
        }
    }
    Ok(Some(current))
}
