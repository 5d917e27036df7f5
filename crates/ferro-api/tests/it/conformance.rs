//! The schemas are those of Flux 2.9 but for the descriptions, the older versions and the additions below.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use ferro_api::crd;
use serde_json::Value;

const KUSTOMIZATIONS: &str = "kustomizations.kustomize.toolkit.fluxcd.io";
const HELM_RELEASES: &str = "helmreleases.helm.toolkit.fluxcd.io";

/// Where our schemas go beyond the reference: the CRD, the object in the schema, and its optional field.
///
/// Fields of older versions that still mean something are here, because only what the stored version has is
/// kept.
const ADDITIONS: [(&str, &str, &str); 4] = [
    (KUSTOMIZATIONS, "/properties/spec", "patchesJson6902"),
    (KUSTOMIZATIONS, "/properties/spec", "patchesStrategicMerge"),
    (
        HELM_RELEASES,
        "/properties/spec/properties/postRenderers/items/properties/kustomize",
        "patchesJson6902",
    ),
    (
        HELM_RELEASES,
        "/properties/spec/properties/postRenderers/items/properties/kustomize",
        "patchesStrategicMerge",
    ),
];

/// Takes the additions out of a CRD, each of which must be there and optional; and the labels, which upstream sets when it is installed.
fn remove_additions(name: &str, crd: &mut Value) {
    let labels = crd["metadata"].as_object_mut().unwrap().remove("labels").unwrap();
    assert_eq!(labels["app.kubernetes.io/part-of"], "flux", "{name}");
    for (_, path, field) in ADDITIONS.iter().filter(|(crd, ..)| *crd == name) {
        let schema = &mut crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
        let parent = schema.pointer_mut(path).unwrap();
        let removed = parent["properties"].as_object_mut().unwrap().remove(*field);
        assert!(removed.is_some(), "{name} {path}: no {field}");
        let required = parent["required"].as_array().into_iter().flatten();
        assert_eq!(
            required.filter(|name| *name == field).count(),
            0,
            "{field} is required"
        );
    }
}

#[test]
fn schemas_match_the_reference() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/corpus/crds");
    let Ok(files) = fs::read_dir(&corpus) else {
        println!("skipped: no reference CRDs at {}", corpus.display());
        return;
    };
    let ours = crd::definitions();
    let mut seen = 0;
    let mut differences = Vec::new();
    for file in files {
        let text = fs::read_to_string(file.unwrap().path()).unwrap();
        let mut reference: Value = serde_saphyr::from_str(&text).unwrap();
        let name = reference["metadata"]["name"].as_str().unwrap().to_owned();
        let Some(mut own) = ours
            .iter()
            .find(|own| own["metadata"]["name"] == name.as_str())
            .cloned()
        else {
            differences.push(format!("{name}: missing"));
            continue;
        };
        seen += 1;
        prepare(&mut reference);
        own["spec"]["versions"]
            .as_array_mut()
            .unwrap()
            .retain(|version| version["storage"] == true);
        remove_additions(&name, &mut own);
        prepare(&mut own);
        compare(&name, &reference, &own, &mut differences);
    }
    assert!(
        differences.is_empty(),
        "{} differences:\n{}",
        differences.len(),
        differences.join("\n")
    );
    assert_eq!(seen, ours.len(), "kinds without a reference");
}

/// Removes descriptions, and annotations that say nothing.
fn prepare(crd: &mut Value) {
    let metadata = crd["metadata"].as_object_mut().unwrap();
    if metadata
        .get("annotations")
        .is_some_and(|annotations| annotations == &serde_json::json!({}))
    {
        metadata.remove("annotations");
    }
    for version in crd["spec"]["versions"].as_array_mut().unwrap() {
        remove_descriptions(&mut version["schema"]["openAPIV3Schema"]);
    }
}

fn remove_descriptions(schema: &mut Value) {
    let Some(node) = schema.as_object_mut() else {
        return;
    };
    node.remove("description");
    for property in node
        .get_mut("properties")
        .and_then(Value::as_object_mut)
        .into_iter()
        .flatten()
    {
        remove_descriptions(property.1);
    }
    for keyword in ["items", "additionalProperties"] {
        if let Some(child) = node.get_mut(keyword) {
            remove_descriptions(child);
        }
    }
}

/// Collects the places where two values differ.
fn compare(path: &str, reference: &Value, own: &Value, differences: &mut Vec<String>) {
    match (reference, own) {
        (Value::Object(reference), Value::Object(own)) => {
            let keys: BTreeSet<_> = reference.keys().chain(own.keys()).collect();
            for key in keys {
                let path = format!("{path}.{key}");
                match (reference.get(key), own.get(key)) {
                    (Some(reference), Some(own)) => compare(&path, reference, own, differences),
                    (Some(reference), None) => differences.push(format!("- {path}: {reference}")),
                    (None, own) => differences.push(format!("+ {path}: {}", own.unwrap_or(&Value::Null))),
                }
            }
        }
        (Value::Array(reference), Value::Array(own)) if reference.len() == own.len() => {
            for (index, (reference, own)) in reference.iter().zip(own).enumerate() {
                compare(&format!("{path}[{index}]"), reference, own, differences);
            }
        }
        _ if reference == own => {}
        _ => differences.push(format!("! {path}: {reference} became {own}")),
    }
}

