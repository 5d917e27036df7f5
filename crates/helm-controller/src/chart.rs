//! Charts as artifacts have them: each is fetched and parsed once for all releases of it (`spec/helm.md` B.6).

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ferro_api::meta::Artifact;
use ferro_artifact::fetch::{DownloadOptions, FetchError, download};
use ferro_helm::render::Engine;
use ferro_http::{Client, ClientOptions, Retry};
pub(crate) use ferro_release::chart::{ChartError, ChartHead, LoadedChart, is_tracked, now};
use ferro_release::chart::{engine, parse};
use tokio::sync::OnceCell;

use crate::args::Settings;
use crate::lock;

/// Bytes that a packed chart may have: what Helm unpacks at most.
const LIMIT: u64 = 100 << 20;
/// Metadata of charts that is kept; it is small.
const HEADS: usize = 4096;

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
    /// As the flags say.
    pub(crate) fn of(settings: &Settings) -> Result<Self, ferro_http::Error> {
        let helm = &settings.helm;
        Self::new(
            settings.shared.http_retry,
            helm.http_timeout,
            helm.chart_cache_size,
        )
    }

    pub(crate) fn new(retries: u32, timeout: Duration, limit: usize) -> Result<Self, ferro_http::Error> {
        Ok(Self {
            client: Client::new(&ClientOptions::default())?,
            engine: engine(),
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::test_settings;
    use ferro_artifact::archive::ArchiveWriter;
    use ferro_artifact::digest::Algorithm;
    use ferro_testkit::http::{Response, Server};

    #[test]
    fn flags_say_how_charts_are_downloaded() {
        let options = |arguments: &[&str]| {
            let options = Charts::of(&test_settings(arguments)).unwrap().options;
            (options.retry.retries, options.timeout)
        };
        assert_eq!(options(&[]), (9, Duration::from_secs(30)));
        let changed = options(&["--http-retry=3", "--http-timeout=5s"]);
        assert_eq!(changed, (3, Duration::from_secs(5)));
    }

    /// A server with a chart, its artifact, and how often it was asked for it.
    fn published(name: &str) -> (Server, Artifact, Arc<Mutex<usize>>) {
        let text = format!("apiVersion: v2\nname: {name}\nversion: 1.0.0\n");
        let mut writer = ArchiveWriter::new(Vec::new());
        let length = u64::try_from(text.len()).unwrap();
        let path = format!("{name}/Chart.yaml");
        writer
            .file(path.as_bytes(), false, length, &mut text.as_bytes())
            .unwrap();
        let bytes = writer.finish().unwrap();
        let digest = Algorithm::Sha256.digest(&bytes).to_string();
        let asked: Arc<Mutex<usize>> = Arc::default();
        let count = Arc::clone(&asked);
        let server = Server::start(move |_| {
            *lock(&count) += 1;
            Response::new(200, bytes.clone())
        });
        let artifact = Artifact {
            url: server.url("/chart.tgz"),
            digest,
            revision: "1.0.0".into(),
            ..Artifact::default()
        };
        (server, artifact, asked)
    }

    #[tokio::test]
    async fn chart_cache_size_bounds_the_charts_that_are_kept() {
        for (flags, fetched) in [(&[][..], 1), (&["--chart-cache-size=1"], 2)] {
            let charts = Charts::of(&test_settings(flags)).unwrap();
            let (_first_server, first, asked) = published("first");
            let (_other_server, other, _) = published("other");
            for artifact in [&first, &other, &first] {
                charts.get(artifact, false).await.map(drop).unwrap();
            }
            assert_eq!(*lock(&asked), fetched, "{flags:?}");
        }
    }
}
