//! The sweep of a store: what no object owns any more is removed. Objects can go without their artifacts being collected: deleted by
//! force while no controller ran, or moved to another shard.

use std::collections::HashSet;
use std::future::Future;
use std::time::{Duration, SystemTime};

use ferro_api::FluxObject;
use ferro_artifact::storage::{ObjectKey, Storage};
use kube::Api;
use kube::api::ListParams;
use kube::core::PartialObjectMeta;

use crate::process::{Process, chain};

/// Time between sweeps.
const PERIOD: Duration = Duration::from_secs(3600);

/// Objects listed at once.
const PAGE: u32 = 500;

/// A directory that changed within this time is left alone: its object may be newer than the list.
const GRACE: Duration = Duration::from_secs(300);

/// Sweeps what objects of `kind` stored, now and then again from time to time, until the process stops. `live` are those that still own
/// what they stored.
pub async fn run<Fut>(process: &Process, storage: &Storage, kind: &str, live: impl Fn() -> Fut)
where
    Fut: Future<Output = kube::Result<HashSet<ObjectKey>>>,
{
    let work = async {
        loop {
            match live().await {
                Ok(live) => sweep(storage.clone(), kind.to_lowercase(), live).await,
                Err(error) => tracing::error!(error = chain(&error), "storage not swept"),
            }
            tokio::time::sleep(PERIOD).await;
        }
    };
    tokio::select! {
        () = work => {}
        () = process.stop.cancelled() => {}
    }
}

async fn sweep(storage: Storage, kind: String, live: HashSet<ObjectKey>) {
    let swept = tokio::task::spawn_blocking(move || {
        storage.sweep_blocking(&[&kind], &live, SystemTime::now(), GRACE)
    });
    match swept.await {
        Ok(Ok(removed)) if removed.is_empty() => {}
        Ok(Ok(removed)) => {
            tracing::info!(
                objects = removed.len(),
                "removed artifacts of objects that are gone"
            );
        }
        Ok(Err(error)) => tracing::error!(error = chain(&error), "storage not swept"),
        Err(error) => tracing::error!(%error, "storage not swept"),
    }
}

/// The metadata of all objects of a kind that have the labels. The API server is asked, not a store: there, an object that does not fit its
/// schema is missing.
///
/// # Errors
/// When the API server does not answer the whole list.
pub async fn list<K: FluxObject>(
    process: &Process,
    namespace: Option<&str>,
    labels: &str,
) -> kube::Result<Vec<PartialObjectMeta<K>>> {
    let client = process.client.clone();
    let api: Api<K> = match namespace {
        Some(namespace) => Api::namespaced(client, namespace),
        None => Api::all(client),
    };
    let mut params = ListParams::default().limit(PAGE);
    if !labels.is_empty() {
        params = params.labels(labels);
    }
    let mut objects = Vec::new();
    loop {
        let page = api.list_metadata(&params).await?;
        objects.extend(page.items);
        match page.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => params = params.continue_token(&token),
            None => return Ok(objects),
        }
    }
}
