//! Metadata of a repository of The Update Framework: what of it may be believed (<https://theupdateframework.github.io/specification/v1.0.33/>).
//!
//! [`Repository`] begins with a root that is trusted because it came with the program, and takes what was fetched in the order of the
//! specification (section 5): newer roots, each signed by the one before it, then timestamp, snapshot and targets. It says what to fetch
//! next and how large that may be. A piece that is refused changes nothing.
//!
//! Supported is what Sigstore's repository uses: ECDSA on P-256 and other keys of [`PublicKey`], consistent snapshots, targets without delegations.
//! Versions never go back for as long as a value lives; keeping them for longer is the caller's business.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use sha2::{Digest, Sha256, Sha512};

use crate::hex;
use crate::key::{Hash, PublicKey};

/// The largest root, snapshot and targets where nobody says how large they are.
pub const MAX_METADATA: u64 = 5_000_000;
/// The largest timestamp.
pub const MAX_TIMESTAMP: u64 = 16_384;
/// How many roots are taken in a row.
pub const MAX_ROOTS: usize = 256;
/// How deep JSON may be nested.
const MAX_DEPTH: usize = 32;

/// Why a piece of metadata is not to be believed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// It cannot be read.
    #[error("malformed {role} metadata: {problem}")]
    Malformed {
        /// The role.
        role: &'static str,
        /// What is wrong.
        problem: String,
    },
    /// Too few of those who must sign it did.
    #[error("{role} metadata has {found} of the {wanted} signatures that it needs")]
    Unsigned {
        /// The role.
        role: &'static str,
        /// How many keys signed it.
        found: usize,
        /// How many must.
        wanted: usize,
    },
    /// It is not the version that it should be, or goes back.
    #[error("{role} metadata has version {found}, expected {expected}")]
    Version {
        /// The role.
        role: &'static str,
        /// The version that it has.
        found: u64,
        /// The version that it should have, or the lowest.
        expected: u64,
    },
    /// Its time is over.
    #[error("{role} metadata has expired at {expires}")]
    Expired {
        /// The role.
        role: &'static str,
        /// When.
        expires: Timestamp,
    },
    /// The content is not that which was announced.
    #[error("{what} is not what was announced: {problem} differs")]
    Content {
        /// What it is.
        what: String,
        /// In what it differs.
        problem: &'static str,
    },
    /// It was asked for too early, or is not there.
    #[error("{0}")]
    Missing(&'static str),
}

type Result<T> = std::result::Result<T, Error>;

/// What is known of a repository.
#[derive(Debug, Clone)]
pub struct Repository {
    root: Root,
    snapshot_meta: Option<(u64, Meta)>,
    targets_meta: Option<Meta>,
    targets: Option<Targets>,
}

/// A file that is to be fetched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// Its place in the repository.
    pub path: String,
    /// Its largest size.
    pub limit: u64,
}

impl Repository {
    /// One whose root is trusted as it is, but must be signed as it says itself.
    ///
    /// # Errors
    /// When it is malformed or not signed.
    pub fn new(root: &[u8]) -> Result<Self> {
        let envelope = Envelope::parse("root", root)?;
        let root: Root = envelope.body("root")?;
        root.check("root", &envelope)?;
        Ok(Self {
            root,
            snapshot_meta: None,
            targets_meta: None,
            targets: None,
        })
    }

    /// The next root, which need not exist.
    #[must_use]
    pub fn next_root(&self) -> File {
        File {
            path: format!("{}.root.json", self.root.version.saturating_add(1)),
            limit: MAX_METADATA,
        }
    }

    /// The timestamp.
    #[must_use]
    pub fn timestamp(&self) -> File {
        File {
            path: "timestamp.json".to_owned(),
            limit: MAX_TIMESTAMP,
        }
    }

    /// The snapshot that the timestamp announced.
    ///
    /// # Errors
    /// When there is no timestamp yet.
    pub fn snapshot(&self) -> Result<File> {
        let (_, meta) = self.snapshot_meta.as_ref().ok_or(NO_TIMESTAMP)?;
        Ok(self.named(meta, "snapshot"))
    }

    /// The targets that the snapshot announced.
    ///
    /// # Errors
    /// When there is no snapshot yet.
    pub fn targets(&self) -> Result<File> {
        let meta = self.targets_meta.as_ref().ok_or(NO_SNAPSHOT)?;
        Ok(self.named(meta, "targets"))
    }

