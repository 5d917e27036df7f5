//! Timestamps over signatures: that one was made while its certificates were valid.

use super::Refusal;
use crate::timestamp::{Info, Token};
use crate::x509::{Certificate, TIME_STAMPING, chain};

/// Verifies that an authority that one of `trusted` vouches for saw `signature` while all certificates of `signer` were valid. Returns the
/// certificates of the authority, root last.
pub(super) fn verify(
    token: &[u8],
    signature: &[u8],
    signer: &[Certificate],
    trusted: &[Certificate],
) -> Result<Vec<Certificate>, Refusal> {
    const MALFORMED: Refusal = Refusal::Timestamp("it is malformed");
    let token = Token::parse_alone(token).ok_or(MALFORMED)?;
    let info = Info::parse(token.content).ok_or(MALFORMED)?;
    if !info.is_about(signature) {
        return Err(Refusal::Timestamp("it is about something else"));
    }
    let authority = token.signer(&[]);
    let authority = authority.filter(|authority| token.names(authority) == Some(true));
    let authority = authority.ok_or(Refusal::Timestamp("it is not signed by a timestamp authority"))?;
    let found = chain(
        authority,
        &token.certificates,
        trusted,
        info.second,
        TIME_STAMPING,
    );
    let found = found.map_err(|_| Refusal::Timestamp("its authority is not trusted"))?;
    let ends_in_root = found.last().is_some_and(|root| root.is_issued_by(root));
    if !ends_in_root {
        return Err(Refusal::Timestamp("its certificates do not end with a root"));
    }
    let (time, accuracy) = info.nanoseconds;
    let is_within =
        |it: &Certificate| it.is_valid_from(time - accuracy) && it.is_valid_until(time + accuracy);
    if !signer.iter().all(is_within) {
        return Err(Refusal::Timestamp(
            "a certificate of the signer was not valid at its time",
        ));
    }
    Ok(found.into_iter().cloned().collect())
}
