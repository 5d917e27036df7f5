//! Between trees and JSON values.

use serde_json::{Map, Value as Json};

use crate::decode::{self, plain_json};
use crate::{
    Dialect, EmitOptions, Entry, Kind, Mapping, Node, ParseOptions, Result, ScalarStyle, Tag, Value,
    to_string,
};

impl Node {
    /// Returns the tree as JSON data, as kyaml does: by writing it and reading that back, with strings for
    /// timestamps. Fails for duplicate keys, keys that are not strings, and numbers that JSON lacks.
    pub fn to_json(&self) -> Result<Json> {
        match fast(self, false) {
            Some(value) => Ok(value),
            None => self.through_text(),
        }
    }

    /// Returns the tree as JSON data without writing it first: errors name lines of the text that it was read from.
    pub fn decode(&self) -> Result<Json> {
        match fast(self, false) {
            Some(value) => Ok(value),
            None => decode::v3::decode(self, &ParseOptions::default()),
        }
    }

    /// Shows the data that the tree holds as Go's `%#v` does.
    pub fn to_go_syntax(&self) -> Result<String> {
        decode::v3::literal(self)
    }

    /// Takes the way that kyaml takes, for its errors name lines of the written text.
    fn through_text(&self) -> Result<Json> {
        let text = to_string(self, &EmitOptions::kyaml())?;
        decode::v3::read(text.as_bytes())
    }

    /// Makes a tree of JSON data; object keys come in byte order.
    pub fn from_json(value: &Json) -> Self {
        match value {
            Json::Null => Self::null(),
            Json::Bool(value) => Self::bool(*value),
            Json::Number(number) => {
                let text = ferro_gocompat::json::number_to_string(number);
                let tag = Dialect::V3.resolve(&text).tag();
                Self::scalar(text, tag)
            }
            Json::String(text) => Self::string(text),
            Json::Array(items) => Self::sequence(items.iter().map(Self::from_json).collect::<Vec<_>>()),
            Json::Object(object) => {
                let mut entries: Vec<_> = object.iter().collect();
                entries.sort_unstable_by_key(|(key, _)| *key);
                let entry = |(key, value): (&String, &Json)| Entry::from((key, Self::from_json(value)));
                Self::mapping(entries.into_iter().map(entry).collect::<Mapping>())
            }
        }
    }
}

/// Converts what needs no second thought; `None` sends the caller the long way.
fn fast(node: &Node, in_flow: bool) -> Option<Json> {
    if node.has_explicit_tag() {
        return None;
    }
    match node.kind() {
        Kind::Alias => None,
        Kind::Scalar => fast_scalar(node, in_flow),
        Kind::Sequence => {
            let in_flow = in_flow || node.is_flow();
            node.items().iter().map(|item| fast(item, in_flow)).collect()
        }
        Kind::Mapping => {
            let in_flow = in_flow || node.is_flow();
            let mut object = Map::new();
            for entry in node.entries() {
                let key = entry.key.as_str().filter(|_| !entry.key.has_explicit_tag())?;
                if object
                    .insert(key.to_owned(), fast(&entry.value, in_flow)?)
                    .is_some()
                {
                    return None;
                }
            }
            Some(Json::Object(object))
        }
    }
}

fn fast_scalar(node: &Node, in_flow: bool) -> Option<Json> {
    let text = node.text()?;
    let is_untagged = node.tag() == Tag::Unset;
    let value = Dialect::V3.resolve(text);
    if node.tag() == Tag::Str || (is_untagged && (value == Value::Str || node.style() != ScalarStyle::Plain))
    {
        // Characters that go-yaml does not write faithfully, or not at all.
        let is_faithful =
            |c: char| matches!(c, '\n' | ' '..='~' | '\u{A0}'..='\u{2027}' | '\u{202A}'..='\u{D7FF}');
        let block = matches!(node.style(), ScalarStyle::Literal | ScalarStyle::Folded);
        return (!block && text.chars().all(is_faithful)).then(|| Json::String(text.to_owned()));
    }
    // Within brackets, text with a colon is written in quotes, even where it is a time.
    if node.style() != ScalarStyle::Plain || (in_flow && (text.is_empty() || text.contains(':'))) {
        return None;
    }
    if (value.tag() != node.tag() && !is_untagged) || value == Value::Merge {
        return None;
    }
    plain_json(text, value)
}
