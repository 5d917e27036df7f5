//! `make bench sources`: a thousand sources of a kind from a registry on the same machine.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use serde_json::{Value, json};
use xtask::api::Api;
use xtask::cluster::{Cluster, Options};
use xtask::process;
use xtask::term::{self, Step};

use super::super::programs::{self, Profile};
use super::super::{Args, unexpected};
use super::driver::{self, LIMIT, for_each, name};
use super::measure::{Meter, Usage};
use super::registry::{self, Registry, archive, put};
use super::state::Observer;
use super::{document, report};

const GROUP: &str = "source.toolkit.fluxcd.io/v1";
/// Versions of what the registry has; the objects share them evenly.
const VERSIONS: usize = 50;

const INTRODUCTION: &str = "\
## Sources

A thousand OCIRepositories, then a thousand HelmCharts of one HelmRepository of type `oci`, each on a cluster of its own, from a distribution registry on the same machine.
source-controller runs as a process with its default flags, but `--concurrent=10`, as upstream's published figures have it.
An OCIRepository names one of 50 tags, whose layers hold 20 manifests; a HelmChart names a range of versions, so that its tags are listed before it is pulled.

* **ready**: from the first request that creates an object until the last one is ready.
* **again**: nothing has changed, and all are asked to reconcile at once; until the last has.

`upstream` is what Flux 2.9 publishes for a machine with 16 cores.
";

/// One run.
struct Outcome {
    kind: &'static Kind,
    count: usize,
    ready: Duration,
    again: Duration,
    usage: Usage,
}

