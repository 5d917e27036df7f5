//! What the API's schema says about merging lists and scope.
//!
//! The built-in data is a static table; a custom schema is read into a value that one build owns.
//! Nothing here is shared between builds.

mod builtin;
mod custom;

use std::collections::BTreeMap;

use crate::error::Error;
use crate::id::Gvk;
pub(crate) use custom::CustomSchema;

/// What a field of a built-in definition leads to.
struct Field {
    name: &'static str,
    target: Target,
}

enum Target {
    /// An object of the definition at this place.
    Object(u16),
    /// A list that merges by these keys, by value without any.
    List {
        keys: &'static [&'static str],
        item: Option<u16>,
    },
}

struct Definition {
    name: &'static str,
    fields: &'static [Field],
}

/// Everything known about types in one build.
#[derive(Clone, Debug, Default)]
pub(crate) struct Schema {
    custom: Option<CustomSchema>,
    /// Whether the built-in types stopped merging because a custom schema took their place.
    is_builtin_replaced: bool,
    /// Whether a layer made its choice; later ones are not asked.
    is_chosen: bool,
}

/// The schema of one node.
#[derive(Clone, Copy)]
pub(crate) enum NodeSchema<'s> {
    /// An object of a built-in definition.
    Builtin(&'s Schema, u16),
    /// A list that merges, of a built-in definition.
    BuiltinList(&'s Schema, &'static [&'static str], Option<u16>),
    /// A node of a custom schema.
    Custom(&'s Schema, &'s custom::CustomNode),
}

fn builtin_index(name: &str) -> Option<u16> {
    let found = builtin::DEFINITIONS
        .binary_search_by(|definition| definition.name.cmp(name))
        .ok()?;
    u16::try_from(found).ok()
}

fn type_index(api_version: &str, kind: &str) -> Option<u16> {
    let found =
        builtin::TYPES.binary_search_by(|(version, name, _)| (*version, *name).cmp(&(api_version, kind)));
    builtin::TYPES
        .get(found.ok()?)
        .map(|(.., definition)| *definition)
}

impl Schema {
    /// Takes the choice of a layer, unless an earlier one chose.
    ///
    /// `replaces` says whether the custom schema takes the place of the built-in one.
    pub(crate) fn choose(
        &mut self,
        openapi: &BTreeMap<String, String>,
        custom: impl FnOnce() -> Result<Option<CustomSchema>, Error>,
        replaces: bool,
    ) -> Result<(), Error> {
        // The file is read even if the choice was made: a missing one is an error wherever it is named.
        let custom = custom()?;
        if self.is_chosen {
            return Ok(());
        }
        let version = openapi.get("version").map(String::as_str);
        match (custom, version) {
            (Some(_), Some(_)) => {
                return Err(Error::other(
                    "builtin version and custom schema provided, cannot use both",
                ));
            }
            (Some(custom), None) => {
                self.custom = Some(custom);
                self.is_builtin_replaced = replaces;
                self.is_chosen = true;
            }
            (None, Some("v1.21.2")) => self.is_chosen = true,
            (None, Some("") | None) => {}
            (None, Some(_)) => {
                return Err(Error::other("the specified OpenAPI version is not built in"));
            }
        }
        Ok(())
    }

    /// Tells whether a type has no namespace, for certain.
    pub(crate) fn is_cluster_scoped(&self, gvk: &Gvk) -> bool {
        let compare = |(api_version, kind): &(&str, &str)| {
            compare_api_version(api_version, &gvk.group, &gvk.version)
                .then_with(|| (*kind).cmp(gvk.kind.as_str()))
        };
        if builtin::CLUSTER_SCOPED.binary_search_by(compare).is_ok() {
            return true;
        }
        match &self.custom {
            Some(custom) if builtin::NAMESPACED.binary_search_by(compare).is_err() => {
                custom.is_cluster_scoped(gvk)
            }
            _ => false,
        }
    }

    /// Tells whether the scope of a type is known without any schema.
    pub(crate) fn is_in_tables(gvk: &Gvk) -> bool {
        let compare = |(api_version, kind): &(&str, &str)| {
            compare_api_version(api_version, &gvk.group, &gvk.version)
                .then_with(|| (*kind).cmp(gvk.kind.as_str()))
        };
        let [cluster, namespaced] = [
            builtin::CLUSTER_SCOPED.binary_search_by(compare),
            builtin::NAMESPACED.binary_search_by(compare),
        ];
        cluster.is_ok() || namespaced.is_ok()
    }

    /// Returns the schema of an object.
    pub(crate) fn of_type(&self, api_version: &str, kind: &str) -> Option<NodeSchema<'_>> {
        if let Some(node) = self
            .custom
            .as_ref()
            .and_then(|custom| custom.of_type(api_version, kind))
        {
            return self.custom_node(node);
        }
        let index = type_index(api_version, kind)?;
        // The types of kustomize itself are always there.
        let is_own = api_version.starts_with("kustomize.config.k8s.io/");
        (is_own || !self.is_builtin_replaced)
            .then(|| self.object(index))
            .flatten()
    }

    /// A definition of a custom schema goes before the built-in one of the same name.
    fn object(&self, index: u16) -> Option<NodeSchema<'_>> {
        if let Some(custom) = &self.custom {
            let name = builtin::DEFINITIONS.get(usize::from(index))?.name;
            if let Some(node) = custom.definition(name) {
                return self.custom_node(node);
            }
        }
        Some(NodeSchema::Builtin(self, index))
    }

    /// Follows references, into the built-in definitions too unless they were replaced.
    fn custom_node<'s>(&'s self, mut node: &'s custom::CustomNode) -> Option<NodeSchema<'s>> {
        let custom = self.custom.as_ref()?;
        // A chain of references that is longer than there are definitions is a cycle.
        for _ in 0..=custom.len() {
            let Some(name) = node.reference() else {
                return Some(NodeSchema::Custom(self, node));
            };
            match custom.definition(name) {
                Some(next) => node = next,
                None if self.is_builtin_replaced => return None,
                None => return builtin_index(name).map(|index| NodeSchema::Builtin(self, index)),
            }
        }
        None
    }
}

