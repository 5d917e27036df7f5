//! The built-in tables, in a compact form that is expanded once.

use super::{NameReference, TransformerConfig};
use crate::types::FieldSpec;

/// Where a kind keeps its pod's spec.
struct PodRoot {
    kind: &'static str,
    path: &'static str,
}

const fn pod_root(kind: &'static str, path: &'static str) -> PodRoot {
    PodRoot { kind, path }
}

const TEMPLATE: &str = "spec/template/spec";
const POD: PodRoot = pod_root("Pod", "spec");
const POD_TEMPLATE: PodRoot = pod_root("PodTemplate", "template/spec");
const DEPLOYMENT: PodRoot = pod_root("Deployment", TEMPLATE);
const REPLICA_SET: PodRoot = pod_root("ReplicaSet", TEMPLATE);
const DAEMON_SET: PodRoot = pod_root("DaemonSet", TEMPLATE);
const STATEFUL_SET: PodRoot = pod_root("StatefulSet", TEMPLATE);
const JOB: PodRoot = pod_root("Job", TEMPLATE);
const CRON_JOB: PodRoot = pod_root("CronJob", "spec/jobTemplate/spec/template/spec");
const REPLICATION_CONTROLLER: PodRoot = pod_root("ReplicationController", TEMPLATE);

/// Those whose ConfigMap and Secret references are known.
const CONTENT_ROOTS: [PodRoot; 8] = [
    POD,
    POD_TEMPLATE,
    DEPLOYMENT,
    REPLICA_SET,
    DAEMON_SET,
    STATEFUL_SET,
    JOB,
    CRON_JOB,
];
/// Those whose other references are known.
const WORKLOAD_ROOTS: [PodRoot; 7] = [
    POD,
    STATEFUL_SET,
    DEPLOYMENT,
    REPLICATION_CONTROLLER,
    CRON_JOB,
    JOB,
    DAEMON_SET,
];
/// Those in which variables are replaced.
const VARIABLE_ROOTS: [PodRoot; 7] = [
    CRON_JOB,
    DAEMON_SET,
    DEPLOYMENT,
    JOB,
    POD,
    REPLICA_SET,
    STATEFUL_SET,
];

const RBAC: &str = "rbac.authorization.k8s.io";
const REGISTRATION: &str = "admissionregistration.k8s.io";

fn spec(path: &str, kind: &str) -> FieldSpec {
    FieldSpec {
        path: path.to_owned(),
        kind: kind.to_owned(),
        ..FieldSpec::default()
    }
}

fn grouped(group: &str, path: &str, kind: &str) -> FieldSpec {
    FieldSpec {
        group: group.to_owned(),
        ..spec(path, kind)
    }
}

fn versioned(version: &str, path: &str, kind: &str) -> FieldSpec {
    FieldSpec {
        version: version.to_owned(),
        ..spec(path, kind)
    }
}

fn created(spec: FieldSpec) -> FieldSpec {
    FieldSpec { create: true, ..spec }
}

fn target(group: &str, version: &str, kind: &str, field_specs: Vec<FieldSpec>) -> NameReference {
    NameReference {
        group: group.to_owned(),
        version: version.to_owned(),
        kind: kind.to_owned(),
        field_specs,
    }
}

pub(super) fn tables() -> TransformerConfig {
    TransformerConfig {
        name_prefix: vec![spec("metadata/name", "")],
        name_suffix: vec![spec("metadata/name", "")],
        namespace: namespace(),
        common_labels: common_labels(),
        labels: Vec::new(),
        template_labels: template_labels(),
        common_annotations: common_annotations(),
        name_reference: name_references(),
        var_reference: var_references(),
        images: images(),
        replicas: ["Deployment", "ReplicationController", "ReplicaSet", "StatefulSet"]
            .map(|kind| created(spec("spec/replicas", kind)))
            .to_vec(),
    }
}

