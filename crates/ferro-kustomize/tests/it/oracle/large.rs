//! Trees as people have them: applications with bases and overlays many layers deep, components, and custom resource
//! definitions of thousands of lines.

use std::collections::BTreeMap;

use ferro_kustomize::{MemoryFiles, Options, Quirks, SchemaMode, build};
use serde_json::json;

use super::random::Random;
use super::{Oracle, number};

type Files = BTreeMap<String, String>;

fn word(random: &mut Random) -> &'static str {
    random.pick(&[
        "ingress", "cert", "argo", "metrics", "gateway", "cache", "queue", "auth", "billing", "search",
        "mail", "audit",
    ])
}

fn sentence(random: &mut Random) -> String {
    let words: Vec<&str> = (0..4 + random.below(24))
        .map(|_| {
            random.pick(&[
                "the",
                "value",
                "of",
                "this",
                "field:",
                "is",
                "optional,",
                "unless",
                "\"quoted\"",
                "`code`",
                "it's",
                "a",
                "list",
                "of",
                "names",
                "(default",
                "true).",
                "See",
                "https://example.io/docs#x",
                "#tag",
                "ünïcode",
            ])
        })
        .collect();
    words.join(" ")
}

fn push(text: &mut String, indent: usize, line: &str) {
    text.push_str(&" ".repeat(indent));
    text.push_str(line);
    text.push('\n');
}

/// Properties of a schema, nested as deep as `depth`.
fn properties(random: &mut Random, text: &mut String, indent: usize, depth: usize) {
    push(text, indent, "properties:");
    for index in 0..2 + random.below(6) {
        push(text, indent + 2, &format!("{}{index}:", word(random)));
        match random.below(3) {
            0 => {
                push(text, indent + 4, "description: |-");
                for _ in 0..=random.below(3) {
                    let line = sentence(random);
                    push(text, indent + 6, &line);
                }
            }
            1 => {
                let quoted = sentence(random).replace('\'', "''");
                push(text, indent + 4, &format!("description: '{quoted}'"));
            }
            _ => {
                push(text, indent + 4, "description: plain text that");
                push(text, indent + 6, "goes on in the next line");
            }
        }
        match random.below(5) {
            0 | 1 if depth > 0 => {
                push(text, indent + 4, "type: object");
                properties(random, text, indent + 4, depth - 1);
            }
            2 if depth > 0 => {
                push(text, indent + 4, "type: array");
                push(text, indent + 4, "x-kubernetes-list-map-keys: [name]");
                push(text, indent + 4, "items:");
                properties(random, text, indent + 6, depth - 1);
            }
            3 => {
                push(text, indent + 4, "enum: [\"yes\", 'no', on, 1, 1.0, ~]");
                push(text, indent + 4, "default: 0644");
            }
            _ => {
                push(text, indent + 4, "type: string");
                push(text, indent + 4, "pattern: ^[a-z0-9]([-a-z0-9]*[a-z0-9])?$");
            }
        }
    }
}

fn definition(random: &mut Random, index: usize, depth: usize) -> String {
    let kind = format!("Kind{index}");
    let mut text = format!(
        "---\n# definition {index}\napiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata:\n  annotations:\n    controller-gen.kubebuilder.io/version: v0.14.0\n  name: kind{index}s.example.io\nspec:\n  group: example.io\n  names: {{kind: {kind}, plural: kind{index}s, shortNames: [k{index}]}}\n  scope: Namespaced\n  versions:\n"
    );
    for version in ["v1alpha1", "v1"] {
        push(&mut text, 2, &format!("- name: {version}"));
        push(&mut text, 4, "additionalPrinterColumns:");
        push(
            &mut text,
            4,
            "- {jsonPath: '.status.conditions[?(@.type==\"Ready\")].status', name: Ready, type: string}",
        );
        push(&mut text, 4, "schema:");
        push(&mut text, 6, "openAPIV3Schema:");
        properties(random, &mut text, 8, depth);
    }
    text
}

