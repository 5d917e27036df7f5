//! Errors of requests to registries.

use std::fmt;
use std::fmt::Write as _;

use ferro_http::SafeUrl;
use http::{Method, StatusCode};
use serde::Deserialize;
use serde_json::Value;

use crate::{Digest, DigestError, NameError, ReferenceError};

/// The result of this crate's functions.
pub type Result<T> = std::result::Result<T, Error>;

/// Bytes of an error's body that are shown.
const SHOWN: usize = 2048;

/// Query values that are no secrets; those of a redirect's target may be.
const HARMLESS: [&str; 7] = ["scope", "service", "mount", "from", "digest", "n", "last"];

/// Why something could not be had from a registry, or put there.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A name is malformed.
    #[error(transparent)]
    Name(#[from] NameError),
    /// A digest is malformed.
    #[error(transparent)]
    Digest(#[from] DigestError),
    /// The registry or its token service could not be reached.
    #[error(transparent)]
    Http(#[from] ferro_http::Error),
    /// Neither HTTPS nor plain HTTP works.
    #[error("{}; {}", ferro_http::describe(.https.as_ref()), ferro_http::describe(.http.as_ref()))]
    BothSchemes {
        /// Why HTTPS does not.
        https: Box<Self>,
        /// Why plain HTTP does not.
        http: Box<Self>,
    },
    /// The registry answered that the request failed.
    #[error(transparent)]
    Refused(#[from] Box<Refusal>),
    /// The registry asks for credentials in a way that cannot be followed.
    #[error("{reason}")]
    Challenge {
        /// What is wrong with it.
        reason: String,
    },
    /// The token service sent no token.
    #[error("no token in bearer response of {url}")]
    NoToken {
        /// The token service.
        url: SafeUrl,
    },
    /// A redirect leads to where it may not.
    #[error("{reason}")]
    Redirect {
        /// Where from and where to.
        reason: String,
    },
    /// The response lacks something, or has something that cannot be.
    #[error("{method} {url}: {reason}")]
    Response {
        /// The method of the request.
        method: Method,
        /// The address.
        url: Shown,
        /// What is wrong with the response.
        reason: String,
    },
    /// The manifest is not what was asked for.
    #[error("manifest digest: {:?} does not match requested digest: {:?} for {:?}", .found.to_string(), .wanted.to_string(), .reference)]
    ManifestDigest {
        /// The digest of what came.
        found: Digest,
        /// The digest that was asked for.
        wanted: Digest,
        /// The reference.
        reference: String,
    },
    /// The content of a manifest cannot be understood.
    #[error("invalid manifest {digest}: {reason}")]
    Manifest {
        /// The manifest.
        digest: Digest,
        /// What is wrong with it.
        reason: String,
    },
    /// The manifest is of a form that is not read any more.
    #[error(
        "unsupported MediaType: {media_type:?}, see https://github.com/google/go-containerregistry/issues/377"
    )]
    Schema1 {
        /// Its media type.
        media_type: String,
    },
    /// An index has nothing for the default platform.
    #[error("no child with platform linux/amd64 in index {reference}")]
    NoPlatform {
        /// The index.
        reference: String,
    },
    /// A blob has another size than its manifest says.
    #[error("error verifying size; got {got}, want {want}")]
    Size {
        /// The count of bytes that came, or one more than was asked for.
        got: u64,
        /// The count of bytes that should have.
        want: u64,
    },
    /// A blob has another digest than its manifest says.
    #[error("error verifying {} checksum after reading {size} bytes; got {:?}, want {:?}", .want.algorithm(), .got.to_string(), .want.to_string())]
    Checksum {
        /// The digest of what came.
        got: Digest,
        /// The digest that was asked for.
        want: Digest,
        /// The count of bytes.
        size: u64,
    },
    /// Content is larger than the caller takes.
    #[error("{what} of {size} bytes is larger than {limit} bytes")]
    TooLarge {
        /// What.
        what: String,
        /// Its size.
        size: u64,
        /// The limit.
        limit: u64,
    },
    /// The list of tags is longer than is read.
    #[error("{repository} has more than {limit} {what}")]
    TooManyTags {
        /// The repository.
        repository: String,
        /// The limit.
        limit: usize,
        /// What is counted.
        what: &'static str,
    },
    /// A Docker configuration cannot be understood; nothing of it is shown.
    #[error("invalid docker config: {reason}")]
    DockerConfig {
        /// What is wrong with it.
        reason: String,
    },
    /// What is to be uploaded could not be read.
    #[error("failed to read what is to be uploaded")]
    Read(#[source] std::io::Error),
}

impl From<ReferenceError> for Error {
    fn from(error: ReferenceError) -> Self {
        match error {
            ReferenceError::Name(error) => Self::Name(error),
            ReferenceError::Digest(error) => Self::Digest(error),
        }
    }
}

impl Error {
    /// The status with which a registry or its token service refused, if one did.
    pub fn status(&self) -> Option<StatusCode> {
        match self {
            Self::Refused(refusal) => Some(refusal.status),
            Self::BothSchemes { https, http } => https.status().or_else(|| http.status()),
            Self::Http(error) => error.status(),
            _ => None,
        }
    }

    /// Whether the registry says that there is no such thing.
    pub fn is_not_found(&self) -> bool {
        self.status() == Some(StatusCode::NOT_FOUND)
    }

    /// Whether credentials are missing or not accepted.
    pub fn is_denied(&self) -> bool {
        matches!(
            self.status(),
            Some(StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN)
        )
    }
}

/// A response that says that a request failed, in the words of go-containerregistry.
#[derive(Debug)]
pub struct Refusal {
    /// The method of the request.
    pub method: Method,
    /// The address.
    pub url: Shown,
    /// The status.
    pub status: StatusCode,
    /// What the registry says about it.
    pub diagnostics: Vec<Diagnostic>,
    /// The body, where it is not of the form that registries use.
    pub body: String,
}

impl Refusal {
    pub(crate) fn new(method: Method, url: &SafeUrl, status: StatusCode, body: &[u8]) -> Self {
        #[derive(Deserialize)]
        struct Errors {
            #[serde(default)]
            errors: Vec<Diagnostic>,
        }
        let diagnostics = serde_json::from_slice::<Errors>(body).map_or_else(|_| Vec::new(), |it| it.errors);
        let body: String = String::from_utf8_lossy(body).chars().take(SHOWN).collect();
        Self {
            method,
            url: Shown::new(url),
            status,
            diagnostics,
            body: body.chars().filter(|c| !c.is_control() || *c == '\n').collect(),
        }
    }
}

impl std::error::Error for Refusal {}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: ", self.method, self.url)?;
        let (code, text) = (
            self.status.as_u16(),
            self.status.canonical_reason().unwrap_or_default(),
        );
        match self.diagnostics.as_slice() {
            [] if self.body.is_empty() && self.method == Method::HEAD => write!(
                f,
                "unexpected status code {code} {text} (HEAD responses have no body, use GET for details)"
            ),
            [] if self.body.is_empty() => write!(f, "unexpected status code {code} {text}"),
            [] => write!(f, "unexpected status code {code} {text}: {}", self.body),
            [one] => one.fmt(f),
            several => {
                let several: Vec<String> = several.iter().take(10).map(ToString::to_string).collect();
                write!(f, "multiple errors returned: {}", several.join("; "))
            }
        }
    }
}

