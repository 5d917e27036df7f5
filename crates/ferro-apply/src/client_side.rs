//! Client-side apply, for releases that Helm 3 made or that ask for it (`spec/helm.md` F.7): objects one after the other, each merged
//! with what is there.

use jiff::Timestamp;
use kube::api::{DynamicObject, Patch, PatchParams, PostParams};
use serde_json::Value;

use crate::apply::ApplyOptions;
use crate::changeset::{Action, ChangeSet};
use crate::cluster::Cluster;
use crate::error::message;
use crate::inventory::Entry;
use crate::live::Left;
use crate::mapper::Mapping;
use crate::merge;
use crate::object::{Object, ObjectId};
use crate::observe::observe;

/// How often a merge is tried when others keep writing the object.
const TRIES: usize = 5;

/// How objects that are there are changed.
#[derive(Clone, Copy, Debug, Default)]
pub struct ClientSide {
    /// They are replaced.
    pub replaces: bool,
    /// Kinds that are not built in are merged with what is there, too; otherwise only what the two manifests differ in is changed.
    pub merges_custom: bool,
}

/// An apply stopped.
#[derive(Debug)]
pub struct ClientSideError {
    /// What had been applied.
    pub applied: ChangeSet,
    /// What went wrong, in Helm's words.
    pub problems: Vec<String>,
}

/// An object, and what was asked for before.
#[derive(Clone, Debug)]
pub struct Revised {
    /// What is asked for.
    pub object: Object,
    /// What was; nothing where that is not known, and so nothing is taken away.
    pub original: Option<Object>,
}

impl Cluster {
    /// Makes the cluster hold `objects`. One that cannot be created ends it; one that cannot be changed does not.
    ///
    /// # Errors
    /// With what was applied until then.
    pub async fn apply_client_side(
        &self,
        objects: Vec<Revised>,
        how: ClientSide,
        options: &ApplyOptions,
    ) -> Result<ChangeSet, ClientSideError> {
        let (mut applied, mut problems) = (ChangeSet::default(), Vec::new());
        for revised in objects {
            if options.cancel.is_cancelled() {
                problems.push("context canceled".to_owned());
                break;
            }
            let entry = Entry {
                id: revised.object.id().clone(),
                version: revised.object.version().to_owned(),
            };
            match self.revise(revised, how, options).await {
                Ok(action) => applied.push(entry, action),
                Err(Failure::Changing(problem)) => problems.push(problem),
                Err(Failure::Ending(problem)) => {
                    problems.push(problem);
                    break;
                }
            }
        }
        if problems.is_empty() {
            Ok(applied)
        } else {
            Err(ClientSideError { applied, problems })
        }
    }

    async fn revise(
        &self,
        revised: Revised,
        how: ClientSide,
        options: &ApplyOptions,
    ) -> Result<Action, Failure> {
        let Revised { mut object, original } = revised;
        let id = object.id().clone();
        let mapping = self.mapper.resolve(&id.group, object.version(), &id.kind).await;
        let mapping = mapping.map_err(|error| {
            Failure::Ending(format!(
                "unable to build kubernetes objects from release manifest: resource mapping not found: {error}"
            ))
        })?;
        if !mapping.namespaced {
            object.clear_namespace();
        }
        self.live.follow(&mapping).await;
        let mut tries = 0;
        loop {
            let Some(live) = self.present_now(&object, &mapping).await? else {
                return self.post(&object, &mapping, options).await;
            };
            let Some(change) = change(original.as_ref(), &object, &live, how) else {
                return Ok(Action::Unchanged);
            };
            tries += 1;
            self.live.writing(&id, &options.owner);
            let written = self.write_change(&object, &mapping, &change, (&live, how)).await;
            match written {
                Ok(written) => {
                    self.left_behind(&object, written, options);
                    return Ok(Action::Configured);
                }
                Err(error) => {
                    self.live.not_written(&id);
                    let is_conflict = matches!(&error, kube::Error::Api(status) if status.code == 409);
                    if is_conflict && tries < TRIES && !options.cancel.is_cancelled() {
                        continue;
                    }
                    return Err(Failure::Changing(refusal(&id, &error, how)));
                }
            }
        }
    }

