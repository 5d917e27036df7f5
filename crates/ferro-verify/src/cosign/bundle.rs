//! Signatures as bundles (`application/vnd.dev.sigstore.bundle.v0.3+json` and its forerunners), which cosign 3 makes.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::rekor::{Entry, Proof};
use super::root::{CertificateJson, ChainJson};
use super::{BUNDLE_FAMILY, Refusal};
use crate::x509::Certificate;

/// The payload type of attestations.
const IN_TOTO: &str = "application/vnd.in-toto+json";

/// A bundle that has been read.
#[derive(Debug)]
pub(super) struct Bundle {
    pub(super) content: Content,
    /// The certificate and its chain; none when a key made the signature.
    pub(super) certificates: Vec<Certificate>,
    pub(super) entries: Vec<Entry>,
    /// Signed timestamps (RFC 3161).
    pub(super) timestamps: Vec<Vec<u8>>,
}

/// What is signed.
#[derive(Debug)]
pub(super) enum Content {
    /// An attestation within an envelope.
    Envelope {
        payload: Vec<u8>,
        /// What the signature is over.
        encoded: Vec<u8>,
        signature: Vec<u8>,
    },
    /// The artifact itself.
    Message { digest: Vec<u8>, signature: Vec<u8> },
}

impl Bundle {
    pub(super) fn parse(text: &[u8]) -> Result<Self, Refusal> {
        let malformed = |problem: String| Refusal::Malformed(format!("bundle: {problem}"));
        let json: Json = serde_json::from_slice(text).map_err(|error| malformed(error.to_string()))?;
        if !json.media_type.starts_with(BUNDLE_FAMILY) {
            return Err(malformed(format!("unknown media type '{}'", json.media_type)));
        }
        let material = json.verification_material;
        let chain = material.x509_certificate_chain.map(|chain| chain.certificates);
        let certificates = chain
            .unwrap_or_default()
            .into_iter()
            .chain(material.certificate)
            .map(|json| Certificate::from_der(&decode(&json.raw_bytes)?).map_err(|error| error.to_string()));
        let stamps = material.timestamp_verification_data.rfc3161_timestamps;
        let bundle = || {
            Ok(Self {
                content: content(json.dsse_envelope, json.message_signature)?,
                certificates: certificates.collect::<Result<_, String>>()?,
                entries: material
                    .tlog_entries
                    .into_iter()
                    .map(entry)
                    .collect::<Result<_, String>>()?,
                timestamps: stamps
                    .iter()
                    .map(|stamp| decode(&stamp.signed_timestamp))
                    .collect::<Result<_, String>>()?,
            })
        };
        bundle().map_err(malformed)
    }
}

impl Content {
    /// Whether this is about the artifact with this digest.
    pub(super) fn is_about(&self, algorithm: &str, digest: &str) -> bool {
        match self {
            Self::Message { digest: found, .. } => algorithm == "sha256" && crate::hex(found) == digest,
            Self::Envelope { payload, .. } => {
                serde_json::from_slice::<Statement>(payload).is_ok_and(|statement| {
                    let is_statement = statement.kind.starts_with("https://in-toto.io/Statement/");
                    let names = |subject: &Subject| {
                        subject.digest.get(algorithm).and_then(Value::as_str) == Some(digest)
                    };
                    is_statement && statement.subject.iter().any(names)
                })
            }
        }
    }
}

fn content(envelope: Option<EnvelopeJson>, message: Option<MessageJson>) -> Result<Content, String> {
    match (envelope, message) {
        (Some(envelope), None) => {
            if envelope.payload_type != IN_TOTO {
                return Err(format!("unknown payload type '{}'", envelope.payload_type));
            }
            let payload = decode(&envelope.payload)?;
            let [signature] = envelope.signatures.as_slice() else {
                return Err("the envelope must have one signature".to_owned());
            };
            let kind = &envelope.payload_type;
            let head = format!("DSSEv1 {} {kind} {} ", kind.len(), payload.len());
            Ok(Content::Envelope {
                encoded: [head.as_bytes(), &payload].concat(),
                payload,
                signature: decode(&signature.sig)?,
            })
        }
        (None, Some(message)) => {
            if message.message_digest.algorithm != "SHA2_256" {
                return Err(format!("unknown digest '{}'", message.message_digest.algorithm));
            }
            Ok(Content::Message {
                digest: decode(&message.message_digest.digest)?,
                signature: decode(&message.signature)?,
            })
        }
        _ => Err("it must hold one signature".to_owned()),
    }
}

