//! Credentials that are not in a Secret: from token services, metadata servers and the environment of the process.
//!
//! They live for an hour at most; [`Expiring`] says how long. Whoever asks keeps them.

pub mod aws;
pub mod azure;
pub mod gcp;
mod jwt;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use ferro_http::{Request, Response, Secret};
use http::StatusCode;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::transport::{MAX_DOCUMENT, Transport};
use crate::{Error, Result};

pub use jwt::SigningKey;

/// Something that is valid for a while.
#[derive(Clone, Debug)]
pub struct Expiring<T> {
    /// The thing.
    pub value: T,
    /// When it is no longer valid.
    pub until: SystemTime,
}

impl<T> Expiring<T> {
    fn for_seconds(value: T, seconds: u64) -> Self {
        // A service that is wrong about it must not make us keep a token for ever, nor overflow the clock.
        let seconds = seconds.min(24 * 3600);
        let until = SystemTime::now() + Duration::from_secs(seconds);
        Self { value, until }
    }
}

/// Variables that say where credentials are.
#[derive(Clone, Debug)]
pub enum Environment {
    /// Those of the process.
    Process,
    /// These only.
    Of(Arc<BTreeMap<String, String>>),
}

impl Environment {
    /// One with these variables only.
    #[must_use]
    pub fn of(variables: &[(&str, &str)]) -> Self {
        let variables = variables
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Self::Of(Arc::new(variables.collect()))
    }

    /// A variable that is set to something.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<String> {
        let value = match self {
            Self::Process => std::env::var(name).ok(),
            Self::Of(variables) => variables.get(name).cloned(),
        };
        value.filter(|value| !value.is_empty())
    }
}

/// The largest file that holds a token or a key.
const MAX_FILE: u64 = 1 << 20;

/// Reads a file that the environment names.
async fn read_file(path: &str) -> Result<Vec<u8>> {
    use tokio::io::AsyncReadExt as _;
    let failed = |error: std::io::Error| {
        Error::credential(format!("failed to read '{}': {error}", Path::new(path).display()))
    };
    let file = tokio::fs::File::open(path).await.map_err(failed)?;
    let mut content = Vec::new();
    file.take(MAX_FILE)
        .read_to_end(&mut content)
        .await
        .map_err(failed)?;
    Ok(content)
}

async fn read_token(path: &str) -> Result<Secret<String>> {
    let content = String::from_utf8_lossy(&read_file(path).await?).trim().to_owned();
    Ok(Secret::new(content))
}

/// What token services of the OAuth family answer.
#[derive(Deserialize)]
struct TokenAnswer {
    access_token: String,
    /// A number, or at Azure's metadata service a text.
    #[serde(default)]
    expires_in: serde_json::Value,
}

impl TokenAnswer {
    fn into_token(self) -> Expiring<Secret<String>> {
        let seconds = match &self.expires_in {
            serde_json::Value::String(text) => text.parse().ok(),
            other => other.as_u64(),
        };
        Expiring::for_seconds(Secret::new(self.access_token), seconds.unwrap_or(300))
    }
}

/// What they answer when they refuse.
#[derive(Default, Deserialize)]
#[serde(default)]
struct RefusalAnswer {
    error: serde_json::Value,
    error_description: String,
}

/// Sends a request to a token service; `who` is what errors call it.
async fn ask(transport: &Transport, who: &str, make: impl Fn() -> Result<Request>) -> Result<Vec<u8>> {
    let failed = |cause: String| Error::credential(format!("{who}: {cause}"));
    let response: Response = transport
        .send(make)
        .await
        .map_err(|error| failed(ferro_http::describe(&error)))?;
    let status = response.status();
    let body = response
        .bytes(MAX_DOCUMENT)
        .await
        .map_err(|error| failed(ferro_http::describe(&error)))?;
    if status == StatusCode::OK {
        return Ok(body.to_vec());
    }
    Err(failed(refusal(status, &body)))
}

/// The words of a service that refuses; only what is made for people.
fn refusal(status: StatusCode, body: &[u8]) -> String {
    if let Ok(answer) = serde_json::from_slice::<RefusalAnswer>(body) {
        let word = match &answer.error {
            serde_json::Value::String(word) => word.clone(),
            serde_json::Value::Object(error) => {
                let message = error.get("message").and_then(serde_json::Value::as_str);
                message.unwrap_or_default().to_owned()
            }
            _ => String::new(),
        };
        let description = answer.error_description.lines().next().unwrap_or_default();
        return join(&[&status.to_string(), &word, description]);
    }
    let xml = String::from_utf8_lossy(body);
    let Ok(document) = roxmltree::Document::parse(&xml) else {
        return status.to_string();
    };
    let text = |name: &str| {
        let found = document.descendants().find(|node| node.tag_name().name() == name);
        found.and_then(|node| node.text()).unwrap_or_default().to_owned()
    };
    join(&[&status.to_string(), &text("Code"), &text("Message")])
}

fn join(parts: &[&str]) -> String {
    let parts: Vec<&str> = parts.iter().copied().filter(|part| !part.is_empty()).collect();
    parts.join(": ")
}

async fn ask_json<T: DeserializeOwned>(
    transport: &Transport,
    who: &str,
    make: impl Fn() -> Result<Request>,
) -> Result<T> {
    let body = ask(transport, who, make).await?;
    // The text of the parser may quote a token.
    serde_json::from_slice(&body)
        .map_err(|_| Error::credential(format!("{who}: the answer is not the JSON that it should be")))
}

/// A form as the body of a POST request.
fn form(pairs: &[(&str, &str)]) -> String {
    url::form_urlencoded::Serializer::new(String::new())
        .extend_pairs(pairs)
        .finish()
}

/// A POST request with a form.
fn post(url: &str, pairs: &[(&str, &str)]) -> Result<Request> {
    let request = Request::new(http::Method::POST, url)?.body(form(pairs));
    let kind = http::HeaderValue::from_static("application/x-www-form-urlencoded");
    Ok(request.header(http::header::CONTENT_TYPE, kind))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusal_shows_what_is_made_for_people() {
        let json = br#"{"error":"invalid_client","error_description":"AADSTS7000215: wrong secret.\r\nTrace ID: 1"}"#;
        assert_eq!(
            refusal(StatusCode::UNAUTHORIZED, json),
            "401 Unauthorized: invalid_client: AADSTS7000215: wrong secret."
        );
        let xml =
            b"<ErrorResponse><Error><Code>AccessDenied</Code><Message>No.</Message></Error></ErrorResponse>";
        assert_eq!(
            refusal(StatusCode::FORBIDDEN, xml),
            "403 Forbidden: AccessDenied: No."
        );
        assert_eq!(refusal(StatusCode::BAD_GATEWAY, b"<html"), "502 Bad Gateway");
    }

    #[test]
    fn tokens_are_never_kept_for_ever() {
        let text = r#"{"access_token":"t","expires_in":18446744073709551615}"#;
        let token = serde_json::from_str::<TokenAnswer>(text).unwrap().into_token();
        assert!(token.until <= SystemTime::now() + Duration::from_secs(24 * 3600));
        assert!(!format!("{token:?}").contains("\"t\""));
    }
}
