//! A repository on an HTTP server.

use std::fs::File;
use std::io::{Seek, Write};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use ferro_artifact::digest::Algorithm;
use ferro_http::{Auth, Client, Request, Response, SafeUrl, describe};
use http::header::{ETAG, HeaderName, HeaderValue, IF_MODIFIED_SINCE, IF_NONE_MATCH, LAST_MODIFIED};
use http::{Method, StatusCode};
use url::Url;

use crate::index::{self, ChartVersion, LookupError, Table};
use crate::url as address;

/// Why something could not be fetched.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// The address is malformed.
    #[error("failed to parse {url} as URL: {source}")]
    Url {
        /// The address.
        url: String,
        /// What is wrong with it.
        source: url::ParseError,
    },
    /// The server refused.
    #[error("failed to fetch {url} : {status}")]
    Status {
        /// The address.
        url: SafeUrl,
        /// The status.
        status: StatusCode,
    },
    /// The request failed.
    #[error("{}", describe(.0))]
    Request(#[source] ferro_http::Error),
    /// It took too long.
    #[error("timed out fetching {url} after {after:?}")]
    Timeout {
        /// The address.
        url: SafeUrl,
        /// The limit.
        after: Duration,
    },
    /// The index is too large.
    #[error("index exceeds the maximum index file size of {0} bytes")]
    IndexTooLarge(u64),
    /// The chart is too large.
    #[error("size of chart '{url}' exceeds '{limit}' bytes limit")]
    ChartTooLarge {
        /// The address.
        url: SafeUrl,
        /// The limit.
        limit: u64,
    },
    /// The chart is not the one of the index.
    #[error(
        "digest of chart '{url}' is sha256:{found}, the index says sha256:{expected}: if the archive was replaced on purpose, have the \
         index of the repository made again (helm repo index); if not, do not use it"
    )]
    Digest {
        /// The address.
        url: SafeUrl,
        /// The digest of what came.
        found: Box<str>,
        /// The digest in the index.
        expected: Box<str>,
    },
    /// The index does not say where the chart is.
    #[error("chart '{0}' has no downloadable URLs")]
    NoUrl(String),
    /// The disk failed.
    #[error("failed to keep what was fetched: {0}")]
    Io(#[from] std::io::Error),
}

impl FetchError {
    /// Whether the server could not be trusted, or did not trust us.
    pub fn is_auth(&self) -> bool {
        match self {
            Self::Status { status, .. } => *status == StatusCode::UNAUTHORIZED,
            Self::Request(error) => is_tls(error),
            _ => false,
        }
    }
}

/// Whether a connection failed because of certificates.
fn is_tls(error: &ferro_http::Error) -> bool {
    let text = describe(error).to_lowercase();
    matches!(error, ferro_http::Error::Connect { .. })
        && ["certificate", "tls", "handshake"]
            .iter()
            .any(|word| text.contains(word))
}

/// By what a server tells whether the index has changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Validators {
    etag: Option<HeaderValue>,
    last_modified: Option<HeaderValue>,
}

impl Validators {
    fn of(response: &Response) -> Self {
        let header = |name| response.headers().get(name).cloned();
        Self {
            etag: header(ETAG),
            last_modified: header(LAST_MODIFIED),
        }
    }

    /// Whether the server gave any.
    pub fn is_empty(&self) -> bool {
        self.etag.is_none() && self.last_modified.is_none()
    }

    fn headers(&self) -> impl Iterator<Item = (HeaderName, HeaderValue)> {
        let etag = self.etag.clone().map(|value| (IF_NONE_MATCH, value));
        let modified = self.last_modified.clone().map(|value| (IF_MODIFIED_SINCE, value));
        etag.into_iter().chain(modified)
    }
}

/// What came of asking for an index.
#[derive(Debug)]
pub enum Fetched {
    /// It is the one of the validators.
    NotModified,
    /// It is in this file.
    Index {
        /// The file, which has no name and goes when it is dropped.
        file: File,
        /// By what to ask the next time.
        validators: Validators,
    },
}

/// What may be read.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// The largest index in bytes.
    pub index: u64,
    /// The largest chart in bytes.
    pub chart: u64,
    /// The largest file of a chart in bytes.
    pub chart_file: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            index: 50 << 20,
            chart: 10 << 20,
            chart_file: 5 << 20,
        }
    }
}

/// How a repository is reached.
#[derive(Clone, Debug)]
pub struct HttpOptions {
    /// Connections, certificates, proxy.
    pub client: Client,
    /// User name and password.
    pub auth: Option<Auth>,
    /// Whether they go to other hosts that the index names, too.
    pub pass_credentials: bool,
    /// How long one thing may take to fetch.
    pub timeout: Duration,
    /// What may be read.
    pub limits: Limits,
}

/// Where the index of a repository is looked up.
#[derive(Clone, Debug, Default)]
enum Stored {
    /// It has to be fetched.
    #[default]
    Nowhere,
    /// In this file, with its table if there is one.
    At(PathBuf, Option<Arc<Table>>),
}

