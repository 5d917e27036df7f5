//! `flux completion`: prints what a shell needs to complete commands and flags.

use anyhow::{Result, anyhow};
use clap::ArgMatches;

use super::session::Session;
use crate::args;
use crate::args::completion::SHELLS;

pub(super) fn run(matches: &ArgMatches, session: &mut Session<'_>) -> Result<()> {
    let name = matches.subcommand_name().unwrap_or_default();
    let (_, shell) = SHELLS
        .into_iter()
        .find(|(known, _)| *known == name)
        .ok_or_else(|| anyhow!("unknown shell {name:?}"))?;
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut args::command(), "flux", &mut script);
    session.terminal.print(&String::from_utf8_lossy(&script));
    Ok(())
}
