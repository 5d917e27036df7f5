//! Values as go-yaml decodes them, before they become JSON.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use ferro_gocompat::number::{format_g, format_g32};
use ferro_gocompat::quote::quote;
use serde_json::{Map, Value as Json};

use super::{number, scalar_value, string_of};
use crate::{Dialect, Error, Node, Result, Value, to_rfc3339};

/// A decoded value.
#[derive(Clone, Debug)]
pub(super) enum GoValue {
    Scalar(Scalar),
    List(Vec<Self>),
    /// `map[interface{}]interface{}`
    Map(BTreeMap<Scalar, Self>),
    /// `map[string]interface{}`, which only v3 makes.
    Record(BTreeMap<String, Self>),
}

/// What can be a key. Values of different types are never equal.
#[derive(Clone, Debug)]
pub(super) enum Scalar {
    Nil,
    Bool(bool),
    Int(i64),
    Float(f64),
    Uint(u64),
    Text(String),
    /// A point in time in the form that it has in JSON.
    Time(String),
}

/// Decodes a scalar.
pub(super) fn scalar(node: &Node, dialect: Dialect) -> Result<Scalar> {
    let text = node.text().unwrap_or_default();
    Ok(match scalar_value(node, dialect)? {
        Value::Null => Scalar::Nil,
        Value::Bool(value) => Scalar::Bool(value),
        Value::Int(value) => Scalar::Int(value),
        Value::Uint(value) => Scalar::Uint(value),
        Value::Float(value) => Scalar::Float(value),
        // v2 decodes times as text.
        Value::Timestamp if dialect == Dialect::V3 => {
            Scalar::Time(to_rfc3339(text).unwrap_or_else(|| text.to_owned()))
        }
        Value::Timestamp | Value::Merge | Value::Str => Scalar::Text(string_of(node, text)?),
    })
}

impl Scalar {
    /// `fmt` orders keys of different types by where its linker put the types; this is what it prints.
    fn rank(&self) -> u8 {
        match self {
            Self::Nil => 0,
            Self::Text(_) => 1,
            Self::Uint(_) => 2,
            Self::Int(_) => 3,
            Self::Float(_) => 4,
            Self::Bool(_) => 5,
            Self::Time(_) => 6,
        }
    }

    /// Returns the key of a JSON object, if this can be one.
    fn json_key(&self) -> Option<String> {
        Some(match self {
            Self::Nil | Self::Uint(_) | Self::Time(_) => return None,
            Self::Bool(value) => value.to_string(),
            Self::Int(value) => value.to_string(),
            Self::Float(value) => match format_g32(*value).as_str() {
                "+Inf" => ".inf".to_owned(),
                "-Inf" => "-.inf".to_owned(),
                "NaN" => ".nan".to_owned(),
                shown => shown.to_owned(),
            },
            Self::Text(text) => text.clone(),
        })
    }

    fn into_json(self) -> Result<Json> {
        Ok(match self {
            Self::Nil => Json::Null,
            Self::Bool(value) => value.into(),
            Self::Int(value) => value.into(),
            Self::Uint(value) => value.into(),
            Self::Text(text) | Self::Time(text) => text.into(),
            Self::Float(value) if value.is_finite() => number(value),
            Self::Float(value) if value.is_nan() => return Err(Error::UnsupportedValue("NaN")),
            Self::Float(value) => {
                return Err(Error::UnsupportedValue(if value > 0.0 { "+Inf" } else { "-Inf" }));
            }
        })
    }

    /// Prints like `%#v`.
    pub(super) fn literal(&self) -> String {
        match self {
            Self::Nil => "<nil>".to_owned(),
            Self::Bool(value) => value.to_string(),
            Self::Int(value) => value.to_string(),
            Self::Uint(value) => format!("{value:#x}"),
            Self::Float(value) => format_g(*value),
            Self::Text(text) => quote(text),
            Self::Time(text) => time_literal(text).unwrap_or_else(|| quote(text)),
        }
    }
}

impl Ord for Scalar {
    fn cmp(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Bool(left), Self::Bool(right)) => left.cmp(right),
            (Self::Int(left), Self::Int(right)) => left.cmp(right),
            (Self::Uint(left), Self::Uint(right)) => left.cmp(right),
            (Self::Text(left), Self::Text(right)) | (Self::Time(left), Self::Time(right)) => left.cmp(right),
            // There is one zero among keys.
            (Self::Float(left), Self::Float(right)) => (left + 0.0).total_cmp(&(right + 0.0)),
            _ => self.rank().cmp(&other.rank()),
        }
    }
}

impl PartialOrd for Scalar {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Scalar {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Scalar {}

impl GoValue {
    /// Converts to JSON as sigs.k8s.io/yaml does: it looks at all keys first, and writes numbers then.
    pub(super) fn into_sigs_json(self) -> Result<Json> {
        let mut unsupported = None;
        let json = self.convert(&mut unsupported)?;
        unsupported.map_or(Ok(json), Err)
    }

