//! Namespaces.

use ferro_yaml::{Kind, Node};

use super::Cx;
use crate::error::{Context, Error, Result, fail};
use crate::fieldspec::{Create, Walker, wrong_node_kind};
use crate::resmap::ResMap;
use crate::scalar::mapping_at;
use crate::types::FieldSpec;

/// Which subjects of role bindings get the namespace.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Subjects {
    /// Those named `default`.
    #[default]
    DefaultOnly,
    /// All service accounts.
    AllServiceAccounts,
    /// None.
    None,
}

impl Subjects {
    pub(crate) fn from_word(word: &str) -> Result<Self> {
        match word {
            "" | "defaultOnly" => Ok(Self::DefaultOnly),
            "allServiceAccounts" => Ok(Self::AllServiceAccounts),
            "none" => Ok(Self::None),
            word => fail!(
                "invalid value {} for setRoleBindingSubjects: must be one of \"defaultOnly\", \"none\" or \
                 \"allServiceAccounts\"",
                ferro_gocompat::quote::quote(word)
            ),
        }
    }
}

/// Puts all objects that have one into a namespace.
pub(crate) struct NamespaceTransformer {
    namespace: String,
    walkers: Vec<Walker>,
    subjects: Subjects,
    only_unset: bool,
}

impl NamespaceTransformer {
    pub(crate) fn new(namespace: String, specs: &[FieldSpec], subjects: Subjects, only_unset: bool) -> Self {
        let specs: Vec<FieldSpec> = specs
            .iter()
            .filter(|spec| spec.path != "metadata/namespace")
            .cloned()
            .collect();
        Self {
            namespace,
            walkers: Walker::all(&specs, Create::Scalar),
            subjects,
            only_unset,
        }
    }

    pub(crate) fn transform(&self, resources: &mut ResMap, cx: Cx<'_>) -> Result<()> {
        if self.namespace.is_empty() {
            return Ok(());
        }
        for index in 0..resources.len() {
            let Some(resource) = resources.get_mut(index) else {
                continue;
            };
            if resource.is_gone() || resource.record.is_helm_generated {
                continue;
            }
            let place = resource.location();
            resource.store_previous_id(cx.schema);
            self.apply(resource, cx)
                .map_err(|error| error.at(place.clone()))?;
            resources.renamed(index, cx.schema);
            let Some(id) = resources.get(index).map(|resource| resource.id(cx.schema)) else {
                continue;
            };
            let same = resources.find_all_current(&id, cx.schema);
            if same.len() != 1 {
                let shown: Vec<String> = same
                    .into_iter()
                    .filter_map(|index| resources.get(index))
                    .map(crate::emit::exposed_json)
                    .collect();
                let text = format!(
                    "namespace transformation produces ID conflict: [{}]",
                    shown.join(" ")
                );
                return Err(Error::other(text).at(place));
            }
        }
        Ok(())
    }

    fn set(&self, node: &mut Node) -> Result<()> {
        let is_set = !node.is_null() && node.text().is_some_and(|text| !text.is_empty());
        if self.only_unset && is_set {
            return Ok(());
        }
        crate::field::overwrite_with(node, Node::string(&self.namespace))
    }

    pub(super) fn apply(&self, resource: &mut crate::resource::Resource, cx: Cx<'_>) -> Result<()> {
        let id = resource.id(cx.schema);
        let gvk = id.gvk.clone();
        if !id.is_cluster_scoped
            && let Some(metadata) = mapping_at(&mut resource.node, "metadata")
        {
            self.set_in(metadata)?;
        }
        let is_binding = matches!(gvk.kind.as_str(), "RoleBinding" | "ClusterRoleBinding");
        if is_binding {
            self.set_subjects(&mut resource.node)
                .during(|| "setting namespace on (cluster)role binding subjects".to_owned())?;
        }
        let is_core = resource.api_version() == "v1";
        for walker in self.walkers.iter().filter(|walker| walker.applies_to(&gvk)) {
            let is_left_out = (walker.path() == "metadata/name" && !is_core)
                || (walker.path() == "subjects/namespace" && is_binding && walker.names_a_binding());
            if is_left_out {
                continue;
            }
            let id = resource.id(cx.schema);
            walker
                .walk(&mut resource.node, || id, &mut |node| self.set(node))
                .map_err(|error| {
                    let is_about_kinds = error.root_text().contains("expected ScalarNode but got");
                    error.during(if is_about_kinds {
                        "namespace field specs must target scalar nodes"
                    } else {
                        "namespace transformation failed"
                    })
                })?;
        }
        Ok(())
    }

    fn set_in(&self, map: &mut Node) -> Result<()> {
        if map.get("namespace").is_none_or(Node::is_null) {
            map.set("namespace", Node::string(""));
        }
        map.get_mut("namespace")
            .map_or(Ok(()), |namespace| self.set(namespace))
    }

    fn set_subjects(&self, binding: &mut Node) -> Result<()> {
        if self.subjects == Subjects::None {
            return Ok(());
        }
        let Some(subjects) = binding.get_mut("subjects").filter(|subjects| !subjects.is_null()) else {
            return Ok(());
        };
        let Some(items) = subjects.as_sequence_mut() else {
            return Err(wrong_node_kind(Kind::Sequence, subjects));
        };
        for subject in items.as_mut_slice() {
            let text = |key: &str| subject.get(key).and_then(Node::text);
            let is_meant = match self.subjects {
                Subjects::AllServiceAccounts => text("kind") == Some("ServiceAccount"),
                _ => text("name") == Some("default"),
            };
            if is_meant {
                self.set_in(subject)?;
            }
        }
        Ok(())
    }
}
