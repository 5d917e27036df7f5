//! `flux resume`: lets objects be reconciled again, and waits for it where that is asked.

use anyhow::{Result, bail};
use clap::ArgMatches;
use futures::future::join_all;
use kube::Api;
use kube::api::{DynamicObject, ListParams};

use super::session::{Session, by_name, list, name_of};
use super::suspend::{Selection, set_suspended};
use crate::args::suspend::WAIT;
use crate::args::target;
use crate::kind::KindRow;
use crate::object::ObjectExt as _;
use crate::status::Status;
use crate::text::chain;
use crate::wait;

pub(super) async fn run(matches: &ArgMatches, session: &mut Session<'_>) -> Result<()> {
    let selection = Selection::read(matches)?;
    let row = selection.row;
    let api = session.api(row).await?;
    // For a single object, waiting has always been the default.
    let wait = target::read(matches).and_then(|(_, leaf)| leaf.get_one::<bool>(WAIT).copied());
    let waits = wait.unwrap_or_else(|| selection.names.as_ref().is_some_and(|names| names.len() == 1));
    let resumed = resume(&selection, &api, session).await?;
    if waits {
        await_all(row, &api, resumed, session).await
    } else {
        Ok(())
    }
}

/// Resumes the objects that were asked for, and returns them.
async fn resume(
    selection: &Selection,
    api: &Api<DynamicObject>,
    session: &mut Session<'_>,
) -> Result<Vec<DynamicObject>> {
    let row = selection.row;
    let Some(names) = &selection.names else {
        let objects = list(row, api, &ListParams::default()).await?.items;
        if objects.is_empty() {
            bail!("no objects found");
        }
        return resume_objects(row, api, objects, session).await;
    };
    let mut resumed = Vec::with_capacity(names.len());
    for name in names {
        let objects = list(row, api, &by_name(name)).await?.items;
        if objects.is_empty() {
            let (kind, namespace) = (row.info.kind, session.namespace.as_str());
            session.terminal.failure(format_args!(
                "{kind} object '{name}' not found in {namespace} namespace"
            ));
        }
        resumed.extend(resume_objects(row, api, objects, session).await?);
    }
    Ok(resumed)
}

async fn resume_objects(
    row: &KindRow,
    api: &Api<DynamicObject>,
    objects: Vec<DynamicObject>,
    session: &mut Session<'_>,
) -> Result<Vec<DynamicObject>> {
    let label = row.label;
    let mut resumed = Vec::with_capacity(objects.len());
    for object in objects {
        let name = name_of(&object);
        session.terminal.action(format_args!(
            "resuming {label} {name} in {} namespace",
            session.namespace
        ));
        resumed.push(set_suspended(api, name, false).await?);
        session.terminal.success(format_args!("{label} resumed"));
    }
    Ok(resumed)
}

/// Waits for all objects at once, and reports on them in the order of their names.
async fn await_all(
    row: &KindRow,
    api: &Api<DynamicObject>,
    mut objects: Vec<DynamicObject>,
    session: &mut Session<'_>,
) -> Result<()> {
    let kind = row.info.kind;
    objects.sort_by(|a, b| name_of(a).cmp(name_of(b)));
    for _ in &objects {
        session
            .terminal
            .waiting(format_args!("waiting for {kind} reconciliation"));
    }
    let deadline = session.deadline();
    let waits = objects.iter().map(|object| {
        wait::until(api, name_of(object), deadline, |object| {
            Ok(is_reconciled(row, object)?.then(|| (row.achievement)(object)))
        })
    });
    let mut failures = 0;
    for (object, result) in objects.iter().zip(join_all(waits).await) {
        match result {
            Ok(achievement) => {
                let name = name_of(object);
                session
                    .terminal
                    .success(format_args!("{kind} {name} reconciliation completed"));
                session.terminal.success(format_args!("{achievement}"));
            }
            Err(error) => {
                session.terminal.failure(format_args!("{}", chain(&error)));
                failures += 1;
            }
        }
    }
    if failures > 0 {
        bail!("reconciliation failed for {failures} {kind}(s)");
    }
    Ok(())
}

/// Reports whether an object is reconciled at its current generation.
pub(super) fn is_reconciled(row: &KindRow, object: &DynamicObject) -> Result<bool> {
    if row.static_message(object).is_some() {
        return Ok(true);
    }
    let observed = object.number("/status/observedGeneration").unwrap_or(0);
    let Some(ready) = object.ready().filter(|_| observed >= 1) else {
        return Ok(false);
    };
    // Not every controller says of each condition which generation it speaks of.
    let spoken_of = ready
        .observed_generation
        .filter(|generation| *generation != 0)
        .unwrap_or(observed);
    if object
        .metadata
        .generation
        .is_some_and(|generation| generation != spoken_of)
    {
        return Ok(false);
    }
    match Status::of(object) {
        Status::Current => Ok(true),
        Status::InProgress(_) => Ok(false),
        Status::Failed(message) => bail!(message),
        Status::Terminating => bail!("Resource scheduled for deletion"),
    }
}
