//! The storage on a real disk.

use std::collections::HashSet;
use std::convert::Infallible;
use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, SystemTime};

use ferro_artifact::storage::{
    ArtifactPath, Integrity, ObjectKey, PublishError, Storage, StorageError, StorageOptions,
};

fn storage() -> (tempfile::TempDir, Storage) {
    let dir = tempfile::tempdir().unwrap();
    let storage = Storage::open(StorageOptions::new(dir.path(), "source.example.")).unwrap();
    (dir, storage)
}

fn path(file: &str) -> ArtifactPath {
    ArtifactPath::new("GitRepository", "default", "app", file).unwrap()
}

fn publish(storage: &Storage, file: &str, content: &str) -> ferro_artifact::storage::Stored {
    let write = |out: &mut dyn Write| {
        out.write_all(content.as_bytes()).unwrap();
        Ok::<_, Infallible>(())
    };
    storage.publish_blocking(&path(file), write).unwrap().0
}

#[test]
fn open_missing_base_is_refused() {
    let error = Storage::open(StorageOptions::new("/does/not/exist", "x")).unwrap_err();
    assert!(matches!(error, StorageError::InvalidBase { .. }), "{error}");
}

#[test]
fn publish_replaces_whole_files_with_closed_modes() {
    let (dir, storage) = storage();
    let stored = publish(&storage, "a.tar.gz", "one");
    assert_eq!(stored.size, 3);
    assert_eq!(stored.digest.to_string(), format!("sha256:{}", sha256("one")));
    assert_eq!(
        storage.url(&stored.path),
        "http://source.example./gitrepository/default/app/a.tar.gz"
    );
    let file = dir.path().join("gitrepository/default/app/a.tar.gz");
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(
        fs::metadata(file.parent().unwrap()).unwrap().permissions().mode() & 0o777,
        0o700
    );
    publish(&storage, "a.tar.gz", "two");
    assert_eq!(fs::read_to_string(&file).unwrap(), "two");
    // A failed publish leaves the old file and nothing else.
    let failed = storage.publish_blocking(&path("a.tar.gz"), |out| {
        out.write_all(b"half").unwrap();
        Err::<(), _>(std::io::Error::other("source broke"))
    });
    assert!(matches!(failed, Err(PublishError::Content(_))));
    assert_eq!(fs::read_to_string(&file).unwrap(), "two");
    assert_eq!(fs::read_dir(file.parent().unwrap()).unwrap().count(), 1);
}

#[test]
fn publish_that_fails_leaves_what_was_there_and_nothing_else() {
    let (base, storage) = storage();
    let stored = publish(&storage, "a.tar.gz", "good");
    let outcome = storage.publish_blocking(&path("a.tar.gz"), |out| {
        out.write_all(b"half of it")?;
        Err::<(), _>(std::io::Error::other("the source broke off"))
    });
    assert!(matches!(outcome, Err(PublishError::Content(_))), "{outcome:?}");
    let location = storage.locate(&stored.path);
    assert_eq!(fs::read_to_string(&location).unwrap(), "good");
    let files = fs::read_dir(location.parent().unwrap()).unwrap().count();
    assert_eq!(files, 1, "{}", base.path().display());
}

#[test]
fn publish_beyond_the_quota_says_that_the_storage_is_full() {
    let base = tempfile::tempdir().unwrap();
    let options = StorageOptions {
        quota: Some(100),
        ..StorageOptions::new(base.path(), "host")
    };
    let storage = Storage::open(options).unwrap();
    publish(&storage, "a.tar.gz", &"a".repeat(60));
    let too_much = |out: &mut dyn Write| out.write_all(&[b'b'; 60]);
    let outcome = storage.publish_blocking(&path("b.tar.gz"), too_much);
    let Err(PublishError::Storage(error @ StorageError::Full { .. })) = outcome else {
        panic!("{outcome:?}");
    };
    let expected = "the storage is full: failed to write 'gitrepository/default/app/b.tar.gz'";
    assert_eq!(error.to_string(), expected);
    let cause = std::error::Error::source(&error).unwrap().to_string();
    assert_eq!(cause, "all artifacts together may not have more than 100 bytes");
    // Room that is made can be used.
    storage.remove_blocking(&path("a.tar.gz")).unwrap();
    publish(&storage, "b.tar.gz", &"b".repeat(60));
}

fn sha256(text: &str) -> String {
    ferro_artifact::digest::Algorithm::Sha256
        .digest(text.as_bytes())
        .hex()
        .to_owned()
}

