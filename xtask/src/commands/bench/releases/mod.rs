//! `make bench helm-releases`: charts released by helm-controller.
//!
//! Two workloads: the one that upstream publishes figures for, and one whose pods run. For the latter kwok stands in for the nodes, so that
//! pods become ready at once.

mod workload;

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
use xtask::process;
use xtask::term::{self, Step};

use super::super::programs::{self, Controller, Profile, Setup};
use super::super::{Args, unexpected};
use super::driver::{LIMIT, for_each, name};
use super::measure::{Meter, Usage};
use super::state::{Entry, Observer};
use super::{document, driver, registry, report};
use workload::Workload;

const RELEASES: &str = "/apis/helm.toolkit.fluxcd.io/v2/namespaces/bench/helmreleases";
const CONTROLLER: &str = "helm-controller";

/// What this project wants to stay below with the published workload.
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

N HelmReleases of one chart, each on its own HelmChart.
source-controller and helm-controller run as separate processes with their default flags, but `--concurrent=10`, beside the control plane on the same machine.

* **install**: from the first request that creates a HelmRelease until the last one is ready.
* **upgrade**: all get another value, which changes the pod template; until the last is ready with its second revision.
* **again**: nothing has changed, and all are asked to reconcile at once; until the last has.
* **delete**: all are deleted at once; until the last is gone, and its objects with it.
* **CPU** and **peak memory** are those of helm-controller.
";

const PUBLISHED: &str = "\
### The workload of upstream's figures

As upstream's public benchmark has it: the chart comes from a registry through one HelmRepository, and each release has a ServiceAccount, a Service, a Deployment without replicas and an Ingress.
Drift detection is enabled, `crds` are `Create` and `CreateReplace`, and everything is done with the rights of a service account.
";

const PODS: &str = "\
### With pods

The chart comes from a Git repository, and each release has a ServiceAccount, a Service, a Deployment with one replica and a HorizontalPodAutoscaler.
Pods become ready at once; a release is ready when they are, so scheduler, kubelets and two more controllers take part in each of these times.
";

/// One run.
struct Outcome {
    workload: Workload,
    count: usize,
    times: Vec<(&'static str, Duration)>,
    usage: Vec<Usage>,
}

/// What is to be run.
struct Plan {
    counts: Vec<usize>,
    workloads: Vec<Workload>,
    writes: bool,
    bin: Option<PathBuf>,
}

impl Plan {
    fn parse(mut args: Args) -> Result<Self> {
        let mut plan = Self {
            counts: vec![100, 500],
            workloads: Workload::ALL.to_vec(),
            writes: true,
            bin: None,
        };
        while let Some(arg) = args.word() {
            match arg.as_str() {
                "--count" => {
                    let text: String = args.value("--count")?;
                    let numbers = text.split(',').map(|it| it.parse().context("--count"));
                    plan.counts = numbers.collect::<Result<_>>()?;
                }
                "--workload" => {
                    let word: String = args.value("--workload")?;
                    plan.workloads.retain(|it| it.word() == word);
                }
                "--bin" => plan.bin = Some(args.value("--bin")?),
                "--no-report" => plan.writes = false,
                other => return unexpected(other),
            }
        }
        ensure!(
            plan.counts.iter().all(|it| (1..=5000).contains(it)),
            "--count: from 1 to 5000"
        );
        let words = Workload::ALL.map(Workload::word).join(", ");
        ensure!(!plan.workloads.is_empty(), "--workload: there are {words}");
        Ok(plan)
    }

    fn is_whole(&self) -> bool {
        self.counts.len() == TARGETS.len() && self.workloads.len() == Workload::ALL.len()
    }
}

pub(super) fn run(args: Args) -> Result<ExitCode> {
    let plan = Plan::parse(args)?;
    process::end_on_signals()?;
    let (bin, registry) = (
        programs::build(plan.bin.as_deref(), Profile::Release)?,
        registry::build()?,
    );
    let mut outcomes = Vec::new();
    for workload in &plan.workloads {
        for count in &plan.counts {
            let title = format!("{count} HelmReleases, {}", workload.word());
            term::line(format_args!("\n{}", term::bold(&title)));
            outcomes.push(run_one(*workload, *count, &bin, &registry)?);
        }
    }
    let text = written(&outcomes)?;
    if plan.writes && plan.is_whole() {
        document::replace("releases", &text)?;
    } else {
        term::line(format_args!("\n{text}"));
    }
    Ok(ExitCode::SUCCESS)
}

fn run_one(workload: Workload, count: usize, bin: &Path, registry: &Path) -> Result<Outcome> {
    let step = Step::begin("prepare a cluster and a chart");
    let options = Options {
        name: "bench".to_owned(),
        nodes: workload.nodes(),
        ..Options::default()
    };
    let cluster = Cluster::start(&options)?;
    let api = Arc::new(Api::start(cluster.kubectl(), cluster.nursery(), cluster.dir())?);
    driver::prepare(&cluster, &api)?;
    let _origin = workload.prepare(&cluster, &api, registry)?;
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
    let controllers = vec![
        start(CONTROLLER, Vec::new())?,
        start("source-controller", storage)?,
    ];
    let mut meter = Meter::new(controllers, &cluster)?;
    step.done("");

    let phases = Phases {
        workload,
        count,
        api: &api,
        observer: &observer,
    };
    let times = phases.run(&mut meter).inspect_err(|_| {
        term::line(meter.logs());
    })?;
    Ok(Outcome {
        workload,
        count,
        times,
        usage: meter.usage()?,
    })
}

/// What is measured.
struct Phases<'a> {
    workload: Workload,
    count: usize,
    api: &'a Api,
    observer: &'a Observer,
}

