//! Versions and constraints as Masterminds/semver v3.5 understands them.
//!
//! Versions are read leniently (`v1.2`, `01.2.3`) or strictly; they compare by precedence, so metadata does
//! not count. Messages are those of the Go library.

mod constraint;

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};

pub use constraint::{Constraints, Mismatch};

use crate::quote::quote;

/// The longest version that is read.
pub const MAX_VERSION_LEN: usize = 256;

/// Why a version or a constraint could not be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Not a version.
    #[error("invalid semantic version")]
    InvalidSemVer,
    /// Nothing to read.
    #[error("version string empty")]
    EmptyString,
    /// A number has other characters than digits.
    #[error("invalid characters in version")]
    InvalidCharacters,
    /// A number starts with a zero.
    #[error("version segment starts with 0")]
    SegmentStartsZero,
    /// The part after `+` is malformed.
    #[error("invalid metadata string")]
    InvalidMetadata,
    /// The part after `-` is malformed.
    #[error("invalid prerelease string")]
    InvalidPrerelease,
    /// The version is too long.
    #[error("version string is too long (max {MAX_VERSION_LEN} bytes)")]
    VersionTooLong,
    /// A number is missing or too large.
    #[error("{context}strconv.ParseUint: parsing {text}: {problem}")]
    Number {
        /// What Go puts before its own error.
        context: &'static str,
        /// The number, quoted.
        text: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// Not a constraint.
    #[error("improper constraint: {0}")]
    ImproperConstraint(String),
    /// A constraint has a malformed version.
    #[error("constraint parser error")]
    ConstraintParser,
    /// The constraint is too long.
    #[error(
        "constraint string is too long (max {} bytes)",
        constraint::MAX_CONSTRAINT_LEN
    )]
    ConstraintTooLong,
    /// The constraint has too many alternatives.
    #[error("too many constraint groups (max {})", constraint::MAX_GROUPS)]
    TooManyGroups,
}

/// A semantic version.
///
/// ```
/// use ferro_gocompat::semver::Version;
///
/// let version = Version::parse("v1.2-rc.1+build")?;
/// assert_eq!(version.to_string(), "1.2.0-rc.1+build");
/// assert!(version < Version::parse("1.2.0")?);
/// assert!(Version::parse_strict("1.2").is_err());
/// # Ok::<(), ferro_gocompat::semver::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Version {
    major: u64,
    minor: u64,
    patch: u64,
    prerelease: String,
    metadata: String,
    original: String,
}

impl Version {
    /// Reads a version leniently: an optional `v`, one to three numbers, leading zeros.
    pub fn parse(text: &str) -> Result<Self, Error> {
        if text.len() > MAX_VERSION_LEN {
            return Err(Error::VersionTooLong);
        }
        let (core, prerelease, metadata) = split_loose(text).ok_or(Error::InvalidSemVer)?;
        let mut numbers = [0; 3];
        for (slot, digits) in numbers.iter_mut().zip(core.split('.')) {
            *slot = number(digits, "error parsing version segment: ")?;
        }
        let [major, minor, patch] = numbers;
        if !prerelease.is_empty() {
            validate_prerelease(prerelease)?;
        }
        Ok(Self {
            major,
            minor,
            patch,
            prerelease: prerelease.to_owned(),
            metadata: metadata.to_owned(),
            original: text.to_owned(),
        })
    }

    /// Reads a version that keeps to the letter of semver 2.0.
    pub fn parse_strict(text: &str) -> Result<Self, Error> {
        if text.is_empty() {
            return Err(Error::EmptyString);
        }
        if text.len() > MAX_VERSION_LEN {
            return Err(Error::VersionTooLong);
        }
        let mut parts = text.splitn(3, '.');
        let (Some(major), Some(minor), Some(tail)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(Error::InvalidSemVer);
        };
        let (tail, metadata) = match tail.split_once('+') {
            Some((tail, metadata)) => {
                validate_metadata(metadata)?;
                (tail, metadata)
            }
            None => (tail, ""),
        };
        let (patch, prerelease) = match tail.split_once('-') {
            Some((patch, prerelease)) => {
                validate_prerelease(prerelease)?;
                (patch, prerelease)
            }
            None => (tail, ""),
        };
        for part in [major, minor, patch] {
            if !part.bytes().all(|byte| byte.is_ascii_digit()) {
                return Err(Error::InvalidCharacters);
            }
            if part.len() > 1 && part.starts_with('0') {
                return Err(Error::SegmentStartsZero);
            }
        }
        Ok(Self {
            major: number(major, "")?,
            minor: number(minor, "")?,
            patch: number(patch, "")?,
            prerelease: prerelease.to_owned(),
            metadata: metadata.to_owned(),
            original: text.to_owned(),
        })
    }

