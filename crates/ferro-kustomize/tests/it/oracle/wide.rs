//! What the other parts of the generator do not think of: templates in which marks are filled in at random.

use super::case::Layer;
use super::generate::{lines, selector};
use super::objects::{Document, NAMES, NAMESPACES, scalar};
use super::random::Random;

/// Fills in `@S` (a scalar), `@N` (a name), `@E` (a namespace), `@P` (a port) and `@T` (a text of any sort in quotes).
fn fill(random: &mut Random, template: &str) -> String {
    let mut text = String::new();
    let mut parts = template.split('@');
    text.push_str(parts.next().unwrap_or_default());
    for part in parts {
        let (mark, rest) = part.split_at(1);
        match mark {
            "S" => text.push_str(&any_scalar(random)),
            "N" => text.push_str(random.pick(&NAMES)),
            "E" => text.push_str(random.pick(&["default", "ns1", "ns2", "ns3"])),
            "P" => text.push_str(random.pick(&["80", "443", "0x50", "8080", "\"80\""])),
            "T" => text.push_str(random.pick(&TEXTS)),
            _ => panic!("no such mark: {mark}"),
        }
        text.push_str(rest);
    }
    text
}

fn any_scalar(random: &mut Random) -> String {
    if random.once_in(2) {
        scalar(random)
    } else {
        random.pick(&SCALARS).to_owned()
    }
}

const TEXTS: [&str; 12] = [
    "\"1\"",
    "'true'",
    "\"null\"",
    "'a: b'",
    "\"\"",
    "\"line\\nline\\n\"",
    "'2021-01-01'",
    "\"  x\"",
    "\"\\u00e4\\U0001F600\"",
    "'it''s'",
    "\"#\"",
    "\"x\\ty\"",
];

const SCALARS: [&str; 44] = [
    "0b101",
    "0o17",
    "0O17",
    "017",
    "-017",
    "08",
    "1:30",
    "190:20:30.5",
    ".inf",
    "-.INF",
    ".nan",
    "1e400",
    "1E5",
    "+12",
    "1_0.5",
    "0x",
    "123456789012345678901234567890",
    "9223372036854775808",
    "-9223372036854775809",
    "0.1e-7",
    "100000000000000000000.0",
    "y",
    "Y",
    "n",
    "on",
    "Off",
    "NO",
    "TRUE",
    "Null",
    "<<",
    "=",
    "2001-12-14t21:59:43.10-05:00",
    "2001-12-14 21:59:43.10 -5",
    "2001-1-1",
    "2001-02-30",
    "!!binary aGVsbG8=",
    "!!float 3",
    "!!str true",
    "!!int \"7\"",
    "!local x",
    "&anchor anchored",
    "größe",
    "日本語 text",
    "a long line of words that is not quoted and goes on for more than eighty columns, so that it is folded when it is written",
];

