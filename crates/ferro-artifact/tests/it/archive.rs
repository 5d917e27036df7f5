//! Archives of real directories, read back with an independent reader.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use ferro_artifact::archive::{ArchiveError, ArchiveLimits, ArchiveStats, FileArchive, archive_blocking};
use ferro_artifact::fetch::{UnpackLimits, extract_blocking};
use ferro_artifact::ignore::{Matcher, parse_patterns};
use ferro_artifact::tree::{
    self, Directory, DiskDirectory, Entry, EntryKind, Mount, MountSource, Overlay, TreeError,
};
use tokio_util::sync::CancellationToken;

fn write(root: &Path, name: &str, content: &str) {
    let path = root.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, content).unwrap();
}

fn archive(root: &dyn Directory, matcher: &Matcher) -> Result<(Vec<u8>, ArchiveStats), ArchiveError> {
    archive_blocking(
        root,
        matcher,
        ArchiveLimits::default(),
        &CancellationToken::new(),
        Vec::new(),
    )
}

/// The entries as `name mode type`, with contents apart.
fn read(bytes: &[u8]) -> (Vec<String>, BTreeMap<String, String>) {
    let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(bytes));
    let (mut entries, mut contents) = (Vec::new(), BTreeMap::new());
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        let name = String::from_utf8(entry.path_bytes().into_owned()).unwrap();
        let header = entry.header();
        assert_eq!(
            (
                header.uid().unwrap(),
                header.gid().unwrap(),
                header.mtime().unwrap()
            ),
            (0, 0, 0)
        );
        let kind = char::from(header.entry_type().as_byte());
        entries.push(format!("{name} {:o} {kind}", header.mode().unwrap()));
        if kind == '0' {
            let mut content = String::new();
            entry.read_to_string(&mut content).unwrap();
            contents.insert(name, content);
        }
    }
    (entries, contents)
}

#[test]
fn archive_of_a_directory_has_the_specified_form() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "b.yaml", "b");
    write(dir.path(), "a.b", "a dot b");
    write(dir.path(), "a/z.yaml", "z");
    write(dir.path(), "run.sh", "#!");
    write(dir.path(), "empty/.keep", "");
    write(dir.path(), ".git/HEAD", "ref");
    fs::set_permissions(dir.path().join("run.sh"), fs::Permissions::from_mode(0o654)).unwrap();
    std::os::unix::fs::symlink("b.yaml", dir.path().join("link.yaml")).unwrap();
    let tree = DiskDirectory::new(dir.path());
    let (bytes, stats) = archive(
        &tree,
        &Matcher::load_blocking(&tree, None, &Default::default()).unwrap(),
    )
    .unwrap();
    let (entries, contents) = read(&bytes);
    let expected = [
        ". 750 5",
        "a 750 5",
        "a/z.yaml 600 0",
        "a.b 600 0",
        "b.yaml 600 0",
        "empty 750 5",
        "empty/.keep 600 0",
        "run.sh 700 0",
    ];
    assert_eq!(entries, expected);
    assert_eq!(contents["a.b"], "a dot b");
    assert_eq!(
        stats,
        ArchiveStats {
            entries: 8,
            files: 5,
            bytes: 11
        }
    );
    // Gzip: deflate, no flags, no time, no extra flags, unknown system.
    assert_eq!(bytes[..10], [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255]);
}

#[test]
fn archive_twice_gives_equal_bytes_whatever_the_times() {
    let make = |age: u64| {
        let dir = tempfile::tempdir().unwrap();
        for index in 0..50 {
            write(
                dir.path(),
                &format!("d{}/f{index}.yaml", index % 7),
                &"text ".repeat(index * 97),
            );
        }
        let when = std::time::SystemTime::now() - std::time::Duration::from_secs(age);
        fs::File::open(dir.path().join("d0/f0.yaml"))
            .unwrap()
            .set_modified(when)
            .unwrap();
        let tree = DiskDirectory::new(dir.path());
        archive(
            &tree,
            &Matcher::load_blocking(&tree, None, &Default::default()).unwrap(),
        )
        .unwrap()
        .0
    };
    assert_eq!(make(0), make(100_000));
}

