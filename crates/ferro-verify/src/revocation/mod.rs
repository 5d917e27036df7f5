//! Whether certificates are revoked: what responders of OCSP (RFC 6960) and lists of revoked certificates (RFC 5280) say.
//!
//! Who calls asks them; here is made what they are asked, and judged what they answer. The reference is notation-core-go 1.3: responders first,
//! lists where these cannot tell, all of them. More than there, and as the RFCs have it:
//!
//! * An answer must be about the issuer of the certificate, not only about its number.
//! * Who answers for an issuer must be made for that, and valid now.
//! * What is from the future does not count, nor does a list of changes where a whole one is expected.

mod list;
mod online;

use jiff::Timestamp;

use crate::der;
use crate::x509::Certificate;

pub use list::List;

/// By how many seconds the clock of a server may be ahead.
const SKEW: i64 = 300;
/// The most addresses of a certificate that are asked.
pub const MAX_ADDRESSES: usize = 16;

/// When a key or certificate became invalid (RFC 5280 section 5.3.2).
const INVALIDITY_DATE: &[u8] = &[0x55, 0x1d, 0x18];
/// Where the list of changes is (RFC 5280 sections 4.2.1.15 and 5.2.6).
const FRESHEST: &[u8] = &[0x55, 0x1d, 0x2e];

/// What is known of a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// It is not revoked.
    Good,
    /// It is revoked.
    Revoked,
    /// It cannot be told.
    Unknown,
}

/// Why an answer does not count.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RevocationError {
    /// It cannot be read.
    #[error("it is malformed")]
    Malformed,
    /// The responder does not answer the question.
    #[error("the responder answers with error {0}")]
    Responder(u8),
    /// It is about something else.
    #[error("it is not about the certificate")]
    OtherCertificate,
    /// Nobody who may has signed it.
    #[error("it is not signed by the issuer of the certificate, or for it")]
    Signature,
    /// It is too old, from the future, or does not say how long it counts.
    #[error("it does not count at this time")]
    Time,
    /// It says something that must be understood.
    #[error("it has a critical extension that is not supported")]
    Critical,
    /// Lists do not belong together.
    #[error("the list of changes does not belong to the list")]
    Changes,
    /// It is the list of changes that is missing.
    #[error("the list of changes that the certificate names is not supported")]
    ChangesByCertificate,
}

/// A certificate and its issuer.
#[derive(Debug, Clone)]
pub struct Link {
    certificate: Certificate,
    issuer: Certificate,
    responders: Vec<String>,
    lists: Vec<String>,
}

impl Link {
    /// `None` if what the certificate says of revocation is malformed.
    pub(crate) fn new(certificate: &Certificate, issuer: &Certificate) -> Option<Self> {
        let lists = match certificate.extension(DISTRIBUTION_POINTS) {
            Some(points) => distribution_points(points)?,
            None => Vec::new(),
        };
        let responders = match certificate.extension(AUTHORITY_ACCESS) {
            Some(access) => responders(access)?,
            None => Vec::new(),
        };
        Some(Self {
            certificate: certificate.clone(),
            issuer: issuer.clone(),
            responders,
            lists,
        })
    }

    /// Whether there is anybody who knows whether the certificate is revoked.
    pub(crate) fn is_revocable(&self) -> bool {
        !self.responders.is_empty() || !self.lists.is_empty()
    }

    /// The addresses of responders, to be asked in this order until one knows the certificate or says that it does not.
    #[must_use]
    pub fn responders(&self) -> &[String] {
        &self.responders
    }

    /// The addresses of lists, all of which must be looked at.
    #[must_use]
    pub fn lists(&self) -> &[String] {
        &self.lists
    }

    /// What a responder is asked (`OCSPRequest`, DER).
    #[must_use]
    pub fn request(&self) -> Vec<u8> {
        online::request(&self.certificate, &self.issuer)
    }

    /// What a responder answers (`OCSPResponse`, DER). A certificate that became invalid after `signed` counts as good.
    ///
    /// # Errors
    /// When the answer does not count.
    pub fn judge_response(
        &self,
        response: &[u8],
        signed: Option<Timestamp>,
        now: Timestamp,
    ) -> Result<Status, RevocationError> {
        online::judge(response, &self.certificate, &self.issuer, signed, now)
    }

