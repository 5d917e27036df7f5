//! What a release would change in the cluster: dry-runs of what helm-controller would write.

use anyhow::{Result, anyhow};
use ferro_apply::mapper::{MapError, Mapping};
use ferro_apply::{Cluster, Object, drift, merge};
use ferro_helm::plan::Policy;
use ferro_release::objects;
use kube::Api;
use kube::api::{DynamicObject, Patch, PatchParams, PostParams};
use serde_json::{Map, Value};

use super::{Blueprint, hooks};
use crate::cluster::explain;
use crate::lines::unified;
use crate::manifest::yaml;

/// What would become of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It would be made like this.
    Created(String),
    /// It would be changed so.
    Changed(String),
    /// It would be deleted.
    Deleted,
    /// It would be left there, as it asks for, and be part of the release no more.
    Kept,
    /// It is a hook that would be executed as it was before.
    Executed,
    /// It is a hook that would not be executed any more.
    Dropped,
}

impl Fate {
    /// Whether the release would be another one.
    #[must_use]
    pub const fn is_change(&self) -> bool {
        !matches!(self, Self::Kept | Self::Executed)
    }
}

/// An object that would not stay as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Kind, namespace and name.
    pub object: String,
    /// What would become of it.
    pub fate: Fate,
}

/// What a release would change.
#[derive(Debug, Default)]
pub struct Comparison {
    /// The changes, in the order in which they would be made.
    pub changes: Vec<Change>,
    /// The objects that would be refused, and why.
    pub failures: Vec<(String, String)>,
}

/// How objects are written.
struct How<'b> {
    cluster: &'b Cluster,
    is_server_side: bool,
    /// Whether objects are replaced rather than merged.
    replaces: bool,
    /// Whether custom kinds are merged with what is there.
    merges_custom: bool,
    /// The objects of the revision before.
    old: Vec<Object>,
}

/// Compares a release with what is there.
///
/// # Errors
///
/// Returns an error if the manifests of the release cannot be read.
pub async fn compare(blueprint: &Blueprint) -> Result<Comparison> {
    let cluster = blueprint
        .cluster
        .as_ref()
        .ok_or_else(|| anyhow!("there is no cluster to compare with"))?;
    let target = &blueprint.target;
    let settled = async |manifest: &str| -> Result<Vec<Object>> {
        let parsed = objects::parse(manifest).map_err(|problem| anyhow!(problem))?;
        let settled = objects::settle(cluster, parsed, target).await;
        settled.map_err(|problem| anyhow!(problem))
    };
    let mut made = settled(&blueprint.made.manifest).await?;
    let old = match &blueprint.previous {
        Some(record) => settled(&record.manifest).await?,
        None => Vec::new(),
    };
    let gone = objects::gone(old.clone(), &made);
    objects::own(&mut made, target);
    let spec = &blueprint.release.spec;
    let how = How {
        cluster,
        is_server_side: blueprint.is_server_side,
        replaces: blueprint.previous.is_some() && spec.upgrade.as_ref().is_some_and(|it| it.force),
        merges_custom: blueprint.previous.is_none()
            && spec.install.as_ref().is_none_or(|it| !it.disable_take_ownership),
        old,
    };
    let mut comparison = Comparison::default();
    for object in &blueprint.definitions {
        comparison.note(object, how.fate(object, &blueprint.definitions).await);
    }
    for object in &made {
        comparison.note(object, how.fate(object, &blueprint.definitions).await);
    }
    for object in &gone {
        comparison.note(object, how.end(object).await);
    }
    let hooks = hooks::compare(blueprint)?;
    let changes = comparison.changes.iter().chain(&hooks);
    // Hooks are executed where there is something to release.
    if changes.into_iter().any(|change| change.fate.is_change()) {
        comparison.changes.extend(hooks);
    }
    Ok(comparison)
}

impl Comparison {
    fn note(&mut self, object: &Object, outcome: Result<Option<Fate>>) {
        let object = object.id().to_string();
        match outcome {
            Ok(Some(fate)) => self.changes.push(Change { object, fate }),
            Ok(None) => {}
            Err(error) => self.failures.push((object, crate::text::chain(&error))),
        }
    }
}

