//! The local cache of one remote: packs, the shallow boundary and the commits that are complete.
//!
//! There are no refs and no configuration, so nothing of a user's Git set-up can change what happens. The
//! cache only saves transfers: when it is damaged, belongs to another remote or has grown, it is emptied.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use ferro_artifact::digest::Algorithm;
use gix_hash::{Kind, ObjectId};
use gix_object::FindHeader as _;

use crate::{Error, Result};

/// How many packs pile up before the cache is emptied; each fetch of a change adds one.
const MAX_PACKS: usize = 16;
/// The cache is emptied when it is this many times larger than its first pack.
const MAX_GROWTH: u64 = 2;
/// Below this size growth does not matter.
const MIN_BLOAT: u64 = 64 << 20;
/// How many complete commits are remembered.
const MAX_TIPS: usize = 4;
/// The version of the layout.
const FORMAT: &str = "ferro-git 1";
/// The largest object that is read into memory.
pub(crate) const MAX_OBJECT: usize = 1 << 30;

pub(crate) type Objects = gix_odb::Handle;

/// The cache directory, locked for this process.
#[derive(Debug)]
pub(crate) struct Repository {
    directory: PathBuf,
    kind: Kind,
    remote: String,
    tips: Vec<ObjectId>,
    _lock: File,
}

impl Repository {
    /// Opens the cache of `remote` (any text that names it), or makes an empty one.
    pub(crate) fn open(directory: &Path, remote: &str, kind: Kind) -> Result<Self> {
        fs::create_dir_all(directory).map_err(Error::cache("create"))?;
        let lock = File::options()
            .create(true)
            .append(true)
            .open(directory.join("lock"));
        let lock = lock.map_err(Error::cache("lock"))?;
        lock.lock().map_err(Error::cache("lock"))?;
        let remote = Algorithm::Sha256.digest(remote.as_bytes()).hex().to_owned();
        let directory = directory.to_owned();
        let mut repository = Self {
            directory,
            kind,
            remote,
            tips: Vec::new(),
            _lock: lock,
        };
        match repository.read_state() {
            Some(tips) if !repository.is_bloated() => repository.tips = tips,
            _ => repository.clear()?,
        }
        // Left behind when a process was killed; the lock above says that nobody holds it.
        drop(fs::remove_file(repository.shallow_file().with_extension("lock")));
        Ok(repository)
    }

    pub(crate) const fn kind(&self) -> Kind {
        self.kind
    }

    pub(crate) fn shallow_file(&self) -> PathBuf {
        self.directory.join("shallow")
    }

    pub(crate) fn pack_directory(&self) -> PathBuf {
        self.directory.join("objects").join("pack")
    }

    /// The commits that are complete, newest last.
    pub(crate) fn tips(&self) -> &[ObjectId] {
        &self.tips
    }

    /// A view of the objects as they are now.
    pub(crate) fn objects(&self) -> Result<Objects> {
        let options = gix_odb::store::init::Options {
            alloc_limit_bytes: Some(MAX_OBJECT),
            ..gix_odb::store::init::Options::default()
        };
        let directory = self.directory.join("objects");
        let mut objects =
            gix_odb::at_opts(directory, self.kind, None, options).map_err(Error::cache("open"))?;
        // Trees are stored as deltas of each other.
        objects.set_pack_cache(|| Box::new(gix_pack::cache::lru::MemoryCappedHashmap::new(4 << 20)));
        Ok(objects)
    }

    /// Whether a commit with all its files is here.
    pub(crate) fn has(&self, commit: &ObjectId) -> bool {
        let is_readable = |objects: Objects| matches!(objects.try_header(commit), Ok(Some(_)));
        self.tips.contains(commit) && self.objects().is_ok_and(is_readable)
    }

    /// Remembers that `commit` is complete.
    pub(crate) fn add_tip(&mut self, commit: ObjectId) -> Result<()> {
        self.tips.retain(|tip| *tip != commit);
        self.tips.push(commit);
        if self.tips.len() > MAX_TIPS {
            self.tips.remove(0);
        }
        self.write_state()
    }

