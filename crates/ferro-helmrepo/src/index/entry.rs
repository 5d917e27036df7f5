//! One version of a chart in an index.

use std::io::Write as _;

use ferro_gocompat::json::{self, Options};
use ferro_gocompat::quote::quote;
use ferro_gocompat::time::{RFC3339, RFC3339_NANO, Time};
use ferro_helm::chart::Metadata;
use serde_json::{Map, Value as Json};

use crate::metadata;

/// When nothing is said, as Go writes it.
pub(super) const NO_TIME: &str = "0001-01-01T00:00:00Z";

/// What an entry may say besides what `Chart.yaml` may.
const OWN_FIELDS: [&str; 8] = [
    "urls",
    "created",
    "removed",
    "digest",
    "checksum",
    "engine",
    "tillerVersion",
    "url",
];
const METADATA_FIELDS: [&str; 17] = [
    "name",
    "home",
    "sources",
    "version",
    "description",
    "keywords",
    "maintainers",
    "icon",
    "apiVersion",
    "condition",
    "tags",
    "appVersion",
    "deprecated",
    "annotations",
    "kubeVersion",
    "dependencies",
    "type",
];
const MAINTAINER_FIELDS: [&str; 3] = ["name", "email", "url"];
const DEPENDENCY_FIELDS: [&str; 8] = [
    "name",
    "version",
    "repository",
    "condition",
    "tags",
    "enabled",
    "import-values",
    "alias",
];

/// How an index is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    /// Strictly: what is not known is an error.
    Yaml,
    /// What is not known is passed over.
    Json,
}

/// What an entry says.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) metadata: Metadata,
    own: Vec<(&'static str, Json)>,
}

/// What became of an entry.
#[derive(Debug)]
pub(super) enum Decoded {
    Entry(Box<Entry>),
    /// It is not one of a chart that can be used; why.
    Skipped(String),
}

impl Entry {
    /// Reads an entry that was parsed from `text`.
    ///
    /// # Errors
    /// When it is not of the form of an entry, in Go's words.
    pub(super) fn decode(document: Json, text: &[u8], format: Format) -> Result<Decoded, String> {
        let mut object = match document {
            Json::Object(object) => object,
            Json::Null => return Ok(Decoded::Skipped("empty entry".to_owned())),
            other => return Err(mismatch(&other, "v1.ChartVersion")),
        };
        let own = own_fields(&mut object)?;
        if format == Format::Yaml {
            check_known(&object)?;
        }
        let mut metadata = Metadata::from_document(Json::Object(object), text)?;
        if metadata.api_version.is_empty() {
            "v1".clone_into(&mut metadata.api_version);
        }
        match metadata.validate() {
            Ok(()) => {}
            // Some repositories strip the alias.
            Err(error) if error.to_string().starts_with(TOLERATED) => {}
            Err(error) => return Ok(Decoded::Skipped(error.to_string())),
        }
        Ok(Decoded::Entry(Box::new(Self { metadata, own })))
    }

    /// Writes the entry as `json.MarshalIndent` does at the depth that entries are at.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{");
        let fields = metadata::fields(&self.metadata);
        for (index, (name, value)) in fields.iter().chain(&self.own).enumerate() {
            let comma = if index == 0 { "" } else { "," };
            // Writing to memory does not fail.
            let _infallible = write!(out, "{comma}\n        \"{name}\": {}", indented(value, 4));
        }
        out.extend_from_slice(b"\n      }");
    }
}

const TOLERATED: &str = "validation: more than one dependency with name or alias";

/// `value` as `json.MarshalIndent` writes it at `depth`.
pub(super) fn indented(value: &Json, depth: usize) -> String {
    let options = Options {
        indent: "  ",
        ..Options::default()
    };
    let text = json::to_string_with(value, &options);
    if !text.contains('\n') {
        return text;
    }
    // Line breaks in texts are escaped, so that all others are those between values.
    text.replace('\n', &format!("\n{}", "  ".repeat(depth)))
}

