//! What helm-controller would make of a HelmRelease, worked out here by the same code.

mod artifact;
mod chart;
pub mod compare;
mod destination;
pub mod files;
mod hooks;
mod records;
pub mod scope;

use std::sync::Arc;

use anyhow::{Context as _, Result, anyhow, bail};
use ferro_api::Kind as _;
use ferro_api::helm::{CrdsPolicy, HelmRelease, PostRenderStrategy};
use ferro_apply::{Cluster, Object};
use ferro_helm::record::{Record, Status};
use ferro_helm::render::Release;
use ferro_helm::{Capabilities, KubeVersion};
use ferro_release::capabilities::{ClusterLookup, Discovery};
use ferro_release::chart::LoadedChart;
use ferro_release::postrender::PostRender;
use ferro_release::release::Target;
use ferro_release::render::{Made, Recipe, definitions, is_server_side, render};
use ferro_release::values::{compose_over, table};
use kube::{Api, Client, ResourceExt as _};
use serde_json::{Map, Value};
use tokio::runtime::Handle;

use crate::args::build::InputArgs;
use crate::cluster::explain;
use crate::command::Session;
use crate::local;

/// A release as it would be made now.
pub struct Blueprint {
    /// What asks for it.
    pub release: HelmRelease,
    /// Where it goes.
    pub target: Target,
    /// Where it goes, if there is a cluster.
    pub cluster: Option<Cluster>,
    /// The revision that there is, if it is upgraded.
    pub previous: Option<Record>,
    /// What was rendered.
    pub made: Made,
    /// The definitions that are applied first.
    pub definitions: Vec<Object>,
    /// Whether the API server merges the objects with what is there.
    pub is_server_side: bool,
    /// The stages at which hooks are executed.
    pub stages: Vec<&'static str>,
}

/// Works out a release. Without a cluster, everything must be in local files.
///
/// # Errors
///
/// Returns an error if something that it is made of cannot be had, or does not go together.
pub async fn assemble(
    args: &InputArgs,
    (is_offline, is_upgrade): (bool, bool),
    session: &mut Session<'_>,
) -> Result<Blueprint> {
    let release = find(args, is_offline, session).await?;
    let id = format!(
        "HelmRelease '{}/{}'",
        release.namespace().unwrap_or_default(),
        release.name_any()
    );
    // What a release is made of is here, wherever it goes.
    let home = match is_offline {
        true => None,
        false => Some(session.client().await?),
    };
    let cluster = match &home {
        Some(home) => {
            let found = destination::find(home, &release, args.as_service_account).await;
            Some(found.with_context(|| id.clone())?)
        }
        None => None,
    };
    let target = Target::of(&release);
    let previous = match &cluster {
        Some(cluster) => records::last(cluster, &target).await?,
        None => None,
    };
    let previous = previous.filter(|record| record.info.status != Status::Uninstalled);
    let chart = chart::load(&release, args, home.as_ref())
        .await
        .with_context(|| format!("chart of {id}"))?;
    let values = values(&release, args, home.as_ref()).await?;
    let is_upgrade = previous.is_some() || is_upgrade;
    let asked = Asked::of(&release, is_upgrade);
    let definitions = match asked.definitions {
        Some(CrdsPolicy::Skip) => Vec::new(),
        _ => definitions(&chart, &values, &release).map_err(|problem| anyhow!("chart of {id}: {problem}"))?,
    };
    let stages = hooks::stages(&release, is_upgrade);
    let is_server_side = match &previous {
        Some(record) => is_server_side(
            release.spec.upgrade.as_ref().and_then(|it| it.server_side_apply),
            record,
        ),
        None => asked.is_server_side,
    };
    let recipe = Recipe {
        chart,
        values,
        preserved: previous
            .as_ref()
            .filter(|_| asked.preserves)
            .map(|record| (record.chart.clone(), record.config.clone())),
        release: Release {
            name: target.name.clone(),
            namespace: target.namespace.clone(),
            revision: previous.as_ref().map_or(1, |record| record.version + 1),
            is_upgrade,
        },
        capabilities: capabilities(args, cluster.as_ref()).await?,
        lookup: cluster.clone().map(|cluster| ClusterLookup {
            cluster,
            runtime: Handle::current(),
        }),
        skip_schema: asked.skips_schema,
        post_render: PostRender::of(&release, PostRenderStrategy::Combined),
    };
    let made = render(recipe)
        .await
        .map_err(|problem| anyhow!("{id}: {problem}"))?;
    Ok(Blueprint {
        release,
        target,
        cluster,
        previous,
        made,
        definitions,
        is_server_side,
        stages,
    })
}

