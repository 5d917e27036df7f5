//! Signatures of `ssh-keygen -Y sign` (PROTOCOL.sshsig), verified against authorized keys.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use sha2::{Digest, Sha256};
use ssh_key::encoding::Decode;
use ssh_key::{Algorithm, PublicKey, SshSig};

/// The largest armored signature that is read.
pub const MAX_SIGNATURE: usize = 64 << 10;

const BEGIN: &str = "-----BEGIN SSH SIGNATURE-----";
const END: &str = "-----END SSH SIGNATURE-----";

/// Keys that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unable to parse authorized key: {0}")]
pub struct KeyError(String);

/// Why a key does not vouch for a signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Mismatch {
    /// Another key made the signature.
    #[error("public key does not match")]
    Key,
    /// The signature was made for another purpose.
    #[error("namespace does not match")]
    Namespace,
    /// The key made another signature.
    #[error("ssh: signature did not verify")]
    Signature,
}

/// An authorized key.
#[derive(Debug, Clone)]
pub struct AuthorizedKey {
    key: PublicKey,
    fingerprint: String,
}

impl AuthorizedKey {
    /// `SHA256:` and the hash of the key.
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }
}

/// Reads keys in the format of `authorized_keys`. Blank lines and lines that start with `#` are passed over; options before a key are, too, as
/// upstream does, so lists of `principal key` can be read as well.
///
/// # Errors
/// When any other line holds no key.
pub fn parse_authorized_keys(text: &str) -> Result<Vec<AuthorizedKey>, KeyError> {
    text.lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(parse_line)
        .collect()
}

fn parse_line(line: &str) -> Result<AuthorizedKey, KeyError> {
    let first = parse_key(line);
    if let Ok(key) = first {
        return Ok(key);
    }
    let after = skip_options(line).ok_or_else(|| KeyError("ssh: no key found".to_owned()))?;
    parse_key(after).map_err(|problem| {
        KeyError(format!(
            "ssh: no key found; last parsing error for ignored line: {problem}"
        ))
    })
}

/// Reads `type base64 [comment]`.
fn parse_key(text: &str) -> Result<AuthorizedKey, String> {
    let mut fields = text.split_ascii_whitespace();
    let kind = fields.next().unwrap_or_default();
    let data = fields.next().ok_or("the key is missing")?;
    let data = STANDARD.decode(data).map_err(|error| error.to_string())?;
    let key = PublicKey::from_bytes(&data).map_err(|error| error.to_string())?;
    let encoded = key.algorithm();
    if encoded.as_str() != kind {
        return Err(format!(
            "ssh: authorized keys key type mismatch: human-readable type {kind:?}, encoded type {:?}",
            encoded.as_str()
        ));
    }
    let fingerprint = format!("SHA256:{}", STANDARD_NO_PAD.encode(Sha256::digest(&data)));
    Ok(AuthorizedKey { key, fingerprint })
}

/// What follows the options at the start of a line. Spaces within quotes belong to an option.
fn skip_options(line: &str) -> Option<&str> {
    let (mut is_quoted, mut before) = (false, ' ');
    for (at, character) in line.char_indices() {
        match character {
            ' ' | '\t' if !is_quoted => return line.get(at..).map(str::trim_start),
            '"' if before != '\\' => is_quoted = !is_quoted,
            _ => {}
        }
        before = character;
    }
    None
}

/// A signature that has been read.
#[derive(Debug, Clone)]
pub struct Signature(SshSig);

/// A signature that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FormatError {
    /// There is no block of the right kind.
    #[error("invalid PEM block")]
    Armor,
    /// The signature is larger than any real one.
    #[error("the signature is larger than {MAX_SIGNATURE} bytes")]
    TooLarge,
    /// The content is malformed, or its algorithms are not supported.
    #[error("{0}")]
    Content(String),
}

impl Signature {
    /// Reads an armored signature.
    ///
    /// # Errors
    /// When it is malformed or uses algorithms that are not supported.
    pub fn from_armor(text: &str) -> Result<Self, FormatError> {
        if text.len() > MAX_SIGNATURE {
            return Err(FormatError::TooLarge);
        }
        let (_, body) = text.split_once(BEGIN).ok_or(FormatError::Armor)?;
        let (body, _) = body.split_once(END).ok_or(FormatError::Armor)?;
        let body: String = body.split_ascii_whitespace().collect();
        let data = STANDARD.decode(body).map_err(|_| FormatError::Armor)?;
        let mut rest = data.as_slice();
        let content = |text: String| FormatError::Content(text);
        let signature = SshSig::decode(&mut rest).map_err(|error| content(error.to_string()))?;
        if !rest.is_empty() {
            return Err(content("trailing data after the signature".to_owned()));
        }
        if signature.version() != SshSig::VERSION {
            return Err(content("unsupported signature version".to_owned()));
        }
        if let Algorithm::Rsa { hash: None } = signature.signature().algorithm() {
            return Err(content("invalid signature format \"ssh-rsa\"".to_owned()));
        }
        Ok(Self(signature))
    }

    /// Verifies that `key` made the signature over `data` for the purpose that `namespace` names.
    ///
    /// # Errors
    /// When it did not.
    pub fn verify(&self, key: &AuthorizedKey, namespace: &str, data: &[u8]) -> Result<(), Mismatch> {
        if key.key.key_data() != self.0.public_key() {
            return Err(Mismatch::Key);
        }
        if self.0.namespace() != namespace {
            return Err(Mismatch::Namespace);
        }
        key.key
            .verify(namespace, data, &self.0)
            .map_err(|_| Mismatch::Signature)
    }
}
