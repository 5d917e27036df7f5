//! cosign: signatures of images and charts in registries, by a key or by an identity.
//!
//! Who calls fetches the signatures: the layers of the image at the tag `sha256-<hex>.sig` ([`Signature::Simple`]), and the bundles that refer
//! to the image ([`Signature::Bundle`]). As upstream does, a signature by a key is not looked up in a transparency log; one by an identity must be
//! there, and its certificate must be that of a trusted authority at the time that the log vouches for, and logged itself.
//!
//! Upstream does not compare the digest that a simple signature names with that of the image; here a signature of another image is refused.
//!
//! Not supported: entries of a log that are not enclosed and would have to be asked for.

mod bundle;
mod keyless;
mod rekor;
mod root;
mod sct;
mod timestamp;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::key::{Hash, PublicKey};
use crate::x509::Certificate;
use bundle::{Bundle, Content};
use rekor::Entry;

pub use keyless::{Identity, PatternError};
pub use root::{RootError, TrustedRoot, public};

/// How many signatures are looked at.
pub const MAX_SIGNATURES: usize = 128;
/// How many log entries a bundle may have, as upstream.
const MAX_ENTRIES: usize = 32;

/// The media type of a simple signature's layer.
pub const SIMPLE_SIGNING: &str = "application/vnd.dev.cosign.simplesigning.v1+json";
/// What the media types of bundles begin with, whatever their version.
pub const BUNDLE_FAMILY: &str = "application/vnd.dev.sigstore.bundle";

/// Annotations of a layer with a simple signature.
pub mod annotation {
    /// The signature, in Base64.
    pub const SIGNATURE: &str = "dev.cosignproject.cosign/signature";
    /// The certificate, in PEM.
    pub const CERTIFICATE: &str = "dev.sigstore.cosign/certificate";
    /// The certificates between it and the root, in PEM.
    pub const CHAIN: &str = "dev.sigstore.cosign/chain";
    /// The log entry.
    pub const BUNDLE: &str = "dev.sigstore.cosign/bundle";
}

/// Who is trusted to sign.
#[derive(Debug, Clone)]
pub enum Policy {
    /// Who has the other half of one of these keys.
    Keys(Vec<PublicKey>),
    /// Identities that authorities vouch for.
    Keyless {
        /// The authorities and logs.
        root: Box<TrustedRoot>,
        /// The identities; none means any.
        identities: Vec<Identity>,
    },
}

/// A signature as it was fetched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Signature {
    /// A layer of the image at the signature's tag.
    Simple(SimpleSignature),
    /// A bundle.
    Bundle(Vec<u8>),
}

/// A layer with a simple signature.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SimpleSignature {
    /// The content of the layer, which is signed.
    pub payload: Vec<u8>,
    /// [`annotation::SIGNATURE`].
    pub signature: String,
    /// [`annotation::CERTIFICATE`].
    pub certificate: Option<String>,
    /// [`annotation::CHAIN`].
    pub chain: Option<String>,
    /// [`annotation::BUNDLE`].
    pub bundle: Option<String>,
}

/// Why none of the signatures counts.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// There are none.
    #[error("no signatures found")]
    None,
    /// None is to be believed.
    #[error("no matching signatures: {}", join(.0))]
    NoMatch(Vec<Refusal>),
}

fn join(refusals: &[Refusal]) -> String {
    let texts: Vec<String> = refusals.iter().map(Refusal::to_string).collect();
    texts.join("\n ")
}

