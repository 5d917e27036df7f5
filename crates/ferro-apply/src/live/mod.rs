//! The live index: what the cluster holds of our objects, followed by one watch a kind and version.
//!
//! Objects are reduced on arrival ([`crate::observe`]), so that the index costs a few hundred bytes an object whatever the
//! objects weigh. It answers three questions without a request: is the object as we left it, how ready is it, and, as a
//! stream, which objects have drifted.
//!
//! An object is looked at in the version through which it is applied: the fields that are ours are recorded in that
//! version, and another one would show them under other names.

mod state;
mod watch;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ferro_kstatus::Health;
use kube::{Api, Client};
use serde_json::Value;
use tokio::sync::{Notify, mpsc};

use self::state::{Applied, Entry, Progress, State, key};
use self::watch::follow;
use crate::mapper::Mapping;
use crate::object::ObjectId;
use crate::observe::{Observation, Owner, Ownership};

/// How long to wait for the first list of a kind before going on without it.
const SYNC_TIMEOUT: Duration = Duration::from_secs(15);

/// How an object was left by an apply.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Left<'a> {
    /// Whose it is.
    pub(crate) owner: &'a Owner,
    /// Fingerprint of what was asked for.
    pub(crate) desired: u64,
    /// Whether it was to be created only.
    pub(crate) once: bool,
}

/// An object is no longer as we left it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Drift {
    /// Which object.
    pub object: ObjectId,
    /// Whose it is.
    pub owner: Owner,
    /// Whether it is gone, rather than changed.
    pub deleted: bool,
    /// Who wrote last, other than us, if known.
    pub writer: Option<String>,
}

struct Shared {
    client: Client,
    ownership: Ownership,
    /// The only namespace in which objects may be listed, where rights end at it.
    namespace: Option<String>,
    state: Mutex<State>,
    drifts: mpsc::UnboundedSender<Drift>,
}

/// See the module's documentation. Cheap to clone. The watches end with the last clone.
#[derive(Clone)]
pub struct LiveIndex {
    shared: Arc<Shared>,
}

/// What the index knows of an object.
#[derive(Clone, Debug)]
pub enum Known {
    /// The kind is not followed in this version, so nothing can be said.
    Unknown,
    /// The kind is followed, and none of our objects has this identity; an object without our labels may.
    NotOurs,
    /// It is there, as observed.
    There(Box<Observation>),
}

/// Wakes a task when one of some objects changes.
pub(crate) struct Subscription {
    notify: Arc<Notify>,
    ids: Vec<ObjectId>,
    shared: Arc<Shared>,
}

impl Subscription {
    /// Returns when one of the objects has changed since the last call.
    pub(crate) async fn changed(&self) {
        self.notify.notified().await;
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        let mut state = self.shared.state();
        for id in &self.ids {
            if let Some(entry) = state.find_mut(id) {
                entry
                    .waiters
                    .retain(|waiter| !std::ptr::eq(waiter.as_ptr(), Arc::as_ptr(&self.notify)));
            }
            state.forget_if_idle(id);
        }
    }
}

/// Asks for whole objects of a kind, until it is dropped.
#[must_use]
pub(crate) struct Bodies {
    group: String,
    kind: String,
    shared: Arc<Shared>,
}

impl Drop for Bodies {
    fn drop(&mut self) {
        let mut state = self.shared.state();
        let kind = state.kind_mut(&self.group, &self.kind);
        kind.bodies = kind.bodies.saturating_sub(1);
        if kind.bodies == 0 {
            kind.entries.values_mut().for_each(|entry| entry.body = None);
        }
    }
}

impl LiveIndex {
    /// An empty index, and the stream of drifted objects. With a namespace, only objects in it and those that live in none are followed.
    #[must_use]
    pub fn new(
        client: Client,
        ownership: Ownership,
        namespace: Option<String>,
    ) -> (Self, mpsc::UnboundedReceiver<Drift>) {
        let (drifts, drifted) = mpsc::unbounded_channel();
        (Self::reporting_to(client, ownership, namespace, drifts), drifted)
    }

    /// As [`LiveIndex::new`], with a stream that is there already, for several clusters.
    #[must_use]
    pub fn reporting_to(
        client: Client,
        ownership: Ownership,
        namespace: Option<String>,
        drifts: mpsc::UnboundedSender<Drift>,
    ) -> Self {
        let shared = Shared {
            client,
            ownership,
            namespace,
            state: Mutex::default(),
            drifts,
        };
        Self {
            shared: Arc::new(shared),
        }
    }

