//! Lists of revoked certificates, and lists of changes to them.

use jiff::Timestamp;

use super::{
    FRESHEST, INVALIDITY_DATE, RevocationError, SKEW, Status, distribution_points, extensions, nanosecond,
    was_good,
};
use crate::der;
use crate::timestamp::time_of;
use crate::x509::{Certificate, verify_with};

const ENUMERATED: u8 = 0x0a;
const UTC_TIME: u8 = 0x17;
const REASON: &[u8] = &[0x55, 0x1d, 0x15];
const NUMBER: &[u8] = &[0x55, 0x1d, 0x14];
const DELTA_INDICATOR: &[u8] = &[0x55, 0x1d, 0x1b];
/// Which certificates the list is about. As all lists that a certificate names are looked at, it need not be.
const SCOPE: &[u8] = &[0x55, 0x1d, 0x1c];

/// Why a certificate is not to be used for a time (RFC 5280 section 5.3.1).
const HOLD: u8 = 6;
/// Why it may be used again.
const REMOVED: u8 = 8;

/// A list of revoked certificates.
#[derive(Debug)]
pub struct List<'a> {
    signed: &'a [u8],
    algorithm: &'a [u8],
    signature: &'a [u8],
    since: i64,
    until: Option<i64>,
    entries: &'a [u8],
    number: Option<&'a [u8]>,
    /// The number of the oldest list that these changes are about.
    changes_since: Option<&'a [u8]>,
    /// Where changes to this list are found.
    changes: Vec<String>,
    has_unknown_critical: bool,
}

impl<'a> List<'a> {
    /// Reads a list (DER).
    ///
    /// # Errors
    /// When it is malformed.
    pub fn parse(der: &'a [u8]) -> Result<Self, RevocationError> {
        Self::read(der).ok_or(RevocationError::Malformed)
    }

    fn read(der: &'a [u8]) -> Option<Self> {
        let mut outer = der::whole(der, der::SEQUENCE)?.content;
        let signed = der::take_tag(&mut outer, der::SEQUENCE)?;
        let algorithm = der::take_tag(&mut outer, der::SEQUENCE)?.content;
        let signature = der::bit_string(der::whole(outer, der::BIT_STRING)?.content)?;
        let mut fields = signed.content;
        let version = der::take_tag(&mut fields, der::INTEGER)?.content;
        let inner = der::take_tag(&mut fields, der::SEQUENCE)?.content;
        (version == [1] && inner == algorithm).then_some(())?;
        der::take_tag(&mut fields, der::SEQUENCE)?;
        let since = time(&mut fields)?;
        let has_end = matches!(fields.first(), Some(&(UTC_TIME | der::GENERALIZED_TIME)));
        let until = if has_end { Some(time(&mut fields)?) } else { None };
        let entries = der::take_tag(&mut fields, der::SEQUENCE).map_or(&[][..], |it| it.content);
        let mut list = Self {
            signed: signed.raw,
            algorithm,
            signature,
            since,
            until,
            entries,
            number: None,
            changes_since: None,
            changes: Vec::new(),
            has_unknown_critical: false,
        };
        if let Some(all) = der::take_tag(&mut fields, 0xa0) {
            list.take_extensions(der::whole(all.content, der::SEQUENCE)?.content)?;
        }
        fields.is_empty().then_some(list)
    }

    fn take_extensions(&mut self, all: &'a [u8]) -> Option<()> {
        let number = |value| der::unsigned(der::whole(value, der::INTEGER)?.content);
        for extension in extensions(all)? {
            match extension.oid {
                NUMBER => self.number = Some(number(extension.value)?),
                DELTA_INDICATOR => self.changes_since = Some(number(extension.value)?),
                FRESHEST => self.changes = distribution_points(extension.value)?,
                _ => {}
            }
            let is_known = [DELTA_INDICATOR, SCOPE].contains(&extension.oid);
            self.has_unknown_critical |= extension.is_critical && !is_known;
        }
        Some(())
    }

    /// Where changes to this list are found; one of these addresses suffices.
    #[must_use]
    pub fn changes(&self) -> &[String] {
        &self.changes
    }

