//! Request budgets: which requests an apply makes, and no others.

use serde_json::{Value, json};

use crate::server::Server;
use crate::support::{Fixture, GROUP, actions, config_map};

fn fixture(server: &Server) -> Fixture {
    let (client, requests) = server.client();
    Fixture::new(client, requests, "apps")
}

fn maps(values: &[&str]) -> Vec<Value> {
    values
        .iter()
        .enumerate()
        .map(|(index, value)| config_map("n", &format!("m{index}"), &json!({"k": value})))
        .collect()
}

#[tokio::test]
async fn absent_objects_cost_one_request_each_and_settled_ones_none() {
    let server = Server::default();
    let fixture = fixture(&server);
    let objects = maps(&["a", "b", "c", "d"]);
    assert_eq!(actions(&fixture.apply(&objects).await), ["created"; 4]);
    let mut requests = fixture.requests.take();
    requests.sort();
    assert_eq!(
        requests,
        [
            "PATCH configmaps/m0",
            "PATCH configmaps/m1",
            "PATCH configmaps/m2",
            "PATCH configmaps/m3"
        ]
    );
    assert_eq!(actions(&fixture.apply(&objects).await), ["unchanged"; 4]);
    assert_eq!(fixture.requests.take(), [""; 0]);
    assert_eq!(
        server.get("/api/v1/namespaces/n/configmaps/m0").unwrap()["metadata"]["resourceVersion"],
        "1"
    );
}

#[tokio::test]
async fn a_change_costs_a_dry_run_and_a_write() {
    let server = Server::default();
    let fixture = fixture(&server);
    fixture.apply(&maps(&["a", "b"])).await;
    fixture.requests.take();
    assert_eq!(
        actions(&fixture.apply(&maps(&["a", "x"])).await),
        ["unchanged", "configured"]
    );
    assert_eq!(
        fixture.requests.take(),
        ["PATCH configmaps/m1 dry-run", "PATCH configmaps/m1"]
    );
}

#[tokio::test]
async fn without_dry_runs_a_change_costs_a_write_and_what_has_gone_unseen_is_created() {
    let server = Server::default();
    let fixture = fixture(&server);
    fixture.apply(&maps(&["a", "b"])).await;
    fixture.requests.take();
    // As another client does while the watch is behind.
    server.remove("/api/v1/namespaces/n/configmaps/m0");
    let mut options = fixture.options();
    options.dry_runs = false;
    let applied = fixture.apply_with(&maps(&["x", "x"]), &options).await.unwrap();
    assert_eq!(actions(&applied), ["created", "configured"]);
    let mut requests = fixture.requests.take();
    requests.sort();
    assert_eq!(requests, ["PATCH configmaps/m0", "PATCH configmaps/m1"]);
}

#[tokio::test]
async fn after_a_restart_each_object_costs_one_dry_run_once() {
    let server = Server::default();
    fixture(&server).apply(&maps(&["a", "b"])).await;
    let restarted = fixture(&server);
    for expected in [2, 0] {
        assert_eq!(
            actions(&restarted.apply(&maps(&["a", "b"])).await),
            ["unchanged"; 2]
        );
        let requests = restarted.requests.take();
        assert_eq!(requests.len(), expected, "{requests:?}");
        assert!(
            requests.iter().all(|request| request.ends_with(" dry-run")),
            "{requests:?}"
        );
    }
}

#[tokio::test]
async fn an_object_without_our_labels_is_not_overwritten_unseen() {
    let server = Server::default();
    let path = "/api/v1/namespaces/n/configmaps/m0";
    let mut frozen = config_map("n", "m0", &json!({"k": "theirs"}));
    frozen["metadata"]["annotations"] = json!({format!("{GROUP}/reconcile"): "disabled"});
    server.put(path, frozen);
    let fixture = fixture(&server);
    assert_eq!(actions(&fixture.apply(&maps(&["ours"])).await), ["skipped"]);
    assert_eq!(
        fixture.requests.take(),
        ["PATCH configmaps/m0", "GET configmaps/m0"]
    );
    assert_eq!(server.get(path).unwrap()["data"]["k"], "theirs");
    server.put(path, config_map("n", "m0", &json!({"k": "theirs"})));
    assert_eq!(actions(&fixture.apply(&maps(&["ours"])).await), ["configured"]);
    assert_eq!(
        fixture.requests.take(),
        [
            "PATCH configmaps/m0",
            "GET configmaps/m0",
            "PATCH configmaps/m0 dry-run",
            "PATCH configmaps/m0"
        ]
    );
    assert_eq!(server.get(path).unwrap()["data"]["k"], "ours");
}

