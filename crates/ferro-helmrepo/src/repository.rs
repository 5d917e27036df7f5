//! A repository of either kind.

use bytes::Bytes;

use crate::http::{FetchError, HttpRepository, VersionError};
use crate::index::ChartVersion;
use crate::oci::{OciError, OciRepository};

/// A repository of either kind.
#[derive(Clone, Debug)]
pub enum Repository {
    /// On an HTTP server, with an index.
    Http(HttpRepository),
    /// In a registry.
    Oci(OciRepository),
}

/// Why a repository did not give what was asked for.
#[derive(Debug, thiserror::Error)]
pub enum RepositoryError {
    /// The index has no such version, or cannot be had.
    #[error(transparent)]
    Version(#[from] VersionError),
    /// The archive cannot be had.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// The registry does not have it, or does not give it.
    #[error("{}", ferro_http::describe(.0))]
    Oci(#[from] OciError),
}

impl RepositoryError {
    /// Whether only another reference can help.
    pub fn is_reference(&self) -> bool {
        matches!(self, Self::Version(error) if error.is_reference())
    }

    /// Whether the other side could not be trusted, or did not trust us.
    pub fn is_auth(&self) -> bool {
        match self {
            Self::Version(error) => error.is_auth(),
            Self::Fetch(error) => error.is_auth(),
            Self::Oci(error) => error.is_auth(),
        }
    }
}

impl Repository {
    /// The version of `chart` that `version` asks for.
    ///
    /// # Errors
    /// When there is none, or it cannot be told.
    pub async fn version(&self, chart: &str, version: &str) -> Result<ChartVersion, RepositoryError> {
        Ok(match self {
            Self::Http(repository) => repository.version(chart, version).await?,
            Self::Oci(repository) => repository.version(chart, version).await?,
        })
    }

    /// Fetches the archive of a version.
    ///
    /// # Errors
    /// When it cannot be had.
    pub async fn download(&self, version: &ChartVersion) -> Result<Bytes, RepositoryError> {
        Ok(match self {
            Self::Http(repository) => repository.download(version).await?,
            Self::Oci(repository) => repository.download(version).await?,
        })
    }
}
