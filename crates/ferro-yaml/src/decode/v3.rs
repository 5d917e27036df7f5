//! Trees of go-yaml v3 to data: what kyaml does to make JSON of a resource.

use std::collections::{BTreeMap, BTreeSet};

use ferro_gocompat::quote::quote;
use serde_json::Value as Json;

use super::value::{GoValue, Scalar, scalar};
use super::{check_depth, scalar_value, string_of};
use crate::parse::{AliasBudget, alias_targets, parse_first};
use crate::{Dialect, Entry, Error, Kind, Node, ParseOptions, Result, Tag, Value};

/// How many problems are listed; Go lists all.
const MAX_PROBLEMS: usize = 1000;

/// Reads the first document as a list, or as a mapping with text for keys.
pub(crate) fn read(input: &[u8]) -> Result<Json> {
    let options = ParseOptions::default();
    match parse_first(input, &options)? {
        Some(document) => decode(&document.root, &options),
        None => Ok(Json::Null),
    }
}

/// Decodes a tree as it is; errors name lines of the text that it was read from.
pub(crate) fn decode(root: &Node, options: &ParseOptions) -> Result<Json> {
    go_value(root, options)?.into_json()
}

/// Prints a tree, as it is, like `%#v` prints what it decodes to.
pub(crate) fn literal(root: &Node) -> Result<String> {
    Ok(go_value(root, &ParseOptions::default())?.literal())
}

fn go_value(root: &Node, options: &ParseOptions) -> Result<GoValue> {
    let mut decoder = Decoder {
        targets: alias_targets(root),
        open_aliases: Vec::new(),
        budget: AliasBudget::default(),
        depth: 0,
        max_depth: options.limits.depth,
        problems: Vec::new(),
    };
    let value = if root.is_mapping() {
        decoder.count()?;
        decoder.record(root)?
    } else {
        decoder.value(root)?
    };
    if !decoder.problems.is_empty() {
        return Err(Error::DuplicateKeys(decoder.problems));
    }
    Ok(value.unwrap_or(GoValue::Scalar(Scalar::Nil)))
}

struct Decoder<'d> {
    targets: BTreeMap<usize, &'d Node>,
    open_aliases: Vec<&'d Node>,
    budget: AliasBudget,
    /// How deep the value is nested, aliases followed, and how deep it may be.
    depth: usize,
    max_depth: usize,
    problems: Vec<String>,
}

