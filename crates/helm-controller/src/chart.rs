//! Charts as artifacts have them: each is fetched and parsed once for all releases of it (`spec/helm.md` B.6).

use std::collections::HashMap;
use std::io::Read;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use ferro_api::meta::Artifact;
use ferro_artifact::fetch::{DownloadOptions, FetchError, download};
use ferro_gocompat::semver::Version;
use ferro_gocompat::time::Time;
use ferro_helm::chart::{Chart, load_archive};
use ferro_helm::render::{Engine, Renderer};
use ferro_http::{Client, ClientOptions, Retry};
use tokio::sync::OnceCell;

use crate::lock;

/// Bytes that a packed chart may have: what Helm unpacks at most.
const LIMIT: u64 = 100 << 20;
/// Metadata of charts that is kept; it is small.
const HEADS: usize = 4096;
/// Digits of the digest that are shown in a chart's version.
const SHOWN_DIGITS: usize = 12;

/// A chart cannot be had.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ChartError {
    /// The server does not have the artifact (any more).
    #[error("artifact not found")]
    NotFound,
    /// The artifact cannot be fetched, or is no chart.
    #[error("Could not load chart: {0}")]
    Load(String),
    /// The version of the chart and the revision of its source do not go together.
    #[error("{0}")]
    Version(String),
}

/// What is asked of a chart before anything is done with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ChartHead {
    pub(crate) name: String,
    /// With the digest of the source, where that is tracked.
    pub(crate) version: String,
    pub(crate) app_version: String,
    /// The digest of the source, where that is tracked.
    pub(crate) oci_digest: String,
}

/// A chart that can be rendered.
pub(crate) struct LoadedChart {
    pub(crate) head: ChartHead,
    pub(crate) renderer: Renderer,
    /// Bytes of its files.
    weight: usize,
}

/// Which chart: the digest of its archive, and what its version is made of.
type Key = (String, Option<String>);
type Slot = Arc<OnceCell<Arc<LoadedChart>>>;

#[derive(Default)]
struct Slots {
    charts: HashMap<Key, (Slot, u64)>,
    heads: HashMap<Key, ChartHead>,
    clock: u64,
}

/// All charts in use.
pub(crate) struct Charts {
    client: Client,
    engine: Engine,
    options: DownloadOptions,
    /// Bytes of files that are kept.
    limit: usize,
    slots: Mutex<Slots>,
}

impl Charts {
    pub(crate) fn new(retries: u32, timeout: Duration, limit: usize) -> Result<Self, ferro_http::Error> {
        Ok(Self {
            client: Client::new(&ClientOptions::default())?,
            engine: Engine::new(Arc::new(System)),
            options: DownloadOptions {
                retry: Retry {
                    retries,
                    ..Retry::default()
                },
                timeout,
                limit: LIMIT,
            },
            limit,
            slots: Mutex::default(),
        })
    }

    /// What is asked of the chart first; once it is known, without the chart itself.
    pub(crate) async fn head(&self, artifact: &Artifact, tracked: bool) -> Result<ChartHead, ChartError> {
        let known = lock(&self.slots).heads.get(&key(artifact, tracked)).cloned();
        match known {
            Some(head) => Ok(head),
            None => Ok(self.get(artifact, tracked).await?.head.clone()),
        }
    }

    /// The chart. With `tracked`, its version shows the digest of its source.
    pub(crate) async fn get(
        &self,
        artifact: &Artifact,
        tracked: bool,
    ) -> Result<Arc<LoadedChart>, ChartError> {
        let key = key(artifact, tracked);
        let slot = {
            let mut slots = lock(&self.slots);
            slots.clock += 1;
            let now = slots.clock;
            let slot = slots.charts.entry(key.clone()).or_default();
            slot.1 = now;
            Arc::clone(&slot.0)
        };
        let loaded = slot
            .get_or_try_init(|| self.load(artifact, tracked))
            .await
            .cloned();
        self.settle(&key, loaded.as_ref().ok());
        loaded
    }

    async fn load(&self, artifact: &Artifact, tracked: bool) -> Result<Arc<LoadedChart>, ChartError> {
        let bytes = download(&self.client, &artifact.url, &artifact.digest, &self.options).await;
        let bytes = bytes.map_err(|error| fetch_error(&error, &artifact.url))?;
        let revision = tracked.then(|| artifact.revision.clone());
        let engine = self.engine.clone();
        let parsed = tokio::task::spawn_blocking(move || parse(&bytes, revision.as_deref(), engine)).await;
        parsed.unwrap_or_else(|panic| Err(ChartError::Load(panic.to_string())))
    }

    /// Notes the metadata, and lets go of the charts that were used longest ago until the rest fits; never of the latest.
    fn settle(&self, key: &Key, loaded: Option<&Arc<LoadedChart>>) {
        let mut slots = lock(&self.slots);
        let Some(loaded) = loaded else {
            if slots
                .charts
                .get(key)
                .is_some_and(|(slot, _)| Arc::strong_count(slot) <= 2)
            {
                slots.charts.remove(key);
            }
            return;
        };
        if slots.heads.len() >= HEADS {
            slots.heads.clear();
        }
        slots.heads.insert(key.clone(), loaded.head.clone());
        let weight = |slots: &Slots| -> usize {
            let loaded = slots.charts.values().filter_map(|(slot, _)| slot.get());
            loaded.map(|chart| chart.weight).sum()
        };
        while weight(&slots) > self.limit {
            let others = slots
                .charts
                .iter()
                .filter(|(other, (slot, _))| *other != key && slot.get().is_some());
            let oldest = others
                .min_by_key(|(_, (_, used))| *used)
                .map(|(other, _)| other.clone());
            let Some(oldest) = oldest else { break };
            slots.charts.remove(&oldest);
        }
    }
}