#[tokio::test]
async fn nothing_is_written_when_a_new_object_beside_a_change_is_invalid() {
    let server = Server::default();
    let fixture = fixture(&server);
    fixture.apply(&maps(&["a"])).await;
    fixture.requests.take();
    let mut objects = maps(&["changed", "new"]);
    objects[1]["data"] = json!({"invalid": "yes"});
    let error = fixture
        .apply_with(&objects, &fixture.options())
        .await
        .unwrap_err();
    assert_eq!(error, "ConfigMap/n/m1 dry-run failed (Invalid): data is invalid");
    assert_eq!(
        fixture.requests.take(),
        ["PATCH configmaps/m0 dry-run", "PATCH configmaps/m1 dry-run"]
    );
    assert_eq!(
        server.get("/api/v1/namespaces/n/configmaps/m0").unwrap()["data"]["k"],
        "a"
    );
}

#[tokio::test]
async fn objects_that_may_not_be_watched_are_read() {
    let server = Server::default();
    server.forbid_lists();
    let fixture = fixture(&server);
    assert_eq!(actions(&fixture.apply(&maps(&["a"])).await), ["created"]);
    assert_eq!(
        fixture.requests.take(),
        ["GET configmaps/m0", "PATCH configmaps/m0"]
    );
    assert_eq!(actions(&fixture.apply(&maps(&["a"])).await), ["unchanged"]);
    assert_eq!(
        fixture.requests.take(),
        ["GET configmaps/m0", "PATCH configmaps/m0 dry-run"]
    );
}

#[tokio::test]
async fn what_the_manifest_leaves_alone_costs_nothing() {
    let server = Server::default();
    let fixture = fixture(&server);
    let mut ignored = config_map("n", "ignored", &json!({}));
    ignored["metadata"]["annotations"] = json!({format!("{GROUP}/ssa"): "ignore"});
    let mut once = config_map("n", "once", &json!({"k": "ours"}));
    once["metadata"]["labels"] = json!({format!("{GROUP}/ssa"): "IfNotPresent"});
    assert_eq!(
        actions(&fixture.apply(&[ignored.clone(), once.clone()]).await),
        ["skipped", "created"]
    );
    assert_eq!(fixture.requests.take(), ["PATCH configmaps/once"]);
    assert_eq!(actions(&fixture.apply(&[ignored, once]).await), ["skipped"; 2]);
    assert_eq!(fixture.requests.take(), [""; 0]);
}

#[tokio::test]
async fn concurrency_bounds_what_is_in_flight() {
    let server = Server::default();
    let fixture = fixture(&server);
    let mut options = fixture.options();
    // New objects, then changed ones: four times as many of the former.
    for (concurrency, new, changed) in [(1, 4, 1), (3, 12, 3)] {
        options.concurrency = concurrency;
        let names = |value: &str| -> Vec<Value> {
            let name = |index: usize| format!("{concurrency}-{index}");
            (0..20)
                .map(|index| config_map("n", &name(index), &json!({"k": value})))
                .collect()
        };
        fixture.apply_with(&names("a"), &options).await.unwrap();
        assert_eq!(server.most_in_flight(), new);
        let mut part = names("a");
        part[..10].clone_from_slice(&names("b")[..10]);
        part.truncate(10);
        fixture.apply_with(&part, &options).await.unwrap();
        assert_eq!(server.most_in_flight(), changed);
    }
}
