//! Where the chart of a release comes from.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::macros::string_enum;
use crate::meta::{Duration, LocalObjectReference, is_false};
use crate::source::{ChartSourceKind, OciVerificationProvider, ReconcileStrategy};

string_enum! {
    /// Kinds of objects that have a chart as their artifact.
    pub enum ChartRefKind {
        /// An OCI artifact that is a chart.
        #[default]
        OCIRepository = "OCIRepository",
        /// A chart.
        HelmChart = "HelmChart",
        /// An artifact made by another controller.
        ExternalArtifact = "ExternalArtifact",
    }
}

/// The HelmChart that is made for a release.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct HelmChartTemplate {
    /// Labels and annotations of the HelmChart.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metadata: Option<HelmChartTemplateMetadata>,
    /// What the HelmChart asks for.
    pub spec: HelmChartTemplateSpec,
}

/// Labels and annotations of a HelmChart.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct HelmChartTemplateMetadata {
    /// Annotations.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// Labels.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
}

/// Which chart, and from where.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct HelmChartTemplateSpec {
    /// Name of the chart in the Helm repository, or its path in the artifact of the source.
    #[schemars(extend("minLength" = 1, "maxLength" = 2048))]
    pub chart: String,
    /// Whether a file of `valuesFiles` that does not exist is skipped instead of failing the build.
    #[serde(skip_serializing_if = "is_false")]
    pub ignore_missing_values_files: bool,
    /// How often the source is checked for a new chart; without it, the interval of the release.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interval: Option<Duration>,
    /// What makes a new chart: ChartVersion, or Revision of a Git repository or bucket.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-default" = "ChartVersion"))]
    pub reconcile_strategy: Option<ReconcileStrategy>,
    /// Where the chart comes from.
    pub source_ref: HelmChartTemplateSourceReference,
    /// Files in the chart to merge into its default values, a later one over an earlier one. They
    /// replace values.yaml, which must be listed if it is wanted.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub values_files: Vec<String>,
    /// Which signatures a chart from an OCI registry must carry.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verify: Option<HelmChartTemplateVerification>,
    /// Version of the chart, or a range of versions; not used with Git repositories and buckets.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-default" = "*"))]
    pub version: Option<String>,
}

/// Which signatures are checked, and with which keys.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct HelmChartTemplateVerification {
    /// What made the signatures.
    #[schemars(extend("x-default" = "cosign"))]
    pub provider: OciVerificationProvider,
    /// A Secret with the public keys, or for notation the trust policy and certificates.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<LocalObjectReference>,
}

/// The source of a chart.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct HelmChartTemplateSourceReference {
    /// API version of the source.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub api_version: Option<String>,
    /// Kind of the source.
    pub kind: ChartSourceKind,
    /// Name of the source.
    #[schemars(extend("minLength" = 1, "maxLength" = 253))]
    pub name: String,
    /// Namespace of the source; without it, the namespace of the release. The HelmChart is made there.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("minLength" = 1, "maxLength" = 63))]
    pub namespace: Option<String>,
}

/// An object whose artifact is a chart.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct CrossNamespaceSourceReference {
    /// API version of the object.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub api_version: Option<String>,
    /// Kind of the object.
    pub kind: ChartRefKind,
    /// Name of the object.
    #[schemars(extend("minLength" = 1, "maxLength" = 253))]
    pub name: String,
    /// Namespace of the object; without it, the namespace of the release.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("minLength" = 1, "maxLength" = 63))]
    pub namespace: Option<String>,
}
