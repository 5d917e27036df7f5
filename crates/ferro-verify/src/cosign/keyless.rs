//! Keyless signatures: by a certificate that an authority gave to an identity for some minutes.

use ferro_gocompat::regexp::Regex;

use super::root::{Authority, TrustedRoot};
use super::{Refusal, sct};
use crate::der;
use crate::x509::{CODE_SIGNING, Certificate, chain};

/// The issuer of the identity, as text.
const ISSUER: &[u8] = &[0x2b, 0x06, 0x01, 0x04, 0x01, 0x83, 0xbf, 0x30, 0x01, 0x01];
/// The issuer of the identity, as a string in DER.
const ISSUER_V2: &[u8] = &[0x2b, 0x06, 0x01, 0x04, 0x01, 0x83, 0xbf, 0x30, 0x01, 0x08];

/// Whose signatures are accepted: both patterns must be found, in the syntax of Go's `regexp`.
#[derive(Debug, Clone)]
pub struct Identity {
    issuer: Regex,
    subject: Regex,
}

/// A pattern that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid identity pattern '{pattern}': {problem}")]
pub struct PatternError {
    pattern: String,
    problem: String,
}

impl Identity {
    /// Reads an entry of `matchOIDCIdentity`.
    ///
    /// # Errors
    /// When a pattern is malformed.
    pub fn new(issuer: &str, subject: &str) -> Result<Self, PatternError> {
        let compile = |pattern: &str| {
            Regex::go(pattern).map_err(|error| PatternError {
                pattern: pattern.to_owned(),
                problem: error.to_string(),
            })
        };
        Ok(Self {
            issuer: compile(issuer)?,
            subject: compile(subject)?,
        })
    }

    fn matches(&self, issuer: &str, subjects: &[String]) -> bool {
        self.issuer.is_match(issuer) && subjects.iter().any(|subject| self.subject.is_match(subject))
    }
}

/// Whether an authority of the root issued the certificate, it was valid at `second`, logged, and made out to one of the identities. No
/// identities accept any.
pub(super) fn verify(
    root: &TrustedRoot,
    identities: &[Identity],
    leaf: &Certificate,
    others: &[Certificate],
    second: i64,
) -> Result<(), Refusal> {
    let valid = |authority: &&Authority| authority.is_valid_at(second);
    let is_trusted = root.authorities.iter().filter(valid).any(|authority| {
        let (roots, own) = authority.root();
        let intermediates = [own, others].concat();
        chain(leaf, &intermediates, roots, second, CODE_SIGNING).is_ok_and(|chain| {
            chain
                .get(1)
                .is_some_and(|issuer| sct::is_logged(root, leaf, issuer))
        })
    });
    if !is_trusted {
        return Err(Refusal::Certificate);
    }
    let issuer = issuer(leaf).unwrap_or_default();
    let subjects = leaf.alternative_names();
    if !identities.is_empty() && !identities.iter().any(|it| it.matches(&issuer, &subjects)) {
        return Err(Refusal::Identity { issuer, subjects });
    }
    Ok(())
}

fn issuer(leaf: &Certificate) -> Option<String> {
    let text = match leaf.extension(ISSUER_V2) {
        Some(value) => der::whole(value, der::UTF8_STRING)?.content,
        None => leaf.extension(ISSUER)?,
    };
    String::from_utf8(text.to_vec()).ok()
}
