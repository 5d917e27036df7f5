//! Numbers of replicas.

use ferro_yaml::Node;

use super::Cx;
use crate::error::{Result, fail};
use crate::fieldspec::{Create, Walker};
use crate::id::ResourceId;
use crate::resmap::ResMap;
use crate::types::{FieldSpec, Replica};

/// Sets the number of replicas of the objects of one name.
pub(crate) struct ReplicaTransformer {
    replica: Replica,
    specs: Vec<FieldSpec>,
}

impl ReplicaTransformer {
    pub(crate) fn new(replica: Replica, specs: Vec<FieldSpec>) -> Self {
        Self { replica, specs }
    }

    pub(crate) fn transform(&self, resources: &mut ResMap, cx: Cx<'_>) -> Result<()> {
        let named = resources.named(&self.replica.name);
        let mut is_found = false;
        for spec in &self.specs {
            let (walker, gvk) = (Walker::new(spec, Create::Scalar), spec.gvk());
            let is_meant =
                |id: &ResourceId| id.name == self.replica.name.as_str() && id.gvk.is_selected_by(&gvk);
            for index in &named {
                let Some(resource) = resources.get_mut(*index) else {
                    continue;
                };
                let matches =
                    resource.previous_ids().any(|id| is_meant(&id)) || is_meant(&resource.id(cx.schema));
                if resource.is_gone() || !matches {
                    continue;
                }
                is_found = true;
                if !walker.applies_to(&resource.gvk()) {
                    continue;
                }
                let (id, place) = (resource.id(cx.schema), resource.location());
                walker
                    .walk(&mut resource.node, || id, &mut |node| {
                        crate::field::overwrite_with(node, Node::int(self.replica.count))
                    })
                    .map_err(|error| error.at(place))?;
            }
        }
        if !is_found {
            let gvks: Vec<String> = self.specs.iter().map(|spec| spec.gvk().to_string()).collect();
            fail!(
                "resource with name {} does not match a config with the following GVK [{}]",
                self.replica.name,
                gvks.join(" ")
            );
        }
        Ok(())
    }
}
