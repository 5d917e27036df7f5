//! The ordered resources of a layer, found by identity without a scan.

use std::collections::HashMap;
use std::hash::{BuildHasher, DefaultHasher, Hash, Hasher};

use ferro_yaml::Text;

use crate::error::{Error, ErrorKind, Result};
use crate::id::ResourceId;
use crate::resource::Resource;
use crate::schema::Schema;

/// Hashes with fixed keys: lookups alone depend on it, and a build must not depend on chance.
#[derive(Clone, Copy, Default)]
pub(crate) struct FixedState;

impl BuildHasher for FixedState {
    type Hasher = DefaultHasher;

    fn build_hasher(&self) -> DefaultHasher {
        DefaultHasher::new()
    }
}

/// Where something may be; each candidate is checked before it counts.
type Candidates = HashMap<u64, Vec<u32>, FixedState>;

/// The resources of a layer in their order.
#[derive(Clone, Default)]
pub(crate) struct ResMap {
    list: Vec<Resource>,
    /// By every identity that a resource has or had. Entries may be stale but none is missing.
    by_id: Option<Candidates>,
    by_name: Option<Candidates>,
    /// Whether a change of identities may have made two of them equal.
    may_collide: bool,
}

fn id_key(kind: &str, name: &str, namespace: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    (kind, name, namespace).hash(&mut hasher);
    hasher.finish()
}

fn name_key(name: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    name.hash(&mut hasher);
    hasher.finish()
}

fn note(candidates: &mut Candidates, key: u64, index: usize) {
    let index = u32::try_from(index).unwrap_or(u32::MAX);
    let known = candidates.entry(key).or_default();
    if let Err(place) = known.binary_search(&index) {
        known.insert(place, index);
    }
}

impl ResMap {
    pub(crate) fn len(&self) -> usize {
        self.list.len()
    }

