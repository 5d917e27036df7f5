//! Signatures with an account's key: <https://learn.microsoft.com/rest/api/storageservices/authorize-with-shared-key>.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ferro_http::Secret;
use ring::hmac;
use url::{Host, Url};

use crate::{Error, Result};

/// The name and the key of an account.
#[derive(Clone, Debug)]
pub struct AccountKey {
    account: String,
    key: Secret<Vec<u8>>,
}

impl AccountKey {
    /// The account and its key in base64.
    ///
    /// # Errors
    /// When the key is not base64.
    pub fn new(account: String, key: &str) -> Result<Self> {
        let key = STANDARD
            .decode(key)
            .map_err(|_| Error::credential("decode account key: it is not base64"))?;
        Ok(Self {
            account,
            key: Secret::new(key),
        })
    }

    /// The value of `Authorization` for a GET request with these headers, sorted by name, of those that begin with `x-ms-`.
    pub(super) fn authorization(&self, url: &Url, headers: &[(&str, &str)]) -> String {
        let account = &self.account;
        // Eleven standard headers, from Content-Encoding to Range: none is sent.
        let text = format!(
            "GET{}{}{}",
            "\n".repeat(12),
            canonical_headers(headers),
            self.canonical_resource(url)
        );
        let key = hmac::Key::new(hmac::HMAC_SHA256, self.key.expose());
        let signature = STANDARD.encode(hmac::sign(&key, text.as_bytes()));
        format!("SharedKey {account}:{signature}")
    }

    fn canonical_resource(&self, url: &Url) -> String {
        let mut pairs: Vec<(String, String)> = url
            .query_pairs()
            .map(|(name, value)| (name.to_lowercase(), value.into_owned()))
            .collect();
        pairs.sort_unstable();
        let mut text = format!("/{}{}", self.account, url.path());
        let mut previous: Option<String> = None;
        for (name, value) in pairs {
            // Values of the same name are joined.
            if previous.as_deref() == Some(&name) {
                text = format!("{text},{value}");
            } else {
                text = format!("{text}\n{name}:{value}");
            }
            previous = Some(name);
        }
        text
    }
}

fn canonical_headers(headers: &[(&str, &str)]) -> String {
    headers
        .iter()
        .map(|(name, value)| format!("{name}:{value}\n"))
        .collect()
}

/// The account that an endpoint belongs to: the first label of the host's name.
///
/// # Errors
/// When the host's name has fewer than three labels, with the text of the reference.
pub fn account_of(endpoint: &str) -> Result<String> {
    let failed =
        |cause: String| Error::credential(format!("failed to extract account name from endpoint: {cause}"));
    let url = Url::parse(endpoint).map_err(|error| failed(error.to_string()))?;
    let host = match url.host() {
        Some(Host::Ipv6(address)) => address.to_string(),
        _ => url.host_str().unwrap_or_default().to_owned(),
    };
    match host.split('.').collect::<Vec<_>>().as_slice() {
        [account, _, _, ..] => Ok((*account).to_owned()),
        _ => Err(failed(format!("expected '{host}' to be a subdomain"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn canonical_resource_sorts_and_joins() {
        let key = AccountKey::new("myaccount".to_owned(), "AAAA").unwrap();
        let url = "https://myaccount.blob.core.windows.net/mycontainer?restype=container&comp=metadata&Include=b&include=a";
        assert_eq!(
            key.canonical_resource(&Url::parse(url).unwrap()),
            "/myaccount/mycontainer\ncomp:metadata\ninclude:a,b\nrestype:container"
        );
    }

    /// The key is the one that every emulator has; the signature was made with Python's hmac over the documented text.
    #[test]
    fn authorization_known_request_is_signed() {
        let key = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";
        let key = AccountKey::new("devstoreaccount1".to_owned(), key).unwrap();
        let url =
            Url::parse("http://127.0.0.1:10000/devstoreaccount1/app?comp=list&restype=container").unwrap();
        let headers = [
            ("x-ms-date", "Fri, 26 Jun 2015 23:39:12 GMT"),
            ("x-ms-version", "2021-12-02"),
        ];
        assert_eq!(
            key.authorization(&url, &headers),
            "SharedKey devstoreaccount1:8zFJpteOTdnc0pSb2RrhJlyQtMK0BpY8kQBeSetEdc0="
        );
        assert!(!format!("{key:?}").contains("Eby8"));
    }

    #[test]
    fn account_of_needs_three_labels() {
        assert_eq!(account_of("https://app.blob.core.windows.net").unwrap(), "app");
        let error = account_of("https://example.com/x").unwrap_err().to_string();
        assert_eq!(
            error,
            "failed to extract account name from endpoint: expected 'example.com' to be a subdomain"
        );
    }
}