fn application(random: &mut Random, files: &mut Files, name: &str) {
    let dir = format!("/apps/{name}/base");
    let port = 8000 + random.below(99);
    files.insert(
        format!("{dir}/deployment.yaml"),
        format!(
            "apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: {name}\n  labels: &labels\n    app.kubernetes.io/name: {name}\nspec:\n  replicas: {}\n  selector:\n    matchLabels: *labels\n  template:\n    metadata:\n      labels: *labels\n      annotations:\n        prometheus.io/port: \"{port}\"\n    spec:\n      serviceAccountName: {name}\n      containers:\n      - name: main\n        image: registry.example.io:5000/{name}/main:v1.{}\n        args:\n        - --port={port}\n        - --config=/etc/{name}/config.yaml\n        # the environment\n        env:\n        - name: POD\n          valueFrom: {{fieldRef: {{fieldPath: metadata.name}}}}\n        - name: KEY\n          valueFrom: {{secretKeyRef: {{name: {name}-key, key: key}}}}\n        ports:\n        - {{name: http, containerPort: {port}}}\n        - {{name: udp, containerPort: {port}, protocol: UDP}}\n        volumeMounts:\n        - {{name: config, mountPath: /etc/{name}}}\n      volumes:\n      - name: config\n        configMap: {{name: {name}-config}}\n",
            random.below(5),
            random.below(9)
        ),
    );
    files.insert(
        format!("{dir}/rest.yaml"),
        format!(
            "apiVersion: v1\nkind: Service\nmetadata: {{name: {name}}}\nspec:\n  ports:\n  - {{name: http, port: 80, targetPort: http}}\n  - {{name: udp, port: 80, protocol: UDP}}\n  selector: {{app.kubernetes.io/name: {name}}}\n---\napiVersion: v1\nkind: ServiceAccount\nmetadata: {{name: {name}}}\nimagePullSecrets: [{{name: {name}-key}}]\n---\napiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata: {{name: {name}}}\nrules:\n- {{apiGroups: [''], resources: [secrets], resourceNames: [{name}-key], verbs: [get]}}\n---\napiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRoleBinding\nmetadata: {{name: {name}}}\nroleRef: {{apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: {name}}}\nsubjects: [{{kind: ServiceAccount, name: {name}, namespace: default}}]\n---\napiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata:\n  name: {name}\n  annotations: {{nginx.ingress.kubernetes.io/auth-secret: {name}-key, nginx.ingress.kubernetes.io/rewrite-target: /$1}}\nspec:\n  tls: [{{hosts: [{name}.example.io], secretName: {name}-key}}]\n  rules:\n  - host: {name}.example.io\n    http: {{paths: [{{path: /(.*), pathType: Prefix, backend: {{service: {{name: {name}, port: {{name: http}}}}}}}}]}}\n---\napiVersion: autoscaling/v2\nkind: HorizontalPodAutoscaler\nmetadata: {{name: {name}}}\nspec: {{maxReplicas: 10, scaleTargetRef: {{apiVersion: apps/v1, kind: Deployment, name: {name}}}}}\n---\napiVersion: admissionregistration.k8s.io/v1\nkind: ValidatingWebhookConfiguration\nmetadata: {{name: {name}}}\nwebhooks:\n- name: {name}.example.io\n  clientConfig: {{service: {{name: {name}, namespace: default, path: /validate}}}}\n"
        ),
    );
    files.insert(
        format!("{dir}/config.yaml"),
        format!(
            "# configuration of {name}\nlevel: info\nurl: http://{name}.default.svc\ntext: {}\n",
            sentence(random)
        ),
    );
    files.insert(
        format!("{dir}/kustomization.yaml"),
        format!(
            "resources: [deployment.yaml, rest.yaml]\nconfigMapGenerator:\n- name: {name}-config\n  files: [config.yaml]\nsecretGenerator:\n- name: {name}-key\n  literals: [key=\"{}\"]\n  type: Opaque\n",
            random.below(1000)
        ),
    );
}

/// What one layer on the way from the bases to the top changes.
fn layer(random: &mut Random, files: &mut Files, depth: usize, apps: &[String]) {
    let dir = format!("/layers/l{depth}");
    let below = if depth == 0 {
        apps.iter()
            .map(|app| format!("- ../../apps/{app}/base\n"))
            .collect()
    } else {
        format!("- ../l{}\n", depth - 1)
    };
    let app = &apps[random.below(apps.len())];
    let mut text =
        format!("apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nresources:\n{below}");
    text.push_str(&match random.below(8) {
        0 => format!("namePrefix: p{depth}-\n"),
        1 => format!("nameSuffix: -s{depth}\n"),
        2 => format!("namespace: ns{depth}\n"),
        3 => format!("labels:\n- pairs: {{layer{depth}: \"{depth}\", app.kubernetes.io/part-of: all}}\n  includeSelectors: {}\n", random.once_in(2)),
        4 => format!("commonAnnotations: {{layer{depth}: \"true\", note: {}}}\n", "'x: y'"),
        5 => format!("images:\n- name: registry.example.io:5000/{app}/main\n  newTag: v{depth}\n"),
        6 => format!("replicas:\n- {{name: {app}, count: {depth}}}\n"),
        _ => format!("configMapGenerator:\n- name: {app}-config\n  behavior: merge\n  literals: [layer={depth}]\n"),
    });
    text.push_str(&match random.below(4) {
        0 => format!("patches:\n- path: patch.yaml\n  target: {{kind: Deployment, name: {app}}}\n"),
        1 => format!("patches:\n- target: {{kind: Service|Ingress, labelSelector: \"!none\"}}\n  patch: |-\n    - op: add\n      path: /metadata/annotations/patched{depth}\n      value: \"{depth}\"\n").replace("/metadata/annotations/", "/metadata/"),
        2 => format!("components: [../../components/c{}]\n", random.below(3)),
        _ => format!("replacements:\n- source: {{kind: Deployment, name: {app}, fieldPath: 'spec.template.spec.containers.[name=main].image', options: {{delimiter: ':', index: 2}}}}\n  targets:\n  - select: {{kind: ConfigMap}}\n    fieldPaths: [data.version, metadata.annotations.version]\n    options: {{create: true}}\n"),
    });
    files.insert(format!("{dir}/patch.yaml"), format!("apiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: any}}\nspec:\n  template:\n    spec:\n      containers:\n      - name: main\n        env: [{{name: LAYER{depth}, value: \"{depth}\"}}]\n        resources: {{limits: {{memory: {depth}00Mi}}}}\n      - name: side{depth}\n        image: side:latest\n"));
    files.insert(format!("{dir}/kustomization.yaml"), text);
}

