//! What responders of OCSP are asked and answer.

use jiff::Timestamp;
use sha1::{Digest as _, Sha1};

use super::{INVALIDITY_DATE, RevocationError, SKEW, Status, extensions, nanosecond, was_good};
use crate::der;
use crate::key::Hash;
use crate::timestamp::time_of;
use crate::x509::{Certificate, OCSP_SIGNING, verify_with};

const ENUMERATED: u8 = 0x0a;
const SHA1: &[u8] = &[0x2b, 0x0e, 0x03, 0x02, 0x1a];
/// `id-pkix-ocsp-basic`.
const BASIC: &[u8] = &[0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x30, 0x01, 0x01];

/// Asks about a certificate. SHA-1 only names the issuer here; it is what all responders know.
pub(super) fn request(certificate: &Certificate, issuer: &Certificate) -> Vec<u8> {
    let algorithm = der::encode(der::SEQUENCE, &[&der::encode(der::OID, &[SHA1]), &[0x05, 0]]);
    let octets = |bytes: &[u8]| der::encode(der::OCTET_STRING, &[bytes]);
    let id = [
        algorithm,
        octets(&Sha1::digest(issuer.subject())),
        octets(&Sha1::digest(issuer.key_bits().unwrap_or_default())),
        der::encode(der::INTEGER, &[certificate.serial()]),
    ];
    // CertID, Request, requestList, TBSRequest, OCSPRequest.
    let id = der::encode(der::SEQUENCE, &[&id.concat()]);
    (0..4).fold(id, |inner, _| der::encode(der::SEQUENCE, &[&inner]))
}

/// What an answer says of a certificate.
pub(super) fn judge(
    response: &[u8],
    certificate: &Certificate,
    issuer: &Certificate,
    signed: Option<Timestamp>,
    now: Timestamp,
) -> Result<Status, RevocationError> {
    const MALFORMED: RevocationError = RevocationError::Malformed;
    let answer = Answer::parse(basic(response)?).ok_or(MALFORMED)?;
    let singles = answer.singles().ok_or(MALFORMED)?;
    let single = singles
        .iter()
        .find(|single| single.serial == certificate.serial());
    let single = single.ok_or(RevocationError::OtherCertificate)?;
    if !answer.is_signed_for(issuer, now) {
        return Err(RevocationError::Signature);
    }
    if !single.is_of(issuer) {
        return Err(RevocationError::OtherCertificate);
    }
    let mut invalid_since = None;
    for extension in extensions(single.extensions).ok_or(MALFORMED)? {
        if extension.is_critical {
            return Err(RevocationError::Critical);
        }
        if extension.oid == INVALIDITY_DATE {
            invalid_since = nanosecond(extension.value);
        }
    }
    let second = now.as_second();
    // Who does not say when there will be news says that there are some now.
    let is_over = single.until.is_none_or(|until| second > until);
    if is_over || single.since > second + SKEW {
        return Err(RevocationError::Time);
    }
    let is_good = single.status == Status::Revoked && was_good(invalid_since, signed);
    Ok(if is_good { Status::Good } else { single.status })
}

/// The `BasicOCSPResponse` of a response that is one.
fn basic(response: &[u8]) -> Result<&[u8], RevocationError> {
    let read = || {
        let mut fields = der::whole(response, der::SEQUENCE)?.content;
        let status = der::take_tag(&mut fields, ENUMERATED)?.content;
        let [status] = status else { return None };
        if *status != 0 {
            return Some(Err(RevocationError::Responder(*status)));
        }
        let mut inner = der::whole(der::whole(fields, 0xa0)?.content, der::SEQUENCE)?.content;
        let kind = der::take_tag(&mut inner, der::OID)?.content;
        let content = der::whole(inner, der::OCTET_STRING)?.content;
        (kind == BASIC).then_some(Ok(content))
    };
    read().unwrap_or(Err(RevocationError::Malformed))
}

/// A `BasicOCSPResponse`.
struct Answer<'a> {
    signed: &'a [u8],
    algorithm: &'a [u8],
    signature: &'a [u8],
    /// Of whoever signed, if it is not the issuer itself. There may be others after it, which do not matter.
    responder: Option<&'a [u8]>,
    singles: &'a [u8],
}

