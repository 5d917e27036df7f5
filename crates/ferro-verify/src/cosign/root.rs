//! The trusted root: authorities and logs that keyless signatures are judged by (`trusted_root.json`).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde::Deserialize;
use sha2::{Digest, Sha256};

use crate::key::PublicKey;
use crate::x509::Certificate;

/// A trusted root that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RootError {
    /// The text is no JSON of this form.
    #[error("unable to parse trusted root: {0}")]
    Json(#[from] serde_json::Error),
    /// An entry is malformed.
    #[error("unable to parse trusted root: {what} {index}: {problem}")]
    Entry {
        /// The list.
        what: &'static str,
        /// The place in the list, from 0.
        index: usize,
        /// What is wrong.
        problem: String,
    },
}

/// Authorities and logs.
#[derive(Debug, Clone, Default)]
pub struct TrustedRoot {
    pub(crate) authorities: Vec<Authority>,
    pub(crate) timestamp_authorities: Vec<Authority>,
    pub(crate) logs: Vec<Log>,
    pub(crate) certificate_logs: Vec<Log>,
}

/// An authority with its chain, root last.
#[derive(Debug, Clone)]
pub(crate) struct Authority {
    pub(crate) chain: Vec<Certificate>,
    validity: Validity,
}

impl Authority {
    pub(crate) fn is_valid_at(&self, second: i64) -> bool {
        self.validity.contains(second)
    }

    /// The last certificate of the chain, and those before it.
    pub(crate) fn root(&self) -> (&[Certificate], &[Certificate]) {
        let (roots, rest) = (self.chain.len().saturating_sub(1), &self.chain);
        let (intermediates, root) = rest.split_at(roots);
        (root, intermediates)
    }
}

/// A log of signatures or of certificates.
#[derive(Debug, Clone)]
pub(crate) struct Log {
    pub(crate) id: Vec<u8>,
    pub(crate) key: PublicKey,
    pub(crate) base_url: String,
    validity: Validity,
}

impl Log {
    pub(crate) fn is_valid_at(&self, second: i64) -> bool {
        self.validity.contains(second)
    }
}

#[derive(Debug, Clone, Copy, Default)]
struct Validity {
    start: Option<i64>,
    end: Option<i64>,
}

impl Validity {
    fn contains(self, second: i64) -> bool {
        self.start.is_none_or(|start| start <= second) && self.end.is_none_or(|end| second <= end)
    }
}

/// The public instance of Sigstore as it was when this crate was made: where trust in it begins (see `public/README.md`).
pub mod public {
    /// The root of trust of its TUF repository.
    pub const TUF_ROOT: &[u8] = include_bytes!("public/root.tuf");
    /// Its authorities and logs, in the form of [`TrustedRoot::from_json`](super::TrustedRoot::from_json).
    pub const TRUSTED_ROOT: &[u8] = include_bytes!("public/trusted_root.json");
    /// Where its TUF repository is.
    pub const MIRROR: &str = "https://tuf-repo-cdn.sigstore.dev";
    /// What the repository calls its authorities and logs.
    pub const TARGET: &str = "trusted_root.json";
}

impl TrustedRoot {
    /// Reads `trusted_root.json`.
    ///
    /// # Errors
    /// When it is malformed, or a key in it is not supported.
    pub fn from_json(text: &[u8]) -> Result<Self, RootError> {
        let json: Json = serde_json::from_slice(text)?;
        Ok(Self {
            authorities: entries("certificateAuthorities", &json.certificate_authorities, authority)?,
            timestamp_authorities: entries("timestampAuthorities", &json.timestamp_authorities, authority)?,
            logs: entries("tlogs", &json.tlogs, log)?,
            certificate_logs: entries("ctlogs", &json.ctlogs, log)?,
        })
    }

    /// The address of the first transparency log that has one.
    pub fn rekor_url(&self) -> Option<&str> {
        let urls = self.logs.iter().map(|log| log.base_url.as_str());
        urls.into_iter().find(|url| !url.is_empty())
    }
}

fn entries<J, T>(
    what: &'static str,
    json: &[J],
    read: impl Fn(&J) -> Result<T, String>,
) -> Result<Vec<T>, RootError> {
    let entry = |(index, json)| read(json).map_err(|problem| RootError::Entry { what, index, problem });
    json.iter().enumerate().map(entry).collect()
}

fn authority(json: &AuthorityJson) -> Result<Authority, String> {
    let certificate = |json: &CertificateJson| {
        let der = decode(&json.raw_bytes)?;
        Certificate::from_der(&der).map_err(|error| error.to_string())
    };
    let chain: Vec<_> = json
        .cert_chain
        .certificates
        .iter()
        .map(certificate)
        .collect::<Result<_, _>>()?;
    if chain.is_empty() {
        return Err("the chain has no certificates".to_owned());
    }
    Ok(Authority {
        chain,
        validity: validity(json.valid_for.as_ref()),
    })
}

fn log(json: &LogJson) -> Result<Log, String> {
    let der = decode(&json.public_key.raw_bytes)?;
    let key = PublicKey::from_der(&der).map_err(|error| error.to_string())?;
    let id = match &json.log_id {
        Some(id) => decode(&id.key_id)?,
        None => Sha256::digest(&der).to_vec(),
    };
    Ok(Log {
        id,
        key,
        base_url: json.base_url.clone(),
        validity: validity(json.public_key.valid_for.as_ref()),
    })
}

fn validity(json: Option<&ValidityJson>) -> Validity {
    let second = |time: Option<Timestamp>| time.map(Timestamp::as_second);
    json.map_or_else(Validity::default, |json| Validity {
        start: second(json.start),
        end: second(json.end),
    })
}

fn decode(text: &str) -> Result<Vec<u8>, String> {
    STANDARD.decode(text).map_err(|error| error.to_string())
}

#[derive(Deserialize)]
#[serde(default, rename_all = "camelCase")]
#[derive(Default)]
struct Json {
    tlogs: Vec<LogJson>,
    certificate_authorities: Vec<AuthorityJson>,
    ctlogs: Vec<LogJson>,
    timestamp_authorities: Vec<AuthorityJson>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct LogJson {
    #[serde(default)]
    base_url: String,
    public_key: KeyJson,
    log_id: Option<IdJson>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct KeyJson {
    raw_bytes: String,
    valid_for: Option<ValidityJson>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct IdJson {
    key_id: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct AuthorityJson {
    cert_chain: ChainJson,
    valid_for: Option<ValidityJson>,
}

#[derive(Deserialize)]
pub(super) struct ChainJson {
    pub(super) certificates: Vec<CertificateJson>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct CertificateJson {
    pub(super) raw_bytes: String,
}

#[derive(Deserialize)]
struct ValidityJson {
    start: Option<Timestamp>,
    end: Option<Timestamp>,
}
