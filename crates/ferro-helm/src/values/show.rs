//! Values as Go's `fmt` prints them in warnings and errors.

use ferro_gocompat::number::format_g;
use ferro_template::Value;

/// Returns what `%v` prints.
pub(super) fn show(value: &Value) -> String {
    match value {
        Value::Nil => "<nil>".to_owned(),
        Value::Bool(value) => value.to_string(),
        Value::Int(int) => int.as_i128().to_string(),
        Value::Float(value) => format_g(*value),
        Value::List(list) => {
            let items: Vec<String> = list.items().iter().map(show).collect();
            format!("[{}]", items.join(" "))
        }
        Value::Map(map) => {
            let entries = map.entries();
            let entries: Vec<String> = entries
                .texts()
                .map(|(key, value)| format!("{key}:{}", show(value)))
                .collect();
            format!("map[{}]", entries.join(" "))
        }
        other => other.as_text().map(ToString::to_string).unwrap_or_default(),
    }
}

/// Returns what `%t` prints, a verb that is for booleans.
pub(super) fn show_as_bool(value: &Value) -> String {
    match value {
        Value::Nil => "%!t(<nil>)".to_owned(),
        other => show_inner_as_bool(other),
    }
}

fn show_inner_as_bool(value: &Value) -> String {
    match value {
        Value::Bool(value) => value.to_string(),
        Value::Nil => "<nil>".to_owned(),
        Value::List(list) => {
            let items: Vec<String> = list.items().iter().map(show_inner_as_bool).collect();
            format!("[{}]", items.join(" "))
        }
        Value::Map(map) => {
            let entries = map.entries();
            let entries: Vec<String> = entries
                .texts()
                .map(|(key, value)| format!("%!t(string={key}):{}", show_inner_as_bool(value)))
                .collect();
            format!("map[{}]", entries.join(" "))
        }
        other => format!("%!t({}={})", other.type_name(), show(other)),
    }
}
