//! Timestamps that an authority has signed (RFC 3161): that something existed at a time.

use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use crate::der::{self, Tlv};
use crate::key::Hash;
use crate::x509::{Certificate, TIME_STAMPING, verify_with};

/// How many certificates a timestamp may bring along.
const MAX_CERTIFICATES: usize = 16;

const SIGNED_DATA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07, 0x02];
const TIMESTAMP_INFO: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x10, 0x01, 0x04];
const CONTENT_TYPE: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x03];
const MESSAGE_DIGEST: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x04];
/// Which certificate is the signer's (RFC 5816).
const SIGNING_CERTIFICATE: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x10, 0x02, 0x2f];
/// A policy of timestamps that are good to the second (ETSI EN 319 421).
const BASELINE: &[u8] = &[0x04, 0x00, 0x8f, 0x67, 0x01, 0x01];
/// RSA with the hash function that is named apart.
const RSA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01];

/// What an authority signed, with its signature.
pub(crate) struct Token<'a> {
    /// The encoded [`Info`].
    pub(crate) content: &'a [u8],
    /// Those that it brings along.
    pub(crate) certificates: Vec<Certificate>,
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
    pub(crate) fn parse(response: &'a [u8]) -> Option<Self> {
        let mut response = der::whole(response, der::SEQUENCE)?.content;
        let mut status = der::take_tag(&mut response, der::SEQUENCE)?.content;
        let status = der::take_tag(&mut status, der::INTEGER)?.content;
        // Granted, or granted with modifications.
        if !matches!(status, [0 | 1]) {
            return None;
        }
        Self::parse_alone(response)
    }

    /// Reads a timestamp without the response that it came with.
    pub(crate) fn parse_alone(token: &'a [u8]) -> Option<Self> {
        let mut content = der::whole(token, der::SEQUENCE)?.content;
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

    /// The certificate of whoever signed the token, of those that are known and those that it brings along; it is for timestamps only.
    pub(crate) fn signer<'c>(&'c self, known: &'c [Certificate]) -> Option<&'c Certificate> {
        let mut all = known.iter().chain(&self.certificates);
        let signer = all.find(|it| it.is_numbered(self.issuer, self.serial))?;
        let is_good = signer.is_only_for(TIME_STAMPING) && self.is_signed_by(signer).is_some();
        is_good.then_some(signer)
    }

    /// Whether what is signed names this certificate as the signer's, by its digest.
    pub(crate) fn names(&self, signer: &Certificate) -> Option<bool> {
        let attributes = der::whole(&self.attributes, der::SET)?.content;
        let named = der::whole(attribute(attributes, SIGNING_CERTIFICATE)?, der::SEQUENCE)?.content;
        let first = der::take_tag(&mut { named }, der::SEQUENCE)?.content;
        let mut first = der::take_tag(&mut { first }, der::SEQUENCE)?.content;
        let hash = match der::take_tag(&mut first, der::SEQUENCE) {
            Some(algorithm) => hash(algorithm.content)?,
            None => Hash::Sha256,
        };
        let digest = der::take_tag(&mut first, der::OCTET_STRING)?.content;
        Some(hash.digest(&signer.der) == digest)
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
pub(crate) struct Info<'a> {
    hash: Hash,
    /// The hash of what was there at the time.
    digest: &'a [u8],
    /// The time, without fractions.
    pub(crate) second: i64,
    /// The time in nanoseconds, and by how many it may be wrong.
    pub(crate) nanoseconds: (i128, i128),
}

impl<'a> Info<'a> {
    pub(crate) fn parse(content: &'a [u8]) -> Option<Self> {
        let mut fields = der::whole(content, der::SEQUENCE)?.content;
        let version = der::take_tag(&mut fields, der::INTEGER)?.content;
        let policy = der::take_tag(&mut fields, der::OID)?.content;
        let mut imprint = der::take_tag(&mut fields, der::SEQUENCE)?.content;
        let hash = hash(der::take_tag(&mut imprint, der::SEQUENCE)?.content)?;
        let digest = der::whole(imprint, der::OCTET_STRING)?.content;
        der::take_tag(&mut fields, der::INTEGER)?;
        let time = der::take_tag(&mut fields, der::GENERALIZED_TIME)?.content;
        let (second, fraction) = time_of(time)?;
        let accuracy = match der::take_tag(&mut fields, der::SEQUENCE) {
            Some(accuracy) => nanoseconds(accuracy.content)?,
            None => 0,
        };
        let accuracy = if accuracy == 0 && policy == BASELINE {
            NANOSECONDS
        } else {
            accuracy
        };
        (version == [1]).then_some(Self {
            hash,
            digest,
            second,
            nanoseconds: (i128::from(second) * NANOSECONDS + fraction, accuracy),
        })
    }

    /// Whether this is about `data`.
    pub(crate) fn is_about(&self, data: &[u8]) -> bool {
        self.hash.digest(data) == self.digest
    }
}

const NANOSECONDS: i128 = 1_000_000_000;

/// What an `Accuracy` comes to.
fn nanoseconds(mut accuracy: &[u8]) -> Option<i128> {
    let mut sum = 0;
    for (tag, unit) in [(der::INTEGER, NANOSECONDS), (0x80, 1_000_000), (0x81, 1_000)] {
        if let Some(number) = der::take_tag(&mut accuracy, tag) {
            sum += small(number.content)? * unit;
        }
    }
    accuracy.is_empty().then_some(sum)
}

/// A number that is not negative and has four bytes at most.
fn small(bytes: &[u8]) -> Option<i128> {
    let is_small = matches!(bytes, [first, ..] if *first < 0x80) && bytes.len() <= 4;
    is_small.then(|| bytes.iter().fold(0, |sum, byte| sum << 8 | i128::from(*byte)))
}

/// The hash function that an `AlgorithmIdentifier` names.
fn hash(algorithm: &[u8]) -> Option<Hash> {
    Hash::from_oid(der::take_tag(&mut { algorithm }, der::OID)?.content)
}

/// A time in UTC: the second, and the nanoseconds after it.
pub(crate) fn time_of(text: &[u8]) -> Option<(i64, i128)> {
    let text = std::str::from_utf8(text).ok()?.strip_suffix('Z')?;
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|it| it.is_ascii_digit());
    if whole.len() != 14 || !is_number(whole) || !is_number(fraction) {
        return None;
    }
    let time = DateTime::strptime("%Y%m%d%H%M%S", whole).ok()?;
    let second = time.to_zoned(TimeZone::UTC).ok()?.timestamp().as_second();
    let nanoseconds: String = fraction.chars().chain("000000000".chars()).take(9).collect();
    Some((second, nanoseconds.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_of_reads_utc_only() {
        assert_eq!(time_of(b"20260102030405Z"), Some((1_767_323_045, 0)));
        let fraction = (1_767_323_045, 990_000_000);
        assert_eq!(time_of(b"20260102030405.99Z"), Some(fraction));
        for bad in [
            "20260102030405",
            "20260102030405+0100",
            "202601020304Z",
            "20261302030405Z",
            "20260102030405.Z",
            "2026010203040 Z",
            "Z",
        ] {
            assert_eq!(time_of(bad.as_bytes()), None, "{bad}");
        }
    }

    #[test]
    fn accuracy_is_the_sum_of_its_parts() {
        let parts = [&[2, 1, 3][..], &[0x80, 1, 5], &[0x81, 2, 1, 0]];
        assert_eq!(nanoseconds(&parts.concat()), Some(3_005_256_000));
        assert_eq!(nanoseconds(parts[1]), Some(5_000_000));
        assert_eq!(nanoseconds(&[]), Some(0));
        for bad in [&[2, 1, 0xff][..], &[2, 5, 1, 1, 1, 1, 1], &[2, 0], &[4, 1, 1]] {
            assert_eq!(nanoseconds(bad), None, "{bad:?}");
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
