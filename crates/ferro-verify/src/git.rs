//! Signatures of Git commits and tags, with the messages of Flux 2.9 (source-controller 1.9, `fluxcd/pkg/git`).

use std::fmt;

use jiff::Timestamp;

use crate::openpgp::{self, Keyring};
use crate::sshsig::{self, Mismatch};

/// The purpose that SSH signatures of Git objects are made for.
const NAMESPACE: &str = "git";

/// The keys that are trusted.
#[derive(Debug, Clone, Default)]
pub struct Keys {
    /// Armored OpenPGP keyrings.
    pub openpgp: Vec<String>,
    /// SSH keys in the format of `authorized_keys`.
    pub ssh: Vec<String>,
}

impl Keys {
    /// Sorts the entries of a Secret: names that end in `.sshpub` are lists of SSH keys, all others are keyrings (they should end in `.asc`,
    /// but upstream once took any name).
    pub fn from_entries<'a>(entries: impl IntoIterator<Item = (&'a str, &'a [u8])>) -> Self {
        let mut keys = Self::default();
        for (name, value) in entries {
            let text = String::from_utf8_lossy(value).into_owned();
            if name.ends_with(".sshpub") {
                keys.ssh.push(text);
            } else {
                keys.openpgp.push(text);
            }
        }
        keys
    }
}

/// What is signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Object {
    /// A commit.
    Commit,
    /// An annotated tag.
    Tag,
}

impl fmt::Display for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Commit => "commit",
            Self::Tag => "tag",
        })
    }
}

/// Why a commit or tag is not to be believed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The signature is neither OpenPGP's nor SSH's.
    #[error("unsupported signature type: {found}")]
    Unsupported {
        /// What it is instead: `x509`, `empty` or `unknown`.
        found: &'static str,
    },
    /// There are no keys that the signature could be made with.
    #[error(
        "{kind} signature detected but no {kind} public keys found in secret (keys with {suffix} suffix)"
    )]
    NoKeys {
        /// `PGP` or `SSH`.
        kind: &'static str,
        /// How the names of such keys end.
        suffix: &'static str,
    },
    /// No OpenPGP key vouches for the object.
    #[error("unable to verify Git {object}: {problem}")]
    OpenPgp {
        /// What is signed.
        object: Object,
        /// Why not.
        problem: OpenPgpProblem,
    },
    /// No SSH key vouches for the object.
    #[error("unable to verify Git {object} SSH signature: {problem}")]
    Ssh {
        /// What is signed.
        object: Object,
        /// Why not.
        problem: SshProblem,
    },
}

/// Why no OpenPGP key vouches for an object.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OpenPgpProblem {
    /// There is nothing that could be signed.
    #[error("unable to verify payload: payload is empty")]
    EmptyPayload,
    /// None of the keyrings can be read; this is what is wrong with the first.
    #[error("unable to read armored key ring: {0}")]
    Keyring(openpgp::Error),
    /// None of the keys made the signature, or none that is valid.
    #[error("unable to verify payload with any of the given key rings: no matching key")]
    NoMatchingKey {
        /// What each keyring said that could be read.
        reasons: Vec<openpgp::Error>,
    },
}

/// Why no SSH key vouches for an object.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SshProblem {
    /// There is nothing that could be signed.
    #[error("unable to verify payload: payload is empty")]
    EmptyPayload,
    /// The signature cannot be read.
    #[error("unable to unarmor SSH signature: {0}")]
    Format(sshsig::FormatError),
    /// None of the lists of keys can be read; this is what is wrong with the first.
    #[error("unable to parse authorized keys: {0}")]
    Keys(sshsig::KeyError),
    /// None of the keys made the signature.
    #[error("unable to verify payload with any of the given authorized keys: no matching key{}", Lines(.reasons))]
    NoMatchingKey {
        /// What the keys said, each answer once.
        reasons: Vec<Mismatch>,
    },
}

/// Each on a line of its own.
struct Lines<'a>(&'a [Mismatch]);

impl fmt::Display for Lines<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|reason| write!(f, "\n{reason}"))
    }
}

/// Verifies the signature of a commit or tag over `payload`, the object without it, and returns the key: an OpenPGP key id or the fingerprint of
/// an SSH key.
///
/// # Errors
/// When no key vouches for the object at the time `now`.
pub fn verify(
    object: Object,
    signature: &[u8],
    payload: &[u8],
    keys: &Keys,
    now: Timestamp,
) -> Result<String, Error> {
    let text = String::from_utf8_lossy(signature);
    let armor = text.trim();
    if armor.starts_with("-----BEGIN PGP SIGNATURE-----") {
        require(&keys.openpgp, "PGP", ".asc")?;
        verify_openpgp(armor, payload, &keys.openpgp, now)
            .map_err(|problem| Error::OpenPgp { object, problem })
    } else if armor.starts_with("-----BEGIN SSH SIGNATURE-----") {
        require(&keys.ssh, "SSH", ".sshpub")?;
        verify_ssh(armor, payload, &keys.ssh).map_err(|problem| Error::Ssh { object, problem })
    } else {
        let found = match armor {
            _ if signature.is_empty() => "empty",
            armor if armor.starts_with("-----BEGIN SIGNED MESSAGE-----") => "x509",
            _ => "unknown",
        };
        Err(Error::Unsupported { found })
    }
}

fn require(keys: &[String], kind: &'static str, suffix: &'static str) -> Result<(), Error> {
    if keys.is_empty() {
        return Err(Error::NoKeys { kind, suffix });
    }
    Ok(())
}

fn verify_openpgp(
    signature: &str,
    payload: &[u8],
    keyrings: &[String],
    now: Timestamp,
) -> Result<String, OpenPgpProblem> {
    if payload.is_empty() {
        return Err(OpenPgpProblem::EmptyPayload);
    }
    let (mut unreadable, mut reasons) = (None, Vec::new());
    for text in keyrings {
        let keyring = match Keyring::from_armor(text) {
            Ok(keyring) => keyring,
            Err(error) => {
                unreadable.get_or_insert(error);
                continue;
            }
        };
        match openpgp::verify_detached(&keyring, signature, payload, now) {
            Ok(key) => return Ok(key),
            Err(reason) => reasons.push(reason),
        }
    }
    match unreadable {
        Some(error) if reasons.is_empty() => Err(OpenPgpProblem::Keyring(error)),
        _ => Err(OpenPgpProblem::NoMatchingKey { reasons }),
    }
}

fn verify_ssh(signature: &str, payload: &[u8], lists: &[String]) -> Result<String, SshProblem> {
    if payload.is_empty() {
        return Err(SshProblem::EmptyPayload);
    }
    let signature = sshsig::Signature::from_armor(signature).map_err(SshProblem::Format)?;
    let (mut unreadable, mut is_attempted, mut reasons) = (None, false, Vec::new());
    for text in lists {
        let keys = match sshsig::parse_authorized_keys(text) {
            Ok(keys) => keys,
            Err(error) => {
                unreadable.get_or_insert(error);
                continue;
            }
        };
        is_attempted = true;
        for key in keys {
            match signature.verify(&key, NAMESPACE, payload) {
                Ok(()) => return Ok(key.fingerprint().to_owned()),
                Err(reason) if !reasons.contains(&reason) => reasons.push(reason),
                Err(_) => {}
            }
        }
    }
    match unreadable {
        Some(error) if !is_attempted => Err(SshProblem::Keys(error)),
        _ => Err(SshProblem::NoMatchingKey { reasons }),
    }
}
