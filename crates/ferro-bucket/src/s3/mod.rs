//! Amazon S3, and what speaks its protocol.

mod answer;
mod endpoint;

use std::sync::{Mutex, PoisonError};

use ferro_cloud::sigv4::{EMPTY_SHA256, Scope, Signable, authorization};
use ferro_cloud::{AwsCredentials, Transport, encode_path, query};
use ferro_http::{Request, Response, SafeUrl};
use http::{HeaderName, HeaderValue, Method};
use jiff::Timestamp;

use crate::types::{Object, Page, etag, host_of};
use crate::{Error, MAX_DOCUMENT, Result};

pub(crate) use answer::{child, parse, text, utf8};
pub use endpoint::{Endpoint, check_bucket_name};

/// Where buckets are whose region nobody names.
const DEFAULT_REGION: &str = "us-east-1";

/// A bucket of a storage that speaks the S3 protocol.
#[derive(Debug)]
pub struct S3 {
    transport: Transport,
    endpoint: Endpoint,
    bucket: String,
    credentials: Option<AwsCredentials>,
    region: Region,
}

/// The region that signatures are for.
#[derive(Debug)]
enum Region {
    /// As the user says.
    Given(String),
    /// As the storage says, once it does.
    Learned(Mutex<String>),
}

impl S3 {
    /// The bucket of that name. Without credentials requests are not signed. Names that no bucket has are refused when the bucket is
    /// asked for, as the reference does.
    #[must_use]
    pub fn new(
        transport: Transport,
        endpoint: Endpoint,
        bucket: &str,
        region: Option<String>,
        credentials: Option<AwsCredentials>,
    ) -> Self {
        let region = match region {
            Some(region) => Region::Given(region),
            None => Region::Learned(Mutex::new(endpoint.region().unwrap_or(DEFAULT_REGION).to_owned())),
        };
        Self {
            transport,
            endpoint,
            bucket: bucket.to_owned(),
            credentials,
            region,
        }
    }

    pub(crate) async fn exists(&self) -> Result<bool> {
        match self.call(&Method::HEAD, None, "").await {
            Ok(_) => Ok(true),
            Err(error) if error.code() == Some("NoSuchBucket") => Ok(false),
            Err(error) => Err(error),
        }
    }

    pub(crate) async fn page(&self, prefix: &str, at: Option<&str>) -> Result<Page> {
        let is_version_one = self.endpoint.is_google();
        let mut pairs = vec![
            ("delimiter", ""),
            ("encoding-type", "url"),
            ("max-keys", "1000"),
            ("prefix", prefix),
        ];
        if !is_version_one {
            pairs.push(("list-type", "2"));
        }
        if let Some(at) = at {
            let name = if is_version_one {
                "marker"
            } else {
                "continuation-token"
            };
            pairs.push((name, at));
        }
        let response = self.call(&Method::GET, None, &query(&pairs)).await?;
        let body = response.bytes(MAX_DOCUMENT).await?;
        answer::page(utf8(&body)?, is_version_one)
    }

    pub(crate) async fn get(&self, key: &str) -> Result<Option<Object>> {
        match self.call(&Method::GET, Some(key), "").await {
            Ok(response) => Ok(Some(Object::new(etag(&response).to_owned(), response))),
            Err(error) if error.code() == Some("NoSuchKey") => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Sends a request, and once more if the storage says that the bucket is in another region than it was signed for.
    async fn call(&self, method: &Method, key: Option<&str>, query: &str) -> Result<Response> {
        check_bucket_name(&self.bucket)?;
        for is_last in [false, true] {
            let region = self.region();
            let response = self
                .transport
                .send(|| self.request(method, key, query, &region))
                .await?;
            if response.status().is_success() {
                return Ok(response);
            }
            let refusal = answer::refusal(response, key.is_some()).await;
            match refusal.region {
                Some(other) if !is_last && other != region && self.learn(&other) => {}
                _ => return Err(refusal.error),
            }
        }
        Err(Error::malformed("the storage changes the region of the bucket"))
    }

    fn region(&self) -> String {
        match &self.region {
            Region::Given(region) => region.clone(),
            Region::Learned(region) => region.lock().unwrap_or_else(PoisonError::into_inner).clone(),
        }
    }

    /// Takes a region that the storage names; not where the user has named one, nor what is none: it becomes part of a host's name.
    fn learn(&self, other: &str) -> bool {
        let is_name = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        let is_plausible = (1..=32).contains(&other.len()) && other.bytes().all(is_name);
        match &self.region {
            Region::Learned(region) if is_plausible => {
                *region.lock().unwrap_or_else(PoisonError::into_inner) = other.to_owned();
                true
            }
            _ => false,
        }
    }

    fn request(&self, method: &Method, key: Option<&str>, query: &str, region: &str) -> Result<Request> {
        let mut url = self.endpoint.bucket_url(&self.bucket, region);
        url.push('/');
        url.push_str(&encode_path(key.unwrap_or_default()));
        if !query.is_empty() {
            url.push('?');
            url.push_str(query);
        }
        let request = Request::new(method.clone(), &url)?;
        match &self.credentials {
            None => Ok(request),
            Some(credentials) => sign(request, method, credentials, region),
        }
    }
}

fn sign(request: Request, method: &Method, credentials: &AwsCredentials, region: &str) -> Result<Request> {
    let scope = Scope {
        region,
        service: "s3",
        at: Timestamp::now(),
    };
    let (host, date) = (host_of(request.url()), scope.date());
    let mut headers = vec![
        ("host", host.as_str()),
        ("x-amz-content-sha256", EMPTY_SHA256),
        ("x-amz-date", date.as_str()),
    ];
    if let Some(token) = &credentials.session_token {
        headers.push(("x-amz-security-token", token.expose().as_str()));
    }
    let url: SafeUrl = request.url().clone();
    let signable = Signable {
        method: method.as_str(),
        path: url.expose().path(),
        query: url.expose().query().unwrap_or_default(),
        headers: &headers,
        payload: EMPTY_SHA256,
    };
    let authorization = authorization(&signable, credentials, &scope);
    let signed = headers
        .iter()
        .skip(1)
        .copied()
        .chain([("authorization", authorization.as_str())]);
    signed.into_iter().try_fold(request, |request, (name, value)| {
        let mut value = HeaderValue::from_str(value).map_err(|_| {
            Error::credential("the credentials hold characters that cannot be sent in a header")
        })?;
        value.set_sensitive(true);
        Ok(request.header(HeaderName::from_static(name), value))
    })
}
