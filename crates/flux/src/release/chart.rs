//! The chart of a release: the artifact of its source, or a local directory or archive.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Result, anyhow, bail};
use ferro_api::helm::HelmRelease;
use ferro_helm::chart::{Chart as Parsed, Loaded, RealDirectory, load_archive, load_directory};
use ferro_release::chart::{engine, is_tracked, parse, prepare};
use ferro_release::source::{KINDS, source_of, unready};
use ferro_release::values::table;
use ferro_runtime::sources::Source;
use kube::{Api, Client};

use super::{Chart, artifact, merge};
use crate::args::build::InputArgs;
use crate::cluster::explain;
use crate::local::{read_file, reason};

pub(super) async fn load(release: &HelmRelease, args: &InputArgs, client: Option<&Client>) -> Result<Chart> {
    match (&args.chart_path, client) {
        (Some(path), _) => local(release, path),
        (None, Some(client)) => from_source(release, client).await,
        (None, None) => bail!("--chart-path is required with --dry-run"),
    }
}

async fn from_source(release: &HelmRelease, client: &Client) -> Result<Chart> {
    let id = source_of(release).ok_or_else(|| anyhow!("either spec.chart or spec.chartRef must be set"))?;
    let kind = KINDS.iter().find(|known| known.kind == id.kind);
    let kind = kind.ok_or_else(|| anyhow!("a chart cannot come from a {}", id.kind))?;
    let api: Api<Source> = Api::namespaced_with(client.clone(), &id.namespace, &kind.resource());
    let source = api.get_opt(&id.name).await.map_err(explain)?;
    let source =
        source.ok_or_else(|| anyhow!("{id} not found; a local chart can be given with --chart-path"))?;
    if let Some(problem) = unready(id.kind, &source) {
        bail!("{id} is not ready: {problem}");
    }
    let Some(artifact) = source.status.artifact else {
        bail!("{id} does not have an artifact")
    };
    let bytes = artifact::get(client, &artifact).await?;
    let revision = is_tracked(id.kind, &artifact, false).then_some(artifact.revision.as_str());
    Ok(parse(&bytes, revision, engine())?)
}

fn local(release: &HelmRelease, path: &str) -> Result<Chart> {
    let metadata = std::fs::metadata(path).map_err(|error| anyhow!("open {path}: {}", reason(&error)))?;
    if !metadata.is_dir() {
        let loaded = load_archive(&read_file(path)?).map_err(|error| anyhow!("{path}: {error}"))?;
        return Ok(prepare(loaded, None, engine())?);
    }
    let directory = RealDirectory::new(path);
    let mut loaded = load_directory(&directory).map_err(|error| anyhow!("{path}: {error}"))?;
    let missing = loaded.chart.missing_dependencies();
    if !missing.is_empty() {
        let missing = missing.join(", ");
        bail!("{path}: the charts directory lacks {missing}; 'helm dependency build {path}' gets them");
    }
    merge_values_files(release, path, &mut loaded)?;
    Ok(prepare(loaded, None, engine())?)
}

/// Makes the values files that a release names the defaults of the chart, as source-controller does when it packs the chart.
fn merge_values_files(release: &HelmRelease, path: &str, loaded: &mut Loaded) -> Result<()> {
    let Some(template) = &release.spec.chart else {
        return Ok(());
    };
    let spec = &template.spec;
    if spec.values_files.is_empty() {
        return Ok(());
    }
    let mut merged = serde_json::Map::new();
    for file in &spec.values_files {
        let Some(found) = find(path, &spec.chart, file) else {
            if spec.ignore_missing_values_files {
                continue;
            }
            bail!("no values file '{file}' found in {path}");
        };
        let place = found.display().to_string();
        let read = table(&read_file(&place)?).map_err(|problem| anyhow!("{place}: {problem}"))?;
        merge(&mut merged, read);
    }
    let mut chart = Parsed::clone(&loaded.chart);
    chart.values = merged;
    loaded.chart = Arc::new(chart);
    Ok(())
}

/// Finds a values file. Those of a repository are named from its root, the others from the chart.
fn find(chart_path: &str, chart: &str, file: &str) -> Option<PathBuf> {
    let plain = |text: &str| {
        let parts = text.split('/').filter(|part| !part.is_empty() && *part != ".");
        parts.map(str::to_owned).collect::<Vec<_>>()
    };
    let (chart, file) = (plain(chart), plain(file));
    let within = |parts: &[String]| {
        let found = Path::new(chart_path).join(parts.join("/"));
        found.is_file().then_some(found)
    };
    let from_root = || {
        // As many directories up as the chart lies deep.
        let mut root = Path::new(chart_path).canonicalize().ok()?;
        for _ in &chart {
            root = root.parent()?.to_path_buf();
        }
        let found = root.join(file.join("/"));
        found.is_file().then_some(found)
    };
    file.strip_prefix(chart.as_slice())
        .and_then(within)
        .or_else(|| within(&file))
        .or_else(from_root)
}
