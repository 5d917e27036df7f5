//! From a chart and values to what a revision consists of.

use ferro_api::helm::HelmRelease;
use ferro_helm::record::StoredChart;
use ferro_helm::render::Release;
pub(crate) use ferro_release::render::Made;
use ferro_release::render::{Recipe, render as carry_out};
use serde_json::{Map, Value};
use tokio::runtime::Handle;

use super::{ActionError, Work};
use crate::capabilities::ClusterLookup;
use crate::postrender::PostRender;
use crate::reconciler::HelmReconciler;

/// How a chart is rendered.
pub(crate) struct RenderOptions {
    pub(crate) revision: i64,
    pub(crate) is_upgrade: bool,
    pub(crate) skip_schema: bool,
    /// The revision whose values are kept where no others are given.
    pub(crate) preserved: Option<(StoredChart, Map<String, Value>)>,
}

/// Renders the chart with the values of the release, as the cluster has it.
pub(crate) async fn render(
    env: &HelmReconciler,
    release: &HelmRelease,
    work: &Work,
    options: RenderOptions,
) -> Result<Made, ActionError> {
    let chart = env.charts.get(&work.artifact, work.tracked).await;
    let recipe = Recipe {
        chart: chart.map_err(|error| error.to_string())?,
        values: work.desired.values.clone(),
        preserved: options.preserved,
        release: Release {
            name: work.site.target.name.clone(),
            namespace: work.site.target.namespace.clone(),
            revision: options.revision,
            is_upgrade: options.is_upgrade,
        },
        capabilities: work.site.discovery.get(&work.site.cluster.client).await?,
        lookup: Some(ClusterLookup {
            cluster: work.site.cluster.clone(),
            runtime: Handle::current(),
        }),
        skip_schema: options.skip_schema,
        post_render: PostRender::of(release, env.post_render_strategy()),
    };
    Ok(carry_out(recipe).await?)
}
