//! Trees of go-yaml v2 to JSON data.

use std::collections::{BTreeMap, BTreeSet};

use ferro_gocompat::number::{format_g, format_g32};
use ferro_gocompat::quote::quote;
use serde_json::{Map, Value as Json};

use super::literal;
use crate::convert::{self, scalar_value};
use crate::parse::{AliasBudget, alias_targets, parse_first};
use crate::{Dialect, Error, Kind, Limits, Node, ParseOptions, Result, ScalarStyle, Tag, Value};

/// Reads the first document.
pub(super) fn read(input: &[u8], limits: &Limits, strict: bool) -> Result<Json> {
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
        unsupported: None,
    };
    let value = decoder.value(&document.root)?;
    if !decoder.problems.is_empty() {
        return Err(Error::DuplicateKeys(decoder.problems));
    }
    decoder.unsupported.map_or(Ok(value), Err)
}

/// Decodes a tree whose aliases are still in place: v2 gives a merge key's fields precedence over the
/// keys before it, so that expanding first would lose the order.
struct Decoder<'d> {
    targets: BTreeMap<usize, &'d Node>,
    open_aliases: Vec<&'d Node>,
    budget: AliasBudget,
    strict: bool,
    problems: Vec<String>,
    /// A key that has no JSON form, which Go finds only after it decoded all.
    unsupported: Option<Error>,
}

/// Keys before they become strings: those that differ only in type are not equal to go-yaml.
type SeenKeys = BTreeSet<(&'static str, String)>;

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
            let key = self.key(&entry.key)?;
            let value = self.value(&entry.value)?;
            if self.strict && !seen.insert((key.kind, key.literal())) {
                let (line, shown) = (entry.value.position().line, key.literal());
                self.problems
                    .push(format!("line {line}: key {shown} already set in map"));
                continue;
            }
            match key.name {
                Some(name) => drop(object.insert(name, value)),
                None if self.unsupported.is_none() => {
                    let (kind, key) = (key.kind, key.literal());
                    let value = literal::Literals::new(&self.targets).of(&entry.value)?;
                    self.unsupported = Some(Error::UnsupportedKey(format!(
                        "unsupported map key of type: {kind}, key: {key}, value: {value}"
                    )));
                }
                None => {}
            }
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
            let problem = "map merge requires map or sequence of maps as the value".to_owned();
            return Err(Error::Syntax { line: 0, problem });
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

    fn key(&mut self, key: &'d Node) -> Result<Key> {
        self.budget.count(!self.open_aliases.is_empty())?;
        match key.kind() {
            Kind::Alias => return self.through_alias(key, Self::key),
            Kind::Scalar => {}
            _ => {
                let literal = literal::Literals::new(&self.targets).of(key)?;
                return Err(Error::UnsupportedKey(format!("yaml: invalid map key: {literal}")));
            }
        }
        let text = key.text().unwrap_or_default();
        let value = scalar_value(key, Dialect::V2)?;
        let (kind, name, shown) = match value {
            Value::Bool(value) => ("bool", Some(value.to_string()), value.to_string()),
            Value::Int(value) => ("int", Some(value.to_string()), value.to_string()),
            Value::Float(value) => {
                let name = match format_g32(value).as_str() {
                    "+Inf" => ".inf".to_owned(),
                    "-Inf" => "-.inf".to_owned(),
                    "NaN" => ".nan".to_owned(),
                    shown => shown.to_owned(),
                };
                ("float64", Some(name), format_g(value))
            }
            Value::Uint(value) => ("uint64", None, format!("{value:#x}")),
            Value::Null => ("%!s(<nil>)", None, "<nil>".to_owned()),
            Value::Timestamp | Value::Merge | Value::Str => {
                let text = convert::string_of(key, text)?;
                ("string", Some(text), String::new())
            }
        };
        Ok(Key { kind, name, shown })
    }
}

/// A key as Go has it before and after it becomes a string.
struct Key {
    /// Its type in Go.
    kind: &'static str,
    name: Option<String>,
    /// How `%#v` prints it, unless it is a string.
    shown: String,
}

impl Key {
    fn literal(&self) -> String {
        match &self.name {
            Some(name) if self.kind == "string" => quote(name),
            _ => self.shown.clone(),
        }
    }
}

/// An unquoted `<<`, or one that is tagged.
pub(super) fn is_merge(key: &Node) -> bool {
    let is_plain = key.style() == ScalarStyle::Plain && !key.has_explicit_tag();
    key.text() == Some("<<") && (is_plain || key.tag() == Tag::Merge)
}
