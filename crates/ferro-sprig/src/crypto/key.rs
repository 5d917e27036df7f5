//! Private keys: made, read from PEM, written to PEM, used to sign.

use std::convert::Infallible;

use ed25519_dalek::Signer as _;
use rand_core::{TryCryptoRng, TryRng};
use rsa::pkcs1::{DecodeRsaPrivateKey, EncodeRsaPrivateKey, EncodeRsaPublicKey};
use rsa::{Pkcs1v15Sign, RsaPrivateKey};
use sha2::{Digest, Sha256};

use super::der::{INTEGER, NULL, OCTETS, OID, Reader, SEQUENCE, bit_string, integer, sequence, tagged};
use super::{dsa, pem};
use crate::random::Dice;

/// The size of keys that come with a certificate.
pub(super) const RSA_BITS_OF_CERTIFICATES: usize = 2_048;
const RSA_BITS: usize = 4_096;

const RSA_OID: &[u8] = &[0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 1, 1, 1];
const RSA_SHA256_OID: &[u8] = &[0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 1, 1, 11];
const EC_OID: &[u8] = &[0x2A, 0x86, 0x48, 0xCE, 0x3D, 2, 1];
const ED25519_OID: &[u8] = &[0x2B, 0x65, 0x70];
/// What stands before a SHA-256 digest in a PKCS #1 signature.
const SHA256_PREFIX: &[u8] = &[
    0x30, 0x31, 0x30, 0x0D, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01, 0x05, 0x00,
    0x04, 0x20,
];

/// A private key of one of the kinds that sprig knows.
pub(super) enum PrivateKey {
    Rsa(Box<RsaPrivateKey>),
    Ec(EcKey),
    Ed25519(Box<ed25519_dalek::SigningKey>),
    Dsa(Box<dsa::Key>),
}

/// The public half, as certificates have it.
pub(super) struct PublicKey {
    /// The key itself.
    pub(super) bits: Vec<u8>,
    /// With its algorithm (`SubjectPublicKeyInfo`).
    pub(super) info: Vec<u8>,
}

/// The curves that are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Curve {
    P256,
    P384,
    P521,
}

impl Curve {
    const ALL: [Self; 3] = [Self::P256, Self::P384, Self::P521];

    const fn oid(self) -> &'static [u8] {
        match self {
            Self::P256 => &[0x2A, 0x86, 0x48, 0xCE, 0x3D, 3, 1, 7],
            Self::P384 => &[0x2B, 0x81, 0x04, 0, 0x22],
            Self::P521 => &[0x2B, 0x81, 0x04, 0, 0x23],
        }
    }

    const fn scalar_len(self) -> usize {
        match self {
            Self::P256 => 32,
            Self::P384 => 48,
            Self::P521 => 66,
        }
    }

    /// The last part of the algorithm's name: ECDSA with SHA-256, -384 or -512.
    const fn signature_arc(self) -> u8 {
        match self {
            Self::P256 => 2,
            Self::P384 => 3,
            Self::P521 => 4,
        }
    }
}

/// A key on a curve.
pub(super) struct EcKey {
    curve: Curve,
    scalar: Vec<u8>,
    /// The public point, uncompressed.
    point: Vec<u8>,
}

impl EcKey {
    /// Makes a key of a scalar; nothing when it is out of range.
    fn new(curve: Curve, scalar: &[u8]) -> Option<Self> {
        let zeros = curve.scalar_len().checked_sub(scalar.len())?;
        let scalar = [vec![0; zeros].as_slice(), scalar].concat();
        let point = match curve {
            Curve::P256 => {
                let key = p256::SecretKey::from_slice(&scalar).ok()?;
                key.public_key().to_sec1_bytes().to_vec()
            }
            Curve::P384 => {
                let key = p384::SecretKey::from_slice(&scalar).ok()?;
                key.public_key().to_sec1_bytes().to_vec()
            }
            Curve::P521 => {
                let key = p521::SecretKey::from_slice(&scalar).ok()?;
                key.public_key().to_sec1_bytes().to_vec()
            }
        };
        Some(Self { curve, scalar, point })
    }

    /// Signs with the hash that fits the curve; nonces are derived from key and message (RFC 6979).
    fn sign(&self, message: &[u8]) -> Option<Vec<u8>> {
        Some(match self.curve {
            Curve::P256 => {
                let key = p256::ecdsa::SigningKey::from_slice(&self.scalar).ok()?;
                let signature: p256::ecdsa::Signature = key.try_sign(message).ok()?;
                signature.to_der().as_bytes().to_vec()
            }
            Curve::P384 => {
                let key = p384::ecdsa::SigningKey::from_slice(&self.scalar).ok()?;
                let signature: p384::ecdsa::Signature = key.try_sign(message).ok()?;
                signature.to_der().as_bytes().to_vec()
            }
            Curve::P521 => {
                let key = p521::ecdsa::SigningKey::from_slice(&self.scalar).ok()?;
                let signature: p521::ecdsa::Signature = key.try_sign(message).ok()?;
                signature.to_der().as_bytes().to_vec()
            }
        })
    }

