//! Charts in a registry.

use std::time::Duration;

use bytes::Bytes;
use ferro_oci::media_type::{HELM_CHART, HELM_PROVENANCE};
use ferro_oci::{Access, Client, Descriptor, Digest, Identifier, Pool, Repository};

use crate::archives::Archives;
use crate::index::ChartVersion;
use crate::select::{TagError, full_version, select_tag};

/// What charts had as their media type before there was one for them.
const LEGACY_CHART: &str = "application/tar+gzip";

/// Why a chart could not be had from a registry.
#[derive(Debug, thiserror::Error)]
pub enum OciError {
    /// The registry refused, or could not be reached.
    #[error(transparent)]
    Registry(#[from] ferro_oci::Error),
    /// No tag is wanted.
    #[error(transparent)]
    Tag(#[from] TagError),
    /// There are no tags.
    #[error("unable to locate any tags in provided repository: {0}")]
    NoTags(String),
    /// The manifest is not one of a chart.
    #[error("manifest of '{reference}' does not contain a layer with mediatype {media_type}")]
    NoLayer {
        /// The chart.
        reference: String,
        /// What was looked for.
        media_type: &'static str,
    },
    /// It took too long.
    #[error("timed out after {0:?}")]
    Timeout(Duration),
}

impl From<ferro_oci::NameError> for OciError {
    fn from(error: ferro_oci::NameError) -> Self {
        Self::Registry(error.into())
    }
}

impl OciError {
    /// Whether the registry did not trust us.
    pub fn is_auth(&self) -> bool {
        matches!(self, Self::Registry(error) if error.status().is_some_and(|status| status.as_u16() == 401))
    }
}

/// A place in a registry below which charts are.
#[derive(Clone, Debug)]
pub struct OciRepository {
    base: String,
    is_insecure: bool,
    pool: Pool,
    access: Access,
    timeout: Duration,
    limit: u64,
    pinned: Option<Box<(ChartVersion, Digest)>>,
    archives: Option<Archives>,
}

impl OciRepository {
    /// The place at `url`, which starts with `oci://`. Charts larger than `limit` are not fetched.
    pub fn new(
        url: &str,
        is_insecure: bool,
        pool: Pool,
        access: Access,
        timeout: Duration,
        limit: u64,
    ) -> Self {
        let base = url.strip_prefix("oci://").unwrap_or(url);
        Self {
            base: base.trim_end_matches('/').to_owned(),
            is_insecure,
            pool,
            access,
            timeout,
            limit,
            pinned: None,
            archives: None,
        }
    }

    /// The same place, whose charts are not fetched again while `archives` has them. Who shares these must reach a host of the same name
    /// at the same place, and trust the same authorities to say so.
    #[must_use]
    pub fn with_archives(self, archives: Archives) -> Self {
        Self {
            archives: Some(archives),
            ..self
        }
    }

    /// The same place, where the one chart is this version with this manifest, whatever its tag comes to mean.
    #[must_use]
    pub fn pinned(self, version: ChartVersion, digest: Digest) -> Self {
        Self {
            pinned: Some(Box::new((version, digest))),
            ..self
        }
    }

    /// What the tag of a version means now, and the client of its repository.
    ///
    /// # Errors
    /// When there is none, or the registry refuses.
    pub async fn locate(&self, version: &ChartVersion) -> Result<(Client, Digest), OciError> {
        let client = self.client(&version.name)?;
        let tag = tag(version)?;
        let digest = self.in_time(async { Ok(client.resolve(&tag).await?) }).await?;
        Ok((client, digest))
    }

    fn client(&self, chart: &str) -> Result<Client, OciError> {
        Ok(self.pool.client(&self.repository(chart)?, &self.access)?)
    }

    fn repository(&self, chart: &str) -> Result<Repository, OciError> {
        let name = format!("{}/{chart}", self.base);
        Ok(Repository::parse(&name, self.is_insecure)?)
    }

    /// The version of `chart` that `version` asks for. One with all of its numbers is taken as it is.
    ///
    /// # Errors
    /// When there is none, or the registry refuses.
    pub async fn version(&self, chart: &str, version: &str) -> Result<ChartVersion, OciError> {
        if let Some(pinned) = &self.pinned {
            return Ok(pinned.0.clone());
        }
        let of = |version: String| ChartVersion {
            name: chart.to_owned(),
            version,
            ..ChartVersion::default()
        };
        if full_version(version).is_some() {
            return Ok(of(version.to_owned()));
        }
        let client = self.client(chart)?;
        let tags = self.in_time(async { Ok(client.tags().await?) }).await?;
        if tags.is_empty() {
            return Err(OciError::NoTags(chart.to_owned()));
        }
        Ok(of(select_tag(tags, version)?))
    }

    /// Fetches the archive of a version.
    ///
    /// # Errors
    /// When there is none, or the registry refuses.
    pub async fn download(&self, version: &ChartVersion) -> Result<Bytes, OciError> {
        self.layer(version, HELM_CHART, self.limit).await
    }

    /// Fetches the provenance file of a version.
    ///
    /// # Errors
    /// When there is none, or the registry refuses.
    pub async fn download_provenance(&self, version: &ChartVersion) -> Result<Bytes, OciError> {
        self.layer(version, HELM_PROVENANCE, self.limit).await
    }

    async fn layer(
        &self,
        version: &ChartVersion,
        media_type: &'static str,
        limit: u64,
    ) -> Result<Bytes, OciError> {
        let client = self.client(&version.name)?;
        let work = async {
            let tag = match &self.pinned {
                Some(pinned) => Identifier::Digest(pinned.1.clone()),
                None => tag(version)?,
            };
            let manifest = client.image(&tag).await?;
            let is_wanted = |layer: &&Descriptor| {
                layer.media_type == media_type
                    || (media_type == HELM_CHART && layer.media_type == LEGACY_CHART)
            };
            let layer = manifest.layers.iter().find(is_wanted);
            let layer = layer.ok_or_else(|| OciError::NoLayer {
                reference: format!("{}/{}:{tag}", self.base, version.name),
                media_type,
            })?;
            Box::pin(self.content(&client, &version.name, layer, limit)).await
        };
        self.in_time(work).await
    }

    /// What a manifest that the registry has just given describes.
    async fn content(
        &self,
        client: &Client,
        chart: &str,
        layer: &Descriptor,
        limit: u64,
    ) -> Result<Bytes, OciError> {
        let repository = self.repository(chart)?;
        let is_as_described = |kept: &Bytes| kept.len() as u64 == layer.size && layer.size <= limit;
        let archives = self.archives.as_ref();
        let kept = archives.and_then(|archives| archives.get(&repository, &layer.digest));
        if let Some(kept) = kept.filter(is_as_described) {
            return Ok(kept);
        }
        let fetched = client.blob(layer).await?.bytes(limit).await?;
        if let Some(archives) = archives {
            archives.keep(&repository, &layer.digest, fetched.clone());
        }
        Ok(fetched)
    }

    async fn in_time<T>(&self, work: impl Future<Output = Result<T, OciError>>) -> Result<T, OciError> {
        let timed_out = |_| OciError::Timeout(self.timeout);
        tokio::time::timeout(self.timeout, work)
            .await
            .map_err(timed_out)?
    }
}

/// The tag of a version, in which `+` may not stand.
fn tag(version: &ChartVersion) -> Result<Identifier, OciError> {
    Ok(Identifier::tag(&version.version.replace('+', "_"))?)
}
