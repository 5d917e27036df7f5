//! Drift as Helm releases have it: what differs is found out and told first, and undone apart from that (`spec/helm.md` D.3).
//!
//! An object that the live index knows to be as we left it costs no request; another one is read and dry-run.

use futures::{StreamExt, stream};
use jiff::Timestamp;
use kube::api::DynamicObject;
use serde_json::Value;

use crate::apply::{ApplyOptions, Run};
use crate::changeset::ChangeSet;
use crate::cluster::Cluster;
use crate::error::ObjectFailure;
use crate::ignore::{self, Rules};
use crate::jsondiff::{self, Operation};
use crate::live::Known;
use crate::managed_fields;
use crate::mapper::Mapping;
use crate::object::{Object, ObjectId};
use crate::observe::observe;
use crate::order::compare;
use crate::plan::{Plan, Step};

/// Which objects may be as they like.
#[derive(Clone, Debug)]
pub struct Exclusion {
    /// A label or annotation, and its value.
    pub marker: (&'static str, &'static str),
    /// Those that these rules are about, whatever their paths.
    pub objects: Rules,
}

/// How an object differs.
#[derive(Clone, Debug, PartialEq)]
pub enum Difference {
    /// It is not there.
    Missing,
    /// It would be changed so.
    Changed(Vec<Operation>),
    /// It was not looked at: it is excluded.
    Excluded,
}

/// An object that is not known to be as it should be.
#[derive(Clone, Debug)]
pub struct Deviation {
    /// How it differs.
    pub difference: Difference,
    /// What is to be applied, without fields that are ignored.
    object: Object,
    /// The fingerprint of the whole of it.
    desired: u64,
    mapping: Option<Mapping>,
}

impl Deviation {
    /// Which object it is.
    #[must_use]
    pub fn id(&self) -> &ObjectId {
        self.object.id()
    }

    fn excluded(object: Object) -> Self {
        Self {
            difference: Difference::Excluded,
            desired: 0,
            object,
            mapping: None,
        }
    }
}

/// What a look at some objects has shown.
#[derive(Debug, Default)]
pub struct Detection {
    /// Those that differ or are excluded, in the order in which they were given.
    pub deviations: Vec<Deviation>,
    /// Those of which nothing can be said.
    pub failures: Vec<ObjectFailure>,
}

impl Detection {
    /// Whether one of the objects has to be changed.
    #[must_use]
    pub fn has_changes(&self) -> bool {
        let differs = |deviation: &Deviation| deviation.difference != Difference::Excluded;
        self.deviations.iter().any(differs)
    }
}

/// A correction that did not work.
#[derive(Debug)]
pub struct CorrectionFailure {
    /// Whether the object was to be created.
    pub creates: bool,
    /// Which object.
    pub id: ObjectId,
    /// Why.
    pub failure: ObjectFailure,
}

impl Cluster {
    /// Finds out which objects are not as an apply would leave them. Nothing is written, but for the names of managers that are
    /// overridden.
    pub async fn detect(
        &self,
        objects: Vec<Object>,
        options: &ApplyOptions,
        exclusion: &Exclusion,
    ) -> Detection {
        let mut detection = Detection::default();
        let mut looked_at = stream::iter(objects)
            .map(|object| self.look_at(object, options, exclusion))
            .buffered(options.concurrency.max(1));
        while let Some(outcome) = looked_at.next().await {
            match outcome {
                Ok(deviation) => detection.deviations.extend(deviation),
                Err(failure) => detection.failures.push(failure),
            }
        }
        detection
    }

    /// Makes what differs as it should be: first what is missing, then what has changed. One failure does not keep it from the others.
    pub async fn correct(
        &self,
        deviations: Vec<Deviation>,
        options: &ApplyOptions,
    ) -> (ChangeSet, Vec<CorrectionFailure>) {
        let run = Run {
            options,
            defined: std::collections::BTreeSet::new(),
        };
        let (mut missing, mut changed) = (Vec::new(), Vec::new());
        for deviation in deviations {
            match deviation.difference {
                Difference::Missing => missing.push(deviation),
                Difference::Changed(_) => changed.push(deviation),
                Difference::Excluded => {}
            }
        }
        let (mut changes, mut failures) = (ChangeSet::default(), Vec::new());
        for (mut group, creates) in [(missing, true), (changed, false)] {
            group.sort_by(|a, b| compare(a.id(), b.id()));
            for deviation in group {
                if options.cancel.is_cancelled() {
                    return (changes, failures);
                }
                let Some(mapping) = deviation.mapping else {
                    continue;
                };
                let plan = Plan {
                    object: deviation.object,
                    mapping,
                    desired: deviation.desired,
                    step: if creates { Step::Create } else { Step::Configure },
                };
                let entry = plan.entry();
                match self.carry_out(plan, &run).await {
                    Ok(action) => changes.push(entry, action),
                    Err(failure) => failures.push(CorrectionFailure {
                        creates,
                        id: entry.id,
                        failure,
                    }),
                }
            }
        }
        (changes, failures)
    }

