//! `Bucket`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::crd::{TIMEOUT_PATTERN, cel};
use crate::macros::{flux_object, flux_status, kind, string_enum};
use crate::meta::{Artifact, Condition, Duration, LocalObjectReference, is_false};
use crate::vocabulary::group;

kind! {
    /// A bucket of an object storage whose content is made an artifact for other objects to use.
    Bucket {
        group: group::SOURCE,
        version: "v1",
        plural: "buckets",
        short_names: [],
        spec: BucketSpec,
        status: BucketStatus,
    }
}
flux_object!(Bucket, BucketStatus, interval: |o| Some(o.spec.interval), suspend: |o| o.spec.suspend);
flux_status!(BucketStatus);

string_enum! {
    /// Which object storage it is.
    pub enum BucketProvider {
        /// One that speaks the S3 protocol.
        #[default]
        Generic = "generic",
        /// Amazon S3, with the cloud identity of AWS where there is no Secret.
        Aws = "aws",
        /// Google Cloud Storage.
        Gcp = "gcp",
        /// Azure Blob Storage.
        Azure = "azure",
    }
}

string_enum! {
    /// Which service gives out temporary credentials.
    pub enum StsProvider {
        /// The one of AWS.
        #[default]
        Aws = "aws",
        /// One that takes LDAP credentials.
        Ldap = "ldap",
    }
}

/// Where the bucket is, and how often to look.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = cel(&[
    (
        "self.provider == 'aws' || self.provider == 'generic' || !has(self.sts)",
        "STS configuration is only supported for the 'aws' and 'generic' Bucket providers",
    ),
    (
        "self.provider != 'aws' || !has(self.sts) || self.sts.provider == 'aws'",
        "'aws' is the only supported STS provider for the 'aws' Bucket provider",
    ),
    (
        "self.provider != 'generic' || !has(self.sts) || self.sts.provider == 'ldap'",
        "'ldap' is the only supported STS provider for the 'generic' Bucket provider",
    ),
    (
        "!has(self.sts) || self.sts.provider != 'aws' || !has(self.sts.secretRef)",
        "spec.sts.secretRef is not required for the 'aws' STS provider",
    ),
    (
        "!has(self.sts) || self.sts.provider != 'aws' || !has(self.sts.certSecretRef)",
        "spec.sts.certSecretRef is not required for the 'aws' STS provider",
    ),
    (
        "self.provider != 'generic' || !has(self.serviceAccountName)",
        "ServiceAccountName is not supported for the 'generic' Bucket provider",
    ),
    (
        "!has(self.secretRef) || !has(self.serviceAccountName)",
        "cannot set both .spec.secretRef and .spec.serviceAccountName",
    ),
])))]
pub struct BucketSpec {
    /// Name of the bucket.
    pub bucket_name: String,
    /// A Secret with `ca.crt`, or `tls.crt` and `tls.key`, for the connection. For providers generic
    /// and aws.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cert_secret_ref: Option<LocalObjectReference>,
    /// Address of the storage: host and port, or for Azure the whole URL of the account.
    pub endpoint: String,
    /// Patterns of objects to leave out of the artifact, as in a .gitignore file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ignore: Option<String>,
    /// Whether the storage is spoken to over plain HTTP.
    #[serde(skip_serializing_if = "is_false")]
    pub insecure: bool,
    /// How often the bucket is checked for changes.
    pub interval: Duration,
    /// Prefix of the keys to fetch; without it, all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prefix: Option<String>,
    /// Which object storage it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-default" = "generic"))]
    pub provider: Option<BucketProvider>,
    /// A Secret that describes a proxy: `address`, `username`, `password`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub proxy_secret_ref: Option<LocalObjectReference>,
    /// Region of the bucket.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// A Secret with credentials, such as `accesskey` and `secretkey`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<LocalObjectReference>,
    /// A ServiceAccount in the namespace whose cloud identity is used.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service_account_name: Option<String>,
    /// A service that gives out temporary credentials.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sts: Option<BucketSts>,
    /// Whether reconciliation is paused. The last artifact stays available.
    #[serde(skip_serializing_if = "is_false")]
    pub suspend: bool,
    /// How long listing the objects may take, and how long fetching them.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-default" = "60s", "pattern" = TIMEOUT_PATTERN))]
    pub timeout: Option<Duration>,
}

impl BucketSpec {
    /// Returns how long each of the two phases may take.
    #[must_use]
    pub fn timeout_or_default(&self) -> Duration {
        self.timeout.unwrap_or(Duration::from_secs(60))
    }

    /// Returns which object storage it is.
    #[must_use]
    pub fn provider_or_default(&self) -> BucketProvider {
        self.provider.unwrap_or_default()
    }
}

/// A service that gives out temporary credentials.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct BucketSts {
    /// A Secret with `ca.crt`, or `tls.crt` and `tls.key`, for the connection to the service.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cert_secret_ref: Option<LocalObjectReference>,
    /// HTTP address of the service.
    #[schemars(extend("pattern" = "^(http|https)://.*$"))]
    pub endpoint: String,
    /// Which service it is: aws or ldap.
    pub provider: StsProvider,
    /// A Secret with `username` and `password` for the service.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<LocalObjectReference>,
}

/// What was last fetched and stored.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct BucketStatus {
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
    /// HTTP address that always leads to the newest artifact.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
}
