//! The `known_hosts` format of OpenSSH.

use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use russh::keys::ssh_key::PublicKey;
use russh::keys::{Algorithm, HashAlg};

/// What a `known_hosts` file says of a key that a server shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It is one of the host's keys.
    Known,
    /// The host has other keys.
    Mismatch,
    /// There is no key of the host.
    Unknown,
    /// The key must not be used.
    Revoked,
}

/// The parsed lines of a `known_hosts` file.
#[derive(Debug, Clone, Default)]
pub(crate) struct KnownHosts {
    lines: Vec<Line>,
}

#[derive(Debug, Clone)]
struct Line {
    is_revoked: bool,
    hosts: Hosts,
    key: PublicKey,
}

#[derive(Debug, Clone)]
enum Hosts {
    Patterns(Vec<(bool, String)>),
    Hashed { salt: Vec<u8>, hash: Vec<u8> },
}

impl KnownHosts {
    /// Reads a file; the error is the number of the first malformed line.
    ///
    /// Lines with key types that we do not know, and certificate authorities, are left out.
    pub(crate) fn parse(text: &str) -> Result<Self, usize> {
        let mut lines = Vec::new();
        for (index, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let mut fields = line.split_whitespace().peekable();
            let marker = fields.next_if(|field| field.starts_with('@'));
            let (Some(hosts), Some(kind), Some(key)) = (fields.next(), fields.next(), fields.next()) else {
                return Err(index + 1);
            };
            if !matches!(marker, None | Some("@revoked")) {
                continue;
            }
            let hosts = Hosts::parse(hosts).ok_or(index + 1)?;
            let is_supported =
                Algorithm::from_str(kind).is_ok_and(|kind| !matches!(kind, Algorithm::Other(_)));
            match PublicKey::from_openssh(&format!("{kind} {key}")) {
                Ok(key) => lines.push(Line {
                    is_revoked: marker.is_some(),
                    hosts,
                    key,
                }),
                Err(_) if !is_supported => {}
                Err(_) => return Err(index + 1),
            }
        }
        Ok(Self { lines })
    }

    /// Judges the key of a host.
    pub(crate) fn judge(&self, host: &str, port: u16, key: &PublicKey) -> Verdict {
        let name = lookup_name(host, port);
        let mut verdict = Verdict::Unknown;
        for line in self.lines.iter().filter(|line| line.hosts.matches(&name)) {
            let is_same = line.key.key_data() == key.key_data();
            match (line.is_revoked, is_same) {
                (true, true) => return Verdict::Revoked,
                (false, true) => verdict = Verdict::Known,
                (false, false) if verdict == Verdict::Unknown => verdict = Verdict::Mismatch,
                (true | false, false) => {}
            }
        }
        verdict
    }

    /// The host key algorithms for which the file has keys of this host; an RSA key serves three.
    pub(crate) fn algorithms(&self, host: &str, port: u16) -> Vec<Algorithm> {
        let name = lookup_name(host, port);
        let mut algorithms = Vec::new();
        for line in self
            .lines
            .iter()
            .filter(|line| !line.is_revoked && line.hosts.matches(&name))
        {
            let own = match line.key.algorithm() {
                Algorithm::Rsa { .. } => [Some(HashAlg::Sha512), Some(HashAlg::Sha256), None]
                    .map(|hash| Algorithm::Rsa { hash })
                    .to_vec(),
                other => vec![other],
            };
            for algorithm in own {
                if !algorithms.contains(&algorithm) {
                    algorithms.push(algorithm);
                }
            }
        }
        algorithms
    }
}

impl Hosts {
    fn parse(field: &str) -> Option<Self> {
        let Some(hashed) = field.strip_prefix("|1|") else {
            let patterns = field.split(',').filter(|pattern| !pattern.is_empty());
            let patterns = patterns.map(|pattern| match pattern.strip_prefix('!') {
                Some(pattern) => (false, pattern.to_lowercase()),
                None => (true, pattern.to_lowercase()),
            });
            return Some(Self::Patterns(patterns.collect()));
        };
        let (salt, hash) = hashed.split_once('|')?;
        Some(Self::Hashed {
            salt: BASE64.decode(salt).ok()?,
            hash: BASE64.decode(hash).ok()?,
        })
    }

