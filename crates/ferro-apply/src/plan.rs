//! Finding out what is to be done with an object (`spec/kustomize-and-notification.md` F.4, F.5).

use std::time::Duration;

use jiff::Timestamp;
use kube::api::{DynamicObject, Patch, PatchParams};
use serde_json::Value;
use tokio::time::Instant;

use crate::apply::Run;
use crate::changeset::Action;
use crate::cluster::Cluster;
use crate::error::ObjectFailure;
use crate::inventory::Entry;
use crate::live::{Known, Left};
use crate::mapper::{MapError, Mapping};
use crate::object::{Object, ObjectId};
use crate::observe::{Observation, observe};
use crate::{drift, ignore, immutable, managed_fields};

/// How long a kind may take to be served after its definition is established.
pub(crate) const SERVED_TIMEOUT: Duration = Duration::from_secs(10);
/// How often a clean-up is tried when others keep writing the object.
const CLEAN_UP_TRIES: usize = 5;

/// An object with what is known of it before anything is written.
pub(crate) struct Plan {
    pub(crate) object: Object,
    pub(crate) mapping: Mapping,
    /// The fingerprint of the object as asked for, before ignore rules or the server's schema took something out.
    pub(crate) desired: u64,
    pub(crate) step: Step,
}

impl Plan {
    pub(crate) fn entry(&self) -> Entry {
        Entry {
            id: self.object.id().clone(),
            version: self.object.version().to_owned(),
        }
    }
}

/// What is to be done.
pub(crate) enum Step {
    /// Nothing.
    Settled(Action),
    /// It is not there, as far as is known.
    Create,
    /// It differs, or a clean-up has just changed whose its fields are.
    Configure,
}

/// What an object is like in the cluster: the facts, and the whole of it if it was read.
pub(crate) struct Present {
    pub(crate) seen: Observation,
    pub(crate) live: Option<Value>,
}

impl Cluster {
    /// Finds out what is to be done with an object.
    pub(crate) async fn plan(&self, mut object: Object, run: &Run<'_>) -> Result<Plan, ObjectFailure> {
        let mapping = self.resolve(&object, run).await?;
        if !mapping.namespaced {
            object.clear_namespace();
        }
        drop_bad_ca_bundle(&mut object);
        let desired = object.fingerprint();
        let settled = |object, mapping, action| Plan {
            object,
            mapping,
            desired,
            step: Step::Settled(action),
        };
        if self.asks_to_skip(&object) {
            self.live.release(object.id());
            return Ok(settled(object, mapping, Action::Skipped));
        }
        self.live.follow(&mapping).await;
        let seen = match self.live.get(object.id(), object.version()) {
            Known::There(seen) => seen,
            Known::NotOurs => {
                return Ok(Plan {
                    object,
                    mapping,
                    desired,
                    step: Step::Create,
                });
            }
            Known::Unknown => return self.plan_unknown(object, mapping, desired, run).await,
        };
        if let Some(action) = self.left_alone(&object, &seen, run) {
            return Ok(settled(object, mapping, action));
        }
        if self.live.is_settled(object.id(), desired) {
            return Ok(settled(object, mapping, Action::Unchanged));
        }
        let edited = seen.edited && !self.asks_to_merge(&object, &seen);
        if edited || run.options.ignore.applies_to(object.value()) {
            return self.plan_unknown(object, mapping, desired, run).await;
        }
        let needs_look = run.options.migrate_version || self.may_recreate(&object, &seen, run);
        if !run.options.dry_runs && !needs_look {
            return Ok(Plan {
                object,
                mapping,
                desired,
                step: Step::Configure,
            });
        }
        let present = Present {
            seen: *seen,
            live: None,
        };
        self.compare(object, mapping, desired, present, run).await
    }

    /// The same for an object that has to be read first.
    pub(crate) async fn plan_unknown(
        &self,
        object: Object,
        mapping: Mapping,
        desired: u64,
        run: &Run<'_>,
    ) -> Result<Plan, ObjectFailure> {
        let Some(present) = self.read(object.id(), &mapping).await? else {
            return Ok(Plan {
                object,
                mapping,
                desired,
                step: Step::Create,
            });
        };
        if let Some(action) = self.left_alone(&object, &present.seen, run) {
            return Ok(Plan {
                object,
                mapping,
                desired,
                step: Step::Settled(action),
            });
        }
        self.compare(object, mapping, desired, present, run).await
    }

