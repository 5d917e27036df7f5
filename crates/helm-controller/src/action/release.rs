//! What install and upgrade tell of their outcome (`spec/helm.md` C.5).

use ferro_api::helm::{HelmRelease, ReleaseAction};
use ferro_api::meta::Duration;
use ferro_api::{FluxObject, condition, reason};
use ferro_runtime::conditions;
use ferro_runtime::events::Severity;
use ferro_runtime::reconcile::Pass;
use tokio::time::Instant;

use super::{ActionError, Journal, Work};
use crate::notice;
use crate::reconciler::HelmReconciler;
use crate::snapshot;

/// The words of an action.
struct Words {
    name: &'static str,
    succeeded: &'static str,
    failed: &'static str,
}

const INSTALL: Words = Words {
    name: "install",
    succeeded: reason::INSTALL_SUCCEEDED,
    failed: reason::INSTALL_FAILED,
};
const UPGRADE: Words = Words {
    name: "upgrade",
    succeeded: reason::UPGRADE_SUCCEEDED,
    failed: reason::UPGRADE_FAILED,
};

fn words(action: ReleaseAction) -> &'static Words {
    match action {
        ReleaseAction::Install => &INSTALL,
        ReleaseAction::Upgrade => &UPGRADE,
    }
}

/// Puts the outcome into history, counters, conditions and events. An error that left no record is returned: it is tried again without
/// being counted.
pub(crate) fn report(
    env: &HelmReconciler,
    pass: &mut Pass<HelmRelease>,
    work: &Work,
    (action, began): (ReleaseAction, Instant),
    mut journal: Journal,
    outcome: Result<(), ActionError>,
) -> Result<(), ActionError> {
    let is_empty = journal.is_empty();
    let status = pass.object.status_mut();
    status.last_attempted_release_action_duration = Some(Duration::from(began.elapsed()));
    let newest = journal.written.iter().map(|taken| taken.version).max();
    for taken in std::mem::take(&mut journal.written) {
        let known = status.history.iter().any(|known| known.version == taken.version);
        if Some(taken.version) == newest || known {
            snapshot::record(&mut status.history, taken);
        }
    }
    if journal.inventory.is_some() {
        status.inventory = journal.inventory.take();
    }
    let result = match outcome {
        Ok(()) => {
            succeed(env, pass, action);
            Ok(())
        }
        Err(error) => {
            fail(pass, work, action, &error, &journal);
            if is_empty {
                Err(error)
            } else {
                count(pass, action);
                Ok(())
            }
        }
    };
    crate::conditions::summarise(&mut pass.object, env.algorithm());
    result
}

fn succeed(env: &HelmReconciler, pass: &mut Pass<HelmRelease>, action: ReleaseAction) {
    let Some(last) = pass
        .object
        .status()
        .and_then(|status| status.history.first().cloned())
    else {
        return;
    };
    let words = words(action);
    let message = succeeded(
        words.name,
        &last.full_release_name(),
        &last.versioned_chart_name(),
    );
    conditions::mark_true(&mut pass.object, condition::RELEASED, words.succeeded, &message);
    let tests = pass.object.spec.test.as_ref().is_some_and(|test| test.enable);
    if tests && !snapshot::is_tested(&last) {
        let message = format!(
            "Helm release {} with chart {} is awaiting tests",
            last.full_release_name(),
            last.versioned_chart_name()
        );
        conditions::mark_unknown(
            &mut pass.object,
            condition::TEST_SUCCESS,
            reason::AWAITING_TESTS,
            &message,
        );
    }
    if env.strategies(&pass.object).active_retry(&pass.object).is_some() {
        clear_failures(&mut pass.object);
    }
    pass.event(
        Severity::Info,
        words.succeeded,
        &message,
        notice::of_snapshot(&last),
    );
}

fn succeeded(action: &str, release: &str, chart: &str) -> String {
    format!("Helm {action} succeeded for release {release} with chart {chart}")
}

/// The text of Released after an action that succeeded.
pub(crate) fn success_message(action: ReleaseAction, release: &str, chart: &str) -> (&'static str, String) {
    let words = words(action);
    (words.succeeded, succeeded(words.name, release, chart))
}

fn fail(
    pass: &mut Pass<HelmRelease>,
    work: &Work,
    action: ReleaseAction,
    error: &ActionError,
    journal: &Journal,
) {
    let words = words(action);
    let target = &work.site.target;
    let message = format!(
        "Helm {} failed for release {}/{} with chart {}: {error}",
        words.name,
        target.namespace,
        target.name,
        work.desired.versioned_chart()
    );
    pass.object.status_mut().failures += 1;
    conditions::mark_false(&mut pass.object, condition::RELEASED, words.failed, &message);
    pass.event(
        Severity::Error,
        words.failed,
        &journal.failure(&message),
        notice::of_desired(&work.desired),
    );
}

/// Counts a failure of the action.
pub(crate) fn count(pass: &mut Pass<HelmRelease>, action: ReleaseAction) {
    let status = pass.object.status_mut();
    match action {
        ReleaseAction::Install => status.install_failures += 1,
        ReleaseAction::Upgrade => status.upgrade_failures += 1,
    }
}

/// Forgets all failures.
pub(crate) fn clear_failures(release: &mut HelmRelease) {
    let status = release.status_mut();
    (status.failures, status.install_failures, status.upgrade_failures) = (0, 0, 0);
}
