//! Fields beyond the everyday ones: configured plugins, configurations, schemas, files of all sorts.

use super::case::Layer;
use super::generate::{lines, selector, strategic};
use super::objects::{Document, NAMES, scalar};
use super::random::Random;

/// Adds one such field, and the files that it names.
pub(super) fn field(random: &mut Random, layer: &mut Layer, known: &[Document]) {
    let file = format!("file{}", layer.files.len());
    let mut with_file = |extension: &str, text: &str| {
        let name = format!("{file}.{extension}");
        layer.files.push((name.clone(), text.to_owned()));
        name
    };
    let (field, value) = match random.below(17) {
        0 => ("openapi", format!("{{path: {}}}", with_file("json", SCHEMA))),
        1 => ("crds", with_file("json", CRD)),
        2 | 3 => ("configurations", with_file("yaml", random.pick(&CONFIGURATIONS))),
        4 => (
            "buildMetadata",
            random
                .pick(&[
                    "[originAnnotations]",
                    "[transformerAnnotations, originAnnotations]",
                    "[managedByLabel]",
                ])
                .to_owned(),
        ),
        5 => (
            "sortOptions",
            random
                .pick(&[
                    "{order: legacy}",
                    "{order: fifo}",
                    "{order: legacy, legacySortOptions: {orderFirst: [Foo, ConfigMap], orderLast: [Secret]}}",
                    "{order: none}",
                ])
                .to_owned(),
        ),
        6 => ("generators", inline(&generator_plugin(random))),
        7 | 8 => ("transformers", inline(&transformer_plugin(random, known))),
        9 => ("transformers", {
            let text = transformer_plugin(random, known);
            with_file("yaml", &text)
        }),
        10 => ("validators", inline(&transformer_plugin(random, known))),
        11 => {
            let text = (0..=random.below(2))
                .map(|_| strategic(random, known))
                .collect::<Vec<_>>()
                .join("---\n");
            ("patches", format!("path: {}", with_file("yaml", &text)))
        }
        12 => ("replacements", replacement(random, known)),
        13 => {
            let text = replacement(random, known);
            let text = if random.once_in(2) {
                text
            } else {
                format!("- {}", text.trim_end().replace('\n', "\n  "))
            };
            ("replacements", format!("path: {}", with_file("yaml", &text)))
        }
        14 | 15 => {
            let kind = random.pick(&["configMapGenerator", "secretGenerator"]);
            let name = with_file(random.pick(&["env", "txt", "properties"]), random.pick(&DATA));
            let source = random.pick(&[
                "files: [FILE]",
                "files: [key=FILE]",
                "envs: [FILE]",
                "env: FILE",
                "files: [FILE, other=FILE]",
            ]);
            let more = random.pick(&[
                "",
                "literals: [x=1]\n",
                "type: kubernetes.io/tls\n",
                "options: {immutable: true, labels: {a: b}}\n",
                "behavior: merge\n",
            ]);
            (
                kind,
                format!(
                    "name: {}\n{}\n{more}",
                    random.pick(&NAMES),
                    source.replace("FILE", &name)
                ),
            )
        }
        _ => (
            "imageTags",
            format!(
                "name: {}\nnewTag: \"3\"",
                random.pick(&["nginx", "my/nginx", "host:5000/a/b"])
            ),
        ),
    };
    let is_single = matches!(field, "openapi" | "buildMetadata" | "sortOptions");
    if !(is_single && layer.fields.iter().any(|(name, _)| name == field)) {
        layer.fields.push((field.to_owned(), value));
    }
}

fn inline(text: &str) -> String {
    format!("|-\n{}", lines(2, text))
}

const DATA: [&str; 6] = [
    "A=1\nB=two words\n\n# comment\n  C = spaced\nD\n",
    "\u{feff}K=v\nQ=\"quoted\"\nE=a=b=c\r\n",
    "just text without an end",
    "text\nwith trailing blank \nand\ttab\n",
    "",
    "a: b\nc:\n- d\n",
];