    fn matches(&self, name: &str) -> bool {
        match self {
            Self::Patterns(patterns) => {
                let mut is_match = false;
                for (is_positive, pattern) in patterns {
                    if wildcard(pattern.as_bytes(), name.as_bytes()) {
                        if !is_positive {
                            return false;
                        }
                        is_match = true;
                    }
                }
                is_match
            }
            Self::Hashed { salt, hash } => {
                let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, salt);
                ring::hmac::verify(&key, name.as_bytes(), hash).is_ok()
            }
        }
    }
}

/// The form in which a host is looked up: the port counts when it is not 22.
pub(crate) fn lookup_name(host: &str, port: u16) -> String {
    let host = host.trim_start_matches('[').trim_end_matches(']').to_lowercase();
    if port == 22 {
        host
    } else {
        format!("[{host}]:{port}")
    }
}

/// `*` for any text, `?` for any one character.
fn wildcard(pattern: &[u8], text: &[u8]) -> bool {
    let (mut pattern, mut text) = (pattern, text);
    let mut retry: Option<(&[u8], &[u8])> = None;
    loop {
        match (pattern.split_first(), text.split_first()) {
            (Some((b'*', rest)), _) => {
                retry = Some((rest, text));
                pattern = rest;
            }
            (Some((expected, pattern_rest)), Some((found, text_rest)))
                if *expected == b'?' || expected == found =>
            {
                (pattern, text) = (pattern_rest, text_rest);
            }
            (None, None) => return true,
            _ => match retry.and_then(|(after, from)| Some((after, from.get(1..)?))) {
                Some((after, from)) => {
                    retry = Some((after, from));
                    (pattern, text) = (after, from);
                }
                None => return false,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ED25519: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl";
    const OTHER: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJDgYJtDGtN5FdBPLKOvJdmFYJPF3cAGVDPUnFUSMF9w";

    fn key(text: &str) -> PublicKey {
        PublicKey::from_openssh(text).unwrap()
    }

    fn judge(file: &str, host: &str, port: u16) -> Verdict {
        KnownHosts::parse(file).unwrap().judge(host, port, &key(ED25519))
    }

    #[test]
    fn judge_finds_the_hosts_keys() {
        let cases = [
            (format!("github.com {ED25519}"), "github.com", 22, Verdict::Known),
            (
                format!("github.com {ED25519} a comment"),
                "GitHub.com",
                22,
                Verdict::Known,
            ),
            (
                format!("github.com {ED25519}"),
                "github.com",
                2222,
                Verdict::Unknown,
            ),
            (
                format!("[github.com]:2222 {ED25519}"),
                "github.com",
                2222,
                Verdict::Known,
            ),
            (format!("a,b,c {ED25519}"), "b", 22, Verdict::Known),
            (
                format!("*.example.com,!bad.example.com {ED25519}"),
                "x.example.com",
                22,
                Verdict::Known,
            ),
            (
                format!("*.example.com,!bad.example.com {ED25519}"),
                "bad.example.com",
                22,
                Verdict::Unknown,
            ),
            (format!("h {OTHER}"), "h", 22, Verdict::Mismatch),
            (
                format!("# note\n\nh {OTHER}\nh {ED25519}"),
                "h",
                22,
                Verdict::Known,
            ),
            (
                format!("h {ED25519}\n@revoked h {ED25519}"),
                "h",
                22,
                Verdict::Revoked,
            ),
            (format!("@cert-authority h {ED25519}"), "h", 22, Verdict::Unknown),
            ("h ssh-unheard-of AAAA".to_owned(), "h", 22, Verdict::Unknown),
            (String::new(), "h", 22, Verdict::Unknown),
        ];
        for (file, host, port, expected) in cases {
            assert_eq!(judge(&file, host, port), expected, "{file}");
        }
    }

    #[test]
    fn judge_hashed_names() {
        let salt = b"0123456789abcdefghij";
        let hmac = ring::hmac::Key::new(ring::hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, salt);
        let hash = ring::hmac::sign(&hmac, b"[git.example.com]:2222");
        let line = format!("|1|{}|{} {ED25519}", BASE64.encode(salt), BASE64.encode(hash));
        assert_eq!(judge(&line, "git.example.com", 2222), Verdict::Known);
        assert_eq!(judge(&line, "git.example.com", 22), Verdict::Unknown);
    }

    #[test]
    fn parse_malformed_line_is_named() {
        assert_eq!(KnownHosts::parse("# fine\nhost-without-key").unwrap_err(), 2);
        assert_eq!(KnownHosts::parse("h ssh-ed25519 !!!").unwrap_err(), 1);
    }
}
