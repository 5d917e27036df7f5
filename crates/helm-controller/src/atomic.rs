//! The loop of a release: determine, decide, act, until it is as it should be or nothing can be done (`spec/helm.md` C.4).

use std::collections::BTreeMap;
use std::time::Duration;

use ferro_api::helm::{HelmRelease, ReleaseAction, RemediationStrategy};
use ferro_api::meta::Duration as GoDuration;
use ferro_api::{ConditionStatus, FluxObject, annotation, condition, reason};
use ferro_apply::detect::Deviation;
use ferro_runtime::conditions;
use ferro_runtime::events::Severity;
use ferro_runtime::reconcile::{Outcome, Pass};
use kube::ResourceExt;
use kube::runtime::reflector::ObjectRef;

use crate::action::{ActionError, Work, install, release, rollback, test, uninstall, unlock, upgrade};
use crate::drift;
use crate::others;
use crate::reconciler::HelmReconciler;
use crate::state::{Hopeless, State, Step, decide, determine, is_way_back};
use crate::windows::{Gate, Windows};

/// Sorts of steps; each is taken once a pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sort {
    Release,
    Remediation,
    Test,
    Unlock,
    Drift,
}

fn sort(step: &Step) -> Option<Sort> {
    match step {
        Step::Nothing => None,
        Step::Install | Step::Upgrade => Some(Sort::Release),
        Step::Rollback(_) | Step::UninstallRemediation => Some(Sort::Remediation),
        Step::Test => Some(Sort::Test),
        Step::Unlock => Some(Sort::Unlock),
        Step::CorrectDrift => Some(Sort::Drift),
    }
}

/// Brings the release to where it should be.
pub(crate) async fn run(env: &HelmReconciler, pass: &mut Pass<HelmRelease>, work: &Work) -> Outcome {
    let strategies = env.strategies(&pass.object);
    let mut taken: Vec<Sort> = Vec::new();
    loop {
        if work.site.cancel.is_cancelled() {
            return env.cut_short(pass);
        }
        let Next { step, drift, forced } = match next(env, pass, work).await {
            Ok(next) => next,
            Err(outcome) => return outcome,
        };
        let Some(sort) = sort(&step) else {
            conditions::delete(&mut pass.object, condition::RECONCILING);
            crate::conditions::summarise(&mut pass.object, env.algorithm());
            return Outcome::Done;
        };
        if taken.contains(&sort) {
            return again(env, pass);
        }
        if sort == Sort::Unlock
            && !forced
            && let Some(outcome) = others::wait_for(env, pass, work).await
        {
            return outcome;
        }
        let waits = !forced && matches!(sort, Sort::Release | Sort::Drift);
        if waits && let Some(outcome) = held(env, pass, title(&step), sort == Sort::Drift) {
            return outcome;
        }
        announce(pass, &step, sort);
        // What the step before has done, and how often it failed, must be known to whoever goes on should this process be killed.
        if !taken.is_empty()
            && let Err(error) = pass.flush().await
        {
            return Outcome::Backoff { error };
        }
        let outcome = act(env, pass, work, (&step, drift)).await;
        if work.site.cancel.is_cancelled() {
            return env.cut_short(pass);
        }
        if let Err(error) = outcome {
            if let Some(interval) = strategies.active_retry(&pass.object) {
                return retry_after(pass, interval);
            }
            if pass.object.is_ready() {
                conditions::mark_false(
                    &mut pass.object,
                    condition::READY,
                    reason::RECONCILE_ERROR,
                    &error.to_string(),
                );
            }
            return Outcome::Backoff {
                error: error.to_string(),
            };
        }
        if sort == Sort::Remediation {
            return remediated(env, pass);
        }
        taken.push(sort);
        pass.publish();
    }
}

/// What is to be done next.
struct Next {
    step: Step,
    /// What has drifted.
    drift: Vec<Deviation>,
    /// Whether it is asked for explicitly.
    forced: bool,
}

