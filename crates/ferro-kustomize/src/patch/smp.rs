//! Strategic merge patches.
//!
//! Two trees are walked side by side. The schema says which lists merge and by which keys; everything
//! without a schema merges as maps and replaces lists. Where the object has nothing, the patch is merged
//! with itself: that removes nulls and directives from new content.

use std::collections::BTreeSet;

use ferro_yaml::{Entry, Kind, Node, Text};

use crate::Quirks;
use crate::error::{Error, Result, fail};
use crate::field;
use crate::schema::{NodeSchema, Schema};

const DIRECTIVE: &str = "$patch";

/// What is merged in.
#[derive(Clone, Copy)]
pub(super) enum Patch<'p> {
    /// Nothing.
    Absent,
    /// The other side itself.
    Same,
    /// A patch.
    Node(&'p Node),
}

impl<'p> Patch<'p> {
    pub(super) fn of(node: Option<&'p Node>) -> Self {
        node.map_or(Self::Absent, Self::Node)
    }

    fn node(self) -> Option<&'p Node> {
        match self {
            Self::Node(node) => Some(node),
            Self::Absent | Self::Same => None,
        }
    }
}

/// What a `$patch` says.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Directive {
    None,
    Merge,
    Replace,
    Delete,
}

impl Directive {
    fn from_word(word: &str) -> Result<Self> {
        match word {
            "merge" => Ok(Self::Merge),
            "replace" => Ok(Self::Replace),
            "delete" => Ok(Self::Delete),
            word => fail!("unknown patch strategy '{word}'"),
        }
    }
}

/// The walk through one object.
pub(super) struct Walk<'s> {
    pub(super) schema: &'s Schema,
    pub(super) quirks: Quirks,
    /// The keys from the root to here.
    pub(super) path: Vec<Text>,
}

/// Merges a patch into an object. Nothing is left when the patch deletes it.
pub(crate) fn merge(dest: Node, patch: &Node, schema: &Schema, quirks: Quirks) -> Result<Option<Node>> {
    let mut walk = Walk {
        schema,
        quirks,
        path: Vec::new(),
    };
    if map_directive(patch)? == Directive::Replace {
        // Upstream builds the replacement, which may fail, and then keeps the old object.
        walk.node(Some(dest.clone()), Patch::Node(patch), None)?;
        return Ok(Some(dest));
    }
    walk.node(Some(dest), Patch::Node(patch), None)
}

fn is_missing(node: Option<&Node>) -> bool {
    node.is_none_or(Node::is_null)
}

fn map_directive(patch: &Node) -> Result<Directive> {
    match patch.get(DIRECTIVE) {
        None => Ok(Directive::None),
        Some(word) => Directive::from_word(word.text().unwrap_or_default()),
    }
}

fn without_directive(mut node: Node) -> Node {
    node.remove(DIRECTIVE);
    node
}

/// The schema of an object whose type is known where nothing above told it.
fn schema_by_type<'s>(node: Option<&Node>, schema: &'s Schema) -> Option<NodeSchema<'s>> {
    let node = node?;
    let text = |key: &str| node.get(key).and_then(Node::text).filter(|text| !text.is_empty());
    schema.of_type(text("apiVersion")?, text("kind")?)
}

impl<'s> Walk<'s> {
    /// Merges any node. A null in the result is one that the object spelled out and that stays.
    pub(super) fn node(
        &mut self,
        dest: Option<Node>,
        patch: Patch<'_>,
        schema: Option<NodeSchema<'s>>,
    ) -> Result<Option<Node>> {
        let first = dest.as_ref().filter(|dest| !dest.is_null());
        let present = first.or_else(|| patch.node().filter(|patch| !patch.is_null()));
        let Some(kind) = present.map(Node::kind) else {
            return self.map(dest, patch, schema);
        };
        let schema = schema
            .or_else(|| schema_by_type(dest.as_ref(), self.schema))
            .or_else(|| schema_by_type(patch.node(), self.schema));
        if let Some(patch) = patch
            .node()
            .filter(|patch| !patch.is_null() && patch.kind() != kind)
        {
            return Err(self.wrong_kind(kind, patch));
        }
        match kind {
            Kind::Mapping => self.map(dest, patch, schema),
            Kind::Sequence => match schema.and_then(|schema| Some((schema, schema.merge_keys()?))) {
                Some((schema, keys)) => self.list(dest, patch, schema, &keys),
                None => Ok(replaced(dest, patch)),
            },
            Kind::Scalar | Kind::Alias => Ok(replaced(dest, patch)),
        }
    }

