//! Recipes and what comes of them.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::Path;
use std::sync::Arc;

use ferro_api::source_extensions::CopyStrategy;
use ferro_artifact::archive::ArchiveWriter;
use ferro_artifact::storage::StorageOptions;
use tokio_util::sync::CancellationToken;

use super::*;

/// Sources on disk, and a folder for archives.
struct Sources {
    folder: tempfile::TempDir,
    trees: BTreeMap<String, Arc<Tree>>,
}

impl Sources {
    /// Files as `alias/path` and their content.
    fn new(files: &[(&str, &[u8])]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("sources");
        for (path, content) in files {
            let path = root.join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, content).unwrap();
        }
        std::fs::create_dir(folder.path().join("scratch")).unwrap();
        let trees = std::fs::read_dir(&root).unwrap().map(|entry| {
            let entry = entry.unwrap();
            let tree = Tree::scan_blocking(&entry.path(), &CancellationToken::new()).unwrap();
            (entry.file_name().into_string().unwrap(), Arc::new(tree))
        });
        let trees = trees.collect();
        Self { folder, trees }
    }

    fn compose(&self, steps: &[CopyOperation]) -> Result<Tree, BuildError> {
        let kitchen = Kitchen {
            sources: &self.trees,
            scratch: &self.folder.path().join("scratch"),
            cancel: &CancellationToken::new(),
        };
        compose_blocking(steps, &kitchen)
    }

    /// The files that come of the steps, with their contents.
    fn files(&self, steps: &[CopyOperation]) -> Vec<(String, String)> {
        let tree = self.compose(steps).unwrap();
        let text = |file: &tree::File| {
            let mut text = String::new();
            file.open().unwrap().1.read_to_string(&mut text).unwrap();
            text
        };
        tree.files()
            .into_iter()
            .map(|(path, file)| (path, text(file)))
            .collect()
    }

    fn paths(&self, steps: &[CopyOperation]) -> Vec<String> {
        self.files(steps).into_iter().map(|(path, _)| path).collect()
    }

    /// What is wrong with a step, without what all such messages begin with.
    fn error(&self, step: CopyOperation) -> String {
        let begin = format!(
            "failed to apply copy operations: failed to apply copy operation from '{}' to '{}': ",
            step.from, step.to
        );
        let error = self.compose(&[step]).unwrap_err().to_string();
        error.strip_prefix(&begin).unwrap_or(&error).to_owned()
    }
}

fn copy(from: &str, to: &str) -> CopyOperation {
    CopyOperation {
        from: from.to_owned(),
        to: to.to_owned(),
        ..CopyOperation::default()
    }
}

fn with(strategy: CopyStrategy, from: &str, to: &str) -> CopyOperation {
    CopyOperation {
        strategy: Some(strategy),
        ..copy(from, to)
    }
}

fn without(exclude: &[&str], from: &str, to: &str) -> CopyOperation {
    CopyOperation {
        exclude: exclude.iter().map(|&pattern| pattern.to_owned()).collect(),
        ..copy(from, to)
    }
}

fn two_sources() -> Sources {
    Sources::new(&[
        ("git/README.md", b"readme"),
        ("git/apps/a.yaml", b"a: 1\n"),
        ("git/apps/deep/b.yaml", b"b: 1\n"),
        ("git/apps/deep/notes.md", b"notes"),
        ("oci/a.yaml", b"a: 2\n"),
        ("oci/values.yaml", b"x: {y: 1}\n"),
    ])
}

