//! `.helmignore`, which looks like `.gitignore` and is not.
//!
//! Patterns are those of Go's `filepath.Match`, `**` is refused, the first rule that matches decides, and a
//! `!rule` makes everything ignored that does *not* match it.

use ferro_gocompat::path;

/// The file's name.
pub const FILE_NAME: &str = ".helmignore";

/// The longest line that Go's scanner reads.
const MAX_LINE: usize = 64 * 1024;

/// Why rules could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// `**` means nothing here.
    #[error("double-star (**) syntax is not supported")]
    DoubleStar,
    /// A pattern is malformed.
    #[error("syntax error in pattern")]
    BadPattern,
    /// A line is too long.
    #[error("bufio.Scanner: token too long")]
    LineTooLong,
}

/// The rules of one `.helmignore`, and the built-in one that hides dot files in `templates/`.
///
/// ```
/// use ferro_helm::chart::ignore::Rules;
///
/// let rules = Rules::parse(b"*.bak\ndocs/\n")?;
/// assert!(rules.ignores("templates/a.bak", false));
/// assert!(rules.ignores("docs", true) && !rules.ignores("docs", false));
/// # Ok::<(), ferro_helm::chart::ignore::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rules(Vec<Rule>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Rule {
    pattern: Pattern,
    scope: Scope,
    negated: bool,
    directories_only: bool,
}

/// What is matched. Most rules need no pattern, and each is asked about each file.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Pattern {
    /// The whole.
    Literal(String),
    /// The end, behind anything but a slash: `*.bak`.
    Suffix(String),
    Glob(String),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scope {
    /// The pattern has a slash and is for the path from the chart's root.
    Path,
    /// It is for the last component.
    Name,
}

impl Default for Rules {
    fn default() -> Self {
        Self(vec![Rule::default_hidden()])
    }
}

impl Rules {
    /// Reads a file.
    pub fn parse(content: &[u8]) -> Result<Self, Error> {
        let content = content.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(content);
        let mut rules = Vec::new();
        for line in content.split(|byte| *byte == b'\n') {
            if line.len() >= MAX_LINE {
                return Err(Error::LineTooLong);
            }
            rules.extend(Rule::parse(&String::from_utf8_lossy(line))?);
        }
        rules.push(Rule::default_hidden());
        Ok(Self(rules))
    }

    /// Tells whether a path, relative to the chart and with slashes, is left out. A directory that is left
    /// out takes all that is in it along; this does not look at a path's parents.
    pub fn ignores(&self, path: &str, is_dir: bool) -> bool {
        if matches!(path, "" | "." | "./") {
            return false;
        }
        let name = base(path);
        for rule in &self.0 {
            let subject = match rule.scope {
                Scope::Path => path,
                Scope::Name => name,
            };
            let matches = (is_dir || !rule.directories_only) && rule.pattern.matches(subject);
            if matches != rule.negated {
                return true;
            }
        }
        false
    }

    /// Tells whether a file or one of its parents is left out.
    pub fn ignores_file(&self, path: &str) -> bool {
        let mut parents = path.match_indices('/').filter_map(|(at, _)| path.get(..at));
        parents.any(|parent| self.ignores(parent, true)) || self.ignores(path, false)
    }
}

impl Rule {
    fn default_hidden() -> Self {
        Self {
            pattern: Pattern::new("templates/.?*"),
            scope: Scope::Path,
            negated: false,
            directories_only: false,
        }
    }

    fn parse(line: &str) -> Result<Option<Self>, Error> {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            return Ok(None);
        }
        if line.contains("**") {
            return Err(Error::DoubleStar);
        }
        glob(line, "abc").ok_or(Error::BadPattern)?;
        let (negated, line) = strip(line, |line| line.strip_prefix('!'));
        let (directories_only, line) = strip(line, |line| line.strip_suffix('/'));
        let (is_rooted, line) = strip(line, |line| line.strip_prefix('/'));
        let scope = if is_rooted || line.contains('/') {
            Scope::Path
        } else {
            Scope::Name
        };
        Ok(Some(Self {
            pattern: Pattern::new(line),
            scope,
            negated,
            directories_only,
        }))
    }
}