/// One error that a registry reports.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Diagnostic {
    /// One word for programs, such as `MANIFEST_UNKNOWN`.
    #[serde(default)]
    pub code: String,
    /// The text for people.
    #[serde(default)]
    pub message: String,
    /// Anything else.
    #[serde(default)]
    pub detail: Option<Value>,
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = format!("{}: {}", self.code, self.message);
        if let Some(detail) = &self.detail {
            text.push_str("; ");
            go_value(detail, &mut text, 0);
        }
        let shown: String = text.chars().filter(|c| !c.is_control()).take(SHOWN).collect();
        f.write_str(&shown)
    }
}

/// JSON as Go's `%v` prints what it decodes to.
fn go_value(value: &Value, out: &mut String, depth: usize) {
    if depth > 16 || out.len() > SHOWN {
        out.push_str("...");
        return;
    }
    match value {
        Value::Null => out.push_str("<nil>"),
        Value::Bool(value) => {
            let _infallible = write!(out, "{value}");
        }
        Value::Number(number) => match number.as_f64() {
            Some(number) => out.push_str(&ferro_gocompat::number::format_g(number)),
            None => out.push_str(&number.to_string()),
        },
        Value::String(text) => out.push_str(text),
        Value::Array(items) => {
            out.push('[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.push(' ');
                }
                go_value(item, out, depth + 1);
            }
            out.push(']');
        }
        Value::Object(fields) => {
            out.push_str("map[");
            let mut keys: Vec<&String> = fields.keys().collect();
            keys.sort_unstable();
            for (index, key) in keys.into_iter().enumerate() {
                if index > 0 {
                    out.push(' ');
                }
                out.push_str(key);
                out.push(':');
                if let Some(item) = fields.get(key) {
                    go_value(item, out, depth + 1);
                }
            }
            out.push(']');
        }
    }
}

