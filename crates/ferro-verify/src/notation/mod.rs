//! notation: signatures of images and charts in registries by certificates, judged by a trust policy (Notary Project, JWS envelopes).
//!
//! Who calls fetches the envelopes: the layers of the manifests that refer to the artifact and are of the type [`ARTIFACT_TYPE`]. As in Flux, all certificates
//! of the [`TrustStore`] are those of every store that the policy names.
//!
//! Not supported, and an error where the policy enforces it: timestamps by authorities (`tsa`), and lists and services of revocation, where a
//! certificate names some. Envelopes of COSE and plugins are not supported at all.

mod policy;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jiff::Timestamp;
use serde::Deserialize;

use crate::key::{Hash, PublicKey};
use crate::x509::Certificate;

pub use policy::{PolicyError, TrustPolicy};

use policy::{Level, Statement, named};

/// The type of manifests with signatures.
pub const ARTIFACT_TYPE: &str = "application/vnd.cncf.notary.signature";
/// The media type of an envelope.
pub const JWS: &str = "application/jose+json";
/// How many signatures are looked at, as Flux.
pub const MAX_ATTEMPTS: usize = 3;

const PAYLOAD: &str = "application/vnd.cncf.notary.payload.v1+json";
const SCHEME: &str = "io.cncf.notary.signingScheme";
/// What a signature may say that its verifier must understand.
const UNDERSTOOD: [&str; 3] = [
    SCHEME,
    "io.cncf.notary.expiry",
    "io.cncf.notary.authenticSigningTime",
];
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
    /// What the policy enforces cannot be found out.
    #[error("this version cannot verify {0}, which the trust policy enforces")]
    Unsupported(&'static str),
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

/// Verifies an envelope about the artifact with this digest in `repository` (`host/path`).
///
/// # Errors
/// When the policy forbids to use the artifact for this signature.
pub fn verify(
    policy: &TrustPolicy,
    store: &TrustStore,
    repository: &str,
    digest: &str,
    envelope: &[u8],
    now: Timestamp,
) -> Result<Outcome, Refusal> {
    let statement = policy.applicable(repository)?;
    let Some(level) = statement.level else {
        return Ok(Outcome::Ignored);
    };
    let signed = Signed::verify(envelope)?;
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
    signed.check_times(statement, level, now)?;
    if level.revocation && signed.chain.iter().any(Certificate::names_revocation) {
        return Err(Refusal::Unsupported("whether certificates are revoked"));
    }
    Ok(outcome)
}

/// An envelope whose signature holds.
struct Signed {
    digest: String,
    /// The certificates of the signer, root last.
    chain: Vec<Certificate>,
    expiry: Option<Timestamp>,
    /// When it was made, if an authority vouches for that.
    authentic: Option<Timestamp>,
    is_by_authority: bool,
}

impl Signed {
    fn verify(envelope: &[u8]) -> Result<Self, Refusal> {
        let malformed = |problem: String| Refusal::Malformed(problem);
        let json: Envelope =
            serde_json::from_slice(envelope).map_err(|error| malformed(error.to_string()))?;
        let decode = |text: &str| {
            let decoded = URL_SAFE_NO_PAD.decode(text);
            decoded.map_err(|error| malformed(error.to_string()))
        };
        let protected: Protected = serde_json::from_slice(&decode(&json.protected)?)
            .map_err(|error| malformed(error.to_string()))?;
        let chain = chain(&json.header.x5c)?;
        let leaf = chain
            .first()
            .ok_or(Refusal::Chain("certificate chain is not present"))?;
        let encoded = format!("{}.{}", json.protected, json.payload);
        verify_by(
            &leaf.key,
            &protected.alg,
            encoded.as_bytes(),
            &decode(&json.signature)?,
        )
        .ok_or(Refusal::Invalid)?;
        let is_by_authority = protected.check().map_err(|it| malformed(it.to_owned()))?;
        check_chain(&chain)?;
        let payload: Payload =
            serde_json::from_slice(&decode(&json.payload)?).map_err(|error| malformed(error.to_string()))?;
        Ok(Self {
            digest: payload.target_artifact.digest,
            chain,
            expiry: protected.expiry,
            authentic: protected.authentic_signing_time,
            is_by_authority,
        })
    }

    /// Whether the signer is trusted, and one of those that are meant.
    fn check_signer(&self, statement: &Statement, store: &TrustStore) -> Result<(), Refusal> {
        let kind = if self.is_by_authority {
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

    fn check_times(&self, statement: &Statement, level: Level, now: Timestamp) -> Result<(), Refusal> {
        if let Some(expiry) = self.expiry
            && level.expiry
            && now >= expiry
        {
            return Err(Refusal::Expired(expiry));
        }
        if !level.timestamp {
            return Ok(());
        }
        if statement.needs_timestamp && !self.is_by_authority {
            return Err(Refusal::Unsupported("timestamps"));
        }
        let second = self.authentic.unwrap_or(now).as_second();
        let is_valid = self.chain.iter().all(|it| it.is_valid_at(second));
        if is_valid { Ok(()) } else { Err(Refusal::Time) }
    }
}

fn chain(encoded: &[String]) -> Result<Vec<Certificate>, Refusal> {
    if encoded.len() > MAX_CHAIN {
        return Err(Refusal::Chain("it is too long"));
    }
    let certificate = |text: &String| {
        let der = STANDARD.decode(text).ok()?;
        Certificate::from_der(&der).ok()
    };
    let chain: Option<Vec<_>> = encoded.iter().map(certificate).collect();
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

impl Protected {
    /// Whether an authority signed for others; an error if the header is not one that is understood.
    fn check(&self) -> Result<bool, &'static str> {
        if self.cty != PAYLOAD {
            return Err("unknown content type");
        }
        if !self.crit.iter().any(|it| it == SCHEME) {
            return Err("the signing scheme must be critical");
        }
        if self.crit.iter().any(|it| !UNDERSTOOD.contains(&it.as_str())) {
            return Err("it has critical attributes that are not supported");
        }
        match (self.signing_scheme.as_str(), self.authentic_signing_time) {
            ("notary.x509", None) => Ok(false),
            ("notary.x509.signingAuthority", Some(_)) => Ok(true),
            _ => Err("unknown signing scheme, or one without its time"),
        }
    }
}

#[derive(Deserialize)]
struct Envelope {
    payload: String,
    protected: String,
    header: Header,
    signature: String,
}

#[derive(Deserialize)]
struct Header {
    #[serde(default)]
    x5c: Vec<String>,
}

#[derive(Deserialize)]
struct Protected {
    alg: String,
    cty: String,
    #[serde(default)]
    crit: Vec<String>,
    #[serde(rename = "io.cncf.notary.signingScheme")]
    signing_scheme: String,
    #[serde(rename = "io.cncf.notary.expiry")]
    expiry: Option<Timestamp>,
    #[serde(rename = "io.cncf.notary.authenticSigningTime")]
    authentic_signing_time: Option<Timestamp>,
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
