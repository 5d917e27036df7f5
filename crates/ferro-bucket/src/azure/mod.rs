//! Azure Blob Storage.

mod shared_key;

use std::time::SystemTime;

use ferro_cloud::{Transport, encode, encode_path, query};
use ferro_http::{Request, Response, SafeUrl, Secret};
use http::header::AUTHORIZATION;
use http::{HeaderName, HeaderValue, Method};
use url::Url;

use crate::s3::{child, parse, text, utf8};
use crate::types::{Listed, Object, Page, etag, unquoted};
use crate::{Error, MAX_DOCUMENT, MAX_ERROR_BODY, Result};

pub use shared_key::{AccountKey, account_of};

/// The version of the protocol; with it, names that XML cannot hold are encoded.
const VERSION: &str = "2021-12-02";

/// How requests are authenticated.
#[derive(Clone, Debug)]
pub enum Access {
    /// Not at all.
    Anonymous,
    /// By a signature with the account's key.
    AccountKey(AccountKey),
    /// By a token of a shared access signature, without its question mark.
    Sas(Secret<String>),
    /// By a token of Microsoft Entra ID.
    Bearer(Secret<String>),
}

/// A container of Azure Blob Storage.
#[derive(Debug)]
pub struct Azure {
    transport: Transport,
    endpoint: Url,
    container: String,
    access: Access,
}

impl Azure {
    /// The container of that name in the account at the URL `endpoint`.
    ///
    /// # Errors
    /// When that is no URL, or a token would be sent in clear.
    pub fn new(transport: Transport, endpoint: &str, container: &str, access: Access) -> Result<Self> {
        let invalid = |reason: String| Error::InvalidEndpoint(format!("invalid endpoint: {reason}"));
        let endpoint = Url::parse(endpoint).map_err(|error| invalid(error.to_string()))?;
        if !matches!(endpoint.scheme(), "http" | "https") {
            return Err(invalid("it is not an http or https URL".to_owned()));
        }
        if matches!(access, Access::Bearer(_)) && endpoint.scheme() != "https" {
            let message = "authenticated requests are not permitted for non TLS protected (https) endpoints";
            return Err(Error::credential(message));
        }
        Ok(Self {
            transport,
            endpoint,
            container: container.to_owned(),
            access,
        })
    }

    pub(crate) async fn exists(&self) -> Result<bool> {
        match self.list("", None, Some("1")).await {
            Ok(_) => Ok(true),
            Err(error) if error.code() == Some("ContainerNotFound") => Ok(false),
            Err(Error::Refused {
                status,
                code,
                message,
            }) if code == "AuthenticationFailed" => Err(Error::Refused {
                status,
                code,
                // The signature for one container says so of a container that is not there.
                message: format!(
                    "the specified bucket name may be incorrect, nonexistent, or the caller might lack sufficient permissions to \
                     access it: {message}"
                ),
            }),
            Err(error) => Err(error),
        }
    }

    pub(crate) async fn page(&self, prefix: &str, at: Option<&str>) -> Result<Page> {
        self.list(prefix, at, None).await
    }

    async fn list(&self, prefix: &str, at: Option<&str>, most: Option<&str>) -> Result<Page> {
        let mut pairs = vec![("comp", "list"), ("restype", "container")];
        let optional = [
            ("prefix", Some(prefix).filter(|prefix| !prefix.is_empty())),
            ("marker", at),
            ("maxresults", most),
        ];
        pairs.extend(
            optional
                .into_iter()
                .filter_map(|(name, value)| Some((name, value?))),
        );
        let response = self.call("", &pairs).await?;
        let body = response.bytes(MAX_DOCUMENT).await?;
        page(utf8(&body)?)
    }

