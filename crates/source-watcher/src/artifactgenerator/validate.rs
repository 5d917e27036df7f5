//! What is refused before anything is done, and what names Kubernetes takes.

use std::collections::HashSet;
use std::sync::LazyLock;

use ferro_api::reason;
use ferro_api::source_extensions::ArtifactGenerator;
use kube::ResourceExt;
use regex::Regex;

use super::failure::Failure;

/// Refuses what only the user can mend.
///
/// # Errors
/// When names are not unique or not names, an alias leads nowhere, or a source is out of bounds.
pub(super) fn validate(generator: &ArtifactGenerator, no_cross_namespace_refs: bool) -> Result<(), Failure> {
    let own = generator.namespace().unwrap_or_default();
    let refused = |message| Err(Failure::stalling(reason::VALIDATION_FAILED, message));
    let mut aliases = HashSet::new();
    for source in &generator.spec.sources {
        let alias = source.alias.as_str();
        if !aliases.insert(alias) {
            return refused(format!("duplicate source alias '{alias}' found"));
        }
        let namespace = source.namespace.as_deref().filter(|it| !it.is_empty());
        if let Some(namespace) = namespace.filter(|it| no_cross_namespace_refs && *it != own) {
            let (kind, name) = (source.kind, &source.name);
            let message =
                format!("cross-namespace reference to source {kind}/{namespace}/{name} is not allowed");
            return Err(Failure::stalling(reason::ACCESS_DENIED, message));
        }
    }
    let is_templated = generator
        .spec
        .path_pattern
        .as_deref()
        .is_some_and(|it| !it.is_empty());
    let mut names = HashSet::new();
    for artifact in &generator.spec.artifacts {
        let name = artifact.name.as_str();
        if !names.insert(name) {
            return refused(format!("duplicate artifact name '{name}' found"));
        }
        if !is_templated && let Some(why) = problem_of_name(name) {
            return refused(format!(
                "artifact name {name:?} is not a valid Kubernetes object name: {why}"
            ));
        }
        let revision = artifact.revision.as_deref().map(alias_of);
        if let Some(alias) = revision.filter(|alias| !alias.is_empty() && !aliases.contains(alias)) {
            return refused(format!(
                "artifact {name} revision source alias '{alias}' not found"
            ));
        }
    }
    Ok(())
}

/// The alias in `@alias`.
pub(super) fn alias_of(reference: &str) -> &str {
    reference.strip_prefix('@').unwrap_or(reference)
}

const SUBDOMAIN: &str = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*";
const LABEL_KEY: &str = "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]";
const LABEL_VALUE: &str = "(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?";

/// A rule of Kubernetes for names, and its words.
struct Rule {
    pattern: &'static str,
    regex: LazyLock<Option<Regex>>,
    longest: usize,
    words: &'static str,
    examples: &'static str,
}

macro_rules! rule {
    ($pattern:ident, $longest:literal, $words:literal, $examples:literal) => {
        Rule {
            pattern: $pattern,
            regex: LazyLock::new(|| Regex::new(&format!("^{}$", $pattern)).ok()),
            longest: $longest,
            words: $words,
            examples: $examples,
        }
    };
}

static OBJECT_NAME: Rule = rule!(
    SUBDOMAIN,
    253,
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character",
    "'example.com'"
);
static KEY: Rule = rule!(
    LABEL_KEY,
    63,
    "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character",
    "'MyName',  or 'my.name',  or '123-abc'"
);
static VALUE: Rule = rule!(
    LABEL_VALUE,
    63,
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character",
    "'MyValue',  or 'my_value',  or '12345'"
);

impl Rule {
    /// What is wrong with a text, in Kubernetes' words; `part` begins each of them.
    fn problem(&self, text: &str, part: &str) -> Option<String> {
        let mut problems = Vec::new();
        if text.len() > self.longest {
            problems.push(format!("{part}must be no more than {} bytes", self.longest));
        }
        if !self.regex.as_ref().is_some_and(|regex| regex.is_match(text)) {
            problems.push(format!(
                "{part}{} (e.g. {}, regex used for validation is '{}')",
                self.words, self.examples, self.pattern
            ));
        }
        (!problems.is_empty()).then(|| problems.join("; "))
    }
}

/// Why a text cannot be the name of an object.
pub(super) fn problem_of_name(name: &str) -> Option<String> {
    OBJECT_NAME.problem(name, "")
}

/// Why a text cannot be the key of a label without a prefix.
pub(super) fn problem_of_label_key(key: &str) -> Option<String> {
    KEY.problem(key, "name part ")
}

/// Why a text cannot be the value of a label.
pub(super) fn problem_of_label_value(value: &str) -> Option<String> {
    VALUE.problem(value, "")
}
