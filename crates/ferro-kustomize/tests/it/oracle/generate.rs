//! Random builds.

use super::case::{Case, Layer};
use super::objects::{Document, NAMES, container, document, pod_spec, scalar};
use super::random::Random;
use super::{deep, styled, wide};

/// The case that follows from a seed.
pub(super) fn case(seed: u64) -> Case {
    let mut random = Random::new(seed);
    let random = &mut random;
    let mut known: Vec<Document> = Vec::new();
    let mut layers: Vec<Layer> = Vec::new();
    let bases = 1 + random.below(2);
    for index in 0..bases {
        layers.push(layer(random, &format!("base{index}"), &mut known, false));
    }
    let has_component = random.once_in(4);
    if has_component {
        layers.push(layer(random, "component", &mut known, true));
    }
    if bases > 1 || has_component || random.once_in(2) {
        let mut overlay = layer(random, "overlay", &mut known, false);
        for index in 0..bases {
            overlay
                .fields
                .insert(0, ("resources".to_owned(), format!("../base{index}")));
        }
        if has_component {
            overlay
                .fields
                .push(("components".to_owned(), "../component".to_owned()));
        }
        layers.push(overlay);
        if random.once_in(3) {
            let mut top = layer(random, "top", &mut known, false);
            top.fields
                .insert(0, ("resources".to_owned(), "../overlay".to_owned()));
            layers.push(top);
        }
    }
    Case {
        layers,
        is_sorted: random.once_in(4),
    }
}

fn layer(random: &mut Random, name: &str, known: &mut Vec<Document>, is_component: bool) -> Layer {
    let mut layer = Layer {
        name: name.to_owned(),
        is_component,
        ..Layer::default()
    };
    let is_base = name.starts_with("base");
    for _ in 0..(if is_base {
        1 + random.below(4)
    } else {
        random.below(2)
    }) {
        let document = match random.below(6) {
            0 | 1 => styled::document(random),
            2 | 3 => wide::document(random),
            _ => document(random),
        };
        let is_known = known.iter().any(|other| {
            other.kind == document.kind
                && other.name == document.name
                && other.namespace == document.namespace
        });
        if !is_known || random.once_in(10) {
            layer.documents.push(styled::wrapped(random, &document.text));
            known.push(document);
        }
    }
    for _ in 0..1 + random.below(3) {
        match random.below(6) {
            0 | 1 => deep::field(random, &mut layer, known),
            2 | 3 => wide::field(random, &mut layer, known),
            _ => field(random, &mut layer, known),
        }
    }
    let has = |field: &str| layer.fields.iter().any(|(name, _)| name == field);
    if layer.documents.is_empty() && !has("namePrefix") {
        layer
            .fields
            .push(("namePrefix".to_owned(), format!("{}-", name.get(..1).unwrap())));
    }
    layer
}

fn field(random: &mut Random, layer: &mut Layer, known: &[Document]) {
    let (field, value) = match random.below(22) {
        0 => ("namePrefix", random.pick(&["p-", "q-", "p"]).to_owned()),
        1 => ("nameSuffix", random.pick(&["-s", "-v2"]).to_owned()),
        2 | 3 => ("namespace", random.pick(&["ns1", "ns3", "default"]).to_owned()),
        4 => ("commonLabels", "{app: common, team: \"7\"}".to_owned()),
        5 => ("labels", labels(random)),
        6 => (
            "commonAnnotations",
            format!(
                "\n  note: common\n  x.io/y: {}",
                random.pick(&["\"true\"", "a b"])
            ),
        ),
        7..=9 => ("patches", patch(random, known)),
        10 => (
            "patchesStrategicMerge",
            format!("|-\n{}", lines(2, &strategic(random, known))),
        ),
        11 => ("patchesJson6902", json_patch(random, known, true)),
        12 => ("images", image(random)),
        13 => (
            "replicas",
            format!("name: {}\ncount: {}", random.pick(&NAMES), random.below(9)),
        ),
        14 | 15 => ("configMapGenerator", generator(random)),
        16 => ("secretGenerator", generator(random)),
        17 => (
            "generatorOptions",
            random
                .pick(&[
                    "{disableNameSuffixHash: true}",
                    "{labels: {gen: x}}",
                    "{immutable: true}",
                ])
                .to_owned(),
        ),
        18 | 19 => ("replacements", replacement(random, known)),
        20 => ("vars", variable(random, known)),
        _ => ("transformers", transformer(random, known)),
    };
    let is_taken = layer
        .fields
        .iter()
        .any(|(name, other)| name == field && (field.len() < 20 && is_single(field) || *other == value));
    if !is_taken {
        layer.fields.push((field.to_owned(), value));
    }
}

