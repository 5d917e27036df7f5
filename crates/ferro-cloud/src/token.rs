//! What token services have in common: questions, answers, refusals.

use std::time::{Duration, SystemTime};

use ferro_http::{Request, Response, Secret};
use http::StatusCode;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::transport::Transport;
use crate::{Error, Result};

/// The most of a token service's answer that is read.
const MAX_ANSWER: u64 = 1 << 20;

/// The longest that a token is kept, whatever its service says.
const MAX_SECONDS: u64 = 24 * 3600;

/// Something that is valid for a while.
#[derive(Clone, Debug)]
pub struct Expiring<T> {
    /// The thing.
    pub value: T,
    /// When it is no longer valid.
    pub until: SystemTime,
}

impl<T> Expiring<T> {
    /// Something that is valid for so long from now on.
    #[must_use]
    pub fn for_seconds(value: T, seconds: u64) -> Self {
        // A service that is wrong about it must not make us keep a token for ever, nor overflow the clock.
        let until = SystemTime::now() + Duration::from_secs(seconds.min(MAX_SECONDS));
        Self { value, until }
    }

    /// Something that is valid until that moment, as a service writes it (RFC 3339); not at all if that is none.
    pub(crate) fn until(value: T, moment: &str) -> Self {
        let moment = moment.parse::<jiff::Timestamp>().ok();
        Self::at(value, moment.map(SystemTime::from))
    }

    /// Something that is valid until so many seconds after 1970.
    pub(crate) fn until_unix(value: T, seconds: u64) -> Self {
        Self::at(
            value,
            SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds)),
        )
    }

    fn at(value: T, moment: Option<SystemTime>) -> Self {
        let left = moment.and_then(|moment| moment.duration_since(SystemTime::now()).ok());
        Self::for_seconds(value, left.map_or(0, |left| left.as_secs()))
    }

    /// The same of something else.
    #[must_use]
    pub fn map<U>(self, make: impl FnOnce(T) -> U) -> Expiring<U> {
        Expiring {
            value: make(self.value),
            until: self.until,
        }
    }
}

/// A name and a password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Login {
    /// The name.
    pub username: String,
    /// The password.
    pub password: Secret<String>,
}

/// What token services of the OAuth family answer.
#[derive(Deserialize)]
pub(crate) struct TokenAnswer {
    access_token: String,
    /// A number, or at Azure's metadata service a text.
    #[serde(default)]
    expires_in: serde_json::Value,
}

impl TokenAnswer {
    pub(crate) fn into_token(self) -> Expiring<Secret<String>> {
        let seconds = match &self.expires_in {
            serde_json::Value::String(text) => text.parse().ok(),
            other => other.as_u64(),
        };
        Expiring::for_seconds(Secret::new(self.access_token), seconds.unwrap_or(300))
    }
}

/// What they answer when they refuse, each family in fields of its own.
#[derive(Default, Deserialize)]
#[serde(default)]
struct RefusalAnswer {
    error: serde_json::Value,
    error_description: String,
    #[serde(rename = "__type")]
    kind: String,
    #[serde(alias = "Message")]
    message: String,
    errors: serde_json::Value,
}

/// Sends a request to a token service; `who` is what errors call it.
pub(crate) async fn ask(
    transport: &Transport,
    who: &str,
    make: impl Fn() -> Result<Request>,
) -> Result<Vec<u8>> {
    let failed = |cause: String| Error::credential(format!("{who}: {cause}"));
    let response: Response = transport
        .send(make)
        .await
        .map_err(|error| failed(ferro_http::describe(&error)))?;
    let status = response.status();
    let body = response
        .bytes(MAX_ANSWER)
        .await
        .map_err(|error| failed(ferro_http::describe(&error)))?;
    if status.is_success() {
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
        let kind = answer.kind.rsplit('#').next().unwrap_or_default();
        let first = |field: &str| {
            let error = answer.errors.get(0).and_then(|error| error.get(field));
            error.and_then(serde_json::Value::as_str).unwrap_or_default()
        };
        let texts = [kind, answer.message.as_str(), first("code"), first("message")];
        return join(
            &[
                &[status.to_string().as_str(), &word, description],
                texts.as_slice(),
            ]
            .concat(),
        );
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

pub(crate) async fn ask_json<T: DeserializeOwned>(
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
pub(crate) fn form(pairs: &[(&str, &str)]) -> String {
    url::form_urlencoded::Serializer::new(String::new())
        .extend_pairs(pairs)
        .finish()
}

/// A POST request with a form.
pub(crate) fn post(url: &str, pairs: &[(&str, &str)]) -> Result<Request> {
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
