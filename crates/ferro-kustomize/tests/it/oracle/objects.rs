//! Objects as text: such as people write, and such as they should not.

use super::random::Random;

pub(super) const NAMES: [&str; 6] = ["app", "web", "db", "cfg", "c1", "x-1"];
pub(super) const NAMESPACES: [&str; 5] = ["", "", "default", "ns1", "ns2"];

const SCALARS: [&str; 32] = [
    "a",
    "plain text",
    "'single'",
    "\"double\"",
    "1",
    "010",
    "0x1F",
    "1.5",
    "1e3",
    "3.0",
    "true",
    "yes",
    "'yes'",
    "null",
    "~",
    "\"\"",
    "2021-01-01",
    "\"2021-01-01\"",
    "a:b",
    "\"a: b\"",
    "\"with\\nbreak\\n\"",
    "\"tab\\t\"",
    "\"\\U0001F600\"",
    "é",
    "-1",
    "0.10",
    "1_000",
    "\" lead\"",
    "\"#x\"",
    "!!str 5",
    "9007199254740993",
    "\"a rather long text that goes well beyond the eighty columns at which lines are folded by some writers\"",
];

const LABELS: [&str; 5] = ["app: web", "tier: db", "env: \"1\"", "release: x", "n: 5"];

pub(super) fn scalar(random: &mut Random) -> String {
    random.pick(&SCALARS).to_owned()
}

fn lines(width: usize, text: &str) -> String {
    text.lines()
        .map(|line| format!("{}{line}\n", " ".repeat(width)))
        .collect()
}

fn labels(random: &mut Random, key: &str) -> String {
    let mut text = String::new();
    let mut seen = Vec::new();
    for _ in random.times(2) {
        let label = random.pick(&LABELS);
        if !seen.contains(&label) {
            seen.push(label);
            text.push_str(&format!("  {label}\n"));
        }
    }
    if text.is_empty() {
        String::new()
    } else {
        format!("{key}:\n{text}")
    }
}

fn metadata(random: &mut Random, name: &str, namespace: &str) -> String {
    let mut text = format!("name: {name}\n");
    if !namespace.is_empty() {
        text.push_str(&format!("namespace: {namespace}\n"));
    }
    text.push_str(&labels(random, "labels"));
    if random.once_in(3) {
        let (key, value) = (
            random.pick(&["note", "a.io/b", "config.kubernetes.io/index"]),
            scalar(random),
        );
        text.push_str(&format!("annotations:\n  {key}: {value}\n"));
    }
    if random.once_in(12) {
        text.push_str("annotations:\n  config.kubernetes.io/local-config: \"true\"\n");
    }
    if random.once_in(8) {
        text.push_str("finalizers: [a.io/f, b.io/f]\n");
    }
    // A key twice is an error of its own.
    let mut seen = false;
    text.lines()
        .scan(false, |skips, line| {
            if line == "annotations:" {
                *skips = std::mem::replace(&mut seen, true);
            } else if !line.starts_with(' ') {
                *skips = false;
            }
            Some(if *skips {
                String::new()
            } else {
                format!("{line}\n")
            })
        })
        .collect()
}

fn object(api_version: &str, kind: &str, metadata: &str, rest: &str) -> String {
    format!(
        "apiVersion: {api_version}\nkind: {kind}\nmetadata:\n{}{rest}",
        lines(2, metadata)
    )
}

