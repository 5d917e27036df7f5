//! Errors of templates as Helm 4 shows them.

use ferro_gocompat::quote::quote;
use ferro_template::{Error as TemplateError, ErrorKind};

use crate::values;

/// What `required` and `fail` put around their message, so that it is found in whatever wraps it.
const MESSAGE_START: &str = "HELM_ERR_START";
const MESSAGE_END: &str = "HELM_ERR_END";

/// Why a chart could not be rendered; the texts are upstream's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A template is malformed.
    #[error("parse error at ({location}): {message}")]
    Parse {
        /// The file and line.
        location: String,
        /// What is wrong.
        message: String,
    },
    /// A template said so, with `required` or `fail`.
    #[error("execution error at ({location}): {message}")]
    Failed {
        /// The file, line and column.
        location: String,
        /// What it said.
        message: String,
    },
    /// A template could not be executed: the trace of where.
    #[error("{0}")]
    Execution(String),
    /// The values do not fit the chart.
    #[error(transparent)]
    Values(#[from] values::Error),
}

pub(super) fn failure(message: &str) -> TemplateError {
    TemplateError::new(format!("{MESSAGE_START}{message}{MESSAGE_END}"))
}

pub(super) fn parse_error(filename: &str, error: &TemplateError) -> Error {
    let text = error.to_string();
    let tokens: Vec<&str> = text.split(": ").collect();
    match tokens.as_slice() {
        [_, location, .., message] => Error::Parse {
            location: (*location).to_owned(),
            message: (*message).to_owned(),
        },
        [_, location] => Error::Parse {
            location: (*location).to_owned(),
            message: (*location).to_owned(),
        },
        _ => Error::Execution(format!("parse error in ({filename}): {text}")),
    }
}

pub(super) fn execution_error(filename: &str, error: &TemplateError) -> Error {
    let text = error.to_string();
    if !error.chain().any(|link| link.kind() == ErrorKind::Exec) {
        return Error::Execution(text);
    }
    let mut tokens = text.splitn(3, ": ");
    let (Some(_), Some(location), Some(rest)) = (tokens.next(), tokens.next(), tokens.next()) else {
        return Error::Execution(format!("execution error in ({filename}): {text}"));
    };
    if let Some(message) = message(rest) {
        return Error::Failed {
            location: location.to_owned(),
            message: message.to_owned(),
        };
    }
    Error::Execution(trace(error).unwrap_or(text))
}

/// The message of a `required` or `fail`, wherever in the text it is.
fn message(text: &str) -> Option<&str> {
    let (_, after) = text.split_once(MESSAGE_START)?;
    let (message, _) = after.rsplit_once(MESSAGE_END)?;
    Some(message)
}

/// One step of a trace.
#[derive(Default, PartialEq, Eq)]
struct Step<'t> {
    location: &'t str,
    executing: String,
    message: &'t str,
}

/// Shows where the error came from, step by step; nothing when a link of it does not look like one.
fn trace(error: &TemplateError) -> Option<String> {
    let mut shown = String::new();
    let mut last = None;
    for link in error.chain() {
        let text = link.to_string();
        let step = step(&text)?.show();
        if last.as_ref() != Some(&step) {
            shown.push_str(&step);
            last = Some(step);
        }
    }
    Some(shown.trim().to_owned())
}

fn step(text: &str) -> Option<Step<'_>> {
    let rest = text.strip_prefix("template: ")?;
    if rest.starts_with("no template ") {
        return Some(Step {
            message: text,
            ..Step::default()
        });
    }
    executing_step(rest).or_else(|| simple_step(rest))
}

/// `file:1:2: executing "name" at <node>: message`
fn executing_step(text: &str) -> Option<Step<'_>> {
    let (location, after) = text.split_once(": executing ")?;
    let (name, after) = after.strip_prefix('"')?.split_once('"')?;
    let (node, message) = after.strip_prefix(" at <")?.split_once(">: ")?;
    Some(Step {
        location,
        executing: format!("executing \"{name}\" at <{node}>:"),
        message: without_next(message),
    })
}

/// `file: message`
fn simple_step(text: &str) -> Option<Step<'_>> {
    let (location, message) = text.rsplit_once(": ")?;
    Some(Step {
        location,
        executing: String::new(),
        message: without_next(message),
    })
}

fn without_next(message: &str) -> &str {
    message
        .split_once(" template:")
        .map_or(message, |(message, _)| message)
}

impl Step<'_> {
    fn show(&self) -> String {
        let mut shown = String::new();
        for (part, indent) in [
            (self.location, "  "),
            (self.executing.as_str(), "    "),
            (self.message, ""),
        ] {
            if !part.is_empty() {
                shown.push_str(part);
                shown.push('\n');
                shown.push_str(indent);
            }
        }
        shown
    }
}

/// A `tpl` text that cannot be parsed.
pub(super) fn tpl_parse(text: &str, cause: TemplateError) -> TemplateError {
    TemplateError::wrap(format!("cannot parse template {}: ", quote(text)), cause)
}

/// A `tpl` text that cannot be executed.
pub(super) fn tpl_execution(text: &str, cause: TemplateError) -> TemplateError {
    TemplateError::wrap(
        format!("error during tpl function execution for {}: ", quote(text)),
        cause,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_has_three_lines() {
        let text = "template: a/templates/b.yaml:1:2: executing \"n\" at <include \"x\" .>: error calling \
                    include: template: no template \"x\" associated with template \"gotpl\"";
        let step = step(text).map(|step| step.show());
        assert_eq!(
            step.as_deref(),
            Some(
                "a/templates/b.yaml:1:2\n  executing \"n\" at <include \"x\" .>:\n    error calling include:\n"
            )
        );
    }

    #[test]
    fn messages_are_found_in_what_wraps_them() {
        let wrapped = "x HELM_ERR_STARTneed a\nb HELM_ERR_END y";
        assert_eq!(message(wrapped), Some("need a\nb "));
        assert_eq!(message("nothing"), None);
    }
}
