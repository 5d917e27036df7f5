//! The sweep of the storage of one kind.

use std::collections::HashSet;

use ferro_api::FluxObject;
use ferro_artifact::storage::{ObjectKey, Storage};
use ferro_runtime::artifacts::sweep;
use ferro_runtime::process::Process;
use kube::ResourceExt;
use kube::runtime::reflector::Store;

/// Sweeps once the objects of the kind are known, and then again from time to time, until the process stops.
pub(crate) async fn run<K: FluxObject>(
    process: &Process,
    namespace: Option<&str>,
    storage: &Storage,
    store: Store<K>,
) {
    let known = tokio::select! {
        known = store.wait_until_ready() => known.is_ok(),
        () = process.stop.cancelled() => false,
    };
    if known {
        sweep::run(process, storage, K::KIND, || live::<K>(process, namespace)).await;
    }
}

/// The objects that own what they stored: those of this shard.
async fn live<K: FluxObject>(process: &Process, namespace: Option<&str>) -> kube::Result<HashSet<ObjectKey>> {
    let selector = &process.flags.watch_label_selector;
    let objects = sweep::list::<K>(process, namespace, selector).await?;
    let key = |object: &kube::core::PartialObjectMeta<K>| {
        ObjectKey::new(
            K::KIND,
            &object.namespace().unwrap_or_default(),
            &object.name_any(),
        )
    };
    Ok(objects.iter().map(key).collect())
}
