//! What all tests need: objects, options, a cluster with a record of its requests.

use std::sync::Arc;
use std::time::Duration;

use ferro_apply::{ApplyOptions, ChangeSet, Cluster, Drift, LiveIndex, Mapper, Object, Owner, Ownership};
use kube::Client;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

pub(crate) use crate::requests::Requests;

pub(crate) const GROUP: &str = "kustomize.toolkit.fluxcd.io";
/// The longest that anything here may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

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
            undoes_edits: true,
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
            dry_runs: true,
            is_strict: false,
            owner: self.owner.clone(),
            force: false,
            migrate_version: false,
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
