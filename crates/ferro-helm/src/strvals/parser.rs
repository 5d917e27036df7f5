//! The parser of everything but literals.

use serde::Deserialize as _;
use serde_json::Value as Json;

use super::MAX_NESTED_NAME_LEVEL;
use super::error::{Error, Stop};
use super::tree::{Tree, TreeList, TreeMap};

/// How deep names and indexes together may go.
const MAX_DEPTH: usize = 256;
/// How many list elements one text may ask for.
const MAX_ELEMENTS: i64 = 1 << 22;

/// What a value becomes.
pub(super) enum Scalar<'p> {
    Typed,
    String,
    Json,
    Loaded(&'p mut dyn FnMut(&str) -> Result<String, String>),
}

pub(super) struct Parser<'p> {
    rest: &'p str,
    scalar: Scalar<'p>,
    depth: usize,
    elements: i64,
}

/// What a value list turned out to be.
enum Value {
    List(Vec<Json>),
    Scalar,
    End,
}

type Parsed<T> = Result<T, Stop>;

impl<'p> Parser<'p> {
    pub(super) fn new(text: &'p str, scalar: Scalar<'p>) -> Self {
        Self {
            rest: text,
            scalar,
            depth: 0,
            elements: 0,
        }
    }

    pub(super) fn parse(mut self, target: &TreeMap) -> Result<(), Error> {
        loop {
            match self.key(target, 0) {
                Ok(()) => {}
                Err(Stop::End) => return Ok(()),
                Err(Stop::Error(error)) => return Err(error),
            }
        }
    }

    fn nested<T>(&mut self, parse: impl FnOnce(&mut Self) -> Parsed<T>) -> Parsed<T> {
        if self.depth >= MAX_DEPTH {
            return Err(Error::TooLarge.into());
        }
        self.depth += 1;
        let result = parse(self);
        self.depth -= 1;
        result
    }

    fn key(&mut self, target: &TreeMap, level: usize) -> Parsed<()> {
        let (key, last) = self.until(&['=', '[', ',', '.']);
        match last {
            None if key.is_empty() => Err(Stop::End),
            None => Err(Error::NoValue(key).into()),
            Some('[') => self.indexed(target, &key, level),
            Some('=') => self.assigned(target, &key),
            Some(',') => Err(Error::EndsWithComma(key).into()),
            Some(_) => self.named(target, key, level + 1),
        }
    }

    fn indexed(&mut self, target: &TreeMap, key: &str, level: usize) -> Parsed<()> {
        let index = self.index()?;
        let list = target
            .get(key)
            .map(|value| value.as_list())
            .transpose()?
            .unwrap_or_default();
        let (list, result) = self.item(list, index, level);
        target.set(key, Tree::List(list));
        result
    }

    fn assigned(&mut self, target: &TreeMap, key: &str) -> Parsed<()> {
        if matches!(self.scalar, Scalar::Json) {
            let value = self.json()?;
            target.set(key, value);
            return Ok(());
        }
        match self.value()? {
            Value::List(items) => target.set(key, items.into()),
            Value::End => {
                target.set(key, Tree::Scalar(Json::String(String::new())));
                return Err(Stop::End);
            }
            Value::Scalar => {
                let (text, _) = self.until(&[',']);
                let value = self.scalar(text)?;
                target.set(key, Tree::Scalar(value));
            }
        }
        Ok(())
    }

    fn named(&mut self, target: &TreeMap, key: String, level: usize) -> Parsed<()> {
        if level > MAX_NESTED_NAME_LEVEL {
            return Err(Error::TooManyNames.into());
        }
        let inner = target
            .get(&key)
            .map(|value| value.as_map())
            .transpose()?
            .unwrap_or_default();
        let result = self.nested(|parser| parser.key(&inner, level));
        if !inner.is_empty() {
            target.set(&key, Tree::Map(inner));
        } else if result.is_ok() {
            return Err(Error::EmptyMap(key).into());
        }
        result
    }

    fn index(&mut self) -> Parsed<i64> {
        let (text, last) = self.until(&[']']);
        if last.is_none() {
            return Err(Stop::End);
        }
        Ok(parse_index(text)?)
    }

    /// Reads what follows `[index]` and returns the list with it; the list counts even when the text ends.
    fn item(&mut self, list: TreeList, index: i64, level: usize) -> (TreeList, Parsed<()>) {
        match self.try_item(list.clone(), index, level) {
            Ok(list) => (list, Ok(())),
            Err(stop) => (list, Err(stop)),
        }
    }

    fn try_item(&mut self, list: TreeList, index: i64, level: usize) -> Parsed<TreeList> {
        if index < 0 {
            return Err(Error::NegativeIndex(index).into());
        }
        self.elements += index + 1;
        if self.elements > MAX_ELEMENTS {
            return Err(Error::TooLarge.into());
        }
        let (text, last) = self.until(&['[', '.', '=']);
        if !text.is_empty() {
            return Err(Error::AfterIndex(text).into());
        }
        match last {
            None => Err(Stop::End),
            Some('=') => {
                let value = self.item_value()?;
                Ok(list.set(index, value)?)
            }
            Some('[') => {
                let next = self.index()?;
                let inner = match list.get(index) {
                    None | Some(Tree::Scalar(Json::Null)) => TreeList::default(),
                    Some(other) => other.as_list()?,
                };
                let (inner, result) = self.nested_item(inner, next, level);
                result?;
                Ok(list.set(index, Tree::List(inner))?)
            }
            Some(_) => {
                let inner = map_at(&list, index)?;
                self.nested(|parser| parser.key(&inner, level))?;
                Ok(list.set(index, Tree::Map(inner))?)
            }
        }
    }

