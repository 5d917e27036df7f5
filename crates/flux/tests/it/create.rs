//! `flux create`.

use serde_json::{Value, json};

use crate::script::{GIT, Step, flux, with};

const HR: &str = "/apis/helm.toolkit.fluxcd.io/v2/namespaces/flux-system/helmreleases";

fn object(api_version: &str, kind: &str, name: &str, spec: &str) -> String {
    format!(
        "---\napiVersion: {api_version}\nkind: {kind}\nmetadata:\n  name: {name}\n  namespace: flux-system\nspec:\n{spec}\n"
    )
}

#[tokio::test(start_paused = true)]
async fn objects_are_printed() {
    let source = "source.toolkit.fluxcd.io/v1";
    let helm = "helm.toolkit.fluxcd.io/v2";
    for (args, api_version, kind, spec) in [
        (
            "source git app --url=https://example.com/app --branch=main --interval=10m --ignore-paths=a,b",
            source,
            "GitRepository",
            "  ignore: |-\n    a\n    b\n  interval: 10m0s\n  ref:\n    branch: main\n  url: https://example.com/app\n",
        ),
        (
            "source git app --url=ssh://git@example.com/app --commit=abc --branch=main --secret-ref=key --recurse-submodules --fetch-timeout 2m",
            source,
            "GitRepository",
            "  interval: 1m0s\n  recurseSubmodules: true\n  ref:\n    branch: main\n    commit: abc\n  secretRef:\n    name: key\n  \
             timeout: 2m0s\n  url: ssh://git@example.com/app\n",
        ),
        (
            "source oci app --url=oci://example.com/app --tag=6.1.6 --interval 10m --secret-ref=creds --verify-provider=cosign --verify-issuer=i",
            source,
            "OCIRepository",
            "  interval: 10m0s\n  provider: generic\n  ref:\n    tag: 6.1.6\n  secretRef:\n    name: creds\n  url: oci://example.com/app\n  \
             verify:\n    matchOIDCIdentity:\n    - issuer: i\n      subject: \"\"\n    provider: cosign\n",
        ),
        (
            "source helm app --url=oci://example.com/charts --oci-provider=aws",
            source,
            "HelmRepository",
            "  interval: 1m0s\n  provider: aws\n  type: oci\n  url: oci://example.com/charts\n",
        ),
        (
            "source bucket app --bucket-name=b --endpoint=s3.example.com --provider=aws --region=r",
            source,
            "Bucket",
            "  bucketName: b\n  endpoint: s3.example.com\n  interval: 1m0s\n  provider: aws\n  region: r\n",
        ),
        (
            "helmrelease app --source Helmrepository/podinfo --chart podinfo --interval=1m0s",
            helm,
            "HelmRelease",
            "  chart:\n    spec:\n      chart: podinfo\n      reconcileStrategy: ChartVersion\n      sourceRef:\n        \
             kind: HelmRepository\n        name: podinfo\n  interval: 1m0s\n",
        ),
        (
            "hr app --chart-ref OCIRepository/podinfo.other --crds CreateReplace --depends-on=a,b/c --values-from=secret/s",
            helm,
            "HelmRelease",
            "  chartRef:\n    kind: OCIRepository\n    name: podinfo\n    namespace: other\n  dependsOn:\n  - name: a\n  - name: c\n    \
             namespace: b\n  install:\n    crds: Create\n  interval: 1m0s\n  upgrade:\n    crds: CreateReplace\n  valuesFrom:\n  - \
             kind: Secret\n    name: s\n",
        ),
        (
            "kustomization app --source=app --path=./deploy --prune --wait --health-check-timeout=3m --decryption-provider=sops",
            "kustomize.toolkit.fluxcd.io/v1",
            "Kustomization",
            "  decryption:\n    provider: sops\n  interval: 1m0s\n  path: ./deploy\n  prune: true\n  sourceRef:\n    kind: GitRepository\n    \
             name: app\n  timeout: 3m0s\n  wait: true\n",
        ),
    ] {
        let outcome = flux(&format!("create {args} --export"), vec![]).await;
        outcome.expect(&object(api_version, kind, "app", spec), "");
    }
}

#[tokio::test(start_paused = true)]
async fn values_come_from_files() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    std::fs::write(path("a.yaml"), "replicas: 1\nimage: {tag: v1, name: x}\n").unwrap();
    std::fs::write(path("b.yaml"), "image: {tag: v2}\n").unwrap();
    std::fs::write(path("bad.yaml"), "- a\n").unwrap();
    let args = "create hr app --source=Bucket/b --chart=./c --export --values=";
    let outcome = flux(&format!("{args}{},{}", path("a.yaml"), path("b.yaml")), vec![]).await;
    let values = "  values:\n    image:\n      name: x\n      tag: v2\n    replicas: 1\n";
    assert!(outcome.out.contains(values), "{outcome:?}");
    let bad = path("bad.yaml");
    let outcome = flux(&format!("{args}{bad}"), vec![]).await;
    assert!(
        outcome
            .err
            .starts_with(&format!("✗ converting values from {bad} failed: ")),
        "{outcome:?}"
    );
    flux(&format!("{args}none.yaml"), vec![]).await.expect_failure(
        "",
        "✗ reading values from none.yaml failed: open none.yaml: no such file or directory\n",
    );
}

fn release(generation: i64, status: &Value) -> Value {
    json!({
        "apiVersion": "helm.toolkit.fluxcd.io/v2", "kind": "HelmRelease",
        "metadata": {"name": "app", "namespace": "flux-system", "generation": generation, "resourceVersion": "5"},
        "spec": {}, "status": status,
    })
}