const SCHEMA: &str = r##"{"definitions": {"io.example.v1.Foo": {
 "properties": {"spec": {"$ref": "#/definitions/io.example.v1.FooSpec"}},
 "x-kubernetes-group-version-kind": [{"group": "example.io", "kind": "Foo", "version": "v1"}]},
 "io.example.v1.FooSpec": {"properties": {
  "list": {"items": {"type": "object"}, "type": "array", "x-kubernetes-patch-merge-key": "name", "x-kubernetes-patch-strategy": "merge"},
  "plain": {"items": {"type": "string"}, "type": "array", "x-kubernetes-patch-strategy": "merge"},
  "template": {"$ref": "#/definitions/io.k8s.api.core.v1.PodTemplateSpec"}}}}}"##;

const CRD: &str = r#"{"github.com/example/Foo": {"Schema": {"properties": {
  "apiVersion": {"type": "string"}, "kind": {"type": "string"}, "metadata": {"type": "object"},
  "spec": {"$ref": "github.com/example/FooSpec"}}}},
 "github.com/example/FooSpec": {"Schema": {"properties": {
  "value": {"x-kubernetes-identity": "", "type": "string"},
  "deep": {"x-kubernetes-annotation": "", "type": "object"},
  "ref": {"x-kubernetes-object-ref-api-version": "v1", "x-kubernetes-object-ref-kind": "Secret",
   "properties": {"name": {"type": "string"}}}}}}}"#;

const CONFIGURATIONS: [&str; 9] = [
    "namePrefix:\n- path: spec/value\n  kind: Foo\n",
    "nameSuffix:\n- path: metadata/name\n  apiVersion: v1\n",
    "namespace:\n- path: spec/namespace\n  kind: Foo\n  create: true\n- path: spec/plain\n  kind: Foo\n",
    "commonLabels:\n- path: spec/deep/labels\n  kind: Foo\n  create: true\nlabels:\n- path: spec/labels\n  kind: Bar\n  create: true\n",
    "commonAnnotations:\n- path: spec/template/metadata/annotations\n  kind: Foo\n  create: true\n- path: metadata/annotations\n  create: false\n",
    "nameReference:\n- kind: Secret\n  version: v1\n  fieldSpecs:\n  - path: spec/list/name\n    kind: Foo\n- kind: Foo\n  fieldSpecs:\n  - path: spec/fooRef/name\n    kind: Bar\n  - path: spec/rules/backendRefs\n    kind: HTTPRoute\n",
    "varReference:\n- path: spec/name\n  kind: Bar\n- path: spec/value\n  kind: Foo\n- path: spec/deep\n",
    "images:\n- path: spec/image\n  kind: Bar\n- path: spec/deep/containers[]/image\n  kind: Foo\nreplicas:\n- path: spec/replicas\n  kind: Foo\n  create: true\n",
    "templateLabels:\n- path: spec/plain\n  kind: Foo\n",
];

fn generator_plugin(random: &mut Random) -> String {
    let name = random.pick(&NAMES);
    let kind = random.pick(&["ConfigMapGenerator", "SecretGenerator"]);
    let rest = random.pick(&[
        "literals: [a=b, c=d]\n",
        "behavior: merge\nliterals: [a=c]\n",
        "name: own\nliterals: []\n",
        "namespace: ns1\nliterals: [a='q']\noptions: {disableNameSuffixHash: true}\n",
        "literals: [novalue]\n",
    ]);
    match random.below(8) {
        0 => format!(
            "apiVersion: builtin\nkind: IAMPolicyGenerator\nmetadata: {{name: {name}}}\ncloud: gke\nkubernetesService: {{name: k, namespace: ns1}}\nserviceAccount: {{name: s, projectId: p}}\n"
        ),
        1 => format!("apiVersion: example.io/v1\nkind: External\nmetadata: {{name: {name}}}\n"),
        _ => format!("apiVersion: builtin\nkind: {kind}\nmetadata:\n  name: {name}\n{rest}"),
    }
}

