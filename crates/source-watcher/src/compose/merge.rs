//! The strategy Merge: YAML files laid over each other, map by map.

use ferro_yaml::sigs;
use serde_json::{Map, Value};

/// The largest file that is merged.
pub(crate) const MAX_BYTES: u64 = 10 << 20;

/// Why files could not be merged.
#[derive(Debug, thiserror::Error)]
pub(crate) enum MergeError {
    /// A document is no YAML.
    #[error("cannot unmarshal YAML document: error converting YAML to JSON")]
    Yaml(#[source] ferro_yaml::Error),
    /// A document is no map.
    #[error(
        "cannot unmarshal YAML document: error unmarshaling JSON: while decoding JSON: json: cannot unmarshal {found} into Go value of type map[string]interface {{}}"
    )]
    NoMap {
        /// What it is, in Go's word.
        found: &'static str,
    },
    /// The result cannot be written.
    #[error("failed to merge YAML")]
    Write(#[source] ferro_yaml::Error),
}

/// Lays `overlay` over `base`. All documents of a file count as one map, the later over the earlier.
///
/// # Errors
/// When one of them is no YAML of maps.
pub(crate) fn merge(base: &[u8], overlay: &[u8]) -> Result<String, MergeError> {
    // The overlay first, as upstream reads it.
    let overlay = load(overlay)?;
    let mut merged = load(base)?;
    merge_map(&mut merged, overlay);
    sigs::to_string(&Value::Object(merged)).map_err(MergeError::Write)
}

fn load(file: &[u8]) -> Result<Map<String, Value>, MergeError> {
    let mut all = Map::new();
    for document in documents(file) {
        match sigs::from_slice(&document).map_err(MergeError::Yaml)? {
            Value::Null => {}
            Value::Object(map) => merge_map(&mut all, map),
            other => return Err(MergeError::NoMap { found: word(&other) }),
        }
    }
    Ok(all)
}

fn merge_map(base: &mut Map<String, Value>, overlay: Map<String, Value>) {
    for (key, value) in overlay {
        match (base.get_mut(&key), value) {
            (Some(Value::Object(below)), Value::Object(over)) => merge_map(below, over),
            (_, value) => {
                base.insert(key, value);
            }
        }
    }
}

/// The documents as Kubernetes' reader splits them: at lines of `---`, which may have a comment.
fn documents(file: &[u8]) -> Vec<Vec<u8>> {
    let (mut all, mut current) = (Vec::new(), Vec::new());
    for line in file.split_inclusive(|byte| *byte == b'\n') {
        let rest = line.strip_prefix(b"---").map(<[u8]>::trim_ascii);
        let is_separator = rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(b"#"));
        if is_separator && !current.is_empty() {
            all.push(std::mem::take(&mut current));
        } else {
            current.extend_from_slice(line);
        }
    }
    if !current.is_empty() {
        all.push(current);
    }
    all
}

const fn word(value: &Value) -> &'static str {
    match value {
        Value::Array(_) => "array",
        Value::String(_) => "string",
        Value::Bool(_) => "bool",
        _ => "number",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn merge_replaces_all_but_maps() {
        let base = "b: {x: 1, w: [1, 2]}\na: text\nkept: 0o7\n";
        let overlay = "---\na: {now: map}\n--- # more\nb: {w: [3], z: \"on\"}\n---\nb: {z: on}\n";
        let expected = "a:\n  now: map\nb:\n  w:\n  - 3\n  x: 1\n  z: true\nkept: 7\n";
        assert_eq!(merge(base.as_bytes(), overlay.as_bytes()).unwrap(), expected);
        assert_eq!(merge(b"", b"").unwrap(), "{}\n");
        assert_eq!(merge(b"a: {b: 1}", b"a: null").unwrap(), "a: null\n");
    }

    #[test]
    fn merge_names_what_is_no_map() {
        let error = merge(b"a: 1", b"- 1").unwrap_err();
        assert!(error.to_string().contains("cannot unmarshal array"), "{error}");
        assert!(matches!(merge(b"a: [", b""), Err(MergeError::Yaml(_))));
    }
}
