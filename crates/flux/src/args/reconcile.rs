//! `flux reconcile`.

use clap::{Arg, ArgAction, Command};

use super::target::with_kinds;
use crate::kind::KindRow;

/// Argument that names the object. It is checked by the command, whose message names the kind.
pub const NAME: &str = "name";

/// Flag that has the sources reconciled first.
pub const WITH_SOURCE: &str = "with-source";

/// Flag that asks for a Helm upgrade even if nothing has changed.
pub const FORCE: &str = "force";

/// Flag that resets the failure counts of a Helm release.
pub const RESET: &str = "reset";

pub(super) fn command() -> Command {
    let verb = Command::new("reconcile").about("Reconcile objects now, and wait for it");
    with_kinds(verb, "Reconcile", |row| row.can_reconcile, leaf)
}

fn leaf(row: &'static KindRow, command: Command) -> Command {
    let flag = |name: &'static str, help| Arg::new(name).long(name).action(ArgAction::SetTrue).help(help);
    let mut command = command.arg(Arg::new(NAME).help("Name of the object"));
    if row.sources.is_some() {
        command = command.arg(flag(WITH_SOURCE, "Reconcile the source first"));
    }
    if row.info.kind == "HelmRelease" {
        command = command
            .arg(flag(FORCE, "Install or upgrade even if nothing has changed"))
            .arg(flag(RESET, "Forget earlier failures"));
    }
    command
}
