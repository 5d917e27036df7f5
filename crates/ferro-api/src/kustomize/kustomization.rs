//! `Kustomization`.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::crd::any_list;
use crate::macros::{flux_object, flux_status, kind, string_enum};
use crate::meta::{
    CommonMetadata, Condition, CustomHealthCheck, DependencyReference, Duration, Image, JsonPatch,
    KubeConfigReference, LocalObjectReference, Patch, ResourceInventory, Selector, Time, is_false,
};
use crate::vocabulary::group;

kind! {
    /// A directory of manifests from a source, built with Kustomize, applied to a cluster and kept that
    /// way.
    Kustomization {
        group: group::KUSTOMIZE,
        version: "v1",
        plural: "kustomizations",
        short_names: ["ks"],
        spec: KustomizationSpec,
        status: KustomizationStatus,
    }
}
flux_object!(Kustomization, KustomizationStatus, interval: |o| Some(o.spec.interval), suspend: |o| o.spec.suspend);
flux_status!(KustomizationStatus);

string_enum! {
    /// Provenance that Kustomize writes into annotations.
    pub enum BuildMetadataOption {
        /// Where an object came from.
        #[default]
        OriginAnnotations = "originAnnotations",
        /// Which transformers changed an object.
        TransformerAnnotations = "transformerAnnotations",
    }
}

string_enum! {
    /// What becomes of the applied objects when the Kustomization is deleted.
    pub enum DeletionPolicy {
        /// They are deleted if `prune` is set, and stay otherwise.
        #[default]
        MirrorPrune = "MirrorPrune",
        /// They are deleted.
        Delete = "Delete",
        /// They are deleted, and the Kustomization stays until they are gone.
        WaitForTermination = "WaitForTermination",
        /// They stay.
        Orphan = "Orphan",
    }
}

string_enum! {
    /// How secrets are encrypted.
    pub enum DecryptionProvider {
        /// With SOPS.
        #[default]
        Sops = "sops",
    }
}

string_enum! {
    /// Kinds of sources.
    pub enum KustomizationSourceKind {
        /// An OCI artifact.
        OCIRepository = "OCIRepository",
        /// A Git repository.
        #[default]
        GitRepository = "GitRepository",
        /// A bucket.
        Bucket = "Bucket",
        /// An artifact made by another controller.
        ExternalArtifact = "ExternalArtifact",
    }
}

string_enum! {
    /// Kinds of objects that hold variables.
    pub enum SubstituteSourceKind {
        /// A Secret.
        Secret = "Secret",
        /// A ConfigMap.
        #[default]
        ConfigMap = "ConfigMap",
    }
}

string_enum! {
    /// When substitution takes place.
    pub enum SubstituteStrategy {
        /// When there is at least one variable.
        #[default]
        WithVariables = "WithVariables",
        /// Always, so that defaults in the manifests apply even without variables.
        Always = "Always",
    }
}

/// What to build, where to apply it, and what to wait for.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct KustomizationSpec {
    /// Provenance that is written into annotations of the objects.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub build_metadata: Vec<BuildMetadataOption>,
    /// Labels and annotations for every object.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub common_metadata: Option<CommonMetadata>,
    /// Kustomize components to include, as paths relative to `path`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub components: Vec<String>,
    /// How encrypted secrets in the manifests are decrypted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decryption: Option<Decryption>,
    /// What becomes of the applied objects when this one is deleted: MirrorPrune (the default) deletes
    /// them if `prune` is set, Delete and WaitForTermination delete them in any case, Orphan never.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deletion_policy: Option<DeletionPolicy>,
    /// Kustomizations that must be ready before this one is applied.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub depends_on: Vec<DependencyReference>,
    /// Whether an object is deleted and created anew when a change touches an immutable field.
    #[serde(skip_serializing_if = "is_false")]
    #[schemars(extend("x-default" = false))]
    pub force: bool,
    /// How the health of kinds that follow no convention is read.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub health_check_exprs: Vec<CustomHealthCheck>,
    /// Objects that must become healthy before this one is ready.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub health_checks: Vec<HealthCheck>,
    /// Fields that others may change without it being drift.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ignore: Vec<DriftIgnoreRule>,
    /// Whether a component whose path does not exist is skipped instead of failing the build.
    #[serde(skip_serializing_if = "is_false")]
    pub ignore_missing_components: bool,
    /// New names, tags or digests for container images.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub images: Vec<Image>,
    /// How often the objects are applied even if nothing has changed.
    pub interval: Duration,
    /// Another cluster to apply to. With `serviceAccountName`, that account is impersonated there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kube_config: Option<KubeConfigReference>,
    /// Prefix for the names of all objects.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("minLength" = 1, "maxLength" = 200))]
    pub name_prefix: Option<String>,
    /// Suffix for the names of all objects.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("minLength" = 1, "maxLength" = 200))]
    pub name_suffix: Option<String>,
    /// Changes to the objects, made after the build.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub patches: Vec<Patch>,
    /// JSON patches as older versions have them. They run after labels and annotations are set, unlike
    /// `patches`, which new manifests use. Goes beyond Flux 2.9.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub patches_json6902: Vec<JsonPatch>,
    /// Strategic merge patches as older versions have them: parts of objects. They run before `patches`,
    /// which new manifests use. Goes beyond Flux 2.9.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "any_list")]
    pub patches_strategic_merge: Vec<Value>,
    /// Directory in the artifact to build; without it, the root. A kustomization.yaml is made up if it
    /// has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Variables that are filled in after the build.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub post_build: Option<PostBuild>,
    /// Whether objects that are no longer in the build are deleted.
    pub prune: bool,
    /// How long to wait after a failure; without it, `interval`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_interval: Option<Duration>,
    /// A ServiceAccount in the namespace to apply as, instead of as the controller.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service_account_name: Option<String>,
    /// The source of the manifests.
    pub source_ref: KustomizationSourceReference,
    /// Whether reconciliation is paused. The objects stay as they are, even if this one is deleted.
    #[serde(skip_serializing_if = "is_false")]
    pub suspend: bool,
    /// Namespace for all objects that have one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("minLength" = 1, "maxLength" = 63))]
    pub target_namespace: Option<String>,
    /// How long health checks may take; without it, `interval` less half a minute.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Duration>,
    /// Whether every applied object must become healthy before this one is ready. `healthChecks` is
    /// then not used.
    #[serde(skip_serializing_if = "is_false")]
    pub wait: bool,
}

