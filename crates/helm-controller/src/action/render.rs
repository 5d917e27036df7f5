//! From a chart and values to what a revision consists of.

use std::rc::Rc;
use std::sync::Arc;

use ferro_api::helm::HelmRelease;
use ferro_helm::chart::{Chart, Metadata};
use ferro_helm::manifest::Sorted;
use ferro_helm::record::{StoredChart, StoredHook};
use ferro_helm::release::{self, ReleaseOptions, Rendered};
use ferro_helm::render::Release;
use ferro_helm::values::{coalesce, coalesce_tables, resolve};
use serde_json::{Map, Value};
use tokio::runtime::Handle;

use super::{ActionError, Work};
use crate::capabilities::ClusterLookup;
use crate::postrender::PostRender;
use crate::reconciler::HelmReconciler;

type Values = Map<String, Value>;

/// How a chart is rendered.
pub(crate) struct RenderOptions {
    pub(crate) revision: i64,
    pub(crate) is_upgrade: bool,
    pub(crate) skip_schema: bool,
    /// The revision whose values are kept where no others are given.
    pub(crate) preserved: Option<(StoredChart, Map<String, Value>)>,
}

/// A release as it was rendered.
pub(crate) struct Made {
    pub(crate) chart: StoredChart,
    pub(crate) manifest: String,
    pub(crate) hooks: Vec<StoredHook>,
    pub(crate) notes: String,
    /// The values that it was rendered with, as a record has them.
    pub(crate) config: Map<String, Value>,
}

/// Renders the chart on a thread that may block: templates can look into the cluster.
pub(crate) async fn render(
    env: &HelmReconciler,
    release: &HelmRelease,
    work: &Work,
    options: RenderOptions,
) -> Result<Made, ActionError> {
    let loaded = env
        .charts
        .get(&work.artifact, work.tracked)
        .await
        .map_err(|error| error.to_string())?;
    let capabilities = work.site.discovery.get(&work.site.cluster.client).await?;
    let post_render = PostRender::of(release, env.post_render_strategy());
    let cluster = work.site.cluster.clone();
    let (values, defaults) = match options.preserved {
        None => (work.desired.values.clone(), None),
        Some((chart, config)) => {
            let (values, defaults) = preserved(&work.desired.values, &chart, &config)?;
            (values, Some(defaults))
        }
    };
    let described = Release {
        name: work.site.target.name.clone(),
        namespace: work.site.target.namespace.clone(),
        revision: options.revision,
        is_upgrade: options.is_upgrade,
    };
    let runtime = Handle::current();
    let render = move || {
        let options = ReleaseOptions {
            release: described,
            capabilities,
            lookup: Some(Rc::new(ClusterLookup { cluster, runtime })),
            skip_schema_validation: options.skip_schema,
            sub_notes: false,
        };
        let mut notices = Vec::new();
        let other = defaults.map(|defaults| loaded.renderer.with_defaults(defaults));
        let renderer = other.as_ref().unwrap_or(&loaded.renderer);
        let rendered = release::render(renderer, &values, &options, &mut notices);
        for notice in &notices {
            tracing::debug!("{notice}");
        }
        let rendered = rendered.map_err(|error| error.to_string())?;
        let sorted = post_render.run(&rendered).map_err(|error| error.to_string())?;
        Ok(made(rendered, sorted, &values))
    };
    let rendered = tokio::task::spawn_blocking(render).await;
    rendered
        .unwrap_or_else(|panic| Err(format!("recovered from a panic in rendering: {panic}")))
        .map_err(ActionError)
}

/// The values with those of an earlier revision beneath them, and the defaults that they go with: all that the earlier revision was
/// rendered with, so that the new chart's own defaults do not count.
fn preserved(
    values: &Map<String, Value>,
    chart: &StoredChart,
    config: &Map<String, Value>,
) -> Result<(Values, Values), String> {
    let failed = |error: String| format!("failed to rebuild old values: {error}");
    let mut notices = Vec::new();
    // As a record has it: without subcharts.
    let old = Chart {
        metadata: Metadata {
            name: chart.metadata().name.clone(),
            ..Metadata::default()
        },
        values: chart.values().map_err(|error| failed(error.to_string()))?,
        ..Chart::default()
    };
    let instance =
        resolve(&Arc::new(old), config, &mut notices).map_err(|error| failed(error.to_string()))?;
    let defaults = coalesce(&instance, config, &mut notices).map_err(|error| failed(error.to_string()))?;
    let values = coalesce_tables(values, config, &mut notices).map_err(|error| failed(error.to_string()))?;
    Ok((values, defaults))
}

fn made(mut rendered: Rendered, sorted: Sorted, values: &Values) -> Made {
    rendered.manifests = sorted.manifests;
    Made {
        chart: StoredChart::from(&rendered.instance),
        manifest: rendered.manifest(false),
        hooks: sorted.hooks.iter().map(StoredHook::from).collect(),
        notes: std::mem::take(&mut rendered.notes),
        config: crate::values::stored(values),
    }
}
