//! `HelmChart`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{OciVerificationProvider, OidcIdentityMatch};
use crate::crd::cel;
use crate::macros::{flux_object, flux_status, kind, string_enum};
use crate::meta::{Artifact, Condition, Duration, LocalObjectReference, is_false};
use crate::vocabulary::group;

kind! {
    /// A Helm chart, taken from a Helm repository or packaged from a directory of another source, made
    /// an artifact for Helm releases to use.
    HelmChart {
        group: group::SOURCE,
        version: "v1",
        plural: "helmcharts",
        short_names: ["hc"],
        spec: HelmChartSpec,
        status: HelmChartStatus,
    }
}
flux_object!(HelmChart, HelmChartStatus, interval: |o| Some(o.spec.interval), suspend: |o| o.spec.suspend);
flux_status!(HelmChartStatus);

string_enum! {
    /// Kinds of sources of charts.
    pub enum ChartSourceKind {
        /// A Helm repository.
        #[default]
        HelmRepository = "HelmRepository",
        /// A Git repository.
        GitRepository = "GitRepository",
        /// A bucket.
        Bucket = "Bucket",
    }
}

string_enum! {
    /// What makes a new chart.
    pub enum ReconcileStrategy {
        /// A new version in the chart's own metadata.
        #[default]
        ChartVersion = "ChartVersion",
        /// A new revision of the source.
        Revision = "Revision",
    }
}

/// Which chart, from where, and how often to look.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = cel(&[(
    "!has(self.verify) || self.sourceRef.kind == 'HelmRepository'",
    "spec.verify is only supported when spec.sourceRef.kind is 'HelmRepository'",
)])))]
pub struct HelmChartSpec {
    /// Name of the chart in the Helm repository, or its path in the artifact of the source.
    pub chart: String,
    /// Whether a file of `valuesFiles` that does not exist is skipped instead of failing the build.
    #[serde(skip_serializing_if = "is_false")]
    pub ignore_missing_values_files: bool,
    /// How often the source is checked for a new chart.
    pub interval: Duration,
    /// What makes a new chart: ChartVersion, or Revision of a Git repository or bucket.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-default" = "ChartVersion"))]
    pub reconcile_strategy: Option<ReconcileStrategy>,
    /// Where the chart comes from.
    pub source_ref: ChartSourceReference,
    /// Whether reconciliation is paused. The last artifact stays available.
    #[serde(skip_serializing_if = "is_false")]
    pub suspend: bool,
    /// Files in the chart to merge into its default values, a later one over an earlier one. They
    /// replace values.yaml, which must be listed if it is wanted.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub values_files: Vec<String>,
    /// Which signatures a chart from an OCI registry must carry.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verify: Option<HelmChartVerification>,
    /// Version of the chart, or a range of versions; not used with Git repositories and buckets.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-default" = "*"))]
    pub version: Option<String>,
}

impl HelmChartSpec {
    /// Returns the range of versions that is wanted.
    #[must_use]
    pub fn version_or_default(&self) -> &str {
        self.version
            .as_deref()
            .filter(|version| !version.is_empty())
            .unwrap_or("*")
    }

    /// Returns what makes a new chart.
    #[must_use]
    pub fn reconcile_strategy_or_default(&self) -> ReconcileStrategy {
        self.reconcile_strategy.unwrap_or_default()
    }
}

/// The source of a chart, in the same namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct ChartSourceReference {
    /// API version of the source.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub api_version: Option<String>,
    /// Kind of the source.
    pub kind: ChartSourceKind,
    /// Name of the source.
    pub name: String,
}

/// Which signatures are checked, and with which keys.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct HelmChartVerification {
    /// Who may have signed without a key of their own; any one must match.
    #[serde(rename = "matchOIDCIdentity", skip_serializing_if = "Vec::is_empty")]
    pub match_oidc_identity: Vec<OidcIdentityMatch>,
    /// What made the signatures.
    #[schemars(extend("x-default" = "cosign"))]
    pub provider: OciVerificationProvider,
    /// A Secret with the public keys, or for notation the trust policy and certificates.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<LocalObjectReference>,
}

/// What was last fetched or packaged, and stored.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct HelmChartStatus {
    /// The artifact of the last successful reconcile.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub artifact: Option<Artifact>,
    /// What is known about the chart.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
    /// The last reconcile request that was handled.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_handled_reconcile_at: Option<String>,
    /// The name in the metadata of the chart.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_chart_name: Option<String>,
    /// The generation that this status speaks of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// The revision of the source that the chart was made from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_source_artifact_revision: Option<String>,
    /// The values files that were merged; only where missing ones are ignored.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub observed_values_files: Vec<String>,
    /// HTTP address that always leads to the newest artifact.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
}
