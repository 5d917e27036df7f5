//! What the commands do, one file each.

mod check;
mod get;
mod installation;
mod reconcile;
mod resume;
mod session;
mod suspend;
mod version;

use anyhow::{Result, bail};
use clap::{ArgMatches, FromArgMatches as _};

pub use self::session::Session;
use crate::args::GlobalArgs;
use crate::terminal::Terminal;

/// Runs the command that was typed.
///
/// # Errors
///
/// Returns what is to be reported as a failure.
pub async fn run(matches: &ArgMatches, client: Option<kube::Client>, terminal: &mut Terminal) -> Result<()> {
    let global = GlobalArgs::from_arg_matches(matches)?;
    let mut session = Session::new(global, client, terminal)?;
    match matches.subcommand() {
        Some(("check", matches)) => check::run(matches, &mut session).await,
        Some(("get", matches)) => get::run(matches, &mut session).await,
        Some(("reconcile", matches)) => reconcile::run(matches, &mut session).await,
        Some(("resume", matches)) => resume::run(matches, &mut session).await,
        Some(("suspend", matches)) => suspend::run(matches, &mut session).await,
        Some(("version", matches)) => version::run(matches, &mut session).await,
        other => bail!(
            "unknown command {:?}",
            other.map(|(name, _)| name).unwrap_or_default()
        ),
    }
}
