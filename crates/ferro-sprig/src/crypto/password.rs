//! Passwords: hashed, derived, and used to encrypt.

use aes::Aes256;
use aes::cipher::block_padding::Pkcs7;
use aes::cipher::{BlockModeDecrypt, BlockModeEncrypt, KeyIvInit};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::random::Dice;
use crate::text::base;

const BLOCK: usize = 16;
/// The cost that Go's library takes by default.
const BCRYPT_COST: u32 = 10;
/// bcrypt ignores what is longer; Go refuses it.
const BCRYPT_MAX: usize = 72;

pub(super) fn bcrypt(password: &[u8], dice: &Dice) -> String {
    if password.len() > BCRYPT_MAX {
        return "failed to encrypt string with bcrypt: bcrypt: password length exceeds 72 bytes".to_owned();
    }
    let mut salt = [0; 16];
    dice.fill(&mut salt);
    match bcrypt::hash_with_salt(password, BCRYPT_COST, salt) {
        Ok(hash) => hash.format_for_version(bcrypt::Version::TwoA),
        Err(error) => format!("failed to encrypt string with bcrypt: {error}"),
    }
}

/// The key is the password, cut or filled with zeros.
fn key(password: &[u8]) -> [u8; 32] {
    let mut key = [0; 32];
    for (to, from) in key.iter_mut().zip(password) {
        *to = *from;
    }
    key
}

/// AES-256-CBC with the initialisation vector in front, in base64. Nothing encrypts to nothing.
pub(super) fn encrypt(password: &[u8], plain: &[u8], dice: &Dice) -> String {
    if plain.is_empty() {
        return String::new();
    }
    let mut iv = [0; BLOCK];
    dice.fill(&mut iv);
    let cipher = cbc::Encryptor::<Aes256>::new(&key(password).into(), &iv.into());
    base::encode64(&[iv.as_slice(), &cipher.encrypt_padded_vec::<Pkcs7>(plain)].concat())
}

/// Decrypts without a check of the padding, of which only the last byte counts, as in sprig.
pub(super) fn decrypt(password: &[u8], encrypted: &[u8]) -> Result<Vec<u8>, String> {
    if encrypted.is_empty() {
        return Ok(Vec::new());
    }
    let bytes = base::decode64(encrypted).map_err(|error| error.to_string())?;
    let Some((iv, mut blocks)) = bytes
        .split_first_chunk::<BLOCK>()
        .map(|(iv, rest)| (*iv, rest.to_vec()))
    else {
        // Go names the capacity of the decoder's buffer.
        let capacity = encrypted.len() / 4 * 3;
        return Err(format!(
            "runtime error: slice bounds out of range [:{BLOCK}] with capacity {capacity}"
        ));
    };
    if !blocks.len().is_multiple_of(BLOCK) {
        return Err("crypto/cipher: input not full blocks".to_owned());
    }
    let mut cipher = cbc::Decryptor::<Aes256>::new(&key(password).into(), &iv.into());
    for block in blocks.as_chunks_mut::<BLOCK>().0 {
        cipher.decrypt_block(block.into());
    }
    let Some(padding) = blocks.last().map(|byte| usize::from(*byte)) else {
        return Err("runtime error: index out of range [-1]".to_owned());
    };
    let Some(len) = blocks.len().checked_sub(padding) else {
        let len = blocks.len() as i64 - padding as i64;
        return Err(format!("runtime error: slice bounds out of range [:{len}]"));
    };
    blocks.truncate(len);
    Ok(blocks)
}

/// What a password of the "Master Password" algorithm depends on.
pub(super) struct Derivation<'a> {
    pub(super) counter: u32,
    pub(super) password: &'a [u8],
    pub(super) user: &'a [u8],
    pub(super) site: &'a [u8],
}

const SEED: &[u8] = b"com.lyndir.masterpassword";

