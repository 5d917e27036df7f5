//! Detached OpenPGP signatures, verified by the rules of go-crypto's `CheckDetachedSignature`, which Flux uses.
//!
//! The rules: a key must say that it may sign data; its own signatures over identities and subkeys must hold, and subkeys that sign must sign
//! the primary key in turn; neither key nor primary identity may be revoked; key and signatures must be valid now, not only when the signature
//! was made; critical notations are refused. SHA-1 is accepted (collisions of the known kinds are detected), MD5 and RIPEMD-160 are not; RSA
//! keys have at least 1024 bits.

mod armor;
mod cleartext;
mod keyring;
mod packet;

use jiff::Timestamp;
use pgp::packet::{Packet, Signature, SignatureType};
use pgp::types::KeyDetails;

pub use armor::ArmorError;
pub use keyring::Keyring;

use packet::{Read, packets};

/// The largest armored signature that is read. Real ones have less than ten kilobytes.
pub const MAX_SIGNATURE: usize = 256 << 10;

/// A signature that is not to be believed, or keys that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The armor is damaged.
    #[error(transparent)]
    Armor(#[from] ArmorError),
    /// The armored data is something else than keys.
    #[error("openpgp: invalid argument: expected public or private key block, got: {found}")]
    NotKeys {
        /// What the armor says that it is.
        found: String,
    },
    /// The armored data is something else than a signature.
    #[error("openpgp: invalid argument: expected 'PGP SIGNATURE', got: {found}")]
    NotSignature {
        /// What the armor says that it is.
        found: String,
    },
    /// A key cannot be used.
    #[error("openpgp: invalid data: {problem}")]
    Key {
        /// What is wrong with it.
        problem: &'static str,
    },
    /// The data is not made of OpenPGP packets.
    #[error("openpgp: invalid data: not a sequence of OpenPGP packets")]
    Malformed,
    /// The signature is larger than any real one.
    #[error("openpgp: the signature is larger than {MAX_SIGNATURE} bytes")]
    TooLarge,
    /// No key of the keyring that may sign made the signature.
    #[error("openpgp: signature made by unknown entity")]
    UnknownIssuer,
    /// The signature does not belong to the data, or not to the key.
    #[error("openpgp: invalid signature")]
    Invalid,
    /// A notation that must be understood is not.
    #[error("openpgp: invalid signature: unknown critical notation")]
    CriticalNotation,
    /// The key or its identity is revoked.
    #[error("openpgp: signature made by revoked key")]
    KeyRevoked,
    /// The key is expired.
    #[error("openpgp: key expired")]
    KeyExpired,
    /// The signature is expired, or made in the future.
    #[error("openpgp: signature expired")]
    SignatureExpired,
}

/// Verifies an armored detached signature over `data` and returns the id of the primary key of the signer, 16 capital hexadecimal digits.
///
/// # Errors
/// When no key of `keyring` made the signature, or it is not to be believed at `now`.
pub fn verify_detached(
    keyring: &Keyring,
    signature: &str,
    data: &[u8],
    now: Timestamp,
) -> Result<String, Error> {
    if signature.len() > MAX_SIGNATURE {
        return Err(Error::TooLarge);
    }
    let block = armor::first(signature)?;
    if block.kind != "PGP SIGNATURE" {
        return Err(Error::NotSignature { found: block.kind });
    }
    verify_packets(keyring, &block.data, data, now)
}

/// Verifies a text that is signed in the clear and returns it with the id of the primary key of the signer; nothing if there is none.
///
/// # Errors
/// As [`verify_detached`].
pub(crate) fn verify_cleartext(
    keyring: &Keyring,
    text: &str,
    now: Timestamp,
) -> Result<Option<(String, String)>, Error> {
    let Some(signed) = cleartext::find(text) else {
        return Ok(None);
    };
    let block = signed.signature;
    if block.kind != "PGP SIGNATURE" {
        return Err(Error::NotSignature { found: block.kind });
    }
    let key = verify_packets(keyring, &block.data, &signed.canonical, now)?;
    Ok(Some((signed.text, key)))
}

/// The first signature that names a known key decides.
fn verify_packets(
    keyring: &Keyring,
    signatures: &[u8],
    data: &[u8],
    now: Timestamp,
) -> Result<String, Error> {
    for read in packets(signatures) {
        let signature = match read {
            Read::Packet(Packet::Signature(signature)) => signature,
            Read::Packet(_) | Read::Malformed => return Err(Error::Malformed),
            Read::Unusable => continue,
        };
        if !matches!(signature.typ(), Some(SignatureType::Binary | SignatureType::Text)) {
            return Err(Error::Invalid);
        }
        if keyring.signers(&signature).next().is_some() {
            return verify_one(keyring, &signature, data, now);
        }
    }
    Err(Error::UnknownIssuer)
}

fn verify_one(
    keyring: &Keyring,
    signature: &Signature,
    data: &[u8],
    now: Timestamp,
) -> Result<String, Error> {
    let signer = keyring
        .signers(signature)
        .find(|signer| signer.verify(signature, data))
        .ok_or(Error::Invalid)?;
    signer.check(signature, now)?;
    Ok(signer.entity.primary.legacy_key_id().to_string().to_uppercase())
}