impl Phases<'_> {
    fn run(&self, meter: &mut Meter) -> Result<Vec<(&'static str, Duration)>> {
        let api = self.api;
        let merge = |index: usize, patch: &Value| api.merge(&format!("{RELEASES}/{}", name(index)), patch);
        let change = self.workload.change();
        let request = json!({"metadata": {"annotations": {"reconcile.fluxcd.io/requestedAt": "again"}}});
        Ok(vec![
            self.phase("install", meter, |index| {
                api.create(RELEASES, &self.workload.release(index))
            })?,
            self.phase("upgrade", meter, |index| merge(index, &change).map(drop))?,
            self.phase("again", meter, |index| merge(index, &request).map(drop))?,
            self.phase("delete", meter, |index| {
                api.delete(&format!("{RELEASES}/{}", name(index)))
            })?,
        ])
    }

    fn phase(
        &self,
        phase: &'static str,
        meter: &mut Meter,
        act: impl Fn(usize) -> Result<()> + Sync,
    ) -> Result<(&'static str, Duration)> {
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
        step.done(format_args!(
            "{:.2} s, {}; CPU s: {}",
            time.as_secs_f64(),
            meter.phase_cost()?,
            meter.phase_shares()?
        ));
        Ok((phase, time))
    }
}

fn written(outcomes: &[Outcome]) -> Result<String> {
    let mut text = String::from(INTRODUCTION);
    writeln!(text, "\n{}", report::measured()?)?;
    for workload in Workload::ALL {
        let about = match workload {
            Workload::Published => PUBLISHED,
            Workload::Pods => PODS,
        };
        let mut outcomes = outcomes.iter().filter(|it| it.workload == workload).peekable();
        if outcomes.peek().is_some() {
            writeln!(text, "\n{}", about.trim_end())?;
        }
        outcomes.try_for_each(|it| table(&mut text, it))?;
    }
    Ok(text)
}

fn table(text: &mut String, it: &Outcome) -> Result<()> {
    let target = TARGETS
        .iter()
        .find(|target| target.count == it.count && it.workload == Workload::Published);
    writeln!(text, "\n#### {} HelmReleases\n", it.count)?;
    writeln!(text, "| | measured | target |\n|---|---:|---:|")?;
    for (phase, time) in &it.times {
        let wanted = match *phase {
            "install" => target.map_or("", |target| target.install),
            "upgrade" => target.map_or("", |target| target.upgrade),
            _ => "",
        };
        writeln!(text, "| {phase} | **{:.2} s** | {wanted} |", time.as_secs_f64())?;
    }
    let ours = it.usage.iter().find(|it| it.name == CONTROLLER);
    let ours = ours.context("helm-controller was not measured")?;
    let [cpu, memory] = target.map_or(["", ""], |target| [target.cpu, target.memory]);
    writeln!(text, "| CPU | **{:.2} s** | {cpu} |", ours.cpu)?;
    writeln!(text, "| peak memory | **{:.1} MiB** | {memory} |", ours.peak_mib)?;
    let requests = ours.requests.iter();
    let requests: Vec<String> = requests.map(|(verb, count)| format!("{count} {verb}")).collect();
    writeln!(text, "\nRequests to the API server: {}.", requests.join(", "))?;
    writeln!(text, "\n| process | CPU | peak memory |\n|---|---:|---:|")?;
    for it in &it.usage {
        writeln!(text, "| {} | {:.2} s | {:.1} MiB |", it.name, it.cpu, it.peak_mib)?;
    }
    Ok(())
}
