//! Server-side apply in stages (`spec/kustomize-and-notification.md` F.2 to F.6), with as few requests as the answer needs:
//!
//! | what is known of an object | requests |
//! |---|---|
//! | as we left it, and the same is asked for | none |
//! | ours, and something may differ | a dry-run; a write if it differs |
//! | not ours, and absent | a cheap read from the server's cache, a write |
//! | there, but without our labels | a read, perhaps a clean-up, a dry-run, a write |
//!
//! A stage is written only when all its dry-runs succeeded. New objects are not dry-run: the write itself validates them.

use std::sync::Arc;
use std::time::Duration;

use ferro_kstatus::HealthExprs;
use futures::{StreamExt, TryStreamExt, stream};
use jiff::Timestamp;
use kube::api::{DeleteParams, DynamicObject, GetParams, Patch, PatchParams};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use crate::changeset::{Action, ChangeSet};
use crate::cluster::Cluster;
use crate::error::{ApplyError, Cause, ObjectFailure};
use crate::ignore::Rules;
use crate::inventory::Entry;
use crate::live::Known;
use crate::mapper::Mapping;
use crate::object::{Object, ObjectId};
use crate::observe::{Observation, Owner, observe};
use crate::order::{Stage, rank, stages};
use crate::wait::WaitOptions;
use crate::{drift, immutable, managed_fields};

/// An object that is deleted to be made anew must be gone within this time.
const RECREATE_TIMEOUT: Duration = Duration::from_secs(120);

/// How to apply.
#[derive(Clone)]
pub struct ApplyOptions {
    /// To whom the objects belong.
    pub owner: Owner,
    /// Whether objects are made anew when a field that cannot change has changed.
    pub force: bool,
    /// Requests in flight.
    pub concurrency: usize,
    /// Kinds applied in a stage of their own, as `group/Kind`.
    pub custom_stage_kinds: Vec<String>,
    /// Fields whose differences are ignored.
    pub ignore: Arc<Rules>,
    /// Readiness of custom kinds, for the stages that wait.
    pub exprs: Arc<HealthExprs>,
    /// How long a stage may take to become current.
    pub stage_timeout: Duration,
    /// Ends waits.
    pub cancel: CancellationToken,
}

/// An object with what is known of it before anything is written.
struct Plan {
    object: Object,
    mapping: Mapping,
    step: Step,
}

enum Step {
    /// Nothing to do.
    Settled(Action),
    /// It is not there.
    Create,
    /// It differs; the payload may have been adjusted by ignore rules.
    Configure,
    /// It was deleted, to be made anew.
    Recreate,
    /// It differs only by what a clean-up has just undone.
    Cleaned,
}

impl Cluster {
    /// Makes the cluster hold `objects`.
    ///
    /// # Errors
    /// With what was applied until then.
    pub async fn apply(&self, objects: Vec<Object>, options: &ApplyOptions) -> Result<ChangeSet, ApplyError> {
        let mut applied = ChangeSet::default();
        for stage in stages(objects, &options.custom_stage_kinds) {
            let first = applied.0.len();
            let wait = stage.wait;
            if let Err(causes) = self.apply_stage(stage, options, &mut applied).await {
                return Err(ApplyError { applied, causes });
            }
            let changes = applied.0.get(first..).unwrap_or_default();
            if changes.iter().any(|change| {
                change.entry.id.kind == "CustomResourceDefinition" && change.action == Action::Created
            }) {
                self.mapper.invalidate().await;
            }
            if wait {
                let entries: Vec<Entry> = changes.iter().map(|change| change.entry.clone()).collect();
                let wait = WaitOptions {
                    timeout: options.stage_timeout,
                    fail_fast: true,
                    exprs: Arc::clone(&options.exprs),
                    cancel: options.cancel.clone(),
                    vanishing: Vec::new(),
                };
                if let Err(error) = self.wait(&entries, &wait).await {
                    return Err(ApplyError {
                        applied,
                        causes: vec![Cause::Stage(error)],
                    });
                }
                if entries
                    .iter()
                    .any(|entry| entry.id.kind == "CustomResourceDefinition")
                {
                    self.mapper.invalidate().await;
                }
            }
        }
        Ok(applied)
    }

    async fn apply_stage(
        &self,
        stage: Stage,
        options: &ApplyOptions,
        applied: &mut ChangeSet,
    ) -> Result<(), Vec<Cause>> {
        let planned: Vec<Result<Plan, ObjectFailure>> = stream::iter(stage.objects)
            .map(|object| self.plan(object, options))
            .buffered(options.concurrency.max(1))
            .collect()
            .await;
        let (mut plans, mut causes) = (Vec::with_capacity(planned.len()), Vec::new());
        for plan in planned {
            match plan {
                Ok(plan) => plans.push(plan),
                Err(failure) => causes.push(Cause::Object(failure)),
            }
        }
        if !causes.is_empty() {
            return Err(causes);
        }
        let mut plans = plans.into_iter().peekable();
        while let Some(first) = plans.next() {
            // Objects of one rank have no order among themselves, so they are written together.
            let mut group = vec![first];
            let current = group.first().map(|plan| rank(&plan.object.id().kind));
            while let Some(plan) = plans.next_if(|plan| Some(rank(&plan.object.id().kind)) == current) {
                group.push(plan);
            }
            let results: Vec<_> = stream::iter(group)
                .map(|plan| self.carry_out(plan, options))
                .buffered(options.concurrency.max(1))
                .collect()
                .await;
            for result in results {
                match result {
                    Ok((entry, action)) => applied.push(entry, action),
                    Err(failure) => causes.push(Cause::Object(failure)),
                }
            }
            if !causes.is_empty() {
                return Err(causes);
            }
        }
        Ok(())
    }

