//! What is made.

use super::*;

#[tokio::test]
async fn output_is_stored_applied_and_recorded() {
    let mut bench = Bench::new();
    bench.commit("main@sha1:1", &[("a.yaml", "a: 1\n"), ("docs/b.md", "b")]);
    let mut object = generator(&json!({
        "commonMetadata": { "labels": { "team": "x" }, "annotations": { "note": "y" } },
        "artifacts": [{ "name": "app", "copy": [{ "from": "@git/**", "to": "@artifact/deploy/", "exclude": ["*.md"] }] }]
    }));
    assert_eq!(bench.pass(&mut object).await, Outcome::Done);
    assert_eq!(bench.files("app"), [text("deploy/a.yaml", "a: 1\n")]);

    let output = bench.output("app").unwrap();
    let digest = output["status"]["artifact"]["digest"].as_str().unwrap();
    assert_eq!(
        output["metadata"]["labels"],
        json!({
            "team": "x", "app.kubernetes.io/managed-by": "source-watcher", "source.extensions.fluxcd.io/generator": "uid-1"
        })
    );
    assert_eq!(output["metadata"]["annotations"], json!({ "note": "y" }));
    assert!(output["metadata"]["ownerReferences"].is_null());
    assert_eq!(
        output["spec"]["sourceRef"],
        json!({
            "apiVersion": "source.extensions.fluxcd.io/v1beta1", "kind": "ArtifactGenerator", "name": "ag", "namespace": "ns"
        })
    );
    let artifact = &output["status"]["artifact"];
    assert_eq!(artifact["revision"], format!("latest@{digest}"));
    let path = artifact["path"].as_str().unwrap();
    let file = path.strip_prefix("externalartifact/ns/app/").unwrap();
    assert!(
        file.strip_suffix(".tar.gz").unwrap().parse::<u32>().is_ok(),
        "{file}"
    );
    assert_eq!(
        artifact["url"],
        format!("http://source-watcher.flux-system.svc./{path}")
    );
    assert!(artifact["metadata"].is_null());
    let ready = &output["status"]["conditions"][0];
    assert_eq!(
        [
            &ready["type"],
            &ready["status"],
            &ready["reason"],
            &ready["message"]
        ],
        ["Ready", "True", "Succeeded", "Artifact is ready"]
    );

    assert_eq!(conditions_of(&object), ["Ready=True/Succeeded"]);
    assert_eq!(
        message(&object),
        "reconciliation succeeded, generated 1 artifact(s)"
    );
    assert_eq!(object.observed_generation(), Some(1));
    let status = object.status.clone().unwrap();
    assert_eq!(inventory(&object), [("app", "ns", digest)]);
    assert_eq!(status.inventory[0].filename, file);
    assert!(status.observed_sources_digest.unwrap().starts_with("sha256:"));
    let path = output_path("app");
    let requests = bench.api.take_requests();
    let lines: Vec<_> = requests
        .iter()
        .map(|it| format!("{} {}", it.method, it.path))
        .collect();
    assert_eq!(lines, [format!("PATCH {path}"), format!("PATCH {path}/status")]);
    assert!(
        requests
            .iter()
            .all(|it| it.query.contains("fieldManager=source-watcher") && it.query.contains("force=true"))
    );
    let events = [
        "trace Ready reconciliation succeeded, generated 1 artifact(s)".to_owned(),
        format!("info Ready external artifacts reconciled: ns/app ({digest})"),
    ];
    assert_eq!(bench.events(), events);
    bench.idle(&mut object).await;
}

#[tokio::test]
async fn new_revision_is_made_anew_and_written_only_where_it_differs() {
    let mut bench = Bench::new();
    bench.commit("main@sha1:1", &[("a/x", "1"), ("b/x", "1")]);
    let part = |name: &str| json!({ "name": name, "copy": [{ "from": format!("@git/{name}/**"), "to": "@artifact/" }] });
    let mut object = generator(&json!({ "artifacts": [part("a"), part("b")] }));
    bench.pass(&mut object).await;
    let first = bench.output("a").unwrap();
    bench.api.take_requests();
    bench.events();
    bench.commit("main@sha1:2", &[("a/x", "1"), ("b/x", "2")]);
    assert_eq!(bench.pass(&mut object).await, Outcome::Done);
    let path = output_path("b");
    assert_eq!(
        bench.api.take_request_lines(),
        [format!("PATCH {path}"), format!("PATCH {path}/status")]
    );
    assert_eq!(bench.output("a").unwrap(), first);
    assert_eq!(bench.files("b"), [text("x", "2")]);
    let events = bench.events();
    assert_eq!(events.len(), 2);
    assert!(
        events[1].starts_with("info Ready external artifacts reconciled: ns/b (sha256:"),
        "{events:?}"
    );
    bench.idle(&mut object).await;
}

