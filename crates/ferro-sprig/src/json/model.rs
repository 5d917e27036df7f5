//! Values as JSON data, the way `encoding/json` marshals them.

use ferro_gocompat::number::{format_g, format_g32};
use ferro_template::{Key, Kind, List, Map, Value};
use serde_json::{Map as Object, Number, Value as Json};

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
        depth: 0,
        deepest: 0,
        above: Vec::new(),
    };
    let data = encoder.value(value)?;
    let finish = move || {
        let written = write(&data);
        // Dropping goes through the data as well.
        drop(data);
        written
    };
    if encoder.deepest <= SHALLOW {
        return finish();
    }
    stacker::grow((encoder.deepest + SHALLOW) * STACK_PER_LEVEL, finish)
}

/// What is being encoded.
struct Encoder {
    rules: Rules,
    depth: usize,
    deepest: usize,
    /// The maps on the way here, beyond the depth from which cycles are looked for.
    above: Vec<Map>,
}

impl Encoder {
    fn value(&mut self, value: &Value) -> Result<Json, String> {
        match value {
            Value::Nil => Ok(Json::Null),
            Value::Bool(value) => Ok(Json::Bool(*value)),
            Value::Int(int) if int.kind.is_signed() => Ok(int.bits.into()),
            Value::Int(int) => Ok(int.bits.cast_unsigned().into()),
            Value::Float(value) => number(*value),
            Value::Float32(value) => number32(*value),
            Value::Str(text) => Ok(Json::String(text.to_str().into_owned())),
            Value::Bytes(bytes) if self.rules == Rules::Yaml => Ok(bytes.to_vec().into()),
            Value::Bytes(bytes) => Ok(Json::String(base::encode64(bytes))),
            Value::List(list) if list.is_nil() && self.rules == Rules::Json => Ok(Json::Null),
            Value::List(list) => self.nested(|encoder| encoder.list(list)),
            Value::Map(map) if map.is_nil() && self.rules == Rules::Json => Ok(Json::Null),
            Value::Map(map) => self.nested(|encoder| encoder.map(map)),
            Value::Named(named) if self.rules == Rules::Yaml && std::ptr::eq(named.ty, &crate::DURATION) => {
                Ok(Json::String(crate::args::to_text(value).to_str().into_owned()))
            }
            Value::Named(named) => self.value(&named.value),
            Value::Object(_) => self.nested(|encoder| encoder.object(value)),
            Value::Complex(..) | Value::Func(_) => Err(unsupported_type(value)),
        }
    }

    fn nested(&mut self, encode: impl FnOnce(&mut Self) -> Result<Json, String>) -> Result<Json, String> {
        if self.depth >= MAX_DEPTH {
            return Err(format!("json: a value is nested deeper than {MAX_DEPTH} levels"));
        }
        self.depth += 1;
        self.deepest = self.deepest.max(self.depth);
        let json = stacker::maybe_grow(64 << 10, 1 << 20, || encode(self));
        self.depth -= 1;
        json
    }

    fn list(&mut self, list: &List) -> Result<Json, String> {
        list.items().iter().map(|item| self.value(item)).collect()
    }

    fn map(&mut self, map: &Map) -> Result<Json, String> {
        let is_deep = self.depth > CYCLE_DEPTH;
        if is_deep {
            if self.above.iter().any(|above| above.is_same(map)) {
                return Err(format!("json: unsupported value: encountered a cycle via {}", map.ty()));
            }
            self.above.push(map.clone());
        }
        let mut object = Object::new();
        for (key, value) in map.entries().iter() {
            let key = key_text(key).ok_or_else(|| format!("json: unsupported type: {}", map.ty()))?;
            object.insert(key, self.value(value)?);
        }
        if is_deep {
            self.above.pop();
        }
        Ok(Json::Object(object))
    }

    /// Structs have their exported fields, under their names.
    fn object(&mut self, value: &Value) -> Result<Json, String> {
        let Value::Object(object) = value else {
            return Ok(Json::Null);
        };
        if object.is_nil() {
            return Ok(Json::Null);
        }
        if let Some(time) = value.downcast::<TimeValue>() {
            return time.0.to_rfc3339().map(Json::String).ok_or_else(|| {
                "json: error calling MarshalJSON for type time.Time: Time.MarshalJSON: year outside of range [0,9999]"
                    .to_owned()
            });
        }
        if let Some(version) = crate::semver::json_text(value) {
            return Ok(Json::String(version));
        }
        if object.go_type().kind() == Kind::Func {
            return Err(unsupported_type(value));
        }
        let mut fields = Object::new();
        for (name, field) in object.fields() {
            if name.starts_with(char::is_uppercase) {
                let name = match self.rules {
                    Rules::Json => name.to_owned(),
                    Rules::Yaml => name.to_lowercase(),
                };
                fields.insert(name, self.value(&field)?);
            }
        }
        Ok(Json::Object(fields))
    }
}

fn unsupported_type(value: &Value) -> String {
    format!("json: unsupported type: {}", value.type_name())
}

fn number(value: f64) -> Result<Json, String> {
    Number::from_f64(value)
        .map(Json::Number)
        .ok_or_else(|| format!("json: unsupported value: {}", format_g(value)))
}

/// The shortest digits that tell the `float32` apart, taken as they are.
fn number32(value: f32) -> Result<Json, String> {
    let digits = format_g32(f64::from(value));
    number(digits.parse().unwrap_or(f64::from(value)))
}

/// Integer keys are written as text; other keys have no JSON.
fn key_text(key: &Key) -> Option<String> {
    match key {
        Key::Str(text) => Some(text.to_str().into_owned()),
        Key::Int(value) => Some(value.to_string()),
        Key::Uint(value) => Some(value.to_string()),
        Key::Bool(_) | Key::Float(_) => None,
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