    /// RFC 5915, with the curve.
    fn to_sec1(&self) -> Vec<u8> {
        sequence(&[
            &integer(&[1]),
            &tagged(OCTETS, &self.scalar),
            &tagged(0xA0, &tagged(OID, self.curve.oid())),
            &tagged(0xA1, &bit_string(&self.point)),
        ])
    }

    fn from_sec1(der: &[u8], named: Option<Curve>) -> Result<Self, String> {
        let malformed = || "x509: failed to parse EC private key".to_owned();
        let mut key = Reader(Reader(der).expect(SEQUENCE).ok_or_else(malformed)?);
        key.expect(INTEGER).ok_or_else(malformed)?;
        let scalar = key.expect(OCTETS).ok_or_else(malformed)?;
        let inner = key.optional(0xA0).and_then(|inner| Reader(inner).expect(OID));
        let curve = named
            .or_else(|| inner.and_then(curve_of))
            .ok_or("x509: unknown elliptic curve")?;
        let zeros = scalar.iter().take_while(|byte| **byte == 0).count();
        let scalar = scalar.get(zeros..).unwrap_or_default();
        Self::new(curve, scalar).ok_or_else(|| "x509: invalid elliptic curve private key value".to_owned())
    }
}

fn curve_of(oid: &[u8]) -> Option<Curve> {
    Curve::ALL.into_iter().find(|curve| curve.oid() == oid)
}

impl PrivateKey {
    /// Makes a key of the kind that a template names; nothing when there is no such kind.
    pub(super) fn generate(kind: &str, dice: &Dice) -> Option<Result<Self, String>> {
        Some(match kind {
            "" | "rsa" => Self::new_rsa(RSA_BITS, dice),
            "dsa" => Ok(Self::Dsa(Box::new(dsa::Key::generate(dice)))),
            "ecdsa" => Ok(Self::Ec(new_p256(dice))),
            "ed25519" => {
                let mut seed = [0; 32];
                dice.fill(&mut seed);
                Ok(Self::Ed25519(Box::new(ed25519_dalek::SigningKey::from_bytes(
                    &seed,
                ))))
            }
            _ => return None,
        })
    }

    pub(super) fn new_rsa(bits: usize, dice: &Dice) -> Result<Self, String> {
        RsaPrivateKey::new(&mut Source(dice), bits)
            .map(|key| Self::Rsa(Box::new(key)))
            .map_err(|error| error.to_string())
    }

    /// Reads the first block of a PEM text.
    pub(super) fn from_pem(text: &[u8]) -> Result<Self, String> {
        let Some(block) = pem::decode(text) else {
            return Err("no PEM data in input".to_owned());
        };
        if block.label == "PRIVATE KEY" {
            return from_pkcs8(&block.bytes).map_err(|problem| format!("decoding PEM as PKCS#8: {problem}"));
        }
        let Some(kind) = block.label.strip_suffix(" PRIVATE KEY") else {
            return Err(format!(
                "no private key data in PEM block of type {}",
                block.label
            ));
        };
        let in_context = |problem: String| format!("parsing {kind} private key from PEM: {problem}");
        match kind {
            "RSA" => from_pkcs1(&block.bytes).map_err(in_context),
            "EC" => EcKey::from_sec1(&block.bytes, None)
                .map(Self::Ec)
                .map_err(in_context),
            "DSA" => dsa::Key::from_der(&block.bytes)
                .map(|key| Self::Dsa(Box::new(key)))
                .map_err(in_context),
            _ => Err(format!("invalid private key type {kind}")),
        }
    }

    pub(super) fn to_pem(&self) -> Vec<u8> {
        match self {
            Self::Rsa(key) => {
                let der = key.to_pkcs1_der().map(|der| der.as_bytes().to_vec());
                pem::encode("RSA PRIVATE KEY", &der.unwrap_or_default())
            }
            Self::Ec(key) => pem::encode("EC PRIVATE KEY", &key.to_sec1()),
            Self::Dsa(key) => pem::encode("DSA PRIVATE KEY", &key.to_der()),
            Self::Ed25519(key) => {
                let der = sequence(&[
                    &integer(&[0]),
                    &sequence(&[&tagged(OID, ED25519_OID)]),
                    &tagged(OCTETS, &tagged(OCTETS, key.as_bytes())),
                ]);
                pem::encode("PRIVATE KEY", &der)
            }
        }
    }

    pub(super) fn public(&self) -> Result<PublicKey, String> {
        let (bits, algorithm) = match self {
            Self::Rsa(key) => {
                let der = key
                    .to_public_key()
                    .to_pkcs1_der()
                    .map_err(|error| error.to_string())?;
                let algorithm = sequence(&[&tagged(OID, RSA_OID), &tagged(NULL, &[])]);
                (der.as_bytes().to_vec(), algorithm)
            }
            Self::Ec(key) => {
                let algorithm = sequence(&[&tagged(OID, EC_OID), &tagged(OID, key.curve.oid())]);
                (key.point.clone(), algorithm)
            }
            Self::Ed25519(key) => {
                let algorithm = sequence(&[&tagged(OID, ED25519_OID)]);
                (key.verifying_key().as_bytes().to_vec(), algorithm)
            }
            Self::Dsa(_) => return Err("x509: unsupported public key type: *dsa.PublicKey".to_owned()),
        };
        let info = sequence(&[&algorithm, &bit_string(&bits)]);
        Ok(PublicKey { bits, info })
    }

