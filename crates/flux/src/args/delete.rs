//! `flux delete`.

use clap::{Arg, ArgAction, Command};

use super::target::with_kinds;

/// Argument that names the object. It is checked by the command, whose message names the kind.
pub const NAME: &str = "name";

/// Flag that does without a confirmation.
pub const SILENT: &str = "silent";

pub(super) fn command() -> Command {
    let silent = Arg::new(SILENT)
        .short('s')
        .long(SILENT)
        .global(true)
        .action(ArgAction::SetTrue)
        .help("Delete the object without asking for confirmation");
    let verb = Command::new("delete").about("Delete objects").arg(silent);
    with_kinds(
        verb,
        "Delete",
        // Those that nobody writes by hand cannot be suspended, and are not deleted by hand either.
        |row| row.can_suspend,
        |_, command| command.arg(Arg::new(NAME).help("Name of the object")),
    )
}
