//! Clusters that ConfigMaps describe, and the tokens for them.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use ferro_api::meta::{KubeConfigReference, LocalObjectReference};
use ferro_apply::targets::{Destination, TargetOptions, Targets};
use ferro_apply::{Cluster, LiveIndex, Mapper, Owner, Ownership};
use ferro_runtime::client::kubeconfig::Trust;
use ferro_runtime::metrics::Metrics;
use http::{Request, Response};
use kube::Client;
use kube::client::Body;
use prometheus_client::registry::Registry;
use serde_json::json;
use tokio::sync::mpsc;

/// A cluster with a ConfigMap that describes another one, for which there are tokens.
fn client() -> Client {
    let service = tower::service_fn(|request: Request<Body>| async move {
        let path = request.uri().path().to_owned();
        let (code, body) = if path.ends_with("/configmaps/there") {
            let data = json!({ "provider": "generic", "address": "https://there", "serviceAccountName": "deployer" });
            (200, json!({ "metadata": { "name": "there" }, "data": data }))
        } else if path.ends_with("/token") {
            let status = json!({ "token": "hunter2", "expirationTimestamp": "2999-01-01T00:00:00Z" });
            (
                201,
                json!({ "metadata": {}, "spec": { "audiences": [] }, "status": status }),
            )
        } else {
            (
                200,
                json!({ "metadata": { "name": "deployer", "namespace": "apps" } }),
            )
        };
        let body = Body::from(body.to_string().into_bytes());
        Ok::<_, Infallible>(Response::builder().status(code).body(body).unwrap())
    });
    Client::new(service, "default")
}

#[tokio::test]
async fn tokens_for_clusters_are_counted_by_their_users() {
    let (metrics, mut registry) = (Metrics::default(), Registry::default());
    metrics.register(&mut registry);
    let counted = || {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        let lines = text.lines().filter(|line| line.starts_with("gotk_token"));
        let mut lines: Vec<_> = lines.map(str::to_owned).collect();
        lines.sort();
        lines
    };
    let ownership = Ownership {
        group: "kustomize.toolkit.fluxcd.io".to_owned(),
        manager: "kustomize-controller".to_owned(),
        override_managers: Vec::new(),
        undoes_edits: true,
    };
    let (drifts, _heard_by_nobody) = mpsc::unbounded_channel();
    let local = Cluster {
        client: client(),
        mapper: Arc::new(Mapper::new(client())),
        live: LiveIndex::reporting_to(client(), ownership.clone(), None, drifts.clone()),
    };
    let targets = Targets::new(
        local,
        TargetOptions {
            ownership,
            drifts,
            trust: Trust::default(),
            default_account: String::new(),
            default_remote_account: String::new(),
            has_own_account: true,
            has_object_identities: true,
            token_age: Duration::from_secs(3600),
            kind: "Kustomization",
            metrics,
        },
    );
    let owner = Owner {
        namespace: "apps".to_owned(),
        name: "app".to_owned(),
    };
    let reference = KubeConfigReference {
        config_map_ref: Some(LocalObjectReference {
            name: "there".to_owned(),
        }),
        ..KubeConfigReference::default()
    };
    let destination = Destination {
        owner: owner.clone(),
        account: None,
        kube_config: Some(&reference),
    };
    for _ in 0..3 {
        targets.of(&destination).await.unwrap();
    }
    let labels = r#"kind="Kustomization",name="app",namespace="apps",operation="reconcile""#;
    assert_eq!(
        counted(),
        [
            format!(r#"gotk_token_cache_events_total{{event_type="cache_hit",{labels}}} 2"#),
            format!(r#"gotk_token_cache_events_total{{event_type="cache_miss",{labels}}} 1"#),
            r#"gotk_token_cache_requests_total{status="success"} 3"#.to_owned(),
            "gotk_token_cached_items{} 1".to_owned(),
        ]
    );
    targets.forget(&owner);
    // The worker of the client ends on its own.
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    assert!(counted().contains(&"gotk_token_cached_items{} 0".to_owned()));
}
