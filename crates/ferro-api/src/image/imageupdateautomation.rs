//! `ImageUpdateAutomation`.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::ImageRef;
use crate::macros::{flux_object, flux_status, kind, string_enum};
use crate::meta::{Condition, Duration, LocalObjectReference, Time, is_false};
use crate::source::GitRepositoryRef;
use crate::vocabulary::group;

kind! {
    /// A job that writes what image policies have chosen into the manifests of a Git repository.
    ImageUpdateAutomation {
        group: group::IMAGE,
        version: "v1",
        plural: "imageupdateautomations",
        short_names: ["iua", "imgupd", "imgauto"],
        spec: ImageUpdateAutomationSpec,
        status: ImageUpdateAutomationStatus,
    }
}
flux_object!(
    ImageUpdateAutomation,
    ImageUpdateAutomationStatus,
    interval: |o| Some(o.spec.interval),
    suspend: |o| o.spec.suspend
);
flux_status!(ImageUpdateAutomationStatus);

string_enum! {
    /// Kinds of sources that can be written to.
    pub enum AutomationSourceKind {
        /// A Git repository.
        #[default]
        GitRepository = "GitRepository",
    }
}

string_enum! {
    /// What a signing key is.
    pub enum SigningKeyType {
        /// An OpenPGP key.
        #[default]
        Gpg = "gpg",
        /// An SSH key.
        Ssh = "ssh",
    }
}

string_enum! {
    /// How the places to update are found.
    pub enum UpdateStrategyName {
        /// By comments next to the fields.
        #[default]
        Setters = "Setters",
    }
}

/// Which repository is updated, and how.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct ImageUpdateAutomationSpec {
    /// How Git is used. It must be set for a Git repository.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub git: Option<GitSpec>,
    /// How often the repository is checked even if no policy has chosen anew.
    pub interval: Duration,
    /// Image policies of the namespace to use; without it, all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy_selector: Option<LabelSelector>,
    /// The source that is updated.
    pub source_ref: AutomationSourceReference,
    /// Whether updating is paused.
    #[serde(skip_serializing_if = "is_false")]
    pub suspend: bool,
    /// How the files are updated.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-default" = {"strategy": "Setters"}))]
    pub update: Option<UpdateStrategy>,
}

/// The source that is updated.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct AutomationSourceReference {
    /// API version of the source.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub api_version: Option<String>,
    /// Kind of the source.
    #[schemars(extend("x-default" = "GitRepository"))]
    pub kind: AutomationSourceKind,
    /// Name of the source.
    pub name: String,
    /// Namespace of the source; without it, the namespace of the automation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
}

/// How Git is used.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct GitSpec {
    /// The revision to start from; without it, the one of the GitRepository.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub checkout: Option<GitCheckoutSpec>,
    /// How changes are committed.
    pub commit: CommitSpec,
    /// Where commits are pushed; without it, to the branch that was started from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub push: Option<PushSpec>,
}

/// The revision to start from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct GitCheckoutSpec {
    /// The revision.
    #[serde(rename = "ref")]
    pub reference: GitRepositoryRef,
}

/// How changes are committed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct CommitSpec {
    /// Who commits.
    pub author: CommitAuthor,
    /// Go template of the commit message. It knows `.AutomationObject`, `.Changed` and `.Values`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message_template: Option<String>,
    /// Values for the template, as `.Values`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub message_template_values: BTreeMap<String, String>,
    /// The key that commits are signed with; without it, they are not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signing_key: Option<SigningKey>,
}

/// Who commits.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct CommitAuthor {
    /// Mail address.
    pub email: String,
    /// Name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

/// The key that commits are signed with.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct SigningKey {
    /// A Secret with the key: `git.asc` and `passphrase`, or `identity` and `password`.
    pub secret_ref: LocalObjectReference,
    /// What the key is: gpg (the default) or ssh.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub type_: Option<SigningKeyType>,
}

/// Where commits are pushed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct PushSpec {
    /// Branch to push to. It is made if it does not exist.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub branch: Option<String>,
    /// Options for the server, as `git push --push-option` gives them.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub options: BTreeMap<String, String>,
    /// A further push, as `<source>:<destination>`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refspec: Option<String>,
}

/// How the files are updated.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct UpdateStrategy {
    /// Directory or file to update; without it, the whole repository.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// How the places to update are found: Setters (by comments next to the fields).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-default" = "Setters"))]
    pub strategy: Option<UpdateStrategyName>,
}

/// A choice of objects by their labels: all requirements must hold. Without any, all objects match.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-map-type" = "atomic"))]
pub struct LabelSelector {
    /// Requirements on labels.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub match_expressions: Vec<LabelSelectorRequirement>,
    /// Labels and the values that they must have.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub match_labels: BTreeMap<String, String>,
}

/// A requirement on a label.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct LabelSelectorRequirement {
    /// Name of the label.
    pub key: String,
    /// What must hold: In, NotIn, Exists or DoesNotExist.
    pub operator: String,
    /// Values for In and NotIn.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub values: Vec<String>,
}

/// What was last written.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct ImageUpdateAutomationStatus {
    /// What is known about the automation.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
    /// When the automation last ran.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_automation_run_time: Option<Time>,
    /// The last reconcile request that was handled.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_handled_reconcile_at: Option<String>,
    /// The commit that was last pushed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_push_commit: Option<String>,
    /// When a commit was last pushed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_push_time: Option<Time>,
    /// The generation that this status speaks of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// What the policies had chosen, by the name of the policy.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub observed_policies: BTreeMap<String, ImageRef>,
    /// The revision of the source that was last seen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_source_revision: Option<String>,
}