pub(super) fn container(random: &mut Random) -> String {
    let name = random.pick(&["main", "side", "main2"]);
    let mut text = format!("name: {name}\n");
    if !random.once_in(4) {
        let image = random.pick(&[
            "nginx",
            "nginx:1.7.9",
            "host:5000/a/b:2",
            "redis@sha256:abc",
            "my/nginx:x",
        ]);
        text.push_str(&format!("image: {image}\n"));
    }
    if random.once_in(2) {
        text.push_str("env:\n");
        for _ in 0..=random.below(2) {
            let env = random.pick(&["A", "B", "C"]);
            match random.below(4) {
                0 => {
                    let name = random.pick(&NAMES);
                    text.push_str(&format!(
                        "- name: {env}\n  valueFrom:\n    configMapKeyRef:\n      name: {name}\n      key: k\n"
                    ));
                }
                1 => {
                    let name = random.pick(&NAMES);
                    text.push_str(&format!(
                        "- name: {env}\n  valueFrom:\n    secretKeyRef:\n      name: {name}\n      key: k\n"
                    ));
                }
                2 => text.push_str(&format!("- name: {env}\n  value: $(VAR)-{env}\n")),
                _ => text.push_str(&format!("- name: {env}\n  value: {}\n", scalar(random))),
            }
        }
    }
    if random.once_in(3) {
        text.push_str("ports:\n");
        for _ in 0..=random.below(2) {
            let port = random.pick(&["80", "443", "8080"]);
            text.push_str(&format!("- containerPort: {port}\n"));
            if random.once_in(2) {
                text.push_str(&format!("  protocol: {}\n", random.pick(&["TCP", "UDP"])));
            }
            if random.once_in(3) {
                text.push_str(&format!("  name: {}\n", random.pick(&["http", "other"])));
            }
        }
    }
    if random.once_in(3) {
        let name = random.pick(&NAMES);
        let kind = random.pick(&["configMapRef", "secretRef"]);
        text.push_str(&format!("envFrom:\n- {kind}:\n    name: {name}\n"));
    }
    if random.once_in(4) {
        text.push_str(&format!("args: [\"$(VAR)\", {}]\n", scalar(random)));
    }
    if random.once_in(4) {
        text.push_str("volumeMounts:\n- name: v\n  mountPath: /data\n- name: w\n  mountPath: /etc/x\n");
    }
    text
}

fn list_item(text: &str) -> String {
    let mut lines = text.lines();
    let first = lines.next().unwrap_or_default();
    let rest: String = lines.map(|line| format!("  {line}\n")).collect();
    format!("- {first}\n{rest}")
}

pub(super) fn pod_spec(random: &mut Random) -> String {
    let mut text = "containers:\n".to_owned();
    let mut seen = Vec::new();
    for _ in 0..=random.below(2) {
        let container = container(random);
        let name = container.lines().next().unwrap().to_owned();
        if !seen.contains(&name) || random.once_in(20) {
            seen.push(name);
            text.push_str(&list_item(&container));
        }
    }
    if random.once_in(4) {
        text.push_str("initContainers:\n");
        text.push_str(&list_item(&container(random)));
    }
    if random.once_in(3) {
        text.push_str("volumes:\n");
        for name in ["v", "w"] {
            let of = random.pick(&NAMES);
            match random.below(4) {
                0 => text.push_str(&format!("- name: {name}\n  emptyDir: {{}}\n")),
                1 => text.push_str(&format!("- name: {name}\n  configMap:\n    name: {of}\n")),
                2 => text.push_str(&format!("- name: {name}\n  secret:\n    secretName: {of}\n")),
                _ => text.push_str(&format!(
                    "- name: {name}\n  persistentVolumeClaim:\n    claimName: {of}\n"
                )),
            }
        }
    }
    if random.once_in(4) {
        text.push_str(&format!("serviceAccountName: {}\n", random.pick(&NAMES)));
    }
    if random.once_in(6) {
        text.push_str("tolerations:\n- key: a\n  operator: Exists\n- key: b\n");
    }
    if random.once_in(8) {
        text.push_str("hostAliases:\n- ip: 1.2.3.4\n  hostnames: [h]\n");
    }
    if random.once_in(8) {
        text.push_str("topologySpreadConstraints:\n- topologyKey: zone\n  whenUnsatisfiable: ScheduleAnyway\n  maxSkew: 1\n  labelSelector:\n    matchLabels:\n      app: web\n");
    }
    text
}

