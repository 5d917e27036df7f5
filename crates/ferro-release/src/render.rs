//! From a chart and values to what a revision consists of.

use std::rc::Rc;
use std::sync::Arc;

use ferro_api::helm::{HelmRelease, ServerSideApplyMode};
use ferro_apply::Object;
use ferro_helm::Capabilities;
use ferro_helm::chart::{Chart, Metadata};
use ferro_helm::manifest::Sorted;
use ferro_helm::record::{Record, StoredChart, StoredHook};
use ferro_helm::release::{self, ReleaseOptions, Rendered};
use ferro_helm::render::{Lookup, Release};
use ferro_helm::values::{coalesce, coalesce_tables, resolve};
use serde_json::{Map, Value};

use crate::capabilities::ClusterLookup;
use crate::chart::LoadedChart;
use crate::objects;
use crate::postrender::{PostRender, label_origin};

type Values = Map<String, Value>;

/// What a revision is rendered from.
pub struct Recipe {
    /// The chart.
    pub chart: Arc<LoadedChart>,
    /// The values that are asked for.
    pub values: Values,
    /// The revision whose values are kept where no others are given.
    pub preserved: Option<(StoredChart, Values)>,
    /// What templates are told of the release.
    pub release: Release,
    /// What templates are told of the cluster.
    pub capabilities: Capabilities,
    /// Where templates can look for objects.
    pub lookup: Option<ClusterLookup>,
    /// Whether values need not match the chart's schema.
    pub skip_schema: bool,
    /// What is done to the manifests then.
    pub post_render: PostRender,
}

/// A release as it was rendered.
pub struct Made {
    /// The chart, as a record has it.
    pub chart: StoredChart,
    /// The manifests of its objects.
    pub manifest: String,
    /// Its hooks.
    pub hooks: Vec<StoredHook>,
    /// What the chart tells its users.
    pub notes: String,
    /// The values that it was rendered with, as a record has them.
    pub config: Values,
}

/// Renders a revision on a thread that may block: templates can look into the cluster.
///
/// # Errors
/// When the chart cannot be rendered with the values, or the result cannot be post-rendered.
pub async fn render(recipe: Recipe) -> Result<Made, String> {
    let rendered = tokio::task::spawn_blocking(move || carry_out(recipe)).await;
    rendered.unwrap_or_else(|panic| Err(format!("recovered from a panic in rendering: {panic}")))
}

fn carry_out(recipe: Recipe) -> Result<Made, String> {
    let (values, defaults) = match recipe.preserved {
        None => (recipe.values, None),
        Some((chart, config)) => {
            let (values, defaults) = preserved(&recipe.values, &chart, &config)?;
            (values, Some(defaults))
        }
    };
    let options = ReleaseOptions {
        release: recipe.release,
        capabilities: recipe.capabilities,
        lookup: recipe.lookup.map(|lookup| Rc::new(lookup) as Rc<dyn Lookup>),
        skip_schema_validation: recipe.skip_schema,
        sub_notes: false,
    };
    let mut notices = Vec::new();
    let other = defaults.map(|defaults| recipe.chart.renderer.with_defaults(defaults));
    let renderer = other.as_ref().unwrap_or(&recipe.chart.renderer);
    let rendered = release::render(renderer, &values, &options, &mut notices);
    for notice in &notices {
        tracing::debug!("{notice}");
    }
    let rendered = rendered.map_err(|error| error.to_string())?;
    let sorted = recipe
        .post_render
        .run(&rendered)
        .map_err(|error| error.to_string())?;
    Ok(made(rendered, sorted, &values))
}

/// The definitions in the `crds` folders of the chart and its enabled subcharts, as they are applied.
///
/// # Errors
/// When the values do not go with the chart, or a file in there holds no objects.
pub fn definitions(
    chart: &LoadedChart,
    values: &Values,
    release: &HelmRelease,
) -> Result<Vec<Object>, String> {
    let instance = resolve(chart.renderer.chart(), values, &mut Vec::new())
        .map_err(|error| format!("chart dependencies processing failed: {error}"))?;
    let mut found = Vec::new();
    for crd in instance.crds() {
        for mut object in objects::parse(&String::from_utf8_lossy(&crd.data))? {
            if object.id().kind != "CustomResourceDefinition" {
                tracing::warn!(file = crd.filename, object = %object.id(), "only definitions are applied from a crds folder");
                continue;
            }
            label_origin(object.value_mut(), release);
            found.push(object);
        }
    }
    Ok(found)
}

/// Whether the API server merges the objects of a revision, by default as it did those of the one before.
#[must_use]
pub fn is_server_side(mode: Option<ServerSideApplyMode>, before: &Record) -> bool {
    match mode.unwrap_or_default() {
        ServerSideApplyMode::Enabled => true,
        ServerSideApplyMode::Disabled => false,
        ServerSideApplyMode::Auto => before.is_server_side(),
    }
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
