//! Conditions as Kubernetes objects carry them.

use serde_json::Value;

/// One entry of `status.conditions`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Condition<'a> {
    pub(crate) kind: &'a str,
    pub(crate) status: &'a str,
    pub(crate) reason: &'a str,
    pub(crate) message: &'a str,
}

impl<'a> Condition<'a> {
    /// Reads a condition; absent members are empty, members of another type make it no condition.
    pub(crate) fn read(value: &'a Value) -> Option<Self> {
        let fields = value.as_object()?;
        let text = |name: &str| match fields.get(name) {
            None | Some(Value::Null) => Some(""),
            Some(value) => value.as_str(),
        };
        Some(Self {
            kind: text("type")?,
            status: text("status")?,
            reason: text("reason")?,
            message: text("message")?,
        })
    }

    pub(crate) fn is(self, kind: &str, status: &str) -> bool {
        self.kind == kind && self.status == status
    }

    pub(crate) fn is_true(self, kind: &str) -> bool {
        self.is(kind, "True")
    }
}
