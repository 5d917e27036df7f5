//! Adds a value to fields, for instance as a part of a path in them.

use ferro_yaml::{Kind, Node};

use super::Cx;
use super::namespace::{NamespaceTransformer, Subjects};
use crate::error::{Error, Result, fail};
use crate::fieldspec::{split_path, wrong_node_kind};
use crate::loader::Loader;
use crate::path;
use crate::resmap::ResMap;
use crate::selector::Matcher;
use crate::types::Selector;
use crate::types::decode::{At, Codec, record};

record! {
    /// Where a value is added.
    pub(crate) struct ValueAddTarget {
        /// The objects; all of them without a selector.
        pub selector: Option<Selector> = "selector",
        /// The field.
        pub field_path: String = "fieldPath",
        /// At which part of a path in the field; 0 replaces it all.
        pub file_path_position: i64 = "filePathPosition",
    }
}

record! {
    /// A file with targets.
    pub(crate) struct TargetFile {
        /// The targets.
        pub targets: Vec<ValueAddTarget> = "targets",
    }
}

/// A configured transformer.
pub(crate) struct ValueAddTransformer {
    value: String,
    targets: Vec<ValueAddTarget>,
}

impl ValueAddTransformer {
    pub(crate) fn load(
        loader: &Loader<'_>,
        value: &str,
        mut targets: Vec<ValueAddTarget>,
        target_file: &str,
    ) -> Result<Self> {
        let value = match value.trim() {
            "" => path::base_name(loader.root()),
            value => value,
        };
        if !target_file.is_empty() {
            let content = loader.load(target_file)?;
            let node = crate::read::configuration(&content)
                .map_err(|error| Error::other(format!("error converting YAML to JSON: {error}")))?;
            let file = TargetFile::decode(&node, &At::lenient())
                .map_err(|mismatch| Error::other(mismatch.while_unmarshaling()))?;
            targets.extend(file.targets);
        }
        if targets.is_empty() {
            fail!("must specify at least one target");
        }
        for target in &targets {
            if target.field_path.is_empty() {
                fail!("fieldPath cannot be empty");
            }
            if target.file_path_position < 0 {
                fail!(
                    "value of FilePathPosition ({}) cannot be negative",
                    target.file_path_position
                );
            }
        }
        Ok(Self {
            value: value.to_owned(),
            targets,
        })
    }

    pub(crate) fn transform(&self, resources: &mut ResMap, cx: Cx<'_>) -> Result<()> {
        for target in &self.targets {
            let selected = match &target.selector {
                None => (0..resources.len()).collect(),
                Some(selector) => Matcher::new(selector)?.select(resources, cx.schema)?,
            };
            let namespace = NamespaceTransformer::new(self.value.clone(), &[], Subjects::DefaultOnly, false);
            for index in selected {
                let Some(resource) = resources.get_mut(index) else {
                    continue;
                };
                let place = resource.location();
                let done = if target.field_path == "metadata/namespace" {
                    namespace.apply(resource, cx)
                } else {
                    self.add(&mut resource.node, target)
                };
                done.map_err(|error| error.at(place))?;
                resources.moved(index, cx.schema);
            }
        }
        Ok(())
    }

    fn add(&self, object: &mut Node, target: &ValueAddTarget) -> Result<()> {
        let mut node = object;
        let parts = split_path(&target.field_path);
        if parts.len() > path::MAX_DEPTH {
            fail!("a path of more than {} levels", path::MAX_DEPTH);
        }
        let last = parts.len().saturating_sub(1);
        for (index, part) in parts.iter().enumerate() {
            if !node.is_mapping() {
                return Err(wrong_node_kind(Kind::Mapping, node));
            }
            if index != last && node.get(part).is_some_and(Node::is_null) {
                // What upstream puts below a null nobody sees.
                return Ok(());
            }
            // A null at the end is a text like any other: the way it is written.
            if node.get(part).is_none() {
                let made = if index == last {
                    Node::string("")
                } else {
                    crate::scalar::empty_mapping()
                };
                node.set(part, made);
            }
            let Some(child) = node.get_mut(part) else {
                return Ok(());
            };
            node = child;
        }
        if !node.is_scalar() {
            return Err(wrong_node_kind(Kind::Scalar, node));
        }
        if self.value.is_empty() {
            return Ok(());
        }
        let position = usize::try_from(target.file_path_position).unwrap_or(usize::MAX);
        let value = match position.checked_sub(1) {
            None => self.value.clone(),
            Some(position) => insert_part(node.text().unwrap_or_default(), position, &self.value),
        };
        crate::field::overwrite(node, value)
    }
}

/// Inserts an element into a path; one that is absolute stays so.
fn insert_part(path: &str, position: usize, part: &str) -> String {
    let clean = path::clean(path);
    if path.is_empty() || clean == "." {
        return part.to_owned();
    }
    let root = if clean.starts_with('/') { "/" } else { "" };
    let mut parts: Vec<&str> = clean.split('/').filter(|part| !part.is_empty()).collect();
    parts.insert(position.min(parts.len()), part);
    format!("{root}{}", parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_go_where_they_are_wanted() {
        for (path, position, expected) in [
            ("", 0, "P"),
            ("/", 0, "/P"),
            ("pie", 0, "P/pie"),
            ("/pie", 0, "/P/pie"),
            ("raw", 1, "raw/P"),
            ("a/b/c/d", 3, "a/b/c/P/d"),
            ("/a", 99, "/a/P"),
        ] {
            assert_eq!(insert_part(path, position, "P"), expected, "{path}");
        }
    }
}
