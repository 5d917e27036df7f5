//! `make bench helm-releases`: charts released by helm-controller.
//!
//! The chart is in a Git repository on the same machine. kwok stands in for the nodes, so that pods become ready at once.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use xtask::api::Api;
use xtask::cluster::{Cluster, Options};
use xtask::gitserver::GitServer;
use xtask::process;
use xtask::term::{self, Step};

use super::super::programs::{self, Controller, Profile, Setup};
use super::super::{Args, unexpected};
use super::driver::{LIMIT, for_each, name};
use super::measure::{Meter, Usage};
use super::state::{Entry, Observer};
use super::{document, driver, report};

const RELEASES: &str = "/apis/helm.toolkit.fluxcd.io/v2/namespaces/bench/helmreleases";
const SOURCES: &str = "/apis/source.toolkit.fluxcd.io/v1/namespaces/bench/gitrepositories";
const CONTROLLER: &str = "helm-controller";

/// The chart, file by file.
const CHART: [(&str, &str); 8] = [
    ("Chart.yaml", include_str!("chart/Chart.yaml")),
    ("values.yaml", include_str!("chart/values.yaml")),
    (
        "templates/_helpers.tpl",
        include_str!("chart/templates/_helpers.tpl"),
    ),
    ("templates/NOTES.txt", include_str!("chart/templates/NOTES.txt")),
    (
        "templates/account.yaml",
        include_str!("chart/templates/account.yaml"),
    ),
    (
        "templates/deployment.yaml",
        include_str!("chart/templates/deployment.yaml"),
    ),
    (
        "templates/service.yaml",
        include_str!("chart/templates/service.yaml"),
    ),
    (
        "templates/scaler.yaml",
        include_str!("chart/templates/scaler.yaml"),
    ),
];

/// What this project wants to stay below.
struct Target {
    count: usize,
    install: &'static str,
    upgrade: &'static str,
    cpu: &'static str,
    memory: &'static str,
}

const TARGETS: [Target; 2] = [
    Target {
        count: 100,
        install: "≤ 5 s",
        upgrade: "≤ 5 s",
        cpu: "≤ 4.5 s",
        memory: "≤ 45 MiB",
    },
    Target {
        count: 500,
        install: "",
        upgrade: "",
        cpu: "",
        memory: "≤ 70 MiB",
    },
];

const INTRODUCTION: &str = "\
## Releases

N HelmReleases of one chart (ServiceAccount, Service, Deployment with one replica, HorizontalPodAutoscaler) from one GitRepository, each on its own HelmChart.
source-controller and helm-controller run as separate processes with their default flags, but `--concurrent=10`, beside the control plane on the same machine; pods become ready at once.

* **install**: from the first request that creates a HelmRelease until the last one is ready, pods and all.
* **upgrade**: all get another value, which changes the pods; until the last is ready with its second revision.
* **again**: nothing has changed, and all are asked to reconcile at once; until the last has.
* **delete**: all are deleted at once; until the last is gone, and its objects with it.
* **CPU** and **peak memory** are those of helm-controller.
";

/// One run.
#[derive(Default)]
struct Outcome {
    count: usize,
    times: Vec<(&'static str, Duration)>,
    usage: Usage,
}

pub(super) fn run(mut args: Args) -> Result<ExitCode> {
    let (mut counts, mut writes, mut bin) = (vec![100_usize, 500], true, None::<PathBuf>);
    while let Some(arg) = args.word() {
        match arg.as_str() {
            "--count" => {
                let text: String = args.value("--count")?;
                let numbers = text.split(',').map(|it| it.parse().context("--count"));
                counts = numbers.collect::<Result<_>>()?;
            }
            "--bin" => bin = Some(args.value("--bin")?),
            "--no-report" => writes = false,
            other => return unexpected(other),
        }
    }
    ensure!(
        counts.iter().all(|it| (1..=5000).contains(it)),
        "--count: from 1 to 5000"
    );
    process::end_on_signals()?;
    let bin = programs::build(bin.as_deref(), Profile::Release)?;
    let mut outcomes = Vec::new();
    for count in counts {
        term::line(format_args!("\n{}", term::bold(&format!("{count} HelmReleases"))));
        outcomes.push(run_one(count, &bin)?);
    }
    let text = written(&outcomes)?;
    if writes && outcomes.len() == TARGETS.len() {
        document::replace("releases", &text)?;
    } else {
        term::line(format_args!("\n{text}"));
    }
    Ok(ExitCode::SUCCESS)
}

fn run_one(count: usize, bin: &Path) -> Result<Outcome> {
    let step = Step::begin("prepare a cluster and a repository");
    let options = Options {
        name: "bench".to_owned(),
        nodes: 1,
        ..Options::default()
    };
    let cluster = Cluster::start(&options)?;
    let server = GitServer::start(&cluster.dir().join("git"))?;
    let repository = server.create("charts")?;
    for (path, text) in CHART {
        repository.write(&format!("app/{path}"), text)?;
    }
    repository.commit("Add the chart")?;
    let api = Arc::new(Api::start(cluster.kubectl(), cluster.nursery(), cluster.dir())?);
    driver::prepare(&cluster, &api)?;
    let observer = Observer::start(Arc::clone(&api), RELEASES.to_owned());
    let kubeconfig = cluster.kubeconfig();
    let start = |name: &str, mut flags: Vec<String>| {
        let dir = cluster.dir().join(name);
        fs::create_dir_all(&dir)?;
        let setup = Setup {
            bin,
            kubeconfig: &kubeconfig,
            dir: &dir,
            namespace: None,
        };
        flags.push("--concurrent=10".to_owned());
        Controller::start(cluster.nursery(), setup, name, &flags)
    };
    let storage = Controller::storage_flags(&cluster.dir().join("storage"))?;
    // Not among those that are measured, but it must not end before its time.
    let _source = start("source-controller", storage)?;
    let mut meter = Meter::new(vec![start(CONTROLLER, Vec::new())?], &cluster)?;
    api.create(SOURCES, &source(repository.url()))?;
    step.done("");

    let mut outcome = Outcome {
        count,
        ..Outcome::default()
    };
    let phases = Phases {
        count,
        api: &api,
        observer: &observer,
    };
    phases.run(&mut meter, &mut outcome).inspect_err(|_| {
        term::line(meter.logs());
    })?;
    let usage = meter.usage()?;
    outcome.usage = usage.into_iter().find(|it| it.is_ours).unwrap_or_default();
    Ok(outcome)
}

/// What is measured.
struct Phases<'a> {
    count: usize,
    api: &'a Api,
    observer: &'a Observer,
}

