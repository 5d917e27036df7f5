//! The lists that merge in the API of Kubernetes 1.21.2, which kustomize 5.8.1 knows, and the fields that
//! lead to them. Everything else of that API has no say in a build.

use super::{Definition, Field, Target};

/// A field that holds an object.
const fn object(name: &'static str, definition: u16) -> Field {
    Field {
        name,
        target: Target::Object(definition),
    }
}

/// A list of objects that merges by keys.
const fn keyed(name: &'static str, keys: &'static [&'static str], definition: u16) -> Field {
    Field {
        name,
        target: Target::List {
            keys,
            item: Some(definition),
        },
    }
}

/// A list that merges, of values or of objects without merging lists in them.
const fn list(name: &'static str, keys: &'static [&'static str]) -> Field {
    Field {
        name,
        target: Target::List { keys, item: None },
    }
}

const fn definition(name: &'static str, fields: &'static [Field]) -> Definition {
    Definition { name, fields }
}

/// The definitions; fields refer to them by their place.
#[rustfmt::skip]
pub(super) static DEFINITIONS: [Definition; 127] = [
    definition("io.k8s.api.admissionregistration.v1.MutatingWebhookConfiguration", &[ // 0
        object("metadata", 122),
        list("webhooks", &["name"]),
    ]),
    definition("io.k8s.api.admissionregistration.v1.ValidatingWebhookConfiguration", &[ // 1
        object("metadata", 122),
        list("webhooks", &["name"]),
    ]),
    definition("io.k8s.api.admissionregistration.v1beta1.MutatingWebhookConfiguration", &[ // 2
        object("metadata", 122),
        list("webhooks", &["name"]),
    ]),
    definition("io.k8s.api.admissionregistration.v1beta1.ValidatingWebhookConfiguration", &[ // 3
        object("metadata", 122),
        list("webhooks", &["name"]),
    ]),
    definition("io.k8s.api.apps.v1.ControllerRevision", &[object("metadata", 122)]), // 4
    definition("io.k8s.api.apps.v1.DaemonSet", &[ // 5
        object("metadata", 122),
        object("spec", 6),
        object("status", 7),
    ]),
    definition("io.k8s.api.apps.v1.DaemonSetSpec", &[object("template", 68)]), // 6
    definition("io.k8s.api.apps.v1.DaemonSetStatus", &[list("conditions", &["type"])]), // 7
    definition("io.k8s.api.apps.v1.Deployment", &[ // 8
        object("metadata", 122),
        object("spec", 9),
        object("status", 10),
    ]),
    definition("io.k8s.api.apps.v1.DeploymentSpec", &[object("template", 68)]), // 9
    definition("io.k8s.api.apps.v1.DeploymentStatus", &[list("conditions", &["type"])]), // 10
    definition("io.k8s.api.apps.v1.Kustomization", &[ // 11
        list("configMapGenerator", &["name"]),
        list("secretGenerator", &["name"]),
    ]),
    definition("io.k8s.api.apps.v1.ReplicaSet", &[ // 12
        object("metadata", 122),
        object("spec", 13),
        object("status", 14),
    ]),
    definition("io.k8s.api.apps.v1.ReplicaSetSpec", &[object("template", 68)]), // 13
    definition("io.k8s.api.apps.v1.ReplicaSetStatus", &[list("conditions", &["type"])]), // 14
    definition("io.k8s.api.apps.v1.StatefulSet", &[ // 15
        object("metadata", 122),
        object("spec", 16),
        object("status", 17),
    ]),
    definition("io.k8s.api.apps.v1.StatefulSetSpec", &[object("template", 68)]), // 16
    definition("io.k8s.api.apps.v1.StatefulSetStatus", &[list("conditions", &["type"])]), // 17
    definition("io.k8s.api.authentication.v1.TokenRequest", &[object("metadata", 122)]), // 18
    definition("io.k8s.api.authentication.v1.TokenReview", &[object("metadata", 122)]), // 19
    definition("io.k8s.api.authentication.v1beta1.TokenReview", &[object("metadata", 122)]), // 20
    definition("io.k8s.api.authorization.v1.LocalSubjectAccessReview", &[object("metadata", 122)]), // 21
    definition("io.k8s.api.authorization.v1.SelfSubjectAccessReview", &[object("metadata", 122)]), // 22
    definition("io.k8s.api.authorization.v1.SelfSubjectRulesReview", &[object("metadata", 122)]), // 23
    definition("io.k8s.api.authorization.v1.SubjectAccessReview", &[object("metadata", 122)]), // 24
    definition("io.k8s.api.authorization.v1beta1.LocalSubjectAccessReview", &[object("metadata", 122)]), // 25
    definition("io.k8s.api.authorization.v1beta1.SelfSubjectAccessReview", &[object("metadata", 122)]), // 26
    definition("io.k8s.api.authorization.v1beta1.SelfSubjectRulesReview", &[object("metadata", 122)]), // 27
    definition("io.k8s.api.authorization.v1beta1.SubjectAccessReview", &[object("metadata", 122)]), // 28
    definition("io.k8s.api.autoscaling.v1.HorizontalPodAutoscaler", &[object("metadata", 122)]), // 29
    definition("io.k8s.api.autoscaling.v1.Scale", &[object("metadata", 122)]), // 30
    definition("io.k8s.api.autoscaling.v2beta1.HorizontalPodAutoscaler", &[object("metadata", 122)]), // 31
    definition("io.k8s.api.autoscaling.v2beta2.HorizontalPodAutoscaler", &[object("metadata", 122)]), // 32
    definition("io.k8s.api.batch.v1.CronJob", &[object("metadata", 122), object("spec", 34)]), // 33
    definition("io.k8s.api.batch.v1.CronJobSpec", &[object("jobTemplate", 38)]), // 34
    definition("io.k8s.api.batch.v1.Job", &[ // 35
        object("metadata", 122),
        object("spec", 36),
        object("status", 37),
    ]),
    definition("io.k8s.api.batch.v1.JobSpec", &[object("template", 68)]), // 36
    definition("io.k8s.api.batch.v1.JobStatus", &[list("conditions", &["type"])]), // 37
    definition("io.k8s.api.batch.v1.JobTemplateSpec", &[object("metadata", 122), object("spec", 36)]), // 38
    definition("io.k8s.api.batch.v1beta1.CronJob", &[object("metadata", 122), object("spec", 40)]), // 39
    definition("io.k8s.api.batch.v1beta1.CronJobSpec", &[object("jobTemplate", 41)]), // 40
    definition("io.k8s.api.batch.v1beta1.JobTemplateSpec", &[ // 41
        object("metadata", 122),
        object("spec", 36),
    ]),
    definition("io.k8s.api.certificates.v1.CertificateSigningRequest", &[object("metadata", 122)]), // 42
    definition("io.k8s.api.certificates.v1beta1.CertificateSigningRequest", &[object("metadata", 122)]), // 43
    definition("io.k8s.api.coordination.v1.Lease", &[object("metadata", 122)]), // 44
    definition("io.k8s.api.coordination.v1beta1.Lease", &[object("metadata", 122)]), // 45
    definition("io.k8s.api.core.v1.Binding", &[object("metadata", 122)]), // 46
    definition("io.k8s.api.core.v1.ComponentStatus", &[ // 47
        list("conditions", &["type"]),
        object("metadata", 122),
    ]),
    definition("io.k8s.api.core.v1.ConfigMap", &[object("metadata", 122)]), // 48
    definition("io.k8s.api.core.v1.Container", &[ // 49
        list("env", &["name"]),
        list("ports", &["containerPort", "protocol"]),
        list("volumeDevices", &["devicePath"]),
        list("volumeMounts", &["mountPath"]),
    ]),
    definition("io.k8s.api.core.v1.Endpoints", &[object("metadata", 122)]), // 50
    definition("io.k8s.api.core.v1.EphemeralContainer", &[ // 51
        list("env", &["name"]),
        list("volumeDevices", &["devicePath"]),
        list("volumeMounts", &["mountPath"]),
    ]),
    definition("io.k8s.api.core.v1.EphemeralVolumeSource", &[object("volumeClaimTemplate", 63)]), // 52
    definition("io.k8s.api.core.v1.Event", &[object("metadata", 122)]), // 53
    definition("io.k8s.api.core.v1.LimitRange", &[object("metadata", 122)]), // 54
    definition("io.k8s.api.core.v1.Namespace", &[object("metadata", 122), object("status", 56)]), // 55
    definition("io.k8s.api.core.v1.NamespaceStatus", &[list("conditions", &["type"])]), // 56
    definition("io.k8s.api.core.v1.Node", &[ // 57
        object("metadata", 122),
        object("spec", 58),
        object("status", 59),
    ]),
    definition("io.k8s.api.core.v1.NodeSpec", &[list("podCIDRs", &[])]), // 58
    definition("io.k8s.api.core.v1.NodeStatus", &[ // 59
        list("addresses", &["type"]),
        list("conditions", &["type"]),
    ]),
    definition("io.k8s.api.core.v1.PersistentVolume", &[object("metadata", 122)]), // 60
    definition("io.k8s.api.core.v1.PersistentVolumeClaim", &[ // 61
        object("metadata", 122),
        object("status", 62),
    ]),
    definition("io.k8s.api.core.v1.PersistentVolumeClaimStatus", &[list("conditions", &["type"])]), // 62
    definition("io.k8s.api.core.v1.PersistentVolumeClaimTemplate", &[object("metadata", 122)]), // 63
    definition("io.k8s.api.core.v1.Pod", &[ // 64
        object("metadata", 122),
        object("spec", 65),
        object("status", 66),
    ]),
    definition("io.k8s.api.core.v1.PodSpec", &[ // 65
        keyed("containers", &["name"], 49),
        keyed("ephemeralContainers", &["name"], 51),
        list("hostAliases", &["ip"]),
        list("imagePullSecrets", &["name"]),
        keyed("initContainers", &["name"], 49),
        list("topologySpreadConstraints", &["topologyKey", "whenUnsatisfiable"]),
        keyed("volumes", &["name"], 78),
    ]),
    definition("io.k8s.api.core.v1.PodStatus", &[ // 66
        list("conditions", &["type"]),
        list("podIPs", &["ip"]),
    ]),
    definition("io.k8s.api.core.v1.PodTemplate", &[object("metadata", 122), object("template", 68)]), // 67
    definition("io.k8s.api.core.v1.PodTemplateSpec", &[object("metadata", 122), object("spec", 65)]), // 68
    definition("io.k8s.api.core.v1.ReplicationController", &[ // 69
        object("metadata", 122),
        object("spec", 70),
        object("status", 71),
    ]),
    definition("io.k8s.api.core.v1.ReplicationControllerSpec", &[object("template", 68)]), // 70
    definition("io.k8s.api.core.v1.ReplicationControllerStatus", &[list("conditions", &["type"])]), // 71
    definition("io.k8s.api.core.v1.ResourceQuota", &[object("metadata", 122)]), // 72
    definition("io.k8s.api.core.v1.Secret", &[object("metadata", 122)]), // 73
    definition("io.k8s.api.core.v1.Service", &[ // 74
        object("metadata", 122),
        object("spec", 76),
        object("status", 77),
    ]),
    definition("io.k8s.api.core.v1.ServiceAccount", &[ // 75
        object("metadata", 122),
        list("secrets", &["name"]),
    ]),
    definition("io.k8s.api.core.v1.ServiceSpec", &[list("ports", &["port", "protocol"])]), // 76
    definition("io.k8s.api.core.v1.ServiceStatus", &[list("conditions", &["type"])]), // 77
    definition("io.k8s.api.core.v1.Volume", &[object("ephemeral", 52)]), // 78
    definition("io.k8s.api.discovery.v1.EndpointSlice", &[object("metadata", 122)]), // 79
    definition("io.k8s.api.discovery.v1beta1.EndpointSlice", &[object("metadata", 122)]), // 80
    definition("io.k8s.api.events.v1.Event", &[object("metadata", 122)]), // 81
    definition("io.k8s.api.events.v1beta1.Event", &[object("metadata", 122)]), // 82
    definition("io.k8s.api.extensions.v1beta1.Ingress", &[object("metadata", 122)]), // 83
    definition("io.k8s.api.flowcontrol.v1beta1.FlowSchema", &[object("metadata", 122)]), // 84
    definition("io.k8s.api.flowcontrol.v1beta1.PriorityLevelConfiguration", &[object("metadata", 122)]), // 85
    definition("io.k8s.api.networking.v1.Ingress", &[object("metadata", 122)]), // 86
    definition("io.k8s.api.networking.v1.IngressClass", &[object("metadata", 122)]), // 87
    definition("io.k8s.api.networking.v1.NetworkPolicy", &[object("metadata", 122)]), // 88
    definition("io.k8s.api.networking.v1beta1.Ingress", &[object("metadata", 122)]), // 89
    definition("io.k8s.api.networking.v1beta1.IngressClass", &[object("metadata", 122)]), // 90
    definition("io.k8s.api.node.v1.RuntimeClass", &[object("metadata", 122)]), // 91
    definition("io.k8s.api.node.v1beta1.RuntimeClass", &[object("metadata", 122)]), // 92
    definition("io.k8s.api.policy.v1.PodDisruptionBudget", &[ // 93
        object("metadata", 122),
        object("status", 94),
    ]),
    definition("io.k8s.api.policy.v1.PodDisruptionBudgetStatus", &[list("conditions", &["type"])]), // 94
    definition("io.k8s.api.policy.v1beta1.Eviction", &[object("metadata", 122)]), // 95
    definition("io.k8s.api.policy.v1beta1.PodDisruptionBudget", &[ // 96
        object("metadata", 122),
        object("status", 97),
    ]),
    definition("io.k8s.api.policy.v1beta1.PodDisruptionBudgetStatus", &[list("conditions", &["type"])]), // 97
    definition("io.k8s.api.policy.v1beta1.PodSecurityPolicy", &[object("metadata", 122)]), // 98
    definition("io.k8s.api.rbac.v1.ClusterRole", &[object("metadata", 122)]), // 99
    definition("io.k8s.api.rbac.v1.ClusterRoleBinding", &[object("metadata", 122)]), // 100
    definition("io.k8s.api.rbac.v1.Role", &[object("metadata", 122)]), // 101
    definition("io.k8s.api.rbac.v1.RoleBinding", &[object("metadata", 122)]), // 102
    definition("io.k8s.api.rbac.v1beta1.ClusterRole", &[object("metadata", 122)]), // 103
    definition("io.k8s.api.rbac.v1beta1.ClusterRoleBinding", &[object("metadata", 122)]), // 104
    definition("io.k8s.api.rbac.v1beta1.Role", &[object("metadata", 122)]), // 105
    definition("io.k8s.api.rbac.v1beta1.RoleBinding", &[object("metadata", 122)]), // 106
    definition("io.k8s.api.scheduling.v1.PriorityClass", &[object("metadata", 122)]), // 107
    definition("io.k8s.api.scheduling.v1beta1.PriorityClass", &[object("metadata", 122)]), // 108
    definition("io.k8s.api.storage.v1.CSIDriver", &[object("metadata", 122)]), // 109
    definition("io.k8s.api.storage.v1.CSINode", &[object("metadata", 122), object("spec", 111)]), // 110
    definition("io.k8s.api.storage.v1.CSINodeSpec", &[list("drivers", &["name"])]), // 111
    definition("io.k8s.api.storage.v1.StorageClass", &[object("metadata", 122)]), // 112
    definition("io.k8s.api.storage.v1.VolumeAttachment", &[object("metadata", 122)]), // 113
    definition("io.k8s.api.storage.v1beta1.CSIDriver", &[object("metadata", 122)]), // 114
    definition("io.k8s.api.storage.v1beta1.CSINode", &[object("metadata", 122), object("spec", 116)]), // 115
    definition("io.k8s.api.storage.v1beta1.CSINodeSpec", &[list("drivers", &["name"])]), // 116
    definition("io.k8s.api.storage.v1beta1.CSIStorageCapacity", &[object("metadata", 122)]), // 117
    definition("io.k8s.api.storage.v1beta1.StorageClass", &[object("metadata", 122)]), // 118
    definition("io.k8s.api.storage.v1beta1.VolumeAttachment", &[object("metadata", 122)]), // 119
    definition("io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.CustomResourceDefinition", &[ // 120
        object("metadata", 122),
    ]),
    definition("io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1beta1.CustomResourceDefinition", &[ // 121
        object("metadata", 122),
    ]),
    definition("io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta", &[ // 122
        list("finalizers", &[]),
        list("ownerReferences", &["uid"]),
    ]),
    definition("io.k8s.kube-aggregator.pkg.apis.apiregistration.v1.APIService", &[ // 123
        object("metadata", 122),
        object("status", 124),
    ]),
    definition("io.k8s.kube-aggregator.pkg.apis.apiregistration.v1.APIServiceStatus", &[ // 124
        list("conditions", &["type"]),
    ]),
    definition("io.k8s.kube-aggregator.pkg.apis.apiregistration.v1beta1.APIService", &[ // 125
        object("metadata", 122),
        object("status", 126),
    ]),
    definition("io.k8s.kube-aggregator.pkg.apis.apiregistration.v1beta1.APIServiceStatus", &[ // 126
        list("conditions", &["type"]),
    ]),
];

/// The types that the definitions belong to: API version, kind, definition; sorted.
#[rustfmt::skip]
pub(super) static TYPES: [(&str, &str, u16); 90] = [
    ("admissionregistration.k8s.io/v1", "MutatingWebhookConfiguration", 0),
    ("admissionregistration.k8s.io/v1", "ValidatingWebhookConfiguration", 1),
    ("admissionregistration.k8s.io/v1beta1", "MutatingWebhookConfiguration", 2),
    ("admissionregistration.k8s.io/v1beta1", "ValidatingWebhookConfiguration", 3),
    ("apiextensions.k8s.io/v1", "CustomResourceDefinition", 120),
    ("apiextensions.k8s.io/v1beta1", "CustomResourceDefinition", 121),
    ("apiregistration.k8s.io/v1", "APIService", 123),
    ("apiregistration.k8s.io/v1beta1", "APIService", 125),
    ("apps/v1", "ControllerRevision", 4),
    ("apps/v1", "DaemonSet", 5),
    ("apps/v1", "Deployment", 8),
    ("apps/v1", "ReplicaSet", 12),
    ("apps/v1", "StatefulSet", 15),
    ("authentication.k8s.io/v1", "TokenRequest", 18),
    ("authentication.k8s.io/v1", "TokenReview", 19),
    ("authentication.k8s.io/v1beta1", "TokenReview", 20),
    ("authorization.k8s.io/v1", "LocalSubjectAccessReview", 21),
    ("authorization.k8s.io/v1", "SelfSubjectAccessReview", 22),
    ("authorization.k8s.io/v1", "SelfSubjectRulesReview", 23),
    ("authorization.k8s.io/v1", "SubjectAccessReview", 24),
    ("authorization.k8s.io/v1beta1", "LocalSubjectAccessReview", 25),
    ("authorization.k8s.io/v1beta1", "SelfSubjectAccessReview", 26),
    ("authorization.k8s.io/v1beta1", "SelfSubjectRulesReview", 27),
    ("authorization.k8s.io/v1beta1", "SubjectAccessReview", 28),
    ("autoscaling/v1", "HorizontalPodAutoscaler", 29),
    ("autoscaling/v1", "Scale", 30),
    ("autoscaling/v2beta1", "HorizontalPodAutoscaler", 31),
    ("autoscaling/v2beta2", "HorizontalPodAutoscaler", 32),
    ("batch/v1", "CronJob", 33),
    ("batch/v1", "Job", 35),
    ("batch/v1beta1", "CronJob", 39),
    ("certificates.k8s.io/v1", "CertificateSigningRequest", 42),
    ("certificates.k8s.io/v1beta1", "CertificateSigningRequest", 43),
    ("coordination.k8s.io/v1", "Lease", 44),
    ("coordination.k8s.io/v1beta1", "Lease", 45),
    ("discovery.k8s.io/v1", "EndpointSlice", 79),
    ("discovery.k8s.io/v1beta1", "EndpointSlice", 80),
    ("events.k8s.io/v1", "Event", 81),
    ("events.k8s.io/v1beta1", "Event", 82),
    ("extensions/v1beta1", "Ingress", 83),
    ("flowcontrol.apiserver.k8s.io/v1beta1", "FlowSchema", 84),
    ("flowcontrol.apiserver.k8s.io/v1beta1", "PriorityLevelConfiguration", 85),
    ("kustomize.config.k8s.io/v1beta1", "Kustomization", 11),
    ("networking.k8s.io/v1", "Ingress", 86),
    ("networking.k8s.io/v1", "IngressClass", 87),
    ("networking.k8s.io/v1", "NetworkPolicy", 88),
    ("networking.k8s.io/v1beta1", "Ingress", 89),
    ("networking.k8s.io/v1beta1", "IngressClass", 90),
    ("node.k8s.io/v1", "RuntimeClass", 91),
    ("node.k8s.io/v1beta1", "RuntimeClass", 92),
    ("policy/v1", "PodDisruptionBudget", 93),
    ("policy/v1beta1", "Eviction", 95),
    ("policy/v1beta1", "PodDisruptionBudget", 96),
    ("policy/v1beta1", "PodSecurityPolicy", 98),
    ("rbac.authorization.k8s.io/v1", "ClusterRole", 99),
    ("rbac.authorization.k8s.io/v1", "ClusterRoleBinding", 100),
    ("rbac.authorization.k8s.io/v1", "Role", 101),
    ("rbac.authorization.k8s.io/v1", "RoleBinding", 102),
    ("rbac.authorization.k8s.io/v1beta1", "ClusterRole", 103),
    ("rbac.authorization.k8s.io/v1beta1", "ClusterRoleBinding", 104),
    ("rbac.authorization.k8s.io/v1beta1", "Role", 105),
    ("rbac.authorization.k8s.io/v1beta1", "RoleBinding", 106),
    ("scheduling.k8s.io/v1", "PriorityClass", 107),
    ("scheduling.k8s.io/v1beta1", "PriorityClass", 108),
    ("storage.k8s.io/v1", "CSIDriver", 109),
    ("storage.k8s.io/v1", "CSINode", 110),
    ("storage.k8s.io/v1", "StorageClass", 112),
    ("storage.k8s.io/v1", "VolumeAttachment", 113),
    ("storage.k8s.io/v1beta1", "CSIDriver", 114),
    ("storage.k8s.io/v1beta1", "CSINode", 115),
    ("storage.k8s.io/v1beta1", "CSIStorageCapacity", 117),
    ("storage.k8s.io/v1beta1", "StorageClass", 118),
    ("storage.k8s.io/v1beta1", "VolumeAttachment", 119),
    ("v1", "Binding", 46),
    ("v1", "ComponentStatus", 47),
    ("v1", "ConfigMap", 48),
    ("v1", "Endpoints", 50),
    ("v1", "Event", 53),
    ("v1", "LimitRange", 54),
    ("v1", "Namespace", 55),
    ("v1", "Node", 57),
    ("v1", "PersistentVolume", 60),
    ("v1", "PersistentVolumeClaim", 61),
    ("v1", "Pod", 64),
    ("v1", "PodTemplate", 67),
    ("v1", "ReplicationController", 69),
    ("v1", "ResourceQuota", 72),
    ("v1", "Secret", 73),
    ("v1", "Service", 74),
    ("v1", "ServiceAccount", 75),
];

/// The types that have no namespace; sorted.
#[rustfmt::skip]
pub(super) static CLUSTER_SCOPED: [(&str, &str); 36] = [
    ("admissionregistration.k8s.io/v1", "MutatingWebhookConfiguration"),
    ("admissionregistration.k8s.io/v1", "ValidatingWebhookConfiguration"),
    ("admissionregistration.k8s.io/v1beta1", "MutatingWebhookConfiguration"),
    ("admissionregistration.k8s.io/v1beta1", "ValidatingWebhookConfiguration"),
    ("apiextensions.k8s.io/v1", "CustomResourceDefinition"),
    ("apiextensions.k8s.io/v1beta1", "CustomResourceDefinition"),
    ("apiregistration.k8s.io/v1", "APIService"),
    ("apiregistration.k8s.io/v1beta1", "APIService"),
    ("certificates.k8s.io/v1", "CertificateSigningRequest"),
    ("certificates.k8s.io/v1beta1", "CertificateSigningRequest"),
    ("flowcontrol.apiserver.k8s.io/v1beta1", "FlowSchema"),
    ("flowcontrol.apiserver.k8s.io/v1beta1", "PriorityLevelConfiguration"),
    ("networking.k8s.io/v1", "IngressClass"),
    ("networking.k8s.io/v1beta1", "IngressClass"),
    ("node.k8s.io/v1", "RuntimeClass"),
    ("node.k8s.io/v1beta1", "RuntimeClass"),
    ("policy/v1beta1", "PodSecurityPolicy"),
    ("rbac.authorization.k8s.io/v1", "ClusterRole"),
    ("rbac.authorization.k8s.io/v1", "ClusterRoleBinding"),
    ("rbac.authorization.k8s.io/v1beta1", "ClusterRole"),
    ("rbac.authorization.k8s.io/v1beta1", "ClusterRoleBinding"),
    ("scheduling.k8s.io/v1", "PriorityClass"),
    ("scheduling.k8s.io/v1beta1", "PriorityClass"),
    ("storage.k8s.io/v1", "CSIDriver"),
    ("storage.k8s.io/v1", "CSINode"),
    ("storage.k8s.io/v1", "StorageClass"),
    ("storage.k8s.io/v1", "VolumeAttachment"),
    ("storage.k8s.io/v1beta1", "CSIDriver"),
    ("storage.k8s.io/v1beta1", "CSINode"),
    ("storage.k8s.io/v1beta1", "StorageClass"),
    ("storage.k8s.io/v1beta1", "VolumeAttachment"),
    ("v1", "ComponentStatus"),
    ("v1", "Namespace"),
    ("v1", "Node"),
    ("v1", "NodeProxyOptions"),
    ("v1", "PersistentVolume"),
];

/// The types that are known to have one; a custom schema cannot say otherwise. Sorted.
#[rustfmt::skip]
pub(super) static NAMESPACED: [(&str, &str); 46] = [
    ("apps/v1", "ControllerRevision"),
    ("apps/v1", "DaemonSet"),
    ("apps/v1", "Deployment"),
    ("apps/v1", "ReplicaSet"),
    ("apps/v1", "StatefulSet"),
    ("autoscaling/v1", "HorizontalPodAutoscaler"),
    ("autoscaling/v1", "Scale"),
    ("autoscaling/v2beta1", "HorizontalPodAutoscaler"),
    ("autoscaling/v2beta2", "HorizontalPodAutoscaler"),
    ("batch/v1", "CronJob"),
    ("batch/v1", "Job"),
    ("batch/v1beta1", "CronJob"),
    ("coordination.k8s.io/v1", "Lease"),
    ("coordination.k8s.io/v1beta1", "Lease"),
    ("discovery.k8s.io/v1", "EndpointSlice"),
    ("discovery.k8s.io/v1beta1", "EndpointSlice"),
    ("events.k8s.io/v1", "Event"),
    ("events.k8s.io/v1beta1", "Event"),
    ("extensions/v1beta1", "Ingress"),
    ("networking.k8s.io/v1", "Ingress"),
    ("networking.k8s.io/v1", "NetworkPolicy"),
    ("networking.k8s.io/v1beta1", "Ingress"),
    ("policy/v1", "PodDisruptionBudget"),
    ("policy/v1beta1", "PodDisruptionBudget"),
    ("rbac.authorization.k8s.io/v1", "Role"),
    ("rbac.authorization.k8s.io/v1", "RoleBinding"),
    ("rbac.authorization.k8s.io/v1beta1", "Role"),
    ("rbac.authorization.k8s.io/v1beta1", "RoleBinding"),
    ("storage.k8s.io/v1beta1", "CSIStorageCapacity"),
    ("v1", "ConfigMap"),
    ("v1", "Endpoints"),
    ("v1", "Event"),
    ("v1", "LimitRange"),
    ("v1", "PersistentVolumeClaim"),
    ("v1", "Pod"),
    ("v1", "PodAttachOptions"),
    ("v1", "PodExecOptions"),
    ("v1", "PodPortForwardOptions"),
    ("v1", "PodProxyOptions"),
    ("v1", "PodTemplate"),
    ("v1", "ReplicationController"),
    ("v1", "ResourceQuota"),
    ("v1", "Secret"),
    ("v1", "Service"),
    ("v1", "ServiceAccount"),
    ("v1", "ServiceProxyOptions"),
];
