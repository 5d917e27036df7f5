//! The live index: what the cluster holds of our objects, followed by one watch a kind.
//!
//! Objects are reduced on arrival ([`crate::observe`]), so that the index costs a few hundred bytes an object whatever the
//! objects weigh. It answers three questions without a request: is the object as we left it, how ready is it, and, as a
//! stream, which objects have drifted.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ferro_kstatus::Health;
use futures::StreamExt;
use jiff::Timestamp;
use kube::api::{ApiResource, DynamicObject, TypeMeta};
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, Client, ResourceExt};
use serde_json::Value;
use tokio::sync::{mpsc, watch};

use crate::object::ObjectId;
use crate::observe::{Observation, Owner, Ownership, id_of, observe};

/// Objects fetched at once when a watch starts; bounds what is in memory before it is reduced.
const PAGE: u32 = 100;
/// How long to wait for the first list of a kind before going on without it.
const SYNC_TIMEOUT: Duration = Duration::from_secs(15);

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
    /// We are writing it now: what the watch shows meanwhile is our doing.
    writing: bool,
    body: Option<Arc<Value>>,
}

/// A kind: group and name.
type Kind = (String, String);

#[derive(Debug)]
struct Followed {
    synced: watch::Receiver<bool>,
    bodies: bool,
}

#[derive(Debug, Default)]
struct State {
    entries: HashMap<ObjectId, Entry>,
    kinds: HashMap<Kind, Followed>,
}

struct Shared {
    client: Client,
    ownership: Ownership,
    state: Mutex<State>,
    changed: watch::Sender<u64>,
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
    /// The kind is not followed, so nothing can be said.
    Unknown,
    /// The kind is followed, and none of our objects has this identity; an object without our labels may.
    NotOurs,
    /// It is there, as observed.
    There(Box<Observation>),
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
            changed: watch::channel(0).0,
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
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Follows the kind of `resource`, if it is not followed yet, and waits for its first list. False if that did not come in time, for instance
    /// because it is forbidden: the index then knows nothing of the kind, and says so.
    pub async fn follow(&self, resource: &ApiResource) -> bool {
        let key = (resource.group.clone(), resource.kind.clone());
        let mut synced = {
            let mut state = self.state();
            let followed = state.kinds.entry(key).or_insert_with(|| {
                let (report, synced) = watch::channel(false);
                tokio::spawn(follow(
                    Arc::downgrade(&self.shared),
                    self.shared.client.clone(),
                    resource.clone(),
                    report,
                ));
                Followed {
                    synced,
                    bodies: false,
                }
            });
            followed.synced.clone()
        };
        if *synced.borrow() {
            return true;
        }
        let listed = tokio::time::timeout(SYNC_TIMEOUT, synced.wait_for(|listed| *listed)).await;
        matches!(listed, Ok(Ok(_)))
    }

    /// What is known of an object.
    #[must_use]
    pub fn get(&self, id: &ObjectId) -> Known {
        let state = self.state();
        let followed = state
            .kinds
            .get(&(id.group.clone(), id.kind.clone()))
            .is_some_and(|kind| *kind.synced.borrow());
        match state.entries.get(id).and_then(|entry| entry.seen.as_ref()) {
            _ if !followed => Known::Unknown,
            None => Known::NotOurs,
            Some(seen) => Known::There(Box::new(seen.clone())),
        }
    }

    /// Whether the object is known to be as an apply of `desired` left it.
    #[must_use]
    pub fn is_settled(&self, id: &ObjectId, desired: u64) -> bool {
        let state = self.state();
        let Some(entry) = state.entries.get(id) else {
            return false;
        };
        let (Some(seen), Some(applied)) = (&entry.seen, entry.applied) else {
            return false;
        };
        applied.desired == desired && applied.result == seen.fingerprint()
    }

    /// Whether the object is known to be as we left it, whatever that was.
    #[must_use]
    pub fn is_untouched(&self, id: &ObjectId) -> bool {
        let state = self.state();
        let Some(entry) = state.entries.get(id) else {
            return false;
        };
        matches!((&entry.seen, entry.applied), (Some(seen), Some(applied)) if applied.result == seen.fingerprint())
    }

