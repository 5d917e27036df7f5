//! Documents as people write them: comments, anchors, flow style, odd quoting, kinds off the beaten track.

use super::objects::{Document, NAMES, NAMESPACES, scalar};
use super::random::Random;

/// Kinds with their API version and a body that says something.
const KINDS: [(&str, &str, &str); 26] = [
    (
        "v1",
        "ReplicationController",
        "spec:\n  replicas: 1\n  selector:\n    app: web\n  template:\n    metadata:\n      labels:\n        app: web\n    spec:\n      containers:\n      - name: main\n        image: nginx\n        envFrom:\n        - configMapRef:\n            name: OTHER\n",
    ),
    (
        "apps/v1",
        "ReplicaSet",
        "spec:\n  template:\n    spec:\n      serviceAccountName: OTHER\n      priorityClassName: OTHER\n      containers: []\n",
    ),
    (
        "v1",
        "PodTemplate",
        "template:\n  spec:\n    containers:\n    - name: main\n      image: nginx:1\n      volumeMounts:\n      - {name: v, mountPath: $(VAR)}\n",
    ),
    (
        "v1",
        "PersistentVolume",
        "spec:\n  nfs:\n    server: $(VAR)\n  storageClassName: OTHER\n  azureFile:\n    secretName: OTHER\n",
    ),
    (
        "v1",
        "LimitRange",
        "spec:\n  limits:\n  - type: Container\n    max: {cpu: \"1\"}\n",
    ),
    ("v1", "ResourceQuota", "spec:\n  hard:\n    pods: \"10\"\n"),
    (
        "v1",
        "Endpoints",
        "subsets:\n- addresses:\n  - ip: 10.0.0.1\n  ports: [{port: 1}]\n",
    ),
    (
        "v1",
        "Node",
        "spec:\n  podCIDRs: [10.0.0.0/8]\n  configSource:\n    configMap: OTHER\n",
    ),
    (
        "rbac.authorization.k8s.io/v1",
        "ClusterRole",
        "rules:\n- resources: [configmaps]\n  resourceNames: [OTHER]\naggregationRule: {}\n",
    ),
    (
        "policy/v1",
        "PodDisruptionBudget",
        "spec:\n  selector:\n    matchLabels:\n      app: web\n",
    ),
    (
        "policy/v1beta1",
        "PodSecurityPolicy",
        "spec:\n  privileged: false\n",
    ),
    ("scheduling.k8s.io/v1", "PriorityClass", "value: 1000\n"),
    (
        "networking.k8s.io/v1",
        "IngressClass",
        "spec:\n  controller: a/b\n",
    ),
    (
        "apiregistration.k8s.io/v1",
        "APIService",
        "spec:\n  service:\n    name: OTHER\n    namespace: ns1\n",
    ),
    (
        "apiextensions.k8s.io/v1",
        "CustomResourceDefinition",
        "spec:\n  group: example.io\n  names:\n    kind: Foo\n  versions:\n  - name: v1\n    schema:\n      openAPIV3Schema:\n        properties:\n          spec:\n            x-kubernetes-list-type: map\n  conversion:\n    webhook:\n      clientConfig:\n        service:\n          name: OTHER\n          namespace: ns1\n",
    ),
    (
        "admissionregistration.k8s.io/v1",
        "MutatingWebhookConfiguration",
        "webhooks:\n- name: a.io\n  clientConfig:\n    service:\n      name: OTHER\n      namespace: default\n",
    ),
    (
        "admissionregistration.k8s.io/v1",
        "ValidatingAdmissionPolicy",
        "spec:\n  failurePolicy: Fail\n",
    ),
    (
        "admissionregistration.k8s.io/v1",
        "ValidatingAdmissionPolicyBinding",
        "spec:\n  policyName: OTHER\n",
    ),
    (
        "storage.k8s.io/v1",
        "CSIDriver",
        "spec:\n  attachRequired: true\n",
    ),
    (
        "serving.knative.dev/v1",
        "Service",
        "spec:\n  template:\n    spec:\n      containers:\n      - env:\n        - name: A\n          valueFrom:\n            secretKeyRef:\n              name: OTHER\n",
    ),
    (
        "gateway.networking.k8s.io/v1",
        "HTTPRoute",
        "spec:\n  rules:\n  - backendRefs:\n    - name: OTHER\n      port: 80\n",
    ),
    (
        "monitoring.coreos.com/v1",
        "ServiceMonitor",
        "spec:\n  endpoints:\n  - port: http\n    interval: 30s\n  selector:\n    matchLabels: {app: web}\n",
    ),
    (
        "helm.toolkit.fluxcd.io/v2",
        "HelmRelease",
        "spec:\n  values:\n    image:\n      repository: nginx\n      tag: 1.7.9\n    matrix: [[1, 2], [], [[a, {b: c}]]]\n",
    ),
    (
        "flowcontrol.apiserver.k8s.io/v1",
        "FlowSchema",
        "spec:\n  matchingPrecedence: 1\n",
    ),
    ("example.io/v1", "FooList", "spec: {}\n"),
    (
        "iam.example.io/v1alpha1",
        "Bar",
        "spec:\n  fooRef:\n    name: OTHER\n  labels: {}\n  image: nginx:1\n  name: $(VAR)\n",
    ),
];

