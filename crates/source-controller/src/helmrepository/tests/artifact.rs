//! How an index is stored, kept and stored again.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn first_index_then_nothing_new_then_a_new_one() {
    let (server, mut bench) = (HelmServer::start(), Bench::new());
    server.validators(true);
    let index = server.serve(&[("app", "1.0.0"), ("app", "1.1.0")]);
    let mut object = repository(&server.url());
    assert_eq!(bench.pass(&mut object).await, Outcome::Done);
    assert_eq!(conditions_of(&object), READY);
    let digest = Algorithm::Sha256.digest(index.as_bytes());
    let stored = format!("stored artifact: revision '{digest}'");
    assert_eq!(message_of(&object, "Ready"), stored);
    assert_eq!(message_of(&object, "ArtifactInStorage"), stored);
    assert_eq!(object.observed_generation(), Some(1));
    let artifact = object.artifact().unwrap().clone();
    assert_eq!(artifact.revision, digest.to_string());
    let path = format!("helmrepository/default/app/index-{}.yaml", digest.hex());
    assert_eq!(artifact.path, path);
    let base = "http://source-controller.flux-system.svc.";
    assert_eq!(artifact.url, format!("{base}/{path}"));
    let content = std::fs::read(bench.stored(&object)).unwrap();
    assert_eq!(artifact.digest, Algorithm::Sha256.digest(&content).to_string());
    assert_ne!(artifact.digest, artifact.revision, "what is stored is JSON");
    let content: serde_json::Value = serde_json::from_slice(&content).unwrap();
    assert_eq!(content["entries"]["app"][0]["version"], "1.1.0");
    let status = object.status.as_ref().unwrap();
    let link = format!("{base}/helmrepository/default/app/index.yaml");
    assert_eq!(status.url.as_deref(), Some(link.as_str()));
    let link = bench.data.join("helmrepository/default/app/index.yaml");
    assert_eq!(
        std::fs::canonicalize(link).unwrap(),
        std::fs::canonicalize(bench.stored(&object)).unwrap()
    );
    let told = |object: &HelmRepository| {
        let size = human_size(object.artifact().unwrap().size.unwrap());
        let url = &object.spec.url;
        format!("info NewArtifact stored fetched index of size {size} from '{url}'")
    };
    assert_eq!(bench.events(), [told(&object)]);
    assert!(bench.cache.get(&artifact.path, Instant::now()).is_some());

    // Nothing new: one conditional request, no event, no call of the API server, and a status that is equal to the last byte.
    assert_eq!(server.seen(), ["GET /charts/index.yaml"]);
    let before = object.clone();
    assert_eq!(bench.pass(&mut object).await, Outcome::Done);
    assert_eq!(object, before);
    let etag = Algorithm::Sha1.digest(index.as_bytes());
    let asked = format!("GET /charts/index.yaml if-none-match=\"{}\"", etag.hex());
    assert_eq!(server.seen(), [asked]);
    assert_eq!(bench.events(), Vec::<String>::new());
    assert_eq!(bench.api.take_request_lines(), Vec::<String>::new());

    // Who asks is told.
    let requested = annotation::RECONCILE_REQUESTED_AT.to_owned();
    object.metadata.annotations = Some([(requested, "now".to_owned())].into());
    bench.pass(&mut object).await;
    let up_to_date = format!("trace ArtifactUpToDate artifact up-to-date with remote revision: '{digest}'");
    assert_eq!(bench.events(), [up_to_date]);

    let index = server.serve(&[("app", "1.0.0"), ("app", "1.2.0")]);
    assert_eq!(bench.pass(&mut object).await, Outcome::Done);
    assert_eq!(conditions_of(&object), READY);
    let second = Algorithm::Sha256.digest(index.as_bytes());
    assert_eq!(object.artifact().unwrap().revision, second.to_string());
    assert_eq!(bench.events().last(), Some(&told(&object)));
    assert!(bench.data.join(&artifact.path).exists(), "who still reads it can");
}