    pub(crate) fn iter(&self) -> std::slice::Iter<'_, Resource> {
        self.list.iter()
    }

    pub(crate) fn get(&self, index: usize) -> Option<&Resource> {
        self.list.get(index)
    }

    /// Gives write access to one resource. Whoever changes its identity calls [`Self::renamed`].
    pub(crate) fn get_mut(&mut self, index: usize) -> Option<&mut Resource> {
        self.list.get_mut(index)
    }

    /// Gives write access to all; identities must not change.
    pub(crate) fn iter_mut(&mut self) -> std::slice::IterMut<'_, Resource> {
        self.list.iter_mut()
    }

    /// Gives write access to all, whatever changes.
    pub(crate) fn list_mut(&mut self) -> &mut Vec<Resource> {
        self.by_id = None;
        self.by_name = None;
        &mut self.list
    }

    pub(crate) fn into_list(self) -> Vec<Resource> {
        self.list
    }

    /// Adds a resource; one with the same current identity must not be there.
    pub(crate) fn append(&mut self, resource: Resource, schema: &Schema) -> Result<()> {
        let id = resource.id(schema);
        if self.find_current(&id, schema).is_some() {
            let place = resource.location();
            return Err(Error::from(ErrorKind::DuplicateId { id }).at(place));
        }
        self.push(resource, schema);
        Ok(())
    }

    fn push(&mut self, resource: Resource, schema: &Schema) {
        let index = self.list.len();
        self.list.push(resource);
        self.renamed(index, schema);
    }

    pub(crate) fn append_all(&mut self, other: Self, schema: &Schema) -> Result<()> {
        self.list.reserve(other.len());
        other
            .list
            .into_iter()
            .try_for_each(|resource| self.append(resource, schema))
    }

    /// Notes the identity that a resource now has.
    pub(crate) fn renamed(&mut self, index: usize, schema: &Schema) {
        let Some(resource) = self.list.get(index) else {
            return;
        };
        if let Some(by_id) = &mut self.by_id {
            index_ids(by_id, index, resource, schema);
        }
        if let Some(by_name) = &mut self.by_name {
            index_names(by_name, index, resource);
        }
    }

    fn candidates(&mut self, key: u64, schema: &Schema) -> Vec<u32> {
        let by_id = self.by_id.get_or_insert_with(|| {
            let mut by_id = Candidates::with_capacity_and_hasher(self.list.len(), FixedState);
            for (index, resource) in self.list.iter().enumerate() {
                index_ids(&mut by_id, index, resource, schema);
            }
            by_id
        });
        by_id.get(&key).cloned().unwrap_or_default()
    }

    fn candidates_of(&mut self, id: &ResourceId, schema: &Schema) -> Vec<u32> {
        self.candidates(id_key(&id.gvk.kind, &id.name, id.effective_namespace()), schema)
    }

    /// Finds the resource with this current identity.
    pub(crate) fn find_current(&mut self, id: &ResourceId, schema: &Schema) -> Option<usize> {
        self.candidates_of(id, schema)
            .into_iter()
            .map(|index| index as usize)
            .find(|index| {
                self.list
                    .get(*index)
                    .is_some_and(|resource| resource.id(schema) == *id)
            })
    }

    /// Finds all resources with this current identity.
    pub(crate) fn find_all_current(&mut self, id: &ResourceId, schema: &Schema) -> Vec<usize> {
        let candidates = self
            .candidates_of(id, schema)
            .into_iter()
            .map(|index| index as usize);
        candidates
            .filter(|index| {
                self.list
                    .get(*index)
                    .is_some_and(|resource| resource.id(schema) == *id)
            })
            .collect()
    }

    /// Notes an identity that a patch may have changed to anything.
    pub(crate) fn moved(&mut self, index: usize, schema: &Schema) {
        self.may_collide = true;
        self.renamed(index, schema);
    }

    /// Refuses two resources with the same identity.
    pub(crate) fn check_unique(&mut self, schema: &Schema) -> Result<()> {
        self.drop_empties();
        if !std::mem::take(&mut self.may_collide) {
            return Ok(());
        }
        self.refuse_collisions(schema, |_| true)
    }

    /// Refuses two resources with the same identity among those that count.
    pub(crate) fn refuse_collisions(
        &self,
        schema: &Schema,
        counts: impl Fn(&Resource) -> bool,
    ) -> Result<()> {
        match self.first_collision(schema, counts) {
            Some(resource) => {
                let (id, place) = (resource.id(schema), resource.location());
                Err(Error::from(ErrorKind::DuplicateId { id }).at(place))
            }
            None => Ok(()),
        }
    }

    /// Finds the resources that have or had this identity.
    pub(crate) fn find_any(&mut self, id: &ResourceId, schema: &Schema) -> Vec<usize> {
        let candidates = self
            .candidates_of(id, schema)
            .into_iter()
            .map(|index| index as usize);
        candidates
            .filter(|index| {
                self.list.get(*index).is_some_and(|resource| {
                    !resource.is_gone()
                        && (resource.previous_ids().any(|previous| previous == *id)
                            || resource.id(schema) == *id)
                })
            })
            .collect()
    }

    /// Returns those that have or had the name, in order; a superset, to be checked.
    pub(crate) fn named(&mut self, name: &str) -> Vec<usize> {
        let by_name = self.by_name.get_or_insert_with(|| {
            let mut by_name = Candidates::with_capacity_and_hasher(self.list.len(), FixedState);
            for (index, resource) in self.list.iter().enumerate() {
                index_names(&mut by_name, index, resource);
            }
            by_name
        });
        by_name
            .get(&name_key(name))
            .map(|found| found.iter().map(|index| *index as usize).collect())
            .unwrap_or_default()
    }

    /// Puts a resource in another's place.
    pub(crate) fn replace(&mut self, index: usize, resource: Resource, schema: &Schema) {
        if let Some(slot) = self.list.get_mut(index) {
            *slot = resource;
            self.renamed(index, schema);
        }
    }

    /// Drops what patches emptied.
    pub(crate) fn drop_empties(&mut self) {
        if self.list.iter().any(Resource::is_gone) {
            self.list_mut().retain(|resource| !resource.is_gone());
        }
    }

    /// Finds the first resource whose current identity an earlier one has.
    fn first_collision(&self, schema: &Schema, counts: impl Fn(&Resource) -> bool) -> Option<&Resource> {
        let mut seen: HashMap<u64, Vec<ResourceId>, FixedState> = HashMap::default();
        self.list
            .iter()
            .filter(|resource| counts(resource))
            .find(|resource| {
                let id = resource.id(schema);
                let same = seen
                    .entry(id_key(&id.gvk.kind, &id.name, id.effective_namespace()))
                    .or_default();
                let is_known = same.contains(&id);
                same.push(id);
                is_known
            })
    }
}

fn index_ids(by_id: &mut Candidates, index: usize, resource: &Resource, schema: &Schema) {
    let id = resource.id(schema);
    note(
        by_id,
        id_key(&id.gvk.kind, &id.name, id.effective_namespace()),
        index,
    );
    for previous in resource.previous_ids() {
        note(
            by_id,
            id_key(&previous.gvk.kind, &previous.name, previous.effective_namespace()),
            index,
        );
    }
}

fn index_names(by_name: &mut Candidates, index: usize, resource: &Resource) {
    note(by_name, name_key(resource.name()), index);
    let former: Vec<&Text> = resource
        .record
        .history
        .iter()
        .map(|previous| &previous.name)
        .collect();
    for name in former {
        note(by_name, name_key(name), index);
    }
}