    async fn look_at(
        &self,
        mut object: Object,
        options: &ApplyOptions,
        exclusion: &Exclusion,
    ) -> Result<Option<Deviation>, ObjectFailure> {
        let (key, value) = exclusion.marker;
        if object.has_marker(key, value) || exclusion.objects.applies_to(object.value()) {
            return Ok(Some(Deviation::excluded(object)));
        }
        let mapping = self.map_exactly(&object).await?;
        if !mapping.namespaced {
            object.clear_namespace();
        }
        let desired = object.fingerprint();
        self.live.follow(&mapping).await;
        let known = self.live.get(object.id(), object.version());
        if matches!(known, Known::There(_)) && self.live.is_settled(object.id(), desired) {
            return Ok(None);
        }
        let live = self.read_own(object.id(), &mapping, options).await?;
        let is_excluded = |live: &DynamicObject| {
            serde_json::to_value(live)
                .ok()
                .and_then(|live| Object::new(live).ok())
                .is_some_and(|live| live.has_marker(key, value))
        };
        if live.as_ref().is_some_and(is_excluded) {
            return Ok(Some(Deviation::excluded(object)));
        }
        let deviation = |object, difference| Deviation {
            difference,
            object,
            desired,
            mapping: Some(mapping.clone()),
        };
        let pointers = options.ignore.pointers(object.value());
        let dry_run = self.patch(&mut object, &mapping, (true, options.is_strict)).await;
        let dry_run =
            dry_run.map_err(|error| ObjectFailure::from_kube(object.id(), true, "dry-run", error))?;
        let Some(live) = live else {
            return Ok(Some(deviation(object, Difference::Missing)));
        };
        let present = self.present(live);
        let Some(whole) = present.live else {
            return Ok(None);
        };
        let (_, mut predicted) = observe(dry_run, self.live.ownership(), Timestamp::now());
        let payload = adjusted(
            &object,
            &whole,
            &predicted,
            &pointers,
            &self.live.ownership().manager,
        );
        let mut compared = whole;
        ignore::remove(&mut compared, &pointers);
        ignore::remove(&mut predicted, &pointers);
        let operations = jsondiff::between(&compared, &predicted);
        if !operations.is_empty() {
            *object.value_mut() = payload;
            return Ok(Some(deviation(object, Difference::Changed(operations))));
        }
        // Of an object that was not applied by the server nothing tells later which of its fields are ours.
        if present.seen.owned.is_none() {
            return Ok(None);
        }
        let run = Run {
            options,
            defined: std::collections::BTreeSet::new(),
        };
        let left = self.left(&object, desired, &run);
        self.live
            .accept(object.id(), object.version(), left, &present.seen);
        Ok(None)
    }

    async fn map_exactly(&self, object: &Object) -> Result<Mapping, ObjectFailure> {
        let id = object.id();
        let mapped = self.mapper.resolve(&id.group, object.version(), &id.kind).await;
        mapped.map_err(|source| ObjectFailure::Unmapped {
            id: id.clone(),
            source,
        })
    }

    /// Reads an object, and takes over the fields of managers that are overridden.
    async fn read_own(
        &self,
        id: &ObjectId,
        mapping: &Mapping,
        options: &ApplyOptions,
    ) -> Result<Option<DynamicObject>, ObjectFailure> {
        let api = self.api(mapping, &id.namespace);
        let failed = |error| ObjectFailure::from_kube(id, true, "read", error);
        let Some(live) = api.get_opt(&id.name).await.map_err(failed)? else {
            return Ok(None);
        };
        let ownership = self.live.ownership();
        let named = |manager: Option<&String>| {
            manager.is_some_and(|manager| ownership.override_managers.contains(manager))
        };
        let entries = live.metadata.managed_fields.iter().flatten();
        if !entries.into_iter().any(|entry| named(entry.manager.as_ref())) {
            return Ok(Some(live));
        }
        let run = Run {
            options,
            defined: std::collections::BTreeSet::new(),
        };
        let Some(whole) = self.present(live).live else {
            return Ok(None);
        };
        self.rewrite(id, mapping, whole, &run, |live| {
            managed_fields::migrate(live, ownership)
        })
        .await?;
        api.get_opt(&id.name).await.map_err(failed)
    }
}

/// What is applied to undo drift: ignored fields keep the values that they have.
fn adjusted(
    object: &Object,
    live: &Value,
    predicted: &Value,
    pointers: &[ignore::Pointer],
    manager: &str,
) -> Value {
    let mut payload = object.value().clone();
    ignore::adjust_payload(&mut payload, live, predicted, pointers, manager);
    payload
}