/// What is made a thousand times.
struct Kind {
    name: &'static str,
    plural: &'static str,
    spec: fn(&str, usize) -> Value,
    /// Time and memory that upstream publishes for a thousand.
    upstream: [&'static str; 2],
}

const KINDS: [Kind; 2] = [
    Kind {
        name: "OCIRepository",
        plural: "ocirepositories",
        spec: |registry, index| {
            let url = format!("oci://{registry}/bench/app");
            json!({"interval": "1h", "insecure": true, "url": url, "ref": {"tag": version(index)}})
        },
        upstream: ["257 s", "128 MiB"],
    },
    Kind {
        name: "HelmChart",
        plural: "helmcharts",
        spec: |_, index| {
            let source = json!({"kind": "HelmRepository", "name": "charts"});
            json!({"interval": "1h", "chart": "chart", "version": format!("~{}", version(index)), "sourceRef": source})
        },
        upstream: ["310 s", "189 MiB"],
    },
];

fn version(index: usize) -> String {
    format!("1.{}.0", index % VERSIONS)
}

pub(super) fn run(mut args: Args) -> Result<ExitCode> {
    let (mut count, mut writes, mut bin) = (1000_usize, true, None::<PathBuf>);
    while let Some(arg) = args.word() {
        match arg.as_str() {
            "--count" => count = args.value("--count")?,
            "--bin" => bin = Some(args.value("--bin")?),
            "--no-report" => writes = false,
            other => return unexpected(other),
        }
    }
    ensure!((1..=5000).contains(&count), "--count: from 1 to 5000");
    process::end_on_signals()?;
    let (bin, registry) = (
        programs::build(bin.as_deref(), Profile::Release)?,
        registry::build()?,
    );
    let mut outcomes = Vec::new();
    for kind in &KINDS {
        term::line(format_args!(
            "\n{}",
            term::bold(&format!("{count} {}", kind.plural))
        ));
        outcomes.push(run_one(kind, count, &bin, &registry)?);
    }
    let text = written(&outcomes)?;
    if writes && count == 1000 {
        document::replace("sources", &text)?;
    } else {
        term::line(format_args!("\n{text}"));
    }
    Ok(ExitCode::SUCCESS)
}

fn run_one(kind: &'static Kind, count: usize, bin: &Path, program: &Path) -> Result<Outcome> {
    let step = Step::begin("prepare a cluster and a registry");
    let options = Options {
        name: "bench".to_owned(),
        nodes: 0,
        ..Options::default()
    };
    let cluster = Cluster::start(&options)?;
    let content = cluster.dir().join("registry");
    fill(&content)?;
    let registry = Registry::start(program, &content, cluster.nursery())?;
    let api = Arc::new(Api::start(cluster.kubectl(), cluster.nursery(), cluster.dir())?);
    prepare(&cluster, &api, &registry.host)?;
    let collection = format!("/apis/{GROUP}/namespaces/bench/{}", kind.plural);
    let observer = Observer::start(Arc::clone(&api), collection.clone());
    let controller = driver::source_controller(&cluster, bin, 10)?;
    let mut meter = Meter::new(vec![controller], &cluster)?;
    step.done("");

    let step = Step::begin("ready");
    meter.begin_phase()?;
    let start = Instant::now();
    for_each(count, |index| {
        let spec = (kind.spec)(&registry.host, index);
        let metadata = json!({"name": name(index), "namespace": "bench"});
        let object = json!({"apiVersion": GROUP, "kind": kind.name, "metadata": metadata, "spec": spec});
        api.create(&collection, &object)
    })?;
    let done = observer.wait(
        LIMIT,
        |all| all.len() == count && all.values().all(|it| it.is_ready),
        || meter.check(),
    );
    let ready = done
        .inspect_err(|_| term::line(meter.logs()))?
        .duration_since(start);
    step.done(format_args!(
        "{:.2} s, {}",
        ready.as_secs_f64(),
        meter.phase_cost()?
    ));

    let step = Step::begin("again");
    meter.begin_phase()?;
    let start = Instant::now();
    let request = json!({"metadata": {"annotations": {"reconcile.fluxcd.io/requestedAt": "again"}}});
    for_each(count, |index| {
        api.merge(&format!("{collection}/{}", name(index)), &request)
            .map(drop)
    })?;
    let has_it = |it: &super::state::Entry| it.is_ready && it.handled == "again";
    let done = observer.wait(LIMIT, |all| all.values().all(has_it), || meter.check())?;
    let again = done.duration_since(start);
    step.done(format_args!(
        "{:.2} s, {}",
        again.as_secs_f64(),
        meter.phase_cost()?
    ));
    let usage = meter
        .usage()?
        .into_iter()
        .find(|it| it.is_ours)
        .unwrap_or_default();
    Ok(Outcome {
        kind,
        count,
        ready,
        again,
        usage,
    })
}

/// Makes the kinds, the namespace and the repository that charts come from.
fn prepare(cluster: &Cluster, api: &Api, registry: &str) -> Result<()> {
    driver::prepare(cluster, api)?;
    let spec = json!({"type": "oci", "insecure": true, "url": format!("oci://{registry}/bench")});
    let metadata = json!({"name": "charts", "namespace": "bench"});
    let object = json!({"apiVersion": GROUP, "kind": "HelmRepository", "metadata": metadata, "spec": spec});
    let collection = format!("/apis/{GROUP}/namespaces/bench/helmrepositories");
    api.create(&collection, &object)
}

/// Writes what the registry has.
fn fill(content: &Path) -> Result<()> {
    for index in 0..VERSIONS {
        let version = version(index);
        let manifests: Vec<(String, String)> = (0..20)
            .map(|file| {
                let text = format!(
                    "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: app-{file}\ndata:\n  version: {version}\n  text: {}\n",
                    "abcdefgh".repeat(64)
                );
                (format!("app-{file}.yaml"), text)
            })
            .collect();
        let layer = archive(&manifests)?;
        put(
            content,
            "bench/app",
            &version,
            "application/vnd.cncf.flux.content.v1.tar+gzip",
            &layer,
        )?;
        let metadata = format!("apiVersion: v2\nname: chart\nversion: {version}\n");
        let mut files = vec![
            ("chart/Chart.yaml".to_owned(), metadata),
            ("chart/values.yaml".to_owned(), "replicas: 1\n".to_owned()),
        ];
        files.extend(
            manifests
                .into_iter()
                .map(|(name, text)| (format!("chart/templates/{name}"), text)),
        );
        put(
            content,
            "bench/chart",
            &version,
            registry::CHART,
            &archive(&files)?,
        )?;
    }
    Ok(())
}

fn written(outcomes: &[Outcome]) -> Result<String> {
    let mut text = String::from(INTRODUCTION);
    writeln!(text, "\n{}", report::measured()?)?;
    for it in outcomes {
        let [time, memory] = it.kind.upstream;
        let (ready, again) = (it.ready.as_secs_f64(), it.again.as_secs_f64());
        let requests: Vec<String> = it
            .usage
            .requests
            .iter()
            .map(|(verb, count)| format!("{count} {verb}"))
            .collect();
        writeln!(text, "\n### {} {}\n", it.count, it.kind.plural)?;
        writeln!(text, "| | measured | target | upstream |\n|---|---:|---:|---:|")?;
        writeln!(text, "| ready | **{ready:.2} s** | ≤ 25 s | {time} |")?;
        writeln!(text, "| again | **{again:.2} s** |  |  |")?;
        writeln!(text, "| CPU | **{:.2} s** |  |  |", it.usage.cpu)?;
        writeln!(
            text,
            "| peak memory | **{:.1} MiB** | ≤ 60 MiB | {memory} |",
            it.usage.peak_mib
        )?;
        writeln!(text, "\nRequests to the API server: {}.", requests.join(", "))?;
    }
    Ok(text)
}
