//! AWS Signature Version 4: <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv.html>.

use ferro_http::{Request, SafeUrl, Secret};
use http::{HeaderName, HeaderValue};
use jiff::Timestamp;
use ring::{digest, hmac};

use crate::error::{Error, Result};

/// An AWS identity.
#[derive(Clone, Debug)]
pub struct AwsCredentials {
    /// The access key's id.
    pub access_key: String,
    /// The secret half.
    pub secret_key: Secret<String>,
    /// The token that makes temporary credentials valid.
    pub session_token: Option<Secret<String>>,
}

/// The digest of an empty body.
pub const EMPTY_SHA256: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// What a signature is valid for.
#[derive(Clone, Copy, Debug)]
pub struct Scope<'a> {
    /// The region of the service.
    pub region: &'a str,
    /// The service, as AWS calls it in signatures.
    pub service: &'a str,
    /// The time of the request.
    pub at: Timestamp,
}

impl Scope<'_> {
    /// The value of `x-amz-date`.
    #[must_use]
    pub fn date(&self) -> String {
        self.at.strftime("%Y%m%dT%H%M%SZ").to_string()
    }

    pub(crate) fn id(&self) -> String {
        let day = self.at.strftime("%Y%m%d");
        format!("{day}/{}/{}/aws4_request", self.region, self.service)
    }
}

/// A request as it is signed: path and query encoded, the query sorted, header names in lower case and sorted.
#[derive(Clone, Copy, Debug)]
pub struct Signable<'a> {
    /// The method.
    pub method: &'a str,
    /// The path.
    pub path: &'a str,
    /// The query.
    pub query: &'a str,
    /// The headers that are signed.
    pub headers: &'a [(&'a str, &'a str)],
    /// The digest of the body in hexadecimal digits.
    pub payload: &'a str,
}

/// The value of `Authorization`.
#[must_use]
pub fn authorization(request: &Signable<'_>, credentials: &AwsCredentials, scope: &Scope<'_>) -> String {
    let names: Vec<&str> = request.headers.iter().map(|(name, _)| *name).collect();
    let names = names.join(";");
    let headers: String = request
        .headers
        .iter()
        .map(|(name, value)| format!("{name}:{}\n", value.trim()))
        .collect();
    let canonical = format!(
        "{}\n{}\n{}\n{headers}\n{names}\n{}",
        request.method, request.path, request.query, request.payload
    );
    let id = scope.id();
    let signature = signature(&canonical, &scope.date(), credentials, scope);
    let access_key = &credentials.access_key;
    format!("AWS4-HMAC-SHA256 Credential={access_key}/{id}, SignedHeaders={names}, Signature={signature}")
}

/// The signature of a canonical request, which is dated as `date` says.
pub(crate) fn signature(
    canonical: &str,
    date: &str,
    credentials: &AwsCredentials,
    scope: &Scope<'_>,
) -> String {
    let text = format!(
        "AWS4-HMAC-SHA256\n{date}\n{}\n{}",
        scope.id(),
        sha256(canonical.as_bytes())
    );
    let secret = Secret::new(format!("AWS4{}", credentials.secret_key.expose()));
    let day = scope.at.strftime("%Y%m%d").to_string();
    let mut key = mac(secret.expose().as_bytes(), &day);
    for part in [scope.region, scope.service, "aws4_request"] {
        key = mac(key.as_ref(), part);
    }
    hex(mac(key.as_ref(), &text).as_ref())
}

/// The digest of `bytes` in hexadecimal digits.
pub(crate) fn sha256(bytes: &[u8]) -> String {
    hex(digest::digest(&digest::SHA256, bytes).as_ref())
}

fn mac(key: &[u8], text: &str) -> hmac::Tag {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), text.as_bytes())
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a String does not fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Gives a request the headers that were signed, and the signature.
pub(crate) fn sign(
    request: Request,
    headers: &[(&'static str, &str)],
    authorization: &str,
) -> Result<Request> {
    // The client sends the host by itself.
    let sent = headers.iter().copied().filter(|(name, _)| *name != "host");
    let mut sent = sent.chain([("authorization", authorization)]);
    sent.try_fold(request, |request, (name, value)| {
        let mut value = HeaderValue::from_str(value).map_err(|_| {
            Error::credential("the credentials hold characters that cannot be sent in a header")
        })?;
        value.set_sensitive(true);
        Ok(request.header(HeaderName::from_static(name), value))
    })
}

/// The host of a URL as it is signed.
pub(crate) fn host_of(url: &SafeUrl) -> String {
    let url = url.expose();
    let host = url.host_str().unwrap_or_default();
    url.port()
        .map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn authorized(access_key: &str, secret: &str, service: &str, at: &str, request: &Signable<'_>) -> String {
        let credentials = AwsCredentials {
            access_key: access_key.to_owned(),
            secret_key: secret.into(),
            session_token: None,
        };
        let scope = Scope {
            region: "us-east-1",
            service,
            at: at.parse().unwrap(),
        };
        authorization(request, &credentials, &scope)
    }

    /// AWS's published test suite (`aws-sig-v4-test-suite`).
    #[test]
    fn authorization_published_suite_holds() {
        let key = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
        let host = [
            ("host", "example.amazonaws.com"),
            ("x-amz-date", "20150830T123600Z"),
        ];
        let cases = [
            // get-vanilla
            (
                "GET",
                "/",
                "",
                "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31",
            ),
            // get-vanilla-query-order-key-case
            (
                "GET",
                "/",
                "Param1=value1&Param2=value2",
                "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500",
            ),
            // post-vanilla
            (
                "POST",
                "/",
                "",
                "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b",
            ),
        ];
        for (method, path, query, expected) in cases {
            let request = Signable {
                method,
                path,
                query,
                headers: &host,
                payload: EMPTY_SHA256,
            };
            let found = authorized("AKIDEXAMPLE", key, "service", "2015-08-30T12:36:00Z", &request);
            assert_eq!(
                found,
                format!(
                    "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, \
                     SignedHeaders=host;x-amz-date, Signature={expected}"
                )
            );
        }
    }

    /// The worked examples of "Authenticating Requests: Using the Authorization Header" in S3's API reference.
    #[test]
    fn authorization_examples_of_s3_hold() {
        let key = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
        let host = ("host", "examplebucket.s3.amazonaws.com");
        let hash = ("x-amz-content-sha256", EMPTY_SHA256);
        let date = ("x-amz-date", "20130524T000000Z");
        let plain = [host, hash, date];
        let ranged = [host, ("range", "bytes=0-9"), hash, date];
        type Case<'a> = (&'a str, &'a str, &'a [(&'a str, &'a str)], &'a str);
        let cases: [Case<'_>; 3] = [
            (
                "/test.txt",
                "",
                &ranged,
                "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41",
            ),
            (
                "/",
                "lifecycle=",
                &plain,
                "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543",
            ),
            (
                "/",
                "max-keys=2&prefix=J",
                &plain,
                "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7",
            ),
        ];
        for (path, query, headers, expected) in cases {
            let request = Signable {
                method: "GET",
                path,
                query,
                headers,
                payload: EMPTY_SHA256,
            };
            let found = authorized(
                "AKIAIOSFODNN7EXAMPLE",
                key,
                "s3",
                "2013-05-24T00:00:00Z",
                &request,
            );
            assert!(
                found.ends_with(&format!("Signature={expected}")),
                "{path} {query}: {found}"
            );
        }
    }
}