fn namespace() -> Vec<FieldSpec> {
    vec![
        created(spec("metadata/name", "Namespace")),
        created(grouped(
            "apiregistration.k8s.io",
            "spec/service/namespace",
            "APIService",
        )),
        grouped(
            "apiextensions.k8s.io",
            "spec/conversion/webhook/clientConfig/service/namespace",
            "CustomResourceDefinition",
        ),
    ]
}

fn template_labels() -> Vec<FieldSpec> {
    let mut specs = metadata("labels");
    specs.push(created(grouped(
        "apps",
        "spec/volumeClaimTemplates[]/metadata/labels",
        "StatefulSet",
    )));
    specs
}

/// The metadata of objects and templates.
fn metadata(field: &str) -> Vec<FieldSpec> {
    let of = |group: &str, path: &str, kind: &str| created(grouped(group, &format!("{path}/{field}"), kind));
    // Only labels are tied to the group of a StatefulSet.
    let stateful_set = if field == "labels" { "apps" } else { "" };
    vec![
        created(spec(&format!("metadata/{field}"), "")),
        created(versioned(
            "v1",
            &format!("spec/template/metadata/{field}"),
            "ReplicationController",
        )),
        of("", "spec/template/metadata", "Deployment"),
        of("", "spec/template/metadata", "ReplicaSet"),
        of("", "spec/template/metadata", "DaemonSet"),
        of(stateful_set, "spec/template/metadata", "StatefulSet"),
        of("batch", "spec/template/metadata", "Job"),
        of("batch", "spec/jobTemplate/metadata", "CronJob"),
        of("batch", "spec/jobTemplate/spec/template/metadata", "CronJob"),
    ]
}

fn common_annotations() -> Vec<FieldSpec> {
    metadata("annotations")
}

fn common_labels() -> Vec<FieldSpec> {
    let mut specs = template_labels();
    specs.extend([
        created(versioned("v1", "spec/selector", "Service")),
        created(versioned("v1", "spec/selector", "ReplicationController")),
        created(spec("spec/selector/matchLabels", "Deployment")),
        created(spec("spec/selector/matchLabels", "ReplicaSet")),
        created(spec("spec/selector/matchLabels", "DaemonSet")),
        created(grouped("apps", "spec/selector/matchLabels", "StatefulSet")),
        grouped("batch", "spec/selector/matchLabels", "Job"),
        grouped("batch", "spec/jobTemplate/spec/selector/matchLabels", "CronJob"),
        grouped("policy", "spec/selector/matchLabels", "PodDisruptionBudget"),
    ]);
    for kind in ["Deployment", "StatefulSet"] {
        for affinity in ["podAffinity", "podAntiAffinity"] {
            for term in [
                "preferredDuringSchedulingIgnoredDuringExecution/podAffinityTerm",
                "requiredDuringSchedulingIgnoredDuringExecution",
            ] {
                let path = format!("{TEMPLATE}/affinity/{affinity}/{term}/labelSelector/matchLabels");
                specs.push(grouped("apps", &path, kind));
            }
        }
        let path = format!("{TEMPLATE}/topologySpreadConstraints/labelSelector/matchLabels");
        specs.push(grouped("apps", &path, kind));
    }
    for path in [
        "spec/podSelector",
        "spec/ingress/from/podSelector",
        "spec/egress/to/podSelector",
    ] {
        specs.push(grouped(
            "networking.k8s.io",
            &format!("{path}/matchLabels"),
            "NetworkPolicy",
        ));
    }
    specs
}

fn images() -> Vec<FieldSpec> {
    let mut specs = Vec::with_capacity(6);
    for root in ["spec", TEMPLATE] {
        for path in [
            "containers[]/image",
            "initContainers[]/image",
            "volumes[]/image/reference",
        ] {
            specs.push(created(spec(&format!("{root}/{path}"), "")));
        }
    }
    specs
}

