//! The packets of an OpenPGP message, one at a time: what cannot be read takes none of its neighbours with it.

use pgp::crypto::hash::HashAlgorithm;
use pgp::crypto::public_key::PublicKeyAlgorithm;
use pgp::packet::{Packet, PacketParser, Signature, SignatureVersion, SubpacketData};

/// A packet, or the fact that there is one which cannot be used.
#[derive(Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "one is alive at a time, and a box cannot be matched through"
)]
pub(crate) enum Read {
    /// A packet.
    Packet(Packet),
    /// A packet of another version, with other algorithms, or malformed; signatures like that are left out.
    Unusable,
    /// What follows is not made of packets.
    Malformed,
}

/// Reads the packets of `data`. Lengths that are not known beforehand occur in messages only, not in keys and signatures.
pub(crate) fn packets(data: &[u8]) -> impl Iterator<Item = Read> + '_ {
    let mut rest = data;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let Some((packet, after)) = split(rest) else {
            rest = &[];
            return Some(Some(Read::Malformed));
        };
        rest = after;
        Some(read(packet))
    })
    .flatten()
}

fn read(packet: &[u8]) -> Option<Read> {
    match PacketParser::new(packet).next() {
        Some(Ok(Packet::Signature(signature))) if !is_supported(&signature) => None,
        Some(Ok(packet)) => Some(Read::Packet(packet)),
        Some(Err(_)) | None if is_signature(packet) => None,
        Some(Err(_)) | None => Some(Read::Unusable),
    }
}

/// Whether the header says that the packet is a signature.
fn is_signature(packet: &[u8]) -> bool {
    let tag = packet.first().copied().unwrap_or_default();
    let kind = if tag & 0x40 != 0 {
        tag & 0x3f
    } else {
        (tag >> 2) & 0x0f
    };
    kind == 2
}

/// Splits off the first packet with its header.
fn split(data: &[u8]) -> Option<(&[u8], &[u8])> {
    let byte = |at: usize| data.get(at).copied().map(usize::from);
    let many = |from: usize, count: usize| {
        (from..from + count).try_fold(0_usize, |length, at| {
            length.checked_mul(256)?.checked_add(byte(at)?)
        })
    };
    let tag = byte(0)?;
    if tag & 0x80 == 0 {
        return None;
    }
    let (header, length) = if tag & 0x40 != 0 {
        match byte(1)? {
            short @ 0..192 => (2, short),
            first @ 192..224 => (3, ((first - 192) << 8) + byte(2)? + 192),
            255 => (6, many(2, 4)?),
            _ => return None,
        }
    } else {
        match tag & 3 {
            0 => (2, many(1, 1)?),
            1 => (3, many(1, 2)?),
            2 => (5, many(1, 4)?),
            _ => return None,
        }
    };
    data.split_at_checked(length.checked_add(header)?)
}

/// Whether go-crypto reads a signature of this form; it passes over others.
fn is_supported(signature: &Signature) -> bool {
    let Some(config) = signature.config() else {
        return false;
    };
    let has_version = matches!(config.version(), SignatureVersion::V4 | SignatureVersion::V6);
    let has_algorithm = matches!(
        config.pub_alg,
        PublicKeyAlgorithm::RSA
            | PublicKeyAlgorithm::RSASign
            | PublicKeyAlgorithm::DSA
            | PublicKeyAlgorithm::ECDSA
            | PublicKeyAlgorithm::EdDSALegacy
            | PublicKeyAlgorithm::Ed25519
            | PublicKeyAlgorithm::Ed448
    );
    let has_hash = match config.hash_alg {
        HashAlgorithm::Sha1 => config.version() == SignatureVersion::V4,
        HashAlgorithm::Sha224
        | HashAlgorithm::Sha256
        | HashAlgorithm::Sha384
        | HashAlgorithm::Sha512
        | HashAlgorithm::Sha3_256
        | HashAlgorithm::Sha3_512 => true,
        _ => false,
    };
    let knows_critical = config
        .hashed_subpackets()
        .filter(|subpacket| subpacket.is_critical)
        .all(|subpacket| {
            !matches!(
                subpacket.data,
                SubpacketData::Experimental(..) | SubpacketData::Other(..)
            )
        });
    has_version && has_algorithm && has_hash && knows_critical && config.created().is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn split_reads_all_forms_of_length() {
        let body = vec![0_u8; 300];
        let with = |header: &[u8]| [header, &body, &[0xff]].concat();
        let forms: [&[u8]; 4] = [
            &[0xc0 | 13, 192, 108],
            &[0xc0 | 13, 255, 0, 0, 1, 44],
            &[0x80 | (13 << 2) | 1, 1, 44],
            &[0x80 | (13 << 2) | 2, 0, 0, 1, 44],
        ];
        for header in forms {
            let data = with(header);
            let (packet, rest) = split(&data).unwrap();
            assert_eq!((packet.len(), rest), (header.len() + 300, &[0xff][..]));
        }
        for bad in [
            &[][..],
            &[0x00, 1, 1],
            &[0xcd, 255, 255, 255, 255, 255],
            &[0xcd, 224],
            &[0x80 | 3],
            &[0xcd, 5, 1],
        ] {
            assert!(split(bad).is_none(), "{bad:?}");
        }
    }

    #[test]
    fn packets_end_at_what_is_none() {
        let mut found = packets(b"not packets");
        assert!(matches!(found.next(), Some(Read::Malformed)));
        assert!(found.next().is_none());
    }
}
