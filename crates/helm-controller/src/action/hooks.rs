//! Hooks: objects that an action makes at its stages, one after the other (`spec/helm.md` F.4).

use std::time::Duration;

use ferro_apply::{Entry, Object};
use ferro_helm::plan::hooks_of;
use ferro_helm::record::{Record, StoredHook};
use futures::TryStreamExt;
use kube::Api;
use kube::api::{DynamicObject, Patch, PatchParams, ValidationDirective};
use serde_json::Value;

use super::{ActionError, Journal, Site};
use crate::chart::now;
use crate::objects;

/// Deleted before the next one is made, where a hook says nothing else.
const BEFORE_CREATION: &str = "before-hook-creation";
const SUCCEEDED: &str = "hook-succeeded";
const FAILED: &str = "hook-failed";

/// Executes the hooks of a stage.
pub(crate) async fn run(
    site: &Site,
    record: &mut Record,
    journal: &mut Journal,
    event: &str,
    timeout: Duration,
) -> Result<(), ActionError> {
    let order = hooks_of(&record.hooks, event);
    run_these(site, record, journal, (&order, event), timeout).await
}

/// Executes some of the hooks of a stage, in this order.
pub(crate) async fn run_these(
    site: &Site,
    record: &mut Record,
    journal: &mut Journal,
    (order, event): (&[usize], &str),
    timeout: Duration,
) -> Result<(), ActionError> {
    for (done, index) in order.iter().enumerate() {
        if let Err(error) = run_one(site, record, journal, (*index, event), timeout).await {
            delete_if(site, record, *index, FAILED, timeout).await;
            // Those before have succeeded, and are not left behind.
            for earlier in order.iter().take(done) {
                delete_if(site, record, *earlier, SUCCEEDED, timeout).await;
            }
            return Err(error);
        }
    }
    for index in order.iter().rev() {
        delete_if(site, record, *index, SUCCEEDED, timeout).await;
    }
    Ok(())
}

async fn run_one(
    site: &Site,
    record: &mut Record,
    journal: &mut Journal,
    (index, event): (usize, &str),
    timeout: Duration,
) -> Result<(), ActionError> {
    let Some(hook) = record.hooks.get_mut(index) else {
        return Ok(());
    };
    if hook.delete_policies.is_empty() {
        hook.delete_policies.push(BEFORE_CREATION.to_owned());
    }
    let (path, manifest) = (hook.path.clone(), hook.manifest.clone());
    delete_if(site, record, index, BEFORE_CREATION, timeout).await;
    let made = objects::parse(&manifest).map_err(|error| {
        ActionError(format!(
            "unable to build kubernetes object for {event} hook {path}: {error}"
        ))
    })?;
    let made = objects::settle(&site.cluster, made, &site.target).await?;
    if let Some(hook) = record.hooks.get_mut(index) {
        hook.last_run.started_at = Some(now());
        hook.last_run.completed_at = None;
        "Running".clone_into(&mut hook.last_run.phase);
    }
    journal.update(&site.storage, record).await?;
    let outcome = make_and_wait(site, &made, (event, &path), timeout).await;
    if let Some(hook) = record.hooks.get_mut(index) {
        hook.last_run.completed_at = Some(now());
        let phase = if outcome.is_ok() { "Succeeded" } else { "Failed" };
        phase.clone_into(&mut hook.last_run.phase);
    }
    outcome
}

async fn make_and_wait(
    site: &Site,
    made: &[Object],
    (event, path): (&str, &str),
    timeout: Duration,
) -> Result<(), ActionError> {
    for object in made {
        make(site, object)
            .await
            .map_err(|error| ActionError(format!("warning: Hook {event} {path} failed: {error}")))?;
    }
    let deadline = tokio::time::Instant::now() + timeout;
    for object in made {
        wait(site, object, deadline).await?;
    }
    Ok(())
}

async fn make(site: &Site, object: &Object) -> Result<(), String> {
    let api = api(site, object).await?;
    let params = PatchParams {
        field_manager: Some(ferro_api::controller::HELM.to_owned()),
        field_validation: Some(ValidationDirective::Strict),
        ..PatchParams::default()
    };
    match api
        .patch(&object.id().name, &params, &Patch::Apply(object.value()))
        .await
    {
        Ok(_) => Ok(()),
        Err(error) => {
            let id = object.id();
            Err(format!(
                "server-side apply failed for object {}/{} {}, Kind={}: {}",
                id.namespace,
                id.name,
                object.version(),
                id.kind,
                ferro_apply::error::message(&error)
            ))
        }
    }
}

async fn api(site: &Site, object: &Object) -> Result<Api<DynamicObject>, String> {
    let id = object.id();
    let mapping = site
        .cluster
        .mapper
        .resolve(&id.group, object.version(), &id.kind)
        .await;
    let mapping = mapping.map_err(|error| error.to_string())?;
    Ok(site.cluster.api(&mapping, &id.namespace))
}

