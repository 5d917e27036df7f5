//! The packs of a directory, as one set of objects.

use std::collections::VecDeque;
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use gix_hash::{Kind as Hash, ObjectId};
use tempfile::NamedTempFile;

use super::content::Content;
use super::entry::{Header, MAX_HEADER, Stored};
use super::index::Index;
use super::inflate::{Inflate, Pool};
use super::{Kind, MAX_CHAIN, MAX_DELTA, MAX_STRUCTURE, PackError, delta};
use crate::{Error, Result};

/// How the names of files begin that are not complete.
const TEMPORARY: &str = "tmp-";
/// How many deltas may build on each other over several packs.
const MAX_LONG_CHAIN: usize = 32 * MAX_CHAIN;

/// All objects of the packs in a directory.
#[derive(Debug)]
pub(crate) struct Objects {
    directory: PathBuf,
    hash: Hash,
    /// In the order in which they came: deltas of one may build on objects of those before it.
    packs: Vec<Pack>,
    pool: Pool,
    recent: Mutex<Recent>,
}

#[derive(Debug)]
struct Pack {
    file: File,
    index: Index,
}

/// A pack and the place in it.
type Place = (usize, u64);

/// A file that is removed unless it is made to stay.
pub(super) fn temporary(directory: &Path) -> io::Result<NamedTempFile> {
    tempfile::Builder::new().prefix(TEMPORARY).tempfile_in(directory)
}

/// The name of the pack after those that are there, without an extension. Names sort by age.
pub(super) fn next_name(directory: &Path) -> io::Result<String> {
    let number = |name: &String| name.strip_prefix("pack-")?.parse::<u64>().ok();
    let last = names(directory)?
        .iter()
        .filter_map(number)
        .max()
        .unwrap_or_default();
    Ok(format!("pack-{:08}", last.saturating_add(1)))
}

/// The names of the packs that have an index, from the oldest to the newest.
fn names(directory: &Path) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(directory)? {
        let name = entry?.file_name();
        if let Some(name) = name.to_str().and_then(|name| name.strip_suffix(".idx")) {
            names.push(name.to_owned());
        }
    }
    names.sort_unstable();
    Ok(names)
}

/// Removes what a process left behind that was killed while it received a pack.
pub(crate) fn tidy(directory: &Path) {
    let Ok(entries) = fs::read_dir(directory) else {
        return;
    };
    for entry in entries.filter_map(io::Result::ok) {
        let path = entry.path();
        let is_temporary = entry
            .file_name()
            .as_encoded_bytes()
            .starts_with(TEMPORARY.as_bytes());
        let is_bare = path.extension().is_some_and(|it| it == "pack") && !path.with_extension("idx").exists();
        if is_temporary || is_bare {
            drop(fs::remove_file(path));
        }
    }
}

/// The header of the object at `at`.
pub(super) fn read_header(file: &File, at: u64, hash: Hash) -> Result<Header, PackError> {
    let mut bytes = [0; MAX_HEADER];
    let mut count = 0;
    while let Some(rest) = bytes.get_mut(count..).filter(|rest| !rest.is_empty()) {
        match file.read_at(rest, at + count as u64)? {
            0 => break,
            more => count += more,
        }
    }
    Header::read(&mut bytes.get(..count).unwrap_or_default(), at, hash)
}

impl Objects {
    /// Opens the packs in `directory` as they are now.
    pub(crate) fn open(directory: &Path, hash: Hash) -> io::Result<Self> {
        let packs = names(directory)?
            .iter()
            .map(|name| Pack::open(&directory.join(name), hash))
            .collect::<io::Result<_>>()?;
        Ok(Self {
            directory: directory.to_owned(),
            hash,
            packs,
            pool: Pool::default(),
            recent: Mutex::default(),
        })
    }

    /// Whether an object is here.
    pub(crate) fn has(&self, id: &ObjectId) -> bool {
        let place = self.find(id).ok().flatten();
        place.is_some_and(|place| self.header(place).is_ok())
    }

    /// Reads an object of a known kind into memory.
    pub(crate) fn read(&self, id: &ObjectId, expected: Kind) -> Result<Vec<u8>> {
        let (size, mut source) = self.stream(id, expected)?;
        let limit = MAX_STRUCTURE;
        if size > limit {
            let id = id.to_string();
            return Err(Error::ObjectTooLarge { id, size, limit });
        }
        let mut bytes = Vec::with_capacity(usize::try_from(size).unwrap_or_default());
        source
            .read_to_end(&mut bytes)
            .map_err(|error| failed(id, error.into()))?;
        Ok(bytes)
    }

    /// The size of an object of a known kind, and a reader that yields so many bytes.
    pub(crate) fn stream(&self, id: &ObjectId, expected: Kind) -> Result<(u64, Box<dyn Read + '_>)> {
        let failed = |error| failed(id, error);
        let Some(place) = self.find(id).map_err(|error| failed(error.into()))? else {
            let commit = id.to_string();
            return Err(Error::CommitNotFound { commit });
        };
        let header = self.header(place).map_err(failed)?;
        let (kind, size, source): (_, _, Box<dyn Read + '_>) = match header.stored {
            Stored::Whole(kind) => (kind, header.size, self.inflate(place, header)),
            Stored::DeltaAt(_) | Stored::DeltaOf(_) => {
                let (kind, content) = self.content(place).map_err(failed)?;
                (kind, content.len(), Box::new(content.reader()))
            }
        };
        if kind != expected {
            return Err(Error::UnexpectedObject {
                id: id.to_string(),
                found: kind.name().to_owned(),
                expected: expected.name(),
            });
        }
        Ok((size, source))
    }

