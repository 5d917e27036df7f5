//! Envelopes of COSE: a tagged `COSE_Sign1` (RFC 9052).

use jiff::Timestamp;

use super::{AUTHENTIC, Attributes, EXPIRY, Envelope, PLUGIN, Refusal, SCHEME, SIGNING_TIME, TIMESTAMP};
use crate::cbor::{Value, bytes_header};

/// The tag of a message with one signature, and that it is an array of four.
const PREFIX: [u8; 2] = [0xd2, 0x84];
/// A time in seconds.
const EPOCH: u64 = 1;

const ALGORITHM: Value<'_> = Value::Integer(1);
const CRITICAL: Value<'_> = Value::Integer(2);
const CONTENT_TYPE: Value<'_> = Value::Integer(3);
const CHAIN: Value<'_> = Value::Integer(33);

/// Reads an envelope.
pub(super) fn read(data: &[u8]) -> Result<Envelope, Refusal> {
    let malformed = |problem: &str| Refusal::Malformed(problem.to_owned());
    if !data.starts_with(&PREFIX) {
        return Err(malformed("invalid COSE_Sign1_Tagged object"));
    }
    let message = Value::read(data).ok_or_else(|| malformed("invalid CBOR"))?;
    let Value::Tagged(_, message) = &message else {
        return Err(malformed("invalid COSE_Sign1_Tagged object"));
    };
    let Some([protected, unprotected, payload, signature]) = message.array() else {
        return Err(malformed("invalid COSE_Sign1_Tagged object"));
    };
    let bytes = |value: &Value<'_>, problem: &str| {
        let bytes = value.bytes().filter(|bytes| !bytes.is_empty());
        bytes.map(<[u8]>::to_vec).ok_or_else(|| malformed(problem))
    };
    let encoded = bytes(protected, "missing protected header")?;
    let payload = bytes(payload, "missing payload")?;
    let signature = bytes(signature, "empty signature")?;
    check_labels(unprotected).ok_or_else(|| malformed("invalid unprotected header"))?;
    if has_tags(unprotected) || unprotected.get(&CRITICAL).is_some() {
        return Err(malformed("invalid unprotected header"));
    }
    let header = Value::read(&encoded).ok_or_else(|| malformed("invalid protected header"))?;
    check_labels(&header).ok_or_else(|| malformed("invalid protected header"))?;
    let timestamp = unprotected.get(&Value::Text(TIMESTAMP)).and_then(Value::bytes);
    let chain = unprotected.get(&CHAIN).and_then(Value::array);
    let certificates = chain
        .unwrap_or_default()
        .iter()
        .map(|it| it.bytes().map(<[u8]>::to_vec));
    Ok(Envelope {
        certificates: certificates
            .collect::<Option<_>>()
            .ok_or(Refusal::Chain("a certificate is malformed"))?,
        algorithm: algorithm(&header).unwrap_or_default().to_owned(),
        signed: to_be_signed(&encoded, &payload),
        signature,
        payload,
        timestamp: timestamp.map(<[u8]>::to_vec),
        attributes: attributes(&header).map_err(malformed)?,
    })
}

/// Whether this is a map of whose keys each is a number or a text.
fn check_labels(header: &Value<'_>) -> Option<()> {
    let Value::Map(pairs) = header else { return None };
    let is_label = |key: &Value<'_>| matches!(key, Value::Integer(_) | Value::Text(_));
    pairs.iter().all(|(key, _)| is_label(key)).then_some(())
}

fn has_tags(value: &Value<'_>) -> bool {
    match value {
        Value::Tagged(..) => true,
        Value::Array(values) => values.iter().any(has_tags),
        Value::Map(pairs) => pairs.iter().any(|(key, value)| has_tags(key) || has_tags(value)),
        _ => false,
    }
}

fn algorithm(header: &Value<'_>) -> Option<&'static str> {
    match header.get(&ALGORITHM)? {
        Value::Integer(-37) => Some("PS256"),
        Value::Integer(-38) => Some("PS384"),
        Value::Integer(-39) => Some("PS512"),
        Value::Integer(-7) => Some("ES256"),
        Value::Integer(-35) => Some("ES384"),
        Value::Integer(-36) => Some("ES512"),
        _ => None,
    }
}

/// The `Sig_structure` that the signature is over.
fn to_be_signed(protected: &[u8], payload: &[u8]) -> Vec<u8> {
    let mut signed = b"\x84\x6aSignature1".to_vec();
    for part in [protected, &[], payload] {
        signed.extend(bytes_header(part.len()));
        signed.extend_from_slice(part);
    }
    signed
}

fn attributes(header: &Value<'_>) -> Result<Attributes, &'static str> {
    let text = |key: &Value<'_>| header.get(key).and_then(Value::text);
    let critical = header.get(&CRITICAL).and_then(Value::array);
    let critical = critical.ok_or("it has no critical headers")?;
    if critical.iter().any(|label| header.get(label).is_none()) {
        return Err("it has not all critical headers");
    }
    // Those that are numbers are not understood.
    let name = |label: &Value<'_>| label.text().unwrap_or_default().to_owned();
    Ok(Attributes {
        content_type: text(&CONTENT_TYPE).ok_or("missing content type")?.to_owned(),
        critical: critical.iter().map(name).collect(),
        scheme: text(&Value::Text(SCHEME))
            .ok_or("invalid signing scheme")?
            .to_owned(),
        signing_time: time(header, SIGNING_TIME)?,
        authentic_signing_time: time(header, AUTHENTIC)?,
        expiry: time(header, EXPIRY)?,
        needs_plugin: header.get(&Value::Text(PLUGIN)).is_some(),
    })
}

fn time(header: &Value<'_>, label: &str) -> Result<Option<Timestamp>, &'static str> {
    let Some(value) = header.get(&Value::Text(label)) else {
        return Ok(None);
    };
    let second = match value {
        Value::Tagged(EPOCH, value) => match **value {
            Value::Integer(second) => Timestamp::from_second(second).ok(),
            Value::Float(second) => seconds(second),
            _ => None,
        },
        _ => None,
    };
    second.map(Some).ok_or("invalid time")
}

fn seconds(number: f64) -> Option<Timestamp> {
    let duration = jiff::SignedDuration::try_from_secs_f64(number).ok()?;
    Timestamp::from_duration(duration).ok()
}
