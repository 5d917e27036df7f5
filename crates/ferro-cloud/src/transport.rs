//! Requests that are made anew for each try: a signature has a time.

use std::time::Duration;

use ferro_http::{Client, ClientOptions, ProxyOptions, Request, Response, Retry};
use http::StatusCode;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use tokio::time::sleep;

/// How long a metadata server may take to answer.
const METADATA_TIMEOUT: Duration = Duration::from_secs(2);

/// How a service is reached. Clones share connections.
#[derive(Clone, Debug)]
pub struct Transport {
    client: Client,
    retry: Retry,
}

impl Transport {
    /// Uses `client`; what may go away is tried again four times within some seconds.
    #[must_use]
    pub const fn new(client: Client) -> Self {
        let retry = Retry {
            retries: 4,
            min_wait: Duration::from_millis(200),
            max_wait: Duration::from_secs(2),
        };
        Self { client, retry }
    }

    /// The same with other repetitions.
    #[must_use]
    pub const fn with_retry(mut self, retry: Retry) -> Self {
        self.retry = retry;
        self
    }

    /// A way to metadata servers: without a proxy, and without much patience, as they are near or not there.
    ///
    /// # Errors
    /// When no client can be made.
    pub fn metadata() -> Result<Self, ferro_http::Error> {
        let options = ClientOptions {
            proxy: ProxyOptions::Direct,
            connect_timeout: METADATA_TIMEOUT,
            idle_timeout: METADATA_TIMEOUT,
            ..ClientOptions::default()
        };
        let wait = Duration::from_millis(100);
        let once = Retry {
            retries: 1,
            min_wait: wait,
            max_wait: wait,
        };
        Ok(Self::new(Client::new(&options)?).with_retry(once))
    }

    /// Sends what `make` makes until it is answered for good; any status is an answer. Redirects are not followed.
    ///
    /// # Errors
    /// When there is no request to be made, or no answer comes.
    pub async fn send<E: From<ferro_http::Error>>(
        &self,
        make: impl Fn() -> Result<Request, E>,
    ) -> Result<Response, E> {
        let mut attempt = 0;
        loop {
            let answer = self.client.send(&make()?.without_redirects()).await;
            let is_final = match &answer {
                Ok(response) => !is_transient(response.status()),
                Err(error) => !error.is_transient(),
            };
            if is_final || attempt >= self.retry.retries {
                return Ok(answer?);
            }
            sleep(self.retry.wait(attempt)).await;
            attempt += 1;
        }
    }
}

fn is_transient(status: StatusCode) -> bool {
    matches!(status.as_u16(), 408 | 429 | 500 | 502 | 503 | 504)
}

/// Bytes that go into a URL as they are: those that signatures call unreserved.
const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');
const PATH: &AsciiSet = &UNRESERVED.remove(b'/');

/// Encodes one component of a path or query.
#[must_use]
pub fn encode(text: &str) -> String {
    utf8_percent_encode(text, UNRESERVED).to_string()
}

/// Encodes a path; slashes stay.
#[must_use]
pub fn encode_path(text: &str) -> String {
    utf8_percent_encode(text, PATH).to_string()
}

/// A query in the order that signatures want.
#[must_use]
pub fn query(pairs: &[(&str, &str)]) -> String {
    let mut encoded: Vec<(String, String)> = pairs
        .iter()
        .map(|(key, value)| (encode(key), encode(value)))
        .collect();
    encoded.sort_unstable();
    let joined: Vec<String> = encoded
        .into_iter()
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    joined.join("&")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn query_is_encoded_and_sorted() {
        assert_eq!(
            query(&[("prefix", "a b/ü"), ("list-type", "2"), ("x", "~-._")]),
            "list-type=2&prefix=a%20b%2F%C3%BC&x=~-._"
        );
        assert_eq!(encode_path("a//b+c%20/.x"), "a//b%2Bc%2520/.x");
    }
}
