//! Writing objects: server-side apply, in its plain form and in one that only creates.

use std::time::Duration;

use futures::TryStreamExt;
use jiff::Timestamp;
use kube::api::{DeleteParams, DynamicObject, Patch, PatchParams, ValidationDirective};
use serde_json::Value;
use tokio::time::Instant;

use crate::apply::Run;
use crate::changeset::Action;
use crate::cluster::Cluster;
use crate::error::ObjectFailure;
use crate::live::Known;
use crate::mapper::Mapping;
use crate::object::{Object, ObjectId};
use crate::observe::observe;
use crate::plan::{Plan, SERVED_TIMEOUT, Step};
use crate::undeclared;

/// An object that is deleted to be made anew must be gone within this time.
const RECREATE_TIMEOUT: Duration = Duration::from_secs(120);
/// How often fields that the server does not know are taken out before its refusal is passed on.
const MAX_REFUSALS: usize = 20;
/// A resource version that no object has. An apply that asks for it creates an object that is absent, and conflicts with one that is
/// there: the server compares versions only in the latter case.
const NO_VERSION: &str = "9223372036854775807";

impl Cluster {
    /// Applies an object. Fields that the schema of a built-in kind does not know are dropped from it if the server minds them.
    pub(crate) async fn patch(
        &self,
        object: &mut Object,
        mapping: &Mapping,
        (dry_run, is_strict): (bool, bool),
    ) -> kube::Result<DynamicObject> {
        let params = PatchParams {
            field_manager: Some(self.live.ownership().manager.clone()),
            force: true,
            dry_run,
            field_validation: Some(validation(object.id(), is_strict)),
        };
        let api = self.api(mapping, &object.id().namespace);
        let name = object.id().name.clone();
        let mut tries = 0;
        loop {
            let refused = match api.patch(&name, &params, &Patch::Apply(object.value())).await {
                Err(kube::Error::Api(status)) => status,
                other => return other,
            };
            let id = object.id();
            if is_strict || !undeclared::are_dropped(&id.group, &id.kind) || tries == MAX_REFUSALS {
                return Err(kube::Error::Api(refused));
            }
            // The server names the fields of one level at a time.
            tries += 1;
            let dropped = undeclared::drop_refused(object.value_mut(), &refused.message);
            if dropped.is_empty() {
                return Err(kube::Error::Api(refused));
            }
            tracing::warn!(object = %object.id(), fields = dropped.join(", "), "leaving out fields that the API does not declare");
        }
    }

    /// Applies an object only if it is not there.
    async fn patch_new(
        &self,
        object: &mut Object,
        mapping: &Mapping,
        how: (bool, bool),
    ) -> kube::Result<DynamicObject> {
        set_version(object, Some(NO_VERSION));
        let created = self.patch(object, mapping, how).await;
        set_version(object, None);
        created
    }

    /// Has the server check a new object.
    pub(crate) async fn validate(&self, mut plan: Plan, run: &Run<'_>) -> Result<Plan, ObjectFailure> {
        let how = (true, run.options.is_strict);
        match self.patch_new(&mut plan.object, &plan.mapping, how).await {
            Ok(_) => Ok(plan),
            // It is there after all, which the write will find out as well.
            Err(kube::Error::Api(status)) if status.code == 409 => Ok(plan),
            Err(error) => Err(ObjectFailure::from_kube(plan.object.id(), true, "dry-run", error)),
        }
    }

    /// Creates an object; if it is there, says what is to be done with it instead.
    pub(crate) async fn create(
        &self,
        mut object: Object,
        mapping: Mapping,
        desired: u64,
        run: &Run<'_>,
    ) -> Result<Option<Plan>, ObjectFailure> {
        let id = object.id().clone();
        self.live.writing(&id, &run.options.owner);
        match self.patch_new_kind(&mut object, &mapping, run).await {
            Ok(created) => {
                let (seen, body) = observe(created, self.live.ownership(), Timestamp::now());
                let left = self.left(&object, desired, run);
                self.live.written(&id, object.version(), left, seen, body);
                Ok(None)
            }
            Err(kube::Error::Api(status)) if status.code == 409 => {
                self.live.not_written(&id);
                let plan = self.plan_unknown(object, mapping, desired, run).await?;
                match plan.step {
                    // Neither there nor not: leave it to the next attempt.
                    Step::Create => Err(ObjectFailure::from_kube(
                        &id,
                        true,
                        "apply",
                        kube::Error::Api(status),
                    )),
                    Step::Configure | Step::Settled(_) => Ok(Some(plan)),
                }
            }
            Err(error) => {
                self.live.not_written(&id);
                // It was not dry-run: what the server says now is what a dry-run would have said.
                Err(ObjectFailure::from_kube(&id, true, "apply", error))
            }
        }
    }

