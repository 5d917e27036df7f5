//! notation: signatures of images and charts in registries by certificates, judged by a trust policy (Notary Project).
//!
//! Who calls fetches the envelopes: the layers of the manifests that refer to the artifact and are of the type [`ARTIFACT_TYPE`]. As in Flux, all certificates
//! of the [`TrustStore`] are those of every store that the policy names.
//!
//! Whether certificates are revoked is asked by who calls: a [`Verdict`] says about which it must be.
//!
//! Plugins are not supported.
//!
//! More than upstream: critical attributes that nobody knows are refused, as the specification has it; there only plugins look at them.

mod cose;
mod inquiry;
mod jws;
mod policy;
mod timestamp;

use jiff::Timestamp;
use serde::Deserialize;

use crate::key::{Hash, PublicKey};
use crate::x509::Certificate;

pub use inquiry::Inquiry;
pub use policy::{PolicyError, TrustPolicy};

use policy::{Action, Level, Statement, Timestamps, named};

/// The type of manifests with signatures.
pub const ARTIFACT_TYPE: &str = "application/vnd.cncf.notary.signature";
/// The media type of an envelope of JWS.
pub const JWS: &str = "application/jose+json";
/// The media type of an envelope of COSE.
pub const COSE: &str = "application/cose";
/// How many signatures are looked at, as Flux.
pub const MAX_ATTEMPTS: usize = 3;

const PAYLOAD: &str = "application/vnd.cncf.notary.payload.v1+json";
const SCHEME: &str = "io.cncf.notary.signingScheme";
const SIGNING_TIME: &str = "io.cncf.notary.signingTime";
const AUTHENTIC: &str = "io.cncf.notary.authenticSigningTime";
const EXPIRY: &str = "io.cncf.notary.expiry";
/// The timestamp of an authority over the signature.
const TIMESTAMP: &str = "io.cncf.notary.timestampSignature";
/// That a plugin must judge the signature.
const PLUGIN: &str = "io.cncf.notary.verificationPlugin";
/// What a signature may say that its verifier must understand.
const UNDERSTOOD: [&str; 3] = [SCHEME, EXPIRY, AUTHENTIC];
/// How many certificates a chain may have.
const MAX_CHAIN: usize = 16;

/// Certificates that are trusted.
#[derive(Debug, Clone, Default)]
pub struct TrustStore {
    certificates: Vec<Certificate>,
}

impl TrustStore {
    /// Adds the certificate of a file, in PEM or DER.
    ///
    /// # Errors
    /// When there is none, or it cannot be used.
    pub fn add(&mut self, file: &[u8]) -> Result<(), Refusal> {
        let read = Certificate::from_any(file).map_err(|_| Refusal::Store)?;
        if read.is_empty() {
            return Err(Refusal::Store);
        }
        self.certificates.extend(read);
        Ok(())
    }

    /// Whether it has no certificates.
    pub fn is_empty(&self) -> bool {
        self.certificates.is_empty()
    }
}

/// What came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The signature is to be believed.
    Verified,
    /// It need not be, by the policy.
    Ignored,
}

/// What came of it, as far as the envelope tells.
#[derive(Debug)]
#[must_use]
pub struct Verdict {
    /// What comes of it if no certificate is revoked.
    pub outcome: Outcome,
    /// What must be found out before that.
    pub inquiries: Vec<Inquiry>,
}

impl From<Outcome> for Verdict {
    fn from(outcome: Outcome) -> Self {
        Self {
            outcome,
            inquiries: Vec::new(),
        }
    }
}

