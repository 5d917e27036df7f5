//! `notification.toolkit.fluxcd.io`: news out, webhooks in.

mod alert;
mod provider;
mod receiver;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use self::alert::{Alert, AlertSpec, EventSeverity};
pub use self::provider::{Provider, ProviderSpec, ProviderType};
pub use self::receiver::{
    OidcProvider, OidcValidation, OidcVariable, Receiver, ReceiverResource, ReceiverSpec, ReceiverStatus,
    ReceiverType,
};
use crate::macros::string_enum;

string_enum! {
    /// Kinds of objects that events come from and webhooks go to.
    pub enum ObjectKind {
        /// A bucket.
        Bucket = "Bucket",
        /// A Git repository.
        #[default]
        GitRepository = "GitRepository",
        /// A Kustomization.
        Kustomization = "Kustomization",
        /// A Helm release.
        HelmRelease = "HelmRelease",
        /// A Helm chart.
        HelmChart = "HelmChart",
        /// A Helm repository.
        HelmRepository = "HelmRepository",
        /// An image repository.
        ImageRepository = "ImageRepository",
        /// An image policy.
        ImagePolicy = "ImagePolicy",
        /// An image update automation.
        ImageUpdateAutomation = "ImageUpdateAutomation",
        /// An OCI repository.
        OCIRepository = "OCIRepository",
        /// An artifact generator.
        ArtifactGenerator = "ArtifactGenerator",
        /// An artifact made by another controller.
        ExternalArtifact = "ExternalArtifact",
    }
}

/// One or more objects, in any namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct CrossNamespaceObjectReference {
    /// API version of the objects.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub api_version: Option<String>,
    /// Kind of the objects.
    pub kind: ObjectKind,
    /// Labels that the objects must have, all of them.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub match_labels: BTreeMap<String, String>,
    /// Name of the object, or * for all objects of the kind.
    #[schemars(extend("minLength" = 1, "maxLength" = 253))]
    pub name: String,
    /// Namespace of the objects; without it, the namespace of the object that refers to them.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("minLength" = 1, "maxLength" = 253))]
    pub namespace: Option<String>,
}
