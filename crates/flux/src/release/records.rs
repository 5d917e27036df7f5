//! The records of releases that Helm keeps in the cluster.

use anyhow::{Context as _, Result};
use ferro_apply::Cluster;
use ferro_helm::record::{Record, secret};
use ferro_release::release::Target;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::api::ListParams;
use kube::{Api, ResourceExt as _};

use crate::cluster::explain;

/// The newest record of a release that can be read.
pub(super) async fn last(cluster: &Cluster, target: &Target) -> Result<Option<Record>> {
    let namespace = &target.storage_namespace;
    let api: Api<Secret> = Api::namespaced(cluster.client.clone(), namespace);
    let selector = format!("name={},owner={}", target.name, secret::OWNER);
    let params = ListParams::default().labels(&selector);
    let listed = api.list_metadata(&params).await.map_err(explain);
    let listed = listed.with_context(|| format!("records of release '{namespace}/{}'", target.name))?;
    let revision =
        |labels: &std::collections::BTreeMap<String, String>| labels.get("version")?.parse::<i64>().ok();
    let mut heads: Vec<_> = listed
        .items
        .iter()
        .filter_map(|item| Some((revision(item.labels())?, item.name_any())))
        .collect();
    heads.sort_by_key(|(revision, _)| std::cmp::Reverse(*revision));
    for (_, name) in heads {
        let found = api.get_opt(&name).await.map_err(explain)?;
        let data = found.and_then(|found| found.data?.remove(secret::KEY));
        if let Some(ByteString(text)) = data
            && let Ok(record) = secret::decode(&text)
        {
            return Ok(Some(record));
        }
    }
    Ok(None)
}
