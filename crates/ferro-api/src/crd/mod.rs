//! CustomResourceDefinitions, generated from the types.

use serde_json::{Value, json};

/// What a duration may look like.
pub const DURATION_PATTERN: &str = r"^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$";

/// What a timeout may look like: a duration without hours.
pub const TIMEOUT_PATTERN: &str = r"^([0-9]+(\.[0-9]+)?(ms|s|m))+$";

/// Returns validation rules, given as pairs of a CEL expression and the message of its failure.
pub(crate) fn cel(rules: &[(&str, &str)]) -> Value {
    rules
        .iter()
        .map(|(rule, message)| json!({"rule": rule, "message": message}))
        .collect()
}
