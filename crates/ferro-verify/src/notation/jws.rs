//! Envelopes of JWS, in its flattened serialization as JSON.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;

use super::{Attributes, Envelope, PLUGIN, Refusal};

/// Reads an envelope.
pub(super) fn read(text: &[u8]) -> Result<Envelope, Refusal> {
    let malformed = |problem: String| Refusal::Malformed(problem);
    let json: Json = serde_json::from_slice(text).map_err(|error| malformed(error.to_string()))?;
    let decode = |text: &str| {
        let decoded = URL_SAFE_NO_PAD.decode(text);
        decoded.map_err(|error| malformed(error.to_string()))
    };
    let header: Value =
        serde_json::from_slice(&decode(&json.protected)?).map_err(|error| malformed(error.to_string()))?;
    let needs_plugin = header.get(PLUGIN).is_some();
    let header: Protected = serde_json::from_value(header).map_err(|error| malformed(error.to_string()))?;
    let has_both = header.signing_time.is_some() && header.authentic_signing_time.is_some();
    if has_both {
        return Err(malformed("it has two times of signing".to_owned()));
    }
    let certificates = json.header.x5c.iter().map(|text| STANDARD.decode(text));
    let certificates = certificates.collect::<Result<_, _>>();
    let timestamp = json
        .header
        .timestamp
        .map(|text| STANDARD.decode(text))
        .transpose();
    Ok(Envelope {
        certificates: certificates.map_err(|_| Refusal::Chain("a certificate is malformed"))?,
        algorithm: header.alg,
        signed: format!("{}.{}", json.protected, json.payload).into_bytes(),
        signature: decode(&json.signature)?,
        payload: decode(&json.payload)?,
        timestamp: timestamp.map_err(|error| malformed(error.to_string()))?,
        attributes: Attributes {
            content_type: header.cty,
            critical: header.crit,
            scheme: header.signing_scheme,
            signing_time: header.signing_time,
            authentic_signing_time: header.authentic_signing_time,
            expiry: header.expiry,
            needs_plugin,
        },
    })
}

#[derive(Deserialize)]
struct Json {
    payload: String,
    protected: String,
    header: Header,
    signature: String,
}

#[derive(Deserialize)]
struct Header {
    #[serde(default)]
    x5c: Vec<String>,
    #[serde(rename = "io.cncf.notary.timestampSignature")]
    timestamp: Option<String>,
}

#[derive(Deserialize)]
struct Protected {
    alg: String,
    cty: String,
    #[serde(default)]
    crit: Vec<String>,
    #[serde(rename = "io.cncf.notary.signingScheme")]
    signing_scheme: String,
    #[serde(rename = "io.cncf.notary.signingTime")]
    signing_time: Option<Timestamp>,
    #[serde(rename = "io.cncf.notary.authenticSigningTime")]
    authentic_signing_time: Option<Timestamp>,
    #[serde(rename = "io.cncf.notary.expiry")]
    expiry: Option<Timestamp>,
}
