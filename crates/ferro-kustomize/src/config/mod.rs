//! Which fields the transformers change: built-in tables, files named in `configurations` and `crds`.

mod crds;
mod defaults;

use std::sync::{Arc, LazyLock};

pub(crate) use crds::load as load_crds;

use crate::error::{Context, Error, Result, fail};
use crate::id::Gvk;
use crate::order::compare_gvk;
use crate::types::FieldSpec;
use crate::types::decode::{At, Codec, record};

record! {
    /// Fields that hold the name of a type's objects.
    pub(crate) struct NameReference named "NameBackReferences" from "builtinconfig" {
        /// The API group of the type.
        pub group: String = "group",
        /// Its version.
        pub version: String = "version",
        /// Its kind.
        pub kind: String = "kind",
        /// The fields.
        pub field_specs: Vec<FieldSpec> = "fieldSpecs" as "types.FsSlice",
    }
}

impl NameReference {
    pub(crate) fn gvk(&self) -> Gvk {
        Gvk::new(&self.group, &self.version, &self.kind)
    }
}

record! {
    /// The fields that each transformer changes.
    pub(crate) struct TransformerConfig from "builtinconfig" {
        /// Names that get a prefix.
        pub name_prefix: Vec<FieldSpec> = "namePrefix" as "types.FsSlice",
        /// Names that get a suffix.
        pub name_suffix: Vec<FieldSpec> = "nameSuffix" as "types.FsSlice",
        /// Namespaces.
        pub namespace: Vec<FieldSpec> = "namespace" as "types.FsSlice",
        /// Labels and selectors.
        pub common_labels: Vec<FieldSpec> = "commonLabels" as "types.FsSlice",
        /// Further labels for `labels`.
        pub labels: Vec<FieldSpec> = "labels" as "types.FsSlice",
        /// Labels of templates.
        pub template_labels: Vec<FieldSpec> = "templateLabels" as "types.FsSlice",
        /// Annotations.
        pub common_annotations: Vec<FieldSpec> = "commonAnnotations" as "types.FsSlice",
        /// Fields that hold names.
        pub name_reference: Vec<NameReference> = "nameReference" as "builtinconfig.nbrSlice",
        /// Fields in which variables are replaced.
        pub var_reference: Vec<FieldSpec> = "varReference" as "types.FsSlice",
        /// Images.
        pub images: Vec<FieldSpec> = "images" as "types.FsSlice",
        /// Numbers of replicas.
        pub replicas: Vec<FieldSpec> = "replicas" as "types.FsSlice",
    }
}

/// Adds a spec unless one like it is there.
pub(crate) fn merge_spec(specs: &mut Vec<FieldSpec>, incoming: &FieldSpec) -> Result<()> {
    let selector = incoming.gvk();
    let known = specs
        .iter()
        .find(|spec| spec.path == incoming.path && spec.gvk().is_selected_by(&selector));
    match known {
        Some(known) if known.create != incoming.create => fail!("conflicting fieldspecs"),
        Some(_) => {}
        None => specs.push(incoming.clone()),
    }
    Ok(())
}

pub(crate) fn merge_specs(specs: &mut Vec<FieldSpec>, incoming: &[FieldSpec]) -> Result<()> {
    incoming.iter().try_for_each(|spec| merge_spec(specs, spec))
}

fn merge_references(references: &mut Vec<NameReference>, incoming: &[NameReference]) -> Result<()> {
    for new in incoming {
        match references.iter_mut().find(|known| known.gvk() == new.gvk()) {
            Some(known) => merge_specs(&mut known.field_specs, &new.field_specs)?,
            None => references.push(new.clone()),
        }
    }
    Ok(())
}

impl TransformerConfig {
    /// The built-in tables.
    pub(crate) fn defaults() -> Arc<Self> {
        static DEFAULTS: LazyLock<Arc<TransformerConfig>> = LazyLock::new(|| {
            let mut config = defaults::tables();
            config.sort();
            Arc::new(config)
        });
        Arc::clone(&DEFAULTS)
    }

    /// Reads a file named in `configurations`.
    pub(crate) fn parse(text: &[u8]) -> Result<Self> {
        let node = crate::read::configuration(text)
            .map_err(|error| Error::other(format!("error converting YAML to JSON: {error}")))?;
        if node.is_null() {
            return Ok(Self::default());
        }
        let mut config = Self::decode(&node, &At::strict()).map_err(|mismatch| {
            Error::other(format!(
                "error unmarshaling JSON: while decoding JSON: {}",
                mismatch.text
            ))
        })?;
        config.sort();
        Ok(config)
    }

