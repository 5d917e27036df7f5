//! `flux delete`: deletes an object, once that is confirmed. Its controller does the rest.

use anyhow::{Result, bail};
use clap::ArgMatches;
use kube::api::DeleteParams;

use super::session::Session;
use crate::args::delete::{NAME, SILENT};
use crate::args::target::{self, Target};
use crate::cluster::explain;

pub(super) async fn run(matches: &ArgMatches, session: &mut Session<'_>) -> Result<()> {
    let Some((Target::Kind(row), leaf)) = target::read(matches) else {
        bail!("a resource type is required")
    };
    let label = row.label;
    let Some(name) = leaf.get_one::<String>(NAME) else {
        bail!("{label} name is required")
    };
    let api = session.api(row).await?;
    api.get(name).await.map_err(explain)?;
    let question = format!("Are you sure you want to delete this {label}");
    if !leaf.get_flag(SILENT) && !session.confirm(&question) {
        bail!("aborting");
    }
    session.terminal.action(format_args!(
        "deleting {label} {name} in {} namespace",
        session.namespace
    ));
    api.delete(name, &DeleteParams::default())
        .await
        .map_err(explain)?;
    session.terminal.success(format_args!("{label} deleted"));
    Ok(())
}
