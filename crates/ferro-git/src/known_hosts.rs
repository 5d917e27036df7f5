//! The `known_hosts` format of OpenSSH.

use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use russh::keys::ssh_key::certificate::CertType;
use russh::keys::ssh_key::public::KeyData;
use russh::keys::ssh_key::{Certificate, PublicKey};
use russh::keys::{Algorithm, EcdsaCurve, HashAlg};

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

/// What is wrong with a host certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CertificateProblem {
    /// It is for users.
    #[error("ssh: certificate presented as a host key is not one for hosts")]
    Kind,
    /// `known_hosts` has no line `@cert-authority` with who signed it.
    #[error("ssh: no authorities for hostname")]
    Authority,
    /// It, its key or its authority is revoked by `known_hosts`.
    #[error("ssh: certificate is revoked")]
    Revoked,
    /// It says something that must be understood.
    #[error("ssh: unsupported critical option in certificate")]
    CriticalOption,
    /// It is for other hosts.
    #[error("ssh: the host is not in the set of valid principals of the certificate")]
    Principal,
    /// Its time has not come, or is over.
    #[error("ssh: certificate is not valid at this time")]
    Time,
    /// It was not signed by its authority.
    #[error("ssh: certificate signature does not verify")]
    Signature,
}

/// The parsed lines of a `known_hosts` file.
#[derive(Debug, Clone, Default)]
pub(crate) struct KnownHosts {
    lines: Vec<Line>,
}

#[derive(Debug, Clone)]
struct Line {
    meaning: Meaning,
    hosts: Hosts,
    key: PublicKey,
}

/// What a line says of its key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Meaning {
    /// It is the hosts'.
    Host,
    /// It signs certificates of the hosts.
    Authority,
    /// It must not be used.
    Revoked,
}

#[derive(Debug, Clone)]
enum Hosts {
    Patterns(Vec<(bool, String)>),
    Hashed { salt: Vec<u8>, hash: Vec<u8> },
}

impl KnownHosts {
    /// Reads a file; the error is the number of the first malformed line.
    ///
    /// Lines with markers and key types that we do not know are left out.
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
            let meaning = match marker {
                None => Meaning::Host,
                Some("@cert-authority") => Meaning::Authority,
                Some("@revoked") => Meaning::Revoked,
                Some(_) => continue,
            };
            let hosts = Hosts::parse(hosts).ok_or(index + 1)?;
            let is_supported =
                Algorithm::from_str(kind).is_ok_and(|kind| !matches!(kind, Algorithm::Other(_)));
            match PublicKey::from_openssh(&format!("{kind} {key}")) {
                Ok(key) => lines.push(Line { meaning, hosts, key }),
                Err(_) if !is_supported => {}
                Err(_) => return Err(index + 1),
            }
        }
        Ok(Self { lines })
    }

    /// The lines about a host.
    fn of(&self, host: &str, port: u16) -> impl Iterator<Item = &Line> {
        let name = lookup_name(host, port);
        self.lines.iter().filter(move |line| line.hosts.matches(&name))
    }

    /// Judges the key of a host.
    pub(crate) fn judge(&self, host: &str, port: u16, key: &PublicKey) -> Verdict {
        let mut verdict = Verdict::Unknown;
        for line in self.of(host, port) {
            let is_same = line.key.key_data() == key.key_data();
            match (line.meaning, is_same) {
                (Meaning::Revoked, true) => return Verdict::Revoked,
                (Meaning::Host, true) => verdict = Verdict::Known,
                (Meaning::Host, false) if verdict == Verdict::Unknown => verdict = Verdict::Mismatch,
                _ => {}
            }
        }
        verdict
    }

    /// Judges the certificate of a host at a time in seconds, as Go's library does.
    ///
    /// # Errors
    /// When it does not count.
    pub(crate) fn judge_certificate(
        &self,
        host: &str,
        port: u16,
        certificate: &Certificate,
        now: u64,
    ) -> Result<(), CertificateProblem> {
        if certificate.cert_type() != CertType::Host {
            return Err(CertificateProblem::Kind);
        }
        let has = |meaning: Meaning, key: &KeyData| {
            let is_it = |line: &Line| line.meaning == meaning && line.key.key_data() == key;
            self.of(host, port).any(is_it)
        };
        let authority = certificate.signature_key();
        if !has(Meaning::Authority, authority) {
            return Err(CertificateProblem::Authority);
        }
        if has(Meaning::Revoked, authority) || has(Meaning::Revoked, certificate.public_key()) {
            return Err(CertificateProblem::Revoked);
        }
        // None is defined for hosts.
        if !certificate.critical_options().is_empty() {
            return Err(CertificateProblem::CriticalOption);
        }
        // Without its port; who names nobody is for all.
        let name = lookup_name(host, 22);
        let principals = certificate.valid_principals();
        if !principals.is_empty() && !principals.iter().any(|it| it.eq_ignore_ascii_case(&name)) {
            return Err(CertificateProblem::Principal);
        }
        if !(certificate.valid_after()..certificate.valid_before()).contains(&now) {
            return Err(CertificateProblem::Time);
        }
        let fingerprint = authority.fingerprint(HashAlg::Sha256);
        let verified = certificate.validate_at(now, [&fingerprint]);
        verified.map_err(|_| CertificateProblem::Signature)
    }

    /// The host key algorithms for which the file has keys of this host; an RSA key serves three.
    pub(crate) fn algorithms(&self, host: &str, port: u16) -> Vec<Algorithm> {
        let mut algorithms = Vec::new();
        for line in self.of(host, port).filter(|line| line.meaning == Meaning::Host) {
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

    /// The algorithms of certificates that this host may show: none where there is no authority for it, so that it shows its key.
    pub(crate) fn certificate_algorithms(&self, host: &str, port: u16) -> &'static [Algorithm] {
        let mut lines = self.of(host, port);
        if lines.any(|line| line.meaning == Meaning::Authority) {
            &CERTIFIED
        } else {
            &[]
        }
    }
}

/// The kinds of keys that a certificate may be about.
const CERTIFIED: [Algorithm; 6] = [
    Algorithm::Ed25519,
    Algorithm::Ecdsa {
        curve: EcdsaCurve::NistP256,
    },
    Algorithm::Ecdsa {
        curve: EcdsaCurve::NistP384,
    },
    Algorithm::Ecdsa {
        curve: EcdsaCurve::NistP521,
    },
    Algorithm::Rsa {
        hash: Some(HashAlg::Sha512),
    },
    Algorithm::Rsa {
        hash: Some(HashAlg::Sha256),
    },
];

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
