//! Objects survive being read and written.

use std::fmt::Debug;

use ferro_api::helm::HelmRelease;
use ferro_api::image::{ImagePolicy, ImageRepository, ImageUpdateAutomation};
use ferro_api::kustomize::{Kustomization, KustomizationSpec};
use ferro_api::notification::{Alert, Provider, Receiver};
use ferro_api::source::{Bucket, ExternalArtifact, GitRepository, HelmChart, HelmRepository, OCIRepository};
use ferro_api::source_extensions::ArtifactGenerator;
use ferro_api::{FluxObject, annotation};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};

/// Reads an object and expects to write the same.
fn roundtrip<T: Serialize + DeserializeOwned + PartialEq + Debug>(manifest: &str) -> T {
    let value: Value = serde_saphyr::from_str(manifest).unwrap();
    let object: T = serde_json::from_value(value.clone()).unwrap();
    assert_eq!(serde_json::to_value(&object).unwrap(), value);
    object
}

#[test]
fn an_object_without_spec_decodes() {
    let repo: GitRepository = serde_json::from_value(json!({"metadata": {"name": "empty"}})).unwrap();
    assert_eq!(repo.spec.url, "");
    assert!(repo.conditions().is_empty());
}

#[test]
fn unknown_fields_are_ignored() {
    let ks: Kustomization = serde_json::from_value(json!({
        "metadata": {"name": "new"},
        "spec": {"interval": "1m", "validation": "client", "newer": {"than": "this"}},
        "status": {"observedGeneration": -1, "snapshot": {"checksum": "x"}},
        "extra": true,
    }))
    .unwrap();
    assert_eq!(ks.observed_generation(), Some(-1));
}

/// Null is a value in JSON patches, and not the same as none.
#[test]
fn patches_of_older_versions_survive() {
    let ks: Kustomization = roundtrip(
        r"
apiVersion: kustomize.toolkit.fluxcd.io/v1
kind: Kustomization
metadata: {name: app}
spec:
  interval: 10m0s
  prune: true
  sourceRef: {kind: GitRepository, name: app}
  patchesStrategicMerge:
  - {apiVersion: v1, kind: ConfigMap, metadata: {name: a}, data: {gone: null}}
  patchesJson6902:
  - target: {version: v1, kind: ConfigMap, name: a}
    patch:
    - {op: add, path: /data/x, value: null}
    - {op: remove, path: /data/y}
    - {op: move, from: /data/a, path: /data/b}
",
    );
    let operations = &ks.spec.patches_json6902[0].patch;
    assert_eq!(operations[0].value, Some(Value::Null));
    assert_eq!(operations[1].value, None);
}

#[test]
fn setters_create_the_status() {
    let mut ks = Kustomization::new("app", KustomizationSpec::default());
    ks.set_observed_generation(3);
    ks.set_last_handled_reconcile_at("now");
    assert_eq!(ks.observed_generation(), Some(3));
    assert_eq!(
        serde_json::to_value(&ks).unwrap()["status"],
        json!({"observedGeneration": 3, "lastHandledReconcileAt": "now"})
    );
}

#[test]
fn a_reconcile_request_is_found() {
    let mut repo = GitRepository::default();
    assert_eq!(repo.reconcile_requested_at(), None);
    let annotations = [(annotation::RECONCILE_REQUESTED_AT.to_owned(), "token".to_owned())];
    repo.metadata.annotations = Some(annotations.into());
    assert_eq!(repo.reconcile_requested_at(), Some("token"));
}

#[test]
fn git_repository() {
    let repo: GitRepository = roundtrip(
        r#"
apiVersion: source.toolkit.fluxcd.io/v1
kind: GitRepository
metadata: {name: podinfo, namespace: default, generation: 1}
spec:
  url: ssh://git@example.com/podinfo
  interval: 1m0s
  timeout: 1m0s
  ref: {branch: master, semver: ">=1.0"}
  secretRef: {name: ssh}
  ignore: ""
  include: [{repository: {name: other}, fromPath: deploy}, {repository: {name: third}, toPath: x}]
  recurseSubmodules: true
  sparseCheckout: [deploy]
  verify: {mode: TagAndHEAD, secretRef: {name: keys}}
status:
  observedGeneration: 1
  artifact:
    digest: sha256:0cafe
    lastUpdateTime: "2026-01-01T00:00:00Z"
    path: gitrepository/default/podinfo/0cafe.tar.gz
    revision: master@sha1:0cafe
    size: 91318
    url: http://source-controller.flux-system.svc.cluster.local./gitrepository/default/podinfo/0cafe.tar.gz
  conditions:
  - type: Ready
    status: "True"
    reason: Succeeded
    message: stored artifact for revision 'master@sha1:0cafe'
    observedGeneration: 1
    lastTransitionTime: "2026-01-01T00:00:00Z"
"#,
    );
    assert!(repo.is_ready());
    assert_eq!(repo.spec.include[0].to_path_or_default(), "other");
    assert_eq!(repo.spec.include[1].from_path_or_default(), ".");
}