    /// Announces a write of ours, so that its echo in the watch is not taken for drift.
    pub(crate) fn writing(&self, id: &ObjectId, owner: &Owner) {
        let mut state = self.state();
        let entry = state.entries.entry(id.clone()).or_default();
        entry.writing = true;
        entry.owner = Some(owner.clone());
    }

    /// Ends a write that failed.
    pub(crate) fn not_written(&self, id: &ObjectId) {
        let mut state = self.state();
        if let Some(entry) = state.entries.get_mut(id) {
            entry.writing = false;
            if entry.seen.is_none() {
                state.entries.remove(id);
            }
        }
    }

    /// Ends a write: `written` is what the server answered. If the watch has meanwhile shown something newer and different, that is drift.
    pub(crate) fn written(&self, id: &ObjectId, owner: &Owner, desired: u64, written: Observation) {
        let drift = {
            let mut state = self.state();
            let entry = state.entries.entry(id.clone()).or_default();
            entry.writing = false;
            entry.owner = Some(owner.clone());
            entry.applied = Some(Applied {
                desired,
                result: written.fingerprint(),
            });
            match &entry.seen {
                Some(seen) if seen.version > written.version => (!seen.same_content(&written))
                    .then(|| drift_of(id, entry, false))
                    .flatten(),
                _ => {
                    entry.seen = Some(written);
                    None
                }
            }
        };
        self.shared.announce(drift);
    }

    /// Records that the object as last seen is what an apply of `desired` would leave.
    pub(crate) fn accept(&self, id: &ObjectId, owner: &Owner, desired: u64, seen: &Observation) {
        let mut state = self.state();
        let entry = state.entries.entry(id.clone()).or_default();
        entry.owner = Some(owner.clone());
        entry.applied = Some(Applied {
            desired,
            result: seen.fingerprint(),
        });
        if entry
            .seen
            .as_ref()
            .is_none_or(|known| known.version < seen.version)
        {
            entry.seen = Some(seen.clone());
        }
    }

    /// Forgets how we left an object: what happens to it from now on is no drift.
    pub fn release(&self, id: &ObjectId) {
        let mut state = self.state();
        if let Some(entry) = state.entries.get_mut(id) {
            entry.applied = None;
            entry.writing = false;
        }
    }

    /// Readiness of an object; none if the index does not know the object.
    #[must_use]
    pub fn health(&self, id: &ObjectId) -> Option<Health> {
        self.state()
            .entries
            .get(id)
            .and_then(|entry| entry.seen.as_ref())
            .map(|seen| seen.health.clone())
    }

    /// The whole object, if bodies of its kind are kept.
    #[must_use]
    pub fn body(&self, id: &ObjectId) -> Option<Arc<Value>> {
        self.state().entries.get(id).and_then(|entry| entry.body.clone())
    }

    /// Keeps whole objects of a kind from now on, for expressions that look at them.
    pub fn keep_bodies(&self, group: &str, kind: &str) {
        if let Some(followed) = self.state().kinds.get_mut(&(group.to_owned(), kind.to_owned())) {
            followed.bodies = true;
        }
    }

    /// Adds the whole object, read elsewhere, if the watch has not brought it meanwhile.
    pub(crate) fn add_body(&self, id: &ObjectId, body: Arc<Value>) {
        if let Some(entry) = self.state().entries.get_mut(id) {
            entry.body.get_or_insert(body);
        }
    }

