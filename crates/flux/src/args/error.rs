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
    let flag = context(ContextKind::InvalidArg).map(|flag| flag.split(' ').next().unwrap_or(flag));
    match (error.kind(), flag, context(ContextKind::InvalidValue)) {
        (ErrorKind::InvalidSubcommand, ..) => {
            let word = context(ContextKind::InvalidSubcommand).unwrap_or_default();
            format!("unknown command {word:?} for \"flux\"")
        }
        (ErrorKind::UnknownArgument, Some(flag), _) if flag.starts_with("--") => {
            format!("unknown flag: {flag}")
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