    fn nested_item(&mut self, list: TreeList, index: i64, level: usize) -> (TreeList, Parsed<()>) {
        match self.nested(|parser| Ok(parser.item(list.clone(), index, level))) {
            Ok(result) => result,
            Err(stop) => (list, Err(stop)),
        }
    }

    fn item_value(&mut self) -> Parsed<Tree> {
        if matches!(self.scalar, Scalar::Json) {
            return self.json();
        }
        Ok(match self.value()? {
            Value::List(items) => items.into(),
            Value::End => Tree::Scalar(Json::String(String::new())),
            Value::Scalar => {
                let (text, _) = self.until(&[',']);
                Tree::Scalar(self.scalar(text)?)
            }
        })
    }

    /// Reads a list in braces, if there is one.
    fn value(&mut self) -> Parsed<Value> {
        if self.rest.is_empty() {
            return Ok(Value::End);
        }
        let Some(rest) = self.rest.strip_prefix('{') else {
            return Ok(Value::Scalar);
        };
        self.rest = rest;
        let mut items = Vec::new();
        loop {
            let (text, last) = self.until(&[',', '}']);
            match last {
                None => return Err(Error::UnterminatedList.into()),
                Some('}') => {
                    self.rest = self.rest.strip_prefix(',').unwrap_or(self.rest);
                    items.push(self.scalar(text)?);
                    return Ok(Value::List(items));
                }
                Some(_) => items.push(self.scalar(text)?),
            }
        }
    }

    fn scalar(&mut self, text: String) -> Parsed<Json> {
        Ok(match &mut self.scalar {
            Scalar::Typed => typed(text),
            Scalar::String | Scalar::Json => Json::String(text),
            Scalar::Loaded(load) => Json::String(load(&text).map_err(Error::Load)?),
        })
    }

    /// Reads a JSON value and the comma behind it; nothing is null.
    fn json(&mut self) -> Parsed<Tree> {
        if self.is_blank() {
            return Ok(Tree::Scalar(Json::Null));
        }
        let mut decoder = serde_json::Deserializer::from_str(without_digits_after_zero(self.rest));
        // Whatever follows the value is none of its business: a stream would want space after a number.
        let value = Json::deserialize(&mut decoder).map_err(|error| Error::Json(error.to_string()))?;
        let end = decoder.into_iter::<Json>().byte_offset();
        self.rest = self.rest.get(end..).unwrap_or_default();
        self.is_blank();
        Ok(Tree::from_json(crate::values::with_float_numbers(value)))
    }

    /// Skips space up to a comma or the end, and tells whether that is where it came.
    fn is_blank(&mut self) -> bool {
        self.rest = self.rest.trim_start();
        match self.rest.strip_prefix(',') {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => self.rest.is_empty(),
        }
    }

    /// Reads up to one of the characters, which is consumed; a backslash takes the next one along.
    fn until(&mut self, stops: &[char]) -> (String, Option<char>) {
        let mut text = String::new();
        let mut chars = self.rest.chars();
        let mut last = None;
        while let Some(c) = chars.next() {
            if stops.contains(&c) {
                last = Some(c);
                break;
            }
            if c == '\\' {
                text.extend(chars.next());
            } else {
                text.push(c);
            }
        }
        self.rest = chars.as_str();
        (text, last)
    }
}

/// To Go a number that begins with zero ends there unless a point or an exponent follows; here it would be an error.
fn without_digits_after_zero(text: &str) -> &str {
    let digits = text.strip_prefix('-').unwrap_or(text);
    match digits.as_bytes() {
        [b'0', next, ..] if next.is_ascii_digit() => text.get(..=text.len() - digits.len()).unwrap_or(text),
        _ => text,
    }
}

/// The map at an index of a list; something else there makes way for one.
pub(super) fn map_at(list: &TreeList, index: i64) -> Result<TreeMap, Error> {
    match list.get(index) {
        Some(Tree::Map(map)) => Ok(map),
        Some(_) => {
            let map = TreeMap::default();
            list.clone().set(index, Tree::Map(map.clone()))?;
            Ok(map)
        }
        None => Ok(TreeMap::default()),
    }
}

pub(super) fn parse_index(text: String) -> Result<i64, Error> {
    use std::num::IntErrorKind;
    text.parse()
        .map_err(|error: std::num::ParseIntError| Error::Index {
            problem: match error.kind() {
                IntErrorKind::PosOverflow | IntErrorKind::NegOverflow => "value out of range",
                _ => "invalid syntax",
            },
            text,
        })
}

fn typed(text: String) -> Json {
    // Go folds the long s, too.
    let folded = text.to_lowercase().replace('ſ', "s");
    match folded.as_str() {
        "true" => Json::Bool(true),
        "false" => Json::Bool(false),
        "null" => Json::Null,
        "0" => Json::from(0_i64),
        _ if text.starts_with('0') => Json::String(text),
        _ => text.parse::<i64>().map_or(Json::String(text), Json::from),
    }
}