#[tokio::test]
async fn revision_and_origin_revision_are_those_of_the_sources_named() {
    let mut bench = Bench::new();
    bench.commit("main@sha1:1", &[("a", "1")]);
    let mut oci = bench.archive("v1@sha256:2", &[("a", "2")]);
    oci.metadata
        .insert("org.opencontainers.image.revision".into(), "v1@sha1:9".into());
    bench.set(ArtifactGeneratorSourceKind::OCIRepository, "ns", "oci", Some(oci));
    let output = |name: &str, revision: &str, origin: &str| {
        json!({
            "name": name, "revision": revision, "originRevision": origin,
            "copy": [{ "from": "@git/a", "to": "@artifact/" }]
        })
    };
    let mut object = generator(&json!({
        "sources": [
            { "alias": "git", "kind": "GitRepository", "name": "git" },
            { "alias": "oci", "kind": "OCIRepository", "name": "oci" }
        ],
        "artifacts": [output("one", "@git", "@oci"), output("two", "@oci", "@git")]
    }));
    assert_eq!(bench.pass(&mut object).await, Outcome::Done);
    let found = |name| {
        let artifact = bench.output(name).unwrap()["status"]["artifact"].clone();
        (
            artifact["revision"].clone(),
            artifact["metadata"]["org.opencontainers.image.revision"].clone(),
        )
    };
    assert_eq!(found("one"), (json!("main@sha1:1"), json!("v1@sha1:9")));
    // A source without an origin is one itself.
    assert_eq!(found("two"), (json!("v1@sha256:2"), json!("main@sha1:1")));
}

#[tokio::test]
async fn sources_of_all_kinds_and_namespaces_are_used_by_their_aliases() {
    let mut bench = Bench::new();
    let (mut sources, mut copies) = (Vec::new(), Vec::new());
    for (index, kind) in ArtifactGeneratorSourceKind::ALL.iter().enumerate() {
        let artifact = bench.archive("1", &[("file", kind.as_str())]);
        bench.set(*kind, "elsewhere", "source", Some(artifact));
        let alias = format!("s{index}");
        copies.push(json!({ "from": format!("@{alias}/file"), "to": format!("@artifact/{alias}") }));
        sources.push(json!({ "alias": alias, "kind": kind, "name": "source", "namespace": "elsewhere" }));
    }
    let mut object =
        generator(&json!({ "sources": sources, "artifacts": [{ "name": "app", "copy": copies }] }));
    assert_eq!(bench.pass(&mut object).await, Outcome::Done);
    let contents: Vec<String> = bench
        .files("app")
        .into_iter()
        .map(|(_, content)| content)
        .collect();
    let kinds: Vec<&str> = ArtifactGeneratorSourceKind::ALL
        .iter()
        .map(|kind| kind.as_str())
        .collect();
    assert_eq!(contents, kinds);
}

#[tokio::test]
async fn gate_direct_source_fetch_asks_the_api_server() {
    let mut bench = Bench::new();
    bench.reconciler.options.direct_source_fetch = true;
    let artifact = bench.archive("main@sha1:1", &[("a", "1")]);
    let path = "/apis/source.toolkit.fluxcd.io/v1/namespaces/ns/gitrepositories/git";
    let mut object = whole();
    assert_eq!(
        bench.pass(&mut object).await,
        Outcome::Wait(Duration::from_secs(7))
    );
    let source = json!({
        "apiVersion": "source.toolkit.fluxcd.io/v1", "kind": "GitRepository",
        "metadata": { "name": "git", "namespace": "ns" }, "status": { "artifact": artifact }
    });
    bench.api.put(path, source);
    assert_eq!(bench.pass(&mut object).await, Outcome::Done);
    assert_eq!(bench.files("app"), [text("a", "1")]);
    bench.api.fail_next("GET", "/git", 403);
    assert_eq!(
        bench.pass(&mut object).await,
        Outcome::Wait(Duration::from_secs(7))
    );
    assert!(
        message(&object).starts_with("get sources failed: unable to get source 'ns/git': "),
        "{}",
        message(&object)
    );
}

