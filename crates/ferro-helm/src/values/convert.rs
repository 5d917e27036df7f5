//! Between values at rest and those of a render.

use ferro_template::{Key, Map as Table, Value};
use serde_json::{Map, Number, Value as Json};

use super::Error;

/// The deepest nesting of values.
pub(crate) const MAX_DEPTH: usize = 500;

/// Makes the values of a render, which share nothing with the original.
pub(crate) fn to_value(value: &Json) -> Value {
    match value {
        Json::Null => Value::Nil,
        Json::Bool(value) => Value::Bool(*value),
        Json::Number(number) => number_value(number),
        Json::String(text) => Value::from(text.as_str()),
        Json::Array(items) => Value::list(items.iter().map(to_value).collect()),
        Json::Object(object) => Value::Map(to_map(object)),
    }
}

/// Makes a table of a render, which shares nothing with the original.
pub fn to_map(object: &Map<String, Json>) -> Table {
    object
        .iter()
        .map(|(key, value)| (key.as_str(), to_value(value)))
        .collect()
}

/// Copies a table of a render, so that nothing is shared with the original; tables may be shared in it, but not contain themselves.
pub(crate) fn copy(table: &Table) -> Result<Table, Error> {
    table_copy(table, 0)
}

fn table_copy(table: &Table, depth: usize) -> Result<Table, Error> {
    if depth > MAX_DEPTH {
        return Err(Error::TooDeep);
    }
    let entries = table.entries();
    entries
        .texts()
        .map(|(key, value)| Ok((key.clone(), value_copy(value, depth + 1)?)))
        .collect()
}

fn value_copy(value: &Value, depth: usize) -> Result<Value, Error> {
    if depth > MAX_DEPTH {
        return Err(Error::TooDeep);
    }
    Ok(match value {
        Value::List(list) => {
            let items = list.items().iter().map(|item| value_copy(item, depth + 1));
            Value::list(items.collect::<Result<_, _>>()?)
        }
        Value::Map(map) => Value::Map(table_copy(map, depth + 1)?),
        other => other.clone(),
    })
}

fn number_value(number: &Number) -> Value {
    match number.as_i64() {
        Some(integer) if !number.is_f64() => Value::int64(integer),
        _ => Value::Float(number.as_f64().unwrap_or_default()),
    }
}

/// Makes values at rest; tables may be shared, but not contain themselves.
pub(crate) fn to_json(table: &Table) -> Result<Map<String, Json>, Error> {
    table_json(table, 0)
}

fn table_json(table: &Table, depth: usize) -> Result<Map<String, Json>, Error> {
    if depth > MAX_DEPTH {
        return Err(Error::TooDeep);
    }
    let entries = table.entries();
    // Collected, since they come in order: a tree is built faster from all than one by one.
    let texts = entries.iter().filter_map(|(key, value)| match key {
        Key::Str(key) => Some((key, value)),
        _ => None,
    });
    texts
        .map(|(key, value)| Ok((key.to_string(), value_json(value, depth + 1)?)))
        .collect()
}

fn value_json(value: &Value, depth: usize) -> Result<Json, Error> {
    if depth > MAX_DEPTH {
        return Err(Error::TooDeep);
    }
    Ok(match value.plain() {
        Value::Bool(value) => Json::Bool(*value),
        Value::Int(int) => int.as_i64().map_or(Json::Null, Json::from),
        Value::Float(value) => Number::from_f64(*value).map_or(Json::Null, Json::Number),
        Value::List(list) => {
            let items = list.items().iter().map(|item| value_json(item, depth + 1));
            Json::Array(items.collect::<Result<_, _>>()?)
        }
        Value::Map(map) => Json::Object(table_json(map, depth + 1)?),
        other => other
            .as_text()
            .map_or(Json::Null, |text| Json::String(text.to_string())),
    })
}
