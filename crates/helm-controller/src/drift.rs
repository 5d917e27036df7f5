//! Drift: what in the cluster is no longer as the release made it, and undoing that (`spec/helm.md` D.3).

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use ferro_api::helm::{DriftDetectionMode, HelmRelease};
use ferro_api::kustomize::DriftIgnoreRule;
use ferro_api::{FluxObject, annotation, condition, reason};
use ferro_apply::detect::{CorrectionFailure, Detection, Deviation, Difference, Exclusion};
use ferro_apply::ignore::{self, RuleSpec, Rules};
use ferro_apply::jsondiff::{Operation, OperationKind};
use ferro_apply::{ApplyOptions, ChangeSet};
use ferro_helm::record::Record;
use ferro_runtime::conditions;
use ferro_runtime::events::Severity;
use ferro_runtime::reconcile::Pass;

use crate::action::deploy::apply_options;
use crate::action::{ActionError, Work};
use crate::reconciler::HelmReconciler;
use crate::{lock, notice, objects};

/// The value of the marker that keeps an object out.
const EXCLUDED: &str = "disabled";

/// Looks for drift, if that is asked for. Fails where nothing can be said.
pub(crate) async fn detect(
    release: &HelmRelease,
    record: &Record,
    work: &Work,
) -> Result<Vec<Deviation>, String> {
    if release.spec.drift_detection_mode() == DriftDetectionMode::Disabled {
        return Ok(Vec::new());
    }
    let unclear = |problem: String| format!("unable to determine cluster state: {problem}");
    let found = look(release, record, work).await.map_err(unclear)?;
    let failures: Vec<String> = found.failures.iter().map(ToString::to_string).collect();
    if !failures.is_empty() {
        let problem = match failures.as_slice() {
            [one] => one.clone(),
            several => format!("[{}]", several.join(", ")),
        };
        if !found.has_changes() {
            return Err(unclear(problem));
        }
        tracing::error!(
            error = problem,
            "diff of release against cluster state completed with error"
        );
    }
    Ok(if found.has_changes() {
        found.deviations
    } else {
        Vec::new()
    })
}

async fn look(release: &HelmRelease, record: &Record, work: &Work) -> Result<Detection, String> {
    let (options, exclusion) = rules(release, work)?;
    let site = &work.site;
    let mut made = objects::settle(&site.cluster, objects::parse(&record.manifest)?, &site.target).await?;
    objects::own(&mut made, &site.target);
    Ok(site.cluster.detect(made, &options, &exclusion).await)
}

/// How objects are compared, and which are not. An empty path stands for the whole object.
fn rules(release: &HelmRelease, work: &Work) -> Result<(ApplyOptions, Exclusion), String> {
    let rules = release
        .spec
        .drift_detection
        .iter()
        .flat_map(|drift| &drift.ignore);
    let (whole, fields): (Vec<RuleSpec>, Vec<RuleSpec>) = rules
        .map(rule)
        .partition(|rule| rule.paths.iter().any(String::is_empty));
    let whole: Vec<RuleSpec> = whole
        .into_iter()
        .map(|rule| RuleSpec {
            paths: Vec::new(),
            ..rule
        })
        .collect();
    let compile = |specs: &[RuleSpec]| {
        Rules::compile(specs).map_err(|error| format!("failed to create ignore rule selector: {error}"))
    };
    let options = ApplyOptions {
        is_strict: false,
        ignore: Arc::new(compile(&fields)?),
        ..apply_options(release, work)
    };
    let exclusion = Exclusion {
        marker: (annotation::DRIFT_DETECTION, EXCLUDED),
        objects: compile(&whole)?,
    };
    Ok((options, exclusion))
}

fn rule(rule: &DriftIgnoreRule) -> RuleSpec {
    let target = rule.target.as_ref().map(|target| ignore::Selector {
        group: target.group.clone(),
        version: target.version.clone(),
        kind: target.kind.clone(),
        namespace: target.namespace.clone(),
        name: target.name.clone(),
        label_selector: target.label_selector.clone(),
        annotation_selector: target.annotation_selector.clone(),
    });
    RuleSpec {
        target,
        paths: rule.paths.clone(),
    }
}

/// Tells users what has drifted.
pub(crate) fn announce(env: &HelmReconciler, pass: &mut Pass<HelmRelease>, drift: &[Deviation]) {
    let Some(release) = full_name(&pass.object) else {
        return;
    };
    tracing::info!("detected changes in cluster state: {}", brief(drift));
    let mut contention = lock(&env.contention);
    drift.iter().for_each(|deviation| {
        contention.repaired(deviation.id());
    });
    drop(contention);
    for deviation in drift {
        if let Difference::Changed(operations) = &deviation.difference {
            let paths: Vec<&str> = operations
                .iter()
                .map(|operation| operation.path.as_str())
                .collect();
            tracing::debug!(resource = %deviation.id(), paths = paths.join(", "), "resource modified");
        }
    }
    let message = format!(
        "Cluster state of release {release} has drifted from the desired state:\n{}",
        summary(drift)
    );
    pass.event(Severity::Error, reason::DRIFT_DETECTED, &message, BTreeMap::new());
    conditions::mark_true(
        &mut pass.object,
        condition::DRIFTED,
        reason::DRIFT_DETECTED,
        &message,
    );
}

