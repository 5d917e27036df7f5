//! Between trees and JSON values.

use std::borrow::Cow;
use std::collections::BTreeSet;

use ferro_gocompat::number::format_json;
use serde_json::{Map, Value as Json};

use crate::parse::parse_first;
use crate::{
    Dialect, EmitOptions, Entry, Error, Kind, Mapping, Node, ParseOptions, Result, ScalarStyle, Tag, Value,
    to_rfc3339, to_string,
};

impl Node {
    /// Returns the tree as JSON data, as kyaml does: by writing it and reading that back, with strings for
    /// timestamps. Fails for duplicate keys, keys that are not strings, and numbers that JSON lacks.
    pub fn to_json(&self) -> Result<Json> {
        match fast(self, false) {
            Some(value) => Ok(value),
            None => self.through_text(),
        }
    }

    /// Takes the way that kyaml takes, for its errors name lines of the written text.
    fn through_text(&self) -> Result<Json> {
        let text = to_string(self, &EmitOptions::kyaml())?;
        let document = parse_first(text.as_bytes(), &ParseOptions::default())?;
        let Some(mut document) = document else {
            return Ok(Json::Null);
        };
        let mut problems = Vec::new();
        duplicate_keys(&document.root, &mut problems);
        if !problems.is_empty() {
            return Err(Error::DuplicateKeys(problems));
        }
        document.expand(&ParseOptions::default().limits)?;
        if !document.root.is_mapping() {
            return exact(&document.root);
        }
        // At the top Go asks for string keys, and so gets the text of any scalar; it drops nulls.
        let mut object = Map::new();
        for entry in document
            .root
            .entries()
            .iter()
            .filter(|entry| !entry.key.is_null())
        {
            let Some(key) = entry.key.text() else {
                return Err(unsupported_keys());
            };
            object.insert(string_of(&entry.key, key)?, exact(&entry.value)?);
        }
        Ok(Json::Object(object))
    }

    /// Makes a tree of JSON data; object keys come in byte order.
    pub fn from_json(value: &Json) -> Self {
        match value {
            Json::Null => Self::null(),
            Json::Bool(value) => Self::bool(*value),
            Json::Number(number) => {
                let text = ferro_gocompat::json::number_to_string(number);
                let tag = Dialect::V3.resolve(&text).tag();
                Self::scalar(text, tag)
            }
            Json::String(text) => Self::string(text),
            Json::Array(items) => Self::sequence(items.iter().map(Self::from_json).collect::<Vec<_>>()),
            Json::Object(object) => {
                let mut entries: Vec<_> = object.iter().collect();
                entries.sort_unstable_by_key(|(key, _)| *key);
                let entry = |(key, value): (&String, &Json)| Entry::from((key, Self::from_json(value)));
                Self::mapping(entries.into_iter().map(entry).collect::<Mapping>())
            }
        }
    }
}

/// Converts what needs no second thought; `None` sends the caller the long way.
fn fast(node: &Node, in_flow: bool) -> Option<Json> {
    match node.kind() {
        Kind::Alias => None,
        Kind::Scalar => fast_scalar(node, in_flow),
        Kind::Sequence => {
            let in_flow = in_flow || node.is_flow();
            node.items().iter().map(|item| fast(item, in_flow)).collect()
        }
        Kind::Mapping => {
            let in_flow = in_flow || node.is_flow();
            let mut object = Map::new();
            for entry in node.entries() {
                let key = entry.key.as_str().filter(|_| !entry.key.has_explicit_tag())?;
                if object
                    .insert(key.to_owned(), fast(&entry.value, in_flow)?)
                    .is_some()
                {
                    return None;
                }
            }
            Some(Json::Object(object))
        }
    }
}