    fn wrong_kind(&self, expected: Kind, found: &Node) -> Error {
        crate::fieldspec::wrong_node_kind(expected, found)
    }

    fn map(
        &mut self,
        dest: Option<Node>,
        patch: Patch<'_>,
        schema: Option<NodeSchema<'s>>,
    ) -> Result<Option<Node>> {
        if is_missing(dest.as_ref()) {
            return self.new_map(dest, patch, schema);
        }
        let Some(dest) = dest else { return Ok(None) };
        match patch {
            Patch::Absent => self.fields(dest, patch, schema).map(Some),
            Patch::Same => match map_directive(&dest)? {
                Directive::Delete => Ok(None),
                _ => self
                    .fields(without_directive(dest), Patch::Same, schema)
                    .map(Some),
            },
            Patch::Node(node) if node.is_null() => Ok(None),
            Patch::Node(node) => match map_directive(node)? {
                Directive::Delete => Ok(None),
                Directive::Replace => self
                    .fields(without_directive(node.clone()), Patch::Same, schema)
                    .map(Some),
                Directive::Merge => {
                    let node = without_directive(node.clone());
                    self.fields(dest, Patch::Node(&node), schema).map(Some)
                }
                Directive::None => self.fields(dest, patch, schema).map(Some),
            },
        }
    }

    /// Merges a map where the object has none.
    fn new_map(
        &mut self,
        dest: Option<Node>,
        patch: Patch<'_>,
        schema: Option<NodeSchema<'s>>,
    ) -> Result<Option<Node>> {
        match patch.node() {
            None if matches!(patch, Patch::Same) => Ok(None),
            // A null that is spelled out stays, an empty value goes.
            None => Ok(dest.filter(|null| null.text().is_some_and(|text| !text.is_empty()))),
            Some(node) if node.is_null() => Ok(None),
            Some(node) => match map_directive(node) {
                Ok(Directive::Delete) => Ok(None),
                Ok(_) => self
                    .fields(without_directive(node.clone()), Patch::Same, schema)
                    .map(Some),
                // A word that means nothing is kept as an ordinary field.
                Err(_) => self.fields(node.clone(), Patch::Same, schema).map(Some),
            },
        }
    }

    /// Merges the fields of two maps.
    fn fields(&mut self, mut dest: Node, patch: Patch<'_>, schema: Option<NodeSchema<'s>>) -> Result<Node> {
        if schema.is_none() && matches!(patch, Patch::Absent | Patch::Same) && !needs_a_walk(&dest) {
            return Ok(dest);
        }
        self.refuse_directives(patch.node().unwrap_or(&dest), patch)?;
        let mut keys: BTreeSet<Text> = key_texts(&dest).collect();
        keys.extend(patch.node().into_iter().flat_map(key_texts));
        for key in keys {
            if key.is_empty() {
                // Upstream looks a field without a name up in a scalar.
                return Err(self.wrong_kind(Kind::Scalar, &dest));
            }
            let (old, new) = match patch {
                Patch::Same => (dest.get(&key), Patch::Same),
                Patch::Absent => (dest.get(&key), Patch::Absent),
                Patch::Node(node) => (dest.get(&key), Patch::of(node.get(&key))),
            };
            if old.is_some_and(Node::is_scalar)
                && !is_missing(old)
                && matches!(new, Patch::Absent | Patch::Same)
            {
                if old.is_some_and(field::lacks_quotes)
                    && let Some(old) = dest.get_mut(&key)
                {
                    field::quote_for_old_readers(old);
                }
                continue;
            }
            let below = schema.and_then(|schema| schema.field(&key));
            let had_value = old.is_some();
            let style = old.zip(new.node()).map(|(old, new)| style_of(old, new));
            let anchor = old.map(|old| old.anchor().to_owned()).unwrap_or_default();
            // Taken out rather than copied, so that unshared content below is changed in place.
            let old = dest.get_mut(&key).map(std::mem::take);
            self.path.push(key.clone());
            let merged = self.node(old, new, below)?;
            self.path.pop();
            match merged {
                Some(mut value) => {
                    match &style {
                        Some(style) => field::keep_style(style, &mut value),
                        None => field::quote_for_old_readers(&mut value),
                    }
                    if !anchor.is_empty() && value.is_scalar() {
                        value.set_anchor(anchor);
                    }
                    set_like(&mut dest, key, value, patch.node());
                }
                None if had_value => {
                    dest.remove(&key);
                }
                None => {}
            }
        }
        Ok(dest)
    }