/// Objects with lists that merge by one key, by two or not at all, and others that are referred to.
const OBJECTS: [(&str, &str, &str); 24] = [
    (
        "apps/v1",
        "Deployment",
        "spec:\n  replicas: @S\n  template:\n    metadata:\n      annotations: {note: @S}\n    spec:\n      serviceAccountName: @N\n      priorityClassName: @N\n      tolerations:\n      - {key: a, operator: Exists}\n      - {key: b, value: @S}\n      imagePullSecrets:\n      - name: @N\n      hostAliases:\n      - {ip: 1.1.1.1, hostnames: [a]}\n      containers:\n      - name: main\n        image: nginx:@S\n        ports:\n        - {containerPort: @P, name: web}\n        - {containerPort: @P, protocol: UDP}\n        env:\n        - {name: A, value: @S}\n        - {name: B, value: @T}\n        volumeMounts:\n        - {name: v, mountPath: /v}\n        - {name: v, mountPath: /w, subPath: x}\n        volumeDevices:\n        - {name: d, devicePath: /d}\n      volumes:\n      - name: v\n        projected:\n          sources:\n          - configMap: {name: @N}\n          - secret: {name: @N}\n",
    ),
    (
        "apps/v1",
        "StatefulSet",
        "spec:\n  serviceName: @N\n  selector: {matchLabels: {app: web}}\n  template:\n    metadata: {labels: {app: web}}\n    spec:\n      topologySpreadConstraints:\n      - {topologyKey: zone, whenUnsatisfiable: DoNotSchedule, maxSkew: 1}\n      - {topologyKey: host, whenUnsatisfiable: ScheduleAnyway, maxSkew: @S}\n      affinity:\n        podAntiAffinity:\n          preferredDuringSchedulingIgnoredDuringExecution:\n          - weight: 1\n            podAffinityTerm:\n              labelSelector: {matchLabels: {app: web}}\n      initContainers:\n      - {name: init, image: \"redis\", command: [sh, -c, \"$(VAR) $$(VAR) $(NONE)\"]}\n      containers:\n      - {name: main, image: my/nginx}\n  volumeClaimTemplates:\n  - metadata: {name: data, labels: {a: b}}\n    spec: {storageClassName: @N, volumeName: @N}\n",
    ),
    (
        "batch/v1",
        "CronJob",
        "spec:\n  schedule: '@P * * * *'\n  jobTemplate:\n    metadata: {labels: {a: @T}}\n    spec:\n      template:\n        spec:\n          restartPolicy: Never\n          containers:\n          - name: main\n            image: nginx@S\n            envFrom:\n            - configMapRef: {name: @N}\n            - secretRef: {name: @N}\n",
    ),
    (
        "v1",
        "Service",
        "spec:\n  type: @S\n  ports:\n  - {port: @P, targetPort: $(VAR)}\n  - {port: @P, protocol: TCP, name: @N}\n  - {port: 53, protocol: UDP}\n  - {port: 53, protocol: TCP}\n  selector: {app: @T}\n",
    ),
    (
        "v1",
        "Service",
        "spec:\n  ports:\n  - name: a\n    port: 80\n  - name: b\n    port: 81\n  externalIPs: [1.2.3.4]\n  clusterIP: None\n",
    ),
    (
        "v1",
        "ConfigMap",
        "data:\n  k: @T\n  json: |-\n    {\n      \"a\": {\"b\": @P},\n      \"l\": [1, 2]\n    }\n  yaml: |\n    # comment\n    a:\n      b: 1 # one\n      c: x\n    list: [a, b]\n  literal: |2\n      lead\n    end\nbinaryData:\n  b: AAEC\n",
    ),
    (
        "v1",
        "Secret",
        "type: @S\ndata: {k: YQ==, z: \"\"}\nstringData:\n  s: @S\nimmutable: true\n",
    ),
    (
        "v1",
        "ServiceAccount",
        "secrets:\n- name: @N\n- {name: other, namespace: @E}\nimagePullSecrets: [{name: @N}, {name: none}]\n",
    ),
    (
        "rbac.authorization.k8s.io/v1",
        "RoleBinding",
        "roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: @N}\nsubjects:\n- {kind: ServiceAccount, name: @N, namespace: @E}\n- {kind: ServiceAccount, name: default}\n- {kind: User, name: default, apiGroup: rbac.authorization.k8s.io}\n- {kind: Group, name: @N}\n",
    ),
    (
        "rbac.authorization.k8s.io/v1",
        "ClusterRoleBinding",
        "roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: @N}\nsubjects:\n- kind: ServiceAccount\n  name: @N\n  namespace: @E\n",
    ),
    (
        "rbac.authorization.k8s.io/v1",
        "Role",
        "rules:\n- apiGroups: [\"\"]\n  resources: [secrets]\n  resourceNames: [@N, @N]\n  verbs: [\"*\"]\n",
    ),
    (
        "networking.k8s.io/v1",
        "Ingress",
        "spec:\n  ingressClassName: @N\n  defaultBackend: {service: {name: @N, port: {number: @P}}}\n  tls: [{hosts: [$(VAR)], secretName: @N}]\n  rules:\n  - host: \"*.example.com\"\n    http: {paths: [{path: /, backend: {service: {name: @N}}}, {path: /a, backend: {serviceName: @N}}]}\n",
    ),
    (
        "networking.k8s.io/v1",
        "NetworkPolicy",
        "spec:\n  podSelector: {}\n  egress:\n  - to: [{podSelector: {matchLabels: {app: web}}}, {namespaceSelector: {}}]\n  ingress:\n",
    ),
    (
        "admissionregistration.k8s.io/v1",
        "MutatingWebhookConfiguration",
        "webhooks:\n- name: a.io\n  clientConfig: {service: {name: @N, namespace: @E, path: /x}}\n- name: b.io\n  clientConfig: {url: https://x}\n",
    ),
    (
        "apiextensions.k8s.io/v1",
        "CustomResourceDefinition",
        "spec:\n  group: example.io\n  conversion: {strategy: Webhook, webhook: {clientConfig: {service: {name: @N, namespace: @E}}}}\n  versions:\n  - name: v1\n    schema:\n      openAPIV3Schema:\n        description: |\n          Text of several lines, some of which are so long that a writer that folds would fold them somewhere.\n\n          End.\n        properties: {spec: {properties: {containers: {items: {properties: {image: {default: nginx}}}}}}}\n",
    ),
    (
        "v1",
        "PersistentVolumeClaim",
        "spec: {storageClassName: @N, volumeName: @N, resources: {requests: {storage: @S}}}\n",
    ),
    (
        "v1",
        "Node",
        "spec: {podCIDRs: [10.0.0.0/8, 10.0.0.0/8], configSource: {configMap: @N}}\nstatus:\n  addresses: [{type: A, address: x}, {type: B, address: y}]\n",
    ),
    ("v1", "Namespace", "spec: {finalizers: [kubernetes]}\n"),
    (
        "autoscaling/v1",
        "HorizontalPodAutoscaler",
        "spec: {maxReplicas: @S, scaleTargetRef: {kind: Deployment, name: @N}}\n",
    ),
    (
        "example.io/v1",
        "Foo",
        "spec:\n  value: @S\n  text: @T\n  list: [{name: one, v: @S}, {name: one, v: 2}, {v: 3}]\n  plain: [a, @S, a]\n  deep: {a: {b: {c: @S}}, containers: [{name: c, image: nginx:1}]}\n  nested: [[@S, [@T]], {k: [@S]}]\n  folded: >-\n    one\n    two\n\n    three\n",
    ),
    (
        "example.io/v1",
        "Foo",
        "spec: {value: @S, list: [], deep: {}, plain: , x: ~, y: @T}\nstatus: {}\n",
    ),
    (
        "example.io/v1",
        "Bar",
        "spec:\n  name: $(VAR)\n  image: nginx\n  fooRef: {name: @N}\n  \"quoted key\": @S\n  ? long\n  : @S\n  twice: 1\n",
    ),
    ("example.io/v1", "Bar", "spec:\n  twice: 1\n  twice: 2\n"),
    (
        "v1",
        "List",
        "items:\n- {apiVersion: v1, kind: ConfigMap, metadata: {name: @N, namespace: @E}, data: {k: @T}}\n- {apiVersion: example.io/v1, kind: Foo, metadata: {name: @N}, spec: {value: @S}}\n",
    ),
];