#[test]
fn copy_has_the_rules_of_cp() {
    let sources = two_sources();
    let cases: [(&str, &str, &[&str]); 12] = [
        // A file: under its own name, or renamed.
        ("@git/apps/a.yaml", "@artifact/", &["a.yaml"]),
        ("@git/apps/a.yaml", "@artifact/x/", &["x/a.yaml"]),
        ("@git/apps/a.yaml", "@artifact/x", &["x"]),
        ("@git/./apps//a.yaml/", "@artifact/x/y.yaml", &["x/y.yaml"]),
        // A directory: as a whole.
        (
            "@git/apps",
            "@artifact/",
            &["apps/a.yaml", "apps/deep/b.yaml", "apps/deep/notes.md"],
        ),
        (
            "@git/apps/deep/",
            "@artifact/x",
            &["x/deep/b.yaml", "x/deep/notes.md"],
        ),
        // The source: what is in it.
        ("@oci/", "@artifact/x/", &["x/a.yaml", "x/values.yaml"]),
        // Matches keep their paths.
        ("@git/apps/*.yaml", "@artifact/", &["apps/a.yaml"]),
        (
            "@git/apps/*",
            "@artifact/x",
            &["x/apps/a.yaml", "x/apps/deep/b.yaml", "x/apps/deep/notes.md"],
        ),
        // But for the one pattern that means what is in a directory.
        (
            "@git/apps/**",
            "@artifact/x/",
            &["x/a.yaml", "x/deep/b.yaml", "x/deep/notes.md"],
        ),
        ("@oci/**", "@artifact/", &["a.yaml", "values.yaml"]),
        ("@oci/[ab].yaml", "@artifact/", &["a.yaml"]),
    ];
    for (from, to, expected) in cases {
        assert_eq!(sources.paths(&[copy(from, to)]), expected, "{from} {to}");
    }
}

#[test]
fn copy_into_a_directory_that_is_there_keeps_the_name() {
    let steps = [
        copy("@git/apps", "@artifact/"),
        copy("@oci/values.yaml", "@artifact/apps"),
    ];
    assert!(
        two_sources()
            .paths(&steps)
            .contains(&"apps/values.yaml".to_owned())
    );
}

#[test]
fn overwrite_is_the_default_and_the_last_step_wins() {
    let sources = two_sources();
    let steps = |last| [copy("@git/apps/a.yaml", "@artifact/"), last];
    let replaced = [("a.yaml".to_owned(), "a: 2\n".to_owned())];
    assert_eq!(sources.files(&steps(copy("@oci/a.yaml", "@artifact/"))), replaced);
    let explicit = with(CopyStrategy::Overwrite, "@oci/a.yaml", "@artifact/a.yaml");
    assert_eq!(sources.files(&steps(explicit)), replaced);
}

#[test]
fn merge_lays_yaml_over_what_is_there_but_not_inside_of_directories() {
    let sources = Sources::new(&[
        ("base/values.yaml", b"image: {tag: v1, name: app}\nreplicas: 1\n"),
        ("over/values.yaml", b"image: {tag: v2}\n"),
        ("over/new.yaml", b"n:   1\n"),
    ]);
    let merged = "image:\n  name: app\n  tag: v2\nreplicas: 1\n";
    let steps = |from| {
        [
            copy("@base/values.yaml", "@artifact/"),
            with(CopyStrategy::Merge, from, "@artifact/"),
        ]
    };
    assert_eq!(sources.files(&steps("@over/values.yaml"))[0].1, merged);
    let globbed = sources.files(&steps("@over/*.yaml"));
    // What was not there is copied as it is.
    assert_eq!(globbed[0], ("new.yaml".to_owned(), "n:   1\n".to_owned()));
    assert_eq!(globbed[1].1, merged);
    let copied = sources.files(&steps("@over/"));
    assert_eq!(copied[1].1, "image: {tag: v2}\n");
    let broken = Sources::new(&[("s/a.yaml", b"a: 1\n"), ("s/b.yaml", b"- 1\n")]);
    let steps = [
        copy("@s/a.yaml", "@artifact/x"),
        with(CopyStrategy::Merge, "@s/b.yaml", "@artifact/x"),
    ];
    let error = broken.compose(&steps).unwrap_err().to_string();
    assert!(error.contains("cannot unmarshal array into Go value"), "{error}");
}

/// A tar.gz of files.
fn tarball(files: &[(&str, &str)]) -> Vec<u8> {
    let mut writer = ArchiveWriter::new(Vec::new());
    for (path, text) in files {
        writer
            .file(path.as_bytes(), false, text.len() as u64, &mut text.as_bytes())
            .unwrap();
    }
    writer.finish().unwrap()
}

