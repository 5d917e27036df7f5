//! The operators, and the evaluation of a parsed text.

use std::collections::BTreeMap;

use ferro_gocompat::unicode;

use crate::glob::{self, Failure, Fuel};
use crate::parse::{Expr, Node};
use crate::{Error, MAX_OUTPUT};

/// Evaluates a parsed text. `hint` is the expected size of the result.
pub(crate) fn eval(
    nodes: &[Node<'_>],
    vars: &BTreeMap<String, String>,
    strict: bool,
    hint: usize,
) -> Result<String, Error> {
    let mut out = String::with_capacity(hint.min(MAX_OUTPUT));
    let scope = Scope { vars, strict };
    for node in nodes {
        scope.node(node, &mut out)?;
    }
    Ok(out)
}

struct Scope<'a> {
    vars: &'a BTreeMap<String, String>,
    strict: bool,
}

impl Scope<'_> {
    fn node(&self, node: &Node<'_>, out: &mut String) -> Result<(), Error> {
        match node {
            Node::Text(text) => push(out, text),
            Node::Expr(expr) => push(out, &self.expr(expr)?),
        }
    }

    fn expr(&self, expr: &Expr<'_>) -> Result<String, Error> {
        // Arguments come first, used or not: a variable that is missing in a default that is not needed is
        // reported as well.
        let mut args = Vec::with_capacity(expr.args.len());
        for arg in &expr.args {
            let mut text = String::new();
            self.node(arg, &mut text)?;
            args.push(text);
        }
        let value = self.vars.get(expr.param);
        if value.is_none() && self.strict && !has_default(expr.op) {
            return Err(Error::NotSet(expr.param.to_owned()));
        }
        apply(expr, value.map_or("", String::as_str), &args)
    }
}

fn push(out: &mut String, text: &str) -> Result<(), Error> {
    if out.len() + text.len() > MAX_OUTPUT {
        return Err(Error::TooLarge);
    }
    out.push_str(text);
    Ok(())
}

fn has_default(op: &str) -> bool {
    matches!(op, "=" | ":=" | ":-" | ":?" | ":+")
}

fn apply(expr: &Expr<'_>, value: &str, args: &[String]) -> Result<String, Error> {
    let first = args.first().map_or("", String::as_str);
    match (expr.op, args) {
        (",", _) => Ok(map_first(value, lower)),
        (",,", _) => Ok(value.chars().map(lower).collect()),
        ("^", _) => Ok(map_first(value, upper)),
        ("^^", _) => Ok(value.chars().map(upper).collect()),
        ("#", []) => Ok(value.len().to_string()),
        ("#", _) => trim(expr, value, first, Side::Prefix, Extent::Shortest),
        ("##", _) => trim(expr, value, first, Side::Prefix, Extent::Longest),
        ("%", _) => trim(expr, value, first, Side::Suffix, Extent::Shortest),
        ("%%", _) => trim(expr, value, first, Side::Suffix, Extent::Longest),
        (":", _) => substring(expr, value, first, args.get(1).map(String::as_str)),
        ("/", _) => replace(value, first, args.get(1).map_or("", String::as_str), 1),
        ("//", _) => replace(value, first, args.get(1).map_or("", String::as_str), usize::MAX),
        // Without a replacement these two change nothing, unlike the two above.
        ("/#", [old, new]) if value.starts_with(old.as_str()) => replace(value, old, new, 1),
        ("/%", [old, new]) => Ok(match value.strip_suffix(old.as_str()) {
            Some(stem) => format!("{stem}{new}"),
            None => value.to_owned(),
        }),
        ("/#", _) | ("/%", _) => Ok(value.to_owned()),
        // A default, and also mixed cases such as `^,`, which have no arguments.
        _ if value.is_empty() => Ok(args.concat()),
        _ => Ok(value.to_owned()),
    }
}

/// Go's simple case mapping: one character to one character.
fn upper(c: char) -> char {
    simple(c, c.to_uppercase())
}

fn lower(c: char) -> char {
    // The one character whose lower case is a sequence in Unicode's full mapping.
    if c == 'İ' {
        'i'
    } else {
        simple(c, c.to_lowercase())
    }
}

