//! What the commands do, one file each.

mod build;
mod check;
mod completion;
mod create;
mod debug;
mod delete;
mod diff;
mod export;
mod get;
mod installation;
mod reconcile;
mod resume;
mod session;
mod suspend;
mod version;

use anyhow::{Result, bail};
use clap::{ArgMatches, FromArgMatches as _};
use tokio::time::timeout_at;

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
    if let Some(("check", matches)) = matches.subcommand() {
        return check::run(matches, &mut session).await;
    }
    // A wait, which has the same deadline, is asked first and knows more to say.
    let outcome = timeout_at(session.deadline(), dispatch(matches, &mut session))
        .await
        .unwrap_or_else(|_| bail!("context deadline exceeded"));
    match matches.subcommand_name() {
        Some("diff") => outcome.map_err(of_comparison),
        _ => outcome,
    }
}

/// An error that ends the program with an exit code of its own.
#[derive(Debug, thiserror::Error)]
#[error("{error}")]
pub struct Exit {
    /// The exit code.
    pub code: u8,
    /// What there is to say.
    pub error: anyhow::Error,
}

/// The exit code of a comparison that failed: 1 means that something would change.
fn of_comparison(error: anyhow::Error) -> anyhow::Error {
    if error.is::<Exit>() {
        return error;
    }
    Exit { code: 2, error }.into()
}

async fn dispatch(matches: &ArgMatches, session: &mut Session<'_>) -> Result<()> {
    match matches.subcommand() {
        Some(("build", matches)) => build::run(matches, session).await,
        Some(("completion", matches)) => completion::run(matches, session),
        Some(("create", matches)) => create::run(matches, session).await,
        Some(("debug", matches)) => debug::run(matches, session).await,
        Some(("delete", matches)) => delete::run(matches, session).await,
        Some(("diff", matches)) => diff::run(matches, session).await,
        Some(("export", matches)) => export::run(matches, session).await,
        Some(("get", matches)) => get::run(matches, session).await,
        Some(("reconcile", matches)) => reconcile::run(matches, session).await,
        Some(("resume", matches)) => resume::run(matches, session).await,
        Some(("suspend", matches)) => suspend::run(matches, session).await,
        Some(("version", matches)) => version::run(matches, session).await,
        other => bail!(
            "unknown command {:?}",
            other.map(|(name, _)| name).unwrap_or_default()
        ),
    }
}