    /// What a list says, with the changes to it where it names such. As [`Link::judge_response`].
    ///
    /// # Errors
    /// When a list does not count.
    pub fn judge_list(
        &self,
        list: &List<'_>,
        changes: Option<&List<'_>>,
        signed: Option<Timestamp>,
        now: Timestamp,
    ) -> Result<Status, RevocationError> {
        if self.certificate.extension(FRESHEST).is_some() && changes.is_none() {
            return Err(RevocationError::ChangesByCertificate);
        }
        list::judge(list, changes, &self.certificate, &self.issuer, signed, now)
    }

    /// The subject of the certificate, for messages.
    pub(crate) fn subject(&self) -> String {
        let mut attributes = self.certificate.subject_attributes().unwrap_or_default();
        attributes.reverse();
        let attributes = attributes
            .into_iter()
            .map(|(name, value)| format!("{name}={value}"));
        attributes.collect::<Vec<_>>().join(",")
    }
}

const DISTRIBUTION_POINTS: &[u8] = &[0x55, 0x1d, 0x1f];
const AUTHORITY_ACCESS: &[u8] = &[0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x01, 0x01];
/// `id-ad-ocsp`.
const OCSP: &[u8] = &[0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x30, 0x01];
/// A name that is a URI.
const URI: u8 = 0x86;

/// The addresses of `CRLDistributionPoints`; points that are named otherwise have none.
fn distribution_points(points: &[u8]) -> Option<Vec<String>> {
    let mut addresses = Vec::new();
    for point in der::children(der::whole(points, der::SEQUENCE)?.content)? {
        let mut fields = (point.tag == der::SEQUENCE).then_some(point.content)?;
        let Some(mut name) = der::take_tag(&mut fields, 0xa0).map(|name| name.content) else {
            continue;
        };
        let Some(full) = der::take_tag(&mut name, 0xa0) else {
            // A name relative to that of the issuer.
            der::take_tag(&mut name, 0xa1)?;
            continue;
        };
        let names = der::children(full.content)?;
        for name in names.iter().take_while(|name| name.tag == URI) {
            addresses.push(String::from_utf8(name.content.to_vec()).ok()?);
        }
    }
    Some(addresses)
}

/// The addresses of responders in an `AuthorityInfoAccessSyntax`.
fn responders(access: &[u8]) -> Option<Vec<String>> {
    let mut addresses = Vec::new();
    for description in der::children(der::whole(access, der::SEQUENCE)?.content)? {
        let mut fields = description.content;
        let method = der::take_tag(&mut fields, der::OID)?.content;
        let place = der::take(&mut fields)?;
        if method == OCSP && place.tag == URI {
            addresses.push(String::from_utf8(place.content.to_vec()).ok()?);
        }
    }
    Some(addresses)
}

/// An extension: its OID, whether it is critical, its value.
struct Extension<'a> {
    oid: &'a [u8],
    is_critical: bool,
    value: &'a [u8],
}

/// The extensions of a `SEQUENCE OF Extension`.
fn extensions(list: &[u8]) -> Option<Vec<Extension<'_>>> {
    const BOOLEAN: u8 = 0x01;
    let mut found = Vec::new();
    for extension in der::children(list)? {
        let mut fields = (extension.tag == der::SEQUENCE).then_some(extension.content)?;
        let oid = der::take_tag(&mut fields, der::OID)?.content;
        let is_critical = der::take_tag(&mut fields, BOOLEAN).is_some_and(|it| it.content != [0]);
        let value = der::whole(fields, der::OCTET_STRING)?.content;
        found.push(Extension {
            oid,
            is_critical,
            value,
        });
    }
    Some(found)
}

/// Whether a certificate that is invalid since then was still good when it signed.
fn was_good(invalid_since: Option<i128>, signed: Option<Timestamp>) -> bool {
    let signed = signed.map(|signed| signed.as_nanosecond());
    matches!((invalid_since, signed), (Some(since), Some(signed)) if signed < since)
}

/// The nanosecond of a `GeneralizedTime` that is a value of its own.
fn nanosecond(value: &[u8]) -> Option<i128> {
    let (second, fraction) = crate::timestamp::time_of(der::whole(value, der::GENERALIZED_TIME)?.content)?;
    Some(i128::from(second) * 1_000_000_000 + fraction)
}