/// Bodies that try the reader and the writer.
const ODD: [&str; 22] = [
    "# a comment in front\nspec: # behind a key\n  # above an entry\n  a: 1 # behind a value\n  list:\n  # above an item\n  - one # behind an item\n  # at the end of a list\n  - two\n# at the end\n",
    "spec:\n  base: &base {a: 1, b: [x, y]}\n  copy: *base\n  merged:\n    <<: *base\n    b: z\n",
    "spec:\n  one: &one\n    name: x\n  list:\n  - *one\n  - <<: *one\n    name: y\n  - <<: [*one, {k: v}]\n",
    "spec: {a: {b: [1, 'two', \"three\", {c: d}], e: }, \"quoted key\": yes, ? complex : x}\n",
    "spec:\n  literal: |\n    one\n      two\n\n    three\n  stripped: |-\n    end\n  kept: |+\n    end\n\n  folded: >\n    one\n    two\n\n    three\n  indented: |2\n      lead\n",
    "spec:\n  plain: one\n    two\n    three\n  double: \"one\n    two\\\n    three\"\n  single: 'it''s\n    here'\n",
    "spec:\n    deep:\n          deeper:\n           - a\n           -   b\n           -\n             c: d\n             e: f\n",
    "spec:\n  numbers: [0x1F, 0o17, 017, 0b11, 1_000, +1, -0, .5, 5., 1e3, 1E-7, 1e21, .inf, 12345678901234567890, 123456789012345678901]\n",
    "spec:\n  words: [yes, No, on, OFF, y, N, true, True, TRUE, null, Null, ~, '', \"\"]\n",
    "spec:\n  numbers: [0.1, 100000000000000000000.0, 1.0, -0.0, 3.14159265358979, 1e300, 9007199254740993, -9223372036854775808]\n",
    "spec:\n  times: [2021-01-01, 2021-01-01T00:00:00Z, 2021-01-01 10:00:00, 10:20:30, 1:30]\n",
    "spec:\n  tagged: [!!str 5, !!int '5', !!float 1, !!bool 'true', !!null '', !custom x]\n",
    "spec:\n  special: [\"tab\\there\", \"nul\\u0001\", \"\\u00e9\", \"\\U0001F600\", \"nbsp\\u00a0\", \"\\u2028\", \"bell\\a\", \"back\\\\slash\", '\"', \"'\"]\n",
    "spec:\n  odd: [\"- a\", \"? b\", \": c\", \"a: b\", \"a:\", \"a #b\", \"#a\", \"@x\", \"`y\", \"%z\", \"!t\", \"&a\", \"*b\", \"{c\", \"[d\", \"|\", \">\", \"---\", \"...\", \"--- a\", \"=\", \"<<\"]\n",
    "spec:\n  long: this is a text of more than eighty columns which has blanks in all the places where it could be folded by a writer\n  quoted: \"this: is a text of more than eighty columns which has blanks in all the places where it could be folded by a writer\"\n  unbroken: thisisatextofmorethaneightycolumnswhichhasnoblanksinanyoftheplaceswhereitcouldbefoldedbyawriter\n",
    "spec:\n  blanks: [\" lead\", \"trail \", \"  \", \"a  b\", \"a\\nb\", \"a\\n\", \"\\na\", \"a \\nb\", \"a\\n\\nb\\n\\n\"]\n",
    "spec:\n  lists: [[], [[]], [[1], [2, [3]]], {}, [{}]]\n  empty: {}\n  none: []\n  nothing:\n",
    "spec:\n  Zeta: 1\n  alpha: 2\n  a10: 3\n  a2: 4\n  a-b: 5\n  a_b: 6\n  a.b: 7\n  \"10\": 8\n  \"9\": 9\n  _x: 10\n",
    "data:\n  script.sh: |\n    #!/bin/sh\n    echo \"$(VAR)\" $$HOME ${X}\n  \"key with blank\": v\n  crlf: \"a\\r\\nb\"\n",
    "spec:\n- not\n- a map\n",
    "status:\n  conditions:\n  - type: Ready\n    status: \"True\"\n",
    "spec:\n  1: a\n  true: b\n",
];