    /// Directives that the API server knows and this language does not would end up in the object.
    fn refuse_directives(&self, node: &Node, patch: Patch<'_>) -> Result<()> {
        if self.quirks == Quirks::Upstream || matches!(patch, Patch::Absent) {
            return Ok(());
        }
        let unsupported = |key: &&str| {
            *key == "$retainKeys"
                || key.starts_with("$deleteFromPrimitiveList/")
                || key.starts_with("$setElementOrder/")
        };
        match node
            .entries()
            .iter()
            .filter_map(|entry| entry.name())
            .find(unsupported)
        {
            Some(key) => fail!(
                "unsupported directive '{key}' at '{}' of a strategic merge patch",
                self.path_text()
            ),
            None => Ok(()),
        }
    }

    pub(super) fn path_text(&self) -> String {
        self.path.iter().map(Text::as_str).collect::<Vec<_>>().join(".")
    }
}

fn key_texts(node: &Node) -> impl Iterator<Item = Text> + '_ {
    node.entries()
        .iter()
        .filter_map(|entry| entry.key.shared_text().cloned())
}

/// Something in the style that a field will have; an empty collection has none of its own.
fn style_of(old: &Node, new: &Node) -> Node {
    if old.is_scalar() {
        return old.clone();
    }
    let is_empty = old.items().is_empty() && old.entries().is_empty();
    let mut style = crate::scalar::empty_mapping();
    style.set_flow(if is_empty { new.is_flow() } else { old.is_flow() });
    style
}

/// Sets a field; one that is new has the key that it has in the patch.
fn set_like(dest: &mut Node, key: Text, value: Node, patch: Option<&Node>) {
    if dest.get(&key).is_some() {
        dest.set(key, value);
        return;
    }
    let entries = patch.map(Node::entries).unwrap_or_default();
    let like = entries.iter().find(|entry| entry.name() == Some(&key));
    let new_key = like.map_or_else(|| Node::string(key), |entry| entry.key.clone());
    if let Some(entries) = dest.as_mapping_mut() {
        entries.push(Entry::new(new_key, value));
    }
}

/// A value that cannot merge: the patch's, where there is one.
fn replaced(dest: Option<Node>, patch: Patch<'_>) -> Option<Node> {
    match patch {
        Patch::Node(node) if node.is_null() => None,
        Patch::Node(node) => Some(node.clone()),
        Patch::Absent | Patch::Same => dest,
    }
}

