//! Plain data with sorted keys: how `sigs.k8s.io/yaml` (go-yaml v2) and Helm's `toYamlPretty` (v3) write.

use std::cmp::Ordering;

use ferro_gocompat::number::{format_g, format_json};
use serde_json::{Map, Number, Value as Json};

use super::machine::{Machine, Open, Properties, Scalar};
use super::order::compare_keys;
use super::{EmitOptions, Flavor, Settings};
use crate::{Dialect, Error, Node, Result, ScalarStyle, Value};

/// Writes a tree as the data that it holds.
pub(super) fn write_node(node: &Node, options: &EmitOptions) -> Result<String> {
    write_json(&node.to_json()?, options)
}

/// Writes a JSON value.
pub(crate) fn write_json(value: &Json, options: &EmitOptions) -> Result<String> {
    // Go's way from data to YAML is through JSON text that go-yaml v2 reads, which is no subset of YAML.
    let reread;
    let value = if options.settings.flavor == Flavor::V2 && !survives_json(value) {
        reread = crate::sigs::from_slice(ferro_gocompat::json::to_string(value))?;
        &reread
    } else {
        value
    };
    write_ordered(value, options, compare_keys)
}

/// Writes JSON data as it is, with keys in the order of their bytes.
pub(crate) fn write_json_by_bytes(value: &Json, options: &EmitOptions) -> Result<String> {
    write_ordered(value, options, |_, _, _| Ordering::Equal)
}

/// Tells which of two keys comes first; equal ones are put in the order of their bytes.
type Compare = fn(&str, &str, Flavor) -> Ordering;

fn write_ordered(value: &Json, options: &EmitOptions, compare: Compare) -> Result<String> {
    let mut writer = Writer {
        machine: Machine::new(options.settings),
        settings: options.settings,
        compare,
    };
    writer.value(value)?;
    writer.machine.end_document("");
    Ok(writer.machine.out)
}

struct Writer {
    machine: Machine<'static>,
    settings: Settings,
    compare: Compare,
}

impl Writer {
    fn value(&mut self, value: &Json) -> Result<()> {
        match value {
            Json::Null => self.plain("null"),
            Json::Bool(value) => self.plain(if *value { "true" } else { "false" }),
            Json::Number(number) => {
                let text = self.number(number)?;
                self.plain(&text)
            }
            Json::String(text) => self.string(text),
            Json::Array(items) => {
                self.open(false, items.is_empty())?;
                for item in items {
                    self.value(item)?;
                }
                self.machine.close();
                Ok(())
            }
            Json::Object(object) => self.object(object),
        }
    }

    fn object(&mut self, object: &Map<String, Json>) -> Result<()> {
        let mut entries: Vec<_> = object.iter().collect();
        let flavor = self.settings.flavor;
        entries
            .sort_by(|left, right| (self.compare)(left.0, right.0, flavor).then_with(|| left.0.cmp(right.0)));
        self.open(true, entries.is_empty())?;
        for (key, value) in entries {
            self.string(key)?;
            self.value(value)?;
        }
        self.machine.close();
        Ok(())
    }

    fn open(&mut self, is_mapping: bool, is_empty: bool) -> Result<()> {
        let properties = Properties::default();
        self.machine.open(&Open {
            is_mapping,
            is_flow: false,
            is_empty,
            properties,
        })
    }

    fn plain(&mut self, text: &str) -> Result<()> {
        self.machine.scalar(&Scalar {
            text,
            ..Scalar::default()
        })
    }

    fn string(&mut self, text: &str) -> Result<()> {
        let style = if text.contains('\n') {
            ScalarStyle::Literal
        } else if self.reads_as_string(text) {
            ScalarStyle::Plain
        } else {
            ScalarStyle::DoubleQuoted
        };
        self.machine.scalar(&Scalar {
            text,
            style,
            ..Scalar::default()
        })
    }

    fn reads_as_string(&self, text: &str) -> bool {
        // Both libraries quote what YAML 1.1 takes for booleans.
        Dialect::V2.resolve(text) == Value::Str
            && (self.settings.flavor == Flavor::V2 || Dialect::V3.resolve(text) == Value::Str)
            && !is_base60(text)
    }

    /// v2 sees the number in its JSON form, and reads that again; v3 gets the value itself.
    fn number(&self, number: &Number) -> Result<String> {
        let Some(float) = number.as_f64().filter(|_| number.is_f64()) else {
            return Ok(number.to_string());
        };
        if self.settings.flavor == Flavor::V3 {
            return Ok(format_g(float));
        }
        let text = format_json(float).ok_or(Error::UnsupportedValue("NaN"))?;
        Ok(match Dialect::V2.resolve(&text) {
            Value::Int(integer) => integer.to_string(),
            Value::Uint(integer) => integer.to_string(),
            Value::Float(float) => format_g(float),
            _ => text,
        })
    }
}

/// A number in base 60, which no reader here understands but which is quoted for those that do.
fn is_base60(text: &str) -> bool {
    let mut parts = text.strip_prefix(['-', '+']).unwrap_or(text).split(':');
    let is_number = |part: &str| {
        part.starts_with(|c: char| c.is_ascii_digit())
            && part.bytes().all(|b| b.is_ascii_digit() || b == b'_')
    };
    if !parts.next().is_some_and(is_number) {
        return false;
    }
    let mut rest = parts.peekable();
    if rest.peek().is_none() {
        return false;
    }
    while let Some(part) = rest.next() {
        let digits = match part.split_once('.') {
            Some((digits, fraction)) if rest.peek().is_none() => {
                if !fraction.bytes().all(|b| b.is_ascii_digit() || b == b'_') {
                    return false;
                }
                digits
            }
            _ => part,
        };
        let fits = matches!(digits.as_bytes(), [b'0'..=b'9'] | [b'0'..=b'5', b'0'..=b'9']);
        if !fits {
            return false;
        }
    }
    true
}

/// The longest key of which the JSON text surely is short enough for a key in YAML.
const SAFE_KEY: usize = 160;

/// Whether all strings come out of JSON text as they went in.
fn survives_json(value: &Json) -> bool {
    match value {
        Json::Null | Json::Bool(_) | Json::Number(_) => true,
        Json::String(text) => is_faithful(text),
        Json::Array(items) => items.iter().all(survives_json),
        Json::Object(object) => object
            .iter()
            .all(|(key, value)| key.len() <= SAFE_KEY && is_faithful(key) && survives_json(value)),
    }
}

/// Go does not escape these: a next-line character is a line break to YAML 1.1, the others are refused.
fn is_faithful(text: &str) -> bool {
    let is_special = |c: char| matches!(c, '\u{7F}'..='\u{9F}' | '\u{FEFF}' | '\u{FFFE}' | '\u{FFFF}');
    !text.contains('\u{7F}') && (text.is_ascii() || !text.contains(is_special))
}