    /// Finds out what is to be done with an object.
    async fn plan(&self, mut object: Object, options: &ApplyOptions) -> Result<Plan, ObjectFailure> {
        let mapped = self
            .mapper
            .resolve(&object.id().group, object.version(), &object.id().kind)
            .await;
        let mapping = mapped.map_err(|source| ObjectFailure::Unmapped {
            id: object.id().clone(),
            source,
        })?;
        if !mapping.namespaced {
            object.clear_namespace();
        }
        drop_bad_ca_bundle(&mut object);
        let settled = |object, mapping, action| {
            Ok(Plan {
                object,
                mapping,
                step: Step::Settled(action),
            })
        };
        if self.asks_to_skip(&object) {
            return settled(object, mapping, Action::Skipped);
        }
        self.live.follow(&mapping.resource).await;
        let known = self.live.get(object.id());
        let once = object.has_marker(&self.live.ownership().key("ssa"), "IfNotPresent");
        if let Known::There(seen) = &known {
            if seen.markers.ignore || once {
                return settled(object, mapping, Action::Skipped);
            }
            if self.live.is_settled(object.id(), object.fingerprint()) {
                return settled(object, mapping, Action::Unchanged);
            }
            let plain = !seen.edited && !options.ignore.applies_to(object.value());
            if plain {
                return self.compare(object, mapping, seen, None, options).await;
            }
        }
        let Some(live) = self.read(object.id(), &mapping, &known).await? else {
            return Ok(Plan {
                object,
                mapping,
                step: Step::Create,
            });
        };
        let (seen, live) = observe_with_fields(live, self);
        if seen.markers.ignore || once {
            return settled(object, mapping, Action::Skipped);
        }
        self.compare(object, mapping, &seen, Some(live), options).await
    }

    fn asks_to_skip(&self, object: &Object) -> bool {
        let ownership = self.live.ownership();
        object.has_marker(&ownership.key("reconcile"), "disabled")
            || object.has_marker(&ownership.key("ssa"), "Ignore")
    }

    /// Reads an object; a cheap look comes first where it is likely absent.
    async fn read(
        &self,
        id: &ObjectId,
        mapping: &Mapping,
        known: &Known,
    ) -> Result<Option<DynamicObject>, ObjectFailure> {
        let api = self.api(mapping, &id.namespace);
        let failed = |error| ObjectFailure::from_kube(id, true, "read", error);
        if !matches!(known, Known::There(_)) {
            let there = api
                .get_metadata_opt_with(&id.name, &GetParams::any())
                .await
                .map_err(failed)?;
            if there.is_none() {
                return Ok(None);
            }
        }
        api.get_opt(&id.name).await.map_err(failed)
    }

    /// Dry-runs an apply on an object that is there, and says whether it would change it.
    async fn compare(
        &self,
        mut object: Object,
        mapping: Mapping,
        seen: &Observation,
        live: Option<Value>,
        options: &ApplyOptions,
    ) -> Result<Plan, ObjectFailure> {
        let id = object.id().clone();
        let desired = object.fingerprint();
        let mut cleaned = false;
        if let Some(live) = &live
            && !seen.markers.merge
            && !object.has_marker(&self.live.ownership().key("ssa"), "Merge")
        {
            cleaned = self.clean_up(&id, &mapping, live, options).await?;
        }
        let dry_run = match self.patch(&object, &mapping, true).await {
            Ok(dry_run) => dry_run,
            Err(kube::Error::Api(status))
                if self.may_recreate(&object, seen, options) && immutable::is_immutable(&status) =>
            {
                self.delete_and_wait(&id, &mapping).await?;
                return Ok(Plan {
                    object,
                    mapping,
                    step: Step::Recreate,
                });
            }
            Err(error) => return Err(ObjectFailure::from_kube(&id, true, "dry-run", error)),
        };
        let (predicted, mut predicted_value) = observe(dry_run, self.live.ownership(), Timestamp::now());
        let mut same = predicted.same_content(seen);
        if let Some(mut live) = live {
            let pointers = options.ignore.pointers(&predicted_value);
            if pointers.is_empty() {
                same = same && !drift::differs(&live, &predicted_value);
            } else {
                crate::ignore::adjust_payload(
                    object.value_mut(),
                    &live,
                    &predicted_value,
                    &pointers,
                    &self.live.ownership().manager,
                );
                crate::ignore::remove(&mut live, &pointers);
                crate::ignore::remove(&mut predicted_value, &pointers);
                same = !drift::differs(&live, &predicted_value);
            }
        }
        let step = match (same, cleaned) {
            (true, false) => {
                self.live.accept(&id, &options.owner, desired, seen);
                Step::Settled(Action::Unchanged)
            }
            (true, true) => Step::Cleaned,
            (false, _) => Step::Configure,
        };
        Ok(Plan {
            object,
            mapping,
            step,
        })
    }

