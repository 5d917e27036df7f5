//! What the index holds: objects by kind, namespace and name.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Weak};

use serde_json::Value;
use tokio::sync::{Notify, watch};

use super::Left;
use crate::object::ObjectId;
use crate::observe::{Observation, Owner};

/// How we left an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Applied {
    /// What was asked for.
    pub(super) desired: u64,
    /// What came of it: [`Observation::fingerprint`].
    pub(super) result: u64,
    /// It was to be created only: whoever changes it may.
    pub(super) once: bool,
}

#[derive(Debug, Default)]
pub(super) struct Entry {
    pub(super) seen: Option<Observation>,
    pub(super) applied: Option<Applied>,
    pub(super) owner: Option<Owner>,
    /// The version through which we apply it.
    pub(super) version: Option<Arc<str>>,
    /// We are writing it now: what the watch shows meanwhile is our doing.
    pub(super) writing: bool,
    /// A list taken while we wrote it did not have it: it is gone, or newer than the list.
    pub(super) unsure: bool,
    pub(super) body: Option<Arc<Value>>,
    /// Who is waiting for it.
    pub(super) waiters: Vec<Weak<Notify>>,
}

impl Entry {
    pub(super) fn notify(&mut self) {
        self.waiters.retain(|waiter| {
            let waiter = waiter.upgrade();
            if let Some(waiter) = &waiter {
                waiter.notify_one();
            }
            waiter.is_some()
        });
    }

    /// Notes how an apply left the object, as `result` shows it.
    pub(super) fn leave(&mut self, left: Left<'_>, result: &Observation) {
        self.owner = Some(left.owner.clone());
        self.applied = Some(Applied {
            desired: left.desired,
            result: result.fingerprint(),
            once: left.once,
        });
    }

    /// Notes that the object is applied through `version`. False if what was seen of it came through another.
    pub(super) fn applied_through(&mut self, version: &str) -> bool {
        let known = self.version.as_deref();
        if known == Some(version) {
            return true;
        }
        let first = known.is_none();
        self.version = Some(version.into());
        first
    }

    /// Nothing is known of the object, and nobody asks for it.
    pub(super) fn is_idle(&self) -> bool {
        self.seen.is_none() && self.applied.is_none() && !self.writing && self.waiters.is_empty()
    }
}

/// How far the watch of a kind and version is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Progress {
    Starting,
    /// A list is complete, and what happens since then arrives.
    Synced,
    /// It does not work, and is tried again. What it brought earlier is no longer to be relied on.
    Failing,
}

#[derive(Debug, Default)]
pub(super) struct Kind {
    /// Watches, by version.
    pub(super) watches: HashMap<String, watch::Receiver<Progress>>,
    /// Objects, by namespace and name.
    pub(super) entries: HashMap<String, Entry>,
    /// How many ask for whole objects.
    pub(super) bodies: usize,
    /// Objects written while a list is taken, which may be too new to be in it; by the version of the list.
    pub(super) listing: HashMap<String, HashSet<String>>,
}

impl Kind {
    /// Whether the watch in `version` shows what happens now.
    pub(super) fn is_followed(&self, version: &str) -> bool {
        self.watches
            .get(version)
            .is_some_and(|progress| *progress.borrow() == Progress::Synced)
    }

    /// Notes that an object was written, for the lists that are being taken.
    pub(super) fn note_written(&mut self, key: &str) {
        for written in self.listing.values_mut() {
            written.insert(key.to_owned());
        }
    }
}

/// Kinds by group and name.
#[derive(Debug, Default)]
pub(super) struct State(HashMap<String, HashMap<String, Kind>>);

impl State {
    pub(super) fn kind(&self, group: &str, kind: &str) -> Option<&Kind> {
        self.0.get(group)?.get(kind)
    }

    pub(super) fn kind_mut(&mut self, group: &str, kind: &str) -> &mut Kind {
        let kinds = self.0.entry(group.to_owned()).or_default();
        kinds.entry(kind.to_owned()).or_default()
    }

    pub(super) fn entry(&self, id: &ObjectId) -> Option<&Entry> {
        self.kind(&id.group, &id.kind)?.entries.get(&key(id))
    }

    pub(super) fn find_mut(&mut self, id: &ObjectId) -> Option<&mut Entry> {
        self.0
            .get_mut(&id.group)?
            .get_mut(&id.kind)?
            .entries
            .get_mut(&key(id))
    }

    pub(super) fn entry_mut(&mut self, id: &ObjectId) -> &mut Entry {
        self.kind_mut(&id.group, &id.kind)
            .entries
            .entry(key(id))
            .or_default()
    }

    pub(super) fn forget_if_idle(&mut self, id: &ObjectId) {
        if self.entry(id).is_some_and(Entry::is_idle) {
            self.kind_mut(&id.group, &id.kind).entries.remove(&key(id));
        }
    }
}

pub(super) fn key(id: &ObjectId) -> String {
    format!("{}/{}", id.namespace, id.name)
}