    /// How the object's kind is served; a kind that is just being defined is given a moment.
    async fn resolve(&self, object: &Object, run: &Run<'_>) -> Result<Mapping, ObjectFailure> {
        let id = object.id();
        let deadline = Instant::now() + SERVED_TIMEOUT;
        let mut pause = Duration::from_millis(50);
        loop {
            let source = match self.mapper.resolve(&id.group, object.version(), &id.kind).await {
                Ok(mapping) => return Ok(mapping),
                Err(source) => source,
            };
            let coming =
                matches!(source, MapError::NoMatch { .. }) && run.defines(id) && Instant::now() < deadline;
            if !coming {
                return Err(ObjectFailure::Unmapped {
                    id: id.clone(),
                    source,
                });
            }
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = run.options.cancel.cancelled() => return Err(ObjectFailure::Unmapped { id: id.clone(), source }),
            }
            pause = (pause * 2).min(Duration::from_secs(1));
            self.mapper.invalidate().await;
        }
    }

    fn asks_to_skip(&self, object: &Object) -> bool {
        let ownership = self.live.ownership();
        object.has_marker(&ownership.key("reconcile"), "disabled")
            || object.has_marker(&ownership.key("ssa"), "Ignore")
    }

    fn asks_to_merge(&self, object: &Object, seen: &Observation) -> bool {
        seen.markers.merge || object.has_marker(&self.live.ownership().key("ssa"), "Merge")
    }

    /// Whether an object that is there is to stay as it is.
    fn left_alone(&self, object: &Object, seen: &Observation, run: &Run<'_>) -> Option<Action> {
        let left = self.left(object, object.fingerprint(), run);
        let once = left.once;
        if once {
            // Whoever changes it may; should it go, it is made again.
            self.live.accept(object.id(), object.version(), left, seen);
        }
        (once || seen.markers.ignore).then_some(Action::Skipped)
    }

    /// How an apply leaves an object of which `desired` is asked for.
    pub(crate) fn left<'a>(&self, object: &Object, desired: u64, run: &Run<'a>) -> Left<'a> {
        Left {
            owner: &run.options.owner,
            desired,
            once: object.has_marker(&self.live.ownership().key("ssa"), "IfNotPresent"),
        }
    }

    async fn read(&self, id: &ObjectId, mapping: &Mapping) -> Result<Option<Present>, ObjectFailure> {
        let found = self.api(mapping, &id.namespace).get_opt(&id.name).await;
        let found = found.map_err(|error| ObjectFailure::from_kube(id, true, "read", error))?;
        Ok(found.map(|live| self.present(live)))
    }

    /// The facts of an object, and its value with managed fields, which clean-up and ignore rules look at.
    pub(crate) fn present(&self, live: DynamicObject) -> Present {
        let fields = live.metadata.managed_fields.clone();
        let (seen, mut value) = observe(live, self.live.ownership(), Timestamp::now());
        if let (Some(fields), Some(metadata)) =
            (fields, value.get_mut("metadata").and_then(Value::as_object_mut))
        {
            metadata.insert("managedFields".to_owned(), serde_json::json!(fields));
        }
        Present {
            seen,
            live: Some(value),
        }
    }

    /// Dry-runs an apply on an object that is there, and says whether it would change it.
    async fn compare(
        &self,
        mut object: Object,
        mapping: Mapping,
        desired: u64,
        mut present: Present,
        run: &Run<'_>,
    ) -> Result<Plan, ObjectFailure> {
        let id = object.id().clone();
        if run.options.migrate_version {
            let Some(moved) = self.migrate_version(&object, &mapping, present, run).await? else {
                return Ok(Plan {
                    object,
                    mapping,
                    desired,
                    step: Step::Create,
                });
            };
            present = moved;
        }
        let how = (true, run.options.is_strict);
        let dry_run = match self.patch(&mut object, &mapping, how).await {
            Ok(dry_run) => dry_run,
            Err(kube::Error::Api(status))
                if self.may_recreate(&object, &present.seen, run) && immutable::is_immutable(&status) =>
            {
                self.delete_and_wait(&id, &mapping, run).await?;
                return Ok(Plan {
                    object,
                    mapping,
                    desired,
                    step: Step::Create,
                });
            }
            Err(error) => return Err(ObjectFailure::from_kube(&id, true, "dry-run", error)),
        };
        let (predicted, predicted_value) = observe(dry_run, self.live.ownership(), Timestamp::now());
        let current = predicted.version == present.seen.version;
        if present.live.is_none() && !(current && predicted.content == present.seen.content) {
            // The index is behind, or its fingerprint is not the last word.
            if !current || id.kind == "HorizontalPodAutoscaler" {
                match self.read(&id, &mapping).await? {
                    Some(read) => present = read,
                    None => {
                        return Ok(Plan {
                            object,
                            mapping,
                            desired,
                            step: Step::Create,
                        });
                    }
                }
            } else {
                return Ok(Plan {
                    object,
                    mapping,
                    desired,
                    step: Step::Configure,
                });
            }
        }
        let differs = match &present.live {
            None => false,
            Some(live) => self.differs(&mut object, live, predicted_value, run),
        };
        let cleaned = match &present.live {
            Some(live) if !self.asks_to_merge(&object, &present.seen) => {
                self.clean_up(&id, &mapping, live.clone(), run).await?
            }
            _ => false,
        };
        let step = if differs || cleaned {
            Step::Configure
        } else {
            let left = self.left(&object, desired, run);
            self.live.accept(&id, object.version(), left, &present.seen);
            Step::Settled(Action::Unchanged)
        };
        Ok(Plan {
            object,
            mapping,
            desired,
            step,
        })
    }

    /// Compares what is there with what the dry-run predicts; if they differ, ignored fields are taken out of the object.
    fn differs(&self, object: &mut Object, live: &Value, mut predicted: Value, run: &Run<'_>) -> bool {
        let pointers = run.options.ignore.pointers(&predicted);
        if pointers.is_empty() {
            return drift::differs(live, &predicted);
        }
        let mut adjusted = object.value().clone();
        ignore::adjust_payload(
            &mut adjusted,
            live,
            &predicted,
            &pointers,
            &self.live.ownership().manager,
        );
        let mut live = live.clone();
        ignore::remove(&mut live, &pointers);
        ignore::remove(&mut predicted, &pointers);
        let differs = drift::differs(&live, &predicted);
        if differs {
            *object.value_mut() = adjusted;
        }
        differs
    }

    fn may_recreate(&self, object: &Object, seen: &Observation, run: &Run<'_>) -> bool {
        run.options.force
            || seen.markers.force
            || object.has_marker(&self.live.ownership().key("force"), "enabled")
    }

    /// Moves managed fields to the API version that is applied; the object as it is then, nothing if it is gone.
    async fn migrate_version(
        &self,
        object: &Object,
        mapping: &Mapping,
        present: Present,
        run: &Run<'_>,
    ) -> Result<Option<Present>, ObjectFailure> {
        let id = object.id();
        let live = match &present.live {
            Some(live) => live.clone(),
            None => match self.read(id, mapping).await? {
                Some(Present { live: Some(live), .. }) => live,
                _ => return Ok(None),
            },
        };
        let api_version = mapping.resource.api_version.clone();
        let patch = |live: &Value| managed_fields::to_version(live, &api_version);
        if !self.rewrite(id, mapping, live, run, patch).await? {
            return Ok(Some(present));
        }
        self.read(id, mapping).await
    }

    /// Takes over the fields of kubectl and its like, and removes what they leave behind.
    async fn clean_up(
        &self,
        id: &ObjectId,
        mapping: &Mapping,
        live: Value,
        run: &Run<'_>,
    ) -> Result<bool, ObjectFailure> {
        let ownership = self.live.ownership();
        let patch = |live: &Value| managed_fields::migrate(live, ownership);
        self.rewrite(id, mapping, live, run, patch).await
    }

    /// Patches the metadata of an object, with what `make` makes of it as it is; again if others write it meanwhile. Tells
    /// whether there was anything to patch.
    pub(crate) async fn rewrite(
        &self,
        id: &ObjectId,
        mapping: &Mapping,
        mut live: Value,
        run: &Run<'_>,
        make: impl Fn(&Value) -> Option<Value>,
    ) -> Result<bool, ObjectFailure> {
        let ownership = self.live.ownership();
        let api = self.api(mapping, &id.namespace);
        let params = PatchParams {
            field_manager: Some(ownership.manager.clone()),
            ..PatchParams::default()
        };
        let mut tries = 0;
        loop {
            let Some(patch) = make(&live) else {
                return Ok(false);
            };
            let patch: Patch<()> = match serde_json::from_value(patch) {
                Ok(patch) => Patch::Json(patch),
                Err(error) => {
                    let source = Box::new(kube::Error::SerdeError(error));
                    return Err(ObjectFailure::Request {
                        id: id.clone(),
                        action: "clean-up",
                        source,
                    });
                }
            };
            // The change that follows is ours, and so is this one.
            self.live.release(id);
            self.live.writing(id, &run.options.owner);
            let patched = api.patch(&id.name, &params, &patch).await;
            self.live.not_written(id);
            tries += 1;
            match patched {
                Ok(_) => return Ok(true),
                Err(kube::Error::Api(status)) if status.code == 409 && tries < CLEAN_UP_TRIES => {
                    match self.read(id, mapping).await? {
                        Some(Present { live: Some(read), .. }) => live = read,
                        _ => return Ok(false),
                    }
                }
                Err(error) => return Err(ObjectFailure::from_kube(id, false, "clean-up", error)),
            }
        }
    }
}

impl Run<'_> {
    /// Whether this apply defines the kind.
    pub(crate) fn defines(&self, id: &ObjectId) -> bool {
        self.defined
            .iter()
            .any(|(group, kind)| *group == id.group && *kind == id.kind)
    }
}

/// A CRD's conversion webhook may carry a placeholder for a certificate, which the API server refuses; whoever injects the real one
/// would be undone by it anyway.
fn drop_bad_ca_bundle(object: &mut Object) {
    if object.id().kind != "CustomResourceDefinition" {
        return;
    }
    let config = object
        .value_mut()
        .pointer_mut("/spec/conversion/webhook/clientConfig")
        .and_then(Value::as_object_mut);
    if let Some(config) = config
        && config
            .get("caBundle")
            .and_then(Value::as_str)
            .is_some_and(|bundle| !bundle.is_empty() && !immutable::is_pem_bundle(bundle))
    {
        config.remove("caBundle");
    }
}