/// References from the pods of the kinds in `roots`.
fn from_pods<'r>(
    roots: &'r [PodRoot],
    paths: &'r [&'r str],
    pod_version: &'r str,
) -> impl Iterator<Item = FieldSpec> + 'r {
    roots.iter().flat_map(move |root| {
        paths.iter().map(move |path| {
            let version = if root.kind == POD.kind { pod_version } else { "" };
            versioned(version, &format!("{}/{path}", root.path), root.kind)
        })
    })
}

fn config_map_referrers() -> Vec<FieldSpec> {
    let paths = [
        "volumes/configMap/name",
        "containers/env/valueFrom/configMapKeyRef/name",
        "initContainers/env/valueFrom/configMapKeyRef/name",
        "containers/envFrom/configMapRef/name",
        "initContainers/envFrom/configMapRef/name",
        "volumes/projected/sources/configMap/name",
    ];
    let mut specs: Vec<_> = from_pods(&CONTENT_ROOTS, &paths, "v1").collect();
    specs.extend([
        spec("spec/configSource/configMap", "Node"),
        spec("rules/resourceNames", "Role"),
        spec("rules/resourceNames", "ClusterRole"),
        spec(
            "metadata/annotations/nginx.ingress.kubernetes.io\\/fastcgi-params-configmap",
            "Ingress",
        ),
    ]);
    specs
}

fn secret_referrers() -> Vec<FieldSpec> {
    let paths = [
        "volumes/secret/secretName",
        "containers/env/valueFrom/secretKeyRef/name",
        "initContainers/env/valueFrom/secretKeyRef/name",
        "containers/envFrom/secretRef/name",
        "initContainers/envFrom/secretRef/name",
        "imagePullSecrets/name",
        "volumes/projected/sources/secret/name",
    ];
    let mut specs: Vec<_> = from_pods(&CONTENT_ROOTS, &paths, "v1").collect();
    specs.push(spec("spec/tls/secretName", "Ingress"));
    for annotation in [
        "ingress.kubernetes.io\\/auth-secret",
        "nginx.ingress.kubernetes.io\\/auth-secret",
        "nginx.ingress.kubernetes.io\\/auth-tls-secret",
    ] {
        specs.push(spec(&format!("metadata/annotations/{annotation}"), "Ingress"));
    }
    specs.push(spec("imagePullSecrets/name", "ServiceAccount"));
    for parameter in ["secretName", "adminSecretName", "userSecretName", "secretRef"] {
        specs.push(spec(&format!("parameters/{parameter}"), "StorageClass"));
    }
    let knative = spec(
        "spec/template/spec/containers/env/valueFrom/secretKeyRef/name",
        "Service",
    );
    specs.extend([
        spec("rules/resourceNames", "Role"),
        spec("rules/resourceNames", "ClusterRole"),
        FieldSpec {
            group: "serving.knative.dev".to_owned(),
            version: "v1".to_owned(),
            ..knative
        },
        spec("spec/azureFile/secretName", "PersistentVolume"),
    ]);
    specs
}

fn service_referrers() -> Vec<FieldSpec> {
    vec![
        grouped("apps", "spec/serviceName", "StatefulSet"),
        spec("spec/rules/http/paths/backend/serviceName", "Ingress"),
        spec("spec/backend/serviceName", "Ingress"),
        spec("spec/rules/http/paths/backend/service/name", "Ingress"),
        spec("spec/defaultBackend/service/name", "Ingress"),
        grouped("apiregistration.k8s.io", "spec/service/name", "APIService"),
        grouped(
            REGISTRATION,
            "webhooks/clientConfig/service",
            "ValidatingWebhookConfiguration",
        ),
        grouped(
            REGISTRATION,
            "webhooks/clientConfig/service",
            "MutatingWebhookConfiguration",
        ),
    ]
}

fn workload_referrers(path: &str) -> Vec<FieldSpec> {
    from_pods(&WORKLOAD_ROOTS, &[path], "").collect()
}

