//! Retention of artifacts and removal of what no object owns.

use std::collections::HashSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use super::path::is_component;
use super::{ArtifactPath, LOCK_SUFFIX, Storage, StorageError, TEMP_PREFIX, remove_if_present};

/// How many files of one object a collection looks at.
const MAX_FILES: usize = 1000;

/// An object that may own artifacts.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ObjectKey {
    /// The kind, in lower case.
    pub kind: String,
    /// The namespace.
    pub namespace: String,
    /// The name.
    pub name: String,
}

impl ObjectKey {
    /// The key of an object; the kind is written in lower case.
    pub fn new(kind: &str, namespace: &str, name: &str) -> Self {
        Self {
            kind: kind.to_lowercase(),
            namespace: namespace.to_owned(),
            name: name.to_owned(),
        }
    }
}

/// What a collection removed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Garbage {
    /// The artifacts removed, without their lock files.
    pub removed: Vec<PathBuf>,
}

#[derive(Debug)]
struct Candidate {
    path: PathBuf,
    modified: SystemTime,
    is_temporary: bool,
}

impl Storage {
    /// Removes the object's artifacts that are past retention; `current` always stays.
    ///
    /// A file goes when it is older than the retention time, or, oldest first, while more than the
    /// retention count remain. `now` is a parameter so that the rule can be tested.
    pub fn collect_garbage_blocking(
        &self,
        current: &ArtifactPath,
        now: SystemTime,
        time_limit: Duration,
    ) -> Result<Garbage, StorageError> {
        let started = Instant::now();
        let relative = current.directory();
        let directory = self.base().join(&relative);
        if self.check_plain(&relative).is_err() {
            return Ok(Garbage::default());
        }
        let failed = |action: &'static str| {
            let path = relative.clone();
            move |source| StorageError::Io { action, path, source }
        };
        let mut candidates = candidates(&directory).map_err(failed("list"))?;
        let keep = self.locate(current);
        let options = &self.inner.options;
        let garbage = select(
            &mut candidates,
            &keep,
            now,
            options.retention_ttl,
            options.retention_records,
        );
        let mut removed = Vec::with_capacity(garbage.len());
        for path in garbage {
            if started.elapsed() > time_limit {
                break;
            }
            remove_if_present(&path).map_err(failed("remove garbage in"))?;
            let mut lock = path.clone().into_os_string();
            lock.push(LOCK_SUFFIX);
            remove_if_present(Path::new(&lock)).map_err(failed("remove a lock file in"))?;
            if let Some(sibling) = path
                .file_name()
                .and_then(|name| name.to_str())
                .and_then(|name| current.sibling(name).ok())
            {
                self.verified().remove(&sibling);
            }
            removed.push(path);
        }
        Ok(Garbage { removed })
    }

    /// Removes everything an object has stored; tells whether there was anything.
    pub fn remove_object_blocking(&self, object: &ObjectKey) -> Result<bool, StorageError> {
        // The file's name only completes the path.
        let path = ArtifactPath::new(&object.kind, &object.namespace, &object.name, "-")?;
        let relative = path.directory();
        let directory = self.base().join(&relative);
        self.verified()
            .retain(|path, _| !path.is_of(&object.kind, &object.namespace, &object.name));
        let failed = |source| StorageError::Io {
            action: "remove",
            path: relative.clone(),
            source,
        };
        match fs::symlink_metadata(&directory) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(failed(error)),
            Ok(_) => {
                self.check_plain(&relative)?;
                fs::remove_dir_all(&directory).map_err(failed)?;
                // Only succeeds when it was the namespace's last object.
                drop(directory.parent().map(fs::remove_dir));
                Ok(true)
            }
        }
    }

    /// Removes the directories of objects of `kinds` (lower case) that are not in `live` and have not been
    /// touched for `grace`: objects deleted while no controller ran, or moved to another shard.
    pub fn sweep_blocking(
        &self,
        kinds: &[&str],
        live: &HashSet<ObjectKey>,
        now: SystemTime,
        grace: Duration,
    ) -> Result<Vec<ObjectKey>, StorageError> {
        let mut removed = Vec::new();
        for kind in kinds {
            for namespace in subdirectories(&self.base().join(kind)) {
                for name in subdirectories(&self.base().join(kind).join(&namespace)) {
                    let key = ObjectKey::new(kind, &namespace, &name);
                    let directory = self.base().join(kind).join(&namespace).join(&name);
                    if live.contains(&key) || !is_idle(&directory, now, grace) {
                        continue;
                    }
                    if self.remove_object_blocking(&key)? {
                        removed.push(key);
                    }
                }
            }
        }
        Ok(removed)
    }
}

