//! `flux suspend`, and what it shares with `flux resume`.

use std::collections::BTreeSet;

use anyhow::{Result, bail};
use clap::ArgMatches;
use ferro_api::field_manager;
use kube::Api;
use kube::api::{DynamicObject, ListParams, Patch, PatchParams};
use serde_json::json;

use super::session::{Session, by_name, list, name_of};
use crate::args::suspend::{ALL, NAMES};
use crate::args::target::{self, Target};
use crate::cluster::explain;
use crate::kind::KindRow;
use crate::text::chain;

pub(super) async fn run(matches: &ArgMatches, session: &mut Session<'_>) -> Result<()> {
    let selection = Selection::read(matches)?;
    let row = selection.row;
    let api = session.api(row).await?;
    let Some(names) = selection.names else {
        let objects = list(row, &api, &ListParams::default()).await?.items;
        if objects.is_empty() {
            bail!("no objects found");
        }
        for object in &objects {
            suspend(row, &api, object, session).await?;
        }
        return Ok(());
    };
    for name in names {
        // One object that cannot be suspended must not keep the others from it.
        let namespace = session.namespace.clone();
        let kind = row.info.kind;
        match suspend_named(row, &api, &name, session).await {
            Ok(true) => {}
            Ok(false) => {
                session
                    .terminal
                    .failure(format_args!("{kind} {name} not found in {namespace} namespace"));
            }
            Err(error) => session.terminal.failure(format_args!(
                "failed suspending {kind} {name} in {namespace} namespace: {}",
                chain(&error)
            )),
        }
    }
    Ok(())
}

/// Suspends an object, and reports whether there is one of the name.
async fn suspend_named(
    row: &KindRow,
    api: &Api<DynamicObject>,
    name: &str,
    session: &mut Session<'_>,
) -> Result<bool> {
    let objects = list(row, api, &by_name(name)).await?.items;
    for object in &objects {
        suspend(row, api, object, session).await?;
    }
    Ok(!objects.is_empty())
}

async fn suspend(
    row: &KindRow,
    api: &Api<DynamicObject>,
    object: &DynamicObject,
    session: &mut Session<'_>,
) -> Result<()> {
    let (label, name) = (row.label, name_of(object));
    session.terminal.action(format_args!(
        "suspending {label} {name} in {} namespace",
        session.namespace
    ));
    set_suspended(api, name, true).await?;
    session.terminal.success(format_args!("{label} suspended"));
    Ok(())
}

/// Writes whether an object is suspended, and returns it as it is then.
pub(super) async fn set_suspended(
    api: &Api<DynamicObject>,
    name: &str,
    is_suspended: bool,
) -> Result<DynamicObject> {
    let patch = Patch::Merge(json!({"spec": {"suspend": is_suspended}}));
    let params = PatchParams {
        field_manager: Some(field_manager::FLUX_CLI.to_owned()),
        ..PatchParams::default()
    };
    api.patch(name, &params, &patch).await.map_err(explain)
}

/// The objects that were asked for.
pub(super) struct Selection {
    pub(super) row: &'static KindRow,
    /// Each name once, in the order given; `None` for all objects of the namespace.
    pub(super) names: Option<Vec<String>>,
}

impl Selection {
    pub(super) fn read(matches: &ArgMatches) -> Result<Self> {
        let Some((Target::Kind(row), leaf)) = target::read(matches) else {
            bail!("a resource type is required")
        };
        let mut seen = BTreeSet::new();
        let names: Vec<String> = leaf
            .get_many::<String>(NAMES)
            .into_iter()
            .flatten()
            .filter(|name| seen.insert((*name).clone()))
            .cloned()
            .collect();
        match (names.is_empty(), leaf.get_flag(ALL)) {
            (true, false) => bail!("{} name is required", row.label),
            (true, true) => Ok(Self { row, names: None }),
            (false, _) => Ok(Self {
                row,
                names: Some(names),
            }),
        }
    }
}
