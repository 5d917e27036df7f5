//! Git LFS: the objects that pointer files stand for (<https://github.com/git-lfs/git-lfs/tree/main/docs>).
//!
//! Pointer files are found by their content; `.gitattributes` are not looked at. Their objects are fetched with the batch API and the basic
//! transfer, straight to the disk, and have the digest and size that the pointer says, or are refused.

mod download;
mod endpoint;
mod pointer;
mod store;

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::io::Read as _;

use ferro_artifact::tree::MAX_DEPTH;
use gix_hash::ObjectId;
use gix_object::tree::EntryKind as Mode;

pub(crate) use self::pointer::{MAX_POINTER, Pointer};
pub use self::store::LfsObjects;

use self::download::Download;
use self::endpoint::Endpoint;
use crate::checkout::{self, Checkout, join};
use crate::interrupt::{Context, Interrupt};
use crate::pack::Kind;
use crate::{Error, Result};

/// How many objects a checkout may have.
const MAX_OBJECTS: usize = 100_000;
/// The largest `.lfsconfig` that is read.
const MAX_LFSCONFIG: usize = 64 << 10;

fn refused(reason: String) -> Error {
    Error::Lfs { reason }
}

/// An object that a checkout needs.
#[derive(Debug)]
struct Wanted {
    pointer: Pointer,
    /// A file that it is the content of, for errors.
    path: String,
}

impl Wanted {
    /// An error that names the object.
    fn failed(&self, reason: &str) -> Error {
        let (oid, path) = (&self.pointer.oid, &self.path);
        refused(format!("object {oid} of '{path}': {reason}"))
    }
}

/// The objects that are needed, by the repository that has them.
type ByModule = BTreeMap<usize, BTreeMap<String, Wanted>>;

impl Checkout {
    /// Fetches the objects of the pointer files that `is_wanted` by their path's components, as far as they are not here from the last time;
    /// all others are forgotten. Together they may have `max_bytes`.
    ///
    /// Blocks the thread, which must belong to a runtime; at cancellation or deadline it returns at once.
    pub fn fetch_lfs_blocking(
        &self,
        is_wanted: impl Fn(&[&[u8]]) -> bool,
        max_bytes: u64,
        context: Context,
    ) -> Result<LfsObjects> {
        let interrupt = Interrupt::new(context);
        let wanted = self.wanted(&is_wanted, max_bytes, &interrupt)?;
        let objects = LfsObjects::open(&self.directory().join("lfs"))?;
        let oids = wanted.values().flat_map(BTreeMap::keys).map(String::as_str);
        objects.keep_only(&oids.collect::<BTreeSet<_>>())?;
        for (module, wanted) in &wanted {
            let is_missing = |wanted: &&Wanted| !objects.has(&wanted.pointer);
            let missing: Vec<&Wanted> = wanted.values().filter(is_missing).collect();
            if missing.is_empty() {
                continue;
            }
            let remote = &self.module(*module)?.remote;
            let endpoint = Endpoint::find(remote, &self.lfsconfig(*module)?, &interrupt)?;
            let ref_name = self.resolved().ref_name.clone().filter(|_| *module == 0);
            let download = Download::new(remote, endpoint, ref_name, &objects)?;
            interrupt.block_on(download.run(&missing))??;
        }
        Ok(objects)
    }

    /// The `.lfsconfig` at the root of a repository; empty when there is none.
    fn lfsconfig(&self, module: usize) -> Result<String> {
        let module = self.module(module)?;
        let found = checkout::lookup(&module.objects, &module.tree, ".lfsconfig")?;
        let Some((id, Mode::Blob | Mode::BlobExecutable)) = found else {
            return Ok(String::new());
        };
        let text = module.objects.read(&id, Kind::Blob)?;
        if text.len() > MAX_LFSCONFIG {
            return Err(refused(format!(
                "'.lfsconfig' is larger than {MAX_LFSCONFIG} bytes"
            )));
        }
        Ok(String::from_utf8_lossy(&text).into_owned())
    }

