//! Removing objects that are no longer asked for (`spec/kustomize-and-notification.md` F.8, F.9).

use std::time::Duration;

use futures::{StreamExt, stream};
use kube::ResourceExt;
use kube::api::{DeleteParams, DynamicObject, Preconditions};
use kube::core::PartialObjectMeta;
use tokio::time::Instant;

use crate::changeset::{Action, ChangeSet};
use crate::cluster::Cluster;
use crate::error::ObjectFailure;
use crate::inventory::Entry;
use crate::live::Known;
use crate::mapper::MapError;
use crate::object::ObjectId;
use crate::observe::{Markers, Owner};
use crate::order::{compare, rank};

/// How often deleted objects are looked for: soon at first, then less often.
const TERMINATION_CHECK: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(2));
/// Objects looked for at once.
const READS: usize = 8;

/// Some objects could not be removed.
#[derive(Debug)]
pub struct PruneError {
    /// What was done to the others.
    pub pruned: ChangeSet,
    /// Those that are still there.
    pub left: Vec<Entry>,
    /// Why, one for each.
    pub causes: Vec<ObjectFailure>,
}

impl std::fmt::Display for PruneError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("delete failed, errors: ")?;
        self.causes.iter().try_for_each(|cause| write!(f, "{cause};"))
    }
}

impl std::error::Error for PruneError {}

/// What a deletion may rely on.
struct Target {
    markers: Markers,
    owner: Option<Owner>,
    uid: String,
}

impl Cluster {
    /// Deletes `entries`, the last in order of application first, those of one rank together. Objects that belong to somebody else by their
    /// labels, or that ask to be kept, are skipped.
    ///
    /// # Errors
    /// When some could not be deleted; the others are.
    pub async fn prune(
        &self,
        mut entries: Vec<Entry>,
        owner: &Owner,
        concurrency: usize,
    ) -> Result<ChangeSet, PruneError> {
        entries.sort_by(|a, b| compare(&b.id, &a.id));
        let (mut pruned, mut left, mut causes) = (ChangeSet::default(), Vec::new(), Vec::new());
        let mut entries = entries.into_iter().peekable();
        while let Some(first) = entries.next() {
            let current = rank(&first.id.kind);
            let mut group = vec![first];
            while let Some(entry) = entries.next_if(|entry| rank(&entry.id.kind) == current) {
                group.push(entry);
            }
            let results: Vec<_> = stream::iter(group)
                .map(|entry| async move { (self.prune_one(&entry, owner).await, entry) })
                .buffered(concurrency.max(1))
                .collect()
                .await;
            for (result, entry) in results {
                match result {
                    Ok(action) => pruned.push(entry, action),
                    Err(cause) => {
                        left.push(entry);
                        causes.push(cause);
                    }
                }
            }
        }
        if causes.is_empty() {
            Ok(pruned)
        } else {
            Err(PruneError { pruned, left, causes })
        }
    }

    async fn prune_one(&self, entry: &Entry, owner: &Owner) -> Result<Action, ObjectFailure> {
        let id = &entry.id;
        let mapping = match self.map(id, &entry.version).await {
            Ok(mapping) => mapping,
            // A kind that is gone took its objects along.
            Err(ObjectFailure::Unmapped {
                source: MapError::NoMatch { .. },
                ..
            }) => return Ok(Action::Deleted),
            Err(failure) => return Err(failure),
        };
        let api = self.api(&mapping, &id.namespace);
        let target = match self.live.get(id, &entry.version) {
            Known::There(seen) => Target {
                markers: seen.markers,
                owner: seen.owner,
                uid: seen.uid,
            },
            Known::NotOurs | Known::Unknown => {
                let found = api.get_metadata_opt(&id.name).await;
                match found.map_err(|error| ObjectFailure::from_kube(id, false, "read", error))? {
                    Some(found) => self.target(&found),
                    None => return Ok(Action::Deleted),
                }
            }
        };
        if target.markers.keep || target.owner.as_ref() != Some(owner) {
            self.live.release(id);
            return Ok(Action::Skipped);
        }
        self.live.release(id);
        let params = DeleteParams::background().preconditions(Preconditions {
            uid: Some(target.uid),
            resource_version: None,
        });
        match api.delete(&id.name, &params).await {
            Ok(_) => Ok(Action::Deleted),
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(Action::Deleted),
            Err(error) => Err(ObjectFailure::from_kube(id, false, "delete", error)),
        }
    }

    fn target(&self, found: &PartialObjectMeta<DynamicObject>) -> Target {
        let ownership = self.live.ownership();
        let label = |name: &str| found.labels().get(&ownership.key(name)).cloned();
        let owner = label("name")
            .zip(label("namespace"))
            .map(|(name, namespace)| Owner { namespace, name });
        Target {
            markers: Markers::read(ownership, found),
            owner,
            uid: found.uid().unwrap_or_default(),
        }
    }

    /// Waits until `entries` are gone.
    ///
    /// # Errors
    /// With those that are still there after `timeout`.
    pub async fn wait_for_termination(
        &self,
        entries: &[Entry],
        timeout: Duration,
    ) -> Result<(), Vec<ObjectId>> {
        let deadline = Instant::now() + timeout;
        let mut left: Vec<Entry> = entries.to_vec();
        let mut pause = TERMINATION_CHECK.0;
        loop {
            let checked = stream::iter(left).map(|entry| async move { (self.exists(&entry).await, entry) });
            let checked: Vec<_> = checked.buffered(READS).collect().await;
            left = checked
                .into_iter()
                .filter_map(|(exists, entry)| exists.then_some(entry))
                .collect();
            if left.is_empty() {
                return Ok(());
            }
            if Instant::now() >= deadline {
                return Err(left.into_iter().map(|entry| entry.id).collect());
            }
            tokio::time::sleep_until((Instant::now() + pause).min(deadline)).await;
            pause = (pause * 2).min(TERMINATION_CHECK.1);
        }
    }

    /// Whether an object is there; if that cannot be told, it may be.
    async fn exists(&self, entry: &Entry) -> bool {
        let Ok(mapping) = self.map(&entry.id, &entry.version).await else {
            return false;
        };
        let found = self
            .api(&mapping, &entry.id.namespace)
            .get_metadata_opt(&entry.id.name)
            .await;
        !matches!(found, Ok(None))
    }
}