    /// As [`Self::patch_new`]; a kind that was just defined is given a moment to be served.
    async fn patch_new_kind(
        &self,
        object: &mut Object,
        mapping: &Mapping,
        run: &Run<'_>,
    ) -> kube::Result<DynamicObject> {
        let deadline = Instant::now() + SERVED_TIMEOUT;
        loop {
            match self
                .patch_new(object, mapping, (false, run.options.is_strict))
                .await
            {
                Err(kube::Error::Api(status))
                    if status.code == 404 && run.defines(object.id()) && Instant::now() < deadline =>
                {
                    tokio::time::sleep(Duration::from_millis(200)).await;
                }
                other => return other,
            }
        }
    }

    /// Writes an object that is there.
    pub(crate) async fn configure(
        &self,
        object: &Object,
        mapping: &Mapping,
        desired: u64,
        run: &Run<'_>,
    ) -> Result<Action, ObjectFailure> {
        let id = object.id();
        // It may have gone without a watch having told so, unless a dry-run has just looked.
        let known = match self.live.get(id, object.version()) {
            Known::There(seen) => Some(seen.uid),
            Known::NotOurs | Known::Unknown => None,
        };
        self.live.writing(id, &run.options.owner);
        let how = (false, run.options.is_strict);
        match self.patch(&mut object.clone(), mapping, how).await {
            Ok(written) => {
                let (seen, body) = observe(written, self.live.ownership(), Timestamp::now());
                let is_new = known.is_some_and(|uid| uid != seen.uid);
                let left = self.left(object, desired, run);
                self.live.written(id, object.version(), left, seen, body);
                Ok(if is_new {
                    Action::Created
                } else {
                    Action::Configured
                })
            }
            Err(error) => {
                self.live.not_written(id);
                Err(ObjectFailure::from_kube(id, false, "apply", error))
            }
        }
    }

    /// Deletes an object that is to be made anew.
    pub(crate) async fn delete_and_wait(
        &self,
        id: &ObjectId,
        mapping: &Mapping,
        run: &Run<'_>,
    ) -> Result<(), ObjectFailure> {
        self.live.release(id);
        let api = self.api(mapping, &id.namespace);
        match api.delete(&id.name, &DeleteParams::background()).await {
            Ok(_) => {}
            Err(kube::Error::Api(status)) if status.code == 404 => return Ok(()),
            Err(error) => return Err(ObjectFailure::from_kube(id, false, "delete", error)),
        }
        let gone = async {
            let mut objects = Box::pin(kube::runtime::watcher::watch_object(api, &id.name));
            while let Some(object) = objects.try_next().await? {
                if object.is_none() {
                    break;
                }
            }
            Ok::<_, kube::runtime::watcher::Error>(())
        };
        // Newer work need not wait for finalizers.
        let gone = run.options.cancel.run_until_cancelled(gone);
        match tokio::time::timeout(RECREATE_TIMEOUT, gone).await {
            Ok(Some(Ok(()))) => Ok(()),
            Ok(Some(Err(_)) | None) | Err(_) => Err(ObjectFailure::Undeletable(id.clone(), RECREATE_TIMEOUT)),
        }
    }
}

/// What the server is to say of fields that a kind does not have. An apply to a built-in kind is refused for them whatever is asked for,
/// and warnings are read by nobody; the server parses the body once more for either.
fn validation(id: &ObjectId, is_strict: bool) -> ValidationDirective {
    if is_strict && !undeclared::are_dropped(&id.group, &id.kind) {
        ValidationDirective::Strict
    } else {
        ValidationDirective::Ignore
    }
}

fn set_version(object: &mut Object, version: Option<&str>) {
    if let Some(metadata) = object
        .value_mut()
        .get_mut("metadata")
        .and_then(Value::as_object_mut)
    {
        match version {
            Some(version) => metadata.insert("resourceVersion".to_owned(), version.into()),
            None => metadata.remove("resourceVersion"),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strict_is_asked_for_only_where_it_decides() {
        let of = |group: &str, kind: &str, is_strict| {
            let id = ObjectId {
                group: group.to_owned(),
                kind: kind.to_owned(),
                namespace: "n".to_owned(),
                name: "a".to_owned(),
            };
            format!("{:?}", validation(&id, is_strict))
        };
        assert_eq!(of("example.org", "Thing", true), "Strict");
        assert_eq!(
            of("apiextensions.k8s.io", "CustomResourceDefinition", true),
            "Strict"
        );
        assert_eq!(of("rbac.authorization.k8s.io", "Role", true), "Strict");
        assert_eq!(of("apps", "Deployment", true), "Ignore");
        assert_eq!(of("example.org", "Thing", false), "Ignore");
    }
}