fn is_single(field: &str) -> bool {
    field.starts_with("name") || field.starts_with("common") || matches!(field, "generatorOptions" | "vars")
}

pub(super) fn lines(width: usize, text: &str) -> String {
    text.lines()
        .map(|line| format!("{}{line}\n", " ".repeat(width)))
        .collect::<String>()
        .trim_end()
        .to_owned()
}

fn labels(random: &mut Random) -> String {
    let mut text = "pairs:\n  owner: me\n  app: labelled\n".to_owned();
    match random.below(4) {
        0 => text.push_str("includeSelectors: true\n"),
        1 => text.push_str("includeTemplates: true\n"),
        2 => text.push_str("fields:\n- path: spec/deep/labels\n  kind: Foo\n  create: true\n"),
        _ => {}
    }
    text
}

fn any<'d>(random: &mut Random, known: &'d [Document]) -> Option<&'d Document> {
    if known.is_empty() {
        None
    } else {
        known.get(random.below(known.len()))
    }
}

fn identity(random: &mut Random, known: &[Document]) -> (String, String) {
    let Some(found) = any(random, known) else {
        return (
            "Foo".to_owned(),
            "apiVersion: example.io/v1\nkind: Foo\nmetadata:\n  name: app\n".to_owned(),
        );
    };
    let namespace = if found.namespace.is_empty() {
        String::new()
    } else {
        format!("  namespace: {}\n", found.namespace)
    };
    let text = format!(
        "apiVersion: {}\nkind: {}\nmetadata:\n  name: {}\n{namespace}",
        found.api_version, found.kind, found.name
    );
    (found.kind.clone(), text)
}

pub(super) fn strategic(random: &mut Random, known: &[Document]) -> String {
    let (kind, mut text) = identity(random, known);
    if random.once_in(12) {
        return format!("{text}$patch: delete\n");
    }
    match random.below(6) {
        0 => text.push_str("  labels:\n    app: null\n    patched: \"yes\"\n"),
        1 => text.push_str(&format!("  annotations:\n    patched: {}\n", scalar(random))),
        2 if random.once_in(2) => text.push_str("  annotations:\n    $patch: replace\n    only: this\n"),
        3 => text.push_str("  finalizers: [c.io/f, a.io/f]\n"),
        _ => {}
    }
    match kind.as_str() {
        "Deployment" | "StatefulSet" | "DaemonSet" | "Job" => {
            let spec = pod_patch(random);
            text.push_str(&format!("spec:\n  template:\n    spec:\n{}\n", lines(6, &spec)));
        }
        "Pod" => text.push_str(&format!("spec:\n{}\n", lines(2, &pod_patch(random)))),
        "CronJob" => {
            let spec = pod_patch(random);
            text.push_str(&format!(
                "spec:\n  jobTemplate:\n    spec:\n      template:\n        spec:\n{}\n",
                lines(10, &spec)
            ));
        }
        "Service" => {
            let port = random.pick(&["80", "443", "9"]);
            let more = random.pick(&[
                "",
                "    protocol: UDP\n",
                "    name: patched\n",
                "    $patch: delete\n",
            ]);
            text.push_str(&format!("spec:\n  ports:\n  - port: {port}\n{more}"));
        }
        "ConfigMap" | "Secret" => text.push_str(&format!("data:\n  k: null\n  added: {}\n", scalar(random))),
        "Foo" => text.push_str(&format!(
            "spec:\n  value: {}\n  list:\n  - name: two\n  deep:\n    $patch: {}\n    x: 1\n",
            scalar(random),
            random.pick(&["replace", "delete", "merge"])
        )),
        _ => {}
    }
    text
}

fn pod_patch(random: &mut Random) -> String {
    match random.below(6) {
        0 => format!("containers:\n- name: main\n  $patch: {}\n", random.pick(&["delete", "replace"])),
        1 => "containers:\n- $patch: replace\n- name: fresh\n  image: new\n".to_owned(),
        2 => "volumes:\n- name: v\n  emptyDir: null\n  configMap:\n    name: cfg\n- name: z\n  emptyDir: {}\n".to_owned(),
        3 => {
            let text = container(random);
            let mut lines = text.lines();
            let first = lines.next().unwrap();
            let rest: String = lines.map(|line| format!("  {line}\n")).collect();
            format!("containers:\n- {first}\n{rest}")
        }
        4 => "containers:\n- name: main\n  env:\n  - name: A\n    $patch: delete\n  - name: B\n    value: patched\n    valueFrom: null\n  ports: null\n".to_owned(),
        _ => pod_spec(random),
    }
}

