//! Charts from the artifacts of other sources.

use super::*;

const REVISION: &str = "main@sha1:0123456789abcdef0123456789abcdef01234567";
const NEXT: &str = "main@sha1:89abcdef0123456789abcdef0123456789abcdef";
const METADATA: (&str, &str) = (
    "charts/app/Chart.yaml",
    "apiVersion: v2\nname: app\nversion: 0.1.0\n",
);
const VALUES: (&str, &str) = ("charts/app/values.yaml", "a: 1\nb: 1\n");
const TEMPLATE: (&str, &str) = ("charts/app/templates/x.yaml", "x: 1\n");

#[tokio::test(flavor = "multi_thread")]
async fn folder_of_a_git_repository_is_packaged() {
    let mut bench = Bench::new();
    let ignored = ("charts/app/.helmignore", "*.md\n");
    let readme = ("charts/app/README.md", "no\n");
    let beside = (
        "other/Chart.yaml",
        "apiVersion: v2\nname: other\nversion: 9.9.9\n",
    );
    bench.git(REVISION, &[METADATA, VALUES, TEMPLATE, ignored, readme, beside]);
    let mut object = object(ChartSourceKind::GitRepository, "./charts/app");
    assert_eq!(bench.pass(&mut object).await, Outcome::Done);
    assert_eq!(conditions_of(&object), PACKAGED);
    let packaged = "packaged 'app' chart with version '0.1.0'";
    assert_eq!(message_of(&object, "Ready"), packaged);
    assert_eq!(bench.events(), [format!("info ChartPackageSucceeded {packaged}")]);
    let artifact = object.artifact().unwrap().clone();
    assert_eq!(
        (artifact.revision.as_str(), artifact.path.as_str()),
        ("0.1.0", "helmchart/default/app/app-0.1.0.tgz")
    );
    let files: Vec<_> = entries(&bench.stored(&object)).into_keys().collect();
    let expected = [
        "app/.helmignore",
        "app/Chart.yaml",
        "app/templates/x.yaml",
        "app/values.yaml",
    ];
    assert_eq!(files, expected);
    let status = object.status.as_ref().unwrap();
    assert_eq!(
        status.observed_source_artifact_revision.as_deref(),
        Some(REVISION)
    );
    let before = object.clone();
    bench.pass(&mut object).await;
    assert_eq!(object, before);

    // Other content under the same version is no new chart, unless the object changes.
    bench.git(NEXT, &[METADATA, ("charts/app/values.yaml", "a: 2\n"), TEMPLATE]);
    assert_eq!(bench.pass(&mut object).await, Outcome::Done);
    assert_eq!(object.artifact(), Some(&artifact));
    let observed = object
        .status
        .as_ref()
        .unwrap()
        .observed_source_artifact_revision
        .clone();
    assert_eq!(observed.as_deref(), Some(NEXT));
    object.metadata.generation = Some(2);
    assert_eq!(bench.pass(&mut object).await, Outcome::Done);
    assert_ne!(object.artifact().unwrap().digest, artifact.digest);
    assert_eq!(bench.file(&object, "values.yaml").as_deref(), Some("a: 2\n"));

    let newer = (
        "charts/app/Chart.yaml",
        "apiVersion: v2\nname: app\nversion: 0.2.0\n",
    );
    bench.git("main@sha1:ff", &[newer, VALUES]);
    assert_eq!(bench.pass(&mut object).await, Outcome::Done);
    assert_eq!(object.artifact().unwrap().revision, "0.2.0");
}

