//! What one run of a program costs: a launcher process of our own runs it, because the kernel tells the peak memory of a
//! finished process only to its parent, and only the largest of all its children.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use nix::sys::resource::{UsageWho, getrusage};
use serde_json::{Value, json};
use xtask::term;

/// What one run cost.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Cost {
    pub wall: Duration,
    pub cpu: Duration,
    pub peak_kib: u64,
}

/// The argument with which this program is its own launcher.
pub(super) const LAUNCH: &str = "--launch";

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

/// Runs `program dir` through the launcher.
pub(super) fn run(program: &[&str], dir: &Path) -> Result<Cost> {
    let mut command = Command::new(std::env::current_exe()?);
    command
        .args(["bench", "kustomize", LAUNCH, "--"])
        .args(program)
        .arg(dir);
    let output = super::super::super::programs::quiet(command)?;
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
pub(super) fn median(costs: &[Cost]) -> Cost {
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
