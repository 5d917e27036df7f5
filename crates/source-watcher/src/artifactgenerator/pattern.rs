//! `spec.pathPattern`: directories of a source, each of which gives artifacts of its own.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use ferro_api::source_extensions::{ArtifactGeneratorSpec, OutputArtifact};
use regex::Regex;

use super::validate::{problem_of_label_key, problem_of_label_value, problem_of_name};
use crate::compose::tree::{Node, Tree, join};

/// The artifacts that one generator may have: its inventory has to fit into one object.
const MAX_OUTPUTS: usize = 5000;

/// An artifact to make.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Request {
    /// What to make, with the captures put in.
    pub output: OutputArtifact,
    /// The captures, which become labels.
    pub captures: BTreeMap<String, String>,
}

/// The artifacts that a spec asks for, given its sources by their aliases.
///
/// # Errors
/// When the pattern makes no sense, or what it matches gives no names; only a change by the user can help.
pub(super) fn requests(
    spec: &ArtifactGeneratorSpec,
    sources: &BTreeMap<String, Arc<Tree>>,
) -> Result<Vec<Request>, String> {
    match spec.path_pattern.as_deref().filter(|pattern| !pattern.is_empty()) {
        None => {
            let plain = |output: &OutputArtifact| Request {
                output: output.clone(),
                captures: BTreeMap::new(),
            };
            Ok(spec.artifacts.iter().map(plain).collect())
        }
        Some(pattern) => {
            let pattern = Pattern::parse(pattern)?;
            let source = sources.get(pattern.alias).ok_or_else(|| {
                let (whole, alias) = (pattern.whole, pattern.alias);
                format!("pathPattern {whole:?}: source alias {alias} not found in local sources")
            })?;
            let mut expansion = Expansion {
                pattern: &pattern,
                outputs: &spec.artifacts,
                requests: Vec::new(),
                seen: HashMap::new(),
            };
            expansion.walk(source, "")?;
            Ok(expansion.requests)
        }
    }
}

/// `@alias/path/{capture}`.
struct Pattern<'a> {
    whole: &'a str,
    alias: &'a str,
    regex: Regex,
    names: Vec<&'a str>,
}

/// A piece of a text with captures.
enum Piece<'a> {
    Literal(&'a str),
    Capture(&'a str),
}

/// What is wrong with the braces of a text.
enum Unbalanced<'a> {
    NotClosed(usize),
    NotOpened(usize),
    Empty,
    Name(&'a str),
}

fn is_capture_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// Splits a text at its captures.
fn pieces(text: &str) -> Result<Vec<Piece<'_>>, Unbalanced<'_>> {
    let (mut pieces, mut offset) = (Vec::new(), 0);
    while let Some(rest) = text.get(offset..).filter(|rest| !rest.is_empty()) {
        let literal = rest.find(['{', '}']).unwrap_or(rest.len());
        if literal > 0 {
            pieces.push(Piece::Literal(rest.get(..literal).unwrap_or_default()));
            offset += literal;
            continue;
        }
        let Some(inside) = rest.strip_prefix('{') else {
            return Err(Unbalanced::NotOpened(offset));
        };
        let (name, _) = inside.split_once('}').ok_or(Unbalanced::NotClosed(offset))?;
        if name.is_empty() {
            return Err(Unbalanced::Empty);
        }
        if !is_capture_name(name) {
            return Err(Unbalanced::Name(name));
        }
        pieces.push(Piece::Capture(name));
        offset += name.len() + 2;
    }
    Ok(pieces)
}

impl<'a> Pattern<'a> {
    fn parse(whole: &'a str) -> Result<Self, String> {
        let parts = whole.strip_prefix('@').and_then(|rest| rest.split_once('/'));
        let (alias, path) = parts.ok_or_else(|| format!("invalid pathPattern format: {whole}"))?;
        let failed = |why: String| format!("pathPattern {whole:?}: {why}");
        let pieces = pieces(path).map_err(|why| {
            failed(match why {
                Unbalanced::NotClosed(at) => {
                    format!("invalid capture starting at offset {at}: missing closing brace")
                }
                Unbalanced::NotOpened(at) => {
                    format!("invalid capture ending at offset {at}: missing opening brace")
                }
                Unbalanced::Empty => "empty capture variable".to_owned(),
                Unbalanced::Name(name) => not_a_name(name),
            })
        })?;
        let (mut regex, mut names) = ("^".to_owned(), Vec::new());
        for piece in &pieces {
            match piece {
                Piece::Literal(text) => regex.push_str(&regex::escape(text)),
                Piece::Capture(name) if names.contains(name) => {
                    return Err(failed(format!("duplicate capture variable {name:?}")));
                }
                Piece::Capture(name) => {
                    regex.push_str("([^/]+)");
                    names.push(*name);
                }
            }
        }
        regex.push('$');
        for name in &names {
            if let Some(why) = problem_of_label_key(name) {
                return Err(failed(format!(
                    "capture variable {name:?} is not a valid Kubernetes label key: {why}"
                )));
            }
        }
        let regex =
            Regex::new(&regex).map_err(|error| failed(format!("failed to compile path pattern: {error}")))?;
        Ok(Self {
            whole,
            alias,
            regex,
            names,
        })
    }

    /// The captures of a directory that matches.
    fn captures(&self, path: &str) -> Option<BTreeMap<String, String>> {
        let found = self.regex.captures(path)?;
        let values = found
            .iter()
            .skip(1)
            .flatten()
            .map(|value| value.as_str().to_owned());
        let names = self.names.iter().map(|name| (*name).to_owned());
        Some(names.zip(values).collect())
    }
}

fn not_a_name(name: &str) -> String {
    format!("capture variable {name:?} must be a valid capture name matching [A-Za-z_][A-Za-z0-9_]*")
}

/// Puts captures into a text.
fn render(template: &str, captures: &BTreeMap<String, String>) -> Result<String, String> {
    let failed = |why: String| format!("invalid template {template:?}: {why}");
    let pieces = pieces(template).map_err(|why| {
        failed(match why {
            Unbalanced::NotClosed(at) => format!("capture starting at offset {at} is missing closing brace"),
            Unbalanced::NotOpened(at) => format!("capture ending at offset {at} is missing opening brace"),
            Unbalanced::Empty => "empty capture variable".to_owned(),
            Unbalanced::Name(name) => not_a_name(name),
        })
    })?;
    let mut text = String::new();
    for piece in pieces {
        match piece {
            Piece::Literal(literal) => text.push_str(literal),
            Piece::Capture(name) => {
                let undefined = || failed(format!("capture variable {name:?} is not defined by pathPattern"));
                text.push_str(captures.get(name).ok_or_else(undefined)?);
            }
        }
    }
    Ok(text)
}

/// The directories of a source, as they are walked.
struct Expansion<'a> {
    pattern: &'a Pattern<'a>,
    outputs: &'a [OutputArtifact],
    requests: Vec<Request>,
    /// The directory that gave a name.
    seen: HashMap<String, String>,
}

