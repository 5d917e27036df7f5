//! How an artifact is made, kept and made again.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn first_fetch_then_nothing_new_then_a_change() {
    let (s3, mut bench) = (FakeS3::new(), Bench::new(&[]));
    s3.put("a.yaml", "a: 1\n");
    s3.put("dir/b c+d%.yaml", "b: 1\n");
    s3.put("dir/", "");
    let mut object = bucket(&s3.endpoint());
    assert_eq!(bench.pass(&mut object).await, Outcome::Done);
    assert_eq!(conditions_of(&object), READY);
    let revision = s3.revision(&["a.yaml", "dir/b c+d%.yaml"]);
    let stored = format!("stored artifact: revision '{revision}'");
    assert_eq!(message_of(&object, "Ready"), stored);
    assert_eq!(message_of(&object, "ArtifactInStorage"), stored);
    assert_eq!(object.observed_generation(), Some(1));
    let artifact = object.artifact().unwrap().clone();
    let hex = revision.strip_prefix("sha256:").unwrap();
    assert_eq!(artifact.revision, revision);
    assert_eq!(artifact.path, format!("bucket/default/app/{hex}.tar.gz"));
    let base = "http://source-controller.flux-system.svc./bucket/default/app";
    assert_eq!(artifact.url, format!("{base}/{hex}.tar.gz"));
    let status = object.status.as_ref().unwrap();
    assert_eq!(status.url, Some(format!("{base}/latest.tar.gz")));
    let expected = [("a.yaml", "a: 1\n"), ("dir/b c+d%.yaml", "b: 1\n")];
    let expected = expected.map(|(key, content)| (key.to_owned(), content.to_owned()));
    assert_eq!(files(&bench.stored(&object)), BTreeMap::from(expected.clone()));
    let latest = bench.data.join("bucket/default/app/latest.tar.gz");
    assert_eq!(files(&latest), BTreeMap::from(expected));
    assert_eq!(
        bench.events(),
        ["info NewArtifact stored artifact with 2 fetched files from 'podinfo' bucket"]
    );

    // Nothing new: a look at the rules and the listing, no event, and a status that is equal to the last byte.
    s3.seen();
    let before = object.clone();
    assert_eq!(bench.pass(&mut object).await, Outcome::Done);
    assert_eq!(object, before);
    assert_eq!(s3.seen(), ["GET .sourceignore", "GET list"]);
    assert_eq!(bench.events(), Vec::<String>::new());
    assert_eq!(*bench.api.lock().unwrap(), Vec::<String>::new());

    // Who asks is told.
    let requested = annotation::RECONCILE_REQUESTED_AT.to_owned();
    object.metadata.annotations = Some(BTreeMap::from([(requested, "now".to_owned())]));
    bench.pass(&mut object).await;
    let told = format!("trace ArtifactUpToDate artifact up-to-date with remote revision: '{revision}'");
    assert_eq!(bench.events(), [told]);

    s3.put("a.yaml", "a: 2\n");
    s3.seen();
    assert_eq!(bench.pass(&mut object).await, Outcome::Done);
    assert_eq!(s3.seen(), ["GET .sourceignore", "GET list", "GET a.yaml"]);
    assert_eq!(conditions_of(&object), READY);
    assert_eq!(files(&bench.stored(&object))["a.yaml"], "a: 2\n");
    assert_eq!(
        bench.events(),
        ["info NewArtifact stored artifact with 2 fetched files from 'podinfo' bucket"]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn only_what_changed_is_fetched() {
    let (s3, mut bench) = (FakeS3::new(), Bench::new(&[]));
    s3.page(64);
    for index in 0..300 {
        s3.put(
            &format!("apps/{:02}/{index:03}.yaml", index % 20),
            &format!("n: {index}\n"),
        );
    }
    let mut object = bucket(&s3.endpoint());
    bench.pass(&mut object).await;
    let is_object = |request: &String| request.starts_with("GET apps/");
    assert_eq!(s3.seen().iter().filter(|it| is_object(it)).count(), 300);

    for index in [0, 17, 123, 299] {
        s3.put(&format!("apps/{:02}/{index:03}.yaml", index % 20), "changed\n");
    }
    s3.put("apps/00/new.yaml", "new\n");
    s3.remove("apps/01/001.yaml");
    assert_eq!(bench.pass(&mut object).await, Outcome::Done);
    let fetched = s3
        .seen()
        .into_iter()
        .filter(is_object)
        .collect::<std::collections::BTreeSet<_>>();
    let expected = [
        "apps/00/000.yaml",
        "apps/00/new.yaml",
        "apps/03/123.yaml",
        "apps/17/017.yaml",
        "apps/19/299.yaml",
    ];
    assert_eq!(fetched, expected.map(|key| format!("GET {key}")).into());
    let files = files(&bench.stored(&object));
    assert_eq!(files.len(), 300);
    assert_eq!(files["apps/19/299.yaml"], "changed\n");
    assert_eq!(files["apps/02/002.yaml"], "n: 2\n");
    assert!(!files.contains_key("apps/01/001.yaml"));

    // The same bytes as a bucket that is fetched whole.
    let digest = object.artifact().unwrap().digest.clone();
    let mut fresh = Bench::new(&[]);
    let mut other = bucket(&s3.endpoint());
    fresh.pass(&mut other).await;
    assert_eq!(other.artifact().unwrap().digest, digest);

    // Objects of the same names elsewhere are others.
    s3.seen();
    object.spec.endpoint = s3.endpoint().replace("127.0.0.1", "localhost");
    s3.put("apps/00/new.yaml", "newer\n");
    bench.pass(&mut object).await;
    assert_eq!(s3.seen().iter().filter(|it| is_object(it)).count(), 300);
}

/// As many objects as `FERRO_CASES` says, of which one in a hundred changes.
#[tokio::test(flavor = "multi_thread")]
async fn hundredth_that_changed_of_a_large_bucket_is_all_that_is_fetched() {
    let count = std::env::var("FERRO_CASES")
        .ok()
        .and_then(|text| text.parse().ok());
    let count: usize = count.unwrap_or(2000);
    let (s3, mut bench) = (FakeS3::new(), Bench::new(&[]));
    let key = |index: usize| format!("apps/{:03}/{index:06}.yaml", index % 500);
    for index in 0..count {
        s3.put(&key(index), &format!("n: {index}\n"));
    }
    let mut object = bucket(&s3.endpoint());
    object.spec.timeout = Some(ferro_api::meta::Duration::from_nanos(600_000_000_000));
    assert_eq!(bench.pass(&mut object).await, Outcome::Done);
    let requests = |s3: &FakeS3| {
        let (lists, objects): (Vec<_>, Vec<_>) = s3.seen().into_iter().partition(|it| it == "GET list");
        (
            lists.len(),
            objects.iter().filter(|it| it.starts_with("GET apps/")).count(),
        )
    };
    let pages = count.div_ceil(1000);
    assert_eq!(requests(&s3), (pages, count));
    let changed: Vec<usize> = (0..count).step_by(100).collect();
    for index in &changed {
        s3.put(&key(*index), "changed\n");
    }
    assert_eq!(bench.pass(&mut object).await, Outcome::Done);
    assert_eq!(requests(&s3), (pages, changed.len()));
    let files = files(&bench.stored(&object));
    assert_eq!(files.len(), count);
    assert_eq!(
        files.values().filter(|text| *text == "changed\n").count(),
        changed.len()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn damaged_or_missing_artifact_is_fetched_again() {
    let (s3, mut bench) = (FakeS3::new(), Bench::new(&[]));
    s3.put("a.yaml", "a: 1\n");
    let mut object = bucket(&s3.endpoint());
    bench.pass(&mut object).await;
    let digest = object.artifact().unwrap().digest.clone();
    std::fs::remove_file(bench.stored(&object)).unwrap();
    bench.events();
    assert_eq!(bench.pass(&mut object).await, Outcome::Done);
    assert_eq!(object.artifact().unwrap().digest, digest);
    assert!(bench.stored(&object).exists());

    // The bucket is gone as well: nothing is served, and the status does not say otherwise.
    std::fs::remove_file(bench.stored(&object)).unwrap();
    object.spec.bucket_name = "gone".to_owned();
    bench.pass(&mut object).await;
    assert!(object.artifact().is_none());
    assert_eq!(object.status.as_ref().unwrap().url, None);
    assert_eq!(message_of(&object, "FetchFailed"), "bucket 'gone' not found");
    assert_eq!(conditions_of(&object), FETCH_FAILED);
}

#[tokio::test(flavor = "multi_thread")]
async fn ignore_rules_and_prefix_select_the_objects() {
    let (s3, mut bench) = (FakeS3::new(), Bench::new(&[]));
    for key in [
        "app/a.yaml",
        "app/README.md",
        "app/.gitignore",
        "app/logo.png",
        "other/b.yaml",
    ] {
        s3.put(key, key);
    }
    let names = |bench: &Bench, object: &Bucket| -> Vec<String> {
        files(&bench.stored(object)).into_keys().collect()
    };
    let mut object = bucket(&s3.endpoint());
    bench.pass(&mut object).await;
    // Nothing is left out that nobody asked to leave out.
    assert_eq!(names(&bench, &object).len(), 5);

    s3.put(".sourceignore", "*.md\n*.png\n");
    assert_eq!(bench.pass(&mut object).await, Outcome::Done);
    assert_eq!(
        names(&bench, &object),
        [".sourceignore", "app/.gitignore", "app/a.yaml", "other/b.yaml"]
    );
    assert_eq!(
        object.artifact().unwrap().revision,
        s3.revision(&["app/.gitignore", "app/a.yaml", "other/b.yaml"])
    );

    // The spec has the last word.
    object.spec.ignore = Some("!*.md\n/other\n".to_owned());
    bench.pass(&mut object).await;
    assert_eq!(
        names(&bench, &object),
        [".sourceignore", "app/.gitignore", "app/README.md", "app/a.yaml"]
    );
    assert_eq!(
        object.status.as_ref().unwrap().observed_ignore,
        object.spec.ignore
    );

    object.spec.ignore = None;
    object.spec.prefix = Some("other/".to_owned());
    bench.pass(&mut object).await;
    assert_eq!(names(&bench, &object), [".sourceignore", "other/b.yaml"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_received_makes_the_revision() {
    let (s3, mut bench) = (FakeS3::new(), Bench::new(&[]));
    for key in ["a.yaml", "b.yaml", "c.yaml"] {
        s3.put(key, key);
    }
    // Between listing and fetching one object goes and one changes.
    s3.instead(|request| match request.path.as_str() {
        "/podinfo/b.yaml" => Some(storage::error(
            404,
            "NoSuchKey",
            "The specified key does not exist.",
        )),
        "/podinfo/c.yaml" => Some(Response::new(200, "newer").header("etag", "\"newer-1\"")),
        _ => None,
    });
    let mut object = bucket(&s3.endpoint());
    assert_eq!(bench.pass(&mut object).await, Outcome::Done);
    let text = format!("a.yaml {}\nc.yaml newer-1\n", storage::etag("a.yaml"));
    let revision = Algorithm::Sha256.digest(text.as_bytes()).to_string();
    assert_eq!(object.artifact().unwrap().revision, revision);
    assert_eq!(files(&bench.stored(&object)).len(), 2);
    assert_eq!(
        bench.events(),
        ["info NewArtifact stored artifact with 2 fetched files from 'podinfo' bucket"]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn another_digest_algorithm_is_no_change() {
    let (s3, mut bench) = (FakeS3::new(), Bench::new(&[]));
    s3.put("a.yaml", "a: 1\n");
    let mut object = bucket(&s3.endpoint());
    bench.pass(&mut object).await;
    let artifact = object.artifact().unwrap().clone();
    bench.reconciler.shared.storage = open(&bench.data, Algorithm::Sha512);
    s3.seen();
    assert_eq!(bench.pass(&mut object).await, Outcome::Done);
    assert_eq!(object.artifact(), Some(&artifact));
    assert_eq!(s3.seen().len(), 2);
    s3.put("a.yaml", "a: 2\n");
    bench.pass(&mut object).await;
    assert!(object.artifact().unwrap().revision.starts_with("sha512:"));
}

#[tokio::test(flavor = "multi_thread")]
async fn finalize_removes_all_that_was_kept() {
    let (s3, mut bench) = (FakeS3::new(), Bench::new(&[]));
    s3.put("a.yaml", "a: 1\n");
    let mut object = bucket(&s3.endpoint());
    bench.pass(&mut object).await;
    bench.events();
    let digest = object.artifact().unwrap().digest.clone();
    let memory = bench.reconciler.options.memory.clone();
    assert!(memory.recall_blocking("default", "app", &digest).is_some());
    let (mut pass, _drafts) = Pass::new(object.clone(), Interrupt::default(), bench.recorder.clone());
    bench.reconciler.finalize(&mut pass).await.unwrap();
    assert!(!bench.data.join("bucket/default/app").exists());
    assert!(memory.recall_blocking("default", "app", &digest).is_none());
    assert_eq!(
        bench.events(),
        ["trace GarbageCollectionSucceeded garbage collected artifacts for deleted resource"]
    );
}