/// A document, and the identity that patches may name.
pub(super) fn document(random: &mut Random) -> Document {
    let (name, namespace) = (random.pick(&NAMES), random.pick(&NAMESPACES));
    let (api_version, kind, body) = if random.once_in(2) {
        KINDS[random.below(KINDS.len())]
    } else {
        let kinds = [
            ("example.io/v1", "Foo"),
            ("v1", "ConfigMap"),
            ("example.io/v2", "Foo"),
            ("apps/v1", "Deployment"),
        ];
        let (api_version, kind) = kinds[random.below(kinds.len())];
        (api_version, kind, ODD[random.below(ODD.len())])
    };
    let body = body.replace("OTHER", random.pick(&NAMES));
    let mut metadata = format!("  name: {}\n", quoted(random, name));
    if !namespace.is_empty() {
        metadata.push_str(&format!("  namespace: {}\n", quoted(random, namespace)));
    }
    match random.below(10) {
        0 => metadata.push_str("  labels: {app: web}\n"),
        1 => metadata.push_str("  labels:\n    app: &app web\n  annotations:\n    same: *app\n"),
        2 => metadata.push_str(&format!("  annotations: {{note: {}}}\n", scalar(random))),
        3 => metadata.push_str("  labels: {}\n  annotations: {}\n"),
        4 => metadata.push_str("  creationTimestamp: null\n  labels:\n"),
        5 => metadata.push_str("  annotations:\n    config.kubernetes.io/local-config: \"true\"\n"),
        6 => metadata.push_str("  annotations:\n    # a comment\n    a.io/b: |\n      text\n      more\n"),
        _ => {}
    }
    let (kind_text, version_text) = (quoted(random, kind), quoted(random, api_version));
    let text = match random.below(5) {
        0 => format!(
            "# {kind} {name}\n{body}apiVersion: {version_text}\nkind: {kind_text}\nmetadata:\n{metadata}"
        ),
        1 => format!("kind: {kind_text}\nmetadata:\n{metadata}apiVersion: {version_text}\n{body}"),
        _ => format!("apiVersion: {version_text}\nkind: {kind_text}\nmetadata:\n{metadata}{body}"),
    };
    Document {
        text,
        api_version: api_version.to_owned(),
        kind: kind.to_owned(),
        name: name.to_owned(),
        namespace: namespace.to_owned(),
    }
}

fn quoted(random: &mut Random, text: &str) -> String {
    match random.below(8) {
        0 => format!("'{text}'"),
        1 => format!("\"{text}\""),
        2 => format!("{text} # why"),
        _ => text.to_owned(),
    }
}

/// Something in front of, around or instead of a document.
pub(super) fn wrapped(random: &mut Random, text: &str) -> String {
    match random.below(14) {
        0 => format!("# license\n\n---\n{text}"),
        1 => format!("{text}---\n# nothing here\n"),
        2 => format!("---\n---\n{text}"),
        3 => format!("--- # a comment\n{text}---\n"),
        4 => text.replace('\n', "\r\n"),
        5 => format!(
            "apiVersion: v1\nkind: List\nitems:\n- {}",
            text.trim_end().replace('\n', "\n  ") + "\n"
        ),
        6 => format!(
            "kind: FooList\napiVersion: example.io/v1\nitems:\n-\n  {}",
            text.trim_end().replace('\n', "\n  ") + "\n"
        ),
        7 => format!("{text}\n\n"),
        _ => text.to_owned(),
    }
}