async fn next(env: &HelmReconciler, pass: &mut Pass<HelmRelease>, work: &Work) -> Result<Next, Outcome> {
    let strategies = env.strategies(&pass.object);
    let unclear = |pass: &mut Pass<HelmRelease>, error: String| {
        let message = format!("Could not determine release state: {error}");
        conditions::mark_false(&mut pass.object, condition::READY, reason::STATE_ERROR, &message);
        Outcome::Backoff { error }
    };
    let last = match work.site.storage.last().await {
        Ok(last) => last,
        Err(error) => {
            let error = format!("failed to retrieve last release from storage: {error}");
            return Err(unclear(pass, error));
        }
    };
    let mut state = match determine(&pass.object, last.as_ref(), &work.desired, strategies) {
        Ok(state) => state,
        Err(error) => return Err(unclear(pass, error)),
    };
    let mut drift = Vec::new();
    if state == State::InSync
        && let Some(record) = &last
    {
        drift = match drift::detect(&pass.object, record, work).await {
            Ok(drift) => drift,
            Err(error) => return Err(unclear(pass, error)),
        };
        if !drift.is_empty() {
            state = State::Drifted;
        }
    }
    let forced = is_forced(&mut pass.object);
    if matches!(state, State::InSync | State::Untested) {
        settle(env, &mut pass.object);
    }
    match state {
        State::InSync if !forced => drift::none(&mut pass.object),
        State::Drifted => drift::announce(env, pass, &drift),
        _ => {}
    }
    tracing::debug!(?state, forced, "release state");
    let step = match decide(&state, &mut pass.object, forced, strategies) {
        Ok(Step::Rollback(previous)) => match work.site.storage.get(previous.version).await {
            Ok(record) if is_way_back(&previous, record.as_ref()).is_ok() => Step::Rollback(previous),
            Ok(_) => Step::Upgrade,
            Err(error) => return Err(unclear(pass, error.to_string())),
        },
        Ok(step) => step,
        Err(hopeless) => return Err(stalled(pass, &hopeless)),
    };
    Ok(Next { step, drift, forced })
}

/// Keeps a change until the release's maintenance window opens, if it has one that is closed.
pub(crate) fn held(
    env: &HelmReconciler,
    pass: &mut Pass<HelmRelease>,
    what: &str,
    is_drift: bool,
) -> Option<Outcome> {
    let interval = Duration::from(pass.object.spec.interval);
    let windows = match Windows::of(&pass.object) {
        Ok(windows) => windows?,
        Err(error) => {
            let error = error.to_string();
            conditions::delete(&mut pass.object, condition::RECONCILING);
            conditions::mark_false(&mut pass.object, condition::READY, reason::INVALID_WINDOW, &error);
            tell_once(env, pass, Severity::Error, reason::INVALID_WINDOW, &error);
            return Some(Outcome::Wait(interval));
        }
    };
    crate::conditions::overcome(&mut pass.object, reason::INVALID_WINDOW);
    let now = jiff::Timestamp::now();
    let key = ObjectRef::from_obj(&pass.object);
    let until = match windows.gate(now) {
        Gate::Closed(until) if !(is_drift && windows.ignores_drift) => until,
        _ => {
            env.memory.tell(key, None);
            return None;
        }
    };
    let message = format!(
        "{what} waits for the maintenance window that opens at {}",
        until.strftime("%Y-%m-%d %H:%M %Z")
    );
    conditions::mark_reconciling(&mut pass.object, reason::WAITING_FOR_WINDOW, &message);
    tell_once(env, pass, Severity::Info, reason::WAITING_FOR_WINDOW, &message);
    let left = until.timestamp().duration_since(now);
    let left = Duration::try_from(left).unwrap_or_default();
    // Until then it is looked at as often as ever: something else may be due.
    Some(Outcome::Wait(left.max(Duration::from_secs(1)).min(interval)))
}

/// Tells something unless it was told last.
pub(crate) fn tell_once(
    env: &HelmReconciler,
    pass: &Pass<HelmRelease>,
    severity: Severity,
    reason: &str,
    message: &str,
) {
    let key = ObjectRef::from_obj(&pass.object);
    if env.memory.tell(key, Some(message)) {
        pass.event(severity, reason, message, BTreeMap::new());
    }
}

/// Whether a release waits for its maintenance window, for one that can be read, or for another client: what is due must not count as seen.
pub(crate) fn is_held(release: &HelmRelease) -> bool {
    let has = |type_: &str, reason: &str| {
        let found = release.condition(type_);
        found.is_some_and(|found| found.reason == reason)
    };
    has(condition::RECONCILING, reason::WAITING_FOR_WINDOW)
        || has(condition::RECONCILING, reason::LOCKED_BY_OTHER)
        || has(condition::READY, reason::INVALID_WINDOW)
}

fn stalled(pass: &mut Pass<HelmRelease>, hopeless: &Hopeless) -> Outcome {
    match hopeless {
        Hopeless::Exhausted(_) => exhausted(pass, hopeless.to_string()),
        Hopeless::NoWayBack => {
            let message = format!("Failed to perform remediation: {hopeless}");
            conditions::mark_stalled(&mut pass.object, reason::MISSING_ROLLBACK_TARGET, &message);
            Outcome::Stalled {
                error: hopeless.to_string(),
            }
        }
    }
}