/// Metadata besides the name and the namespace.
const METADATA: [&str; 14] = [
    "",
    "",
    "  labels: {app: web, n: @S}\n",
    "  labels:\n    app: @T\n    x: @S\n",
    "  annotations: {note: @S}\n",
    "  annotations:\n    note: @T\n    a.io/b: |\n      one\n      two\n",
    "  annotations: {config.kubernetes.io/local-config: @S}\n",
    "  annotations: {internal.config.kubernetes.io/previousNames: old, internal.config.kubernetes.io/previousNamespaces: default, internal.config.kubernetes.io/previousKinds: Foo}\n",
    "  annotations: {config.kubernetes.io/origin: x, internal.config.kubernetes.io/path: p, config.kubernetes.io/index: '0'}\n",
    "  finalizers: [a.io/f, b.io/f, a.io/f]\n  ownerReferences:\n  - {uid: @S, name: x}\n  - {uid: u2}\n",
    "  generateName: x-\n  creationTimestamp: null\n",
    "  labels:\n  annotations:\n",
    "  annotations: {\"1\": a, b: @S}\n",
    "  labels: {1: a, true: b}\n",
];

/// A document, and the identity that patches may name.
pub(super) fn document(random: &mut Random) -> Document {
    let (api_version, kind, body) = OBJECTS[random.below(OBJECTS.len())];
    let (name, namespace) = (random.pick(&NAMES), random.pick(&NAMESPACES));
    let mut metadata = format!("  name: {name}\n");
    if !namespace.is_empty() {
        metadata.push_str(&format!("  namespace: {namespace}\n"));
    }
    let more = random.pick(&METADATA);
    metadata.push_str(&fill(random, more));
    let body = fill(random, body);
    let mut text = format!("apiVersion: {api_version}\nkind: {kind}\nmetadata:\n{metadata}{body}");
    match random.below(24) {
        0 => text = format!("\u{feff}{text}"),
        1 => text = text.replace('\n', "\r\n"),
        2 => text = text.replace("metadata:", "metadata: # why"),
        3 => text.push_str("...\n"),
        _ => {}
    }
    Document {
        text,
        api_version: api_version.to_owned(),
        kind: kind.to_owned(),
        name: name.to_owned(),
        namespace: namespace.to_owned(),
    }
}