#[test]
fn oci_repository() {
    roundtrip::<OCIRepository>(
        r#"
apiVersion: source.toolkit.fluxcd.io/v1
kind: OCIRepository
metadata: {name: podinfo, namespace: default}
spec:
  url: oci://example.com/podinfo
  interval: 5m0s
  provider: generic
  insecure: true
  layerSelector: {mediaType: application/gzip, operation: copy}
  ref: {semver: 6.x, semverFilter: ".*-rc.*"}
  verify: {provider: cosign, matchOIDCIdentity: [{issuer: "^https://x$", subject: "y"}], trustedRootSecretRef: {name: root}}
status:
  observedGeneration: 2
  artifact:
    revision: 6.1.0@sha256:0cafe
    digest: sha256:0beef
    path: ocirepository/default/podinfo/sha256:0cafe.tar.gz
    url: http://localhost/x
    lastUpdateTime: "2026-01-01T00:00:00Z"
    metadata:
      org.opencontainers.image.created: "2022-02-01T09:00:00Z"
      org.opencontainers.image.revision: 6.1.0@sha1:0cafe
  observedLayerSelector: {operation: extract}
"#,
    );
}

#[test]
fn helm_sources_and_buckets() {
    let repository: HelmRepository = roundtrip(
        r#"
apiVersion: source.toolkit.fluxcd.io/v1
kind: HelmRepository
metadata: {name: charts}
spec: {type: oci, url: "oci://example.com/charts", provider: aws, passCredentials: true, accessFrom: {namespaceSelectors: [{}]}}
"#,
    );
    assert!(repository.spec.is_oci());
    assert_eq!(repository.interval().unwrap().to_string(), "1m0s");
    roundtrip::<HelmChart>(
        r#"
apiVersion: source.toolkit.fluxcd.io/v1
kind: HelmChart
metadata: {name: podinfo}
spec:
  chart: podinfo
  version: "6.x"
  interval: 5m0s
  reconcileStrategy: Revision
  sourceRef: {kind: Bucket, name: charts}
  valuesFiles: [values.yaml, values-production.yaml]
  ignoreMissingValuesFiles: true
status: {observedChartName: podinfo, observedGeneration: 1, observedValuesFiles: [values.yaml], url: "http://localhost/x"}
"#,
    );
    roundtrip::<Bucket>(
        r#"
apiVersion: source.toolkit.fluxcd.io/v1
kind: Bucket
metadata: {name: files}
spec:
  bucketName: files
  endpoint: minio.example.com
  interval: 5m0s
  provider: generic
  sts: {provider: ldap, endpoint: "https://sts.example.com", secretRef: {name: ldap}}
"#,
    );
    roundtrip::<ExternalArtifact>(
        r#"
apiVersion: source.toolkit.fluxcd.io/v1
kind: ExternalArtifact
metadata: {name: app}
spec: {sourceRef: {apiVersion: source.extensions.fluxcd.io/v1beta1, kind: ArtifactGenerator, name: app}}
"#,
    );
}

#[test]
fn artifact_generator() {
    let manifest = r#"
apiVersion: source.extensions.fluxcd.io/v1beta1
kind: ArtifactGenerator
metadata: {name: app, namespace: apps, annotations: {source.extensions.fluxcd.io/reconcile: Disabled}}
spec:
  sources: [{alias: backend, kind: GitRepository, name: backend}, {alias: chart, kind: HelmChart, name: app, namespace: charts}]
  artifacts:
  - name: my-app
    originRevision: "@backend"
    copy: [{from: "@backend/deploy/**", to: "@artifact/", exclude: ["*.md"]}, {from: "@chart/values.yaml", to: "@artifact/values.yaml", strategy: Merge}]
status:
  conditions:
  - {type: Ready, status: "False", reason: BuildFailed, message: "", observedGeneration: 7, lastTransitionTime: "2026-01-01T00:00:00Z"}
  inventory: [{name: my-app, namespace: apps, digest: "sha256:0cafe", filename: "1234567890.tar.gz"}]
"#;
    let generator: ArtifactGenerator = roundtrip(manifest);
    assert!(generator.is_suspended());
    assert_eq!(generator.observed_generation(), Some(7));
    assert_eq!(generator.interval().unwrap().to_string(), "1h0m0s");
}

