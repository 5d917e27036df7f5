//! What was fetched of each repository, kept on disk so that the next fetch brings only the changes. It may vanish at any time.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs::{self, File, Metadata};
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use ferro_artifact::digest::Algorithm;
use ferro_artifact::private;

/// The name of a directory that is about to be removed.
const TRASH: &str = "trash";
/// How the directories begin that are made without being told where.
const PREFIX: &str = "source-controller-git-";
/// The file in such a directory with the path of the storage that it belongs to.
const OWNER: &str = "storage";

/// The directory of all repositories. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct GitCache {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    root: PathBuf,
    max_bytes: u64,
    /// Users of each directory; one that is in use is not removed.
    in_use: Mutex<HashMap<PathBuf, usize>>,
    /// Keeps other processes out of the directory.
    _lock: File,
}

/// The directory of one repository, in use until this is dropped.
#[derive(Debug)]
pub(super) struct Entry {
    shared: Arc<Shared>,
    path: PathBuf,
}

impl GitCache {
    /// The cache at `path`, or, where that is empty, one in the system's temporary folder that belongs to `storage`: it is found again after
    /// a restart. Of what no fetch uses, at most `max_bytes` are kept.
    ///
    /// # Errors
    /// When the directory cannot be made, is used by another process, or belongs to another user.
    pub(crate) fn open(path: &str, storage: &Path, max_bytes: u64) -> io::Result<Self> {
        let root = if path.is_empty() {
            let name = Algorithm::Sha256.digest(storage.as_os_str().as_encoded_bytes());
            let name = name.hex().get(..12).unwrap_or_default().to_owned();
            let parent = std::env::temp_dir();
            remove_orphans_blocking(&parent);
            let root = parent.join(format!("{PREFIX}{name}"));
            let lock = private::open_blocking(&root)?;
            fs::write(root.join(OWNER), storage.as_os_str().as_encoded_bytes())?;
            return Ok(Self::at(root, max_bytes, lock));
        } else {
            PathBuf::from(path)
        };
        let lock = private::open_blocking(&root)?;
        Ok(Self::at(root, max_bytes, lock))
    }

    fn at(root: PathBuf, max_bytes: u64, lock: File) -> Self {
        Self {
            shared: Arc::new(Shared {
                root,
                max_bytes,
                in_use: Mutex::default(),
                _lock: lock,
            }),
        }
    }

    /// The directory of the repository that the object `namespace/name` uses.
    pub(super) fn entry(&self, namespace: &str, name: &str) -> Entry {
        let path = self.shared.path(namespace, name);
        *self.shared.lock().entry(path.clone()).or_insert(0) += 1;
        Entry {
            shared: Arc::clone(&self.shared),
            path,
        }
    }

    /// Removes the directory of an object that is gone, unless it is in use; then it goes when its turn comes.
    pub(super) fn remove_blocking(&self, namespace: &str, name: &str) {
        let path = self.shared.path(namespace, name);
        self.shared.discard(&path);
    }

    /// Removes directories that are not in use, the one that was used longest ago first, until what is left fits.
    pub(super) fn trim_blocking(&self) {
        let Ok(entries) = fs::read_dir(&self.shared.root) else {
            return;
        };
        let mut found: Vec<(SystemTime, u64, PathBuf)> = entries
            .filter_map(Result::ok)
            .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
            .map(|entry| {
                let (bytes, newest) = measure(&entry.path());
                (newest, bytes, entry.path())
            })
            .collect();
        found.sort();
        let mut total: u64 = found.iter().map(|(_, bytes, _)| bytes).sum();
        for (_, bytes, path) in found {
            if total <= self.shared.max_bytes {
                break;
            }
            if self.shared.discard(&path) {
                total = total.saturating_sub(bytes);
            }
        }
    }
}