/// Bodies of strategic merge patches.
const PATCHES: [&str; 26] = [
    "$patch: delete\n",
    "$patch: replace\n",
    "$patch: wrong\n",
    "spec:\n  $patch: delete\n",
    "spec:\n  $patch: replace\n  value: @S\n",
    "spec:\n  $retainKeys: [value]\n  value: @S\n",
    "spec: null\n",
    "spec: @S\n",
    "data: {k: @S, new: @T, json: null}\n",
    "data:\n  $patch: replace\n  k: @S\n",
    "stringData: {s: @S}\ntype: null\n",
    "spec:\n  value: @S\n  text: @S\n  plain: [@S]\n  deep: {a: {b: {c: @T, d: null}}}\n",
    "spec:\n  list: [{name: one, v: @S}, {name: new}]\n  nested: []\n  folded: @S\n",
    "spec:\n  ports:\n  - {port: @P, protocol: UDP, nodePort: @S}\n  - {port: 443}\n",
    "spec:\n  ports:\n  - $patch: replace\n  - {port: 1}\n",
    "spec:\n  ports:\n  - {port: 53, protocol: UDP, $patch: delete}\n",
    "spec:\n  ports: [{name: a, port: 99}]\n",
    "spec:\n  template:\n    spec:\n      containers:\n      - name: main\n        image: @S\n        ports:\n        - {containerPort: @P, protocol: UDP}\n        - {containerPort: 9}\n        env:\n        - {name: A, value: @S}\n        - {name: C, valueFrom: {fieldRef: {fieldPath: x}}}\n        volumeMounts: [{mountPath: /v, readOnly: true}]\n",
    "spec:\n  template:\n    spec:\n      $setElementOrder/containers: [{name: b}, {name: main}]\n      containers:\n      - {name: b, image: x}\n      volumes:\n      - {name: v, $retainKeys: [name, emptyDir], emptyDir: {}}\n",
    "spec:\n  template:\n    spec:\n      tolerations: [{key: z}]\n      imagePullSecrets: [{name: added}]\n      hostAliases: [{ip: 1.1.1.1, hostnames: [b]}, {hostnames: [c]}]\n",
    "spec:\n  template:\n    spec:\n      topologySpreadConstraints:\n      - {topologyKey: zone, maxSkew: 5}\n      - {topologyKey: new, whenUnsatisfiable: X}\n      initContainers: null\n",
    "webhooks:\n- name: a.io\n  clientConfig: {service: {namespace: null}}\n- name: c.io\n",
    "subjects: [{kind: User, name: @N}]\nroleRef: {name: @N}\n",
    "secrets: [{name: added}]\nimagePullSecrets: []\n",
    "spec: {twice: @S, image: null}\nstatus: {x: @S}\n",
    "spec:\n  podCIDRs: [10.1.0.0/8, 10.0.0.0/8]\n  $deleteFromPrimitiveList/podCIDRs: [10.0.0.0/8]\n",
];

