//! `HelmRelease`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    CrossNamespaceSourceReference, HelmChartTemplate, HelmReleaseStatus, Install, Rollback, Test, Uninstall,
    Upgrade,
};
use crate::crd::{any_list, cel, go_int, preserve_unknown_fields};
use crate::kustomize::DriftIgnoreRule;
use crate::macros::{flux_object, kind, string_enum};
use crate::meta::{
    CommonMetadata, CustomHealthCheck, DependencyReference, Duration, Image, JsonPatch, KubeConfigReference,
    Patch, is_false,
};
use crate::vocabulary::{annotation, group};

kind! {
    /// A Helm release: a chart, installed with values, upgraded when either changes, and kept that way.
    HelmRelease {
        group: group::HELM,
        version: "v2",
        plural: "helmreleases",
        short_names: ["hr"],
        spec: HelmReleaseSpec,
        status: HelmReleaseStatus,
    }
}
flux_object!(
    HelmRelease, HelmReleaseStatus,
    interval: |o| Some(o.spec.interval), suspend: |o| o.spec.suspend,
    instructions: [annotation::WINDOWS, annotation::WINDOWS_TIME_ZONE, annotation::WINDOWS_DRIFT, annotation::VALUES_FILES]
);

string_enum! {
    /// What is done about drift.
    pub enum DriftDetectionMode {
        /// It is undone.
        Enabled = "enabled",
        /// It is reported.
        Warn = "warn",
        /// It is not looked for.
        #[default]
        Disabled = "disabled",
    }
}

string_enum! {
    /// What of a chart the post-renderers see.
    pub enum PostRenderStrategy {
        /// The manifests without the hooks.
        NoHooks = "nohooks",
        /// The manifests together with the hooks.
        #[default]
        Combined = "combined",
        /// The manifests, and apart from them the hooks.
        Separate = "separate",
    }
}

string_enum! {
    /// Kinds of objects that hold values.
    pub enum ValuesSourceKind {
        /// A Secret.
        Secret = "Secret",
        /// A ConfigMap.
        #[default]
        ConfigMap = "ConfigMap",
    }
}

string_enum! {
    /// How the health of released objects is waited for.
    pub enum WaitStrategyName {
        /// By the conventions of Kubernetes for any kind, and `healthCheckExprs`.
        #[default]
        Poller = "poller",
        /// By Helm 3's rules for the kinds that it knows.
        Legacy = "legacy",
    }
}

/// Which chart to release, with which values, and what to do when that fails.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = cel(&[(
    "(has(self.chart) && !has(self.chartRef)) || (!has(self.chart) && has(self.chartRef))",
    "either chart or chartRef must be set",
)])))]
pub struct HelmReleaseSpec {
    /// The chart, for which a HelmChart is made. Exclusive with `chartRef`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chart: Option<HelmChartTemplate>,
    /// An object whose artifact is the chart. Exclusive with `chart`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chart_ref: Option<CrossNamespaceSourceReference>,
    /// Labels and annotations for every object of the release.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub common_metadata: Option<CommonMetadata>,
    /// Releases that must be ready before this one is made.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub depends_on: Vec<DependencyReference>,
    /// Whether changes of released objects by others are looked for, and what is done about them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub drift_detection: Option<DriftDetection>,
    /// How the health of kinds that follow no convention is read.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub health_check_exprs: Vec<CustomHealthCheck>,
    /// How installing is done.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub install: Option<Install>,
    /// How often the release is checked even if nothing has changed.
    pub interval: Duration,
    /// Another cluster to release to. With `serviceAccountName`, that account is impersonated there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kube_config: Option<KubeConfigReference>,
    /// How many revisions of the release Helm keeps; without it five, and 0 for all.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "go_int")]
    pub max_history: Option<i64>,
    /// Whether one client serves a whole reconcile (the default). Charts that make CRDs in templates
    /// and use them at once may need it off.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub persistent_client: Option<bool>,
    /// What of the chart the post-renderers see: combined (the default: manifests together with hooks),
    /// nohooks or separate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub post_render_strategy: Option<PostRenderStrategy>,
    /// Changes to what the chart renders, one after the other.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub post_renderers: Vec<PostRenderer>,
    /// Name of the release in Helm; without it, the target namespace, if one is set, and the name of
    /// this object, joined by a dash.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("minLength" = 1, "maxLength" = 53))]
    pub release_name: Option<String>,
    /// How rolling back is done.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rollback: Option<Rollback>,
    /// A ServiceAccount in the namespace to release as, instead of as the controller.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("minLength" = 1, "maxLength" = 253))]
    pub service_account_name: Option<String>,
    /// Namespace where Helm keeps its records; without it, the namespace of this object.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("minLength" = 1, "maxLength" = 63))]
    pub storage_namespace: Option<String>,
    /// Whether reconciliation is paused. The release stays as it is, even if this object is deleted.
    #[serde(skip_serializing_if = "is_false")]
    pub suspend: bool,
    /// Namespace to release to; without it, the namespace of this object.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("minLength" = 1, "maxLength" = 63))]
    pub target_namespace: Option<String>,
    /// Whether and how the tests of the chart are run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub test: Option<Test>,
    /// How long each single operation of an action, such as a hook, may take; without it, 5 minutes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Duration>,
    /// How uninstalling is done.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uninstall: Option<Uninstall>,
    /// How upgrading is done.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub upgrade: Option<Upgrade>,
    /// Values for the chart. They win over those of `valuesFrom`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "preserve_unknown_fields")]
    pub values: Option<Value>,
    /// ConfigMaps and Secrets with values; a later one wins over an earlier one.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub values_from: Vec<ValuesReference>,
    /// How the health of released objects is waited for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wait_strategy: Option<WaitStrategy>,
}

