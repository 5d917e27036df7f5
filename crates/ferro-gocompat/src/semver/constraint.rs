//! Ranges of versions.

use std::fmt;
use std::sync::LazyLock;

use regex::Regex;

use super::{Error, Version, compare_prerelease};
use crate::quote::quote;

/// The longest constraint that is read.
pub(super) const MAX_CONSTRAINT_LEN: usize = 512;
/// The most alternatives (`||`) that a constraint may have.
pub(super) const MAX_GROUPS: usize = 32;

/// Alternatives of conditions that must hold together.
///
/// ```
/// use ferro_gocompat::semver::{Constraints, Version};
///
/// let constraint = Constraints::parse(">=1.2 <2.0 || ~3.1")?;
/// assert!(constraint.check(&Version::parse("3.1.9")?));
/// assert!(!constraint.check(&Version::parse("1.5.0-rc.1")?));
/// # Ok::<(), ferro_gocompat::semver::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Constraints {
    groups: Vec<Group>,
}

#[derive(Clone, Debug)]
struct Group {
    conditions: Vec<Condition>,
    /// Whether one of the conditions names a prerelease, and so opens the group to them.
    has_prerelease: bool,
}

#[derive(Clone, Debug)]
struct Condition {
    operator: Operator,
    /// The operator as it was written.
    symbol: String,
    version: Version,
    /// The version as it was written.
    original: String,
    /// Something was left out or written as `x`: the patch, or the minor and the patch, or all.
    is_partial: bool,
    any_minor: bool,
    any_patch: bool,
}

#[derive(Clone, Copy, Debug)]
enum Operator {
    Equal,
    NotEqual,
    Greater,
    Less,
    GreaterEqual,
    LessEqual,
    Tilde,
    Caret,
}

/// Why a version does not satisfy a constraint.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Mismatch(String);

/// The expressions that make up the grammar. Matching is leftmost-first in Go as here, which decides how
/// text without separators splits (`>=1.0<2.0`).
struct Grammar {
    condition: Regex,
    range: Regex,
    find: Regex,
    group: Regex,
}

static GRAMMAR: LazyLock<Option<Grammar>> = LazyLock::new(|| {
    const OPERATOR: &str = r"=||!=|>|<|>=|=>|<=|=<|~|~>|\^";
    const VERSION: &str = concat!(
        r"v?([0-9|xX*]+)(\.[0-9|xX*]+)?(\.[0-9|xX*]+)?",
        r"(-([0-9A-Za-z\-]+(\.[0-9A-Za-z\-]+)*))?",
        r"(\+([0-9A-Za-z\-]+(\.[0-9A-Za-z\-]+)*))?"
    );
    const BLANK: &str = r"[\t\n\x0C\r ]";
    let one = format!("({OPERATOR}){BLANK}*({VERSION})");
    Some(Grammar {
        condition: Regex::new(&format!("^{BLANK}*{one}{BLANK}*$")).ok()?,
        range: Regex::new(&format!(
            "{BLANK}*({VERSION}){BLANK}+-{BLANK}+({VERSION}){BLANK}*"
        ))
        .ok()?,
        find: Regex::new(&one).ok()?,
        group: Regex::new(&format!(
            "^({BLANK}*{one}{BLANK}*)((?:{BLANK}+|,{BLANK}*){one}{BLANK}*)*$"
        ))
        .ok()?,
    })
});

impl Constraints {
    /// Reads a constraint. An empty one is refused, as in Go; callers there take it for `*`.
    pub fn parse(text: &str) -> Result<Self, Error> {
        if text.len() > MAX_CONSTRAINT_LEN {
            return Err(Error::ConstraintTooLong);
        }
        if let Some(parts) = Parts::plain(text) {
            let group = Group::new(vec![Condition::new(&parts)?]);
            return Ok(Self { groups: vec![group] });
        }
        let grammar = GRAMMAR.as_ref().ok_or(Error::ConstraintParser)?;
        let text = rewrite_ranges(text, grammar);
        let groups: Vec<&str> = text.split("||").collect();
        if groups.len() > MAX_GROUPS {
            return Err(Error::TooManyGroups);
        }
        let groups = groups
            .into_iter()
            .map(|group| Group::parse(group, grammar))
            .collect::<Result<_, _>>()?;
        Ok(Self { groups })
    }