/// Why a signature does not count.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// It cannot be read.
    #[error("malformed {0}")]
    Malformed(String),
    /// It was not made over this content, or with another key.
    #[error("invalid signature when validating ASN.1 encoded signature")]
    Invalid,
    /// It is about another artifact.
    #[error("the signature is not about the artifact with digest {0}")]
    Digest(String),
    /// There is no certificate.
    #[error("no certificate found on signature")]
    NoCertificate,
    /// No trusted authority vouches for the certificate, or no log has seen it.
    #[error("the certificate was not issued by a trusted authority at the time of signing, or is not logged")]
    Certificate,
    /// The signer is somebody else.
    #[error(
        "none of the expected identities matched what was in the certificate, got subjects {subjects:?} with issuer {issuer}"
    )]
    Identity {
        /// Who vouches for the signer.
        issuer: String,
        /// Who signed.
        subjects: Vec<String>,
    },
    /// The transparency log does not vouch for the signature.
    #[error("error verifying bundle: {0}")]
    Log(&'static str),
}

/// What a signature binds together, for the log to be compared with.
struct Signed<'a> {
    signature: &'a [u8],
    /// The hash of what is signed.
    digest: Vec<u8>,
    /// The payload of an envelope.
    dsse_payload: Option<&'a [u8]>,
    /// The certificate or public key.
    verifier: &'a [u8],
}

/// Verifies that one of the signatures is a good one of the artifact with this digest (`sha256:<hex>`).
///
/// # Errors
/// When none is.
pub fn verify(policy: &Policy, digest: &str, signatures: &[Signature]) -> Result<(), Error> {
    if signatures.is_empty() {
        return Err(Error::None);
    }
    let mut refusals = Vec::new();
    for signature in signatures.iter().take(MAX_SIGNATURES) {
        match verify_one(policy, digest, signature) {
            Ok(()) => return Ok(()),
            Err(refusal) => refusals.push(refusal),
        }
    }
    Err(Error::NoMatch(refusals))
}

/// Verifies that the signature is a good one of the artifact with this digest (`sha256:<hex>`).
///
/// # Errors
/// When it is not.
pub fn verify_one(policy: &Policy, digest: &str, signature: &Signature) -> Result<(), Refusal> {
    match signature {
        Signature::Simple(simple) => verify_simple(policy, digest, simple),
        Signature::Bundle(text) => verify_bundle(policy, digest, text),
    }
}

fn verify_simple(policy: &Policy, digest: &str, simple: &SimpleSignature) -> Result<(), Refusal> {
    let malformed = |what: &str| Refusal::Malformed(what.to_owned());
    let signature = STANDARD
        .decode(&simple.signature)
        .map_err(|_| malformed("signature annotation"))?;
    match policy {
        Policy::Keys(keys) => {
            verify_by_key(keys, &simple.payload, &signature)?;
        }
        Policy::Keyless { root, identities } => {
            let text = simple.certificate.as_ref().ok_or(Refusal::NoCertificate)?;
            let read = |text: &str| Certificate::from_any(text.as_bytes());
            let leaf = read(text).map_err(|_| malformed("certificate annotation"))?;
            let leaf = leaf.first().ok_or(Refusal::NoCertificate)?;
            let chain = simple.chain.as_deref().map(read).transpose();
            let chain = chain
                .map_err(|_| malformed("chain annotation"))?
                .unwrap_or_default();
            verify_by_key(std::slice::from_ref(&leaf.key), &simple.payload, &signature)?;
            let text = simple
                .bundle
                .as_ref()
                .ok_or(Refusal::Log("no log entry is enclosed"))?;
            let entry = legacy_entry(text).ok_or_else(|| malformed("bundle annotation"))?;
            let signed = Signed {
                signature: &signature,
                digest: Sha256::digest(&simple.payload).to_vec(),
                dsse_payload: None,
                verifier: &leaf.der,
            };
            let time = entry.verify(root, &signed)?;
            let time = time.ok_or(Refusal::Log("no time is vouched for"))?;
            keyless::verify(root, identities, leaf, &chain, time)?;
        }
    }
    let payload: Value = serde_json::from_slice(&simple.payload).map_err(|_| malformed("payload"))?;
    let named = payload.pointer("/critical/image/docker-manifest-digest");
    if named.and_then(Value::as_str) != Some(digest) {
        return Err(Refusal::Digest(digest.to_owned()));
    }
    Ok(())
}