    pub(crate) async fn get(&self, key: &str) -> Result<Option<Object>> {
        match self.call(key, &[]).await {
            Ok(response) => {
                let found = quoted(etag(&response));
                Ok(Some(Object::new(found, response)))
            }
            Err(error) if error.code() == Some("BlobNotFound") => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn call(&self, key: &str, pairs: &[(&str, &str)]) -> Result<Response> {
        let response = self.transport.send(|| self.request(key, pairs)).await?;
        if response.status().is_success() {
            return Ok(response);
        }
        Err(refused(response).await)
    }

    fn request(&self, key: &str, pairs: &[(&str, &str)]) -> Result<Request> {
        let mut url = self.endpoint.clone();
        let mut path = format!("{}/{}", url.path().trim_end_matches('/'), encode(&self.container));
        if !key.is_empty() {
            path = format!("{path}/{}", encode_path(key));
        }
        url.set_path(&path);
        let given = url.query().map(str::to_owned);
        let sas = match &self.access {
            Access::Sas(token) => Some(merged(token.expose(), given.as_deref())),
            _ => given,
        };
        let parts: Vec<String> = [query(pairs), sas.unwrap_or_default()]
            .into_iter()
            .filter(|part| !part.is_empty())
            .collect();
        url.set_query(Some(parts.join("&").as_str()).filter(|query| !query.is_empty()));
        let request = Request::to(Method::GET, &SafeUrl::new(url.clone()))?;
        let date = httpdate::fmt_http_date(SystemTime::now());
        let headers = [("x-ms-date", date.as_str()), ("x-ms-version", VERSION)];
        let authorization = match &self.access {
            Access::Anonymous | Access::Sas(_) => None,
            Access::AccountKey(key) => Some(key.authorization(&url, &headers)),
            Access::Bearer(token) => Some(format!("Bearer {}", token.expose())),
        };
        let request = headers.into_iter().try_fold(request, |request, (name, value)| {
            Ok::<_, Error>(request.header(HeaderName::from_static(name), header(value)?))
        })?;
        Ok(match authorization {
            Some(text) => request.header(AUTHORIZATION, header(&text)?),
            None => request,
        })
    }
}

fn header(text: &str) -> Result<HeaderValue> {
    let mut value = HeaderValue::from_str(text)
        .map_err(|_| Error::credential("the credentials hold characters that cannot be sent in a header"))?;
    value.set_sensitive(true);
    Ok(value)
}

/// The query of a signature with what the endpoint's query has besides.
fn merged(sas: &str, given: Option<&str>) -> String {
    let pairs = |text: &str| -> Vec<(String, String)> {
        url::form_urlencoded::parse(text.as_bytes())
            .into_owned()
            .collect()
    };
    let mut all = pairs(sas);
    let more = pairs(given.unwrap_or_default());
    all.extend(
        more.into_iter()
            .filter(|(name, _)| !pairs(sas).iter().any(|(known, _)| known == name)),
    );
    let all: Vec<(&str, &str)> = all
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    query(&all)
}

/// The ETag as answers to GET have it; listings leave the quotes out.
fn quoted(etag: &str) -> String {
    match unquoted(etag) {
        "" => String::new(),
        etag => format!("\"{etag}\""),
    }
}

fn page(xml: &str) -> Result<Page> {
    // The service begins with a byte order mark.
    let xml = xml.strip_prefix('\u{feff}').unwrap_or(xml);
    let document = parse(xml, "EnumerationResults")?;
    let root = document.root_element();
    let blobs = child(root, "Blobs")
        .into_iter()
        .flat_map(|blobs| blobs.children());
    let mut objects = Vec::new();
    for blob in blobs.filter(|node| node.tag_name().name() == "Blob") {
        let Some(properties) = child(blob, "Properties") else {
            continue;
        };
        // Accounts with a hierarchical namespace list directories as well.
        if text(properties, "ResourceType") == "directory" {
            continue;
        }
        let is_encoded = child(blob, "Name").and_then(|name| name.attribute("Encoded")) == Some("true");
        let name = text(blob, "Name");
        let key = if is_encoded {
            let decoded = percent_encoding::percent_decode_str(name).decode_utf8();
            decoded
                .map_err(|_| Error::malformed("a name is not UTF-8"))?
                .into_owned()
        } else {
            name.to_owned()
        };
        objects.push(Listed {
            key,
            etag: quoted(text(properties, "Etag")),
            size: text(properties, "Content-Length").parse().unwrap_or_default(),
            version: None,
        });
    }
    let next = Some(text(root, "NextMarker").to_owned()).filter(|marker| !marker.is_empty());
    Ok(Page { objects, next })
}

async fn refused(response: Response) -> Error {
    let status = response.status();
    if status.is_redirection() {
        return Error::Redirected { status };
    }
    let code = response.headers().get("x-ms-error-code");
    let code = code.and_then(|value| value.to_str().ok()).map(str::to_owned);
    let body = response.bytes(MAX_ERROR_BODY).await.unwrap_or_default();
    let xml = String::from_utf8_lossy(&body);
    let document = parse(xml.trim_start_matches('\u{feff}'), "Error").ok();
    let root = document.as_ref().map(roxmltree::Document::root_element);
    let in_body = |name| root.map(|root| text(root, name)).unwrap_or_default();
    let code = code.unwrap_or_else(|| in_body("Code").to_owned());
    // Only the first line is about the fault; the others are ids of the request.
    let first = in_body("Message").lines().next().unwrap_or_default();
    let message = [status.to_string().as_str(), code.as_str(), first]
        .iter()
        .filter(|part| !part.is_empty())
        .copied()
        .collect::<Vec<_>>()
        .join(": ");
    Error::Refused {
        status,
        code,
        message,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn page_reads_blobs_and_leaves_directories_out() {
        let xml = "\u{feff}<?xml version=\"1.0\" encoding=\"utf-8\"?><EnumerationResults><Blobs>\
            <Blob><Name>a/b.yaml</Name><Properties><Etag>0x8D</Etag><Content-Length>3</Content-Length></Properties></Blob>\
            <Blob><Name Encoded=\"true\">c%EF%BF%BE</Name><Properties><Etag>\"0x9\"</Etag></Properties></Blob>\
            <Blob><Name>a</Name><Properties><ResourceType>directory</ResourceType><Etag>0x7</Etag></Properties></Blob>\
            </Blobs><NextMarker>2!x</NextMarker></EnumerationResults>";
        let page = page(xml).unwrap();
        assert_eq!(page.next.as_deref(), Some("2!x"));
        let found: Vec<_> = page
            .objects
            .iter()
            .map(|object| (object.key.as_str(), object.etag.as_str(), object.size))
            .collect();
        assert_eq!(found, [("a/b.yaml", "\"0x8D\"", 3), ("c\u{fffe}", "\"0x9\"", 0)]);
    }

    #[test]
    fn merged_prefers_the_signature() {
        assert_eq!(merged("sig=a%2Bb&sv=1", Some("sv=2&x=y")), "sig=a%2Bb&sv=1&x=y");
    }

    #[test]
    fn new_refuses_to_send_a_token_in_clear() {
        let transport =
            || Transport::new(ferro_http::Client::new(&ferro_http::ClientOptions::default()).unwrap());
        let access = || Access::Bearer("t".into());
        let error = Azure::new(transport(), "http://a.blob.core.windows.net", "c", access()).unwrap_err();
        assert!(error.to_string().contains("non TLS protected"), "{error}");
        assert!(Azure::new(transport(), "https://a.blob.core.windows.net", "c", access()).is_ok());
        assert!(Azure::new(transport(), "account", "c", Access::Anonymous).is_err());
    }
}