fn exhausted(pass: &mut Pass<HelmRelease>, error: String) -> Outcome {
    let status = pass.object.status();
    let action = status
        .and_then(|status| status.last_attempted_release_action)
        .unwrap_or_default();
    let failures = status.map_or(0, |status| match action {
        ReleaseAction::Install => status.install_failures,
        ReleaseAction::Upgrade => status.upgrade_failures,
    });
    let message = format!("Failed to {} after {failures} attempt(s)", action.as_str());
    conditions::mark_stalled(&mut pass.object, reason::RETRIES_EXCEEDED, &message);
    Outcome::Stalled { error }
}

/// The same sort of step once more: not in this pass.
fn again(env: &HelmReconciler, pass: &mut Pass<HelmRelease>) -> Outcome {
    let strategies = env.strategies(&pass.object);
    if let Some(interval) = strategies.active_retry(&pass.object) {
        return retry_after(pass, interval);
    }
    if strategies
        .active_remediation(&pass.object)
        .is_none_or(|active| !active.is_exhausted)
    {
        return requeue(pass);
    }
    conditions::delete(&mut pass.object, condition::RECONCILING);
    Outcome::Done
}

fn remediated(env: &HelmReconciler, pass: &mut Pass<HelmRelease>) -> Outcome {
    let strategies = env.strategies(&pass.object);
    if let Some(interval) = strategies.active_retry(&pass.object) {
        return retry_after(pass, interval);
    }
    let goes_on = strategies.active_remediation(&pass.object).is_none_or(|active| {
        let reinstalls =
            active.action == ReleaseAction::Upgrade && active.strategy == RemediationStrategy::Uninstall;
        !active.is_exhausted || reinstalls
    });
    if goes_on {
        return requeue(pass);
    }
    exhausted(pass, "exceeded maximum retries".to_owned())
}

fn requeue(pass: &mut Pass<HelmRelease>) -> Outcome {
    let ready = pass.object.condition(condition::READY);
    let message = ready.map_or_else(String::new, |ready| ready.message.clone());
    conditions::mark_reconciling(&mut pass.object, reason::PROGRESSING_WITH_RETRY, &message);
    Outcome::Backoff {
        error: format!("must requeue: {message}"),
    }
}

fn retry_after(pass: &mut Pass<HelmRelease>, interval: Duration) -> Outcome {
    let message = format!("retrying after {}", GoDuration::from(interval));
    conditions::mark_reconciling(&mut pass.object, reason::PROGRESSING_WITH_RETRY, &message);
    Outcome::Wait(interval)
}

fn announce(pass: &mut Pass<HelmRelease>, step: &Step, sort: Sort) {
    let spec = &pass.object.spec;
    let own = match step {
        Step::Install => spec.install.as_ref().and_then(|install| install.timeout),
        Step::Upgrade => spec.upgrade.as_ref().and_then(|upgrade| upgrade.timeout),
        Step::Test => spec.test.as_ref().and_then(|test| test.timeout),
        Step::Rollback(_) => spec.rollback.as_ref().and_then(|rollback| rollback.timeout),
        Step::UninstallRemediation => spec.uninstall.as_ref().and_then(|uninstall| uninstall.timeout),
        Step::Unlock | Step::CorrectDrift | Step::Nothing => None,
    };
    let name = title(step);
    let timeout = own.unwrap_or_else(|| spec.timeout_or_default());
    let message = format!("Running '{name}' action with timeout of {timeout}");
    if sort == Sort::Release {
        conditions::mark_unknown(&mut pass.object, condition::READY, reason::PROGRESSING, &message);
    }
    pass.progress(&message);
}

/// What a step is called.
fn title(step: &Step) -> &'static str {
    match step {
        Step::Install => "install",
        Step::Upgrade => "upgrade",
        Step::Test => "test",
        Step::Rollback(_) => "rollback",
        Step::UninstallRemediation => "uninstall",
        Step::Unlock => "unlock",
        Step::CorrectDrift => "correct cluster drift",
        Step::Nothing => "nothing",
    }
}

async fn act(
    env: &HelmReconciler,
    pass: &mut Pass<HelmRelease>,
    work: &Work,
    (step, drift): (&Step, Vec<Deviation>),
) -> Result<(), ActionError> {
    match step {
        Step::Nothing => Ok(()),
        Step::Install => install::install(env, pass, work).await,
        Step::Upgrade => upgrade::upgrade(env, pass, work).await,
        Step::Test => test::test(env, pass, work).await,
        Step::Rollback(previous) => rollback::remediate(env, pass, work, previous).await,
        Step::UninstallRemediation => uninstall::remediate(env, pass, &work.site).await,
        Step::Unlock => unlock::unlock(env, pass, work).await,
        Step::CorrectDrift => drift::correct(pass, work, drift).await,
    }
}

