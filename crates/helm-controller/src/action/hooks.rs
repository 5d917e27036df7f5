//! Hooks: objects that an action makes at its stages, one after the other (`spec/helm.md` F.4).

use std::sync::Arc;
use std::time::Duration;

use ferro_apply::{Entry, Object};
use ferro_helm::plan::hooks_of;
use ferro_helm::record::{Record, StoredHook};
use ferro_kstatus::HealthExprs;
use futures::TryStreamExt;
use kube::Api;
use kube::api::{DynamicObject, Patch, PatchParams, PostParams, ValidationDirective};
use serde_json::{Value, json};

use super::{ActionError, Journal, Site, output};
use crate::chart::now;
use crate::objects;

/// Deleted before the next one is made, where a hook says nothing else.
const BEFORE_CREATION: &str = "before-hook-creation";
const SUCCEEDED: &str = "hook-succeeded";
const FAILED: &str = "hook-failed";

/// How hooks are executed.
#[derive(Clone)]
pub(crate) struct HookOptions {
    /// For each hook.
    pub(crate) timeout: Duration,
    /// Whether a failure is told in Helm 3's words.
    pub(crate) is_legacy: bool,
    /// Whether the API server makes the objects of what is applied; otherwise there must be none of their names.
    pub(crate) is_server_side: bool,
    /// Readiness of custom kinds, and of Jobs that must complete.
    pub(crate) exprs: Arc<HealthExprs>,
}

/// A hook was not executed.
struct Broken {
    error: ActionError,
    /// Whether it was there and has failed, which a policy may want to be cleaned up.
    ran: bool,
}

impl From<ActionError> for Broken {
    fn from(error: ActionError) -> Self {
        Self { error, ran: false }
    }
}

/// Executes the hooks of a stage.
pub(crate) async fn run(
    site: &Site,
    record: &mut Record,
    journal: &mut Journal,
    event: &str,
    options: &HookOptions,
) -> Result<(), ActionError> {
    let order = hooks_of(&record.hooks, event);
    run_these(site, record, journal, (&order, event), options).await
}

/// Executes some of the hooks of a stage, in this order.
pub(crate) async fn run_these(
    site: &Site,
    record: &mut Record,
    journal: &mut Journal,
    (order, event): (&[usize], &str),
    options: &HookOptions,
) -> Result<(), ActionError> {
    let timeout = options.timeout;
    for (done, index) in order.iter().enumerate() {
        let Err(broken) = run_one(site, record, journal, (*index, event), options).await else {
            continue;
        };
        if broken.ran {
            Box::pin(output::tell(site, journal, record.hooks.get(*index), FAILED)).await;
            if let Err(error) = delete_if(site, record, *index, FAILED, timeout).await {
                tracing::warn!(%error, "failed hook cannot be deleted");
            }
            // Those before have succeeded, and are not left behind.
            for earlier in order.iter().take(done) {
                delete_if(site, record, *earlier, SUCCEEDED, timeout).await?;
            }
        }
        return Err(broken.error);
    }
    for index in order.iter().rev() {
        Box::pin(output::tell(site, journal, record.hooks.get(*index), SUCCEEDED)).await;
        delete_if(site, record, *index, SUCCEEDED, timeout).await?;
    }
    Ok(())
}

async fn run_one(
    site: &Site,
    record: &mut Record,
    journal: &mut Journal,
    (index, event): (usize, &str),
    options: &HookOptions,
) -> Result<(), Broken> {
    let Some(hook) = record.hooks.get_mut(index) else {
        return Ok(());
    };
    if hook.delete_policies.is_empty() {
        hook.delete_policies.push(BEFORE_CREATION.to_owned());
    }
    let (path, manifest) = (hook.path.clone(), hook.manifest.clone());
    let details = json!({ "event": event, "kind": hook.kind, "name": hook.name, "path": path });
    journal.step("executing hook", &details);
    delete_if(site, record, index, BEFORE_CREATION, options.timeout).await?;
    let made = objects::parse(&manifest).map_err(|error| {
        ActionError(format!(
            "unable to build kubernetes object for {event} hook {path}: {error}"
        ))
    })?;
    let made = objects::settle(&site.cluster, made, &site.target)
        .await
        .map_err(ActionError::from)?;
    if let Some(hook) = record.hooks.get_mut(index) {
        hook.last_run.started_at = Some(now());
        hook.last_run.completed_at = None;
        "Running".clone_into(&mut hook.last_run.phase);
    }
    journal.update(&site.storage, record).await?;
    let outcome = make_and_wait(site, &made, (event, &path), options).await;
    let phase = if outcome.is_ok() { "Succeeded" } else { "Failed" };
    if let Some(hook) = record.hooks.get_mut(index) {
        hook.last_run.completed_at = Some(now());
        phase.clone_into(&mut hook.last_run.phase);
    }
    journal.step("hook has ended", &json!({ "path": path, "phase": phase }));
    outcome
}

async fn make_and_wait(
    site: &Site,
    made: &[Object],
    (event, path): (&str, &str),
    options: &HookOptions,
) -> Result<(), Broken> {
    for object in made {
        make(site, object, options.is_server_side)
            .await
            .map_err(|error| ActionError(format!("warning: Hook {event} {path} failed: {error}")))?;
    }
    let deadline = tokio::time::Instant::now() + options.timeout;
    for object in made {
        wait(site, object, deadline, options)
            .await
            .map_err(|error| Broken { error, ran: true })?;
    }
    Ok(())
}

