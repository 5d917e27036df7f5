//! `flux reconcile`: has objects reconciled now, and waits for the result.

use anyhow::{Result, anyhow, bail};
use clap::ArgMatches;
use ferro_api::{annotation, field_manager};
use jiff::Timestamp;
use kube::Api;
use kube::api::{DynamicObject, Patch, PatchParams};
use serde_json::{Map, Value, json};

use super::session::Session;
use crate::args::reconcile::{FORCE, NAME, RESET, WITH_SOURCE};
use crate::args::target::{self, Target};
use crate::cluster::explain;
use crate::kind::KindRow;
use crate::object::ObjectExt as _;
use crate::status::Status;
use crate::wait;

/// Where a status keeps the last reconcile request that was handled.
const LAST_HANDLED: &str = "/status/lastHandledReconcileAt";

pub(super) async fn run(matches: &ArgMatches, session: &mut Session<'_>) -> Result<()> {
    let Some((Target::Kind(row), leaf)) = target::read(matches) else {
        bail!("a resource type is required")
    };
    let Some(name) = leaf.get_one::<String>(NAME) else {
        bail!("{} name is required", row.info.kind)
    };
    let is_set = |flag: &str| leaf.try_get_one(flag).ok().flatten().copied().unwrap_or(false);
    let api = session.api(row).await?;
    let object = api.get(name).await.map_err(explain)?;
    if let (true, Some(sources)) = (is_set(WITH_SOURCE), row.sources) {
        if object.is_suspended() {
            bail!("resource is suspended");
        }
        for source in sources(&object) {
            let row = KindRow::find(&source.kind).filter(|row| row.can_reconcile);
            let row = row.ok_or_else(|| anyhow!("source kind {} cannot be reconciled", source.kind))?;
            let api = session.api_in(row, &source.namespace).await?;
            let object = api.get(&source.name).await.map_err(explain)?;
            reconcile(row, &api, &object, &[], session).await?;
        }
    }
    let mut tokens = Vec::new();
    if is_set(FORCE) {
        tokens.push(annotation::FORCE_REQUESTED_AT);
    }
    if is_set(RESET) {
        tokens.push(annotation::RESET_REQUESTED_AT);
    }
    reconcile(row, &api, &object, &tokens, session).await
}

/// Requests a reconcile of an object, with further tokens if need be, and waits until it is done.
async fn reconcile(
    row: &KindRow,
    api: &Api<DynamicObject>,
    object: &DynamicObject,
    tokens: &[&str],
    session: &mut Session<'_>,
) -> Result<()> {
    if row.static_message(object).is_some() {
        session
            .terminal
            .success(format_args!("reconciliation not supported by the object"));
        return Ok(());
    }
    if object.is_suspended() {
        bail!("resource is suspended");
    }
    let kind = row.info.kind;
    let name = object.metadata.name.as_deref().unwrap_or_default();
    let namespace = object.metadata.namespace.as_deref().unwrap_or(&session.namespace);
    session
        .terminal
        .action(format_args!("annotating {kind} {name} in {namespace} namespace"));
    request(api, name, tokens).await?;
    session.terminal.success(format_args!("{kind} annotated"));

    session
        .terminal
        .waiting(format_args!("waiting for {kind} reconciliation"));
    let before = object.text(LAST_HANDLED);
    let achievement = wait::until(api, name, session.deadline(), |object| {
        if object.text(LAST_HANDLED) == before {
            return Ok(None);
        }
        match Status::of(object) {
            Status::Current => {}
            Status::InProgress(_) => return Ok(None),
            Status::Failed(message) => bail!("{kind} reconciliation failed: '{message}'"),
            Status::Terminating => bail!("Resource scheduled for deletion"),
        }
        let ready = object
            .ready()
            .ok_or_else(|| anyhow!("status can't be determined"))?;
        if ready.status != "True" {
            bail!("{kind} reconciliation failed: '{}'", ready.message);
        }
        Ok(Some((row.achievement)(object)))
    })
    .await?;
    session.terminal.success(format_args!("{achievement}"));
    Ok(())
}

/// Writes the annotations that make the controller act.
async fn request(api: &Api<DynamicObject>, name: &str, tokens: &[&str]) -> Result<()> {
    let now = Value::from(Timestamp::now().to_string());
    let keys = [annotation::RECONCILE_REQUESTED_AT]
        .into_iter()
        .chain(tokens.iter().copied());
    let annotations: Map<_, _> = keys.map(|key| (key.to_owned(), now.clone())).collect();
    let patch = json!({"metadata": {"annotations": annotations}});
    let params = PatchParams {
        field_manager: Some(field_manager::FLUX_CLI.to_owned()),
        ..PatchParams::default()
    };
    api.patch(name, &params, &Patch::Merge(patch))
        .await
        .map_err(explain)?;
    Ok(())
}