/// Says that nothing has drifted, where that was looked for.
pub(crate) fn none(release: &mut HelmRelease) {
    if release.spec.drift_detection_mode() != DriftDetectionMode::Disabled {
        let message = "No drift detected against the cluster state";
        conditions::mark_false(release, condition::DRIFTED, reason::NO_DRIFT_DETECTED, message);
    }
}

/// Undoes drift. What does not work is told in an event, and found again by the next look.
pub(crate) async fn correct(
    pass: &mut Pass<HelmRelease>,
    work: &Work,
    drift: Vec<Deviation>,
) -> Result<(), ActionError> {
    let message = "correcting cluster drift";
    conditions::mark_unknown(&mut pass.object, condition::READY, reason::PROGRESSING, message);
    let (options, _) = rules(&pass.object, work)?;
    let timeout = pass.object.spec.timeout_or_default().to_std();
    let corrected = work.site.cluster.correct(drift, &options);
    let (changes, failures) = match tokio::time::timeout(timeout, corrected).await {
        Ok((changes, failures)) => (changes, failures.iter().map(failure_text).collect()),
        Err(_) => (ChangeSet::default(), vec!["context deadline exceeded".to_owned()]),
    };
    report(pass, &changes, &failures);
    Ok(())
}

fn report(pass: &Pass<HelmRelease>, changes: &ChangeSet, failures: &[String]) {
    let Some(last) = pass.object.status().and_then(|status| status.history.first()) else {
        return;
    };
    let (release, metadata) = (last.full_release_name(), notice::of_snapshot(last));
    if failures.is_empty() {
        if !changes.is_empty() {
            let message = format!("Cluster state of release {release} has been corrected:\n{changes}");
            pass.event(Severity::Info, reason::DRIFT_CORRECTED, &message, metadata);
        }
        return;
    }
    let partially = if changes.is_empty() { "" } else { "partially " };
    let mut message = format!(
        "Failed to {partially}correct cluster state of release {release}:\n{}",
        failures.join("\n")
    );
    if !changes.is_empty() {
        let _ = write!(message, "\n\nSuccessful corrections:\n{changes}");
    }
    pass.event(
        Severity::Error,
        reason::DRIFT_CORRECTION_FAILED,
        &message,
        metadata,
    );
}

/// What went wrong. The server repeats values that it does not accept, which must not be shown of a Secret.
fn failure_text(failure: &CorrectionFailure) -> String {
    use ferro_apply::error::ObjectFailure;
    let what = if failure.creates { "creation" } else { "patch" };
    let mut problem = match &failure.failure {
        ObjectFailure::DryRun { status, .. } | ObjectFailure::Apply { status, .. } => status.message.clone(),
        other => other.to_string(),
    };
    let is_invalid = matches!(&failure.failure, ObjectFailure::Apply { status, .. } | ObjectFailure::DryRun { status, .. } if status.reason == "Invalid");
    if failure.id.kind == "Secret"
        && is_invalid
        && let Some((_, last)) = problem.rsplit_once(':')
    {
        problem = last.trim().to_owned();
    }
    format!("{} {what} failure: {problem}", failure.id)
}

fn full_name(release: &HelmRelease) -> Option<String> {
    let last = release.status()?.history.first()?;
    Some(last.full_release_name())
}

/// A line an object.
fn summary(drift: &[Deviation]) -> String {
    let line = |deviation: &Deviation| match &deviation.difference {
        Difference::Missing => format!("{} removed", deviation.id()),
        Difference::Excluded => format!("{} excluded", deviation.id()),
        Difference::Changed(operations) => {
            let (added, changed, removed) = counts(operations);
            let id = deviation.id();
            format!("{id} changed ({added} additions, {changed} changes, {removed} removals)")
        }
    };
    let lines: Vec<String> = drift.iter().map(line).collect();
    lines.join("\n")
}

fn brief(drift: &[Deviation]) -> String {
    let count =
        |is: fn(&Difference) -> bool| drift.iter().filter(|deviation| is(&deviation.difference)).count();
    format!(
        "removed: {}, changed: {}, excluded: {}",
        count(|difference| matches!(difference, Difference::Missing)),
        count(|difference| matches!(difference, Difference::Changed(_))),
        count(|difference| matches!(difference, Difference::Excluded)),
    )
}

fn counts(operations: &[Operation]) -> (usize, usize, usize) {
    let of = |kind| {
        operations
            .iter()
            .filter(|operation| operation.kind == kind)
            .count()
    };
    (
        of(OperationKind::Add),
        of(OperationKind::Replace),
        of(OperationKind::Remove),
    )
}