/// Why a signature does not count.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// A file of the trust store is no certificate.
    #[error("failed to parse certificate of the trust store")]
    Store,
    /// The policy says nothing about the repository.
    #[error(
        "artifact {0:?} has no applicable trust policy statement. Trust policy applicability for a given artifact is determined by registryScopes"
    )]
    NoStatement(String),
    /// It cannot be read.
    #[error("malformed signature envelope: {0}")]
    Malformed(String),
    /// It is of no known format.
    #[error("signature envelope format with media type {0:?} is not supported")]
    MediaType(String),
    /// It was not made over this content, or with another key.
    #[error("signature is invalid")]
    Invalid,
    /// It is about another artifact.
    #[error("the signature is not about the artifact with digest {0}")]
    Digest(String),
    /// The certificates of the signer do not make a chain.
    #[error("invalid certificate chain: {0}")]
    Chain(&'static str),
    /// Nobody who is trusted signed.
    #[error("the signature is not produced by a trusted signer")]
    Untrusted,
    /// The signer is somebody else.
    #[error(
        "signing certificate from the digital signature does not match the X.509 trusted identities defined in the trust policy {0:?}"
    )]
    Identity(String),
    /// It is too old.
    #[error("digital signature has expired on {0}")]
    Expired(Timestamp),
    /// A certificate is too old or too new.
    #[error("a certificate of the signer is not valid at the time of signing")]
    Time,
    /// Nobody vouches for the time of signing, as the policy wants it.
    #[error("no timestamp countersignature was found in the signature envelope")]
    NoTimestamp,
    /// Somebody does, yet does not count.
    #[error("failed to verify the timestamp countersignature: {0}")]
    Timestamp(&'static str),
    /// A certificate is not to be used any more.
    #[error("{chain} certificate with subject {subject:?} is revoked")]
    Revoked {
        /// Whether it is one of the signer or of a timestamp.
        chain: &'static str,
        /// Whose it is.
        subject: String,
    },
    /// Whether it is cannot be found out.
    #[error("{chain} certificate with subject {subject:?} revocation status is unknown")]
    RevocationUnknown {
        /// Whether it is one of the signer or of a timestamp.
        chain: &'static str,
        /// Whose it is.
        subject: String,
    },
}

impl TrustPolicy {
    /// Whether nothing is to be verified of artifacts in `repository` (`host/path`).
    ///
    /// # Errors
    /// When it says nothing about the repository.
    pub fn skips(&self, repository: &str) -> Result<bool, Refusal> {
        Ok(self.applicable(repository)?.level.is_none())
    }

    fn applicable(&self, repository: &str) -> Result<&Statement, Refusal> {
        self.statement(repository)
            .ok_or_else(|| Refusal::NoStatement(repository.to_owned()))
    }
}

/// Verifies an envelope of the media type [`JWS`] or [`COSE`] about the artifact with this digest in `repository` (`host/path`).
///
/// # Errors
/// When the policy forbids to use the artifact for this signature.
pub fn verify(
    policy: &TrustPolicy,
    store: &TrustStore,
    repository: &str,
    digest: &str,
    (media_type, envelope): (&str, &[u8]),
    now: Timestamp,
) -> Result<Verdict, Refusal> {
    let statement = policy.applicable(repository)?;
    let Some(level) = statement.level else {
        return Ok(Outcome::Ignored.into());
    };
    let read = match media_type {
        JWS => jws::read(envelope)?,
        COSE => cose::read(envelope)?,
        _ => return Err(Refusal::MediaType(media_type.to_owned())),
    };
    let signed = Signed::verify(&read)?;
    if signed.digest != digest {
        return Err(Refusal::Digest(digest.to_owned()));
    }
    let mut outcome = Outcome::Verified;
    if let Err(refusal) = signed.check_signer(statement, store) {
        if level.authenticity {
            return Err(refusal);
        }
        outcome = Outcome::Ignored;
    }
    let authority = signed.check_times(statement, level, store, now)?;
    let mut inquiries = Vec::new();
    if let Some(authority) = authority {
        inquiries.push(Inquiry::new("timestamping", &authority, None, true)?);
    }
    // Where anybody may have signed, nobody is asked whom they name, unless it matters.
    let is_asked = match level.revocation {
        Action::Enforce => true,
        Action::Log => outcome == Outcome::Verified,
        Action::Skip => false,
    };
    if is_asked {
        let is_enforced = level.revocation == Action::Enforce;
        inquiries.push(Inquiry::new(
            "signing",
            &signed.chain,
            signed.authentic,
            is_enforced,
        )?);
    }
    inquiries.retain(|inquiry| !inquiry.links().is_empty());
    Ok(Verdict { outcome, inquiries })
}