    fn may_recreate(&self, object: &Object, seen: &Observation, options: &ApplyOptions) -> bool {
        options.force
            || seen.markers.force
            || object.has_marker(&self.live.ownership().key("force"), "enabled")
    }

    /// Takes over the fields of kubectl and its like, and removes what they leave behind.
    async fn clean_up(
        &self,
        id: &ObjectId,
        mapping: &Mapping,
        live: &Value,
        options: &ApplyOptions,
    ) -> Result<bool, ObjectFailure> {
        let ownership = self.live.ownership();
        let Some(patch) = managed_fields::migrate(live, &ownership.manager, &ownership.override_managers)
        else {
            return Ok(false);
        };
        let api = self.api(mapping, &id.namespace);
        let params = PatchParams {
            field_manager: Some(ownership.manager.clone()),
            ..PatchParams::default()
        };
        let patch: kube::core::params::Patch<()> = match serde_json::from_value(patch) {
            Ok(patch) => Patch::Json(patch),
            Err(error) => {
                return Err(ObjectFailure::Request {
                    id: id.clone(),
                    action: "clean-up",
                    source: Box::new(kube::Error::SerdeError(error)),
                });
            }
        };
        self.live.writing(id, &options.owner);
        let patched = api.patch(&id.name, &params, &patch).await;
        self.live.not_written(id);
        patched.map_err(|error| ObjectFailure::from_kube(id, true, "clean-up", error))?;
        Ok(true)
    }

    async fn patch(&self, object: &Object, mapping: &Mapping, dry_run: bool) -> kube::Result<DynamicObject> {
        let params = PatchParams {
            field_manager: Some(self.live.ownership().manager.clone()),
            force: true,
            dry_run,
            ..PatchParams::default()
        };
        let api = self.api(mapping, &object.id().namespace);
        api.patch(&object.id().name, &params, &Patch::Apply(object.value()))
            .await
    }

    async fn carry_out(&self, plan: Plan, options: &ApplyOptions) -> Result<(Entry, Action), ObjectFailure> {
        let Plan {
            object,
            mapping,
            step,
        } = plan;
        let entry = Entry {
            id: object.id().clone(),
            version: object.version().to_owned(),
        };
        let action = match step {
            Step::Settled(action) => return Ok((entry, action)),
            Step::Create | Step::Recreate => Action::Created,
            Step::Configure | Step::Cleaned => Action::Configured,
        };
        let desired = object.fingerprint();
        self.live.writing(&entry.id, &options.owner);
        match self.patch(&object, &mapping, false).await {
            Ok(written) => {
                let (seen, _) = observe(written, self.live.ownership(), Timestamp::now());
                self.live.written(&entry.id, &options.owner, desired, seen);
                Ok((entry, action))
            }
            Err(error) => {
                self.live.not_written(&entry.id);
                // A new object was not dry-run: what the server says now is what a dry-run would have said.
                let unvalidated = matches!(step, Step::Create);
                Err(ObjectFailure::from_kube(&entry.id, unvalidated, "apply", error))
            }
        }
    }

    async fn delete_and_wait(&self, id: &ObjectId, mapping: &Mapping) -> Result<(), ObjectFailure> {
        self.live.release(id);
        let api = self.api(mapping, &id.namespace);
        match api.delete(&id.name, &DeleteParams::background()).await {
            Ok(_) => {}
            Err(kube::Error::Api(status)) if status.code == 404 => return Ok(()),
            Err(error) => return Err(ObjectFailure::from_kube(id, false, "delete", error)),
        }
        let gone = async {
            let mut objects = Box::pin(kube::runtime::watcher::watch_object(api, &id.name));
            while let Some(object) = objects.try_next().await? {
                if object.is_none() {
                    break;
                }
            }
            Ok::<_, kube::runtime::watcher::Error>(())
        };
        match tokio::time::timeout(RECREATE_TIMEOUT, gone).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(ObjectFailure::Undeletable(id.clone(), RECREATE_TIMEOUT)),
        }
    }
}

/// The facts of an object, and its value with managed fields, which clean-up and ignore rules look at.
fn observe_with_fields(live: DynamicObject, cluster: &Cluster) -> (Observation, Value) {
    let fields = live.metadata.managed_fields.clone();
    let (seen, mut value) = observe(live, cluster.live.ownership(), Timestamp::now());
    if let (Some(fields), Some(metadata)) = (fields, value.get_mut("metadata").and_then(Value::as_object_mut))
    {
        metadata.insert("managedFields".to_owned(), serde_json::json!(fields));
    }
    (seen, value)
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
