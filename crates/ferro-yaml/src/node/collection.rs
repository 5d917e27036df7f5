//! Sequences and mappings, shared until changed.

use std::ops::Deref;

use ecow::EcoVec;

use super::{Node, Tag};
use crate::Text;

/// A key and its value.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// The key; a scalar in anything Kubernetes accepts.
    pub key: Node,
    /// The value.
    pub value: Node,
}

impl Entry {
    /// Makes an entry.
    pub fn new(key: Node, value: Node) -> Self {
        Self { key, value }
    }

    /// Returns the key's text when the key is a scalar.
    pub fn name(&self) -> Option<&str> {
        self.key.text()
    }
}

impl<K: Into<Text>> From<(K, Node)> for Entry {
    fn from((key, value): (K, Node)) -> Self {
        Self {
            key: Node::scalar(key, Tag::Str),
            value,
        }
    }
}

/// The items of a sequence; reads like a slice.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sequence(EcoVec<Node>);

/// The entries of a mapping in their order; reads like a slice.
///
/// Lookups walk the entries: Kubernetes mappings are short, and a table beside each would cost more than
/// it saves. Duplicate keys are kept; a lookup finds the first.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Mapping(EcoVec<Entry>);

impl Deref for Sequence {
    type Target = [Node];

    fn deref(&self) -> &[Node] {
        self.0.as_slice()
    }
}

impl Deref for Mapping {
    type Target = [Entry];

    fn deref(&self) -> &[Entry] {
        self.0.as_slice()
    }
}

macro_rules! collection {
    ($collection:ident, $item:ident) => {
        impl $collection {
            /// Makes an empty one.
            pub fn new() -> Self {
                Self(EcoVec::new())
            }

            /// Makes an empty one with room for `capacity`.
            pub fn with_capacity(capacity: usize) -> Self {
                Self(EcoVec::with_capacity(capacity))
            }

            /// Gives write access to all, copying this level if it is shared.
            pub fn as_mut_slice(&mut self) -> &mut [$item] {
                self.0.make_mut()
            }

            /// Appends one.
            pub fn push(&mut self, item: impl Into<$item>) {
                self.0.push(item.into());
            }

            /// Puts one at `index`, or at the end when the index is past it.
            pub fn insert_at(&mut self, index: usize, item: impl Into<$item>) {
                self.0.insert(index.min(self.0.len()), item.into());
            }

            /// Takes out the one at `index`.
            pub fn remove_at(&mut self, index: usize) -> Option<$item> {
                (index < self.0.len()).then(|| self.0.remove(index))
            }

            /// Keeps those for which `keep` says so.
            pub fn retain(&mut self, mut keep: impl FnMut(&$item) -> bool) {
                if self.0.iter().all(&mut keep) {
                    return;
                }
                self.0 = self.0.iter().filter(|item| keep(item)).cloned().collect();
            }

            /// Removes all.
            pub fn clear(&mut self) {
                self.0.clear();
            }
        }

        impl From<Vec<$item>> for $collection {
            fn from(items: Vec<$item>) -> Self {
                items.into_iter().collect()
            }
        }

        impl<T: Into<$item>, const N: usize> From<[T; N]> for $collection {
            fn from(items: [T; N]) -> Self {
                items.into_iter().collect()
            }
        }

        impl<T: Into<$item>> FromIterator<T> for $collection {
            fn from_iter<I: IntoIterator<Item = T>>(items: I) -> Self {
                let items = items.into_iter();
                let mut collected = EcoVec::with_capacity(items.size_hint().0);
                collected.extend(items.map(Into::into));
                Self(collected)
            }
        }

        impl IntoIterator for $collection {
            type Item = $item;
            type IntoIter = ecow::vec::IntoIter<$item>;

            fn into_iter(self) -> Self::IntoIter {
                self.0.into_iter()
            }
        }

        impl<'a> IntoIterator for &'a $collection {
            type Item = &'a $item;
            type IntoIter = std::slice::Iter<'a, $item>;

            fn into_iter(self) -> Self::IntoIter {
                self.0.iter()
            }
        }
    };
}

collection!(Sequence, Node);
collection!(Mapping, Entry);

impl Mapping {
    /// Finds where the entry of `key` is.
    pub fn index_of(&self, key: &str) -> Option<usize> {
        self.iter().position(|entry| entry.name() == Some(key))
    }

    /// Returns the value of `key`.
    pub fn get(&self, key: &str) -> Option<&Node> {
        self.iter()
            .find(|entry| entry.name() == Some(key))
            .map(|entry| &entry.value)
    }

    /// Returns the value of `key` for writing; copies this level only if it is shared and has the key.
    pub fn get_mut(&mut self, key: &str) -> Option<&mut Node> {
        let index = self.index_of(key)?;
        self.as_mut_slice().get_mut(index).map(|entry| &mut entry.value)
    }

    /// Sets the value of `key`, in its place or at the end, and returns the old one.
    pub fn set(&mut self, key: impl Into<Text>, value: Node) -> Option<Node> {
        let key = key.into();
        if let Some(slot) = self.get_mut(&key) {
            return Some(std::mem::replace(slot, value));
        }
        self.push((key, value));
        None
    }

    /// Removes `key` and returns its value.
    pub fn remove(&mut self, key: &str) -> Option<Node> {
        self.index_of(key)
            .and_then(|index| self.remove_at(index))
            .map(|entry| entry.value)
    }
}
