//! Plans of actions: what is to be done, in which order, worked out of records and manifests alone (`spec/helm.md` F.3 to F.5).

use crate::manifest::UNINSTALL_ORDER;
use crate::record::{Status, StoredHook};

/// The hooks of a stage in the order in which they are executed, as places in `hooks`: by weight, then by name.
///
/// ```
/// use ferro_helm::plan::hooks_of;
/// use ferro_helm::record::StoredHook;
///
/// let hook = |name: &str, weight| StoredHook {
///     name: name.into(),
///     weight,
///     events: vec!["pre-install".into()],
///     ..StoredHook::default()
/// };
/// let hooks = [hook("b", 1), hook("z", -5), hook("a", 1)];
/// assert_eq!(hooks_of(&hooks, "pre-install"), [1, 2, 0]);
/// assert!(hooks_of(&hooks, "test").is_empty());
/// ```
#[must_use]
pub fn hooks_of(hooks: &[StoredHook], event: &str) -> Vec<usize> {
    let mut chosen: Vec<(usize, &StoredHook)> = hooks
        .iter()
        .enumerate()
        .filter(|(_, hook)| hook.events.iter().any(|known| known == event))
        .collect();
    chosen.sort_by(|(_, a), (_, b)| a.weight.cmp(&b.weight).then_with(|| a.name.cmp(&b.name)));
    chosen.into_iter().map(|(index, _)| index).collect()
}

/// The revisions to remove before another one is added, so that there are at most `max`, the oldest first; never one that is deployed.
/// No positive `max` keeps all.
///
/// ```
/// use ferro_helm::plan::surplus;
/// use ferro_helm::record::Status;
///
/// let records = [(1, &Status::Deployed), (2, &Status::Failed), (3, &Status::Failed)];
/// assert_eq!(surplus(records, 2), [2, 3]);
/// assert_eq!(surplus(records, 3), [2]);
/// assert!(surplus(records, 0).is_empty());
/// ```
#[must_use]
pub fn surplus<'s>(records: impl IntoIterator<Item = (i64, &'s Status)>, max: i64) -> Vec<i64> {
    let mut records: Vec<(i64, &Status)> = records.into_iter().collect();
    let Some(max) = usize::try_from(max).ok().filter(|max| *max > 0) else {
        return Vec::new();
    };
    records.sort_by_key(|(revision, _)| *revision);
    let newest_deployed = records
        .iter()
        .rev()
        .find(|(_, status)| **status == Status::Deployed)
        .map(|(revision, _)| *revision);
    let excess = (records.len() + 1).saturating_sub(max);
    let removable = records
        .into_iter()
        .filter(|(revision, _)| Some(*revision) != newest_deployed);
    removable.map(|(revision, _)| revision).take(excess).collect()
}

/// What is done with an object when its release is uninstalled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    /// It is deleted.
    Delete,
    /// It is kept, and users are told.
    Keep,
    /// It is kept; its annotation says something that nobody knows.
    Other,
}

/// Reads the annotation `helm.sh/resource-policy`.
#[must_use]
pub fn policy(annotation: Option<&str>) -> Policy {
    match annotation.map(|text| text.trim().to_lowercase()) {
        None => Policy::Delete,
        Some(text) if text == "keep" => Policy::Keep,
        Some(_) => Policy::Other,
    }
}

/// Sorts things by their kinds in the order in which they are deleted.
pub fn sort_for_deletion<T>(things: &mut [T], kind: impl Fn(&T) -> &str) {
    things.sort_by(|a, b| UNINSTALL_ORDER.compare(kind(a), kind(b)));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn policy_of_another_word_is_neither_kept_nor_deleted() {
        assert_eq!(policy(None), Policy::Delete);
        assert_eq!(policy(Some(" KEEP ")), Policy::Keep);
        assert_eq!(policy(Some("delete")), Policy::Other);
    }

    #[test]
    fn deletion_goes_from_the_outside_in() {
        let mut kinds = ["Namespace", "Deployment", "Ingress", "Widget", "Secret"];
        sort_for_deletion(&mut kinds, |kind| kind);
        assert_eq!(kinds, ["Ingress", "Deployment", "Secret", "Namespace", "Widget"]);
    }
}
