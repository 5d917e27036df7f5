//! A cluster to apply to: its client, its kinds, and what it holds of ours.

use std::sync::Arc;

use kube::api::DynamicObject;
use kube::{Api, Client};

use crate::error::ObjectFailure;
use crate::live::LiveIndex;
use crate::mapper::{Mapper, Mapping};
use crate::object::ObjectId;

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
