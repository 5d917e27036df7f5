//! Timestamps that an authority has signed (RFC 3161): that a signature existed at a time.

use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use super::root::{Authority, TrustedRoot};
use crate::der::{self, Tlv};
use crate::key::Hash;
use crate::x509::{Certificate, TIME_STAMPING, chain, verify_with};

/// How many timestamps are looked at, as upstream.
const MAX_TIMESTAMPS: usize = 32;
/// How many certificates a timestamp may bring along.
const MAX_CERTIFICATES: usize = 16;

const SIGNED_DATA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07, 0x02];
const TIMESTAMP_INFO: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x10, 0x01, 0x04];
const CONTENT_TYPE: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x03];
const MESSAGE_DIGEST: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x04];
/// RSA with the hash function that is named apart.
const RSA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01];

/// The first time at which one of the root's authorities saw `signature`, by the first of `responses` that holds.
pub(super) fn verify(root: &TrustedRoot, signature: &[u8], responses: &[Vec<u8>]) -> Option<i64> {
    let responses = responses.iter().take(MAX_TIMESTAMPS);
    responses.into_iter().find_map(|response| {
        let token = Token::parse(response)?;
        let info = Info::parse(token.content)?;
        let is_about = info.hash.digest(signature) == info.digest;
        let is_trusted = |authority: &Authority| token.is_from(authority, info.second);
        (is_about && root.timestamp_authorities.iter().any(is_trusted)).then_some(info.second)
    })
}

/// What an authority signed, with its signature.
struct Token<'a> {
    /// The encoded [`Info`].
    content: &'a [u8],
    certificates: Vec<Certificate>,
    issuer: &'a [u8],
    serial: &'a [u8],
    hash: Hash,
    /// The attributes that the signature is over, as a set.
    attributes: Vec<u8>,
    algorithm: &'a [u8],
    signature: &'a [u8],
}

impl<'a> Token<'a> {
    /// Reads a response that grants a timestamp.
    fn parse(response: &'a [u8]) -> Option<Self> {
        let mut response = der::whole(response, der::SEQUENCE)?.content;
        let mut status = der::take_tag(&mut response, der::SEQUENCE)?.content;
        let status = der::take_tag(&mut status, der::INTEGER)?.content;
        // Granted, or granted with modifications.
        if !matches!(status, [0 | 1]) {
            return None;
        }
        let mut content = der::whole(response, der::SEQUENCE)?.content;
        let kind = der::take_tag(&mut content, der::OID)?.content;
        let signed = der::whole(der::whole(content, 0xa0)?.content, der::SEQUENCE)?.content;
        (kind == SIGNED_DATA).then_some(())?;
        Self::parse_signed(signed)
    }

    /// Reads a `SignedData` (RFC 5652 section 5.1).
    fn parse_signed(mut signed: &'a [u8]) -> Option<Self> {
        der::take_tag(&mut signed, der::INTEGER)?;
        der::take_tag(&mut signed, der::SET)?;
        let mut enclosed = der::take_tag(&mut signed, der::SEQUENCE)?.content;
        if der::take_tag(&mut enclosed, der::OID)?.content != TIMESTAMP_INFO {
            return None;
        }
        let content = der::whole(der::whole(enclosed, 0xa0)?.content, der::OCTET_STRING)?.content;
        let certificates = match der::take_tag(&mut signed, 0xa0) {
            Some(list) => der::children(list.content)?,
            None => Vec::new(),
        };
        der::take_tag(&mut signed, 0xa1);
        let signer = der::whole(der::whole(signed, der::SET)?.content, der::SEQUENCE)?;
        Self::parse_signer(signer.content, content, &certificates)
    }

