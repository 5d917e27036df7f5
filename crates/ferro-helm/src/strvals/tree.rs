//! Values as Go holds them: maps and lists are references, and who else holds one sees a change.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use serde_json::{Map, Value as Json};

use super::MAX_INDEX;
use super::error::Error;

/// A value that may be shared.
#[derive(Clone, Debug)]
pub enum Tree {
    /// Null, a boolean, a number or a string.
    Scalar(Json),
    /// A list.
    List(TreeList),
    /// A map.
    Map(TreeMap),
}

/// A list: as in Go, growing makes a new one and setting an element does not.
#[derive(Clone, Debug, Default)]
pub struct TreeList(Rc<RefCell<Vec<Tree>>>);

/// A map.
#[derive(Clone, Debug, Default)]
pub struct TreeMap(Rc<RefCell<BTreeMap<String, Tree>>>);

impl Tree {
    /// Takes JSON data.
    pub fn from_json(value: Json) -> Self {
        match value {
            Json::Array(items) => {
                let items = items.into_iter().map(Self::from_json).collect();
                Self::List(TreeList(Rc::new(RefCell::new(items))))
            }
            Json::Object(object) => Self::Map(TreeMap::from_json(object)),
            scalar => Self::Scalar(scalar),
        }
    }

    /// Returns a copy as JSON data.
    pub fn to_json(&self) -> Json {
        match self {
            Self::Scalar(scalar) => scalar.clone(),
            Self::List(list) => list.0.borrow().iter().map(Self::to_json).collect(),
            Self::Map(map) => Json::Object(map.to_json()),
        }
    }

    /// The Go type of the value.
    pub(super) fn go_type(&self) -> &'static str {
        match self {
            Self::Scalar(Json::Null) => "nil",
            Self::Scalar(Json::Bool(_)) => "bool",
            Self::Scalar(Json::Number(number)) if number.is_f64() => "float64",
            Self::Scalar(Json::Number(_)) => "int64",
            Self::Scalar(_) => "string",
            Self::List(_) => "[]interface {}",
            Self::Map(_) => "map[string]interface {}",
        }
    }

    pub(super) fn as_map(&self) -> Result<TreeMap, Error> {
        match self {
            Self::Map(map) => Ok(map.clone()),
            other => Err(Error::Mismatch {
                found: other.go_type(),
                wanted: "map[string]interface {}",
            }),
        }
    }

    pub(super) fn as_list(&self) -> Result<TreeList, Error> {
        match self {
            Self::List(list) => Ok(list.clone()),
            other => Err(Error::Mismatch {
                found: other.go_type(),
                wanted: "[]interface {}",
            }),
        }
    }
}

impl TreeMap {
    /// Takes JSON data.
    pub fn from_json(object: Map<String, Json>) -> Self {
        let entries = object
            .into_iter()
            .map(|(key, value)| (key, Tree::from_json(value)))
            .collect();
        Self(Rc::new(RefCell::new(entries)))
    }

    /// Returns a copy as JSON data.
    pub fn to_json(&self) -> Map<String, Json> {
        let entries = self.0.borrow();
        entries
            .iter()
            .map(|(key, value)| (key.clone(), value.to_json()))
            .collect()
    }

    /// Returns the value of a key; maps and lists are shared with it.
    pub fn get(&self, key: &str) -> Option<Tree> {
        self.0.borrow().get(key).cloned()
    }

    /// Sets the value of a key.
    pub fn insert(&self, key: &str, value: Tree) {
        self.0.borrow_mut().insert(key.to_owned(), value);
    }

    /// Tells whether there are no keys.
    pub fn is_empty(&self) -> bool {
        self.0.borrow().is_empty()
    }

    /// Makes a map of the entries of both, those of `over` first; maps under one key are merged alike, all
    /// else is shared.
    #[must_use]
    pub fn merged(&self, over: &Self) -> Self {
        let mut merged = self.0.borrow().clone();
        for (key, value) in &*over.0.borrow() {
            let value = match (merged.get(key), value) {
                (Some(Tree::Map(under)), Tree::Map(over)) => Tree::Map(under.merged(over)),
                _ => value.clone(),
            };
            merged.insert(key.clone(), value);
        }
        Self(Rc::new(RefCell::new(merged)))
    }

    /// Sets the value of a key, unless the key is empty.
    pub(super) fn set(&self, key: &str, value: Tree) {
        if !key.is_empty() {
            self.insert(key, value);
        }
    }
}

impl TreeList {
    pub(super) fn get(&self, index: i64) -> Option<Tree> {
        self.0.borrow().get(usize::try_from(index).ok()?).cloned()
    }

    /// Sets an element in place if there is one, and otherwise in a longer copy.
    pub(super) fn set(self, index: i64, value: Tree) -> Result<Self, Error> {
        if index > MAX_INDEX {
            return Err(Error::IndexTooLarge(index));
        }
        let at = usize::try_from(index).map_err(|_| Error::NegativeIndex(index))?;
        if let Some(slot) = self.0.borrow_mut().get_mut(at) {
            *slot = value;
            return Ok(self.clone());
        }
        let mut items = self.0.borrow().clone();
        items.resize(at, Tree::Scalar(Json::Null));
        items.push(value);
        Ok(Self(Rc::new(RefCell::new(items))))
    }
}

impl From<Vec<Json>> for Tree {
    fn from(items: Vec<Json>) -> Self {
        Self::from_json(Json::Array(items))
    }
}