fn entry(json: EntryJson) -> Result<Entry, String> {
    let proof = json.inclusion_proof.map(|proof| {
        Ok::<_, String>(Proof {
            index: u64::try_from(proof.log_index).map_err(|error| error.to_string())?,
            size: u64::try_from(proof.tree_size).map_err(|error| error.to_string())?,
            hashes: proof
                .hashes
                .iter()
                .map(|hash| decode(hash))
                .collect::<Result<_, _>>()?,
            checkpoint: proof.checkpoint.map(|it| it.envelope).unwrap_or_default(),
        })
    });
    let promise = json
        .inclusion_promise
        .map(|it| decode(&it.signed_entry_timestamp));
    Ok(Entry {
        log_id: decode(&json.log_id.key_id)?,
        index: json.log_index,
        integrated: json.integrated_time,
        body: decode(&json.canonicalized_body)?,
        promise: promise.transpose()?,
        proof: proof.transpose()?,
    })
}

fn decode(text: &str) -> Result<Vec<u8>, String> {
    STANDARD.decode(text).map_err(|error| error.to_string())
}

/// Protobuf writes 64-bit numbers as strings and reads both.
fn number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i64, D::Error> {
    match Value::deserialize(deserializer)? {
        Value::Number(number) => number.as_i64().ok_or_else(|| "out of range".to_owned()),
        Value::String(text) => text.parse().map_err(|_| format!("'{text}' is no number")),
        _ => Err("not a number".to_owned()),
    }
    .map_err(serde::de::Error::custom)
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Json {
    media_type: String,
    verification_material: MaterialJson,
    dsse_envelope: Option<EnvelopeJson>,
    message_signature: Option<MessageJson>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct MaterialJson {
    x509_certificate_chain: Option<ChainJson>,
    certificate: Option<CertificateJson>,
    #[serde(default)]
    tlog_entries: Vec<EntryJson>,
    #[serde(default)]
    timestamp_verification_data: TimestampsJson,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct TimestampsJson {
    rfc3161_timestamps: Vec<TimestampJson>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct TimestampJson {
    signed_timestamp: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct EntryJson {
    #[serde(default, deserialize_with = "number")]
    log_index: i64,
    log_id: IdJson,
    #[serde(default, deserialize_with = "number")]
    integrated_time: i64,
    inclusion_promise: Option<PromiseJson>,
    inclusion_proof: Option<ProofJson>,
    canonicalized_body: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct IdJson {
    key_id: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PromiseJson {
    signed_entry_timestamp: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ProofJson {
    #[serde(default, deserialize_with = "number")]
    log_index: i64,
    #[serde(default, deserialize_with = "number")]
    tree_size: i64,
    #[serde(default)]
    hashes: Vec<String>,
    checkpoint: Option<CheckpointJson>,
}

#[derive(Deserialize)]
struct CheckpointJson {
    envelope: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct EnvelopeJson {
    payload: String,
    payload_type: String,
    signatures: Vec<SignatureJson>,
}

#[derive(Deserialize)]
struct SignatureJson {
    sig: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct MessageJson {
    message_digest: DigestJson,
    signature: String,
}

#[derive(Deserialize)]
struct DigestJson {
    algorithm: String,
    digest: String,
}

#[derive(Deserialize)]
struct Statement {
    #[serde(rename = "_type")]
    kind: String,
    subject: Vec<Subject>,
}

#[derive(Deserialize)]
struct Subject {
    digest: serde_json::Map<String, Value>,
}
