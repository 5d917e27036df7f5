//! The live index: what the cluster holds of our objects, followed by one watch a kind and version.
//!
//! Objects are reduced on arrival ([`crate::observe`]), so that the index costs a few hundred bytes an object whatever the
//! objects weigh. It answers three questions without a request: is the object as we left it, how ready is it, and, as a
//! stream, which objects have drifted.
//!
//! An object is looked at in the version through which it is applied: the fields that are ours are recorded in that
//! version, and another one would show them under other names.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use ferro_kstatus::Health;
use futures::StreamExt;
use jiff::Timestamp;
use kube::api::{ApiResource, DynamicObject, TypeMeta};
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, Client};
use serde_json::Value;
use tokio::sync::{Notify, mpsc, watch};

use crate::object::ObjectId;
use crate::observe::{Observation, Owner, Ownership, id_of, observe};

/// Objects fetched at once when a watch starts; bounds what is in memory before it is reduced.
const PAGE: u32 = 100;
/// How long to wait for the first list of a kind before going on without it.
const SYNC_TIMEOUT: Duration = Duration::from_secs(15);
/// How long to pause after a watch failed, at first and at most.
const PAUSE: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(30));

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

/// How we left an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Applied {
    /// What was asked for.
    desired: u64,
    /// What came of it: [`Observation::fingerprint`].
    result: u64,
}

#[derive(Debug, Default)]
struct Entry {
    seen: Option<Observation>,
    applied: Option<Applied>,
    owner: Option<Owner>,
    /// The version through which we apply it.
    version: Option<Arc<str>>,
    /// We are writing it now: what the watch shows meanwhile is our doing.
    writing: bool,
    body: Option<Arc<Value>>,
    /// Who is waiting for it.
    waiters: Vec<Weak<Notify>>,
}

impl Entry {
    fn notify(&mut self) {
        self.waiters.retain(|waiter| {
            let waiter = waiter.upgrade();
            if let Some(waiter) = &waiter {
                waiter.notify_one();
            }
            waiter.is_some()
        });
    }

    /// Notes that the object is applied through `version`. False if what was seen of it came through another.
    fn applied_through(&mut self, version: &str) -> bool {
        let known = self.version.as_deref();
        if known == Some(version) {
            return true;
        }
        let first = known.is_none();
        self.version = Some(version.into());
        first
    }

    /// Nothing is known of the object, and nobody asks for it.
    fn is_idle(&self) -> bool {
        self.seen.is_none() && self.applied.is_none() && !self.writing && self.waiters.is_empty()
    }
}

/// How far the watch of a kind and version is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Progress {
    Starting,
    /// The first list is complete.
    Synced,
    /// It failed before that, and is tried again.
    Failing,
}

#[derive(Debug, Default)]
struct Kind {
    /// Watches, by version.
    watches: HashMap<String, watch::Receiver<Progress>>,
    /// Objects, by namespace and name.
    entries: HashMap<String, Entry>,
    bodies: bool,
}

/// Kinds by group and name.
#[derive(Debug, Default)]
struct State(HashMap<String, HashMap<String, Kind>>);

impl State {
    fn kind(&self, group: &str, kind: &str) -> Option<&Kind> {
        self.0.get(group)?.get(kind)
    }

    fn kind_mut(&mut self, group: &str, kind: &str) -> &mut Kind {
        let kinds = self.0.entry(group.to_owned()).or_default();
        kinds.entry(kind.to_owned()).or_default()
    }

    fn entry(&self, id: &ObjectId) -> Option<&Entry> {
        self.kind(&id.group, &id.kind)?.entries.get(&key(id))
    }

    fn find_mut(&mut self, id: &ObjectId) -> Option<&mut Entry> {
        self.0
            .get_mut(&id.group)?
            .get_mut(&id.kind)?
            .entries
            .get_mut(&key(id))
    }

    fn entry_mut(&mut self, id: &ObjectId) -> &mut Entry {
        self.kind_mut(&id.group, &id.kind)
            .entries
            .entry(key(id))
            .or_default()
    }

    fn forget_if_idle(&mut self, id: &ObjectId) {
        if self.entry(id).is_some_and(Entry::is_idle) {
            self.kind_mut(&id.group, &id.kind).entries.remove(&key(id));
        }
    }
}

fn key(id: &ObjectId) -> String {
    format!("{}/{}", id.namespace, id.name)
}

