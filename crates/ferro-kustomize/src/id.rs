//! Group, version, kind and the identity of a resource.

use std::fmt;

use ferro_yaml::{Node, Text};

/// The effective namespace of everything that is cluster-scoped.
pub(crate) const NOT_NAMESPACEABLE: &str = "_non_namespaceable_";
/// The namespace meant when none is given.
pub(crate) const DEFAULT_NAMESPACE: &str = "default";

/// Group, version and kind; a blank part is unknown or, in selections, means "any".
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Gvk {
    /// The API group, blank for the core group.
    pub group: Text,
    /// The version.
    pub version: Text,
    /// The kind.
    pub kind: Text,
}

impl Gvk {
    /// Makes one from its parts.
    pub fn new(group: impl Into<Text>, version: impl Into<Text>, kind: impl Into<Text>) -> Self {
        Self {
            group: group.into(),
            version: version.into(),
            kind: kind.into(),
        }
    }

    /// Makes one from an `apiVersion` and a kind.
    pub fn from_api_version(api_version: &str, kind: impl Into<Text>) -> Self {
        let (group, version) = split_api_version(api_version);
        Self {
            group: group.into(),
            version: version.into(),
            kind: kind.into(),
        }
    }

    /// Reads the one of an object.
    pub(crate) fn of(node: &Node) -> Self {
        let api_version = node.get("apiVersion").and_then(Node::text).unwrap_or_default();
        let (group, version) = split_api_version(api_version);
        let kind = node
            .get("kind")
            .and_then(Node::shared_text)
            .cloned()
            .unwrap_or_default();
        Self {
            group: group.into(),
            version: version.into(),
            kind,
        }
    }

    /// Returns the text of an object's `apiVersion` field.
    pub fn api_version(&self) -> Text {
        if self.group.is_empty() {
            self.version.clone()
        } else {
            format!("{}/{}", self.group, self.version).into()
        }
    }

    /// Tells whether every part that `selector` gives is the same here.
    pub(crate) fn is_selected_by(&self, selector: &Self) -> bool {
        let agrees = |wanted: &Text, own: &Text| wanted.is_empty() || wanted == own;
        agrees(&selector.group, &self.group)
            && agrees(&selector.version, &self.version)
            && agrees(&selector.kind, &self.kind)
    }

    /// The text that documents and field specs are ordered by: `group_version_kind`.
    pub(crate) fn sort_text(&self) -> String {
        let or = |text: &Text, blank: &str| {
            if text.is_empty() {
                blank.to_owned()
            } else {
                text.to_string()
            }
        };
        format!(
            "{}_{}_{}",
            or(&self.group, "~G"),
            or(&self.version, "~V"),
            or(&self.kind, "~K")
        )
    }
}

/// Splits at the first slash; without one there is no group.
pub(crate) fn split_api_version(api_version: &str) -> (&str, &str) {
    api_version.split_once('/').unwrap_or(("", api_version))
}

fn or_blank<'a>(text: &'a str, blank: &'a str) -> &'a str {
    if text.is_empty() { blank } else { text }
}

impl fmt::Display for Gvk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (kind, version) = (
            or_blank(&self.kind, "[noKind]"),
            or_blank(&self.version, "[noVer]"),
        );
        write!(f, "{kind}.{version}.{}", or_blank(&self.group, "[noGrp]"))
    }
}

/// The identity of a resource at some moment of a build.
#[derive(Clone, Debug, Default)]
pub struct ResourceId {
    /// Group, version and kind.
    pub gvk: Gvk,
    /// `metadata.name`
    pub name: Text,
    /// `metadata.namespace` as it is written.
    pub namespace: Text,
    /// Whether the schema says that the kind has no namespace.
    pub is_cluster_scoped: bool,
}

impl ResourceId {
    /// The namespace that counts when ids are compared.
    pub fn effective_namespace(&self) -> &str {
        effective_namespace(&self.namespace, self.is_cluster_scoped)
    }

    /// The text that ends the order of documents.
    pub(crate) fn legacy_sort_text(&self) -> String {
        format!(
            "{}|{}|{}",
            self.gvk,
            or_blank(&self.namespace, "~X"),
            or_blank(&self.name, "~N")
        )
    }

    /// The identity as Go prints the struct with `%#v`.
    pub(crate) fn go_syntax(&self) -> String {
        format!(
            "resid.ResId{{Gvk:resid.Gvk{{Group:{:?}, Version:{:?}, Kind:{:?}, isClusterScoped:{}}}, Name:{:?}, \
             Namespace:{:?}}}",
            self.gvk.group,
            self.gvk.version,
            self.gvk.kind,
            self.is_cluster_scoped,
            self.name,
            self.namespace
        )
    }
}

pub(crate) fn effective_namespace(namespace: &str, is_cluster_scoped: bool) -> &str {
    if is_cluster_scoped {
        NOT_NAMESPACEABLE
    } else {
        or_blank(namespace, DEFAULT_NAMESPACE)
    }
}

/// Two ids are the same when kind, name and *effective* namespace are.
impl PartialEq for ResourceId {
    fn eq(&self, other: &Self) -> bool {
        self.gvk == other.gvk
            && self.name == other.name
            && self.effective_namespace() == other.effective_namespace()
    }
}

impl Eq for ResourceId {}

impl fmt::Display for ResourceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}/{}.{}",
            self.gvk,
            or_blank(&self.name, "[noName]"),
            or_blank(&self.namespace, "[noNs]")
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn api_version_splits_at_the_first_slash() {
        assert_eq!(split_api_version("apps/v1"), ("apps", "v1"));
        assert_eq!(split_api_version("v1"), ("", "v1"));
        assert_eq!(split_api_version("a/b/c"), ("a", "b/c"));
    }

    #[test]
    fn ids_print_blanks_and_compare_effective_namespaces() {
        let id = |namespace: &str| ResourceId {
            gvk: Gvk::new("", "v1", "Pod"),
            name: "p".into(),
            namespace: namespace.into(),
            is_cluster_scoped: false,
        };
        assert_eq!(id("").to_string(), "Pod.v1.[noGrp]/p.[noNs]");
        assert_eq!(id(""), id("default"));
        assert_ne!(id(""), id("other"));
        let scoped = ResourceId {
            is_cluster_scoped: true,
            ..id("x")
        };
        assert_eq!(
            scoped,
            ResourceId {
                is_cluster_scoped: true,
                ..id("y")
            }
        );
    }
}