pub(super) fn selector(random: &mut Random, known: &[Document]) -> String {
    let mut text = String::new();
    if let Some(found) = any(random, known) {
        if random.once_in(2) {
            text.push_str(&format!("kind: {}\n", found.kind));
        }
        if random.once_in(3) {
            text.push_str(&format!("name: {}\n", found.name));
        }
    }
    match random.below(10) {
        0 => text.push_str("namespace: ns1|default\n"),
        1 => text.push_str("labelSelector: app=web\n"),
        2 => text.push_str("labelSelector: \"!app,tier notin (x)\"\n"),
        3 => text.push_str("annotationSelector: note\n"),
        4 => text.push_str("group: apps\nversion: v.\n"),
        5 => text.push_str("namespace: ns.*\n"),
        _ => {}
    }
    if text.is_empty() {
        "kind: Deployment\n".to_owned()
    } else {
        text
    }
}

fn operations(random: &mut Random) -> String {
    let mut text = String::new();
    for _ in 0..=random.below(2) {
        let path = random.pick(&[
            "/metadata/labels/j",
            "/metadata/annotations/j",
            "/metadata/annotations",
            "/spec/replicas",
            "/spec/template/spec/containers/0/image",
            "/spec/template/spec/containers/-",
            "/metadata/name",
            "/metadata/namespace",
            "/data/k",
            "/spec/list/0",
            "/spec/value",
        ]);
        let value = match path {
            "/metadata/name" => "renamed".to_owned(),
            "/metadata/namespace" => "moved".to_owned(),
            "/metadata/annotations" => "{fresh: a}".to_owned(),
            "/spec/template/spec/containers/-" => "{name: added, image: nginx}".to_owned(),
            _ => random
                .pick(&["x", "1", "yes", "010", "{a: b}", "\"5\"", "null"])
                .to_owned(),
        };
        match random.below(5) {
            0 => text.push_str(&format!("- op: remove\n  path: {path}\n")),
            1 => text.push_str(&format!("- op: replace\n  path: {path}\n  value: {value}\n")),
            _ => text.push_str(&format!("- op: add\n  path: {path}\n  value: {value}\n")),
        }
    }
    text
}

fn json_patch(random: &mut Random, known: &[Document], needs_name: bool) -> String {
    let mut selector = selector(random, known);
    if needs_name && !selector.contains("name:") {
        selector.push_str("name: .*\n");
    }
    format!(
        "target:\n{}\npatch: |-\n{}",
        lines(2, &selector),
        lines(2, &operations(random))
    )
}

fn patch(random: &mut Random, known: &[Document]) -> String {
    match random.below(4) {
        0 => json_patch(random, known, false),
        1 => {
            let selector = selector(random, known);
            format!(
                "target:\n{}\npatch: |-\n{}",
                lines(2, &selector),
                lines(2, &strategic(random, known))
            )
        }
        _ => {
            let patch = strategic(random, known);
            let (patch, options) = if random.once_in(5) {
                (
                    patch.replacen("  name: ", "  name: new-", 1),
                    "\noptions:\n  allowNameChange: true\ntarget:\n  kind: ConfigMap|Deployment\n  name: app",
                )
            } else {
                (patch, "")
            };
            format!("patch: |-\n{}{options}", lines(2, &patch))
        }
    }
}

fn image(random: &mut Random) -> String {
    let name = random.pick(&["nginx", "host:5000/a/b", "redis", ".*nginx"]);
    let change = random.pick(&[
        "newTag: \"2\"",
        "newName: other/x",
        "digest: sha256:00",
        "tagSuffix: -dbg",
        "newName: y\nnewTag: z",
    ]);
    format!("name: {name}\n{change}")
}

fn generator(random: &mut Random) -> String {
    let mut text = format!("name: {}\n", random.pick(&NAMES));
    match random.below(4) {
        0 => text.push_str("behavior: merge\n"),
        1 if random.once_in(2) => text.push_str("behavior: replace\n"),
        _ => {}
    }
    if random.once_in(5) {
        text.push_str(&format!("namespace: {}\n", random.pick(&["ns1", "default"])));
    }
    text.push_str("literals:\n");
    for key in ["k", "z", "a.b"] {
        if random.once_in(2) {
            text.push_str(&format!(
                "- {key}={}\n",
                random.pick(&["1", "x", "'q'", "a=b", "true"])
            ));
        }
    }
    text.push_str("- last=1\n");
    if random.once_in(4) {
        text.push_str(&format!(
            "options:\n  {}\n",
            random.pick(&[
                "disableNameSuffixHash: true",
                "annotations: {gen: y}",
                "labels: {app: web}"
            ])
        ));
    }
    text
}

