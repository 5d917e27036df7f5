//! `flux diff helmrelease`: prints what an upgrade would change in the cluster.

use anyhow::{Result, anyhow, bail};
use clap::{ArgMatches, FromArgMatches as _};

use super::Exit;
use super::session::Session;
use crate::args::build::InputArgs;
use crate::release::assemble;
use crate::release::compare::{Change, Fate, compare};

/// The exit code when something would change.
const CHANGED: u8 = 1;

pub(super) async fn run(matches: &ArgMatches, session: &mut Session<'_>) -> Result<()> {
    let Some(("helmrelease", leaf)) = matches.subcommand() else {
        bail!("a resource type is required")
    };
    let args = InputArgs::from_arg_matches(leaf)?;
    let blueprint = assemble(&args, (false, false), session).await?;
    let comparison = compare(&blueprint).await?;
    for change in &comparison.changes {
        session.terminal.print(&line(change));
    }
    if !comparison.failures.is_empty() {
        for (object, problem) in &comparison.failures {
            session.terminal.failure(format_args!("{object}: {problem}"));
        }
        bail!(
            "the upgrade would fail for {} object(s)",
            comparison.failures.len()
        );
    }
    if comparison.changes.iter().any(|change| change.fate.is_change()) {
        let error = anyhow!("identified at least one change, exiting with non-zero exit code");
        return Err(Exit { code: CHANGED, error }.into());
    }
    Ok(())
}

fn line(change: &Change) -> String {
    let object = &change.object;
    match &change.fate {
        Fate::Created(lines) => format!("► {object} created\n{lines}\n"),
        Fate::Deleted => format!("► {object} deleted\n"),
        Fate::Kept => format!("► {object} skipped: helm.sh/resource-policy keeps it\n"),
        Fate::Executed => format!("► {object} executed\n"),
        Fate::Dropped => format!("► {object} removed: not executed any more\n"),
        Fate::Changed(difference) => format!("► {object} changed\n{difference}\n"),
    }
}
