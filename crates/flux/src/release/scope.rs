//! Namespaces of objects where no cluster says which kinds live in one.

use anyhow::{Result, anyhow};
use ferro_apply::Object;
use serde_json::Value;

/// Built-in kinds that live outside of namespaces, by group.
const CLUSTER_SCOPED: [(&str, &[&str]); 13] = [
    ("", &["ComponentStatus", "Namespace", "Node", "PersistentVolume"]),
    (
        "admissionregistration.k8s.io",
        &[
            "MutatingAdmissionPolicy",
            "MutatingAdmissionPolicyBinding",
            "MutatingWebhookConfiguration",
            "ValidatingAdmissionPolicy",
            "ValidatingAdmissionPolicyBinding",
            "ValidatingWebhookConfiguration",
        ],
    ),
    ("apiextensions.k8s.io", &["CustomResourceDefinition"]),
    ("apiregistration.k8s.io", &["APIService"]),
    ("authentication.k8s.io", &["SelfSubjectReview", "TokenReview"]),
    (
        "authorization.k8s.io",
        &[
            "SelfSubjectAccessReview",
            "SelfSubjectRulesReview",
            "SubjectAccessReview",
        ],
    ),
    (
        "certificates.k8s.io",
        &["CertificateSigningRequest", "ClusterTrustBundle"],
    ),
    (
        "flowcontrol.apiserver.k8s.io",
        &["FlowSchema", "PriorityLevelConfiguration"],
    ),
    ("networking.k8s.io", &["IPAddress", "IngressClass", "ServiceCIDR"]),
    ("node.k8s.io", &["RuntimeClass"]),
    (
        "rbac.authorization.k8s.io",
        &["ClusterRole", "ClusterRoleBinding"],
    ),
    (
        "resource.k8s.io",
        &["DeviceClass", "DeviceTaintRule", "ResourceSlice"],
    ),
    ("scheduling.k8s.io", &["PriorityClass"]),
];

/// Kinds of storage that live outside of namespaces.
const STORAGE: [&str; 5] = [
    "CSIDriver",
    "CSINode",
    "StorageClass",
    "VolumeAttachment",
    "VolumeAttributesClass",
];

/// Puts objects that name no namespace into that of the release, where their kind is known to have one or not known at all.
///
/// # Errors
///
/// Returns an error if an object cannot be named.
pub fn settle(objects: Vec<Object>, definitions: &[Object], namespace: &str) -> Result<Vec<Object>> {
    let custom: Vec<(String, String)> = objects
        .iter()
        .chain(definitions)
        .filter_map(cluster_scoped)
        .collect();
    let settled = objects.into_iter().map(|mut object| {
        let id = object.id();
        let defined = custom
            .iter()
            .any(|(group, kind)| *group == id.group && *kind == id.kind);
        if defined || is_cluster_scoped(&id.group, &id.kind) {
            object.clear_namespace();
            return Ok(object);
        }
        if !id.namespace.is_empty() {
            return Ok(object);
        }
        let mut value = object.value().clone();
        if let Some(metadata) = value.get_mut("metadata").and_then(Value::as_object_mut) {
            metadata.insert("namespace".to_owned(), namespace.into());
        }
        Object::new(value).map_err(|error| anyhow!(error))
    });
    settled.collect()
}

fn is_cluster_scoped(group: &str, kind: &str) -> bool {
    let known = CLUSTER_SCOPED.iter().find(|(known, _)| *known == group);
    known.is_some_and(|(_, kinds)| kinds.contains(&kind))
        || group == "storage.k8s.io" && STORAGE.contains(&kind)
}

/// The kind that a definition defines, if its objects live outside of namespaces.
fn cluster_scoped(definition: &Object) -> Option<(String, String)> {
    if definition.id().kind != "CustomResourceDefinition" {
        return None;
    }
    let text = |pointer| definition.value().pointer(pointer).and_then(Value::as_str);
    (text("/spec/scope")? == "Cluster").then_some(())?;
    Some((
        text("/spec/group")?.to_owned(),
        text("/spec/names/kind")?.to_owned(),
    ))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn objects_get_the_namespace_of_the_release_unless_they_have_none() {
        let object = |api_version: &str, kind: &str| {
            Object::new(
                json!({"apiVersion": api_version, "kind": kind, "metadata": {"name": "a", "namespace": ""}}),
            )
            .unwrap()
        };
        let crd = Object::new(json!({
            "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": {"name": "things.x.io"},
            "spec": {"group": "x.io", "scope": "Cluster", "names": {"kind": "Thing"}},
        }))
        .unwrap();
        let objects = vec![
            object("v1", "ConfigMap"),
            object("v1", "Namespace"),
            object("storage.k8s.io/v1", "StorageClass"),
            object("x.io/v1", "Thing"),
            object("x.io/v1", "Other"),
        ];
        let settled = settle(objects, &[crd], "ns").unwrap();
        let namespaces: Vec<_> = settled
            .iter()
            .map(|object| object.id().namespace.as_str())
            .collect();
        assert_eq!(namespaces, ["ns", "", "", "", "ns"]);
    }
}
