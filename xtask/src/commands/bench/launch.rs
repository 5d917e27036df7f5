//! What one run of a program costs: a launcher process of our own runs it, because the kernel tells the peak memory of a
//! finished process only to its parent, and only the largest of all its children.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use nix::sys::resource::{UsageWho, getrusage};
use serde_json::{Value, json};
use xtask::paths;
use xtask::term::{self, Step};

use super::super::programs::quiet;

/// What one run cost.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Cost {
    pub wall: Duration,
    pub cpu: Duration,
    pub peak_kib: u64,
}

/// The argument with which this program is its own launcher.
pub(super) const LAUNCH: &str = "launch";

/// Runs the command once, its output discarded, and prints what it cost.
pub(super) fn launch(command: &[String]) -> Result<()> {
    let (program, args) = command.split_first().context("no program to launch")?;
    let start = Instant::now();
    let status = Command::new(program)
        .args(args)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .status()
        .with_context(|| format!("cannot start {program}"))?;
    let wall = start.elapsed();
    ensure!(status.success(), "{program} failed");
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN)?;
    let micros = |time: nix::sys::time::TimeVal| time.tv_sec() * 1_000_000 + time.tv_usec();
    let cpu = micros(usage.user_time()) + micros(usage.system_time());
    term::line(json!({"wall": wall.as_nanos() as u64, "cpu": cpu, "peak": usage.max_rss()}));
    Ok(())
}

/// Runs a program through the launcher.
pub(super) fn run(program: &[&str]) -> Result<Cost> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["bench", LAUNCH, "--"]).args(program);
    let output = quiet(command)?;
    let cost: Value = serde_json::from_str(&output).context("the launcher's answer")?;
    let number = |key: &str| {
        cost.get(key)
            .and_then(Value::as_u64)
            .with_context(|| format!("no {key} in {output}"))
    };
    Ok(Cost {
        wall: Duration::from_nanos(number("wall")?),
        cpu: Duration::from_micros(number("cpu")?),
        peak_kib: number("peak")?,
    })
}

/// The median of each figure; what a run costs now and then is another program's doing.
fn median(costs: &[Cost]) -> Cost {
    fn middle<T: Ord + Copy + Default>(costs: &[Cost], figure: fn(&Cost) -> T) -> T {
        let mut sorted: Vec<T> = costs.iter().map(figure).collect();
        sorted.sort_unstable();
        sorted.get(sorted.len() / 2).copied().unwrap_or_default()
    }
    Cost {
        wall: middle(costs, |it| it.wall),
        cpu: middle(costs, |it| it.cpu),
        peak_kib: middle(costs, |it| it.peak_kib),
    }
}

/// Runs the programs alternately, each as often as wanted, and gives the median costs.
pub(super) fn compare(programs: [&[&str]; 2], wanted: [usize; 2]) -> Result<[Cost; 2]> {
    let mut costs = [Vec::new(), Vec::new()];
    for round in 0..wanted.into_iter().max().unwrap_or_default() {
        for ((program, wanted), costs) in programs.iter().zip(wanted).zip(&mut costs) {
            if round < wanted {
                costs.push(run(program)?);
            }
        }
    }
    Ok(costs.map(|costs| median(&costs)))
}

/// Fails unless both print the same.
pub(super) fn ensure_same(programs: [&[&str]; 2]) -> Result<()> {
    let print = |program: &[&str]| {
        let (name, args) = program.split_first().context("no program")?;
        let mut command = Command::new(name);
        command.args(args);
        quiet(command)
    };
    let [ours, theirs] = programs;
    ensure!(
        print(ours)? == print(theirs)?,
        "they do not print the same: {ours:?} {theirs:?}"
    );
    Ok(())
}

/// A time for a person.
pub(super) fn shown(time: Duration) -> String {
    let millis = time.as_secs_f64() * 1000.0;
    match millis {
        ..1.0 => format!("{millis:.2} ms"),
        ..10.0 => format!("{millis:.1} ms"),
        10.0..1000.0 => format!("{millis:.0} ms"),
        _ => format!("{:.2} s", millis / 1000.0),
    }
}

/// The rows of a table that compare two programs' costs.
pub(super) fn rows(text: &mut String, name: &str, ours: &Cost, theirs: Option<&Cost>) -> Result<()> {
    let mut row = |label: &str, value: fn(&Cost) -> f64, show: fn(&Cost) -> String| {
        writeln!(
            text,
            "| {name} | {label} | **{}** | {} | {} |",
            show(ours),
            theirs.map_or_else(String::new, show),
            theirs.map_or_else(String::new, |theirs| format!(
                "{:.1}×",
                value(theirs) / value(ours)
            )),
        )
    };
    row("time", |it| it.wall.as_secs_f64(), |it| shown(it.wall))?;
    row("CPU", |it| it.cpu.as_secs_f64(), |it| shown(it.cpu))?;
    row(
        "peak memory",
        |it| it.peak_kib as f64,
        |it| format!("{:.1} MiB", it.peak_kib as f64 / 1024.0),
    )?;
    Ok(())
}

/// A program from its Go module, which is built once.
pub(super) fn go_program(name: &str, module: &str) -> Result<PathBuf> {
    let dir = paths::target().join("bench/bin");
    let program = dir.join(name);
    if !program.exists() {
        let step = Step::begin(format!("build {module}"));
        let mut command = Command::new("go");
        command
            .args(["install", "-trimpath", "-ldflags", "-s -w", module])
            .env("GOBIN", &dir)
            .env("GOFLAGS", "-mod=mod")
            .stdin(Stdio::null());
        quiet(command)?;
        step.done("");
    }
    Ok(program)
}

/// An example program of one of our packages, as released.
pub(super) fn example(package: &str, name: &str) -> Result<PathBuf> {
    let step = Step::begin(format!("build {name}"));
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command
        .args(["build", "--release", "--locked", "--quiet"])
        .args([format!("--package={package}"), format!("--example={name}")])
        .current_dir(paths::root())
        .stdin(Stdio::null());
    quiet(command)?;
    step.done("");
    Ok(paths::target().join("release/examples").join(name))
}
