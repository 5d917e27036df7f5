//! What is taken out of the last artifact, and what is fetched again because that is not what it should be.

use super::*;

/// Keys whose order in an archive is not their own, and an object without content.
const KEYS: [&str; 7] = ["a-b", "a.b", "a/b", "a/c/d", "a0", "empty", "z"];

/// What is put, with its content, and what is removed.
type Step = (&'static [(&'static str, &'static str)], &'static [&'static str]);

fn filled() -> FakeS3 {
    let s3 = FakeS3::new();
    for key in KEYS {
        s3.put(key, if key == "empty" { "" } else { key });
    }
    s3
}

fn fetched(s3: &FakeS3) -> Vec<String> {
    let is_object = |request: &String| !request.ends_with(" list") && !request.ends_with(" .sourceignore");
    let mut seen: Vec<_> = s3.seen().into_iter().filter(is_object).collect();
    seen.sort();
    seen
}

/// The digest of the artifact that somebody makes who has nothing yet.
async fn digest_of_all(s3: &FakeS3) -> String {
    let mut object = bucket(&s3.endpoint());
    assert_eq!(Bench::new(&[]).pass(&mut object).await, Outcome::Done);
    object.artifact().unwrap().digest.clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_make_the_artifact_that_fetching_all_makes() {
    let (s3, mut bench) = (filled(), Bench::new(&[]));
    let mut object = bucket(&s3.endpoint());
    bench.pass(&mut object).await;
    let steps: [Step; 6] = [
        (&[("a/b", "changed")], &[]),
        (&[("a", "a file in place of a folder")], &["a/b", "a/c/d"]),
        (&[("a/b/c", "and back")], &["a"]),
        (&[("A", "first"), ("zz", "last"), ("a/b-c", "between")], &[]),
        (&[("renamed", "z"), ("empty", "no longer")], &["z", "zz"]),
        (&[("a.b", "")], &["A"]),
    ];
    for (put, removed) in steps {
        for key in removed {
            s3.remove(key);
        }
        for (key, content) in put {
            s3.put(key, content);
        }
        s3.seen();
        assert_eq!(bench.pass(&mut object).await, Outcome::Done, "{put:?}");
        let mut expected: Vec<_> = put.iter().map(|(key, _)| format!("GET {key}")).collect();
        expected.sort();
        assert_eq!(fetched(&s3), expected);
        assert_eq!(
            object.artifact().unwrap().digest,
            digest_of_all(&s3).await,
            "{put:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn name_with_a_line_end_is_fetched_each_time_and_takes_nothing_else_along() {
    let (s3, mut bench) = (filled(), Bench::new(&[]));
    s3.put("ä\n", "odd");
    let mut object = bucket(&s3.endpoint());
    bench.pass(&mut object).await;
    s3.put("a/b", "changed");
    s3.seen();
    assert_eq!(bench.pass(&mut object).await, Outcome::Done);
    assert_eq!(fetched(&s3), ["GET a/b", "GET ä\n"]);
    assert_eq!(object.artifact().unwrap().digest, digest_of_all(&s3).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn last_artifact_that_is_another_file_has_all_fetched_again() {
    let (s3, mut bench) = (filled(), Bench::new(&[]));
    let mut object = bucket(&s3.endpoint());
    bench.pass(&mut object).await;
    let whole = std::fs::read(bench.stored(&object)).unwrap();
    let mut other = bucket(&s3.endpoint());
    other.spec.ignore = Some("z".to_owned());
    let mut elsewhere = Bench::new(&[]);
    elsewhere.pass(&mut other).await;
    let lacking = std::fs::read(elsewhere.stored(&other)).unwrap();
    for (count, bytes) in [&whole[..whole.len() / 2], b"", b"nothing of ours", &lacking]
        .into_iter()
        .enumerate()
    {
        // As the controller would have made it.
        std::fs::write(bench.stored(&object), bytes).unwrap();
        let memory = bench.reconciler.options.memory.clone();
        let artifact = object.artifact().unwrap().clone();
        let mut record = memory
            .recall_blocking("default", "app", &artifact.digest)
            .unwrap();
        record.digest = Algorithm::Sha256.digest(bytes).to_string();
        memory.record_blocking("default", "app", &record);
        let digest = record.digest;
        object.set_artifact(Some(ferro_api::meta::Artifact { digest, ..artifact }));

        s3.put("changed", &count.to_string());
        s3.seen();
        assert_eq!(bench.pass(&mut object).await, Outcome::Done);
        let mut expected: Vec<_> = KEYS.iter().map(|key| format!("GET {key}")).collect();
        expected.extend(["GET changed".to_owned(), "GET changed".to_owned()]);
        expected.sort();
        assert_eq!(fetched(&s3), expected);
        assert_eq!(object.artifact().unwrap().digest, digest_of_all(&s3).await);
        assert_eq!(conditions_of(&object), READY);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn objects_that_cannot_be_files_are_refused_before_anything_is_fetched() {
    let long = format!("dir/{}", "x".repeat(256));
    let cases = [
        (
            "a//b",
            "failed to get 'a/b' object: another object has the same path",
        ),
        (
            "a/b/c",
            "failed to get 'a/b/c' object: its path leads through another object",
        ),
        (
            &long,
            "its path has more than 4000 bytes, or a name in it more than 255",
        ),
    ];
    for (key, expected) in cases {
        let (s3, mut bench) = (filled(), Bench::new(&[]));
        s3.put(key, key);
        let mut object = bucket(&s3.endpoint());
        assert!(matches!(bench.pass(&mut object).await, Outcome::Backoff { .. }));
        let message = message_of(&object, "FetchFailed");
        assert!(
            message.starts_with("fetch from bucket 'podinfo' failed: "),
            "{message}"
        );
        assert!(message.contains(expected), "{message}");
        assert_eq!(fetched(&s3), Vec::<String>::new());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn place_for_temporary_files_that_is_none_is_told() {
    let (s3, mut bench) = (filled(), Bench::new(&[]));
    bench.reconciler.options.scratch = bench.data.join("missing");
    let mut object = bucket(&s3.endpoint());
    let message = "failed to create temporary working directory: No such file or directory (os error 2)";
    let outcome = bench.pass(&mut object).await;
    assert!(
        matches!(&outcome, Outcome::Backoff { error } if error.starts_with(message)),
        "{outcome:?}"
    );
    assert!(
        message_of(&object, "StorageOperationFailed").starts_with(message),
        "{object:?}"
    );
    assert!(
        conditions_of(&object).contains(&"StorageOperationFailed=True/DirectoryCreationFailed".to_owned())
    );
    let event = bench.events().pop().unwrap();
    assert!(
        event.starts_with(&format!("error DirectoryCreationFailed {message}")),
        "{event}"
    );
}
