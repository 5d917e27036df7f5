//! What templates are told of the cluster: its version and APIs, and with `lookup` its objects.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ferro_apply::Cluster;
use ferro_apply::error::message;
use ferro_helm::render::Lookup;
use ferro_helm::{Capabilities, KubeVersion};
use kube::Client;
use kube::api::{ListParams, ObjectList};
use serde_json::{Map, Value};
use tokio::runtime::Handle;
use tokio::time::Instant;

/// How long an answer is good for, unless something was defined meanwhile.
const FRESH: Duration = Duration::from_secs(60);

/// The capabilities of a cluster, asked for when they are first needed and then now and then, and shared by all releases.
#[derive(Default)]
pub struct Discovery(Mutex<Option<(Instant, Capabilities)>>);

impl Discovery {
    /// What is known of the cluster of a client.
    ///
    /// # Errors
    /// When the cluster does not answer.
    pub async fn get(&self, client: &Client) -> Result<Capabilities, String> {
        if let Some((at, known)) = self.lock().as_ref()
            && at.elapsed() < FRESH
        {
            return Ok(known.clone());
        }
        let found = discover(client).await?;
        *self.lock() = Some((Instant::now(), found.clone()));
        Ok(found)
    }

    fn lock(&self) -> MutexGuard<'_, Option<(Instant, Capabilities)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Something was defined: what is known is out of date.
    pub fn invalidate(&self) {
        *self.lock() = None;
    }
}

async fn discover(client: &Client) -> Result<Capabilities, String> {
    let failed = |error: kube::Error| format!("cluster reachability check failed: {}", message(&error));
    let version = client.apiserver_version().await.map_err(failed)?;
    let (core, groups) = tokio::try_join!(
        client.list_core_api_versions_aggregated(),
        client.list_api_groups_aggregated()
    )
    .map_err(failed)?;
    let mut api_versions = BTreeSet::new();
    for group in core.items.iter().chain(&groups.items) {
        let name = group
            .metadata
            .as_ref()
            .and_then(|metadata| metadata.name.as_deref());
        for version in &group.versions {
            let Some(text) = &version.version else { continue };
            let api_version = match name.filter(|name| !name.is_empty()) {
                Some(name) => format!("{name}/{text}"),
                None => text.clone(),
            };
            let kinds = version
                .resources
                .iter()
                .filter_map(|resource| resource.response_kind.as_ref()?.kind.as_ref());
            api_versions.extend(kinds.map(|kind| format!("{api_version}/{kind}")));
            api_versions.insert(api_version);
        }
    }
    let mut kube_version = KubeVersion::parse(&version.git_version).map_err(|error| error.to_string())?;
    (kube_version.major, kube_version.minor) = (version.major, version.minor);
    Ok(Capabilities {
        kube_version,
        api_versions: api_versions.into_iter().collect(),
        ..Capabilities::default()
    })
}

/// `lookup` in a cluster, with the rights of the release. Blocks: for threads that may.
pub struct ClusterLookup {
    /// Which cluster.
    pub cluster: Cluster,
    /// Where requests are made.
    pub runtime: Handle,
}

impl Lookup for ClusterLookup {
    fn lookup(
        &self,
        api_version: &str,
        kind: &str,
        namespace: &str,
        name: &str,
    ) -> Result<Map<String, Value>, String> {
        self.runtime
            .block_on(self.find(api_version, kind, namespace, name))
    }
}

impl ClusterLookup {
    async fn find(
        &self,
        api_version: &str,
        kind: &str,
        namespace: &str,
        name: &str,
    ) -> Result<Map<String, Value>, String> {
        let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
        let mapping = self.cluster.mapper.resolve(group, version, kind).await;
        let mapping =
            mapping.map_err(|error| format!("unable to get apiresource from unstructured: {error}"))?;
        let api = self.cluster.api(&mapping, namespace);
        let found = if name.is_empty() {
            let listed: kube::Result<ObjectList<_>> = api.list(&ListParams::default()).await;
            listed.map(|list| {
                let items = list.items.into_iter().map(|mut item| {
                    // The items of a list do not say what they are; Go's client does.
                    item.types.get_or_insert_with(|| kube::api::TypeMeta {
                        api_version: api_version.to_owned(),
                        kind: kind.to_owned(),
                    });
                    serde_json::to_value(item).unwrap_or_default()
                });
                serde_json::json!({
                    "apiVersion": api_version,
                    "kind": format!("{kind}List"),
                    "metadata": { "resourceVersion": list.metadata.resource_version },
                    "items": items.collect::<Vec<_>>(),
                })
            })
        } else {
            api.get(name)
                .await
                .map(|found| serde_json::to_value(found).unwrap_or_default())
        };
        match found {
            Ok(Value::Object(found)) => Ok(found),
            Ok(_) => Ok(Map::new()),
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(Map::new()),
            Err(error) => Err(message(&error)),
        }
    }
}
