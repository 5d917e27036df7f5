//! `flux export`.

use clap::{Arg, ArgAction, Command};

use super::target::with_kinds;
use crate::kind::Group;

/// Argument that names the object.
pub const NAME: &str = "name";

/// Flag that stands for all objects of the namespace.
pub const ALL: &str = "all";

/// Flag that adds the Secrets which sources refer to.
pub const WITH_CREDENTIALS: &str = "with-credentials";

pub(super) fn command() -> Command {
    let switch = |name: &'static str, help| {
        Arg::new(name)
            .long(name)
            .global(true)
            .action(ArgAction::SetTrue)
            .help(help)
    };
    let verb = Command::new("export")
        .about("Export objects in YAML format")
        .arg(switch(ALL, "Export all objects of the namespace"));
    let verb = with_kinds(
        verb,
        "Export",
        |_| true,
        |_, command| command.arg(Arg::new(NAME).help("Name of the object")),
    );
    verb.mut_subcommand(Group::Source.words()[0], |sources| {
        sources.arg(switch(
            WITH_CREDENTIALS,
            "Include the Secrets that sources refer to",
        ))
    })
}
