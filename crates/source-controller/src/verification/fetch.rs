//! Signatures in a registry: bundles that refer to the artifact, or the layers of the image at the tag `<algorithm>-<hex>.sig`.

use std::sync::Arc;

use ferro_http::describe;
use ferro_oci::{Descriptor, Identifier, ImageManifest};
use ferro_verify::cosign::{
    self, BUNDLE_FAMILY, MAX_SIGNATURES, Policy, Refusal, Signature, SimpleSignature, annotation,
};

use super::{Artifact, Problem};

/// The largest signature that is read. Those that matter have some kilobytes, an attestation may hold a list of all parts.
const MAX_SIGNATURE: u64 = 16 << 20;

impl Artifact<'_> {
    /// Fetches signatures until one is good.
    pub(super) async fn verify(&self, policy: &Arc<Policy>) -> Result<(), Problem> {
        let mut refusals = Vec::new();
        let mut has_bundle = false;
        let referrers = self.registry.referrers(self.digest).await;
        // Some registries tell another type than the manifest has: the type says who is asked first only.
        let mut candidates: Vec<&Descriptor> = referrers.iter().flatten().collect();
        candidates.sort_by_key(|referrer| !is_bundle(referrer));
        for referrer in candidates.into_iter().take(MAX_SIGNATURES) {
            let Some(bundle) = self.bundle(referrer).await else {
                continue;
            };
            match self.judge(policy, Signature::Bundle(bundle)).await? {
                Ok(()) => return Ok(()),
                Err(refusal) => {
                    // What is no bundle does not take the place of the older signatures.
                    has_bundle |= !matches!(refusal, Refusal::Malformed(_));
                    refusals.push(refusal);
                }
            }
        }
        if !has_bundle {
            for layer in self.layers().await?.iter().take(MAX_SIGNATURES) {
                let simple = self.simple(layer).await?;
                match self.judge(policy, Signature::Simple(simple)).await? {
                    Ok(()) => return Ok(()),
                    Err(refusal) => refusals.push(refusal),
                }
            }
        }
        match (refusals.is_empty(), referrers) {
            (false, _) => Err(Problem::Refused(cosign::Error::NoMatch(refusals))),
            (true, Ok(_)) => Err(Problem::Refused(cosign::Error::None)),
            (true, Err(error)) => Err(Problem::Unread(describe(&error))),
        }
    }

    /// Verifies one signature, on a thread of its own.
    async fn judge(
        &self,
        policy: &Arc<Policy>,
        signature: Signature,
    ) -> Result<Result<(), Refusal>, Problem> {
        let (policy, digest) = (Arc::clone(policy), self.digest.to_string());
        let work = move |_: &_| cosign::verify_one(&policy, &digest, &signature);
        let verdict = self.shared.off_thread(work).await;
        verdict.map_err(|_| Problem::Unread("the worker thread was lost".to_owned()))
    }

    /// The bundle that a referrer is; nothing if it is something else, or cannot be had.
    async fn bundle(&self, referrer: &Descriptor) -> Option<Vec<u8>> {
        let identifier = Identifier::Digest(referrer.digest.clone());
        let manifest = self.registry.image(&identifier).await;
        let manifest = manifest.inspect_err(|error| tracing::debug!(%error, "a referrer cannot be read"));
        let ImageManifest { layers, .. } = manifest.ok()?;
        let [layer] = layers.as_slice() else {
            return None;
        };
        if !layer.media_type.starts_with(BUNDLE_FAMILY) {
            return None;
        }
        let bundle = self.blob(layer).await;
        bundle
            .inspect_err(|error| tracing::debug!(%error, "a bundle cannot be read"))
            .ok()
    }

    /// The signatures of the older form.
    async fn layers(&self) -> Result<Vec<Descriptor>, Problem> {
        let tag = format!("{}-{}.sig", self.digest.algorithm(), self.digest.hex());
        let tag = Identifier::tag(&tag).map_err(|error| Problem::Unread(error.to_string()))?;
        match self.registry.image(&tag).await {
            Ok(manifest) => Ok(manifest.layers),
            Err(error) if error.is_not_found() => Ok(Vec::new()),
            Err(error) => Err(Problem::Unread(describe(&error))),
        }
    }

    async fn simple(&self, layer: &Descriptor) -> Result<SimpleSignature, Problem> {
        let payload = self.blob(layer).await;
        let payload = payload.map_err(|error| Problem::Unread(describe(&error)))?;
        let text = |key: &str| {
            layer
                .annotations
                .get(key)
                .filter(|text| !text.is_empty())
                .cloned()
        };
        Ok(SimpleSignature {
            payload,
            signature: text(annotation::SIGNATURE).unwrap_or_default(),
            certificate: text(annotation::CERTIFICATE),
            chain: text(annotation::CHAIN),
            bundle: text(annotation::BUNDLE),
        })
    }

    async fn blob(&self, layer: &Descriptor) -> ferro_oci::Result<Vec<u8>> {
        let content = self.registry.blob(layer).await?;
        Ok(content.bytes(MAX_SIGNATURE).await?.to_vec())
    }
}

/// Whether a referrer is a bundle, by what the registry says of it.
fn is_bundle(referrer: &Descriptor) -> bool {
    let kind = referrer.artifact_type.as_deref().unwrap_or_default();
    kind.starts_with(BUNDLE_FAMILY)
}
