//! What must be found out about the certificates of a chain.

use jiff::Timestamp;

use super::Refusal;
use crate::revocation::{Link, Status};
use crate::x509::Certificate;

/// Whether certificates of a chain are revoked.
#[derive(Debug)]
pub struct Inquiry {
    chain: &'static str,
    links: Vec<Link>,
    signed: Option<Timestamp>,
    is_enforced: bool,
}

impl Inquiry {
    /// About a chain, root last, whose root nobody can revoke.
    pub(super) fn new(
        chain: &'static str,
        certificates: &[Certificate],
        signed: Option<Timestamp>,
        is_enforced: bool,
    ) -> Result<Self, Refusal> {
        let pairs = certificates.iter().zip(certificates.iter().skip(1));
        let links: Option<Vec<_>> = pairs
            .map(|(certificate, issuer)| Link::new(certificate, issuer))
            .collect();
        let mut links = links.ok_or(Refusal::Chain("a certificate is malformed"))?;
        links.retain(Link::is_revocable);
        Ok(Self {
            chain,
            links,
            signed,
            is_enforced,
        })
    }

    /// The certificates that somebody can tell about, the first of the chain first.
    #[must_use]
    pub fn links(&self) -> &[Link] {
        &self.links
    }

    /// When the signature was made, if an authority vouches for that.
    #[must_use]
    pub const fn signed(&self) -> Option<Timestamp> {
        self.signed
    }

    /// Whether the signature does not count if this fails; otherwise it is told.
    #[must_use]
    pub const fn is_enforced(&self) -> bool {
        self.is_enforced
    }

    /// Draws the conclusion from what was found out about each of [`Inquiry::links`]; what is missing is unknown.
    ///
    /// # Errors
    /// When one is revoked, or it cannot be told of one.
    pub fn conclude(&self, statuses: &[Status]) -> Result<(), Refusal> {
        let statuses = statuses.iter().copied().chain(std::iter::repeat(Status::Unknown));
        let of = |wanted: Status| {
            let mut found = self.links.iter().zip(statuses.clone());
            found
                .find(|(_, status)| *status == wanted)
                .map(|(link, _)| link.subject())
        };
        let chain = self.chain;
        if let Some(subject) = of(Status::Revoked) {
            return Err(Refusal::Revoked { chain, subject });
        }
        if let Some(subject) = of(Status::Unknown) {
            return Err(Refusal::RevocationUnknown { chain, subject });
        }
        Ok(())
    }
}
