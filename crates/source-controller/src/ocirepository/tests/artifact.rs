//! How an artifact is made, kept and made again.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn first_fetch_then_nothing_new_then_a_new_digest() {
    let (registry, mut bench) = (Registry::start(), Bench::new());
    let layer = archive(&[("b.yaml", "b: 1\n"), ("a/x.yaml", "a: 1\n"), ("logo.png", "x")]);
    let origin = [
        (annotation::SOURCE, "https://git.example.com/app"),
        (annotation::REVISION, "main@sha1:abc"),
    ];
    let digest = registry.put_artifact(APP, "latest", &[(media_type::FLUX_CONTENT, &layer)], &origin);
    let mut object = object(&registry);
    assert_eq!(bench.pass(&mut object).await, Outcome::Done);
    assert_eq!(conditions_of(&object), READY);
    let revision = format!("latest@{digest}");
    let stored = format!("stored artifact for digest '{revision}'");
    assert_eq!(message_of(&object, "Ready"), stored);
    assert_eq!(message_of(&object, "ArtifactInStorage"), stored);
    assert_eq!(object.observed_generation(), Some(1));
    let artifact = object.artifact().unwrap().clone();
    assert_eq!(artifact.revision, revision);
    assert_eq!(
        artifact.path,
        format!("ocirepository/default/app/{digest}.tar.gz")
    );
    let base = "http://source-controller.flux-system.svc.";
    assert_eq!(artifact.url, format!("{base}/{}", artifact.path));
    assert_eq!(
        artifact.metadata[annotation::SOURCE],
        "https://git.example.com/app"
    );
    let file = bench.stored(&object);
    assert_eq!(
        artifact.size,
        i64::try_from(std::fs::metadata(&file).unwrap().len()).ok()
    );
    assert_eq!(names(&file), [".", "a", "a/x.yaml", "b.yaml"]);
    let status = object.status.as_ref().unwrap();
    assert_eq!(
        status.url.as_deref(),
        Some(format!("{base}/ocirepository/default/app/latest.tar.gz").as_str())
    );
    let link = bench.data.join("ocirepository/default/app/latest.tar.gz");
    assert_eq!(
        std::fs::canonicalize(link).unwrap(),
        std::fs::canonicalize(&file).unwrap()
    );
    let told = format!(
        "info NewArtifact stored artifact with revision '{revision}' from '{}', origin source 'https://git.example.com/app', \
         origin revision 'main@sha1:abc'",
        object.spec.url
    );
    assert_eq!(bench.events(), [told]);

    // Nothing new: one HEAD request, no event, no call of the API server, and a status that is equal to the last byte.
    registry.take_seen();
    let before = object.clone();
    assert_eq!(bench.pass(&mut object).await, Outcome::Done);
    assert_eq!(object, before);
    assert_eq!(registry.take_seen(), ["HEAD /v2/org/app/manifests/latest"]);
    assert_eq!(bench.events(), Vec::<String>::new());
    assert_eq!(bench.api.take_request_lines(), Vec::<String>::new());

    // Who asks is told.
    let requested = object_annotation::RECONCILE_REQUESTED_AT.to_owned();
    object.metadata.annotations = Some([(requested, "now".to_owned())].into());
    bench.pass(&mut object).await;
    let told = format!("trace ArtifactUpToDate artifact up-to-date with remote revision: '{revision}'");
    assert_eq!(bench.events(), [told]);

    let second = push(&registry, "latest", &[("b.yaml", "b: 2\n")]);
    assert_eq!(bench.pass(&mut object).await, Outcome::Done);
    assert_eq!(conditions_of(&object), READY);
    assert_eq!(object.artifact().unwrap().revision, format!("latest@{second}"));
    assert!(object.artifact().unwrap().metadata.is_empty());
    let told = format!(
        "info NewArtifact stored artifact with revision 'latest@{second}' from '{}'",
        object.spec.url
    );
    assert_eq!(bench.events(), [told]);
    assert!(file.exists(), "who still reads the old artifact can");
}