/// Tells whether a walk without schema and patch could change anything: it looks for nulls, directives, strings that get
/// quotes, and typed objects in nested maps.
fn needs_a_walk(node: &Node) -> bool {
    let is_typed = node.get("apiVersion").is_some() && node.get("kind").is_some();
    is_typed
        || node.entries().iter().any(|entry| {
            entry.value.is_null()
                || field::lacks_quotes(&entry.value)
                || entry
                    .name()
                    .is_some_and(|name| name.is_empty() || name.starts_with('$'))
                || needs_a_walk(&entry.value)
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use ferro_yaml::{EmitOptions, ParseOptions, parse_one};

    fn parsed(text: &str) -> Node {
        parse_one(text, &ParseOptions::default()).unwrap()
    }

    /// As it is read again: a value may have been set anew, without the tag that it had been found to have.
    fn merged(dest: &str, patch: &str) -> Option<Node> {
        let merged = merge(parsed(dest), &parsed(patch), &Schema::default(), Quirks::Upstream).unwrap();
        merged.map(|node| parsed(&ferro_yaml::to_string(&node, &EmitOptions::kyaml()).unwrap()))
    }

    fn check(dest: &str, patch: &str, expected: &str) {
        assert_eq!(
            merged(dest, patch),
            Some(parsed(expected)),
            "{dest} patched with {patch}"
        );
    }

    fn pod(container: &str) -> String {
        format!("{{apiVersion: v1, kind: Pod, spec: {container}}}")
    }

    #[test]
    fn maps_merge_and_nulls_remove() {
        check(
            "{a: {b: 1, c: 2}, d: 3}",
            "{a: {b: 4, c: null}, e: {f: null, g: 1}}",
            "{a: {b: 4}, d: 3, e: {g: 1}}",
        );
        check("{a: null, b: }", "{c: 1}", "{a: null, c: 1}");
    }

    #[test]
    fn directives_delete_and_replace() {
        assert_eq!(merged("{a: 1}", "{$patch: delete}"), None);
        check("{a: {b: 1}, c: 1}", "{a: {$patch: delete}}", "{c: 1}");
        check("{a: {b: 1}}", "{a: {$patch: replace, c: 2}}", "{a: {c: 2}}");
        check("{}", "{a: {$patch: merge, c: 2}}", "{a: {c: 2}}");
        check("{a: 1}", "{$patch: replace, b: 1}", "{a: 1}");
    }

    #[test]
    fn lists_without_keys_are_replaced() {
        check("{a: [1, 2]}", "{a: [3]}", "{a: [3]}");
        check("{a: [1, 2]}", "{a: null}", "{}");
    }

    #[test]
    fn keyed_lists_merge_patch_first() {
        check(
            &pod("{containers: [{name: a, image: x}, {name: b}]}"),
            &pod("{containers: [{name: c}, {name: b, image: y}]}"),
            &pod("{containers: [{name: c}, {name: b, image: y}, {name: a, image: x}]}"),
        );
        check(
            &pod("{containers: [{name: a}, {name: b}]}"),
            &pod("{containers: [{name: a, $patch: delete}]}"),
            &pod("{containers: [{name: b}]}"),
        );
        check(
            &pod("{containers: [{name: a}]}"),
            &pod("{containers: [{$patch: replace}, {name: z}]}"),
            &pod("{containers: [{name: z}]}"),
        );
    }

    #[test]
    fn primitive_lists_merge_by_value() {
        let object = |list: &str| format!("{{apiVersion: v1, kind: Pod, metadata: {{finalizers: {list}}}}}");
        check(&object("[a, b]"), &object("[c, a]"), &object("[c, a, b]"));
    }

    #[test]
    fn kinds_must_agree() {
        let error = merge(
            parsed("{a: {b: 1}}"),
            &parsed("{a: x}"),
            &Schema::default(),
            Quirks::Fixed,
        )
        .unwrap_err();
        let text = "wrong node kind: expected MappingNode but got ScalarNode: node contents:\nx\n";
        assert_eq!(error.to_string(), text);
    }

    #[test]
    fn unsupported_directives_are_refused() {
        let patch = parsed("{spec: {$retainKeys: [a]}}");
        let error = merge(
            parsed("{spec: {a: 1}}"),
            &patch,
            &Schema::default(),
            Quirks::Fixed,
        )
        .unwrap_err();
        assert!(
            error
                .to_string()
                .contains("unsupported directive '$retainKeys' at 'spec'")
        );
        assert!(merge(parsed("{spec: {}}"), &patch, &Schema::default(), Quirks::Upstream).is_ok());
    }
}
