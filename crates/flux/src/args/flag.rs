//! Flags that are switched on, in the form that pflag gives them: `--wait` and `--wait=true` are the same, and `--wait=false` is no
//! flag at all.

use clap::{Arg, ArgAction, Command};

/// Lets every switch of a command, and of those below it, take a value after an equals sign.
pub(super) fn with_values(command: Command) -> Command {
    command.mut_args(with_value).mut_subcommands(with_values)
}

fn with_value(arg: Arg) -> Arg {
    // A variable of the environment is read by rules of its own.
    if !matches!(arg.get_action(), ArgAction::SetTrue) || arg.get_env().is_some() {
        return arg;
    }
    arg.action(ArgAction::Set)
        .num_args(0..=1)
        .require_equals(true)
        .default_missing_value("true")
        .default_value("false")
        .hide_default_value(true)
        .value_name("bool")
        .value_parser(parse)
}

/// Reads a truth value as Go does.
fn parse(text: &str) -> Result<bool, String> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
        _ => Err(format!("strconv.ParseBool: parsing {text:?}: invalid syntax")),
    }
}
