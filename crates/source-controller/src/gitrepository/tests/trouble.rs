//! What fails, and what cuts a pass short.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn refused_credentials_keep_the_artifact_and_recovery_is_told() {
    let mut bench = Bench::new(&[("auth", &[("username", "u"), ("password", "hunter2")])]);
    // u:hunter2
    let git = Git::guarded(Some("Basic dTpodW50ZXIy"));
    git.commit("One", &[("a.yaml", "a: 1\n")]);
    let mut object = repository(&git.url());
    object.spec.secret_ref = Some(LocalObjectReference {
        name: "auth".to_owned(),
    });
    assert_eq!(bench.pass(&mut object).await, Outcome::Done);
    assert_eq!(
        *bench.api.lock().unwrap(),
        ["GET /api/v1/namespaces/default/secrets/auth"]
    );
    bench.events();
    let artifact = object.artifact().unwrap().clone();

    git.commit("Two", &[("a.yaml", "a: 2\n")]);
    bench.set_secret("auth", "password", "other");
    let url = git.url();
    let message = format!(
        "failed to checkout and determine revision: unable to list remote for '{url}': authentication required"
    );
    let failed = Outcome::Backoff {
        error: message.clone(),
    };
    assert_eq!(bench.pass(&mut object).await, failed);
    let expected = [
        "Reconciling=True/ProgressingWithRetry",
        "Ready=False/GitOperationFailed",
        "ArtifactInStorage=True/Succeeded",
        "FetchFailed=True/GitOperationFailed",
    ];
    assert_eq!(conditions_of(&object), expected);
    assert_eq!(message_of(&object, "Ready"), message);
    assert_eq!(object.artifact(), Some(&artifact));
    assert!(bench.stored(&object).exists());
    assert_eq!(bench.events(), [format!("error GitOperationFailed {message}")]);
    // The next failure is the same, so there is nothing to write.
    let before = object.clone();
    assert_eq!(bench.pass(&mut object).await, failed);
    assert_eq!(object, before);
    bench.events();

    object.spec.secret_ref = Some(LocalObjectReference {
        name: "gone".to_owned(),
    });
    bench.pass(&mut object).await;
    let missing = "failed to get secret 'default/gone': secrets \"gone\" not found";
    assert_eq!(message_of(&object, "FetchFailed"), missing);
    assert_eq!(bench.events(), [format!("error AuthenticationFailed {missing}")]);

    git.repository.git(&["reset", "--quiet", "--hard", "HEAD~1"]);
    git.repository.push();
    bench.set_secret("auth", "password", "hunter2");
    object.spec.secret_ref = Some(LocalObjectReference {
        name: "auth".to_owned(),
    });
    assert_eq!(bench.pass(&mut object).await, Outcome::Done);
    assert_eq!(conditions_of(&object), READY);
    assert_eq!(object.artifact(), Some(&artifact));
    let revision = &artifact.revision;
    assert_eq!(
        bench.events(),
        [format!("info Succeeded stored artifact for commit '{revision}'")]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn faults_of_the_spec_have_their_conditions() {
    let (git, mut bench) = (Git::new(), Bench::new(&[("proxy", &[("username", "u")])]));
    let url = git.url();
    let mut empty = repository(&url);
    bench.pass(&mut empty).await;
    let expected = [
        "Reconciling=True/ProgressingWithRetry",
        "Ready=False/EmptyGitRepository",
        "FetchFailed=True/EmptyGitRepository",
    ];
    assert_eq!(conditions_of(&empty), expected);
    assert_eq!(message_of(&empty, "Ready"), "git repository is empty");
    assert_eq!(empty.observed_generation(), Some(-1));
    git.commit("One", &[("a.yaml", "a: 1\n")]);
    bench.events();

    let mut missing = repository(&url);
    missing.spec.reference.as_mut().unwrap().branch = Some("gone".to_owned());
    bench.pass(&mut missing).await;
    assert_eq!(
        message_of(&missing, "Ready"),
        format!(
            "failed to checkout and determine revision: unable to clone '{url}': couldn't find remote ref \"refs/heads/gone\""
        )
    );

    let mut malformed = repository("https://u:hunter2@[::1/app");
    let outcome = bench.pass(&mut malformed).await;
    assert!(matches!(outcome, Outcome::Stalled { .. }), "{outcome:?}");
    assert_eq!(
        conditions_of(&malformed),
        [
            "Stalled=True/URLInvalid",
            "Ready=False/URLInvalid",
            "FetchFailed=True/URLInvalid"
        ]
    );
    assert_eq!(malformed.observed_generation(), Some(1));

    let mut proxied = repository(&url);
    proxied.spec.proxy_secret_ref = Some(LocalObjectReference {
        name: "proxy".to_owned(),
    });
    bench.pass(&mut proxied).await;
    assert_eq!(
        message_of(&proxied, "Ready"),
        "failed to configure proxy options: secret 'default/proxy': key 'address' not found"
    );

    let mut sparse = repository(&url);
    sparse.spec.sparse_checkout = vec!["./gone".to_owned()];
    bench.pass(&mut sparse).await;
    assert_eq!(
        message_of(&sparse, "Ready"),
        "failed to sparse checkout directories : sparse checkout dir 'gone' does not exist in repository"
    );
    let shown = bench.events().join("\n");
    assert!(!shown.contains("hunter2"), "{shown}");
}

#[tokio::test(flavor = "multi_thread")]
async fn shutdown_and_a_changed_spec_cut_a_pass_short() {
    let hold = Arc::new(std::sync::Barrier::new(2));
    let (arrived, waiting) = (Arc::clone(&hold), Arc::clone(&hold));
    let stuck = Server::start(move |_| {
        arrived.wait();
        arrived.wait();
        Response::new(500, "")
    });
    let mut bench = Bench::new(&[]);
    let object = repository(&stuck.url("/app"));
    bench.show(&object);
    let interrupt = Interrupt::default();
    let (mut pass, _drafts) = Pass::new(object.clone(), interrupt.clone(), bench.recorder.clone());
    let mut newer = object.clone();
    newer.metadata.generation = Some(2);
    let writer = &mut bench.writer;
    let change = async {
        let waiting = Arc::clone(&waiting);
        tokio::task::spawn_blocking(move || waiting.wait()).await.unwrap();
        let work = || ferro_runtime::reconcile::Cause::NewWork("GitRepository/default/app".to_owned());
        // A request alone ends nothing, and hides nothing that comes after it.
        interrupt.fire(work());
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        writer.apply_watcher_event(&watcher::Event::Apply(newer));
        interrupt.fire(work());
    };
    let (outcome, ()) = tokio::join!(bench.reconciler.reconcile(&mut pass), change);
    assert_eq!(outcome, Outcome::Superseded);
    bench.reconciler.shared.stop.cancel();
    assert_eq!(bench.reconciler.reconcile(&mut pass).await, Outcome::Stopped);
    tokio::task::spawn_blocking(move || waiting.wait()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn deletion_removes_what_is_stored() {
    let (git, mut bench) = (Git::new(), Bench::new(&[]));
    git.commit("One", &[("a.yaml", "a: 1\n")]);
    let mut object = repository(&git.url());
    bench.pass(&mut object).await;
    bench.events();
    let file = bench.stored(&object);
    let (mut pass, _drafts) = Pass::new(object, Interrupt::default(), bench.recorder.clone());
    bench.reconciler.finalize(&mut pass).await.unwrap();
    assert!(!file.parent().unwrap().exists());
    bench.reconciler.finalize(&mut pass).await.unwrap();
    assert_eq!(
        bench.events(),
        ["trace GarbageCollectionSucceeded garbage collected artifacts for deleted resource"]
    );
}

#[test]
fn suspended_object_is_observed_and_otherwise_left_alone() {
    let bench = tokio::runtime::Runtime::new()
        .unwrap()
        .block_on(async { Bench::new(&[]) });
    let mut object = repository("https://example.com/app");
    conditions::mark_true(&mut object, condition::ARTIFACT_IN_STORAGE, "Succeeded", "stored");
    bench.reconciler.suspended(&mut object);
    assert_eq!(object.observed_generation(), Some(1));
    let ready = object.condition(condition::READY).unwrap();
    assert_eq!(
        (ready.status, ready.message.as_str()),
        (ConditionStatus::True, "stored")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn include_takes_only_what_was_made_of_its_repository() {
    let (git, other, mut bench) = (Git::new(), Git::new(), Bench::new(&[]));
    git.commit("App", &[("app.yaml", "a: 1\n")]);
    other.commit("Lib", &[("lib.yaml", "hunter2\n")]);
    let mut lib = repository(&other.url());
    lib.metadata.name = Some("lib".to_owned());
    bench.pass(&mut lib).await;
    let good = lib.artifact().unwrap().clone();
    let foreign = good.path.replace("/default/lib/", "/other/lib/");
    let place = bench.data.join(&foreign);
    std::fs::create_dir_all(place.parent().unwrap()).unwrap();
    std::fs::copy(bench.stored(&lib), &place).unwrap();
    let digest = format!("sha256:{}", "0".repeat(64));
    let mut object = repository(&git.url());
    object.spec.include = vec![GitRepositoryInclude {
        repository: LocalObjectReference {
            name: "lib".to_owned(),
        },
        ..GitRepositoryInclude::default()
    }];
    // Who may write the status of an object must not read by it what is stored for others.
    let prefix = "failed to copy 'lib' include from . to lib: the artifact";
    for (path, digest, cause) in [
        (&foreign, &good.digest, "is none of GitRepository 'lib'"),
        (
            &good.path.replace("/default/lib/", "/default/app/"),
            &good.digest,
            "is none of GitRepository 'lib'",
        ),
        (&good.path, &digest, "is damaged: computed digest"),
        (
            &good.path.replace(".tar.gz", "x.tar.gz"),
            &good.digest,
            "is not there",
        ),
    ] {
        let mut artifact = good.clone();
        artifact.path.clone_from(path);
        artifact.digest.clone_from(digest);
        lib.set_artifact(Some(artifact));
        bench.show(&lib);
        bench.pass(&mut object).await;
        let message = message_of(&object, "StorageOperationFailed");
        assert!(
            message.starts_with(&format!("{prefix} '{path}' {cause}")),
            "{message}"
        );
        assert_eq!(object.artifact(), None);
        let condition = object.condition(condition::STORAGE_OPERATION_FAILED).unwrap();
        assert_eq!(condition.reason, "CopyFailure");
    }
    lib.set_artifact(Some(good));
    bench.show(&lib);
    assert_eq!(bench.pass(&mut object).await, Outcome::Done);
    assert_eq!(
        names(&bench.stored(&object)),
        [".", "app.yaml", "lib", "lib/lib.yaml"]
    );
}
