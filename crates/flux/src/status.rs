//! Whether objects have reached the state that is asked of them, by the conventions of Kubernetes.
//!
//! This is what waiting needs to know of Flux's own kinds and of Deployments.

use kube::api::DynamicObject;

use crate::object::ObjectExt as _;

/// How far an object has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Status {
    /// It has reached the state that is asked of it.
    Current,
    /// It is on its way.
    InProgress(String),
    /// It will not get there.
    Failed(String),
    /// It is being deleted.
    Terminating,
}

impl Status {
    /// Judges an object by what all kinds have in common: generations and conditions.
    #[must_use]
    pub fn of(object: &DynamicObject) -> Self {
        if let Some(status) = Self::by_common_fields(object) {
            return status;
        }
        match object.ready() {
            Some(ready) if ready.status != "True" => Self::InProgress(ready.message.to_owned()),
            // An object without conditions has nothing to wait for.
            _ => Self::Current,
        }
    }

    fn by_common_fields(object: &DynamicObject) -> Option<Self> {
        if object.metadata.deletion_timestamp.is_some() {
            return Some(Self::Terminating);
        }
        if let (Some(wanted), Some(observed)) = (
            object.metadata.generation,
            object.number("/status/observedGeneration"),
        ) && wanted != observed
        {
            let kind = object
                .types
                .as_ref()
                .map_or("object", |types| types.kind.as_str());
            return Some(Self::InProgress(format!(
                "{kind} generation is {wanted}, but latest observed generation is {observed}"
            )));
        }
        object
            .conditions()
            .filter(|c| c.status == "True")
            .find_map(|condition| match condition.type_ {
                "Reconciling" => Some(Self::InProgress(condition.message.to_owned())),
                "Stalled" => Some(Self::Failed(condition.message.to_owned())),
                _ => None,
            })
    }

    /// Judges a Deployment.
    #[must_use]
    pub fn of_deployment(object: &DynamicObject) -> Self {
        if let Some(status) = Self::by_common_fields(object) {
            return status;
        }
        let has_stopped = object
            .data
            .pointer("/status/conditions")
            .and_then(|list| list.as_array());
        let has_stopped = has_stopped.into_iter().flatten().any(|condition| {
            condition.get("type").is_some_and(|type_| type_ == "Progressing")
                && condition
                    .get("reason")
                    .is_some_and(|reason| reason == "ProgressDeadlineExceeded")
        });
        if has_stopped {
            return Self::Failed("progress deadline exceeded".to_owned());
        }
        let count = |pointer: &str| object.number(pointer).unwrap_or(0);
        let wanted = object.number("/spec/replicas").unwrap_or(1);
        let updated = count("/status/updatedReplicas");
        let available = count("/status/availableReplicas");
        let is_available = object
            .conditions()
            .any(|c| c.type_ == "Available" && c.status == "True");
        if updated < wanted || count("/status/replicas") > updated || available < updated || !is_available {
            return Self::InProgress(format!("{available} of {wanted} replicas are available"));
        }
        Self::Current
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn object(value: Value) -> DynamicObject {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn flux_objects() {
        let with = |generation: i64, status: Value| {
            Status::of(&object(json!({
                "apiVersion": "v1", "kind": "Kustomization",
                "metadata": {"generation": generation}, "status": status,
            })))
        };
        let condition = |type_: &str, status: &str| json!({"type": type_, "status": status, "message": "m"});
        let in_progress = |message: &str| Status::InProgress(message.to_owned());
        assert_eq!(
            with(2, json!({"observedGeneration": -1})),
            in_progress("Kustomization generation is 2, but latest observed generation is -1")
        );
        assert_eq!(
            with(
                1,
                json!({"observedGeneration": 1, "conditions": [condition("Ready", "True")]})
            ),
            Status::Current
        );
        assert_eq!(
            with(1, json!({"conditions": [condition("Ready", "False")]})),
            in_progress("m")
        );
        assert_eq!(
            with(1, json!({"conditions": [condition("Ready", "Unknown")]})),
            in_progress("m")
        );
        let both = json!({"conditions": [condition("Reconciling", "True"), condition("Ready", "True")]});
        assert_eq!(with(1, both), in_progress("m"));
        let stalled = json!({"conditions": [condition("Stalled", "True"), condition("Ready", "False")]});
        assert_eq!(with(1, stalled), Status::Failed("m".to_owned()));
        assert_eq!(with(1, json!({})), Status::Current);
    }

    #[test]
    fn a_deleted_object_is_terminating() {
        let value = json!({"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}});
        assert_eq!(Status::of(&object(value)), Status::Terminating);
    }

    #[test]
    fn deployments() {
        let deployment = |replicas: i64, updated: i64, available: i64, condition: Value| {
            Status::of_deployment(&object(json!({
                "metadata": {"generation": 1},
                "spec": {"replicas": 2},
                "status": {
                    "observedGeneration": 1, "replicas": replicas, "updatedReplicas": updated,
                    "availableReplicas": available, "conditions": [condition],
                },
            })))
        };
        let available = || json!({"type": "Available", "status": "True"});
        assert_eq!(deployment(2, 2, 2, available()), Status::Current);
        for (replicas, updated, ready) in [(3, 2, 2), (2, 1, 2), (2, 2, 1), (0, 0, 0)] {
            assert!(matches!(
                deployment(replicas, updated, ready, available()),
                Status::InProgress(_)
            ));
        }
        assert!(matches!(deployment(2, 2, 2, json!({})), Status::InProgress(_)));
        let stuck = json!({"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded"});
        assert!(matches!(deployment(2, 1, 1, stuck), Status::Failed(_)));
    }
}
