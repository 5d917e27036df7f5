//! Manifests in local files.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, anyhow, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ferro_api::Kind as _;
use ferro_api::helm::{HelmRelease, ValuesSourceKind};
use kube::ResourceExt as _;
use serde_json::Value;

/// An object in a file.
#[derive(Clone, Debug)]
pub struct Manifest {
    /// Where it is: the file, and the line that it begins at.
    pub place: String,
    /// The object.
    pub value: Value,
}

impl Manifest {
    fn text(&self, pointer: &str) -> &str {
        self.value
            .pointer(pointer)
            .and_then(Value::as_str)
            .unwrap_or_default()
    }
}

/// Reads a file, with the words of Go for what goes wrong.
///
/// # Errors
///
/// Returns an error if it cannot be read.
pub fn read_file(path: &str) -> Result<Vec<u8>> {
    std::fs::read(path).map_err(|error| anyhow!("open {path}: {}", reason(&error)))
}

/// Says what is wrong with a file, in the words of Go.
#[must_use]
pub fn reason(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::NotFound => "no such file or directory".to_owned(),
        std::io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
        std::io::ErrorKind::IsADirectory => "is a directory".to_owned(),
        _ => error.to_string(),
    }
}

/// Reads the objects of a file with YAML documents.
///
/// # Errors
///
/// Returns an error if the file cannot be read, or a document is no YAML; it names file and line.
pub fn manifests(path: &str) -> Result<Vec<Manifest>> {
    let bytes = read_file(path)?;
    let text = String::from_utf8(bytes).map_err(|_| anyhow!("{path} is not UTF-8 text"))?;
    let mut found = Vec::new();
    for (line, document) in documents(&text) {
        let place = format!("{path}:{line}");
        let value: Value = ferro_yaml::sigs::from_slice(document.as_bytes())
            .map_err(|error| anyhow!("{place}: the document that begins here: {error}"))?;
        collect(value, &place, &mut found);
    }
    Ok(found)
}

/// Adds an object, or the items of a list.
fn collect(value: Value, place: &str, found: &mut Vec<Manifest>) {
    if value.get("kind").and_then(Value::as_str) == Some("List") {
        let items = value.get("items").and_then(Value::as_array).cloned();
        for item in items.unwrap_or_default() {
            collect(item, place, found);
        }
    } else if !value.is_null() {
        let place = place.to_owned();
        found.push(Manifest { place, value });
    }
}

/// The documents of a text, with the numbers of their first lines.
fn documents(text: &str) -> Vec<(usize, String)> {
    let mut documents = vec![(1, String::new())];
    for (index, line) in text.split_inclusive('\n').enumerate() {
        let rest = line.strip_prefix("---");
        if rest.is_some_and(|rest| rest.trim_start() != rest || rest.is_empty()) {
            documents.push((index + 2, String::new()));
            // What follows on the line belongs to the document.
            let rest = rest.unwrap_or_default();
            if !rest.trim().is_empty()
                && let Some((first, document)) = documents.last_mut()
            {
                *first = index + 1;
                document.push_str(rest);
            }
        } else if let Some((_, document)) = documents.last_mut() {
            document.push_str(line);
        }
    }
    documents
}

/// Finds a HelmRelease in a file.
///
/// # Errors
///
/// Returns an error if there is none of the name, or several, or it cannot be read.
pub fn release(path: &str, name: &str, namespace: &str) -> Result<HelmRelease> {
    let manifests = manifests(path)?;
    let releases = manifests.iter().filter(|manifest| {
        let group = manifest.text("/apiVersion").split('/').next();
        manifest.text("/kind") == HelmRelease::INFO.kind && group == Some(HelmRelease::INFO.group)
    });
    let named: Vec<&Manifest> = releases.filter(|it| it.text("/metadata/name") == name).collect();
    let manifest = match named.as_slice() {
        [] => bail!("{path} has no HelmRelease '{name}'"),
        [manifest] => manifest,
        several => {
            let exact = |it: &&&Manifest| it.text("/metadata/namespace") == namespace;
            let Some(manifest) = several.iter().find(exact) else {
                bail!("{path} has several HelmReleases '{name}', and none in namespace '{namespace}'")
            };
            manifest
        }
    };
    let mut release: HelmRelease = serde_json::from_value(manifest.value.clone())
        .with_context(|| format!("{}: HelmRelease '{name}' cannot be read", manifest.place))?;
    if release.namespace().is_none() {
        release.metadata.namespace = Some(namespace.to_owned());
    }
    Ok(release)
}

/// ConfigMaps and Secrets in local files, by kind and name.
#[derive(Debug, Default)]
pub struct ValuesObjects(BTreeMap<(ValuesSourceKind, String), BTreeMap<String, Vec<u8>>>);