    /// The algorithm with which this key signs, for certificates.
    pub(super) fn signature_algorithm(&self) -> Result<Vec<u8>, String> {
        match self {
            Self::Rsa(_) => Ok(sequence(&[&tagged(OID, RSA_SHA256_OID), &tagged(NULL, &[])])),
            Self::Ec(key) => {
                let oid = [0x2A, 0x86, 0x48, 0xCE, 0x3D, 4, 3, key.curve.signature_arc()];
                Ok(sequence(&[&tagged(OID, &oid)]))
            }
            Self::Ed25519(_) => Ok(sequence(&[&tagged(OID, ED25519_OID)])),
            Self::Dsa(_) => Err("x509: certificate private key does not implement crypto.Signer".to_owned()),
        }
    }

    pub(super) fn sign(&self, message: &[u8]) -> Result<Vec<u8>, String> {
        match self {
            Self::Rsa(key) => {
                let padding = Pkcs1v15Sign {
                    hash_len: Some(32),
                    prefix: SHA256_PREFIX.into(),
                };
                key.sign(padding, &Sha256::digest(message))
                    .map_err(|error| error.to_string())
            }
            Self::Ec(key) => key.sign(message).ok_or_else(|| "x509: cannot sign".to_owned()),
            Self::Ed25519(key) => Ok(key.sign(message).to_bytes().to_vec()),
            Self::Dsa(_) => self.signature_algorithm(),
        }
    }
}

/// Draws scalars until one is in range; nearly every one is.
fn new_p256(dice: &Dice) -> EcKey {
    loop {
        let mut scalar = [0; 32];
        dice.fill(&mut scalar);
        if let Some(key) = EcKey::new(Curve::P256, &scalar) {
            return key;
        }
    }
}

fn from_pkcs1(der: &[u8]) -> Result<PrivateKey, String> {
    RsaPrivateKey::from_pkcs1_der(der)
        .map(|key| PrivateKey::Rsa(Box::new(key)))
        .map_err(|_| "x509: failed to parse RSA private key".to_owned())
}

fn from_pkcs8(der: &[u8]) -> Result<PrivateKey, String> {
    let malformed = || "asn1: structure error: this is no PKCS #8 private key".to_owned();
    let mut outer = Reader(Reader(der).expect(SEQUENCE).ok_or_else(malformed)?);
    outer.expect(INTEGER).ok_or_else(malformed)?;
    let mut algorithm = Reader(outer.expect(SEQUENCE).ok_or_else(malformed)?);
    let oid = algorithm.expect(OID).ok_or_else(malformed)?;
    let content = outer.expect(OCTETS).ok_or_else(malformed)?;
    match oid {
        RSA_OID => from_pkcs1(content),
        EC_OID => {
            let curve = algorithm.optional(OID).and_then(curve_of);
            EcKey::from_sec1(content, curve).map(PrivateKey::Ec)
        }
        ED25519_OID => {
            let seed = Reader(content)
                .expect(OCTETS)
                .ok_or("x509: invalid Ed25519 private key")?;
            let seed: &[u8; 32] = seed
                .try_into()
                .map_err(|_| format!("x509: invalid Ed25519 private key length: {}", seed.len()))?;
            Ok(PrivateKey::Ed25519(Box::new(
                ed25519_dalek::SigningKey::from_bytes(seed),
            )))
        }
        _ => Err(format!(
            "x509: PKCS#8 wrapping contained private key with unknown algorithm: {}",
            dotted(oid)
        )),
    }
}

/// An object identifier as it is usually written.
fn dotted(oid: &[u8]) -> String {
    let mut arcs: Vec<u64> = Vec::new();
    let mut value = 0_u64;
    for byte in oid {
        value = value << 7 | u64::from(byte & 0x7F);
        if byte & 0x80 != 0 {
            continue;
        }
        if arcs.is_empty() {
            let first = (value / 40).min(2);
            arcs.extend([first, value - first * 40]);
        } else {
            arcs.push(value);
        }
        value = 0;
    }
    arcs.iter().map(u64::to_string).collect::<Vec<_>>().join(".")
}

/// The dice as the generator that the crates ask for.
struct Source<'d>(&'d Dice);

impl TryRng for Source<'_> {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        let mut bytes = [0; 4];
        self.0.fill(&mut bytes);
        Ok(u32::from_le_bytes(bytes))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        let mut bytes = [0; 8];
        self.0.fill(&mut bytes);
        Ok(u64::from_le_bytes(bytes))
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        self.0.fill(bytes);
        Ok(())
    }
}

impl TryCryptoRng for Source<'_> {}
