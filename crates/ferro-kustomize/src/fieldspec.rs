//! Field specs: paths like `spec/template/metadata/labels`, walked over a tree.

use ferro_yaml::{Kind, Node};

use crate::error::{Error, Result, fail};
use crate::id::{Gvk, ResourceId};
use crate::path::MAX_DEPTH;
use crate::types::FieldSpec;

/// What is made where a field is missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Create {
    /// Nothing; the walk ends there.
    Nothing,
    /// A scalar, blank until it is set.
    Scalar,
    /// A mapping.
    Mapping,
}

/// Splits a path at its slashes; `\/` is a slash in a name.
pub(crate) fn split_path(path: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut chars = path.strip_prefix('/').unwrap_or(path).chars().peekable();
    while let Some(c) = chars.next() {
        match (c, chars.peek()) {
            ('\\', Some('/')) => {
                chars.next();
                if let Some(last) = parts.last_mut() {
                    last.push('/');
                }
            }
            ('/', _) => parts.push(String::new()),
            (c, _) => {
                if let Some(last) = parts.last_mut() {
                    last.push(c);
                }
            }
        }
    }
    parts
}

/// A field spec ready to be walked.
#[derive(Clone, Debug)]
pub(crate) struct Walker {
    gvk: Gvk,
    path: String,
    parts: Vec<String>,
    create: Create,
}

impl Walker {
    pub(crate) fn new(spec: &FieldSpec, create: Create) -> Self {
        let create = if spec.create { create } else { Create::Nothing };
        Self {
            gvk: spec.gvk(),
            path: spec.path.clone(),
            parts: split_path(&spec.path),
            create,
        }
    }

    pub(crate) fn all(specs: &[FieldSpec], create: Create) -> Vec<Self> {
        specs.iter().map(|spec| Self::new(spec, create)).collect()
    }

    pub(crate) fn path(&self) -> &str {
        &self.path
    }

    /// Tells whether what is missing on the way is made.
    pub(crate) fn creates(&self) -> bool {
        self.create != Create::Nothing
    }

    /// Tells whether a walk that creates nothing would reach anything.
    pub(crate) fn reaches(&self, object: &Node) -> bool {
        leads_somewhere(object, &self.parts)
    }

    /// Tells whether the spec is for role bindings.
    pub(crate) fn names_a_binding(&self) -> bool {
        matches!(self.gvk.kind.as_str(), "RoleBinding" | "ClusterRoleBinding")
    }

    pub(crate) fn applies_to(&self, gvk: &Gvk) -> bool {
        gvk.is_selected_by(&self.gvk)
    }

    /// Calls `set` for every node that the path leads to.
    pub(crate) fn walk(
        &self,
        object: &mut Node,
        id: impl FnOnce() -> ResourceId,
        set: &mut dyn FnMut(&mut Node) -> Result<()>,
    ) -> Result<()> {
        // A look without write access first: most specs lead nowhere in most objects.
        if self.create == Create::Nothing && !leads_somewhere(object, &self.parts) {
            return Ok(());
        }
        if self.parts.len() > MAX_DEPTH {
            fail!("a field path of more than {MAX_DEPTH} levels");
        }
        walk(object, &self.parts, self.create, set)
            .map_err(|error| error.during(format!("considering field '{}' of object {}", self.path, id())))
    }
}

/// Cuts the mark off a segment that says its value is a list.
fn list_segment(part: &str) -> (&str, bool) {
    part.strip_suffix("[]").map_or((part, false), |name| (name, true))
}

/// Tells whether a walk would reach a node or an error.
fn leads_somewhere(node: &Node, parts: &[String]) -> bool {
    let Some((part, rest)) = parts.split_first() else {
        return true;
    };
    if node.is_null() {
        return false;
    }
    match node.kind() {
        Kind::Sequence => node.items().iter().any(|item| leads_somewhere(item, parts)),
        // An empty name is refused by the walk.
        Kind::Mapping if list_segment(part).0.is_empty() => true,
        Kind::Mapping => node
            .get(list_segment(part).0)
            .is_some_and(|child| leads_somewhere(child, rest)),
        Kind::Scalar | Kind::Alias => true,
    }
}