#[tokio::test(flavor = "multi_thread")]
async fn content_configuration_rebuilds_the_same_revision() {
    let (registry, mut bench) = (Registry::start(), Bench::new());
    push(
        &registry,
        "latest",
        &[
            ("a.yaml", "a"),
            ("b.yaml", "b"),
            ("sub/.sourceignore", "x.yaml\n"),
            ("sub/x.yaml", "x"),
        ],
    );
    let mut object = object(&registry);
    bench.pass(&mut object).await;
    let all = [".", "a.yaml", "b.yaml", "sub", "sub/.sourceignore"];
    assert_eq!(names(&bench.stored(&object)), all);
    let revision = object.artifact().unwrap().revision.clone();

    object.spec.ignore = Some("/a.yaml\n".to_owned());
    assert_eq!(bench.pass(&mut object).await, Outcome::Done);
    assert_eq!(
        names(&bench.stored(&object)),
        [".", "b.yaml", "sub", "sub/.sourceignore"]
    );
    assert_eq!(object.artifact().unwrap().revision, revision);
    let observed = |object: &OCIRepository| object.status.clone().unwrap().observed_ignore;
    assert_eq!(observed(&object).as_deref(), Some("/a.yaml\n"));

    // An empty text is another configuration than none.
    object.spec.ignore = None;
    bench.pass(&mut object).await;
    object.spec.ignore = Some(String::new());
    registry.take_seen();
    bench.pass(&mut object).await;
    assert!(registry.take_seen().iter().any(|line| line.contains("/blobs/")));
    assert_eq!(observed(&object).as_deref(), Some(""));
}

#[tokio::test(flavor = "multi_thread")]
async fn damaged_or_missing_artifact_is_built_again() {
    let (registry, mut bench) = (Registry::start(), Bench::new());
    push(&registry, "latest", &[("a.yaml", "a")]);
    let mut object = object(&registry);
    bench.pass(&mut object).await;
    bench.events();
    let digest = object.artifact().unwrap().digest.clone();
    let file = bench.stored(&object);
    std::fs::write(&file, "damaged").unwrap();
    assert_eq!(bench.pass(&mut object).await, Outcome::Done);
    assert!(bench.events()[0].starts_with("error ArtifactVerificationFailed"));
    assert_eq!(object.artifact().unwrap().digest, digest);

    // The registry is gone as well: nothing is served, and the status does not say otherwise.
    std::fs::remove_file(&file).unwrap();
    registry.remove_tag(APP, "latest");
    bench.pass(&mut object).await;
    let status = object.status.as_ref().unwrap();
    assert!(status.artifact.is_none() && status.url.is_none());
    assert!(object.condition(condition::ARTIFACT_IN_STORAGE).is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn addresses_follow_the_host_that_serves() {
    let (registry, mut bench) = (Registry::start(), Bench::new());
    push(&registry, "latest", &[("a.yaml", "a")]);
    let mut object = object(&registry);
    bench.pass(&mut object).await;
    let right = object.clone();
    let status = object.status.as_mut().unwrap();
    status.url = Some("http://old.host/ocirepository/default/app/latest.tar.gz".to_owned());
    let artifact = status.artifact.as_mut().unwrap();
    artifact.url = format!("http://old.host/{}", artifact.path);
    assert_eq!(bench.pass(&mut object).await, Outcome::Done);
    assert_eq!(object, right);
}

#[tokio::test(flavor = "multi_thread")]
async fn deletion_and_suspension() {
    let (registry, mut bench) = (Registry::start(), Bench::new());
    push(&registry, "latest", &[("a.yaml", "a")]);
    let mut object = object(&registry);
    bench.pass(&mut object).await;
    bench.events();
    object.metadata.generation = Some(2);
    bench.reconciler.suspended(&mut object);
    assert_eq!(object.observed_generation(), Some(2));
    let (pass, _drafts) = Pass::new(object.clone(), Interrupt::default(), bench.recorder.clone());
    let mut pass = pass;
    bench.reconciler.finalize(&mut pass).await.unwrap();
    assert!(!bench.stored(&object).exists());
    assert!(!bench.data.join("ocirepository/default/app").exists());
    assert_eq!(
        bench.events(),
        ["trace GarbageCollectionSucceeded garbage collected artifacts for deleted resource"]
    );
}
