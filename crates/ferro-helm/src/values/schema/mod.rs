//! `values.schema.json`: JSON Schema, drafts 4 to 2020-12.
//!
//! Validation, the order of its errors and their words follow the library that Helm uses
//! (santhosh-tekuri/jsonschema v6). A schema is interpreted as it stands, not compiled: it is read once per
//! render, and most of it is never reached. References lead within the schema; upstream would fetch remote
//! ones, which a controller must not do on a chart's behalf, so they are refused.

mod check;
mod document;
mod failure;
mod format;
mod forms;
mod meta;
mod number;
mod validate;
mod validate_object;

use ferro_template::{Map as Table, Value};
use serde_json::Value as Json;

use super::Instance;
use super::convert::to_json;
use crate::Notice;
use document::Document;

/// How many steps the validation against one schema may take; `anyOf` within `anyOf` costs without bound.
const MAX_STEPS: usize = 5_000_000;

/// Checks the values of a chart and its subcharts; the error is upstream's list.
pub(crate) fn validate(chart: &Instance, values: &Table, notices: &mut Vec<Notice>) -> Result<(), String> {
    let mut problems = String::new();
    check_chart(chart, values, &mut problems, notices);
    if problems.is_empty() {
        Ok(())
    } else {
        Err(problems)
    }
}

fn check_chart(chart: &Instance, values: &Table, problems: &mut String, notices: &mut Vec<Notice>) {
    if let Some(schema) = &chart.chart().schema {
        let checked = match to_json(values) {
            Ok(values) => validate_against(&Json::Object(values), schema, notices),
            Err(error) => Err(format!("{error}\n")),
        };
        if let Err(problem) = checked {
            problems.push_str(&format!("{}:\n{problem}", chart.name()));
        }
    }
    for subchart in chart.dependencies() {
        match values.get(subchart.name()) {
            None | Some(Value::Nil) => {}
            Some(Value::Map(values)) => check_chart(subchart, &values, problems, notices),
            Some(other) => problems.push_str(&format!(
                "{}:\ninvalid type for values: expected object (map), got {}\n",
                subchart.name(),
                other.type_name()
            )),
        }
    }
}

/// Checks values against one schema; the error is upstream's text.
pub fn validate_against(values: &Json, schema: &[u8], notices: &mut Vec<Notice>) -> Result<(), String> {
    let schema = parse(schema)?;
    let document = Document::new(&schema)?;
    let unresolved = check::check(&document)?;
    notices.extend(unresolved.into_iter().map(|urn| {
        Notice::warn("unresolved URN reference ignored; using permissive schema").with("urn", urn)
    }));
    match validate::validate(&document, values, MAX_STEPS) {
        Ok(()) => Ok(()),
        Err(failure) => Err(format!("{failure}\n")),
    }
}

fn parse(schema: &[u8]) -> Result<Json, String> {
    let mut stream = serde_json::Deserializer::from_slice(schema).into_iter::<Json>();
    let parsed = match stream.next() {
        None => return Err("EOF".to_owned()),
        Some(Ok(parsed)) => parsed,
        Some(Err(error)) if error.is_eof() => return Err("unexpected EOF".to_owned()),
        Some(Err(error)) => return Err(error.to_string()),
    };
    if stream.next().is_some() {
        return Err("invalid character after top-level value".to_owned());
    }
    Ok(parsed)
}