#[test]
fn kustomization() {
    let ks: Kustomization = roundtrip(
        r#"
apiVersion: kustomize.toolkit.fluxcd.io/v1
kind: Kustomization
metadata: {name: podinfo, namespace: default}
spec:
  interval: 10m0s
  path: ./kustomize
  prune: false
  wait: true
  sourceRef: {kind: GitRepository, name: podinfo}
  targetNamespace: prod
  dependsOn: [{name: infra, readyExpr: "dep.status.ok"}]
  deletionPolicy: WaitForTermination
  buildMetadata: [originAnnotations]
  commonMetadata: {labels: {a: b}}
  decryption: {provider: sops, secretRef: {name: age}}
  postBuild: {substituteStrategy: Always, substitute: {a: "1"}, substituteFrom: [{kind: Secret, name: vars, optional: true}]}
  patches: [{patch: "- op: remove", target: {kind: Deployment, labelSelector: "a=b"}}]
  images: [{name: app, newTag: "1.0"}]
  ignore: [{paths: [/spec/replicas]}]
  kubeConfig: {secretRef: {name: kubeconfig, key: value}}
  healthChecks: [{kind: Deployment, name: app, namespace: prod}]
  healthCheckExprs: [{apiVersion: example.com/v1, current: "true", inProgress: "false"}]
status:
  observedGeneration: 1
  lastAppliedRevision: master@sha1:0cafe
  lastAttemptedRevision: master@sha1:0cafe
  inventory: {entries: [{id: prod_podinfo__Service, v: v1}, {id: prod_podinfo_apps_Deployment, v: v1}]}
  history:
  - digest: sha256:0cafe
    firstReconciled: "2026-01-01T00:00:00Z"
    lastReconciled: "2026-01-01T00:10:00Z"
    lastReconciledDuration: 15.4s
    lastReconciledStatus: ReconciliationSucceeded
    totalReconciliations: 1
    metadata: {revision: "master@sha1:0cafe"}
"#,
    );
    assert_eq!(ks.spec.timeout_or_default().to_string(), "9m30s");
    assert_eq!(ks.spec.retry_interval_or_default().to_string(), "10m0s");
    assert_eq!(ks.spec.health_checks[0].api_version_or_default(), "apps/v1");
}

#[test]
fn a_short_interval_still_leaves_half_a_minute() {
    for (spec, timeout) in [
        (json!({"interval": "40s"}), "30s"),
        (json!({"interval": "10m", "timeout": "5s"}), "30s"),
        (json!({"interval": "10m", "timeout": "2m"}), "2m0s"),
    ] {
        let spec: KustomizationSpec = serde_json::from_value(spec).unwrap();
        assert_eq!(spec.timeout_or_default().to_string(), timeout);
    }
}

#[test]
fn helm_release() {
    let release: HelmRelease = roundtrip(
        r#"
apiVersion: helm.toolkit.fluxcd.io/v2
kind: HelmRelease
metadata: {name: podinfo, namespace: default}
spec:
  interval: 5m0s
  chart:
    metadata: {labels: {a: b}}
    spec:
      chart: podinfo
      version: 6.x
      reconcileStrategy: ChartVersion
      sourceRef: {kind: HelmRepository, name: podinfo}
      verify: {provider: cosign}
  releaseName: podinfo
  maxHistory: 0
  persistentClient: false
  install: {crds: CreateReplace, disableOpenAPIValidation: true, skipCRDs: true, serverSideApply: false, strategy: {name: RetryOnFailure, retryInterval: 30s}}
  upgrade: {remediation: {retries: -1, strategy: uninstall}, serverSideApply: auto, preserveValues: true}
  rollback: {recreate: true}
  test: {enable: true, filters: [{name: smoke, exclude: true}]}
  uninstall: {deletionPropagation: orphan, keepHistory: true}
  driftDetection: {mode: enabled, ignore: [{paths: [/spec/replicas], target: {kind: Deployment}}]}
  postRenderers: [{kustomize: {images: [{name: a, digest: "sha256:0"}], patches: [{patch: "x"}]}}]
  postRenderStrategy: separate
  waitStrategy: {name: legacy}
  values: {replicaCount: 2, big: 12345678901234567890, nested: {list: [1, null, "x"]}}
  valuesFrom: [{kind: Secret, name: prod, valuesKey: v.yaml, targetPath: "a.b[0]", literal: true}]
status:
  observedGeneration: 1
  history:
  - apiVersion: v2
    digest: sha256:0cafe
    name: podinfo
    namespace: default
    version: 1
    status: deployed
    chartName: podinfo
    chartVersion: 6.1.0
    configDigest: sha256:0beef
    firstDeployed: "2026-01-01T00:00:00Z"
    lastDeployed: "2026-01-01T00:00:00Z"
    testHooks: {smoke: {phase: Succeeded, lastStarted: "2026-01-01T00:00:00Z"}, none: null}
  lastAttemptedReleaseAction: install
  lastAttemptedReleaseActionDuration: 1.5s
"#,
    );
    let snapshot = &release.status().unwrap().history[0];
    assert_eq!(snapshot.full_release_name(), "default/podinfo.v1");
    assert_eq!(snapshot.versioned_chart_name(), "podinfo@6.1.0");
    assert_eq!(release.spec.max_history_or_default(), 0);
    assert!(!release.spec.is_persistent_client());
}

