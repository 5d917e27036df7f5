use std::collections::HashSet;

use jiff::Timestamp;
use kube::api::{ApiResource, DynamicObject};
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
        undoes_edits: true,
    };
    LiveIndex::new(Client::new(service, "default"), ownership, None)
}

/// As if the watch were there; it is as far as the returned sender says.
fn watch(index: &LiveIndex, now: Progress) -> tokio::sync::watch::Sender<Progress> {
    let (report, progress) = tokio::sync::watch::channel(now);
    let mut state = index.state();
    state
        .kind_mut("", "ConfigMap")
        .watches
        .insert("v1".into(), progress);
    report
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
    index.written(&id(), "v1", left(&owner(), false), seen, body);
}

fn left(owner: &Owner, once: bool) -> Left<'_> {
    Left {
        owner,
        desired: 7,
        once,
    }
}

#[tokio::test]
async fn own_write_is_no_drift_whichever_way_its_echo_comes() {
    let (index, mut drifts) = index();
    let _watch = watch(&index, Progress::Synced);
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

#[tokio::test]
async fn what_a_broken_watch_brought_is_not_relied_on() {
    let (index, _drifts) = index();
    let progress = watch(&index, Progress::Synced);
    apply(&index, "5", "x");
    assert!(index.is_settled(&id(), 7) && index.is_untouched(&id(), &owner()));
    assert!(matches!(index.get(&id(), "v1"), Known::There(_)));
    progress.send_replace(Progress::Failing);
    assert!(!index.is_settled(&id(), 7) && !index.is_untouched(&id(), &owner()));
    assert!(matches!(index.get(&id(), "v1"), Known::Unknown));
    progress.send_replace(Progress::Synced);
    assert!(index.is_untouched(&id(), &owner()));
}

#[tokio::test]
async fn objects_in_other_namespaces_than_the_watched_one_are_unknown() {
    let (mut index, _drifts) = index();
    Arc::get_mut(&mut index.shared).unwrap().namespace = Some("other".into());
    let _watch = watch(&index, Progress::Synced);
    apply(&index, "5", "x");
    assert!(!index.is_untouched(&id(), &owner()));
    assert!(matches!(index.get(&id(), "v1"), Known::Unknown));
    let in_it = ObjectId {
        namespace: "other".into(),
        ..id()
    };
    assert!(matches!(index.get(&in_it, "v1"), Known::NotOurs));
}

#[tokio::test]
async fn object_is_untouched_for_its_last_owner_only() {
    let (index, _drifts) = index();
    let _watch = watch(&index, Progress::Synced);
    apply(&index, "5", "x");
    let other = Owner {
        name: "other".into(),
        ..owner()
    };
    assert!(index.is_untouched(&id(), &owner()) && !index.is_untouched(&id(), &other));
}

#[tokio::test]
async fn object_that_vanishes_by_itself_is_no_drift() {
    let (index, mut drifts) = index();
    let (mut seen, body) = observe(config_map("5", "x"), index.ownership(), Timestamp::UNIX_EPOCH);
    seen.transient = true;
    index.written(&id(), "v1", left(&owner(), false), seen, body);
    index.shared.gone(&id(), 6);
    assert!(drifts.try_recv().is_err());
}

#[tokio::test]
async fn object_to_be_created_only_may_change_but_not_go() {
    let (index, mut drifts) = index();
    let _watch = watch(&index, Progress::Synced);
    let (seen, body) = observe(config_map("5", "x"), index.ownership(), Timestamp::UNIX_EPOCH);
    index.written(&id(), "v1", left(&owner(), true), seen, body);
    index.shared.show(&resource(), config_map("6", "rotated"));
    assert!(drifts.try_recv().is_err() && index.is_untouched(&id(), &owner()));
    index.shared.gone(&id(), 7);
    assert!(drifts.try_recv().unwrap().deleted);
}

#[tokio::test]
async fn object_written_while_a_list_was_taken_is_not_taken_for_gone() {
    let (index, mut drifts) = index();
    let _watch = watch(&index, Progress::Synced);
    index.shared.list_begins(&resource());
    apply(&index, "9", "x");
    index.shared.keep_only(&resource(), &HashSet::new());
    assert!(drifts.try_recv().is_err());
    // Nor is it relied on before the watch has shown it.
    assert!(!index.is_untouched(&id(), &owner()) && matches!(index.get(&id(), "v1"), Known::Unknown));
    index.shared.show(&resource(), config_map("9", "x"));
    assert!(index.is_untouched(&id(), &owner()));
    index.shared.list_begins(&resource());
    index.shared.keep_only(&resource(), &HashSet::new());
    assert!(drifts.try_recv().unwrap().deleted);
}

#[tokio::test]
async fn bodies_are_kept_while_somebody_asks_for_them() {
    let (index, _drifts) = index();
    let (first, second) = (
        index.keep_bodies("", "ConfigMap"),
        index.keep_bodies("", "ConfigMap"),
    );
    apply(&index, "5", "x");
    drop(first);
    assert!(index.body(&id()).is_some());
    drop(second);
    assert!(index.body(&id()).is_none());
    index.shared.show(&resource(), config_map("6", "x"));
    assert!(index.body(&id()).is_none());
}
