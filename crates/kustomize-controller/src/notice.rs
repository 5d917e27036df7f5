//! The metadata of events about a Kustomization (`spec/kustomize-and-notification.md` I.1).

use std::collections::BTreeMap;

use ferro_api::kustomize::Kustomization;
use ferro_api::meta::Artifact;
use ferro_api::{FluxObject, event, group};
use ferro_apply::ChangeSet;
use ferro_runtime::metrics::ObjectLabels;
use serde_json::{Map, Value, json};

use crate::dependency::Key;

/// Metadata with the revision, and that of the origin, where known.
fn metadata(revision: Option<&str>, origin: Option<&str>) -> BTreeMap<String, String> {
    let key = |name: &str| format!("{}/{name}", group::KUSTOMIZE);
    let mut metadata = BTreeMap::new();
    if let Some(revision) = revision {
        metadata.insert(key(event::REVISION), revision.to_owned());
    }
    if let Some(origin) = origin {
        metadata.insert(key(event::ORIGIN_REVISION), origin.to_owned());
    }
    metadata
}

/// The labels of metrics about a Kustomization.
pub(crate) fn labels(key: &Key) -> ObjectLabels {
    ObjectLabels {
        kind: Kustomization::KIND.to_owned(),
        name: key.name.clone(),
        namespace: key.namespace.clone().unwrap_or_default(),
    }
}

/// What was done, for the log: the action of each subject, or the subjects of each action.
pub(crate) fn change_log(changes: &ChangeSet, is_grouped: bool) -> Value {
    let mut log = Map::new();
    for change in &changes.0 {
        let (subject, action) = (change.entry.id.to_string(), change.action.as_str());
        if !is_grouped {
            log.insert(subject, action.into());
        } else if let Some(group) = log.entry(action).or_insert_with(|| json!([])).as_array_mut() {
            group.push(subject.into());
        }
    }
    log.into()
}

/// Metadata of the revision that was last applied.
pub(crate) fn of_last_applied(kustomization: &Kustomization) -> BTreeMap<String, String> {
    let status = kustomization.status();
    metadata(
        status.and_then(|status| status.last_applied_revision.as_deref()),
        status.and_then(|status| status.last_applied_origin_revision.as_deref()),
    )
}

/// Metadata of an artifact's revision.
pub(crate) fn of_artifact(artifact: &Artifact) -> BTreeMap<String, String> {
    metadata(Some(&artifact.revision), origin_revision(artifact))
}

/// Metadata of the event that ends each successful run: commit-status providers act on it.
pub(crate) fn of_success(artifact: &Artifact) -> BTreeMap<String, String> {
    with_commit_status(of_artifact(artifact))
}

/// The same for other metadata.
pub(crate) fn with_commit_status(mut metadata: BTreeMap<String, String>) -> BTreeMap<String, String> {
    metadata.insert(
        format!("{}/{}", group::KUSTOMIZE, event::COMMIT_STATUS),
        event::COMMIT_STATUS_UPDATE.to_owned(),
    );
    metadata
}

/// The revision of what the artifact was made from, for artifacts that say so.
pub(crate) fn origin_revision(artifact: &Artifact) -> Option<&str> {
    artifact
        .metadata
        .get(event::OCI_REVISION)
        .map(String::as_str)
        .filter(|revision| !revision.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use ferro_apply::{Action, Entry, ObjectId};

    #[test]
    fn change_log_is_by_subject_or_with_the_gate_group_change_log_by_action() {
        let mut changes = ChangeSet::default();
        for (name, action) in [
            ("a", Action::Created),
            ("b", Action::Unchanged),
            ("c", Action::Created),
        ] {
            let id = ObjectId {
                group: String::new(),
                kind: "ConfigMap".into(),
                namespace: "n".into(),
                name: name.into(),
            };
            let version = "v1".into();
            changes.push(Entry { id, version }, action);
        }
        assert_eq!(
            change_log(&changes, false),
            json!({"ConfigMap/n/a": "created", "ConfigMap/n/b": "unchanged", "ConfigMap/n/c": "created"})
        );
        assert_eq!(
            change_log(&changes, true),
            json!({"created": ["ConfigMap/n/a", "ConfigMap/n/c"], "unchanged": ["ConfigMap/n/b"]})
        );
    }
}