#[test]
fn archive_long_and_foreign_names_survive() {
    let dir = tempfile::tempdir().unwrap();
    let names = [
        format!("{}/{}", "d".repeat(90), "f".repeat(90)),
        "ü/ß.yaml".to_owned(),
        "x".repeat(180),
        format!("{0}/{0}/{0}", "deep".repeat(40)),
    ];
    for name in &names {
        write(dir.path(), name, name);
    }
    let tree = DiskDirectory::new(dir.path());
    let (_, contents) = read(
        &archive(
            &tree,
            &Matcher::load_blocking(&tree, None, &Default::default()).unwrap(),
        )
        .unwrap()
        .0,
    );
    for name in &names {
        assert_eq!(contents.get(name), Some(name));
    }
}

#[test]
fn archive_ignore_rules_of_nested_files_apply_to_their_directory() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "apps/.sourceignore", "*.md\n/secret\n!keep.md\n");
    write(dir.path(), "apps/readme.md", "");
    write(dir.path(), "apps/deep/keep.md", "");
    write(dir.path(), "apps/secret/x.yaml", "");
    write(dir.path(), "apps/deep/secret/x.yaml", "");
    write(dir.path(), "readme.md", "");
    write(dir.path(), "logo.png", "");
    write(dir.path(), ".gitignore", "");
    let tree = DiskDirectory::new(dir.path());
    let (entries, _) = read(
        &archive(
            &tree,
            &Matcher::load_blocking(&tree, None, &Default::default()).unwrap(),
        )
        .unwrap()
        .0,
    );
    let files: Vec<_> = entries
        .iter()
        .filter_map(|entry| entry.strip_suffix(" 600 0"))
        .collect();
    let expected = [
        "apps/.sourceignore",
        "apps/deep/keep.md",
        "apps/deep/secret/x.yaml",
        "logo.png",
        "readme.md",
    ];
    assert_eq!(files, expected);
    // The object's own rules come last and win; the defaults stay off.
    let matcher = Matcher::load_blocking(&tree, Some("/*\n!/apps/secret"), &Default::default()).unwrap();
    let (entries, _) = read(&archive(&tree, &matcher).unwrap().0);
    assert_eq!(
        entries,
        [". 750 5", "apps/secret 750 5", "apps/secret/x.yaml 600 0"]
    );
}

#[test]
fn archive_ignore_file_that_is_a_link_counts_where_it_is() {
    let link = |target: &str, from: &Path| std::os::unix::fs::symlink(target, from).unwrap();
    let root = tempfile::tempdir().unwrap();
    let dir = root.path().join("tree");
    write(&dir, "rules/shared", "*.md\n");
    write(&dir, "apps/readme.md", "");
    write(&dir, "other/readme.md", "");
    write(&dir, "out/readme.md", "");
    write(&dir, "../outside", "*\n");
    link("../rules/shared", &dir.join("apps/.sourceignore"));
    // What leads out, to a directory or nowhere has no rules.
    link("../../outside", &dir.join("out/.sourceignore"));
    link("../rules", &dir.join("other/.sourceignore"));
    link("/etc/hostname", &dir.join("rules/.sourceignore"));
    link("gone", &dir.join(".sourceignore"));
    let tree = DiskDirectory::new(&dir);
    let matcher = Matcher::load_blocking(&tree, None, &Default::default()).unwrap();
    let (entries, _) = read(&archive(&tree, &matcher).unwrap().0);
    let files: Vec<_> = entries
        .iter()
        .filter_map(|entry| entry.strip_suffix(" 600 0"))
        .collect();
    assert_eq!(files, ["other/readme.md", "out/readme.md", "rules/shared"]);
}

