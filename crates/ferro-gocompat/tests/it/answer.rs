//! Our answers to the oracle's questions, in its form.

use ferro_gocompat::regexp::Regex;
use ferro_gocompat::semver::{Constraints, Version};
use ferro_gocompat::{duration, json, number, path, quote};
use serde_json::{Value, json};

fn text<'v>(request: &'v Value, field: &str) -> &'v str {
    request[field].as_str().unwrap_or_default()
}

fn texts<'v>(request: &'v Value, field: &str) -> Vec<&'v str> {
    request[field]
        .as_array()
        .unwrap()
        .iter()
        .map(|text| text.as_str().unwrap())
        .collect()
}

/// Answers a request as the oracle does: its output or its error's text.
pub(crate) fn answer(request: &Value) -> Result<Value, String> {
    let input = text(request, "text");
    match text(request, "op") {
        "go.duration" => {
            let nanos = duration::parse(input).map_err(|error| error.to_string())?;
            Ok(json!({"nanos": nanos.to_string(), "text": duration::format(nanos)}))
        }
        "go.quote" => Ok(json!([quote::quote(input), quote::quote_to_ascii(input)])),
        "go.float" => {
            let value: f64 = input.parse().unwrap();
            Ok(json!({
                "g": number::format_g(value), "g32": number::format_g32(value), "f": number::format_f(value),
                "v": number::format_g(value), "json": number::format_json(value).unwrap(),
            }))
        }
        "go.json" => {
            let value: Value = serde_json::from_str(input).unwrap();
            let pretty = json::Options {
                indent: "  ",
                ..json::Options::default()
            };
            let raw = json::Options {
                escape_html: false,
                ..json::Options::default()
            };
            Ok(json!({
                "compact": json::to_string(&value),
                "pretty": json::to_string_with(&value, &pretty),
                "raw": json::to_string_with(&value, &raw),
            }))
        }
        "go.path.clean" => Ok(json!(path::clean(input))),
        "go.path.match" => path::matches(text(request, "pattern"), input)
            .map(|matches| json!(matches))
            .map_err(|e| e.to_string()),
        "go.regexp" => regexp(request),
        "semver.parse" => version(request),
        "semver.check" => check(request),
        "semver.compare" => {
            let parse = |field| Version::parse(text(request, field)).map_err(|error| error.to_string());
            Ok(json!(parse("left")?.cmp(&parse("right")?) as i8))
        }
        op => panic!("no such operation: {op}"),
    }
}

fn regexp(request: &Value) -> Result<Value, String> {
    let regex = Regex::go(text(request, "pattern")).map_err(|error| error.to_string())?;
    let matches: Vec<Value> = texts(request, "texts")
        .into_iter()
        .map(|text| match regex.captures(text) {
            None => Value::Null,
            Some(groups) => (0..groups.len())
                .flat_map(|index| match groups.range(index) {
                    Some(range) => [range.start as i64, range.end as i64],
                    None => [-1, -1],
                })
                .collect(),
        })
        .collect();
    Ok(json!({"matches": matches, "names": regex.names()}))
}

fn version(request: &Value) -> Result<Value, String> {
    let parse = if request["strict"] == json!(true) {
        Version::parse_strict
    } else {
        Version::parse
    };
    let version = parse(text(request, "text")).map_err(|error| error.to_string())?;
    Ok(json!({
        "text": version.to_string(), "original": version.original(),
        "major": version.major(), "minor": version.minor(), "patch": version.patch(),
        "prerelease": version.prerelease(), "metadata": version.metadata(),
    }))
}

fn check(request: &Value) -> Result<Value, String> {
    let constraint = Constraints::parse(text(request, "constraint")).map_err(|error| error.to_string())?;
    let mut results = Vec::new();
    for text in texts(request, "versions") {
        let version = Version::parse(text).map_err(|error| error.to_string())?;
        let problems: Vec<String> = constraint
            .validate(&version)
            .iter()
            .map(ToString::to_string)
            .collect();
        let errors = if problems.is_empty() {
            Value::Null
        } else {
            json!(problems)
        };
        results.push(json!({"ok": constraint.check(&version), "errors": errors}));
    }
    Ok(json!({"text": constraint.to_string(), "results": results}))
}
