//! Provenance of Helm packages (`.prov`): the chart's metadata and the checksum of its package, signed in the clear, as Helm 4.2 verifies it.
//!
//! No controller calls this: `HelmChart.spec.verify` knows cosign and notation only, and Flux has no field that would name a keyring. It is
//! for programs that verify packages as `helm verify` does.

use ferro_yaml::sigs;
use jiff::Timestamp;
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::hex;
use crate::openpgp::{self, Keyring};

/// The largest provenance that is read. It holds a Chart.yaml and a signature.
pub const MAX_PROVENANCE: usize = 1 << 20;

/// A package that is verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// The id of the primary key of the signer, 16 capital hexadecimal digits.
    pub key: String,
    /// `sha256:<hex>` of the package.
    pub digest: String,
    /// The chart's metadata as it was signed, in YAML.
    pub metadata: String,
}

/// Why a package is not to be believed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The provenance is larger than any real one.
    #[error("the provenance is larger than {MAX_PROVENANCE} bytes")]
    TooLarge,
    /// The provenance is no text that is signed in the clear.
    #[error("signature block not found")]
    NotSigned,
    /// The signature is not to be believed.
    #[error(transparent)]
    Signature(#[from] openpgp::Error),
    /// What is signed is not metadata and checksums.
    #[error("message block must have at least two parts")]
    Parts,
    /// The checksums cannot be read.
    #[error("malformed checksums in the provenance: {0}")]
    Checksums(String),
    /// It is about other files.
    #[error("provenance does not contain a SHA for a file named {0:?}")]
    OtherFile(String),
    /// The package is another.
    #[error("sha256 sum does not match for {name}: {signed:?} != {found:?}")]
    Sum {
        /// The package's file name.
        name: String,
        /// What the provenance says.
        signed: String,
        /// What the package has.
        found: String,
    },
}

/// Verifies that the holder of a key in `keyring` signed for `package` under the file name `name`.
///
/// # Errors
/// When nobody did, or the signature is not to be believed at `now`.
pub fn verify(
    keyring: &Keyring,
    provenance: &str,
    name: &str,
    package: &[u8],
    now: Timestamp,
) -> Result<Verified, Error> {
    if provenance.len() > MAX_PROVENANCE {
        return Err(Error::TooLarge);
    }
    let (text, key) = openpgp::verify_cleartext(keyring, provenance, now)?.ok_or(Error::NotSigned)?;
    // A line of three hyphens, which would begin a document, may not stand in a text that is signed in the clear.
    let mut parts = text.split("\n...\n");
    let (Some(metadata), Some(sums)) = (parts.next(), parts.next()) else {
        return Err(Error::Parts);
    };
    let sums = sigs::from_slice(sums).map_err(|error| Error::Checksums(error.to_string()))?;
    let signed = sums.get("files").and_then(|files| files.get(name));
    let signed = signed
        .and_then(Value::as_str)
        .ok_or_else(|| Error::OtherFile(name.to_owned()))?;
    let found = format!("sha256:{}", hex(&Sha256::digest(package)));
    if signed != found {
        return Err(Error::Sum {
            name: name.to_owned(),
            signed: signed.to_owned(),
            found,
        });
    }
    Ok(Verified {
        key,
        digest: found,
        metadata: metadata.to_owned(),
    })
}