    async fn present_now(
        &self,
        object: &Object,
        mapping: &Mapping,
    ) -> Result<Option<DynamicObject>, Failure> {
        let id = object.id();
        let found = self.api(mapping, &id.namespace).get_opt(&id.name).await;
        found.map_err(|error| {
            Failure::Ending(format!(
                "could not get information about the resource: {}",
                message(&error)
            ))
        })
    }

    async fn post(
        &self,
        object: &Object,
        mapping: &Mapping,
        options: &ApplyOptions,
    ) -> Result<Action, Failure> {
        let id = object.id();
        let failed = |problem: String| Failure::Ending(format!("failed to create resource: {problem}"));
        let body: DynamicObject =
            serde_json::from_value(object.value().clone()).map_err(|error| failed(error.to_string()))?;
        let params = PostParams {
            field_manager: Some(self.live.ownership().manager.clone()),
            ..PostParams::default()
        };
        self.live.writing(id, &options.owner);
        match self.api(mapping, &id.namespace).create(&params, &body).await {
            Ok(written) => {
                self.left_behind(object, written, options);
                Ok(Action::Created)
            }
            Err(error) => {
                self.live.not_written(id);
                Err(failed(message(&error)))
            }
        }
    }

    async fn write_change(
        &self,
        object: &Object,
        mapping: &Mapping,
        change: &Value,
        (live, how): (&DynamicObject, ClientSide),
    ) -> kube::Result<DynamicObject> {
        let id = object.id();
        let api = self.api(mapping, &id.namespace);
        let manager = Some(self.live.ownership().manager.clone());
        if how.replaces {
            let mut body: DynamicObject =
                serde_json::from_value(change.clone()).map_err(kube::Error::SerdeError)?;
            body.metadata.resource_version = live.metadata.resource_version.clone();
            let params = PostParams {
                field_manager: manager,
                ..PostParams::default()
            };
            return api.replace(&id.name, &params, &body).await;
        }
        let mut change = change.clone();
        let version = live.metadata.resource_version.clone();
        if let (Some(fields), Some(version)) = (change.as_object_mut(), version) {
            let metadata = fields
                .entry("metadata")
                .or_insert_with(|| Value::Object(serde_json::Map::new()));
            if let Some(metadata) = metadata.as_object_mut() {
                metadata.insert("resourceVersion".to_owned(), version.into());
            }
        }
        let params = PatchParams {
            field_manager: manager,
            ..PatchParams::default()
        };
        api.patch(&id.name, &params, &Patch::Merge(&change)).await
    }

    /// Notes how the object is now. Its fields are not ours alone, so that it never counts as known to be as we left it.
    fn left_behind(&self, object: &Object, written: DynamicObject, options: &ApplyOptions) {
        let (seen, body) = observe(written, self.live.ownership(), Timestamp::now());
        let left = Left {
            owner: &options.owner,
            desired: !object.fingerprint(),
            once: false,
        };
        self.live.written(object.id(), object.version(), left, seen, body);
    }
}

enum Failure {
    /// Nothing else is tried.
    Ending(String),
    /// The others are tried.
    Changing(String),
}

/// What is to be sent; nothing if the object is as it should be.
fn change(
    original: Option<&Object>,
    object: &Object,
    live: &DynamicObject,
    how: ClientSide,
) -> Option<Value> {
    let wanted = object.value();
    if how.replaces {
        return Some(wanted.clone());
    }
    let before = original.map_or(wanted, Object::value);
    if !merge::is_built_in(wanted) && !how.merges_custom {
        return merge::patch(before, wanted);
    }
    let live = serde_json::to_value(live).unwrap_or_default();
    let merged = merge::three_way(before, wanted, &live);
    merge::patch(&live, &merged)
}

fn refusal(id: &ObjectId, error: &kube::Error, how: ClientSide) -> String {
    let problem = message(error);
    match how.replaces {
        true => format!("failed to replace object: {problem}"),
        false => format!("cannot patch {:?} with kind {}: {problem}", id.name, id.kind),
    }
}