#[test]
fn extract_unpacks_archives_in_place() {
    let (one, two) = (
        tarball(&[("a.yaml", "1"), ("d/b.yaml", "2")]),
        tarball(&[("a.yaml", "3")]),
    );
    let sources = Sources::new(&[
        ("s/one.tar.gz", &one),
        ("s/deep/er/two.TGZ", &two),
        ("s/text.yaml", b"x"),
        ("s/broken.tgz", b"no gzip"),
    ]);
    let extract = |from, to| with(CopyStrategy::Extract, from, to);
    let expected = ["x/a.yaml", "x/d/b.yaml"];
    assert_eq!(
        sources.paths(&[extract("@s/one.tar.gz", "@artifact/x")]),
        expected
    );
    // `**` is any number of directories, and what is no archive is passed by.
    let all = without(&["broken.*"], "@s/**", "@artifact/");
    let all = CopyOperation {
        strategy: Some(CopyStrategy::Extract),
        ..all
    };
    let files = sources.files(&[all]);
    assert_eq!(files.len(), 2, "{files:?}");
    // In the order of the paths, so that deep/er/two.TGZ comes before one.tar.gz.
    assert_eq!(files[0], ("a.yaml".to_owned(), "1".to_owned()));
    assert_eq!(
        sources.error(extract("@s/deep", "@artifact/")),
        "extract strategy is not supported for directories, got 'deep'"
    );
    assert_eq!(
        sources.error(extract("@s/text.yaml", "@artifact/")),
        "extract strategy requires tarball file (.tar.gz or .tgz), got 'text.yaml'"
    );
    let broken = sources.error(extract("@s/broken.tgz", "@artifact/"));
    assert!(
        broken.starts_with("failed to extract tarball \"broken.tgz\" to \".\": "),
        "{broken}"
    );
}

#[test]
fn exclude_leaves_files_and_whole_directories_out() {
    let sources = two_sources();
    let cases: [(&[&str], &str, &[&str]); 5] = [
        (&["*.md"], "@git/", &["apps/a.yaml", "apps/deep/b.yaml"]),
        (&["deep"], "@git/apps", &["apps/a.yaml"]),
        (&["deep/**"], "@git/apps/**", &["a.yaml"]),
        (
            &["apps/deep/*.yaml"],
            "@git/apps/**",
            &["a.yaml", "deep/notes.md"],
        ),
        (&["a.yaml"], "@oci/a.yaml", &[]),
    ];
    for (exclude, from, expected) in cases {
        let found = sources.paths(&[without(exclude, from, "@artifact/")]);
        assert_eq!(found, expected, "{exclude:?} {from}");
    }
}

#[test]
fn steps_that_make_no_sense_are_named_in_upstreams_words() {
    let sources = two_sources();
    let cases = [
        (copy("@git/none", "@artifact/"), "source 'none' does not exist"),
        (
            copy("@git/*.txt", "@artifact/"),
            "no files match pattern '*.txt' in source 'git'",
        ),
        (
            without(&["*"], "@git/*.md", "@artifact/"),
            "all files matching pattern '*.md' in source 'git' were excluded",
        ),
        (
            copy("@git/[a", "@artifact/"),
            "invalid glob pattern '[a': syntax error in pattern",
        ),
        (
            without(&["[a"], "@git/apps", "@artifact/"),
            "invalid exclude pattern '[a'",
        ),
        (copy("@nobody/a", "@artifact/"), "source alias 'nobody' not found"),
        (
            copy("git/a", "@artifact/"),
            "invalid copy source 'git/a': source must start with '@'",
        ),
        (
            copy("@git", "@artifact/"),
            "invalid copy source '@git': source format must be '@alias/pattern'",
        ),
        (
            copy("@git/apps", "@artefact/"),
            "invalid copy destination '@artefact/': destination must start with '@artifact/'",
        ),
    ];
    for (step, expected) in cases {
        assert_eq!(sources.error(step), expected);
    }
}

#[test]
fn paths_never_leave_their_roots() {
    let sources = two_sources();
    for from in ["@git/../oci/a.yaml", "@git//etc/passwd", "@git/apps/../../oci"] {
        let error = sources.error(copy(from, "@artifact/"));
        assert!(error.ends_with("path escapes from parent"), "{error}");
    }
    assert!(
        sources
            .error(copy("@git/../*", "@artifact/"))
            .starts_with("no files match")
    );
    for to in ["@artifact/../x", "@artifact//etc/x", "@artifact/a/../../x"] {
        let error = sources.error(copy("@git/README.md", to));
        assert!(
            error.ends_with("destination path must stay within the artifact root"),
            "{error}"
        );
    }
    let error = sources.error(copy("@git/README.md", "@artifact/a/../x"));
    assert!(
        error.ends_with("destination path must not contain '..'"),
        "{error}"
    );
}

