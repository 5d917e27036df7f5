//! The state of all objects of a kind, kept by one watch.

use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use serde_json::Value;
use xtask::api::{self, Api, Change};

/// What is looked at of an object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Entry {
    pub is_ready: bool,
    pub revision: String,
    pub handled: String,
    pub message: String,
    /// The newest revision of a HelmRelease.
    pub release: u64,
}

#[derive(Debug, Default)]
struct Shared {
    entries: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    entries: BTreeMap<String, Entry>,
    last: Option<Instant>,
    failure: Option<String>,
    stopped: bool,
}

/// A watch that runs until this is dropped.
#[derive(Debug)]
pub(super) struct Observer {
    shared: Arc<Shared>,
    watch: Option<JoinHandle<()>>,
}

impl Observer {
    pub(super) fn start(api: Arc<Api>, collection: String) -> Self {
        let shared = Arc::new(Shared::default());
        let theirs = Arc::clone(&shared);
        let watch = Some(thread::spawn(move || {
            let see = |change: Change| {
                theirs.take(&change);
                Ok(None::<()>)
            };
            let alive = || {
                if theirs.lock().stopped {
                    bail!("stopped")
                } else {
                    Ok(())
                }
            };
            let res = api.follow(&collection, Duration::from_secs(24 * 3600), see, alive);
            theirs.lock().failure = res.err().map(|it| format!("{it:#}"));
            theirs.changed.notify_all();
        }));
        Self { shared, watch }
    }

    /// Waits until all is as it should be, and gives the time at which the last change arrived.
    pub(super) fn wait(
        &self,
        limit: Duration,
        mut is_done: impl FnMut(&BTreeMap<String, Entry>) -> bool,
        mut alive: impl FnMut() -> Result<()>,
    ) -> Result<Instant> {
        let end = Instant::now() + limit;
        let mut state = self.shared.lock();
        loop {
            if let Some(failure) = &state.failure {
                bail!("the watch ended: {failure}");
            }
            if is_done(&state.entries) {
                return Ok(state.last.unwrap_or_else(Instant::now));
            }
            if end < Instant::now() {
                let unready = state.entries.iter().filter(|(_, it)| !it.is_ready).take(3);
                let unready: Vec<String> = unready
                    .map(|(name, it)| format!("{name}: {}", it.message))
                    .collect();
                bail!(
                    "not done after {} s; not ready are for example {unready:?}",
                    limit.as_secs()
                );
            }
            alive()?;
            let pulse = Duration::from_millis(250);
            state = self
                .shared
                .changed
                .wait_timeout(state, pulse)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
    }
}

impl Shared {
    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self, change: &Change) {
        let it = &change.object;
        let name = api::text(it, "/metadata/name").to_owned();
        let mut state = self.lock();
        if change.is_deleted {
            state.entries.remove(&name);
        } else {
            let message = api::condition(it, "Ready").map_or("", |it| api::text(it, "/message"));
            let entry = Entry {
                is_ready: api::is_ready(it),
                revision: api::text(it, "/status/lastAppliedRevision").to_owned(),
                handled: api::text(it, "/status/lastHandledReconcileAt").to_owned(),
                message: message.to_owned(),
                release: it
                    .pointer("/status/history/0/version")
                    .and_then(Value::as_u64)
                    .unwrap_or_default(),
            };
            state.entries.insert(name, entry);
        }
        state.last = Some(Instant::now());
        self.changed.notify_all();
    }
}

impl Drop for Observer {
    fn drop(&mut self) {
        self.shared.lock().stopped = true;
        if let Some(watch) = self.watch.take() {
            drop(watch.join());
        }
    }
}

/// A value of an object at each change, sent to whoever waits for it.
pub(super) fn watch_value(
    api: &Api,
    collection: &str,
    limit: Duration,
    mut is_it: impl FnMut(&Value) -> bool,
    alive: impl FnMut() -> Result<()>,
) -> Result<Instant> {
    api.follow(
        collection,
        limit,
        |change| Ok((!change.is_deleted && is_it(&change.object)).then(Instant::now)),
        alive,
    )
}