    fn convert(self, unsupported: &mut Option<Error>) -> Result<Json> {
        Ok(match self {
            Self::Scalar(scalar) => match scalar.into_json() {
                Ok(json) => json,
                Err(error) => {
                    unsupported.get_or_insert(error);
                    Json::Null
                }
            },
            Self::List(items) => {
                let items = items.into_iter().map(|item| item.convert(unsupported));
                Json::Array(items.collect::<Result<_>>()?)
            }
            Self::Map(fields) => {
                let mut object = Map::new();
                for (key, value) in fields {
                    let Some(name) = key.json_key() else {
                        return Err(unsupported_key(&key, &value));
                    };
                    object.insert(name, value.convert(unsupported)?);
                }
                Json::Object(object)
            }
            Self::Record(fields) => {
                let fields = fields
                    .into_iter()
                    .map(|(name, value)| Ok((name, value.convert(unsupported)?)));
                Json::Object(fields.collect::<Result<_>>()?)
            }
        })
    }

    /// Converts to JSON as `encoding/json` does.
    pub(super) fn into_json(self) -> Result<Json> {
        Ok(match self {
            Self::Scalar(scalar) => scalar.into_json()?,
            Self::List(items) => items.into_iter().map(Self::into_json).collect::<Result<_>>()?,
            Self::Map(_) => {
                let problem = "json: unsupported type: map[interface {}]interface {}";
                return Err(Error::UnsupportedKey(problem.to_owned()));
            }
            Self::Record(fields) => {
                let fields = fields
                    .into_iter()
                    .map(|(name, value)| Ok((name, value.into_json()?)));
                Json::Object(fields.collect::<Result<_>>()?)
            }
        })
    }

    /// Prints like `%#v`.
    pub(super) fn literal(&self) -> String {
        let mut out = String::new();
        match self {
            Self::Scalar(scalar) => out.push_str(&scalar.literal()),
            _ => self.print(&mut out),
        }
        out
    }

    fn print(&self, out: &mut String) {
        let separator = |index: usize| if index > 0 { ", " } else { "" };
        match self {
            Self::Scalar(scalar) => print_inner(scalar, out),
            Self::List(items) => {
                out.push_str("[]interface {}{");
                for (index, item) in items.iter().enumerate() {
                    out.push_str(separator(index));
                    item.print(out);
                }
                out.push('}');
            }
            Self::Map(fields) => {
                out.push_str("map[interface {}]interface {}{");
                for (index, (key, value)) in fields.iter().enumerate() {
                    out.push_str(separator(index));
                    print_inner(key, out);
                    out.push(':');
                    value.print(out);
                }
                out.push('}');
            }
            Self::Record(fields) => {
                out.push_str("map[string]interface {}{");
                for (index, (name, value)) in fields.iter().enumerate() {
                    out.push_str(separator(index));
                    out.push_str(&quote(name));
                    out.push(':');
                    value.print(out);
                }
                out.push('}');
            }
        }
    }
}

/// Prints a time like `%#v`, from the form that it has in JSON.
fn time_literal(text: &str) -> Option<String> {
    const MONTHS: [&str; 12] = [
        "January",
        "February",
        "March",
        "April",
        "May",
        "June",
        "July",
        "August",
        "September",
        "October",
        "November",
        "December",
    ];
    let (date, clock) = text.split_once('T')?;
    let mut date = date.split('-').map(str::parse::<usize>);
    let (year, month, day) = (date.next()?.ok()?, date.next()?.ok()?, date.next()?.ok()?);
    let month = MONTHS.get(month.checked_sub(1)?)?;
    let (clock, location) = match clock.strip_suffix('Z') {
        Some(clock) => (clock, "time.UTC"),
        None => (clock.get(..clock.len().checked_sub(6)?)?, "time.Location(\"\")"),
    };
    let (clock, fraction) = clock.split_once('.').unwrap_or((clock, ""));
    let nanos: u32 = format!("{fraction:0<9}").parse().ok()?;
    let mut clock = clock.split(':').map(str::parse::<u32>);
    let (hour, minute, second) = (clock.next()?.ok()?, clock.next()?.ok()?, clock.next()?.ok()?);
    Some(format!(
        "time.Date({year}, time.{month}, {day}, {hour}, {minute}, {second}, {nanos}, {location})"
    ))
}

/// Prints a scalar inside of something else, where Go also names the type of nothing.
fn print_inner(scalar: &Scalar, out: &mut String) {
    match scalar {
        Scalar::Nil => out.push_str("interface {}(nil)"),
        scalar => out.push_str(&scalar.literal()),
    }
}

fn unsupported_key(key: &Scalar, value: &GoValue) -> Error {
    let kind = match key {
        Scalar::Uint(_) => "uint64",
        _ => "%!s(<nil>)",
    };
    let (key, value) = (key.literal(), value.literal());
    Error::UnsupportedKey(format!(
        "unsupported map key of type: {kind}, key: {key}, value: {value}"
    ))
}
