//! Reasons and texts of what happens seldom.

use super::*;
use crate::reconcile::testing::{
    StorageWords, first_pass_says_how_far_it_is, next_pass_says_what_is_new,
    pass_over_a_lost_artifact_says_so, storage_that_fails_is_told,
};

#[tokio::test(flavor = "multi_thread")]
async fn passes_say_how_far_they_are() {
    let (git, mut bench) = (Git::new(), Bench::new(&[]));
    git.commit("One", &[("a.yaml", "a: 1\n")]);
    let mut object = repository(&git.url());
    let news =
        |object: &GitRepository| format!("new upstream revision '{}'", object.artifact().unwrap().revision);
    first_pass_says_how_far_it_is(&mut bench, &mut object, news).await;
    git.commit("Two", &[("a.yaml", "a: 2\n")]);
    next_pass_says_what_is_new(&mut bench, &mut object, "NewRevision", news).await;
    pass_over_a_lost_artifact_says_so(&mut bench, &mut object, news).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn storage_that_cannot_be_written_is_told() {
    let (git, mut bench) = (Git::new(), Bench::new(&[]));
    git.commit("One", &[("a.yaml", "a: 1\n")]);
    let words = StorageWords {
        unwritten: "unable to archive artifact to storage",
        unlocked: "Failed",
        link: None,
    };
    storage_that_fails_is_told(&mut bench, &repository(&git.url()), &words).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn encrypted_key_without_its_password_is_told() {
    let identity = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----";
    let key = [("identity", identity), ("known_hosts", "h ssh-ed25519 AAAA")];
    let mut bench = Bench::new(&[("key", &key)]);
    let mut object = repository("ssh://git@127.0.0.1:1/app");
    let name = "key".to_owned();
    object.spec.secret_ref = Some(LocalObjectReference { name });
    bench.pass(&mut object).await;
    let message =
        "SSH identity key is encrypted but no 'password' field was provided in the secret 'default/key'";
    assert_eq!(message_of(&object, "FetchFailed"), message);
    assert_eq!(bench.events(), [format!("error AuthenticationFailed {message}")]);
}

#[tokio::test(flavor = "multi_thread")]
async fn changed_include_is_told_until_it_is_built() {
    let (git, other, mut bench) = (Git::new(), Git::new(), Bench::new(&[]));
    git.commit("App", &[("app.yaml", "a: 1\n")]);
    other.commit("Lib", &[("lib.yaml", "a: 1\n")]);
    let mut lib = repository(&other.url());
    lib.metadata.name = Some("lib".to_owned());
    bench.pass(&mut lib).await;
    bench.show(&lib);
    let mut object = repository(&git.url());
    let name = "lib".to_owned();
    object.spec.include = vec![GitRepositoryInclude {
        repository: LocalObjectReference { name },
        ..GitRepositoryInclude::default()
    }];
    assert_eq!(bench.pass(&mut object).await, Outcome::Done);
    let artifact = object.artifact().unwrap().clone();

    other.commit("Next", &[("lib.yaml", "a: 2\n")]);
    bench.pass(&mut lib).await;
    bench.show(&lib);
    let url = std::mem::replace(&mut object.spec.url, "http://127.0.0.1:1/app".to_owned());
    bench.pass(&mut object).await;
    let expected = [
        "Reconciling=True/ProgressingWithRetry",
        "Ready=False/GitOperationFailed",
        "ArtifactInStorage=True/Succeeded",
        "ArtifactOutdated=True/IncludeChange",
        "FetchFailed=True/GitOperationFailed",
    ];
    assert_eq!(conditions_of(&object), expected);
    let told = "included artifacts differ from last observed includes";
    assert_eq!(message_of(&object, "ArtifactOutdated"), told);
    assert_eq!(object.artifact(), Some(&artifact));

    object.spec.url = url;
    assert_eq!(bench.pass(&mut object).await, Outcome::Done);
    assert_eq!(conditions_of(&object), READY);
    assert_ne!(object.artifact().unwrap().digest, artifact.digest);
}

#[tokio::test(flavor = "multi_thread")]
async fn provider_that_does_not_fit_its_secret_is_told() {
    let (git, mut bench) = (Git::new(), Bench::new(&[("app", &[("githubAppID", "1")])]));
    let mut object = repository(&git.url());
    let name = "app".to_owned();
    object.spec.secret_ref = Some(LocalObjectReference { name });
    bench.pass(&mut object).await;
    let expected = [
        "Reconciling=True/ProgressingWithRetry",
        "Ready=False/InvalidProviderConfiguration",
        "FetchFailed=True/InvalidProviderConfiguration",
    ];
    assert_eq!(conditions_of(&object), expected);
    let message = "secretRef 'default/app' has github app data but provider is not set to github";
    assert_eq!(
        bench.events(),
        [format!("error InvalidProviderConfiguration {message}")]
    );
    assert_eq!(git.requests(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn ignore_file_that_cannot_be_read_keeps_the_artifact() {
    let (git, mut bench) = (Git::new(), Bench::new(&[]));
    git.commit("One", &[("a.yaml", "a: 1\n")]);
    let mut object = repository(&git.url());
    bench.pass(&mut object).await;
    let artifact = object.artifact().unwrap().clone();
    bench.events();
    git.commit("Two", &[(".sourceignore", &"x\n".repeat(10_001))]);
    assert!(matches!(bench.pass(&mut object).await, Outcome::Backoff { .. }));
    let message = "failed to load source ignore patterns from repository: more than 10000 ignore rules";
    assert_eq!(bench.events(), [format!("error SourceIgnoreError {message}")]);
    assert_eq!(object.artifact(), Some(&artifact));
}

#[tokio::test(flavor = "multi_thread")]
async fn storage_that_cannot_be_emptied_is_told_and_tried_again() {
    let mut bench = Bench::new(&[]);
    let object = repository("https://example.com/app");
    // A file in the place of the namespace's directory.
    std::fs::create_dir_all(bench.data.join("gitrepository")).unwrap();
    std::fs::write(bench.data.join("gitrepository/default"), "").unwrap();
    let (mut pass, _drafts) = Pass::new(object, Interrupt::default(), bench.recorder.clone());
    let message = bench.reconciler.finalize(&mut pass).await.unwrap_err();
    assert!(
        message.starts_with("garbage collection for deleted resource failed: "),
        "{message}"
    );
    assert_eq!(
        bench.events(),
        [format!("error GarbageCollectionFailed {message}")]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn server_that_drips_ends_with_the_objects_time() {
    let (git, mut bench) = (Git::new(), Bench::new(&[]));
    git.commit("One", &[("a.yaml", "a: 1\n")]);
    let mut object = repository(&git.url());
    bench.pass(&mut object).await;
    let artifact = object.artifact().unwrap().clone();
    let dripping = Server::start(|_| {
        let media_type = "application/x-git-upload-pack-advertisement";
        // The beginning of a line of 64 KiB.
        let head = b"001e# service=git-upload-pack\n0000fff0";
        Response::stream(200, ferro_testkit::http::drip(head)).header("content-type", media_type)
    });
    object.spec.url = dripping.url("/app");
    object.spec.timeout = Some(ferro_api::meta::Duration::from_nanos(500_000_000));
    assert!(matches!(bench.pass(&mut object).await, Outcome::Backoff { .. }));
    let message = message_of(&object, "FetchFailed");
    assert!(message.ends_with("context deadline exceeded"), "{message}");
    assert_eq!(object.artifact(), Some(&artifact));
}

#[tokio::test]
async fn interval_of_every_kind_is_the_time_to_the_next_look() {
    use ferro_api::source::{Bucket, HelmChart, HelmRepository, OCIRepository};

    fn interval<K: FluxObject>(spec: &Value) -> Option<Duration> {
        let mut spec = spec.clone();
        if K::KIND == "HelmChart" {
            spec["sourceRef"] = json!({ "kind": "Bucket", "name": "b" });
        }
        let object: K = serde_json::from_value(json!({ "metadata": { "name": "a" }, "spec": spec })).unwrap();
        object.interval().map(Duration::from)
    }
    let given =
        json!({ "interval": "7m", "url": "https://h/a", "endpoint": "h", "bucketName": "b", "chart": "c" });
    let seven = Some(Duration::from_secs(420));
    assert_eq!(interval::<GitRepository>(&given), seven);
    assert_eq!(interval::<OCIRepository>(&given), seven);
    assert_eq!(interval::<HelmRepository>(&given), seven);
    assert_eq!(interval::<HelmChart>(&given), seven);
    assert_eq!(interval::<Bucket>(&given), seven);
    // The only kind that may do without.
    let without = json!({ "url": "https://h/a" });
    assert_eq!(
        interval::<HelmRepository>(&without),
        Some(Duration::from_secs(60))
    );
}
