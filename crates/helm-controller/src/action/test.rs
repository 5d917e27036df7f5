//! The tests of a chart (`spec/helm.md` C.5, F.5).

use std::sync::Arc;

use ferro_api::helm::{HelmRelease, Test};
use ferro_api::{FluxObject, condition, reason};
use ferro_helm::plan::hooks_of;
use ferro_helm::record::StoredHook;
use ferro_runtime::conditions;
use ferro_runtime::events::Severity;
use ferro_runtime::reconcile::Pass;

use super::hooks::HookOptions;
use super::{ActionError, Journal, Work, hooks, release};
use crate::notice;
use crate::reconciler::HelmReconciler;
use crate::snapshot;

/// Runs the tests of the newest revision.
pub(crate) async fn test(
    env: &HelmReconciler,
    pass: &mut Pass<HelmRelease>,
    work: &Work,
) -> Result<(), ActionError> {
    let spec = pass.object.spec.test.clone().unwrap_or_default();
    let timeout = spec
        .timeout
        .unwrap_or_else(|| pass.object.spec.timeout_or_default())
        .to_std();
    let Some(last) = pass
        .object
        .status()
        .and_then(|status| status.history.first().cloned())
    else {
        return Err(ActionError("no release to test".to_owned()));
    };
    let storage = &work.site.storage;
    let mut record = storage
        .last()
        .await?
        .ok_or_else(|| ActionError("release: not found".to_owned()))?;
    if record.version != last.version || record.name != last.name {
        return Err(ActionError(format!(
            "release mismatch: tested release {}/{}.v{} != current release {}",
            record.namespace,
            record.name,
            record.version,
            last.full_release_name()
        )));
    }
    let mut order = hooks_of(&record.hooks, "test");
    order.retain(|index| {
        record
            .hooks
            .get(*index)
            .is_some_and(|hook| is_chosen(hook, &spec))
    });
    let oci_digest = last.oci_digest.clone().unwrap_or_default();
    let mut journal = Journal::new("test", &oci_digest, env.algorithm());
    // Tests are never waited for in Helm 3's way.
    let how = HookOptions {
        timeout,
        is_legacy: false,
        is_server_side: record.is_server_side(),
        exprs: Arc::clone(&work.exprs_with_jobs),
    };
    let outcome = hooks::run_these(&work.site, &mut record, &mut journal, (&order, "test"), &how).await;
    if !order.is_empty() {
        storage.update(&record).await?;
    }
    let chosen = record
        .hooks
        .iter()
        .filter(|hook| hook.is_test() && is_chosen(hook, &spec));
    let tests = snapshot::tests(chosen);
    let count = tests.len();
    if let Some(known) = pass.object.status_mut().history.first_mut() {
        known.test_hooks = Some(tests);
    }
    let reported = report(env, pass, (outcome, count), &journal);
    crate::conditions::summarise(&mut pass.object, env.algorithm());
    reported
}

/// Puts the outcome into conditions, counters and events. Where no test came to its end, the error is returned: it is tried again without
/// being counted.
fn report(
    env: &HelmReconciler,
    pass: &mut Pass<HelmRelease>,
    (outcome, count): (Result<(), ActionError>, usize),
    journal: &Journal,
) -> Result<(), ActionError> {
    let Some(last) = pass
        .object
        .status()
        .and_then(|status| status.history.first().cloned())
    else {
        return outcome;
    };
    let (full, chart) = (last.full_release_name(), last.versioned_chart_name());
    let metadata = notice::of_snapshot(&last);
    match outcome {
        Ok(()) => {
            let hooks = match count {
                0 => "no test hooks".to_owned(),
                1 => "1 test hook completed successfully".to_owned(),
                count => format!("{count} test hooks completed successfully"),
            };
            let message = format!("Helm test succeeded for release {full} with chart {chart}: {hooks}");
            conditions::mark_true(
                &mut pass.object,
                condition::TEST_SUCCESS,
                reason::TEST_SUCCEEDED,
                &message,
            );
            pass.event(Severity::Info, reason::TEST_SUCCEEDED, &message, metadata);
            Ok(())
        }
        Err(error) => {
            let message = format!("Helm test failed for release {full} with chart {chart}: {error}");
            pass.object.status_mut().failures += 1;
            conditions::mark_false(
                &mut pass.object,
                condition::TEST_SUCCESS,
                reason::TEST_FAILED,
                &message,
            );
            let told = journal.test_failure(&message);
            pass.event(Severity::Error, reason::TEST_FAILED, &told, metadata);
            if !snapshot::is_tested(&last) {
                return Err(error);
            }
            let strategies = env.strategies(&pass.object);
            let action = pass
                .object
                .status()
                .and_then(|status| status.last_attempted_release_action);
            if let Some(action) = action
                && !strategies.ignores_test_failures(&pass.object)
            {
                release::count(pass, action);
            }
            Ok(())
        }
    }
}

/// Whether the filters leave a test: those that are named, if any are, and none of those that are excluded.
fn is_chosen(hook: &StoredHook, test: &Test) -> bool {
    let named = |exclude: bool| {
        test.filters
            .iter()
            .filter(move |filter| filter.exclude == exclude)
    };
    let included = named(false).count() == 0 || named(false).any(|filter| filter.name == hook.name);
    included && !named(true).any(|filter| filter.name == hook.name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_include_and_exclude_by_name() {
        let chosen = |filters: serde_json::Value| -> Vec<&str> {
            let test: Test = serde_json::from_value(serde_json::json!({ "filters": filters })).unwrap();
            let hook = |name: &str| StoredHook {
                name: name.into(),
                ..StoredHook::default()
            };
            ["a", "b"]
                .into_iter()
                .filter(|name| is_chosen(&hook(name), &test))
                .collect()
        };
        assert_eq!(chosen(serde_json::json!([])), ["a", "b"]);
        assert_eq!(chosen(serde_json::json!([{ "name": "a" }])), ["a"]);
        assert_eq!(
            chosen(serde_json::json!([{ "name": "a", "exclude": true }])),
            ["b"]
        );
        assert!(chosen(serde_json::json!([{ "name": "a" }, { "name": "a", "exclude": true }])).is_empty());
    }
}