/// What an envelope says, whatever its format.
struct Envelope {
    /// The certificates of the signer, root last.
    certificates: Vec<Vec<u8>>,
    algorithm: String,
    /// What the signature is over.
    signed: Vec<u8>,
    signature: Vec<u8>,
    payload: Vec<u8>,
    /// The timestamp of an authority over the signature.
    timestamp: Option<Vec<u8>>,
    attributes: Attributes,
}

/// What is signed with the payload.
struct Attributes {
    content_type: String,
    critical: Vec<String>,
    scheme: String,
    signing_time: Option<Timestamp>,
    authentic_signing_time: Option<Timestamp>,
    expiry: Option<Timestamp>,
    needs_plugin: bool,
}

/// An envelope whose signature holds.
struct Signed {
    digest: String,
    /// The certificates of the signer, root last.
    chain: Vec<Certificate>,
    expiry: Option<Timestamp>,
    /// When it was made, if an authority vouches for that.
    authentic: Option<Timestamp>,
    signature: Vec<u8>,
    timestamp: Option<Vec<u8>>,
}

impl Signed {
    fn verify(envelope: &Envelope) -> Result<Self, Refusal> {
        let malformed = |problem: String| Refusal::Malformed(problem);
        let chain = chain(&envelope.certificates)?;
        let leaf = chain
            .first()
            .ok_or(Refusal::Chain("certificate chain is not present"))?;
        let algorithm = &envelope.algorithm;
        verify_by(&leaf.key, algorithm, &envelope.signed, &envelope.signature).ok_or(Refusal::Invalid)?;
        let authentic = envelope
            .attributes
            .check()
            .map_err(|it| malformed(it.to_owned()))?;
        check_chain(&chain)?;
        let payload: Payload =
            serde_json::from_slice(&envelope.payload).map_err(|error| malformed(error.to_string()))?;
        Ok(Self {
            digest: payload.target_artifact.digest,
            chain,
            expiry: envelope.attributes.expiry,
            authentic,
            signature: envelope.signature.clone(),
            timestamp: envelope.timestamp.clone(),
        })
    }

    /// Whether the signer is trusted, and one of those that are meant.
    fn check_signer(&self, statement: &Statement, store: &TrustStore) -> Result<(), Refusal> {
        let kind = if self.authentic.is_some() {
            "signingAuthority"
        } else {
            "ca"
        };
        let is_trusted = self.chain.iter().any(|it| store.certificates.contains(it));
        if !is_trusted || !statement.stores.iter().any(|it| it == kind) {
            return Err(Refusal::Untrusted);
        }
        let Some(identities) = &statement.identities else {
            return Ok(());
        };
        let subject = self.chain.first().and_then(Certificate::subject_attributes);
        let is_meant = subject.and_then(named).is_some_and(|subject| {
            let is_it = |(kind, value): (&String, &String)| subject.get(kind) == Some(value);
            identities.iter().any(|it| it.iter().all(is_it))
        });
        if is_meant {
            return Ok(());
        }
        Err(Refusal::Identity(statement.name.clone()))
    }

    /// Whether the signature still counts. Returns the certificates of whoever vouches for the time of signing, where that is needed.
    fn check_times(
        &self,
        statement: &Statement,
        level: Level,
        store: &TrustStore,
        now: Timestamp,
    ) -> Result<Option<Vec<Certificate>>, Refusal> {
        if let Some(expiry) = self.expiry
            && level.expiry
            && now >= expiry
        {
            return Err(Refusal::Expired(expiry));
        }
        if !level.timestamp {
            return Ok(None);
        }
        let is_valid_at = |second| self.chain.iter().all(|it| it.is_valid_at(second));
        let is_too_old = || self.chain.iter().any(|it| it.is_over_at(now.as_second()));
        let needs_timestamp = self.authentic.is_none()
            && match statement.timestamps {
                Timestamps::Never => false,
                Timestamps::AfterExpiry => is_too_old(),
                Timestamps::Always => true,
            };
        if needs_timestamp {
            let token = self.timestamp.as_deref().filter(|token| !token.is_empty());
            let token = token.ok_or(Refusal::NoTimestamp)?;
            let authority = timestamp::verify(token, &self.signature, &self.chain, &store.certificates);
            return authority.map(Some);
        }
        let is_valid = is_valid_at(self.authentic.unwrap_or(now).as_second());
        if is_valid { Ok(None) } else { Err(Refusal::Time) }
    }
}

