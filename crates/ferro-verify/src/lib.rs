//! Verifies signatures: of Git commits and tags, of container images and charts, of Helm packages.
//!
//! Everything comes in as bytes and every answer is a value: there is no network, no clock and no file system here. Who calls fetches what is
//! to be verified and says what time it is.
//!
//! * [`git`]: commits and annotated tags, signed with OpenPGP or SSH keys, as Flux 2.9 verifies them.
//! * [`cosign`]: signatures of images and charts in registries, by a key or by an identity.
//! * [`notation`]: the same, by certificates and a trust policy.
//! * [`provenance`]: packages of Helm charts with a `.prov` file beside them.
//! * [`revocation`]: whether certificates are revoked, by OCSP and lists.
//! * [`openpgp`]: detached signatures against keyrings, by the rules of the library that Flux uses (ProtonMail's go-crypto).
//! * [`tuf`]: metadata of a repository of The Update Framework, from which trust in keyless signatures is renewed.
//! * [`sshsig`]: signatures of `ssh-keygen -Y sign` against authorized keys.
//!
//! # Example
//!
//! ```
//! use ferro_verify::git::{Keys, Object, verify};
//! use jiff::Timestamp;
//!
//! let keys = Keys::default();
//! let unsigned = verify(Object::Commit, b"", b"tree ...", &keys, Timestamp::UNIX_EPOCH);
//! assert_eq!(unsigned.unwrap_err().to_string(), "unsupported signature type: empty");
//! ```

mod cbor;
pub mod cosign;
mod der;
pub mod git;
mod key;
pub mod notation;
pub mod openpgp;
pub mod provenance;
pub mod revocation;
pub mod sshsig;
mod timestamp;
pub mod tuf;
mod x509;

pub use key::{Hash, KeyError, PublicKey};

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
