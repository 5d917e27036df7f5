//! `source.toolkit.fluxcd.io`: where the desired state comes from.

mod bucket;
mod externalartifact;
mod gitrepository;
mod helmchart;
mod helmrepository;
mod ocirepository;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use self::bucket::{Bucket, BucketProvider, BucketSpec, BucketStatus, BucketSts, StsProvider};
pub use self::externalartifact::{ExternalArtifact, ExternalArtifactSpec, ExternalArtifactStatus};
pub use self::gitrepository::{
    GitProvider, GitRepository, GitRepositoryInclude, GitRepositoryRef, GitRepositorySpec,
    GitRepositoryStatus, GitRepositoryVerification, GitVerificationMode,
};
pub use self::helmchart::{
    ChartSourceKind, ChartSourceReference, HelmChart, HelmChartSpec, HelmChartStatus, HelmChartVerification,
    ReconcileStrategy,
};
pub use self::helmrepository::{
    HelmRepository, HelmRepositorySpec, HelmRepositoryStatus, HelmRepositoryType,
};
pub use self::ocirepository::{
    LayerSelector, OCIRepository, OCIRepositoryRef, OCIRepositorySpec, OCIRepositoryStatus,
    OCIRepositoryVerification, OciLayerOperation,
};
use crate::macros::string_enum;

string_enum! {
    /// How a registry is authenticated to.
    pub enum RegistryProvider {
        /// With the credentials of a Secret, or none.
        #[default]
        Generic = "generic",
        /// With the cloud identity of AWS.
        Aws = "aws",
        /// With the cloud identity of Azure.
        Azure = "azure",
        /// With the cloud identity of Google Cloud.
        Gcp = "gcp",
    }
}

string_enum! {
    /// What makes and checks signatures of OCI artifacts.
    pub enum OciVerificationProvider {
        /// Sigstore Cosign.
        #[default]
        Cosign = "cosign",
        /// Notary Project's Notation.
        Notation = "notation",
    }
}

/// Who may have signed without a key of their own: both expressions must match the certificate.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct OidcIdentityMatch {
    /// The issuer of the identity, as a regular expression.
    pub issuer: String,
    /// The subject of the identity, as a regular expression.
    pub subject: String,
}
