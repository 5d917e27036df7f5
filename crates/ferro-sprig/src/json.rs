//! JSON and YAML.

mod decode;
mod model;
mod write;

use ferro_gocompat::json::Options;
use ferro_template::types::ANY_MAP;
use ferro_template::{Error, List, Map, Value};

use crate::args::{ANY, Args, LIST, MAP, Outcome, STRING, Table, fail, text};
pub(crate) use decode::decode;
pub(crate) use model::from_json;
use model::{Rules, with_data};

const COMPACT: Options<'static> = Options {
    escape_html: true,
    indent: "",
};
const PRETTY: Options<'static> = Options {
    escape_html: true,
    indent: "  ",
};
const RAW: Options<'static> = Options {
    escape_html: false,
    indent: "",
};

/// What a function does with a value that has no JSON.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Failure {
    Empty,
    Error,
}

pub(crate) fn register_sprig(table: &mut Table<'_>) {
    for (name, options, failure) in [
        ("toJson", COMPACT, Failure::Empty),
        ("mustToJson", COMPACT, Failure::Error),
        ("toPrettyJson", PRETTY, Failure::Empty),
        ("mustToPrettyJson", PRETTY, Failure::Error),
        // Without "must" this one panics, so that both fail.
        ("toRawJson", RAW, Failure::Error),
        ("mustToRawJson", RAW, Failure::Error),
    ] {
        table.add(&[name], &[ANY], STRING, move |args| {
            encode(args, options, failure)
        });
    }
    table.add(&["fromJson"], &[STRING], ANY, |args| {
        Ok(decode(args.text(0)).value)
    });
    table.add(&["mustFromJson"], &[STRING], ANY, |args| {
        let decoded = decode(args.text(0));
        match decoded.problem {
            Some(problem) => fail(problem),
            None => Ok(decoded.value),
        }
    });
}

fn encode(args: Args<'_>, options: Options<'static>, failure: Failure) -> Outcome {
    match write::write(args.any(0), options) {
        Ok(json) => text(json),
        Err(_) if failure == Failure::Empty => text(""),
        Err(problem) => fail(problem),
    }
}

/// Helm's own, which replace some of sprig's.
pub(crate) fn register_helm(table: &mut Table<'_>) {
    table.add(&["fromJson"], &[STRING], MAP, |args| {
        let decoded = decode(args.text(0));
        let map = map_of(decoded.value, decoded.problem);
        Ok(Value::Map(map))
    });
    table.add(&["fromJsonArray"], &[STRING], LIST, |args| {
        let decoded = decode(args.text(0));
        Ok(Value::List(list_of(decoded.value, decoded.problem)))
    });
    register_yaml(table);
}

fn register_yaml(table: &mut Table<'_>) {
    table.add(&["toYaml"], &[ANY], STRING, |args| {
        text(to_yaml(args.any(0)).unwrap_or_default())
    });
    table.add(&["mustToYaml"], &[ANY], STRING, |args| {
        text(to_yaml(args.any(0)).map_err(Error::new)?)
    });
    table.add(&["toYamlPretty"], &[ANY], STRING, |args| {
        text(to_yaml_pretty(args.any(0)).unwrap_or_default())
    });
    table.add(&["fromYaml"], &[STRING], MAP, |args| {
        Ok(Value::Map(match read_yaml(args.text(0)) {
            Ok(value) => map_of_yaml(value),
            Err(problem) => error_map(&problem),
        }))
    });
    table.add(&["fromYamlArray"], &[STRING], LIST, |args| {
        Ok(Value::List(match read_yaml(args.text(0)) {
            Ok(value) => list_of_yaml(value),
            Err(problem) => List::new(vec![Value::from(problem)]),
        }))
    });
}

/// YAML as `sigs.k8s.io/yaml` writes it, by way of JSON, without the line break at the end.
fn to_yaml(value: &Value) -> Result<String, String> {
    let written = with_data(value, Rules::Json, |json| {
        Ok(ferro_yaml::sigs::to_string(json).map_err(|error| error.to_string()))
    });
    written
        .map_err(|problem| format!("error marshaling into JSON: {problem}"))?
        .map(without_break)
}

/// YAML as go-yaml v3 writes it with an indentation of two.
fn to_yaml_pretty(value: &Value) -> Result<String, String> {
    with_data(value, Rules::Yaml, |data| {
        ferro_yaml::sigs::to_string_pretty(data).map_err(|error| error.to_string())
    })
    .map(without_break)
}

fn without_break(mut yaml: String) -> String {
    if yaml.ends_with('\n') {
        yaml.pop();
    }
    yaml
}

fn read_yaml(input: &[u8]) -> Result<Value, String> {
    let json = ferro_yaml::sigs::from_slice(input)
        .map_err(|error| format!("error converting YAML to JSON: {error}"))?;
    Ok(from_json(&json))
}

const IN_YAML: &str = "error unmarshaling JSON: while decoding JSON: ";

/// Unlike a null in JSON, one in YAML leaves Helm's empty map as it is.
fn map_of_yaml(value: Value) -> Map {
    if matches!(value, Value::Nil) {
        return Map::new();
    }
    let problem = mismatch(&value, "map[string]interface {}", |value| {
        value.as_map().is_some()
    });
    map_of(value, problem.map(|problem| format!("{IN_YAML}{problem}")))
}

fn list_of_yaml(value: Value) -> List {
    if matches!(value, Value::Nil) {
        return List::new(Vec::new());
    }
    let problem = mismatch(&value, "[]interface {}", |value| value.as_list().is_some());
    list_of(value, problem.map(|problem| format!("{IN_YAML}{problem}")))
}

/// What `encoding/json` says about a value of another type than the one it was asked for.
fn mismatch(value: &Value, wanted: &str, is_wanted: impl Fn(&Value) -> bool) -> Option<String> {
    let found = match value {
        _ if is_wanted(value) => return None,
        Value::Nil => return None,
        Value::Bool(_) => "bool",
        Value::Str(_) => "string",
        Value::List(_) => "array",
        Value::Map(_) => "object",
        _ => "number",
    };
    Some(format!(
        "json: cannot unmarshal {found} into Go value of type {wanted}"
    ))
}

fn error_map(problem: &str) -> Map {
    Map::from_iter([("Error", Value::from(problem))])
}

/// Helm's map: nil for a null, with the problem under `Error`.
fn map_of(value: Value, problem: Option<String>) -> Map {
    let problem = problem.or_else(|| {
        mismatch(&value, "map[string]interface {}", |value| {
            value.as_map().is_some()
        })
    });
    let map = match value {
        Value::Map(map) => map,
        Value::Nil if problem.is_none() => Map::nil(ANY_MAP),
        _ => Map::new(),
    };
    if let Some(problem) = problem {
        map.insert("Error", Value::from(problem));
    }
    map
}

fn list_of(value: Value, problem: Option<String>) -> List {
    let problem = problem.or_else(|| mismatch(&value, "[]interface {}", |value| value.as_list().is_some()));
    match (value, problem) {
        (_, Some(problem)) => List::new(vec![Value::from(problem)]),
        (Value::List(list), None) => list,
        _ => List::nil(LIST),
    }
}