    /// The kind and content of an object that others may build on.
    pub(super) fn content_of(&self, id: &ObjectId) -> Result<Option<(Kind, Content)>, PackError> {
        match self.find(id)? {
            Some(place) => self.content(place).map(Some),
            None => Ok(None),
        }
    }

    fn find(&self, id: &ObjectId) -> io::Result<Option<Place>> {
        self.find_before(id, self.packs.len())
    }

    /// Looks in the first `count` packs, the oldest first.
    fn find_before(&self, id: &ObjectId, count: usize) -> io::Result<Option<Place>> {
        for (number, pack) in self.packs.iter().enumerate().take(count) {
            if let Some(at) = pack.index.find(id)? {
                return Ok(Some((number, at)));
            }
        }
        Ok(None)
    }

    fn header(&self, (pack, at): Place) -> Result<Header, PackError> {
        let pack = self
            .packs
            .get(pack)
            .ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))?;
        read_header(&pack.file, at, self.hash)
    }

    /// What is inflated of an object.
    fn inflate(&self, (pack, at): Place, header: Header) -> Box<dyn Read + '_> {
        match self.packs.get(pack) {
            Some(pack) => Box::new(Inflate::new(
                &pack.file,
                at + header.length,
                header.size,
                &self.pool,
            )),
            None => Box::new(io::empty()),
        }
    }

    /// Makes an object of the deltas that lead to it.
    fn content(&self, mut place: Place) -> Result<(Kind, Content), PackError> {
        let mut deltas = Vec::new();
        let (kind, mut content) = loop {
            if let Some(found) = self.lock_recent().get(place) {
                break found;
            }
            let header = self.header(place)?;
            let base = match header.stored {
                Stored::Whole(kind) => {
                    kind.check(header.size, MAX_DELTA)?;
                    let mut source = self.inflate(place, header);
                    let content = Content::read(&mut source, header.size, &self.directory)?;
                    self.lock_recent().put(place, kind, &content);
                    break (kind, content);
                }
                Stored::DeltaAt(at) => (place.0, at),
                Stored::DeltaOf(id) => self
                    .find_before(&id, place.0 + 1)?
                    .ok_or(PackError::NoBase { id })?,
            };
            if deltas.len() >= MAX_LONG_CHAIN {
                return Err(PackError::TooDeep);
            }
            deltas.push((place, header));
            place = base;
        };
        while let Some((place, header)) = deltas.pop() {
            let source = self.inflate(place, header);
            content = delta::apply(source, &content, kind, place.1, &self.directory)?;
            self.lock_recent().put(place, kind, &content);
        }
        Ok((kind, content))
    }

    fn lock_recent(&self) -> std::sync::MutexGuard<'_, Recent> {
        self.recent.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pack {
    fn open(path: &Path, hash: Hash) -> io::Result<Self> {
        let index = Index::open(&path.with_extension("idx"), hash)?;
        let file = File::open(path.with_extension("pack"))?;
        // A pack that was cut off, by a power failure for example, would fail later.
        let mut sum = vec![0; hash.len_in_bytes()];
        let end = file.metadata()?.len().saturating_sub(sum.len() as u64);
        file.read_exact_at(&mut sum, end)?;
        if sum != index.pack_sum() {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "a pack and its index differ",
            ));
        }
        Ok(Self { file, index })
    }
}

fn failed(id: &ObjectId, error: PackError) -> Error {
    match error {
        PackError::TooLarge { size, limit } => Error::ObjectTooLarge {
            id: id.to_string(),
            size,
            limit,
        },
        error => Error::Cache {
            action: "read an object of",
            source: format!("{id}: {error}").into(),
        },
    }
}

/// Objects that were made last, as those that come next often build on them.
#[derive(Debug, Default)]
struct Recent {
    entries: VecDeque<(Place, Kind, Content)>,
    weight: usize,
}

impl Recent {
    const MAX_WEIGHT: usize = 4 << 20;
    const MAX_ENTRIES: usize = 128;

    fn get(&mut self, place: Place) -> Option<(Kind, Content)> {
        let index = self.entries.iter().position(|(other, _, _)| *other == place)?;
        let entry = self.entries.remove(index)?;
        let found = (entry.1, entry.2.clone());
        self.entries.push_back(entry);
        Some(found)
    }

    fn put(&mut self, place: Place, kind: Kind, content: &Content) {
        let weight = content.weight();
        if weight == 0 || weight > Self::MAX_WEIGHT / 4 {
            return;
        }
        self.weight += weight;
        self.entries.push_back((place, kind, content.clone()));
        while self.weight > Self::MAX_WEIGHT || self.entries.len() > Self::MAX_ENTRIES {
            match self.entries.pop_front() {
                Some((_, _, content)) => self.weight -= content.weight(),
                None => break,
            }
        }
    }
}