    /// Empties the cache.
    pub(crate) fn clear(&mut self) -> Result<()> {
        self.tips.clear();
        // The state goes first: a half-emptied cache must not look like a good one.
        for file in [self.state_file(), self.shallow_file()] {
            match fs::remove_file(file) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(Error::cache("empty")(error));
                }
                _ => {}
            }
        }
        match fs::remove_dir_all(self.directory.join("objects")) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(Error::cache("empty")(error));
            }
            _ => {}
        }
        fs::create_dir_all(self.pack_directory()).map_err(Error::cache("create"))?;
        self.write_state()
    }

    fn state_file(&self) -> PathBuf {
        self.directory.join("state")
    }

    /// The tips, if the cache is whole and of this remote.
    fn read_state(&self) -> Option<Vec<ObjectId>> {
        let state = fs::read_to_string(self.state_file()).ok()?;
        let mut lines = state.lines();
        let is_ours = lines.next() == Some(FORMAT)
            && lines.next() == Some(&self.kind.to_string())
            && lines.next() == Some(&self.remote);
        if !is_ours || !self.pack_directory().is_dir() {
            return None;
        }
        lines
            .map(|line| ObjectId::from_hex(line.as_bytes()).ok())
            .collect()
    }

    fn write_state(&self) -> Result<()> {
        let mut state = format!("{FORMAT}\n{}\n{}\n", self.kind, self.remote);
        for tip in &self.tips {
            state.push_str(&tip.to_string());
            state.push('\n');
        }
        let temp = self.directory.join("state.tmp");
        fs::write(&temp, state).map_err(Error::cache("write the state of"))?;
        fs::rename(temp, self.state_file()).map_err(Error::cache("write the state of"))
    }

    fn is_bloated(&self) -> bool {
        let Ok(entries) = fs::read_dir(self.pack_directory()) else {
            return true;
        };
        let mut packs: Vec<(std::time::SystemTime, u64)> = entries
            .filter_map(std::result::Result::ok)
            .filter(|entry| {
                entry
                    .path()
                    .extension()
                    .is_some_and(|extension| extension == "pack")
            })
            .filter_map(|entry| entry.metadata().ok())
            .filter_map(|metadata| Some((metadata.modified().ok()?, metadata.len())))
            .collect();
        packs.sort_unstable();
        let total: u64 = packs.iter().map(|(_, size)| size).sum();
        let first = packs.first().map_or(0, |(_, size)| *size);
        packs.len() > MAX_PACKS || total > first.saturating_mul(MAX_GROWTH).max(MIN_BLOAT)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn open_keeps_the_cache_of_the_same_remote_only() {
        let dir = tempfile::tempdir().unwrap();
        let commit = ObjectId::from_hex(&[b'1'; 40]).unwrap();
        let mut repository = Repository::open(dir.path(), "https://h/a", Kind::Sha1).unwrap();
        repository.add_tip(commit).unwrap();
        fs::write(repository.shallow_file().with_extension("lock"), "").unwrap();
        drop(repository);
        let repository = Repository::open(dir.path(), "https://h/a", Kind::Sha1).unwrap();
        assert_eq!(repository.tips(), [commit]);
        assert!(!repository.shallow_file().with_extension("lock").exists());
        assert!(!repository.has(&commit), "the object itself is not there");
        drop(repository);
        let repository = Repository::open(dir.path(), "https://h/b", Kind::Sha1).unwrap();
        assert!(repository.tips().is_empty());
    }

    #[test]
    fn open_damaged_cache_is_emptied() {
        let dir = tempfile::tempdir().unwrap();
        drop(Repository::open(dir.path(), "r", Kind::Sha1).unwrap());
        fs::write(dir.path().join("state"), "junk").unwrap();
        fs::write(dir.path().join("objects/pack/pack-1.pack"), "junk").unwrap();
        let repository = Repository::open(dir.path(), "r", Kind::Sha1).unwrap();
        assert_eq!(fs::read_dir(repository.pack_directory()).unwrap().count(), 0);
    }

    #[test]
    fn open_bloated_cache_is_emptied() {
        let dir = tempfile::tempdir().unwrap();
        drop(Repository::open(dir.path(), "r", Kind::Sha1).unwrap());
        for index in 0..=MAX_PACKS {
            fs::write(dir.path().join(format!("objects/pack/pack-{index}.pack")), "").unwrap();
        }
        let repository = Repository::open(dir.path(), "r", Kind::Sha1).unwrap();
        assert_eq!(fs::read_dir(repository.pack_directory()).unwrap().count(), 0);
    }
}