fn fast_scalar(node: &Node, in_flow: bool) -> Option<Json> {
    let text = node.text()?;
    if node.has_explicit_tag() {
        return None;
    }
    if node.tag() == Tag::Str {
        // Characters that go-yaml does not write faithfully, or not at all.
        let is_faithful =
            |c: char| matches!(c, '\n' | ' '..='~' | '\u{A0}'..='\u{2027}' | '\u{202A}'..='\u{D7FF}');
        let block = matches!(node.style(), ScalarStyle::Literal | ScalarStyle::Folded);
        return (!block && text.chars().all(is_faithful)).then(|| Json::String(text.to_owned()));
    }
    if node.style() != ScalarStyle::Plain || (in_flow && text.is_empty()) {
        return None;
    }
    let value = Dialect::V3.resolve(text);
    if value.tag() != node.tag() || value == Value::Merge {
        return None;
    }
    plain_json(text, value).ok()
}

/// Converts a tree that was just read and expanded.
fn exact(node: &Node) -> Result<Json> {
    match node.kind() {
        Kind::Alias => Ok(Json::Null),
        Kind::Scalar => json_scalar(node, Dialect::V3),
        Kind::Sequence => node.items().iter().map(exact).collect(),
        Kind::Mapping => {
            let mut object = Map::new();
            for entry in node.entries() {
                if !entry.key.is_scalar() || entry.key.tag() != Tag::Str {
                    return Err(unsupported_keys());
                }
                let key = entry.key.text().unwrap_or_default();
                object.insert(key.to_owned(), exact(&entry.value)?);
            }
            Ok(Json::Object(object))
        }
    }
}

fn unsupported_keys() -> Error {
    Error::UnsupportedKey("json: unsupported type: map[interface {}]interface {}".to_owned())
}

/// How many equal keys are listed; Go lists all pairs of them.
const MAX_PROBLEMS: usize = 1000;

/// Lists equal keys the way go-yaml v3 does: by text, and not below a mapping that has some.
fn duplicate_keys(node: &Node, problems: &mut Vec<String>) {
    let before = problems.len();
    let entries = node.entries();
    if has_equal_keys(entries) {
        list_equal_keys(entries, problems);
    }
    if problems.len() == before {
        node.items()
            .iter()
            .for_each(|item| duplicate_keys(item, problems));
        entries
            .iter()
            .for_each(|entry| duplicate_keys(&entry.value, problems));
    }
}

/// What go-yaml compares of keys: the text, which for an alias is the anchor's name, and the kind.
fn key_identity(key: &Node) -> (u8, &str) {
    let text = key.text().or_else(|| key.alias_name());
    (key.kind() as u8, text.unwrap_or_default())
}

fn has_equal_keys(entries: &[Entry]) -> bool {
    let mut seen = BTreeSet::new();
    !entries.iter().all(|entry| seen.insert(key_identity(&entry.key)))
}

fn list_equal_keys(entries: &[Entry], problems: &mut Vec<String>) {
    for (index, first) in entries.iter().enumerate() {
        let identity = key_identity(&first.key);
        for second in entries.iter().skip(index + 1) {
            if key_identity(&second.key) != identity {
                continue;
            }
            if problems.len() >= MAX_PROBLEMS {
                return;
            }
            let (line, defined) = (second.key.position().line, first.key.position().line);
            let key = ferro_gocompat::quote::quote(identity.1);
            problems.push(format!(
                "line {line}: mapping key {key} already defined at line {defined}"
            ));
        }
    }
}

/// Decodes a scalar that was read with `dialect`.
pub(crate) fn json_scalar(node: &Node, dialect: Dialect) -> Result<Json> {
    let text = node.text().unwrap_or_default();
    match scalar_value(node, dialect)? {
        Value::Timestamp if dialect == Dialect::V3 => {
            Ok(Json::String(to_rfc3339(text).unwrap_or_else(|| text.to_owned())))
        }
        Value::Str | Value::Timestamp | Value::Merge => string_of(node, text).map(Json::String),
        value => plain_json(text, value),
    }
}

