//! Digests of content, as registries write them.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::Digest as _;

/// A digest that is none; the texts are go-containerregistry's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DigestError {
    /// It is not of the form `<algorithm>:<hex>`.
    #[error("cannot parse hash: {0:?}")]
    Malformed(String),
    /// The algorithm is not one that registries use.
    #[error("unsupported hash: {0:?}")]
    Algorithm(String),
    /// There are other characters than digits and lower-case letters.
    #[error("found non-hex character in hash: {0}")]
    Hex(char),
    /// There are too many or too few.
    #[error("wrong number of hex digits for {algorithm}: {hex}")]
    Length {
        /// The algorithm.
        algorithm: &'static str,
        /// The digits.
        hex: String,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Algorithm {
    Sha256,
    Sha512,
}

impl Algorithm {
    const fn name(self) -> &'static str {
        match self {
            Self::Sha256 => "sha256",
            Self::Sha512 => "sha512",
        }
    }

    const fn digits(self) -> usize {
        match self {
            Self::Sha256 => 64,
            Self::Sha512 => 128,
        }
    }
}

/// `sha256:<hex>` or `sha512:<hex>`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digest {
    algorithm: Algorithm,
    hex: Box<str>,
}

impl Digest {
    /// The SHA-256 digest of `bytes`.
    pub fn of(bytes: &[u8]) -> Self {
        let mut hasher = Hasher::sha256();
        hasher.update(bytes);
        hasher.finish()
    }

    /// The name before the colon.
    pub const fn algorithm(&self) -> &'static str {
        self.algorithm.name()
    }

    /// The digits after the colon.
    pub fn hex(&self) -> &str {
        &self.hex
    }

    /// A hasher that computes digests like this one.
    pub(crate) fn hasher(&self) -> Hasher {
        match self.algorithm {
            Algorithm::Sha256 => Hasher::sha256(),
            Algorithm::Sha512 => Hasher(Inner::Sha512(sha2::Sha512::new())),
        }
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.algorithm.name(), self.hex)
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Digest {
    type Err = DigestError;

    fn from_str(text: &str) -> Result<Self, DigestError> {
        let shown = || text.chars().take(200).collect::<String>();
        let (name, hex) = text
            .split_once(':')
            .filter(|(name, hex)| !name.is_empty() && !hex.is_empty())
            .ok_or_else(|| DigestError::Malformed(shown()))?;
        if let Some(other) = hex.chars().find(|c| !matches!(c, '0'..='9' | 'a'..='f')) {
            return Err(DigestError::Hex(other));
        }
        let algorithm = match name {
            "sha256" => Algorithm::Sha256,
            "sha512" => Algorithm::Sha512,
            other => return Err(DigestError::Algorithm(other.chars().take(200).collect())),
        };
        if hex.len() != algorithm.digits() {
            return Err(DigestError::Length {
                algorithm: algorithm.name(),
                hex: hex.chars().take(200).collect(),
            });
        }
        Ok(Self {
            algorithm,
            hex: hex.into(),
        })
    }
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// A running digest.
pub(crate) struct Hasher(Inner);

enum Inner {
    Sha256(sha2::Sha256),
    Sha512(sha2::Sha512),
}

impl fmt::Debug for Hasher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hasher")
    }
}

impl Hasher {
    pub(crate) fn sha256() -> Self {
        Self(Inner::Sha256(sha2::Sha256::new()))
    }

    pub(crate) fn update(&mut self, bytes: &[u8]) {
        match &mut self.0 {
            Inner::Sha256(hasher) => hasher.update(bytes),
            Inner::Sha512(hasher) => hasher.update(bytes),
        }
    }

    pub(crate) fn finish(self) -> Digest {
        let (algorithm, hex) = match self.0 {
            Inner::Sha256(hasher) => (Algorithm::Sha256, hex(&hasher.finalize())),
            Inner::Sha512(hasher) => (Algorithm::Sha512, hex(&hasher.finalize())),
        };
        Digest {
            algorithm,
            hex: hex.into(),
        }
    }
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    use fmt::Write as _;
    bytes
        .iter()
        .fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
            let _infallible = write!(text, "{byte:02x}");
            text
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digest_of_known_bytes() {
        let digest = Digest::of(b"abc");
        let text = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(digest.to_string(), text);
        assert_eq!(text.parse::<Digest>().unwrap(), digest);
    }

    #[test]
    fn digest_malformed_has_the_texts_of_the_reference() {
        let cases = [
            ("", "cannot parse hash: \"\""),
            ("sha256", "cannot parse hash: \"sha256\""),
            ("sha256:", "cannot parse hash: \"sha256:\""),
            ("sha256:12g", "found non-hex character in hash: g"),
            ("md5:12", "unsupported hash: \"md5\""),
            ("sha256:12", "wrong number of hex digits for sha256: 12"),
        ];
        for (text, expected) in cases {
            assert_eq!(text.parse::<Digest>().unwrap_err().to_string(), expected);
        }
    }
}
