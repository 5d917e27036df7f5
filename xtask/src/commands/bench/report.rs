//! docs/benchmarks.md: what was measured, where, and how it compares.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::process::Command;

use anyhow::Result;

use super::super::programs::quiet;
use super::measure::percentile;
use super::{Outcome, PHASES};

/// Upstream 2.9 with the same work on a machine with two cores, and what this project wants to stay below.
struct Reference {
    count: usize,
    /// Label, upstream, target.
    rows: &'static [(&'static str, &'static str, &'static str)],
}

const REFERENCES: [Reference; 2] = [
    Reference {
        count: 100,
        rows: &[
            ("install", "22 s", "4 s"),
            ("upgrade", "33 s", "4 s"),
            ("resync", "34 s", "1.5 s"),
            ("drift", "", "1 s"),
            ("cpu", "47 s", "4 s"),
            ("kustomize-controller", "355 MiB", "40 MiB"),
            ("source-controller", "95 MiB", "25 MiB"),
        ],
    },
    Reference {
        count: 500,
        rows: &[
            ("install", "180 s", "20 s"),
            ("upgrade", "356 s", "20 s"),
            ("resync", "332 s", "5 s"),
            ("drift", "", "1 s"),
            ("cpu", "586 s", "20 s"),
            ("kustomize-controller", "1229 MiB", "60 MiB"),
        ],
    },
];

const INTRODUCTION: &str = "\
## Reconciling

N Kustomizations with `wait: true` and `prune: true`, each of a directory with four objects (ServiceAccount, Service, zero-replica Deployment, Ingress) of one GitRepository.
source-controller and kustomize-controller run as separate processes with their default flags, but `--concurrent=20`, beside the control plane on the same machine.
kube-controller-manager may make 500 requests a second instead of its default of 20, which would decide the result for every contender alike.

* **install**: from the first request that creates an object until the last Kustomization is ready.
* **upgrade**: from the request to fetch a commit that changes every Deployment until all Kustomizations have it and are ready.
* **resync**: nothing has changed, and all Kustomizations are asked to reconcile at once; until the last has.
* **drift**: one field of a Service is changed by hand; until it is as Git says.
* **delete**: all Kustomizations are deleted at once; until the last and its objects are gone.
* **CPU** and **peak memory** are of the whole run (user and system time, largest resident set).

`upstream` is Flux 2.9 with the same work, measured on a machine with two cores.
";

pub(super) fn write(outcomes: &[Outcome]) -> Result<String> {
    let mut text = String::from(INTRODUCTION);
    writeln!(text, "\n{}", measured()?)?;
    for outcome in outcomes {
        table(&mut text, outcome)?;
    }
    Ok(text)
}

/// When and where this was measured.
pub(super) fn measured() -> Result<String> {
    let mut date = Command::new("date");
    date.args(["--utc", "+%Y-%m-%d"]);
    Ok(format!("Measured on {} on {}.", quiet(date)?.trim(), machine()))
}

fn table(text: &mut String, outcome: &Outcome) -> Result<()> {
    writeln!(
        text,
        "\n### {} Kustomizations, {} objects\n",
        outcome.count,
        outcome.count * 4
    )?;
    writeln!(text, "| | measured | target | upstream |\n|---|---:|---:|---:|")?;
    let rows = REFERENCES
        .iter()
        .find(|it| it.count == outcome.count)
        .map_or(&[][..], |it| it.rows);
    let mut row = |key: &str, label: &str, value: String| {
        let (upstream, target) = rows
            .iter()
            .find(|it| it.0 == key)
            .map_or(("", ""), |it| (it.1, it.2));
        let target = if target.is_empty() {
            String::new()
        } else {
            format!("≤ {target}")
        };
        writeln!(text, "| {label} | **{value}** | {target} | {upstream} |")
    };
    for phase in PHASES {
        if phase == "drift" && !outcome.drift.is_empty() {
            let [p50, p95] = [50, 95].map(|it| percentile(&outcome.drift, it).as_millis());
            row("", "drift undone, p50", format!("{p50} ms"))?;
            row(
                "drift",
                &format!("drift undone, p95 of {}", outcome.drift.len()),
                format!("{p95} ms"),
            )?;
        }
        if let Some((_, time)) = outcome.times.iter().find(|(name, _)| name == phase) {
            row(phase, phase, format!("{:.2} s", time.as_secs_f64()))?;
        }
    }
    let ours = || outcome.usage.iter().filter(|it| it.is_ours);
    row(
        "cpu",
        "CPU, both controllers",
        format!("{:.2} s", ours().map(|it| it.cpu).sum::<f64>()),
    )?;
    for it in ours() {
        row(
            &it.name,
            &format!("peak memory, {}", it.name),
            format!("{:.1} MiB", it.peak_mib),
        )?;
    }

    writeln!(text, "\n| process | CPU | peak memory |\n|---|---:|---:|")?;
    for it in &outcome.usage {
        writeln!(text, "| {} | {:.2} s | {:.1} MiB |", it.name, it.cpu, it.peak_mib)?;
    }

    let verbs: BTreeSet<&String> = ours().flat_map(|it| it.requests.keys()).collect();
    write!(text, "\n| requests to the API server |")?;
    verbs.iter().try_for_each(|it| write!(text, " {it} |"))?;
    write!(text, "\n|---|")?;
    verbs.iter().try_for_each(|_| write!(text, "---:|"))?;
    for it in ours() {
        write!(text, "\n| {} |", it.name)?;
        verbs.iter().try_for_each(|verb| {
            write!(text, " {} |", it.requests.get(*verb).copied().unwrap_or_default())
        })?;
    }
    writeln!(text)?;
    Ok(())
}

/// The machine in a few words: processor, cores, memory, kernel.
fn machine() -> String {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let field = |text: &str, name: &str| {
        let line = text.lines().find(|it| it.starts_with(name)).unwrap_or_default();
        line.split_once(':').map_or("", |it| it.1).trim().to_owned()
    };
    let processor = field(&read("/proc/cpuinfo"), "model name");
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let memory = field(&read("/proc/meminfo"), "MemTotal");
    let gib = memory.trim_end_matches(" kB").parse::<f64>().unwrap_or_default() / 1024.0 / 1024.0;
    let kernel = read("/proc/sys/kernel/osrelease");
    let kernel: Vec<&str> = kernel.trim().split(['.', '-']).take(2).collect();
    format!(
        "a machine with {cores} cores ({processor}), {gib:.0} GiB of memory and Linux {}",
        kernel.join(".")
    )
}
