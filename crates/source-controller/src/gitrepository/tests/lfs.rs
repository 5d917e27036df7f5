//! Objects of Git LFS, when the annotation asks for them.

use std::io::Read as _;

use bytes::Bytes;
use ferro_testkit::http::Response;
use ferro_testkit::lfs::{LfsServer, oid, pointer};

use super::*;

/// The content of a file in a stored artifact.
fn content(path: &Path, name: &str) -> String {
    let file = std::fs::File::open(path).unwrap();
    let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(file));
    let mut entries = archive.entries().unwrap().map(Result::unwrap);
    let mut found = entries
        .find(|entry| entry.path().unwrap().as_os_str() == name)
        .unwrap();
    let mut text = String::new();
    found.read_to_string(&mut text).unwrap();
    text
}

fn ask(object: &mut GitRepository, value: &str) {
    object
        .annotations_mut()
        .insert("source.toolkit.fluxcd.io/lfs".to_owned(), value.to_owned());
}

#[tokio::test(flavor = "multi_thread")]
async fn lfs_objects_are_in_the_artifact_when_they_are_asked_for() {
    let mut bench = Bench::new(&[]);
    let repository_of = Repository::new();
    let server = LfsServer::start(&[("app", &repository_of)], Access::default());
    let stands = server.put(b"large");
    repository_of.write("a.bin", &stands);
    // What the default rules leave out is not fetched.
    repository_of.write("logo.png", &pointer(&oid(b"nowhere"), 7));
    repository_of.commit("One");
    repository_of.push();
    let mut object = repository(&server.url("app"));
    for value in ["", "true"] {
        ask(&mut object, value);
        assert_eq!(bench.pass(&mut object).await, Outcome::Done);
        assert_eq!(content(&bench.stored(&object), "a.bin"), stands);
    }
    assert!(server.take_seen().is_empty());
    let plain = object.artifact().unwrap().clone();

    // The revision is the same, and made anew.
    ask(&mut object, "enabled");
    assert_eq!(bench.pass(&mut object).await, Outcome::Done);
    assert_eq!(content(&bench.stored(&object), "a.bin"), "large");
    assert_eq!(names(&bench.stored(&object)), [".", "a.bin"]);
    let full = object.artifact().unwrap().clone();
    assert_eq!(full.revision, plain.revision);
    assert_ne!(full.digest, plain.digest);
    assert_eq!(server.take_seen().len(), 2);
    assert_eq!(bench.pass(&mut object).await, Outcome::Done);
    assert_eq!(object.artifact(), Some(&full));
    assert!(server.take_seen().is_empty());

    object.annotations_mut().clear();
    assert_eq!(bench.pass(&mut object).await, Outcome::Done);
    assert_eq!(object.artifact().unwrap().digest, plain.digest);
    assert!(object.artifact().unwrap().metadata.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn lfs_object_that_cannot_be_had_keeps_the_last_artifact() {
    let mut bench = Bench::new(&[]);
    let repository_of = Repository::new();
    let server = LfsServer::start(&[("app", &repository_of)], Access::default());
    repository_of.publish("a.bin", &server.put(b"one"));
    let mut object = repository(&server.url("app"));
    ask(&mut object, "enabled");
    assert_eq!(bench.pass(&mut object).await, Outcome::Done);
    let artifact = object.artifact().unwrap().clone();
    bench.events();

    repository_of.publish("a.bin", &pointer(&oid(b"gone"), 4));
    let url = server.url("app");
    let failed = |reason: &str| {
        let prefix = format!("failed to checkout and determine revision: unable to clone '{url}'");
        format!("{prefix}: failed to fetch LFS objects: {reason}")
    };
    bench.pass(&mut object).await;
    let message = message_of(&object, "FetchFailed").to_owned();
    let oid_of = oid(b"gone");
    let expected = failed(&format!(
        "object {oid_of} of 'a.bin': the server answers 404: Object does not exist"
    ));
    assert_eq!(message.replace("list remote for", "clone"), expected);
    let conditions = conditions_of(&object);
    assert!(
        conditions.contains(&"FetchFailed=True/GitOperationFailed".to_owned()),
        "{conditions:?}"
    );
    assert_eq!(bench.events(), [format!("error GitOperationFailed {message}")]);
    assert_eq!(object.artifact(), Some(&artifact));
    assert_eq!(content(&bench.stored(&object), "a.bin"), "one");

    // More than the flag allows.
    repository_of.publish("a.bin", &pointer(&oid(b"gone"), 1 << 40));
    bench.pass(&mut object).await;
    let message = message_of(&object, "Ready");
    assert!(
        message.ends_with("more than the 1048576 bytes that are allowed for one revision"),
        "{message}"
    );

    // A body that never ends has the object's time.
    let senders = Mutex::new(Vec::new());
    server.transfer(move |_, content| {
        let (sender, pieces) = mpsc::channel(1);
        sender.try_send(content.unwrap().slice(..1)).unwrap();
        senders.lock().unwrap().push(sender);
        Response::stream(200, pieces)
    });
    repository_of.publish("a.bin", &server.put(b"two"));
    object.spec.timeout = Some(ferro_api::meta::Duration::from_nanos(1_000_000_000));
    bench.pass(&mut object).await;
    let message = message_of(&object, "Ready");
    assert!(message.ends_with("context deadline exceeded"), "{message}");
    assert_eq!(object.artifact(), Some(&artifact));

    server.transfer(|_, _| Response::new(200, Bytes::from_static(b"TWO")));
    object.spec.timeout = None;
    bench.pass(&mut object).await;
    assert!(message_of(&object, "Ready").contains("the server sent another content"));
    server.behave();
    assert_eq!(bench.pass(&mut object).await, Outcome::Done);
    assert_eq!(content(&bench.stored(&object), "a.bin"), "two");
}
