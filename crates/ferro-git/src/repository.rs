//! The local cache of one remote: packs, the shallow boundary and the commits that are complete.
//!
//! There are no refs and no configuration, so nothing of a user's Git set-up can change what happens. The
//! cache only saves transfers: when it is damaged, belongs to another remote or has grown, it is emptied.

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};

use ferro_artifact::digest::Algorithm;
use gix_hash::{Kind, ObjectId};

use crate::pack::{self, Objects};
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
const FORMAT: &str = "ferro-git 3";
/// The name of the state file.
const STATE: &str = "state";
/// The cache directory, locked for this process.
#[derive(Debug)]
pub(crate) struct Repository {
    directory: PathBuf,
    kind: Kind,
    remote: String,
    tips: Vec<ObjectId>,
    allows_listing: bool,
    _lock: File,
}

impl Repository {
    /// Opens the cache of `remote` (any text that names it), or makes an empty one.
    ///
    /// While somebody else holds it, `wait` is called over and over; its error ends the wait.
    pub(crate) fn open(
        directory: &Path,
        remote: &str,
        kind: Kind,
        wait: impl Fn() -> Result<()>,
    ) -> Result<Self> {
        fs::create_dir_all(directory).map_err(Error::cache("create"))?;
        let lock = File::options()
            .create(true)
            .append(true)
            .open(directory.join("lock"));
        let lock = lock.map_err(Error::cache("lock"))?;
        loop {
            match lock.try_lock() {
                Ok(()) => break,
                Err(TryLockError::WouldBlock) => wait()?,
                Err(TryLockError::Error(error)) => return Err(Error::cache("lock")(error)),
            }
        }
        let mut repository = Self {
            directory: directory.to_owned(),
            kind,
            remote: name_of(remote),
            tips: Vec::new(),
            allows_listing: false,
            _lock: lock,
        };
        match State::read(directory) {
            Some(state) if repository.is_of(&state) && !repository.is_bloated() => {
                repository.tips = state.tips;
                repository.allows_listing = state.allows_listing;
            }
            _ => repository.clear()?,
        }
        // Left behind when a process was killed; the lock above says that nobody holds it.
        drop(fs::remove_file(repository.shallow_file().with_extension("lock")));
        pack::tidy(&repository.pack_directory());
        Ok(repository)
    }

    /// The hash function of `remote`, if its cache at `directory` knows that refs can be asked for without
    /// a handshake.
    pub(crate) fn listing_kind(directory: &Path, remote: &str) -> Option<Kind> {
        let state = State::read(directory)?;
        (state.allows_listing && state.remote == name_of(remote)).then_some(state.kind)
    }

    /// Makes the next use of the cache at `directory` begin with nothing; false if there was nothing already.
    pub(crate) fn forget(directory: &Path) -> bool {
        let had_tips = State::read(directory).is_some_and(|state| !state.tips.is_empty());
        had_tips && fs::remove_file(directory.join(STATE)).is_ok()
    }

    /// Remembers whether refs can be asked for without a handshake.
    pub(crate) fn set_allows_listing(&mut self, allows_listing: bool) -> Result<()> {
        if self.allows_listing == allows_listing {
            return Ok(());
        }
        self.allows_listing = allows_listing;
        self.write_state()
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
        Objects::open(&self.pack_directory(), self.kind).map_err(Error::cache("open"))
    }