impl How<'_> {
    /// What would become of an object of the release.
    async fn fate(&self, object: &Object, definitions: &[Object]) -> Result<Option<Fate>> {
        let id = object.id();
        let mapped = self
            .cluster
            .mapper
            .resolve(&id.group, object.version(), &id.kind)
            .await;
        let mapping = match mapped {
            Ok(mapping) => mapping,
            // It will be served by then.
            Err(MapError::NoMatch { .. }) if definitions.iter().any(|it| defines(it, object)) => {
                return Ok(Some(Fate::Created(whole(object)?)));
            }
            Err(error) => return Err(anyhow!(error)),
        };
        let api = self.cluster.api(&mapping, &id.namespace);
        let Some(live) = api.get_opt(&id.name).await.map_err(explain)? else {
            return Ok(Some(Fate::Created(whole(object)?)));
        };
        let is_definition = id.kind == "CustomResourceDefinition";
        let predicted = if self.is_server_side || is_definition {
            self.apply(object, &mapping, &api).await?
        } else {
            self.merge(object, &live, &api).await?
        };
        let Some(predicted) = predicted else {
            return Ok(None);
        };
        let (before, after) = (serde_json::to_value(live)?, serde_json::to_value(predicted)?);
        if !drift::differs(&before, &after) {
            return Ok(None);
        }
        let difference = difference(before, after)?;
        // What differs otherwise is the server's own business.
        Ok((!difference.is_empty()).then_some(Fate::Changed(difference)))
    }

    /// What the API server would make of an object by a server-side apply.
    async fn apply(
        &self,
        object: &Object,
        mapping: &Mapping,
        api: &Api<DynamicObject>,
    ) -> Result<Option<DynamicObject>> {
        let mut value = object.value().clone();
        if !mapping.namespaced
            && let Some(metadata) = value.pointer_mut("/metadata").and_then(Value::as_object_mut)
        {
            metadata.remove("namespace");
        }
        let params = PatchParams {
            field_manager: Some(self.cluster.live.ownership().manager.clone()),
            force: true,
            dry_run: true,
            field_validation: None,
        };
        let predicted = api.patch(&object.id().name, &params, &Patch::Apply(&value)).await;
        Ok(Some(predicted.map_err(explain)?))
    }

    /// What would become of an object by a merge here, as Helm 3 does it; nothing if it would stay as it is.
    async fn merge(
        &self,
        object: &Object,
        live: &DynamicObject,
        api: &Api<DynamicObject>,
    ) -> Result<Option<DynamicObject>> {
        let manager = Some(self.cluster.live.ownership().manager.clone());
        let name = &object.id().name;
        if self.replaces {
            let mut body: DynamicObject = serde_json::from_value(object.value().clone())?;
            body.metadata.resource_version = live.metadata.resource_version.clone();
            let params = PostParams {
                dry_run: true,
                field_manager: manager,
            };
            return Ok(Some(api.replace(name, &params, &body).await.map_err(explain)?));
        }
        let wanted = object.value();
        let before = self.old.iter().find(|old| old.id() == object.id());
        let before = before.map_or(wanted, Object::value);
        let change = if !merge::is_built_in(wanted) && !self.merges_custom {
            merge::patch(before, wanted)
        } else {
            let live = serde_json::to_value(live)?;
            merge::patch(&live, &merge::three_way(before, wanted, &live))
        };
        let Some(change) = change else {
            return Ok(None);
        };
        let params = PatchParams {
            field_manager: manager,
            dry_run: true,
            ..PatchParams::default()
        };
        let predicted = api.patch(name, &params, &Patch::Merge(&change)).await;
        Ok(Some(predicted.map_err(explain)?))
    }

    /// What would become of an object that the release has no more.
    async fn end(&self, object: &Object) -> Result<Option<Fate>> {
        let id = object.id();
        // A kind that is not served has no objects.
        let Ok(mapping) = self.cluster.map(id, object.version()).await else {
            return Ok(None);
        };
        let api = self.cluster.api(&mapping, &id.namespace);
        let Some(live) = api.get_metadata_opt(&id.name).await.map_err(explain)? else {
            return Ok(None);
        };
        let is_kept = objects::policy_of(object) == Policy::Keep || objects::is_kept(&live);
        Ok(Some(if is_kept { Fate::Kept } else { Fate::Deleted }))
    }
}