    /// Tells whether a version satisfies all conditions of one group.
    pub fn check(&self, version: &Version) -> bool {
        self.groups.iter().any(|group| {
            let check = |condition: &Condition| condition.check(version, group.has_prerelease).is_ok();
            group.conditions.iter().all(check)
        })
    }

    /// Returns nothing if a version satisfies the constraint, and otherwise every reason why not.
    pub fn validate(&self, version: &Version) -> Vec<Mismatch> {
        let mut reasons = Vec::new();
        let mut prerelease_reported = false;
        for group in &self.groups {
            let mut satisfied = true;
            for condition in &group.conditions {
                let Err(reason) = condition.check(version, group.has_prerelease) else {
                    continue;
                };
                satisfied = false;
                let is_prerelease = !group.has_prerelease && !version.prerelease().is_empty();
                if !(is_prerelease && prerelease_reported) {
                    reasons.push(reason);
                }
                prerelease_reported |= is_prerelease;
            }
            if satisfied {
                return Vec::new();
            }
        }
        reasons
    }
}

impl fmt::Display for Constraints {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let groups: Vec<String> = self
            .groups
            .iter()
            .map(|group| {
                let show = |condition: &Condition| format!("{}{}", condition.symbol, condition.original);
                group.conditions.iter().map(show).collect::<Vec<_>>().join(" ")
            })
            .collect();
        f.write_str(&groups.join(" || "))
    }
}

/// Replaces `A - B` by two comparisons.
fn rewrite_ranges(text: &str, grammar: &Grammar) -> String {
    let mut rewritten = text.to_owned();
    for range in grammar.range.captures_iter(text) {
        let part = |index: usize| range.get(index).map_or("", |part| part.as_str());
        rewritten = rewritten.replacen(part(0), &format!(">= {}, <= {} ", part(1), part(11)), 1);
    }
    rewritten
}

impl Group {
    fn parse(text: &str, grammar: &Grammar) -> Result<Self, Error> {
        if !grammar.group.is_match(text) {
            return Err(Error::ImproperConstraint(quote(text)));
        }
        let conditions: Vec<Condition> = grammar
            .find
            .find_iter(text)
            .map(|found| Condition::parse(found.as_str(), grammar))
            .collect::<Result<_, _>>()?;
        Ok(Self::new(conditions))
    }

    fn new(conditions: Vec<Condition>) -> Self {
        let has_prerelease = conditions
            .iter()
            .any(|condition| !condition.version.prerelease().is_empty());
        Self {
            conditions,
            has_prerelease,
        }
    }
}

/// The parts of a condition, as the expressions capture them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Parts<'t> {
    symbol: &'t str,
    version: &'t str,
    major: &'t str,
    minor: &'t str,
    patch: &'t str,
    prerelease: &'t str,
}

impl<'t> Parts<'t> {
    fn captured(text: &'t str, grammar: &Grammar) -> Option<Self> {
        let parts = grammar.condition.captures(text)?;
        let part = |index: usize| parts.get(index).map_or("", |part| part.as_str());
        Some(Self {
            symbol: part(1),
            version: part(2),
            major: part(3),
            minor: part(4),
            patch: part(5),
            prerelease: part(6),
        })
    }

    /// Reads the most common form without the expressions, which take long to compile: one condition without
    /// blanks around it and without metadata. Of any other form it says nothing.
    fn plain(text: &'t str) -> Option<Self> {
        const SYMBOLS: [&str; 11] = ["=>", "=<", "=", "!=", ">=", ">", "<=", "<", "~>", "~", "^"];
        let symbol = SYMBOLS.into_iter().find(|symbol| text.starts_with(symbol));
        let (symbol, rest) = text.split_at(symbol.map_or(0, str::len));
        let version = rest.trim_start_matches(' ');
        let numbers = version.strip_prefix('v').unwrap_or(version);
        let (numbers, prerelease) = numbers.split_at(numbers.find('-').unwrap_or(numbers.len()));
        let (major, rest) = numbers.split_at(numbers.find('.').unwrap_or(numbers.len()));
        let (minor, patch) = rest.split_at(rest.match_indices('.').nth(1).map_or(rest.len(), |(dot, _)| dot));
        let is_number = |part: &str| {
            matches!(part, "x" | "X" | "*")
                || !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit())
        };
        let is_later = |part: &str| part.is_empty() || part.strip_prefix('.').is_some_and(is_number);
        let is_identifier = |part: &str| {
            !part.is_empty()
                && part
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        };
        let is_prerelease = prerelease.is_empty()
            || prerelease
                .strip_prefix('-')
                .is_some_and(|identifiers| identifiers.split('.').all(is_identifier));
        (is_number(major) && is_later(minor) && is_later(patch) && is_prerelease).then_some(Self {
            symbol,
            version,
            major,
            minor,
            patch,
            prerelease,
        })
    }
}