#[test]
fn remediation_defaults() {
    use ferro_api::helm::{InstallRemediation, Remediation, RemediationStrategy, UpgradeRemediation};
    let upgrade = |retries| UpgradeRemediation {
        retries: Some(retries),
        ..Default::default()
    };
    assert!(upgrade(1).remediates_last_failure());
    assert!(!upgrade(-1).remediates_last_failure());
    assert!(!upgrade(-1).is_exhausted(1000));
    assert!(!upgrade(1).is_exhausted(1));
    assert!(upgrade(1).is_exhausted(2));
    assert!(InstallRemediation::default().is_exhausted(1));
    assert_eq!(
        InstallRemediation::default().strategy(),
        RemediationStrategy::Uninstall
    );
}

#[test]
fn notification_kinds() {
    roundtrip::<Alert>(
        r#"
apiVersion: notification.toolkit.fluxcd.io/v1beta3
kind: Alert
metadata: {name: all}
spec:
  providerRef: {name: slack}
  eventSeverity: info
  eventSources: [{kind: Kustomization, name: "*", namespace: apps, matchLabels: {team: a}}]
  inclusionList: [".*"]
  eventMetadata: {cluster: prod}
"#,
    );
    let provider: Provider = roundtrip(
        r#"
apiVersion: notification.toolkit.fluxcd.io/v1beta3
kind: Provider
metadata: {name: slack}
spec: {type: incident.io, address: "https://example.com", timeout: 20s, secretRef: {name: token}}
"#,
    );
    assert_eq!(provider.spec.timeout_or_default().to_string(), "20s");
    roundtrip::<Receiver>(
        r#"
apiVersion: notification.toolkit.fluxcd.io/v1
kind: Receiver
metadata: {name: gh, namespace: apps}
spec:
  type: generic-oidc
  interval: 10m0s
  events: [ping, push]
  resources: [{kind: GitRepository, name: "*", matchLabels: {a: b}, filter: "true"}]
  oidcProviders: [{issuerURL: "https://issuer", validations: [{expression: "true", message: m}], variables: [{name: a, expression: b}]}]
status: {observedGeneration: -1, webhookPath: /hook/0cafe}
"#,
    );
}

#[test]
fn image_kinds() {
    roundtrip::<ImageRepository>(
        r#"
apiVersion: image.toolkit.fluxcd.io/v1
kind: ImageRepository
metadata: {name: podinfo}
spec: {image: example.com/podinfo, interval: 5m0s, provider: generic, exclusionList: ['^.*\.sig$']}
status: {canonicalImageName: example.com/podinfo, lastScanResult: {latestTags: ["2", "1"], scanTime: "2026-01-01T00:00:00Z", tagCount: 2, revision: "7"}}
"#,
    );
    let policy: ImagePolicy = roundtrip(
        r#"
apiVersion: image.toolkit.fluxcd.io/v1
kind: ImagePolicy
metadata: {name: podinfo}
spec:
  imageRepositoryRef: {name: podinfo}
  filterTags: {pattern: "^main-(?P<ts>.*)", extract: $ts}
  policy: {numerical: {order: asc}}
  digestReflectionPolicy: Never
status: {latestRef: {name: example.com/podinfo, tag: 6.2.1}, observedPreviousRef: {name: example.com/podinfo, tag: 6.2.0}}
"#,
    );
    assert_eq!(policy.interval(), None);
    roundtrip::<ImageUpdateAutomation>(
        r#"
apiVersion: image.toolkit.fluxcd.io/v1
kind: ImageUpdateAutomation
metadata: {name: podinfo}
spec:
  interval: 30m0s
  sourceRef: {kind: GitRepository, name: podinfo}
  git:
    checkout: {ref: {branch: main}}
    commit: {author: {email: a@example.com}, messageTemplate: x, signingKey: {secretRef: {name: k}, type: ssh}}
    push: {branch: auto, options: {a: b}, refspec: "a:b"}
  policySelector: {matchLabels: {a: b}, matchExpressions: [{key: a, operator: In, values: [b]}]}
  update: {strategy: Setters, path: ./clusters}
status:
  lastAutomationRunTime: "2026-01-01T00:00:00Z"
  observedPolicies: {podinfo: {name: example.com/podinfo, tag: 6.2.1}}
"#,
    );
}
