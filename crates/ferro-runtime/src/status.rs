//! Writing the status and the finalizers of an object: only what differs, with optimistic locking, keeping what others wrote.

use ferro_api::FluxObject;
use ferro_api::object::FluxStatus;
use kube::api::{Patch, PatchParams};
use kube::core::Status;
use kube::{Api, Client, ResourceExt};
use serde_json::{Map, Value, json};

/// A conflicting write is redone on what the other writer left, this many times.
const ATTEMPTS: usize = 5;

/// Writes what belongs to the controller on objects of one kind.
#[derive(Clone)]
pub struct Writer {
    client: Client,
    params: PatchParams,
}

impl Writer {
    /// Writes as the field manager `manager`.
    #[must_use]
    pub fn new(client: Client, manager: &str) -> Self {
        Self {
            client,
            params: PatchParams {
                field_manager: Some(manager.to_owned()),
                ..PatchParams::default()
            },
        }
    }

    /// The client that is written with.
    #[must_use]
    pub fn client(&self) -> Client {
        self.client.clone()
    }

    fn api<K: FluxObject>(&self, object: &K) -> Api<K> {
        Api::namespaced(self.client.clone(), &object.namespace().unwrap_or_default())
    }

    /// Makes the status on the server that of `desired`, given that it was last seen as that of `base`. None if they are equal: no
    /// request is made.
    ///
    /// # Errors
    /// When the server refuses, or others keep writing at the same time.
    pub async fn status<K: FluxObject>(&self, base: &K, desired: &K) -> kube::Result<Option<K>> {
        let change = merge_diff(&to_value(base.status())?, &to_value(desired.status())?);
        let Some(mut change) = change else { return Ok(None) };
        let api = self.api(base);
        let mut version = base.resource_version();
        let mut attempt = 1;
        loop {
            let patch = json!({ "metadata": { "resourceVersion": version }, "status": change });
            match api
                .patch_status(&base.name_any(), &self.params, &Patch::Merge(patch))
                .await
            {
                Err(kube::Error::Api(status)) if status.code == 409 && attempt < ATTEMPTS => {
                    attempt += 1;
                    let live = api.get(&base.name_any()).await?;
                    if live.uid() != base.uid() {
                        return Err(kube::Error::Api(gone().boxed()));
                    }
                    keep_foreign_conditions(&mut change, base, desired, &live)?;
                    version = live.resource_version();
                }
                written => return written.map(Some),
            }
        }
    }

    /// Adds or removes a finalizer. Returns the object as the server has it now.
    ///
    /// # Errors
    /// When the server refuses, or others keep writing at the same time.
    pub async fn finalizer<K: FluxObject>(
        &self,
        object: &K,
        finalizer: &str,
        wanted: bool,
    ) -> kube::Result<K> {
        let api = self.api(object);
        let mut live = object.clone();
        for _ in 1..ATTEMPTS {
            match self.try_finalizer(&api, &live, finalizer, wanted).await {
                Err(kube::Error::Api(status)) if status.code == 409 => {
                    live = api.get(&object.name_any()).await?;
                }
                written => return written,
            }
        }
        self.try_finalizer(&api, &live, finalizer, wanted).await
    }

    async fn try_finalizer<K: FluxObject>(
        &self,
        api: &Api<K>,
        live: &K,
        finalizer: &str,
        wanted: bool,
    ) -> kube::Result<K> {
        let mut finalizers: Vec<&str> = live
            .finalizers()
            .iter()
            .map(String::as_str)
            .filter(|name| *name != finalizer)
            .collect();
        if wanted {
            finalizers.push(finalizer);
        }
        let patch =
            json!({ "metadata": { "resourceVersion": live.resource_version(), "finalizers": finalizers } });
        api.patch(&live.name_any(), &self.params, &Patch::Merge(patch))
            .await
    }
}

/// What the server would say had it looked for the object by its uid.
fn gone() -> Status {
    Status::failure("the object was deleted, and another one has its name", "NotFound").with_code(404)
}

/// Rewrites the conditions in `change` so that only those differ from the live ones which are different in `desired` than in `base`: the rest is
/// not ours to write.
fn keep_foreign_conditions<K: FluxObject>(
    change: &mut Value,
    base: &K,
    desired: &K,
    live: &K,
) -> kube::Result<()> {
    let is_ours = |type_: &str| base.condition(type_) != desired.condition(type_);
    let ours = desired
        .conditions()
        .iter()
        .filter(|condition| is_ours(&condition.type_));
    let others = live
        .conditions()
        .iter()
        .filter(|condition| !is_ours(&condition.type_));
    let mut conditions: Vec<_> = ours.chain(others).cloned().collect();
    crate::conditions::sort(&mut conditions);
    if let Some(fields) = change.as_object_mut() {
        fields.insert(
            "conditions".to_owned(),
            serde_json::to_value(conditions).map_err(kube::Error::SerdeError)?,
        );
    }
    Ok(())
}

fn to_value<S: FluxStatus>(status: Option<&S>) -> kube::Result<Value> {
    status.map_or(Ok(Value::Object(Map::new())), |status| {
        serde_json::to_value(status).map_err(kube::Error::SerdeError)
    })
}

/// The JSON merge patch (RFC 7386) that turns `old` into `new`; none if they are equal.
#[must_use]
pub fn merge_diff(old: &Value, new: &Value) -> Option<Value> {
    if old == new {
        return None;
    }
    let (Value::Object(old), Value::Object(fields)) = (old, new) else {
        return Some(new.clone());
    };
    let mut patch = Map::new();
    for key in old.keys().filter(|key| !fields.contains_key(*key)) {
        patch.insert(key.clone(), Value::Null);
    }
    for (key, value) in fields {
        let change = match old.get(key) {
            Some(before) => merge_diff(before, value),
            None => Some(value.clone()),
        };
        if let Some(change) = change {
            patch.insert(key.clone(), change);
        }
    }
    Some(Value::Object(patch))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn merge_diff_holds_only_what_differs() {
        let old = json!({ "a": 1, "b": { "c": 1, "d": 2 }, "list": [1, 2], "gone": true });
        let new = json!({ "a": 1, "b": { "c": 1, "d": 3 }, "list": [1], "new": {} });
        let patch = merge_diff(&old, &new).unwrap();
        assert_eq!(
            patch,
            json!({ "b": { "d": 3 }, "list": [1], "new": {}, "gone": null })
        );
        assert_eq!(merge_diff(&new, &new), None);
    }
}