const PATCH_METADATA: [&str; 9] = [
    "",
    "",
    "  labels: {app: @S, fresh: @S}\n",
    "  labels: null\n",
    "  annotations: {note: @S, b: null}\n",
    "  annotations:\n    $patch: delete\n",
    "  finalizers: [c.io/f, $patch: x]\n",
    "  finalizers: null\n",
    "  ownerReferences: [{uid: u2, name: @S}, {name: z}]\n",
];

fn strategic(random: &mut Random, known: &[Document]) -> String {
    let (api_version, kind, name, namespace) = match known.get(random.below(known.len() + 1)) {
        Some(found) => (
            found.api_version.as_str(),
            found.kind.as_str(),
            found.name.as_str(),
            found.namespace.as_str(),
        ),
        None => ("example.io/v1", "Foo", "app", ""),
    };
    let mut text = format!("apiVersion: {api_version}\nkind: {kind}\nmetadata:\n  name: {name}\n");
    if !namespace.is_empty() && !random.once_in(8) {
        text.push_str(&format!("  namespace: {namespace}\n"));
    }
    let (metadata, body) = (random.pick(&PATCH_METADATA), random.pick(&PATCHES));
    text.push_str(&fill(random, metadata));
    text.push_str(&fill(random, body));
    text
}

const POINTERS: [&str; 24] = [
    "/metadata/labels/app",
    "/metadata/annotations/a.io~1b",
    "/metadata/annotations/a~0b",
    "/metadata/labels",
    "/metadata",
    "/metadata/name",
    "/metadata/finalizers/0",
    "/metadata/finalizers/-",
    "/spec",
    "/spec/value",
    "/spec/plain/-1",
    "/spec/plain/1",
    "/spec/plain/9",
    "/spec/plain/+1",
    "/spec/list/0/v",
    "/spec/nested/0/1/0",
    "/spec/deep/a/b/c",
    "/spec/ports/-",
    "/spec/ports/0/port",
    "/spec/template/spec/containers/0/env/-",
    "/data/k",
    "",
    "/",
    "spec/value",
];

fn operations(random: &mut Random) -> String {
    let mut text = String::new();
    for _ in 0..=random.below(3) {
        let (path, from) = (random.pick(&POINTERS), random.pick(&POINTERS));
        let value = if random.once_in(3) {
            random
                .pick(&["{a: [1, {b: c}]}", "[x, {y: 1e3}]", "{}", "12345678901234567890"])
                .to_owned()
        } else {
            any_scalar(random)
        };
        text.push_str(&match random.below(9) {
            0 => format!("- {{op: remove, path: '{path}'}}\n"),
            1 | 2 => format!("- op: replace\n  path: '{path}'\n  value: {value}\n"),
            3 => format!("- op: test\n  path: '{path}'\n  value: {value}\n"),
            4 => format!("- op: copy\n  from: '{from}'\n  path: '{path}'\n"),
            5 => format!("- op: move\n  from: '{from}'\n  path: '{path}'\n"),
            6 => format!(
                "- op: {}\n  path: '{path}'\n",
                random.pick(&["add", "wrong", "replace"])
            ),
            _ => format!("- op: add\n  path: '{path}'\n  value: {value}\n"),
        });
    }
    text
}

fn patch(random: &mut Random, known: &[Document]) -> String {
    let options = random.pick(&[
        "",
        "",
        "\noptions: {allowNameChange: true}",
        "\noptions: {allowKindChange: true}",
        "\noptions: {allowNameChange: true, allowKindChange: true}",
    ]);
    let target = match random.below(3) {
        // Whose hash upstream takes from its own form of the tree if it is of another kind than those it generates.
        _ if options.contains("Kind") => "target:\n  kind: Foo|Bar|Deployment|Service|Ingress\n".to_owned(),
        0 => String::new(),
        _ => format!("target:\n{}\n", lines(2, &selector(random, known))),
    };
    let text = match random.below(5) {
        0 | 1 => operations(random),
        2 => format!("{}---\n{}", strategic(random, known), strategic(random, known)),
        _ => strategic(random, known),
    };
    let text = if options.is_empty() {
        text
    } else {
        text.replacen("  name: ", "  name: new-", 1)
    };
    format!("{target}patch: |-\n{}{options}", lines(2, &text))
}

