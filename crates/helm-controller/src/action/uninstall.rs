//! Uninstalling: because a HelmRelease goes, because its release is to be somewhere else, or to undo a failed install.

use std::sync::Arc;
use std::time::Duration;

use ferro_api::helm::{HelmRelease, ReleaseSnapshot, Uninstall};
use ferro_api::{ConditionStatus, FluxObject, condition, reason};
use ferro_apply::error::message;
use ferro_apply::{Entry, Object, ObjectId};
use ferro_helm::plan::{Policy, sort_for_deletion};
use ferro_helm::record::{Record, Status};
use ferro_runtime::conditions;
use ferro_runtime::events::Severity;
use ferro_runtime::reconcile::Pass;
use futures::{StreamExt, stream};
use kube::api::{DeleteParams, PropagationPolicy};
use serde_json::json;

use super::hooks::HookOptions;
use super::{ActionError, Journal, Site, hooks};
use crate::chart::now;
use crate::notice;
use crate::objects;
use crate::reconciler::HelmReconciler;
use crate::snapshot;

/// Objects deleted at once.
const CONCURRENCY: usize = 8;

/// How an uninstall ended without having done anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Done {
    Uninstalled,
    /// There are no records.
    NotFound,
    /// It was done before, and the records were kept.
    Already,
}

/// Uninstalls what the newest snapshot names, and says so in the conditions.
pub(crate) async fn uninstall(
    env: &HelmReconciler,
    pass: &mut Pass<HelmRelease>,
    site: &Site,
) -> Result<(), ActionError> {
    let status = pass.object.status();
    let Some(last) = status.and_then(|status| status.history.first().cloned()) else {
        return Ok(());
    };
    let mut journal = Journal::new(
        "uninstall",
        last.oci_digest.as_deref().unwrap_or_default(),
        env.algorithm(),
    );
    let options = pass.object.spec.uninstall.clone().unwrap_or_default();
    let how = hook_options(env, &pass.object, &options);
    let outcome = carry_out(site, &options, &how, &mut journal).await;
    let outcome = is_of(&last, &journal).and(outcome);
    take_in(pass, &journal);
    let (full, chart) = (last.full_release_name(), last.versioned_chart_name());
    let message = match &outcome {
        Ok(Done::NotFound) => format!("Release {full} was not found, assuming it is uninstalled"),
        Ok(Done::Already) => format!("Release {full} was already uninstalled"),
        Ok(Done::Uninstalled) => format!("Helm uninstall succeeded for release {full} with chart {chart}"),
        Err(error) => format!("Helm uninstall failed for release {full} with chart {chart}: {error}"),
    };
    report(
        env,
        pass,
        (&last, &journal),
        (outcome, message),
        condition::RELEASED,
    )
}

/// How the hooks of an uninstall are executed: by the server in any case, and without expressions of the spec, as upstream has it.
fn hook_options(env: &HelmReconciler, release: &HelmRelease, options: &Uninstall) -> HookOptions {
    let timeout = options
        .timeout
        .unwrap_or_else(|| release.spec.timeout_or_default());
    HookOptions {
        timeout: timeout.to_std(),
        is_legacy: env.waits_as_helm3(release) && !options.disable_wait,
        is_server_side: true,
        exprs: Arc::default(),
    }
}

/// Undoes a failed release by uninstalling it.
pub(crate) async fn remediate(
    env: &HelmReconciler,
    pass: &mut Pass<HelmRelease>,
    site: &Site,
) -> Result<(), ActionError> {
    let status = pass.object.status();
    let Some(last) = status.and_then(|status| status.history.first().cloned()) else {
        return Err(ActionError("no release to uninstall".to_owned()));
    };
    let oci_digest = last.oci_digest.clone().unwrap_or_default();
    let mut journal = Journal::new("uninstall-remediation", &oci_digest, env.algorithm());
    // The records go, so that the next install finds a free name.
    let options = Uninstall {
        keep_history: false,
        ..pass.object.spec.uninstall.clone().unwrap_or_default()
    };
    let how = hook_options(env, &pass.object, &options);
    let outcome = carry_out(site, &options, &how, &mut journal).await;
    let outcome = is_of(&last, &journal).and(outcome);
    take_in(pass, &journal);
    let (full, chart) = (last.full_release_name(), last.versioned_chart_name());
    let message = match &outcome {
        Ok(_) => format!("Helm uninstall remediation for release {full} with chart {chart} succeeded"),
        Err(error) => {
            format!("Helm uninstall remediation for release {full} with chart {chart} failed: {error}")
        }
    };
    let reported = report(
        env,
        pass,
        (&last, &journal),
        (outcome, message),
        condition::REMEDIATED,
    );
    // What has changed the storage is looked at anew.
    if journal.is_empty() { reported } else { Ok(()) }
}

