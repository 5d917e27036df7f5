//! Objects of the cluster: reading, writing and waiting for them.

use std::fmt::Write as _;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use futures::{StreamExt as _, TryStreamExt as _};
use kube::api::{
    ApiResource, DeleteParams, DynamicObject, GroupVersionKind, ListParams, Patch, PatchParams, PostParams,
};
use kube::runtime::watcher;
use kube::{Api, Client};
use serde_json::{Value, json};

/// How long to wait for what should come at once, on a machine that may be busy with other tests.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// The field manager of the tests' own writes.
const MANAGER: &str = "e2e";

/// Kinds that live in no namespace.
const CLUSTER_SCOPED: [&str; 6] = [
    "Namespace",
    "Node",
    "ClusterRole",
    "ClusterRoleBinding",
    "CustomResourceDefinition",
    "PriorityClass",
];

/// One object, there or not.
#[derive(Clone)]
pub struct Target {
    client: Client,
    resource: ApiResource,
    namespace: Option<String>,
    name: String,
}

/// An event about an object.
#[derive(Clone, Debug)]
pub struct Event {
    /// `Normal` or `Warning`.
    pub kind: String,
    /// The reason.
    pub reason: String,
    /// The message.
    pub message: String,
    /// The controller that reported it.
    pub source: String,
}

