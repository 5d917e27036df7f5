use std::collections::HashSet;

use jiff::Timestamp;
use kube::api::DynamicObject;
use serde_json::json;

use super::*;
use crate::observe::observe;

fn index() -> (LiveIndex, mpsc::UnboundedReceiver<Drift>) {
    let service = tower::service_fn(|_: http::Request<kube::client::Body>| async {
        Err::<http::Response<kube::client::Body>, _>(std::io::Error::other("no requests expected"))
    });
    let ownership = Ownership {
        group: "kustomize.toolkit.fluxcd.io".into(),
        manager: "us".into(),
        override_managers: Vec::new(),
    };
    LiveIndex::new(Client::new(service, "default"), ownership)
}

fn resource() -> ApiResource {
    ApiResource {
        group: String::new(),
        version: "v1".into(),
        api_version: "v1".into(),
        kind: "ConfigMap".into(),
        plural: "configmaps".into(),
    }
}

fn config_map(version: &str, value: &str) -> DynamicObject {
    serde_json::from_value(json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {
            "name": "a", "namespace": "n", "uid": "u", "resourceVersion": version,
            "managedFields": [{ "manager": "us", "operation": "Apply", "fieldsV1": { "f:data": { "f:k": {} } } }]
        },
        "data": { "k": value }
    }))
    .unwrap()
}

fn owner() -> Owner {
    Owner {
        namespace: "flux-system".into(),
        name: "apps".into(),
    }
}

fn id() -> ObjectId {
    ObjectId {
        group: String::new(),
        kind: "ConfigMap".into(),
        namespace: "n".into(),
        name: "a".into(),
    }
}

fn apply(index: &LiveIndex, version: &str, value: &str) {
    let (seen, body) = observe(
        config_map(version, value),
        index.ownership(),
        Timestamp::UNIX_EPOCH,
    );
    index.written(&id(), "v1", &owner(), 7, seen, body);
}

#[tokio::test]
async fn own_write_is_no_drift_whichever_way_its_echo_comes() {
    let (index, mut drifts) = index();
    index.writing(&id(), &owner());
    index.shared.show(&resource(), config_map("5", "x"));
    apply(&index, "5", "x");
    assert!(index.is_settled(&id(), 7) && !index.is_settled(&id(), 8));
    index.writing(&id(), &owner());
    apply(&index, "6", "y");
    index.shared.show(&resource(), config_map("5", "x"));
    index.shared.show(&resource(), config_map("6", "y"));
    assert!(drifts.try_recv().is_err());
}

#[tokio::test]
async fn foreign_write_and_deletion_are_drift_once() {
    let (index, mut drifts) = index();
    apply(&index, "5", "x");
    index.shared.show(&resource(), config_map("6", "z"));
    index.shared.show(&resource(), config_map("7", "z"));
    let drift = drifts.try_recv().unwrap();
    assert_eq!((drift.object, drift.owner, drift.deleted), (id(), owner(), false));
    assert!(drifts.try_recv().is_err() && !index.is_settled(&id(), 7));
    index.shared.gone(&id(), 8);
    assert!(drifts.try_recv().unwrap().deleted);
}

#[tokio::test]
async fn write_during_ours_is_drift_when_ours_is_answered() {
    let (index, mut drifts) = index();
    index.writing(&id(), &owner());
    index.shared.show(&resource(), config_map("9", "foreign"));
    apply(&index, "8", "ours");
    assert_eq!(drifts.try_recv().unwrap().object, id());
}

#[tokio::test]
async fn released_object_may_go() {
    let (index, mut drifts) = index();
    apply(&index, "5", "x");
    index.release(&id());
    index.shared.gone(&id(), 6);
    assert!(drifts.try_recv().is_err());
}

#[tokio::test]
async fn object_missing_from_a_new_list_is_gone() {
    let (index, mut drifts) = index();
    apply(&index, "5", "x");
    index.shared.keep_only(&resource(), &HashSet::new());
    assert!(drifts.try_recv().unwrap().deleted);
}