    /// Whether a commit with all its files is here.
    pub(crate) fn has(&self, commit: &ObjectId) -> bool {
        self.tips.contains(commit) && self.objects().is_ok_and(|objects| objects.has(commit))
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
        for file in [self.directory.join(STATE), self.shallow_file()] {
            match fs::remove_file(file) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(Error::cache("empty")(error));
                }
                _ => {}
            }
        }
        // Objects of Git LFS may be of another remote, too.
        for directory in ["objects", "lfs"] {
            match fs::remove_dir_all(self.directory.join(directory)) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(Error::cache("empty")(error));
                }
                _ => {}
            }
        }
        fs::create_dir_all(self.pack_directory()).map_err(Error::cache("create"))?;
        self.write_state()
    }

    fn is_of(&self, state: &State) -> bool {
        state.kind == self.kind && state.remote == self.remote && self.pack_directory().is_dir()
    }

    fn write_state(&self) -> Result<()> {
        let listing = if self.allows_listing {
            "listing"
        } else {
            "handshake"
        };
        let mut text = format!("{FORMAT}\n{}\n{}\n{listing}\n", self.kind, self.remote);
        for tip in &self.tips {
            text.push_str(&tip.to_string());
            text.push('\n');
        }
        let temp = self.directory.join("state.tmp");
        fs::write(&temp, text).map_err(Error::cache("write the state of"))?;
        fs::rename(temp, self.directory.join(STATE)).map_err(Error::cache("write the state of"))
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

/// What the state file says.
struct State {
    kind: Kind,
    remote: String,
    allows_listing: bool,
    tips: Vec<ObjectId>,
}

impl State {
    /// `None` if there is none, or it is not whole.
    fn read(directory: &Path) -> Option<Self> {
        let text = fs::read_to_string(directory.join(STATE)).ok()?;
        let mut lines = text.lines();
        if lines.next() != Some(FORMAT) {
            return None;
        }
        let kind = lines.next()?.parse().ok()?;
        let remote = lines.next()?.to_owned();
        let allows_listing = lines.next()? == "listing";
        let tips: Option<_> = lines
            .map(|line| ObjectId::from_hex(line.as_bytes()).ok())
            .collect();
        Some(Self {
            kind,
            remote,
            allows_listing,
            tips: tips?,
        })
    }
}

/// URLs may hold what is not for others to read.
fn name_of(remote: &str) -> String {
    Algorithm::Sha256.digest(remote.as_bytes()).hex().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(dir: &tempfile::TempDir, remote: &str) -> Result<Repository> {
        Repository::open(dir.path(), remote, Kind::Sha1, || Err(Error::Timeout))
    }

    #[test]
    fn open_keeps_the_cache_of_the_same_remote_only() {
        let dir = tempfile::tempdir().unwrap();
        let commit = ObjectId::from_hex(&[b'1'; 40]).unwrap();
        let mut repository = open(&dir, "https://h/a").unwrap();
        repository.add_tip(commit).unwrap();
        assert!(matches!(open(&dir, "https://h/a"), Err(Error::Timeout)), "held");
        assert_eq!(Repository::listing_kind(dir.path(), "https://h/a"), None);
        repository.set_allows_listing(true).unwrap();
        assert_eq!(
            Repository::listing_kind(dir.path(), "https://h/a"),
            Some(Kind::Sha1)
        );
        assert_eq!(Repository::listing_kind(dir.path(), "https://h/b"), None);
        fs::write(repository.shallow_file().with_extension("lock"), "").unwrap();
        drop(repository);
        let repository = open(&dir, "https://h/a").unwrap();
        assert_eq!(repository.tips(), [commit]);
        assert!(!repository.shallow_file().with_extension("lock").exists());
        assert!(!repository.has(&commit), "the object itself is not there");
        drop(repository);
        let repository = open(&dir, "https://h/b").unwrap();
        assert!(repository.tips().is_empty());
    }

    #[test]
    fn open_damaged_cache_is_emptied() {
        let dir = tempfile::tempdir().unwrap();
        drop(open(&dir, "r").unwrap());
        fs::write(dir.path().join("state"), "junk").unwrap();
        fs::write(dir.path().join("objects/pack/pack-1.pack"), "junk").unwrap();
        let repository = open(&dir, "r").unwrap();
        assert_eq!(fs::read_dir(repository.pack_directory()).unwrap().count(), 0);
    }

    #[test]
    fn open_bloated_cache_is_emptied() {
        let dir = tempfile::tempdir().unwrap();
        drop(open(&dir, "r").unwrap());
        for index in 0..=MAX_PACKS {
            fs::write(dir.path().join(format!("objects/pack/pack-{index}.pack")), "").unwrap();
        }
        let repository = open(&dir, "r").unwrap();
        assert_eq!(fs::read_dir(repository.pack_directory()).unwrap().count(), 0);
    }
}