    /// Whose objects these are.
    #[must_use]
    pub fn ownership(&self) -> &Ownership {
        &self.shared.ownership
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.shared.state()
    }

    /// Follows a kind in the version of `mapping`, if it is not followed yet, and waits for its first list. False if that does not
    /// come, for instance because it is forbidden: the index then knows nothing of the kind, and says so.
    pub async fn follow(&self, mapping: &Mapping) -> bool {
        let mut progress = self.start(mapping);
        let decided = |progress: &Progress| *progress != Progress::Starting;
        let decided = tokio::time::timeout(SYNC_TIMEOUT, progress.wait_for(decided)).await;
        decided.is_ok_and(|progress| progress.is_ok_and(|progress| *progress == Progress::Synced))
    }

    fn start(&self, mapping: &Mapping) -> tokio::sync::watch::Receiver<Progress> {
        let resource = &mapping.resource;
        let mut state = self.state();
        let watches = &mut state.kind_mut(&resource.group, &resource.kind).watches;
        if let Some(progress) = watches.get(&resource.version) {
            return progress.clone();
        }
        let (report, progress) = tokio::sync::watch::channel(Progress::Starting);
        let client = self.shared.client.clone();
        let api = match self.shared.namespace.as_deref().filter(|_| mapping.namespaced) {
            Some(namespace) => Api::namespaced_with(client, namespace, resource),
            None => Api::all_with(client, resource),
        };
        tokio::spawn(follow(
            Arc::downgrade(&self.shared),
            api,
            resource.clone(),
            report,
        ));
        watches.insert(resource.version.clone(), progress.clone());
        progress
    }

    /// What is known of an object, looked at in `version`.
    #[must_use]
    pub fn get(&self, id: &ObjectId, version: &str) -> Known {
        let state = self.state();
        let kind = state.kind(&id.group, &id.kind);
        let Some(kind) = kind.filter(|kind| kind.is_followed(version) && self.shared.covers(id)) else {
            return Known::Unknown;
        };
        let Some(entry) = kind.entries.get(&key(id)) else {
            return Known::NotOurs;
        };
        let other_version = entry.version.as_deref().is_some_and(|known| known != version);
        match &entry.seen {
            None => Known::NotOurs,
            Some(_) if other_version || entry.unsure => Known::Unknown,
            Some(seen) => Known::There(Box::new(seen.clone())),
        }
    }

    /// Whether the object is known to be as an apply of `desired` left it.
    #[must_use]
    pub fn is_settled(&self, id: &ObjectId, desired: u64) -> bool {
        self.as_left(id).is_some_and(|applied| applied.desired == desired)
    }

    /// Whether the object is known to be as the last apply left it, whatever that was, and that it was one for `owner`.
    #[must_use]
    pub fn is_untouched(&self, id: &ObjectId, owner: &Owner) -> bool {
        let state = self.state();
        let is_owner = state
            .entry(id)
            .is_some_and(|entry| entry.owner.as_ref() == Some(owner));
        is_owner && self.shared.as_left(&state, id).is_some()
    }

    fn as_left(&self, id: &ObjectId) -> Option<Applied> {
        self.shared.as_left(&self.state(), id)
    }

    /// Announces a write of ours, so that its echo in the watch is not taken for drift.
    pub(crate) fn writing(&self, id: &ObjectId, owner: &Owner) {
        let mut state = self.state();
        let entry = state.entry_mut(id);
        entry.writing = true;
        entry.owner = Some(owner.clone());
    }

    /// Ends a write that failed.
    pub(crate) fn not_written(&self, id: &ObjectId) {
        let mut state = self.state();
        if let Some(entry) = state.find_mut(id) {
            entry.writing = false;
        }
        state.forget_if_idle(id);
    }

    /// Ends a write through `version`: `written` is what the server answered, `body` the whole of it. If the watch has meanwhile shown
    /// something newer and different, that is drift.
    pub(crate) fn written(
        &self,
        id: &ObjectId,
        version: &str,
        left: Left<'_>,
        written: Observation,
        body: Value,
    ) {
        let drift = {
            let mut state = self.state();
            let kind = state.kind_mut(&id.group, &id.kind);
            let (key, bodies) = (key(id), kind.bodies > 0);
            kind.note_written(&key);
            let entry = kind.entries.entry(key).or_default();
            entry.writing = false;
            entry.unsure = false;
            entry.leave(left, &written);
            let same_version = entry.applied_through(version);
            match &entry.seen {
                Some(seen) if seen.version > written.version && same_version => (!seen.same_state(&written))
                    .then(|| drift_of(id, entry, false))
                    .flatten(),
                _ => {
                    entry.seen = Some(written);
                    entry.body = bodies.then(|| Arc::new(body));
                    entry.notify();
                    None
                }
            }
        };
        self.shared.announce(drift);
    }

