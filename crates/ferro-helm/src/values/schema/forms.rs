//! A quick look at a schema's keywords.

use ferro_gocompat::regexp::Regex;
use serde_json::{Map, Value as Json};

use super::document::Draft;

/// How deep is looked.
const MAX_DEPTH: usize = 100;

/// Tells whether a schema is plainly one of its draft. What is unusual is not plain, be it right or wrong: the draft's own schema decides.
pub(super) fn are_plain(schema: &Json, draft: Draft) -> bool {
    // What is of another draft somewhere inside is too rare to be looked at here.
    match schema {
        Json::Object(object) => keywords(object, draft, 0, true),
        _ => false,
    }
}

fn schema(value: &Json, draft: Draft, depth: usize) -> bool {
    match value {
        Json::Bool(_) => draft > Draft::V4,
        Json::Object(object) => depth < MAX_DEPTH && keywords(object, draft, depth + 1, false),
        _ => false,
    }
}

fn keywords(object: &Map<String, Json>, draft: Draft, depth: usize, is_root: bool) -> bool {
    object
        .iter()
        .all(|(keyword, value)| is_plain(object, keyword, value, (draft, depth, is_root)))
}

fn is_plain(
    object: &Map<String, Json>,
    keyword: &str,
    value: &Json,
    (draft, depth, is_root): (Draft, usize, bool),
) -> bool {
    let is_schema = |value: &Json| schema(value, draft, depth);
    let are_schemas = |value: &Json| {
        let items = value.as_array().filter(|items| !items.is_empty());
        items.is_some_and(|items| items.iter().all(is_schema))
    };
    let has_schemas = |value: &Json| {
        value
            .as_object()
            .is_some_and(|inner| inner.values().all(is_schema))
    };
    match keyword {
        "title" | "description" | "$comment" | "format" | "contentMediaType" | "contentEncoding" => {
            value.is_string()
        }
        "default" | "const" => true,
        "examples" => value.is_array(),
        "readOnly" | "writeOnly" | "deprecated" | "uniqueItems" => value.is_boolean(),
        "type" => match value {
            Json::String(name) => is_type(name),
            _ => is_list_of_names(value, 1) && names(value).all(is_type),
        },
        "enum" => is_list_of_names(value, 1),
        "required" => is_list_of_names(value, usize::from(draft == Draft::V4)),
        "pattern" => value.as_str().is_some_and(is_regex),
        "exclusiveMinimum" | "exclusiveMaximum" if draft == Draft::V4 => {
            let limit = if keyword == "exclusiveMinimum" {
                "minimum"
            } else {
                "maximum"
            };
            value.is_boolean() && object.contains_key(limit)
        }
        "minimum" | "maximum" | "exclusiveMinimum" | "exclusiveMaximum" => value.is_number(),
        "multipleOf" => value.as_f64().is_some_and(|value| value > 0.0),
        "minLength" | "maxLength" | "minItems" | "maxItems" | "minProperties" | "maxProperties"
        | "minContains" | "maxContains" => value.is_u64(),
        "items" => is_schema(value) || (draft < Draft::V2020 && are_schemas(value)),
        "additionalItems" | "additionalProperties" => value.is_boolean() || is_schema(value),
        "allOf" | "anyOf" | "oneOf" | "prefixItems" => are_schemas(value),
        "not"
        | "if"
        | "then"
        | "else"
        | "contains"
        | "propertyNames"
        | "unevaluatedItems"
        | "unevaluatedProperties" => is_schema(value),
        "properties" | "definitions" | "$defs" | "dependentSchemas" => has_schemas(value),
        "patternProperties" => {
            has_schemas(value)
                && value
                    .as_object()
                    .is_some_and(|inner| inner.keys().all(|it| is_regex(it)))
        }
        "dependencies" => value.as_object().is_some_and(|inner| {
            inner
                .values()
                .all(|value| is_schema(value) || is_list_of_names(value, 1))
        }),
        "dependentRequired" => value
            .as_object()
            .is_some_and(|inner| inner.values().all(|value| is_list_of_names(value, 0))),
        "$schema" => {
            is_root
                && value
                    .as_str()
                    .is_some_and(|url| Draft::of_url(url) == Some(draft))
        }
        "$id" | "id" => is_root && value.as_str().is_some_and(is_simple_url),
        "$ref" => value.as_str().is_some_and(is_simple_fragment),
        // Others may be anything.
        _ => !keyword.starts_with('$') && keyword != "contentSchema",
    }
}

fn names(value: &Json) -> impl Iterator<Item = &str> {
    value.as_array().into_iter().flatten().filter_map(Json::as_str)
}

/// Tells whether a value is a list of at least so many texts, no two of which are the same.
fn is_list_of_names(value: &Json, least: usize) -> bool {
    let Some(items) = value.as_array() else {
        return false;
    };
    let mut sorted: Vec<&str> = names(value).collect();
    sorted.sort_unstable();
    items.len() >= least && sorted.len() == items.len() && sorted.is_sorted_by(|a, b| a < b)
}

fn is_type(name: &str) -> bool {
    [
        "null", "boolean", "number", "integer", "string", "array", "object",
    ]
    .contains(&name)
}

fn is_regex(pattern: &str) -> bool {
    Regex::go(pattern).is_ok()
}

fn is_simple(text: &str, more: &[u8]) -> bool {
    text.bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || more.contains(&byte))
}

fn is_simple_url(text: &str) -> bool {
    let path = text
        .strip_prefix("https://")
        .or_else(|| text.strip_prefix("http://"));
    path.is_some_and(|path| path.starts_with(|c: char| c.is_ascii_alphabetic()) && is_simple(path, b"/.-_"))
}

fn is_simple_fragment(text: &str) -> bool {
    text.strip_prefix('#')
        .is_some_and(|fragment| is_simple(fragment, b"/.-_~$"))
}