fn name_references() -> Vec<NameReference> {
    let mut targets: Vec<_> = ["Deployment", "ReplicationController", "ReplicaSet", "StatefulSet"]
        .map(|kind| {
            target(
                "",
                "",
                kind,
                vec![spec("spec/scaleTargetRef/name", "HorizontalPodAutoscaler")],
            )
        })
        .to_vec();
    let mut account_referrers = vec![
        grouped(RBAC, "subjects", "RoleBinding"),
        grouped(RBAC, "subjects", "ClusterRoleBinding"),
    ];
    account_referrers.extend(workload_referrers("serviceAccountName"));
    targets.extend([
        target("", "v1", "ConfigMap", config_map_referrers()),
        target("", "v1", "Secret", secret_referrers()),
        target("", "v1", "Service", service_referrers()),
        target(
            RBAC,
            "",
            "Role",
            vec![grouped(RBAC, "roleRef/name", "RoleBinding")],
        ),
        target(
            RBAC,
            "",
            "ClusterRole",
            vec![
                grouped(RBAC, "roleRef/name", "RoleBinding"),
                grouped(RBAC, "roleRef/name", "ClusterRoleBinding"),
            ],
        ),
        target("", "v1", "ServiceAccount", account_referrers),
        target(
            "",
            "v1",
            "PersistentVolumeClaim",
            workload_referrers("volumes/persistentVolumeClaim/claimName"),
        ),
        target(
            "",
            "v1",
            "PersistentVolume",
            vec![
                spec("spec/volumeName", "PersistentVolumeClaim"),
                spec("rules/resourceNames", "ClusterRole"),
            ],
        ),
        target(
            "storage.k8s.io",
            "v1",
            "StorageClass",
            vec![
                spec("spec/storageClassName", "PersistentVolume"),
                spec("spec/storageClassName", "PersistentVolumeClaim"),
                spec("spec/volumeClaimTemplates/spec/storageClassName", "StatefulSet"),
            ],
        ),
        target(
            "scheduling.k8s.io",
            "v1",
            "PriorityClass",
            workload_referrers("priorityClassName"),
        ),
        // The group is misspelt upstream, so that no IngressClass is ever found; names in clusters depend
        // on it.
        target(
            "networking.k8s.io/v1",
            "v1",
            "IngressClass",
            vec![spec("spec/ingressClassName", "Ingress")],
        ),
        target(
            REGISTRATION,
            "",
            "ValidatingAdmissionPolicy",
            vec![grouped(
                REGISTRATION,
                "spec/policyName",
                "ValidatingAdmissionPolicyBinding",
            )],
        ),
    ]);
    targets
}

fn var_references() -> Vec<FieldSpec> {
    let mut specs = Vec::with_capacity(72);
    for root in &VARIABLE_ROOTS {
        for containers in ["containers", "initContainers"] {
            for field in ["args", "command", "env/value", "volumeMounts/mountPath"] {
                specs.push(spec(&format!("{}/{containers}/{field}", root.path), root.kind));
            }
        }
    }
    specs.extend([
        spec("spec/jobTemplate/spec/template/volumes/nfs/server", "CronJob"),
        spec("spec/template/spec/volumes/nfs/server", "DaemonSet"),
        spec("spec/template/spec/volumes/nfs/server", "Deployment"),
        spec("spec/template/metadata/annotations", "Deployment"),
        spec("spec/rules/host", "Ingress"),
        spec("spec/tls/hosts", "Ingress"),
        spec("spec/tls/secretName", "Ingress"),
        spec("spec/template/spec/volumes/nfs/server", "Job"),
        spec("spec/volumes/nfs/server", "Pod"),
        spec("spec/template/spec/volumes/nfs/server", "ReplicaSet"),
        spec("spec/ports/port", "Service"),
        spec("spec/ports/targetPort", "Service"),
        spec("spec/volumeClaimTemplates/spec/nfs/server", "StatefulSet"),
        spec("spec/nfs/server", "PersistentVolume"),
        spec("metadata/labels", ""),
        spec("metadata/annotations", ""),
    ]);
    specs
}
