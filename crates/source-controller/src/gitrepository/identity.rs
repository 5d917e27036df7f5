//! Tells whether a private SSH key needs a passphrase, so that the lack of one is reported for what it is.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

const OPENSSH_BEGIN: &str = "-----BEGIN OPENSSH PRIVATE KEY-----";
const OPENSSH_END: &str = "-----END OPENSSH PRIVATE KEY-----";
const OPENSSH_MAGIC: &[u8] = b"openssh-key-v1\0";

/// Whether the PEM key is encrypted: PKCS #8 and traditional PEM say so in clear, OpenSSH's own form names its cipher.
pub(super) fn is_encrypted(pem: &str) -> bool {
    if pem.contains("-----BEGIN ENCRYPTED PRIVATE KEY-----") || pem.contains("Proc-Type: 4,ENCRYPTED") {
        return true;
    }
    cipher(pem).is_some_and(|cipher| cipher != b"none")
}

/// The cipher that a key in OpenSSH's form names.
fn cipher(text: &str) -> Option<Vec<u8>> {
    let (_, rest) = text.split_once(OPENSSH_BEGIN)?;
    let (body, _) = rest.split_once(OPENSSH_END)?;
    let body: String = body.chars().filter(|c| !c.is_whitespace()).collect();
    let bytes = STANDARD.decode(body).ok()?;
    let rest = bytes.strip_prefix(OPENSSH_MAGIC)?;
    let (length, rest) = rest.split_first_chunk::<4>()?;
    let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
    rest.get(..length).map(<[u8]>::to_vec)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn openssh(cipher: &str) -> String {
        let mut bytes = OPENSSH_MAGIC.to_vec();
        bytes.extend_from_slice(&u32::try_from(cipher.len()).unwrap().to_be_bytes());
        bytes.extend_from_slice(cipher.as_bytes());
        bytes.extend_from_slice(&[0; 60]);
        let encoded = STANDARD.encode(bytes);
        let (first, second) = encoded.split_at(40);
        format!("{OPENSSH_BEGIN}\n{first}\n{second}\n{OPENSSH_END}\n")
    }

    #[test]
    fn is_encrypted_reads_every_form_of_key() {
        let traditional = "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: x\n\nAAAA\n-----END RSA PRIVATE KEY-----";
        for key in [
            openssh("aes256-ctr"),
            traditional.to_owned(),
            "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----".to_owned(),
        ] {
            assert!(is_encrypted(&key), "{key}");
        }
        let cut = openssh("aes256-ctr").replace(OPENSSH_END, "");
        for key in [
            openssh("none"),
            "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----".to_owned(),
            cut,
            "no key at all".to_owned(),
            format!("{OPENSSH_BEGIN}!{OPENSSH_END}"),
        ] {
            assert!(!is_encrypted(&key), "{key}");
        }
    }
}
