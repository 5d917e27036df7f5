//! Prefixes and suffixes of names.

use super::Cx;
use crate::error::Result;
use crate::fieldspec::{Create, Walker};
use crate::id::Gvk;
use crate::resmap::ResMap;
use crate::types::FieldSpec;

/// Which end of a name grows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Front,
    Back,
}

/// Puts a text before or behind what field specs lead to.
pub(crate) struct AffixTransformer {
    text: String,
    end: End,
    walkers: Vec<Walker>,
}

/// Kinds whose names mean something beyond the build.
fn keeps_its_name(gvk: &Gvk) -> bool {
    match gvk.kind.as_str() {
        "CustomResourceDefinition" | "Namespace" => true,
        "APIService" => gvk.group == "apiregistration.k8s.io",
        _ => false,
    }
}

impl AffixTransformer {
    pub(crate) fn new(text: String, end: End, specs: &[FieldSpec]) -> Self {
        Self {
            text,
            end,
            walkers: Walker::all(specs, Create::Scalar),
        }
    }

    pub(crate) fn transform(&self, resources: &mut ResMap, cx: Cx<'_>) -> Result<()> {
        for resource in resources.list_mut() {
            let original = resource.original_id(cx.schema).gvk;
            if keeps_its_name(&original) {
                continue;
            }
            for walker in self.walkers.iter().filter(|walker| walker.applies_to(&original)) {
                if walker.path() == "metadata/name" && !self.text.is_empty() {
                    let affixes = match self.end {
                        End::Front => &mut resource.record.prefixes,
                        End::Back => &mut resource.record.suffixes,
                    };
                    affixes.push((&self.text).into());
                    resource.store_previous_id(cx.schema);
                }
                // The spec's type is compared once more, with what the object is by now.
                if !walker.applies_to(&resource.gvk()) {
                    continue;
                }
                let (id, place) = (resource.id(cx.schema), resource.location());
                walker
                    .walk(&mut resource.node, || id, &mut |node| {
                        let old = node.text().unwrap_or_default();
                        let new = match self.end {
                            End::Front => format!("{}{old}", self.text),
                            End::Back => format!("{old}{}", self.text),
                        };
                        crate::field::overwrite(node, new)
                    })
                    .map_err(|error| error.at(place))?;
            }
        }
        Ok(())
    }
}