/// An address as errors show it: query values only where they belong to the protocol.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown(String);

impl Shown {
    pub(crate) fn new(url: &SafeUrl) -> Self {
        let mut shown = url.without_credentials();
        if shown.query().is_some() {
            let pairs: Vec<(String, String)> = url
                .expose()
                .query_pairs()
                .map(|(key, value)| {
                    let is_harmless = HARMLESS.contains(&key.as_ref());
                    let value = if is_harmless {
                        value.into_owned()
                    } else {
                        "REDACTED".to_owned()
                    };
                    (key.into_owned(), value)
                })
                .collect();
            shown.query_pairs_mut().clear().extend_pairs(pairs);
        }
        Self(shown.into())
    }
}

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(method: Method, body: &str) -> String {
        let url = SafeUrl::parse("https://r.io/v2/a/b/manifests/1?n=5&X-Sig=hunter2").unwrap();
        Refusal::new(method, &url, StatusCode::NOT_FOUND, body.as_bytes()).to_string()
    }

    #[test]
    fn refusal_prints_as_go_containerregistry_does() {
        let at = "https://r.io/v2/a/b/manifests/1?n=5&X-Sig=REDACTED";
        let one = r#"{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown","detail":{"Tag":"9.9.9","a":[1,true,null]}}]}"#;
        let two = r#"{"errors":[{"code":"A","message":"b"},{"code":"C","message":"d"}]}"#;
        let cases = [
            (
                Method::GET,
                one,
                format!("GET {at}: MANIFEST_UNKNOWN: manifest unknown; map[Tag:9.9.9 a:[1 true <nil>]]"),
            ),
            (
                Method::GET,
                two,
                format!("GET {at}: multiple errors returned: A: b; C: d"),
            ),
            (
                Method::GET,
                "",
                format!("GET {at}: unexpected status code 404 Not Found"),
            ),
            (
                Method::HEAD,
                "",
                format!(
                    "HEAD {at}: unexpected status code 404 Not Found (HEAD responses have no body, use GET for details)"
                ),
            ),
            (
                Method::GET,
                "gone",
                format!("GET {at}: unexpected status code 404 Not Found: gone"),
            ),
        ];
        for (method, body, expected) in cases {
            assert_eq!(refusal(method, body), expected);
        }
    }

    #[test]
    fn refusal_is_bounded() {
        let deep = format!(
            r#"{{"errors":[{{"code":"A","message":"b","detail":{}1{}}}]}}"#,
            "[".repeat(100),
            "]".repeat(100)
        );
        assert!(refusal(Method::GET, &deep).len() < 3 * SHOWN);
        assert!(refusal(Method::GET, &"x".repeat(1 << 20)).len() < 2 * SHOWN);
    }
}
