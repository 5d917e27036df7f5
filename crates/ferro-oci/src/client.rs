//! The client of one repository: tags and manifests.

use ferro_http::{ClientOptions, SafeUrl};
use http::header::{ACCEPT, CONTENT_TYPE, HeaderValue};
use http::{Method, StatusCode};
use serde::Deserialize;

use crate::manifest::{Index, media_type};
use crate::pool::{Access, Pool};
use crate::transport::{Answer, Call, Transport};
use crate::{
    Credentials, Digest, Error, Identifier, ImageManifest, Manifest, ManifestHead, Repository, Result,
};

/// The largest manifest that is read.
pub const MAX_MANIFEST: u64 = 8 << 20;
/// The most tags of a repository that are read.
pub const MAX_TAGS: usize = 1_000_000;

/// How many tags are asked for at once; some registries refuse more.
const PAGE_SIZE: usize = 1000;
const MAX_PAGES: usize = 10_000;
const MAX_PAGE: u64 = 16 << 20;
/// How deep indexes may nest.
const MAX_DEPTH: usize = 4;

const ACCEPTED: &str = "application/vnd.docker.distribution.manifest.v1+json,\
application/vnd.docker.distribution.manifest.v1+prettyjws,\
application/vnd.docker.distribution.manifest.v2+json,\
application/vnd.oci.image.manifest.v1+json,\
application/vnd.docker.distribution.manifest.list.v2+json,\
application/vnd.oci.image.index.v1+json";

/// The header of a manifest's digest.
pub(crate) const CONTENT_DIGEST: &str = "docker-content-digest";

/// The client of one repository; clones share connections and tokens. A request ends when its future is dropped.
#[derive(Clone, Debug)]
pub struct Client {
    pub(crate) transport: Transport,
}

impl Client {
    /// A client that shares nothing with others.
    ///
    /// # Errors
    /// When certificates or the proxy's address are faulty.
    pub fn new(repository: &Repository, access: &Access) -> Result<Self> {
        Pool::default().client(repository, access)
    }

    /// A client without credentials and with default options.
    ///
    /// # Errors
    /// When the machine has no certificates to trust.
    pub fn anonymous(repository: &Repository) -> Result<Self> {
        let access = Access {
            http: ClientOptions::default(),
            credentials: Credentials::Anonymous,
        };
        Self::new(repository, &access)
    }

    pub(crate) const fn over(transport: Transport) -> Self {
        Self { transport }
    }

    /// The same client with other repetitions of what fails for a reason that may pass; by default two, after one and three seconds.
    #[must_use]
    pub fn with_retry(mut self, retry: ferro_http::Retry) -> Self {
        self.transport.retry = retry;
        self
    }

    /// The repository.
    pub const fn repository(&self) -> &Repository {
        &self.transport.repository
    }

    pub(crate) fn target(&self, kind: &str, name: &impl std::fmt::Display) -> String {
        format!("/v2/{}/{kind}/{name}", self.repository().path())
    }

    /// All tags, in the order of the registry.
    ///
    /// # Errors
    /// When the registry refuses, or has more than [`MAX_TAGS`].
    pub async fn tags(&self) -> Result<Vec<String>> {
        #[derive(Deserialize)]
        struct Page {
            #[serde(default)]
            tags: Option<Vec<String>>,
        }
        let mut tags = Vec::new();
        let mut target = format!("/v2/{}/tags/list?n={PAGE_SIZE}", self.repository().path());
        let too_many = |limit, what| Error::TooManyTags {
            repository: self.repository().to_string(),
            limit,
            what,
        };
        for _ in 0..MAX_PAGES {
            let answer = self
                .transport
                .send(&Call::pull(Method::GET, target.clone()))
                .await?;
            let answer = answer.expect(&[StatusCode::OK]).await?;
            let next = next_page(&answer, self.repository().registry())?;
            let (method, url) = (answer.method.clone(), answer.url.clone());
            let body = answer.response.bytes(MAX_PAGE).await?;
            let page: Page = serde_json::from_slice(&body).map_err(|error| Error::Response {
                method,
                url: crate::error::Shown::new(&url),
                reason: format!("the list of tags is malformed: {error}"),
            })?;
            tags.extend(page.tags.unwrap_or_default());
            if tags.len() > MAX_TAGS {
                return Err(too_many(MAX_TAGS, "tags"));
            }
            match next {
                Some(next) if next != target => target = next,
                _ => return Ok(tags),
            }
        }
        Err(too_many(MAX_PAGES, "pages of tags"))
    }

    /// What a manifest is, without fetching it.
    ///
    /// # Errors
    /// When there is none, or the registry does not say what it is.
    pub async fn head(&self, identifier: &Identifier) -> Result<ManifestHead> {
        let answer = self.manifest_answer(Method::HEAD, identifier).await?;
        let media_type = answer.header(CONTENT_TYPE).to_owned();
        if media_type.is_empty() {
            return Err(answer.invalid("response did not include Content-Type header"));
        }
        // Of a HEAD response the client library does not tell the length, as there is no body.
        let size = answer.header(http::header::CONTENT_LENGTH).parse().ok();
        let size = size.ok_or_else(|| answer.invalid("response did not include Content-Length header"))?;
        let digest = answer.header(CONTENT_DIGEST);
        if digest.is_empty() {
            return Err(answer.invalid("response did not include Docker-Content-Digest header"));
        }
        let digest: Digest = digest.parse()?;
        self.check_digest(identifier, &digest)?;
        Ok(ManifestHead {
            media_type,
            digest,
            size,
        })
    }