/// A repository on an HTTP server.
#[derive(Clone, Debug)]
pub struct HttpRepository {
    url: Url,
    options: HttpOptions,
    stored: Stored,
    /// The index, once it was fetched for lookups.
    fetched: Arc<Mutex<Option<File>>>,
}

impl HttpRepository {
    /// The repository at `url`.
    ///
    /// # Errors
    /// When it is no URL.
    pub fn new(url: &str, options: HttpOptions) -> Result<Self, url::ParseError> {
        Ok(Self {
            url: Url::parse(url)?,
            options,
            stored: Stored::Nowhere,
            fetched: Arc::default(),
        })
    }

    /// The same repository, whose index is stored in the file at `path`.
    #[must_use]
    pub fn with_index(mut self, path: PathBuf, table: Option<Arc<Table>>) -> Self {
        self.stored = Stored::At(path, table);
        self
    }

    /// Fetches the index into a file, unless it is the one of `known`.
    ///
    /// # Errors
    /// When it cannot be fetched.
    pub async fn fetch_index(&self, known: Option<&Validators>) -> Result<Fetched, FetchError> {
        let url = SafeUrl::new(address::index(&self.url));
        let work = async {
            let mut request = self.request(&url)?;
            for (name, value) in known.into_iter().flat_map(Validators::headers) {
                request = request.header(name, value);
            }
            let response = self.send(&request, known.is_some()).await?;
            if response.status() == StatusCode::NOT_MODIFIED {
                return Ok(Fetched::NotModified);
            }
            let validators = Validators::of(&response);
            let file = self.keep(response).await?;
            Ok(Fetched::Index { file, validators })
        };
        self.in_time(&url, work).await
    }

    /// Writes a body to a file, piece by piece.
    async fn keep(&self, mut response: Response) -> Result<File, FetchError> {
        let limit = self.options.limits.index;
        if response.content_length().is_some_and(|length| length > limit) {
            return Err(FetchError::IndexTooLarge(limit));
        }
        let (mut file, mut size, mut pending) = (tempfile::tempfile()?, 0_u64, Vec::new());
        while let Some(piece) = response.chunk().await.map_err(FetchError::Request)? {
            size += piece.len() as u64;
            if size > limit {
                return Err(FetchError::IndexTooLarge(limit));
            }
            pending.extend_from_slice(&piece);
            if pending.len() >= 1 << 18 {
                file.write_all(&pending)?;
                pending.clear();
            }
        }
        file.write_all(&pending)?;
        file.rewind()?;
        Ok(file)
    }

    /// The version of `chart` that `version` asks for.
    ///
    /// # Errors
    /// When there is none, or the index cannot be had.
    pub async fn version(&self, chart: &str, version: &str) -> Result<ChartVersion, VersionError> {
        if matches!(self.stored, Stored::Nowhere) {
            self.fetch_for_lookup().await?;
        }
        let (stored, fetched) = (self.stored.clone(), Arc::clone(&self.fetched));
        let (chart, version) = (chart.to_owned(), version.to_owned());
        let found = tokio::task::spawn_blocking(move || match stored {
            Stored::At(path, table) => {
                let mut file = File::open(path)?;
                match table {
                    Some(table) => index::find_in(&mut file, &table, &chart, &version),
                    None => index::find(&mut file, &chart, &version),
                }
            }
            Stored::Nowhere => {
                let mut fetched = fetched.lock().unwrap_or_else(PoisonError::into_inner);
                let file = fetched
                    .as_mut()
                    .ok_or_else(|| std::io::Error::other("no chart index"))?;
                index::find(file, &chart, &version)
            }
        });
        let found = found
            .await
            .map_err(|error| std::io::Error::other(error.to_string()))?;
        Ok(found?)
    }

    async fn fetch_for_lookup(&self) -> Result<(), VersionError> {
        let has_it = self
            .fetched
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .is_some();
        if has_it {
            return Ok(());
        }
        if let Fetched::Index { mut file, .. } = self.fetch_index(None).await.map_err(VersionError::Fetch)? {
            // In the form in which lookups are quick.
            let stored = tokio::task::spawn_blocking(move || {
                let mut stored = tempfile::tempfile()?;
                index::read_index(&mut file)?.write(&mut stored)?;
                Ok::<_, LookupError>(stored)
            });
            let stored = stored
                .await
                .map_err(|error| std::io::Error::other(error.to_string()))??;
            *self.fetched.lock().unwrap_or_else(PoisonError::into_inner) = Some(stored);
        }
        Ok(())
    }

