//! Labels and annotations.

use std::collections::BTreeMap;

use ferro_yaml::{Kind, Node, Text};

use super::Cx;
use crate::error::Result;
use crate::fieldspec::{Create, Walker, wrong_node_kind};
use crate::resmap::ResMap;
use crate::resource::Resource;
use crate::shared;
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
            self.apply(resource, cx)
                .map_err(|error| error.at(resource.location()))?;
        }
        Ok(())
    }

    fn apply(&self, resource: &mut Resource, cx: Cx<'_>) -> Result<()> {
        let gvk = resource.gvk();
        let walkers: Vec<&Walker> = self
            .walkers
            .iter()
            .filter(|walker| walker.applies_to(&gvk))
            .collect();
        // What is added in one place only is shared with nothing.
        let anchors: Vec<Text> = if walkers.len() > 1 {
            self.pairs
                .keys()
                .map(|key| shared::anchor(resource, key))
                .collect()
        } else {
            vec![Text::new(); self.pairs.len()]
        };
        let mut added = vec![0_usize; self.pairs.len()];
        for walker in walkers {
            // The id is only wanted for an error, when the object is as it was but for these maps.
            let id = resource.id(cx.schema);
            walker.walk(&mut resource.node, || id, &mut |map| {
                self.set(map, &anchors, &mut added)
            })?;
        }
        // Overwritten nodes first: what is added now is known with the value that it has.
        shared::settle(resource);
        for (((_, value), anchor), added) in self.pairs.iter().zip(anchors).zip(added) {
            if added > 0 && !anchor.is_empty() {
                let mut node = Node::string(value);
                node.set_anchor(anchor.clone());
                resource.shared.push((anchor, node));
            }
        }
        Ok(())
    }

    fn set(&self, map: &mut Node, anchors: &[Text], added: &mut [usize]) -> Result<()> {
        if !map.is_mapping() {
            return if map.is_null() {
                Ok(())
            } else {
                Err(wrong_node_kind(Kind::Mapping, map))
            };
        }
        for (((key, value), anchor), added) in self.pairs.iter().zip(anchors).zip(added) {
            let mut node = Node::string(value);
            if let Some(old) = map.get_mut(key) {
                shared::overwrite(old, node);
                continue;
            }
            *added += 1;
            if !anchor.is_empty() {
                node.set_anchor(anchor.clone());
            }
            map.set(key, node);
        }
        Ok(())
    }
}