fn transformer_plugin(random: &mut Random, known: &[Document]) -> String {
    let body = match random.below(20) {
        0 => "kind: NamespaceTransformer\nmetadata: {name: t, namespace: ns9}\n".to_owned(),
        1 => format!("kind: NamespaceTransformer\nmetadata: {{name: t, namespace: ns9}}\nsetRoleBindingSubjects: {}\nfieldSpecs:\n- path: metadata/namespace\n  create: true\n- path: spec/namespace\n  create: true\n  kind: Foo\n", random.pick(&["none", "defaultOnly", "allServiceAccounts", "wrong"])),
        2 => "kind: NamespaceTransformer\nmetadata: {name: t, namespace: ns9}\nunsetOnly: true\nfieldSpecs:\n- path: metadata/name\n  kind: Namespace\n".to_owned(),
        3 => "kind: SuffixTransformer\nmetadata: {name: t}\nsuffix: -sfx\nfieldSpecs:\n- path: metadata/name\n- path: spec/value\n  kind: Foo\n".to_owned(),
        4 => "kind: PrefixSuffixTransformer\nmetadata: {name: t}\nprefix: a-\nsuffix: -z\nfieldSpecs:\n- path: metadata/name\n".to_owned(),
        5 => "kind: PrefixTransformer\nmetadata: {name: t}\nprefix: a-\n".to_owned(),
        6 => format!("kind: ReplicaCountTransformer\nmetadata: {{name: t}}\nreplica: {{name: {}, count: 4}}\nfieldSpecs:\n- path: spec/replicas\n  create: true\n  kind: Deployment\n", random.pick(&NAMES)),
        7 => format!("kind: PatchStrategicMergeTransformer\nmetadata: {{name: t}}\npatches: |-\n{}", lines(2, &strategic(random, known))),
        8 => format!("kind: PatchJson6902Transformer\nmetadata: {{name: t}}\ntarget:\n{}\n  name: .*\njsonOp: |-\n  - op: add\n    path: /metadata/labels\n    value: {{json: op}}\n", lines(2, &selector(random, known).replace("name: ", "version: .*\nx: ").replace("x: ", "# "))),
        9 => format!("kind: PatchTransformer\nmetadata: {{name: t}}\ntarget:\n{}\npatch: |-\n{}", lines(2, &selector(random, known)), lines(2, &strategic(random, known))),
        10 => "kind: HashTransformer\nmetadata: {name: t}\n".to_owned(),
        11 => "kind: ImageTagTransformer\nmetadata: {name: t}\nimageTag: {name: nginx, newName: n2, digest: sha256:11}\nfieldSpecs:\n- path: spec/template/spec/containers[]/image\n- path: spec/image\n".to_owned(),
        12 => format!("kind: ReplacementTransformer\nmetadata: {{name: t}}\nreplacements:\n- {}", replacement(random, known).trim_end().replace('\n', "\n  ")),
        13 => "kind: AnnotationsTransformer\nmetadata: {name: t}\nannotations: {b: \"2\", a: x}\n".to_owned(),
        14 => "kind: LabelTransformer\nmetadata: {name: t}\nlabels: {b: \"2\", a: x}\nfieldSpecs:\n- path: metadata/labels\n  create: true\n- path: spec/template/metadata/labels\n  create: true\n  kind: Deployment\n- path: spec/selector/matchLabels\n  kind: Deployment\n".to_owned(),
        15 => format!("kind: ValueAddTransformer\nmetadata: {{name: t}}\nvalue: add\ntargets:\n- fieldPath: {}\n  filePathPosition: {}\n  selector: {{kind: Foo}}\n", random.pick(&["spec/value", "metadata/namespace", "metadata/name", "spec/list"]), random.below(4)),
        16 => "kind: LabelTransformer\nmetadata: {name: t}\nlabels: {validated-by: me}\nfieldSpecs:\n- path: metadata/labels\n  create: true\n".to_owned(),
        17 => "kind: NoSuchTransformer\nmetadata: {name: t}\n".to_owned(),
        18 => "kind: PatchTransformer\nmetadata: {name: t}\n".to_owned(),
        _ => "kind: ConfigMapGenerator\nmetadata: {name: t}\n".to_owned(),
    };
    format!("apiVersion: builtin\n{body}")
}

