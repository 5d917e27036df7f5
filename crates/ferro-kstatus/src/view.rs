//! Reading fields of an object that may have any shape.

use serde_json::Value;

use crate::ShapeError;
use crate::condition::Condition;

/// A read-only look at an object.
#[derive(Clone, Copy)]
pub(crate) struct View<'a>(&'a Value);

impl<'a> View<'a> {
    pub(crate) fn new(object: &'a Value) -> Self {
        Self(object)
    }

    /// The value at a JSON pointer.
    pub(crate) fn get(self, pointer: &str) -> Option<&'a Value> {
        self.0.pointer(pointer)
    }

    /// An integer, or the default where there is none.
    pub(crate) fn int(self, pointer: &str, default: i64) -> i64 {
        self.get(pointer).and_then(integer).unwrap_or(default)
    }

    /// A string, or the default where there is none.
    pub(crate) fn str(self, pointer: &str, default: &'a str) -> &'a str {
        self.get(pointer).and_then(Value::as_str).unwrap_or(default)
    }

    /// An integer that may be absent but not something else.
    pub(crate) fn optional_int(self, pointer: &str) -> Result<Option<i64>, ShapeError> {
        match self.get(pointer) {
            None => Ok(None),
            Some(value) => integer(value)
                .map(Some)
                .ok_or_else(|| wrong(pointer, "an integer")),
        }
    }

    /// A string that may be absent but not something else.
    pub(crate) fn optional_str(self, pointer: &str) -> Result<Option<&'a str>, ShapeError> {
        match self.get(pointer) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => value.as_str().map(Some).ok_or_else(|| wrong(pointer, "a string")),
        }
    }

    pub(crate) fn list(self, pointer: &str) -> &'a [Value] {
        self.get(pointer)
            .and_then(Value::as_array)
            .map_or(&[], Vec::as_slice)
    }

    /// `status.conditions`, in order.
    pub(crate) fn conditions(self) -> Result<Vec<Condition<'a>>, ShapeError> {
        const POINTER: &str = "/status/conditions";
        match self.get(POINTER) {
            None | Some(Value::Null) => Ok(Vec::new()),
            Some(Value::Array(items)) => items
                .iter()
                .map(|item| Condition::read(item).ok_or_else(|| wrong(POINTER, "a list of conditions")))
                .collect(),
            Some(_) => Err(wrong(POINTER, "a list of conditions")),
        }
    }

    /// The group of `apiVersion`, empty for the core group.
    pub(crate) fn group(self) -> &'a str {
        self.str("/apiVersion", "")
            .split_once('/')
            .map_or("", |(group, _)| group)
    }

    pub(crate) fn kind(self) -> &'a str {
        self.str("/kind", "")
    }
}

/// Numbers that came through YAML may be floats without a fraction.
fn integer(value: &Value) -> Option<i64> {
    #[expect(clippy::cast_possible_truncation, reason = "the range is checked first")]
    let whole = |f: f64| (f.fract() == 0.0 && f.abs() < 9e15).then_some(f as i64);
    value.as_i64().or_else(|| value.as_f64().and_then(whole))
}

fn wrong(pointer: &str, expected: &'static str) -> ShapeError {
    ShapeError::Type {
        path: pointer.replace('/', "."),
        expected,
    }
}
