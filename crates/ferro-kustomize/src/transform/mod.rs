//! The built-in transformers, one module each.

pub(crate) mod hash;
pub(crate) mod image;
pub(crate) mod metadata;
pub(crate) mod name;
pub(crate) mod namespace;
pub(crate) mod patch;
pub(crate) mod replacement;
pub(crate) mod replacement_path;
mod replacement_value;
pub(crate) mod replica;
pub(crate) mod value_add;

use crate::Quirks;
use crate::error::Result;
use crate::resmap::ResMap;
use crate::schema::Schema;

/// What transformers need besides resources.
#[derive(Clone, Copy)]
pub(crate) struct Cx<'a> {
    pub(crate) schema: &'a Schema,
    pub(crate) quirks: Quirks,
}

/// A configured transformer.
pub(crate) enum Transformer {
    Annotations(metadata::MetadataTransformer),
    Hash,
    Image(image::ImageTransformer),
    Labels(metadata::MetadataTransformer),
    Names(Vec<name::AffixTransformer>),
    Namespace(namespace::NamespaceTransformer),
    PatchJson6902(patch::JsonPatch),
    PatchStrategicMerge(patch::StrategicPatches),
    Patch(patch::PatchTransformer),
    Replacement(replacement::ReplacementTransformer),
    Replica(replica::ReplicaTransformer),
    ValueAdd(value_add::ValueAddTransformer),
}

impl Transformer {
    /// Tells whether it merges by the schema.
    pub(crate) fn uses_schema(&self, resources: &mut ResMap, schema: &Schema) -> bool {
        match self {
            Self::PatchStrategicMerge(_) => true,
            Self::Patch(patch) => patch.merges_any(resources, schema),
            _ => false,
        }
    }

    /// Changes the resources.
    pub(crate) fn transform(&self, resources: &mut ResMap, cx: Cx<'_>) -> Result<()> {
        match self {
            Self::Annotations(transformer) | Self::Labels(transformer) => {
                transformer.transform(resources, cx)
            }
            Self::Hash => hash::transform(resources, cx),
            Self::Image(transformer) => transformer.transform(resources, cx),
            Self::Names(transformers) => transformers
                .iter()
                .try_for_each(|transformer| transformer.transform(resources, cx)),
            Self::Namespace(transformer) => transformer.transform(resources, cx),
            Self::PatchJson6902(transformer) => transformer.transform(resources, cx),
            Self::PatchStrategicMerge(transformer) => transformer.transform(resources, cx),
            Self::Patch(transformer) => transformer.transform(resources, cx),
            Self::Replacement(transformer) => transformer.transform(resources, cx),
            Self::Replica(transformer) => transformer.transform(resources, cx),
            Self::ValueAdd(transformer) => transformer.transform(resources, cx),
        }
    }
}