fn compare_api_version(text: &str, group: &str, version: &str) -> std::cmp::Ordering {
    let slash = if group.is_empty() { "" } else { "/" };
    text.bytes()
        .cmp(group.bytes().chain(slash.bytes()).chain(version.bytes()))
}

impl<'s> NodeSchema<'s> {
    /// Returns the schema of a field.
    pub(crate) fn field(self, name: &str) -> Option<Self> {
        match self {
            Self::Builtin(schema, index) => {
                let fields = builtin::DEFINITIONS.get(usize::from(index))?.fields;
                match &fields.iter().find(|field| field.name == name)?.target {
                    Target::Object(index) => schema.object(*index),
                    Target::List { keys, item } => Some(Self::BuiltinList(schema, keys, *item)),
                }
            }
            Self::BuiltinList(..) => None,
            Self::Custom(schema, node) => schema.custom_node(node.field(name)?),
        }
    }

    /// Returns the schema of a list's elements.
    pub(crate) fn item(self) -> Option<Self> {
        match self {
            Self::BuiltinList(schema, _, item) => schema.object(item?),
            Self::Builtin(..) => None,
            Self::Custom(schema, node) => schema.custom_node(node.item()?),
        }
    }

    /// Returns the keys by which a list merges, none of them if it merges by value; `None` if it does
    /// not merge.
    pub(crate) fn merge_keys(self) -> Option<Vec<&'s str>> {
        match self {
            Self::BuiltinList(_, keys, _) => Some(keys.to_vec()),
            Self::Builtin(..) => None,
            Self::Custom(_, node) => node.merge_keys(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_sorted() {
        assert!(
            builtin::DEFINITIONS
                .windows(2)
                .all(|pair| pair[0].name < pair[1].name)
        );
        assert!(
            builtin::TYPES
                .windows(2)
                .all(|pair| (pair[0].0, pair[0].1) < (pair[1].0, pair[1].1))
        );
        assert!(builtin::CLUSTER_SCOPED.windows(2).all(|pair| pair[0] < pair[1]));
        assert!(builtin::NAMESPACED.windows(2).all(|pair| pair[0] < pair[1]));
    }

    #[test]
    fn references_in_the_table_lead_somewhere() {
        for field in builtin::DEFINITIONS
            .iter()
            .flat_map(|definition| definition.fields)
        {
            let target = match &field.target {
                Target::Object(index) => Some(*index),
                Target::List { item, .. } => *item,
            };
            assert!(target.is_none_or(|index| usize::from(index) < builtin::DEFINITIONS.len()));
        }
    }

    #[test]
    fn lists_merge_by_the_keys_of_the_api() {
        let schema = Schema::default();
        let pod = schema.of_type("apps/v1", "Deployment").unwrap();
        let spec = pod
            .field("spec")
            .unwrap()
            .field("template")
            .unwrap()
            .field("spec")
            .unwrap();
        let containers = spec.field("containers").unwrap();
        assert_eq!(containers.merge_keys().unwrap(), ["name"]);
        let ports = containers.item().unwrap().field("ports").unwrap();
        assert_eq!(ports.merge_keys().unwrap(), ["containerPort", "protocol"]);
        assert!(spec.field("tolerations").is_none());
        assert!(
            schema
                .of_type("autoscaling/v2", "HorizontalPodAutoscaler")
                .is_none()
        );
    }

    #[test]
    fn scope_needs_the_exact_version() {
        let schema = Schema::default();
        let is_scoped = |group: &str, version: &str, kind: &str| {
            schema.is_cluster_scoped(&Gvk::new(group, version, kind))
        };
        assert!(is_scoped("", "v1", "Namespace"));
        assert!(is_scoped("rbac.authorization.k8s.io", "v1", "ClusterRole"));
        assert!(!is_scoped("rbac.authorization.k8s.io", "v2", "ClusterRole"));
        assert!(!is_scoped("", "v1", "Pod"));
    }
}