impl Pattern {
    fn new(pattern: &str) -> Self {
        let is_literal = |text: &str| !text.contains(['*', '?', '[', '\\']);
        match pattern.strip_prefix('*') {
            _ if is_literal(pattern) => Self::Literal(pattern.to_owned()),
            Some(suffix) if is_literal(suffix) => Self::Suffix(suffix.to_owned()),
            _ => Self::Glob(pattern.to_owned()),
        }
    }

    fn matches(&self, name: &str) -> bool {
        match self {
            Self::Literal(literal) => literal == name,
            Self::Suffix(suffix) => name
                .strip_suffix(suffix.as_str())
                .is_some_and(|rest| !rest.contains('/')),
            Self::Glob(pattern) => glob(pattern, name).unwrap_or(false),
        }
    }
}

/// Matches as Go's `filepath.Match`, which does not look at what follows a part that failed to match. A
/// pattern that is malformed where it is looked at gives nothing.
fn glob(pattern: &str, name: &str) -> Option<bool> {
    if let Ok(matches) = path::matches(pattern, name) {
        return Some(matches);
    }
    let stars = pattern.match_indices('*').filter_map(|(at, _)| pattern.get(..at));
    let fails_before = |start: &str| {
        let mut ends = name.char_indices().map(|(at, _)| at).chain([name.len()]);
        !start.is_empty()
            && path::matches(start, "").is_ok()
            && !ends.any(|end| path::matches(start, name.get(..end).unwrap_or_default()) == Ok(true))
    };
    stars.into_iter().any(fails_before).then_some(false)
}

fn strip<'l>(line: &'l str, cut: impl Fn(&'l str) -> Option<&'l str>) -> (bool, &'l str) {
    cut(line).map_or((false, line), |rest| (true, rest))
}

/// The last component, as Go's `filepath.Base`.
fn base(path: &str) -> &str {
    let trimmed = path.trim_end_matches('/');
    if trimmed.is_empty() {
        return if path.is_empty() { "." } else { "/" };
    }
    trimmed.rsplit('/').next().unwrap_or(trimmed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(text: &str) -> Rules {
        Rules::parse(text.as_bytes()).unwrap()
    }

    #[test]
    fn a_negated_rule_ignores_what_it_does_not_match() {
        let rules = rules("!keep.txt\n");
        assert!(rules.ignores("other.txt", false));
        assert!(!rules.ignores("keep.txt", false));
        assert!(rules.ignores("dir", true));
    }

    #[test]
    fn patterns_with_a_slash_are_for_the_whole_path() {
        let rules = rules("/top.txt\na/*.txt\nname.txt\n");
        assert!(rules.ignores("top.txt", false) && !rules.ignores("a/b/top.txt", false));
        assert!(rules.ignores("a/x.txt", false) && !rules.ignores("b/a/x.txt", false));
        assert!(rules.ignores("x/y/name.txt", false));
    }

    #[test]
    fn hidden_templates_are_left_out_without_a_file() {
        let rules = Rules::default();
        assert!(rules.ignores("templates/.swp", false));
        assert!(!rules.ignores("templates/.", false));
        assert!(!rules.ignores("templates/sub/.swp", false));
    }

    #[test]
    fn files_in_ignored_directories_are_ignored() {
        let rules = rules("docs/\n");
        assert!(rules.ignores_file("docs/a/b.md"));
        assert!(!rules.ignores_file("docs2/b.md"));
    }

    #[test]
    fn malformed_rules_are_refused() {
        assert_eq!(Rules::parse(b"a/**\n"), Err(Error::DoubleStar));
        assert_eq!(Rules::parse(b"[\n"), Err(Error::BadPattern));
    }
}
