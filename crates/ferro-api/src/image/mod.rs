//! `image.toolkit.fluxcd.io`: tags scanned, and updates written to Git.

mod imagepolicy;
mod imagerepository;
mod imageupdateautomation;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use self::imagepolicy::{
    AlphabeticalPolicy, DigestReflectionPolicy, ImagePolicy, ImagePolicyChoice, ImagePolicySpec,
    ImagePolicyStatus, NumericalPolicy, PolicyOrder, SemVerPolicy, TagFilter,
};
pub use self::imagerepository::{ImageRepository, ImageRepositorySpec, ImageRepositoryStatus, ScanResult};
pub use self::imageupdateautomation::{
    AutomationSourceKind, AutomationSourceReference, CommitAuthor, CommitSpec, GitCheckoutSpec, GitSpec,
    ImageUpdateAutomation, ImageUpdateAutomationSpec, ImageUpdateAutomationStatus, LabelSelector,
    LabelSelectorRequirement, PushSpec, SigningKey, SigningKeyType, UpdateStrategy, UpdateStrategyName,
};

/// An image at a tag.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ImageRef {
    /// Digest of what the tag led to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// Name of the image, without tag.
    pub name: String,
    /// Tag.
    pub tag: String,
}