#[test]
fn files_that_do_not_go_together_are_named_in_upstreams_words() {
    let sources = Sources::new(&[
        ("file/x", b"a: 1\n"),
        ("list/x", b"- 1\n"),
        ("broken/x", b"a: [\n"),
        ("folder/x/y", b""),
    ]);
    let merge = |from| with(CopyStrategy::Merge, from, "@artifact/x");
    let cases = [
        (
            copy("@file/x", "@artifact/"),
            merge("@list/x"),
            "cannot unmarshal YAML document: error unmarshaling JSON: while decoding JSON: json: cannot unmarshal array into Go value of type map[string]interface {}",
        ),
        (
            copy("@file/x", "@artifact/"),
            merge("@broken/x"),
            "cannot unmarshal YAML document: error converting YAML to JSON: yaml: line 1: did not find expected node content",
        ),
        (
            copy("@folder/x", "@artifact/"),
            copy("@file/*", "@artifact/"),
            "failed to copy file 'x' to 'x': openat x: is a directory",
        ),
        (
            copy("@file/x", "@artifact/"),
            copy("@folder/x", "@artifact/"),
            "failed to create destination directory: mkdirat x: not a directory",
        ),
        (
            copy("@file/x", "@artifact/"),
            copy("@file/../x", "@artifact/"),
            "failed to stat source '../x': statat ../x: path escapes from parent",
        ),
    ];
    for (first, second, why) in cases {
        let (from, to) = (second.from.clone(), second.to.clone());
        let error = sources.compose(&[first, second]).unwrap_err().to_string();
        let step = format!(
            "failed to apply copy operations: failed to apply copy operation from '{from}' to '{to}'"
        );
        assert_eq!(error, format!("{step}: {why}"));
    }
}

#[test]
fn names_of_two_lines_have_no_checksum() {
    let sources = Sources::new(&[("git/a\nb", b"")]);
    let error = file_name_blocking("app", &sources.trees["git"]).unwrap_err();
    assert_eq!(
        BuildError::from(error).to_string(),
        "failed to hash staging dir: dirhash: filenames with newlines are not supported"
    );
}

#[test]
fn composing_ends_when_it_is_cancelled() {
    let sources = two_sources();
    let cancel = CancellationToken::new();
    cancel.cancel();
    let kitchen = Kitchen {
        sources: &sources.trees,
        scratch: Path::new("/nowhere"),
        cancel: &cancel,
    };
    let outcome = compose_blocking(&[copy("@git/", "@artifact/")], &kitchen);
    assert!(
        outcome
            .unwrap_err()
            .to_string()
            .ends_with("composing was cancelled")
    );
}

#[test]
fn publish_is_deterministic_and_leaves_out_what_nobody_wants() {
    let sources = Sources::new(&[
        ("s/a.yaml", b"a"),
        ("s/.github/ci.yaml", b"x"),
        ("s/logo.png", b"x"),
        ("s/.sops.yaml", b"x"),
    ]);
    let data = tempfile::tempdir().unwrap();
    let storage = Storage::open(StorageOptions::new(data.path(), "host")).unwrap();
    let kitchen = Kitchen {
        sources: &sources.trees,
        scratch: sources.folder.path(),
        cancel: &CancellationToken::new(),
    };
    let publish = || {
        let tree = compose_blocking(&[copy("@s/", "@artifact/")], &kitchen).unwrap();
        publish_blocking(&storage, "ExternalArtifact", "ns", "app", &tree, &kitchen).unwrap()
    };
    let (first, second) = (publish(), publish());
    assert_eq!((&first.digest, &first.path), (&second.digest, &second.path));
    assert!(first.path.to_string().starts_with("externalartifact/ns/app/"));
    let file = storage.open_blocking(&first.path).unwrap();
    let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(file));
    let names: Vec<String> = archive
        .entries()
        .unwrap()
        .map(|entry| entry.unwrap().path().unwrap().display().to_string())
        .collect();
    assert_eq!(names, [".", "a.yaml"]);
}
