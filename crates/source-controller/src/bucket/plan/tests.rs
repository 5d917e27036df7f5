//! Archives of what is kept and what was received, against archives of folders with the same files.

use std::fs;
use std::io::{Seek as _, Write as _};

use ferro_artifact::archive::archive_blocking;
use ferro_artifact::digest::Algorithm;
use ferro_artifact::ignore::Matcher;
use ferro_artifact::tree::DiskDirectory;
use proptest::prelude::*;

use super::*;

type Files = BTreeMap<String, Vec<u8>>;

/// Files whose order in an archive is not that of their keys, and some that are odd.
fn files() -> Files {
    let mut files: Files = [
        "a-b", "a.b", "a/b", "a/b-c", "a/b.c/d", "a/c/d", "a0", "A", "z/ä", "a b+%",
    ]
    .into_iter()
    .map(|key| (key.to_owned(), key.repeat(40).into_bytes()))
    .collect();
    files.insert("empty".to_owned(), Vec::new());
    files.insert("z/empty".to_owned(), Vec::new());
    files.insert(format!("deep/{}", "name/".repeat(30) + "leaf"), b"deep".to_vec());
    files.insert("x".repeat(200), b"long".to_vec());
    files.insert(
        "large".to_owned(),
        (0..300_000_u64).map(|it| (it * it / 7 % 251) as u8).collect(),
    );
    files
}

fn spool() -> Spool {
    Spool::create_blocking(&std::env::temp_dir()).unwrap()
}

fn temporary(bytes: &[u8]) -> File {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(bytes).unwrap();
    file.rewind().unwrap();
    file
}

/// The archive of `files`, of which those that `last` has with the same content are kept.
fn write(files: &Files, last: Option<(&Files, &[u8])>) -> Result<Vec<u8>, WriteError> {
    write_from(
        files,
        last.map(|(had, bytes)| (had, bytes, Algorithm::Sha256.digest(bytes))),
    )
}

/// As [`write`], where `last` should have a digest.
fn write_from(files: &Files, last: Option<(&Files, &[u8], Digest)>) -> Result<Vec<u8>, WriteError> {
    let (spool, mut plan) = (spool(), Plan::default());
    for (key, content) in files {
        if last
            .as_ref()
            .is_some_and(|(had, ..)| had.get(key) == Some(content))
        {
            plan.keep(key).unwrap();
        } else {
            plan.expect(key).unwrap();
            plan.receive(key, spool.put_blocking(content).unwrap());
        }
    }
    let last = last.map(|(_, bytes, digest)| (temporary(bytes), digest));
    let mut out = Vec::new();
    plan.write_blocking(&spool, last, &CancellationToken::new(), &mut out)?;
    Ok(out)
}

/// The archive of a folder with these files.
fn of_folder(files: &Files) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    for (key, content) in files {
        let path = folder.path().join(key);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
    let tree = DiskDirectory::new(folder.path());
    let (limits, cancel) = (ArchiveLimits::default(), CancellationToken::new());
    archive_blocking(&tree, &Matcher::default(), limits, &cancel, Vec::new())
        .unwrap()
        .0
}

#[test]
fn what_is_kept_and_what_is_received_make_the_bytes_of_a_folder() {
    let base = files();
    let first = write(&base, None).unwrap();
    assert!(first == of_folder(&base));
    let with = |changes: &[(&str, Option<&str>)]| {
        let mut files = base.clone();
        for (key, content) in changes {
            match content {
                Some(content) => drop(files.insert((*key).to_owned(), content.as_bytes().to_vec())),
                None => assert!(files.remove(*key).is_some(), "{key}"),
            }
        }
        files
    };
    let cases: [&[(&str, Option<&str>)]; 14] = [
        &[],
        &[("a/b", Some("changed"))],
        &[("A", Some("")), ("z/empty", Some("full"))],
        &[
            ("a/a", Some("before")),
            ("a/bb", Some("between")),
            ("zz", Some("after")),
        ],
        &[("a/b", None), ("a0", None)],
        // Directories that come and go.
        &[("a/c/d", None), ("a/c/e/f", Some("deeper"))],
        &[("a/b.c/d", None), ("a/b.c", Some("a file now"))],
        &[("a0", None), ("a0/b", Some("a directory now"))],
        // Renamed: the content is the same, the key is not.
        &[("large", None), ("larger", Some("x"))],
        &[("a-b", None), ("a/-b", Some("a-b"))],
        &[("a.b", None), ("a,b", Some("a.b"))],
        &[("A", None), ("B", Some("A"))],
        &[("empty", None), ("emptied", Some(""))],
        &[("large", Some("small"))],
    ];
    for changes in cases {
        let files = with(changes);
        let merged = write(&files, Some((&base, &first))).unwrap();
        assert!(merged == of_folder(&files), "{changes:?}");
    }
    assert!(write(&Files::new(), Some((&base, &first))).unwrap() == of_folder(&Files::new()));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_change_makes_the_bytes_of_all_being_received(
        old in proptest::collection::btree_map("[ab]{1,2}(/[ab.-]{1,2}x){0,2}", any::<Vec<u8>>(), 0..12),
        new in proptest::collection::btree_map("[ab]{1,2}(/[ab.-]{1,2}x){0,2}", any::<Vec<u8>>(), 0..12),
        both in proptest::collection::btree_map("[ab]{1,2}(/[ab.-]{1,2}x){0,2}", any::<Vec<u8>>(), 0..12),
    ) {
        let of = |own: Files| {
            let mut plan = Plan::default();
            let all = own.into_iter().chain(both.clone());
            all.filter(|(key, _)| plan.expect(key).is_ok()).collect::<Files>()
        };
        let (old, new) = (of(old), of(new));
        let last = write(&old, None).unwrap();
        let merged = write(&new, Some((&old, &last))).unwrap();
        prop_assert!(merged == write(&new, None).unwrap());
    }
}