    fn named(&self, meta: &Meta, role: &str) -> File {
        let version = meta.version;
        let path = if self.root.consistent_snapshot {
            format!("{version}.{role}.json")
        } else {
            format!("{role}.json")
        };
        File {
            path,
            limit: meta.length.unwrap_or(MAX_METADATA).min(MAX_METADATA),
        }
    }

    /// A target that the targets announced.
    ///
    /// # Errors
    /// When there are no targets yet, or none of that name.
    pub fn target(&self, name: &str) -> Result<File> {
        let target = self.announced(name)?;
        let prefix = match &target.hashes.sha256 {
            Some(hash) if self.root.consistent_snapshot => format!("{}.", hash.to_lowercase()),
            _ => String::new(),
        };
        let path = match name.rsplit_once('/') {
            Some((folder, file)) => format!("targets/{folder}/{prefix}{file}"),
            None => format!("targets/{prefix}{name}"),
        };
        Ok(File {
            path,
            limit: target.length.min(MAX_METADATA),
        })
    }

    fn announced(&self, name: &str) -> Result<&Target> {
        let targets = self
            .targets
            .as_ref()
            .ok_or(Error::Missing("there are no targets yet"))?;
        let target = targets.targets.get(name);
        target.ok_or(Error::Missing("the repository has no such target"))
    }

    /// Takes the next root: those of before and those of now must have signed it.
    ///
    /// # Errors
    /// When it is not to be believed.
    pub fn take_root(&mut self, text: &[u8]) -> Result<()> {
        let envelope = Envelope::parse("root", text)?;
        self.root.check("root", &envelope)?;
        let root: Root = envelope.body("root")?;
        root.check("root", &envelope)?;
        let expected = self.root.version.saturating_add(1);
        exact("root", root.version, expected)?;
        // Who could sign these may have been found out: what they said is to be said again.
        if root.roles.timestamp != self.root.roles.timestamp
            || root.roles.snapshot != self.root.roles.snapshot
        {
            self.snapshot_meta = None;
            self.targets_meta = None;
            self.targets = None;
        }
        self.root = root;
        Ok(())
    }

    /// Takes a timestamp. The root must be the last one by now.
    ///
    /// # Errors
    /// When it is not to be believed, or the root's time is over.
    pub fn take_timestamp(&mut self, text: &[u8], now: Timestamp) -> Result<()> {
        fresh("root", self.root.expires, now)?;
        let (version, announced) = self.listing("timestamp", text, now)?;
        let meta = announced
            .snapshot
            .ok_or_else(|| malformed("timestamp", "it names no snapshot"))?;
        if let Some((known, known_meta)) = &self.snapshot_meta {
            at_least("timestamp", version, *known)?;
            at_least("snapshot", meta.version, known_meta.version)?;
        }
        self.snapshot_meta = Some((version, meta));
        Ok(())
    }

    /// Takes the snapshot that the timestamp announced.
    ///
    /// # Errors
    /// When it is not to be believed.
    pub fn take_snapshot(&mut self, text: &[u8], now: Timestamp) -> Result<()> {
        let (_, meta) = self.snapshot_meta.as_ref().ok_or(NO_TIMESTAMP)?;
        meta.check("snapshot", text)?;
        let (version, announced) = self.listing("snapshot", text, now)?;
        exact("snapshot", version, meta.version)?;
        let targets = announced
            .targets
            .ok_or_else(|| malformed("snapshot", "it names no targets"))?;
        if let Some(known) = &self.targets_meta {
            at_least("targets", targets.version, known.version)?;
        }
        self.targets_meta = Some(targets);
        Ok(())
    }

    /// Takes the targets that the snapshot announced.
    ///
    /// # Errors
    /// When they are not to be believed.
    pub fn take_targets(&mut self, text: &[u8], now: Timestamp) -> Result<()> {
        let meta = self.targets_meta.as_ref().ok_or(NO_SNAPSHOT)?;
        meta.check("targets", text)?;
        let envelope = Envelope::parse("targets", text)?;
        self.root.verify("targets", &self.root.roles.targets, &envelope)?;
        let targets: Targets = envelope.body("targets")?;
        exact("targets", targets.version, meta.version)?;
        fresh("targets", targets.expires, now)?;
        self.targets = Some(targets);
        Ok(())
    }

    /// Checks the content of a target.
    ///
    /// # Errors
    /// When it is not what was announced.
    pub fn check_target(&self, name: &str, content: &[u8]) -> Result<()> {
        let target = self.announced(name)?;
        target.hashes.check(name, content, true)?;
        if target.length == content.len() as u64 {
            Ok(())
        } else {
            Err(differs(name, "its length"))
        }
    }