impl Target {
    /// The object of that kind and name; `namespace` is left out for kinds that have none.
    ///
    /// # Errors
    /// When the API version is malformed.
    pub fn new(client: &Client, namespace: &str, api_version: &str, kind: &str, name: &str) -> Result<Self> {
        let (group, version) = api_version.rsplit_once('/').unwrap_or(("", api_version));
        ensure!(!version.is_empty(), "`{api_version}` is no API version");
        let namespace = (!CLUSTER_SCOPED.contains(&kind)).then(|| namespace.to_owned());
        Ok(Self {
            client: client.clone(),
            resource: ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind)),
            namespace,
            name: name.to_owned(),
        })
    }

    /// `Kind/name`, for messages.
    #[must_use]
    pub fn id(&self) -> String {
        format!("{}/{}", self.resource.kind, self.name)
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    fn api(&self) -> Api<DynamicObject> {
        match &self.namespace {
            Some(namespace) => Api::namespaced_with(self.client.clone(), namespace, &self.resource),
            None => Api::all_with(self.client.clone(), &self.resource),
        }
    }

    /// The object as it is now, if it is there.
    ///
    /// # Errors
    /// When the API server does not answer.
    pub async fn find(&self) -> Result<Option<Value>> {
        let object = self
            .api()
            .get_opt(&self.name)
            .await
            .with_context(|| format!("get {}", self.id()))?;
        object
            .map(|it| serde_json::to_value(it).map_err(Into::into))
            .transpose()
    }

    /// The object as it is now.
    ///
    /// # Errors
    /// When it is not there.
    pub async fn get(&self) -> Result<Value> {
        self.find()
            .await?
            .with_context(|| format!("{} is not there", self.id()))
    }

    /// Writes the object by server-side apply as a field manager of the tests' own.
    ///
    /// # Errors
    /// When the API server refuses it.
    pub async fn apply(&self, object: &Value) -> Result<()> {
        self.apply_as(MANAGER, object).await
    }

    /// Writes the object by server-side apply as that field manager.
    ///
    /// # Errors
    /// When the API server refuses it.
    pub async fn apply_as(&self, manager: &str, object: &Value) -> Result<()> {
        let params = PatchParams::apply(manager).force();
        let written = self.api().patch(&self.name, &params, &Patch::Apply(object)).await;
        written.map(drop).with_context(|| format!("apply {}", self.id()))
    }

    /// Creates the object.
    ///
    /// # Errors
    /// When the API server refuses it.
    pub async fn create(&self, object: &Value) -> Result<()> {
        let object: DynamicObject = serde_json::from_value(object.clone())?;
        let created = self.api().create(&PostParams::default(), &object).await;
        created.map(drop).with_context(|| format!("create {}", self.id()))
    }

    /// Changes the object by a merge patch, as `kubectl edit` does.
    ///
    /// # Errors
    /// When it is not there or the API server refuses the change.
    pub async fn merge(&self, patch: &Value) -> Result<()> {
        self.merge_as(MANAGER, patch).await
    }

    /// Like [`Self::merge`] as that field manager.
    ///
    /// # Errors
    /// When it is not there or the API server refuses the change.
    pub async fn merge_as(&self, manager: &str, patch: &Value) -> Result<()> {
        let params = PatchParams {
            field_manager: Some(manager.to_owned()),
            ..PatchParams::default()
        };
        let written = self.api().patch(&self.name, &params, &Patch::Merge(patch)).await;
        written.map(drop).with_context(|| format!("patch {}", self.id()))
    }

    /// Changes the object's status by a merge patch.
    ///
    /// # Errors
    /// When it is not there or the API server refuses the change.
    pub async fn merge_status(&self, patch: &Value) -> Result<()> {
        let written = self
            .api()
            .patch_status(&self.name, &PatchParams::default(), &Patch::Merge(patch))
            .await;
        written
            .map(drop)
            .with_context(|| format!("patch the status of {}", self.id()))
    }

    /// Deletes the object and does not wait for its end.
    ///
    /// # Errors
    /// When it is not there.
    pub async fn delete(&self) -> Result<()> {
        let deleted = self.api().delete(&self.name, &DeleteParams::background()).await;
        deleted.map(drop).with_context(|| format!("delete {}", self.id()))
    }

    /// Asks the object's controller for a reconcile now and gives the token that its status will show.
    ///
    /// # Errors
    /// When it is not there.
    pub async fn request(&self) -> Result<String> {
        let token = crate::case::unique();
        let annotations = json!({"reconcile.fluxcd.io/requestedAt": token});
        self.merge(&json!({"metadata": {"annotations": annotations}}))
            .await?;
        Ok(token)
    }

    /// Asks for a reconcile and waits until it is over.
    ///
    /// # Errors
    /// When it is not over in time.
    pub async fn reconcile(&self) -> Result<Value> {
        let token = self.request().await?;
        let is_over = |it: &Value| {
            text(it, "/status/lastHandledReconcileAt") == token
                && condition(it, "Ready").is_some_and(|it| it["status"] != "Unknown")
        };
        self.until("the requested reconcile is over", is_over).await
    }

    /// Waits for the object to be as `is_met` says, and gives it.
    ///
    /// # Errors
    /// When it is not so in time; the error shows what was seen last.
    pub async fn until(&self, what: &str, is_met: impl Fn(&Value) -> bool) -> Result<Value> {
        self.until_within(PATIENCE, what, is_met).await
    }

    /// Like [`Self::until`] with a limit of its own.
    ///
    /// # Errors
    /// When it is not so in time; the error shows what was seen last.
    pub async fn until_within(
        &self,
        limit: Duration,
        what: &str,
        is_met: impl Fn(&Value) -> bool,
    ) -> Result<Value> {
        let found = self.watch(limit, what, |it| it.is_some_and(&is_met)).await?;
        found.with_context(|| format!("{} is gone", self.id()))
    }

    /// Like [`Self::until`] for an object that may be away meanwhile.
    ///
    /// # Errors
    /// When it is not so in time; the error shows what was seen last.
    pub async fn back(&self, what: &str, is_met: impl Fn(&Value) -> bool) -> Result<()> {
        self.watch(PATIENCE, what, |it| it.is_some_and(&is_met))
            .await
            .map(drop)
    }

    /// The states of the object as they come, while it is there.
    pub fn stream(&self) -> impl futures::Stream<Item = Result<Value>> + use<> {
        let states = watcher::watch_object(self.api(), &self.name);
        states.filter_map(async |state| match state {
            Ok(object) => object.map(|it| serde_json::to_value(it).map_err(Into::into)),
            Err(error) => Some(Err(error.into())),
        })
    }

    /// Waits until the object is not there.
    ///
    /// # Errors
    /// When it is there still after the usual time.
    pub async fn gone(&self) -> Result<()> {
        self.watch(PATIENCE, "it is gone", |it| it.is_none())
            .await
            .map(drop)
    }

    async fn watch(
        &self,
        limit: Duration,
        what: &str,
        is_met: impl Fn(Option<&Value>) -> bool,
    ) -> Result<Option<Value>> {
        let mut last = None;
        let wait = async {
            let mut stream = watcher::watch_object(self.api(), &self.name).boxed();
            loop {
                match stream.try_next().await {
                    Ok(Some(object)) => last = object.map(serde_json::to_value).transpose()?,
                    Ok(None) => bail!("the watch of {} ended", self.id()),
                    // While the API server restarts, the watch comes back by itself.
                    Err(_) => {
                        tokio::time::sleep(Duration::from_millis(200)).await;
                        continue;
                    }
                }
                if is_met(last.as_ref()) {
                    return Ok(last.clone());
                }
            }
        };
        match tokio::time::timeout(limit, wait).await {
            Ok(found) => found,
            Err(_) => bail!(
                "{}: not after {} s: {what}; last seen: {}",
                self.id(),
                limit.as_secs(),
                self.summary(last.as_ref())
            ),
        }
    }

    /// Waits for a condition; `message` is what its message must contain.
    ///
    /// # Errors
    /// When the condition is not so in time; the error shows what was seen last.
    pub async fn expect(&self, kind: &str, status: &str, reason: &str, message: &str) -> Result<Value> {
        self.expect_within(PATIENCE, kind, status, reason, message).await
    }

    /// Like [`Self::expect`] with a limit of its own.
    ///
    /// # Errors
    /// When the condition is not so in time; the error shows what was seen last.
    pub async fn expect_within(
        &self,
        limit: Duration,
        kind: &str,
        status: &str,
        reason: &str,
        message: &str,
    ) -> Result<Value> {
        let what = format!("{kind}={status} {reason} `{message}`");
        self.until_within(limit, &what, |object| {
            condition(object, kind).is_some_and(|it| {
                it["status"] == status
                    && it["reason"] == reason
                    && it["message"].as_str().is_some_and(|it| it.contains(message))
            })
        })
        .await
    }

    /// Waits until the object is ready for the generation it has.
    ///
    /// # Errors
    /// When it is not ready in time.
    pub async fn ready(&self) -> Result<Value> {
        self.ready_within(PATIENCE).await
    }

    /// Like [`Self::ready`] with a limit of its own.
    ///
    /// # Errors
    /// When it is not ready in time.
    pub async fn ready_within(&self, limit: Duration) -> Result<Value> {
        self.until_within(limit, "it is ready", |it| {
            let observed = &it["status"]["observedGeneration"];
            *observed == it["metadata"]["generation"]
                && condition(it, "Ready").is_some_and(|it| it["status"] == "True")
        })
        .await
    }

    /// The events about the object, oldest first.
    ///
    /// # Errors
    /// When the API server does not answer.
    pub async fn events(&self) -> Result<Vec<Event>> {
        let kind = ApiResource::from_gvk(&GroupVersionKind::gvk("", "v1", "Event"));
        let namespace = self.namespace.as_deref().unwrap_or("default");
        let api: Api<DynamicObject> = Api::namespaced_with(self.client.clone(), namespace, &kind);
        let selector = format!(
            "involvedObject.kind={},involvedObject.name={}",
            self.resource.kind, self.name
        );
        let list = api.list(&ListParams::default().fields(&selector)).await?;
        let events = list.into_iter().map(|it| {
            let component = text(&it.data, "/source/component");
            let source = if component.is_empty() {
                text(&it.data, "/reportingComponent")
            } else {
                component
            };
            let event = Event {
                kind: text(&it.data, "/type"),
                reason: text(&it.data, "/reason"),
                message: text(&it.data, "/message"),
                source,
            };
            (it.metadata.creation_timestamp, event)
        });
        let mut events: Vec<_> = events.collect();
        events.sort_by(|a, b| a.0.cmp(&b.0));
        Ok(events.into_iter().map(|it| it.1).collect())
    }

    /// Waits for an event about the object.
    ///
    /// # Errors
    /// When there is none in time; the error shows those there are.
    pub async fn expect_event(&self, kind: &str, reason: &str, message: &str) -> Result<()> {
        let end = tokio::time::Instant::now() + PATIENCE;
        loop {
            let events = self.events().await?;
            if events
                .iter()
                .any(|it| it.kind == kind && it.reason == reason && it.message.contains(message))
            {
                return Ok(());
            }
            ensure!(
                tokio::time::Instant::now() < end,
                "{}: no event {kind} {reason} `{message}` among {events:#?}",
                self.id()
            );
            // Events are not worth a watch.
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    fn summary(&self, last: Option<&Value>) -> String {
        let Some(object) = last else {
            return "nothing".to_owned();
        };
        let mut text = format!("generation {}", object["metadata"]["generation"]);
        match object["status"]["conditions"].as_array() {
            Some(conditions) if self.resource.group.contains("fluxcd.io") => {
                for it in conditions {
                    let words = [&it["type"], &it["status"], &it["reason"], &it["message"]]
                        .map(|it| it.as_str().unwrap_or_default());
                    _ = write!(text, "\n    {}={} {}: {}", words[0], words[1], words[2], words[3]);
                }
            }
            _ => {
                let mut object = object.clone();
                if let Some(metadata) = object["metadata"].as_object_mut() {
                    metadata.remove("managedFields");
                }
                _ = write!(text, "\n    {object}");
            }
        }
        text
    }
}

/// The condition of that type, if the object has it.
#[must_use]
pub fn condition<'a>(object: &'a Value, kind: &str) -> Option<&'a Value> {
    object["status"]["conditions"]
        .as_array()?
        .iter()
        .find(|it| it["type"] == kind)
}

/// The text at a JSON pointer, empty when there is none.
#[must_use]
pub fn text(object: &Value, pointer: &str) -> String {
    object
        .pointer(pointer)
        .and_then(Value::as_str)
        .unwrap_or_default()
        .to_owned()
}