#[test]
fn large_archives_are_merged_to_the_same_bytes() {
    let mut files: Files = (0..60_u32)
        .map(|index| {
            (
                format!("{index:03}"),
                (0..200_000_u32).map(|it| (it * index / 3 % 241) as u8).collect(),
            )
        })
        .collect();
    let last = write(&files, None).unwrap();
    let old = files.clone();
    files.insert("030".to_owned(), b"changed".to_vec());
    files.remove("050");
    let merged = write(&files, Some((&old, &last))).unwrap();
    assert!(merged == write(&files, None).unwrap());
}

#[test]
fn last_artifact_that_is_another_or_broken_is_told() {
    let base = files();
    let whole = write(&base, None).unwrap();
    let mut changed = base.clone();
    changed.insert("m".to_owned(), b"new".to_vec());
    let told = |bytes: &[u8]| match write(&changed, Some((&base, bytes))) {
        Err(WriteError::Last(error)) => error.to_string(),
        other => panic!("{:?}", other.map(|bytes| bytes.len())),
    };
    for length in [0, 1, 10, whole.len() / 2] {
        told(&whole[..length]);
    }
    told(b"not an archive");
    let mut damaged = whole.clone();
    for at in [20, whole.len() / 2, whole.len() - 1] {
        damaged[at] ^= 1;
        let digest = Algorithm::Sha256.digest(&whole);
        let written = write_from(&changed, Some((&base, &damaged, digest)));
        assert!(matches!(written, Err(WriteError::Last(_))), "{at}");
    }
    // A tar that ends within a file, in a gzip that does not.
    let mut tar = Vec::new();
    MultiGzDecoder::new(BufReader::new(whole.as_slice()))
        .read_to_end(&mut tar)
        .unwrap();
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&tar[..100_000]).unwrap();
    told(&gzip.finish().unwrap());
    let mut without = base.clone();
    without.remove("a0");
    let missing = told(&write(&without, None).unwrap());
    assert_eq!(missing, "it has no file 'a0' where it should be");
    // All is there, but in the order of the keys.
    let mut unsorted = tar::Builder::new(flate2::write::GzEncoder::new(
        Vec::new(),
        flate2::Compression::fast(),
    ));
    for (key, content) in &base {
        let mut header = tar::Header::new_ustar();
        header.set_size(content.len() as u64);
        unsorted
            .append_data(&mut header, key, content.as_slice())
            .unwrap();
    }
    told(&unsorted.into_inner().unwrap().finish().unwrap());

    // All is there, but it is not the file that it was.
    let (spool, mut plan) = (spool(), Plan::default());
    plan.keep("A").unwrap();
    let other = Algorithm::Sha256.digest(b"another file");
    let last = Some((temporary(&whole), other));
    let written = plan.write_blocking(&spool, last, &CancellationToken::new(), &mut Vec::new());
    let Err(WriteError::Last(error)) = written else {
        panic!("{written:?}");
    };
    assert!(
        error.to_string().starts_with("computed digest 'sha256:"),
        "{error}"
    );
}

#[test]
fn objects_without_a_place_of_their_own_are_refused() {
    let mut plan = Plan::default();
    for key in ["a/b", "/c", "d//e", "a-b", "a.b"] {
        plan.expect(key).unwrap();
    }
    for (key, expected) in [
        ("a//b", PathError::SamePath),
        ("c", PathError::SamePath),
        ("a", PathError::ThroughObject),
        ("a/b/c", PathError::ThroughObject),
        ("c/d/e", PathError::ThroughObject),
        ("d", PathError::ThroughObject),
    ] {
        assert_eq!(plan.keep(key), Err(expected), "{key}");
    }
    assert_eq!(plan.expect(&"x".repeat(256)), Err(PathError::TooLong));
    assert_eq!(plan.expect(&"x/".repeat(2001)), Err(PathError::TooLong));
    assert_eq!(plan.expect(&"x".repeat(255)), Ok(()));
}

#[test]
fn what_did_not_come_is_left_out_and_a_pass_that_was_cut_short_writes_nothing() {
    let (spool, mut plan) = (spool(), Plan::default());
    plan.expect("gone").unwrap();
    plan.expect("there").unwrap();
    plan.receive("there", spool.put_blocking(b"there").unwrap());
    let cancel = CancellationToken::new();
    let mut out = Vec::new();
    plan.write_blocking(&spool, None, &cancel, &mut out).unwrap();
    let there = Files::from([("there".to_owned(), b"there".to_vec())]);
    assert!(out == of_folder(&there));
    cancel.cancel();
    let cut = plan.write_blocking(&spool, None, &cancel, &mut out).unwrap_err();
    assert!(
        matches!(cut, WriteError::Archive(ArchiveError::Tree(TreeError::Cancelled))),
        "{cut}"
    );
}
