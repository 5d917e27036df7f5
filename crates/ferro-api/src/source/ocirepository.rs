//! `OCIRepository`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{OciVerificationProvider, OidcIdentityMatch, RegistryProvider};
use crate::crd::TIMEOUT_PATTERN;
use crate::macros::{flux_object, flux_status, kind, string_enum};
use crate::meta::{Artifact, Condition, Duration, LocalObjectReference, is_false};
use crate::vocabulary::group;

kind! {
    /// A repository in an OCI registry whose content, at the tag or digest that `spec.ref` selects, is
    /// made an artifact for other objects to use.
    OCIRepository {
        group: group::SOURCE,
        version: "v1",
        plural: "ocirepositories",
        short_names: ["ocirepo"],
        spec: OCIRepositorySpec,
        status: OCIRepositoryStatus,
    }
}
flux_object!(OCIRepository, OCIRepositoryStatus, interval: |o| Some(o.spec.interval), suspend: |o| o.spec.suspend);
flux_status!(OCIRepositoryStatus);

string_enum! {
    /// What is made of a layer.
    pub enum OciLayerOperation {
        /// It is unpacked, and packed anew as the artifact.
        #[default]
        Extract = "extract",
        /// It is the artifact as it is.
        Copy = "copy",
    }
}

/// Where the repository is, which tag of it is wanted, and how often to look.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct OCIRepositorySpec {
    /// A Secret with `ca.crt`, or `tls.crt` and `tls.key`, for the connection.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cert_secret_ref: Option<LocalObjectReference>,
    /// Patterns of files to leave out of the artifact, as in a .gitignore file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ignore: Option<String>,
    /// Whether the registry is spoken to over plain HTTP.
    #[serde(skip_serializing_if = "is_false")]
    pub insecure: bool,
    /// How often the repository is checked for changes.
    pub interval: Duration,
    /// The layer that becomes the artifact; without it, the first one, unpacked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub layer_selector: Option<LayerSelector>,
    /// How the registry is authenticated to.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-default" = "generic"))]
    pub provider: Option<RegistryProvider>,
    /// A Secret that describes a proxy: `address`, `username`, `password`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub proxy_secret_ref: Option<LocalObjectReference>,
    /// The tag or digest to fetch; without it, the tag latest.
    #[serde(rename = "ref", skip_serializing_if = "Option::is_none")]
    pub reference: Option<OCIRepositoryRef>,
    /// A Secret with a Docker configuration that holds credentials for the registry.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<LocalObjectReference>,
    /// A ServiceAccount in the namespace whose image pull secrets and cloud identity are used.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service_account_name: Option<String>,
    /// Whether reconciliation is paused. The last artifact stays available.
    #[serde(skip_serializing_if = "is_false")]
    pub suspend: bool,
    /// How long finding and fetching the content may take.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-default" = "60s", "pattern" = TIMEOUT_PATTERN))]
    pub timeout: Option<Duration>,
    /// Address of the repository, starting with oci:// and without a tag.
    #[schemars(extend("pattern" = "^oci://.*$"))]
    pub url: String,
    /// Which signatures the content must carry.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verify: Option<OCIRepositoryVerification>,
}

impl OCIRepositorySpec {
    /// The tag that is fetched when none is named.
    pub const DEFAULT_TAG: &'static str = "latest";

    /// Returns how long finding and fetching the content may take.
    #[must_use]
    pub fn timeout_or_default(&self) -> Duration {
        self.timeout.unwrap_or(Duration::from_secs(60))
    }

    /// Returns how the registry is authenticated to.
    #[must_use]
    pub fn provider_or_default(&self) -> RegistryProvider {
        self.provider.unwrap_or_default()
    }
}

/// A revision of a repository. Of several fields, `digest` wins over `semver`, and that over `tag`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct OCIRepositoryRef {
    /// Digest that is wanted, as `sha256:<hex>`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// Range of versions, such as ">=1.0.0 <2.0.0"; the tag with the highest version in it is wanted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub semver: Option<String>,
    /// Regular expression of the tags that `semver` considers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub semver_filter: Option<String>,
    /// Tag that is wanted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tag: Option<String>,
}

/// A layer, and what is made of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct LayerSelector {
    /// Media type of the layer; the first one that has it is chosen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub media_type: Option<String>,
    /// What is made of the layer: extract (the default) or copy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub operation: Option<OciLayerOperation>,
}

/// Which signatures are checked, and with which keys.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct OCIRepositoryVerification {
    /// Who may have signed without a key of their own; any one must match.
    #[serde(rename = "matchOIDCIdentity", skip_serializing_if = "Vec::is_empty")]
    pub match_oidc_identity: Vec<OidcIdentityMatch>,
    /// What made the signatures.
    #[schemars(extend("x-default" = "cosign"))]
    pub provider: OciVerificationProvider,
    /// A Secret with the public keys, or for notation the trust policy and certificates.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<LocalObjectReference>,
    /// A Secret with `trusted_root.json`, which names the certificate authorities and logs of a private
    /// Sigstore.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trusted_root_secret_ref: Option<LocalObjectReference>,
}

/// What was last fetched and stored.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct OCIRepositoryStatus {
    /// The artifact of the last successful reconcile.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub artifact: Option<Artifact>,
    /// What is known about the source.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
    /// The last reconcile request that was handled.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_handled_reconcile_at: Option<String>,
    /// The generation that this status speaks of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// The patterns that the artifact was made with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_ignore: Option<String>,
    /// The layer that the artifact was made of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_layer_selector: Option<LayerSelector>,
    /// HTTP address that always leads to the newest artifact.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
}
