//! Server-side apply in stages (`spec/kustomize-and-notification.md` F.2 to F.6), with as few requests as the answer needs:
//!
//! | what is known of an object | requests |
//! |---|---|
//! | as we left it, and the same is asked for | none |
//! | ours, and something may differ | a dry-run; a write if it differs |
//! | not ours, and absent | a write that fails if it is there after all |
//! | there, but without our labels | that write, a read, a dry-run, perhaps a clean-up, a write |
//!
//! A stage that changes what is there is written only when the dry-runs of all its objects succeeded. A stage of new objects only is
//! not dry-run: each write validates its own.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use ferro_kstatus::HealthExprs;
use futures::{StreamExt, stream};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use crate::changeset::{Action, ChangeSet};
use crate::cluster::Cluster;
use crate::error::{ApplyError, Cause, ObjectFailure};
use crate::ignore::Rules;
use crate::inventory::Entry;
use crate::object::Object;
use crate::observe::Owner;
use crate::order::{Stage, rank, stages};
use crate::plan::{Plan, Step};
use crate::wait::WaitOptions;

/// So many more new objects are written at once than others are dry-run.
const CREATE_FACTOR: usize = 4;

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

/// One apply.
pub(crate) struct Run<'a> {
    pub(crate) options: &'a ApplyOptions,
    /// Kinds that objects of this apply define, by group and name: they may be served a moment later than their definition says.
    pub(crate) defined: BTreeSet<(String, String)>,
}

impl Cluster {
    /// Makes the cluster hold `objects`.
    ///
    /// # Errors
    /// With what was applied until then.
    pub async fn apply(&self, objects: Vec<Object>, options: &ApplyOptions) -> Result<ChangeSet, ApplyError> {
        let run = Run {
            options,
            defined: objects.iter().filter_map(defined_kind).collect(),
        };
        let mut applied = ChangeSet::default();
        for stage in stages(objects, &options.custom_stage_kinds) {
            let first = applied.0.len();
            let wait = stage.wait;
            if let Err(causes) = self.apply_stage(stage, &run, &mut applied).await {
                return Err(ApplyError { applied, causes });
            }
            if !wait {
                continue;
            }
            let entries: Vec<Entry> = applied
                .0
                .get(first..)
                .unwrap_or_default()
                .iter()
                .map(|change| change.entry.clone())
                .collect();
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
            if !run.defined.is_empty() {
                self.mapper.invalidate().await;
            }
        }
        Ok(applied)
    }

    async fn apply_stage(
        &self,
        stage: Stage,
        run: &Run<'_>,
        applied: &mut ChangeSet,
    ) -> Result<(), Vec<Cause>> {
        let concurrency = run.options.concurrency.max(1);
        let planned = stream::iter(stage.objects)
            .map(|object| self.plan(object, run))
            .buffered(concurrency);
        let plans = all_or_causes(planned.collect::<Vec<_>>().await)?;
        let plans = self.validate_new(plans, run).await?;
        let mut plans = plans.into_iter().peekable();
        while let Some(first) = plans.next() {
            // Objects of one rank have no order among themselves, so they are written together.
            let current = rank(&first.object.id().kind);
            let mut group = vec![first];
            while let Some(plan) = plans.next_if(|plan| rank(&plan.object.id().kind) == current) {
                group.push(plan);
            }
            let is_new = group.iter().any(|plan| matches!(plan.step, Step::Create));
            let concurrency = if is_new {
                concurrency * CREATE_FACTOR
            } else {
                concurrency
            };
            let results: Vec<_> = stream::iter(group)
                .map(|plan| self.carry_out(plan, run))
                .buffered(concurrency)
                .collect()
                .await;
            let mut causes = Vec::new();
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

    /// Dry-runs new objects where a failure among them would come after others were changed.
    async fn validate_new(&self, plans: Vec<Plan>, run: &Run<'_>) -> Result<Vec<Plan>, Vec<Cause>> {
        if !plans.iter().any(|plan| matches!(plan.step, Step::Configure)) {
            return Ok(plans);
        }
        let validate = |plan: Plan| async move {
            if matches!(plan.step, Step::Create) {
                self.validate(plan, run).await
            } else {
                Ok(plan)
            }
        };
        let validated = stream::iter(plans)
            .map(validate)
            .buffered(run.options.concurrency.max(1));
        all_or_causes(validated.collect::<Vec<_>>().await)
    }

    async fn carry_out(&self, plan: Plan, run: &Run<'_>) -> Result<(Entry, Action), ObjectFailure> {
        let Plan {
            object,
            mapping,
            desired,
            step,
        } = plan;
        let entry = Entry {
            id: object.id().clone(),
            version: object.version().to_owned(),
        };
        let plan = match step {
            Step::Settled(action) => return Ok((entry, action)),
            Step::Configure => Plan {
                object,
                mapping,
                desired,
                step,
            },
            Step::Create => match self.create(object, mapping, desired, run).await? {
                None => return Ok((entry, Action::Created)),
                // It is there, though without our labels.
                Some(plan) => plan,
            },
        };
        match plan.step {
            Step::Settled(action) => return Ok((entry, action)),
            Step::Create | Step::Configure => {}
        }
        self.configure(&plan.object, &plan.mapping, plan.desired, run)
            .await?;
        Ok((entry, Action::Configured))
    }
}

/// The group and kind that a definition defines.
fn defined_kind(object: &Object) -> Option<(String, String)> {
    if object.id().kind != "CustomResourceDefinition" {
        return None;
    }
    let text = |pointer| {
        object
            .value()
            .pointer(pointer)
            .and_then(Value::as_str)
            .map(str::to_owned)
    };
    Some((text("/spec/group")?, text("/spec/names/kind")?))
}

/// All plans, or else all failures.
fn all_or_causes(planned: Vec<Result<Plan, ObjectFailure>>) -> Result<Vec<Plan>, Vec<Cause>> {
    let (mut plans, mut causes) = (Vec::with_capacity(planned.len()), Vec::new());
    for plan in planned {
        match plan {
            Ok(plan) => plans.push(plan),
            Err(failure) => causes.push(Cause::Object(failure)),
        }
    }
    if causes.is_empty() { Ok(plans) } else { Err(causes) }
}