#[test]
fn archive_beyond_its_limits_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "a", "12345");
    write(dir.path(), "b", "12345");
    let tree = DiskDirectory::new(dir.path());
    let run = |limits| {
        archive_blocking(
            &tree,
            &Matcher::default(),
            limits,
            &CancellationToken::new(),
            Vec::new(),
        )
        .map(drop)
    };
    let error = run(ArchiveLimits {
        max_entries: 2,
        max_bytes: 100,
    })
    .unwrap_err();
    assert!(
        matches!(error, ArchiveError::Tree(TreeError::TooManyEntries { limit: 2 })),
        "{error}"
    );
    let error = run(ArchiveLimits {
        max_entries: 3,
        max_bytes: 9,
    })
    .unwrap_err();
    assert_eq!(
        error.to_string(),
        "files of more than 9 bytes in total, exceeded at 'b'"
    );
    run(ArchiveLimits {
        max_entries: 3,
        max_bytes: 10,
    })
    .unwrap();
    let cancelled = CancellationToken::new();
    cancelled.cancel();
    let result = archive_blocking(
        &tree,
        &Matcher::default(),
        ArchiveLimits::default(),
        &cancelled,
        Vec::new(),
    );
    assert!(matches!(result, Err(ArchiveError::Tree(TreeError::Cancelled))));
}

#[test]
fn overlay_mounts_replace_what_they_cover() {
    let (base, include) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    write(base.path(), "app.yaml", "base");
    write(base.path(), "lib/old.yaml", "base");
    write(base.path(), "lib/deep/old.yaml", "base");
    write(include.path(), "new.yaml", "include");
    let include = DiskDirectory::new(include.path());
    let found = tree::with_path(
        &include,
        &tree::components("./new.yaml"),
        &mut |found| match found {
            MountSource::File(file) => file.read_all(100).unwrap(),
            MountSource::Directory(_) => Vec::new(),
        },
    );
    assert_eq!(found.unwrap(), Some(b"include".to_vec()));
    let mounts = vec![
        Mount::new("lib/deep/../deep", MountSource::Directory(&include)),
        Mount::new("/third/party", MountSource::Directory(&include)),
        Mount::new("lib/deep/inner", MountSource::Directory(&include)),
    ];
    let overlay = Overlay::new(Box::new(DiskDirectory::new(base.path())), mounts);
    let (_, contents) = read(&archive(&overlay, &Matcher::default()).unwrap().0);
    let found: Vec<_> = contents
        .iter()
        .map(|(name, text)| format!("{name}={text}"))
        .collect();
    let expected = [
        "app.yaml=base",
        "lib/deep/inner/new.yaml=include",
        "lib/deep/new.yaml=include",
        "lib/old.yaml=base",
        "third/party/new.yaml=include",
    ];
    assert_eq!(found, expected);
    let clash = vec![Mount::new("app.yaml/x", MountSource::Directory(&include))];
    let overlay = Overlay::new(Box::new(DiskDirectory::new(base.path())), clash);
    let error = archive(&overlay, &Matcher::default()).unwrap_err();
    assert_eq!(error.to_string(), "'app.yaml' is not a directory");
}

/// A tree object that names the same subtree ten times, twenty levels deep.
struct Fan(u32);

impl Directory for Fan {
    fn entries(&self) -> Result<Vec<Entry<'_>>, TreeError> {
        let names = (b'0'..=b'9').map(|name| vec![name]);
        Ok(names
            .take(if self.0 == 0 { 0 } else { 10 })
            .map(|name| Entry {
                name,
                kind: EntryKind::Directory(Box::new(Self(self.0 - 1))),
            })
            .collect())
    }
}

#[test]
fn tree_that_multiplies_is_refused() {
    let result = Matcher::load_blocking(&Fan(20), None, &CancellationToken::new());
    assert!(matches!(result, Err(TreeError::TooManyEntries { .. })));

    // Excluded, but a rule might include something below.
    let matcher = Matcher::new(parse_patterns(b"/*\n!/none", &[]));
    let error = archive(&Fan(20), &matcher).unwrap_err();
    assert!(
        matches!(error, ArchiveError::Tree(TreeError::TooManyEntries { .. })),
        "{error:?}"
    );
}

#[test]
fn ignore_rules_are_bounded_and_end_when_told() {
    let many = "x\n".repeat(10_001);
    let result = Matcher::load_blocking(&Fan(1), Some(&many), &CancellationToken::new());
    assert!(matches!(result, Err(TreeError::TooManyRules { .. })));

    let cancelled = CancellationToken::new();
    cancelled.cancel();
    let result = Matcher::load_blocking(&Fan(20), None, &cancelled);
    assert!(matches!(result, Err(TreeError::Cancelled)));
}