impl Condition {
    fn parse(text: &str, grammar: &Grammar) -> Result<Self, Error> {
        match Parts::captured(text, grammar) {
            Some(parts) => Self::new(&parts),
            None => Err(Error::ImproperConstraint(quote(text))),
        }
    }

    fn new(parts: &Parts<'_>) -> Result<Self, Error> {
        let is_any = |number: &str| matches!(number.trim_start_matches('.'), "" | "x" | "X" | "*");
        let Parts {
            major,
            minor,
            patch,
            prerelease,
            ..
        } = parts;
        let (mut any_minor, mut any_patch) = (false, false);
        let (version, is_partial) = if is_any(major) {
            (format!("0.0.0{prerelease}"), true)
        } else if is_any(minor) {
            any_minor = true;
            (format!("{major}.0.0{prerelease}"), true)
        } else if is_any(patch) {
            any_patch = true;
            (format!("{major}{minor}.0{prerelease}"), true)
        } else {
            (parts.version.to_owned(), false)
        };
        Ok(Self {
            operator: Operator::parse(parts.symbol),
            symbol: parts.symbol.to_owned(),
            version: Version::parse(&version).map_err(|_| Error::ConstraintParser)?,
            original: parts.version.to_owned(),
            is_partial,
            any_minor,
            any_patch,
        })
    }

    fn check(&self, version: &Version, allow_prerelease: bool) -> Result<(), Mismatch> {
        if !version.prerelease().is_empty() && !allow_prerelease {
            let problem = "is a prerelease version and the constraint is only looking for release versions";
            return Err(Mismatch(format!("{} {problem}", quote(&version.to_string()))));
        }
        match self.operator {
            Operator::Equal if self.is_partial => self.tilde(version),
            Operator::Equal => self.require(*version == self.version, version, "is not equal to"),
            Operator::NotEqual => self.require(self.differs(version), version, "is equal to"),
            Operator::Greater => self.require(self.is_exceeded(version), version, "is less than or equal to"),
            Operator::Less => self.require(*version < self.version, version, "is greater than or equal to"),
            Operator::GreaterEqual => self.require(*version >= self.version, version, "is less than"),
            Operator::LessEqual => self.require(self.bounds(version), version, "is greater than"),
            Operator::Tilde => self.tilde(version),
            Operator::Caret => self.caret(version),
        }
    }

    fn require(&self, holds: bool, version: &Version, problem: &str) -> Result<(), Mismatch> {
        if holds {
            return Ok(());
        }
        Err(Mismatch(format!(
            "{} {problem} {}",
            quote(&version.to_string()),
            quote(&self.original)
        )))
    }

    fn differs(&self, version: &Version) -> bool {
        if self.is_partial {
            if self.version.major() != version.major() {
                return true;
            }
            if self.version.minor() != version.minor() && !self.any_minor {
                return true;
            }
            if self.any_minor {
                return false;
            }
            if self.version.patch() != version.patch() && !self.any_patch {
                return true;
            }
            if self.any_patch {
                return self.prerelease_differs(version);
            }
        }
        *version != self.version
    }

    /// Compares prereleases without regard to one being none.
    fn prerelease_differs(&self, version: &Version) -> bool {
        compare_prerelease(version.prerelease(), self.version.prerelease()).is_ne()
    }

