//! A proxy from a Secret (`spec/sources-and-images.md` sections 8.1 and 8.3).

use ferro_api::secret_key as key;
use ferro_http::{ProxyOptions, SafeUrl};

use super::{ContentError, SecretData};

const MAX_LENGTH: usize = 2048;
const SCHEMES: [&str; 3] = ["http", "https", "socks5"];

/// The proxy that a Secret describes: `address`, and possibly `username` and `password`.
///
/// # Errors
/// When there is no address, or it is no proxy's.
pub(crate) fn proxy(secret: &SecretData) -> Result<ProxyOptions, ContentError> {
    let malformed = |problem: String| ContentError::Malformed {
        id: secret.id.clone(),
        problem,
    };
    let Some(address) = secret.get(key::ADDRESS) else {
        return Err(ContentError::KeyNotFound {
            id: secret.id.clone(),
            key: key::ADDRESS,
        });
    };
    if address.is_empty() {
        return Err(malformed("proxy address is empty".to_owned()));
    }
    if address.len() > MAX_LENGTH {
        return Err(malformed(format!(
            "proxy URL exceeds maximum length of {MAX_LENGTH} characters"
        )));
    }
    let parsed = std::str::from_utf8(address)
        .map_err(|error| error.to_string())
        .and_then(|text| SafeUrl::parse(text).map_err(|error| error.to_string()));
    let address = parsed.map_err(|error| malformed(format!("failed to parse proxy address: {error}")))?;
    let scheme = address.expose().scheme();
    if !SCHEMES.contains(&scheme) {
        let known = SCHEMES.join(", ");
        return Err(malformed(format!(
            "proxy URL must use one of the supported schemes ({known}), got '{scheme}'"
        )));
    }
    let credentials = secret.get(key::USERNAME).map(|username| {
        let username = String::from_utf8_lossy(username).into_owned();
        (username, secret.text(key::PASSWORD))
    });
    Ok(ProxyOptions::Proxy { address, credentials })
}

#[cfg(test)]
mod tests {
    use super::super::secret;
    use super::*;

    #[test]
    fn proxy_with_credentials_is_read() {
        let entries = [
            ("address", "https://proxy:3128"),
            ("username", "u"),
            ("password", "p"),
        ];
        let ProxyOptions::Proxy {
            address,
            credentials: Some((username, password)),
        } = proxy(&secret(&entries)).unwrap()
        else {
            panic!("no proxy with credentials");
        };
        assert_eq!(address.expose().as_str(), "https://proxy:3128/");
        assert_eq!((username.as_str(), password.expose().as_str()), ("u", "p"));
    }

    #[test]
    fn proxy_faulty_addresses_are_refused_without_showing_them() {
        let long = format!("http://{}", "a".repeat(3000));
        let cases = [
            (
                vec![("username", "u")],
                "secret 'default/auth': key 'address' not found",
            ),
            (
                vec![("address", "")],
                "secret 'default/auth': proxy address is empty",
            ),
            (
                vec![("address", "ftp://hunter2@proxy")],
                "secret 'default/auth': proxy URL must use one of the supported schemes (http, https, socks5), got 'ftp'",
            ),
            (
                vec![("address", long.as_str())],
                "secret 'default/auth': proxy URL exceeds maximum length of 2048 characters",
            ),
            (
                vec![("address", "http://u:hunter2@[")],
                "secret 'default/auth': failed to parse proxy address: invalid IPv6 address",
            ),
        ];
        for (entries, expected) in cases {
            assert_eq!(proxy(&secret(&entries)).unwrap_err().to_string(), expected);
        }
    }
}