#[test]
fn archive_of_a_large_directory_is_unpacked_whole() {
    let (dir, unpacked) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let content = |index: usize| format!("{index} of many\n").repeat(70_000);
    for index in 0..14 {
        write(dir.path(), &format!("{index:02}.txt"), &content(index));
    }
    let tree = DiskDirectory::new(dir.path());
    let matcher = Matcher::load_blocking(&tree, None, &Default::default()).unwrap();
    let (bytes, _) = archive(&tree, &matcher).unwrap();
    assert_eq!(archive(&tree, &matcher).unwrap().0, bytes);
    extract_blocking(bytes.as_slice(), unpacked.path(), UnpackLimits::default()).unwrap();
    for index in 0..14 {
        let text = fs::read_to_string(unpacked.path().join(format!("{index:02}.txt"))).unwrap();
        assert!(text == content(index), "{index}");
    }
}

#[test]
fn files_that_come_one_by_one_make_the_archive_of_their_folder() {
    let dir = tempfile::tempdir().unwrap();
    let long = format!("deep/{}leaf", "name/".repeat(40));
    let mut paths = [
        "a-b", "a.b", "a/b", "a/b-c", "a/c/d/e", "a0", "empty", "ä/ö", &long,
    ];
    for path in paths {
        write(dir.path(), path, if path == "empty" { "" } else { path });
    }
    paths.sort_unstable_by(|a, b| Path::new(a).cmp(Path::new(b)));
    let (expected, stats) = archive(&DiskDirectory::new(dir.path()), &Matcher::default()).unwrap();
    let cancel = CancellationToken::new();
    let mut files = FileArchive::start_blocking(Vec::new(), ArchiveLimits::default(), &cancel).unwrap();
    for path in paths {
        let content = fs::read(dir.path().join(path)).unwrap();
        let size = content.len() as u64;
        files
            .file_blocking(Path::new(path), size, &mut content.as_slice())
            .unwrap();
    }
    assert_eq!(files.finish_blocking().unwrap(), (expected, stats));
}

#[test]
fn files_that_no_folder_could_have_are_refused() {
    let cancel = CancellationToken::new();
    let limits = ArchiveLimits {
        max_entries: 5,
        max_bytes: 10,
    };
    let refused = |paths: &[&str]| {
        let mut files = FileArchive::start_blocking(Vec::new(), limits, &cancel).unwrap();
        let mut results = paths
            .iter()
            .map(|path| files.file_blocking(Path::new(path), 3, &mut &b"abc"[..]));
        results.find_map(Result::err).map(|error| error.to_string())
    };
    assert_eq!(refused(&["a/b", "c"]), None);
    for (paths, expected) in [
        (&["b", "a"][..], "file 'a' is out of order"),
        (&["a-b", "a/b"], "file 'a/b' is out of order"),
        (&["a", "a"], "tree entry 'a' occurs twice"),
        (&["a", "a/b"], "tree entry 'a/b' occurs twice"),
        (&["../a"], "tree entry '../a' has a name that no archive may hold"),
        (&["/a"], "tree entry '/a' has a name that no archive may hold"),
        (&["a//b"], "tree entry 'a//b' has a name that no archive may hold"),
        (&["a\0"], "tree entry 'a\0' has a name that no archive may hold"),
        (&[""], "tree entry '' has a name that no archive may hold"),
        (
            &["a", "b", "c", "d"],
            "files of more than 10 bytes in total, exceeded at 'd'",
        ),
        (&["a/b/c/d/e"], "more than 5 files and directories"),
    ] {
        assert_eq!(refused(paths).as_deref(), Some(expected));
    }
    let mut files = FileArchive::start_blocking(Vec::new(), limits, &cancel).unwrap();
    assert!(files.file_blocking(Path::new("a"), 4, &mut &b"abc"[..]).is_err());
    cancel.cancel();
    let cut = files
        .file_blocking(Path::new("b"), 3, &mut &b"abc"[..])
        .unwrap_err();
    assert!(matches!(cut, ArchiveError::Tree(TreeError::Cancelled)), "{cut}");
}