fn chain(encoded: &[Vec<u8>]) -> Result<Vec<Certificate>, Refusal> {
    if encoded.len() > MAX_CHAIN {
        return Err(Refusal::Chain("it is too long"));
    }
    let certificates = encoded.iter().map(|der| Certificate::from_der(der).ok());
    let chain: Option<Vec<_>> = certificates.collect();
    chain.ok_or(Refusal::Chain("a certificate is malformed"))
}

/// Whether each certificate is issued by the next, the last by itself, and the first is for signing code.
fn check_chain(chain: &[Certificate]) -> Result<(), Refusal> {
    let (Some(leaf), Some(root)) = (chain.first(), chain.last()) else {
        return Err(Refusal::Chain("certificate chain is not present"));
    };
    if !leaf.is_code_signer() {
        return Err(Refusal::Chain(
            "the first certificate is not one for signing code",
        ));
    }
    if !root.is_issued_by(root) {
        return Err(Refusal::Chain(
            "certificate chain must end with a valid self-signed root certificate",
        ));
    }
    for (below, pair) in chain.windows(2).enumerate() {
        let [certificate, issuer] = pair else { continue };
        if !certificate.is_issued_by(issuer)
            || !issuer.may_issue(below)
            || certificate.is_issued_by(certificate)
        {
            return Err(Refusal::Chain("a certificate is not issued by the next"));
        }
    }
    Ok(())
}

/// Verifies a signature with the algorithm that is the only one for the key.
fn verify_by(key: &PublicKey, algorithm: &str, data: &[u8], signature: &[u8]) -> Option<()> {
    match (algorithm, key.rsa_bits(), key.curve_bits()) {
        ("PS256", Some(2048), _) => key.verify_pss(Hash::Sha256, data, signature),
        ("PS384", Some(3072), _) => key.verify_pss(Hash::Sha384, data, signature),
        ("PS512", Some(4096), _) => key.verify_pss(Hash::Sha512, data, signature),
        ("ES256", _, Some(256)) => key.verify_fixed(Hash::Sha256, data, signature),
        ("ES384", _, Some(384)) => key.verify_fixed(Hash::Sha384, data, signature),
        ("ES512", _, Some(521)) => key.verify_fixed(Hash::Sha512, data, signature),
        _ => None,
    }
}

impl Attributes {
    /// The time that an authority vouches for that signed for others, if one did; an error if they are not to be understood.
    fn check(&self) -> Result<Option<Timestamp>, &'static str> {
        let is_critical = |name: &str| self.critical.iter().any(|it| it == name);
        if self.content_type != PAYLOAD {
            return Err("unknown content type");
        }
        if self.needs_plugin {
            return Err("it must be judged by a plugin");
        }
        if !is_critical(SCHEME) {
            return Err("the signing scheme must be critical");
        }
        if self.critical.iter().any(|it| !UNDERSTOOD.contains(&it.as_str())) {
            return Err("it has critical attributes that are not supported");
        }
        if is_critical(EXPIRY) != self.expiry.is_some() {
            return Err("an expiry must be there and critical, or neither");
        }
        let authentic = self.authentic_signing_time;
        let time = match (self.scheme.as_str(), authentic) {
            ("notary.x509", None) => self.signing_time,
            ("notary.x509.signingAuthority", Some(_)) => authentic,
            _ => None,
        };
        let time = time.ok_or("unknown signing scheme, or one without its time")?;
        if is_critical(AUTHENTIC) != authentic.is_some() {
            return Err("the time that an authority vouches for must be critical");
        }
        if self.expiry.is_some_and(|expiry| expiry <= time) {
            return Err("expiry cannot be equal or before the signing time");
        }
        Ok(authentic)
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Payload {
    target_artifact: Target,
}

#[derive(Deserialize)]
struct Target {
    digest: String,
}