    fn is_exceeded(&self, version: &Version) -> bool {
        if !self.is_partial || version.major() != self.version.major() {
            return if self.is_partial {
                version.major() > self.version.major()
            } else {
                *version > self.version
            };
        }
        if self.any_minor {
            return false;
        }
        if self.any_patch {
            return version.minor() > self.version.minor();
        }
        *version > self.version
    }

    fn bounds(&self, version: &Version) -> bool {
        if !self.is_partial {
            return *version <= self.version;
        }
        let minor_exceeds = version.minor() > self.version.minor() && !self.any_minor;
        version.major() < self.version.major() || version.major() == self.version.major() && !minor_exceeds
    }

    fn tilde(&self, version: &Version) -> Result<(), Mismatch> {
        self.require(*version >= self.version, version, "is less than")?;
        let wanted = &self.version;
        let is_zero = (wanted.major(), wanted.minor(), wanted.patch()) == (0, 0, 0);
        if is_zero && !self.any_minor && !self.any_patch {
            return Ok(());
        }
        self.require(
            version.major() == wanted.major(),
            version,
            "does not have same major version as",
        )?;
        let problem = "does not have same major and minor version as";
        self.require(
            version.minor() == wanted.minor() || self.any_minor,
            version,
            problem,
        )
    }

    fn caret(&self, version: &Version) -> Result<(), Mismatch> {
        self.require(*version >= self.version, version, "is less than")?;
        let wanted = &self.version;
        let same_major = version.major() == wanted.major();
        self.require(same_major, version, "does not have same major version as")?;
        if wanted.major() > 0 || self.any_minor {
            return Ok(());
        }
        let problem = "does not have same minor version as";
        if wanted.minor() > 0 || self.any_patch {
            return self
                .require(version.minor() == wanted.minor(), version, problem)
                .map_err(|Mismatch(text)| {
                    let hint = "Expected minor versions to match when constraint major version is 0";
                    Mismatch(format!("{text}. {hint}"))
                });
        }
        self.require(version.minor() == 0, version, problem)?;
        self.require(version.patch() == wanted.patch(), version, "does not equal")
            .map_err(|Mismatch(text)| {
                let hint = "Expect version and constraint to equal when major and minor versions are 0";
                Mismatch(format!("{text}. {hint}"))
            })
    }
}

impl Operator {
    fn parse(symbol: &str) -> Self {
        match symbol {
            "!=" => Self::NotEqual,
            ">" => Self::Greater,
            "<" => Self::Less,
            ">=" | "=>" => Self::GreaterEqual,
            "<=" | "=<" => Self::LessEqual,
            "~" | "~>" => Self::Tilde,
            "^" => Self::Caret,
            _ => Self::Equal,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The expressions' word on a text that is one condition and nothing else.
    fn captured(text: &str) -> Option<Parts<'_>> {
        let grammar = GRAMMAR.as_ref().unwrap();
        let is_one = grammar.group.is_match(text)
            && rewrite_ranges(text, grammar) == text
            && grammar
                .find
                .find(text)
                .is_some_and(|found| found.as_str() == text);
        Parts::captured(text, grammar).filter(|_| is_one)
    }

    #[test]
    fn plain_conditions_are_read_as_by_the_expressions() {
        let versions = [
            "1",
            "v1.2",
            "1.2.3",
            "1.x",
            "*",
            "x.2",
            "1.2.X",
            "01.2",
            "1.2.3-0",
            "1-0.a.b-c",
            "1.2-",
            "1..2",
            "1.2.3.4",
            "1.2.3+meta",
            "1.2.3-a+b",
            "1|2",
            "1xx",
            "",
            "v",
            "1.",
            "1.2.3-a..b",
            "1.2 ",
            "1.2.3-é",
        ];
        let symbols = [
            "", "=", "!=", ">", "<", ">=", "=>", "<=", "=<", "~", "~>", "^", ">>", "==",
        ];
        let mut plain = 0;
        for symbol in symbols {
            for blank in ["", " ", "  "] {
                for version in versions {
                    let text = format!("{symbol}{blank}{version}");
                    if let Some(parts) = Parts::plain(&text) {
                        assert_eq!(Some(parts), captured(&text), "{text:?}");
                        plain += 1;
                    }
                }
            }
        }
        assert!(plain > 200, "{plain}");
    }
}