fn verify_by_key(keys: &[PublicKey], data: &[u8], signature: &[u8]) -> Result<(), Refusal> {
    let is_good = keys.iter().any(|key| key.verify(Hash::Sha256, data, signature));
    if is_good { Ok(()) } else { Err(Refusal::Invalid) }
}

/// The log entry that an annotation holds.
fn legacy_entry(text: &str) -> Option<Entry> {
    let json: Value = serde_json::from_str(text).ok()?;
    let payload = json.get("Payload")?;
    Some(Entry {
        log_id: rekor::unhex(payload.get("logID")?.as_str()?)?,
        index: payload.get("logIndex")?.as_i64()?,
        integrated: payload.get("integratedTime")?.as_i64()?,
        body: STANDARD.decode(payload.get("body")?.as_str()?).ok()?,
        promise: Some(
            STANDARD
                .decode(json.get("SignedEntryTimestamp")?.as_str()?)
                .ok()?,
        ),
        proof: None,
    })
}

fn verify_bundle(policy: &Policy, digest: &str, text: &[u8]) -> Result<(), Refusal> {
    let bundle = Bundle::parse(text)?;
    match policy {
        Policy::Keys(keys) => {
            keys.iter()
                .find_map(|key| verify_content(key, digest, &bundle.content).ok())
                .ok_or(Refusal::Invalid)?;
        }
        Policy::Keyless { root, identities } => {
            let (leaf, others) = bundle.certificates.split_first().ok_or(Refusal::NoCertificate)?;
            verify_content(&leaf.key, digest, &bundle.content)?;
            let time = logged_time(root, &bundle, leaf)?;
            keyless::verify(root, identities, leaf, others, time)?;
        }
    }
    let (algorithm, hex) = digest.split_once(':').unwrap_or_default();
    if !bundle.content.is_about(algorithm, hex) {
        return Err(Refusal::Digest(digest.to_owned()));
    }
    Ok(())
}

/// Whether the key made the signature. That of a message is over the artifact itself, of which only the digest is known here.
fn verify_content(key: &PublicKey, digest: &str, content: &Content) -> Result<(), Refusal> {
    let is_good = match content {
        Content::Envelope {
            encoded, signature, ..
        } => key.verify(Hash::Sha256, encoded, signature),
        Content::Message { signature, .. } => {
            let hex = digest.strip_prefix("sha256:").and_then(rekor::unhex);
            hex.is_some_and(|digest| key.verify_digest(&digest, signature))
        }
    };
    if is_good { Ok(()) } else { Err(Refusal::Invalid) }
}

/// A time at which the signature existed: that of a trusted log, or, if it vouches for none as those of Rekor 2, of a timestamp authority.
fn logged_time(root: &TrustedRoot, bundle: &Bundle, leaf: &Certificate) -> Result<i64, Refusal> {
    let (signature, digest, dsse_payload) = match &bundle.content {
        Content::Envelope {
            payload,
            encoded,
            signature,
        } => (
            signature,
            Sha256::digest(encoded).to_vec(),
            Some(payload.as_slice()),
        ),
        Content::Message { digest, signature } => (signature, digest.clone(), None),
    };
    let signed = Signed {
        signature,
        digest,
        dsse_payload,
        verifier: &leaf.der,
    };
    let mut refusal = Refusal::Log("no log entry is enclosed");
    for entry in bundle.entries.iter().take(MAX_ENTRIES) {
        match entry.verify(root, &signed) {
            Ok(Some(time)) => return Ok(time),
            Ok(None) => match timestamp::verify(root, signature, &bundle.timestamps) {
                Some(time) => return entry.check_log(root, time).map(|()| time),
                None => refusal = Refusal::Log("no time is vouched for"),
            },
            Err(error) => refusal = error,
        }
    }
    Err(refusal)
}
