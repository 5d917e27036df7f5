//! Public keys as certificates and PEM files have them.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use p256::ecdsa::signature::hazmat::PrehashVerifier;
use rsa::RsaPublicKey;
use rsa::pkcs1::DecodeRsaPublicKey;
use rsa::traits::PublicKeyParts;
use sha2::{Digest, Sha256, Sha384, Sha512};

use crate::der;

const EC: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01];
const P256: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];
const P384: &[u8] = &[0x2b, 0x81, 0x04, 0x00, 0x22];
const P521: &[u8] = &[0x2b, 0x81, 0x04, 0x00, 0x23];
const RSA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01];
const ED25519: &[u8] = &[0x2b, 0x65, 0x70];
/// What the OIDs of the family SHA-2 begin with.
const SHA2: &[u8] = &[0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02];

/// The smallest RSA keys that are used, as in Go's standard library.
const MIN_RSA_BITS: u32 = 1024;

/// A hash function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hash {
    /// SHA-256.
    Sha256,
    /// SHA-384.
    Sha384,
    /// SHA-512.
    Sha512,
}

impl Hash {
    /// The function that the content of an OID names.
    pub(crate) fn from_oid(oid: &[u8]) -> Option<Self> {
        match oid.strip_prefix(SHA2)? {
            [1] => Some(Self::Sha256),
            [2] => Some(Self::Sha384),
            [3] => Some(Self::Sha512),
            _ => None,
        }
    }

    pub(crate) fn digest(self, data: &[u8]) -> Vec<u8> {
        match self {
            Self::Sha256 => Sha256::digest(data).to_vec(),
            Self::Sha384 => Sha384::digest(data).to_vec(),
            Self::Sha512 => Sha512::digest(data).to_vec(),
        }
    }
}

/// A key that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// The text is no PEM block.
    #[error("PEM decoding failed")]
    Pem,
    /// The block is something else than a public key.
    #[error("unknown Public key PEM file type: {0}. Are you passing the correct public key?")]
    Kind(String),
    /// The encoding is malformed, or the algorithm is not supported.
    #[error("the public key is malformed or of an unsupported kind")]
    Encoding,
}

/// A public key: ECDSA on the NIST curves, RSA or Ed25519.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicKey {
    inner: Inner,
    der: Vec<u8>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Inner {
    P256(p256::ecdsa::VerifyingKey),
    P384(p384::ecdsa::VerifyingKey),
    P521(p521::ecdsa::VerifyingKey),
    Rsa(RsaPublicKey),
    Ed25519(ed25519_dalek::VerifyingKey),
}

impl PublicKey {
    /// Reads the first PEM block of a text: `PUBLIC KEY`, or `RSA PUBLIC KEY` of PKCS #1.
    ///
    /// # Errors
    /// When there is none, or its key cannot be used.
    pub fn from_pem(text: &str) -> Result<Self, KeyError> {
        let (kind, data) = pem(text).into_iter().next().ok_or(KeyError::Pem)?;
        match kind.as_str() {
            "PUBLIC KEY" => Self::from_der(&data),
            "RSA PUBLIC KEY" => {
                let algorithm = der::encode(der::SEQUENCE, &[&der::encode(der::OID, &[RSA]), &[5, 0]]);
                let key = der::encode(der::BIT_STRING, &[&[0], &data]);
                Self::from_der(&der::encode(der::SEQUENCE, &[&algorithm, &key]))
            }
            _ => Err(KeyError::Kind(kind)),
        }
    }

    /// Reads a `SubjectPublicKeyInfo`.
    ///
    /// # Errors
    /// When it is malformed, or its algorithm is not supported.
    pub fn from_der(data: &[u8]) -> Result<Self, KeyError> {
        let inner = parse(data).ok_or(KeyError::Encoding)?;
        Ok(Self {
            inner,
            der: data.to_vec(),
        })
    }

    /// The `SubjectPublicKeyInfo`.
    pub fn to_der(&self) -> &[u8] {
        &self.der
    }

    pub(crate) fn rsa_bits(&self) -> Option<u32> {
        match &self.inner {
            Inner::Rsa(key) => Some(key.n().bits()),
            _ => None,
        }
    }

    pub(crate) fn curve_bits(&self) -> Option<u32> {
        match &self.inner {
            Inner::P256(_) => Some(256),
            Inner::P384(_) => Some(384),
            Inner::P521(_) => Some(521),
            Inner::Rsa(_) | Inner::Ed25519(_) => None,
        }
    }

    /// Whether `signature` over `data` was made with the key: ECDSA in DER, RSA with the padding of PKCS #1 v1.5, or Ed25519, which does not
    /// use `hash`.
    pub fn verify(&self, hash: Hash, data: &[u8], signature: &[u8]) -> bool {
        self.try_verify(hash, data, signature).is_some()
    }

    fn try_verify(&self, hash: Hash, data: &[u8], signature: &[u8]) -> Option<()> {
        match &self.inner {
            Inner::Rsa(key) => {
                use rsa::Pkcs1v15Sign;
                let scheme = match hash {
                    Hash::Sha256 => Pkcs1v15Sign::new::<Sha256>(),
                    Hash::Sha384 => Pkcs1v15Sign::new::<Sha384>(),
                    Hash::Sha512 => Pkcs1v15Sign::new::<Sha512>(),
                };
                key.verify(scheme, &hash.digest(data), signature).ok()
            }
            Inner::Ed25519(key) => {
                use ed25519_dalek::Verifier;
                let signature = ed25519_dalek::Signature::from_slice(signature).ok()?;
                key.verify(data, &signature).ok()
            }
            _ => self.verify_fixed(hash, data, &fixed(signature, self.curve_bits()?)?),
        }
    }

