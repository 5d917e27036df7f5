//! The watches that feed the index, and what is made of their events.

use std::collections::HashSet;
use std::sync::{Arc, Weak};
use std::time::Duration;

use futures::StreamExt;
use jiff::Timestamp;
use kube::Api;
use kube::api::{ApiResource, DynamicObject, TypeMeta};
use kube::runtime::watcher::{self, Event, watcher};
use tokio::sync::watch;
use tokio::time::Instant;

use super::state::{Entry, Progress, key};
use super::{Shared, drift_of};
use crate::error::message;
use crate::object::ObjectId;
use crate::observe::{id_of, observe};

/// Objects fetched at once when a watch starts; bounds what is in memory before it is reduced.
const PAGE: u32 = 100;
/// How long to pause after a watch failed, at first and at most.
const PAUSE: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(30));
/// A watch that has failed for so long is no longer relied on.
const BLIND_AFTER: Duration = Duration::from_secs(60);

impl Shared {
    pub(super) fn show(&self, resource: &ApiResource, mut object: DynamicObject) -> String {
        // The items of a list do not say what they are.
        object.types.get_or_insert_with(|| TypeMeta {
            api_version: resource.api_version.clone(),
            kind: resource.kind.clone(),
        });
        let id = id_of(&resource.group, &resource.kind, &object);
        let key = key(&id);
        let (seen, body) = observe(object, &self.ownership, Timestamp::now());
        let drift = {
            let mut state = self.state();
            let kind = state.kind_mut(&resource.group, &resource.kind);
            let bodies = kind.bodies > 0;
            let entry = kind.entries.entry(key.clone()).or_default();
            // Late news, or news in a version through which somebody else looks at it.
            if entry
                .seen
                .as_ref()
                .is_some_and(|known| known.version > seen.version)
                || entry
                    .version
                    .as_deref()
                    .is_some_and(|version| version != resource.version)
            {
                return key;
            }
            entry.unsure = false;
            let settled = entry
                .applied
                .is_none_or(|applied| applied.once || applied.result == seen.fingerprint());
            let news = entry.seen.as_ref().is_none_or(|known| {
                // An object that is no longer frozen is looked at again.
                !known.same_state(&seen) || known.markers.ignore != seen.markers.ignore
            });
            let quiet = settled || !news || entry.writing || seen.markers.ignore;
            entry.seen = Some(seen);
            entry.body = bodies.then(|| Arc::new(body));
            entry.notify();
            if quiet { None } else { drift_of(&id, entry, false) }
        };
        self.announce(drift);
        key
    }

    pub(super) fn gone(&self, id: &ObjectId, version: u64) {
        let drift = {
            let mut state = self.state();
            let Some(entry) = state.find_mut(id) else { return };
            // A deletion that the watch tells late must not hide the object made since.
            if entry
                .seen
                .as_ref()
                .is_some_and(|known| version > 0 && known.version > version)
            {
                return;
            }
            // One that is meant to vanish is made again when its owner's interval is over.
            let expected = entry.seen.as_ref().is_none_or(|known| known.transient);
            let drift = if entry.writing || expected || entry.applied.is_none() {
                None
            } else {
                drift_of(id, entry, true)
            };
            entry.seen = None;
            entry.unsure = false;
            entry.body = None;
            entry.applied = None;
            entry.notify();
            state.forget_if_idle(id);
            drift
        };
        self.announce(drift);
    }

    /// A list begins: what is written from now on may be too new to be in it.
    pub(super) fn list_begins(&self, resource: &ApiResource) {
        let mut state = self.state();
        let kind = state.kind_mut(&resource.group, &resource.kind);
        kind.listing.insert(resource.version.clone(), HashSet::new());
    }

    /// After a new list: what it did not have is gone. Of what was written meanwhile that cannot be said yet.
    pub(super) fn keep_only(&self, resource: &ApiResource, listed: &HashSet<String>) {
        let missing: Vec<ObjectId> = {
            let mut state = self.state();
            let kind = state.kind_mut(&resource.group, &resource.kind);
            let written = kind.listing.remove(&resource.version).unwrap_or_default();
            let mut missing = Vec::new();
            for (key, entry) in &mut kind.entries {
                let other_version = entry
                    .version
                    .as_deref()
                    .is_some_and(|version| version != resource.version);
                if listed.contains(key) || entry.seen.is_none() || entry.writing || other_version {
                    continue;
                }
                if written.contains(key) {
                    entry.unsure = true;
                } else if let Some(id) = id_of_key(resource, key) {
                    missing.push(id);
                }
            }
            missing
        };
        for id in missing {
            self.gone(&id, 0);
        }
    }