struct Shared {
    client: Client,
    ownership: Ownership,
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

impl LiveIndex {
    /// An empty index, and the stream of drifted objects.
    #[must_use]
    pub fn new(client: Client, ownership: Ownership) -> (Self, mpsc::UnboundedReceiver<Drift>) {
        let (drifts, drifted) = mpsc::unbounded_channel();
        let shared = Shared {
            client,
            ownership,
            state: Mutex::default(),
            drifts,
        };
        (
            Self {
                shared: Arc::new(shared),
            },
            drifted,
        )
    }

    /// Whose objects these are.
    #[must_use]
    pub fn ownership(&self) -> &Ownership {
        &self.shared.ownership
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.shared.state()
    }

    /// Follows the kind of `resource` in its version, if it is not followed yet, and waits for its first list. False if that does not
    /// come, for instance because it is forbidden: the index then knows nothing of the kind, and says so.
    pub async fn follow(&self, resource: &ApiResource) -> bool {
        let mut progress = self.start(resource);
        let decided = |progress: &Progress| *progress != Progress::Starting;
        let decided = tokio::time::timeout(SYNC_TIMEOUT, progress.wait_for(decided)).await;
        decided.is_ok_and(|progress| progress.is_ok_and(|progress| *progress == Progress::Synced))
    }

