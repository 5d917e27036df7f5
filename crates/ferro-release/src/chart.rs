//! Charts that are ready to be rendered, and the version that they have in a release (`spec/helm.md` B.6).

use std::sync::Arc;

use ferro_api::meta::Artifact;
use ferro_gocompat::semver::Version;
use ferro_gocompat::time::Time;
use ferro_helm::chart::{Chart, Loaded, load_archive};
use ferro_helm::render::{Engine, Renderer};
use ferro_sprig::System;

/// Digits of the digest that are shown in a chart's version.
const SHOWN_DIGITS: usize = 12;

/// A chart cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum ChartError {
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
pub struct ChartHead {
    /// Name of the chart.
    pub name: String,
    /// With the digest of the source, where that is tracked.
    pub version: String,
    /// The version of what it installs.
    pub app_version: String,
    /// The digest of the source, where that is tracked.
    pub oci_digest: String,
}

/// A chart that can be rendered.
pub struct LoadedChart {
    /// What is asked of it first.
    pub head: ChartHead,
    /// What renders it.
    pub renderer: Renderer,
    /// Bytes of its files.
    pub weight: usize,
}

/// Loads a chart from an archive. With the revision of its source, its version shows the digest of that.
///
/// # Errors
/// When the archive is no chart, or does not go with the revision.
pub fn parse(archive: &[u8], revision: Option<&str>, engine: Engine) -> Result<Arc<LoadedChart>, ChartError> {
    let loaded = load_archive(archive).map_err(|error| ChartError::Load(error.to_string()))?;
    prepare(loaded, revision, engine)
}

/// Makes a chart that was loaded ready to be rendered. With the revision of its source, its version shows the digest of that.
///
/// # Errors
/// When the chart does not go with the revision.
pub fn prepare(
    loaded: Loaded,
    revision: Option<&str>,
    engine: Engine,
) -> Result<Arc<LoadedChart>, ChartError> {
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
#[must_use]
pub fn is_tracked(kind: &str, artifact: &Artifact, is_disabled: bool) -> bool {
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

/// Templates with the time and randomness of this machine.
#[must_use]
pub fn engine() -> Engine {
    Engine::new(Arc::new(System))
}

/// The time of this machine, as records have it.
#[must_use]
pub fn now() -> Time {
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