/// What the spec asks of the action that is due.
struct Asked {
    definitions: Option<CrdsPolicy>,
    skips_schema: bool,
    preserves: bool,
    is_server_side: bool,
}

impl Asked {
    fn of(release: &HelmRelease, is_upgrade: bool) -> Self {
        let (install, upgrade) = (release.spec.install.clone(), release.spec.upgrade.clone());
        let is_server_side = install
            .as_ref()
            .and_then(|it| it.server_side_apply)
            .unwrap_or(true);
        if is_upgrade {
            let upgrade = upgrade.unwrap_or_default();
            return Self {
                definitions: upgrade.crds,
                skips_schema: upgrade.disable_schema_validation,
                preserves: upgrade.preserve_values,
                is_server_side,
            };
        }
        let install = install.unwrap_or_default();
        Self {
            definitions: install.crds,
            skips_schema: install.disable_schema_validation,
            preserves: false,
            is_server_side,
        }
    }
}

async fn find(args: &InputArgs, is_offline: bool, session: &mut Session<'_>) -> Result<HelmRelease> {
    if let Some(path) = &args.helmrelease_file {
        return local::release(path, &args.name, &session.namespace);
    }
    if is_offline {
        bail!("--helmrelease-file is required with --dry-run");
    }
    let api: Api<HelmRelease> = Api::namespaced(session.client().await?, &session.namespace);
    let found = api.get_opt(&args.name).await.map_err(explain)?;
    found.ok_or_else(|| {
        anyhow!(
            "{} object '{}' not found in \"{}\" namespace",
            HelmRelease::INFO.kind,
            args.name,
            session.namespace
        )
    })
}

async fn values(
    release: &HelmRelease,
    args: &InputArgs,
    client: Option<&Client>,
) -> Result<Map<String, Value>> {
    let namespace = release.namespace().unwrap_or_default();
    let at_hand = local::ValuesObjects::read(&args.values_from_files, &namespace)?;
    let files = files::read(release, client).await?;
    let composed = compose_over(client, release, files, |kind, name| at_hand.get(kind, name)).await;
    let mut composed = composed.map_err(|error| match client {
        Some(_) => anyhow!(error),
        None => anyhow!("{error}; without a cluster, it must be in a file of --values-from-files"),
    })?;
    for path in &args.values {
        let text = local::read_file(path)?;
        merge(
            &mut composed,
            table(&text).map_err(|problem| anyhow!("{path}: {problem}"))?,
        );
    }
    Ok(composed)
}

/// Puts values over others; tables are merged.
pub fn merge(into: &mut Map<String, Value>, from: Map<String, Value>) {
    for (key, value) in from {
        match (into.get_mut(&key), value) {
            (Some(Value::Object(below)), Value::Object(above)) => merge(below, above),
            (_, value) => {
                into.insert(key, value);
            }
        }
    }
}

async fn capabilities(args: &InputArgs, cluster: Option<&Cluster>) -> Result<Capabilities> {
    let mut capabilities = match cluster {
        Some(cluster) => Discovery::default()
            .get(&cluster.client)
            .await
            .map_err(|problem| anyhow!(problem))?,
        None => Capabilities::default(),
    };
    if let Some(version) = &args.kube_version {
        capabilities.kube_version = KubeVersion::parse(version).context("--kube-version")?;
    }
    capabilities
        .api_versions
        .extend(args.api_versions.iter().cloned());
    Ok(capabilities)
}

/// A chart that can be rendered.
type Chart = Arc<LoadedChart>;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn later_values_win() {
        let mut merged = json!({"a": {"b": 1, "c": 2}, "d": [1]})
            .as_object()
            .unwrap()
            .clone();
        let over = json!({"a": {"b": 3}, "d": [2]}).as_object().unwrap().clone();
        merge(&mut merged, over);
        assert_eq!(Value::Object(merged), json!({"a": {"b": 3, "c": 2}, "d": [2]}));
    }
}