#[tokio::test(flavor = "multi_thread")]
async fn revision_strategy_makes_a_version_of_each_revision() {
    let mut bench = Bench::new();
    bench.git(REVISION, &[METADATA, VALUES]);
    let mut object = object(ChartSourceKind::GitRepository, "charts/app");
    object.spec.reconcile_strategy = Some(ReconcileStrategy::Revision);
    bench.pass(&mut object).await;
    assert_eq!(object.artifact().unwrap().revision, "0.1.0+0123456789ab");
    bench.git(NEXT, &[METADATA, VALUES]);
    bench.pass(&mut object).await;
    assert_eq!(object.artifact().unwrap().revision, "0.1.0+89abcdef0123");
    // With the generation, where values are merged.
    object.spec.values_files = vec!["charts/app/values.yaml".to_owned(), "more.yaml".to_owned()];
    object.metadata.generation = Some(3);
    bench.git(REVISION, &[METADATA, VALUES, ("more.yaml", "b: 2\n")]);
    assert_eq!(bench.pass(&mut object).await, Outcome::Done);
    assert_eq!(object.artifact().unwrap().revision, "0.1.0+0123456789ab.3");
    assert_eq!(
        bench.file(&object, "values.yaml").as_deref(),
        Some("a: 1\nb: 2\n")
    );

    let mut bucket = self::object(ChartSourceKind::Bucket, "charts/app");
    bucket.metadata.name = Some("bucket".to_owned());
    bucket.spec.reconcile_strategy = Some(ReconcileStrategy::Revision);
    bench.bucket("sha256:fedcba9876543210", &[METADATA, VALUES]);
    assert_eq!(bench.pass(&mut bucket).await, Outcome::Done);
    assert_eq!(bucket.artifact().unwrap().revision, "0.1.0+fedcba987654");
}

