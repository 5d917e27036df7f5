//! What all tests need: objects, options, a cluster with a record of its requests.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use ferro_apply::{ApplyOptions, ChangeSet, Cluster, Drift, LiveIndex, Mapper, Object, Owner, Ownership};
use kube::Client;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

pub(crate) const GROUP: &str = "kustomize.toolkit.fluxcd.io";
/// The longest that anything here may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// The requests made so far, as `VERB path?query`.
#[derive(Clone, Default)]
pub(crate) struct Requests(Arc<Mutex<Vec<String>>>);

impl Requests {
    pub(crate) fn note(&self, method: &http::Method, uri: &http::Uri) {
        let target = uri.path_and_query().map_or("", |target| target.as_str());
        self.0.lock().unwrap().push(format!("{method} {target}"));
    }

    /// Those made since the last call, without discovery, lists and watches, shortened to verb and kind of request.
    pub(crate) fn take(&self) -> Vec<String> {
        let all = std::mem::take(&mut *self.0.lock().unwrap());
        let plain = all.iter().filter(|request| {
            !request.contains("watch=")
                && !request.contains("labelSelector=")
                && !request.contains("limit=")
                && !request.ends_with(" /api?")
                && !request.ends_with(" /apis?")
                && !request.ends_with(" /api")
                && !request.ends_with(" /apis")
        });
        plain.map(|request| short(request)).collect()
    }
}

/// `PATCH configmaps/a`, with ` dry-run` where it is one.
fn short(request: &str) -> String {
    let (verb, target) = request.split_once(' ').unwrap();
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let mut tail: Vec<&str> = path.rsplit('/').take(2).collect();
    tail.reverse();
    let dry_run = if query.contains("dryRun=All") {
        " dry-run"
    } else {
        ""
    };
    format!("{verb} {}{dry_run}", tail.join("/"))
}

/// A cluster to apply to, as one Kustomization sees it.
pub(crate) struct Fixture {
    pub(crate) cluster: Cluster,
    pub(crate) drifts: mpsc::UnboundedReceiver<Drift>,
    pub(crate) requests: Requests,
    pub(crate) owner: Owner,
}

impl Fixture {
    pub(crate) fn new(client: Client, requests: Requests, name: &str) -> Self {
        let ownership = Ownership {
            group: GROUP.into(),
            manager: "kustomize-controller".into(),
            override_managers: Vec::new(),
        };
        let (live, drifts) = LiveIndex::new(client.clone(), ownership, None);
        let mapper = Arc::new(Mapper::new(client.clone()));
        let owner = Owner {
            namespace: "flux-system".into(),
            name: name.into(),
        };
        Self {
            cluster: Cluster { client, mapper, live },
            drifts,
            requests,
            owner,
        }
    }

    pub(crate) fn options(&self) -> ApplyOptions {
        ApplyOptions {
            owner: self.owner.clone(),
            force: false,
            concurrency: 4,
            custom_stage_kinds: Vec::new(),
            ignore: Arc::default(),
            exprs: Arc::default(),
            stage_timeout: PATIENCE,
            cancel: CancellationToken::new(),
        }
    }

    /// Objects with the owner's labels.
    pub(crate) fn objects(&self, values: &[Value]) -> Vec<Object> {
        let labelled = |value: &Value| {
            let mut object = Object::new(value.clone()).unwrap();
            let (name, namespace) = (format!("{GROUP}/name"), format!("{GROUP}/namespace"));
            object.add_labels([
                (name.as_str(), self.owner.name.as_str()),
                (namespace.as_str(), self.owner.namespace.as_str()),
            ]);
            object
        };
        values.iter().map(labelled).collect()
    }

    pub(crate) async fn apply(&self, values: &[Value]) -> ChangeSet {
        self.apply_with(values, &self.options()).await.unwrap()
    }

    pub(crate) async fn apply_with(
        &self,
        values: &[Value],
        options: &ApplyOptions,
    ) -> Result<ChangeSet, String> {
        let applied = tokio::time::timeout(PATIENCE, self.cluster.apply(self.objects(values), options))
            .await
            .unwrap();
        applied.map_err(|error| error.to_string())
    }

    pub(crate) async fn drift(&mut self) -> Drift {
        tokio::time::timeout(PATIENCE, self.drifts.recv())
            .await
            .unwrap()
            .unwrap()
    }
}

/// `created`, `configured`, … for each object, in order.
pub(crate) fn actions(changes: &ChangeSet) -> Vec<&'static str> {
    changes.0.iter().map(|change| change.action.as_str()).collect()
}

pub(crate) fn config_map(namespace: &str, name: &str, data: &Value) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": namespace}, "data": data})
}

pub(crate) fn deployment(namespace: &str, name: &str, replicas: u32) -> Value {
    json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name, "namespace": namespace},
        "spec": {"replicas": replicas, "selector": {"matchLabels": {"app": name}},
            "template": {"metadata": {"labels": {"app": name}}, "spec": {"containers": [{"name": "c", "image": "i:1"}]}}}})
}
