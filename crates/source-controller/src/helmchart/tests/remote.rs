//! Charts from a repository with an index.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn chart_is_pulled_once_and_again_when_there_is_a_newer_one() {
    let (server, mut bench) = (HelmServer::start(), Bench::new());
    server.serve(&[("app", "1.0.0"), ("app", "1.1.0"), ("app", "2.0.0-rc.1")]);
    let mut source = repository(&server.url());
    bench.add(&mut source).await;
    let mut object = object(ChartSourceKind::HelmRepository, "app");
    server.seen();
    assert_eq!(bench.pass(&mut object).await, Outcome::Done);
    assert_eq!(conditions_of(&object), PULLED);
    let pulled = "pulled 'app' chart with version '1.1.0'";
    assert_eq!(message_of(&object, "Ready"), pulled);
    assert_eq!(object.observed_generation(), Some(1));
    let artifact = object.artifact().unwrap().clone();
    assert_eq!(artifact.revision, "1.1.0");
    assert_eq!(artifact.path, "helmchart/default/app/app-1.1.0.tgz");
    let base = "http://source-controller.flux-system.svc.";
    assert_eq!(artifact.url, format!("{base}/{}", artifact.path));
    let content = std::fs::read(bench.stored(&object)).unwrap();
    assert!(
        content == chart("app", "1.1.0", &[]),
        "byte for byte what was served"
    );
    let status = object.status.as_ref().unwrap();
    let link = format!("{base}/helmchart/default/app/latest.tar.gz");
    assert_eq!(status.url.as_deref(), Some(link.as_str()));
    assert_eq!(status.observed_chart_name.as_deref(), Some("app"));
    let revision = source.artifact().unwrap().revision.clone();
    assert_eq!(status.observed_source_artifact_revision.as_ref(), Some(&revision));
    assert_eq!(bench.events(), [format!("info ChartPullSucceeded {pulled}")]);
    assert_eq!(server.seen(), ["GET /charts/app-1.1.0.tgz"]);

    // Nothing new: no request to anybody, no event, and a status that is equal to the last byte.
    let before = object.clone();
    assert_eq!(bench.pass(&mut object).await, Outcome::Done);
    assert_eq!(object, before);
    assert_eq!(server.seen(), Vec::<String>::new());
    assert_eq!(bench.events(), Vec::<String>::new());

    // Another index without a newer version.
    server.serve(&[("app", "1.0.0"), ("app", "1.1.0"), ("other", "1.0.0")]);
    bench.add(&mut source).await;
    server.seen();
    bench.pass(&mut object).await;
    assert_eq!(server.seen(), Vec::<String>::new());
    let observed = |object: &HelmChart| {
        let status = object.status.clone().unwrap();
        status.observed_source_artifact_revision.unwrap()
    };
    assert_eq!(observed(&object), source.artifact().unwrap().revision);
    assert_eq!(object.artifact(), Some(&artifact));

    server.serve(&[("app", "1.1.0"), ("app", "1.2.0")]);
    bench.add(&mut source).await;
    assert_eq!(bench.pass(&mut object).await, Outcome::Done);
    assert_eq!(conditions_of(&object), PULLED);
    assert_eq!(object.artifact().unwrap().revision, "1.2.0");
    assert_eq!(
        bench.events(),
        ["info ChartPullSucceeded pulled 'app' chart with version '1.2.0'"]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn version_ranges_choose() {
    let (server, mut bench) = (HelmServer::start(), Bench::new());
    let versions = [
        "0.9.0",
        "1.0.0",
        "1.4.2",
        "2.0.0",
        "2.1.0-beta.1",
        "3.0.0+build.5",
    ];
    let charts: Vec<_> = versions.iter().map(|version| ("app", *version)).collect();
    server.serve(&charts);
    bench.add(&mut repository(&server.url())).await;
    for (range, expected) in [
        (None, "3.0.0+build.5"),
        (Some("*"), "3.0.0+build.5"),
        (Some("1.x"), "1.4.2"),
        (Some("~1.0"), "1.0.0"),
        (Some("<1"), "0.9.0"),
        (Some(">=2.1.0-0 <3"), "2.1.0-beta.1"),
        (Some("2.1.0-beta.1"), "2.1.0-beta.1"),
    ] {
        let mut object = object(ChartSourceKind::HelmRepository, "app");
        object.spec.version = range.map(str::to_owned);
        assert_eq!(bench.pass(&mut object).await, Outcome::Done);
        assert_eq!(object.artifact().unwrap().revision, expected, "{range:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn values_files_of_the_chart_are_merged_into_its_defaults() {
    let (server, mut bench) = (HelmServer::start(), Bench::new());
    server.serve(&[("app", "1.0.0")]);
    let files = [
        ("values.yaml", "image: {tag: a, name: x}\nlist: [1, 2]\n"),
        ("prod.yaml", "image: {tag: b}\nlist: [3]\n"),
        ("eu.yaml", "image: {tag: c}\nregion: eu\n"),
    ];
    let packed = chart("app", "1.0.0", &files);
    server.put("app-1.0.0.tgz", packed.clone());
    let index = "apiVersion: v1\nentries: {app: [{apiVersion: v2, name: app, version: 1.0.0, urls: [app-1.0.0.tgz]}]}\n";
    server.put("index.yaml", index);
    bench.add(&mut repository(&server.url())).await;

    let mut object = object(ChartSourceKind::HelmRepository, "app");
    object.metadata.generation = Some(7);
    object.spec.values_files = ["values.yaml", "prod.yaml", "eu.yaml"].map(str::to_owned).into();
    assert_eq!(bench.pass(&mut object).await, Outcome::Done);
    assert_eq!(conditions_of(&object), PACKAGED);
    let message =
        "packaged 'app' chart with version '1.0.0+7' and merged values files [values.yaml prod.yaml eu.yaml]";
    assert_eq!(message_of(&object, "Ready"), message);
    assert_eq!(bench.events(), [format!("info ChartPackageSucceeded {message}")]);
    assert_eq!(object.artifact().unwrap().revision, "1.0.0+7");
    assert_eq!(
        object.artifact().unwrap().path,
        "helmchart/default/app/app-1.0.0+7.tgz"
    );
    assert_eq!(
        bench.file(&object, "values.yaml").as_deref(),
        Some("image:\n  name: x\n  tag: c\nlist:\n- 3\nregion: eu\n")
    );
    let metadata = bench.file(&object, "Chart.yaml").unwrap();
    assert!(metadata.contains("version: 1.0.0+7\n"), "{metadata}");
    assert!(object.status.as_ref().unwrap().observed_values_files.is_empty());

    // Once more from the beginning: the same archive.
    let digest = object.artifact().unwrap().digest.clone();
    let mut again = object.clone();
    again.status = None;
    bench.reconciler.built().clear();
    assert_eq!(bench.pass(&mut again).await, Outcome::Done);
    assert_eq!(again.artifact().unwrap().digest, digest);
    bench.events();

    // The defaults alone are none.
    object.spec.values_files = vec!["./values.yaml".to_owned()];
    object.metadata.generation = Some(8);
    assert_eq!(bench.pass(&mut object).await, Outcome::Done);
    assert_eq!(conditions_of(&object), PULLED);
    assert_eq!(object.artifact().unwrap().revision, "1.0.0");

    // One that is missing stalls, unless that does not matter.
    object.spec.values_files = vec!["gone.yaml".to_owned(), "eu.yaml".to_owned()];
    object.metadata.generation = Some(9);
    let message =
        "values files merge error: failed to merge chart values: no values file found at path 'gone.yaml'";
    assert_eq!(bench.pass(&mut object).await, stalled(message));
    let expected = [
        "Stalled=True/ValuesFilesError",
        "Ready=False/ValuesFilesError",
        "ArtifactInStorage=True/ChartPullSucceeded",
        "ArtifactOutdated=True/NewChart",
        "BuildFailed=True/ValuesFilesError",
    ];
    let found = conditions_of(&object);
    assert!(
        expected
            .iter()
            .all(|it| *it == expected[3] || found.contains(&(*it).to_owned())),
        "{found:?}"
    );
    assert_eq!(object.artifact().unwrap().revision, "1.0.0");
    object.spec.ignore_missing_values_files = true;
    object.metadata.generation = Some(10);
    assert_eq!(bench.pass(&mut object).await, Outcome::Done);
    assert_eq!(conditions_of(&object), PACKAGED);
    assert_eq!(object.status.as_ref().unwrap().observed_values_files, ["eu.yaml"]);
    assert_eq!(
        message_of(&object, "Ready"),
        "packaged 'app' chart with version '1.0.0+10' and merged values files [eu.yaml]"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn credentials_go_to_other_hosts_only_when_told_to() {
    let (server, elsewhere, mut bench) = (HelmServer::start(), HelmServer::start(), Bench::new());
    elsewhere.put("app-1.0.0.tgz", chart("app", "1.0.0", &[]));
    let url = elsewhere.url() + "/app-1.0.0.tgz";
    let index = format!(
        "apiVersion: v1\nentries: {{app: [{{apiVersion: v2, name: app, version: 1.0.0, urls: ['{url}']}}]}}\n"
    );
    server.put("index.yaml", index);
    let basic = "Basic dTpodW50ZXIy";
    server.guard(basic);
    bench.secret("auth", &[("username", "u"), ("password", "hunter2")]);
    let mut source = repository(&server.url());
    source.spec.secret_ref = reference("auth");
    bench.add(&mut source).await;
    let mut first = object(ChartSourceKind::HelmRepository, "app");
    assert_eq!(bench.pass(&mut first).await, Outcome::Done);
    assert_eq!(elsewhere.seen(), ["GET /charts/app-1.0.0.tgz"]);

    source.spec.pass_credentials = true;
    bench.add(&mut source).await;
    let mut second = object(ChartSourceKind::HelmRepository, "app");
    second.metadata.name = Some("second".to_owned());
    assert_eq!(bench.pass(&mut second).await, Outcome::Done);
    assert_eq!(
        elsewhere.seen(),
        [format!("GET /charts/app-1.0.0.tgz authorization={basic}")]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn damaged_artifact_is_pulled_again_and_deletion_removes_it() {
    let (server, mut bench) = (HelmServer::start(), Bench::new());
    server.serve(&[("app", "1.0.0")]);
    bench.add(&mut repository(&server.url())).await;
    let mut object = object(ChartSourceKind::HelmRepository, "app");
    bench.pass(&mut object).await;
    bench.events();
    let digest = object.artifact().unwrap().digest.clone();
    std::fs::write(bench.stored(&object), "damaged").unwrap();
    server.seen();
    assert_eq!(bench.pass(&mut object).await, Outcome::Done);
    assert_eq!(server.seen(), ["GET /charts/app-1.0.0.tgz"]);
    assert_eq!(object.artifact().unwrap().digest, digest);
    assert!(bench.events()[0].starts_with("error ArtifactVerificationFailed"));

    object.metadata.generation = Some(2);
    bench.reconciler.suspended(&mut object);
    assert_eq!(object.observed_generation(), Some(2));
    let (mut pass, _drafts) = Pass::new(object.clone(), Interrupt::default(), bench.recorder.clone());
    bench.reconciler.finalize(&mut pass).await.unwrap();
    assert!(!bench.data.join("helmchart/default/app").exists());
    assert!(bench.reconciler.built().is_empty());
}