impl HelmReleaseSpec {
    /// Returns how long each single operation of an action may take.
    #[must_use]
    pub fn timeout_or_default(&self) -> Duration {
        self.timeout.unwrap_or(Duration::from_mins(5))
    }

    /// Returns how many revisions Helm keeps, 0 for all.
    #[must_use]
    pub fn max_history_or_default(&self) -> i64 {
        self.max_history.unwrap_or(5)
    }

    /// Reports whether one client serves a whole reconcile.
    #[must_use]
    pub fn is_persistent_client(&self) -> bool {
        self.persistent_client.unwrap_or(true)
    }

    /// Returns what is done about drift.
    #[must_use]
    pub fn drift_detection_mode(&self) -> DriftDetectionMode {
        self.drift_detection
            .as_ref()
            .and_then(|drift| drift.mode)
            .unwrap_or_default()
    }
}

/// Whether drift is looked for, and where not.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct DriftDetection {
    /// Fields that others may change without it being drift.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ignore: Vec<DriftIgnoreRule>,
    /// What is done about drift: enabled (undo it), warn (report it) or disabled (the default).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<DriftDetectionMode>,
}

/// A change to what the chart renders.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct PostRenderer {
    /// A change by Kustomize.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kustomize: Option<KustomizePostRenderer>,
}

/// What Kustomize changes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct KustomizePostRenderer {
    /// New names, tags or digests for container images.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub images: Vec<Image>,
    /// Changes to the objects.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub patches: Vec<Patch>,
    /// JSON patches as older versions have them; new manifests use `patches`. Goes beyond Flux 2.9.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub patches_json6902: Vec<JsonPatch>,
    /// Strategic merge patches as older versions have them: parts of objects; new manifests use
    /// `patches`. Goes beyond Flux 2.9.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "any_list")]
    pub patches_strategic_merge: Vec<Value>,
}

/// An object that holds values.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct ValuesReference {
    /// Kind of the object.
    pub kind: ValuesSourceKind,
    /// Whether the value for `targetPath` is taken as it is, as one string, without looking for commas,
    /// braces and numbers in it.
    #[serde(skip_serializing_if = "is_false")]
    pub literal: bool,
    /// Name of the object, in the namespace of the release.
    #[schemars(extend("minLength" = 1, "maxLength" = 253))]
    pub name: String,
    /// Whether it is no error if the object, or the key in it, does not exist.
    #[serde(skip_serializing_if = "is_false")]
    pub optional: bool,
    /// Where in the values the content of the key goes, such as `image.tag`; without it, the content is
    /// YAML that is merged into the values.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("maxLength" = 250, "pattern" = r"^([a-zA-Z0-9_\-.\\\/]|\[[0-9]{1,5}\])+$"))]
    pub target_path: Option<String>,
    /// Key in the object; without it, values.yaml.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("maxLength" = 253, "pattern" = r"^[\-._a-zA-Z0-9]+$"))]
    pub values_key: Option<String>,
}

impl ValuesReference {
    /// Returns the key in the object.
    #[must_use]
    pub fn values_key_or_default(&self) -> &str {
        self.values_key
            .as_deref()
            .filter(|key| !key.is_empty())
            .unwrap_or("values.yaml")
    }
}

/// How the health of released objects is waited for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct WaitStrategy {
    /// By which rules: poller (the conventions of Kubernetes for any kind) or legacy (those of Helm 3).
    pub name: WaitStrategyName,
}