/// What of a hook is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Progress {
    Running,
    Succeeded,
    Failed,
}

/// Jobs and Pods are waited for until they end; everything else is done when it is there.
fn progress(object: &Value, (group, kind): (&str, &str)) -> Progress {
    let is_true = |type_: &str| {
        let conditions = object.pointer("/status/conditions").and_then(Value::as_array);
        conditions.is_some_and(|conditions| {
            let wanted = |condition: &Value| condition["type"] == type_ && condition["status"] == "True";
            conditions.iter().any(wanted)
        })
    };
    match (group, kind) {
        ("batch", "Job") if is_true("Complete") => Progress::Succeeded,
        ("batch", "Job") if object.pointer("/spec/suspend") == Some(&Value::Bool(true)) => {
            Progress::Succeeded
        }
        ("batch", "Job") if is_true("Failed") => Progress::Failed,
        ("batch", "Job") => Progress::Running,
        ("", "Pod") => match object.pointer("/status/phase").and_then(Value::as_str) {
            Some("Succeeded") => Progress::Succeeded,
            Some("Failed") => Progress::Failed,
            _ => Progress::Running,
        },
        _ => Progress::Succeeded,
    }
}

async fn wait(site: &Site, object: &Object, deadline: tokio::time::Instant) -> Result<(), ActionError> {
    let id = object.id();
    let kind = (id.group.as_str(), id.kind.as_str());
    if progress(&Value::Null, kind) == Progress::Succeeded {
        return Ok(());
    }
    let api = api(site, object).await?;
    let ended = async {
        loop {
            let mut shown = Box::pin(kube::runtime::watcher::watch_object(api.clone(), &id.name));
            loop {
                match shown.try_next().await {
                    Ok(Some(Some(live))) => {
                        match progress(&serde_json::to_value(&live).unwrap_or_default(), kind) {
                            Progress::Running => {}
                            ended => return ended,
                        }
                    }
                    Ok(Some(None)) => {}
                    Ok(None) => break,
                    Err(error) => {
                        tracing::debug!(error = ferro_apply::error::message(&error), hook = %id, "cannot watch");
                        tokio::time::sleep(Duration::from_secs(1)).await;
                    }
                }
            }
        }
    };
    tokio::select! {
        ended = tokio::time::timeout_at(deadline, ended) => match ended {
            Ok(Progress::Failed) => Err(ActionError(format!("failed early due to stalled resources: [{id} status: 'Failed']"))),
            Ok(_) => Ok(()),
            Err(_) => Err(ActionError(format!("timeout waiting for: [{id} status: 'InProgress']"))),
        },
        () = site.cancel.cancelled() => Err(ActionError("context canceled".to_owned())),
    }
}

/// Deletes the object of a hook, if its policies say so now, and waits until it is gone. Definitions are never deleted.
async fn delete_if(site: &Site, record: &Record, index: usize, policy: &str, timeout: Duration) {
    let Some(hook) = record.hooks.get(index) else {
        return;
    };
    if hook.kind == "CustomResourceDefinition" || !has_policy(hook, policy) {
        return;
    }
    let Ok(made) = objects::parse(&hook.manifest) else {
        return;
    };
    let Ok(made) = objects::settle(&site.cluster, made, &site.target).await else {
        return;
    };
    for error in super::uninstall::delete(site, &made, false, "background").await {
        tracing::warn!(error, hook = hook.path, "hook cannot be deleted");
    }
    let entries: Vec<Entry> = made.iter().map(objects::entry).collect();
    let gone = site.cluster.wait_for_termination(&entries, timeout);
    if matches!(site.cancel.run_until_cancelled(gone).await, Some(Err(_))) {
        tracing::warn!(hook = hook.path, "deleted hook does not go away");
    }
}

fn has_policy(hook: &StoredHook, policy: &str) -> bool {
    hook.delete_policies.iter().any(|known| known == policy)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn progress_is_that_of_jobs_and_pods() {
        let job = ("batch", "Job");
        let with = |type_: &str| json!({ "status": { "conditions": [{ "type": type_, "status": "True" }] } });
        assert_eq!(progress(&with("Complete"), job), Progress::Succeeded);
        assert_eq!(progress(&with("Failed"), job), Progress::Failed);
        assert_eq!(progress(&with("Suspended"), job), Progress::Running);
        let pod = |phase: &str| progress(&json!({ "status": { "phase": phase } }), ("", "Pod"));
        assert_eq!(
            (pod("Running"), pod("Failed")),
            (Progress::Running, Progress::Failed)
        );
        assert_eq!(progress(&Value::Null, ("", "ConfigMap")), Progress::Succeeded);
    }
}
