//! Trees of go-yaml v2 to data.

use std::collections::BTreeMap;

use serde_json::{Map, Value as Json};

use super::value::{GoValue, Scalar, scalar};
use super::{check_depth, plain_json};
use crate::parse::{AliasBudget, alias_targets, parse_first};
use crate::{Dialect, Error, Kind, Limits, Node, ParseOptions, Result, ScalarStyle, Tag, Value};

/// Reads the first document.
pub(crate) fn read(input: &[u8], limits: &Limits, strict: bool) -> Result<Json> {
    let options = ParseOptions {
        dialect: Dialect::V2,
        limits: *limits,
        ..ParseOptions::default()
    };
    let Some(document) = parse_first(input, &options)? else {
        return Ok(Json::Null);
    };
    if !document.has_references
        && let Some(value) = simple(&document.root, strict)
    {
        return Ok(value);
    }
    let mut decoder = Decoder {
        targets: alias_targets(&document.root),
        open_aliases: Vec::new(),
        budget: AliasBudget::default(),
        depth: 0,
        max_depth: limits.depth,
        strict,
        problems: Vec::new(),
    };
    let value = decoder.value(&document.root)?;
    if !decoder.problems.is_empty() {
        return Err(Error::DuplicateKeys(decoder.problems));
    }
    value.into_sigs_json()
}

/// Decodes what needs no second thought: no references, no tags, and keys that are strings.
fn simple(node: &Node, strict: bool) -> Option<Json> {
    match node.kind() {
        Kind::Alias => None,
        Kind::Scalar => {
            let text = node.text()?;
            match node.tag() {
                _ if node.has_explicit_tag() => None,
                Tag::Str => Some(Json::String(text.to_owned())),
                _ => match Dialect::V2.resolve(text) {
                    Value::Timestamp => Some(Json::String(text.to_owned())),
                    value => plain_json(text, value),
                },
            }
        }
        Kind::Sequence => node.items().iter().map(|item| simple(item, strict)).collect(),
        Kind::Mapping => {
            let mut object = Map::new();
            for entry in node.entries() {
                let key = entry.key.as_str();
                let key = key.filter(|_| !entry.key.has_explicit_tag() && !is_merge(&entry.key))?;
                let before = object.insert(key.to_owned(), simple(&entry.value, strict)?);
                if strict && before.is_some() {
                    return None;
                }
            }
            Some(Json::Object(object))
        }
    }
}

/// Decodes a tree whose aliases are still in place: v2 gives a merge key's fields precedence over the
/// keys before it, so that expanding first would lose the order.
struct Decoder<'d> {
    targets: BTreeMap<usize, &'d Node>,
    open_aliases: Vec<&'d Node>,
    budget: AliasBudget,
    /// How deep the value is nested, aliases followed, and how deep it may be.
    depth: usize,
    max_depth: usize,
    strict: bool,
    problems: Vec<String>,
}

type Fields = BTreeMap<Scalar, GoValue>;

impl<'d> Decoder<'d> {
    fn value(&mut self, node: &'d Node) -> Result<GoValue> {
        self.budget.count(!self.open_aliases.is_empty())?;
        check_depth(self.depth, self.max_depth, node)?;
        self.depth += 1;
        let value = self.content(node);
        self.depth -= 1;
        value
    }

    fn content(&mut self, node: &'d Node) -> Result<GoValue> {
        Ok(match node.kind() {
            Kind::Alias => return self.through_alias(node, Self::value),
            Kind::Scalar => GoValue::Scalar(scalar(node, Dialect::V2)?),
            Kind::Sequence => {
                let items = node.items().iter().map(|item| self.value(item));
                GoValue::List(items.collect::<Result<_>>()?)
            }
            Kind::Mapping => {
                let mut fields = Fields::new();
                self.fields(node, &mut fields)?;
                GoValue::Map(fields)
            }
        })
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

    fn fields(&mut self, mapping: &'d Node, fields: &mut Fields) -> Result<()> {
        for entry in mapping.entries() {
            if is_merge(&entry.key) {
                self.merge(&entry.value, fields)?;
                continue;
            }
            let key = match self.value(&entry.key)? {
                GoValue::Scalar(key) => key,
                key => {
                    let problem = format!("invalid map key: {}", key.literal());
                    return Err(Error::Syntax { line: 0, problem });
                }
            };
            let value = self.value(&entry.value)?;
            if self.strict && fields.contains_key(&key) {
                let (line, key) = (entry.value.position().line, key.literal());
                self.problems
                    .push(format!("line {line}: key {key} already set in map"));
                continue;
            }
            fields.insert(key, value);
        }
        Ok(())
    }

    fn merge(&mut self, source: &'d Node, fields: &mut Fields) -> Result<()> {
        if source.kind() != Kind::Sequence {
            return self.merge_one(source, fields);
        }
        // The first source of a list wins, so it goes last.
        source
            .items()
            .iter()
            .rev()
            .try_for_each(|item| self.merge_one(item, fields))
    }

    fn merge_one(&mut self, source: &'d Node, fields: &mut Fields) -> Result<()> {
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
                decoder.fields(target, fields)
            })
        } else {
            self.fields(source, fields)
        }
    }
}

/// An unquoted `<<`, or one that is tagged.
fn is_merge(key: &Node) -> bool {
    let is_plain = key.style() == ScalarStyle::Plain && !key.has_explicit_tag();
    key.text() == Some("<<") && (is_plain || key.tag() == Tag::Merge)
}
