//! Reading and changing a tree.

use super::{Data, Entry, Mapping, Node, Sequence, Tag};
use crate::Text;

impl Node {
    /// Tells whether this is a scalar.
    pub fn is_scalar(&self) -> bool {
        matches!(self.data, Data::Scalar { .. })
    }

    /// Tells whether this is a sequence.
    pub fn is_sequence(&self) -> bool {
        matches!(self.data, Data::Sequence { .. })
    }

    /// Tells whether this is a mapping.
    pub fn is_mapping(&self) -> bool {
        matches!(self.data, Data::Mapping { .. })
    }

    /// Tells whether this is a scalar tagged null.
    pub fn is_null(&self) -> bool {
        self.is_scalar() && self.tag() == Tag::Null
    }

    /// Returns the text of a scalar of whatever type.
    pub fn text(&self) -> Option<&str> {
        self.shared_text().map(Text::as_str)
    }

    /// Returns the text of a scalar of whatever type, to be cloned without a copy.
    pub fn shared_text(&self) -> Option<&Text> {
        match &self.data {
            Data::Scalar { text, .. } => Some(text),
            _ => None,
        }
    }

    /// Returns the text of a scalar that is a string.
    pub fn as_str(&self) -> Option<&str> {
        match &self.data {
            Data::Scalar { form, text, .. } if form.tag() == Tag::Str => Some(text),
            _ => None,
        }
    }

    /// Replaces the text of a scalar and leaves its tag and style; does nothing for anything else.
    pub fn set_text(&mut self, new: impl Into<Text>) {
        if let Data::Scalar { text, .. } = &mut self.data {
            *text = new.into();
        }
    }

    /// Returns the anchor's name that an alias refers to.
    pub fn alias_name(&self) -> Option<&str> {
        match &self.data {
            Data::Alias { name, .. } => Some(name),
            _ => None,
        }
    }

    /// Returns the items of a sequence.
    pub fn as_sequence(&self) -> Option<&Sequence> {
        match &self.data {
            Data::Sequence { items, .. } => Some(items),
            _ => None,
        }
    }

    /// Returns the items of a sequence for writing.
    pub fn as_sequence_mut(&mut self) -> Option<&mut Sequence> {
        match &mut self.data {
            Data::Sequence { items, .. } => Some(items),
            _ => None,
        }
    }

    /// Returns the entries of a mapping.
    pub fn as_mapping(&self) -> Option<&Mapping> {
        match &self.data {
            Data::Mapping { entries, .. } => Some(entries),
            _ => None,
        }
    }

    /// Returns the entries of a mapping for writing.
    pub fn as_mapping_mut(&mut self) -> Option<&mut Mapping> {
        match &mut self.data {
            Data::Mapping { entries, .. } => Some(entries),
            _ => None,
        }
    }

    /// Returns the items of a sequence, or none of anything else.
    pub fn items(&self) -> &[Self] {
        self.as_sequence().map_or(&[], |items| items)
    }

    /// Returns the entries of a mapping, or none of anything else.
    pub fn entries(&self) -> &[Entry] {
        self.as_mapping().map_or(&[], |entries| entries)
    }

    /// Returns the value of `key` in a mapping.
    pub fn get(&self, key: &str) -> Option<&Self> {
        self.as_mapping()?.get(key)
    }

    /// Returns the value of `key` in a mapping for writing.
    pub fn get_mut(&mut self, key: &str) -> Option<&mut Self> {
        self.as_mapping_mut()?.get_mut(key)
    }

    /// Sets the value of `key` in a mapping and returns the old one; does nothing for anything else.
    pub fn set(&mut self, key: impl Into<Text>, value: Self) -> Option<Self> {
        self.as_mapping_mut()?.set(key, value)
    }

    /// Removes `key` from a mapping and returns its value.
    pub fn remove(&mut self, key: &str) -> Option<Self> {
        self.as_mapping_mut()?.remove(key)
    }

    /// Follows mapping keys downwards.
    pub fn lookup<'a>(&self, path: impl IntoIterator<Item = &'a str>) -> Option<&Self> {
        path.into_iter().try_fold(self, |node, key| node.get(key))
    }

    /// Follows mapping keys downwards for writing.
    pub fn lookup_mut<'a>(&mut self, path: impl IntoIterator<Item = &'a str>) -> Option<&mut Self> {
        path.into_iter().try_fold(self, |node, key| node.get_mut(key))
    }

    /// Calls `visit` for this node and all below it, keys included, parents first.
    pub fn visit(&self, visit: &mut impl FnMut(&Self)) {
        visit(self);
        for item in self.items() {
            item.visit(visit);
        }
        for entry in self.entries() {
            entry.key.visit(visit);
            entry.value.visit(visit);
        }
    }
}
