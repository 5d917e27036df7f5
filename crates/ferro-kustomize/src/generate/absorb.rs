//! Generated objects take their place among the others.

use std::collections::BTreeMap;

use ferro_yaml::Node;

use crate::error::{Result, fail};
use crate::field;
use crate::origin;
use crate::resmap::ResMap;
use crate::resource::{Behavior, ORIGIN, Resource};
use crate::schema::Schema;

/// Takes in a generated resource: beside the others, or into the one that it names.
pub(crate) fn absorb(resources: &mut ResMap, mut resource: Resource, schema: &Schema) -> Result<()> {
    let id = resource.id(schema);
    let behavior = resource.record.behavior.unwrap_or_default();
    let found = resources.find_any(&id, schema);
    let wants_another = matches!(behavior, Behavior::Merge | Behavior::Replace);
    match (found.as_slice(), wants_another) {
        ([], false) => resources.append(resource, schema),
        ([], true) => fail!("id {} does not exist; cannot merge or replace", id.go_syntax()),
        ([_], false) => fail!(
            "id {} exists; can not use behavior: '{}', behavior must be merge or replace",
            id.go_syntax(),
            behavior.word()
        ),
        ([index], true) => {
            if let Some(old) = resources.get(*index) {
                if behavior == Behavior::Merge {
                    origin::refuse_unreadable(old)?;
                }
                take_over(&mut resource, old, behavior == Behavior::Merge);
            }
            resources.replace(*index, resource, schema);
            Ok(())
        }
        (several, _) => {
            let shown: Vec<String> = several
                .iter()
                .filter_map(|index| resources.get(*index))
                .map(crate::emit::exposed_json)
                .collect();
            fail!(
                "found multiple objects [{}] that could accept merge of {id}",
                shown.join(" ")
            );
        }
    }
}

/// Gives a generated resource the identity of the one whose place it takes, and its metadata.
fn take_over(new: &mut Resource, old: &Resource, merges_data: bool) {
    let origin = old.annotation(ORIGIN).map(str::to_owned);
    for field in ["labels", "annotations"] {
        let mut merged = old.metadata_map(field);
        for (key, value) in new.metadata_map(field) {
            match merged.iter_mut().find(|(known, _)| *known == key) {
                Some(known) => known.1 = value,
                None => merged.push((key, value)),
            }
        }
        new.set_metadata_map(field, merged);
    }
    new.set_name(old.name());
    new.set_namespace(old.namespace());
    let needs_hash = new.record.needs_hash && old.record.needs_hash;
    new.record = old.record.clone();
    new.record.needs_hash = needs_hash;
    new.var_names.clone_from(&old.var_names);
    if !merges_data {
        return;
    }
    for field in ["data", "binaryData"] {
        merge_data(new, old, field);
    }
    if let Some(origin) = origin {
        new.set_annotation(ORIGIN, origin);
    }
}

/// Lays the new data over the old; all values become strings.
fn merge_data(new: &mut Resource, old: &Resource, name: &str) {
    let text = |node: &Node| {
        node.shared_text()
            .filter(|_| !node.is_null())
            .cloned()
            .unwrap_or_default()
    };
    let mut values = BTreeMap::new();
    for side in [&old.node, &new.node] {
        for entry in side.get(name).map(Node::entries).unwrap_or_default() {
            values.insert(text(&entry.key), text(&entry.value));
        }
    }
    new.node.remove(name);
    let mut merged = crate::scalar::empty_mapping();
    for (key, value) in values {
        field::put(&mut merged, key, field::string(value));
    }
    if !merged.entries().is_empty() {
        new.node.set(name, merged);
    }
}
