//! Against a real API server, named by `FERRO_TEST_KUBECONFIG`; each test works in a namespace of its own.

mod afterwards;
mod ownership;
mod stages;

use std::sync::Arc;

use ferro_apply::{Cluster, WaitOptions};
use kube::api::{DynamicObject, Patch, PatchParams, PostParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use tower::ServiceBuilder;

use crate::support::{Fixture, PATIENCE, Requests};

async fn fixture(name: &str) -> Option<Fixture> {
    let Some(path) = std::env::var_os("FERRO_TEST_KUBECONFIG") else {
        println!("skipped: FERRO_TEST_KUBECONFIG is not set");
        return None;
    };
    // A name of its own, so that what an earlier run left does not matter.
    let started = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap();
    let name = format!("{name}-{:x}", started.as_millis());
    let requests = Requests::default();
    let fixture = Fixture::new(client(&path, &requests).await, requests, &name);
    let namespace: DynamicObject =
        serde_json::from_value(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}))
            .unwrap();
    let types = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
    api(&fixture.cluster, &types)
        .await
        .create(&PostParams::default(), &namespace)
        .await
        .unwrap();
    fixture.requests.take();
    Some(fixture)
}

async fn client(path: &std::ffi::OsStr, requests: &Requests) -> Client {
    let kubeconfig = Kubeconfig::read_from(path).unwrap();
    let config = kube::Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default())
        .await
        .unwrap();
    let requests = requests.clone();
    let record = ServiceBuilder::new().map_request(move |request: http::Request<kube::client::Body>| {
        requests.note(&request);
        request
    });
    kube::client::ClientBuilder::try_from(config)
        .unwrap()
        .with_layer(&record.into_inner())
        .build()
}

/// A second controller on the same cluster, which knows nothing of the first.
async fn restarted(fixture: &Fixture) -> Fixture {
    let requests = Requests::default();
    let path = std::env::var_os("FERRO_TEST_KUBECONFIG").unwrap();
    Fixture::new(client(&path, &requests).await, requests, &fixture.owner.name)
}

async fn api(cluster: &Cluster, object: &Value) -> Api<DynamicObject> {
    let object = ferro_apply::Object::new(object.clone()).unwrap();
    let mapping = cluster.map(object.id(), object.version()).await.unwrap();
    cluster.api(&mapping, &object.id().namespace)
}

async fn get(cluster: &Cluster, object: &Value) -> Option<Value> {
    let found = api(cluster, object)
        .await
        .get_opt(object["metadata"]["name"].as_str().unwrap())
        .await
        .unwrap();
    found.map(|found| serde_json::to_value(found).unwrap())
}

/// Writes as another tool would.
async fn write(cluster: &Cluster, object: &Value, manager: &str, patch: &Value) {
    let params = PatchParams {
        field_manager: Some(manager.into()),
        ..PatchParams::default()
    };
    let name = object["metadata"]["name"].as_str().unwrap();
    api(cluster, object)
        .await
        .patch(name, &params, &Patch::Merge(patch))
        .await
        .unwrap();
}

fn wait_options() -> WaitOptions {
    WaitOptions {
        timeout: PATIENCE,
        fail_fast: true,
        exprs: Arc::default(),
        cancel: CancellationToken::new(),
        vanishing: Vec::new(),
    }
}
