//! `sigs.k8s.io/yaml`: YAML read as JSON data, JSON data written as YAML.
//!
//! Reading follows go-yaml v2: YAML 1.1 booleans, merge keys, the last of equal keys wins, other keys become
//! strings, and only the first document counts.

use std::collections::BTreeMap;

use ferro_gocompat::number::format_g32;
use ferro_gocompat::quote::quote;
use serde_json::{Map, Value as Json};

use crate::convert::{self, scalar_value};
use crate::parse::{AliasBudget, alias_targets, parse_first};
use crate::{Dialect, EmitOptions, Error, Kind, Limits, Node, ParseOptions, Result, ScalarStyle, Tag, Value};

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

/// Writes JSON data like Helm's `toYamlPretty`: go-yaml v3 with an indentation of two.
pub fn to_string_pretty(value: &Json) -> Result<String> {
    crate::emit::write_json(value, &EmitOptions::pretty())
}

fn read(input: &[u8], limits: &Limits, strict: bool) -> Result<Json> {
    let options = ParseOptions {
        dialect: Dialect::V2,
        limits: *limits,
        ..ParseOptions::default()
    };
    let Some(document) = parse_first(input, &options)? else {
        return Ok(Json::Null);
    };
    let targets = if document.has_references {
        alias_targets(&document.root)
    } else {
        BTreeMap::new()
    };
    let mut decoder = Decoder {
        targets,
        open_aliases: Vec::new(),
        budget: AliasBudget::default(),
        strict,
        problems: Vec::new(),
    };
    let value = decoder.value(&document.root)?;
    if decoder.problems.is_empty() {
        Ok(value)
    } else {
        Err(Error::DuplicateKeys(decoder.problems))
    }
}

/// Decodes a tree whose aliases are still in place: v2 gives a merge key's fields precedence over the
/// keys before it, so that expanding first would lose the order.
struct Decoder<'d> {
    targets: BTreeMap<usize, &'d Node>,
    open_aliases: Vec<&'d Node>,
    budget: AliasBudget,
    strict: bool,
    problems: Vec<String>,
}

/// A key before it becomes a string, for keys that differ only in type are not equal to go-yaml.
type SeenKeys = Vec<(Tag, String)>;

impl<'d> Decoder<'d> {
    fn value(&mut self, node: &'d Node) -> Result<Json> {
        self.budget.count(!self.open_aliases.is_empty())?;
        match node.kind() {
            Kind::Alias => self.through_alias(node, Self::value),
            Kind::Scalar => convert::json_scalar(node, Dialect::V2),
            Kind::Sequence => node.items().iter().map(|item| self.value(item)).collect(),
            Kind::Mapping => {
                let (mut object, mut seen) = (Map::new(), SeenKeys::new());
                self.fields(node, &mut object, &mut seen)?;
                Ok(Json::Object(object))
            }
        }
    }

    fn through_alias<T>(
        &mut self,
        alias: &'d Node,
        visit: impl FnOnce(&mut Self, &'d Node) -> Result<T>,
    ) -> Result<T> {
        let name = || alias.alias_name().unwrap_or_default().to_owned();
        if self.open_aliases.iter().any(|open| std::ptr::eq(*open, alias)) {
            return Err(Error::RecursiveAlias { name: name() });
        }
        let Some(target) = self.target(alias) else {
            return Err(Error::UnknownAnchor {
                name: name(),
                line: alias.position().line,
            });
        };
        self.open_aliases.push(alias);
        let result = visit(self, target);
        self.open_aliases.pop();
        result
    }

    fn target(&self, alias: &'d Node) -> Option<&'d Node> {
        self.targets.get(&std::ptr::from_ref(alias).addr()).copied()
    }

    fn fields(
        &mut self,
        mapping: &'d Node,
        object: &mut Map<String, Json>,
        seen: &mut SeenKeys,
    ) -> Result<()> {
        for entry in mapping.entries() {
            if is_merge(&entry.key) {
                self.merge(&entry.value, object, seen)?;
                continue;
            }
            let (tag, key) = self.key(&entry.key)?;
            let value = self.value(&entry.value)?;
            if self.strict {
                if seen.iter().any(|(other, text)| *other == tag && *text == key) {
                    let line = entry.value.position().line;
                    let shown = if tag == Tag::Str { quote(&key) } else { key };
                    self.problems
                        .push(format!("line {line}: key {shown} already set in map"));
                    continue;
                }
                seen.push((tag, key.clone()));
            }
            object.insert(key, value);
        }
        Ok(())
    }

    fn merge(&mut self, source: &'d Node, object: &mut Map<String, Json>, seen: &mut SeenKeys) -> Result<()> {
        if source.kind() != Kind::Sequence {
            return self.merge_one(source, object, seen);
        }
        // The first source of a list wins, so it goes last.
        source
            .items()
            .iter()
            .rev()
            .try_for_each(|item| self.merge_one(item, object, seen))
    }

    fn merge_one(
        &mut self,
        source: &'d Node,
        object: &mut Map<String, Json>,
        seen: &mut SeenKeys,
    ) -> Result<()> {
        let is_mapping = match source.kind() {
            Kind::Alias => self.target(source).is_some_and(Node::is_mapping),
            kind => kind == Kind::Mapping,
        };
        if !is_mapping {
            let problem = "map merge requires map or sequence of maps as the value";
            return Err(Error::Merge { line: 0, problem });
        }
        self.budget.count(!self.open_aliases.is_empty())?;
        if source.kind() == Kind::Alias {
            self.through_alias(source, |decoder, target| {
                decoder.budget.count(true)?;
                decoder.fields(target, object, seen)
            })
        } else {
            self.fields(source, object, seen)
        }
    }

    fn key(&mut self, key: &'d Node) -> Result<(Tag, String)> {
        self.budget.count(!self.open_aliases.is_empty())?;
        let key = match key.kind() {
            Kind::Alias => return self.through_alias(key, Self::key),
            Kind::Scalar => key,
            _ => return Err(Error::UnsupportedKey("yaml: invalid map key".to_owned())),
        };
        let text = key.text().unwrap_or_default();
        let value = scalar_value(key, Dialect::V2)?;
        let shown = match value {
            Value::Bool(value) => value.to_string(),
            Value::Int(value) => value.to_string(),
            Value::Float(value) => match format_g32(value).as_str() {
                "+Inf" => ".inf".to_owned(),
                "-Inf" => "-.inf".to_owned(),
                "NaN" => ".nan".to_owned(),
                shown => shown.to_owned(),
            },
            Value::Uint(value) => return Err(unsupported_key("uint64", &format!("{value:#x}"))),
            Value::Null => return Err(unsupported_key("%!s(<nil>)", "<nil>")),
            Value::Timestamp | Value::Merge | Value::Str => {
                return Ok((Tag::Str, convert::string_of(key, text)?));
            }
        };
        Ok((value.tag(), shown))
    }
}

fn unsupported_key(kind: &str, key: &str) -> Error {
    Error::UnsupportedKey(format!("unsupported map key of type: {kind}, key: {key}"))
}

/// An unquoted `<<`, or one that is tagged.
fn is_merge(key: &Node) -> bool {
    let is_plain = key.style() == ScalarStyle::Plain && !key.has_explicit_tag();
    key.text() == Some("<<") && (is_plain || key.tag() == Tag::Merge)
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
