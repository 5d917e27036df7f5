//! Google Cloud Storage, by its JSON API.

use ferro_cloud::{Transport, encode, query};
use ferro_http::{Auth, Request, Response, Secret};
use http::{Method, StatusCode};
use serde::Deserialize;
use url::Url;

use crate::types::{Listed, Object, Page};
use crate::{Error, MAX_DOCUMENT, MAX_ERROR_BODY, Result};

/// Where Google serves everybody.
const PUBLIC: &str = "https://storage.googleapis.com";

/// The variable that names another server, for tests and development. Nothing is authenticated to it.
pub const EMULATOR: &str = "STORAGE_EMULATOR_HOST";

/// A bucket of Google Cloud Storage.
#[derive(Debug)]
pub struct Gcs {
    transport: Transport,
    base: String,
    bucket: String,
    token: Option<Secret<String>>,
}

#[derive(Deserialize)]
struct Listing {
    #[serde(default)]
    items: Vec<Resource>,
    #[serde(default, rename = "nextPageToken")]
    next_page_token: Option<String>,
}

/// The metadata of an object; 64-bit numbers are text in this API.
#[derive(Deserialize)]
struct Resource {
    name: String,
    #[serde(default)]
    etag: String,
    #[serde(default)]
    size: String,
    #[serde(default)]
    generation: String,
}

/// The members of [`Resource`].
const FIELDS: &str = "name,etag,size,generation";

#[derive(Deserialize)]
struct Refusal {
    error: RefusalError,
}

#[derive(Deserialize)]
struct RefusalError {
    message: String,
}

impl From<Resource> for Listed {
    fn from(resource: Resource) -> Self {
        Self {
            key: resource.name,
            etag: resource.etag,
            size: resource.size.parse().unwrap_or_default(),
            version: Some(resource.generation).filter(|generation| !generation.is_empty()),
        }
    }
}

impl Gcs {
    /// The bucket of that name, at Google or at `emulator`, the value of [`EMULATOR`].
    ///
    /// # Errors
    /// When `emulator` is no address.
    pub fn new(
        transport: Transport,
        bucket: &str,
        emulator: Option<&str>,
        token: Option<Secret<String>>,
    ) -> Result<Self> {
        let emulator = emulator.filter(|host| !host.is_empty());
        let base = match emulator {
            None => PUBLIC.to_owned(),
            Some(host) if host.contains("://") => origin(host)?,
            Some(host) => origin(&format!("http://{host}"))?,
        };
        Ok(Self {
            transport,
            base,
            bucket: bucket.to_owned(),
            token: token.filter(|_| emulator.is_none()),
        })
    }

    pub(crate) async fn exists(&self) -> Result<bool> {
        let url = format!("{}?{}", self.bucket_url(), query(&[("fields", "name")]));
        match self.call(&url).await {
            Ok(_) => Ok(true),
            Err(error) if is_not_found(&error) => Ok(false),
            Err(error) => Err(error),
        }
    }

    pub(crate) async fn page(&self, prefix: &str, at: Option<&str>) -> Result<Page> {
        let fields = format!("items({FIELDS}),nextPageToken");
        let mut pairs = vec![("fields", fields.as_str()), ("prefix", prefix)];
        pairs.extend(at.map(|at| ("pageToken", at)));
        let url = format!("{}/o?{}", self.bucket_url(), query(&pairs));
        let listing: Listing = self.json(&url).await?;
        Ok(Page {
            objects: listing.items.into_iter().map(Listed::from).collect(),
            next: listing.next_page_token.filter(|token| !token.is_empty()),
        })
    }

    /// Asks for exactly the version that was listed; if it is gone, for the newest one.
    pub(crate) async fn get(&self, listed: &Listed) -> Result<Option<Object>> {
        if listed.version.is_some()
            && let Some(object) = self.content(listed).await?
        {
            return Ok(Some(object));
        }
        let url = format!(
            "{}?{}",
            self.object_url(&listed.key),
            query(&[("fields", FIELDS)])
        );
        match self.json::<Resource>(&url).await {
            Ok(resource) => self.content(&resource.into()).await,
            Err(error) if is_not_found(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn content(&self, listed: &Listed) -> Result<Option<Object>> {
        let mut pairs = vec![("alt", "media")];
        pairs.extend(listed.version.as_deref().map(|version| ("generation", version)));
        let url = format!("{}?{}", self.object_url(&listed.key), query(&pairs));
        match self.call(&url).await {
            Ok(response) => Ok(Some(Object::new(listed.etag.clone(), response))),
            Err(error) if is_not_found(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn bucket_url(&self) -> String {
        format!("{}/storage/v1/b/{}", self.base, encode(&self.bucket))
    }

    fn object_url(&self, key: &str) -> String {
        format!("{}/o/{}", self.bucket_url(), encode(key))
    }

    async fn json<T: for<'d> Deserialize<'d>>(&self, url: &str) -> Result<T> {
        let body = self.call(url).await?.bytes(MAX_DOCUMENT).await?;
        serde_json::from_slice(&body).map_err(|error| Error::malformed(error.to_string()))
    }

    async fn call(&self, url: &str) -> Result<Response> {
        let make = || -> Result<Request> {
            let request = Request::new(Method::GET, url)?;
            Ok(match &self.token {
                Some(token) => request.auth(Auth::Bearer(token.clone())),
                None => request,
            })
        };
        let response = self.transport.send(make).await?;
        if response.status().is_success() {
            return Ok(response);
        }
        Err(refused(response).await)
    }
}

fn origin(text: &str) -> Result<String> {
    let url = Url::parse(text)
        .map_err(|error| Error::InvalidEndpoint(format!("{EMULATOR} is no address: {error}")))?;
    Ok(url.origin().ascii_serialization())
}

fn is_not_found(error: &Error) -> bool {
    matches!(error, Error::Refused { status, .. } if *status == StatusCode::NOT_FOUND)
}

async fn refused(response: Response) -> Error {
    let status = response.status();
    if status.is_redirection() {
        return Error::Redirected { status };
    }
    let body = response.bytes(MAX_ERROR_BODY).await.unwrap_or_default();
    let message = serde_json::from_slice::<Refusal>(&body).map_or_else(
        |_| format!("googleapi: got HTTP response code {}", status.as_u16()),
        |refusal| format!("googleapi: Error {}: {}", status.as_u16(), refusal.error.message),
    );
    Error::Refused {
        status,
        code: String::new(),
        message,
    }
}