impl ValuesObjects {
    /// Reads them from files. Objects of other kinds are passed over.
    ///
    /// # Errors
    ///
    /// Returns an error if a file cannot be read, or an object is not what its kind says.
    pub fn read(paths: &[String], namespace: &str) -> Result<Self> {
        let mut found = BTreeMap::new();
        for path in paths {
            for manifest in manifests(path)? {
                let kind = match manifest.text("/kind") {
                    "ConfigMap" => ValuesSourceKind::ConfigMap,
                    "Secret" => ValuesSourceKind::Secret,
                    _ => continue,
                };
                let own = manifest.text("/metadata/namespace");
                if !own.is_empty() && own != namespace {
                    continue;
                }
                let name = manifest.text("/metadata/name").to_owned();
                found.insert((kind, name), entries(&manifest, kind)?);
            }
        }
        Ok(Self(found))
    }

    /// What an object holds.
    #[must_use]
    pub fn get(&self, kind: ValuesSourceKind, name: &str) -> Option<BTreeMap<String, Vec<u8>>> {
        self.0.get(&(kind, name.to_owned())).cloned()
    }
}

fn entries(manifest: &Manifest, kind: ValuesSourceKind) -> Result<BTreeMap<String, Vec<u8>>> {
    let (plain, encoded) = match kind {
        ValuesSourceKind::ConfigMap => ("data", "binaryData"),
        ValuesSourceKind::Secret => ("stringData", "data"),
    };
    let mut entries = BTreeMap::new();
    for (field, is_encoded) in [(encoded, true), (plain, false)] {
        let map = manifest.value.get(field).and_then(Value::as_object);
        for (key, value) in map.into_iter().flatten() {
            let bad = || {
                let (kind, name) = (kind.as_str(), manifest.text("/metadata/name"));
                anyhow!(
                    "{}: {kind} '{name}' has no valid value for key '{key}'",
                    manifest.place
                )
            };
            let text = value.as_str().ok_or_else(bad)?;
            let bytes = match is_encoded {
                true => STANDARD.decode(text.trim()).map_err(|_| bad())?,
                false => text.as_bytes().to_vec(),
            };
            entries.insert(key.clone(), bytes);
        }
    }
    Ok(entries)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(text: &str) -> (tempfile::TempDir, String) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("m.yaml");
        std::fs::write(&path, text).unwrap();
        let path = path.display().to_string();
        (folder, path)
    }

    #[test]
    fn documents_are_found_with_their_lines() {
        let text = "# first\n---\na: 1\n--- # c\nb: 2\n---x\n---\n";
        let found: Vec<_> = documents(text);
        assert_eq!(
            found,
            [
                (1, "# first\n".to_owned()),
                (3, "a: 1\n".to_owned()),
                (4, " # c\nb: 2\n---x\n".to_owned()),
                (8, String::new()),
            ]
        );
    }

    #[test]
    fn an_error_names_file_and_line() {
        let (_folder, path) = file("a: 1\n---\nb: [\n");
        let error = manifests(&path).unwrap_err().to_string();
        assert!(error.starts_with(&format!("{path}:3: ")), "{error}");
        let error = manifests("none.yaml").unwrap_err().to_string();
        assert_eq!(error, "open none.yaml: no such file or directory");
    }

    #[test]
    fn a_release_is_found_by_name() {
        let release_of = |name: &str, namespace: &str| {
            format!(
                "---\napiVersion: helm.toolkit.fluxcd.io/v2\nkind: HelmRelease\nmetadata: {{name: {name}, {namespace}}}\nspec: {{interval: 1m}}\n"
            )
        };
        let text =
            release_of("a", "") + &release_of("b", "namespace: one") + &release_of("b", "namespace: two");
        let (_folder, path) = file(&text);
        assert_eq!(release(&path, "a", "n").unwrap().namespace().unwrap(), "n");
        assert_eq!(release(&path, "b", "two").unwrap().namespace().unwrap(), "two");
        assert!(release(&path, "b", "three").is_err());
        assert_eq!(
            release(&path, "c", "n").unwrap_err().to_string(),
            format!("{path} has no HelmRelease 'c'")
        );
    }

    #[test]
    fn values_are_read_as_the_cluster_would_have_them() {
        let (_folder, path) = file(
            "kind: List\nitems:\n- {kind: Secret, metadata: {name: s}, data: {a: eA==}, stringData: {b: z}}\n\
             - {kind: ConfigMap, metadata: {name: c, namespace: other}, data: {a: x}}\n\
             - {kind: ConfigMap, metadata: {name: d, namespace: own}, data: {a: x}}\n",
        );
        let found = ValuesObjects::read(&[path], "own").unwrap();
        let secret = found.get(ValuesSourceKind::Secret, "s").unwrap();
        assert_eq!(
            (secret["a"].as_slice(), secret["b"].as_slice()),
            (&b"x"[..], &b"z"[..])
        );
        assert!(found.get(ValuesSourceKind::ConfigMap, "c").is_none());
        assert!(found.get(ValuesSourceKind::ConfigMap, "d").is_some());
        let (_folder, path) = file("kind: Secret\nmetadata: {name: s}\ndata: {a: '!'}\n");
        let error = ValuesObjects::read(std::slice::from_ref(&path), "own")
            .unwrap_err()
            .to_string();
        assert_eq!(
            error,
            format!("{path}:1: Secret 's' has no valid value for key 'a'")
        );
    }
}
