//! Archives of charts that were pulled from registries a moment ago, for the other charts of the same version.
//!
//! One is kept under its digest and the repository that it came from, and given only to who has just been told by that repository,
//! with credentials of his own, that the digest is that of the chart. So nobody gets here what the registry would not give him:
//! not by knowing a digest, nor by a registry of his own whose manifests name it.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use ferro_oci::{Digest, Repository};
use tokio::time::Instant;

/// How long an archive is kept that nobody asks for.
const IDLE: Duration = Duration::from_secs(60);

/// Archives within a bound of memory. Clones share them.
#[derive(Clone)]
pub struct Archives {
    limit: usize,
    kept: Arc<Mutex<Kept>>,
}

#[derive(Default)]
struct Kept {
    entries: HashMap<(Repository, Digest), Entry>,
    bytes: usize,
}

struct Entry {
    archive: Bytes,
    used: Instant,
}

impl Archives {
    /// Keeps so many bytes at most; one archive may take half of them.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self {
            limit,
            kept: Arc::default(),
        }
    }

    /// The archive that `repository` says has this digest.
    pub(crate) fn get(&self, repository: &Repository, digest: &Digest) -> Option<Bytes> {
        let now = Instant::now();
        let mut kept = self.lock();
        kept.expire(now);
        let entry = kept.entries.get_mut(&(repository.clone(), digest.clone()))?;
        entry.used = now;
        Some(entry.archive.clone())
    }

    /// Keeps an archive, and lets go of those that were asked for longest ago until all fit.
    pub(crate) fn keep(&self, repository: &Repository, digest: &Digest, archive: Bytes) {
        let now = Instant::now();
        let mut kept = self.lock();
        kept.expire(now);
        if archive.len() > self.limit / 2 {
            return;
        }
        let key = (repository.clone(), digest.clone());
        kept.remove(&key);
        kept.bytes += archive.len();
        kept.entries.insert(key, Entry { archive, used: now });
        while kept.bytes > self.limit {
            let oldest = kept.entries.iter().min_by_key(|(_, entry)| entry.used);
            let Some(oldest) = oldest.map(|(key, _)| key.clone()) else {
                return;
            };
            kept.remove(&oldest);
        }
    }

    /// A panic while they were locked leaves them as they were.
    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    fn expire(&mut self, now: Instant) {
        self.entries
            .retain(|_, entry| now.duration_since(entry.used) < IDLE);
        self.bytes = self.entries.values().map(|entry| entry.archive.len()).sum();
    }

    fn remove(&mut self, key: &(Repository, Digest)) {
        if let Some(entry) = self.entries.remove(key) {
            self.bytes -= entry.archive.len();
        }
    }
}

impl fmt::Debug for Archives {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Archives")
            .field("limit", &self.limit)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn repository(name: &str) -> Repository {
        Repository::parse(name, false).unwrap()
    }

    fn archive(byte: u8, size: usize) -> (Digest, Bytes) {
        let bytes = Bytes::from(vec![byte; size]);
        (Digest::of(&bytes), bytes)
    }

    #[tokio::test(start_paused = true)]
    async fn archive_is_given_for_its_repository_only_and_for_a_while() {
        let (archives, app) = (Archives::new(100), repository("example.com/charts/app"));
        let (digest, bytes) = archive(1, 10);
        archives.keep(&app, &digest, bytes.clone());
        assert_eq!(archives.get(&app, &digest), Some(bytes));
        for other in ["example.com/charts/other", "evil.example.com/charts/app"] {
            assert_eq!(archives.get(&repository(other), &digest), None, "{other}");
        }
        let insecure = Repository::parse("example.com/charts/app", true).unwrap();
        assert_eq!(archives.get(&insecure, &digest), None);
        tokio::time::advance(IDLE).await;
        assert_eq!(archives.get(&app, &digest), None);
        assert_eq!(archives.lock().bytes, 0);
    }

    #[tokio::test(start_paused = true)]
    async fn archives_take_no_more_than_they_may() {
        let (archives, app) = (Archives::new(100), repository("example.com/charts/app"));
        let many: Vec<_> = (0..4).map(|byte| archive(byte, 40)).collect();
        for (digest, bytes) in &many[..2] {
            archives.keep(&app, digest, bytes.clone());
            tokio::time::advance(Duration::from_secs(1)).await;
        }
        assert!(archives.get(&app, &many[0].0).is_some());
        tokio::time::advance(Duration::from_secs(1)).await;
        archives.keep(&app, &many[2].0, many[2].1.clone());
        assert!(archives.get(&app, &many[1].0).is_none());
        assert!(archives.get(&app, &many[0].0).is_some() && archives.get(&app, &many[2].0).is_some());
        assert_eq!(archives.lock().bytes, 80);
        let (digest, large) = archive(9, 51);
        archives.keep(&app, &digest, large);
        assert!(archives.get(&app, &digest).is_none());
        // The same once more takes no more room.
        archives.keep(&app, &many[0].0, many[0].1.clone());
        assert_eq!(archives.lock().bytes, 80);
    }
}
