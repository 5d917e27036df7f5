//! What the API server keeps of a record: a Secret or a ConfigMap with this name, these labels and this text under the key
//! `release` (`spec/helm.md` F.6). A Secret encodes the text in base64 once more, as it does with everything.

use std::collections::BTreeMap;
use std::io::{Read, Write};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;

use super::{Invalid, Record};

/// The type of the Secret.
pub const TYPE: &str = "helm.sh/release.v1";
/// The key under which the record is.
pub const KEY: &str = "release";
/// The value of the label `owner`.
pub const OWNER: &str = "helm";
/// Bytes that a record may unpack to: far more than the mebibyte that the API server stores can honestly hold.
pub const LIMIT: u64 = 256 << 20;

/// Bytes of a packed record from which on each one counts: the API server takes 1 MiB of it in base64.
const LARGE: usize = 512 << 10;
const GZIP: [u8; 3] = [0x1F, 0x8B, 0x08];
const SYSTEM_LABELS: [&str; 6] = ["name", "owner", "status", "version", "createdAt", "modifiedAt"];

/// Whether the object is being made or changed, and when, in seconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Written {
    Created(i64),
    Modified(i64),
}

/// The name of the object.
#[must_use]
pub fn name(release: &str, revision: i64) -> String {
    format!("sh.helm.release.v1.{release}.v{revision}")
}

/// The labels of the object: those of users, and those by which releases are found.
#[must_use]
pub fn labels(record: &Record, written: Written) -> BTreeMap<String, String> {
    let mut labels = record.labels.clone();
    let (key, seconds) = match written {
        Written::Created(seconds) => ("createdAt", seconds),
        Written::Modified(seconds) => ("modifiedAt", seconds),
    };
    labels.insert(key.to_owned(), seconds.to_string());
    labels.insert("name".to_owned(), record.name.clone());
    labels.insert("owner".to_owned(), OWNER.to_owned());
    labels.insert("status".to_owned(), record.info.status.to_string());
    labels.insert("version".to_owned(), record.version.to_string());
    labels
}

/// The labels of users among those of an object.
#[must_use]
pub fn custom_labels(labels: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let is_custom = |key: &str| !SYSTEM_LABELS.contains(&key);
    labels
        .iter()
        .filter(|(key, _)| is_custom(key))
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect()
}

/// The text that holds the record.
///
/// # Errors
/// When it cannot be packed.
pub fn encode(record: &Record) -> std::io::Result<String> {
    let json = record.to_json();
    let packed = pack(&json, Compression::default())?;
    // Upstream packs as well as can be, always, which takes twice the time for a hundredth.
    let packed = match packed.len() < LARGE {
        true => packed,
        false => pack(&json, Compression::best())?,
    };
    Ok(STANDARD.encode(packed))
}

fn pack(json: &str, level: Compression) -> std::io::Result<Vec<u8>> {
    let mut packer = GzEncoder::new(Vec::new(), level);
    packer.write_all(json.as_bytes())?;
    packer.finish()
}

/// Reads the record out of the text; one that was not packed is read as well. Labels are not in it.
///
/// # Errors
/// When the text holds no record.
pub fn decode(text: &[u8]) -> Result<Record, Invalid> {
    let mut bytes = STANDARD.decode(text)?;
    if bytes.starts_with(&GZIP) {
        let mut unpacked = Vec::new();
        let mut unpacker = GzDecoder::new(bytes.as_slice()).take(LIMIT + 1);
        unpacker.read_to_end(&mut unpacked)?;
        if u64::try_from(unpacked.len()).is_ok_and(|length| length > LIMIT) {
            return Err(Invalid::TooLarge { limit: LIMIT });
        }
        bytes = unpacked;
    }
    // Go reads what is no UTF-8 as the replacement character.
    Record::from_json(&String::from_utf8_lossy(&bytes))
}