    /// Whether the list is the issuer's, and counts now.
    fn check(&self, issuer: &Certificate, now: i64) -> Result<(), RevocationError> {
        let is_signed = issuer.may_sign_lists()
            && verify_with(&issuer.key, self.algorithm, self.signed, self.signature).is_some();
        if !is_signed {
            return Err(RevocationError::Signature);
        }
        let is_over = self.until.is_none_or(|until| now > until);
        if is_over || self.since > now + SKEW {
            return Err(RevocationError::Time);
        }
        if self.has_unknown_critical {
            return Err(RevocationError::Critical);
        }
        Ok(())
    }

    /// Whether these are changes to `base`.
    fn is_about(&self, base: &Self) -> bool {
        let (Some(number), Some(of_base), Some(since)) = (self.number, base.number, self.changes_since)
        else {
            return false;
        };
        let size = |number: &[u8]| number.len();
        let is_less = |a: &[u8], b: &[u8]| (size(a), a) < (size(b), b);
        is_less(of_base, number) && !is_less(of_base, since)
    }
}

/// What lists say of a certificate.
pub(super) fn judge(
    base: &List<'_>,
    changes: Option<&List<'_>>,
    certificate: &Certificate,
    issuer: &Certificate,
    signed: Option<Timestamp>,
    now: Timestamp,
) -> Result<Status, RevocationError> {
    base.check(issuer, now.as_second())?;
    if base.changes_since.is_some() {
        return Err(RevocationError::Changes);
    }
    if let Some(changes) = changes {
        changes.check(issuer, now.as_second())?;
        if !changes.is_about(base) {
            return Err(RevocationError::Changes);
        }
    }
    // What holds for a time is what was said last.
    let mut last: Option<Entry<'_>> = None;
    for list in [Some(base), changes].into_iter().flatten() {
        let mut entries = list.entries;
        while !entries.is_empty() {
            let entry = Entry::take(&mut entries).ok_or(RevocationError::Malformed)?;
            if entry.serial != certificate.serial() {
                continue;
            }
            let (reason, invalid_since) = entry.said()?;
            if was_good(invalid_since, signed) {
                return Ok(Status::Good);
            }
            if !matches!(reason, Some(HOLD | REMOVED)) {
                return Ok(Status::Revoked);
            }
            if last.as_ref().is_none_or(|last| last.second < entry.second) {
                last = Some(Entry { reason, ..entry });
            }
        }
    }
    let is_held = last.is_some_and(|last| last.reason == Some(HOLD));
    Ok(if is_held { Status::Revoked } else { Status::Good })
}

/// A certificate that is revoked.
struct Entry<'a> {
    serial: &'a [u8],
    second: i64,
    extensions: &'a [u8],
    reason: Option<u8>,
}

impl<'a> Entry<'a> {
    fn take(entries: &mut &'a [u8]) -> Option<Self> {
        let mut fields = der::take_tag(entries, der::SEQUENCE)?.content;
        let serial = der::take_tag(&mut fields, der::INTEGER)?.content;
        let second = time(&mut fields)?;
        let extensions = der::take_tag(&mut fields, der::SEQUENCE).map_or(&[][..], |it| it.content);
        fields.is_empty().then_some(Self {
            serial,
            second,
            extensions,
            reason: None,
        })
    }

    /// Why it is revoked, and since when it is invalid.
    fn said(&self) -> Result<(Option<u8>, Option<i128>), RevocationError> {
        const MALFORMED: RevocationError = RevocationError::Malformed;
        let (mut reason, mut invalid_since) = (None, None);
        for extension in extensions(self.extensions).ok_or(MALFORMED)? {
            if extension.oid == INVALIDITY_DATE {
                invalid_since = Some(nanosecond(extension.value).ok_or(MALFORMED)?);
                continue;
            }
            if extension.is_critical {
                return Err(RevocationError::Critical);
            }
            if extension.oid == REASON {
                let value = der::whole(extension.value, ENUMERATED).ok_or(MALFORMED)?.content;
                let [code] = value else { return Err(MALFORMED) };
                reason = Some(*code);
            }
        }
        Ok((reason, invalid_since))
    }
}

/// Takes a time, to the second.
fn time(input: &mut &[u8]) -> Option<i64> {
    let time = der::take(input)?;
    match (time.tag, time.content) {
        (der::GENERALIZED_TIME, text) => time_of(text).map(|(second, _)| second),
        (UTC_TIME, [decade @ b'0'..=b'9', ..]) => {
            // The century is the one in which the year is 1950 to 2049.
            let century: &[u8] = if *decade < b'5' { b"20" } else { b"19" };
            time_of(&[century, time.content].concat()).map(|(second, _)| second)
        }
        _ => None,
    }
}