fn key(artifact: &Artifact, tracked: bool) -> Key {
    (
        artifact.digest.clone(),
        tracked.then(|| artifact.revision.clone()),
    )
}

fn fetch_error(error: &FetchError, url: &str) -> ChartError {
    match error {
        FetchError::NotFound { .. } => ChartError::NotFound,
        FetchError::Mismatch { expected, .. } => ChartError::Load(format!(
            "integrity failure: computed digest doesn't match '{expected}'"
        )),
        error => ChartError::Load(format!(
            "failed to download chart from '{url}': {}",
            ferro_runtime::process::chain(error)
        )),
    }
}

fn parse(archive: &[u8], revision: Option<&str>, engine: Engine) -> Result<Arc<LoadedChart>, ChartError> {
    let loaded = load_archive(archive).map_err(|error| ChartError::Load(error.to_string()))?;
    for notice in &loaded.notices {
        tracing::debug!(chart = loaded.chart.name(), "{notice}");
    }
    let mut chart = loaded.chart;
    let mut oci_digest = String::new();
    if let Some(revision) = revision {
        let (version, digest) =
            tracked_version(&chart.metadata.version, revision).map_err(ChartError::Version)?;
        oci_digest = digest;
        let mut changed = Chart::clone(&chart);
        changed.metadata.version = version;
        chart = Arc::new(changed);
    }
    let head = ChartHead {
        name: chart.metadata.name.clone(),
        version: chart.metadata.version.clone(),
        app_version: chart.metadata.app_version.clone(),
        oci_digest,
    };
    Ok(Arc::new(LoadedChart {
        head,
        weight: weight(&chart),
        renderer: Renderer::new(engine, chart),
    }))
}

fn weight(chart: &Chart) -> usize {
    let own: usize = chart.raw.iter().map(|file| file.data.len()).sum();
    own + chart
        .dependencies
        .iter()
        .map(|subchart| weight(subchart))
        .sum::<usize>()
}

/// Whether the version of a chart shows the digest of its source.
pub(crate) fn is_tracked(kind: &str, artifact: &Artifact, is_disabled: bool) -> bool {
    let has_digest = match kind {
        "OCIRepository" => true,
        "ExternalArtifact" => artifact.revision.contains(':'),
        _ => false,
    };
    has_digest && !is_disabled
}

/// The version of a chart with the digest that is in the revision of its source, and that digest.
fn tracked_version(version: &str, revision: &str) -> Result<(String, String), String> {
    let parsed = Version::parse(version).map_err(|_| format!("invalid chart version {version}"))?;
    let (tag, digest) = match revision.split_once('@') {
        Some((tag, digest)) => (Some(tag), digest),
        None => (None, revision),
    };
    let tag = tag.map(|tag| tag.replace('_', "+"));
    if let Some(tagged) = tag.as_deref().and_then(|tag| Version::parse(tag).ok())
        && core(&tagged) != core(&parsed)
    {
        return Err(format!(
            "artifact revision {} does not match chart version {version}",
            tag.unwrap_or_default()
        ));
    }
    let invalid = || format!("invalid artifact revision {revision}");
    let (_, hex) = digest.split_once(':').ok_or_else(invalid)?;
    let shown = hex
        .get(..SHOWN_DIGITS)
        .filter(|_| !hex.contains(':'))
        .ok_or_else(invalid)?;
    Ok((format!("{}+{shown}", core(&parsed)), digest.to_owned()))
}

/// A version without its metadata.
fn core(version: &Version) -> String {
    let numbers = format!("{}.{}.{}", version.major(), version.minor(), version.patch());
    match version.prerelease() {
        "" => numbers,
        prerelease => format!("{numbers}-{prerelease}"),
    }
}

/// The time and randomness of this machine, for templates.
struct System;

impl ferro_sprig::Environment for System {
    fn now(&self) -> Time {
        let since = SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or_default();
        let seconds = i64::try_from(since.as_secs()).unwrap_or(i64::MAX);
        Time::from_unix(seconds, i64::from(since.subsec_nanos()))
    }

    fn fill_random(&self, bytes: &mut [u8]) {
        let source = std::fs::File::open("/dev/urandom");
        source
            .and_then(|mut source| source.read_exact(bytes))
            .expect("a system has randomness");
    }
}

/// The time of this machine, as records have it.
pub(crate) fn now() -> Time {
    ferro_sprig::Environment::now(&System)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn version_shows_the_digest_of_the_source() {
        let hex = "0cc9a8446c95009ef382f5eade883a67c257f77d50f84e78ecef2aac9428d1e5";
        let digest = format!("sha256:{hex}");
        let expected = Ok(("6.6.1+0cc9a8446c95".to_owned(), digest.clone()));
        assert_eq!(tracked_version("6.6.1", &format!("6.6.1@{digest}")), expected);
        assert_eq!(
            tracked_version("6.6.1+old", &format!("latest@{digest}")),
            expected
        );
        assert_eq!(tracked_version("6.6.1", &digest), expected);
        assert_eq!(
            tracked_version("6.6.1", &format!("6.6.1_build@{digest}")),
            expected
        );
        let error = |version: &str, revision: &str| tracked_version(version, revision).unwrap_err();
        assert_eq!(error("x", &digest), "invalid chart version x");
        assert_eq!(error("6.6.1", "6.6.1"), "invalid artifact revision 6.6.1");
        assert_eq!(
            error("6.6.1", "sha256:abc"),
            "invalid artifact revision sha256:abc"
        );
        assert_eq!(
            error("6.6.1", &format!("6.6.2@{digest}")),
            "artifact revision 6.6.2 does not match chart version 6.6.1"
        );
    }
}