const ENTRIES: [&str; 20] = [
    "https://",
    "https://github.com/",
    "https://github.com/org",
    "git::",
    "git@github.com",
    "github.com/org",
    "ssh://host",
    "file://",
    "../missing",
    "missing.yaml",
    "/absolute",
    ".",
    "./",
    "..",
    "''",
    "objects.yaml/",
    "a?ref=x",
    "http:/x",
    "host.xz:path/to",
    "user@host",
];

const FIELDS: [(&str, &str); 39] = [
    (
        "labels",
        "pairs: {a: @T, n: \"5\"}\nfields:\n- {path: spec/labels, kind: Foo, create: true}\n- {path: spec/deep/labels, group: example.io, create: false}\n- {path: metadata/annotations, version: v1}\n",
    ),
    (
        "labels",
        "pairs: {a: @T}\nincludeSelectors: true\nincludeTemplates: true\nfields: [{path: \"spec/list[]/labels\", create: true}]\n",
    ),
    ("labels", "includeSelectors: true\n"),
    ("labels", "pairs: {a: 5}\n"),
    ("labels", "pairs: {\"1\": a}\n"),
    ("commonLabels", "{app: @T, \"x.io/y\": \"0x1F\"}"),
    ("commonAnnotations", "{a: @T, b: \"010\", note: c}"),
    ("images", "name: nginx\nnewTag: @T\ndigest: sha256:12\n"),
    ("images", "name: nginx\nnewTag: \"010\"\n"),
    ("images", "newTag: x\n"),
    ("images", "name: ([\nnewTag: x\n"),
    ("images", "name: my/nginx\nnewName: \"0x10\"\n"),
    ("replicas", "name: @N\ncount: @P\n"),
    ("replicas", "name: @N\ncount: x\n"),
    (
        "configMapGenerator",
        "name: @N\nliterals: [\"a=@N\", b=\"x\", \"n=010\", \"t=true\", \"m=one\\ntwo\"]\noptions: {labels: {l: \"1\"}, annotations: {a: \"2\"}}\n",
    ),
    (
        "configMapGenerator",
        "name: @N\nbehavior: merge\nliterals: [a=1, k=2, n=3]\n",
    ),
    (
        "configMapGenerator",
        "name: @N\nbehavior: replace\nnamespace: @E\nliterals: [a=]\n",
    ),
    (
        "configMapGenerator",
        "name: @N\nbehavior: other\nliterals: [=x]\n",
    ),
    (
        "configMapGenerator",
        "name: @N\nliterals: [\"1=x\", \"true=y\"]\n",
    ),
    (
        "configMapGenerator",
        "name: @N\nfiles: [data.bin, key=data.bin, text=odd.env]\n",
    ),
    (
        "configMapGenerator",
        "name: @N\nenvs: [odd.env]\nliterals: [A=again]\n",
    ),
    ("configMapGenerator", "name: @N\nfiles: [missing, a=b=c]\n"),
    (
        "secretGenerator",
        "name: @N\ntype: kubernetes.io/tls\nfiles: [tls.crt=odd.env, tls.key=data.bin]\n",
    ),
    (
        "secretGenerator",
        "name: @N\nenv: odd.env\noptions: {disableNameSuffixHash: true, immutable: true}\n",
    ),
    ("secretGenerator", "name: @N\nbehavior: merge\nliterals: [k=v]\n"),
    (
        "generatorOptions",
        "{labels: {g: \"yes\"}, annotations: {g: \"1.0\"}, disableNameSuffixHash: true}",
    ),
    (
        "sortOptions",
        "{order: fifo, legacySortOptions: {orderFirst: [Foo]}}",
    ),
    (
        "sortOptions",
        "{order: legacy, legacySortOptions: {orderFirst: [], orderLast: [Foo, Service, ConfigMap]}}",
    ),
    (
        "buildMetadata",
        "[managedByLabel, originAnnotations, transformerAnnotations, unknown]",
    ),
    ("openapi", "{version: v1.21.2}"),
    ("openapi", "{version: v9}"),
    (
        "vars",
        "name: VAR\nobjref: {kind: Service, name: @N, apiVersion: v1}\nfieldref: {fieldpath: \"spec.ports[0].port\"}\n",
    ),
    (
        "vars",
        "name: VAR\nobjref: {kind: Foo, name: @N, group: example.io, version: v1, namespace: @E}\nfieldref: {fieldpath: spec.value}\n",
    ),
    (
        "vars",
        "name: VAR\nobjref: {kind: ConfigMap, name: @N, apiVersion: v1}\nfieldref: {fieldpath: data.k}\n",
    ),
    (
        "vars",
        "name: VAR\nobjref: {kind: Deployment, name: @N, apiVersion: apps/v1}\nfieldref: {fieldpath: \"spec.template.spec.containers.[name=main].image\"}\n",
    ),
    ("configurations", "config.yaml"),
    ("crds", "config.yaml"),
    ("namePrefix", "\"@N\""),
    ("nameSuffix", "-@N."),
];