/// Takes the fields of the entry itself, in the order in which they are written.
fn own_fields(object: &mut Map<String, Json>) -> Result<Vec<(&'static str, Json)>, String> {
    let mut fields = Vec::with_capacity(4);
    for name in OWN_FIELDS {
        let value = take(object, name);
        let kept = match name {
            "urls" => Some(urls(value)?),
            "created" => Some(Json::String(created(value)?)),
            "removed" => match value {
                Some(Json::Bool(true)) => Some(Json::Bool(true)),
                None | Some(Json::Null | Json::Bool(false)) => None,
                Some(other) => return Err(mismatch(&other, "bool")),
            },
            _ => {
                let text = value.map(text).transpose()?.unwrap_or_default();
                (!text.is_empty()).then_some(Json::String(text))
            }
        };
        fields.extend(kept.map(|value| (name, value)));
    }
    Ok(fields)
}

/// Takes a field whatever the case of its letters, as Go does; an exact match goes first.
pub(super) fn take(object: &mut Map<String, Json>, name: &str) -> Option<Json> {
    if let Some(value) = object.remove(name) {
        return Some(value);
    }
    let folded = object
        .keys()
        .find(|key| key.eq_ignore_ascii_case(name))
        .cloned()?;
    object.remove(&folded)
}

fn urls(value: Option<Json>) -> Result<Json, String> {
    match value {
        None | Some(Json::Null) => Ok(Json::Null),
        Some(Json::Array(items)) => {
            let items: Result<Vec<_>, _> = items.into_iter().map(text).collect();
            Ok(Json::from(items?))
        }
        Some(other) => Err(mismatch(&other, "[]string")),
    }
}

/// A time in the form in which Go writes it.
pub(super) fn created(value: Option<Json>) -> Result<String, String> {
    match value {
        None | Some(Json::Null) => Ok(NO_TIME.to_owned()),
        Some(Json::String(text)) => {
            let time = Time::parse(RFC3339, &text).map_err(|_| {
                let text = quote(&text);
                decoding(&format!(
                    "parsing time {text} as \"2006-01-02T15:04:05Z07:00\": cannot parse {text}"
                ))
            })?;
            Ok(time.format(RFC3339_NANO))
        }
        Some(_) => Err(decoding("Time.UnmarshalJSON: input is not a JSON string")),
    }
}

/// A scalar where a text is wanted.
pub(super) fn text(value: Json) -> Result<String, String> {
    match value {
        Json::String(text) => Ok(text),
        Json::Null => Ok(String::new()),
        Json::Bool(value) => Ok(value.to_string()),
        Json::Number(number) => Ok(json::number_to_string(&number)),
        other => Err(mismatch(&other, "string")),
    }
}

/// Refuses what no field is for.
fn check_known(object: &Map<String, Json>) -> Result<(), String> {
    known(object, &METADATA_FIELDS)?;
    let inner = [
        ("maintainers", &MAINTAINER_FIELDS[..]),
        ("dependencies", &DEPENDENCY_FIELDS[..]),
    ];
    for (name, fields) in inner {
        let items = object.get(name).and_then(Json::as_array);
        let objects = items.into_iter().flatten().filter_map(Json::as_object);
        for object in objects {
            known(object, fields)?;
        }
    }
    Ok(())
}

pub(super) fn known(object: &Map<String, Json>, fields: &[&str]) -> Result<(), String> {
    let is_known = |key: &str| fields.iter().any(|field| field.eq_ignore_ascii_case(key));
    match object.keys().find(|key| !is_known(key)) {
        None => Ok(()),
        Some(key) => Err(decoding(&format!("json: unknown field {}", quote(key)))),
    }
}

pub(super) fn mismatch(value: &Json, wanted: &str) -> String {
    let found = match value {
        Json::Null => "null",
        Json::Bool(_) => "bool",
        Json::Number(_) => "number",
        Json::String(_) => "string",
        Json::Array(_) => "array",
        Json::Object(_) => "object",
    };
    decoding(&format!(
        "json: cannot unmarshal {found} into Go value of type {wanted}"
    ))
}

fn decoding(problem: &str) -> String {
    format!("error unmarshaling JSON: while decoding JSON: {problem}")
}