fn workload(random: &mut Random, kind: &str, metadata: &str) -> String {
    let template = format!(
        "template:\n  metadata:\n{}  spec:\n{}",
        lines(
            4,
            &format!("creationTimestamp: null\n{}", labels(random, "labels"))
        ),
        lines(4, &pod_spec(random))
    );
    let selector = if random.once_in(2) {
        "selector:\n  matchLabels:\n    app: web\n"
    } else {
        ""
    };
    match kind {
        "CronJob" => {
            let job = format!(
                "schedule: \"* * * * *\"\njobTemplate:\n  spec:\n{}",
                lines(4, &template)
            );
            object("batch/v1", kind, metadata, &format!("spec:\n{}", lines(2, &job)))
        }
        "Job" => object(
            "batch/v1",
            kind,
            metadata,
            &format!("spec:\n{}", lines(2, &template)),
        ),
        "Pod" => object(
            "v1",
            kind,
            metadata,
            &format!("spec:\n{}", lines(2, &pod_spec(random))),
        ),
        "StatefulSet" => {
            let claims = if random.once_in(2) {
                "volumeClaimTemplates:\n- metadata:\n    name: data\n  spec:\n    storageClassName: app\n"
            } else {
                ""
            };
            let service = format!("serviceName: {}\n", random.pick(&NAMES));
            let spec = format!("{service}{selector}{template}{claims}");
            object("apps/v1", kind, metadata, &format!("spec:\n{}", lines(2, &spec)))
        }
        _ => {
            let replicas = if random.once_in(2) { "replicas: 2\n" } else { "" };
            let spec = format!("{replicas}{selector}{template}");
            object("apps/v1", kind, metadata, &format!("spec:\n{}", lines(2, &spec)))
        }
    }
}

const KINDS: [&str; 24] = [
    "Deployment",
    "Deployment",
    "StatefulSet",
    "DaemonSet",
    "Job",
    "CronJob",
    "Pod",
    "Service",
    "Service",
    "ConfigMap",
    "ConfigMap",
    "Secret",
    "ServiceAccount",
    "Role",
    "RoleBinding",
    "ClusterRoleBinding",
    "Ingress",
    "HorizontalPodAutoscaler",
    "PersistentVolumeClaim",
    "StorageClass",
    "Namespace",
    "Foo",
    "ValidatingWebhookConfiguration",
    "NetworkPolicy",
];

/// A whole document, and the identity that patches may name.
pub(super) struct Document {
    pub(super) text: String,
    pub(super) api_version: String,
    pub(super) kind: String,
    pub(super) name: String,
    pub(super) namespace: String,
}

pub(super) fn document(random: &mut Random) -> Document {
    let (kind, name) = (random.pick(&KINDS), random.pick(&NAMES));
    let namespace = random.pick(&NAMESPACES);
    let text = document_of(random, kind, name, namespace);
    let api_version = text
        .lines()
        .next()
        .unwrap()
        .trim_start_matches("apiVersion: ")
        .to_owned();
    Document {
        text,
        api_version,
        kind: kind.to_owned(),
        name: name.to_owned(),
        namespace: namespace.to_owned(),
    }
}