const CONFIGURATION: &str = "nameReference:\n- kind: ConfigMap\n  fieldSpecs:\n  - {path: spec/value, kind: Foo}\n  - {path: spec/fooRef, kind: Bar}\nvarReference:\n- {path: spec/deep, kind: Foo}\n- {path: spec/list/v, kind: Foo}\n- {path: spec/plain, kind: Foo}\nnamePrefix:\n- {path: metadata/name}\n- {path: spec/text, kind: Foo}\nnamespace:\n- {path: spec/new/namespace, kind: Foo, create: true}\n- {path: spec/value, kind: Foo}\ncommonAnnotations:\n- {path: spec/deep, kind: Foo}\nimages:\n- {path: spec/image, kind: Bar}\nreplicas:\n- {path: spec/value, kind: Foo}\n";

const ODD_ENV: &str =
    "A=1\r\n  B = two # x\n\n#c\nexport C=3\n=none\nD\nE=a=b\nF=\"q\"\nG='q'\nH=ä\n\tI=tab\nJ=trailing  \n";

/// Adds a field, with the files that it needs.
pub(super) fn field(random: &mut Random, layer: &mut Layer, known: &[Document]) {
    let (field, value) = match random.below(16) {
        0..=4 => ("patches", patch(random, known)),
        5 => (
            "patchesStrategicMerge",
            format!("|-\n{}", lines(2, &strategic(random, known))),
        ),
        6 if random.once_in(4) => (
            random.pick(&["resources", "components", "bases", "transformers"]),
            random.pick(&ENTRIES).to_owned(),
        ),
        _ => {
            let (field, value) = FIELDS[random.below(FIELDS.len())];
            (field, fill(random, value).trim_end().to_owned())
        }
    };
    let is_taken = |name: &str| layer.fields.iter().any(|(taken, _)| taken == name);
    let is_single = matches!(
        field,
        "commonLabels"
            | "commonAnnotations"
            | "generatorOptions"
            | "sortOptions"
            | "buildMetadata"
            | "openapi"
            | "namePrefix"
            | "nameSuffix"
            | "vars"
    );
    if is_single && is_taken(field) {
        return;
    }
    for (name, text) in [
        ("odd.env", ODD_ENV),
        ("data.bin", "\u{1}\u{ff}binary\u{0}\u{80}"),
        ("config.yaml", CONFIGURATION),
    ] {
        if value.contains(name) && !layer.files.iter().any(|(known, _)| known == name) {
            layer.files.push((name.to_owned(), text.to_owned()));
        }
    }
    layer.fields.push((field.to_owned(), value));
}