#[test]
fn a_difference_is_found_and_named() {
    let mut differences = Vec::new();
    let reference = serde_json::json!({"a": {"b": [1, 2]}, "c": "x"});
    let own = serde_json::json!({"a": {"b": [1, 3]}, "d": "x"});
    compare("crd", &reference, &own, &mut differences);
    assert_eq!(
        differences,
        ["! crd.a.b[1]: 2 became 3", "- crd.c: \"x\"", "+ crd.d: \"x\""]
    );
}

/// `flux check` and `flux version` look for these.
#[test]
fn labels_say_what_brings_a_kind() {
    for (name, component) in [
        ("GitRepository", "source-controller"),
        ("ExternalArtifact", "source-controller"),
        ("ArtifactGenerator", "source-watcher"),
        ("Kustomization", "kustomize-controller"),
        ("HelmRelease", "helm-controller"),
        ("Alert", "notification-controller"),
        ("ImagePolicy", "image-reflector-controller"),
        ("ImageUpdateAutomation", "image-automation-controller"),
    ] {
        let definitions = crd::definitions();
        let is_named = |crd: &&Value| crd["spec"]["names"]["kind"] == name;
        let labels = &definitions.iter().find(is_named).unwrap()["metadata"]["labels"];
        assert_eq!(labels["app.kubernetes.io/component"], component, "{name}");
        let version = labels["app.kubernetes.io/version"].as_str().unwrap();
        assert!(
            version.starts_with('v') && version.split('.').count() == 3,
            "{version}"
        );
    }
}

/// What an older version has and the stored one has not is lost on the way to the controllers.
#[test]
fn fields_of_older_versions_are_stored_or_meaningless() {
    let mut lost = Vec::new();
    for crd in crd::definitions() {
        let versions = crd["spec"]["versions"].as_array().unwrap();
        let (stored, older) = versions.split_first().unwrap();
        let spec = |version: &Value| version["schema"]["openAPIV3Schema"]["properties"]["spec"].clone();
        for version in older {
            let mut differences = Vec::new();
            compare("spec", &spec(version), &spec(stored), &mut differences);
            lost.extend(differences.into_iter().filter_map(|text| {
                let (path, _) = text.split_once(':')?;
                Some(format!("{} {path}", crd["spec"]["names"]["kind"].as_str()?))
            }));
        }
    }
    lost.sort();
    lost.dedup();
    assert_eq!(
        lost,
        [
            "Bucket - spec.properties.accessFrom",
            "GitRepository - spec.properties.accessFrom",
            "GitRepository - spec.properties.gitImplementation",
            "HelmChart - spec.properties.accessFrom",
            "HelmChart - spec.properties.valuesFile",
            "HelmRelease - spec.properties.chart.properties.spec.properties.valuesFile",
            "Kustomization - spec.properties.validation",
        ]
    );
}

/// The versions that old manifests name are accepted, and none of them is stored.
#[test]
fn older_versions_are_served() {
    let versions = |kind: &str| -> Vec<String> {
        let definitions = crd::definitions();
        let crd = definitions
            .iter()
            .find(|crd| crd["spec"]["names"]["kind"] == kind)
            .unwrap();
        let versions = crd["spec"]["versions"].as_array().unwrap();
        assert_eq!(
            versions
                .iter()
                .filter(|version| version["storage"] == true)
                .count(),
            1,
            "{kind}"
        );
        assert!(versions.iter().all(|version| version["served"] == true), "{kind}");
        versions
            .iter()
            .map(|version| version["name"].as_str().unwrap().to_owned())
            .collect()
    };
    for kind in [
        "GitRepository",
        "OCIRepository",
        "HelmRepository",
        "HelmChart",
        "Bucket",
        "Kustomization",
    ] {
        assert_eq!(versions(kind), ["v1", "v1beta2"], "{kind}");
    }
    for kind in [
        "ImageRepository",
        "ImagePolicy",
        "ImageUpdateAutomation",
        "Receiver",
    ] {
        assert_eq!(versions(kind), ["v1", "v1beta2"], "{kind}");
    }
    for kind in ["Alert", "Provider"] {
        assert_eq!(versions(kind), ["v1beta3", "v1beta2"], "{kind}");
    }
    assert_eq!(versions("HelmRelease"), ["v2", "v2beta2", "v2beta1"]);
    assert_eq!(versions("ExternalArtifact"), ["v1"]);
    assert_eq!(versions("ArtifactGenerator"), ["v1beta1"]);
}