/// Replacements with all their options.
fn replacement(random: &mut Random, known: &[Document]) -> String {
    let found = (!known.is_empty()).then(|| &known[random.below(known.len())]);
    let mut text = match found {
        Some(found) if !random.once_in(5) => {
            let mut text = format!("source:\n  kind: {}\n  name: {}\n", found.kind, found.name);
            if random.once_in(4) {
                text.push_str(&format!(
                    "  group: {}\n",
                    found.api_version.split_once('/').map_or("\"\"", |it| it.0)
                ));
            }
            if random.once_in(5) && !found.namespace.is_empty() {
                text.push_str(&format!("  namespace: {}\n", found.namespace));
            }
            let path = random.pick(&[
                "metadata.name",
                "metadata.annotations",
                "metadata.annotations.note",
                "metadata.annotations.[a.io/b]",
                "metadata.labels.app",
                "spec",
                "spec.value",
                "spec.list",
                "spec.list.0",
                "spec.list.-",
                "spec.list.[name=one].v",
                "spec.list.*.v",
                "spec.numbers.2",
                "spec.plain.-",
                "spec.template.spec.containers.[name=main].image",
                "spec.template.spec.containers.0.env",
                "spec.matrix.2.0",
                "data.k",
                "data.json.a.b",
                "data.[yaml]",
                "spec.a",
                "spec.rules",
                "spec.ports.[port=80].name",
                "apiVersion",
                "kind",
                "spec.lists",
                "spec.deep.containers.0",
            ]);
            text.push_str(&format!("  fieldPath: \"{path}\"\n"));
            if random.once_in(4) {
                text.push_str(&format!(
                    "  options:\n    delimiter: \"{}\"\n    index: {}\n",
                    random.pick(&[":", "/", "-", "."]),
                    random.below(3)
                ));
            }
            text
        }
        _ => format!(
            "sourceValue: {}\n",
            random.pick(&["x", "\"5\"", "'true'", "a/b:c", "\"multi\\nline\"", "''", "5"])
        ),
    };
    text.push_str("targets:\n");
    for _ in 0..=random.below(2) {
        text.push_str(&format!("- select:\n{}\n", lines(4, &selector(random, known))));
        if random.once_in(3) {
            text.push_str(&format!(
                "  reject:\n  - {}\n",
                random.pick(&[
                    "kind: Foo",
                    "name: web",
                    "kind: Deployment\n    name: app",
                    "labelSelector: app=web",
                    "namespace: ns1",
                    "group: apps"
                ])
            ));
        }
        let paths: Vec<String> = (0..=random.below(2))
            .map(|_| {
                format!(
                    "\"{}\"",
                    random.pick(&[
                        "metadata.name",
                        "metadata.namespace",
                        "metadata.annotations.r",
                        "metadata.annotations.[a.io/new]",
                        "metadata.labels",
                        "metadata.labels.app",
                        "spec.value",
                        "spec.new.deep.field",
                        "spec.list.1.v",
                        "spec.list.[name=two].v",
                        "spec.list.[name=new].v",
                        "spec.list.*.v",
                        "spec.list.2",
                        "spec.list.-",
                        "spec.plain.[=two]",
                        "spec.plain.1",
                        "spec.plain.3",
                        "spec.template.spec.containers.[name=main].image",
                        "spec.template.spec.containers.*.env.[name=A].value",
                        "spec.template.spec.containers.[name=m.*].image",
                        "spec.ports.0.name",
                        "spec.ports.*.port",
                        "data.k",
                        "data.json.a.b",
                        "data.json.l.0.n",
                        "data.json.new",
                        "data.yaml.a.b",
                        "data.yaml.a.new.deeper",
                        "data.yaml.x",
                        "data.[key with blank]",
                        "spec.words.0",
                        "spec.matrix.0.1",
                        "spec.lists.2.1.0",
                        "kind",
                    ])
                )
            })
            .collect();
        text.push_str(&format!("  fieldPaths: [{}]\n", paths.join(", ")));
        match random.below(6) {
            0 | 1 => text.push_str("  options:\n    create: true\n"),
            2 => text.push_str(&format!(
                "  options:\n    delimiter: \"{}\"\n    index: {}\n",
                random.pick(&[":", "/", "-"]),
                ["-1", "0", "1", "7"][random.below(4)]
            )),
            3 => text.push_str(&format!(
                "  options:\n    delimiter: \"{}\"\n    create: true\n",
                random.pick(&[":", ""])
            )),
            _ => {}
        }
    }
    if random.once_in(40) {
        text.push_str(&format!("unknown: {}\n", scalar(random)));
    }
    text
}
