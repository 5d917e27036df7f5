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
        let has_prerelease = conditions
            .iter()
            .any(|condition| !condition.version.prerelease().is_empty());
        Ok(Self {
            conditions,
            has_prerelease,
        })
    }
}

impl Condition {
    fn parse(text: &str, grammar: &Grammar) -> Result<Self, Error> {
        let Some(parts) = grammar.condition.captures(text) else {
            return Err(Error::ImproperConstraint(quote(text)));
        };
        let part = |index: usize| parts.get(index).map_or("", |part| part.as_str());
        let is_any = |number: &str| matches!(number.trim_start_matches('.'), "" | "x" | "X" | "*");
        let (major, minor, patch, prerelease) = (part(3), part(4), part(5), part(6));
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
            (part(2).to_owned(), false)
        };
        Ok(Self {
            operator: Operator::parse(part(1)),
            symbol: part(1).to_owned(),
            version: Version::parse(&version).map_err(|_| Error::ConstraintParser)?,
            original: part(2).to_owned(),
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
