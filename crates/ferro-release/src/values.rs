//! The values of a release, put together from the spec and what it refers to (`spec/helm.md` D.1).

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};

use ferro_api::helm::{HelmRelease, ValuesReference, ValuesSourceKind};
use ferro_apply::error::message;
use ferro_artifact::digest::{Algorithm, Digest};
use ferro_helm::record::observed_config;
use ferro_helm::values::{Composition, TargetPath, read, with_float_numbers};
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::{Api, Client, ResourceExt};
use serde_json::{Map, Value};

/// Values cannot be put together.
#[derive(Debug, thiserror::Error)]
pub enum ValuesError {
    /// A reference leads nowhere, or to something else than values.
    #[error(
        "could not resolve{} {kind} chart values reference '{id}' with key '{key}': {problem}",
        if *optional { " optional" } else { "" }
    )]
    Reference {
        /// Whether values may be missing.
        optional: bool,
        /// Kind of the object.
        kind: &'static str,
        /// Namespace and name.
        id: String,
        /// Key of its data.
        key: String,
        /// What is wrong.
        problem: String,
    },
    /// The inline values are something else than a table.
    #[error("spec.values must be a table")]
    Inline,
    /// There is no YAML of the values.
    #[error("could not take the digest of the values: {0}")]
    Digest(#[from] ferro_yaml::Error),
}

/// What an object that is referred to holds; nothing if there is no such object.
type Data = Option<BTreeMap<String, Vec<u8>>>;

/// Objects that are referred to, each read once, however often it is referred to.
type Known<'r> = HashMap<(ValuesSourceKind, &'r str), Result<Data, String>>;

/// Composes the values of a release, over those of `files`.
///
/// # Errors
/// When a reference that must be there leads nowhere, or to something else than values.
pub async fn compose(
    client: &Client,
    release: &HelmRelease,
    files: Vec<Map<String, Value>>,
) -> Result<Map<String, Value>, ValuesError> {
    compose_over(Some(client), release, files, |_, _| None).await
}

/// Composes the values of a release, over those of `files`. Objects that are at hand come before those of the cluster, if there is one.
///
/// # Errors
/// When a reference that must be there leads nowhere, or to something else than values.
pub async fn compose_over(
    client: Option<&Client>,
    release: &HelmRelease,
    files: Vec<Map<String, Value>>,
    at_hand: impl Fn(ValuesSourceKind, &str) -> Option<BTreeMap<String, Vec<u8>>>,
) -> Result<Map<String, Value>, ValuesError> {
    let namespace = release.namespace().unwrap_or_default();
    let mut known = Known::new();
    for reference in &release.spec.values_from {
        let id = (reference.kind, reference.name.as_str());
        if let Entry::Vacant(unknown) = known.entry(id) {
            let found = match (at_hand(reference.kind, &reference.name), client) {
                (Some(data), _) => Ok(Some(data)),
                (None, Some(client)) => fetch(client, &namespace, reference).await,
                (None, None) => Ok(None),
            };
            unknown.insert(found);
        }
    }
    merged(release, files, &known)
}

fn merged(
    release: &HelmRelease,
    files: Vec<Map<String, Value>>,
    known: &Known<'_>,
) -> Result<Map<String, Value>, ValuesError> {
    let namespace = release.namespace().unwrap_or_default();
    let mut composition = Composition::new(inline(release)?);
    files.into_iter().for_each(|values| composition.merge(values));
    for reference in &release.spec.values_from {
        let failed = |problem| fault(&namespace, reference, problem);
        let missing = match known.get(&(reference.kind, reference.name.as_str())) {
            Some(Err(problem)) => return Err(failed(problem.clone())),
            Some(Ok(Some(data))) => match data.get(reference.values_key_or_default()) {
                Some(bytes) => {
                    add(&mut composition, reference, bytes).map_err(failed)?;
                    continue;
                }
                None => "key not found".to_owned(),
            },
            Some(Ok(None)) | None => not_found(reference),
        };
        let missing = failed(missing);
        if !reference.optional {
            return Err(missing);
        }
        tracing::info!("{missing}");
    }
    Ok(composition.finish())
}

/// Reads a text that must be a table of values.
///
/// # Errors
/// Says what is wrong with it.
pub fn table(text: &[u8]) -> Result<Map<String, Value>, String> {
    read(text).map_err(|error| error.to_string())
}

/// The digest of values, as snapshots have it.
///
/// # Errors
/// When there is no YAML of the values.
pub fn digest(values: &Map<String, Value>, algorithm: Algorithm) -> Result<Digest, ferro_yaml::Error> {
    Ok(algorithm.digest(observed_config(values)?.as_bytes()))
}

/// Whether a digest is that of the values, by whatever algorithm it was made.
#[must_use]
pub fn matches(values: &Map<String, Value>, expected: &str) -> bool {
    let Ok(expected) = expected.parse::<Digest>() else {
        return false;
    };
    digest(values, expected.algorithm()).is_ok_and(|found| found == expected)
}

