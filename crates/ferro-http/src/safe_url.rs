//! URLs that can be printed.

use std::fmt;

use url::Url;

/// A URL whose text form shows neither credentials nor query values.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct SafeUrl(Url);

impl SafeUrl {
    /// Wraps a URL.
    pub const fn new(url: Url) -> Self {
        Self(url)
    }

    /// Parses a URL; the error does not repeat the text, which may hold credentials.
    pub fn parse(text: &str) -> Result<Self, url::ParseError> {
        Url::parse(text).map(Self)
    }

    /// The whole URL, credentials included.
    pub const fn expose(&self) -> &Url {
        &self.0
    }

    /// The URL without user name and password.
    pub fn without_credentials(&self) -> Url {
        let mut url = self.0.clone();
        // Both only fail for URLs that cannot have credentials.
        let _ = url.set_username("");
        let _ = url.set_password(None);
        url
    }

    /// Whether two URLs name the same scheme, host and port.
    pub fn has_origin_of(&self, other: &Self) -> bool {
        let key = |url: &Url| {
            (
                url.scheme().to_owned(),
                url.host_str().map(str::to_owned),
                url.port_or_known_default(),
            )
        };
        key(&self.0) == key(&other.0)
    }
}

impl From<Url> for SafeUrl {
    fn from(url: Url) -> Self {
        Self(url)
    }
}

impl fmt::Display for SafeUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut url = self.without_credentials();
        if url.query().is_some() {
            // The keys help to recognise a request, the values may be signatures.
            let keys: Vec<String> = self.0.query_pairs().map(|(key, _)| key.into_owned()).collect();
            url.query_pairs_mut().clear().extend_keys_only::<_, String>(keys);
        }
        f.write_str(url.as_str())
    }
}

impl fmt::Debug for SafeUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn safe_url_prints_no_credentials() {
        let url = SafeUrl::parse("https://user:hunter2@example.com:8443/a?sig=hunter2&b=hunter2#x").unwrap();
        for text in [url.to_string(), format!("{url:?}")] {
            assert!(!text.contains("hunter2") && !text.contains("user"), "{text}");
            assert!(text.starts_with("https://example.com:8443/a?sig&b"), "{text}");
        }
        assert_eq!(SafeUrl::parse("http://h/x").unwrap().to_string(), "http://h/x");
    }

    #[test]
    fn has_origin_of_compares_scheme_host_and_port() {
        let url = |text| SafeUrl::parse(text).unwrap();
        assert!(url("https://h/a").has_origin_of(&url("https://h:443/b")));
        for other in ["http://h/", "https://h:444/", "https://i/"] {
            assert!(!url("https://h/a").has_origin_of(&url(other)), "{other}");
        }
    }
}
