//! `make bench`: how long the common work takes, and what it costs.
//!
//! One run for each number of Kustomizations, on a cluster of its own: source-controller and kustomize-controller as separate
//! processes with upstream's default flags, but `--concurrent=20`, and kube-controller-manager with a raised limit of requests
//! (its default decides the result for every contender alike). The driver goes through `kubectl proxy` and waits on one
//! watch, so that measuring takes next to nothing from what is measured.

mod bucket;
mod document;
mod driver;
mod helm;
mod kustomize;
mod launch;
mod measure;
mod registry;
mod releases;
mod report;
mod repository;
mod sources;
mod state;
mod workload;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use xtask::api::Api;
use xtask::cluster::{Cluster, Options};
use xtask::gitserver::GitServer;
use xtask::process;
use xtask::term::{self, Step};

use super::programs::{self, Controller, Profile, Setup};
use super::{Args, unexpected};
use measure::Usage;
use workload::Workload;

/// What is measured, in the order in which it happens; `install` always comes first.
const PHASES: [&str; 5] = ["install", "upgrade", "resync", "drift", "delete"];

#[derive(Debug)]
struct Plan {
    counts: Vec<usize>,
    phases: Vec<String>,
    samples: usize,
    writes: bool,
    bin: Option<PathBuf>,
}

impl Plan {
    fn parse(mut args: Args) -> Result<Self> {
        let phases = PHASES.map(str::to_owned).to_vec();
        let mut plan = Self {
            counts: vec![100, 500],
            phases,
            samples: 40,
            writes: true,
            bin: None,
        };
        while let Some(arg) = args.word() {
            let list = |text: String| text.split(',').map(str::to_owned).collect::<Vec<_>>();
            match arg.as_str() {
                "--count" => {
                    let counts = list(args.value("--count")?);
                    plan.counts = counts
                        .iter()
                        .map(|it| it.parse().context("--count"))
                        .collect::<Result<_>>()?;
                }
                "--phases" => plan.phases = list(args.value("--phases")?),
                "--samples" => plan.samples = args.value("--samples")?,
                "--bin" => plan.bin = Some(args.value("--bin")?),
                "--no-report" => plan.writes = false,
                other => return unexpected(other),
            }
        }
        for phase in &plan.phases {
            ensure!(
                PHASES.contains(&phase.as_str()),
                "--phases: there are {}",
                PHASES.join(", ")
            );
        }
        ensure!(
            plan.counts.iter().all(|it| (1..=5000).contains(it)),
            "--count: from 1 to 5000"
        );
        Ok(plan)
    }
}

/// What one run gave.
#[derive(Debug, Default)]
struct Outcome {
    count: usize,
    /// Seconds of each phase, drift aside.
    times: Vec<(String, Duration)>,
    /// How long each sample of drift took to be undone, sorted.
    drift: Vec<Duration>,
    usage: Vec<Usage>,
}

/// Runs the part that is named first, or all of them.
pub(crate) fn run(mut args: Args) -> Result<ExitCode> {
    match args.first() {
        Some(launch::LAUNCH) => {
            let command = args.rest();
            launch::launch(command.get(2..).unwrap_or_default())?;
            Ok(ExitCode::SUCCESS)
        }
        Some("kustomize") => {
            args.word();
            kustomize::run(args)
        }
        Some("helm") => {
            args.word();
            helm::run(args)
        }
        Some("helm-releases") => {
            args.word();
            releases::run(args)
        }
        Some("sources") => {
            args.word();
            sources::run(args)
        }
        Some("repository") => {
            args.word();
            repository::run(args)
        }
        Some("bucket") => {
            args.word();
            bucket::run(args)
        }
        Some("cluster") => {
            args.word();
            cluster(args)
        }
        None => {
            for part in [
                kustomize::run,
                helm::run,
                releases::run,
                sources::run,
                repository::run,
                bucket::run,
            ] {
                part(Args::new(&[]))?;
            }
            cluster(args)
        }
        Some(_) => cluster(args),
    }
}

/// Reconciling on a cluster.
fn cluster(args: Args) -> Result<ExitCode> {
    let plan = Plan::parse(args)?;
    process::end_on_signals()?;
    let bin = programs::build(plan.bin.as_deref(), Profile::Release)?;
    let mut outcomes = Vec::new();
    for count in &plan.counts {
        term::line(format_args!(
            "\n{}",
            term::bold(&format!("{count} Kustomizations"))
        ));
        outcomes.push(run_one(&plan, *count, &bin)?);
    }
    let report = report::write(&outcomes)?;
    let is_complete = plan.writes && plan.phases.len() == PHASES.len();
    if is_complete {
        document::replace("cluster", &report)?;
    } else {
        term::line(format_args!("\n{report}"));
    }
    Ok(ExitCode::SUCCESS)
}

fn run_one(plan: &Plan, count: usize, bin: &std::path::Path) -> Result<Outcome> {
    let step = Step::begin("prepare a cluster and a repository");
    let options = Options {
        name: "bench".to_owned(),
        nodes: 0,
        ..Options::default()
    };
    let cluster = Cluster::start(&options)?;
    let server = GitServer::start(&cluster.dir().join("git"))?;
    let api = Api::start(cluster.kubectl(), cluster.nursery(), cluster.dir())?;
    let workload = Workload::prepare(count, &server, api, &cluster)?;
    step.done("");

    let kubeconfig = cluster.kubeconfig();
    let start = |name: &str, flags: &[String]| {
        let dir = cluster.dir().join(name);
        std::fs::create_dir_all(&dir)?;
        let setup = Setup {
            bin,
            kubeconfig: &kubeconfig,
            dir: &dir,
            namespace: None,
        };
        Controller::start(cluster.nursery(), setup, name, flags)
    };
    let storage = Controller::storage_flags(&cluster.dir().join("storage"))?;
    let controllers = [
        start("source-controller", &storage)?,
        start("kustomize-controller", &["--concurrent=20".to_owned()])?,
    ];
    let mut meter = measure::Meter::new(controllers.into(), &cluster)?;
    let mut outcome = Outcome {
        count,
        ..Outcome::default()
    };
    let res = phases(plan, &workload, &mut meter, &mut outcome);
    if res.is_err() {
        term::line(meter.logs());
    }
    res?;
    outcome.usage = meter.usage()?;
    Ok(outcome)
}

fn phases(
    plan: &Plan,
    workload: &Workload<'_>,
    meter: &mut measure::Meter,
    outcome: &mut Outcome,
) -> Result<()> {
    for phase in PHASES {
        if phase != "install" && !plan.phases.iter().any(|it| it == phase) {
            continue;
        }
        let step = Step::begin(phase);
        meter.begin_phase()?;
        if phase == "drift" {
            outcome.drift = workload.drift(plan.samples, meter)?;
            let [p50, p95] = [50, 95].map(|it| measure::percentile(&outcome.drift, it));
            step.done(format_args!(
                "p50 {}, p95 {}, {}",
                term::elapsed(p50),
                term::elapsed(p95),
                meter.phase_cost()?
            ));
            continue;
        }
        let time = match phase {
            "install" => workload.install(meter),
            "upgrade" => workload.upgrade(meter),
            "resync" => workload.resync(meter),
            _ => workload.delete(meter),
        }
        .with_context(|| format!("phase {phase}"))?;
        outcome.times.push((phase.to_owned(), time));
        step.done(format_args!(
            "{:.2} s, {}",
            time.as_secs_f64(),
            meter.phase_cost()?
        ));
    }
    Ok(())
}