/// Refuses to take the uninstalling of another revision than the newest one that is known for that of this.
fn is_of(last: &ReleaseSnapshot, journal: &Journal) -> Result<(), ActionError> {
    let same = |taken: &ReleaseSnapshot| {
        (&taken.name, &taken.namespace, taken.version) == (&last.name, &last.namespace, last.version)
    };
    match journal.written.first() {
        Some(taken) if !same(taken) => Err(ActionError(format!(
            "release mismatch: uninstalled release {} != current release {}",
            taken.full_release_name(),
            last.full_release_name()
        ))),
        _ => Ok(()),
    }
}

fn take_in(pass: &mut Pass<HelmRelease>, journal: &Journal) {
    let history = &mut pass.object.status_mut().history;
    for taken in &journal.written {
        if history.iter().any(|known| known.version == taken.version) {
            snapshot::record(history, taken.clone());
        }
    }
}

fn report(
    env: &HelmReconciler,
    pass: &mut Pass<HelmRelease>,
    (last, journal): (&ReleaseSnapshot, &Journal),
    (outcome, message): (Result<Done, ActionError>, String),
    condition: &str,
) -> Result<(), ActionError> {
    let metadata = notice::of_snapshot(last);
    let is_remediation = condition == condition::REMEDIATED;
    match outcome {
        Ok(done) => {
            if !is_remediation {
                pass.object.status_mut().inventory = None;
            }
            let status = if is_remediation {
                ConditionStatus::True
            } else {
                ConditionStatus::False
            };
            conditions::set(
                &mut pass.object,
                condition,
                status,
                reason::UNINSTALL_SUCCEEDED,
                &message,
            );
            // What somebody else has done is no event of ours.
            if done == Done::Uninstalled {
                pass.event(Severity::Info, reason::UNINSTALL_SUCCEEDED, &message, metadata);
            }
        }
        Err(_) => {
            pass.object.status_mut().failures += 1;
            conditions::mark_false(&mut pass.object, condition, reason::UNINSTALL_FAILED, &message);
            let told = journal.failure(&message);
            pass.event(Severity::Error, reason::UNINSTALL_FAILED, &told, metadata);
        }
    }
    if !is_remediation {
        crate::conditions::summarise(&mut pass.object, env.algorithm());
    }
    outcome.map(|_| ())
}

/// Uninstalls as Helm does.
async fn carry_out(
    site: &Site,
    options: &Uninstall,
    how: &HookOptions,
    journal: &mut Journal,
) -> Result<Done, ActionError> {
    let Some(mut record) = site.storage.last().await? else {
        return Ok(Done::NotFound);
    };
    if record.info.status == Status::Uninstalled {
        if options.keep_history {
            return Ok(Done::Already);
        }
        purge(site).await?;
        journal.note(&record);
        return Ok(Done::Uninstalled);
    }
    record.info.deleted = Some(now());
    record.set_status(Status::Uninstalling, "Deletion in progress (or silently failed)");
    journal.update(&site.storage, &record).await?;
    if !options.disable_hooks {
        hooks::run(site, &mut record, journal, "pre-delete", how).await?;
    }
    let mut errors = remove_objects(site, &record, (options, how.timeout), journal).await?;
    if !options.disable_hooks
        && let Err(error) = hooks::run(site, &mut record, journal, "post-delete", how).await
    {
        errors.push(error.to_string());
    }
    record.set_status(Status::Uninstalled, "Uninstallation complete");
    if options.keep_history {
        journal.update(&site.storage, &record).await?;
        supersede(site, record.version).await?;
    } else {
        purge(site).await?;
        journal.note(&record);
    }
    if errors.is_empty() {
        return Ok(Done::Uninstalled);
    }
    Err(ActionError(format!(
        "uninstallation completed with {} error(s): {}",
        errors.len(),
        errors.join("; ")
    )))
}

