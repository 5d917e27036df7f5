//! Removing objects that are no longer asked for (`spec/kustomize-and-notification.md` F.8, F.9).

use std::collections::HashSet;
use std::time::Duration;

use futures::{StreamExt, stream};
use kube::api::{DeleteParams, DynamicObject, Preconditions};
use kube::{Api, ResourceExt};
use tokio::time::Instant;

use crate::changeset::{Action, ChangeSet};
use crate::cluster::Cluster;
use crate::error::ObjectFailure;
use crate::inventory::Entry;
use crate::live::Known;
use crate::mapper::MapError;
use crate::object::ObjectId;
use crate::observe::{Markers, Owner, owner_of};
use crate::order::{compare, rank};

/// How often deleted objects are looked for: soon at first, then less often.
const TERMINATION_CHECK: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(2));
/// How often a deletion is tried when the object keeps changing.
const DELETE_TRIES: usize = 5;
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
    /// It must still be the same, in the same state.
    preconditions: Preconditions,
}

impl Cluster {
    /// Deletes `entries`, the last in order of application first, those of one rank together. Objects that belong to somebody else by their
    /// labels, or that ask to be kept, are skipped, and so is what is in `kept` under another name: an inventory may name an object of a
    /// cluster-scoped kind with the namespace that its manifest had.
    ///
    /// # Errors
    /// When some could not be deleted; the others are.
    pub async fn prune(
        &self,
        mut entries: Vec<Entry>,
        kept: &[Entry],
        owner: &Owner,
        concurrency: usize,
    ) -> Result<ChangeSet, PruneError> {
        entries.sort_by(|a, b| compare(&b.id, &a.id));
        let kept: &HashSet<&ObjectId> = &kept.iter().map(|entry| &entry.id).collect();
        let (mut pruned, mut left, mut causes) = (ChangeSet::default(), Vec::new(), Vec::new());
        let mut entries = entries.into_iter().peekable();
        while let Some(first) = entries.next() {
            let current = rank(&first.id.kind);
            let mut group = vec![first];
            while let Some(entry) = entries.next_if(|entry| rank(&entry.id.kind) == current) {
                group.push(entry);
            }
            let results: Vec<_> = stream::iter(group)
                .map(|entry| async move { (self.prune_one(&entry, kept, owner).await, entry) })
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

    async fn prune_one(
        &self,
        entry: &Entry,
        kept: &HashSet<&ObjectId>,
        owner: &Owner,
    ) -> Result<Action, ObjectFailure> {
        let mapping = match self.map(&entry.id, &entry.version).await {
            Ok(mapping) => mapping,
            // A kind that is gone took its objects along.
            Err(ObjectFailure::Unmapped {
                source: MapError::NoMatch { .. },
                ..
            }) => return Ok(Action::Deleted),
            Err(failure) => return Err(failure),
        };
        let mut id = entry.id.clone();
        if !mapping.namespaced {
            id.namespace.clear();
        }
        if kept.contains(&id) {
            return Ok(Action::Skipped);
        }
        let mut seen = match self.live.get(&id, &entry.version) {
            Known::There(seen) => Some(Target {
                markers: seen.markers,
                owner: seen.owner,
                preconditions: Preconditions {
                    uid: Some(seen.uid),
                    resource_version: Some(seen.version.to_string()),
                },
            }),
            Known::NotOurs | Known::Unknown => None,
        };
        let api = self.api(&mapping, &id.namespace);
        let mut tries = 0;
        loop {
            let target = match seen.take() {
                Some(target) => target,
                None => match self.target(&id, &api).await? {
                    Some(target) => target,
                    None => return Ok(Action::Deleted),
                },
            };
            self.live.release(&id);
            if target.markers.keep || target.owner.as_ref() != Some(owner) {
                return Ok(Action::Skipped);
            }
            let params = DeleteParams::background().preconditions(target.preconditions);
            tries += 1;
            match api.delete(&id.name, &params).await {
                Ok(_) => return Ok(Action::Deleted),
                Err(kube::Error::Api(status)) if status.code == 404 => return Ok(Action::Deleted),
                // It is no longer as it was when it was decided to delete it.
                Err(kube::Error::Api(status)) if status.code == 409 && tries < DELETE_TRIES => {}
                Err(error) => return Err(ObjectFailure::from_kube(&id, false, "delete", error)),
            }
        }
    }

    async fn target(&self, id: &ObjectId, api: &Api<DynamicObject>) -> Result<Option<Target>, ObjectFailure> {
        let found = api.get_metadata_opt(&id.name).await;
        let found = found.map_err(|error| ObjectFailure::from_kube(id, false, "read", error))?;
        let ownership = self.live.ownership();
        Ok(found.map(|found| Target {
            markers: Markers::read(ownership, &found),
            owner: owner_of(&found, ownership),
            preconditions: Preconditions {
                uid: found.uid(),
                resource_version: found.resource_version(),
            },
        }))
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
        let mapping = match self.map(&entry.id, &entry.version).await {
            Ok(mapping) => mapping,
            Err(failure) => {
                let gone = matches!(
                    failure,
                    ObjectFailure::Unmapped {
                        source: MapError::NoMatch { .. },
                        ..
                    }
                );
                return !gone;
            }
        };
        let found = self
            .api(&mapping, &entry.id.namespace)
            .get_metadata_opt(&entry.id.name)
            .await;
        !matches!(found, Ok(None))
    }
}
