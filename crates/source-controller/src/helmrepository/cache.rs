//! Where the charts of indexes are, kept in memory as `--helm-cache-*` say.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use ferro_helmrepo::index::Table;

/// Nothing more is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("Cache is full")]
pub(crate) struct Full;

/// Tables of indexes by the paths of their artifacts. Clones share them.
#[derive(Clone, Debug)]
pub(crate) struct IndexCache {
    max: usize,
    ttl: Duration,
    purge_interval: Duration,
    state: Arc<Mutex<State>>,
}

#[derive(Debug)]
struct State {
    entries: HashMap<String, (Arc<Table>, Instant)>,
    purged: Instant,
}

impl IndexCache {
    /// A cache of `max` tables at most; none are kept if that is zero.
    pub(crate) fn new(max: usize, ttl: Duration, purge_interval: Duration) -> Self {
        Self {
            max,
            ttl,
            purge_interval,
            state: Arc::new(Mutex::new(State {
                entries: HashMap::new(),
                purged: Instant::now(),
            })),
        }
    }

    pub(crate) const fn is_on(&self) -> bool {
        self.max > 0
    }

    /// The table of the index at `path`, which is kept for longer then.
    pub(crate) fn get(&self, path: &str, now: Instant) -> Option<Arc<Table>> {
        let mut state = self.lock(now);
        let (table, expires) = state.entries.get_mut(path)?;
        if *expires <= now {
            return None;
        }
        *expires = now + self.ttl;
        Some(Arc::clone(table))
    }

    /// Keeps a table.
    ///
    /// # Errors
    /// When there are as many as there may be.
    pub(crate) fn set(&self, path: &str, table: Arc<Table>, now: Instant) -> Result<(), Full> {
        if !self.is_on() {
            return Ok(());
        }
        let mut state = self.lock(now);
        if state.entries.len() >= self.max && !state.entries.contains_key(path) {
            return Err(Full);
        }
        state.entries.insert(path.to_owned(), (table, now + self.ttl));
        Ok(())
    }

    /// Forgets the table of an index that is gone.
    pub(crate) fn forget(&self, path: &str) {
        self.lock(Instant::now()).entries.remove(path);
    }

    /// The state, without what has expired when the time for that has come.
    fn lock(&self, now: Instant) -> MutexGuard<'_, State> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if now.saturating_duration_since(state.purged) >= self.purge_interval {
            state.entries.retain(|_, (_, expires)| *expires > now);
            state.purged = now;
        }
        state
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cache_keeps_what_is_asked_for_and_refuses_more_than_it_may_hold() {
        let second = Duration::from_secs(1);
        let cache = IndexCache::new(1, 10 * second, 60 * second);
        let (start, table) = (Instant::now(), Arc::new(Table::default()));
        assert_eq!(cache.set("a", Arc::clone(&table), start), Ok(()));
        assert_eq!(cache.set("b", Arc::clone(&table), start), Err(Full));
        assert!(cache.get("a", start + 9 * second).is_some());
        assert!(cache.get("a", start + 18 * second).is_some());
        assert!(cache.get("a", start + 29 * second).is_none());
        // What has expired takes a place until it is purged, as upstream.
        assert_eq!(cache.set("b", Arc::clone(&table), start + 30 * second), Err(Full));
        assert_eq!(cache.set("b", Arc::clone(&table), start + 61 * second), Ok(()));
        cache.forget("b");
        assert!(cache.get("b", start + 61 * second).is_none());
        let off = IndexCache::new(0, second, second);
        assert_eq!(off.set("a", table, start), Ok(()));
        assert!(off.get("a", start).is_none());
    }
}
