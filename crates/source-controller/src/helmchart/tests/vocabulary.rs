//! Reasons and texts of what happens seldom.

use super::*;
use crate::reconcile::testing::{
    StorageWords, first_pass_says_how_far_it_is, next_pass_says_what_is_new,
    pass_over_a_lost_artifact_says_so, storage_that_fails_is_told,
};

#[tokio::test(flavor = "multi_thread")]
async fn passes_say_how_far_they_are() {
    let (server, mut bench) = (HelmServer::start(), Bench::new());
    server.serve(&[("app", "1.0.0")]);
    let mut source = repository(&server.url());
    bench.add(&mut source).await;
    let mut object = object(ChartSourceKind::HelmRepository, "app");
    let news = |object: &HelmChart| {
        let version = &object.artifact().unwrap().revision;
        format!("pulled 'app' chart with version '{version}'")
    };
    first_pass_says_how_far_it_is(&mut bench, &mut object, news).await;
    server.serve(&[("app", "1.0.0"), ("app", "1.1.0")]);
    bench.add(&mut source).await;
    next_pass_says_what_is_new(&mut bench, &mut object, "NewChart", news).await;
    pass_over_a_lost_artifact_says_so(&mut bench, &mut object, news).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn storage_that_cannot_be_written_is_told() {
    let (server, mut bench) = (HelmServer::start(), Bench::new());
    server.serve(&[("app", "1.0.0")]);
    bench.add(&mut repository(&server.url())).await;
    let words = StorageWords {
        unwritten: "unable to copy Helm chart to storage",
        unlocked: "AcquireLockFailed",
        link: Some("latest.tar.gz"),
    };
    let object = object(ChartSourceKind::HelmRepository, "app");
    storage_that_fails_is_told(&mut bench, &object, &words).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sources_that_make_no_chart_are_told_by_the_stage() {
    let mut bench = Bench::new();
    let metadata = ("Chart.yaml", "apiVersion: v2\nname: app\nversion: 1.0.0\n");
    for (content, type_, reason, start) in [
        (
            b"no archive".to_vec(),
            "FetchFailed",
            "Unknown",
            "unknown build error: artifact untar error: ",
        ),
        (
            archive(&[metadata, ("values.schema.json", "no schema")]),
            "BuildFailed",
            "ChartPackageError",
            "chart package error: failed to package chart: invalid JSON in values.schema.json",
        ),
    ] {
        let mut source = GitRepository::new("app", GitRepositorySpec::default());
        source.metadata.namespace = Some("default".to_owned());
        let artifact = bench.store(GitRepository::KIND, "main@sha1:0a", &content);
        source.set_artifact(Some(artifact));
        bench.git.apply_watcher_event(&watcher::Event::Apply(source));
        let mut object = object(ChartSourceKind::GitRepository, ".");
        assert!(matches!(bench.pass(&mut object).await, Outcome::Backoff { .. }));
        let message = message_of(&object, type_);
        assert!(message.starts_with(start), "{message}");
        let expected = [
            "Reconciling=True/ProgressingWithRetry".to_owned(),
            format!("Ready=False/{reason}"),
            format!("{type_}=True/{reason}"),
        ];
        assert_eq!(conditions_of(&object)[..3], expected);
        assert_eq!(bench.events(), [format!("error {reason} {message}")]);
    }
}
