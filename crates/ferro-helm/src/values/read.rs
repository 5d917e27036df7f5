//! Values files.

use serde_json::{Map, Number, Value as Json};

use crate::chart::decode_error;

/// Why a values file cannot be read; the texts are upstream's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Something stands behind `---`.
    #[error("error reading yaml document: invalid Yaml document separator: {0}")]
    Separator(String),
    /// A document is not a YAML map.
    #[error("cannot unmarshal yaml document: {0}")]
    Document(String),
}

/// Reads a values file: a stream of documents that are merged, later ones over earlier ones.
///
/// ```
/// let values = ferro_helm::values::read(b"a: {b: 1, c: yes}\n---\na: {b: 2}\n")?;
/// assert_eq!(values["a"], serde_json::json!({"b": 2.0, "c": true}));
/// # Ok::<(), ferro_helm::values::ReadError>(())
/// ```
pub fn read(content: &[u8]) -> Result<Map<String, Json>, Error> {
    let mut values = Map::new();
    if is_one_document(content) {
        return read_document(content);
    }
    for document in Documents(content) {
        merge(&mut values, read_document(&document?)?);
    }
    Ok(values)
}

fn read_document(document: &[u8]) -> Result<Map<String, Json>, Error> {
    let json = ferro_yaml::sigs::from_slice(document)
        .map_err(|error| Error::Document(format!("error converting YAML to JSON: {error}")))?;
    let found = match json {
        Json::Object(mut object) => {
            object.values_mut().for_each(make_numbers_float);
            return Ok(object);
        }
        Json::Null => return Ok(Map::new()),
        Json::Bool(_) => "bool",
        Json::Number(_) => "number",
        Json::String(_) => "string",
        Json::Array(_) => "array",
    };
    let problem = format!("json: cannot unmarshal {found} into Go value of type map[string]interface {{}}");
    Err(Error::Document(decode_error(&problem)))
}

/// Merges values over others: tables entry by entry, everything else, null included, replaces.
pub fn merge(values: &mut Map<String, Json>, over: Map<String, Json>) {
    for (key, value) in over {
        match (values.get_mut(&key), value) {
            (Some(Json::Object(under)), Json::Object(over)) => merge(under, over),
            (_, value) => {
                values.insert(key, value);
            }
        }
    }
}

/// Makes all numbers floating-point numbers, as Go's JSON decoder does.
#[must_use]
pub fn with_float_numbers(mut value: Json) -> Json {
    make_numbers_float(&mut value);
    value
}

fn make_numbers_float(value: &mut Json) {
    match value {
        Json::Number(number) => {
            if let Some(float) = number.as_f64().and_then(Number::from_f64) {
                *number = float;
            }
        }
        Json::Array(items) => items.iter_mut().for_each(make_numbers_float),
        Json::Object(object) => object.values_mut().for_each(make_numbers_float),
        Json::Null | Json::Bool(_) | Json::String(_) => {}
    }
}

/// Tells whether Kubernetes' reader would hand out the content as it is: nothing that it cuts at or takes away.
fn is_one_document(content: &[u8]) -> bool {
    content.ends_with(b"\n")
        && !content.starts_with(b"---")
        && memchr::memchr(b'\r', content).is_none()
        && memchr::memmem::find(content, b"\n---").is_none()
}

/// The documents of a stream as Kubernetes' reader cuts it: at lines that start with `---`, without a look
/// at what they are part of.
struct Documents<'c>(&'c [u8]);

impl Iterator for Documents<'_> {
    type Item = Result<Vec<u8>, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut document = Vec::new();
        while !self.0.is_empty() {
            let line = self.line();
            if let Some(rest) = line.strip_prefix(b"---") {
                let rest = String::from_utf8_lossy(rest);
                let rest = rest.trim();
                if !rest.is_empty() && !rest.starts_with('#') {
                    return Some(Err(Error::Separator(rest.to_owned())));
                }
                if !document.is_empty() {
                    return Some(Ok(document));
                }
            }
            document.extend_from_slice(line);
            document.push(b'\n');
        }
        (!document.is_empty()).then_some(Ok(document))
    }
}

impl<'c> Documents<'c> {
    fn line(&mut self) -> &'c [u8] {
        let end = self.0.iter().position(|byte| *byte == b'\n');
        let (line, rest) = match end {
            Some(end) => self.0.split_at(end),
            None => (self.0, &[][..]),
        };
        self.0 = rest.strip_prefix(b"\n").unwrap_or(rest);
        line.strip_suffix(b"\r").unwrap_or(line)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn error(text: &str) -> String {
        read(text.as_bytes()).unwrap_err().to_string()
    }

    #[test]
    fn documents_are_merged() {
        let values = read(b"---\na: {x: 1, z: [1]}\nb: 1\n--- # more\n---\na: {z: null}\nc: |\n  t").unwrap();
        assert_eq!(
            json!(values),
            json!({"a": {"x": 1.0, "z": null}, "b": 1.0, "c": "t\n"})
        );
        assert!(read(b"").unwrap().is_empty());
        for text in [
            "a: 1\n",
            "a: 1",
            "a: 1\r\n",
            "---\na: 1\n",
            "a: 1\n---\n",
            "a: 2\n---\na: 1\n",
        ] {
            assert_eq!(read(text.as_bytes()).unwrap()["a"], json!(1.0), "{text:?}");
        }
        assert!(read(b"# nothing\r\n").unwrap().is_empty());
    }

    #[test]
    fn what_is_no_table_is_refused() {
        assert_eq!(
            error("[a]"),
            "cannot unmarshal yaml document: error unmarshaling JSON: while decoding JSON: json: cannot \
             unmarshal array into Go value of type map[string]interface {}"
        );
        assert_eq!(
            error("a: 1\n--- b"),
            "error reading yaml document: invalid Yaml document separator: b"
        );
    }

    #[test]
    fn large_integers_lose_digits() {
        let values = read(b"a: 9007199254740993").unwrap();
        assert_eq!(values["a"].as_f64(), Some(9_007_199_254_740_992.0));
        assert!(values["a"].is_f64());
    }
}
