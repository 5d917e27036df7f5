//! What fails: sources, references, downloads, hostile content.

use ferro_testkit::http::Response;
use tar::EntryType;

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn source_that_is_missing_or_has_nothing_yet_is_named() {
    let mut bench = Bench::new();
    for (kind, plural) in [
        (ChartSourceKind::HelmRepository, "helmrepositories"),
        (ChartSourceKind::GitRepository, "gitrepositories"),
        (ChartSourceKind::Bucket, "buckets"),
    ] {
        let mut object = object(kind, "app");
        let message = format!("failed to get source: {plural}.source.toolkit.fluxcd.io \"app\" not found");
        assert_eq!(bench.pass(&mut object).await, failed(&message));
        let expected = [
            "Reconciling=True/ProgressingWithRetry",
            "Ready=False/SourceUnavailable",
            "FetchFailed=True/SourceUnavailable",
        ];
        assert_eq!(conditions_of(&object), expected);
        assert_eq!(bench.events(), [format!("error SourceUnavailable {message}")]);
    }
    let waiting = [
        "Reconciling=True/ProgressingWithRetry",
        "Ready=False/NoSourceArtifact",
        "FetchFailed=True/NoSourceArtifact",
    ];
    let source = repository("http://example.com");
    bench.helm.apply_watcher_event(&watcher::Event::Apply(source));
    let mut pending = object(ChartSourceKind::HelmRepository, "app");
    let wait = Outcome::Wait(bench.shared.requeue_dependency);
    assert_eq!(bench.pass(&mut pending).await, wait);
    assert_eq!(conditions_of(&pending), waiting);
    let message = "no artifact available for HelmRepository source 'app'";
    assert_eq!(message_of(&pending, "Ready"), message);
    assert_eq!(bench.events(), [format!("trace NoSourceArtifact {message}")]);

    // An artifact that the status has and the storage has not.
    bench.git(
        "main@sha1:0a",
        &[("Chart.yaml", "apiVersion: v2\nname: app\nversion: 1.0.0\n")],
    );
    std::fs::remove_dir_all(bench.data.join("gitrepository")).unwrap();
    let mut lost = object(ChartSourceKind::GitRepository, ".");
    assert_eq!(bench.pass(&mut lost).await, wait);
    assert_eq!(conditions_of(&lost), waiting);
    // Once it is there the chart of the root is built.
    bench.git(
        "main@sha1:0a",
        &[("Chart.yaml", "apiVersion: v2\nname: app\nversion: 1.0.0\n")],
    );
    assert_eq!(bench.pass(&mut lost).await, Outcome::Done);
    assert_eq!(conditions_of(&lost), PACKAGED);
}