impl Phases<'_> {
    fn run(&self, meter: &mut Meter, outcome: &mut Outcome) -> Result<()> {
        let api = self.api;
        let merge = |index: usize, patch: &Value| api.merge(&format!("{RELEASES}/{}", name(index)), patch);
        self.phase("install", meter, outcome, |index| {
            api.create(RELEASES, &release(index))
        })?;
        let change = json!({"spec": {"values": {"message": "second"}}});
        self.phase("upgrade", meter, outcome, |index| merge(index, &change).map(drop))?;
        let request = json!({"metadata": {"annotations": {"reconcile.fluxcd.io/requestedAt": "again"}}});
        self.phase("again", meter, outcome, |index| merge(index, &request).map(drop))?;
        self.phase("delete", meter, outcome, |index| {
            api.delete(&format!("{RELEASES}/{}", name(index)))
        })
    }

    fn phase(
        &self,
        phase: &'static str,
        meter: &mut Meter,
        outcome: &mut Outcome,
        act: impl Fn(usize) -> Result<()> + Sync,
    ) -> Result<()> {
        let step = Step::begin(phase);
        meter.begin_phase()?;
        let start = Instant::now();
        for_each(self.count, act)?;
        let count = self.count;
        let is_done = move |it: &Entry| match phase {
            "install" => it.is_ready && it.release == 1,
            "upgrade" => it.is_ready && it.release == 2,
            _ => it.is_ready && it.handled == "again",
        };
        let done = self.observer.wait(
            LIMIT,
            |all| match phase {
                "delete" => all.is_empty(),
                _ => all.len() == count && all.values().all(is_done),
            },
            || meter.check(),
        )?;
        let time = done.duration_since(start);
        outcome.times.push((phase, time));
        step.done(format_args!(
            "{:.2} s, {}",
            time.as_secs_f64(),
            meter.phase_cost()?
        ));
        Ok(())
    }
}

fn source(url: &str) -> Value {
    json!({
        "apiVersion": "source.toolkit.fluxcd.io/v1",
        "kind": "GitRepository",
        "metadata": {"name": "charts", "namespace": "bench"},
        "spec": {"interval": "60m", "url": url, "ref": {"branch": "main"}},
    })
}

fn release(index: usize) -> Value {
    json!({
        "apiVersion": "helm.toolkit.fluxcd.io/v2",
        "kind": "HelmRelease",
        "metadata": {"name": name(index), "namespace": "bench"},
        "spec": {
            "interval": "60m",
            "chart": {"spec": {
                "chart": "./app",
                "sourceRef": {"kind": "GitRepository", "name": "charts"},
            }},
            "values": {"message": "first", "resources": {"requests": {"cpu": "1m", "memory": "16Mi"}}},
        },
    })
}

fn written(outcomes: &[Outcome]) -> Result<String> {
    let mut text = String::from(INTRODUCTION);
    writeln!(text, "\n{}", report::measured()?)?;
    for it in outcomes {
        let target = TARGETS.iter().find(|target| target.count == it.count);
        writeln!(text, "\n### {} HelmReleases\n", it.count)?;
        writeln!(text, "| | measured | target |\n|---|---:|---:|")?;
        for (phase, time) in &it.times {
            let wanted = match *phase {
                "install" => target.map_or("", |target| target.install),
                "upgrade" => target.map_or("", |target| target.upgrade),
                _ => "",
            };
            writeln!(text, "| {phase} | **{:.2} s** | {wanted} |", time.as_secs_f64())?;
        }
        let [cpu, memory] = target.map_or(["", ""], |target| [target.cpu, target.memory]);
        writeln!(text, "| CPU | **{:.2} s** | {cpu} |", it.usage.cpu)?;
        writeln!(
            text,
            "| peak memory | **{:.1} MiB** | {memory} |",
            it.usage.peak_mib
        )?;
        let requests = it.usage.requests.iter();
        let requests: Vec<String> = requests.map(|(verb, count)| format!("{count} {verb}")).collect();
        writeln!(text, "\nRequests to the API server: {}.", requests.join(", "))?;
    }
    Ok(text)
}