#[tokio::test(start_paused = true)]
async fn a_release_is_created_and_waited_for() {
    let wanted = json!({
        "apiVersion": "helm.toolkit.fluxcd.io/v2", "kind": "HelmRelease",
        "metadata": {"name": "app", "namespace": "flux-system", "labels": {"team": "a"}},
        "spec": {
            "interval": "1m0s",
            "chartRef": {"kind": "OCIRepository", "name": "podinfo"},
        },
    });
    let ready = json!({
        "observedGeneration": 1, "history": [{"chartVersion": "6.0.0"}],
        "conditions": [{"type": "Ready", "status": "True"}],
    });
    let script = vec![
        Step::missing(&format!("{HR}/app")),
        Step::post(HR, &wanted),
        Step::list(HR, &[release(1, &json!({}))]).with_query("metadata.name%3Dapp"),
        Step::watch(HR, &[release(1, &ready)]),
    ];
    flux(
        "create hr app --chart-ref=OCIRepository/podinfo --label=team=a",
        script,
    )
    .await
    .expect(
        "",
        "✚ generating HelmRelease\n\
             ► applying HelmRelease\n\
             ✔ HelmRelease created\n\
             ◎ waiting for HelmRelease reconciliation\n\
             ✔ HelmRelease app is ready\n\
             ✔ applied revision 6.0.0\n",
    );
}

#[tokio::test(start_paused = true)]
async fn a_source_is_updated_with_its_credentials() {
    let existing = json!({
        "apiVersion": "source.toolkit.fluxcd.io/v1", "kind": "GitRepository",
        "metadata": {"name": "app", "namespace": "flux-system", "generation": 1, "resourceVersion": "5", "labels": {"old": "1"}},
        "spec": {"url": "https://old.example.com", "interval": "5m"},
        "status": {"observedGeneration": 1},
    });
    let mut changed = existing.clone();
    changed["metadata"].as_object_mut().unwrap().remove("labels");
    changed["spec"] = json!({
        "interval": "1m0s", "ref": {"branch": "main"}, "secretRef": {"name": "app"}, "url": "https://example.com/app",
    });
    let secrets = "/api/v1/namespaces/flux-system/secrets";
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret",
        "metadata": {"name": "app", "namespace": "flux-system"},
        "stringData": {"username": "me", "password": "pw"},
    });
    let ready = json!({
        "observedGeneration": 2, "artifact": {"revision": "main@sha1:1"},
        "conditions": [{"type": "Ready", "status": "True"}],
    });
    let done = with(
        with(changed.clone(), "/status", ready),
        "/metadata/generation",
        json!(2),
    );
    let script = vec![
        Step::missing(&format!("{secrets}/app")),
        Step::post(secrets, &secret),
        Step::get(&format!("{GIT}/app"), &existing),
        Step::put(&format!("{GIT}/app"), &changed),
        Step::list(GIT, &[done]),
    ];
    flux(
        "create source git app --url=https://example.com/app --branch=main -u me -p pw",
        script,
    )
    .await
    .expect(
        "",
        "✚ generating GitRepository source\n\
             ► applying secret with repository credentials\n\
             ✔ authentication configured\n\
             ► applying GitRepository source\n\
             ✔ GitRepository source updated\n\
             ◎ waiting for GitRepository source reconciliation\n\
             ✔ GitRepository source reconciliation completed\n\
             ✔ fetched revision: main@sha1:1\n",
    );
}

#[tokio::test(start_paused = true)]
async fn what_is_missing_or_wrong_is_said() {
    let git = "a Git ref is required, use one of the following: --branch, --tag, --commit, --ref-name or --tag-semver";
    let name = "name 'Not_Valid' is invalid, it should adhere to standard defined in RFC 1123, the name can only contain alphanumeric characters or '-'";
    let source = "invalid argument \"foobar/podinfo\" for \"--source\" flag: source kind 'foobar' is not supported, must be one of: HelmRepository, GitRepository, Bucket";
    for (args, message) in [
        ("helmrelease --export", "name is required"),
        ("helmrelease Not_Valid --export", name),
        ("helmrelease app --export", "chart or chart-ref is required"),
        ("helmrelease app --chart c --export", "chart source is required"),
        (
            "helmrelease app --chart podinfo --chart-ref foobar/podinfo --export",
            "cannot use --chart in combination with --chart-ref",
        ),
        (
            "helmrelease app --source foobar/podinfo --chart podinfo --export",
            source,
        ),
        (
            "helmrelease app --chart-ref foobar/podinfo --export",
            "chart reference kind 'foobar' is not supported, must be one of: OCIRepository, HelmChart",
        ),
        (
            "hr app --chart c --source Bucket/b --reconcile-strategy x --export",
            "'x' is an invalid reconcile strategy(valid: Revision, ChartVersion)",
        ),
        ("source git app", "url is required"),
        ("source git app --url=https://example.com", git),
        (
            "source git app --url=ssh://example.com --branch=main --ca-file=x",
            "specifying a CA file is not supported for Git over SSH",
        ),
        (
            "source oci app --url=oci://example.com/app",
            "--tag, --tag-semver or --digest is required",
        ),
        ("source bucket app --bucket-name=b", "endpoint is required"),
        ("source helm app", "url is required"),
        ("source chart app --chart=c", "chart source is required"),
        (
            "source bucket app --provider=nobody",
            "invalid argument \"nobody\" for \"--provider\" flag: must be one of: generic, aws, azure, gcp",
        ),
        (
            "ks app --source=a --path=deploy --export",
            "path must begin with ./",
        ),
        (
            "ks app --source=a --label=x --export",
            "invalid label format 'x', must be key=value",
        ),
        ("pod app", "unknown command \"pod\" for \"flux create\""),
    ] {
        flux(&format!("create {args}"), vec![])
            .await
            .expect_failure("", &format!("✗ {message}\n"));
    }
}