    /// A timestamp or a snapshot: a version, and the versions of others.
    fn listing(&self, role: &'static str, text: &[u8], now: Timestamp) -> Result<(u64, Announced)> {
        let envelope = Envelope::parse(role, text)?;
        let keys = match role {
            "timestamp" => &self.root.roles.timestamp,
            _ => &self.root.roles.snapshot,
        };
        self.root.verify(role, keys, &envelope)?;
        let listing: Listing = envelope.body(role)?;
        fresh(role, listing.expires, now)?;
        Ok((listing.version, listing.meta))
    }
}

const NO_TIMESTAMP: Error = Error::Missing("there is no timestamp yet");
const NO_SNAPSHOT: Error = Error::Missing("there is no snapshot yet");

fn malformed(role: &'static str, problem: impl Into<String>) -> Error {
    Error::Malformed {
        role,
        problem: problem.into(),
    }
}

fn differs(what: &str, problem: &'static str) -> Error {
    Error::Content {
        what: what.to_owned(),
        problem,
    }
}

fn exact(role: &'static str, found: u64, expected: u64) -> Result<()> {
    if found == expected {
        return Ok(());
    }
    Err(Error::Version {
        role,
        found,
        expected,
    })
}

fn at_least(role: &'static str, found: u64, expected: u64) -> Result<()> {
    if found >= expected {
        return Ok(());
    }
    Err(Error::Version {
        role,
        found,
        expected,
    })
}

fn fresh(role: &'static str, expires: Timestamp, now: Timestamp) -> Result<()> {
    if now < expires {
        return Ok(());
    }
    Err(Error::Expired { role, expires })
}

/// Metadata with its signatures.
struct Envelope {
    signed: Value,
    /// What the signatures are over.
    canonical: Vec<u8>,
    /// By the id of the key.
    signatures: BTreeMap<String, Vec<u8>>,
}

#[derive(Deserialize)]
struct EnvelopeJson {
    signed: Value,
    signatures: Vec<SignatureJson>,
}

#[derive(Deserialize)]
struct SignatureJson {
    keyid: String,
    sig: String,
}

impl Envelope {
    fn parse(role: &'static str, text: &[u8]) -> Result<Self> {
        let json: EnvelopeJson =
            serde_json::from_slice(text).map_err(|error| malformed(role, error.to_string()))?;
        let mut canonical = Vec::new();
        write_canonical(&json.signed, &mut canonical, 0).map_err(|problem| malformed(role, problem))?;
        let mut signatures = BTreeMap::new();
        for signature in json.signatures {
            // One that is empty stands for somebody who has not signed.
            let bytes =
                unhex(&signature.sig).ok_or_else(|| malformed(role, "a signature is no hexadecimal text"))?;
            if signatures.insert(signature.keyid, bytes).is_some() {
                return Err(malformed(role, "a key has signed it twice"));
            }
        }
        Ok(Self {
            signed: json.signed,
            canonical,
            signatures,
        })
    }

    fn body<T: DeserializeOwned>(&self, role: &'static str) -> Result<T> {
        if self.signed.get("_type").and_then(Value::as_str) != Some(role) {
            return Err(malformed(role, "it is of another type"));
        }
        serde_json::from_value(self.signed.clone()).map_err(|error| malformed(role, error.to_string()))
    }
}

#[derive(Debug, Clone, Deserialize)]
struct Root {
    version: u64,
    expires: Timestamp,
    #[serde(default)]
    consistent_snapshot: bool,
    keys: BTreeMap<String, Key>,
    roles: Roles,
}

#[derive(Debug, Clone, Deserialize)]
struct Key {
    keyval: KeyValue,
}

#[derive(Debug, Clone, Deserialize)]
struct KeyValue {
    public: String,
}

#[derive(Debug, Clone, Deserialize)]
struct Roles {
    root: Role,
    timestamp: Role,
    snapshot: Role,
    targets: Role,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
struct Role {
    keyids: BTreeSet<String>,
    threshold: usize,
}

impl Root {
    /// Whether those who may sign roots by this one have signed it.
    fn check(&self, role: &'static str, envelope: &Envelope) -> Result<()> {
        self.verify(role, &self.roles.root, envelope)
    }

