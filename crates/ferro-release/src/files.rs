//! Values from files of sources, which an annotation of a release names (`docs/values-files.md`). Beyond upstream, and only where the
//! annotation asks for it.

use std::io::{self, Read as _};
use std::path::{Component, Path};

use ferro_api::annotation;
use ferro_api::helm::HelmRelease;
use ferro_runtime::sources::{SourceId, SourceKind};
use kube::ResourceExt;
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::source::{FILE_KINDS, non_empty};
use crate::values::table;

/// So many files are read.
const MAX_FILES: usize = 32;
/// Bytes that a file may have: what fits into a ConfigMap, where values come from otherwise.
const MAX_BYTES: u64 = 1 << 20;
/// Characters that names of objects may have.
const MAX_NAME: usize = 253;

/// A file with values in the artifact of a source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ValuesFile {
    /// The kind of its source.
    pub kind: SourceKind,
    /// Its source.
    pub source: SourceId,
    /// Where it is in the artifact.
    pub path: String,
    /// Whether source or file may be missing.
    pub is_optional: bool,
}

/// The annotation names no files.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// It is no YAML.
    #[error("annotation {name}: {0}", name = annotation::VALUES_FILES)]
    Yaml(#[from] ferro_yaml::Error),
    /// It is something else than a list.
    #[error("annotation {name}: write a list of files, each with kind, name and path", name = annotation::VALUES_FILES)]
    NoList,
    /// It asks for too much.
    #[error("annotation {name}: there are more than {MAX_FILES} files", name = annotation::VALUES_FILES)]
    TooMany,
    /// An entry names no file.
    #[error("annotation {name}: file {number}: {problem}", name = annotation::VALUES_FILES)]
    File {
        /// Its place in the list, from one.
        number: usize,
        /// What is wrong.
        problem: String,
    },
}

/// A file that is named cannot be had, or holds no values.
#[derive(Debug, thiserror::Error)]
#[error("could not take values from file '{}' of {}{}: {problem}", file.path, shown(&file.source), at(revision.as_deref()))]
pub struct FileError {
    /// Which file.
    pub file: ValuesFile,
    /// Of which revision of the source, if it has one.
    pub revision: Option<String>,
    /// What is wrong.
    pub problem: String,
}

/// A source as messages have it.
#[must_use]
pub fn shown(source: &SourceId) -> String {
    format!("{} '{}/{}'", source.kind, source.namespace, source.name)
}

fn at(revision: Option<&str>) -> String {
    revision.map_or_else(String::new, |revision| format!(" at revision '{revision}'"))
}

/// What a user writes of a file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    kind: String,
    #[serde(default)]
    namespace: Option<String>,
    name: String,
    path: String,
    #[serde(default)]
    optional: bool,
}

/// Whether the release may name files at all. Cheap.
#[must_use]
pub fn has_files(release: &HelmRelease) -> bool {
    release.annotations().contains_key(annotation::VALUES_FILES)
}

/// The files that a release takes values from, in the order in which they are merged.
///
/// # Errors
/// When the annotation is no list of files.
pub fn files_of(release: &HelmRelease) -> Result<Vec<ValuesFile>, Unreadable> {
    let Some(text) = release.annotations().get(annotation::VALUES_FILES) else {
        return Ok(Vec::new());
    };
    let entries = match ferro_yaml::sigs::from_slice_strict(text)? {
        Value::Null => return Ok(Vec::new()),
        Value::Array(entries) if entries.len() > MAX_FILES => return Err(Unreadable::TooMany),
        Value::Array(entries) => entries,
        _ => return Err(Unreadable::NoList),
    };
    let own = release.namespace().unwrap_or_default();
    let files = entries
        .into_iter()
        .zip(1..)
        .map(|(entry, number)| file(entry, &own).map_err(|problem| Unreadable::File { number, problem }));
    files.collect()
}

fn file(entry: Value, own: &str) -> Result<ValuesFile, String> {
    let entry: Entry = serde_json::from_value(entry).map_err(|error| error.to_string())?;
    let kind = FILE_KINDS.into_iter().find(|kind| kind.kind == entry.kind);
    let kind = kind.ok_or_else(|| {
        let known = FILE_KINDS.map(|kind| kind.kind).join(", ");
        format!("kind '{}' is none of {known}", entry.kind)
    })?;
    let namespace = non_empty(entry.namespace.as_deref()).unwrap_or(own);
    for name in [&entry.name, namespace] {
        if !is_name(name) {
            return Err(format!("'{name}' is no name of an object"));
        }
    }
    let mut parts = Path::new(&entry.path).components().peekable();
    let is_inside = parts.peek().is_some()
        && parts.all(|part| matches!(part, Component::Normal(_) | Component::CurDir))
        && !entry.path.contains('\0');
    if !is_inside {
        return Err(format!(
            "path '{}' is not that of a file in the artifact: write it relative to the artifact's root and without '..'",
            entry.path
        ));
    }
    Ok(ValuesFile {
        kind,
        source: SourceId {
            kind: kind.kind,
            namespace: namespace.to_owned(),
            name: entry.name,
        },
        path: entry.path,
        is_optional: entry.optional,
    })
}

fn is_name(text: &str) -> bool {
    let may_have =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'.');
    let is_edge = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    let bytes = text.as_bytes();
    text.len() <= MAX_NAME
        && bytes.iter().copied().all(may_have)
        && is_edge(bytes.first())
        && is_edge(bytes.last())
}

/// The values in a file of the artifact that is unpacked at `root`; nothing if it has no such file.
///
/// # Errors
/// Says why they cannot be had.
pub fn read_blocking(root: &Path, path: &str) -> Result<Option<Map<String, Value>>, String> {
    match content(root, path) {
        Ok(content) => table(&content).map(Some),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error.to_string()),
    }
}

