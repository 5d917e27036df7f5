//! Clients of object storages: S3 and what speaks its protocol, Google Cloud Storage, Azure Blob Storage.
//!
//! They do what a Bucket source needs: tell whether a bucket is there, list it page by page, stream an object. Everything goes through
//! `ferro-http`, so that certificates, proxies and limits are those of the workspace; no cloud library is linked.
//!
//! * [`Bucket`] is one bucket, with credentials that are ready for use; [`s3`], [`gcs`] and [`azure`] make one.
//! * Short-lived credentials come from `ferro-cloud`, whose [`AwsCredentials`] and [`Transport`] these clients use.
//!
//! The reference is what source-controller 1.9 does with minio-go 7, Google's and Azure's libraries for Go: endpoints, host and path style,
//! regions, ETags (which go into revisions) and the order in which credentials are looked for are equal. Known differences:
//!
//! * An object costs one request: the version that a listing named is asked for, instead of first asking which is there.
//! * Redirects are never followed, as credentials are for one host. An S3 region that the answer names is taken.
//! * Keys with `.` or `..` as a component are refused.
//!
//! # Limits
//!
//! A page of a listing has at most 32 MiB, a listing at most [`MAX_PAGES`] pages, each of which must lead on. What is tried again is so within
//! seconds. A request ends when its future is dropped; deadlines are the callers'.
//!
//! # Example
//!
//! ```no_run
//! use ferro_bucket::{Bucket, Transport, s3};
//!
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! let transport = Transport::new(ferro_http::Client::new(&ferro_http::ClientOptions::default())?);
//! let endpoint = s3::Endpoint::parse("minio.example.com:9000", true)?;
//! let bucket = Bucket::from(s3::S3::new(transport, endpoint, "podinfo", None, None));
//! let mut listing = bucket.list("deploy/");
//! while let Some(page) = listing.next_page().await? {
//!     for listed in page {
//!         let object = bucket.get(&listed).await?;
//!         # drop(object);
//!     }
//! }
//! # Ok(())
//! # }
//! ```

pub mod azure;
mod error;
pub mod gcs;
pub mod s3;
mod types;

pub use error::{Error, Result};
pub use ferro_cloud::{AwsCredentials, Transport};
pub use types::{Listed, Object};

/// The most of an error's body that is read.
const MAX_ERROR_BODY: u64 = 64 * 1024;

/// The most of a page of a listing.
const MAX_DOCUMENT: u64 = 32 << 20;

/// The most pages of a listing.
pub const MAX_PAGES: u32 = 20_000;

/// A bucket of any storage.
#[derive(Debug)]
pub enum Bucket {
    /// Of a storage that speaks the S3 protocol.
    S3(s3::S3),
    /// Of Google Cloud Storage.
    Gcs(gcs::Gcs),
    /// A container of Azure Blob Storage.
    Azure(azure::Azure),
}

impl From<s3::S3> for Bucket {
    fn from(bucket: s3::S3) -> Self {
        Self::S3(bucket)
    }
}

impl From<gcs::Gcs> for Bucket {
    fn from(bucket: gcs::Gcs) -> Self {
        Self::Gcs(bucket)
    }
}

impl From<azure::Azure> for Bucket {
    fn from(bucket: azure::Azure) -> Self {
        Self::Azure(bucket)
    }
}

impl Bucket {
    /// Whether there is such a bucket.
    ///
    /// # Errors
    /// When that cannot be told.
    pub async fn exists(&self) -> Result<bool> {
        match self {
            Self::S3(bucket) => bucket.exists().await,
            Self::Gcs(bucket) => bucket.exists().await,
            Self::Azure(bucket) => bucket.exists().await,
        }
    }

    /// Lists the objects whose names begin with `prefix`.
    #[must_use]
    pub const fn list<'b>(&'b self, prefix: &'b str) -> Listing<'b> {
        Listing {
            bucket: self,
            prefix,
            position: Position::Start,
            pages: 0,
        }
    }

    /// Asks for the content of an object; `None` if it is gone. The ETag is that of the content that comes, which may be newer than what
    /// was listed.
    ///
    /// # Errors
    /// When the storage does not give it.
    pub async fn get(&self, listed: &Listed) -> Result<Option<Object>> {
        types::check_key(&listed.key)?;
        match self {
            Self::S3(bucket) => bucket.get(&listed.key).await,
            Self::Gcs(bucket) => bucket.get(listed).await,
            Self::Azure(bucket) => bucket.get(&listed.key).await,
        }
    }
}

/// A listing under way.
#[derive(Debug)]
pub struct Listing<'b> {
    bucket: &'b Bucket,
    prefix: &'b str,
    position: Position,
    pages: u32,
}

#[derive(Debug)]
enum Position {
    Start,
    At(String),
    End,
}

impl Listing<'_> {
    /// The next page, `None` at the end.
    ///
    /// # Errors
    /// When the storage fails, or its listing leads nowhere.
    pub async fn next_page(&mut self) -> Result<Option<Vec<Listed>>> {
        let at = match &self.position {
            Position::Start => None,
            Position::At(at) => Some(at.as_str()),
            Position::End => return Ok(None),
        };
        if self.pages >= MAX_PAGES {
            return Err(Error::Endless {
                reason: "it has too many pages",
            });
        }
        self.pages += 1;
        let page = match self.bucket {
            Bucket::S3(bucket) => bucket.page(self.prefix, at).await?,
            Bucket::Gcs(bucket) => bucket.page(self.prefix, at).await?,
            Bucket::Azure(bucket) => bucket.page(self.prefix, at).await?,
        };
        if page.next.is_some() && page.next.as_deref() == at {
            return Err(Error::Endless {
                reason: "a page leads to itself",
            });
        }
        self.position = page.next.map_or(Position::End, Position::At);
        Ok(Some(page.objects))
    }
}
