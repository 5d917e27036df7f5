//! `flux build helmrelease` without a cluster.

use std::fs;
use std::path::Path;

use crate::script::flux;

const RELEASE: &str = "
apiVersion: helm.toolkit.fluxcd.io/v2
kind: HelmRelease
metadata: {name: app, namespace: apps}
spec:
  interval: 1m
  targetNamespace: prod
  chart: {spec: {chart: ./charts/app, sourceRef: {kind: GitRepository, name: repo}, valuesFiles: [./charts/app/values-prod.yaml]}}
  commonMetadata: {labels: {team: a}}
  values: {replicas: 2}
  valuesFrom: [{kind: Secret, name: secret, valuesKey: pw, targetPath: password}]
  postRenderers:
  - kustomize: {patches: [{target: {kind: ConfigMap}, patch: '- {op: add, path: /data/patched, value: \"yes\"}'}]}
---
apiVersion: v1
kind: Secret
metadata: {name: secret}
stringData: {pw: hunter2}
";

const MAP: &str = "apiVersion: v1
kind: ConfigMap
metadata: {name: {{ .Release.Name }}}
data:
  replicas: \"{{ .Values.replicas }}\"
  size: {{ .Values.size }}
  password: {{ .Values.password }}
  kube: {{ .Capabilities.KubeVersion.Version }}
  upgrade: \"{{ .Release.IsUpgrade }}\"
";

const HOOK: &str = "apiVersion: batch/v1
kind: Job
metadata: {name: hook, annotations: {helm.sh/hook: pre-install}}
";

const CRD: &str = "apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: things.x.io}
spec: {group: x.io, scope: Cluster, names: {kind: Thing}}
";

fn write(folder: &Path, files: &[(&str, &str)]) {
    for (name, text) in files {
        let path = folder.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
}

fn chart() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    write(
        folder.path(),
        &[
            ("hr.yaml", RELEASE),
            (
                "charts/app/Chart.yaml",
                "apiVersion: v2\nname: app\nversion: 1.0.0\n",
            ),
            (
                "charts/app/values.yaml",
                "replicas: 1\nsize: small\npassword: none\n",
            ),
            (
                "charts/app/values-prod.yaml",
                "replicas: 1\nsize: large\npassword: none\n",
            ),
            ("charts/app/templates/map.yaml", MAP),
            (
                "charts/app/templates/thing.yaml",
                "apiVersion: x.io/v1\nkind: Thing\nmetadata: {name: t}\n",
            ),
            ("charts/app/templates/hook.yaml", HOOK),
            ("charts/app/crds/things.yaml", CRD),
        ],
    );
    folder
}

