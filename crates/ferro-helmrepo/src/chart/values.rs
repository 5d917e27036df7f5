//! Files of values, merged into the defaults of a chart.

use ferro_gocompat::path;
use ferro_helm::values::{merge, with_float_numbers};
use serde_json::{Map, Value as Json};

/// The file of a chart's defaults.
pub(crate) const VALUES_FILE: &str = "values.yaml";

/// Why values could not be merged; in upstream's words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ValuesError(pub(crate) String);

/// The files that make a difference: the chart's own defaults alone are none.
pub fn effective(files: &[String]) -> &[String] {
    match files {
        [only] if path::clean(only) == VALUES_FILE => &[],
        files => files,
    }
}

/// What merging came to.
#[derive(Debug, Default)]
pub(crate) struct Merged {
    pub(crate) values: Map<String, Json>,
    /// The files that were there.
    pub(crate) files: Vec<String>,
}

/// Merges `files`, later ones over earlier ones. `read` gives the values of a file, or tells that there is none.
pub(crate) fn merge_files(
    files: &[String],
    ignores_missing: bool,
    read: impl Fn(&str) -> Result<Option<Map<String, Json>>, ValuesError>,
    missing: impl Fn(&str) -> ValuesError,
) -> Result<Merged, ValuesError> {
    let mut merged = Merged::default();
    for file in files {
        match read(file)? {
            Some(values) => {
                merge(&mut merged.values, values);
                merged.files.push(file.clone());
            }
            None if ignores_missing => {}
            None => return Err(missing(file)),
        }
    }
    Ok(merged)
}

/// Reads one file of values, of whose documents the first counts.
pub(crate) fn read(name: &str, content: &[u8]) -> Result<Map<String, Json>, ValuesError> {
    let failed =
        |problem: String| ValuesError(format!("unmarshaling values from '{name}' failed: {problem}"));
    let json = ferro_yaml::sigs::from_slice(content)
        .map_err(|error| failed(format!("error converting YAML to JSON: {error}")))?;
    let found = match with_float_numbers(json) {
        Json::Object(values) => return Ok(values),
        Json::Null => return Ok(Map::new()),
        Json::Bool(_) => "bool",
        Json::Number(_) => "number",
        Json::String(_) => "string",
        Json::Array(_) => "array",
    };
    Err(failed(format!(
        "error unmarshaling JSON: while decoding JSON: json: cannot unmarshal {found} into Go value of type map[string]interface {{}}"
    )))
}

/// The text of merged values; there is none of no values.
pub(crate) fn encode(values: Map<String, Json>) -> Result<Vec<u8>, ValuesError> {
    if values.is_empty() {
        return Ok(Vec::new());
    }
    let text = ferro_yaml::sigs::to_string(&Json::Object(values));
    text.map(String::into_bytes)
        .map_err(|error| ValuesError(error.to_string()))
}