    fn verify(&self, role: &'static str, who: &Role, envelope: &Envelope) -> Result<()> {
        let wanted = who.threshold.max(1);
        let signed = |id: &String| {
            let key = PublicKey::from_pem(&self.keys.get(id)?.keyval.public).ok()?;
            let signature = envelope.signatures.get(id)?;
            let is_good = key.verify(Hash::Sha256, &envelope.canonical, signature);
            is_good.then(|| key.to_der().to_vec())
        };
        // A key counts once, whatever it is called.
        let keys: BTreeSet<Vec<u8>> = who.keyids.iter().filter_map(signed).collect();
        let found = keys.len();
        if found >= wanted {
            return Ok(());
        }
        Err(Error::Unsigned { role, found, wanted })
    }
}

/// What timestamps and snapshots have in common.
#[derive(Debug, Clone, Deserialize)]
struct Listing {
    version: u64,
    expires: Timestamp,
    meta: Announced,
}

#[derive(Debug, Clone, Deserialize)]
struct Announced {
    #[serde(rename = "snapshot.json")]
    snapshot: Option<Meta>,
    #[serde(rename = "targets.json")]
    targets: Option<Meta>,
}

#[derive(Debug, Clone, Deserialize)]
struct Meta {
    version: u64,
    length: Option<u64>,
    #[serde(default)]
    hashes: Hashes,
}

impl Meta {
    fn check(&self, role: &'static str, text: &[u8]) -> Result<()> {
        if self.length.is_some_and(|length| length != text.len() as u64) {
            return Err(differs(role, "its length"));
        }
        self.hashes.check(role, text, false)
    }
}

#[derive(Debug, Clone, Deserialize)]
struct Targets {
    version: u64,
    expires: Timestamp,
    targets: BTreeMap<String, Target>,
}

#[derive(Debug, Clone, Deserialize)]
struct Target {
    length: u64,
    hashes: Hashes,
}

#[derive(Debug, Clone, Default, Deserialize)]
struct Hashes {
    sha256: Option<String>,
    sha512: Option<String>,
}

impl Hashes {
    /// Compares all that are known; at least one must be where they are needed.
    fn check(&self, what: &str, text: &[u8], are_needed: bool) -> Result<()> {
        if are_needed && self.sha256.is_none() && self.sha512.is_none() {
            return Err(differs(what, "the kind of its hash"));
        }
        let is = |announced: &Option<String>, found: &dyn Fn() -> String| {
            announced
                .as_ref()
                .is_none_or(|hash| hash.eq_ignore_ascii_case(&found()))
        };
        if is(&self.sha256, &|| hex(&Sha256::digest(text)))
            && is(&self.sha512, &|| hex(&Sha512::digest(text)))
        {
            return Ok(());
        }
        Err(differs(what, "its hash"))
    }
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| {
        char::from(byte)
            .to_digit(16)
            .and_then(|digit| u8::try_from(digit).ok())
    };
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    let bytes = pairs
        .iter()
        .map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?));
    if rest.is_empty() { bytes.collect() } else { None }
}

/// Writes JSON the one way that is signed: names sorted, no spaces, no escapes but of the quote and the backslash, no fractions.
fn write_canonical(value: &Value, out: &mut Vec<u8>, depth: usize) -> std::result::Result<(), &'static str> {
    if depth > MAX_DEPTH {
        return Err("it is nested too deeply");
    }
    match value {
        Value::Null => out.extend_from_slice(b"null"),
        Value::Bool(true) => out.extend_from_slice(b"true"),
        Value::Bool(false) => out.extend_from_slice(b"false"),
        Value::Number(number) if number.is_f64() => return Err("it holds a number with a fraction"),
        Value::Number(number) => out.extend_from_slice(number.to_string().as_bytes()),
        Value::String(text) => write_text(text, out),
        Value::Array(values) => {
            out.push(b'[');
            for (index, value) in values.iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                write_canonical(value, out, depth + 1)?;
            }
            out.push(b']');
        }
        Value::Object(map) => {
            // The map may keep the order of the text.
            let sorted: BTreeMap<_, _> = map.iter().collect();
            out.push(b'{');
            for (index, (name, value)) in sorted.into_iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                write_text(name, out);
                out.push(b':');
                write_canonical(value, out, depth + 1)?;
            }
            out.push(b'}');
        }
    }
    Ok(())
}

fn write_text(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    for byte in text.bytes() {
        if matches!(byte, b'"' | b'\\') {
            out.push(b'\\');
        }
        out.push(byte);
    }
    out.push(b'"');
}