impl<'a> Answer<'a> {
    fn parse(basic: &'a [u8]) -> Option<Self> {
        let mut fields = der::whole(basic, der::SEQUENCE)?.content;
        let data = der::take_tag(&mut fields, der::SEQUENCE)?;
        let algorithm = der::take_tag(&mut fields, der::SEQUENCE)?.content;
        let signature = der::bit_string(der::take_tag(&mut fields, der::BIT_STRING)?.content)?;
        let responder = match der::take_tag(&mut fields, 0xa0) {
            Some(all) => {
                let certificates = der::children(der::whole(all.content, der::SEQUENCE)?.content)?;
                certificates.first().map(|first| first.raw)
            }
            None => None,
        };
        let mut inner = data.content;
        der::take_tag(&mut inner, 0xa0);
        // By name or by the hash of the key.
        der::take_tag(&mut inner, 0xa1).or_else(|| der::take_tag(&mut inner, 0xa2))?;
        time_of(der::take_tag(&mut inner, der::GENERALIZED_TIME)?.content)?;
        Some(Self {
            signed: data.raw,
            algorithm,
            signature,
            responder,
            singles: der::take_tag(&mut inner, der::SEQUENCE)?.content,
        })
    }

    fn singles(&self) -> Option<Vec<Single<'a>>> {
        der::children(self.singles)?
            .into_iter()
            .map(|single| Single::parse(single.content))
            .collect()
    }

    /// Whether the issuer signed, or one whom it has made for that.
    fn is_signed_for(&self, issuer: &Certificate, now: Timestamp) -> bool {
        let is_signed_by = |signer: &Certificate| {
            verify_with(&signer.key, self.algorithm, self.signed, self.signature).is_some()
        };
        let Some(responder) = self.responder.filter(|responder| *responder != issuer.der) else {
            return is_signed_by(issuer);
        };
        let Ok(responder) = Certificate::from_der(responder) else {
            return false;
        };
        responder.is_issued_by(issuer)
            && responder.is_made_for(OCSP_SIGNING)
            && responder.is_valid_at(now.as_second())
            && is_signed_by(&responder)
    }
}

/// A `SingleResponse`.
struct Single<'a> {
    hash: &'a [u8],
    name: &'a [u8],
    key: &'a [u8],
    serial: &'a [u8],
    status: Status,
    since: i64,
    until: Option<i64>,
    extensions: &'a [u8],
}

impl<'a> Single<'a> {
    fn parse(mut fields: &'a [u8]) -> Option<Self> {
        let mut id = der::take_tag(&mut fields, der::SEQUENCE)?.content;
        let mut algorithm = der::take_tag(&mut id, der::SEQUENCE)?.content;
        let hash = der::take_tag(&mut algorithm, der::OID)?.content;
        let name = der::take_tag(&mut id, der::OCTET_STRING)?.content;
        let key = der::take_tag(&mut id, der::OCTET_STRING)?.content;
        let serial = der::whole(id, der::INTEGER)?.content;
        // Upstream's libraries leave the status out where a certificate was revoked at no time, and take that for revoked.
        let status = if der::take_tag(&mut fields, 0x80).is_some() {
            Status::Good
        } else if der::take_tag(&mut fields, 0x82).is_some() {
            Status::Unknown
        } else {
            der::take_tag(&mut fields, 0xa1);
            Status::Revoked
        };
        let (since, _) = time_of(der::take_tag(&mut fields, der::GENERALIZED_TIME)?.content)?;
        let until = match der::take_tag(&mut fields, 0xa0) {
            Some(until) => Some(time_of(der::whole(until.content, der::GENERALIZED_TIME)?.content)?.0),
            None => None,
        };
        let extensions = match der::take_tag(&mut fields, 0xa1) {
            Some(extensions) => der::whole(extensions.content, der::SEQUENCE)?.content,
            None => &[],
        };
        fields.is_empty().then_some(Self {
            hash,
            name,
            key,
            serial,
            status,
            since,
            until,
            extensions,
        })
    }

    /// Whether this is about a certificate of that issuer.
    fn is_of(&self, issuer: &Certificate) -> bool {
        let digest = |data: &[u8]| match Hash::from_oid(self.hash) {
            Some(hash) => Some(hash.digest(data)),
            None => (self.hash == SHA1).then(|| Sha1::digest(data).to_vec()),
        };
        let key = issuer.key_bits().and_then(digest);
        digest(issuer.subject()).as_deref() == Some(self.name) && key.as_deref() == Some(self.key)
    }
}
