//! What goes wrong, and what is said of it.

use super::*;

/// The outcome, the conditions and the one event of a pass.
async fn failed(bench: &mut Bench, object: &mut ArtifactGenerator) -> (Outcome, Vec<String>, String) {
    let outcome = bench.pass(object).await;
    let events = bench.events();
    assert_eq!(events.len(), 1, "{events:?}");
    (outcome, conditions_of(object), events[0].clone())
}

#[tokio::test]
async fn spec_that_makes_no_sense_stalls() {
    let copy = json!([{ "from": "@git/", "to": "@artifact/" }]);
    let git = |alias: &str| json!({ "alias": alias, "kind": "GitRepository", "name": "git" });
    let elsewhere = json!({ "alias": "x", "kind": "Bucket", "name": "b", "namespace": "other" });
    let name = "artifact name \"Not_A_Name\" is not a valid Kubernetes object name: a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
    let cases = [
        (
            json!({ "sources": [git("a"), git("a")], "artifacts": [all("x")] }),
            "ValidationFailed",
            "duplicate source alias 'a' found",
        ),
        (
            json!({ "artifacts": [all("x"), all("x")] }),
            "ValidationFailed",
            "duplicate artifact name 'x' found",
        ),
        (
            json!({ "artifacts": [{ "name": "Not_A_Name", "copy": copy }] }),
            "ValidationFailed",
            name,
        ),
        (
            json!({ "artifacts": [{ "name": "x", "revision": "@none", "copy": copy }] }),
            "ValidationFailed",
            "artifact x revision source alias 'none' not found",
        ),
        (
            json!({ "sources": [elsewhere], "artifacts": [all("x")] }),
            "AccessDenied",
            "cross-namespace reference to source Bucket/other/b is not allowed",
        ),
    ];
    let mut bench = Bench::new();
    bench.reconciler.options.no_cross_namespace_refs = true;
    for (spec, reason, expected) in cases {
        let mut object = generator(&spec);
        let (outcome, conditions, event) = failed(&mut bench, &mut object).await;
        assert_eq!(
            outcome,
            Outcome::Stalled {
                error: expected.into()
            }
        );
        assert_eq!(
            conditions,
            [format!("Stalled=True/{reason}"), format!("Ready=False/{reason}")]
        );
        assert_eq!(message(&object), expected);
        assert_eq!(event, format!("error {reason} {expected}"));
    }
}

#[tokio::test]
async fn sources_of_the_own_namespace_are_no_cross_namespace_references() {
    let mut bench = Bench::new();
    bench.reconciler.options.no_cross_namespace_refs = true;
    bench.commit("main@sha1:1", &[("a", "1")]);
    let own = json!({ "alias": "git", "kind": "GitRepository", "name": "git", "namespace": "ns" });
    let mut object = generator(&json!({ "sources": [own], "artifacts": [all("app")] }));
    assert_eq!(bench.pass(&mut object).await, Outcome::Done);
}