async fn make(site: &Site, object: &Object, is_server_side: bool) -> Result<(), String> {
    let api = api(site, object).await?;
    let manager = Some(ferro_api::controller::HELM.to_owned());
    let id = object.id();
    if !is_server_side {
        let params = PostParams {
            field_manager: manager,
            ..PostParams::default()
        };
        let body: DynamicObject =
            serde_json::from_value(object.value().clone()).map_err(|error| error.to_string())?;
        let made = api.create(&params, &body).await;
        return made
            .map(drop)
            .map_err(|error| ferro_apply::error::message(&error));
    }
    let params = PatchParams {
        field_manager: manager,
        field_validation: Some(ValidationDirective::Strict),
        ..PatchParams::default()
    };
    let made = api.patch(&id.name, &params, &Patch::Apply(object.value())).await;
    made.map(drop).map_err(|error| {
        let group_version = match id.group.as_str() {
            "" => format!("/{}", object.version()),
            group => format!("{group}/{}", object.version()),
        };
        let problem = ferro_apply::error::message(&error);
        format!(
            "server-side apply failed for object {}/{} {group_version}, Kind={}: {problem}",
            id.namespace, id.name, id.kind
        )
    })
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

/// What of a hook is waited for, by the expressions of the spec where they know its kind.
fn progress_by(exprs: &HealthExprs, object: &Value, kind: (&str, &str)) -> Progress {
    match exprs.health(object).map(|health| health.status) {
        None => progress(object, kind),
        Some(ferro_kstatus::Status::Current) => Progress::Succeeded,
        Some(ferro_kstatus::Status::Failed) => Progress::Failed,
        Some(_) => Progress::Running,
    }
}

async fn wait(
    site: &Site,
    object: &Object,
    deadline: tokio::time::Instant,
    options: &HookOptions,
) -> Result<(), ActionError> {
    let id = object.id();
    let kind = (id.group.as_str(), id.kind.as_str());
    let exprs = &options.exprs;
    if !exprs.cover(kind.0, kind.1) && progress(&Value::Null, kind) == Progress::Succeeded {
        return Ok(());
    }
    let api = api(site, object).await?;
    let ended = async {
        loop {
            let mut shown = Box::pin(kube::runtime::watcher::watch_object(api.clone(), &id.name));
            loop {
                match shown.try_next().await {
                    Ok(Some(Some(live))) => {
                        let mut live = serde_json::to_value(&live).unwrap_or_default();
                        match progress_by(exprs, &live, kind) {
                            Progress::Running => {}
                            ended => {
                                let status = live.pointer_mut("/status").map(Value::take);
                                return (ended, status.unwrap_or_default());
                            }
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
    let ended = tokio::select! {
        ended = tokio::time::timeout_at(deadline, ended) => ended,
        () = site.cancel.cancelled() => return Err(ActionError("context canceled".to_owned())),
    };
    let text = match ended {
        Ok((Progress::Failed, status)) if options.is_legacy => legacy_failure(object, &status),
        Ok((Progress::Failed, _)) => {
            format!("failed early due to stalled resources: [{id} status: 'Failed']")
        }
        Ok(_) => return Ok(()),
        Err(_) if options.is_legacy => "timed out waiting for the condition".to_owned(),
        Err(_) => format!("timeout waiting for: [{id} status: 'InProgress']"),
    };
    Err(ActionError(text))
}

/// A failed hook in the words of Helm 3.
fn legacy_failure(object: &Object, status: &Value) -> String {
    let (kind, name) = (object.id().kind.to_lowercase(), &object.id().name);
    let conditions = status["conditions"].as_array().into_iter().flatten();
    let mut failed = conditions.filter(|it| it["type"] == "Failed" && it["status"] == "True");
    match failed.next().and_then(|it| it["reason"].as_str()) {
        Some(reason) => format!("{kind} {name} failed: {reason}"),
        None => format!("{kind} {name} failed"),
    }
}

/// Deletes the object of a hook, if its policies say so now, and waits until it is gone. Definitions are never deleted.
async fn delete_if(
    site: &Site,
    record: &Record,
    index: usize,
    policy: &str,
    timeout: Duration,
) -> Result<(), ActionError> {
    let Some(hook) = record.hooks.get(index) else {
        return Ok(());
    };
    if hook.kind == "CustomResourceDefinition" || !has_policy(hook, policy) {
        return Ok(());
    }
    let unbuilt = |error: String| {
        ActionError(format!(
            "unable to build kubernetes object for deleting hook {}: {error}",
            hook.path
        ))
    };
    let made = objects::parse(&hook.manifest).map_err(unbuilt)?;
    let made = objects::settle(&site.cluster, made, &site.target)
        .await
        .map_err(unbuilt)?;
    let errors = super::uninstall::delete(site, &made, false, "background").await;
    if !errors.is_empty() {
        return Err(ActionError(errors.join("; ")));
    }
    let entries: Vec<Entry> = made.iter().map(objects::entry).collect();
    let gone = site.cluster.wait_for_termination(&entries, timeout);
    match site.cancel.run_until_cancelled(gone).await {
        Some(Ok(())) => Ok(()),
        Some(Err(left)) => Err(ActionError(super::uninstall::not_gone(&left))),
        None => Err(ActionError("context canceled".to_owned())),
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
