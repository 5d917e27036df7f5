//! `flux get`.

use clap::{Arg, ArgAction, Args as _, Command};

use super::target::{with_all, with_kinds};

/// Flags of `get`.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct GetArgs {
    /// List objects of all namespaces
    #[arg(short = 'A', long, global = true)]
    pub all_namespaces: bool,

    /// Leave the header out
    #[arg(long, global = true)]
    pub no_header: bool,

    /// Go on and print objects as they change
    #[arg(short, long, global = true)]
    pub watch: bool,

    /// Only objects with a condition, such as ready=false or ready!=true
    #[arg(long, global = true, value_name = "type=status")]
    pub status_selector: Option<String>,

    /// Only objects with labels, such as sharding.fluxcd.io/key=shard1
    #[arg(short, long, global = true, value_name = "selector")]
    pub label_selector: Option<String>,
}

/// Flag that adds the column of sources, where a kind has any.
pub const SHOW_SOURCE: &str = "show-source";

/// Argument that names one object.
pub const NAME: &str = "name";

pub(super) fn command() -> Command {
    let verb = GetArgs::augment_args(Command::new("get")).about("Get objects and their status");
    let verb = with_kinds(
        verb,
        "Get",
        |_| true,
        |row, command| {
            let command = command.arg(Arg::new(NAME).help("Name of the object"));
            // A source of a source is a column of its own already.
            if row.sources.is_none() || row.group.is_some() {
                return command;
            }
            let help = "Show the source of each object";
            command.arg(
                Arg::new(SHOW_SOURCE)
                    .long(SHOW_SOURCE)
                    .action(ArgAction::SetTrue)
                    .help(help),
            )
        },
    );
    with_all(verb)
}
