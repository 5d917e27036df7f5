//! The command line of Flux: what people and scripts type to look at, and to nudge, a cluster.
//!
//! It follows the `flux` program of Flux 2.9: the same commands, flags, tables, messages, streams and
//! exit codes, so that scripts need not know which of the two they call. Tables go to standard output;
//! progress and errors go to standard error, each line led by a symbol. A failure ends with exit code 1.
//!
//! Commands work on kinds, and what they need to know of a kind is one row of [`kind::KINDS`]: its
//! words on the command line, its columns, its messages. A new kind is a new row.
//!
//! Where upstream polls every two seconds, this program watches, so that it goes on as soon as the
//! cluster does.
//!
//! The program speaks to the API server only, never to a controller.

pub mod args;
pub mod cluster;
pub mod command;
pub mod kind;
pub mod lines;
pub mod local;
pub mod manifest;
pub mod object;
pub mod release;
pub mod status;
pub mod table;
pub mod terminal;
pub mod text;
pub mod wait;

use std::ffi::OsString;

use clap::error::ErrorKind;

pub use self::terminal::Terminal;

/// Version of this program, as it is printed.
pub const VERSION: &str = concat!("v", env!("CARGO_PKG_VERSION"));

/// Runs the program with its arguments, the first of which is its own name, and returns its exit code.
pub async fn run(args: impl IntoIterator<Item = OsString>, terminal: &mut Terminal) -> u8 {
    run_with(args, None, terminal).await
}

/// Runs the program as [`run`] does, with a client for a cluster that is not looked for.
pub async fn run_with(
    args: impl IntoIterator<Item = OsString>,
    client: Option<kube::Client>,
    terminal: &mut Terminal,
) -> u8 {
    let matches = match args::command().try_get_matches_from(args) {
        Ok(matches) => matches,
        Err(error) => return report_usage(&error, terminal),
    };
    match command::run(&matches, client, terminal).await {
        Ok(()) => 0,
        Err(error) => report_failure(&error, terminal),
    }
}

/// Says what went wrong, and returns the exit code. That of a comparison which found something is no failure.
fn report_failure(error: &anyhow::Error, terminal: &mut Terminal) -> u8 {
    let Some(exit) = error.downcast_ref::<command::Exit>() else {
        terminal.failure(format_args!("{}", text::chain(error)));
        return 1;
    };
    let text = text::chain(&exit.error);
    match exit.code {
        1 => terminal.warning(format_args!("{text}")),
        _ => terminal.failure(format_args!("{text}")),
    }
    exit.code
}

/// Prints help where it was asked for; anything else is an error, of which upstream prints no usage.
fn report_usage(error: &clap::Error, terminal: &mut Terminal) -> u8 {
    match error.kind() {
        ErrorKind::DisplayHelp
        | ErrorKind::DisplayVersion
        | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            terminal.print(&error.render().to_string());
            0
        }
        _ => {
            terminal.failure(format_args!("{}", args::error::explain(error)));
            1
        }
    }
}
