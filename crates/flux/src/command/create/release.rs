//! `flux create helmrelease`.

use anyhow::{Context as _, Result, anyhow, bail};
use clap::{ArgMatches, FromArgMatches as _};
use serde_json::{Map, Value, json};

use super::{Common, Draft, Ending, Spec, Words, dependencies};
use crate::args::create::reference::{
    CHART_REFERENCES, VALUES_SOURCES, find, kind_and_name, name_and_namespace,
};
use crate::args::create::release::ReleaseArgs;
use crate::command::Session;
use crate::local::read_file;
use crate::release::merge;

const WORDS: Words = Words {
    thing: "HelmRelease",
    changed: "HelmRelease",
    ending: Ending::Applied,
};

/// When there is a new artifact of a chart.
const STRATEGIES: [&str; 2] = ["Revision", "ChartVersion"];

pub(super) async fn run(leaf: &ArgMatches, session: &mut Session<'_>) -> Result<()> {
    let common = Common::read(leaf)?;
    let args = ReleaseArgs::from_arg_matches(leaf)?;
    if args.chart.is_empty() && args.chart_ref.is_empty() {
        bail!("chart or chart-ref is required");
    }
    if !args.chart.is_empty() && !args.chart_ref.is_empty() {
        bail!("cannot use --chart in combination with --chart-ref");
    }
    if !common.args.export {
        session
            .terminal
            .generation(format_args!("generating HelmRelease"));
    }
    check_strategy(&args.reconcile_strategy)?;
    let draft = Draft::new("HelmRelease", &common, spec(&common, &args)?, session)?;
    if common.args.export {
        return draft.print(session);
    }
    draft.apply(&WORDS, session).await
}

/// Refuses a word that is no strategy.
pub(super) fn check_strategy(strategy: &str) -> Result<()> {
    if !STRATEGIES.contains(&strategy) {
        bail!("'{strategy}' is an invalid reconcile strategy(valid: Revision, ChartVersion)");
    }
    Ok(())
}

fn spec(common: &Common, args: &ReleaseArgs) -> Result<Spec> {
    let mut spec = Spec::default();
    spec.set("interval", common.args.interval.to_string())
        .text("releaseName", args.release_name.as_deref())
        .text("targetNamespace", args.target_namespace.as_deref())
        .text("storageNamespace", args.storage_namespace.as_deref())
        .text("serviceAccountName", args.service_account.as_deref());
    if args.chart.is_empty() {
        spec.set("chartRef", chart_reference(&args.chart_ref)?);
    } else {
        spec.set("chart", json!({"spec": chart(args)?}));
    }
    if !args.depends_on.is_empty() {
        spec.set("dependsOn", dependencies(&args.depends_on));
    }
    if let Some(secret) = &args.kubeconfig_secret_ref {
        spec.set("kubeConfig", json!({"secretRef": {"name": secret}}));
    }
    let mut install = Spec::default();
    install.switch("createNamespace", args.create_target_namespace);
    if let Some(policy) = &args.crds {
        install.set("crds", "Create");
        spec.set("upgrade", json!({"crds": policy}));
    }
    if !install.0.is_empty() {
        spec.set("install", install.0);
    }
    if !args.values.is_empty() {
        spec.set("values", values(&args.values)?);
    }
    if !args.values_from.is_empty() {
        let references: Result<Vec<Value>> = args
            .values_from
            .iter()
            .map(|text| values_reference(text))
            .collect();
        spec.set("valuesFrom", references?);
    }
    Ok(spec)
}

fn chart(args: &ReleaseArgs) -> Result<Map<String, Value>> {
    let source = args
        .source
        .as_ref()
        .ok_or_else(|| anyhow!("chart source is required"))?;
    let mut reference = Spec::default();
    reference
        .set("kind", source.kind)
        .set("name", source.name.as_str())
        .text("namespace", source.namespace.as_deref());
    let mut chart = Spec::default();
    chart
        .set("chart", args.chart.as_str())
        .text("version", args.chart_version.as_deref())
        .set("sourceRef", reference.0)
        .set("reconcileStrategy", args.reconcile_strategy.as_str())
        .duration("interval", args.chart_interval);
    Ok(chart.0)
}

fn chart_reference(text: &str) -> Result<Map<String, Value>> {
    let (kind, rest) = kind_and_name(text);
    let (name, namespace) = name_and_namespace(rest);
    if kind.is_empty() || name.is_empty() {
        bail!("chart reference '{text}' must be in format <kind>/<name>.<namespace>");
    }
    let Some(kind) = find(CHART_REFERENCES, kind) else {
        let kinds = CHART_REFERENCES.join(", ");
        bail!("chart reference kind '{kind}' is not supported, must be one of: {kinds}");
    };
    let mut reference = Spec::default();
    reference
        .set("kind", kind)
        .set("name", name)
        .text("namespace", namespace);
    Ok(reference.0)
}

fn values_reference(text: &str) -> Result<Value> {
    let (kind, name) = kind_and_name(text);
    if kind.is_empty() {
        bail!("invalid Kubernetes object reference '{text}', must be in format <kind>/<name>");
    }
    let Some(kind) = find(VALUES_SOURCES, kind) else {
        let kinds = VALUES_SOURCES.join(", ");
        bail!("reference kind '{kind}' is not supported, must be one of: {kinds}");
    };
    Ok(json!({"kind": kind, "name": name}))
}

/// Merges files of values, the last of which win.
fn values(paths: &[String]) -> Result<Value> {
    let mut merged = Map::new();
    for path in paths {
        let bytes = read_file(path).with_context(|| format!("reading values from {path} failed"))?;
        let read = ferro_release::values::table(&bytes);
        merge(
            &mut merged,
            read.map_err(|problem| anyhow!("converting values from {path} failed: {problem}"))?,
        );
    }
    Ok(Value::Object(merged))
}
