//! Comparing our answers with the oracle's.

use serde_json::{Map, Value as Json, json};

use crate::oracle::{Answer, Oracle};

/// Marks integers, which JSON alone cannot tell from other numbers, as the oracle does.
pub(crate) fn with_integers(value: &Json) -> Json {
    match value {
        Json::Number(number) if !number.is_f64() => json!({"$int": number.to_string()}),
        Json::Array(items) => items.iter().map(with_integers).collect(),
        Json::Object(object) => Json::Object(object_with_integers(object)),
        other => other.clone(),
    }
}

pub(crate) fn object_with_integers(object: &Map<String, Json>) -> Map<String, Json> {
    object
        .iter()
        .map(|(key, value)| (key.clone(), with_integers(value)))
        .collect()
}

/// Makes all numbers alike, for JSON on its way from Go says 1 where we say 1.0.
fn normalized(value: &Json) -> Json {
    ferro_helm::values::with_float_numbers(value.clone())
}

/// Asks the oracle and compares; returns whether it had an answer.
pub(crate) fn compare(oracle: &mut Oracle, op: &str, fields: &Json, ours: &Result<Json, String>) -> bool {
    let theirs = match oracle.ask(op, fields.clone()) {
        Answer::Output(output) => Ok(normalized(&output)),
        Answer::Error(error) => Err(error),
        Answer::Crash => return false,
    };
    let ours = ours.as_ref().map(normalized).map_err(Clone::clone);
    assert_eq!(ours, theirs, "{op} of {fields:#}");
    true
}
