//! `flux completion`.

use clap::Command;
use clap_complete::Shell;

/// The shells, by the words that name them.
pub const SHELLS: [(&str, Shell); 4] = [
    ("bash", Shell::Bash),
    ("fish", Shell::Fish),
    ("powershell", Shell::PowerShell),
    ("zsh", Shell::Zsh),
];

pub(super) fn command() -> Command {
    let shells =
        SHELLS.map(|(name, _)| Command::new(name).about(format!("Print the completion script for {name}")));
    Command::new("completion")
        .about("Print completion scripts for shells")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommands(shells)
}
