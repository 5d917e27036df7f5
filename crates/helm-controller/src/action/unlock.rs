//! Unlocking a release that a process left in the middle of an action (`spec/helm.md` C.5).

use ferro_api::helm::HelmRelease;
use ferro_api::{condition, reason};
use ferro_helm::record::Status;
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
    if outcome.is_ok() {
        // A revision that the history has stays the one that it is of.
        use ferro_api::FluxObject;
        snapshot::refresh(&mut pass.object.status_mut().history, &record, env.algorithm());
    } else {
        use ferro_api::FluxObject;
        pass.object.status_mut().failures += 1;
    }
    crate::conditions::summarise(&mut pass.object, env.algorithm());
    outcome.map_err(ActionError::from)
}
