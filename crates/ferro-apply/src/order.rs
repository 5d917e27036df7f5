//! In which order and in which stages objects are applied (`spec/kustomize-and-notification.md` F.2, F.3).

use std::cmp::Ordering;

use crate::object::{Object, ObjectId};

const FIRST: [&str; 23] = [
    "CustomResourceDefinition",
    "Namespace",
    "ClusterRole",
    "ClusterClass",
    "RuntimeClass",
    "PriorityClass",
    "StorageClass",
    "VolumeSnapshotClass",
    "IngressClass",
    "GatewayClass",
    "ClusterRoleBinding",
    "ResourceQuota",
    "ServiceAccount",
    "Role",
    "RoleBinding",
    "ConfigMap",
    "Secret",
    "Service",
    "LimitRange",
    "Deployment",
    "StatefulSet",
    "CronJob",
    "PodDisruptionBudget",
];
const LAST: [&str; 2] = ["MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"];

/// The rank of a kind, in any group: lower is applied earlier.
#[must_use]
pub fn rank(kind: &str) -> usize {
    if let Some(index) = FIRST.iter().position(|first| *first == kind) {
        return index;
    }
    LAST.iter()
        .position(|last| *last == kind)
        .map_or(FIRST.len(), |index| FIRST.len() + 1 + index)
}

/// The order of application.
#[must_use]
pub fn compare(a: &ObjectId, b: &ObjectId) -> Ordering {
    let key = |id: &ObjectId| rank(&id.kind);
    key(a).cmp(&key(b)).then_with(|| a.cmp(b))
}

/// A step of an apply: a stage begins when the one before is applied and, if so marked, current.
#[derive(Debug, Default)]
pub struct Stage {
    /// Objects in order.
    pub objects: Vec<Object>,
    /// Whether the next stage needs these to be current.
    pub wait: bool,
}

/// Splits objects into stages: definitions, then classes, then the kinds named in `custom` (as `group/Kind`), then the rest.
#[must_use]
pub fn stages(objects: Vec<Object>, custom: &[String]) -> Vec<Stage> {
    let mut stages = [
        Stage {
            wait: true,
            ..Stage::default()
        },
        Stage {
            wait: true,
            ..Stage::default()
        },
        Stage::default(),
        Stage::default(),
    ];
    for object in objects {
        let id = object.id();
        let qualified = if id.group.is_empty() {
            id.kind.clone()
        } else {
            format!("{}/{}", id.group, id.kind)
        };
        let index = match id.kind.as_str() {
            "CustomResourceDefinition" | "Namespace" | "ClusterRole" => 0,
            kind if kind.ends_with("Class") => 1,
            _ if custom.contains(&qualified) => 2,
            _ => 3,
        };
        if let Some(stage) = stages.get_mut(index) {
            stage.objects.push(object);
        }
    }
    for stage in &mut stages {
        stage.objects.sort_by(|a, b| compare(a.id(), b.id()));
    }
    stages
        .into_iter()
        .filter(|stage| !stage.objects.is_empty())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn object(api_version: &str, kind: &str, name: &str) -> Object {
        Object::new(json!({ "apiVersion": api_version, "kind": kind, "metadata": { "name": name } })).unwrap()
    }

    #[test]
    fn stages_put_definitions_first_and_webhooks_last() {
        let objects = vec![
            object(
                "admissionregistration.k8s.io/v1",
                "ValidatingWebhookConfiguration",
                "w",
            ),
            object("example.com/v1", "Widget", "x"),
            object("apps/v1", "Deployment", "b"),
            object("apps/v1", "Deployment", "a"),
            object("v1", "ConfigMap", "c"),
            object("storage.k8s.io/v1", "StorageClass", "s"),
            object("rbac.authorization.k8s.io/v1", "ClusterRole", "r"),
            object("v1", "Namespace", "n"),
            object("apiextensions.k8s.io/v1", "CustomResourceDefinition", "d"),
        ];
        let names: Vec<Vec<String>> = stages(objects, &["example.com/Widget".to_owned()])
            .into_iter()
            .map(|stage| {
                stage
                    .objects
                    .iter()
                    .map(|object| object.id().name.clone())
                    .collect()
            })
            .collect();
        assert_eq!(
            names,
            [
                vec!["d", "n", "r"],
                vec!["s"],
                vec!["x"],
                vec!["c", "a", "b", "w"]
            ]
        );
    }
}
