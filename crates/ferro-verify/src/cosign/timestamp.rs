//! Timestamps of the authorities that a root of trust names.

use super::root::{Authority, TrustedRoot};
use crate::timestamp::{Info, Token};
use crate::x509::{TIME_STAMPING, chain};

/// How many timestamps are looked at, as upstream.
const MAX_TIMESTAMPS: usize = 32;

/// The first time at which one of the root's authorities saw `signature`, by the first of `responses` that holds.
pub(super) fn verify(root: &TrustedRoot, signature: &[u8], responses: &[Vec<u8>]) -> Option<i64> {
    let responses = responses.iter().take(MAX_TIMESTAMPS);
    responses.into_iter().find_map(|response| {
        let token = Token::parse(response)?;
        let info = Info::parse(token.content)?;
        let is_trusted = |authority: &Authority| is_from(&token, authority, info.second);
        let is_good = info.is_about(signature) && root.timestamp_authorities.iter().any(is_trusted);
        is_good.then_some(info.second)
    })
}

/// Whether this authority signed the token, and was to be trusted at `second`.
fn is_from(token: &Token<'_>, authority: &Authority, second: i64) -> bool {
    let (roots, own) = authority.root();
    let pinned = own.first().filter(|first| !first.is_ca);
    let Some(signer) = token.signer(own) else {
        return false;
    };
    let intermediates = [own, &token.certificates].concat();
    authority.is_valid_at(second)
        && pinned.is_none_or(|pinned| pinned == signer)
        && chain(signer, &intermediates, roots, second, TIME_STAMPING).is_ok()
}
