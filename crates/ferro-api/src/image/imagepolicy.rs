//! `ImagePolicy`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::ImageRef;
use crate::crd::cel;
use crate::macros::{flux_object, flux_status, kind, string_enum};
use crate::meta::{Condition, Duration, NamespacedObjectReference, is_false};
use crate::vocabulary::group;

kind! {
    /// A rule that chooses one tag of an image repository.
    ImagePolicy {
        group: group::IMAGE,
        version: "v1",
        plural: "imagepolicies",
        short_names: ["imgpol", "imagepol"],
        spec: ImagePolicySpec,
        status: ImagePolicyStatus,
    }
}
flux_object!(ImagePolicy, ImagePolicyStatus, interval: |o| o.spec.interval, suspend: |o| o.spec.suspend);
flux_status!(ImagePolicyStatus);

string_enum! {
    /// Whether the digest of the chosen tag is looked up.
    pub enum DigestReflectionPolicy {
        /// It is, again and again.
        Always = "Always",
        /// It is, once for each tag that is chosen.
        IfNotPresent = "IfNotPresent",
        /// It is not.
        #[default]
        Never = "Never",
    }
}

string_enum! {
    /// Which end of the order is the latest.
    pub enum PolicyOrder {
        /// The order ascends: the last one is the latest.
        #[default]
        Asc = "asc",
        /// The order descends: the first one is the latest.
        Desc = "desc",
    }
}

/// Which tags are considered, and which one is chosen.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = cel(&[
    (
        "!has(self.interval) || (has(self.digestReflectionPolicy) && self.digestReflectionPolicy == 'Always')",
        "spec.interval is only accepted when spec.digestReflectionPolicy is set to 'Always'",
    ),
    (
        "has(self.interval) || !has(self.digestReflectionPolicy) || self.digestReflectionPolicy != 'Always'",
        "spec.interval must be set when spec.digestReflectionPolicy is set to 'Always'",
    ),
])))]
pub struct ImagePolicySpec {
    /// Whether the digest of the chosen tag is looked up: Never, IfNotPresent (once for each tag that
    /// is chosen) or Always (every interval).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-default" = "Never"))]
    pub digest_reflection_policy: Option<DigestReflectionPolicy>,
    /// Which tags are considered, and what of them is compared; without it, all and whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub filter_tags: Option<TagFilter>,
    /// The ImageRepository whose tags are considered.
    pub image_repository_ref: NamespacedObjectReference,
    /// How often the digest is looked up with the policy Always.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interval: Option<Duration>,
    /// How tags are compared.
    pub policy: ImagePolicyChoice,
    /// Whether choosing is paused.
    #[serde(skip_serializing_if = "is_false")]
    pub suspend: bool,
}

impl ImagePolicySpec {
    /// Returns whether the digest of the chosen tag is looked up.
    #[must_use]
    pub fn digest_reflection_policy_or_default(&self) -> DigestReflectionPolicy {
        self.digest_reflection_policy.unwrap_or_default()
    }
}

/// How tags are compared: by one of these.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ImagePolicyChoice {
    /// By the alphabet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alphabetical: Option<AlphabeticalPolicy>,
    /// As numbers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub numerical: Option<NumericalPolicy>,
    /// As versions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub semver: Option<SemVerPolicy>,
}

/// Comparison as versions.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct SemVerPolicy {
    /// Range of versions, such as ">=1.0.0 <2.0.0"; the highest in it is chosen.
    pub range: String,
}

/// Comparison by the alphabet.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct AlphabeticalPolicy {
    /// Which end is chosen: with asc the last one in the alphabet, with desc the first one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-default" = "asc"))]
    pub order: Option<PolicyOrder>,
}

/// Comparison as numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct NumericalPolicy {
    /// Which end is chosen: with asc the greatest number, with desc the smallest.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-default" = "asc"))]
    pub order: Option<PolicyOrder>,
}

/// Which tags are considered, and what of them is compared.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct TagFilter {
    /// What of a tag is compared, in terms of the groups of `pattern`, such as $ts; without it, the
    /// whole tag.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub extract: Option<String>,
    /// Regular expression of the tags that are considered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pattern: Option<String>,
}

/// What was last chosen.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct ImagePolicyStatus {
    /// What is known about the policy.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
    /// The last reconcile request that was handled.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_handled_reconcile_at: Option<String>,
    /// The image at the chosen tag.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latest_ref: Option<ImageRef>,
    /// The generation that this status speaks of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// The image at the tag that was chosen before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_previous_ref: Option<ImageRef>,
}