/// Values as records have them.
#[must_use]
pub fn stored(values: &Map<String, Value>) -> Map<String, Value> {
    let float = |(key, value): (&String, &Value)| (key.clone(), with_float_numbers(value.clone()));
    values.iter().map(float).collect()
}

fn inline(release: &HelmRelease) -> Result<Map<String, Value>, ValuesError> {
    match release.spec.values.clone().map(with_float_numbers) {
        None | Some(Value::Null) => Ok(Map::new()),
        Some(Value::Object(values)) => Ok(values),
        Some(_) => Err(ValuesError::Inline),
    }
}

fn fault(namespace: &str, reference: &ValuesReference, problem: String) -> ValuesError {
    ValuesError::Reference {
        optional: reference.optional,
        kind: reference.kind.as_str(),
        id: format!("{namespace}/{}", reference.name),
        key: reference.values_key_or_default().to_owned(),
        problem,
    }
}

fn not_found(reference: &ValuesReference) -> String {
    let resource = match reference.kind {
        ValuesSourceKind::Secret => "secrets",
        ValuesSourceKind::ConfigMap => "configmaps",
    };
    format!("{resource} \"{}\" not found", reference.name)
}

async fn fetch(client: &Client, namespace: &str, reference: &ValuesReference) -> Result<Data, String> {
    let name = &reference.name;
    match reference.kind {
        ValuesSourceKind::ConfigMap => {
            let api: Api<ConfigMap> = Api::namespaced(client.clone(), namespace);
            let found = api.get_opt(name).await.map_err(|error| message(&error))?;
            Ok(found.map(|found| {
                let texts = found.data.unwrap_or_default().into_iter();
                let bytes = found.binary_data.unwrap_or_default().into_iter();
                texts
                    .map(|(key, text)| (key, text.into_bytes()))
                    .chain(bytes.map(|(key, bytes)| (key, bytes.0)))
                    .collect()
            }))
        }
        ValuesSourceKind::Secret => {
            let api: Api<Secret> = Api::namespaced(client.clone(), namespace);
            let found = api.get_opt(name).await.map_err(|error| message(&error))?;
            Ok(found.map(|found| {
                let data = found.data.unwrap_or_default().into_iter();
                data.map(|(key, bytes)| (key, bytes.0)).collect()
            }))
        }
    }
}

fn add(composition: &mut Composition, reference: &ValuesReference, bytes: &[u8]) -> Result<(), String> {
    match reference.target_path.as_deref().filter(|path| !path.is_empty()) {
        None => {
            composition.merge(table(bytes)?);
            Ok(())
        }
        Some(path) => {
            let target = TargetPath {
                path,
                literal: reference.literal,
            };
            composition
                .set(target, &String::from_utf8_lossy(bytes))
                // The text of the error would quote the value, which may be secret.
                .map_err(|_| format!("unable to merge value from key at target path '{path}'"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn digest_of_no_values_is_that_of_nothing() {
        let empty = Map::new();
        let expected = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(digest(&empty, Algorithm::Sha256).unwrap().to_string(), expected);
        assert!(matches(&empty, expected));
        assert!(!matches(json!({"a": 1}).as_object().unwrap(), expected));
        assert!(!matches(&empty, "sha256:nonsense"));
    }

    #[test]
    fn references_and_inline_values_win_over_files() {
        let release: HelmRelease =
            serde_json::from_value(json!({ "metadata": { "name": "a", "namespace": "n" }, "spec": {
            "valuesFrom": [{ "kind": "ConfigMap", "name": "m" }], "values": { "c": { "inline": 1 } } } }))
            .unwrap();
        let data = BTreeMap::from([(
            "values.yaml".to_owned(),
            b"{b: map, c: {inline: 0, map: 1}}".to_vec(),
        )]);
        let known = Known::from([((ValuesSourceKind::ConfigMap, "m"), Ok(Some(data)))]);
        let files = ["{a: first, b: first, c: {map: 0, file: 1}}", "{a: second}"];
        let files = files.map(|text| table(text.as_bytes()).unwrap()).to_vec();
        let composed = merged(&release, files, &known).unwrap();
        assert_eq!(
            Value::Object(stored(&composed)),
            json!({ "a": "second", "b": "map", "c": { "inline": 1.0, "map": 1.0, "file": 1.0 } })
        );
    }

    #[test]
    fn errors_name_the_reference_and_not_the_value() {
        let reference: ValuesReference = serde_json::from_value(
            json!({ "kind": "Secret", "name": "s", "valuesKey": "k", "targetPath": "a[x]", "optional": true }),
        )
        .unwrap();
        let mut composition = Composition::new(Map::new());
        let problem = add(&mut composition, &reference, b"hunter2").unwrap_err();
        assert_eq!(
            fault("ns", &reference, problem).to_string(),
            "could not resolve optional Secret chart values reference 'ns/s' with key 'k': unable to merge value from key at target path 'a[x]'"
        );
    }
}