    /// The kind is no longer served in this version: nothing is known of its objects any more, and that is nobody's drift.
    fn forget_kind(&self, resource: &ApiResource) {
        let mut state = self.state();
        let kind = state.kind_mut(&resource.group, &resource.kind);
        kind.watches.remove(&resource.version);
        kind.listing.remove(&resource.version);
        for entry in kind.entries.values_mut() {
            if entry
                .version
                .as_deref()
                .is_none_or(|version| version == resource.version)
            {
                (entry.seen, entry.body, entry.applied) = (None, None, None);
                entry.notify();
            }
        }
        kind.entries.retain(|_, entry| !entry.is_idle());
    }

    /// Wakes those who wait for objects of the kind: what the index says of them has ceased to hold.
    fn wake_waiters(&self, resource: &ApiResource) {
        let mut state = self.state();
        let kind = state.kind_mut(&resource.group, &resource.kind);
        kind.entries.values_mut().for_each(Entry::notify);
    }
}

fn id_of_key(resource: &ApiResource, key: &str) -> Option<ObjectId> {
    let (namespace, name) = key.split_once('/')?;
    Some(ObjectId {
        group: resource.group.clone(),
        kind: resource.kind.clone(),
        namespace: namespace.to_owned(),
        name: name.to_owned(),
    })
}

/// Whether the API server does not know the resource.
fn is_not_served(error: &watcher::Error) -> bool {
    use kube::runtime::watcher::Error;
    match error {
        Error::InitialListFailed(kube::Error::Api(status))
        | Error::WatchStartFailed(kube::Error::Api(status)) => status.code == 404,
        _ => false,
    }
}

/// A watch that does not work.
struct Trouble {
    since: Instant,
    last: Instant,
    pause: Duration,
}

impl Trouble {
    /// One more failure. One that comes long after the last is another trouble: the watch worked in between, though nothing happened.
    fn after(earlier: Option<Self>) -> Self {
        let now = Instant::now();
        match earlier.filter(|earlier| earlier.last.elapsed() < earlier.pause + BLIND_AFTER / 2) {
            None => Self {
                since: now,
                last: now,
                pause: PAUSE.0,
            },
            Some(earlier) => Self {
                since: earlier.since,
                last: now,
                pause: (earlier.pause * 2).min(PAUSE.1),
            },
        }
    }
}

/// Watches our objects of one kind, in one version, until the index is dropped or the kind is no longer served.
pub(super) async fn follow(
    shared: Weak<Shared>,
    api: Api<DynamicObject>,
    resource: ApiResource,
    progress: watch::Sender<Progress>,
) {
    let selector = match shared.upgrade() {
        Some(shared) => shared.ownership.key("name"),
        None => return,
    };
    let config = watcher::Config::default().labels(&selector).page_size(PAGE);
    let mut events = watcher(api.clone(), config.clone()).boxed();
    let mut listed: HashSet<String> = HashSet::new();
    let mut trouble: Option<Trouble> = None;
    while let Some(event) = events.next().await {
        let Some(shared) = shared.upgrade() else { return };
        let error = match event {
            Ok(event) => {
                // Each attempt at a list begins so, also those that fail then.
                if !matches!(event, Event::Init) {
                    trouble = None;
                }
                take_in(&shared, &resource, event, &mut listed, &progress);
                continue;
            }
            Err(error) => error,
        };
        if is_not_served(&error) {
            shared.forget_kind(&resource);
            return;
        }
        let earlier = trouble.take();
        let trouble = trouble.insert(Trouble::after(earlier));
        let was = *progress.borrow();
        if was == Progress::Starting || (was == Progress::Synced && trouble.since.elapsed() >= BLIND_AFTER) {
            let (reason, kind) = (message(&error), &resource.kind);
            tracing::info!(
                error = reason,
                kind,
                "cannot watch managed objects; they are read at each reconcile until that works again"
            );
            progress.send_replace(Progress::Failing);
            shared.wake_waiters(&resource);
            // A new list will tell what was missed.
            events = watcher(api.clone(), config.clone()).boxed();
        }
        drop(shared);
        tokio::time::sleep(trouble.pause).await;
    }
}

fn take_in(
    shared: &Shared,
    resource: &ApiResource,
    event: Event<DynamicObject>,
    listed: &mut HashSet<String>,
    progress: &watch::Sender<Progress>,
) {
    match event {
        Event::Init => {
            listed.clear();
            shared.list_begins(resource);
        }
        Event::InitApply(object) => {
            listed.insert(shared.show(resource, object));
        }
        Event::InitDone => {
            shared.keep_only(resource, &std::mem::take(listed));
            progress.send_replace(Progress::Synced);
        }
        Event::Apply(object) => {
            shared.show(resource, object);
        }
        Event::Delete(object) => {
            let version = crate::observe::version_of(&object);
            shared.gone(&id_of(&resource.group, &resource.kind, &object), version);
        }
    }
}