#[tokio::test]
async fn output_and_source_of_one_name_do_not_mix() {
    let mut bench = Bench::new();
    bench.commit("main@sha1:1", &[("a", "1"), ("b", "2")]);
    let output = json!({ "name": "git", "copy": [{ "from": "@git/a", "to": "@artifact/" }] });
    bench
        .pass(&mut generator(&json!({ "artifacts": [output] })))
        .await;
    assert_eq!(bench.files("git"), [text("a", "1")]);
}

#[tokio::test]
async fn outputs_that_are_no_longer_wanted_are_removed() {
    let mut bench = Bench::new();
    bench.commit("main@sha1:1", &[("a", "1")]);
    let mut object = generator(&json!({ "artifacts": [all("one"), all("two")] }));
    bench.pass(&mut object).await;
    assert!(bench.output("one").is_some() && bench.output("two").is_some());
    set_spec(&mut object, &json!({ "artifacts": [all("two")] }));
    bench.api.take_requests();
    assert_eq!(bench.pass(&mut object).await, Outcome::Done);
    assert!(bench.output("one").is_none() && bench.output("two").is_some());
    assert!(!bench.root.path().join("data/externalartifact/ns/one").exists());
    assert_eq!(inventory(&object).len(), 1);
    // The changed spec is applied, whatever is there: what it does not say any more must go from the object.
    let (one, two) = (output_path("one"), output_path("two"));
    assert_eq!(
        bench.api.take_request_lines(),
        [
            format!("PATCH {two}"),
            format!("PATCH {two}/status"),
            format!("DELETE {one}")
        ]
    );
    bench.idle(&mut object).await;
}

#[tokio::test]
async fn deleted_generator_takes_its_outputs_along() {
    let mut bench = Bench::new();
    bench.commit("main@sha1:1", &[("a", "1")]);
    let mut object = generator(&json!({ "artifacts": [all("one"), all("two")] }));
    bench.pass(&mut object).await;
    assert_eq!(
        ArtifactGeneratorReconciler::FINALIZER,
        "source.extensions.fluxcd.io/finalizer"
    );
    let (mut pass, _drafts) = Pass::new(object, Interrupt::default(), bench.recorder.clone());
    // What cannot be deleted keeps the finalizer.
    bench.api.fail_next("DELETE", "/two", 500);
    assert!(bench.reconciler.finalize(&mut pass).await.is_err());
    bench.reconciler.finalize(&mut pass).await.unwrap();
    assert!(bench.output("one").is_none() && bench.output("two").is_none());
    assert!(!bench.root.path().join("data/externalartifact/ns").exists());
}

#[tokio::test]
async fn disabled_generator_rests_and_says_so() {
    let mut bench = Bench::new();
    let mut object = whole();
    let annotation = "source.extensions.fluxcd.io/reconcile".to_owned();
    object.metadata.annotations = Some([(annotation, "Disabled".to_owned())].into());
    assert!(object.is_suspended());
    bench.reconciler.suspended(&mut object);
    assert_eq!(conditions_of(&object), ["Ready=True/ReconciliationDisabled"]);
    assert_eq!(message(&object), "Initialized with reconciliation suspended");
    let event = ["trace ReconciliationDisabled Reconciliation is disabled"];
    assert_eq!(bench.events(), event);
    // One that has been at work stays what it is.
    conditions::mark_false(&mut object, condition::READY, reason::BUILD_FAILED, "broken");
    bench.reconciler.suspended(&mut object);
    assert_eq!(message(&object), "broken");
}

#[tokio::test]
async fn request_is_answered_where_there_is_nothing_to_do() {
    let mut bench = Bench::new();
    bench.commit("main@sha1:1", &[("a", "1")]);
    let mut object = whole();
    bench.pass(&mut object).await;
    bench.events();
    let request = ("reconcile.fluxcd.io/requestedAt".to_owned(), "now".to_owned());
    object.metadata.annotations = Some([request].into());
    assert_eq!(bench.pass(&mut object).await, Outcome::Done);
    assert_eq!(
        bench.events(),
        ["trace Ready No drift detected, 1 artifact(s) up to date"]
    );
    assert_eq!(object.last_handled_reconcile_at(), Some("now"));
    bench.idle(&mut object).await;
}