fn args(folder: &Path, more: &str) -> String {
    let path = |name: &str| folder.join(name).display().to_string();
    format!(
        "build helmrelease app -n apps --dry-run --helmrelease-file={} --chart-path={} --values-from-files={}{more}",
        path("hr.yaml"),
        path("charts/app"),
        path("hr.yaml")
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn what_would_be_applied_is_printed() {
    let folder = chart();
    let outcome = flux(&args(folder.path(), " --kube-version=1.33.1"), vec![]).await;
    let map = "---\n# Source: app/templates/map.yaml\n\
        apiVersion: v1\ndata:\n  kube: v1.33.1\n  password: hunter2\n  patched: \"yes\"\n  replicas: \"2\"\n  size: large\n  upgrade: \"false\"\n\
        kind: ConfigMap\nmetadata:\n  annotations:\n    meta.helm.sh/release-name: prod-app\n    meta.helm.sh/release-namespace: prod\n  \
        labels:\n    app.kubernetes.io/managed-by: Helm\n    helm.toolkit.fluxcd.io/name: app\n    helm.toolkit.fluxcd.io/namespace: apps\n    \
        team: a\n  name: prod-app\n  namespace: prod\n";
    assert_eq!((outcome.code, outcome.err.as_str()), (0, ""));
    assert!(outcome.out.contains(map), "{}", outcome.out);
    assert!(
        outcome
            .out
            .starts_with("---\napiVersion: apiextensions.k8s.io/v1\n"),
        "{}",
        outcome.out
    );
    let hook = "---\n# Source: app/templates/hook.yaml\n# Hook: pre-install\napiVersion: batch/v1\n";
    assert!(outcome.out.contains(hook), "{}", outcome.out);
    // A kind that the chart defines as cluster-scoped has no namespace.
    let thing = "kind: Thing\nmetadata:\n  annotations:\n    meta.helm.sh/release-name: prod-app\n    meta.helm.sh/release-namespace: prod\n  \
        labels:\n    app.kubernetes.io/managed-by: Helm\n    helm.toolkit.fluxcd.io/name: app\n    helm.toolkit.fluxcd.io/namespace: apps\n    \
        team: a\n  name: t\n";
    assert!(
        outcome.out.ends_with(thing) || outcome.out.contains(&format!("{thing}---\n")),
        "{}",
        outcome.out
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn flags_leave_out_and_change_what_is_printed() {
    let folder = chart();
    write(folder.path(), &[("over.yaml", "replicas: 7\n")]);
    let over = folder.path().join("over.yaml").display().to_string();
    let more = format!(" --no-hooks --skip-crds --is-upgrade --values={over}");
    let outcome = flux(&args(folder.path(), &more), vec![]).await;
    assert!(
        !outcome.out.contains("kind: Job") && !outcome.out.contains("CustomResourceDefinition"),
        "{outcome:?}"
    );
    assert!(
        outcome.out.contains("replicas: \"7\"") && outcome.out.contains("upgrade: \"true\""),
        "{outcome:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_name_the_object_and_the_file() {
    let folder = chart();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let fails = async |args: &str, message: &str| {
        let outcome = flux(args, vec![]).await;
        assert_eq!((outcome.code, outcome.out.as_str()), (1, ""), "{outcome:?}");
        assert!(
            outcome.err.contains(message),
            "{} does not say {message}",
            outcome.err
        );
    };
    fails(
        "build hr app --dry-run",
        "✗ --helmrelease-file is required with --dry-run",
    )
    .await;
    let file = path("hr.yaml");
    fails(
        &format!("build hr app --dry-run --helmrelease-file={file}"),
        "✗ chart of HelmRelease 'apps/app': --chart-path is required with --dry-run",
    )
    .await;
    fails(
        &format!("build hr other --dry-run --helmrelease-file={file}"),
        &format!("✗ {file} has no HelmRelease 'other'"),
    )
    .await;
    let chart = path("charts/app");
    fails(
        &format!("build hr app --dry-run --helmrelease-file={file} --chart-path={chart}"),
        "could not resolve Secret chart values reference 'apps/secret' with key 'pw': secrets \"secret\" not found; \
         without a cluster, it must be in a file of --values-from-files",
    )
    .await;
    let annotation = "annotations: {helm.toolkit.fluxcd.io/valuesFiles: '[{kind: Bucket, name: b, path: v.yaml}]'}, name: app";
    let with_files = RELEASE.replacen("name: app", annotation, 1);
    write(folder.path(), &[("files.yaml", &with_files)]);
    fails(
        &format!("build hr app --dry-run --helmrelease-file={} --chart-path={chart}", path("files.yaml")),
        "could not take values from file 'v.yaml' of Bucket 'apps/b': it comes from the cluster, which is not asked",
    )
    .await;
    write(
        folder.path(),
        &[("charts/app/templates/bad.yaml", "a: {{ .Values.x.y.z }}\n")],
    );
    fails(&args(folder.path(), ""), "✗ HelmRelease 'apps/app': ").await;
    fails(&args(folder.path(), ""), "app/templates/bad.yaml:1:").await;
    write(
        folder.path(),
        &[("charts/app/templates/bad.yaml", "kind: ConfigMap\n")],
    );
    fails(&args(folder.path(), ""), "✗ HelmRelease 'apps/app': ").await;
    write(
        folder.path(),
        &[
            ("charts/app/templates/bad.yaml", ""),
            (
                "charts/app/Chart.yaml",
                "apiVersion: v2\nname: app\nversion: 1.0.0\ndependencies: [{name: db, version: 1.x, repository: https://x}]\n",
            ),
        ],
    );
    fails(
        &args(folder.path(), ""),
        &format!("{chart}: the charts directory lacks db; 'helm dependency build {chart}'"),
    )
    .await;
}
