//! What is released: the workload that upstream publishes figures for, and one whose pods run.

use std::fs;
use std::path::Path;

use anyhow::Result;
use serde_json::{Value, json};
use xtask::api::Api;
use xtask::cluster::Cluster;
use xtask::gitserver::GitServer;

use super::super::driver::name;
use super::super::registry::{self, Registry, archive, put};

const VERSION: &str = "1.0.0";

/// The chart, file by file.
const CHART: [(&str, &str); 10] = [
    ("Chart.yaml", include_str!("chart/Chart.yaml")),
    ("values.yaml", include_str!("chart/values.yaml")),
    (
        "templates/_helpers.tpl",
        include_str!("chart/templates/_helpers.tpl"),
    ),
    ("templates/NOTES.txt", include_str!("chart/templates/NOTES.txt")),
    (
        "templates/account.yaml",
        include_str!("chart/templates/account.yaml"),
    ),
    (
        "templates/deployment.yaml",
        include_str!("chart/templates/deployment.yaml"),
    ),
    (
        "templates/service.yaml",
        include_str!("chart/templates/service.yaml"),
    ),
    (
        "templates/ingress.yaml",
        include_str!("chart/templates/ingress.yaml"),
    ),
    (
        "templates/scaler.yaml",
        include_str!("chart/templates/scaler.yaml"),
    ),
    (
        "templates/tests/service.yaml",
        include_str!("chart/templates/tests/service.yaml"),
    ),
];

/// What is measured in one run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Workload {
    /// No replicas, from an OCI registry, with drift detection and the rights of a service account.
    Published,
    /// A replica each, from a Git repository.
    Pods,
}

impl Workload {
    pub(super) const ALL: [Self; 2] = [Self::Published, Self::Pods];

    /// The word for it on the command line.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Published => "published",
            Self::Pods => "pods",
        }
    }

    /// Nodes of the cluster; without pods none are needed.
    pub(super) fn nodes(self) -> u32 {
        match self {
            Self::Published => 0,
            Self::Pods => 1,
        }
    }

    /// Starts the server that the chart comes from, and makes the source.
    pub(super) fn prepare(self, cluster: &Cluster, api: &Api, registry: &Path) -> Result<Origin> {
        match self {
            Self::Published => {
                let content = cluster.dir().join("registry");
                fs::create_dir_all(&content)?;
                let files = CHART.map(|(path, text)| (format!("app/{path}"), text.to_owned()));
                put(
                    &content,
                    "charts/app",
                    VERSION,
                    registry::CHART,
                    &archive(&files)?,
                )?;
                let registry = Registry::start(registry, &content, cluster.nursery())?;
                account(api)?;
                let url = format!("oci://{}/charts", registry.host);
                let spec = json!({"type": "oci", "insecure": true, "interval": "12h", "url": url});
                source(api, "HelmRepository", "helmrepositories", &spec)?;
                Ok(Origin::Registry { _server: registry })
            }
            Self::Pods => {
                let server = GitServer::start(&cluster.dir().join("git"))?;
                let repository = server.create("charts")?;
                for (path, text) in CHART {
                    repository.write(&format!("app/{path}"), text)?;
                }
                repository.commit("Add the chart")?;
                let spec = json!({"interval": "60m", "url": repository.url(), "ref": {"branch": "main"}});
                source(api, "GitRepository", "gitrepositories", &spec)?;
                Ok(Origin::Git { _server: server })
            }
        }
    }

    /// A HelmRelease.
    pub(super) fn release(self, index: usize) -> Value {
        let mut spec = match self {
            Self::Published => json!({
                "releaseName": name(index),
                "targetNamespace": "bench",
                "storageNamespace": "bench",
                "serviceAccountName": "flux",
                "driftDetection": {"mode": "enabled"},
                "install": {"crds": "Create"},
                "upgrade": {"crds": "CreateReplace"},
                "chart": {"spec": {
                    "chart": "app",
                    "version": "*",
                    "interval": "600m",
                    "sourceRef": {"kind": "HelmRepository", "name": "charts"},
                }},
                "values": {
                    "replicas": 0,
                    "scaler": {"enabled": false},
                    "ingress": {"enabled": true},
                },
            }),
            Self::Pods => json!({
                "chart": {"spec": {
                    "chart": "./app",
                    "sourceRef": {"kind": "GitRepository", "name": "charts"},
                }},
                "values": {"message": "first"},
            }),
        };
        for (pointer, key, value) in [
            ("", "interval", json!("60m")),
            ("/values", "resources", requests("1m")),
        ] {
            if let Some(fields) = spec.pointer_mut(pointer).and_then(Value::as_object_mut) {
                fields.insert(key.to_owned(), value);
            }
        }
        json!({
            "apiVersion": "helm.toolkit.fluxcd.io/v2",
            "kind": "HelmRelease",
            "metadata": {"name": name(index), "namespace": "bench"},
            "spec": spec,
        })
    }

    /// What is merged into a HelmRelease to upgrade it: its pods change.
    pub(super) fn change(self) -> Value {
        json!({"spec": {"values": {"resources": requests("2m")}}})
    }
}

fn requests(cpu: &str) -> Value {
    json!({"requests": {"cpu": cpu, "memory": "16Mi"}})
}

/// The server that the chart comes from, until it is dropped.
#[derive(Debug)]
pub(super) enum Origin {
    Registry { _server: Registry },
    Git { _server: GitServer },
}

fn source(api: &Api, kind: &str, plural: &str, spec: &Value) -> Result<()> {
    let group = "source.toolkit.fluxcd.io/v1";
    let metadata = json!({"name": "charts", "namespace": "bench"});
    let object = json!({"apiVersion": group, "kind": kind, "metadata": metadata, "spec": spec});
    api.create(&format!("/apis/{group}/namespaces/bench/{plural}"), &object)
}

/// The service account with whose rights charts are released.
fn account(api: &Api) -> Result<()> {
    let metadata = json!({"name": "flux", "namespace": "bench"});
    let account = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata});
    api.create("/api/v1/namespaces/bench/serviceaccounts", &account)?;
    let group = "rbac.authorization.k8s.io";
    let binding = json!({
        "apiVersion": format!("{group}/v1"),
        "kind": "RoleBinding",
        "metadata": metadata,
        "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": "admin"},
        "subjects": [{"kind": "ServiceAccount", "name": "flux", "namespace": "bench"}],
    });
    api.create(
        &format!("/apis/{group}/v1/namespaces/bench/rolebindings"),
        &binding,
    )
}