    fn parse_signer(mut signer: &'a [u8], content: &'a [u8], certificates: &[Tlv<'_>]) -> Option<Self> {
        der::take_tag(&mut signer, der::INTEGER)?;
        let mut name = der::take_tag(&mut signer, der::SEQUENCE)?.content;
        let issuer = der::take_tag(&mut name, der::SEQUENCE)?.raw;
        let serial = der::whole(name, der::INTEGER)?.content;
        let hash = hash(der::take_tag(&mut signer, der::SEQUENCE)?.content)?;
        let attributes = der::take_tag(&mut signer, 0xa0)?.content;
        let algorithm = der::take_tag(&mut signer, der::SEQUENCE)?.content;
        let signature = der::take_tag(&mut signer, der::OCTET_STRING)?.content;
        let value = |name| attribute(attributes, name);
        let kind = der::whole(value(CONTENT_TYPE)?, der::OID)?.content;
        let digest = der::whole(value(MESSAGE_DIGEST)?, der::OCTET_STRING)?.content;
        (kind == TIMESTAMP_INFO && digest == hash.digest(content)).then_some(())?;
        let certificates = certificates.iter().take(MAX_CERTIFICATES);
        Some(Self {
            content,
            // Of kinds that are not supported, as of what else is no certificate, none can be the signer's.
            certificates: certificates
                .filter_map(|it| Certificate::from_der(it.raw).ok())
                .collect(),
            issuer,
            serial,
            hash,
            attributes: der::encode(der::SET, &[attributes]),
            algorithm,
            signature,
        })
    }

    /// Whether this authority signed the token, and was to be trusted at `second`.
    fn is_from(&self, authority: &Authority, second: i64) -> bool {
        let (roots, own) = authority.root();
        let pinned = own.first().filter(|first| !first.is_ca);
        let known = own.iter().chain(&self.certificates);
        let is_signer = |it: &&Certificate| it.is_numbered(self.issuer, self.serial);
        let Some(signer) = known.into_iter().find(is_signer) else {
            return false;
        };
        let intermediates = [own, &self.certificates].concat();
        authority.is_valid_at(second)
            && pinned.is_none_or(|pinned| pinned == signer)
            && signer.is_only_for(TIME_STAMPING)
            && self.is_signed_by(signer).is_some()
            && chain(signer, &intermediates, roots, second, TIME_STAMPING).is_ok()
    }

    fn is_signed_by(&self, signer: &Certificate) -> Option<()> {
        let oid = der::take_tag(&mut { self.algorithm }, der::OID)?.content;
        if oid != RSA {
            return verify_with(&signer.key, self.algorithm, &self.attributes, self.signature);
        }
        let is_good =
            signer.key.rsa_bits().is_some() && signer.key.verify(self.hash, &self.attributes, self.signature);
        is_good.then_some(())
    }
}

/// The value of an attribute that is there once and has one.
fn attribute<'a>(attributes: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let mut found = None;
    for attribute in der::children(attributes)? {
        let mut fields = attribute.content;
        if der::take_tag(&mut fields, der::OID)?.content == name {
            let value = der::whole(fields, der::SET)?.content;
            found.is_none().then_some(())?;
            found = Some(value);
        }
    }
    found
}

/// What a timestamp says (`TSTInfo`).
struct Info<'a> {
    hash: Hash,
    /// The hash of what was there at the time.
    digest: &'a [u8],
    second: i64,
}

impl<'a> Info<'a> {
    fn parse(content: &'a [u8]) -> Option<Self> {
        let mut fields = der::whole(content, der::SEQUENCE)?.content;
        let version = der::take_tag(&mut fields, der::INTEGER)?.content;
        der::take_tag(&mut fields, der::OID)?;
        let mut imprint = der::take_tag(&mut fields, der::SEQUENCE)?.content;
        let hash = hash(der::take_tag(&mut imprint, der::SEQUENCE)?.content)?;
        let digest = der::whole(imprint, der::OCTET_STRING)?.content;
        der::take_tag(&mut fields, der::INTEGER)?;
        let time = der::take_tag(&mut fields, der::GENERALIZED_TIME)?.content;
        (version == [1]).then_some(Self {
            hash,
            digest,
            second: second(time)?,
        })
    }
}

/// The hash function that an `AlgorithmIdentifier` names.
fn hash(algorithm: &[u8]) -> Option<Hash> {
    Hash::from_oid(der::take_tag(&mut { algorithm }, der::OID)?.content)
}

/// A time in UTC; fractions of seconds are left out.
fn second(text: &[u8]) -> Option<i64> {
    let text = std::str::from_utf8(text).ok()?.strip_suffix('Z')?;
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|it| it.is_ascii_digit());
    if whole.len() != 14 || !is_number(whole) || !is_number(fraction) {
        return None;
    }
    let time = DateTime::strptime("%Y%m%d%H%M%S", whole).ok()?;
    Some(time.to_zoned(TimeZone::UTC).ok()?.timestamp().as_second())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn second_reads_utc_only() {
        assert_eq!(second(b"20260102030405Z"), Some(1_767_323_045));
        assert_eq!(second(b"20260102030405.999Z"), Some(1_767_323_045));
        for bad in [
            "20260102030405",
            "20260102030405+0100",
            "202601020304Z",
            "20261302030405Z",
            "20260102030405.Z",
            "2026010203040 Z",
            "Z",
        ] {
            assert_eq!(second(bad.as_bytes()), None, "{bad}");
        }
    }

    #[test]
    fn responses_that_are_cut_off_or_refused_are_none() {
        let refused = der::encode(
            der::SEQUENCE,
            &[&der::encode(der::SEQUENCE, &[&[der::INTEGER, 1, 2]])],
        );
        for bad in [&[][..], &[0x30], &refused] {
            assert!(Token::parse(bad).is_none());
        }
    }
}
