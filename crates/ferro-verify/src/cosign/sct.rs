//! Signed certificate timestamps: that a log of certificates has seen a certificate.

use super::root::TrustedRoot;
use crate::key::Hash;
use crate::x509::Certificate;

/// Whether one of the certificate's timestamps is that of a trusted log.
pub(super) fn is_logged(root: &TrustedRoot, leaf: &Certificate, issuer: &Certificate) -> bool {
    let (Some(list), Some(logged)) = (leaf.timestamps(), leaf.logged_part()) else {
        return false;
    };
    let Some(list) = list.get(2..) else {
        return false;
    };
    timestamps(list).any(|timestamp| verify(root, &logged, issuer, timestamp).is_some())
}

/// The timestamps of a list, each with its length before it.
fn timestamps(mut list: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || take_prefixed(&mut list))
}

fn take<'a>(data: &mut &'a [u8], count: usize) -> Option<&'a [u8]> {
    let (taken, rest) = data.split_at_checked(count)?;
    *data = rest;
    Some(taken)
}

/// Takes bytes whose number stands before them in two bytes.
fn take_prefixed<'a>(data: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = take(data, 2)?
        .iter()
        .fold(0, |sum, byte| sum * 256 + usize::from(*byte));
    take(data, length)
}

/// Verifies a timestamp of version 1 over a certificate before it had the timestamp (RFC 6962 section 3.2).
fn verify(root: &TrustedRoot, logged: &[u8], issuer: &Certificate, timestamp: &[u8]) -> Option<()> {
    let mut rest = timestamp;
    let version = take(&mut rest, 1)?;
    let id = take(&mut rest, 32)?;
    let time = take(&mut rest, 8)?;
    let extensions = take_prefixed(&mut rest)?;
    // Hash and signature algorithm: the key says the latter.
    let algorithms = take(&mut rest, 2)?;
    let signature = take_prefixed(&mut rest)?;
    let hash = match algorithms.first()? {
        4 => Hash::Sha256,
        5 => Hash::Sha384,
        // 8 is for Ed25519, which hashes by itself.
        6 | 8 => Hash::Sha512,
        _ => return None,
    };
    let milliseconds = u64::from_be_bytes(time.try_into().ok()?);
    let second = i64::try_from(milliseconds / 1000).ok()?;
    let log = root
        .certificate_logs
        .iter()
        .find(|log| log.id == id && log.is_valid_at(second))?;
    let length = u32::try_from(logged.len()).ok()?.to_be_bytes();
    let signed = [
        version,
        &[0],
        time,
        &[0, 1],
        &issuer.key_hash(),
        length.get(1..)?,
        logged,
        &u16::try_from(extensions.len()).ok()?.to_be_bytes(),
        extensions,
    ]
    .concat();
    (version == [0] && log.key.verify(hash, &signed, signature)).then_some(())
}