    /// The digest that a tag means now. Where the registry does not answer HEAD requests well, the manifest is fetched for it.
    ///
    /// # Errors
    /// When there is no such tag.
    pub async fn resolve(&self, identifier: &Identifier) -> Result<Digest> {
        match self.head(identifier).await {
            Ok(head) => Ok(head.digest),
            // Asking again would not be heard.
            Err(error @ Error::Http(_)) => Err(error),
            Err(_) => Ok(self.manifest(identifier).await?.digest),
        }
    }

    /// A manifest of any kind.
    ///
    /// # Errors
    /// When there is none, or it is not the one that was asked for.
    pub async fn manifest(&self, identifier: &Identifier) -> Result<Manifest> {
        let answer = self.manifest_answer(Method::GET, identifier).await?;
        let media_type = answer.header(CONTENT_TYPE).to_owned();
        let bytes = answer.response.bytes(MAX_MANIFEST).await?;
        let digest = match identifier {
            Identifier::Digest(wanted) => {
                let mut hasher = wanted.hasher();
                hasher.update(&bytes);
                hasher.finish()
            }
            Identifier::Tag(_) => Digest::of(&bytes),
        };
        self.check_digest(identifier, &digest)?;
        Ok(Manifest {
            media_type,
            digest,
            bytes,
        })
    }

    /// The manifest of an image; of an index, that for linux/amd64, as go-containerregistry chooses.
    ///
    /// # Errors
    /// When there is none, or it cannot be understood.
    pub async fn image(&self, identifier: &Identifier) -> Result<ImageManifest> {
        let mut identifier = identifier.clone();
        for _ in 0..MAX_DEPTH {
            let manifest = self.manifest(&identifier).await?;
            let invalid = |error: serde_json::Error| Error::Manifest {
                digest: manifest.digest.clone(),
                reason: error.to_string(),
            };
            match manifest.media_type.as_str() {
                media_type::DOCKER_SCHEMA_1 | media_type::DOCKER_SCHEMA_1_SIGNED => {
                    let media_type = manifest.media_type;
                    return Err(Error::Schema1 { media_type });
                }
                media_type::OCI_INDEX | media_type::DOCKER_LIST => {
                    let index: Index = serde_json::from_slice(&manifest.bytes).map_err(invalid)?;
                    identifier = Identifier::Digest(self.child(&identifier, index)?);
                }
                // Some registries have other types for the same.
                _ => return serde_json::from_slice(&manifest.bytes).map_err(invalid),
            }
        }
        Err(Error::NoPlatform {
            reference: self.repository().reference(identifier).to_string(),
        })
    }

    fn child(&self, identifier: &Identifier, index: Index) -> Result<Digest> {
        let is_default =
            |child: &crate::Descriptor| child.platform.as_ref().is_none_or(crate::Platform::is_default);
        let child = index.manifests.into_iter().find(is_default);
        child.map(|child| child.digest).ok_or_else(|| Error::NoPlatform {
            reference: self.repository().reference(identifier.clone()).to_string(),
        })
    }

    async fn manifest_answer(&self, method: Method, identifier: &Identifier) -> Result<Answer> {
        let call = Call::pull(method, self.target("manifests", identifier))
            .header(ACCEPT, HeaderValue::from_static(ACCEPTED));
        self.transport.send(&call).await?.expect(&[StatusCode::OK]).await
    }

    fn check_digest(&self, identifier: &Identifier, found: &Digest) -> Result<()> {
        match identifier {
            Identifier::Digest(wanted) if wanted != found => Err(Error::ManifestDigest {
                found: found.clone(),
                wanted: wanted.clone(),
                reference: self.repository().reference(identifier.clone()).to_string(),
            }),
            _ => Ok(()),
        }
    }
}

/// The path and query of the next page. A registry behind a proxy may not know its own scheme or port, so both stay as they are; another host
/// is refused.
fn next_page(answer: &Answer, registry: &str) -> Result<Option<String>> {
    let link = answer.header(http::header::LINK);
    if link.is_empty() {
        return Ok(None);
    }
    let target = link
        .strip_prefix('<')
        .and_then(|rest| rest.split_once('>'))
        .map(|(target, _)| target)
        .ok_or_else(|| answer.invalid("failed to parse link header"))?;
    let url = answer
        .url
        .expose()
        .join(target)
        .map(SafeUrl::new)
        .map_err(|_| answer.invalid("failed to parse link header"))?;
    let url = url.expose();
    let host = crate::name::host_of(registry);
    if !url
        .host_str()
        .is_some_and(|found| found.eq_ignore_ascii_case(host))
    {
        return Err(answer.invalid("the next page of tags is at another host"));
    }
    Ok(Some(match url.query() {
        Some(query) => format!("{}?{query}", url.path()),
        None => url.path().to_owned(),
    }))
}
