//! `--set-literal`: only the key has a grammar.

use serde_json::Value as Json;

use super::MAX_NESTED_NAME_LEVEL;
use super::error::{Error, Stop};
use super::parser::{map_at, parse_index};
use super::tree::{Tree, TreeList, TreeMap};

const MAX_DEPTH: usize = 256;
const MAX_ELEMENTS: i64 = 1 << 22;

pub(super) fn parse(target: &TreeMap, text: &str) -> Result<(), Error> {
    let mut parser = Literal {
        rest: text,
        depth: 0,
        elements: 0,
    };
    loop {
        match parser.key(target, 0) {
            Ok(()) => {}
            Err(Stop::End) => return Ok(()),
            Err(Stop::Error(error)) => return Err(error),
        }
    }
}

struct Literal<'t> {
    rest: &'t str,
    depth: usize,
    elements: i64,
}

impl Literal<'_> {
    fn key(&mut self, target: &TreeMap, level: usize) -> Result<(), Stop> {
        if self.depth >= MAX_DEPTH {
            return Err(Error::TooLarge.into());
        }
        self.depth += 1;
        let result = self.key_inside(target, level);
        self.depth -= 1;
        result
    }

    fn key_inside(&mut self, target: &TreeMap, level: usize) -> Result<(), Stop> {
        let (key, last) = self.until(&['=', '[', '.']);
        match last {
            None if key.is_empty() => Err(Stop::End),
            None => Err(Error::NoValue(key).into()),
            Some('=') => {
                let value = self.value();
                target.set(&key, value);
                Ok(())
            }
            Some('[') => {
                let index = self.index()?;
                let list = target
                    .get(&key)
                    .map(|value| value.as_list())
                    .transpose()?
                    .unwrap_or_default();
                let (list, result) = self.item(list, index, level);
                target.set(&key, Tree::List(list));
                result
            }
            Some(_) => self.named(target, key, level + 1),
        }
    }

    fn named(&mut self, target: &TreeMap, key: String, level: usize) -> Result<(), Stop> {
        if level > MAX_NESTED_NAME_LEVEL {
            return Err(Error::TooManyNames.into());
        }
        let inner = target
            .get(&key)
            .map(|value| value.as_map())
            .transpose()?
            .unwrap_or_default();
        let result = self.key(&inner, level);
        if !inner.is_empty() {
            target.set(&key, Tree::Map(inner));
        } else if result.is_ok() {
            return Err(Error::EmptyMap(key).into());
        }
        result
    }

    fn item(&mut self, list: TreeList, index: i64, level: usize) -> (TreeList, Result<(), Stop>) {
        match self.try_item(list.clone(), index, level) {
            Ok(list) => (list, Ok(())),
            Err(stop) => (list, Err(stop)),
        }
    }

    fn try_item(&mut self, list: TreeList, index: i64, level: usize) -> Result<TreeList, Stop> {
        if index < 0 {
            return Err(Error::NegativeIndex(index).into());
        }
        self.elements += index + 1;
        self.depth += 1;
        if self.elements > MAX_ELEMENTS || self.depth > MAX_DEPTH {
            return Err(Error::TooLarge.into());
        }
        let (text, last) = self.until(&['[', '.', '=']);
        if !text.is_empty() {
            return Err(Error::AfterIndex(text).into());
        }
        let value = match last {
            None => return Err(Stop::End),
            Some('=') => self.value(),
            Some('[') => {
                let next = self.index()?;
                let inner = match list.get(index) {
                    None | Some(Tree::Scalar(Json::Null)) => TreeList::default(),
                    Some(other) => other.as_list()?,
                };
                Tree::List(self.try_item(inner, next, level)?)
            }
            Some(_) => {
                let inner = map_at(&list, index)?;
                self.key(&inner, level)?;
                Tree::Map(inner)
            }
        };
        self.depth -= 1;
        Ok(list.set(index, value)?)
    }

    fn index(&mut self) -> Result<i64, Stop> {
        match self.until(&[']']) {
            (_, None) => Err(Stop::End),
            (text, Some(_)) => Ok(parse_index(text)?),
        }
    }

    fn value(&mut self) -> Tree {
        Tree::Scalar(Json::String(std::mem::take(&mut self.rest).to_owned()))
    }

    fn until(&mut self, stops: &[char]) -> (String, Option<char>) {
        let Some(at) = self.rest.find(stops) else {
            return (std::mem::take(&mut self.rest).to_owned(), None);
        };
        let (text, tail) = self.rest.split_at(at);
        let mut tail = tail.chars();
        let last = tail.next();
        self.rest = tail.as_str();
        (text.to_owned(), last)
    }
}
