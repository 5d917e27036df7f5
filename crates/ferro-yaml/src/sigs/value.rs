//! Values as go-yaml v2 decodes them, before they become JSON.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use ferro_gocompat::number::{format_g, format_g32};
use ferro_gocompat::quote::quote;
use serde_json::{Map, Value as Json};

use crate::convert::number;
use crate::{Error, Result};

/// A decoded value.
#[derive(Clone, Debug)]
pub(super) enum GoValue {
    Scalar(Scalar),
    List(Vec<Self>),
    Map(BTreeMap<Scalar, Self>),
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
        }
    }

    /// Returns the key of a JSON object, if this can be one.
    fn json_key(&self) -> Option<String> {
        Some(match self {
            Self::Nil | Self::Uint(_) => return None,
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

    /// Prints like `%#v`.
    pub(super) fn literal(&self) -> String {
        match self {
            Self::Nil => "<nil>".to_owned(),
            Self::Bool(value) => value.to_string(),
            Self::Int(value) => value.to_string(),
            Self::Uint(value) => format!("{value:#x}"),
            Self::Float(value) => format_g(*value),
            Self::Text(text) => quote(text),
        }
    }
}

impl Ord for Scalar {
    fn cmp(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Bool(left), Self::Bool(right)) => left.cmp(right),
            (Self::Int(left), Self::Int(right)) => left.cmp(right),
            (Self::Uint(left), Self::Uint(right)) => left.cmp(right),
            (Self::Text(left), Self::Text(right)) => left.cmp(right),
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
    /// Converts to JSON. Keys that JSON cannot have are found first, numbers that it cannot have then.
    pub(super) fn into_json(self) -> Result<Json> {
        let mut unsupported = None;
        let json = self.convert(&mut unsupported)?;
        unsupported.map_or(Ok(json), Err)
    }

    fn convert(self, unsupported: &mut Option<Error>) -> Result<Json> {
        Ok(match self {
            Self::Scalar(scalar) => match scalar {
                Scalar::Nil => Json::Null,
                Scalar::Bool(value) => value.into(),
                Scalar::Int(value) => value.into(),
                Scalar::Uint(value) => value.into(),
                Scalar::Text(text) => text.into(),
                Scalar::Float(value) if value.is_finite() => number(value),
                Scalar::Float(value) => {
                    let shown = match value {
                        value if value.is_nan() => "NaN",
                        value if value > 0.0 => "+Inf",
                        _ => "-Inf",
                    };
                    unsupported.get_or_insert(Error::UnsupportedValue(shown));
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
        }
    }
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