impl Derivation<'_> {
    /// Derives a password of a kind.
    pub(super) fn derive(&self, kind: &str) -> String {
        let Some(templates) = templates(kind) else {
            return format!("cannot find password template {kind}");
        };
        match self.seed() {
            Some(seed) => fill(templates, &seed),
            None => "failed to derive password: scrypt: parameters are too large".to_owned(),
        }
    }

    fn seed(&self) -> Option<Vec<u8>> {
        let len = |text: &[u8]| (text.len() as u32).to_be_bytes();
        let salt = [SEED, &len(self.user), self.user].concat();
        let mut key = [0; 64];
        let params = scrypt::Params::new(15, 8, 2).ok()?;
        scrypt::scrypt(self.password, &salt, &params, &mut key).ok()?;
        let mut mac = Hmac::<Sha256>::new_from_slice(&key).ok()?;
        for part in [SEED, &len(self.site), self.site, &self.counter.to_be_bytes()] {
            mac.update(part);
        }
        Some(mac.finalize().into_bytes().to_vec())
    }
}

/// The first byte of the seed chooses the template, each further one a character.
fn fill(templates: &[&str], seed: &[u8]) -> String {
    let pick = |at: usize, count: usize| usize::from(seed.get(at).copied().unwrap_or(0)) % count.max(1);
    let template = templates
        .get(pick(0, templates.len()))
        .copied()
        .unwrap_or_default();
    template
        .chars()
        .enumerate()
        .filter_map(|(index, class)| {
            let characters = characters(class);
            characters.chars().nth(pick(index + 1, characters.len()))
        })
        .collect()
}

fn templates(kind: &str) -> Option<&'static [&'static str]> {
    Some(match kind {
        "maximum" => &["anoxxxxxxxxxxxxxxxxx", "axxxxxxxxxxxxxxxxxno"],
        "long" => &[
            "CvcvnoCvcvCvcv",
            "CvcvCvcvnoCvcv",
            "CvcvCvcvCvcvno",
            "CvccnoCvcvCvcv",
            "CvccCvcvnoCvcv",
            "CvccCvcvCvcvno",
            "CvcvnoCvccCvcv",
            "CvcvCvccnoCvcv",
            "CvcvCvccCvcvno",
            "CvcvnoCvcvCvcc",
            "CvcvCvcvnoCvcc",
            "CvcvCvcvCvccno",
            "CvccnoCvccCvcv",
            "CvccCvccnoCvcv",
            "CvccCvccCvcvno",
            "CvcvnoCvccCvcc",
            "CvcvCvccnoCvcc",
            "CvcvCvccCvccno",
            "CvccnoCvcvCvcc",
            "CvccCvcvnoCvcc",
            "CvccCvcvCvccno",
        ],
        "medium" => &["CvcnoCvc", "CvcCvcno"],
        "short" => &["Cvcn"],
        "basic" => &["aaanaaan", "aannaaan", "aaannaaa"],
        "pin" => &["nnnn"],
        _ => return None,
    })
}

fn characters(class: char) -> &'static str {
    match class {
        'V' => "AEIOU",
        'C' => "BCDFGHJKLMNPQRSTVWXYZ",
        'v' => "aeiou",
        'c' => "bcdfghjklmnpqrstvwxyz",
        'A' => "AEIOUBCDFGHJKLMNPQRSTVWXYZ",
        'a' => "AEIOUaeiouBCDFGHJKLMNPQRSTVWXYZbcdfghjklmnpqrstvwxyz",
        'n' => "0123456789",
        'o' => "@&%?,=[]_:-+*$#!'^~;()/.",
        _ => "AEIOUaeiouBCDFGHJKLMNPQRSTVWXYZbcdfghjklmnpqrstvwxyz0123456789!@#$%^&*()",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_those_of_sprig() {
        let derivation = Derivation {
            counter: 1,
            password: b"password",
            user: b"user",
            site: b"example.com",
        };
        assert_eq!(derivation.derive("long"), "ZedaFaxcZaso9*");
        assert_eq!(derivation.derive("maximum"), "pf4zS1LjCg&LjhsZ7T2~");
        assert_eq!(derivation.derive("pin"), "6685");
        assert_eq!(derivation.derive("bad"), "cannot find password template bad");
    }
}