impl Expansion<'_> {
    fn walk(&mut self, tree: &Tree, prefix: &str) -> Result<(), String> {
        for (name, node) in tree.iter() {
            if let Node::Directory(below) = node {
                let path = join(prefix, name);
                if let Some(captures) = self.pattern.captures(&path) {
                    self.expand(&path, &captures)?;
                }
                self.walk(below, &path)?;
            }
        }
        Ok(())
    }

    /// Adds the artifacts of one directory.
    fn expand(&mut self, path: &str, captures: &BTreeMap<String, String>) -> Result<(), String> {
        let failed = |why: String| format!("pathPattern {:?}: {why}", self.pattern.whole);
        // Where Kubernetes reads them they are in lower case.
        let lower: BTreeMap<String, String> = captures
            .iter()
            .map(|(name, value)| (name.clone(), value.to_lowercase()))
            .collect();
        for (name, value) in &lower {
            if let Some(why) = problem_of_label_value(value) {
                return Err(failed(format!(
                    "captured value {value:?} for variable {name:?} is not a valid Kubernetes label value: {why}"
                )));
            }
        }
        for output in self.outputs {
            let rendered = render_output(output, captures, &lower).map_err(|why| {
                failed(format!(
                    "failed to render artifact {} for match {path}: {why}",
                    output.name
                ))
            })?;
            let name = rendered.name.clone();
            if let Some(why) = problem_of_name(&name) {
                return Err(failed(format!(
                    "rendered artifact name {name:?} is not a valid Kubernetes object name: {why}"
                )));
            }
            if let Some(before) = self.seen.insert(name.clone(), path.to_owned()) {
                return Err(failed(format!(
                    "directories {before:?} and {path:?} both resolve to artifact name {name:?}"
                )));
            }
            if self.requests.len() >= MAX_OUTPUTS {
                return Err(failed(format!("more than {MAX_OUTPUTS} artifacts")));
            }
            self.requests.push(Request {
                output: rendered,
                captures: lower.clone(),
            });
        }
        Ok(())
    }
}

/// An artifact with its captures put in: as they are in paths, in lower case in the name.
fn render_output(
    output: &OutputArtifact,
    captures: &BTreeMap<String, String>,
    lower: &BTreeMap<String, String>,
) -> Result<OutputArtifact, String> {
    let mut rendered = output.clone();
    rendered.name = render(&output.name, lower)?;
    for step in &mut rendered.copy {
        step.from = render(&step.from, captures)?;
        step.to = render(&step.to, captures)?;
    }
    Ok(rendered)
}