/// Whether a definition is that of an object's kind.
fn defines(definition: &Object, object: &Object) -> bool {
    let text = |pointer| definition.value().pointer(pointer).and_then(Value::as_str);
    text("/spec/group") == Some(&object.id().group) && text("/spec/names/kind") == Some(&object.id().kind)
}

/// A new object: every line of it is added.
pub(super) fn whole(object: &Object) -> Result<String> {
    let (_, after) = shown(Value::Null, object.value().clone());
    Ok(unified("", &yaml(&after)?))
}

/// What differs between two states of an object, nothing if they look the same.
pub(super) fn difference(before: Value, after: Value) -> Result<String> {
    let (before, after) = shown(before, after);
    Ok(unified(&yaml(&before)?, &yaml(&after)?))
}

/// Two states of an object as they are shown: without what is the server's, and without what is secret.
fn shown(before: Value, after: Value) -> (Value, Value) {
    let is_secret = |object: &Value| {
        let text = |field: &str| object.get(field).and_then(Value::as_str);
        (text("apiVersion"), text("kind")) == (Some("v1"), Some("Secret"))
    };
    let (mut before, mut after) = (reduced(before), reduced(after));
    if is_secret(&before) || is_secret(&after) {
        mask(&mut before, &mut after);
    }
    (before, after)
}

fn reduced(mut object: Value) -> Value {
    if let Some(fields) = object.as_object_mut() {
        fields.remove("status");
        let metadata = fields.get("metadata").and_then(Value::as_object);
        let known = ["name", "namespace", "labels", "annotations"];
        let kept: Map<String, Value> = metadata
            .into_iter()
            .flatten()
            .filter(|(key, _)| known.contains(&key.as_str()))
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect();
        fields.insert("metadata".to_owned(), Value::Object(kept));
    }
    object
}

/// Hides what two states of a Secret hold, but not whether it is the same.
fn mask(before: &mut Value, after: &mut Value) {
    for field in ["data", "stringData"] {
        let entries = |object: &Value| {
            object
                .get(field)
                .and_then(Value::as_object)
                .cloned()
                .unwrap_or_default()
        };
        let (old, new) = (entries(before), entries(after));
        let hide = |object: &mut Value, other: &Map<String, Value>, suffix: &str| {
            let entries = object.get_mut(field).and_then(Value::as_object_mut);
            for (key, value) in entries.into_iter().flatten() {
                let is_changed = other.get(key).is_some_and(|other| other != value);
                *value = format!("***{}", if is_changed { suffix } else { "" }).into();
            }
        };
        hide(before, &new, " (before)");
        hide(after, &old, " (after)");
    }
    // What kubectl has left there holds it as well.
    for object in [before, after] {
        let annotations = object
            .pointer_mut("/metadata/annotations")
            .and_then(Value::as_object_mut);
        if let Some(annotations) = annotations
            && let Some(applied) = annotations.get_mut(ferro_api::annotation::KUBECTL_LAST_APPLIED)
        {
            *applied = "***".into();
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn secrets_are_masked_but_changes_of_them_show() {
        let secret = |data: Value| {
            json!({
                "apiVersion": "v1", "kind": "Secret", "data": data, "status": {"x": 1},
                "metadata": {
                    "name": "s", "resourceVersion": "1", "managedFields": [],
                    "annotations": {"kubectl.kubernetes.io/last-applied-configuration": "hunter2"},
                },
            })
        };
        let (before, after) = shown(
            secret(json!({"same": "c2FtZQ==", "changed": "b2xk", "gone": "Z29uZQ=="})),
            secret(json!({"same": "c2FtZQ==", "changed": "bmV3", "added": "YWRkZWQ="})),
        );
        assert_eq!(
            before["data"],
            json!({"same": "***", "changed": "*** (before)", "gone": "***"})
        );
        assert_eq!(
            after["data"],
            json!({"same": "***", "changed": "*** (after)", "added": "***"})
        );
        let text = format!("{before}{after}");
        assert!(
            !text.contains("hunter2") && !text.contains("status") && !text.contains("resourceVersion"),
            "{text}"
        );
    }

    #[test]
    fn other_objects_are_shown_as_they_are() {
        let map =
            json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": {"k": "v"}});
        assert_eq!(shown(map.clone(), map.clone()), (map.clone(), map));
    }
}
