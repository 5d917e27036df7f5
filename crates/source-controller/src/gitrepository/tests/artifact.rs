//! How an artifact is made, kept and made again.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn first_fetch_then_nothing_new_then_a_new_commit() {
    let (git, mut bench) = (Git::new(), Bench::new(&[]));
    let first = git.commit(
        "Add the app\n\nAll of it.",
        &[("app/a.yaml", "a: 1\n"), ("logo.png", "x")],
    );
    let mut object = repository(&git.url());
    assert_eq!(bench.pass(&mut object).await, Outcome::Done);
    assert_eq!(conditions_of(&object), READY);
    let revision = format!("main@sha1:{first}");
    let stored = format!("stored artifact for revision '{revision}'");
    assert_eq!(message_of(&object, "Ready"), stored);
    assert_eq!(message_of(&object, "ArtifactInStorage"), stored);
    assert_eq!(object.observed_generation(), Some(1));
    let artifact = object.artifact().unwrap().clone();
    assert_eq!(artifact.revision, revision);
    assert_eq!(artifact.path, format!("gitrepository/default/app/{first}.tar.gz"));
    assert_eq!(
        artifact.url,
        format!("http://source-controller.flux-system.svc./{}", artifact.path)
    );
    let file = bench.stored(&object);
    assert_eq!(
        artifact.size,
        i64::try_from(std::fs::metadata(&file).unwrap().len()).ok()
    );
    assert_eq!(names(&file), [".", "app", "app/a.yaml"]);
    assert_eq!(
        bench.events(),
        ["info NewArtifact stored artifact for commit 'Add the app'"]
    );

    // Nothing new: one listing, no event, and a status that is equal to the last byte.
    git.requests();
    let before = object.clone();
    assert_eq!(bench.pass(&mut object).await, Outcome::Done);
    assert_eq!(object, before);
    assert_eq!(git.requests(), 1, "the listing");
    assert_eq!(bench.events(), Vec::<String>::new());
    assert_eq!(*bench.api.lock().unwrap(), Vec::<String>::new());

    // Who asks is told.
    let requested = annotation::RECONCILE_REQUESTED_AT.to_owned();
    object.metadata.annotations = Some(BTreeMap::from([(requested, "now".to_owned())]));
    bench.pass(&mut object).await;
    let told = format!(
        "trace GitOperationSucceeded no changes since last reconciliation: observed revision '{revision}'"
    );
    assert_eq!(bench.events(), [told]);

    let second = git.commit("Change it", &[("app/a.yaml", "a: 2\n")]);
    assert_eq!(bench.pass(&mut object).await, Outcome::Done);
    assert_eq!(conditions_of(&object), READY);
    assert_eq!(object.artifact().unwrap().revision, format!("main@sha1:{second}"));
    assert_eq!(
        bench.events(),
        ["info NewArtifact stored artifact for commit 'Change it'"]
    );
    assert!(file.exists(), "who still reads the old artifact can");
}

