//! What does not fit, and how it is told.

use std::fmt;

use ferro_gocompat::quote::quote as go_quote;

/// A value that does not fit a schema, and the failures that led to that.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(super) location: Vec<String>,
    pub(super) kind: Kind,
    pub(super) causes: Vec<Self>,
}

/// What kind of failure it is, as far as telling it goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// All of them together.
    Schema,
    /// Several of one schema.
    Group,
    /// Those behind a reference, which goes unmentioned when there is but one.
    Reference,
    /// A keyword's.
    Keyword(String),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = String::new();
        self.show(&mut text, 0);
        f.write_str(text.strip_prefix('\n').unwrap_or(&text))
    }
}

impl Failure {
    pub(super) fn new(location: &[String], kind: Kind) -> Self {
        Self {
            location: location.to_vec(),
            kind,
            causes: Vec::new(),
        }
    }

    pub(super) fn because(mut self, causes: Vec<Self>) -> Self {
        self.causes = causes;
        self
    }

    fn show(&self, text: &mut String, indent: usize) {
        let is_skipped = self.kind == Kind::Reference && self.causes.len() == 1;
        let is_root = self.kind == Kind::Schema;
        if !is_skipped && !is_root {
            text.push('\n');
            text.push_str(&"  ".repeat(indent.saturating_sub(1)));
            text.push_str(&format!("- at {}: ", quote(&pointer(&self.location))));
            text.push_str(match &self.kind {
                Kind::Keyword(problem) => problem,
                _ => "validation failed",
            });
        }
        let indent = if is_skipped { indent } else { indent + 1 };
        self.causes.iter().for_each(|cause| cause.show(text, indent));
    }
}

/// A JSON pointer.
pub(super) fn pointer(location: &[String]) -> String {
    let mut pointer = String::new();
    for step in location {
        pointer.push('/');
        pointer.push_str(&step.replace('~', "~0").replace('/', "~1"));
    }
    pointer
}

/// Quotes with single quotes.
pub(super) fn quote(text: &str) -> String {
    let quoted = go_quote(text).replace("\\\"", "\"").replace('\'', "\\'");
    let inner = quoted.get(1..quoted.len() - 1).unwrap_or_default();
    format!("'{inner}'")
}

pub(super) fn join_quoted(texts: &[String]) -> String {
    texts
        .iter()
        .map(|text| quote(text))
        .collect::<Vec<_>>()
        .join(", ")
}
