//! `.Files`: the chart's files that are no templates.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ferro_template::types::{BYTE_SLICE, STRING_SLICE};
use ferro_template::{Call, Error, List, Map, Method, NamedType, Text, Type, Value};
use serde_json::{Map as JsonMap, Value as Json};

use super::glob;
use crate::chart::Chart;

static FILES: NamedType = NamedType {
    methods: &METHODS,
    ..NamedType::plain("engine.files", Type::Map(&Type::String, BYTE_SLICE))
};
static FILES_TYPE: Type = Type::Named(&FILES);

static METHODS: [Method; 6] = [
    method("AsConfig", &[], &Type::String, as_config),
    method("AsSecrets", &[], &Type::String, as_secrets),
    method("Get", &[&Type::String], &Type::String, get),
    method("GetBytes", &[&Type::String], BYTE_SLICE, get_bytes),
    method("Glob", &[&Type::String], &FILES_TYPE, glob),
    method("Lines", &[&Type::String], STRING_SLICE, lines),
];

const fn method(
    name: &'static str,
    params: &'static [&'static Type],
    result: &'static Type,
    run: ferro_template::types::MethodFn,
) -> Method {
    Method {
        name,
        params,
        is_variadic: false,
        result,
        run,
    }
}

/// Makes the object of a chart.
pub(super) fn files(chart: &Chart) -> Value {
    let files = Map::with_type(&FILES_TYPE);
    for file in &chart.files {
        files.insert(file.name.as_str(), Value::Bytes(Arc::clone(&file.data)));
    }
    Value::Map(files)
}

fn as_files(receiver: &Value) -> Map {
    receiver
        .as_map()
        .cloned()
        .unwrap_or_else(|| Map::with_type(&FILES_TYPE))
}

fn argument(arguments: &[Value]) -> Text {
    arguments
        .first()
        .and_then(Value::as_text)
        .cloned()
        .unwrap_or_default()
}

fn content(receiver: &Value, name: &Text) -> Option<Arc<[u8]>> {
    match as_files(receiver).get(name.as_bytes()) {
        Some(Value::Bytes(bytes)) => Some(bytes),
        _ => None,
    }
}

fn get(_: &mut Call<'_>, receiver: &Value, arguments: &[Value]) -> Result<Value, Error> {
    let content = content(receiver, &argument(arguments)).unwrap_or_default();
    Ok(Value::Str(Text::from_bytes(&content)))
}

fn get_bytes(_: &mut Call<'_>, receiver: &Value, arguments: &[Value]) -> Result<Value, Error> {
    Ok(Value::Bytes(
        content(receiver, &argument(arguments)).unwrap_or_default(),
    ))
}

fn glob(_: &mut Call<'_>, receiver: &Value, arguments: &[Value]) -> Result<Value, Error> {
    // A malformed pattern stands for all files.
    let pattern = glob::compile(&argument(arguments).to_str());
    let found = Map::with_type(&FILES_TYPE);
    for (name, content) in as_files(receiver).entries().texts() {
        if pattern
            .as_ref()
            .is_none_or(|pattern| pattern.is_match(&name.to_str()))
        {
            found.insert(name.clone(), content.clone());
        }
    }
    Ok(Value::Map(found))
}

fn as_config(_: &mut Call<'_>, receiver: &Value, _: &[Value]) -> Result<Value, Error> {
    Ok(by_base(receiver, |content| {
        String::from_utf8_lossy(content).into_owned()
    }))
}

fn as_secrets(_: &mut Call<'_>, receiver: &Value, _: &[Value]) -> Result<Value, Error> {
    Ok(by_base(receiver, |content| STANDARD.encode(content)))
}

/// Writes the files as YAML by the last component of their names.
fn by_base(receiver: &Value, encode: impl Fn(&[u8]) -> String) -> Value {
    let mut object = JsonMap::new();
    for (name, content) in as_files(receiver).entries().texts() {
        let Value::Bytes(content) = content else {
            continue;
        };
        let name = name.to_str();
        let base = name.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
        object.insert(base.to_owned(), Json::String(encode(content)));
    }
    let yaml = ferro_yaml::sigs::to_string(&Json::Object(object)).unwrap_or_default();
    Value::from(yaml.strip_suffix('\n').unwrap_or(&yaml))
}

fn lines(_: &mut Call<'_>, receiver: &Value, arguments: &[Value]) -> Result<Value, Error> {
    let Some(content) = content(receiver, &argument(arguments)) else {
        return Ok(Value::List(List::of_strings::<Text>([])));
    };
    let Some(last) = content.last() else {
        // Upstream reads the byte before the first one.
        return Err(Error::new("runtime error: index out of range [-1]"));
    };
    let end = content.len() - usize::from(*last == b'\n');
    let lines = content
        .get(..end)
        .unwrap_or_default()
        .split(|byte| *byte == b'\n');
    Ok(Value::List(List::of_strings(lines.map(Text::from_bytes))))
}
