//! `flux create`.

pub mod kustomization;
pub mod reference;
pub mod release;
pub mod secret;
pub mod source;

use std::collections::BTreeMap;

use clap::{Arg, ArgMatches, Args, Command};
use ferro_api::Duration;

/// Where flags of all that can be created stand in help texts: after those of each.
const LATE: usize = 800;

/// Flags of all that can be created.
#[derive(Clone, Debug, clap::Args)]
pub struct CreateArgs {
    /// How often the object is reconciled
    #[arg(long, global = true, default_value = "1m", value_name = "duration", display_order = LATE)]
    pub interval: Duration,

    /// Print the object in YAML format instead of applying it
    #[arg(long, global = true, display_order = LATE)]
    pub export: bool,

    /// Labels of the object: label1=value1,label2=value2
    #[arg(long, global = true, value_delimiter = ',', value_name = "labels", display_order = LATE)]
    pub label: Vec<String>,
}

/// Argument that names the object. It is checked by the command, whose message is that of upstream.
const NAME: &str = "name";

/// What is wrong with a name or a label.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CreateArgsError {
    /// There is no name.
    #[error("name is required")]
    NoName,
    /// The name is none.
    #[error(
        "name '{0}' is invalid, it should adhere to standard defined in RFC 1123, the name can only contain alphanumeric characters or '-'"
    )]
    BadName(String),
    /// The label has no value.
    #[error("invalid label format '{0}', must be key=value")]
    BadLabel(String),
    /// The key of the label is none.
    #[error("invalid label '{0}': {1}")]
    BadLabelKey(String, &'static str),
    /// The value of the label is none.
    #[error("invalid label value '{0}': {1}")]
    BadLabelValue(String, &'static str),
}

/// Returns the name of the object.
///
/// # Errors
///
/// Returns an error if there is none, or it is no name.
pub fn name(matches: &ArgMatches) -> Result<&str, CreateArgsError> {
    let name = matches.get_one::<String>(NAME).ok_or(CreateArgsError::NoName)?;
    if is_name(name) {
        Ok(name)
    } else {
        Err(CreateArgsError::BadName(name.to_owned()))
    }
}

/// Adds the flags of something that can be created, its name, and examples.
fn leaf<A: Args>(name: &'static str, about: &'static str, examples: &str) -> Command {
    A::augment_args(Command::new(name))
        .about(about)
        .after_help(crate::args::examples(examples))
        .arg(Arg::new(NAME).help("Name of the object"))
}

impl CreateArgs {
    /// Returns the labels of the object.
    ///
    /// # Errors
    ///
    /// Returns an error if one is no label.
    pub fn labels(&self) -> Result<BTreeMap<String, String>, CreateArgsError> {
        self.label.iter().map(|text| label(text)).collect()
    }
}

pub(super) fn command() -> Command {
    CreateArgs::augment_args(Command::new("create"))
        .about("Create or update objects")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(release::command())
        .subcommand(kustomization::command())
        .subcommand(secret::command())
        .subcommand(source::command())
}

/// Upstream wants two characters at least.
fn is_name(text: &str) -> bool {
    let is_end = |c: Option<char>| c.is_some_and(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
    let is_inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    (2..=63).contains(&text.len())
        && text.chars().all(is_inner)
        && is_end(text.chars().next())
        && is_end(text.chars().last())
}

fn label(text: &str) -> Result<(String, String), CreateArgsError> {
    let bad = || CreateArgsError::BadLabel(text.to_owned());
    let (key, value) = text.split_once('=').ok_or_else(bad)?;
    if value.contains('=') {
        return Err(bad());
    }
    if let Some(problem) = key_problem(key) {
        return Err(CreateArgsError::BadLabelKey(key.to_owned(), problem));
    }
    if !value.is_empty() && !is_label_part(value) {
        let problem = "must be at most 63 alphanumeric characters, '-', '_' or '.', and begin and end with an alphanumeric one";
        return Err(CreateArgsError::BadLabelValue(value.to_owned(), problem));
    }
    Ok((key.to_owned(), value.to_owned()))
}

fn key_problem(key: &str) -> Option<&'static str> {
    let (prefix, name) = match key.split_once('/') {
        Some((prefix, name)) => (Some(prefix), name),
        None => (None, key),
    };
    if prefix.is_some_and(|prefix| !is_subdomain(prefix)) {
        return Some("the part before the slash must be a DNS subdomain");
    }
    (!is_label_part(name)).then_some(
        "its name must be 1 to 63 alphanumeric characters, '-', '_' or '.', and begin and end with an alphanumeric one",
    )
}

fn is_label_part(text: &str) -> bool {
    let is_end = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
    let is_inner = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    (1..=63).contains(&text.len())
        && text.chars().all(is_inner)
        && is_end(text.chars().next())
        && is_end(text.chars().last())
}

fn is_subdomain(text: &str) -> bool {
    let is_part = |part: &str| {
        let is_inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        !part.is_empty() && part.chars().all(is_inner) && !part.starts_with('-') && !part.ends_with('-')
    };
    text.len() <= 253 && text.split('.').all(is_part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_upstream() {
        for name in ["ab", "a-b", "0a", &"a".repeat(63)] {
            assert!(is_name(name), "{name}");
        }
        for name in ["", "a", "-a", "a-", "A0", "a.b", &"a".repeat(64)] {
            assert!(!is_name(name), "{name}");
        }
    }

    #[test]
    fn labels_have_a_key_and_a_value() {
        assert_eq!(label("a=b").unwrap(), ("a".to_owned(), "b".to_owned()));
        assert_eq!(label("example.com/a_b=").unwrap().0, "example.com/a_b");
        for (text, message) in [
            ("a", "invalid label format 'a', must be key=value"),
            ("a=b=c", "invalid label format 'a=b=c', must be key=value"),
        ] {
            assert_eq!(label(text).unwrap_err().to_string(), message);
        }
        for text in ["=b", "a/b/c=d", "A.com/x=y", "-a=b", "a=-b", "a=b c"] {
            assert!(label(text).is_err(), "{text}");
        }
    }
}
