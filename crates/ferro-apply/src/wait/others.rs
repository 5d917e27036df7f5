//! Following the objects of a wait that the index does not hold: one list and watch for those of a kind and namespace together.
//!
//! A watch for each object would be simpler, but all share one connection to the API server, which takes a hundred streams.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use ferro_kstatus::{Health, HealthExprs, Status};
use futures::StreamExt;
use jiff::Timestamp;
use kube::ResourceExt;
use kube::api::{DynamicObject, TypeMeta};
use kube::runtime::watcher::{self, Event, watcher};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::value_of;
use crate::cluster::Cluster;
use crate::error::message;
use crate::inventory::Entry;
use crate::mapper::Mapping;
use crate::object::ObjectId;

/// How long to pause when objects cannot be watched, at first and at most.
const RETRY: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(10));
/// Objects fetched at once.
const PAGE: u32 = 100;

/// Readiness of objects that the index does not hold.
pub(super) type Others = HashMap<ObjectId, Health>;
pub(super) type Report = Arc<watch::Sender<Others>>;

/// Objects of one kind and namespace.
pub(super) struct Group {
    cluster: Cluster,
    exprs: Arc<HealthExprs>,
    version: String,
    /// By name; never empty.
    wanted: BTreeMap<String, ObjectId>,
}

/// Starts to follow `entries`.
pub(super) fn follow<'a>(
    cluster: &Cluster,
    entries: impl IntoIterator<Item = &'a Entry>,
    exprs: &Arc<HealthExprs>,
    report: &Report,
    tasks: &mut JoinSet<()>,
) {
    let mut groups: BTreeMap<(&str, &str, &str, &str), Group> = BTreeMap::new();
    for entry in entries {
        let id = &entry.id;
        let key = (
            id.group.as_str(),
            id.kind.as_str(),
            entry.version.as_str(),
            id.namespace.as_str(),
        );
        let group = groups.entry(key).or_insert_with(|| Group {
            cluster: cluster.clone(),
            exprs: Arc::clone(exprs),
            version: entry.version.clone(),
            wanted: BTreeMap::new(),
        });
        group.wanted.insert(id.name.clone(), id.clone());
    }
    for group in groups.into_values() {
        tasks.spawn(group.watch(Arc::clone(report)));
    }
}

impl Group {
    /// Reports how ready the objects are, for as long as the task is let run.
    async fn watch(self, report: Report) {
        let Some((name, id)) = self.wanted.first_key_value() else {
            return;
        };
        let mut pause = RETRY.0;
        let mapping = loop {
            match self.cluster.map(id, &self.version).await {
                Ok(mapping) => break mapping,
                // Its kind may yet be defined.
                Err(_) => tokio::time::sleep(pause).await,
            }
        };
        let config = if self.wanted.len() == 1 {
            watcher::Config::default().fields(&format!("metadata.name={name}"))
        } else {
            watcher::Config::default().page_size(PAGE)
        };
        let mut events = watcher(self.cluster.api(&mapping, &id.namespace), config).boxed();
        let mut listed = HashSet::new();
        while let Some(event) = events.next().await {
            match event {
                Ok(Event::Init) => {
                    listed.clear();
                    continue;
                }
                Ok(Event::InitApply(object)) => {
                    listed.insert(object.name_any());
                    self.tell(&report, &object.name_any(), || self.health(object, &mapping));
                }
                Ok(Event::InitDone) => {
                    for name in self.wanted.keys().filter(|name| !listed.contains(*name)) {
                        self.tell(&report, name, Health::not_found);
                    }
                    listed.clear();
                }
                Ok(Event::Apply(object)) => {
                    self.tell(&report, &object.name_any(), || self.health(object, &mapping));
                }
                Ok(Event::Delete(object)) => self.tell(&report, &object.name_any(), Health::not_found),
                Err(error) => {
                    let text = message(&error);
                    for name in self.wanted.keys() {
                        self.tell(&report, name, || Health::new(Status::Unknown, text.clone()));
                    }
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(RETRY.1);
                    continue;
                }
            }
            pause = RETRY.0;
        }
    }

    fn tell(&self, report: &Report, name: &str, health: impl FnOnce() -> Health) {
        let Some(id) = self.wanted.get(name) else { return };
        let health = health();
        report.send_if_modified(|others| others.insert(id.clone(), health.clone()).as_ref() != Some(&health));
    }

    fn health(&self, mut object: DynamicObject, mapping: &Mapping) -> Health {
        // The items of a list do not say what they are.
        object.types.get_or_insert_with(|| TypeMeta {
            api_version: mapping.resource.api_version.clone(),
            kind: mapping.resource.kind.clone(),
        });
        let value = value_of(&object);
        self.exprs
            .health(&value)
            .unwrap_or_else(|| ferro_kstatus::health(&value, Timestamp::now()))
    }
}
