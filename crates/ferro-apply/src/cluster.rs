//! A cluster to apply to: its client, its kinds, and what it holds of ours.

use std::collections::HashMap;
use std::sync::Arc;

use kube::api::DynamicObject;
use kube::{Api, Client};
use serde_json::Value;

use crate::error::ObjectFailure;
use crate::live::LiveIndex;
use crate::mapper::{Mapper, Mapping};
use crate::object::{Object, ObjectId};

/// A cluster. The client may be that of a tenant; the mapper and the index are shared by all who talk to the same
/// cluster. Cheap to clone.
#[derive(Clone)]
pub struct Cluster {
    /// With whose rights objects are written.
    pub client: Client,
    /// The kinds.
    pub mapper: Arc<Mapper>,
    /// What is there.
    pub live: LiveIndex,
}

impl Cluster {
    /// The API of one object.
    #[must_use]
    pub fn api(&self, mapping: &Mapping, namespace: &str) -> Api<DynamicObject> {
        if mapping.namespaced && !namespace.is_empty() {
            Api::namespaced_with(self.client.clone(), namespace, &mapping.resource)
        } else {
            Api::all_with(self.client.clone(), &mapping.resource)
        }
    }

    /// Clears the namespace of objects whose kind has none, as far as that is known yet, so that their identity is the one that they
    /// will have once applied. Manifests may give a namespace to any object, and kustomize gives one to each custom resource.
    pub async fn settle_namespaces(&self, objects: &mut [Object]) {
        let mut cluster_scoped: HashMap<(String, String), bool> = objects.iter().filter_map(scope).collect();
        for object in objects {
            let id = object.id();
            if id.namespace.is_empty() {
                continue;
            }
            let key = (id.group.clone(), id.kind.clone());
            let known = cluster_scoped.get(&key).copied();
            let clears = match known {
                Some(known) => known,
                None => {
                    let mapping = self.map(id, object.version()).await;
                    let clears = mapping.is_ok_and(|mapping| !mapping.namespaced);
                    *cluster_scoped.entry(key).or_insert(clears)
                }
            };
            if clears {
                object.clear_namespace();
            }
        }
    }

    /// How the kind of an object is served, in the version given or else in the preferred one.
    ///
    /// # Errors
    /// When it is not.
    pub async fn map(&self, id: &ObjectId, version: &str) -> Result<Mapping, ObjectFailure> {
        let mapped = self.mapper.resolve_any(&id.group, version, &id.kind).await;
        mapped.map_err(|source| ObjectFailure::Unmapped {
            id: id.clone(),
            source,
        })
    }
}

/// What a definition says of the kind that it defines: whether its objects live outside of namespaces.
fn scope(definition: &Object) -> Option<((String, String), bool)> {
    if definition.id().kind != "CustomResourceDefinition" {
        return None;
    }
    let text = |pointer| definition.value().pointer(pointer).and_then(Value::as_str);
    let key = (
        text("/spec/group")?.to_owned(),
        text("/spec/names/kind")?.to_owned(),
    );
    Some((key, text("/spec/scope")? == "Cluster"))
}
