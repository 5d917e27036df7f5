//! The store and the cluster, which others change.

use std::fs;
use std::time::SystemTime;

use super::*;

/// A bench with the generator of one output, which was made.
async fn made() -> (Bench, ArtifactGenerator, PathBuf) {
    let mut bench = Bench::new();
    bench.commit("main@sha1:1", &[("a", "1")]);
    let mut object = whole();
    assert_eq!(bench.pass(&mut object).await, Outcome::Done);
    let entry = &drift::inventory(&object)[0];
    let folder = bench.root.path().join("data/externalartifact/ns/app");
    let file = folder.join(&entry.filename);
    (bench, object, file)
}

#[tokio::test]
async fn file_that_is_lost_or_damaged_is_made_again() {
    let (mut bench, mut object, file) = made().await;
    let before = inventory(&object).len();
    fs::remove_file(&file).unwrap();
    assert_eq!(bench.pass(&mut object).await, Outcome::Done);
    assert_eq!(bench.files("app"), [text("a", "1")]);
    bench.idle(&mut object).await;
    fs::write(&file, "damaged").unwrap();
    assert_eq!(bench.pass(&mut object).await, Outcome::Done);
    assert_eq!(bench.files("app"), [text("a", "1")]);
    assert_eq!(inventory(&object).len(), before);
    // The same bytes as before are no news.
    assert!(bench.events().iter().all(|event| event.starts_with("trace")));
    bench.idle(&mut object).await;
}

#[tokio::test]
async fn object_that_is_lost_or_changed_is_made_again() {
    let (mut bench, mut object, _) = made().await;
    let key = ("ns".to_owned(), "app".to_owned());
    let made = bench.output("app").unwrap();
    let client = bench.api.client();
    let api: kube::Api<ExternalArtifact> = kube::Api::namespaced(client, "ns");
    api.delete("app", &Default::default()).await.unwrap();
    bench.reconciler.followed.set_output(key.clone(), None);
    assert_eq!(bench.pass(&mut object).await, Outcome::Done);
    assert_eq!(bench.output("app").unwrap()["status"], made["status"]);
    let changes: [fn(&mut ExternalArtifact); 5] = [
        |live| live.status = None,
        |live| live.status_mut().artifact.as_mut().unwrap().digest = "sha256:0".into(),
        |live| live.status_mut().conditions.clear(),
        |live| live.labels_mut().clear(),
        |live| {
            live.labels_mut().remove("app.kubernetes.io/managed-by");
        },
    ];
    for change in changes {
        bench.idle(&mut object).await;
        let mut live = ExternalArtifact::clone(&bench.reconciler.followed.output(&key).unwrap());
        change(&mut live);
        bench.api.put(&output_path("app"), &live);
        bench
            .reconciler
            .followed
            .set_output(key.clone(), Some(Arc::new(live)));
        assert_eq!(bench.pass(&mut object).await, Outcome::Done);
        let output = bench.output("app").unwrap();
        assert_eq!(
            output["status"]["artifact"]["digest"],
            made["status"]["artifact"]["digest"]
        );
        assert_eq!(output["metadata"]["labels"], made["metadata"]["labels"]);
    }
}

#[tokio::test]
async fn new_address_of_the_store_reaches_the_objects() {
    let (mut bench, mut object, _) = made().await;
    bench.reconciler.storage = storage(&bench.root, "elsewhere:8080");
    assert_eq!(bench.pass(&mut object).await, Outcome::Done);
    let url = bench.output("app").unwrap()["status"]["artifact"]["url"].clone();
    assert!(
        url.as_str()
            .unwrap()
            .starts_with("http://elsewhere:8080/externalartifact/ns/app/")
    );
    bench.idle(&mut object).await;
}

#[tokio::test]
async fn old_files_are_collected_and_the_current_one_stays() {
    let (mut bench, mut object, first) = made().await;
    let old = SystemTime::now() - Duration::from_secs(3600);
    fs::File::options()
        .write(true)
        .open(&first)
        .unwrap()
        .set_modified(old)
        .unwrap();
    bench.commit("main@sha1:2", &[("a", "2")]);
    bench.pass(&mut object).await;
    assert!(!first.exists());
    let second = first.with_file_name(&drift::inventory(&object)[0].filename);
    assert!(second.exists());
    // Within the retention, the one before it is kept for those who are about to fetch it.
    bench.commit("main@sha1:3", &[("a", "3")]);
    bench.pass(&mut object).await;
    assert!(second.exists());
}

#[tokio::test]
async fn restart_makes_nothing_again_that_is_there() {
    let (mut bench, mut object, _) = made().await;
    // Another process: it has read no file yet.
    bench.reconciler.storage = storage(&bench.root, "source-watcher.flux-system.svc.");
    bench.idle(&mut object).await;
}
