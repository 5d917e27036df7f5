//! The legacy order of documents, and the order of field specs.

use std::cmp::Ordering;
use std::collections::HashMap;

use crate::error::{Result, fail};
use crate::id::{Gvk, ResourceId};
use crate::resmap::{FixedState, ResMap};
use crate::schema::Schema;
use crate::types::SortOptions;

const FIRST: [&str; 22] = [
    "Namespace",
    "ResourceQuota",
    "StorageClass",
    "CustomResourceDefinition",
    "ServiceAccount",
    "PodSecurityPolicy",
    "Role",
    "ClusterRole",
    "RoleBinding",
    "ClusterRoleBinding",
    "ConfigMap",
    "Secret",
    "Endpoints",
    "Service",
    "LimitRange",
    "PriorityClass",
    "PersistentVolume",
    "PersistentVolumeClaim",
    "Deployment",
    "StatefulSet",
    "CronJob",
    "PodDisruptionBudget",
];
const LAST: [&str; 2] = ["MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"];

/// The order of documents when nothing else is said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reorder {
    /// As the resources were accumulated.
    #[default]
    None,
    /// By kind, with what others need first.
    Legacy,
}

/// Ranks of kinds; those without one are between first and last.
struct Ranks<'k>(HashMap<&'k str, i64, FixedState>);

impl<'k> Ranks<'k> {
    fn new<S: AsRef<str> + 'k>(first: &'k [S], last: &'k [S]) -> Self {
        let mut ranks = HashMap::default();
        let length = i64::try_from(first.len()).unwrap_or(i64::MAX);
        for (rank, kind) in (-length..).zip(first) {
            ranks.insert(kind.as_ref(), rank);
        }
        for (rank, kind) in (1..).zip(last) {
            ranks.insert(kind.as_ref(), rank);
        }
        Self(ranks)
    }

    fn of(&self, kind: &str) -> i64 {
        self.0.get(kind).copied().unwrap_or_default()
    }
}

fn rank(kind: &str) -> i64 {
    let length = i64::try_from(FIRST.len()).unwrap_or_default();
    if let Some(rank) = (-length..).zip(FIRST).find(|(_, first)| *first == kind) {
        return rank.0;
    }
    (1..)
        .zip(LAST)
        .find(|(_, last)| *last == kind)
        .map_or(0, |(rank, _)| rank)
}

/// The order in which field specs are applied.
pub(crate) fn compare_gvk(left: &Gvk, right: &Gvk) -> Ordering {
    rank(&left.kind)
        .cmp(&rank(&right.kind))
        .then_with(|| left.sort_text().cmp(&right.sort_text()))
}

/// Sorts as the kustomization file asks, or as the caller does.
pub(crate) fn apply(
    resources: &mut ResMap,
    options: Option<&SortOptions>,
    reorder: Reorder,
    schema: &Schema,
) -> Result<()> {
    let Some(options) = options else {
        if reorder == Reorder::Legacy {
            sort(resources, &Ranks::new(&FIRST, &LAST), schema);
        }
        return Ok(());
    };
    match (options.order.as_str(), &options.legacy_sort_options) {
        ("legacy", None) => sort(resources, &Ranks::new(&FIRST, &LAST), schema),
        ("legacy", Some(lists)) => sort(
            resources,
            &Ranks::new(&lists.order_first, &lists.order_last),
            schema,
        ),
        ("fifo", None) => {}
        ("fifo", Some(_)) => {
            fail!(
                "the field 'sortOptions.legacySortOptions' is set but the selected sort order is 'fifo', not \
                 'legacy'"
            );
        }
        _ => fail!("the field 'sortOptions.order' must be one of [fifo, legacy]"),
    }
    Ok(())
}

struct Key {
    rank: i64,
    id: ResourceId,
    gvk_text: String,
    id_text: String,
}

impl Key {
    fn compare(&self, other: &Self) -> Ordering {
        if self.id.gvk == other.id.gvk {
            return self.id_text.cmp(&other.id_text);
        }
        let by_text = self.gvk_text.cmp(&other.gvk_text);
        let is_namespace = |key: &Self| key.id.gvk.kind == "Namespace";
        let one_is_core = self.id.gvk.group.is_empty() || other.id.gvk.group.is_empty();
        let by_text = if is_namespace(self) && is_namespace(other) && one_is_core {
            by_text.reverse()
        } else {
            by_text
        };
        self.rank.cmp(&other.rank).then(by_text)
    }
}

fn sort(resources: &mut ResMap, ranks: &Ranks<'_>, schema: &Schema) {
    resources.list_mut().sort_by_cached_key(|resource| {
        let id = resource.id(schema);
        Sortable(Key {
            rank: ranks.of(&id.gvk.kind),
            gvk_text: id.gvk.sort_text(),
            id_text: id.legacy_sort_text(),
            id,
        })
    });
}

struct Sortable(Key);

impl PartialEq for Sortable {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Sortable {}

impl PartialOrd for Sortable {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Sortable {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.compare(&other.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_that_others_need_come_first() {
        let gvk = |kind: &str| Gvk::new("", "v1", kind);
        assert_eq!(compare_gvk(&gvk("Namespace"), &gvk("ConfigMap")), Ordering::Less);
        assert_eq!(compare_gvk(&gvk("Pod"), &gvk("Deployment")), Ordering::Greater);
        assert_eq!(
            compare_gvk(&gvk("Pod"), &gvk("ValidatingWebhookConfiguration")),
            Ordering::Less
        );
    }
}
