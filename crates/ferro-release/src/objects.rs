//! From the text of a release's manifest to the objects that are applied (`spec/helm.md` F.7).

use ferro_api::meta::{ResourceInventory, ResourceRef};
use ferro_apply::inventory::{Entry, format_id};
use ferro_apply::{Cluster, Object};
use ferro_helm::manifest::split;
use ferro_helm::plan::{Policy, policy};
use serde_json::Value;

use crate::release::Target;

/// The annotation that keeps an object when its release goes.
const RESOURCE_POLICY: &str = "helm.sh/resource-policy";
const MANAGED_BY: &str = "app.kubernetes.io/managed-by";
const RELEASE_NAME: &str = "meta.helm.sh/release-name";
const RELEASE_NAMESPACE: &str = "meta.helm.sh/release-namespace";

/// The objects of a manifest, in its order.
///
/// # Errors
/// When something in it is no object.
pub fn parse(manifest: &str) -> Result<Vec<Object>, String> {
    let mut objects = Vec::new();
    for document in split(manifest) {
        let value = ferro_yaml::sigs::from_slice(document.as_bytes()).map_err(|error| unbuildable(&error))?;
        collect(value, &mut objects)?;
    }
    Ok(objects)
}

fn unbuildable(problem: &dyn std::fmt::Display) -> String {
    format!("unable to build kubernetes objects from release manifest: {problem}")
}

/// Adds an object, or the items of a list.
fn collect(value: Value, objects: &mut Vec<Object>) -> Result<(), String> {
    if value.is_null() {
        return Ok(());
    }
    let is_list = value
        .get("kind")
        .and_then(Value::as_str)
        .is_some_and(|kind| kind.ends_with("List"));
    if is_list && let Some(Value::Array(items)) = value.get("items") {
        return items.iter().try_for_each(|item| collect(item.clone(), objects));
    }
    objects.push(Object::new(value).map_err(|error| unbuildable(&error))?);
    Ok(())
}

/// Puts objects that name no namespace into that of the release, where their kind has one.
///
/// # Errors
/// When an object cannot be named.
pub async fn settle(cluster: &Cluster, objects: Vec<Object>, target: &Target) -> Result<Vec<Object>, String> {
    let mut settled = Vec::with_capacity(objects.len());
    for object in objects {
        settled.push(in_namespace(object, &target.namespace)?);
    }
    cluster.settle_namespaces(&mut settled).await;
    Ok(settled)
}

fn in_namespace(object: Object, namespace: &str) -> Result<Object, String> {
    if !object.id().namespace.is_empty() {
        return Ok(object);
    }
    let mut value = object.value().clone();
    if let Some(metadata) = value.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.insert("namespace".to_owned(), namespace.into());
    }
    Object::new(value).map_err(|error| unbuildable(&error))
}

/// Marks objects as those of the release, as Helm does.
pub fn own(objects: &mut [Object], target: &Target) {
    for object in objects {
        object.add_labels([(MANAGED_BY, "Helm")]);
        object.add_annotations([
            (RELEASE_NAME, target.name.as_str()),
            (RELEASE_NAMESPACE, target.namespace.as_str()),
        ]);
    }
}

/// What Helm says about an object that is there and belongs to somebody else; nothing if it belongs to the release.
#[must_use]
pub fn foreign(live: &impl kube::ResourceExt, target: &Target) -> Option<String> {
    let mut problems = Vec::new();
    let mut check = |what: &str,
                     map: &std::collections::BTreeMap<String, String>,
                     key: &str,
                     wanted: &str| match map.get(key) {
        None => problems.push(format!(
            "{what} validation error: missing key \"{key}\": must be set to \"{wanted}\""
        )),
        Some(found) if found != wanted => problems.push(format!(
            "{what} validation error: key \"{key}\" must equal \"{wanted}\": current value is \"{found}\""
        )),
        Some(_) => {}
    };
    check("label", live.labels(), MANAGED_BY, "Helm");
    check("annotation", live.annotations(), RELEASE_NAME, &target.name);
    check(
        "annotation",
        live.annotations(),
        RELEASE_NAMESPACE,
        &target.namespace,
    );
    (!problems.is_empty()).then(|| format!("invalid ownership metadata; {}", problems.join("; ")))
}

