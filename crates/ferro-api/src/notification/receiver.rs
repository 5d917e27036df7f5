//! `Receiver`.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::ObjectKind;
use crate::crd::cel;
use crate::macros::{flux_object, flux_status, kind, string_enum};
use crate::meta::{Condition, Duration, LocalObjectReference, is_false};
use crate::vocabulary::group;

kind! {
    /// A webhook that other systems call when something has happened, and the objects that are then
    /// reconciled.
    Receiver {
        group: group::NOTIFICATION,
        version: "v1",
        plural: "receivers",
        short_names: [],
        spec: ReceiverSpec,
        status: ReceiverStatus,
    }
}
flux_object!(
    Receiver,
    ReceiverStatus,
    interval: |o| Some(o.spec.interval_or_default()),
    suspend: |o| o.spec.suspend
);
flux_status!(ReceiverStatus);

string_enum! {
    /// Who calls, and thus how calls are checked.
    pub enum ReceiverType {
        /// Anyone who knows the address.
        #[default]
        Generic = "generic",
        /// Anyone who signs the call.
        GenericHmac = "generic-hmac",
        /// Anyone with an OIDC token.
        GenericOidc = "generic-oidc",
        /// GitHub.
        GitHub = "github",
        /// GitLab.
        GitLab = "gitlab",
        /// Bitbucket Server.
        Bitbucket = "bitbucket",
        /// Harbor.
        Harbor = "harbor",
        /// Docker Hub.
        DockerHub = "dockerhub",
        /// Quay.
        Quay = "quay",
        /// Google Container Registry and Artifact Registry.
        Gcr = "gcr",
        /// Sonatype Nexus.
        Nexus = "nexus",
        /// Azure Container Registry.
        Acr = "acr",
        /// CDEvents.
        CdEvents = "cdevents",
    }
}

/// Who calls, and what is then reconciled.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = cel(&[
    (
        "self.type != 'generic-oidc' || (has(self.oidcProviders) && size(self.oidcProviders) > 0)",
        "generic-oidc receivers must define at least one oidcProvider",
    ),
    (
        "self.type == 'generic-oidc' || !has(self.oidcProviders) || size(self.oidcProviders) == 0",
        "oidcProviders can only be set when type is generic-oidc",
    ),
    (
        "self.type != 'generic-oidc' || !has(self.secretRef)",
        "secretRef cannot be set when type is generic-oidc",
    ),
    (
        "self.type == 'generic-oidc' || has(self.secretRef)",
        "secretRef is required when type is not generic-oidc",
    ),
])))]
pub struct ReceiverSpec {
    /// Kinds of events to act on, in the words of the caller; without any, all.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub events: Vec<String>,
    /// How often the token is read again.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-default" = "10m"))]
    pub interval: Option<Duration>,
    /// Whose tokens are accepted. For type generic-oidc.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["issuerURL"]))]
    pub oidc_providers: Vec<OidcProvider>,
    /// A CEL expression that says whether an object is reconciled, in terms of `res` (the object) and
    /// `req` (the call).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resource_filter: Option<String>,
    /// The objects that are reconciled.
    pub resources: Vec<ReceiverResource>,
    /// A Secret with the `token` that calls are checked with and that the address is made from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<LocalObjectReference>,
    /// Whether the webhook is switched off.
    #[serde(skip_serializing_if = "is_false")]
    pub suspend: bool,
    /// Who calls, and thus how calls are checked.
    #[serde(rename = "type")]
    pub type_: ReceiverType,
}

impl ReceiverSpec {
    /// Returns how often the token is read again.
    #[must_use]
    pub fn interval_or_default(&self) -> Duration {
        self.interval.unwrap_or(Duration::from_mins(10))
    }
}

/// One or more objects to reconcile.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct ReceiverResource {
    /// API version of the objects.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub api_version: Option<String>,
    /// A CEL expression that says whether an object is reconciled, in terms of `res` (the object) and
    /// `req` (the call). It is used together with `resourceFilter`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub filter: Option<String>,
    /// Kind of the objects.
    pub kind: ObjectKind,
    /// Labels that the objects must have, all of them. Only with the name *.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub match_labels: BTreeMap<String, String>,
    /// Name of the object, or * for all objects of the kind.
    #[schemars(extend("minLength" = 1, "maxLength" = 253))]
    pub name: String,
    /// Namespace of the objects; without it, the namespace of the Receiver.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("minLength" = 1, "maxLength" = 253))]
    pub namespace: Option<String>,
}

/// An issuer of OIDC tokens, and what a token of it must say.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct OidcProvider {
    /// Audience that a token must be made for; without it, notification-controller.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub audience: Option<String>,
    /// Address of the issuer.
    #[serde(rename = "issuerURL")]
    #[schemars(extend("pattern" = "^https?://"))]
    pub issuer_url: String,
    /// What a token must say; every one of these must hold.
    #[schemars(extend("minItems" = 1))]
    pub validations: Vec<OidcValidation>,
    /// Values that are computed from the claims of a token before it is judged.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub variables: Vec<OidcVariable>,
}

impl OidcProvider {
    /// Returns the audience that a token must be made for.
    #[must_use]
    pub fn audience_or_default(&self) -> &str {
        self.audience
            .as_deref()
            .filter(|audience| !audience.is_empty())
            .unwrap_or("notification-controller")
    }
}

/// A condition on a token.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct OidcValidation {
    /// A CEL expression that must be true, in terms of `claims` and `vars`.
    pub expression: String,
    /// What to say when it is not.
    pub message: String,
}

/// A value computed from a token.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct OidcVariable {
    /// A CEL expression for the value, in terms of `claims` and the variables before it.
    pub expression: String,
    /// Name of the value.
    pub name: String,
}

/// What is known about the webhook.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct ReceiverStatus {
    /// What is known about the webhook.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
    /// The last reconcile request that was handled.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_handled_reconcile_at: Option<String>,
    /// The generation that this status speaks of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Path of the webhook's address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub webhook_path: Option<String>,
}
