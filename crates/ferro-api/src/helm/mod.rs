//! `helm.toolkit.fluxcd.io`: Helm charts released to a cluster.

mod action;
mod chart;
mod helmrelease;
mod status;

pub use self::action::{
    ChartNameChangeStrategyKind, CrdsPolicy, DeletionPropagation, Install, InstallRemediation,
    InstallStrategy, Remediation, RemediationStrategy, Rollback, ServerSideApplyMode, StrategyName, Test,
    TestFilter, Uninstall, Upgrade, UpgradeRemediation, UpgradeStrategy,
};
pub use self::chart::{
    ChartRefKind, CrossNamespaceSourceReference, HelmChartTemplate, HelmChartTemplateMetadata,
    HelmChartTemplateSourceReference, HelmChartTemplateSpec, HelmChartTemplateVerification,
};
pub use self::helmrelease::{
    DriftDetection, DriftDetectionMode, HelmRelease, HelmReleaseSpec, KustomizePostRenderer,
    PostRenderStrategy, PostRenderer, ValuesReference, ValuesSourceKind, WaitStrategy, WaitStrategyName,
};
pub use self::status::{HelmReleaseStatus, ReleaseAction, ReleaseSnapshot, TestHookStatus};