    /// Records that the object as last seen through `version` is what an apply of `desired` would leave.
    pub(crate) fn accept(&self, id: &ObjectId, version: &str, left: Left<'_>, seen: &Observation) {
        let drift = {
            let mut state = self.state();
            let kind = state.kind_mut(&id.group, &id.kind);
            let key = key(id);
            kind.note_written(&key);
            let entry = kind.entries.entry(key).or_default();
            entry.unsure = false;
            entry.leave(left, seen);
            let same_version = entry.applied_through(version);
            match &entry.seen {
                Some(known) if same_version && known.version > seen.version => (!known.same_state(seen))
                    .then(|| drift_of(id, entry, false))
                    .flatten(),
                _ => {
                    entry.seen = Some(seen.clone());
                    entry.notify();
                    None
                }
            }
        };
        self.shared.announce(drift);
    }

    /// Forgets how we left an object: what happens to it from now on is no drift.
    pub fn release(&self, id: &ObjectId) {
        let mut state = self.state();
        if let Some(entry) = state.find_mut(id) {
            entry.applied = None;
            entry.writing = false;
        }
        state.forget_if_idle(id);
    }

    /// Readiness of an object; none if the index does not know the object.
    #[must_use]
    pub fn health(&self, id: &ObjectId) -> Option<Health> {
        let state = self.state();
        state
            .entry(id)
            .and_then(|entry| entry.seen.as_ref())
            .map(|seen| seen.health.clone())
    }

    /// The whole object, if bodies of its kind are kept.
    #[must_use]
    pub fn body(&self, id: &ObjectId) -> Option<Arc<Value>> {
        self.state().entry(id).and_then(|entry| entry.body.clone())
    }

    /// Keeps whole objects of a kind while the answer lives, for expressions that look at them.
    pub(crate) fn keep_bodies(&self, group: &str, kind: &str) -> Bodies {
        self.state().kind_mut(group, kind).bodies += 1;
        Bodies {
            group: group.to_owned(),
            kind: kind.to_owned(),
            shared: Arc::clone(&self.shared),
        }
    }

    /// Adds the whole object, read elsewhere, if the watch has not brought it meanwhile.
    pub(crate) fn add_body(&self, id: &ObjectId, body: Value) {
        if let Some(entry) = self.state().find_mut(id) {
            entry.body.get_or_insert_with(|| Arc::new(body));
        }
    }

    /// Asks to be woken when one of `ids` changes.
    pub(crate) fn subscribe<'a>(&self, ids: impl Iterator<Item = &'a ObjectId>) -> Subscription {
        let notify = Arc::new(Notify::new());
        let ids: Vec<ObjectId> = ids.cloned().collect();
        let mut state = self.state();
        for id in &ids {
            state.entry_mut(id).waiters.push(Arc::downgrade(&notify));
        }
        drop(state);
        Subscription {
            notify,
            ids,
            shared: Arc::clone(&self.shared),
        }
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the watches show objects in the namespace of `id`.
    fn covers(&self, id: &ObjectId) -> bool {
        let namespace = self.namespace.as_deref();
        id.namespace.is_empty() || namespace.is_none_or(|namespace| namespace == id.namespace)
    }

    /// How the object was left, if the watch would have told of anything that happened to it since.
    fn as_left(&self, state: &State, id: &ObjectId) -> Option<Applied> {
        let kind = state.kind(&id.group, &id.kind)?;
        let entry = kind.entries.get(&key(id))?;
        if entry.unsure || !kind.is_followed(entry.version.as_deref()?) || !self.covers(id) {
            return None;
        }
        let (seen, applied) = (entry.seen.as_ref()?, entry.applied?);
        (applied.once || applied.result == seen.fingerprint()).then_some(applied)
    }

    fn announce(&self, drift: Option<Drift>) {
        if let Some(drift) = drift {
            // Fails only when nobody repairs drift.
            let _unheard = self.drifts.send(drift);
        }
    }
}

fn drift_of(object: &ObjectId, entry: &Entry, deleted: bool) -> Option<Drift> {
    let owner = entry.owner.clone()?;
    let writer = entry.seen.as_ref().and_then(|seen| seen.last_writer.clone());
    Some(Drift {
        object: object.clone(),
        owner,
        deleted,
        writer,
    })
}

#[cfg(test)]
mod tests;