    /// Finds the pointer files.
    fn wanted(
        &self,
        is_wanted: &impl Fn(&[&[u8]]) -> bool,
        max_bytes: u64,
        interrupt: &Interrupt,
    ) -> Result<ByModule> {
        let mut found = ByModule::new();
        let (mut count, mut bytes) = (0, 0_u64);
        let mut seen: HashSet<(usize, ObjectId)> = HashSet::new();
        let mut open = vec![Place::root(self)?];
        while let Some(place) = open.pop() {
            interrupt.check()?;
            for (name, id, mode) in checkout::list(&self.module(place.module)?.objects, &place.tree)? {
                if !matches!(mode, Mode::Blob | Mode::BlobExecutable) {
                    open.extend(place.child(self, &name, id, mode)?);
                    continue;
                }
                let path = join(&place.path, &name);
                let components: Vec<&[u8]> = path.split(|byte| *byte == b'/').collect();
                if !self.has_file(&path) || seen.contains(&(place.module, id)) || !is_wanted(&components) {
                    continue;
                }
                seen.insert((place.module, id));
                let Some(pointer) = self.pointer(place.module, &id)? else {
                    continue;
                };
                let of_module = found.entry(place.module).or_default();
                if of_module.contains_key(&pointer.oid) {
                    continue;
                }
                count += 1;
                bytes = bytes.saturating_add(pointer.size);
                check_bounds(count, bytes, max_bytes)?;
                let path = String::from_utf8_lossy(&path).into_owned();
                of_module.insert(pointer.oid.clone(), Wanted { pointer, path });
            }
        }
        Ok(found)
    }

    /// The pointer that a blob holds, if it does.
    fn pointer(&self, module: usize, id: &ObjectId) -> Result<Option<Pointer>> {
        let (size, reader) = self.module(module)?.objects.stream(id, Kind::Blob)?;
        if size >= MAX_POINTER {
            return Ok(None);
        }
        let mut content = Vec::new();
        let read = reader.take(MAX_POINTER).read_to_end(&mut content);
        read.map_err(Error::cache("read a file of"))?;
        Ok(Pointer::parse(&content))
    }
}

fn check_bounds(count: usize, bytes: u64, max_bytes: u64) -> Result<()> {
    if count > MAX_OBJECTS {
        return Err(refused(format!("there are more than {MAX_OBJECTS} objects")));
    }
    if bytes > max_bytes {
        return Err(refused(format!(
            "the objects have more than the {max_bytes} bytes that are allowed for one revision"
        )));
    }
    Ok(())
}

/// A directory that is still to be looked at.
struct Place {
    module: usize,
    tree: ObjectId,
    /// The path below the root of the checkout.
    path: Vec<u8>,
    /// The path below the root of the module.
    inner: Vec<u8>,
    depth: usize,
}

impl Place {
    fn root(checkout: &Checkout) -> Result<Self> {
        Ok(Self {
            module: 0,
            tree: checkout.module(0)?.tree,
            path: Vec::new(),
            inner: Vec::new(),
            depth: 0,
        })
    }

    /// The directory or submodule `name`, if it belongs to the checkout.
    fn child(&self, checkout: &Checkout, name: &[u8], id: ObjectId, mode: Mode) -> Result<Option<Self>> {
        let (path, inner) = (join(&self.path, name), join(&self.inner, name));
        if !checkout.has_directory_at(&path) {
            return Ok(None);
        }
        if self.depth >= MAX_DEPTH {
            let path = String::from_utf8_lossy(&path);
            let reason = format!("directory '{path}' is nested more than {MAX_DEPTH} levels deep");
            return Err(refused(reason));
        }
        let (module, tree, inner) = match mode {
            Mode::Tree => (self.module, id, inner),
            Mode::Commit => match checkout.module(self.module)?.children.get(&inner) {
                Some(&child) => (child, checkout.module(child)?.tree, Vec::new()),
                None => return Ok(None),
            },
            Mode::Blob | Mode::BlobExecutable | Mode::Link => return Ok(None),
        };
        let depth = self.depth + 1;
        Ok(Some(Self {
            module,
            tree,
            path,
            inner,
            depth,
        }))
    }
}