    /// Changes with every change in the index.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.shared.changed.subscribe()
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
        self.changed.send_modify(|count| *count = count.wrapping_add(1));
    }

    fn show(&self, resource: &ApiResource, mut object: DynamicObject) -> ObjectId {
        // The items of a list do not say what they are.
        object.types.get_or_insert_with(|| TypeMeta {
            api_version: resource.api_version.clone(),
            kind: resource.kind.clone(),
        });
        let id = id_of(&resource.group, &resource.kind, &object);
        let (seen, body) = observe(object, &self.ownership, Timestamp::now());
        let drift = {
            let mut state = self.state();
            let bodies = state
                .kinds
                .get(&(resource.group.clone(), resource.kind.clone()))
                .is_some_and(|kind| kind.bodies);
            let entry = state.entries.entry(id.clone()).or_default();
            if entry
                .seen
                .as_ref()
                .is_some_and(|known| known.version > seen.version)
            {
                return id;
            }
            let settled = entry
                .applied
                .is_none_or(|applied| applied.result == seen.fingerprint());
            let news = entry.seen.as_ref().is_none_or(|known| !known.same_content(&seen));
            entry.seen = Some(seen);
            entry.body = bodies.then(|| Arc::new(body));
            if settled || !news || entry.writing {
                None
            } else {
                drift_of(&id, entry, false)
            }
        };
        self.announce(drift);
        id
    }

    fn gone(&self, id: &ObjectId, version: u64) {
        let drift = {
            let mut state = self.state();
            let Some(entry) = state.entries.get_mut(id) else {
                return;
            };
            // A deletion that the watch tells late must not hide the object made since.
            if entry
                .seen
                .as_ref()
                .is_some_and(|known| version > 0 && known.version > version)
            {
                return;
            }
            entry.seen = None;
            entry.body = None;
            let drift = if entry.writing || entry.applied.is_none() {
                None
            } else {
                drift_of(id, entry, true)
            };
            if !entry.writing {
                state.entries.remove(id);
            }
            drift
        };
        self.announce(drift);
    }

    /// After a new list: what it did not have is gone.
    fn keep_only(&self, resource: &ApiResource, listed: &HashSet<ObjectId>) {
        let missing: Vec<ObjectId> = {
            let state = self.state();
            let of_kind = |id: &&ObjectId| id.group == resource.group && id.kind == resource.kind;
            state
                .entries
                .iter()
                .filter(|(id, entry)| {
                    of_kind(id) && !listed.contains(*id) && entry.seen.is_some() && !entry.writing
                })
                .map(|(id, _)| id.clone())
                .collect()
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

/// Watches our objects of one kind until the index is dropped.
async fn follow(
    shared: std::sync::Weak<Shared>,
    client: Client,
    resource: ApiResource,
    listed: watch::Sender<bool>,
) {
    let selector = match shared.upgrade() {
        Some(shared) => shared.ownership.key("name"),
        None => return,
    };
    let api: Api<DynamicObject> = Api::all_with(client, &resource);
    let config = watcher::Config::default().labels(&selector).page_size(PAGE);
    let mut events = watcher(api, config).boxed();
    let mut seen: HashSet<ObjectId> = HashSet::new();
    let mut pause = Duration::from_millis(500);
    while let Some(event) = events.next().await {
        let Some(shared) = shared.upgrade() else { return };
        match event {
            Ok(Event::Init) => seen.clear(),
            Ok(Event::InitApply(object)) => {
                seen.insert(shared.show(&resource, object));
            }
            Ok(Event::InitDone) => {
                shared.keep_only(&resource, &std::mem::take(&mut seen));
                listed.send_replace(true);
                pause = Duration::from_millis(500);
            }
            Ok(Event::Apply(object)) => {
                shared.show(&resource, object);
            }
            Ok(Event::Delete(object)) => {
                let version = object
                    .resource_version()
                    .and_then(|version| version.parse().ok())
                    .unwrap_or(0);
                shared.gone(&id_of(&resource.group, &resource.kind, &object), version);
            }
            Err(error) => {
                tracing::debug!(%error, kind = resource.kind, "cannot watch managed objects");
                drop(shared);
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(Duration::from_secs(30));
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
        let (seen, _) = observe(
            config_map(version, value),
            index.ownership(),
            Timestamp::UNIX_EPOCH,
        );
        index.written(&id(), &owner(), 7, seen);
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
