//! Values as JSON data, the way `encoding/json` marshals them.

use std::borrow::Cow;

use ferro_gocompat::number::{format_g, format_g32};
use ferro_template::{Key, Kind, List, Map, Text, Value};
use serde_json::{Map as Object, Number, Value as Json};

use crate::DURATION;
use crate::args::to_text;
use crate::dates::TimeValue;
use crate::text::base;

/// From this depth on Go looks for cycles.
const CYCLE_DEPTH: usize = 1_000;
/// Deeper values are refused.
const MAX_DEPTH: usize = 10_000;

/// Levels that need no more stack than there always is.
const SHALLOW: usize = 64;
/// The stack that one level may take in code that goes through data by recursion.
const STACK_PER_LEVEL: usize = 8 << 10;

/// Whose rules make data of a value.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rules {
    /// `encoding/json`
    Json,
    /// go-yaml v3, which looks at the Go value itself: nil collections are empty ones, bytes are numbers,
    /// fields have lower-case names.
    Yaml,
}

/// Makes data of a value by the given rules, and hands it to `write` with enough stack for its depth. The
/// error is Go's.
pub(crate) fn with_data<T>(
    value: &Value,
    rules: Rules,
    write: impl FnOnce(&Json) -> Result<T, String>,
) -> Result<T, String> {
    let mut encoder = Encoder {
        rules,
        path: Path::new(),
    };
    let data = encoder.value(value)?;
    let finish = move || {
        let written = write(&data);
        // Dropping goes through the data as well.
        drop(data);
        written
    };
    if encoder.path.deepest <= SHALLOW {
        return finish();
    }
    stacker::grow((encoder.path.deepest + SHALLOW) * STACK_PER_LEVEL, finish)
}

/// What a value is to an encoder.
pub(super) enum Shape<'v> {
    Null,
    Bool(bool),
    Number(Number),
    Text(Cow<'v, Text>),
    List(&'v List),
    Numbers(&'v [u8]),
    Map(&'v Map),
    Fields(Vec<(String, Value)>),
}

/// Tells what a value is by the given rules.
pub(super) fn shape(value: &Value, rules: Rules) -> Result<Shape<'_>, String> {
    let is_json = rules == Rules::Json;
    Ok(match value {
        Value::Nil => Shape::Null,
        Value::Bool(value) => Shape::Bool(*value),
        Value::Int(int) if int.kind.is_signed() => Shape::Number(int.bits.into()),
        Value::Int(int) => Shape::Number(int.bits.cast_unsigned().into()),
        Value::Float(value) => Shape::Number(number(*value)?),
        Value::Float32(value) => Shape::Number(number32(*value)?),
        Value::Str(text) => Shape::Text(Cow::Borrowed(text)),
        Value::Bytes(bytes) if is_json => text(base::encode64(bytes)),
        Value::Bytes(bytes) => Shape::Numbers(bytes),
        Value::List(list) if list.is_nil() && is_json => Shape::Null,
        Value::List(list) => Shape::List(list),
        Value::Map(map) if map.is_nil() && is_json => Shape::Null,
        Value::Map(map) => Shape::Map(map),
        Value::Named(named) if !is_json && std::ptr::eq(named.ty, &DURATION) => {
            Shape::Text(Cow::Owned(to_text(value)))
        }
        Value::Named(named) => return shape(&named.value, rules),
        Value::Object(object) if object.is_nil() => Shape::Null,
        Value::Object(_) => return object_shape(value, rules),
        Value::Complex(..) | Value::Func(_) => return Err(unsupported_type(value)),
    })
}

fn text<'v>(text: String) -> Shape<'v> {
    Shape::Text(Cow::Owned(Text::from(text)))
}

/// Structs have their exported fields; times and versions say themselves what they are.
fn object_shape(value: &Value, rules: Rules) -> Result<Shape<'_>, String> {
    let Value::Object(object) = value else {
        return Ok(Shape::Null);
    };
    if let Some(time) = value.downcast::<TimeValue>() {
        return time.0.to_rfc3339().map(text).ok_or_else(|| {
            "json: error calling MarshalJSON for type time.Time: Time.MarshalJSON: year outside of range [0,9999]"
                .to_owned()
        });
    }
    if let Some(version) = crate::semver::json_text(value) {
        return Ok(text(version));
    }
    if object.go_type().kind() == Kind::Func {
        return Err(unsupported_type(value));
    }
    let fields: Vec<(String, Value)> = match rules {
        Rules::Json => object
            .json_fields()
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value))
            .collect(),
        Rules::Yaml => object
            .fields()
            .into_iter()
            .filter(|(name, _)| name.starts_with(char::is_uppercase))
            .map(|(name, value)| (name.to_lowercase(), value))
            .collect(),
    };
    Ok(Shape::Fields(fields))
}