/// A release that is as it should be says so, whatever was said before.
fn settle(env: &HelmReconciler, object: &mut HelmRelease) {
    let Some(last) = object.status().and_then(|status| status.history.first().cloned()) else {
        return;
    };
    let text =
        |action| release::success_message(action, &last.full_release_name(), &last.versioned_chart_name());
    if object.is_condition_true(condition::REMEDIATED) {
        let since = object
            .condition(condition::REMEDIATED)
            .map(|remediated| remediated.last_transition_time);
        let (reason, message) = text(ReleaseAction::Upgrade);
        conditions::delete(object, condition::REMEDIATED);
        conditions::mark_true(object, condition::RELEASED, reason, &message);
        let released = object
            .conditions_mut()
            .iter_mut()
            .find(|known| known.type_ == condition::RELEASED);
        if let (Some(released), Some(since)) = (released, since) {
            released.last_transition_time = since;
        }
        crate::conditions::summarise(object, env.algorithm());
    }
    let is_true = |type_| object.is_condition_true(type_);
    if is_true(condition::READY) && is_true(condition::RELEASED) {
        return;
    }
    let released = object
        .condition(condition::RELEASED)
        .map(|released| released.reason.clone());
    let action = match released.as_deref() {
        Some(reason::INSTALL_FAILED) => ReleaseAction::Install,
        Some(reason::UPGRADE_FAILED) => ReleaseAction::Upgrade,
        _ => return,
    };
    let (reason, message) = text(action);
    conditions::set(
        object,
        condition::RELEASED,
        ConditionStatus::True,
        reason,
        &message,
    );
    crate::conditions::summarise(object, env.algorithm());
}

/// Whether an upgrade is asked for even if nothing has changed. Asking is answered once.
fn is_forced(object: &mut HelmRelease) -> bool {
    let handled = object
        .status()
        .and_then(|status| status.last_handled_force_at.clone());
    let (is_new, token) = requested(object, annotation::FORCE_REQUESTED_AT, handled.as_deref());
    if let Some(token) = token {
        object.status_mut().last_handled_force_at = Some(token);
    }
    is_new
}

/// Whether an upgrade is asked for; the asking stays unanswered.
pub(crate) fn asks_for_force(object: &HelmRelease) -> bool {
    let handled = object
        .status()
        .and_then(|status| status.last_handled_force_at.as_deref());
    requested(object, annotation::FORCE_REQUESTED_AT, handled).0
}

/// Whether the failures are to be forgotten. Asking is answered once.
pub(crate) fn is_reset(object: &mut HelmRelease) -> bool {
    let handled = object
        .status()
        .and_then(|status| status.last_handled_reset_at.clone());
    let (is_new, token) = requested(object, annotation::RESET_REQUESTED_AT, handled.as_deref());
    if let Some(token) = token {
        object.status_mut().last_handled_reset_at = Some(token);
    }
    is_new
}

/// A request counts where it came with a request to reconcile that is not handled yet. The token, if there is one, is noted either way.
fn requested(object: &HelmRelease, annotation: &str, handled: Option<&str>) -> (bool, Option<String>) {
    let Some(token) = object.annotations().get(annotation).cloned() else {
        return (false, None);
    };
    let is_new = object.reconcile_requested_at() == Some(token.as_str())
        && object.last_handled_reconcile_at() != Some(token.as_str())
        && handled != Some(token.as_str());
    (is_new, Some(token))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn requests_are_answered_once_and_only_together_with_a_reconcile() {
        let object = |annotations: serde_json::Value, status: serde_json::Value| -> HelmRelease {
            let annotations: serde_json::Map<String, serde_json::Value> = annotations
                .as_object()
                .unwrap()
                .iter()
                .map(|(key, value)| (format!("reconcile.fluxcd.io/{key}"), value.clone()))
                .collect();
            serde_json::from_value(
                json!({ "metadata": { "name": "a", "annotations": annotations }, "status": status }),
            )
            .unwrap()
        };
        let mut asked = object(json!({ "requestedAt": "1", "forceAt": "1" }), json!({}));
        assert!(is_forced(&mut asked));
        assert!(!is_forced(&mut asked));
        assert_eq!(
            asked.status.as_ref().unwrap().last_handled_force_at.as_deref(),
            Some("1")
        );
        let mut alone = object(json!({ "forceAt": "1" }), json!({}));
        assert!(!is_forced(&mut alone));
        assert!(alone.status.is_some(), "the token is used up");
        let mut handled = object(
            json!({ "requestedAt": "1", "resetAt": "1" }),
            json!({ "lastHandledReconcileAt": "1" }),
        );
        assert!(!is_reset(&mut handled));
        assert!(!is_reset(&mut object(json!({}), json!({}))));
    }
}
