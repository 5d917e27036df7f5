//! `GitRepository`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::crd::{TIMEOUT_PATTERN, cel};
use crate::macros::{flux_object, flux_status, kind, string_enum};
use crate::meta::{Artifact, Condition, Duration, LocalObjectReference, is_false};
use crate::vocabulary::group;

kind! {
    /// A Git repository whose content, at the revision that `spec.ref` selects, is made an artifact for
    /// other objects to use.
    GitRepository {
        group: group::SOURCE,
        version: "v1",
        plural: "gitrepositories",
        short_names: ["gitrepo"],
        spec: GitRepositorySpec,
        status: GitRepositoryStatus,
    }
}
flux_object!(GitRepository, GitRepositoryStatus, interval: |o| Some(o.spec.interval), suspend: |o| o.spec.suspend);
flux_status!(GitRepositoryStatus);

string_enum! {
    /// How the server is authenticated to.
    pub enum GitProvider {
        /// With the credentials of `secretRef`, or none.
        #[default]
        Generic = "generic",
        /// With the cloud identity of AWS.
        Aws = "aws",
        /// With the cloud identity of Azure.
        Azure = "azure",
        /// As a GitHub App.
        GitHub = "github",
    }
}

string_enum! {
    /// Which Git objects must carry a signature.
    pub enum GitVerificationMode {
        /// The commit; the old spelling of `HEAD`.
        HeadLegacy = "head",
        /// The commit.
        #[default]
        Head = "HEAD",
        /// The tag.
        Tag = "Tag",
        /// Both the tag and the commit.
        TagAndHead = "TagAndHEAD",
    }
}

/// Where the repository is, which revision of it is wanted, and how often to look.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = cel(&[(
    "!has(self.serviceAccountName) || (has(self.provider) && (self.provider == 'azure' || self.provider == 'aws'))",
    "serviceAccountName can only be set when provider is 'azure' or 'aws'",
)])))]
pub struct GitRepositorySpec {
    /// Patterns of files to leave out of the artifact, as in a .gitignore file. They come after the
    /// default patterns and those of .sourceignore files in the repository.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ignore: Option<String>,
    /// Artifacts of other GitRepository objects in the namespace to place inside this one.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub include: Vec<GitRepositoryInclude>,
    /// How often the repository is checked for changes.
    pub interval: Duration,
    /// How the server is authenticated to: generic (the default), aws, azure or github.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub provider: Option<GitProvider>,
    /// A Secret that describes a proxy: `address`, `username`, `password`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub proxy_secret_ref: Option<LocalObjectReference>,
    /// Whether submodules are fetched too, with the credentials of this repository.
    #[serde(skip_serializing_if = "is_false")]
    pub recurse_submodules: bool,
    /// The revision to fetch; without it, the branch master.
    #[serde(rename = "ref", skip_serializing_if = "Option::is_none")]
    pub reference: Option<GitRepositoryRef>,
    /// A Secret with credentials: for HTTPS `username` and `password`, `bearerToken`, `ca.crt`,
    /// `tls.crt` and `tls.key`; for SSH `identity`, `known_hosts` and `password` of the key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<LocalObjectReference>,
    /// A ServiceAccount in the namespace whose cloud identity is used. For providers aws and azure.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service_account_name: Option<String>,
    /// Directories to check out and put into the artifact; without it, all.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub sparse_checkout: Vec<String>,
    /// Whether reconciliation is paused. The last artifact stays available.
    #[serde(skip_serializing_if = "is_false")]
    pub suspend: bool,
    /// How long one Git operation, such as a clone, may take.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-default" = "60s", "pattern" = TIMEOUT_PATTERN))]
    pub timeout: Option<Duration>,
    /// Address of the repository, over http, https or ssh.
    #[schemars(extend("pattern" = "^(http|https|ssh)://.*$"))]
    pub url: String,
    /// Which signatures the revision must carry.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verify: Option<GitRepositoryVerification>,
}

impl GitRepositorySpec {
    /// The branch that is fetched when none is named.
    pub const DEFAULT_BRANCH: &'static str = "master";

    /// Returns how long one Git operation may take.
    #[must_use]
    pub fn timeout_or_default(&self) -> Duration {
        self.timeout.unwrap_or(Duration::from_secs(60))
    }

    /// Returns how the server is authenticated to.
    #[must_use]
    pub fn provider_or_default(&self) -> GitProvider {
        self.provider.unwrap_or_default()
    }
}

/// A revision of a repository. Of several fields, `commit` wins over `name`, `tag`, `semver` and
/// `branch`, in this order; `branch` also limits where `commit` is looked for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct GitRepositoryRef {
    /// Branch whose newest commit is wanted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub branch: Option<String>,
    /// Commit that is wanted, by its full hash.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
    /// Full name of a reference, such as refs/pull/420/head.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Range of versions, such as ">=1.0.0 <2.0.0"; the tag with the highest version in it is wanted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub semver: Option<String>,
    /// Tag that is wanted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tag: Option<String>,
}

/// Which signatures are checked, and with which keys.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct GitRepositoryVerification {
    /// Which Git objects must be signed: HEAD (the commit), Tag, or TagAndHEAD.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-default" = "HEAD"))]
    pub mode: Option<GitVerificationMode>,
    /// A Secret with the public keys of the trusted authors.
    pub secret_ref: LocalObjectReference,
}

/// The artifact of another GitRepository, and where it goes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct GitRepositoryInclude {
    /// Path in the other artifact to take; without it, all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from_path: Option<String>,
    /// The other GitRepository, in the same namespace.
    pub repository: LocalObjectReference,
    /// Directory in this artifact to put it in; without it, the name of the other repository.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to_path: Option<String>,
}

impl GitRepositoryInclude {
    /// Returns the path to take from the other artifact.
    #[must_use]
    pub fn from_path_or_default(&self) -> &str {
        self.from_path
            .as_deref()
            .filter(|path| !path.is_empty())
            .unwrap_or(".")
    }

    /// Returns the directory in this artifact to put it in.
    #[must_use]
    pub fn to_path_or_default(&self) -> &str {
        self.to_path
            .as_deref()
            .filter(|path| !path.is_empty())
            .unwrap_or(&self.repository.name)
    }
}

/// What was last fetched and stored.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct GitRepositoryStatus {
    /// The artifact of the last successful reconcile.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub artifact: Option<Artifact>,
    /// What is known about the source.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
    /// The artifacts that were placed inside this one.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub included_artifacts: Vec<Artifact>,
    /// The last reconcile request that was handled.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_handled_reconcile_at: Option<String>,
    /// The generation that this status speaks of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// The patterns that the artifact was made with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_ignore: Option<String>,
    /// The includes that the artifact was made with.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub observed_include: Vec<GitRepositoryInclude>,
    /// Whether the artifact was made with submodules.
    #[serde(skip_serializing_if = "is_false")]
    pub observed_recurse_submodules: bool,
    /// The directories that the artifact was made of.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub observed_sparse_checkout: Vec<String>,
    /// The signatures that were checked for the artifact.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source_verification_mode: Option<String>,
}
