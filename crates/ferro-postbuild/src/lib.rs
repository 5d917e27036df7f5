//! Post-build variable substitution: the `${var}` language of Flux Kustomizations.
//!
//! The language looks like the shell's parameter expansion and is not: `${a:=d}`, `${a:-d}`, `${a:?d}` and
//! `${a:+d}` all mean "the value, or `d` when it is empty", substrings count bytes, and `$$` stands for one
//! `$` everywhere outside braces. Manifests in the field rely on each of these, so this crate accepts and
//! rejects what Flux 2.9 (`fluxcd/pkg/envsubst` v1.8.0) accepts and rejects, and prints the same bytes.
//!
//! Deliberate differences: a substring that would cut a character in two is an error (upstream passes invalid
//! UTF-8 on to the YAML parser, which then rejects it), and nesting, output size and pattern matching are
//! bounded.
//!
//! The crate does not know YAML. The caller re-serialises a resource, substitutes, and parses the result.
//!
//! ```
//! use std::collections::BTreeMap;
//!
//! let vars = BTreeMap::from([("cluster".to_owned(), "prod".to_owned())]);
//! let text = ferro_postbuild::substitute("name: ${cluster}-${region:=eu}", &vars, true)?;
//! assert_eq!(text, "name: prod-eu");
//! # Ok::<(), ferro_postbuild::Error>(())
//! ```

use std::collections::BTreeMap;

mod eval;
mod glob;
mod parse;

/// The deepest nesting of expressions inside default values.
pub const MAX_DEPTH: usize = 100;
/// The largest text that one substitution may produce, in bytes.
pub const MAX_OUTPUT: usize = 64 << 20;

/// The pattern that variable names match, as error messages quote it.
pub const NAME_PATTERN: &str = "^[_[:alpha:]][_[:alpha:][:digit:]]*$";

/// Why a text could not be substituted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// An expression has a form that the language does not know.
    #[error("bad substitution")]
    BadSubstitution,
    /// A name is followed by something that is neither an operator nor `}`.
    #[error("missing closing brace")]
    MissingClosingBrace,
    /// `${` is not followed by a name.
    #[error("unable to parse variable name")]
    VariableName,
    /// An operator lacks its argument.
    #[error("unable to parse substitution within function")]
    FunctionArgument,
    /// The operator of a default value is malformed.
    #[error("unable to parse default function")]
    DefaultFunction,
    /// A variable has no value and the expression has no default.
    #[error("variable not set (strict mode): \"{0}\"")]
    NotSet(String),
    /// A substring or trim by bytes would leave half a character.
    #[error("expression on variable \"{0}\" cuts a multi-byte character")]
    SplitCharacter(String),
    /// Expressions are nested too deeply.
    #[error("expressions are nested deeper than {MAX_DEPTH} levels")]
    TooDeep,
    /// The result would be too large.
    #[error("result of the substitution is larger than {MAX_OUTPUT} bytes")]
    TooLarge,
    /// Matching a trim pattern would take too long.
    #[error("trim pattern on variable \"{0}\" takes too many steps to match")]
    TooSlow(String),
    /// A variable's name is not valid.
    #[error("'{0}' var name is invalid, must match '{NAME_PATTERN}'")]
    InvalidName(String),
}

/// Replaces every expression in `text` by what it stands for.
///
/// In strict mode a variable that is not set, in an expression without a default, is an error; otherwise it
/// is empty. The whole text is parsed before anything is evaluated, so a malformed expression is reported
/// even where an unset variable comes first.
///
/// # Errors
/// When an expression is malformed, a variable is missing in strict mode, or a bound is exceeded.
pub fn substitute(text: &str, vars: &BTreeMap<String, String>, strict: bool) -> Result<String, Error> {
    if !text.contains('$') {
        return Ok(text.to_owned());
    }
    let nodes = parse::parse(text)?;
    eval::eval(&nodes, vars, strict, text.len())
}

/// Checks that `name` can name a variable.
///
/// # Errors
/// [`Error::InvalidName`] when it cannot.
pub fn validate_name(name: &str) -> Result<(), Error> {
    let mut bytes = name.bytes();
    let first = bytes.next().is_some_and(|b| b == b'_' || b.is_ascii_alphabetic());
    if first && bytes.all(|b| b == b'_' || b.is_ascii_alphanumeric()) {
        Ok(())
    } else {
        Err(Error::InvalidName(name.to_owned()))
    }
}

/// Checks the names of all variables, in order.
///
/// # Errors
/// [`Error::InvalidName`] for the first invalid one.
pub fn validate_names(vars: &BTreeMap<String, String>) -> Result<(), Error> {
    vars.keys().try_for_each(|name| validate_name(name))
}

/// Returns a variable's value as the language sees it: every newline is deleted, not replaced.
#[must_use]
pub fn clean_value(value: &str) -> String {
    value.replace('\n', "")
}