#[tokio::test(flavor = "multi_thread")]
async fn server_that_tells_nothing_is_compared_by_content() {
    let (server, mut bench) = (HelmServer::start(), Bench::new());
    server.serve(&[("app", "1.0.0")]);
    let mut object = repository(&server.url());
    bench.pass(&mut object).await;
    bench.events();
    server.seen();
    let before = object.clone();
    assert_eq!(bench.pass(&mut object).await, Outcome::Done);
    assert_eq!(object, before);
    assert_eq!(server.seen(), ["GET /charts/index.yaml"]);
    assert_eq!(bench.events(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn revision_is_compared_by_the_algorithm_that_made_it() {
    let (server, limits) = (HelmServer::start(), Limits::default());
    let index = server.serve(&[("app", "1.0.0")]);
    let mut bench = Bench::with(limits, Algorithm::Sha512, 0);
    let mut object = repository(&server.url());
    bench.pass(&mut object).await;
    let revision = Algorithm::Sha512.digest(index.as_bytes()).to_string();
    assert_eq!(object.artifact().unwrap().revision, revision);

    // Another algorithm since: what is stored stays, and the next index gets the new one.
    let mut other = Bench::with(limits, Algorithm::Sha256, 0);
    copy(&bench.data, &other.data);
    let before = object.clone();
    assert_eq!(other.pass(&mut object).await, Outcome::Done);
    assert_eq!(object, before);
    let index = server.serve(&[("app", "2.0.0")]);
    other.pass(&mut object).await;
    let revision = Algorithm::Sha256.digest(index.as_bytes()).to_string();
    assert_eq!(object.artifact().unwrap().revision, revision);
}

/// Copies the artifacts of the object of the tests.
fn copy(from: &std::path::Path, to: &std::path::Path) {
    let folder = "helmrepository/default/app";
    std::fs::create_dir_all(to.join(folder)).unwrap();
    for entry in std::fs::read_dir(from.join(folder)).unwrap() {
        let path = entry.unwrap().path();
        if std::fs::symlink_metadata(&path).unwrap().is_file() {
            std::fs::copy(&path, to.join(folder).join(path.file_name().unwrap())).unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn damaged_or_missing_index_is_stored_again() {
    let (server, mut bench) = (HelmServer::start(), Bench::new());
    server.validators(true);
    server.serve(&[("app", "1.0.0")]);
    let mut object = repository(&server.url());
    bench.pass(&mut object).await;
    bench.events();
    let digest = object.artifact().unwrap().digest.clone();
    std::fs::write(bench.stored(&object), "damaged").unwrap();
    server.seen();
    assert_eq!(bench.pass(&mut object).await, Outcome::Done);
    assert_eq!(
        server.seen(),
        ["GET /charts/index.yaml"],
        "what is not there is not compared"
    );
    assert!(bench.events()[0].starts_with("error ArtifactVerificationFailed"));
    assert_eq!(object.artifact().unwrap().digest, digest);

    std::fs::remove_file(bench.stored(&object)).unwrap();
    server.instead(|_| Some(Response::new(500, "")));
    bench.pass(&mut object).await;
    let status = object.status.as_ref().unwrap();
    assert!(status.artifact.is_none() && status.url.is_none());
    assert!(object.condition(condition::ARTIFACT_IN_STORAGE).is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn full_cache_is_told_and_does_no_harm() {
    let (server, mut bench) = (HelmServer::start(), Bench::new());
    server.serve(&[("app", "1.0.0")]);
    bench
        .cache
        .set("other", Arc::new(Table::default()), Instant::now())
        .unwrap();
    let mut object = repository(&server.url());
    assert_eq!(bench.pass(&mut object).await, Outcome::Done);
    assert_eq!(conditions_of(&object), READY);
    let events = bench.events();
    assert_eq!(
        events[0],
        "trace CacheOperationFailed failed to cache index: Cache is full"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn deletion_suspension_and_registries() {
    let (server, mut bench) = (HelmServer::start(), Bench::new());
    server.serve(&[("app", "1.0.0")]);
    let mut object = repository(&server.url());
    bench.pass(&mut object).await;
    bench.events();
    assert!(!bench.reconciler.is_static(&object));
    object.metadata.generation = Some(2);
    bench.reconciler.suspended(&mut object);
    assert_eq!(object.observed_generation(), Some(2));

    // One that is in a registry now has nothing to store; what it had goes.
    let path = object.artifact().unwrap().path.clone();
    object.spec.type_ = Some(ferro_api::source::HelmRepositoryType::Oci);
    assert!(bench.reconciler.is_static(&object));
    let (mut pass, _drafts) = Pass::new(object.clone(), Interrupt::default(), bench.recorder.clone());
    bench.reconciler.finalize(&mut pass).await.unwrap();
    assert!(!bench.data.join("helmrepository/default/app").exists());
    assert!(bench.cache.get(&path, Instant::now()).is_none());
    assert_eq!(
        bench.events(),
        ["trace GarbageCollectionSucceeded garbage collected artifacts for deleted resource"]
    );
}

#[test]
fn sizes_are_written_in_decimal_units() {
    let cases = [
        (0, "0B"),
        (999, "999B"),
        (1000, "1kB"),
        (1234, "1.234kB"),
        (45_678_901, "45.68MB"),
        (999_999, "1000kB"),
    ];
    for (bytes, expected) in cases {
        assert_eq!(human_size(bytes), expected);
    }
}
