//! Signatures of notation: manifests that refer to the artifact, with an envelope as their layer (`spec/sources-and-images.md` section 9.3).

use std::sync::Arc;

use ferro_http::{Client, ClientOptions, describe};
use ferro_oci::{Descriptor, Identifier};
use ferro_verify::notation::{
    self, ARTIFACT_TYPE, COSE, JWS, MAX_ATTEMPTS, TrustPolicy, TrustStore, Verdict,
};
use k8s_openapi::jiff::Timestamp;

use super::revocation::Asker;
use super::{Artifact, Outcome, VerifyError};
use crate::auth::SecretData;

/// The key of a Secret's entry with the policy.
const TRUST_POLICY: &str = "trustpolicy.json";
/// What the names of entries with certificates end with.
const CERTIFICATES: [&str; 2] = [".crt", ".pem"];
/// The largest envelope that is read; real ones have some kilobytes.
const MAX_ENVELOPE: u64 = 1 << 20;

/// Whom a Secret trusts.
pub(crate) struct Trusted {
    policy: TrustPolicy,
    store: TrustStore,
}

impl Trusted {
    pub(super) fn read(secret: &SecretData) -> Result<Self, VerifyError> {
        let policy = secret.get(TRUST_POLICY).ok_or_else(|| {
            let cause = format!("'{TRUST_POLICY}' not found in secret '{}'", secret.id);
            VerifyError::Failed(cause)
        })?;
        let policy = TrustPolicy::from_json(policy).map_err(|error| VerifyError::failed(&error))?;
        let mut store = TrustStore::default();
        let is_certificate = |key: &str| CERTIFICATES.iter().any(|ending| key.ends_with(ending));
        for (key, file) in secret.entries().filter(|(key, _)| is_certificate(key)) {
            store.add(file).map_err(|_| {
                let id = &secret.id;
                VerifyError::Failed(format!("failed to parse certificate '{key}' of secret '{id}'"))
            })?;
        }
        if store.is_empty() {
            let cause = format!("no certificates found in secret '{}'", secret.id);
            return Err(VerifyError::Failed(cause));
        }
        Ok(Self { policy, store })
    }
}

impl Artifact<'_> {
    /// Fetches signatures until one is good, but only some.
    pub(super) async fn verify_notation(&self, trusted: &Arc<Trusted>) -> Result<Outcome, VerifyError> {
        let repository = self.registry.repository();
        let skips = trusted.policy.skips(&repository.to_string());
        if skips.map_err(|error| VerifyError::failed(&error))? {
            return Ok(Outcome::Ignored);
        }
        let reference = repository.reference(Identifier::Digest(self.digest.clone()));
        let referrers = self.registry.referrers(self.digest).await;
        let referrers = referrers.map_err(|error| VerifyError::Failed(describe(&error)))?;
        let is_signature = |it: &&Descriptor| it.artifact_type.as_deref() == Some(ARTIFACT_TYPE);
        let mut refusals = Vec::new();
        for referrer in referrers.iter().filter(is_signature).take(MAX_ATTEMPTS) {
            let digest = &referrer.digest;
            let envelope = self.envelope(referrer).await.map_err(|cause| {
                VerifyError::Failed(format!(
                    "unable to retrieve digital signature with digest \"{digest}\" associated with \"{reference}\" from the \
                     Repository, error : {cause}"
                ))
            })?;
            match self.judge_notation(trusted, envelope).await? {
                Ok(notation::Outcome::Verified) => return Ok(Outcome::Verified),
                Ok(notation::Outcome::Ignored) => return Ok(Outcome::Ignored),
                Err(refusal) => refusals.push(format!(
                    "failed to verify signature with digest {digest}, {refusal}"
                )),
            }
        }
        Err(VerifyError::Failed(match refusals.len() {
            0 => format!(
                "no signature is associated with \"{reference}\", make sure the artifact was signed successfully"
            ),
            MAX_ATTEMPTS => format!(
                "signature evaluation stopped. The configured limit of {MAX_ATTEMPTS} signatures to verify per artifact exceeded"
            ),
            _ => format!("signature verification failed\n{}", refusals.join("\n")),
        }))
    }

    /// Verifies one signature, on a thread of its own.
    async fn judge_notation(
        &self,
        trusted: &Arc<Trusted>,
        (media_type, envelope): (String, Vec<u8>),
    ) -> Result<Result<notation::Outcome, notation::Refusal>, VerifyError> {
        let (trusted, digest) = (Arc::clone(trusted), self.digest.to_string());
        let repository = self.registry.repository().to_string();
        let work = move |_: &_| {
            let Trusted { policy, store } = trusted.as_ref();
            let envelope = (media_type.as_str(), envelope.as_slice());
            notation::verify(policy, store, &repository, &digest, envelope, Timestamp::now())
        };
        let verdict = self.shared.off_thread(work).await;
        let verdict = verdict.map_err(|_| VerifyError::failed(&"the worker thread was lost"))?;
        match verdict {
            Ok(verdict) => self.settle(verdict).await,
            Err(refusal) => Ok(Err(refusal)),
        }
    }

    /// Finds out whether certificates are revoked, where the outcome depends on that.
    async fn settle(
        &self,
        verdict: Verdict,
    ) -> Result<Result<notation::Outcome, notation::Refusal>, VerifyError> {
        if verdict.inquiries.is_empty() {
            return Ok(Ok(verdict.outcome));
        }
        let client = Client::new(&ClientOptions::default());
        let client = client.map_err(|error| VerifyError::Failed(describe(&error)))?;
        let what = self.registry.repository().to_string();
        let asker = Asker {
            shared: self.shared,
            client: &client,
            what: &what,
        };
        for inquiry in verdict.inquiries {
            if let Err(refusal) = asker.settle(inquiry).await {
                return Ok(Err(refusal));
            }
        }
        Ok(Ok(verdict.outcome))
    }

    /// An envelope, and its media type.
    async fn envelope(&self, referrer: &Descriptor) -> Result<(String, Vec<u8>), String> {
        let identifier = Identifier::Digest(referrer.digest.clone());
        let manifest = self.registry.image(&identifier).await;
        let manifest = manifest.map_err(|error| describe(&error))?;
        let [layer] = manifest.layers.as_slice() else {
            return Err(format!(
                "expected one signature blob, but got {}",
                manifest.layers.len()
            ));
        };
        if ![JWS, COSE].contains(&layer.media_type.as_str()) {
            return Err(format!("invalid signature media-type {:?}", layer.media_type));
        }
        let content = async { self.registry.blob(layer).await?.bytes(MAX_ENVELOPE).await };
        let content = content.await.map_err(|error| describe(&error))?;
        Ok((layer.media_type.clone(), content.to_vec()))
    }
}