#[test]
fn verify_finds_missing_and_changed_files() {
    let (dir, storage) = storage();
    let stored = publish(&storage, "a.tar.gz", "one");
    let digest = stored.digest.to_string();
    assert_eq!(
        storage.verify_blocking(&stored.path, &digest).unwrap(),
        Integrity::Intact
    );
    // Another process may open the same storage, and old digests of other algorithms stay good.
    let other = Storage::open(StorageOptions::new(dir.path(), "x")).unwrap();
    assert_eq!(
        other.verify_blocking(&stored.path, &digest).unwrap(),
        Integrity::Intact
    );
    let sha1 = ferro_artifact::digest::Algorithm::Sha1.digest(b"one").to_string();
    assert_eq!(
        other.verify_blocking(&stored.path, &sha1).unwrap(),
        Integrity::Intact
    );
    fs::write(storage.locate(&stored.path), "xxx").unwrap();
    let found = storage.verify_blocking(&stored.path, &digest).unwrap();
    assert!(matches!(found, Integrity::Mismatch { .. }), "{found:?}");
    let found = storage.verify_blocking(&stored.path, "junk").unwrap();
    assert!(matches!(found, Integrity::Mismatch { .. }), "{found:?}");
    storage.remove_blocking(&stored.path).unwrap();
    storage.remove_blocking(&stored.path).unwrap();
    assert_eq!(
        storage.verify_blocking(&stored.path, &digest).unwrap(),
        Integrity::Missing
    );
}

#[test]
fn storage_symlinked_directories_are_not_followed() {
    let (dir, storage) = storage();
    let outside = tempfile::tempdir().unwrap();
    fs::create_dir_all(dir.path().join("gitrepository/default")).unwrap();
    std::os::unix::fs::symlink(outside.path(), dir.path().join("gitrepository/default/app")).unwrap();
    let write = |_: &mut dyn Write| Ok::<_, Infallible>(());
    let error = storage.publish_blocking(&path("a.tar.gz"), write).unwrap_err();
    assert!(
        matches!(error, PublishError::Storage(StorageError::NotPlain { .. })),
        "{error}"
    );
    assert!(storage.lock_blocking(&path("a.tar.gz")).is_err());
    let key = ObjectKey::new("GitRepository", "default", "app");
    assert!(storage.remove_object_blocking(&key).is_err());
    assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 0);
}

#[test]
fn collect_garbage_keeps_current_and_removes_locks() {
    let (_dir, storage) = storage();
    for (index, file) in ["a.tar.gz", "b.tar.gz", "c.tar.gz"].into_iter().enumerate() {
        drop(storage.lock_blocking(&path(file)).unwrap());
        publish(&storage, file, file);
        let age = Duration::from_secs(50 - 10 * index as u64);
        let file = fs::File::open(storage.locate(&path(file))).unwrap();
        file.set_modified(SystemTime::now() - age).unwrap();
    }
    storage.link_blocking(&path("c.tar.gz"), "latest.tar.gz").unwrap();
    let limit = Duration::from_secs(5);
    let current = path("c.tar.gz");
    let garbage = storage
        .collect_garbage_blocking(&current, SystemTime::now(), limit)
        .unwrap();
    assert_eq!(garbage.removed, [storage.locate(&path("a.tar.gz"))]);
    let later = SystemTime::now() + Duration::from_secs(600);
    let garbage = storage.collect_garbage_blocking(&current, later, limit).unwrap();
    assert_eq!(garbage.removed, [storage.locate(&path("b.tar.gz"))]);
    let mut left: Vec<_> = fs::read_dir(storage.locate(&current).parent().unwrap())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    left.sort();
    assert_eq!(left, ["c.tar.gz", "c.tar.gz.lock", "latest.tar.gz"]);
}

#[test]
fn sweep_removes_only_idle_orphans_of_its_kinds() {
    let (dir, storage) = storage();
    for (kind, name) in [
        ("GitRepository", "live"),
        ("GitRepository", "dead"),
        ("ExternalArtifact", "other"),
    ] {
        let path = ArtifactPath::new(kind, "default", name, "x.tar.gz").unwrap();
        storage
            .publish_blocking(&path, |_| Ok::<_, Infallible>(()))
            .unwrap();
    }
    let live = HashSet::from([ObjectKey::new("GitRepository", "default", "live")]);
    let (now, grace) = (SystemTime::now(), Duration::from_secs(60));
    let swept = storage
        .sweep_blocking(&["gitrepository"], &live, now, grace)
        .unwrap();
    assert!(swept.is_empty(), "touched a moment ago");
    let later = now + Duration::from_secs(120);
    let swept = storage
        .sweep_blocking(&["gitrepository"], &live, later, grace)
        .unwrap();
    assert_eq!(swept, [ObjectKey::new("GitRepository", "default", "dead")]);
    assert!(dir.path().join("externalartifact/default/other").exists());
    assert!(dir.path().join("gitrepository/default/live").exists());
    assert!(!dir.path().join("gitrepository/default/dead").exists());
}

#[test]
fn lock_is_exclusive() {
    let (dir, storage) = storage();
    let lock = storage.lock_blocking(&path("a.tar.gz")).unwrap();
    let file = fs::File::open(dir.path().join("gitrepository/default/app/a.tar.gz.lock")).unwrap();
    assert!(file.try_lock().is_err());
    drop(lock);
    file.try_lock().unwrap();
}