/// The mapping that is being filled.
enum Target<'t> {
    Map(&'t mut BTreeMap<Scalar, GoValue>),
    Record(&'t mut BTreeMap<String, GoValue>),
}

impl<'d> Decoder<'d> {
    fn count(&mut self) -> Result<()> {
        self.budget.count(!self.open_aliases.is_empty())
    }

    /// Decodes a value; there is none if a problem was noted that is its own.
    fn value(&mut self, node: &'d Node) -> Result<Option<GoValue>> {
        self.count()?;
        check_depth(self.depth, self.max_depth, node)?;
        self.depth += 1;
        let value = self.content(node);
        self.depth -= 1;
        value
    }

    fn content(&mut self, node: &'d Node) -> Result<Option<GoValue>> {
        match node.kind() {
            Kind::Alias => self.through_alias(node, Self::value),
            Kind::Scalar => Ok(Some(GoValue::Scalar(scalar(node, Dialect::V3)?))),
            Kind::Sequence => {
                let items = node.items().iter().map(|item| self.value(item));
                let items = items.filter_map(Result::transpose);
                Ok(Some(GoValue::List(items.collect::<Result<_>>()?)))
            }
            Kind::Mapping if self.has_text_keys(node) => self.record(node),
            Kind::Mapping => {
                let mut fields = BTreeMap::new();
                let is_good = self.mapping(node, &mut Target::Map(&mut fields), &mut None)?;
                Ok(is_good.then_some(GoValue::Map(fields)))
            }
        }
    }

    fn record(&mut self, node: &'d Node) -> Result<Option<GoValue>> {
        let mut fields = BTreeMap::new();
        let is_good = self.mapping(node, &mut Target::Record(&mut fields), &mut None)?;
        Ok(is_good.then_some(GoValue::Record(fields)))
    }

    fn has_text_keys(&self, node: &Node) -> bool {
        node.entries().iter().all(|entry| {
            let key = match entry.key.kind() {
                Kind::Alias => self.target(&entry.key).unwrap_or(&entry.key),
                _ => &entry.key,
            };
            matches!(key.tag(), Tag::Str | Tag::Merge)
        })
    }

    fn target(&self, alias: &Node) -> Option<&'d Node> {
        self.targets.get(&std::ptr::from_ref(alias).addr()).copied()
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

    /// Fills `target`; `merged` has the keys that are set already while a merge key is followed.
    fn mapping(
        &mut self,
        node: &'d Node,
        target: &mut Target<'_>,
        merged: &mut Option<BTreeSet<Scalar>>,
    ) -> Result<bool> {
        let entries = node.entries();
        if has_equal_keys(entries) {
            self.list_equal_keys(entries);
            return Ok(false);
        }
        let mut merge = None;
        for entry in entries {
            if is_merge(&entry.key) {
                merge = Some(&entry.value);
                continue;
            }
            let key = match target {
                Target::Map(_) => self.any_key(&entry.key)?,
                Target::Record(_) => self.text_key(&entry.key)?.map(Scalar::Text),
            };
            let Some(key) = key else {
                continue;
            };
            if let Some(merged) = merged
                && !merged.insert(key.clone())
            {
                continue;
            }
            if let Some(value) = self.value(&entry.value)? {
                match (&mut *target, key) {
                    (Target::Record(fields), Scalar::Text(name)) => drop(fields.insert(name, value)),
                    (Target::Record(_), _) => {}
                    (Target::Map(fields), key) => drop(fields.insert(key, value)),
                }
            }
        }
        match merge {
            Some(source) => self.merge(node, source, target, merged).map(|()| true),
            None => Ok(true),
        }
    }

    fn any_key(&mut self, key: &'d Node) -> Result<Option<Scalar>> {
        match self.value(key)? {
            Some(GoValue::Scalar(key)) => Ok(Some(key)),
            None => Ok(None),
            Some(key) => {
                let problem = format!("invalid map key: {}", key.literal());
                Err(Error::Syntax { line: 0, problem })
            }
        }
    }

    /// Decodes a key as text, whatever it reads as; a null is none.
    fn text_key(&mut self, key: &'d Node) -> Result<Option<String>> {
        self.count()?;
        let text = match key.kind() {
            Kind::Alias => return self.through_alias(key, Self::text_key),
            Kind::Scalar => key.text().unwrap_or_default(),
            Kind::Mapping if has_equal_keys(key.entries()) => {
                self.list_equal_keys(key.entries());
                return Ok(None);
            }
            Kind::Mapping | Kind::Sequence => {
                let (line, tag) = (key.position().line, key.tag_name());
                self.note(format!("line {line}: cannot unmarshal {tag} into string"));
                return Ok(None);
            }
        };
        match scalar_value(key, Dialect::V3)? {
            Value::Null => Ok(None),
            _ => string_of(key, text).map(Some),
        }
    }

    fn merge(
        &mut self,
        parent: &'d Node,
        source: &'d Node,
        target: &mut Target<'_>,
        merged: &mut Option<BTreeSet<Scalar>>,
    ) -> Result<()> {
        let mut own = None;
        let merged = if merged.is_some() {
            merged
        } else {
            let mut keys = BTreeSet::new();
            for entry in parent.entries() {
                keys.extend(self.any_key(&entry.key)?);
            }
            own.insert(Some(keys))
        };
        if source.kind() != Kind::Sequence {
            return self.merge_one(source, target, merged);
        }
        source
            .items()
            .iter()
            .try_for_each(|item| self.merge_one(item, target, merged))
    }

    fn merge_one(
        &mut self,
        source: &'d Node,
        target: &mut Target<'_>,
        merged: &mut Option<BTreeSet<Scalar>>,
    ) -> Result<()> {
        let mapping = match source.kind() {
            Kind::Alias => self.target(source).filter(|target| target.is_mapping()),
            Kind::Mapping => Some(source),
            _ => None,
        };
        let Some(mapping) = mapping else {
            let problem = "map merge requires map or sequence of maps as the value".to_owned();
            return Err(Error::Syntax { line: 0, problem });
        };
        self.count()?;
        if source.kind() == Kind::Alias {
            self.through_alias(source, |decoder, _| {
                decoder.count()?;
                decoder.mapping(mapping, target, merged)
            })?;
        } else {
            self.mapping(mapping, target, merged)?;
        }
        Ok(())
    }

    fn note(&mut self, problem: String) {
        if self.problems.len() < MAX_PROBLEMS {
            self.problems.push(problem);
        }
    }

    fn list_equal_keys(&mut self, entries: &[Entry]) {
        for (index, first) in entries.iter().enumerate() {
            let identity = key_identity(&first.key);
            for second in entries.iter().skip(index + 1) {
                if key_identity(&second.key) != identity {
                    continue;
                }
                if self.problems.len() >= MAX_PROBLEMS {
                    return;
                }
                let (line, defined) = (second.key.position().line, first.key.position().line);
                let key = quote(identity.1);
                self.note(format!(
                    "line {line}: mapping key {key} already defined at line {defined}"
                ));
            }
        }
    }
}

/// What go-yaml compares of keys: the kind, and the text, which for an alias is the anchor's name.
fn key_identity(key: &Node) -> (u8, &str) {
    let text = key.text().or_else(|| key.alias_name());
    (key.kind() as u8, text.unwrap_or_default())
}

fn has_equal_keys(entries: &[Entry]) -> bool {
    let mut seen = BTreeSet::new();
    !entries.iter().all(|entry| seen.insert(key_identity(&entry.key)))
}

fn is_merge(key: &Node) -> bool {
    key.tag() == Tag::Merge && key.text() == Some("<<")
}
