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
//! not dry-run: each write validates its own. Where dry-runs are not asked for, what may differ is written at once.

use std::collections::BTreeSet;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use ferro_kstatus::HealthExprs;
use futures::{Stream, StreamExt, stream};
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
use crate::wait::{WaitError, WaitOptions};

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
    /// Whether managed fields of other API versions are moved to the version that is applied, before it is.
    pub migrate_version: bool,
    /// Whether changes are dry-run before the first of a stage is written, so that one that is refused leaves all as they were.
    pub dry_runs: bool,
    /// Whether fields that a kind does not have are refused; otherwise they are left out where the server minds them.
    pub is_strict: bool,
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
            if let Err((causes, uncertain)) = self.apply_stage(stage, &run, &mut applied).await {
                return Err(ApplyError {
                    applied,
                    causes,
                    uncertain,
                });
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
                    uncertain: Vec::new(),
                });
            }
            if !run.defined.is_empty() {
                self.mapper.invalidate().await;
            }
        }
        Ok(applied)
    }

    /// Fails with the causes, and the objects of which is not known whether they were written.
    async fn apply_stage(
        &self,
        stage: Stage,
        run: &Run<'_>,
        applied: &mut ChangeSet,
    ) -> Result<(), (Vec<Cause>, Vec<Entry>)> {
        let unwritten = |causes| (causes, Vec::new());
        let plans = self.plan_all(stage.objects, run).await.map_err(unwritten)?;
        let plans = self.validate_new(plans, run).await.map_err(unwritten)?;
        let mut plans = plans.into_iter().peekable();
        while let Some(first) = plans.next() {
            // Objects of one rank have no order among themselves, so they are written together.
            let current = rank(&first.object.id().kind);
            let mut group = vec![first];
            while let Some(plan) = plans.next_if(|plan| rank(&plan.object.id().kind) == current) {
                group.push(plan);
            }
            self.write_group(group, run, applied).await?;
        }
        Ok(())
    }

    async fn plan_all(&self, objects: Vec<Object>, run: &Run<'_>) -> Result<Vec<Plan>, Vec<Cause>> {
        let (expected, stop) = (objects.len(), run.options.cancel.child_token());
        let planned = until_cancelled(objects, &stop)
            .map(|object| self.plan(object, run))
            .buffered(run.options.concurrency.max(1));
        all_or_causes(planned, expected, &stop).await
    }

    /// Writes objects that have no order among themselves.
    async fn write_group(
        &self,
        group: Vec<Plan>,
        run: &Run<'_>,
        applied: &mut ChangeSet,
    ) -> Result<(), (Vec<Cause>, Vec<Entry>)> {
        let is_new = group.iter().any(|plan| matches!(plan.step, Step::Create));
        let factor = if is_new { CREATE_FACTOR } else { 1 };
        let expected = group.len();
        let mut written = until_cancelled(group, &run.options.cancel)
            .map(|plan| async move {
                let entry = plan.entry();
                (self.carry_out(plan, run).await, entry)
            })
            .buffered(run.options.concurrency.max(1) * factor);
        let (mut causes, mut uncertain, mut done) = (Vec::new(), Vec::new(), 0);
        while let Some((result, entry)) = written.next().await {
            done += 1;
            match result {
                Ok(action) => applied.push(entry, action),
                Err(failure) => {
                    if failure.is_uncertain() {
                        uncertain.push(entry);
                    }
                    causes.push(Cause::Object(failure));
                }
            }
        }
        if done < expected {
            causes.push(Cause::Stage(WaitError::Cancelled));
        }
        if causes.is_empty() {
            Ok(())
        } else {
            Err((causes, uncertain))
        }
    }

    /// Dry-runs new objects where a failure among them would come after others were changed.
    async fn validate_new(&self, plans: Vec<Plan>, run: &Run<'_>) -> Result<Vec<Plan>, Vec<Cause>> {
        let changes = plans.iter().any(|plan| matches!(plan.step, Step::Configure));
        if !changes || !run.options.dry_runs {
            return Ok(plans);
        }
        let validate = |plan: Plan| async move {
            if matches!(plan.step, Step::Create) {
                self.validate(plan, run).await
            } else {
                Ok(plan)
            }
        };
        let (expected, stop) = (plans.len(), run.options.cancel.child_token());
        let validated = until_cancelled(plans, &stop)
            .map(validate)
            .buffered(run.options.concurrency.max(1));
        all_or_causes(validated, expected, &stop).await
    }

    pub(crate) async fn carry_out(&self, plan: Plan, run: &Run<'_>) -> Result<Action, ObjectFailure> {
        let Plan {
            object,
            mapping,
            desired,
            step,
        } = plan;
        let plan = match step {
            Step::Settled(action) => return Ok(action),
            Step::Configure => Plan {
                object,
                mapping,
                desired,
                step,
            },
            Step::Create => match self.create(object, mapping, desired, run).await? {
                None => return Ok(Action::Created),
                // It is there, though without our labels.
                Some(plan) => plan,
            },
        };
        match plan.step {
            Step::Settled(action) => return Ok(action),
            Step::Create | Step::Configure => {}
        }
        self.configure(&plan.object, &plan.mapping, plan.desired, run)
            .await
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

/// Items until `stop` fires: what was begun is ended, and nothing else is begun.
fn until_cancelled<T>(items: Vec<T>, stop: &CancellationToken) -> impl Stream<Item = T> + Unpin + use<T> {
    let stop = stop.clone();
    stream::iter(items.into_iter().take_while(move |_| !stop.is_cancelled()))
}

/// All plans, or else all failures; once the server cannot be reached, no others are tried.
async fn all_or_causes(
    planned: impl Stream<Item = Result<Plan, ObjectFailure>>,
    expected: usize,
    stop: &CancellationToken,
) -> Result<Vec<Plan>, Vec<Cause>> {
    let mut planned = pin!(planned);
    let (mut plans, mut causes) = (Vec::with_capacity(expected), Vec::new());
    while let Some(plan) = planned.next().await {
        match plan {
            Ok(plan) => plans.push(plan),
            Err(failure) => {
                if failure.is_unreachable() {
                    stop.cancel();
                }
                causes.push(Cause::Object(failure));
            }
        }
    }
    if causes.is_empty() && plans.len() < expected {
        causes.push(Cause::Stage(WaitError::Cancelled));
    }
    if causes.is_empty() { Ok(plans) } else { Err(causes) }
}
