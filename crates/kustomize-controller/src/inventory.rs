//! The inventory in a Kustomization's status.

use ferro_api::FluxObject;
use ferro_api::kustomize::Kustomization;
use ferro_api::meta::{ResourceInventory, ResourceRef};
use ferro_api::reason;
use ferro_apply::inventory::{format_id, parse_id, stale, union};
use ferro_apply::{Entry, Object};
use ferro_runtime::reconcile::Pass;

use crate::stop::Stop;

/// The inventory of a status; entries that cannot be read are left out, as they name nothing.
pub(crate) fn inventory(kustomization: &Kustomization) -> Vec<Entry> {
    let entries = kustomization
        .status
        .as_ref()
        .and_then(|status| status.inventory.as_ref());
    let read = |entry: &ResourceRef| {
        Some(Entry {
            id: parse_id(&entry.id)?,
            version: entry.v.clone(),
        })
    };
    entries
        .map(|inventory| inventory.entries.iter().filter_map(read).collect())
        .unwrap_or_default()
}

pub(crate) fn set_inventory(kustomization: &mut Kustomization, entries: &[Entry]) {
    let entries = entries
        .iter()
        .map(|entry| ResourceRef {
            id: format_id(&entry.id),
            v: entry.version.clone(),
        })
        .collect();
    kustomization.status_mut().inventory = Some(ResourceInventory { entries });
}

/// Writes the names of new objects into the inventory before they are made: should this process be killed in between, and the next commit
/// not have them any more, they are still pruned.
pub(crate) async fn announce_objects(
    pass: &mut Pass<Kustomization>,
    objects: &[Object],
    old: &[Entry],
) -> Result<(), Stop> {
    let entry = |object: &Object| Entry {
        id: object.id().clone(),
        version: object.version().to_owned(),
    };
    let coming: Vec<Entry> = objects.iter().map(entry).collect();
    if stale(&coming, old).is_empty() {
        return Ok(());
    }
    set_inventory(&mut pass.object, &union(coming, old));
    pass.flush()
        .await
        .map_err(|error| Stop::failed(reason::RECONCILIATION_FAILED, error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inventory_survives_the_status() {
        let mut kustomization = Kustomization::default();
        let entry = Entry {
            id: parse_id("ns_web_apps_Deployment").unwrap(),
            version: "v1".into(),
        };
        set_inventory(&mut kustomization, std::slice::from_ref(&entry));
        assert_eq!(inventory(&kustomization), [entry]);
    }
}