fn document_of(random: &mut Random, kind: &str, name: &str, namespace: &str) -> String {
    let metadata = metadata(random, name, namespace);
    let other = random.pick(&NAMES);
    let rbac = "rbac.authorization.k8s.io/v1";
    match kind {
        "Deployment" | "StatefulSet" | "DaemonSet" | "Job" | "CronJob" | "Pod" => {
            workload(random, kind, &metadata)
        }
        "Service" => {
            let mut spec = "ports:\n".to_owned();
            for _ in 0..=random.below(2) {
                spec.push_str(&format!("- port: {}\n", random.pick(&["80", "443"])));
                if random.once_in(2) {
                    spec.push_str(&format!("  protocol: {}\n", random.pick(&["TCP", "UDP"])));
                }
                if random.once_in(2) {
                    spec.push_str(&format!("  name: {}\n", random.pick(&["http", "https"])));
                }
            }
            if random.once_in(2) {
                spec.push_str("selector:\n  app: web\n");
            }
            object("v1", kind, &metadata, &format!("spec:\n{}", lines(2, &spec)))
        }
        "ConfigMap" => {
            let data = format!(
                "data:\n  k: {}\n  json: '{{\"a\":{{\"b\":1}},\"l\":[{{\"n\":\"x\"}}]}}'\n  yaml: |\n    a:\n      b: 1\n      c: x\n",
                scalar(random)
            );
            object("v1", kind, &metadata, &data)
        }
        "Secret" => object(
            "v1",
            kind,
            &metadata,
            "type: Opaque\ndata:\n  k: YQ==\nstringData:\n  s: t\n",
        ),
        "ServiceAccount" => object(
            "v1",
            kind,
            &metadata,
            &format!("imagePullSecrets:\n- name: {other}\n"),
        ),
        "Role" => object(
            rbac,
            kind,
            &metadata,
            &format!("rules:\n- resources: [secrets]\n  resourceNames: [{other}, none]\n"),
        ),
        "RoleBinding" | "ClusterRoleBinding" => {
            let role = random.pick(&["Role", "ClusterRole"]);
            let subject = random.pick(&NAMES);
            let namespace = random.pick(&["", "  namespace: ns1\n", "  namespace: default\n"]);
            object(
                rbac,
                kind,
                &metadata,
                &format!(
                    "roleRef:\n  apiGroup: rbac.authorization.k8s.io\n  kind: {role}\n  name: {other}\nsubjects:\n- kind: ServiceAccount\n  name: {subject}\n{namespace}- kind: ServiceAccount\n  name: default\n"
                ),
            )
        }
        "Ingress" => object(
            "networking.k8s.io/v1",
            kind,
            &metadata,
            &format!(
                "spec:\n  ingressClassName: nginx\n  tls:\n  - secretName: {other}\n    hosts: [\"$(VAR).example.com\"]\n  rules:\n  - host: $(VAR)\n    http:\n      paths:\n      - path: /\n        backend:\n          service:\n            name: {name}\n"
            ),
        ),
        "HorizontalPodAutoscaler" => object(
            "autoscaling/v2",
            kind,
            &metadata,
            &format!("spec:\n  maxReplicas: 3\n  scaleTargetRef:\n    kind: Deployment\n    name: {other}\n"),
        ),
        "PersistentVolumeClaim" => object(
            "v1",
            kind,
            &metadata,
            &format!("spec:\n  storageClassName: {other}\n  volumeName: {name}\n"),
        ),
        "StorageClass" => object(
            "storage.k8s.io/v1",
            kind,
            &metadata,
            &format!("parameters:\n  secretName: {other}\n"),
        ),
        "Namespace" => object("v1", kind, &metadata, ""),
        "ValidatingWebhookConfiguration" => object(
            "admissionregistration.k8s.io/v1",
            kind,
            &metadata,
            &format!(
                "webhooks:\n- name: a.example.com\n  clientConfig:\n    service:\n      name: {other}\n      namespace: ns1\n- name: b.example.com\n  failurePolicy: Fail\n"
            ),
        ),
        "NetworkPolicy" => object(
            "networking.k8s.io/v1",
            kind,
            &metadata,
            "spec:\n  podSelector:\n    matchLabels:\n      app: web\n  ingress:\n  - from:\n    - podSelector:\n        matchLabels:\n          app: db\n",
        ),
        _ => object(
            "example.io/v1",
            kind,
            &metadata,
            &format!(
                "spec:\n  value: {}\n  list:\n  - name: one\n    v: {}\n  - name: two\n  plain: [1, two, {}]\n  deep:\n    containers:\n    - name: c\n      image: nginx\n  nothing:\n  nil: null\n",
                scalar(random),
                scalar(random),
                scalar(random)
            ),
        ),
    }
}