fn replacement(random: &mut Random, known: &[Document]) -> String {
    let mut text = String::new();
    if random.once_in(4) {
        text.push_str(&format!(
            "sourceValue: {}\n",
            random.pick(&["literal", "\"5\"", "a/b"])
        ));
    } else if let Some(found) = any(random, known) {
        text.push_str(&format!(
            "source:\n  kind: {}\n  name: {}\n",
            found.kind, found.name
        ));
        match random.below(6) {
            0 => text.push_str("  fieldPath: metadata.namespace\n"),
            1 => text.push_str("  fieldPath: metadata.labels\n"),
            2 => text.push_str("  fieldPath: spec.template.spec.containers.0.image\n  options:\n    delimiter: \":\"\n    index: 0\n"),
            3 => text.push_str("  fieldPath: data.k\n"),
            4 => text.push_str("  fieldPath: spec.value\n"),
            _ => {}
        }
    } else {
        text.push_str("sourceValue: x\n");
    }
    let selector = selector(random, known);
    let path = random.pick(&[
        "metadata.name",
        "metadata.annotations.r",
        "metadata.labels.app",
        "metadata.labels.[r.io/x]",
        "spec.template.spec.containers.[name=main].image",
        "spec.template.spec.containers.*.image",
        "spec.ports.0.port",
        "data.json.a.b",
        "data.yaml.a.c",
        "data.yaml.new",
        "data.json.l.[n=x].m",
        "spec.list.[name=two].v",
        "spec.value",
        "spec.plain.1",
        "data.k",
        "data",
    ]);
    text.push_str(&format!(
        "targets:\n- select:\n{}\n  fieldPaths: [\"{path}\"]\n",
        lines(4, &selector)
    ));
    match random.below(4) {
        0 => text.push_str("  options:\n    create: true\n"),
        1 if random.once_in(2) => text.push_str("  options:\n    delimiter: \"/\"\n    index: 1\n"),
        _ => {}
    }
    if random.once_in(5) {
        text.push_str("  reject:\n  - name: web\n");
    }
    text
}

fn variable(random: &mut Random, known: &[Document]) -> String {
    let found = any(random, known).map_or_else(
        || "kind: Foo\n  name: app\n  apiVersion: example.io/v1".to_owned(),
        |found| {
            format!(
                "kind: {}\n  name: {}\n  apiVersion: {}",
                found.kind, found.name, found.api_version
            )
        },
    );
    let path = random.pick(&[
        "metadata.name",
        "metadata.namespace",
        "spec.ports[0].port",
        "spec.value",
        "metadata.labels.app",
    ]);
    format!("name: VAR\nobjref:\n  {found}\nfieldref:\n  fieldPath: {path}")
}

fn transformer(random: &mut Random, known: &[Document]) -> String {
    let config = match random.below(7) {
        0 => "kind: PrefixTransformer\nmetadata: {name: t}\nprefix: tp-\nfieldSpecs:\n- path: metadata/name\n".to_owned(),
        1 => "kind: AnnotationsTransformer\nmetadata: {name: t}\nannotations: {t: v}\nfieldSpecs:\n- path: metadata/annotations\n  create: true\n- path: spec/template/metadata/annotations\n  kind: Deployment\n".to_owned(),
        2 => "kind: NamespaceTransformer\nmetadata: {name: t, namespace: tns}\nunsetOnly: true\nsetRoleBindingSubjects: allServiceAccounts\n".to_owned(),
        3 => "kind: LabelTransformer\nmetadata: {name: t}\nlabels: {t: l}\nfieldSpecs:\n- path: metadata/labels\n  create: true\n- path: spec/selector\n  kind: Service\n".to_owned(),
        4 => format!("kind: PatchTransformer\nmetadata: {{name: t}}\ntarget:\n{}\npatch: '[{{\"op\": \"add\", \"path\": \"/metadata/labels\", \"value\": {{\"only\": \"t\"}}}}]'\n", lines(2, &selector(random, known))),
        5 => "kind: ValueAddTransformer\nmetadata: {name: t}\nvalue: added\ntargets:\n- fieldPath: metadata/labels/v\n- fieldPath: spec/path\n  filePathPosition: 1\n  selector: {kind: Foo}\n".to_owned(),
        _ => "kind: ImageTagTransformer\nmetadata: {name: t}\nimageTag: {name: nginx, newTag: t1}\nfieldSpecs:\n- path: spec/deep/containers[]/image\n".to_owned(),
    };
    format!("|-\n  apiVersion: builtin\n{}", lines(2, &config))
}