/// A tree and the directory to build.
fn tree(seed: u64, scale: usize) -> (Files, String) {
    let mut random = Random::new(seed);
    let random = &mut random;
    let mut files = Files::new();
    let apps: Vec<String> = (0..2 + random.below(2 + 4 * scale))
        .map(|index| format!("{}{index}", word(random)))
        .collect();
    for app in &apps {
        application(random, &mut files, app);
    }
    for index in 0..3 {
        files.insert(
            format!("/components/c{index}/kustomization.yaml"),
            format!("apiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\ncommonLabels: {{component: c{index}}}\npatches:\n- target: {{kind: Deployment}}\n  patch: |-\n    apiVersion: apps/v1\n    kind: Deployment\n    metadata: {{name: x}}\n    spec: {{template: {{spec: {{tolerations: [{{key: c{index}, operator: Exists}}]}}}}}}\n"),
        );
    }
    let depth = 10 + random.below(4);
    for level in 0..depth {
        layer(random, &mut files, level, &apps);
    }
    let definitions: String = (0..2 * scale).map(|index| definition(random, index, 3)).collect();
    files.insert("/crds/crds.yaml".to_owned(), definitions);
    files.insert(
        "/crds/kustomization.yaml".to_owned(),
        "resources: [crds.yaml]\ncommonLabels: {owner: platform}\n".to_owned(),
    );
    files.insert(
        "/top/kustomization.yaml".to_owned(),
        format!(
            "resources: [../crds, ../layers/l{}]\nbuildMetadata: [{}]\nsortOptions: {{order: {}}}\n",
            depth - 1,
            random.pick(&["", "originAnnotations"]),
            random.pick(&["legacy", "fifo"])
        ),
    );
    (files, "/top".to_owned())
}

#[test]
fn large_trees_are_those_of_the_oracle() {
    let Some(mut oracle) = Oracle::start() else {
        println!("skipped: FERRO_ORACLE does not name the reference implementation");
        return;
    };
    let (seed, count) = (number("FERRO_ORACLE_SEED", 1), number("FERRO_ORACLE_TREES", 4));
    let scale = usize::try_from(number("FERRO_ORACLE_SCALE", 1)).unwrap();
    let (mut lines, mut longest, mut built) = (0, 0, 0);
    for seed in seed..seed + count {
        let (files, target) = tree(seed, scale);
        let request = json!({"op": "kustomize.build", "target": target, "files": files});
        let theirs = oracle.ask(&request);
        let options = Options {
            schema_mode: SchemaMode::Replace,
            quirks: Quirks::Upstream,
            ..Options::default()
        };
        let files: MemoryFiles = files.into_iter().collect();
        let ours = build(&files, &target, &options).and_then(|resources| resources.to_yaml());
        match (theirs, ours) {
            (Ok(theirs), Ok(ours)) => {
                let place = theirs
                    .lines()
                    .zip(ours.lines())
                    .position(|(their, our)| their != our);
                assert!(theirs == ours, "seed {seed} differs in line {place:?}");
                built += 1;
                lines += ours.lines().count();
                longest = longest.max(ours.lines().count());
            }
            (Err(theirs), Err(ours)) => {
                let agrees = super::errors::contains(&ours.to_string(), &theirs);
                assert!(agrees, "seed {seed}\n{theirs}\n{ours}");
                println!(
                    "seed {seed} fails: {}",
                    ours.to_string().lines().next().unwrap_or_default()
                );
            }
            (theirs, ours) => panic!("seed {seed}: {:?}\n{:?}", theirs.err(), ours.err()),
        }
    }
    assert!(built > 0, "no tree could be built");
    println!("oracle: {count} trees from seed {seed}, {built} built, {lines} lines, the longest {longest}");
}
