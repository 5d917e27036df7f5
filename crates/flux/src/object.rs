//! Objects as the commands see them: their common fields, whatever their kind.

use ferro_api::condition;
use kube::api::DynamicObject;
use serde_json::Value;

/// A condition of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Condition<'a> {
    /// What it is about.
    pub type_: &'a str,
    /// `True`, `False` or `Unknown`.
    pub status: &'a str,
    /// What a person should know.
    pub message: &'a str,
    /// The generation it speaks of, if it says.
    pub observed_generation: Option<i64>,
}

/// Common fields of objects.
pub trait ObjectExt {
    /// Returns the string at a JSON pointer, empty where there is none.
    fn text(&self, pointer: &str) -> &str;

    /// Returns the number at a JSON pointer.
    fn number(&self, pointer: &str) -> Option<i64>;

    /// Reports whether the value at a JSON pointer is `true`.
    fn flag(&self, pointer: &str) -> bool;

    /// Returns the conditions.
    fn conditions(&self) -> impl Iterator<Item = Condition<'_>>;

    /// Returns the condition `Ready`.
    fn ready(&self) -> Option<Condition<'_>> {
        self.conditions().find(|c| c.type_ == condition::READY)
    }

    /// Reports whether reconciliation is paused.
    fn is_suspended(&self) -> bool {
        self.flag("/spec/suspend")
    }
}

impl ObjectExt for DynamicObject {
    fn text(&self, pointer: &str) -> &str {
        self.data
            .pointer(pointer)
            .and_then(Value::as_str)
            .unwrap_or_default()
    }

    fn number(&self, pointer: &str) -> Option<i64> {
        self.data.pointer(pointer).and_then(Value::as_i64)
    }

    fn flag(&self, pointer: &str) -> bool {
        self.data
            .pointer(pointer)
            .and_then(Value::as_bool)
            .unwrap_or(false)
    }

    fn conditions(&self) -> impl Iterator<Item = Condition<'_>> {
        let conditions = self.data.pointer("/status/conditions").and_then(Value::as_array);
        conditions.into_iter().flatten().map(|condition| {
            let text = |field: &str| condition.get(field).and_then(Value::as_str).unwrap_or_default();
            Condition {
                type_: text("type"),
                status: text("status"),
                message: text("message"),
                observed_generation: condition.get("observedGeneration").and_then(Value::as_i64),
            }
        })
    }
}