#[tokio::test(flavor = "multi_thread")]
async fn damaged_or_missing_artifact_is_built_again() {
    let (git, mut bench) = (Git::new(), Bench::new(&[]));
    git.commit("One", &[("a.yaml", "a: 1\n")]);
    let mut object = repository(&git.url());
    bench.pass(&mut object).await;
    bench.events();
    let artifact = object.artifact().unwrap().clone();

    let file = bench.stored(&object);
    std::fs::write(&file, "damaged").unwrap();
    assert_eq!(bench.pass(&mut object).await, Outcome::Done);
    let events = bench.events();
    assert!(
        events[0].starts_with(
            "error ArtifactVerificationFailed failed to verify integrity of artifact: computed digest"
        ),
        "{events:?}"
    );
    assert_eq!(object.artifact().unwrap().digest, artifact.digest);
    assert_eq!(
        std::fs::metadata(&file).unwrap().len(),
        u64::try_from(artifact.size.unwrap()).unwrap()
    );

    std::fs::remove_file(&file).unwrap();
    assert_eq!(bench.pass(&mut object).await, Outcome::Done);
    assert_eq!(conditions_of(&object), READY);
    assert!(file.exists());

    // The remote is gone as well: nothing is served, and the status does not say otherwise.
    std::fs::remove_file(&file).unwrap();
    object.spec.url = git.server.url("gone");
    bench.pass(&mut object).await;
    assert!(object.artifact().is_none());
    assert!(object.condition(condition::ARTIFACT_IN_STORAGE).is_none());

    // The path of another object is never touched.
    object.spec.url = git.url();
    let mut other = repository(&git.url());
    other.metadata.name = Some("other".to_owned());
    other.set_artifact(Some(artifact.clone()));
    bench.pass(&mut object).await;
    assert_eq!(bench.pass(&mut other).await, Outcome::Done);
    assert!(file.exists());
    assert!(
        other
            .artifact()
            .unwrap()
            .path
            .starts_with("gitrepository/default/other/")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn content_configuration_rebuilds_the_same_revision() {
    let (git, mut bench) = (Git::new(), Bench::new(&[]));
    git.commit(
        "One",
        &[
            ("a/x.yaml", "a: 1\n"),
            ("b/x.yaml", "b: 1\n"),
            ("c.yaml", "c: 1\n"),
        ],
    );
    let mut object = repository(&git.url());
    bench.pass(&mut object).await;
    assert_eq!(
        names(&bench.stored(&object)),
        [".", "a", "a/x.yaml", "b", "b/x.yaml", "c.yaml"]
    );
    let revision = object.artifact().unwrap().revision.clone();

    object.spec.ignore = Some("/a\n".to_owned());
    bench.events();
    assert_eq!(bench.pass(&mut object).await, Outcome::Done);
    assert_eq!(names(&bench.stored(&object)), [".", "b", "b/x.yaml", "c.yaml"]);
    assert_eq!(object.artifact().unwrap().revision, revision);
    assert_eq!(
        object.status.as_ref().unwrap().observed_ignore.as_deref(),
        Some("/a\n")
    );
    assert_eq!(
        bench.events(),
        ["info NewArtifact stored artifact for commit 'One'"]
    );

    object.spec.ignore = None;
    object.spec.sparse_checkout = vec!["a".to_owned()];
    assert_eq!(bench.pass(&mut object).await, Outcome::Done);
    assert_eq!(names(&bench.stored(&object)), [".", "a", "a/x.yaml"]);
    assert_eq!(object.status.as_ref().unwrap().observed_sparse_checkout, ["a"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn include_is_waited_for_placed_and_followed() {
    let (git, other, mut bench) = (Git::new(), Git::new(), Bench::new(&[]));
    git.commit("App", &[("app.yaml", "a: 1\n"), ("lib/old.yaml", "x: 1\n")]);
    other.commit("Lib", &[("deploy/lib.yaml", "l: 1\n"), ("README.md", "x")]);
    let mut object = repository(&git.url());
    object.spec.include = vec![GitRepositoryInclude {
        repository: LocalObjectReference {
            name: "lib".to_owned(),
        },
        from_path: Some("./deploy".to_owned()),
        to_path: None,
    }];
    assert_eq!(
        bench.pass(&mut object).await,
        Outcome::Wait(Duration::from_secs(30))
    );
    let missing =
        "could not get resource for include 'lib': GitRepository.source.toolkit.fluxcd.io \"lib\" not found";
    assert_eq!(message_of(&object, "IncludeUnavailable"), missing);
    assert_eq!(
        conditions_of(&object),
        [
            "Reconciling=True/ProgressingWithRetry",
            "Ready=False/NotFound",
            "IncludeUnavailable=True/NotFound"
        ]
    );
    assert_eq!(bench.events(), [format!("trace NotFound {missing}")]);

    let mut lib = repository(&other.url());
    lib.metadata.name = Some("lib".to_owned());
    bench.show(&lib);
    bench.pass(&mut object).await;
    assert_eq!(
        message_of(&object, "Ready"),
        "no artifact available for include 'lib'"
    );
    bench.pass(&mut lib).await;
    bench.show(&lib);
    assert_eq!(bench.pass(&mut object).await, Outcome::Done);
    assert_eq!(conditions_of(&object), READY);
    assert_eq!(
        names(&bench.stored(&object)),
        [".", "app.yaml", "lib", "lib/lib.yaml"]
    );
    let status = object.status.as_ref().unwrap();
    assert_eq!(status.included_artifacts, [lib.artifact().unwrap().clone()]);
    assert_eq!(status.observed_include, object.spec.include);
    git.requests();
    let before = object.clone();
    bench.pass(&mut object).await;
    assert_eq!((git.requests(), &object), (1, &before));

    other.commit("More", &[("deploy/more.yaml", "m: 1\n")]);
    bench.pass(&mut lib).await;
    bench.show(&lib);
    assert_eq!(bench.pass(&mut object).await, Outcome::Done);
    assert_eq!(
        names(&bench.stored(&object)),
        [".", "app.yaml", "lib", "lib/lib.yaml", "lib/more.yaml"]
    );
}