    /// Fetches the archive of a version.
    ///
    /// # Errors
    /// When it cannot be fetched, or is not the one that the index means.
    pub async fn download(&self, version: &ChartVersion) -> Result<Bytes, FetchError> {
        let reference = version.urls.as_deref().and_then(<[String]>::first);
        let reference = reference.ok_or_else(|| FetchError::NoUrl(version.name.clone()))?;
        let url = self.resolve(reference)?;
        let archive = self.get(&url, self.options.limits.chart).await?;
        check_digest(&url, &version.digest, &archive)?;
        Ok(archive)
    }

    /// Fetches the provenance file of a version, which lies beside the archive.
    ///
    /// # Errors
    /// When it cannot be fetched.
    pub async fn download_provenance(&self, version: &ChartVersion) -> Result<Bytes, FetchError> {
        let reference = version.urls.as_deref().and_then(<[String]>::first);
        let reference = reference.ok_or_else(|| FetchError::NoUrl(version.name.clone()))?;
        let mut url = self.resolve(reference)?.expose().clone();
        url.set_path(&format!("{}.prov", url.path()));
        self.get(&SafeUrl::new(url), self.options.limits.chart_file).await
    }

    fn resolve(&self, reference: &str) -> Result<SafeUrl, FetchError> {
        let resolved = address::resolve(&self.url, reference).map_err(|source| FetchError::Url {
            url: reference
                .split(['?', '@'])
                .next_back()
                .unwrap_or_default()
                .to_owned(),
            source,
        })?;
        Ok(SafeUrl::new(resolved))
    }

    async fn get(&self, url: &SafeUrl, limit: u64) -> Result<Bytes, FetchError> {
        let too_large = || FetchError::ChartTooLarge {
            url: url.clone(),
            limit,
        };
        let work = async {
            let response = self.send(&self.request(url)?, false).await?;
            response.bytes(limit).await.map_err(|error| match error {
                ferro_http::Error::BodyTooLarge { .. } => too_large(),
                error => FetchError::Request(error),
            })
        };
        self.in_time(url, work).await
    }

    /// A request, with the credentials if they are for that host.
    fn request(&self, url: &SafeUrl) -> Result<Request, FetchError> {
        let request = Request::to(Method::GET, url).map_err(FetchError::Request)?;
        let is_ours = url.has_origin_of(&SafeUrl::new(self.url.clone()));
        Ok(match &self.options.auth {
            Some(auth) if is_ours || self.options.pass_credentials => request.auth(auth.clone()),
            _ => request,
        })
    }

    async fn send(&self, request: &Request, is_conditional: bool) -> Result<Response, FetchError> {
        let response = self.options.client.send(request).await;
        let response = response.map_err(FetchError::Request)?;
        let status = response.status();
        if status == StatusCode::OK || (is_conditional && status == StatusCode::NOT_MODIFIED) {
            return Ok(response);
        }
        Err(FetchError::Status {
            url: request.url().clone(),
            status,
        })
    }

    async fn in_time<T>(
        &self,
        url: &SafeUrl,
        work: impl Future<Output = Result<T, FetchError>>,
    ) -> Result<T, FetchError> {
        let after = self.options.timeout;
        let timed_out = |_| FetchError::Timeout {
            url: url.clone(),
            after,
        };
        tokio::time::timeout(after, work).await.map_err(timed_out)?
    }
}

/// Why a version could not be had.
#[derive(Debug, thiserror::Error)]
pub enum VersionError {
    /// The index has none that is wanted, or cannot be read.
    #[error("{}", lookup_text(.0))]
    Lookup(#[from] LookupError),
    /// The index could not be fetched.
    #[error("failed to cache index: failed to cache index to temporary file: {0}")]
    Fetch(#[source] FetchError),
}

fn lookup_text(error: &LookupError) -> String {
    match error {
        LookupError::Selection(error) => error.to_string(),
        LookupError::Index(error) => format!("failed to load index: {error}"),
    }
}

impl From<std::io::Error> for VersionError {
    fn from(error: std::io::Error) -> Self {
        Self::Lookup(error.into())
    }
}

impl VersionError {
    /// Whether another index, not another try, is what can help.
    pub fn is_reference(&self) -> bool {
        matches!(self, Self::Lookup(LookupError::Selection(_)))
    }

    /// Whether the server could not be trusted, or did not trust us.
    pub fn is_auth(&self) -> bool {
        matches!(self, Self::Fetch(error) if error.is_auth())
    }
}

/// Compares an archive with the digest in the index, where that is one: many indexes have none, and some have something else there.
fn check_digest(url: &SafeUrl, digest: &str, archive: &[u8]) -> Result<(), FetchError> {
    let expected = digest.strip_prefix("sha256:").unwrap_or(digest).to_lowercase();
    let is_digest = expected.len() == 64 && expected.bytes().all(|byte| byte.is_ascii_hexdigit());
    let found = Algorithm::Sha256.digest(archive);
    if !is_digest || found.hex() == expected {
        return Ok(());
    }
    Err(FetchError::Digest {
        url: url.clone(),
        found: found.hex().into(),
        expected: expected.into(),
    })
}
