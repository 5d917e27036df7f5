//! From trees to data, as Go's libraries decode them.

pub(crate) mod v2;
pub(crate) mod v3;
mod value;

use std::borrow::Cow;

use ferro_gocompat::number::format_json;
use serde_json::Value as Json;

use crate::{Dialect, Error, Node, Result, Tag, Value, to_rfc3339};

/// Refuses a value that aliases nest more deeply than text may be: the decoders walk recursively.
fn check_depth(depth: usize, limit: usize, node: &Node) -> Result<()> {
    // An alias is a step of its own.
    if depth <= limit.saturating_mul(2) {
        return Ok(());
    }
    let line = node.position().line;
    Err(Error::TooDeep { line, limit })
}

/// Tells what a scalar is, its tag considered.
fn scalar_value(node: &Node, dialect: Dialect) -> Result<Value> {
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
fn string_of(node: &Node, text: &str) -> Result<String> {
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

/// Makes JSON of what a plain scalar is, if JSON has it.
pub(crate) fn plain_json(text: &str, value: Value) -> Option<Json> {
    Some(match value {
        Value::Null => Json::Null,
        Value::Bool(value) => Json::Bool(value),
        Value::Int(value) => value.into(),
        Value::Uint(value) => value.into(),
        Value::Float(value) if !value.is_finite() => return None,
        Value::Float(value) => number(value),
        Value::Timestamp => Json::String(to_rfc3339(text).unwrap_or_else(|| text.to_owned())),
        Value::Merge | Value::Str => Json::String(text.to_owned()),
    })
}

/// Makes the number that a reader of Go's JSON text finds: `1e3` was written `1000`.
fn number(value: f64) -> Json {
    let text = format_json(value).unwrap_or_default();
    text.parse::<i64>()
        .map(Json::from)
        .or_else(|_| text.parse::<u64>().map(Json::from))
        .unwrap_or_else(|_| Json::from(value))
}