    /// Whether the key made a signature over data whose SHA-256 digest this is. Ed25519 hashes by itself, so it cannot be told for its keys.
    pub(crate) fn verify_digest(&self, digest: &[u8], signature: &[u8]) -> bool {
        match &self.inner {
            Inner::Rsa(key) => {
                let scheme = rsa::Pkcs1v15Sign::new::<Sha256>();
                key.verify(scheme, digest, signature).is_ok()
            }
            Inner::Ed25519(_) => false,
            _ => self
                .curve_bits()
                .and_then(|bits| self.verify_prehash(digest, &fixed(signature, bits)?))
                .is_some(),
        }
    }

    /// Whether the key made an ECDSA signature whose two numbers have the length of the curve's, as in JWS.
    pub(crate) fn verify_fixed(&self, hash: Hash, data: &[u8], signature: &[u8]) -> Option<()> {
        self.verify_prehash(&hash.digest(data), signature)
    }

    fn verify_prehash(&self, digest: &[u8], signature: &[u8]) -> Option<()> {
        match &self.inner {
            Inner::P256(key) => {
                let signature = p256::ecdsa::Signature::from_slice(signature).ok()?;
                key.verify_prehash(digest, &signature).ok()
            }
            Inner::P384(key) => {
                let signature = p384::ecdsa::Signature::from_slice(signature).ok()?;
                key.verify_prehash(digest, &signature).ok()
            }
            Inner::P521(key) => {
                let signature = p521::ecdsa::Signature::from_slice(signature).ok()?;
                key.verify_prehash(&padded(digest, 66), &signature).ok()
            }
            Inner::Rsa(_) | Inner::Ed25519(_) => None,
        }
    }

    /// Whether the key made an RSA signature with the padding PSS and a salt of the hash's length.
    pub(crate) fn verify_pss(&self, hash: Hash, data: &[u8], signature: &[u8]) -> Option<()> {
        let Inner::Rsa(key) = &self.inner else {
            return None;
        };
        let digest = hash.digest(data);
        match hash {
            Hash::Sha256 => key.verify(rsa::Pss::<Sha256>::new(), &digest, signature).ok(),
            Hash::Sha384 => key.verify(rsa::Pss::<Sha384>::new(), &digest, signature).ok(),
            Hash::Sha512 => key.verify(rsa::Pss::<Sha512>::new(), &digest, signature).ok(),
        }
    }
}

/// A digest of less than half the field's length is too short for the library, though not for the standard: zeros before it do not change the
/// number that it is.
fn padded(digest: &[u8], field: usize) -> Vec<u8> {
    let mut out = vec![0; field.saturating_sub(digest.len())];
    out.extend_from_slice(digest);
    out
}

/// `SEQUENCE { r, s }` as two numbers of the curve's length.
fn fixed(signature: &[u8], bits: u32) -> Option<Vec<u8>> {
    let length = usize::try_from(bits.div_ceil(8)).ok()?;
    let mut rest = der::whole(signature, der::SEQUENCE)?.content;
    let mut out = Vec::with_capacity(2 * length);
    for _ in 0..2 {
        let number = der::unsigned(der::take_tag(&mut rest, der::INTEGER)?.content)?;
        out.resize(out.len() + length.checked_sub(number.len())?, 0);
        out.extend_from_slice(number);
    }
    rest.is_empty().then_some(out)
}

fn parse(data: &[u8]) -> Option<Inner> {
    let mut rest = der::whole(data, der::SEQUENCE)?.content;
    let mut algorithm = der::take_tag(&mut rest, der::SEQUENCE)?.content;
    let key = der::bit_string(der::take_tag(&mut rest, der::BIT_STRING)?.content)?;
    if !rest.is_empty() {
        return None;
    }
    let kind = der::take_tag(&mut algorithm, der::OID)?.content;
    match kind {
        EC => match der::whole(algorithm, der::OID)?.content {
            P256 => p256::ecdsa::VerifyingKey::from_sec1_bytes(key)
                .ok()
                .map(Inner::P256),
            P384 => p384::ecdsa::VerifyingKey::from_sec1_bytes(key)
                .ok()
                .map(Inner::P384),
            P521 => p521::ecdsa::VerifyingKey::from_sec1_bytes(key)
                .ok()
                .map(Inner::P521),
            _ => None,
        },
        RSA => {
            let key = RsaPublicKey::from_pkcs1_der(key).ok()?;
            (key.n().bits() >= MIN_RSA_BITS).then_some(Inner::Rsa(key))
        }
        ED25519 => ed25519_dalek::VerifyingKey::from_bytes(key.try_into().ok()?)
            .ok()
            .map(Inner::Ed25519),
        _ => None,
    }
}

/// The PEM blocks of a text: what each begins with, and its bytes. Blocks that are damaged are left out.
pub(crate) fn pem(text: &str) -> Vec<(String, Vec<u8>)> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some((_, after)) = rest.split_once("-----BEGIN ") {
        let Some((kind, body)) = after.split_once("-----") else {
            break;
        };
        let end = format!("-----END {kind}-----");
        let Some((body, after)) = body.split_once(&end) else {
            rest = body;
            continue;
        };
        rest = after;
        let body: String = body.split_ascii_whitespace().collect();
        if let Ok(data) = STANDARD.decode(body) {
            found.push((kind.to_owned(), data));
        }
    }
    found
}
