//! Errors in what was typed, in the words of the library that upstream uses.

use std::error::Error as _;

use clap::Error;
use clap::error::{ContextKind, ContextValue, ErrorKind};

/// Says on one line what is wrong.
#[must_use]
pub fn explain(error: &Error) -> String {
    let context = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text.as_str()),
        _ => None,
    };
    // An argument is given with its placeholder, such as `--timeout <duration>`.
    let flag = context(ContextKind::InvalidArg).map(|flag| flag.split([' ', '[']).next().unwrap_or(flag));
    match (error.kind(), flag, context(ContextKind::InvalidValue)) {
        (ErrorKind::InvalidSubcommand, ..) => {
            let word = context(ContextKind::InvalidSubcommand).unwrap_or_default();
            let suggestion = suggestion(error).map_or_else(String::new, |known| {
                format!("\n\nDid you mean this?\n\t{known}\n")
            });
            format!("unknown command {word:?} for {:?}{suggestion}", command_of(error))
        }
        (ErrorKind::UnknownArgument, Some(flag), _) if flag.starts_with("--") => {
            format!("unknown flag: {flag}")
        }
        (ErrorKind::UnknownArgument, Some(flag), _) if flag.starts_with('-') => {
            format!(
                "unknown shorthand flag: '{}' in {flag}",
                flag.trim_start_matches('-')
            )
        }
        (ErrorKind::MissingRequiredArgument, ..) => match error.get(ContextKind::InvalidArg) {
            Some(ContextValue::Strings(missing)) => {
                let missing: Vec<&str> = missing.iter().map(|it| it.trim_matches(['<', '>'])).collect();
                format!("{} is required", missing.join(", ").to_lowercase())
            }
            _ => "an argument is missing".to_owned(),
        },
        (ErrorKind::InvalidValue, Some(flag), None | Some("")) if flag.starts_with('-') => {
            format!("flag needs an argument: {flag}")
        }
        (ErrorKind::InvalidValue, Some(flag), Some(value)) => {
            let known = match error.get(ContextKind::ValidValue) {
                Some(ContextValue::Strings(known)) => known.join(", "),
                _ => String::new(),
            };
            format!("invalid argument {value:?} for {flag:?} flag: must be one of: {known}")
        }
        (ErrorKind::ValueValidation, Some(flag), Some(value)) => {
            let reason = error.source().map(ToString::to_string).unwrap_or_default();
            format!("invalid argument {value:?} for {flag:?} flag: {reason}")
        }
        _ => {
            let text = error.render().to_string();
            let line = text.lines().next().unwrap_or_default();
            line.trim_start_matches("error: ").to_owned()
        }
    }
}

/// The command whose subcommand was not understood, from the usage that would be shown.
fn command_of(error: &Error) -> String {
    let usage = match error.get(ContextKind::Usage) {
        Some(ContextValue::StyledStr(usage)) => usage.to_string(),
        _ => String::new(),
    };
    let usage = usage.trim_start_matches("Usage: ");
    let words: Vec<&str> = usage
        .split_whitespace()
        .take_while(|word| word.chars().all(|c| c.is_ascii_lowercase() || c == '-') && !word.starts_with('-'))
        .collect();
    if words.is_empty() {
        return "flux".to_owned();
    }
    words.join(" ")
}

/// The word that was meant, perhaps.
fn suggestion(error: &Error) -> Option<&str> {
    match error.get(ContextKind::SuggestedSubcommand)? {
        ContextValue::String(known) => Some(known),
        ContextValue::Strings(known) => known.last().map(String::as_str),
        _ => None,
    }
}