impl KustomizationSpec {
    /// The shortest timeout that follows from an interval.
    const MIN_TIMEOUT: Duration = Duration::from_secs(30);

    /// Returns how long health checks may take: `timeout`, or the interval less 30 s, but never less
    /// than 30 s.
    #[must_use]
    pub fn timeout_or_default(&self) -> Duration {
        let timeout = self
            .timeout
            .unwrap_or_else(|| self.interval.saturating_sub(Self::MIN_TIMEOUT));
        timeout.max(Self::MIN_TIMEOUT)
    }

    /// Returns how long to wait after a failure.
    #[must_use]
    pub fn retry_interval_or_default(&self) -> Duration {
        self.retry_interval.unwrap_or(self.interval)
    }

    /// Returns what becomes of the applied objects when the Kustomization is deleted.
    #[must_use]
    pub fn deletion_policy_or_default(&self) -> DeletionPolicy {
        self.deletion_policy.unwrap_or_default()
    }
}

/// The source of the manifests.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct KustomizationSourceReference {
    /// API version of the source.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub api_version: Option<String>,
    /// Kind of the source.
    pub kind: KustomizationSourceKind,
    /// Name of the source.
    pub name: String,
    /// Namespace of the source; without it, the namespace of the Kustomization.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
}

/// How encrypted secrets are decrypted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct Decryption {
    /// How secrets are encrypted.
    pub provider: DecryptionProvider,
    /// A Secret with private keys: `*.agekey`, `*.asc`, and credentials of key services.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<LocalObjectReference>,
    /// A ServiceAccount in the namespace whose cloud identity is used with key services.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service_account_name: Option<String>,
}

/// An object whose health is waited for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct HealthCheck {
    /// API version of the object; without it, apps/v1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub api_version: Option<String>,
    /// Kind of the object.
    pub kind: String,
    /// Name of the object.
    pub name: String,
    /// Namespace of the object; leave it out for objects that have none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
}

impl HealthCheck {
    /// Returns the API version of the object.
    #[must_use]
    pub fn api_version_or_default(&self) -> &str {
        self.api_version
            .as_deref()
            .filter(|version| !version.is_empty())
            .unwrap_or("apps/v1")
    }
}

/// Fields of objects that others may change.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct DriftIgnoreRule {
    /// The fields, as JSON pointers (RFC 6901).
    pub paths: Vec<String>,
    /// The objects; without it, all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<Selector>,
}

/// Variables that are filled in after the build: `${name}`, with Bash-like defaults and edits.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct PostBuild {
    /// Variables and their values; they win over those of `substituteFrom`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub substitute: BTreeMap<String, String>,
    /// ConfigMaps and Secrets whose keys are variables; a later one wins over an earlier one.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub substitute_from: Vec<SubstituteReference>,
    /// When substitution takes place: WithVariables (the default) if there is any variable, or Always.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub substitute_strategy: Option<SubstituteStrategy>,
}

/// An object whose keys are variables.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct SubstituteReference {
    /// Kind of the object.
    pub kind: SubstituteSourceKind,
    /// Name of the object, in the namespace of the Kustomization.
    #[schemars(extend("minLength" = 1, "maxLength" = 253))]
    pub name: String,
    /// Whether it is no error if the object does not exist.
    #[serde(skip_serializing_if = "is_false")]
    #[schemars(extend("x-default" = false))]
    pub optional: bool,
}

/// What was last applied.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct KustomizationStatus {
    /// What is known about the Kustomization.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
    /// What was applied before, newest first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub history: Vec<Snapshot>,
    /// The objects that were applied.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub inventory: Option<ResourceInventory>,
    /// The revision of the source's own origin that was last applied with success.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_applied_origin_revision: Option<String>,
    /// The revision of the source that was last applied with success.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_applied_revision: Option<String>,
    /// The revision of the source that was last tried.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_attempted_revision: Option<String>,
    /// The last reconcile request that was handled.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_handled_reconcile_at: Option<String>,
    /// The generation that this status speaks of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
}

/// One build, and how applying it went.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct Snapshot {
    /// Digest of the manifests, as `<algorithm>:<checksum>`.
    pub digest: String,
    /// When it was first applied.
    pub first_reconciled: Time,
    /// When it was last applied.
    pub last_reconciled: Time,
    /// How long it took the last time.
    #[schemars(with = "String")]
    pub last_reconciled_duration: Duration,
    /// How it ended the last time, as a reason of the condition Ready.
    pub last_reconciled_status: String,
    /// Facts about the build, such as the revision of the source.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub metadata: BTreeMap<String, String>,
    /// How often it was applied.
    pub total_reconciliations: i64,
}
