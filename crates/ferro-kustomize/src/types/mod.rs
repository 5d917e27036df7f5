//! The records of a kustomization file and of plugin configurations.

pub(crate) mod decode;
mod generator;
mod kustomization;
mod replacement;

use std::collections::BTreeMap;

pub use generator::{ConfigMapArgs, GeneratorOptions, HelmChart, HelmChartArgs, HelmGlobals, SecretArgs};
pub use kustomization::Kustomization;
pub(crate) use kustomization::load as load_kustomization;
pub use replacement::{FieldOptions, Replacement, ReplacementField, SourceSelector, TargetSelector};

use crate::id::Gvk;
use decode::record;

record! {
    /// Object metadata; of the kustomization itself, nothing of it is used.
    pub struct ObjectMeta {
        /// The name.
        pub name: String = "name",
        /// The namespace.
        pub namespace: String = "namespace",
        /// The labels.
        pub labels: BTreeMap<String, String> = "labels",
        /// The annotations.
        pub annotations: BTreeMap<String, String> = "annotations",
    }
}

record! {
    /// Which field of which objects a transformer changes.
    pub struct FieldSpec {
        /// The API group, blank for any.
        pub group: String = "group" in "Gvk",
        /// The version, blank for any.
        pub version: String = "version" in "Gvk",
        /// The kind, blank for any.
        pub kind: String = "kind" in "Gvk",
        /// The field: `spec/template/metadata/labels`.
        pub path: String = "path",
        /// Whether a missing field is created.
        pub create: bool = "create",
    }
}

impl FieldSpec {
    /// Group, version and kind as one.
    pub(crate) fn gvk(&self) -> Gvk {
        Gvk::new(&self.group, &self.version, &self.kind)
    }
}

record! {
    /// Which objects are meant; each part of the identity is a regular expression.
    pub struct Selector {
        /// The API group.
        pub group: String = "group" in "ResId.Gvk",
        /// The version.
        pub version: String = "version" in "ResId.Gvk",
        /// The kind.
        pub kind: String = "kind" in "ResId.Gvk",
        /// The name.
        pub name: String = "name" in "ResId",
        /// The namespace.
        pub namespace: String = "namespace" in "ResId",
        /// A Kubernetes selector over the annotations.
        pub annotation_selector: String = "annotationSelector",
        /// A Kubernetes selector over the labels.
        pub label_selector: String = "labelSelector",
    }
}

record! {
    /// What a strategic merge patch may change besides content.
    pub struct PatchOptions {
        /// Whether it may rename.
        pub allow_name_change: bool = "allowNameChange",
        /// Whether it may change the kind.
        pub allow_kind_change: bool = "allowKindChange",
    }
}

record! {
    /// A patch, strategic or JSON 6902, inline or in a file.
    pub struct Patch {
        /// The file.
        pub path: String = "path",
        /// The text.
        pub patch: String = "patch",
        /// What it is for. Without a target a strategic patch names its object itself.
        pub target: Option<Selector> = "target",
        /// What it may change.
        pub options: Option<PatchOptions> = "options",
    }
}

record! {
    /// A change of an image.
    pub struct Image {
        /// The image's name as it stands in the manifests.
        pub name: String = "name",
        /// Its new name.
        pub new_name: String = "newName",
        /// What is appended to the tag.
        pub tag_suffix: String = "tagSuffix",
        /// The new tag.
        pub new_tag: String = "newTag",
        /// The new digest.
        pub digest: String = "digest",
    }
}

record! {
    /// A change of a number of replicas.
    pub struct Replica {
        /// The object's name.
        pub name: String = "name",
        /// The number.
        pub count: i64 = "count",
    }
}

record! {
    /// Labels and where they go.
    pub struct Label {
        /// The labels.
        pub pairs: BTreeMap<String, String> = "pairs",
        /// Whether selectors get them too.
        pub include_selectors: bool = "includeSelectors",
        /// Whether templates get them too.
        pub include_templates: bool = "includeTemplates",
        /// Further fields that get them.
        pub field_specs: Vec<FieldSpec> = "fields",
    }
}

record! {
    /// The object that a variable reads from.
    pub struct VarTarget named "Target" {
        /// The API version; or group and version apart.
        pub api_version: String = "apiVersion",
        /// The API group.
        pub group: String = "group" in "Gvk",
        /// The version.
        pub version: String = "version" in "Gvk",
        /// The kind.
        pub kind: String = "kind" in "Gvk",
        /// The name.
        pub name: String = "name",
        /// The namespace.
        pub namespace: String = "namespace",
    }
}

record! {
    /// The field that a variable reads.
    pub struct FieldSelector {
        /// The field: `spec.ports[0].port`.
        pub field_path: String = "fieldPath",
    }
}

record! {
    /// A variable.
    pub struct Var {
        /// The name, used as `$(NAME)`.
        pub name: String = "name",
        /// Where its value comes from.
        pub object_ref: VarTarget = "objref",
        /// Which field of it.
        pub field_ref: FieldSelector = "fieldref",
    }
}

record! {
    /// Kinds that come first and last in the legacy order.
    pub struct LegacySortOptions {
        /// The kinds that come first.
        pub order_first: Vec<String> = "orderFirst",
        /// The kinds that come last.
        pub order_last: Vec<String> = "orderLast",
    }
}

record! {
    /// The order of the output.
    pub struct SortOptions {
        /// `legacy` or `fifo`.
        pub order: String = "order",
        /// Replaces the built-in lists of the legacy order.
        pub legacy_sort_options: Option<LegacySortOptions> = "legacySortOptions",
    }
}