/// Tells what a scalar is, its tag considered.
pub(crate) fn scalar_value(node: &Node, dialect: Dialect) -> Result<Value> {
    let text = node.text().unwrap_or_default();
    if !node.has_explicit_tag() {
        return Ok(match node.tag() {
            Tag::Str => Value::Str,
            _ => dialect.resolve(text),
        });
    }
    let wanted = node.tag();
    let value = match wanted {
        Tag::Null | Tag::Bool | Tag::Int | Tag::Float => match dialect.resolve(text) {
            Value::Timestamp => Value::Str,
            value => value,
        },
        Tag::Timestamp => dialect.resolve(text),
        _ => return Ok(Value::Str),
    };
    match (wanted, value) {
        (Tag::Float, Value::Int(integer)) => Ok(Value::Float(integer as f64)),
        (wanted, value) if value.tag() == wanted => Ok(value),
        _ => Err(Error::TagMismatch {
            found: value.tag().name().to_owned(),
            text: text.to_owned(),
            wanted: wanted.name().to_owned(),
        }),
    }
}

/// Returns the text of a string, or what `!!binary` encodes.
pub(crate) fn string_of(node: &Node, text: &str) -> Result<String> {
    if node.tag() != Tag::Binary {
        return Ok(text.to_owned());
    }
    let bytes = decode_base64(text).ok_or(Error::InvalidBase64)?;
    Ok(match String::from_utf8_lossy(&bytes) {
        Cow::Borrowed(text) => text.to_owned(),
        Cow::Owned(text) => text,
    })
}

/// Decodes base64 with padding, skipping line breaks.
fn decode_base64(text: &str) -> Option<Vec<u8>> {
    let digits: Vec<u8> = text
        .bytes()
        .filter(|byte| !matches!(byte, b'\r' | b'\n'))
        .collect();
    let (groups, rest) = digits.as_chunks::<4>();
    if !rest.is_empty() {
        return None;
    }
    let mut bytes = Vec::with_capacity(groups.len() * 3);
    for (index, group) in groups.iter().enumerate() {
        let padding = group.iter().rev().take_while(|byte| **byte == b'=').count();
        if padding > 2 || (padding > 0 && index + 1 != groups.len()) {
            return None;
        }
        let mut bits = 0_u32;
        for digit in group.iter().take(4 - padding) {
            bits = (bits << 6) | base64_digit(*digit)?;
        }
        bits <<= 6 * padding;
        let [_, decoded @ ..] = bits.to_be_bytes();
        bytes.extend(decoded.iter().take(3 - padding));
    }
    Some(bytes)
}

fn base64_digit(digit: u8) -> Option<u32> {
    let value = match digit {
        b'A'..=b'Z' => digit - b'A',
        b'a'..=b'z' => digit - b'a' + 26,
        b'0'..=b'9' => digit - b'0' + 52,
        b'+' => 62,
        b'/' => 63,
        _ => return None,
    };
    Some(u32::from(value))
}

pub(crate) fn plain_json(text: &str, value: Value) -> Result<Json> {
    Ok(match value {
        Value::Null => Json::Null,
        Value::Bool(value) => Json::Bool(value),
        Value::Int(value) => value.into(),
        Value::Uint(value) => value.into(),
        Value::Float(value) if value.is_nan() => return Err(Error::UnsupportedValue("NaN")),
        Value::Float(value) if value.is_infinite() => {
            return Err(Error::UnsupportedValue(if value > 0.0 { "+Inf" } else { "-Inf" }));
        }
        Value::Float(value) => number(value),
        Value::Timestamp => Json::String(to_rfc3339(text).unwrap_or_else(|| text.to_owned())),
        Value::Merge | Value::Str => Json::String(text.to_owned()),
    })
}

/// Makes the number that a reader of Go's JSON text finds: `1e3` was written `1000`.
pub(crate) fn number(value: f64) -> Json {
    let text = format_json(value).unwrap_or_default();
    text.parse::<i64>()
        .map(Json::from)
        .or_else(|_| text.parse::<u64>().map(Json::from))
        .unwrap_or_else(|_| Json::from(value))
}
