//! Templates rendered with our functions, and values as both sides read them.

use std::sync::Arc;

use ferro_gocompat::time::Time;
use ferro_sprig::{DURATION, Environment, TimeValue, functions, helm_functions};
use ferro_template::types::{ANY_MAP, ANY_SLICE, INT_SLICE};
use ferro_template::{IntKind, List, Map, MissingKey, Options, Templates, Text, Value};
use serde_json::{Value as Json, json};

use crate::oracle::{Answer, Oracle};

/// Whose functions a template calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Functions {
    Sprig,
    Helm,
}

/// Renders a template over `.Values`.
pub(crate) fn render(
    kind: Functions,
    environment: Arc<dyn Environment>,
    template: &[u8],
    values: &Json,
) -> Result<Vec<u8>, String> {
    let functions = match kind {
        Functions::Sprig => functions(environment),
        Functions::Helm => helm_functions(environment),
    };
    let template = String::from_utf8(template.to_vec()).unwrap();
    let mut options = Options::default();
    if kind == Functions::Helm {
        options.missing_key = MissingKey::Zero;
    }
    let mut templates = Templates::new("t", Arc::new(functions)).with_options(options);
    templates
        .parse("t", &template)
        .map_err(|error| error.to_string())?;
    let entries = values.as_object().unwrap();
    let values: Map = entries
        .iter()
        .map(|(name, value)| (name.as_str(), typed(value)))
        .collect();
    let data = Value::Map(Map::from_iter([("Values", Value::Map(values))]));
    match templates.execute("t", &data, &()) {
        Ok(out) => Ok(out.as_bytes().to_vec()),
        Err(error) => Err(error.to_string()),
    }
}

/// Renders with the reference.
pub(crate) fn reference(oracle: &mut Oracle, kind: Functions, template: &[u8], values: &Json) -> Answer {
    let template = base64(template);
    let helm = kind == Functions::Helm;
    oracle.ask(
        "sprig.render",
        json!({"template": template, "values": values, "helm": helm}),
    )
}

/// The bytes that an answer holds.
pub(crate) fn bytes_of(output: &Json) -> Vec<u8> {
    let text = output.as_str().unwrap_or_default();
    let functions = functions(Arc::new(crate::environment::Fixed::default()));
    let mut templates = Templates::new("d", Arc::new(functions));
    templates.parse("d", "{{ b64dec . }}").unwrap();
    let decoded = templates.execute("d", &Value::from(text), &()).unwrap();
    decoded.as_bytes().to_vec()
}

pub(crate) fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::new();
    for chunk in bytes.chunks(3) {
        let word = chunk
            .iter()
            .fold(0_u32, |word, byte| word << 8 | u32::from(*byte))
            << (8 * (3 - chunk.len()));
        for at in 0..4 {
            let digit = DIGITS[(word >> (18 - 6 * at)) as usize & 63];
            out.push(if at <= chunk.len() { char::from(digit) } else { '=' });
        }
    }
    out
}

/// A string in which every byte is one character.
pub(crate) fn latin(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| char::from(*byte)).collect()
}

fn unlatin(text: &str) -> Vec<u8> {
    text.chars().map(|c| c as u8).collect()
}

/// Makes the value that a description stands for: an object with the type as its only key.
pub(crate) fn typed(described: &Json) -> Value {
    let Some((kind, content)) = described.as_object().and_then(|object| object.iter().next()) else {
        return Value::Nil;
    };
    let text = content.as_str().unwrap_or_default();
    let number = || text.parse::<i64>().unwrap();
    match kind.as_str() {
        "bool" => Value::Bool(content.as_bool().unwrap()),
        "string" => Value::str(unlatin(text)),
        "bytes" => Value::Bytes(unlatin(text).into()),
        "float64" => Value::Float(text.to_ascii_lowercase().parse().unwrap()),
        "list" => Value::list(content.as_array().unwrap().iter().map(typed).collect()),
        "map" => Value::Map(
            content
                .as_object()
                .unwrap()
                .iter()
                .map(|(key, value)| (key.as_str(), typed(value)))
                .collect(),
        ),
        "strings" => {
            let items = content.as_array().unwrap();
            Value::List(List::of_strings(
                items
                    .iter()
                    .map(|item| Text::from(unlatin(item.as_str().unwrap()))),
            ))
        }
        "ints" => {
            let items = content.as_array().unwrap();
            Value::List(List::with_type(
                INT_SLICE,
                items
                    .iter()
                    .map(|item| Value::int(item.as_i64().unwrap()))
                    .collect(),
            ))
        }
        "texts" => {
            let entries = content.as_object().unwrap();
            Value::Map(Map::of_strings(
                entries
                    .iter()
                    .map(|(key, item)| (key.as_str(), unlatin(item.as_str().unwrap()))),
            ))
        }
        "nil list" => Value::List(List::nil(ANY_SLICE)),
        "nil map" => Value::Map(Map::nil(ANY_MAP)),
        "time" => Value::object(TimeValue(Time::from_unix(number(), 123_456_789))),
        "duration" => Value::named(&DURATION, Value::int64(number())),
        "int" => Value::int(number()),
        "int64" => Value::int64(number()),
        "int32" => Value::int_of(IntKind::Int32, number()),
        "uint64" => Value::int_of(IntKind::Uint64, number()),
        "uint8" => Value::int_of(IntKind::Uint8, number()),
        other => panic!("unknown type {other}"),
    }
}