    fn start(&self, resource: &ApiResource) -> watch::Receiver<Progress> {
        let mut state = self.state();
        let watches = &mut state.kind_mut(&resource.group, &resource.kind).watches;
        if let Some(progress) = watches.get(&resource.version) {
            return progress.clone();
        }
        let (report, progress) = watch::channel(Progress::Starting);
        tokio::spawn(follow(
            Arc::downgrade(&self.shared),
            self.shared.client.clone(),
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
        let Some(kind) = state.kind(&id.group, &id.kind) else {
            return Known::Unknown;
        };
        if !kind
            .watches
            .get(version)
            .is_some_and(|progress| *progress.borrow() == Progress::Synced)
        {
            return Known::Unknown;
        }
        match kind
            .entries
            .get(&key(id))
            .and_then(|entry| Some((entry, entry.seen.as_ref()?)))
        {
            None => Known::NotOurs,
            Some((entry, seen)) if entry.version.as_deref().is_none_or(|known| known == version) => {
                Known::There(Box::new(seen.clone()))
            }
            Some(_) => Known::Unknown,
        }
    }

    /// Whether the object is known to be as an apply of `desired` left it.
    #[must_use]
    pub fn is_settled(&self, id: &ObjectId, desired: u64) -> bool {
        self.as_left(id).is_some_and(|applied| applied.desired == desired)
    }

    /// Whether the object is known to be as we left it, whatever that was.
    #[must_use]
    pub fn is_untouched(&self, id: &ObjectId) -> bool {
        self.as_left(id).is_some()
    }

    fn as_left(&self, id: &ObjectId) -> Option<Applied> {
        let state = self.state();
        let entry = state.entry(id)?;
        let (seen, applied) = (entry.seen.as_ref()?, entry.applied?);
        (applied.result == seen.fingerprint()).then_some(applied)
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
        owner: &Owner,
        desired: u64,
        written: Observation,
        body: Value,
    ) {
        let drift = {
            let mut state = self.state();
            let kind = state.kind_mut(&id.group, &id.kind);
            let bodies = kind.bodies;
            let entry = kind.entries.entry(key(id)).or_default();
            entry.writing = false;
            entry.owner = Some(owner.clone());
            entry.applied = Some(Applied {
                desired,
                result: written.fingerprint(),
            });
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
    pub(crate) fn accept(
        &self,
        id: &ObjectId,
        version: &str,
        owner: &Owner,
        desired: u64,
        seen: &Observation,
    ) {
        let drift = {
            let mut state = self.state();
            let entry = state.entry_mut(id);
            entry.owner = Some(owner.clone());
            entry.applied = Some(Applied {
                desired,
                result: seen.fingerprint(),
            });
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

    /// Keeps whole objects of a kind from now on, for expressions that look at them.
    pub fn keep_bodies(&self, group: &str, kind: &str) {
        self.state().kind_mut(group, kind).bodies = true;
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

    fn announce(&self, drift: Option<Drift>) {
        if let Some(drift) = drift {
            // Fails only when nobody repairs drift.
            let _unheard = self.drifts.send(drift);
        }
    }

    fn show(&self, resource: &ApiResource, mut object: DynamicObject) -> String {
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

    fn gone(&self, id: &ObjectId, version: u64) {
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
    fn keep_only(&self, resource: &ApiResource, listed: &HashSet<String>) {
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

/// Watches our objects of one kind, in one version, until the index is dropped.
async fn follow(
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

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn index() -> (LiveIndex, mpsc::UnboundedReceiver<Drift>) {
        let service = tower::service_fn(|_: http::Request<kube::client::Body>| async {
            Err::<http::Response<kube::client::Body>, _>(std::io::Error::other("no requests expected"))
        });
        let ownership = Ownership {
            group: "kustomize.toolkit.fluxcd.io".into(),
            manager: "us".into(),
            override_managers: Vec::new(),
        };
        LiveIndex::new(Client::new(service, "default"), ownership)
    }

    fn resource() -> ApiResource {
        ApiResource {
            group: String::new(),
            version: "v1".into(),
            api_version: "v1".into(),
            kind: "ConfigMap".into(),
            plural: "configmaps".into(),
        }
    }

    fn config_map(version: &str, value: &str) -> DynamicObject {
        serde_json::from_value(json!({
            "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {
                "name": "a", "namespace": "n", "uid": "u", "resourceVersion": version,
                "managedFields": [{ "manager": "us", "operation": "Apply", "fieldsV1": { "f:data": { "f:k": {} } } }]
            },
            "data": { "k": value }
        }))
        .unwrap()
    }

    fn owner() -> Owner {
        Owner {
            namespace: "flux-system".into(),
            name: "apps".into(),
        }
    }

    fn id() -> ObjectId {
        ObjectId {
            group: String::new(),
            kind: "ConfigMap".into(),
            namespace: "n".into(),
            name: "a".into(),
        }
    }

    fn apply(index: &LiveIndex, version: &str, value: &str) {
        let (seen, body) = observe(
            config_map(version, value),
            index.ownership(),
            Timestamp::UNIX_EPOCH,
        );
        index.written(&id(), "v1", &owner(), 7, seen, body);
    }

    #[tokio::test]
    async fn own_write_is_no_drift_whichever_way_its_echo_comes() {
        let (index, mut drifts) = index();
        index.writing(&id(), &owner());
        index.shared.show(&resource(), config_map("5", "x"));
        apply(&index, "5", "x");
        assert!(index.is_settled(&id(), 7) && !index.is_settled(&id(), 8));
        index.writing(&id(), &owner());
        apply(&index, "6", "y");
        index.shared.show(&resource(), config_map("5", "x"));
        index.shared.show(&resource(), config_map("6", "y"));
        assert!(drifts.try_recv().is_err());
    }

    #[tokio::test]
    async fn foreign_write_and_deletion_are_drift_once() {
        let (index, mut drifts) = index();
        apply(&index, "5", "x");
        index.shared.show(&resource(), config_map("6", "z"));
        index.shared.show(&resource(), config_map("7", "z"));
        let drift = drifts.try_recv().unwrap();
        assert_eq!((drift.object, drift.owner, drift.deleted), (id(), owner(), false));
        assert!(drifts.try_recv().is_err() && !index.is_settled(&id(), 7));
        index.shared.gone(&id(), 8);
        assert!(drifts.try_recv().unwrap().deleted);
    }

    #[tokio::test]
    async fn write_during_ours_is_drift_when_ours_is_answered() {
        let (index, mut drifts) = index();
        index.writing(&id(), &owner());
        index.shared.show(&resource(), config_map("9", "foreign"));
        apply(&index, "8", "ours");
        assert_eq!(drifts.try_recv().unwrap().object, id());
    }

    #[tokio::test]
    async fn released_object_may_go() {
        let (index, mut drifts) = index();
        apply(&index, "5", "x");
        index.release(&id());
        index.shared.gone(&id(), 6);
        assert!(drifts.try_recv().is_err());
    }

    #[tokio::test]
    async fn object_missing_from_a_new_list_is_gone() {
        let (index, mut drifts) = index();
        apply(&index, "5", "x");
        index.shared.keep_only(&resource(), &HashSet::new());
        assert!(drifts.try_recv().unwrap().deleted);
    }
}