#[tokio::test(flavor = "multi_thread")]
async fn references_that_lead_nowhere_stall() {
    let (server, mut bench) = (HelmServer::start(), Bench::new());
    server.serve(&[("app", "1.0.0")]);
    bench.add(&mut repository(&server.url())).await;
    bench.git(
        "main@sha1:0a",
        &[("app/Chart.yaml", "apiVersion: v2\nname: app\n")],
    );
    let (helm, git) = (ChartSourceKind::HelmRepository, ChartSourceKind::GitRepository);
    let remote = "failed to get chart version for remote reference: ";
    for (kind, chart, version, cause) in [
        (helm, "gone", "*", format!("{remote}no chart name found")),
        (
            helm,
            "app",
            ">2",
            format!("{remote}no 'app' chart with version matching '>2' found"),
        ),
        (
            helm,
            "app",
            "one",
            format!("{remote}improper constraint: \"one\""),
        ),
        (helm, "App", "*", "invalid chart name 'App': ".to_owned()),
        (
            git,
            "gone",
            "*",
            "stat /gone: no such file or directory".to_owned(),
        ),
        (
            git,
            "app",
            "*",
            "validation: chart.metadata.version is required".to_owned(),
        ),
        (
            git,
            "/app",
            "*",
            "local chart reference path is expected to be relative".to_owned(),
        ),
    ] {
        let mut object = object(kind, chart);
        object.spec.version = Some(version.to_owned());
        let outcome = bench.pass(&mut object).await;
        let message = message_of(&object, "FetchFailed").to_owned();
        assert_eq!(outcome, stalled(&message));
        assert!(
            message.starts_with(&format!("invalid chart reference: {cause}")),
            "{message}"
        );
        let expected = [
            "Stalled=True/InvalidChartReference",
            "Ready=False/InvalidChartReference",
            "FetchFailed=True/InvalidChartReference",
        ];
        assert_eq!(conditions_of(&object), expected);
        assert_eq!(object.observed_generation(), Some(1));
        assert_eq!(bench.events(), [format!("error InvalidChartReference {message}")]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn version_that_is_none_cannot_get_metadata() {
    let mut bench = Bench::new();
    bench.git(
        "main@sha1:0a",
        &[("Chart.yaml", "apiVersion: v2\nname: app\nversion: 1.0.0\n")],
    );
    let mut object = object(ChartSourceKind::GitRepository, ".");
    object.spec.reconcile_strategy = Some(ReconcileStrategy::Revision);
    // Such a thing is no part of a version.
    bench.git(
        "main@sha1:a_b",
        &[("Chart.yaml", "apiVersion: v2\nname: app\nversion: 1.0.0\n")],
    );
    let Outcome::Stalled { error } = bench.pass(&mut object).await else {
        panic!("{:?}", conditions_of(&object));
    };
    assert!(error.starts_with("chart metadata patch error: "), "{error}");
    let expected = [
        "Stalled=True/MetadataPatchError",
        "Ready=False/MetadataPatchError",
        "BuildFailed=True/MetadataPatchError",
    ];
    assert_eq!(conditions_of(&object), expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn download_that_fails_keeps_the_last_good_chart() {
    let (server, mut bench) = (HelmServer::start(), Bench::new());
    server.serve(&[("app", "1.0.0")]);
    let mut source = repository(&server.url());
    bench.add(&mut source).await;
    let mut object = object(ChartSourceKind::HelmRepository, "app");
    assert_eq!(bench.pass(&mut object).await, Outcome::Done);
    let artifact = object.artifact().unwrap().clone();
    server.serve(&[("app", "1.0.0"), ("app", "1.1.0")]);
    source.spec.timeout = Some(ferro_api::meta::Duration::from_nanos(1_500_000_000));
    bench.add(&mut source).await;
    let pull = "failed to download chart for remote reference: ";
    type Answer = fn() -> Response;
    let cases: [(Answer, &str, String); 5] = [
        (
            || Response::new(401, ""),
            "AuthenticationFailed",
            format!(
                "failed to authenticate with the Helm repository: chart pull error: {pull}failed to fetch "
            ),
        ),
        (
            || Response::new(404, ""),
            "ChartPullError",
            format!("chart pull error: {pull}failed to fetch "),
        ),
        // Another archive than the one of the index.
        (
            || Response::new(200, chart("app", "1.1.0", &[("x", "y")])),
            "ChartPullError",
            format!("chart pull error: {pull}digest of chart "),
        ),
        // One that comes a byte at a time.
        (
            || Response::stream(200, ferro_testkit::http::drip(b" ")),
            "ChartPullError",
            format!("chart pull error: {pull}"),
        ),
        // One that never ends.
        (
            || {
                let (pieces, body) = mpsc::channel(1);
                std::thread::spawn(move || while pieces.blocking_send(vec![0; 1 << 16].into()).is_ok() {});
                Response::stream(200, body)
            },
            "ChartPullError",
            format!("chart pull error: {pull}size of chart "),
        ),
    ];
    for (answer, reason, start) in cases {
        server.instead(move |_| Some(answer()));
        let outcome = bench.pass(&mut object).await;
        let message = message_of(&object, "FetchFailed").to_owned();
        assert_eq!(outcome, failed(&message));
        assert!(message.starts_with(&start), "{message}");
        assert_eq!(
            conditions_of(&object),
            [
                "Reconciling=True/ProgressingWithRetry".to_owned(),
                format!("Ready=False/{reason}"),
                "ArtifactInStorage=True/ChartPullSucceeded".to_owned(),
                format!("FetchFailed=True/{reason}"),
            ]
        );
        assert_eq!(object.artifact(), Some(&artifact));
        assert!(bench.stored(&object).exists());
    }
    bench.events();
    server.instead(|_| None);
    assert_eq!(bench.pass(&mut object).await, Outcome::Done);
    assert_eq!(conditions_of(&object), PULLED);
    assert_eq!(object.artifact().unwrap().revision, "1.1.0");
}

/// An archive with entries that no honest tool writes.
fn hostile(entries: &[(&str, EntryType, &[u8])]) -> Vec<u8> {
    let gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    let mut archive = tar::Builder::new(gzip);
    for (name, kind, content) in entries {
        let mut header = tar::Header::new_ustar();
        header.set_entry_type(*kind);
        header.set_size(content.len() as u64);
        header.set_mode(0o600);
        if *kind == EntryType::Symlink {
            header.set_link_name("/etc/passwd").unwrap();
        }
        // Past the checks of the library.
        header.as_mut_bytes()[..name.len()].copy_from_slice(name.as_bytes());
        header.set_cksum();
        archive.append(&header, *content).unwrap();
    }
    archive.into_inner().unwrap().finish().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn archives_of_hostile_content_are_refused_within_bounds() {
    let (server, mut bench) = (HelmServer::start(), Bench::new());
    let index =
        "apiVersion: v1\nentries: {app: [{apiVersion: v2, name: app, version: 1.0.0, urls: [app.tgz]}]}\n";
    server.put("index.yaml", index);
    bench.add(&mut repository(&server.url())).await;
    let metadata: &[u8] = b"apiVersion: v2\nname: app\nversion: 1.0.0\n";
    let (file, link) = (EntryType::Regular, EntryType::Symlink);
    let zeros = vec![0; 6 << 20];
    let many: Vec<(&str, EntryType, &[u8])> = (0..21).map(|_| ("app/big", file, &zeros[..5 << 20])).collect();
    let bombs: [(&str, Vec<u8>); 5] = [
        (
            "..",
            hostile(&[("app/Chart.yaml", file, metadata), ("app/../../x", file, b"x")]),
        ),
        (
            "absolute",
            hostile(&[("app/Chart.yaml", file, metadata), ("app//etc/x", file, b"x")]),
        ),
        (
            "one large file",
            hostile(&[("app/Chart.yaml", file, metadata), ("app/big", file, &zeros)]),
        ),
        ("many large files", hostile(&many)),
        ("no archive", b"hello".to_vec()),
    ];
    for (what, archive) in bombs {
        assert!(archive.len() < 4 << 20, "what comes is small: {what}");
        server.put("app.tgz", archive);
        for values in [false, true] {
            let mut object = object(ChartSourceKind::HelmRepository, "app");
            if values {
                object.spec.values_files = vec!["values.yaml".to_owned(), "other.yaml".to_owned()];
            }
            let outcome = bench.pass(&mut object).await;
            assert!(!matches!(outcome, Outcome::Done), "{what}: {outcome:?}");
            assert!(object.artifact().is_none(), "{what}");
        }
    }
    // A link is no content; the reference leaves it out.
    let linked = hostile(&[("app/Chart.yaml", file, metadata), ("app/passwd", link, b"")]);
    server.put("app.tgz", linked);
    let mut object = object(ChartSourceKind::HelmRepository, "app");
    object.spec.values_files = vec!["passwd".to_owned()];
    assert!(matches!(bench.pass(&mut object).await, Outcome::Stalled { .. }));
    assert!(object.artifact().is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn source_of_a_kind_that_is_not_fetched_stalls() {
    let mut bench = Bench::new();
    bench.reconciler.sources.buckets = None;
    let mut object = object(ChartSourceKind::Bucket, "app");
    assert!(matches!(bench.pass(&mut object).await, Outcome::Stalled { .. }));
    let message =
        "failed to get source: this version of the controller does not fetch sources of kind 'Bucket'";
    let expected = [
        "Stalled=True/UnsupportedSourceKind",
        "Ready=False/SourceUnavailable",
        "FetchFailed=True/SourceUnavailable",
    ];
    assert_eq!(conditions_of(&object), expected);
    assert_eq!(bench.events(), [format!("error UnsupportedSourceKind {message}")]);
}