/// Where an encoder is: how deep, and in which maps.
pub(super) struct Path {
    depth: usize,
    deepest: usize,
    /// The maps on the way here, beyond the depth from which cycles are looked for.
    above: Vec<Map>,
}

impl Path {
    pub(super) const fn new() -> Self {
        Self {
            depth: 0,
            deepest: 0,
            above: Vec::new(),
        }
    }

    pub(super) fn enter(&mut self) -> Result<(), String> {
        if self.depth >= MAX_DEPTH {
            return Err(format!("json: a value is nested deeper than {MAX_DEPTH} levels"));
        }
        self.depth += 1;
        self.deepest = self.deepest.max(self.depth);
        Ok(())
    }

    pub(super) fn leave(&mut self) {
        self.depth -= 1;
    }

    pub(super) fn enter_map(&mut self, map: &Map) -> Result<(), String> {
        self.enter()?;
        if self.depth <= CYCLE_DEPTH {
            return Ok(());
        }
        if self.above.iter().any(|above| above.is_same(map)) {
            return Err(format!(
                "json: unsupported value: encountered a cycle via {}",
                map.ty()
            ));
        }
        self.above.push(map.clone());
        Ok(())
    }

    pub(super) fn leave_map(&mut self) {
        if self.depth > CYCLE_DEPTH {
            self.above.pop();
        }
        self.leave();
    }
}

/// Runs one level of an encoder with enough stack.
pub(super) fn guarded<T>(encode: impl FnOnce() -> T) -> T {
    stacker::maybe_grow(64 << 10, 1 << 20, encode)
}

/// Makes data of values.
struct Encoder {
    rules: Rules,
    path: Path,
}

impl Encoder {
    fn value(&mut self, value: &Value) -> Result<Json, String> {
        Ok(match shape(value, self.rules)? {
            Shape::Null => Json::Null,
            Shape::Bool(value) => Json::Bool(value),
            Shape::Number(number) => Json::Number(number),
            Shape::Text(text) => Json::String(text.to_str().into_owned()),
            Shape::Numbers(bytes) => bytes.to_vec().into(),
            Shape::List(list) => {
                self.path.enter()?;
                let items = guarded(|| {
                    list.items()
                        .iter()
                        .map(|item| self.value(item))
                        .collect::<Result<_, _>>()
                })?;
                self.path.leave();
                Json::Array(items)
            }
            Shape::Map(map) => {
                self.path.enter_map(map)?;
                let object = guarded(|| self.map(map))?;
                self.path.leave_map();
                Json::Object(object)
            }
            Shape::Fields(fields) => {
                self.path.enter()?;
                let entry = |(name, value): (String, Value)| Ok::<_, String>((name, self.value(&value)?));
                let object = guarded(|| fields.into_iter().map(entry).collect::<Result<Object<_, _>, _>>())?;
                self.path.leave();
                Json::Object(object)
            }
        })
    }

    fn map(&mut self, map: &Map) -> Result<Object<String, Json>, String> {
        let mut object = Object::new();
        for (key, value) in map.entries().iter() {
            let key = key_text(key, map)?;
            object.insert(key.to_str().into_owned(), self.value(value)?);
        }
        Ok(object)
    }
}

pub(super) fn unsupported_type(value: &Value) -> String {
    format!("json: unsupported type: {}", value.type_name())
}

fn number(value: f64) -> Result<Number, String> {
    Number::from_f64(value).ok_or_else(|| format!("json: unsupported value: {}", format_g(value)))
}

/// The shortest digits that tell the `float32` apart, taken as they are.
fn number32(value: f32) -> Result<Number, String> {
    let digits = format_g32(f64::from(value));
    number(digits.parse().unwrap_or_else(|_| f64::from(value)))
}

/// Integer keys are written as text; other keys have no JSON.
pub(super) fn key_text(key: &Key, map: &Map) -> Result<Text, String> {
    match key {
        Key::Str(text) => Ok(text.clone()),
        Key::Int(value) => Ok(Text::from(value.to_string())),
        Key::Uint(value) => Ok(Text::from(value.to_string())),
        Key::Bool(_) | Key::Float(_) => Err(format!("json: unsupported type: {}", map.ty())),
    }
}

/// Makes a value of JSON data: every number is a `float64`.
pub(crate) fn from_json(json: &Json) -> Value {
    match json {
        Json::Null => Value::Nil,
        Json::Bool(value) => Value::Bool(*value),
        Json::Number(number) => Value::Float(number.as_f64().unwrap_or(f64::NAN)),
        Json::String(text) => Value::from(text.as_str()),
        Json::Array(items) => nested(|| Value::list(items.iter().map(from_json).collect())),
        Json::Object(object) => nested(|| {
            let entries = object.iter().map(|(key, value)| (key.as_str(), from_json(value)));
            Value::Map(entries.collect())
        }),
    }
}

fn nested(make: impl FnOnce() -> Value) -> Value {
    stacker::maybe_grow(64 << 10, 1 << 20, make)
}
