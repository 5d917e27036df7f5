//! The sweep of the storage: what no object owns any more is removed. Objects can go without their artifacts being collected: deleted by
//! force while no controller ran, or moved to another shard.

use std::collections::HashSet;
use std::time::{Duration, SystemTime};

use ferro_api::FluxObject;
use ferro_artifact::storage::{ObjectKey, Storage};
use ferro_http::describe;
use ferro_runtime::process::{Process, chain};
use kube::api::ListParams;
use kube::runtime::reflector::Store;
use kube::{Api, ResourceExt};

/// Time between sweeps.
const PERIOD: Duration = Duration::from_secs(3600);

/// Objects listed at once.
const PAGE: u32 = 500;

/// A directory that changed within this time is left alone: its object may be newer than the list.
const GRACE: Duration = Duration::from_secs(300);

/// Sweeps once the objects of the kind are known, and then again from time to time, until the process stops.
pub(crate) async fn run<K: FluxObject>(
    process: Process,
    namespace: Option<String>,
    storage: Storage,
    store: Store<K>,
) {
    let work = async {
        if store.wait_until_ready().await.is_err() {
            return;
        }
        loop {
            sweep::<K>(&process, namespace.as_deref(), &storage).await;
            tokio::time::sleep(PERIOD).await;
        }
    };
    tokio::select! {
        () = work => {}
        () = process.stop.cancelled() => {}
    }
}

async fn sweep<K: FluxObject>(process: &Process, namespace: Option<&str>, storage: &Storage) {
    let live = match live::<K>(process, namespace).await {
        Ok(live) => live,
        Err(error) => {
            tracing::error!(error = chain(&error), "storage not swept");
            return;
        }
    };
    let storage = storage.clone();
    let kind = K::KIND.to_lowercase();
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
        Ok(Err(error)) => tracing::error!(error = describe(&error), "storage not swept"),
        Err(error) => tracing::error!(%error, "storage not swept"),
    }
}

/// The objects that own what they stored. The API server is asked, not the store: there, an object that does not fit its schema is missing.
async fn live<K: FluxObject>(process: &Process, namespace: Option<&str>) -> kube::Result<HashSet<ObjectKey>> {
    let client = process.client.clone();
    let api: Api<K> = namespace.map_or_else(
        || Api::all(client.clone()),
        |namespace| Api::namespaced(client.clone(), namespace),
    );
    let mut params = ListParams::default().limit(PAGE);
    if !process.flags.watch_label_selector.is_empty() {
        params = params.labels(&process.flags.watch_label_selector);
    }
    let mut live = HashSet::new();
    loop {
        let page = api.list_metadata(&params).await?;
        let key = |object: &kube::core::PartialObjectMeta<K>| {
            ObjectKey::new(
                K::KIND,
                &object.namespace().unwrap_or_default(),
                &object.name_any(),
            )
        };
        live.extend(page.items.iter().map(key));
        match page.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => params = params.continue_token(&token),
            None => return Ok(live),
        }
    }
}
