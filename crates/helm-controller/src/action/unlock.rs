//! Unlocking a release that a process left in the middle of an action (`spec/helm.md` C.5), an uninstall included: upstream never gets
//! out of that.

use ferro_api::helm::{HelmRelease, ReleaseSnapshot};
use ferro_api::{FluxObject, condition, reason};
use ferro_artifact::digest::Algorithm;
use ferro_helm::record::{Record, Status};
use ferro_runtime::conditions;
use ferro_runtime::events::Severity;
use ferro_runtime::reconcile::Pass;

use super::{ActionError, Work};
use crate::notice;
use crate::reconciler::HelmReconciler;
use crate::snapshot;

/// Marks the newest revision as failed, so that the next action may begin.
pub(crate) async fn unlock(
    env: &HelmReconciler,
    pass: &mut Pass<HelmRelease>,
    work: &Work,
) -> Result<(), ActionError> {
    let storage = &work.site.storage;
    let Some(mut record) = storage.last().await? else {
        return Ok(());
    };
    let stale = record.info.status.clone();
    record.info.deleted = None;
    record.set_status(
        Status::Failed,
        format!("Release unlocked from stale '{stale}' state"),
    );
    let taken = snapshot::take(&record, "", "", env.algorithm());
    let (full, chart) = (taken.full_release_name(), taken.versioned_chart_name());
    let outcome = storage.update(&record).await;
    let message = match &outcome {
        Ok(()) => format!("Unlocked Helm release {full} with chart {chart} in {stale} state"),
        Err(error) => {
            format!("Unlock of Helm release {full} with chart {chart} in {stale} state failed: {error}")
        }
    };
    conditions::mark_false(
        &mut pass.object,
        condition::RELEASED,
        reason::PENDING_RELEASE,
        &message,
    );
    let severity = if outcome.is_ok() {
        Severity::Info
    } else {
        Severity::Error
    };
    pass.event(
        severity,
        reason::PENDING_RELEASE,
        &message,
        notice::of_snapshot(&taken),
    );
    let status = pass.object.status_mut();
    match &outcome {
        Ok(()) => take_in(&mut status.history, &record, (&stale, env.algorithm())),
        Err(_) => status.failures += 1,
    }
    crate::conditions::summarise(&mut pass.object, env.algorithm());
    outcome.map_err(ActionError::from)
}

/// A revision that the history has stays the one that it is of. One after those that it has was begun by a process that did not live to note
/// it; upstream takes it for somebody else's, and forgets with the history what could be rolled back to.
fn take_in(history: &mut Vec<ReleaseSnapshot>, record: &Record, (stale, algorithm): (&Status, Algorithm)) {
    let Some(newest) = history.first() else {
        return;
    };
    let is_next = newest.version < record.version
        && (&newest.name, &newest.namespace) == (&record.name, &record.namespace);
    if is_next {
        let action = match stale {
            Status::PendingRollback => "rollback",
            _ => "upgrade",
        };
        snapshot::record(history, snapshot::take(record, action, "", algorithm));
    } else {
        snapshot::refresh(history, record, algorithm);
    }
}
