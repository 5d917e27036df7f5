//! A schema that a build brings along.

use std::collections::BTreeMap;

use ferro_yaml::Node;

use crate::error::{Error, Result};
use crate::id::Gvk;

/// Merge rules and scopes of a build's own types.
#[derive(Clone, Debug, Default)]
pub(crate) struct CustomSchema {
    definitions: BTreeMap<String, CustomNode>,
    types: BTreeMap<(String, String), String>,
    /// Whether a type has a namespace, by API version and kind.
    scopes: BTreeMap<(String, String), bool>,
}

/// What a schema says of one node.
#[derive(Clone, Debug, Default)]
pub(crate) struct CustomNode {
    reference: Option<String>,
    fields: BTreeMap<String, Self>,
    /// The schema of all other fields.
    other_fields: Option<Box<Self>>,
    item: Option<Box<Self>>,
    is_list: bool,
    merge_keys: Option<Vec<String>>,
}

fn text<'n>(node: &'n Node, key: &str) -> Option<&'n str> {
    node.get(key).and_then(Node::text)
}

impl CustomSchema {
    /// Reads an OpenAPI document.
    pub(crate) fn parse(content: &[u8]) -> Result<Self> {
        let document = crate::read::configuration(content)
            .map_err(|error| Error::other(format!("invalid schema file: {error}")))?;
        if !document.is_mapping() && !document.is_null() {
            return Err(Error::other("invalid schema file: it is not a mapping"));
        }
        let mut schema = Self::default();
        for entry in document.get("definitions").map(Node::entries).unwrap_or_default() {
            let Some(name) = entry.name() else { continue };
            let types = entry
                .value
                .get("x-kubernetes-group-version-kind")
                .map(Node::items)
                .unwrap_or_default();
            for key in types.iter().filter_map(type_of) {
                schema.types.insert(key, name.to_owned());
            }
            schema
                .definitions
                .insert(name.to_owned(), CustomNode::parse(&entry.value));
        }
        for entry in document.get("paths").map(Node::entries).unwrap_or_default() {
            let operation = entry.value.get("get");
            let of = operation.and_then(|get| get.get("x-kubernetes-group-version-kind"));
            let Some(key) = of.and_then(type_of) else { continue };
            if entry
                .name()
                .is_some_and(|path| path.contains("namespaces/{namespace}"))
            {
                schema.scopes.insert(key, true);
            } else {
                schema.scopes.entry(key).or_insert(false);
            }
        }
        Ok(schema)
    }

    pub(super) fn len(&self) -> usize {
        self.definitions.len()
    }

    pub(super) fn definition(&self, name: &str) -> Option<&CustomNode> {
        self.definitions.get(name)
    }

    pub(super) fn of_type(&self, api_version: &str, kind: &str) -> Option<&CustomNode> {
        self.definitions
            .get(self.types.get(&(api_version.to_owned(), kind.to_owned()))?)
    }

    pub(super) fn is_cluster_scoped(&self, gvk: &Gvk) -> bool {
        self.scopes.get(&(
            gvk.api_version().as_str().to_owned(),
            gvk.kind.as_str().to_owned(),
        )) == Some(&false)
    }
}

/// Reads `{group, version, kind}`.
fn type_of(node: &Node) -> Option<(String, String)> {
    let (version, kind) = (text(node, "version")?, text(node, "kind")?);
    let api_version = match text(node, "group") {
        Some(group) if !group.is_empty() => format!("{group}/{version}"),
        _ => version.to_owned(),
    };
    Some((api_version, kind.to_owned()))
}

impl CustomNode {
    fn parse(node: &Node) -> Self {
        let reference = text(node, "$ref").and_then(|reference| reference.strip_prefix("#/definitions/"));
        let fields = node.get("properties").map(Node::entries).unwrap_or_default();
        let child = |key: &str| {
            node.get(key)
                .filter(|child| child.is_mapping())
                .map(|child| Box::new(Self::parse(child)))
        };
        Self {
            reference: reference.map(|name| name.replace("~1", "/").replace("~0", "~")),
            fields: fields
                .iter()
                .filter_map(|entry| Some((entry.name()?.to_owned(), Self::parse(&entry.value))))
                .collect(),
            other_fields: child("additionalProperties"),
            item: child("items"),
            is_list: text(node, "type") == Some("array"),
            merge_keys: merge_keys(node),
        }
    }

    pub(super) fn reference(&self) -> Option<&str> {
        self.reference.as_deref()
    }

    pub(super) fn field(&self, name: &str) -> Option<&Self> {
        self.fields.get(name).or(self.other_fields.as_deref())
    }

    pub(super) fn item(&self) -> Option<&Self> {
        self.item.as_deref().filter(|_| self.is_list)
    }

    pub(super) fn merge_keys(&self) -> Option<Vec<&str>> {
        self.merge_keys
            .as_ref()
            .map(|keys| keys.iter().map(String::as_str).collect())
    }
}

/// Returns the keys by which the list merges; `None` if it does not.
fn merge_keys(node: &Node) -> Option<Vec<String>> {
    let strategy = text(node, "x-kubernetes-patch-strategy")?;
    if !strategy.split(',').any(|word| word == "merge") {
        return None;
    }
    if let Some(keys) = node.get("x-kubernetes-list-map-keys") {
        return Some(
            keys.items()
                .iter()
                .filter_map(Node::text)
                .map(str::to_owned)
                .collect(),
        );
    }
    Some(
        text(node, "x-kubernetes-patch-merge-key")
            .map(str::to_owned)
            .into_iter()
            .collect(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::Schema;

    const DOCUMENT: &str = r##"{"definitions": {
        "v1.Thing": {
            "x-kubernetes-group-version-kind": [{"group": "g.io", "version": "v1", "kind": "Thing"}],
            "properties": {"spec": {"$ref": "#/definitions/v1.Spec"}, "loop": {"$ref": "#/definitions/a"}}
        },
        "v1.Spec": {"properties": {"rows": {
            "type": "array", "items": {"type": "object"},
            "x-kubernetes-patch-strategy": "merge", "x-kubernetes-patch-merge-key": "id"
        }}},
        "a": {"$ref": "#/definitions/b"}, "b": {"$ref": "#/definitions/a"}
    }, "paths": {
        "/apis/g.io/v1/things": {"get": {"x-kubernetes-group-version-kind": {"group": "g.io", "version": "v1", "kind": "Thing"}}}
    }}"##;

    fn schema() -> Schema {
        let mut schema = Schema::default();
        schema
            .choose(
                &BTreeMap::new(),
                || CustomSchema::parse(DOCUMENT.as_bytes()).map(Some),
                true,
            )
            .unwrap();
        schema
    }

    #[test]
    fn references_are_followed_and_cycles_end() {
        let schema = schema();
        let thing = schema.of_type("g.io/v1", "Thing").unwrap();
        let rows = thing.field("spec").unwrap().field("rows").unwrap();
        assert_eq!(rows.merge_keys().unwrap(), ["id"]);
        assert!(thing.field("loop").is_none());
        assert!(schema.of_type("apps/v1", "Deployment").is_none());
    }

    #[test]
    fn scope_comes_from_the_paths() {
        let schema = schema();
        assert!(schema.is_cluster_scoped(&Gvk::new("g.io", "v1", "Thing")));
        assert!(!schema.is_cluster_scoped(&Gvk::new("", "v1", "Pod")));
    }
}