#[tokio::test(flavor = "multi_thread")]
async fn values_files_are_found_from_the_root_of_the_source() {
    let mut bench = Bench::new();
    bench.git(REVISION, &[METADATA, VALUES, ("env/prod.yaml", "b: prod\n")]);
    let mut object = object(ChartSourceKind::GitRepository, "charts/app");
    object.spec.values_files = vec!["charts/app/values.yaml".to_owned(), "env/prod.yaml".to_owned()];
    assert_eq!(bench.pass(&mut object).await, Outcome::Done);
    assert_eq!(object.artifact().unwrap().revision, "0.1.0+1");
    assert_eq!(
        bench.file(&object, "values.yaml").as_deref(),
        Some("a: 1\nb: prod\n")
    );
    assert_eq!(
        message_of(&object, "Ready"),
        "packaged 'app' chart with version '0.1.0+1' and merged values files [charts/app/values.yaml env/prod.yaml]"
    );
    // Relative to the chart there is none; no path leads out of the source.
    for (file, path) in [
        ("values2.yaml", "/values2.yaml"),
        ("../../etc/passwd", "/etc/passwd"),
    ] {
        object.spec.values_files = vec![file.to_owned()];
        object.metadata.generation = object.metadata.generation.map(|generation| generation + 1);
        let message =
            format!("values files merge error: no values file found at path '{path}' (reference '{file}')");
        assert_eq!(bench.pass(&mut object).await, stalled(&message));
        assert_eq!(conditions_of(&object)[0], "Stalled=True/ValuesFilesError");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn archive_in_a_source_is_taken_as_it_is() {
    let mut bench = Bench::new();
    let packed = chart("app", "3.2.1", &[]);
    let mut tar = tar::Builder::new(flate2::write::GzEncoder::new(
        Vec::new(),
        flate2::Compression::fast(),
    ));
    let mut header = tar::Header::new_gnu();
    header.set_size(packed.len() as u64);
    header.set_mode(0o644);
    tar.append_data(&mut header, "dist/app-3.2.1.tgz", packed.as_slice())
        .unwrap();
    let content = tar.into_inner().unwrap().finish().unwrap();
    let mut source = Bucket::new("app", BucketSpec::default());
    source.metadata.namespace = Some("default".to_owned());
    source.set_artifact(Some(bench.store(Bucket::KIND, "sha256:ab", &content)));
    bench.buckets.apply_watcher_event(&watcher::Event::Apply(source));
    let mut object = object(ChartSourceKind::Bucket, "dist/app-3.2.1.tgz");
    assert_eq!(bench.pass(&mut object).await, Outcome::Done);
    assert_eq!(conditions_of(&object), PULLED);
    assert_eq!(object.artifact().unwrap().revision, "3.2.1");
    assert!(std::fs::read(bench.stored(&object)).unwrap() == packed);
}

#[tokio::test(flavor = "multi_thread")]
async fn dependencies_come_from_the_source_and_from_repositories() {
    let (server, mut bench) = (HelmServer::start(), Bench::new());
    let basic = "Basic dTpodW50ZXIy";
    server.serve(&[("remote", "1.0.0"), ("remote", "1.5.0"), ("remote", "2.0.0")]);
    server.guard(basic);
    bench.secret("auth", &[("username", "u"), ("password", "hunter2")]);
    let metadata = format!(
        "apiVersion: v2\nname: app\nversion: 0.1.0\ndependencies:\n- {{name: remote, version: 1.x, repository: '{}', alias: far}}\n\
         - {{name: near, version: '>=0.1', repository: 'file://../near'}}\n- {{name: vendored, version: '*'}}\n",
        server.url()
    );
    let near = (
        "charts/near/Chart.yaml",
        "apiVersion: v2\nname: near\nversion: 0.3.0\n",
    );
    let vendored = (
        "charts/app/charts/vendored/Chart.yaml",
        "apiVersion: v2\nname: vendored\nversion: 7.0.0\n",
    );
    let files = [
        ("charts/app/Chart.yaml", metadata.as_str()),
        VALUES,
        near,
        vendored,
    ];
    bench.git(REVISION, &files);
    let mut object = object(ChartSourceKind::GitRepository, "charts/app");

    // Without a HelmRepository of that address nobody has credentials for it.
    let outcome = bench.pass(&mut object).await;
    let Outcome::Backoff { error } = outcome else {
        panic!("{outcome:?}");
    };
    let start = "dependency build error: failed to add remote dependency 'far': ";
    assert!(error.starts_with(start) && error.contains("401"), "{error}");
    assert_eq!(
        conditions_of(&object)[1..],
        [
            "Ready=False/DependencyBuildError",
            "BuildFailed=True/DependencyBuildError"
        ]
    );
    bench.events();

    let mut source = repository(&server.url());
    source.metadata.name = Some("far".to_owned());
    source.spec.secret_ref = reference("auth");
    bench.add(&mut source).await;
    server.seen();
    assert_eq!(bench.pass(&mut object).await, Outcome::Done);
    assert_eq!(conditions_of(&object), PACKAGED);
    // The index is the one that is stored.
    assert_eq!(
        server.seen(),
        [format!("GET /charts/remote-1.5.0.tgz authorization={basic}")]
    );
    assert_eq!(
        bench.events()[0],
        "trace ResolvedDependencies resolved 2 chart dependencies"
    );
    let version = |name: &str| {
        let metadata = bench.file(&object, &format!("charts/{name}/Chart.yaml")).unwrap();
        let line = metadata.lines().find(|line| line.starts_with("version: "));
        line.unwrap()["version: ".len()..].to_owned()
    };
    assert_eq!(
        ["far", "near", "vendored"].map(version),
        ["1.5.0", "0.3.0", "7.0.0"]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn dependencies_that_cannot_be_had_are_named() {
    let mut bench = Bench::new();
    let near = (
        "charts/near/Chart.yaml",
        "apiVersion: v2\nname: near\nversion: 0.3.0\n",
    );
    for (dependency, cause) in [
        (
            "{name: near, version: '>=1', repository: 'file://../near'}",
            "failed to add local dependency 'near': can't get a valid version for constraint '>=1'",
        ),
        (
            "{name: gone, version: '*', repository: 'file://../../../../gone'}",
            "failed to add local dependency 'gone': no chart found at '/gone' (reference 'file://../../../../gone')",
        ),
        (
            "{name: x, version: '*', repository: '@mine'}",
            "failed to add remote dependency 'x': aliased repository dependency is not supported: @mine",
        ),
        (
            "{name: x, version: '*', repository: 'ftp://x'}",
            "failed to add remote dependency 'x': invalid dependency repository URL: ftp://x",
        ),
    ] {
        let metadata = format!("apiVersion: v2\nname: app\nversion: 0.1.0\ndependencies:\n- {dependency}\n");
        bench.git(REVISION, &[("charts/app/Chart.yaml", &metadata), near]);
        let mut object = object(ChartSourceKind::GitRepository, "charts/app");
        let message = format!("dependency build error: {cause}");
        assert_eq!(bench.pass(&mut object).await, failed(&message));
        assert_eq!(message_of(&object, "BuildFailed"), message);
        assert_eq!(bench.events(), [format!("error DependencyBuildError {message}")]);
    }
}
