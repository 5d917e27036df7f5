//! TLS material from a Secret (`spec/sources-and-images.md` section 8.2).

use ferro_api::secret_key as key;
use ferro_http::{Identity, Secret, TlsOptions};

use super::{ContentError, SecretData};

/// The trust and the identity that a Secret holds, possibly none of both.
///
/// # Errors
/// When it holds a certificate without its key, or a key without its certificate.
pub(crate) fn tls(secret: &SecretData) -> Result<TlsOptions, ContentError> {
    let incomplete = |present, missing| ContentError::Incomplete {
        id: secret.id.clone(),
        present,
        missing,
    };
    let certificate = either(secret, key::TLS_CERT, key::LEGACY_CERT_FILE);
    let private = either(secret, key::TLS_KEY, key::LEGACY_KEY_FILE);
    let identity = match (certificate, private) {
        (Some(certificate), Some(private)) => Some(Identity {
            certificate: certificate.to_vec(),
            key: Secret::new(private.to_vec()),
        }),
        (None, None) => None,
        (Some(_), None) => return Err(incomplete(key::TLS_CERT, key::TLS_KEY)),
        (None, Some(_)) => return Err(incomplete(key::TLS_KEY, key::TLS_CERT)),
    };
    Ok(TlsOptions {
        ca: either(secret, key::CA_CERT, key::LEGACY_CA_FILE).map(<[u8]>::to_vec),
        identity,
        insecure_skip_verify: false,
    })
}

fn either<'s>(secret: &'s SecretData, name: &str, legacy: &str) -> Option<&'s [u8]> {
    secret.bytes(name).or_else(|| {
        let value = secret.bytes(legacy)?;
        tracing::warn!(
            secret = secret.id,
            "the key '{legacy}' is deprecated, please use '{name}' instead"
        );
        Some(value)
    })
}

#[cfg(test)]
mod tests {
    use super::super::secret;
    use super::*;

    #[test]
    fn tls_prefers_the_new_keys() {
        let options = tls(&secret(&[
            ("ca.crt", "new"),
            ("caFile", "old"),
            ("certFile", "cert"),
            ("keyFile", "key"),
        ]))
        .unwrap();
        assert_eq!(options.ca.as_deref(), Some(b"new".as_slice()));
        assert_eq!(options.identity.unwrap().certificate, b"cert");
        assert!(!options.insecure_skip_verify);
        assert!(tls(&secret(&[])).unwrap().ca.is_none());
    }

    #[test]
    fn tls_half_a_pair_is_refused() {
        let error = tls(&secret(&[("tls.crt", "cert"), ("tls.key", "")])).unwrap_err();
        assert_eq!(
            error.to_string(),
            "secret 'default/auth' contains 'tls.crt' but missing 'tls.key'"
        );
        let error = tls(&secret(&[("tls.key", "hunter2")])).unwrap_err();
        assert_eq!(
            error.to_string(),
            "secret 'default/auth' contains 'tls.key' but missing 'tls.crt'"
        );
    }
}
