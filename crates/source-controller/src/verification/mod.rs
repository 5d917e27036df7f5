//! Signatures of artifacts in registries, checked before anything is made of them (`spec/sources-and-images.md` sections 9.2 to 9.4).
//!
//! `settings → policy → fetch, verify`. Signatures are looked at one by one as they come, bundles first; those of the older form count only
//! where there is no bundle at all, as upstream has it. Here more than upstream: a bundle may match any of several identities, and a public key
//! that cannot be read is told only if none of the others matches.

mod fetch;
mod notary;
mod revocation;
mod root;

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use ferro_api::meta::LocalObjectReference;
use ferro_api::source::{HelmChart, OCIRepository, OciVerificationProvider, OidcIdentityMatch};
use ferro_api::{ConditionStatus, condition, reason};
use ferro_artifact::revision;
use ferro_oci::{Client, Digest, Identifier};
use ferro_runtime::conditions;
use ferro_verify::PublicKey;
use ferro_verify::cosign::{self, Identity, Policy, TrustedRoot};
use kube::ResourceExt;
use tokio::time::{Instant, timeout_at};

pub(crate) use self::root::PublicRoot;

use self::notary::Trusted;
use crate::auth;
use crate::reconcile::{Failure, Shared, SourceObject};

/// The key of a Secret's entry with authorities and logs.
const TRUSTED_ROOT: &str = "trusted_root.json";
/// What the names of entries with public keys end with.
const PUBLIC_KEY: &str = ".pub";
/// What the reference says where time is up.
const TIMED_OUT: &str = "context deadline exceeded";

/// What `spec.verify` asks for.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    namespace: String,
    provider: OciVerificationProvider,
    secret: Option<String>,
    trusted_root: Option<String>,
    identities: Vec<OidcIdentityMatch>,
    /// Whether a Secret without keys is a fault of its own.
    needs_keys: bool,
}

/// Why an artifact is not to be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum VerifyError {
    /// It is not signed as it should be, or that could not be found out.
    #[error("{0}")]
    Failed(String),
}

/// What came of a verification.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The artifact is signed as it should be.
    Verified,
    /// It may be used all the same.
    Ignored,
}

/// Forgets what an earlier pass found, unless it is a success that still matters.
pub(crate) fn begin<K: SourceObject>(object: &mut K, is_asked_for: bool) {
    let has_failed = object
        .condition(condition::SOURCE_VERIFIED)
        .is_some_and(|verified| verified.status == ConditionStatus::False);
    if has_failed || !is_asked_for {
        conditions::delete(object, condition::SOURCE_VERIFIED);
    }
}

/// Whether what the registry has must be verified: it is new, or was not found good by this spec.
pub(crate) fn is_due<K: SourceObject>(object: &K, found: &str) -> bool {
    let stored = object.artifact();
    let is_stored = stored.is_some_and(|stored| revision::equal(&stored.revision, found));
    let is_good = object
        .condition(condition::SOURCE_VERIFIED)
        .is_some_and(|verified| {
            verified.status == ConditionStatus::True
                && verified.observed_generation == object.meta().generation
        });
    !(is_stored && is_good)
}

/// Records that what the message names is good.
pub(crate) fn record<K: SourceObject>(object: &mut K, what: &str) {
    let message = format!("verified signature of {what}");
    conditions::mark_true(object, condition::SOURCE_VERIFIED, reason::SUCCEEDED, &message);
}

impl VerifyError {
    fn failed(cause: &impl ToString) -> Self {
        Self::Failed(cause.to_string())
    }
}

impl Settings {
    /// What the object asks for, if anything.
    pub(crate) fn of_repository(object: &OCIRepository) -> Option<Self> {
        let verify = object.spec.verify.as_ref()?;
        Some(Self {
            namespace: object.namespace().unwrap_or_default(),
            provider: verify.provider,
            secret: verify.secret_ref.as_ref().map(name),
            trusted_root: verify.trusted_root_secret_ref.as_ref().map(name),
            identities: verify.match_oidc_identity.clone(),
            needs_keys: false,
        })
    }

    /// What the object asks for, if anything.
    pub(crate) fn of_chart(object: &HelmChart) -> Option<Self> {
        let verify = object.spec.verify.as_ref()?;
        Some(Self {
            namespace: object.namespace().unwrap_or_default(),
            provider: verify.provider,
            secret: verify.secret_ref.as_ref().map(name),
            trusted_root: None,
            identities: verify.match_oidc_identity.clone(),
            needs_keys: true,
        })
    }

    /// Whether identities are to vouch for the artifact.
    fn is_keyless(&self) -> bool {
        self.provider == OciVerificationProvider::Cosign && self.secret.is_none()
    }

    /// Whether public keys are to vouch for the artifact.
    pub(crate) fn is_by_key(&self) -> bool {
        self.provider == OciVerificationProvider::Cosign && self.secret.is_some()
    }

    /// How an error is told.
    pub(crate) fn failure(&self, error: &VerifyError) -> Failure {
        let keyless = if self.is_keyless() { " keyless" } else { "" };
        let message = format!(
            "failed to verify the signature using provider '{}{keyless}': {error}",
            self.provider
        );
        Failure::verification(reason::VERIFICATION_ERROR, message)
    }

    /// Verifies that the artifact with this digest is signed as it should be.
    ///
    /// # Errors
    /// When it is not, or that cannot be found out before `deadline`.
    pub(crate) async fn verify(
        &self,
        shared: &Shared,
        public: &PublicRoot,
        registry: &Client,
        digest: &Digest,
        deadline: Instant,
    ) -> Result<Outcome, VerifyError> {
        let reference = registry
            .repository()
            .reference(Identifier::Digest(digest.clone()));
        let work = async {
            let trust = self.trust(shared, public, &reference.to_string()).await?;
            trust.verify(shared, registry, digest).await
        };
        let timed_out = |_| VerifyError::failed(&TIMED_OUT);
        timeout_at(deadline, work).await.map_err(timed_out)?
    }

