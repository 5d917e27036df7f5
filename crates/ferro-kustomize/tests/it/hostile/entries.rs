//! What is fed with bytes of any kind, by `fuzz/` without end and by the tests for a while. Nothing in here may panic or take
//! long; what comes out does not matter.

use ferro_kustomize::{Kustomization, MemoryFiles, Options, Quirks, build};

const OBJECT: &str = "apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: app\n  labels: {app: web}\nspec:\n  template:\n    spec:\n      containers:\n      - name: main\n        image: nginx:1\n        env:\n        - {name: A, value: x}\n      - name: side\n---\napiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: cfg\ndata:\n  json: '{\"a\": [1, {\"b\": 2}]}'\n  yaml: |\n    a:\n    - b: 1\n";

fn run(files: &MemoryFiles) {
    for quirks in [Quirks::Fixed, Quirks::Upstream] {
        let options = Options {
            quirks,
            ..Options::default()
        };
        if let Ok(resources) = build(files, "/app", &options) {
            drop(resources.to_yaml());
        }
    }
}

/// A resource file.
pub(crate) fn resources(data: &[u8]) {
    run(&MemoryFiles::from([
        ("/app/kustomization.yaml", &b"resources: [o.yaml]\nnamePrefix: p-\nnamespace: ns\nlabels: [{pairs: {a: b}, includeSelectors: true}]\nimages: [{name: nginx, newTag: x}]\n"[..]),
        ("/app/o.yaml", data),
    ]));
}

/// A kustomization file.
pub(crate) fn kustomization(data: &[u8]) {
    if let Ok(text) = std::str::from_utf8(data) {
        drop(Kustomization::from_yaml(text));
    }
    run(&MemoryFiles::from([
        ("/app/kustomization.yaml", data),
        ("/app/o.yaml", OBJECT.as_bytes()),
    ]));
}

/// A patch file of either kind.
pub(crate) fn patch(data: &[u8]) {
    for target in ["", "  target: {kind: Deployment}\n"] {
        let kustomization = format!("resources: [o.yaml]\npatches:\n- path: p.yaml\n{target}");
        run(&MemoryFiles::from([
            ("/app/kustomization.yaml", kustomization.as_bytes()),
            ("/app/o.yaml", OBJECT.as_bytes()),
            ("/app/p.yaml", data),
        ]));
    }
}

/// The path of a replacement, in its source and in its targets.
pub(crate) fn replacement(data: &[u8]) {
    let Ok(path) = std::str::from_utf8(data) else {
        return;
    };
    let path = serde_json::Value::from(path).to_string();
    for (source, target) in [(path.as_str(), "metadata.name"), ("metadata.name", path.as_str())] {
        let kustomization = format!(
            "resources: [o.yaml]\nreplacements:\n- source: {{kind: ConfigMap, fieldPath: {source}}}\n  targets:\n  - select: {{kind: Deployment|ConfigMap}}\n    fieldPaths: [{target}]\n    options: {{create: true}}\n"
        );
        run(&MemoryFiles::from([
            ("/app/kustomization.yaml", kustomization.as_bytes()),
            ("/app/o.yaml", OBJECT.as_bytes()),
        ]));
    }
}