    pub(crate) fn merge(&mut self, other: &Self) -> Result<()> {
        let pairs = [
            (&mut self.name_prefix, &other.name_prefix, "NamePrefix"),
            (&mut self.name_suffix, &other.name_suffix, "NameSuffix"),
            (&mut self.namespace, &other.namespace, "NameSpace"),
            (
                &mut self.common_annotations,
                &other.common_annotations,
                "CommonAnnotations",
            ),
            (&mut self.common_labels, &other.common_labels, "CommonLabels"),
            (&mut self.labels, &other.labels, "Labels"),
            (
                &mut self.template_labels,
                &other.template_labels,
                "TemplateLabels",
            ),
            (&mut self.var_reference, &other.var_reference, "VarReference"),
            (&mut self.images, &other.images, "Images"),
            (&mut self.replicas, &other.replicas, "Replicas"),
        ];
        for (specs, incoming, name) in pairs {
            merge_specs(specs, incoming).during(|| format!("failed to merge {name} fieldSpec"))?;
        }
        merge_references(&mut self.name_reference, &other.name_reference)
            .during(|| "failed to merge NameReference fieldSpec".to_owned())?;
        self.sort();
        Ok(())
    }

    fn sort(&mut self) {
        for specs in [
            &mut self.name_prefix,
            &mut self.name_suffix,
            &mut self.namespace,
            &mut self.common_labels,
            &mut self.labels,
            &mut self.template_labels,
            &mut self.common_annotations,
            &mut self.var_reference,
            &mut self.images,
            &mut self.replicas,
        ] {
            specs.sort_by(|left, right| compare_gvk(&left.gvk(), &right.gvk()));
        }
        self.name_reference
            .sort_by(|left, right| compare_gvk(&left.gvk(), &right.gvk()));
    }
}

/// Merges, without any work when both are the same or one is missing.
pub(crate) fn merge_shared(
    own: &mut Option<Arc<TransformerConfig>>,
    other: &Arc<TransformerConfig>,
) -> Result<()> {
    match own {
        None => *own = Some(Arc::clone(other)),
        Some(own) if Arc::ptr_eq(own, other) => {}
        Some(own) => Arc::make_mut(own).merge(other)?,
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_tables_are_complete() {
        let config = TransformerConfig::defaults();
        let references: usize = config
            .name_reference
            .iter()
            .map(|target| target.field_specs.len())
            .sum();
        assert_eq!((references, config.var_reference.len()), (166, 72));
        assert_eq!(config.images.len(), 6);
        assert_eq!((config.replicas.len(), config.namespace.len()), (4, 3));
    }

    #[test]
    fn merging_twice_changes_nothing() {
        let config = TransformerConfig::defaults();
        let mut merged = TransformerConfig::clone(&config);
        merged.merge(&config).unwrap();
        assert_eq!(merged, *config);
    }

    #[test]
    fn contradicting_specs_are_refused() {
        let mut config = TransformerConfig::clone(&TransformerConfig::defaults());
        let other =
            TransformerConfig::parse(b"commonLabels: [{path: metadata/labels, create: false}]").unwrap();
        let error = config.merge(&other).unwrap_err();
        assert_eq!(
            error.to_string(),
            "failed to merge CommonLabels fieldSpec: conflicting fieldspecs"
        );
    }

    #[test]
    fn types_are_named_like_those_of_go() {
        let config = "Go struct field TransformerConfig";
        let cases: [(&[u8], String); 4] = [
            (
                b"images: x",
                format!("string into {config}.images of type types.FsSlice"),
            ),
            (
                b"nameReference: {}",
                format!("object into {config}.nameReference of type builtinconfig.nbrSlice"),
            ),
            (
                b"nameReference: [{fieldSpecs: 1}]",
                "number into Go struct field NameBackReferences.nameReference.fieldSpecs of type types.FsSlice"
                    .to_owned(),
            ),
            (
                b"[]",
                "array into Go value of type builtinconfig.TransformerConfig".to_owned(),
            ),
        ];
        for (text, expected) in cases {
            let error = TransformerConfig::parse(text).unwrap_err();
            let expected =
                format!("error unmarshaling JSON: while decoding JSON: json: cannot unmarshal {expected}");
            assert_eq!(error.to_string(), expected);
        }
    }

    #[test]
    fn unknown_keys_are_refused() {
        let error = TransformerConfig::parse(b"namoPrefix: []").unwrap_err();
        let text = "error unmarshaling JSON: while decoding JSON: json: unknown field \"namoPrefix\"";
        assert_eq!(error.to_string(), text);
    }
}