    /// Who is trusted to sign. Errors name the artifact as `what`.
    ///
    /// # Errors
    /// When a Secret cannot be read, or does not say so.
    pub(crate) async fn trust(
        &self,
        shared: &Shared,
        public: &PublicRoot,
        what: &str,
    ) -> Result<Trust, VerifyError> {
        if self.provider == OciVerificationProvider::Notation {
            let none = || VerifyError::Failed(format!("verification secret cannot be empty: '{what}'"));
            let name = self.secret.as_ref().ok_or_else(none)?;
            let secret = auth::read(&shared.client, &self.namespace, name).await;
            let secret = secret.map_err(|error| VerifyError::failed(&error))?;
            return Ok(Trust::Notation(Arc::new(Trusted::read(&secret)?)));
        }
        let root = match &self.trusted_root {
            Some(name) => Some(self.trusted_root(shared, name).await.map_err(|cause| {
                let id = format!("{}/{name}", self.namespace);
                VerifyError::Failed(format!("failed to read trusted root from secret '{id}': {cause}"))
            })?),
            None => None,
        };
        if let Some(name) = &self.secret {
            return self.keys(shared, name).await;
        }
        let root = match root {
            Some(text) => TrustedRoot::from_json(&text).map_err(|error| VerifyError::failed(&error))?,
            None => {
                let root = public.get().await.map_err(VerifyError::Failed)?;
                root.as_ref().clone()
            }
        };
        self.keyless(root)
    }

    async fn trusted_root(&self, shared: &Shared, name: &str) -> Result<Vec<u8>, String> {
        let secret = auth::read(&shared.client, &self.namespace, name).await;
        let secret = secret.map_err(|error| error.to_string())?;
        let root = secret
            .get(TRUSTED_ROOT)
            .ok_or_else(|| format!("'{TRUSTED_ROOT}' not found in secret '{}'", secret.id))?;
        Ok(root.to_vec())
    }

    async fn keys(&self, shared: &Shared, name: &str) -> Result<Trust, VerifyError> {
        let secret = auth::read(&shared.client, &self.namespace, name).await;
        let secret = secret.map_err(|error| VerifyError::failed(&error))?;
        let mut keys = Vec::new();
        let mut unreadable = None;
        for (_, text) in secret.entries().filter(|(key, _)| key.ends_with(PUBLIC_KEY)) {
            match PublicKey::from_pem(&String::from_utf8_lossy(text)) {
                Ok(key) => keys.push(key),
                Err(error) => unreadable = Some(VerifyError::failed(&error)),
            }
        }
        if self.needs_keys && keys.is_empty() && unreadable.is_none() {
            let cause = format!("no public keys found in secret '{}'", secret.id);
            return Err(VerifyError::Failed(cause));
        }
        Ok(Trust::Cosign {
            policy: Arc::new(Policy::Keys(keys)),
            unreadable,
        })
    }

    fn keyless(&self, root: TrustedRoot) -> Result<Trust, VerifyError> {
        let identity = |it: &OidcIdentityMatch| Identity::new(&it.issuer, &it.subject);
        let identities = self.identities.iter().map(identity).collect::<Result<_, _>>();
        let policy = Policy::Keyless {
            root: Box::new(root),
            identities: identities.map_err(|error| VerifyError::failed(&error))?,
        };
        Ok(Trust::Cosign {
            policy: Arc::new(policy),
            unreadable: None,
        })
    }
}

fn name(reference: &LocalObjectReference) -> String {
    reference.name.clone()
}

/// Who is trusted to sign.
pub(crate) enum Trust {
    /// By cosign.
    Cosign {
        policy: Arc<Policy>,
        /// What is wrong with a key that cannot be read.
        unreadable: Option<VerifyError>,
    },
    /// By notation.
    Notation(Arc<Trusted>),
}

impl Trust {
    /// Verifies that one of them signed the artifact with this digest.
    ///
    /// # Errors
    /// When nobody did, or that cannot be found out.
    pub(crate) async fn verify(
        &self,
        shared: &Shared,
        registry: &Client,
        digest: &Digest,
    ) -> Result<Outcome, VerifyError> {
        let artifact = Artifact {
            shared,
            registry,
            digest,
        };
        let (policy, unreadable) = match self {
            Self::Cosign { policy, unreadable } => (policy, unreadable),
            Self::Notation(trusted) => return artifact.verify_notation(trusted).await,
        };
        let verified = artifact.verify(policy).await;
        let verified = verified.map_err(|problem| match (problem, policy.as_ref()) {
            // Of keys the reference does not tell why each was of no use.
            (Problem::Refused(_), Policy::Keys(_)) => unreadable.clone().unwrap_or_else(|| {
                let digest = Identifier::Digest(digest.clone());
                let reference = registry.repository().reference(digest);
                VerifyError::Failed(format!("no matching signatures were found for '{reference}'"))
            }),
            (Problem::Refused(error), Policy::Keyless { .. }) => VerifyError::failed(&error),
            (Problem::Unread(cause), _) => VerifyError::Failed(cause),
        });
        verified.map(|()| Outcome::Verified)
    }
}

/// Why no signature counts.
enum Problem {
    /// None is a good one.
    Refused(cosign::Error),
    /// They could not be fetched.
    Unread(String),
}

/// What is to be verified, and what that takes.
struct Artifact<'a> {
    shared: &'a Shared,
    registry: &'a Client,
    digest: &'a Digest,
}
