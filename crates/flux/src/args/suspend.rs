//! `flux suspend` and `flux resume`.

use clap::{Arg, ArgAction, Command};

use super::target::with_kinds;

/// Arguments that name objects.
pub const NAMES: &str = "name";

/// Flag that stands for all objects of the namespace.
pub const ALL: &str = "all";

/// Flag of `resume` that waits for the objects to be reconciled.
pub const WAIT: &str = "wait";

pub(super) fn suspend_command() -> Command {
    let verb = Command::new("suspend")
        .about("Suspend objects: their controller leaves them alone")
        .arg(all("Suspend all objects of the namespace"));
    with_kinds(
        verb,
        "Suspend",
        |row| row.can_suspend,
        |_, command| command.arg(names()),
    )
}

pub(super) fn resume_command() -> Command {
    let wait = Arg::new(WAIT)
        .long(WAIT)
        .global(true)
        .help("Wait for the objects to be reconciled");
    let wait = wait
        .num_args(0..=1)
        .require_equals(true)
        .default_missing_value("true");
    let verb = Command::new("resume")
        .about("Resume suspended objects")
        .arg(all("Resume all objects of the namespace"))
        .arg(wait.value_parser(clap::value_parser!(bool)));
    with_kinds(
        verb,
        "Resume",
        |row| row.can_suspend,
        |_, command| command.arg(names()),
    )
}

fn all(help: &'static str) -> Arg {
    Arg::new(ALL)
        .long(ALL)
        .global(true)
        .action(ArgAction::SetTrue)
        .help(help)
}

fn names() -> Arg {
    Arg::new(NAMES).num_args(0..).help("Names of the objects")
}