    /// Returns the first number.
    pub fn major(&self) -> u64 {
        self.major
    }

    /// Returns the second number.
    pub fn minor(&self) -> u64 {
        self.minor
    }

    /// Returns the third number.
    pub fn patch(&self) -> u64 {
        self.patch
    }

    /// Returns what follows `-`.
    pub fn prerelease(&self) -> &str {
        &self.prerelease
    }

    /// Returns what follows `+`.
    pub fn metadata(&self) -> &str {
        &self.metadata
    }

    /// Returns the text that was read; printing the version gives its normal form.
    pub fn original(&self) -> &str {
        &self.original
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)?;
        if !self.prerelease.is_empty() {
            write!(f, "-{}", self.prerelease)?;
        }
        if !self.metadata.is_empty() {
            write!(f, "+{}", self.metadata)?;
        }
        Ok(())
    }
}

impl Ord for Version {
    fn cmp(&self, other: &Self) -> Ordering {
        let numbers = |version: &Self| (version.major, version.minor, version.patch);
        numbers(self)
            .cmp(&numbers(other))
            .then_with(|| compare_prerelease(&self.prerelease, &other.prerelease))
    }
}

impl PartialOrd for Version {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Version {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Version {}

impl Hash for Version {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (self.major, self.minor, self.patch, &self.prerelease).hash(state);
    }
}

/// No prerelease is the highest.
fn compare_prerelease(left: &str, right: &str) -> Ordering {
    match (left.is_empty(), right.is_empty()) {
        (true, true) => Ordering::Equal,
        (true, false) => Ordering::Greater,
        (false, true) => Ordering::Less,
        (false, false) => compare_identifiers(left, right),
    }
}

fn compare_identifiers(left: &str, right: &str) -> Ordering {
    let (mut left, mut right) = (left.split('.'), right.split('.'));
    loop {
        let (a, b) = match (left.next(), right.next()) {
            (None, None) => return Ordering::Equal,
            (None, Some(_)) => return Ordering::Less,
            (Some(_), None) => return Ordering::Greater,
            (Some(a), Some(b)) => (a, b),
        };
        let order = match (a.parse::<u64>(), b.parse::<u64>()) {
            _ if a == b => Ordering::Equal,
            (Ok(a), Ok(b)) => a.cmp(&b),
            (Ok(_), Err(_)) => Ordering::Less,
            (Err(_), Ok(_)) => Ordering::Greater,
            (Err(_), Err(_)) => a.cmp(b),
        };
        if order != Ordering::Equal {
            return order;
        }
    }
}

/// Splits `v?N(.N)?(.N)?(-pre)?(+meta)?` into its core (without `v`), prerelease and metadata.
fn split_loose(text: &str) -> Option<(&str, &str, &str)> {
    let text = text.strip_prefix('v').unwrap_or(text);
    let end = text
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(text.len());
    let (core, tail) = text.split_at(end);
    let is_core = core.split('.').count() <= 3 && core.split('.').all(|number| !number.is_empty());
    let (pre, metadata) = match tail.split_once('+') {
        Some((pre, metadata)) => (pre, Some(metadata)),
        None => (tail, None),
    };
    let prerelease = match pre.strip_prefix('-') {
        Some(prerelease) => Some(prerelease),
        None if pre.is_empty() => None,
        None => return None,
    };
    let well_formed = |part: Option<&str>| part.is_none_or(|part| part.split('.').all(is_identifier));
    (is_core && well_formed(prerelease) && well_formed(metadata)).then_some((
        core,
        prerelease.unwrap_or(""),
        metadata.unwrap_or(""),
    ))
}

fn is_identifier(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

fn number(digits: &str, context: &'static str) -> Result<u64, Error> {
    digits.parse().map_err(|_| Error::Number {
        context,
        text: quote(digits),
        problem: if digits.is_empty() {
            "invalid syntax"
        } else {
            "value out of range"
        },
    })
}

fn validate_prerelease(prerelease: &str) -> Result<(), Error> {
    for part in prerelease.split('.') {
        if !is_identifier(part) {
            return Err(Error::InvalidPrerelease);
        }
        if part.len() > 1 && part.starts_with('0') && part.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(Error::SegmentStartsZero);
        }
    }
    Ok(())
}

fn validate_metadata(metadata: &str) -> Result<(), Error> {
    if metadata.split('.').all(is_identifier) {
        Ok(())
    } else {
        Err(Error::InvalidMetadata)
    }
}
