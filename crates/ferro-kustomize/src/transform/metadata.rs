//! Labels and annotations.

use std::collections::BTreeMap;

use ferro_yaml::{Kind, Node, Text};

use super::Cx;
use crate::error::Result;
use crate::field;
use crate::fieldspec::{Create, Walker, wrong_node_kind};
use crate::resmap::ResMap;
use crate::resource::Resource;
use crate::shared;
use crate::types::FieldSpec;

const ANNOTATIONS: &str = "metadata/annotations";

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
        let of_annotations = || walkers.iter().filter(|walker| walker.path() == ANNOTATIONS);
        if of_annotations().next().is_some() {
            resource.ensure_annotations(of_annotations().any(|walker| walker.creates()));
        }
        let mut added = vec![0_usize; self.pairs.len()];
        let mut nodes: Vec<Node> = self.pairs.values().map(Node::string).collect();
        let mut unseen = 0;
        for walker in walkers {
            // The id is only wanted for an error, when the object is as it was but for these maps.
            let id = resource.id(cx.schema);
            walker.walk(&mut resource.node, || id, &mut |map| {
                unseen += usize::from(map.is_null());
                self.set(map, &anchors, &mut added, &mut nodes)
            })?;
        }
        resource.unseen_changes += unseen;
        // Overwritten nodes first: what is added now is known with the value that it has.
        shared::settle(resource);
        for ((mut node, anchor), added) in nodes.into_iter().zip(anchors).zip(added) {
            if added > 0 && !anchor.is_empty() {
                node.set_anchor(anchor.clone());
                resource.shared.push((anchor, node));
            }
        }
        Ok(())
    }

    /// Sets all pairs. It is one node that is put everywhere, and what it replaces leaves it its style.
    fn set(&self, map: &mut Node, anchors: &[Text], added: &mut [usize], nodes: &mut [Node]) -> Result<()> {
        if !map.is_mapping() {
            return if map.is_null() {
                Ok(())
            } else {
                Err(wrong_node_kind(Kind::Mapping, map))
            };
        }
        for (((key, node), anchor), added) in self.pairs.keys().zip(nodes).zip(anchors).zip(added) {
            if let Some(old) = map.get_mut(key) {
                field::keep_style(old, node);
                shared::overwrite(old, node.clone());
                continue;
            }
            *added += 1;
            let mut node = node.clone();
            if !anchor.is_empty() {
                node.set_anchor(anchor.clone());
            }
            field::put(map, key, node);
        }
        Ok(())
    }
}
