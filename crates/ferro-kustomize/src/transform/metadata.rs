//! Labels and annotations.

use std::collections::BTreeMap;

use ferro_yaml::{Kind, Node};

use super::Cx;
use crate::error::Result;
use crate::fieldspec::{Create, Walker, wrong_node_kind};
use crate::resmap::ResMap;
use crate::types::FieldSpec;

/// Sets pairs of texts in the maps that field specs lead to.
pub(crate) struct MetadataTransformer {
    pairs: BTreeMap<String, String>,
    walkers: Vec<Walker>,
}

impl MetadataTransformer {
    pub(crate) fn new(pairs: BTreeMap<String, String>, specs: &[FieldSpec]) -> Self {
        Self {
            pairs,
            walkers: Walker::all(specs, Create::Mapping),
        }
    }

    pub(crate) fn transform(&self, resources: &mut ResMap, cx: Cx<'_>) -> Result<()> {
        if self.pairs.is_empty() {
            return Ok(());
        }
        for resource in resources.iter_mut() {
            let gvk = resource.gvk();
            let place = resource.location();
            for walker in self.walkers.iter().filter(|walker| walker.applies_to(&gvk)) {
                // The id is only wanted for an error, when the object is as it was but for these maps.
                let id = resource.id(cx.schema);
                walker
                    .walk(&mut resource.node, || id, &mut |map| self.set(map))
                    .map_err(|error| error.at(place.clone()))?;
            }
        }
        Ok(())
    }

    fn set(&self, map: &mut Node) -> Result<()> {
        if !map.is_mapping() {
            return if map.is_null() {
                Ok(())
            } else {
                Err(wrong_node_kind(Kind::Mapping, map))
            };
        }
        for (key, value) in &self.pairs {
            map.set(key, Node::string(value));
        }
        Ok(())
    }
}