impl Shared {
    /// Names by their digest: the two together may be longer than a file's name.
    fn path(&self, namespace: &str, name: &str) -> PathBuf {
        let digest = Algorithm::Sha256.digest(format!("{namespace}/{name}").as_bytes());
        self.root.join(digest.hex())
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<PathBuf, usize>> {
        self.in_use.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Removes a directory unless it is in use. It is moved away first: who wants it next makes a new one.
    fn discard(&self, path: &Path) -> bool {
        let Ok(trash) = tempfile::Builder::new().prefix(TRASH).tempdir_in(&self.root) else {
            return false;
        };
        let in_use = self.lock();
        !in_use.contains_key(path) && fs::rename(path, trash.path().join(TRASH)).is_ok()
    }
}

impl Entry {
    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        let mut in_use = self.shared.lock();
        if let Some(users) = in_use.get_mut(&self.path) {
            *users -= 1;
            if *users == 0 {
                in_use.remove(&self.path);
            }
        }
    }
}

/// Removes directories in `parent` that processes made for storages that are gone. What another process or another user has stays, and what does
/// not say whose it is.
fn remove_orphans_blocking(parent: &Path) {
    let entries = fs::read_dir(parent).into_iter().flatten();
    for entry in entries.filter_map(Result::ok) {
        let is_ours = entry.file_name().to_string_lossy().starts_with(PREFIX);
        let is_directory = entry.file_type().is_ok_and(|kind| kind.is_dir());
        let root = entry.path();
        let Ok(owner) = fs::read(root.join(OWNER)) else {
            continue;
        };
        let storage = Path::new(OsStr::from_bytes(&owner));
        if !is_ours || !is_directory || !storage.is_absolute() || storage.exists() {
            continue;
        }
        // Held until it is gone.
        if let Ok(_lock) = private::open_blocking(&root) {
            tracing::debug!(path = %root.display(), "removing the repositories of a storage that is gone");
            drop(fs::remove_dir_all(&root));
        }
    }
}

/// Bytes in a directory, and when it was last written to.
fn measure(path: &Path) -> (u64, SystemTime) {
    let (mut bytes, mut newest) = (0, SystemTime::UNIX_EPOCH);
    let mut note = |metadata: &Metadata| {
        bytes += metadata.len();
        newest = newest.max(metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH));
    };
    let mut open = vec![path.to_owned()];
    while let Some(directory) = open.pop() {
        let entries = fs::read_dir(&directory)
            .into_iter()
            .flatten()
            .filter_map(Result::ok);
        for entry in entries {
            match entry.metadata() {
                // Links are not followed.
                Ok(metadata) if metadata.is_dir() => open.push(entry.path()),
                Ok(metadata) => note(&metadata),
                Err(_) => {}
            }
        }
    }
    (bytes, newest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn fill(entry: &Entry, bytes: usize, age: u64) {
        let directory = entry.path().join("objects");
        fs::create_dir_all(&directory).unwrap();
        let file = directory.join("pack");
        fs::write(&file, vec![0; bytes]).unwrap();
        let at = SystemTime::now() - Duration::from_secs(age);
        File::options()
            .write(true)
            .open(file)
            .unwrap()
            .set_modified(at)
            .unwrap();
    }

    #[test]
    fn trim_removes_what_was_used_longest_ago_and_is_not_in_use() {
        let root = tempfile::tempdir().unwrap();
        let cache = GitCache::open(root.path().to_str().unwrap(), Path::new("/data"), 100).unwrap();
        let entries = ["oldest", "old", "new"].map(|name| cache.entry("default", name));
        for (entry, age) in entries.iter().zip([300, 200, 100]) {
            fill(entry, 60, age);
        }
        let [oldest, old, new] = entries;
        let [old, new] = [old, new].map(|entry| entry.path().to_owned());
        cache.trim_blocking();
        assert!(oldest.path().exists() && !old.exists() && !new.exists());
        drop(oldest);
        cache.trim_blocking();
        // And the lock.
        assert_eq!(fs::read_dir(root.path()).unwrap().count(), 2);
        cache.remove_blocking("default", "oldest");
        assert_eq!(fs::read_dir(root.path()).unwrap().count(), 1);
    }

    #[test]
    fn directories_of_storages_that_are_gone_are_removed() {
        let parent = tempfile::tempdir().unwrap();
        let make = |name: &str, storage: Option<&Path>| {
            let root = parent.path().join(name);
            let lock = private::open_blocking(&root).unwrap();
            fs::create_dir(root.join("repository")).unwrap();
            if let Some(storage) = storage {
                fs::write(root.join(OWNER), storage.as_os_str().as_encoded_bytes()).unwrap();
            }
            lock
        };
        let (gone, here) = (Path::new("/no/such/storage"), parent.path());
        drop(make("source-controller-git-gone", Some(gone)));
        drop(make("source-controller-git-here", Some(here)));
        drop(make("source-controller-git-unknown", None));
        drop(make("source-controller-git-relative", Some(Path::new("storage"))));
        drop(make("other", Some(gone)));
        let _used = make("source-controller-git-used", Some(gone));
        remove_orphans_blocking(parent.path());
        let mut left: Vec<_> = fs::read_dir(parent.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        left.sort();
        let expected = ["other", "source-controller-git-here"];
        assert_eq!(left[..2], expected);
        assert_eq!(left.len(), 5, "{left:?}");
        assert!(!left.contains(&"source-controller-git-gone".to_owned()));
    }

    #[test]
    fn open_without_a_path_depends_on_the_storage() {
        let root = |storage: &str| {
            let cache = GitCache::open("", Path::new(storage), 0).unwrap();
            let root = cache.shared.root.clone();
            fs::remove_dir_all(&root).unwrap();
            root
        };
        assert_eq!(root("/no/such/a"), root("/no/such/a"));
        assert_ne!(root("/no/such/a"), root("/no/such/b"));
    }
}