fn simple(c: char, mut mapped: impl Iterator<Item = char>) -> char {
    let mapped = match (mapped.next(), mapped.next()) {
        (Some(one), None) => one,
        _ => simple_greek(c),
    };
    // Rust knows a newer Unicode than Go, with more pairs.
    let is_known = mapped.is_ascii() || (unicode::is_print(mapped) && unicode::is_print(c));
    if is_known { mapped } else { c }
}

/// Greek letters with a subscript iota map to a letter with a prosgegrammeni, the others without a
/// one-character mapping to themselves.
fn simple_greek(c: char) -> char {
    let code = u32::from(c);
    let mapped = match code {
        0x1f80..=0x1f87 | 0x1f90..=0x1f97 | 0x1fa0..=0x1fa7 => code + 8,
        0x1fb3 | 0x1fc3 | 0x1ff3 => code + 9,
        _ => code,
    };
    char::from_u32(mapped).unwrap_or(c)
}

fn map_first(value: &str, map: impl Fn(char) -> char) -> String {
    let mut chars = value.chars();
    chars
        .next()
        .map_or_else(String::new, |c| format!("{}{}", map(c), chars.as_str()))
}

/// Bytes from an offset to a length. Below zero, the offset counts from the end, and the length names an
/// end that does (since v1.8.0; it panicked before).
fn substring(expr: &Expr<'_>, value: &str, offset: &str, length: Option<&str>) -> Result<String, Error> {
    let Ok(offset) = offset.parse::<i64>() else {
        return Ok(value.to_owned());
    };
    let len = i64::try_from(value.len()).unwrap_or(i64::MAX);
    let start = if offset < 0 {
        len.saturating_add(offset).max(0)
    } else {
        offset.min(len)
    };
    let end = match length.map(str::parse::<i64>) {
        None => len,
        Some(Err(_)) => return Ok(value.to_owned()),
        Some(Ok(length)) if length < 0 => len.saturating_add(length).max(start),
        Some(Ok(length)) => start.saturating_add(length).min(len),
    };
    let range = usize::try_from(start).unwrap_or(0)..usize::try_from(end).unwrap_or(0);
    value
        .get(range)
        .map(str::to_owned)
        .ok_or_else(|| Error::SplitCharacter(expr.param.to_owned()))
}

fn replace(value: &str, old: &str, new: &str, max: usize) -> Result<String, Error> {
    let grown = value.matches(old).take(max).count().saturating_mul(new.len());
    if grown > MAX_OUTPUT {
        return Err(Error::TooLarge);
    }
    Ok(value.replacen(old, new, max))
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Prefix,
    Suffix,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Extent {
    Shortest,
    Longest,
}

fn trim(expr: &Expr<'_>, value: &str, pattern: &str, side: Side, extent: Extent) -> Result<String, Error> {
    if side == Side::Suffix {
        // As upstream: value and pattern are both turned around, which makes most classes malformed.
        let (value, pattern): (String, String) =
            (value.chars().rev().collect(), pattern.chars().rev().collect());
        let rest = trim(expr, &value, &pattern, Side::Prefix, extent)?;
        return Ok(rest.chars().rev().collect());
    }
    match prefix_length(value.as_bytes(), pattern.as_bytes(), extent) {
        Ok(len) => value
            .get(len..)
            .map(str::to_owned)
            .ok_or_else(|| Error::SplitCharacter(expr.param.to_owned())),
        Err(Failure::BadPattern) => Ok(value.to_owned()),
        Err(Failure::OutOfFuel) => Err(Error::TooSlow(expr.param.to_owned())),
    }
}

/// Returns the length of the prefix to remove, zero for none. An empty prefix never counts as a match.
fn prefix_length(value: &[u8], pattern: &[u8], extent: Extent) -> Result<usize, Failure> {
    let mut fuel = Fuel::new();
    let mut shortest = 0;
    for len in (1..=value.len()).rev() {
        if glob::matches(pattern, value.get(..len).unwrap_or_default(), &mut fuel)? {
            if extent == Extent::Longest {
                return Ok(len);
            }
            shortest = len;
        }
    }
    Ok(shortest)
}
