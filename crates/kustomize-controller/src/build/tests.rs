use serde_json::json;

use super::*;

/// An artifact with these files.
fn artifact(files: &[(&str, &str)]) -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = root.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    root
}

fn kustomization(spec: &Value) -> Kustomization {
    let mut spec = spec.clone();
    for (field, value) in [
        ("interval", json!("1m")),
        ("prune", json!(true)),
        ("sourceRef", json!({"kind": "GitRepository", "name": "app"})),
    ] {
        spec[field] = value;
    }
    serde_json::from_value(json!({"metadata": {"name": "app", "namespace": "team"}, "spec": spec})).unwrap()
}

fn built(files: &[(&str, &str)], spec: &Value, options: &BuildOptions) -> Result<Vec<Value>, BuildError> {
    let root = artifact(files);
    let built = build(root.path(), root.path(), &kustomization(spec), options)?;
    Ok(built
        .objects
        .iter()
        .map(|object| object.value().clone())
        .collect())
}

const NO_VARIABLES: BuildOptions = BuildOptions {
    remote: None,
    variables: None,
    strict: true,
};

const CONFIG_MAP: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: a\ndata:\n  key: one\n";

#[test]
fn patches_of_older_versions_are_applied() {
    let spec = json!({
        "patchesStrategicMerge": [
            {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": {"merged": "yes", "key": null}},
        ],
        "patchesJson6902": [{
            "target": {"version": "v1", "kind": "ConfigMap", "name": "a"},
            "patch": [
                {"op": "add", "path": "/data/patched", "value": "yes"},
                {"op": "copy", "from": "/data/merged", "path": "/data/copied"},
            ],
        }],
    });
    let objects = built(&[("a.yaml", CONFIG_MAP)], &spec, &NO_VARIABLES).unwrap();
    assert_eq!(
        objects[0]["data"],
        json!({"merged": "yes", "patched": "yes", "copied": "yes"})
    );
}

/// `patchesStrategicMerge` runs before `patches`, and `patchesJson6902` after the prefix is set.
#[test]
fn patches_of_older_versions_keep_their_place() {
    let data = |value: &str| {
        format!("apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: a\ndata:\n  key: {value}\n")
    };
    let spec = json!({
        "namePrefix": "x-",
        "patches": [{"patch": data("patches")}],
        "patchesStrategicMerge": [{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": {"key": "merge"}}],
        "patchesJson6902": [{
            "target": {"version": "v1", "kind": "ConfigMap", "name": "a"},
            "patch": [{"op": "copy", "from": "/metadata/name", "path": "/data/name"}],
        }],
    });
    let objects = built(&[("a.yaml", CONFIG_MAP)], &spec, &NO_VARIABLES).unwrap();
    assert_eq!(objects[0]["data"], json!({"key": "patches", "name": "x-a"}));
}

#[test]
fn remote_bases_switched_off_are_refused_as_paths_outside() {
    for url in [
        "https://example.com/org/repo//deploy?ref=v1",
        "https://example.com/a.yaml",
        "git@github.com:org/repo",
    ] {
        let file = format!("resources: [\"{url}\"]\n");
        let error = built(&[("kustomization.yaml", &file)], &json!({}), &NO_VARIABLES).unwrap_err();
        let expected = format!("fs-security-constraint abs {url}: path '{url}' is not in or below '.'");
        assert!(error.to_string().contains(&expected), "{error}");
        assert!(
            error
                .to_string()
                .starts_with("kustomize build failed: accumulating resources"),
            "{error}"
        );
    }
}

#[test]
fn credentials_of_urls_are_not_shown() {
    for (text, shown) in [
        (
            "at 'https://user:pa@ss@host/a@b' and",
            "at 'https://*****@host/a@b' and",
        ),
        ("https://host/a@b https://t@h", "https://host/a@b https://*****@h"),
        ("nothing: //x@y", "nothing: //x@y"),
        ("https://", "https://"),
    ] {
        assert_eq!(without_credentials(text), shown);
    }
    let file = "resources: [\"https://user:hunter2@example.com/org/repo//deploy\"]\n";
    let error = built(&[("kustomization.yaml", file)], &json!({}), &NO_VARIABLES).unwrap_err();
    assert!(!error.to_string().contains("hunter2"), "{error}");
}

#[test]
fn substitution_leaves_marked_objects_alone() {
    let marked = CONFIG_MAP.replace(
        "name: a\n",
        "name: b\n  labels:\n    kustomize.toolkit.fluxcd.io/substitute: disabled\n",
    );
    let files = [("a.yaml", CONFIG_MAP), ("b.yaml", marked.as_str())]
        .map(|(name, text)| (name, text.replace("one", "${v}")));
    let files: Vec<(&str, &str)> = files.iter().map(|(name, text)| (*name, text.as_str())).collect();
    let options = BuildOptions {
        variables: Some([("v".to_owned(), "two".to_owned())].into()),
        ..NO_VARIABLES
    };
    let objects = built(&files, &json!({}), &options).unwrap();
    assert_eq!(objects[0]["data"]["key"], "two");
    assert_eq!(objects[1]["data"]["key"], "${v}");
}

#[test]
fn variable_that_is_missing_names_the_object() {
    let file = CONFIG_MAP.replace("one", "${missing}");
    let options = BuildOptions {
        variables: Some(BTreeMap::new()),
        ..NO_VARIABLES
    };
    let error = built(&[("a.yaml", &file)], &json!({}), &options).unwrap_err();
    assert_eq!(
        error.to_string(),
        "post build failed for 'ConfigMap.v1.[noGrp]/a': envsubst error: variable substitution failed: \
         variable not set (strict mode): \"missing\""
    );
}

#[test]
fn value_that_breaks_the_yaml_names_the_object() {
    let file = CONFIG_MAP.replace("one", "${v}");
    let options = BuildOptions {
        variables: Some([("v".to_owned(), "a: b: c".to_owned())].into()),
        ..NO_VARIABLES
    };
    let error = built(&[("a.yaml", &file)], &json!({}), &options).unwrap_err();
    assert!(
        error.to_string().contains("/a': envsubst error: YAMLToJSON: "),
        "{error}"
    );
}

#[test]
fn variable_names_are_checked() {
    let options = BuildOptions {
        variables: Some([("tls.crt".to_owned(), String::new())].into()),
        ..NO_VARIABLES
    };
    let error = built(&[("a.yaml", CONFIG_MAP)], &json!({}), &options).unwrap_err();
    assert_eq!(
        error.to_string(),
        "post build failed: 'tls.crt' var name is invalid, must match '^[_[:alpha:]][_[:alpha:][:digit:]]*$'"
    );
}

/// Every overlay field of the spec, each seen in the objects.
#[test]
fn overlay_fields_change_the_objects() {
    let deployment = "apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: web\nspec:\n  selector: {}\n  template:\n    spec:\n      \
                      containers:\n      - name: web\n        image: nginx:1\n";
    let component =
        "apiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\nresources: [extra.yaml]\n";
    let files = [
        ("kustomization.yaml", "resources: [web.yaml]\n"),
        ("web.yaml", deployment),
        ("more/kustomization.yaml", component),
        ("more/extra.yaml", CONFIG_MAP),
    ];
    let spec = json!({
        "targetNamespace": "prod",
        "namePrefix": "a-",
        "nameSuffix": "-z",
        "commonMetadata": {"labels": {"l": "1"}, "annotations": {"n": "2"}},
        "patches": [{
            "target": {"kind": "Deploy.*", "labelSelector": "", "annotationSelector": ""},
            "patch": "- {op: add, path: /spec/replicas, value: 3}\n",
        }],
        "images": [{"name": "nginx", "newName": "mirror/nginx", "newTag": "2"}],
        "components": ["more", "missing"],
        "ignoreMissingComponents": true,
        "buildMetadata": ["originAnnotations"],
    });
    let objects = built(&files, &spec, &NO_VARIABLES).unwrap();
    let names: Vec<_> = objects.iter().map(|object| &object["metadata"]["name"]).collect();
    assert_eq!(names, ["a-web-z", "a-a-z"]);
    for object in &objects {
        let metadata = &object["metadata"];
        assert_eq!(metadata["namespace"], "prod");
        assert_eq!(metadata["labels"]["l"], "1");
        assert_eq!(metadata["annotations"]["n"], "2");
        assert!(
            metadata["annotations"]["config.kubernetes.io/origin"].is_string(),
            "{metadata}"
        );
    }
    let spec = &objects[0]["spec"];
    assert_eq!(spec["replicas"], 3);
    assert_eq!(
        spec["template"]["spec"]["containers"][0]["image"],
        "mirror/nginx:2"
    );
}

/// Tag and digest are one thing: setting the digest drops the tag that the file gives.
#[test]
fn digest_of_an_image_replaces_its_tag() {
    let pod = "apiVersion: v1\nkind: Pod\nmetadata:\n  name: web\nspec:\n  containers:\n  - name: web\n    image: nginx:1\n";
    let files = [
        (
            "kustomization.yaml",
            "resources: [web.yaml]\nimages: [{name: nginx, newTag: \"2\"}]\n",
        ),
        ("web.yaml", pod),
    ];
    let digest = format!("sha256:{}", "a".repeat(64));
    let spec = json!({"images": [{"name": "nginx", "digest": digest}]});
    let objects = built(&files, &spec, &NO_VARIABLES).unwrap();
    assert_eq!(
        objects[0]["spec"]["containers"][0]["image"],
        format!("nginx@{digest}")
    );
}

#[test]
fn component_that_is_missing_or_remote_fails() {
    let files = [
        ("kustomization.yaml", "resources: [a.yaml]\n"),
        ("a.yaml", CONFIG_MAP),
    ];
    let error = built(&files, &json!({"components": ["missing"]}), &NO_VARIABLES).unwrap_err();
    assert!(error.to_string().contains("missing"), "{error}");
    let error = built(
        &files,
        &json!({"components": ["https://example.com/org/repo//c"]}),
        &NO_VARIABLES,
    )
    .unwrap_err();
    assert_eq!(
        error.to_string(),
        "kustomize build failed: component path 'https://example.com/org/repo//c' must be local and relative"
    );
}

#[test]
fn owner_labels_cannot_be_taken_over() {
    let spec = json!({"commonMetadata": {"labels": {"kustomize.toolkit.fluxcd.io/name": "other"}}});
    let objects = built(&[("a.yaml", CONFIG_MAP)], &spec, &NO_VARIABLES).unwrap();
    let labels = &objects[0]["metadata"]["labels"];
    assert_eq!(labels["kustomize.toolkit.fluxcd.io/name"], "app");
    assert_eq!(labels["kustomize.toolkit.fluxcd.io/namespace"], "team");
}

#[test]
fn lists_are_flattened_and_kustomizations_left_out() {
    let list =
        "apiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: ConfigMap, metadata: {name: x}}\n";
    let objects = built(&[("a.yaml", list)], &json!({}), &NO_VARIABLES).unwrap();
    assert_eq!(objects[0]["metadata"]["name"], "x");
    assert_eq!(objects.len(), 1);
}
