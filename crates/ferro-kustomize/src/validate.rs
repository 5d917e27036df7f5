//! Validators are transformers that must not transform.

use crate::error::{Error, Result, fail};
use crate::field;
use crate::resmap::ResMap;
use crate::resource::Resource;
use crate::schema::Schema;

/// The label that a validator may set.
const VALIDATED_BY: &str = "validated-by";

/// Fails if a validator did more than to set its label.
pub(crate) fn refuse_changes(before: &ResMap, after: &mut ResMap, schema: &Schema) -> Result<()> {
    for old in before.iter() {
        let id = old.id(schema);
        let found = after.find_all_current(&id, schema);
        let [index] = found.as_slice() else {
            match found.len() {
                0 => fail!("id in self missing from other; id: {id}"),
                count => fail!("id in self matches {count} in other; id: {id}"),
            }
        };
        let Some(new) = after.get(*index) else { continue };
        let is_labelled = new.label(VALIDATED_BY).is_some();
        let (old, new) = (old.clone(), without_validation_label(new));
        let [old_text, new_text] = [&old, &new].map(crate::emit::exposed_json);
        let is_changed = old_text != new_text
            || old.node != new.node
            || old.record != new.record
            || old.unseen_changes != new.unseen_changes;
        if is_changed || (is_labelled && is_known_anew(&old)) {
            let text = format!("nodes unequal: \n -- {old_text},\n -- {new_text}\n");
            return Err(Error::other(text).at(old.location()));
        }
    }
    if before.len() != after.len() {
        fail!(
            "lists have different number of entries: {} and {}",
            before.len(),
            after.len()
        );
    }
    Ok(())
}

/// Upstream writes all labels anew when it takes its own away, and then does not know those again that stood in a file or have
/// other quotes.
fn is_known_anew(old: &Resource) -> bool {
    let Some(labels) = old.node.lookup(["metadata", "labels"]) else {
        return false;
    };
    let is_made_anew = |label: &ferro_yaml::Entry| {
        let mut value = field::string(label.value.text().unwrap_or_default());
        field::quote_for_old_readers(&mut value);
        label.value.position().line == 0 && label.value.style() == value.style()
    };
    labels.position().line > 0 || !labels.entries().iter().all(is_made_anew)
}

fn without_validation_label(resource: &Resource) -> Resource {
    let mut copy = resource.clone();
    if resource.label(VALIDATED_BY).is_some() {
        let mut labels = copy.metadata_map("labels");
        labels.retain(|(key, _)| key.as_str() != VALIDATED_BY);
        copy.set_metadata_map("labels", labels);
    }
    copy
}