fn walk(
    node: &mut Node,
    parts: &[String],
    create: Create,
    set: &mut dyn FnMut(&mut Node) -> Result<()>,
) -> Result<()> {
    let Some((part, rest)) = parts.split_first() else {
        return set(node);
    };
    if node.is_null() {
        return Ok(());
    }
    match node.kind() {
        Kind::Sequence => {
            let Some(items) = node.as_sequence_mut() else {
                return Ok(());
            };
            let walked = items
                .as_mut_slice()
                .iter_mut()
                .try_for_each(|item| walk(item, parts, create, set));
            walked.map_err(|error| error.during(format!("visit traversal on path: [{}]", parts.join(" "))))
        }
        Kind::Mapping => walk_mapping(node, part, rest, create, set),
        Kind::Scalar | Kind::Alias => {
            fail!("expected sequence or mapping node");
        }
    }
}

fn walk_mapping(
    node: &mut Node,
    part: &str,
    rest: &[String],
    create: Create,
    set: &mut dyn FnMut(&mut Node) -> Result<()>,
) -> Result<()> {
    let (name, is_list) = list_segment(part);
    if name.is_empty() {
        fail!("cannot set or create an empty field name");
    }
    let is_missing = node.get(name).is_none_or(Node::is_null);
    // What is said to be a list is never made, but what is missing in its elements may be.
    if create != Create::Nothing && !is_list && is_missing {
        let mut made = match create {
            Create::Scalar if rest.is_empty() => Node::string(""),
            _ => crate::scalar::empty_mapping(),
        };
        // What takes the place of a null still stands in the file.
        made.set_position(node.get(name).map(Node::position).unwrap_or_default());
        node.set(name, made);
    }
    match node.get_mut(name) {
        None => Ok(()),
        // A list that is null has no elements.
        Some(child) if is_list && child.is_null() => Ok(()),
        Some(child) => walk(child, rest, create, set),
    }
}

/// A node of the wrong kind, shown as kyaml shows it.
pub(crate) fn wrong_node_kind(expected: Kind, found: &Node) -> Error {
    let name = |kind: Kind| match kind {
        Kind::Scalar => "ScalarNode",
        Kind::Sequence => "SequenceNode",
        Kind::Mapping => "MappingNode",
        Kind::Alias => "AliasNode",
    };
    let contents = crate::emit::kyaml(found);
    Error::other(format!(
        "wrong node kind: expected {} but got {}: node contents:\n{contents}",
        name(expected),
        name(found.kind()),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ferro_yaml::{ParseOptions, parse_one};

    fn written(text: &str, path: &str, create: Create) -> Result<Node> {
        let mut node = parse_one(text, &ParseOptions::default()).unwrap();
        let spec = FieldSpec {
            path: path.to_owned(),
            create: true,
            ..FieldSpec::default()
        };
        Walker::new(&spec, create).walk(&mut node, ResourceId::default, &mut |found| {
            *found = Node::string("X");
            Ok(())
        })?;
        Ok(node)
    }

    fn check(text: &str, path: &str, create: Create, expected: &str) {
        assert_eq!(
            written(text, path, create).unwrap(),
            parse_one(expected, &ParseOptions::default()).unwrap()
        );
    }

    #[test]
    fn paths_split_at_slashes_that_are_not_escaped() {
        assert_eq!(split_path("/a/b\\/c/d"), ["a", "b/c", "d"]);
    }

    #[test]
    fn lists_are_walked_without_a_segment() {
        check(
            "{a: [{b: 1}, {b: 2}, {c: 3}]}",
            "a/b",
            Create::Nothing,
            "{a: [{b: X}, {b: X}, {c: 3}]}",
        );
        check("{a: [{b: 1}]}", "a[]/b", Create::Scalar, "{a: [{b: X}]}");
    }

    #[test]
    fn missing_fields_are_created_only_on_request() {
        check("{}", "a/b", Create::Nothing, "{}");
        check("{}", "a/b", Create::Scalar, "{a: {b: X}}");
        check("{a: null}", "a/b", Create::Scalar, "{a: {b: X}}");
        check("{a: null}", "a[]/b", Create::Scalar, "{a: null}");
    }

    #[test]
    fn a_scalar_on_the_way_is_an_error() {
        let error = written("{a: 1}", "a/b", Create::Nothing).unwrap_err();
        assert!(error.to_string().ends_with("expected sequence or mapping node"));
    }
}
