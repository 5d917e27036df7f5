//! Signed JSON Web Tokens, RS256.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::rand::SystemRandom;
use ring::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject as _;
use serde_json::Value;

use crate::{Error, Result};

/// A private RSA key.
pub struct SigningKey(RsaKeyPair);

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SigningKey")
    }
}

impl SigningKey {
    /// Reads a PEM key, in PKCS #8 or PKCS #1.
    ///
    /// # Errors
    /// When it is none, or no RSA key.
    pub fn from_pem(pem: &[u8]) -> Result<Self> {
        let invalid = || Error::credential("the private key is not an RSA key in PEM");
        let key = PrivateKeyDer::from_pem_slice(pem).map_err(|_| invalid())?;
        let pair = match &key {
            PrivateKeyDer::Pkcs8(key) => RsaKeyPair::from_pkcs8(key.secret_pkcs8_der()),
            PrivateKeyDer::Pkcs1(key) => RsaKeyPair::from_der(key.secret_pkcs1_der()),
            _ => return Err(invalid()),
        };
        pair.map(Self).map_err(|_| invalid())
    }

    /// A token with these claims; `header` is extended by type and algorithm.
    pub(crate) fn sign(&self, header: &[(&str, Value)], claims: &Value) -> Result<String> {
        let mut all = serde_json::Map::new();
        all.insert("alg".to_owned(), "RS256".into());
        all.insert("typ".to_owned(), "JWT".into());
        for (name, value) in header {
            all.insert((*name).to_owned(), value.clone());
        }
        let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let text = format!("{}.{}", encode(&Value::Object(all)), encode(claims));
        let mut signature = vec![0; self.0.public().modulus_len()];
        self.0
            .sign(
                &RSA_PKCS1_SHA256,
                &SystemRandom::new(),
                text.as_bytes(),
                &mut signature,
            )
            .map_err(|_| Error::credential("the private key cannot sign"))?;
        Ok(format!("{text}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn from_pem_refuses_what_is_no_key_without_showing_it() {
        for pem in [
            "hunter2",
            "-----BEGIN PRIVATE KEY-----\naHVudGVyMg==\n-----END PRIVATE KEY-----\n",
        ] {
            let error = SigningKey::from_pem(pem.as_bytes()).unwrap_err().to_string();
            assert_eq!(error, "the private key is not an RSA key in PEM");
        }
    }
}