#[tokio::test]
async fn sources_that_are_not_there_are_waited_for() {
    let mut bench = Bench::new();
    let mut object = whole();
    let wait = Outcome::Wait(Duration::from_secs(7));
    let ready = ["Ready=False/SourceFetchFailed"];
    let missing = "get sources failed: GitRepository.source.toolkit.fluxcd.io \"git\" not found";
    let (outcome, conditions, event) = failed(&mut bench, &mut object).await;
    assert_eq!(
        (&outcome, conditions.as_slice()),
        (&wait, &ready.map(str::to_owned)[..])
    );
    assert_eq!(event, format!("error SourceFetchFailed {missing}"));
    let before = object.status.clone();
    failed(&mut bench, &mut object).await;
    assert_eq!(object.status, before, "a repeated failure is not written again");

    bench.set(GIT, "ns", "git", None);
    failed(&mut bench, &mut object).await;
    assert_eq!(
        message(&object),
        "get sources failed: source 'GitRepository/ns/git' is not ready"
    );

    let mut artifact = bench.archive("main@sha1:1", &[("a", "1")]);
    artifact.url = bench.server.url("/gone.tar.gz");
    bench.set(GIT, "ns", "git", Some(artifact.clone()));
    let (outcome, conditions, _) = failed(&mut bench, &mut object).await;
    assert_eq!(outcome, wait);
    assert_eq!(
        conditions,
        [
            "Reconciling=True/ProgressingWithRetry",
            "Ready=False/SourceFetchFailed"
        ]
    );
    assert_eq!(message(&object), "fetch sources failed: file not found");

    let good = bench.archive("main@sha1:1", &[("a", "1")]);
    let other = bench.archive("main@sha1:1", &[("a", "2")]);
    let swapped = Artifact {
        url: other.url,
        ..good.clone()
    };
    bench.set(GIT, "ns", "git", Some(swapped));
    failed(&mut bench, &mut object).await;
    assert!(message(&object).starts_with("fetch sources failed: failed to verify artifact: computed digest"));

    bench.set(GIT, "ns", "git", Some(good));
    assert_eq!(bench.pass(&mut object).await, Outcome::Done);
    assert_eq!(conditions_of(&object), ["Ready=True/Succeeded"]);
}

#[tokio::test]
async fn build_that_fails_keeps_what_was_made() {
    let mut bench = Bench::new();
    bench.commit("main@sha1:1", &[("a", "1")]);
    let output = json!({ "name": "app", "copy": [{ "from": "@git/a", "to": "@artifact/" }] });
    let mut object = generator(&json!({ "artifacts": [output] }));
    bench.pass(&mut object).await;
    let (made, listed) = (bench.output("app"), drift::inventory(&object).to_vec());
    bench.events();
    bench.commit("main@sha1:2", &[("b", "1")]);
    let (outcome, conditions, event) = failed(&mut bench, &mut object).await;
    let expected = "app build failed: failed to apply copy operations: failed to apply copy operation from '@git/a' to '@artifact/': source 'a' does not exist";
    assert_eq!(
        outcome,
        Outcome::Backoff {
            error: expected.into()
        }
    );
    assert_eq!(
        conditions,
        ["Reconciling=True/ProgressingWithRetry", "Ready=False/BuildFailed"]
    );
    assert_eq!(event, format!("error BuildFailed {expected}"));
    assert_eq!(
        (bench.output("app"), drift::inventory(&object).to_vec()),
        (made, listed)
    );
    let before = object.status.clone();
    failed(&mut bench, &mut object).await;
    assert_eq!(object.status, before, "a repeated failure is not written again");
    bench.commit("main@sha1:3", &[("a", "3")]);
    assert_eq!(bench.pass(&mut object).await, Outcome::Done);
    assert_eq!(conditions_of(&object), ["Ready=True/Succeeded"]);
}

#[tokio::test]
async fn changed_spec_is_applied_after_a_failure_too() {
    let mut bench = Bench::new();
    bench.commit("main@sha1:1", &[("a", "1")]);
    let output = json!({ "name": "app", "copy": [{ "from": "@git/a", "to": "@artifact/" }] });
    let labels = json!({ "labels": { "team": "x" } });
    let mut object = generator(&json!({ "commonMetadata": labels, "artifacts": [output] }));
    bench.pass(&mut object).await;
    set_spec(&mut object, &json!({ "artifacts": [output] }));
    bench.commit("main@sha1:2", &[("b", "1")]);
    assert!(matches!(bench.pass(&mut object).await, Outcome::Backoff { .. }));
    bench.api.take_requests();
    // The content is that of the object; the label that is not wanted any more is there still.
    bench.commit("main@sha1:3", &[("a", "1")]);
    assert_eq!(bench.pass(&mut object).await, Outcome::Done);
    let applied = &bench.api.take_requests()[0];
    assert_eq!(
        (applied.method.as_str(), &applied.path),
        ("PATCH", &output_path("app"))
    );
    let sent = applied.body.as_ref().unwrap();
    assert!(sent["metadata"]["labels"]["team"].is_null(), "{sent}");
}

