//! The watches that feed the index, and what is made of their events.

use std::collections::HashSet;
use std::sync::{Arc, Weak};
use std::time::Duration;

use futures::StreamExt;
use jiff::Timestamp;
use kube::api::{ApiResource, DynamicObject, TypeMeta};
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, Client};
use tokio::sync::watch;

use super::state::{Progress, key};
use super::{Shared, drift_of};
use crate::object::ObjectId;
use crate::observe::{id_of, observe};

/// Objects fetched at once when a watch starts; bounds what is in memory before it is reduced.
const PAGE: u32 = 100;
/// How long to pause after a watch failed, at first and at most.
const PAUSE: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(30));

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
            let bodies = kind.bodies;
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
            let settled = entry
                .applied
                .is_none_or(|applied| applied.result == seen.fingerprint());
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
            let known = entry.seen.is_some();
            let drift = if entry.writing || !known || entry.applied.is_none() {
                None
            } else {
                drift_of(id, entry, true)
            };
            entry.seen = None;
            entry.body = None;
            entry.applied = None;
            entry.notify();
            state.forget_if_idle(id);
            drift
        };
        self.announce(drift);
    }

    /// After a new list: what it did not have is gone.
    pub(super) fn keep_only(&self, resource: &ApiResource, listed: &HashSet<String>) {
        let missing: Vec<ObjectId> = {
            let state = self.state();
            let Some(kind) = state.kind(&resource.group, &resource.kind) else {
                return;
            };
            let missing = kind.entries.iter().filter(|(key, entry)| {
                let other_version = entry
                    .version
                    .as_deref()
                    .is_some_and(|version| version != resource.version);
                !listed.contains(*key) && entry.seen.is_some() && !entry.writing && !other_version
            });
            let id = |key: &String| {
                let (namespace, name) = key.split_once('/')?;
                let (group, kind) = (resource.group.clone(), resource.kind.clone());
                Some(ObjectId {
                    group,
                    kind,
                    namespace: namespace.to_owned(),
                    name: name.to_owned(),
                })
            };
            missing.filter_map(|(key, _)| id(key)).collect()
        };
        for id in missing {
            self.gone(&id, 0);
        }
    }
}

/// Watches our objects of one kind, in one version, until the index is dropped.
pub(super) async fn follow(
    shared: Weak<Shared>,
    client: Client,
    resource: ApiResource,
    progress: watch::Sender<Progress>,
) {
    let selector = match shared.upgrade() {
        Some(shared) => shared.ownership.key("name"),
        None => return,
    };
    let api: Api<DynamicObject> = Api::all_with(client, &resource);
    let config = watcher::Config::default().labels(&selector).page_size(PAGE);
    let mut events = watcher(api, config).boxed();
    let mut seen: HashSet<String> = HashSet::new();
    let mut pause = PAUSE.0;
    while let Some(event) = events.next().await {
        let Some(shared) = shared.upgrade() else { return };
        match event {
            Ok(Event::Init) => seen.clear(),
            Ok(Event::InitApply(object)) => {
                seen.insert(shared.show(&resource, object));
            }
            Ok(Event::InitDone) => {
                shared.keep_only(&resource, &std::mem::take(&mut seen));
                progress.send_replace(Progress::Synced);
                pause = PAUSE.0;
            }
            Ok(Event::Apply(object)) => {
                shared.show(&resource, object);
            }
            Ok(Event::Delete(object)) => {
                let version = crate::observe::version_of(&object);
                shared.gone(&id_of(&resource.group, &resource.kind, &object), version);
            }
            Err(error) => {
                tracing::debug!(%error, kind = resource.kind, "cannot watch managed objects");
                drop(shared);
                // Once complete, the index stays good enough: what is missed now comes with the next list.
                progress.send_if_modified(|progress| {
                    let first = *progress == Progress::Starting;
                    if first {
                        *progress = Progress::Failing;
                    }
                    first
                });
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(PAUSE.1);
            }
        }
    }
}
