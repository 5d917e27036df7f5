//! The files of `config/crd` are what the types say.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use ferro_api::crd;
use serde_json::Value;

const COMMAND: &str = "make crds";

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../config/crd")
}

#[test]
fn committed_crds_are_current() {
    for manifest in crd::manifests() {
        let path = directory().join(&manifest.path);
        let committed = fs::read_to_string(&path).unwrap_or_default();
        assert!(
            committed == manifest.yaml,
            "{} is stale: run `{COMMAND}`",
            manifest.path
        );
    }
}

#[test]
fn no_crd_is_left_over() {
    let expected: BTreeSet<_> = crd::manifests()
        .into_iter()
        .map(|manifest| manifest.path)
        .collect();
    for entry in fs::read_dir(directory().join("bases")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(
            expected.contains(&format!("bases/{name}")),
            "{name} belongs to no kind: delete it"
        );
    }
}

#[test]
fn printed_yaml_reads_back_as_it_was() {
    for (manifest, definition) in crd::manifests().iter().zip(crd::definitions()) {
        let read: Value = serde_saphyr::from_str(&manifest.yaml).unwrap();
        assert!(read == definition, "{} reads back differently", manifest.path);
    }
}

/// What `kubectl explain` shows must not have holes.
#[test]
fn every_field_is_described() {
    fn check(path: &str, schema: &Value, holes: &mut Vec<String>) {
        for (name, property) in schema["properties"].as_object().into_iter().flatten() {
            let path = format!("{path}.{name}");
            // What is inside metadata is described elsewhere.
            if name != "metadata" && !property["description"].is_string() {
                holes.push(path.clone());
            }
            check(&path, property, holes);
            check(&path, &property["items"], holes);
            check(&path, &property["additionalProperties"], holes);
        }
    }
    let mut holes = Vec::new();
    for definition in crd::definitions() {
        for version in definition["spec"]["versions"].as_array().unwrap() {
            let path = format!("{} {}", definition["spec"]["names"]["kind"], version["name"]);
            check(&path, &version["schema"]["openAPIV3Schema"], &mut holes);
        }
    }
    assert!(holes.is_empty(), "without description:\n{}", holes.join("\n"));
}

/// A CRD that is itself applied by a Kustomization with variables must come through unchanged.
#[test]
fn descriptions_hold_no_variables_unless_substitution_is_off() {
    for (manifest, definition) in crd::manifests().iter().zip(crd::definitions()) {
        let is_off = definition["metadata"]["annotations"].is_object();
        assert!(
            is_off || !manifest.yaml.contains("${"),
            "{} holds a variable",
            manifest.path
        );
    }
}