#[tokio::test]
async fn api_server_that_refuses_fails_the_reconcile() {
    let mut bench = Bench::new();
    bench.commit("main@sha1:1", &[("a", "1")]);
    let mut object = whole();
    for (end, text) in [
        ("/app", "app reconcile failed: failed to apply ExternalArtifact: "),
        (
            "/status",
            "app reconcile failed: failed to patch ExternalArtifact status: ",
        ),
    ] {
        bench.api.fail_next("PATCH", end, 500);
        let (outcome, conditions, event) = failed(&mut bench, &mut object).await;
        assert!(matches!(outcome, Outcome::Backoff { .. }));
        assert_eq!(conditions[1], "Ready=False/ReconciliationFailed");
        assert!(
            event.starts_with(&format!("error ReconciliationFailed {text}")),
            "{event}"
        );
    }
    assert_eq!(bench.pass(&mut object).await, Outcome::Done);
    set_spec(&mut object, &json!({ "artifacts": [all("other")] }));
    bench.events();
    bench.api.fail_next("DELETE", "/app", 500);
    failed(&mut bench, &mut object).await;
    assert!(message(&object).starts_with("app reconcile failed: failed to delete ExternalArtifact: "));
    // It is still in the inventory, and tried again.
    assert_eq!(inventory(&object).len(), 1);
    assert_eq!(bench.pass(&mut object).await, Outcome::Done);
    assert!(bench.output("app").is_none());
}

#[tokio::test]
async fn artifact_of_another_generator_is_left_alone() {
    let mut bench = Bench::new();
    bench.commit("main@sha1:1", &[("a", "1")]);
    let mut first = whole();
    bench.pass(&mut first).await;
    bench.events();
    let mut second = whole();
    second.metadata.name = Some("second".into());
    second.metadata.uid = Some("uid-2".into());
    failed(&mut bench, &mut second).await;
    let expected = "app reconcile failed: ExternalArtifact ns/app belongs to ArtifactGenerator ns/ag";
    assert_eq!(message(&second), expected);
    // Nor is it removed by one that had it once.
    second.status_mut().inventory = drift::inventory(&first).to_vec();
    let (mut pass, _drafts) = Pass::new(second.clone(), Interrupt::default(), bench.recorder.clone());
    bench.reconciler.finalize(&mut pass).await.unwrap();
    bench.idle(&mut first).await;
    // When the first is gone for good, the second takes over.
    bench.writer.apply_watcher_event(&watcher::Event::Delete(first));
    assert_eq!(bench.pass(&mut second).await, Outcome::Done);
    let labels = bench.output("app").unwrap()["metadata"]["labels"].clone();
    assert_eq!(labels["source.extensions.fluxcd.io/generator"], "uid-2");
}

#[tokio::test]
async fn pass_ends_with_its_time_and_with_the_process() {
    let mut bench = Bench::new();
    bench.commit("main@sha1:1", &[("a", "1")]);
    let mut object = whole();
    // No thread will ever be free.
    bench.reconciler.workers = Arc::new(Semaphore::new(0));
    bench.reconciler.options.timeout = Duration::from_millis(50);
    let (outcome, _, event) = failed(&mut bench, &mut object).await;
    assert!(matches!(outcome, Outcome::Backoff { .. }));
    assert_eq!(
        event,
        "error ReconciliationFailed reconciliation did not end within the timeout of 50ms"
    );
    bench.reconciler.options.timeout = Duration::from_secs(60);
    bench.reconciler.stop.cancel();
    assert_eq!(bench.pass(&mut object).await, Outcome::Stopped);
}