fn content(root: &Path, path: &str) -> io::Result<Vec<u8>> {
    let root = root.canonicalize()?;
    let full = root.join(path).canonicalize()?;
    // Artifacts are unpacked without links; this holds whoever has unpacked it.
    if !full.starts_with(&root) {
        return Err(io::Error::other("a link leads out of the artifact"));
    }
    if !full.metadata()?.is_file() {
        return Err(io::Error::other("it is not a file"));
    }
    let mut content = Vec::new();
    std::fs::File::open(full)?
        .take(MAX_BYTES + 1)
        .read_to_end(&mut content)?;
    if content.len() as u64 > MAX_BYTES {
        return Err(io::Error::other(format!("it is larger than {MAX_BYTES} bytes")));
    }
    Ok(content)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn named(text: &str) -> Result<Vec<ValuesFile>, Unreadable> {
        let release = json!({ "metadata": { "name": "app", "namespace": "ns", "annotations": {
            "helm.toolkit.fluxcd.io/valuesFiles": text } } });
        files_of(&serde_json::from_value(release).unwrap())
    }

    #[test]
    fn files_are_named_by_source_and_path() {
        let files = named(
            "- {kind: GitRepository, name: config, path: ./shop/values.yaml}\n\
             - {kind: Bucket, name: b, namespace: other, path: v.yaml, optional: true}\n",
        )
        .unwrap();
        let told: Vec<_> = files
            .iter()
            .map(|file| format!("{} {} {}", file.source, file.path, file.is_optional))
            .collect();
        assert_eq!(
            told,
            [
                "GitRepository/ns/config ./shop/values.yaml false",
                "Bucket/other/b v.yaml true"
            ]
        );
        assert_eq!(files[1].kind.plural, "buckets");
        for nothing in ["", " \n", "[]", "# none"] {
            assert_eq!(named(nothing).unwrap(), [], "{nothing:?}");
        }
        assert_eq!(files_of(&HelmRelease::default()).unwrap(), []);
    }

    #[test]
    fn annotation_that_names_no_files_is_refused_with_what_is_wrong() {
        let entry = |fields: &str| named(&format!("- {{{fields}}}")).unwrap_err().to_string();
        let begin = "annotation helm.toolkit.fluxcd.io/valuesFiles: ";
        for (fields, problem) in [
            ("kind: Bucket, name: b", "missing field `path`"),
            (
                "kind: Bucket, name: b, path: v, optinal: true",
                "unknown field `optinal`",
            ),
            (
                "kind: HelmChart, name: b, path: v",
                "kind 'HelmChart' is none of GitRepository, OCIRepository, Bucket, ExternalArtifact",
            ),
            (
                "kind: Bucket, name: b/c, path: v",
                "'b/c' is no name of an object",
            ),
            (
                "kind: Bucket, name: b, namespace: .., path: v",
                "'..' is no name of an object",
            ),
            ("kind: Bucket, name: b, path: ''", "path '' is not that of a file"),
            (
                "kind: Bucket, name: b, path: a/../../v",
                "path 'a/../../v' is not that of a file",
            ),
            (
                "kind: Bucket, name: b, path: /v",
                "path '/v' is not that of a file",
            ),
        ] {
            let error = entry(fields);
            assert!(error.starts_with(&format!("{begin}file 1: {problem}")), "{error}");
        }
        assert_eq!(named("kind: Bucket").unwrap_err(), Unreadable::NoList);
        let many = "- {kind: Bucket, name: b, path: v}\n".repeat(33);
        assert_eq!(named(&many).unwrap_err(), Unreadable::TooMany);
        let broken = named("- {kind: Bucket\n").unwrap_err().to_string();
        assert!(broken.starts_with(&format!("{begin}yaml: line ")), "{broken}");
        let twice = entry("kind: Bucket, kind: Bucket, name: b, path: v");
        assert!(twice.contains("kind"), "{twice}");
    }

    #[test]
    fn files_are_read_within_the_artifact_and_its_bounds() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("artifact");
        std::fs::create_dir_all(root.join("shop")).unwrap();
        let write = |path: &str, text: &str| std::fs::write(root.join(path), text).unwrap();
        write("shop/values.yaml", "a: 1\n");
        write("list.yaml", "[a]");
        write("broken.yaml", "a: 1\nb: [\n");
        write("large.yaml", &"#".repeat(usize::try_from(MAX_BYTES).unwrap() + 1));
        std::fs::write(dir.path().join("secret"), "a: 1").unwrap();
        std::os::unix::fs::symlink("../secret", root.join("out.yaml")).unwrap();
        let read = |path: &str| read_blocking(&root, path);
        assert_eq!(
            Value::Object(read("./shop/values.yaml").unwrap().unwrap()),
            json!({ "a": 1.0 })
        );
        assert_eq!(read("shop/other.yaml"), Ok(None));
        for (path, problem) in [
            ("list.yaml", "cannot unmarshal array"),
            ("broken.yaml", "yaml: line "),
            ("large.yaml", "larger than 1048576 bytes"),
            ("out.yaml", "a link leads out of the artifact"),
            ("shop", "it is not a file"),
        ] {
            let error = read(path).unwrap_err();
            assert!(error.contains(problem), "{path}: {error}");
        }
    }

    #[test]
    fn errors_name_file_source_and_revision() {
        let file = named("- {kind: GitRepository, name: config, path: v.yaml}")
            .unwrap()
            .remove(0);
        let error = FileError {
            file,
            revision: Some("main@sha1:1".to_owned()),
            problem: "file not found".to_owned(),
        };
        assert_eq!(
            error.to_string(),
            "could not take values from file 'v.yaml' of GitRepository 'ns/config' at revision 'main@sha1:1': file not found"
        );
    }
}