/// What is done with an object when its release goes.
#[must_use]
pub fn policy_of(object: &Object) -> Policy {
    let annotations = object.value().pointer("/metadata/annotations");
    let annotation = annotations.and_then(|annotations| annotations.get(RESOURCE_POLICY));
    policy(annotation.and_then(Value::as_str))
}

/// Whether an object in the cluster asks to be kept.
#[must_use]
pub fn is_kept(live: &impl kube::ResourceExt) -> bool {
    let annotation = live.annotations().get(RESOURCE_POLICY);
    policy(annotation.map(String::as_str)) == Policy::Keep
}

/// An object as an inventory names it.
#[must_use]
pub fn entry(object: &Object) -> Entry {
    Entry {
        id: object.id().clone(),
        version: object.version().to_owned(),
    }
}

/// The inventory in the status.
pub fn inventory<'o>(objects: impl Iterator<Item = &'o Object>) -> ResourceInventory {
    let reference = |object: &Object| ResourceRef {
        id: format_id(object.id()),
        v: object.version().to_owned(),
    };
    ResourceInventory {
        entries: objects.map(reference).collect(),
    }
}

/// Those of `old` that are not in `new`, whatever their versions.
#[must_use]
pub fn gone(old: Vec<Object>, new: &[Object]) -> Vec<Object> {
    let kept: std::collections::HashSet<_> = new.iter().map(Object::id).collect();
    old.into_iter()
        .filter(|object| !kept.contains(object.id()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn target() -> Target {
        Target {
            name: "app".into(),
            namespace: "ns".into(),
            storage_namespace: "ns".into(),
        }
    }

    #[test]
    fn parse_flattens_lists_and_skips_comments() {
        let manifest = "---\n# Source: a\n# nothing\n---\nkind: List\napiVersion: v1\nitems:\n- {apiVersion: v1, kind: Secret, metadata: {name: a}}\n- {apiVersion: v1, kind: Secret, metadata: {name: b}}\n";
        let names: Vec<_> = parse(manifest)
            .unwrap()
            .iter()
            .map(|object| object.id().name.clone())
            .collect();
        assert_eq!(names, ["a", "b"]);
        let error = parse("kind: Secret\napiVersion: v1\n").unwrap_err();
        assert!(
            error.starts_with("unable to build kubernetes objects from release manifest: "),
            "{error}"
        );
    }

    #[test]
    fn foreign_says_what_is_missing_in_helms_words() {
        let mut object: kube::api::DynamicObject =
            serde_json::from_value(json!({ "metadata": { "name": "a" } })).unwrap();
        assert_eq!(
            foreign(&object, &target()).unwrap(),
            "invalid ownership metadata; label validation error: missing key \"app.kubernetes.io/managed-by\": must be set to \"Helm\"; \
             annotation validation error: missing key \"meta.helm.sh/release-name\": must be set to \"app\"; \
             annotation validation error: missing key \"meta.helm.sh/release-namespace\": must be set to \"ns\""
        );
        object.metadata.labels = Some([(MANAGED_BY.to_owned(), "Helm".to_owned())].into());
        object.metadata.annotations = Some(
            [
                (RELEASE_NAME.to_owned(), "app".to_owned()),
                (RELEASE_NAMESPACE.to_owned(), "ns".to_owned()),
            ]
            .into(),
        );
        assert_eq!(foreign(&object, &target()), None);
    }

    #[test]
    fn own_and_policy_are_read_back() {
        let mut objects = parse("kind: Secret\napiVersion: v1\nmetadata: {name: a, annotations: {helm.sh/resource-policy: ' Keep'}}\n").unwrap();
        own(&mut objects, &target());
        assert_eq!(policy_of(&objects[0]), Policy::Keep);
        assert_eq!(objects[0].value()["metadata"]["labels"][MANAGED_BY], "Helm");
        let left = gone(objects.clone(), &[]);
        assert_eq!(left.len(), 1);
        assert_eq!(gone(left, &objects).len(), 0);
    }
}