async fn remove_objects(
    site: &Site,
    record: &Record,
    (options, timeout): (&Uninstall, Duration),
    journal: &mut Journal,
) -> Result<Vec<String>, ActionError> {
    let made = objects::settle(&site.cluster, objects::parse(&record.manifest)?, &site.target).await?;
    let mut deleted: Vec<Object> = made
        .into_iter()
        .filter(|object| objects::policy_of(object) == Policy::Delete)
        .collect();
    sort_for_deletion(&mut deleted, |object| object.id().kind.as_str());
    let propagation = options.deletion_propagation.unwrap_or_default();
    let details = json!({ "objects": deleted.len(), "propagation": propagation.as_str() });
    journal.step("deleting objects", &details);
    let Deleted { leaving, errors } = delete_all(site, &deleted, false, propagation.as_str()).await;
    if !errors.is_empty() {
        for error in &errors {
            journal.step("warning: object cannot be deleted", &json!({ "error": error }));
        }
        return Err(ActionError(format!("failed to delete release: {}", record.name)));
    }
    let mut errors = Vec::new();
    if !options.disable_wait {
        let gone = site.cluster.wait_for_termination(&leaving, timeout);
        match site.cancel.run_until_cancelled(gone).await {
            None => return Err(ActionError("context canceled".to_owned())),
            Some(Ok(())) => {}
            Some(Err(left)) => errors.push(not_gone(&left)),
        }
    }
    Ok(errors)
}

/// That deleted objects are still there.
pub(crate) fn not_gone(left: &[ObjectId]) -> String {
    let left: Vec<String> = left
        .iter()
        .map(|id| format!("{id} status: 'Terminating'"))
        .collect();
    format!("timeout waiting for: [{}]", left.join(", "))
}

/// Removes all records.
async fn purge(site: &Site) -> Result<(), ActionError> {
    for head in site.storage.heads().await? {
        site.storage.delete(head.revision).await?;
    }
    Ok(())
}

/// Marks those that were deployed before as superseded.
pub(crate) async fn supersede(site: &Site, than: i64) -> Result<Vec<Record>, ActionError> {
    let mut changed = Vec::new();
    for head in site.storage.heads().await? {
        if head.revision == than || head.status != Status::Deployed {
            continue;
        }
        if let Some(mut record) = site.storage.get(head.revision).await? {
            record.info.status = Status::Superseded;
            site.storage.update(&record).await?;
            changed.push(record);
        }
    }
    Ok(changed)
}

/// What became of objects that were to be deleted.
#[derive(Debug, Default)]
struct Deleted {
    /// Those that are still there for a while: something holds them.
    leaving: Vec<Entry>,
    /// What went wrong with the others.
    errors: Vec<String>,
}

/// Deletes objects; what went wrong with which. With `asks`, those that ask in the cluster to be kept are.
pub(crate) async fn delete(site: &Site, gone: &[Object], asks: bool, propagation: &str) -> Vec<String> {
    delete_all(site, gone, asks, propagation).await.errors
}

async fn delete_all(site: &Site, gone: &[Object], asks: bool, propagation: &str) -> Deleted {
    let mut outcomes = stream::iter(gone.iter().cloned())
        .map(|object| async move {
            let outcome = delete_one(site, &object, asks, propagation).await;
            (objects::entry(&object), outcome)
        })
        .buffered(CONCURRENCY);
    let mut deleted = Deleted::default();
    while let Some((entry, outcome)) = outcomes.next().await {
        match outcome {
            Ok(true) => {}
            Ok(false) => deleted.leaving.push(entry),
            Err(error) => deleted.errors.push(error),
        }
    }
    deleted
}

/// Deletes an object unless it is kept; whether it is gone, as far as the answer tells.
async fn delete_one(site: &Site, object: &Object, asks: bool, propagation: &str) -> Result<bool, String> {
    let id = object.id();
    let failed = |error: kube::Error| format!("{id}: {}", message(&error));
    let mapping = match site.cluster.map(id, object.version()).await {
        Ok(mapping) => mapping,
        // A kind that is gone has taken its objects along.
        Err(ferro_apply::error::ObjectFailure::Unmapped {
            source: ferro_apply::mapper::MapError::NoMatch { .. },
            ..
        }) => return Ok(true),
        Err(error) => return Err(error.to_string()),
    };
    let api = site.cluster.api(&mapping, &id.namespace);
    if asks {
        let live = api.get_metadata_opt(&id.name).await.map_err(failed)?;
        if live.is_none_or(|live| objects::is_kept(&live)) {
            return Ok(true);
        }
    }
    site.cluster.live.release(id);
    let params = DeleteParams {
        propagation_policy: Some(match propagation {
            "foreground" => PropagationPolicy::Foreground,
            "orphan" => PropagationPolicy::Orphan,
            _ => PropagationPolicy::Background,
        }),
        ..DeleteParams::default()
    };
    match api.delete(&id.name, &params).await {
        // The server answers with the object if it is yet to go, or if its kind is one that is always answered with.
        Ok(answer) => Ok(answer
            .left()
            .is_none_or(|last| last.metadata.deletion_timestamp.is_none())),
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(true),
        Err(error) => Err(failed(error)),
    }
}