fn candidates(directory: &Path) -> io::Result<Vec<Candidate>> {
    let mut candidates = Vec::new();
    for entry in fs::read_dir(directory)?.take(MAX_FILES) {
        let entry = entry?;
        // Another collection may be faster.
        let Ok(metadata) = fs::symlink_metadata(entry.path()) else {
            continue;
        };
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if metadata.is_file() && !name.ends_with(LOCK_SUFFIX) {
            let modified = metadata.modified()?;
            let is_temporary = name.starts_with(TEMP_PREFIX);
            candidates.push(Candidate {
                path: entry.path(),
                modified,
                is_temporary,
            });
        }
    }
    Ok(candidates)
}

/// Picks what to remove, see [`Storage::collect_garbage_blocking`].
fn select(
    candidates: &mut [Candidate],
    current: &Path,
    now: SystemTime,
    ttl: Duration,
    records: usize,
) -> Vec<PathBuf> {
    candidates.sort_by(|a, b| (a.modified, &a.path).cmp(&(b.modified, &b.path)));
    let total = candidates
        .iter()
        .filter(|candidate| !candidate.is_temporary)
        .count();
    let is_expired =
        |candidate: &&Candidate| now.duration_since(candidate.modified).is_ok_and(|age| age > ttl);
    let old = candidates
        .iter()
        .filter(|candidate| candidate.path != current)
        .filter(is_expired);
    let mut garbage: Vec<&Candidate> = old.collect();
    let mut count = garbage.iter().filter(|candidate| !candidate.is_temporary).count();
    // Oldest first, until no more than `records` remain; what is still being written does not count.
    for candidate in candidates.iter().filter(|candidate| !candidate.is_temporary) {
        if total - count <= records {
            break;
        }
        if candidate.path != current && !is_expired(&candidate) {
            garbage.push(candidate);
            count += 1;
        }
    }
    garbage
        .into_iter()
        .map(|candidate| candidate.path.clone())
        .collect()
}

fn subdirectories(directory: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(directory) else {
        return Vec::new();
    };
    entries
        .filter_map(Result::ok)
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|name| is_component(name))
        .collect()
}

/// Whether nothing in the directory has changed for `grace`.
fn is_idle(directory: &Path, now: SystemTime, grace: Duration) -> bool {
    let entries = fs::read_dir(directory)
        .into_iter()
        .flatten()
        .filter_map(Result::ok);
    let files = entries.filter_map(|entry| entry.metadata().ok());
    let newest = files
        .chain(fs::metadata(directory))
        .filter_map(|metadata| metadata.modified().ok())
        .max();
    newest.is_none_or(|modified| now.duration_since(modified).is_ok_and(|age| age >= grace))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TTL: Duration = Duration::from_secs(60);

    fn names(files: &[(&str, u64)], current: &str, now: u64) -> Vec<String> {
        let at = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        let mut candidates: Vec<Candidate> = files
            .iter()
            .map(|(name, seconds)| Candidate {
                path: PathBuf::from(name),
                modified: at(*seconds),
                is_temporary: name.starts_with(TEMP_PREFIX),
            })
            .collect();
        let garbage = select(&mut candidates, Path::new(current), at(now), TTL, 2);
        garbage
            .into_iter()
            .map(|path| path.display().to_string())
            .collect()
    }

    #[test]
    fn select_specified_example_holds() {
        assert!(names(&[("a", 0), ("b", 30)], "b", 45).is_empty());
        assert_eq!(names(&[("a", 0), ("b", 30), ("c", 45)], "c", 50), ["a"]);
        assert_eq!(names(&[("b", 30), ("c", 45)], "c", 300), ["b"]);
    }

    #[test]
    fn select_current_artifact_stays_however_old() {
        assert!(names(&[("a", 0)], "a", 10_000).is_empty());
        // The oldest is current: the next ones go instead.
        assert_eq!(
            names(&[("a", 0), ("b", 30), ("c", 31), ("d", 32)], "a", 40),
            ["b", "c"]
        );
    }

    #[test]
    fn select_file_being_written_is_only_removed_by_age() {
        assert!(names(&[("a", 0), (".tmp-1", 1), ("b", 30)], "b", 45).is_empty());
        assert_eq!(names(&[(".tmp-1", 1), ("b", 30)], "b", 100), [".tmp-1"]);
    }
}
