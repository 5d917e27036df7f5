//! `sigs.k8s.io/yaml`: YAML read as JSON data, JSON data written as YAML.
//!
//! Reading follows go-yaml v2: YAML 1.1 booleans, merge keys, the last of equal keys wins, other keys become
//! strings, and only the first document counts.

use serde_json::Value as Json;

use crate::decode::v2::read;
use crate::{EmitOptions, Limits, Result};

/// Reads the first document as JSON data; an empty text is null.
///
/// ```
/// let value = ferro_yaml::sigs::from_slice("on: 0o7\nb: 2001-01-01\n")?;
/// assert_eq!(value, serde_json::json!({"true": 7, "b": "2001-01-01"}));
/// # Ok::<(), ferro_yaml::Error>(())
/// ```
pub fn from_slice(input: impl AsRef<[u8]>) -> Result<Json> {
    read(input.as_ref(), &Limits::default(), false)
}

/// Reads like [`from_slice`], but refuses a mapping that has the same key twice.
pub fn from_slice_strict(input: impl AsRef<[u8]>) -> Result<Json> {
    read(input.as_ref(), &Limits::default(), true)
}

/// Reads like [`from_slice`] within bounds.
pub fn from_slice_limited(input: impl AsRef<[u8]>, limits: &Limits) -> Result<Json> {
    read(input.as_ref(), limits, false)
}

/// Writes JSON data like `JSONToYAML` and Helm's `toYaml`, which trims the final line break.
///
/// ```
/// let value = serde_json::json!({"b": ["yes", 1e6], "a10": 1, "a9": ""});
/// assert_eq!(ferro_yaml::sigs::to_string(&value)?, "a9: \"\"\na10: 1\nb:\n- \"yes\"\n- 1000000\n");
/// # Ok::<(), ferro_yaml::Error>(())
/// ```
pub fn to_string(value: &Json) -> Result<String> {
    crate::emit::write_json(value, &EmitOptions::sigs())
}

/// Writes like [`to_string`], but with keys in the order of their bytes, which is what Flux takes the digest of values of.
///
/// ```
/// let value = serde_json::json!({"a10": 1, "a9": {"b": 1, "B": 2}});
/// assert_eq!(ferro_yaml::sigs::to_string_by_bytes(&value)?, "a10: 1\na9:\n  B: 2\n  b: 1\n");
/// # Ok::<(), ferro_yaml::Error>(())
/// ```
pub fn to_string_by_bytes(value: &Json) -> Result<String> {
    crate::emit::write_json_by_bytes(value, &EmitOptions::sigs())
}

/// Writes JSON data like Helm's `toYamlPretty`: go-yaml v3 with an indentation of two.
pub fn to_string_pretty(value: &Json) -> Result<String> {
    crate::emit::write_json(value, &EmitOptions::pretty())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn merge_keys_follow_their_place() {
        let text = "x: &x {a: 1, b: 2}\nw: {a: 0, <<: *x, b: 3}\nz: {<<: [{a: 5}, *x]}\n";
        let expected = json!({"x": {"a": 1, "b": 2}, "w": {"a": 1, "b": 3}, "z": {"a": 5, "b": 2}});
        assert_eq!(from_slice(text).unwrap(), expected);
    }

    #[test]
    fn only_strict_reading_refuses_equal_keys() {
        let text = "a: 1\nb: 2\na: 3\n";
        assert_eq!(from_slice(text).unwrap(), json!({"a": 3, "b": 2}));
        let error = from_slice_strict(text).unwrap_err();
        assert_eq!(
            error.to_string(),
            "yaml: unmarshal errors:\n  line 3: key \"a\" already set in map"
        );
    }

    #[test]
    fn integers_keep_their_digits() {
        let value = from_slice("[9007199254740993, 18446744073709551615, 1e3, 1e21]").unwrap();
        assert_eq!(value, json!([9_007_199_254_740_993_u64, u64::MAX, 1000, 1e21]));
    }
}
