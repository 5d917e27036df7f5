//! `make bench kustomize`: `kustomize build` by our engine and by kustomize itself, as whole processes.
//!
//! The reference is built from its Go module once and kept under `target/`. Both build the same trees, alternately, and what
//! they print must be the same to the byte, or there is nothing to compare.

mod measure;
mod tree;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use xtask::paths;
use xtask::term::{self, Step};

use super::super::programs::quiet;
use super::super::{Args, unexpected};
use super::{document, report};
use measure::Cost;

const KUSTOMIZE: &str = "sigs.k8s.io/kustomize/kustomize/v5@v5.8.1";

/// One tree and how often each program builds it.
struct Tree {
    objects: usize,
    ours: usize,
    /// 0 where kustomize would take hours.
    theirs: usize,
}

const TREES: [Tree; 4] = [
    Tree {
        objects: 10,
        ours: 101,
        theirs: 41,
    },
    Tree {
        objects: 500,
        ours: 41,
        theirs: 7,
    },
    Tree {
        objects: 5_000,
        ours: 15,
        theirs: 1,
    },
    Tree {
        objects: 50_000,
        ours: 5,
        theirs: 0,
    },
];

const INTRODUCTION: &str = "\
## kustomize build

The same directory built by `kustomize build` 5.8.1 and by `ferro-kustomize`'s example program, as whole processes on the same machine in one run, alternately; the median of several runs.
A tree is a base of applications with ten objects each (two Deployments, two Services, ServiceAccount, Role, RoleBinding, Ingress, autoscaler, and a ConfigMap that is generated with a hash and referred to four times) and an overlay with prefix, namespace, labels with selectors, images, two patches by target and one patch by name for every hundred objects.
Both print the same bytes; the benchmark checks it.
";

struct Outcome {
    objects: usize,
    ours: Cost,
    theirs: Option<Cost>,
}

pub(super) fn run(mut args: Args) -> Result<ExitCode> {
    let (mut writes, mut only_tree, mut limit) = (true, None::<PathBuf>, usize::MAX);
    while let Some(arg) = args.word() {
        match arg.as_str() {
            measure::LAUNCH => {
                let rest = args.rest();
                measure::launch(rest.get(1..).unwrap_or_default())?;
                return Ok(ExitCode::SUCCESS);
            }
            "--no-report" => writes = false,
            "--max-objects" => limit = args.value("--max-objects")?,
            "--tree" => only_tree = Some(args.value("--tree")?),
            other => return unexpected(other),
        }
    }
    if let Some(dir) = only_tree {
        tree::write(&dir, limit.min(500_000))?;
        return Ok(ExitCode::SUCCESS);
    }
    term::line(format_args!("\n{}", term::bold("kustomize build")));
    let theirs = reference()?;
    let ours = program()?;
    let dir = paths::target().join("bench/kustomize");
    let mut outcomes = Vec::new();
    for tree in TREES.iter().filter(|it| it.objects <= limit) {
        outcomes.push(compare(tree, &dir, &ours, &theirs)?);
    }
    std::fs::remove_dir_all(&dir).context("removing the trees")?;
    let text = describe(&outcomes)?;
    if writes && outcomes.len() == TREES.len() {
        document::replace("kustomize", &text)?;
    } else {
        term::line(format_args!("\n{text}"));
    }
    Ok(ExitCode::SUCCESS)
}

/// The reference program, from its Go module.
fn reference() -> Result<PathBuf> {
    let dir = paths::target().join("bench/bin");
    let program = dir.join("kustomize");
    if !program.exists() {
        let step = Step::begin("build kustomize 5.8.1");
        let mut command = Command::new("go");
        command
            .args(["install", "-trimpath", "-ldflags", "-s -w", KUSTOMIZE])
            .env("GOBIN", &dir)
            .env("GOFLAGS", "-mod=mod")
            .stdin(Stdio::null());
        quiet(command)?;
        step.done("");
    }
    Ok(program)
}

/// Our program, as released.
fn program() -> Result<PathBuf> {
    let step = Step::begin("build kustomize-build");
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command
        .args([
            "build",
            "--release",
            "--locked",
            "--quiet",
            "--package=ferro-kustomize",
            "--example=kustomize-build",
        ])
        .current_dir(paths::root())
        .stdin(Stdio::null());
    quiet(command)?;
    step.done("");
    Ok(paths::target().join("release/examples/kustomize-build"))
}

fn compare(tree: &Tree, dir: &Path, ours: &Path, theirs: &Path) -> Result<Outcome> {
    let step = Step::begin(format!("{} objects", tree.objects));
    let dir = dir.join(tree.objects.to_string());
    tree::write(&dir, tree.objects)?;
    let dir = dir.join("overlay");
    let (ours, theirs) = (ours.to_string_lossy(), theirs.to_string_lossy());
    let programs: [&[&str]; 2] = [&[&ours], &[&theirs, "build"]];
    let wanted = [tree.ours, tree.theirs];
    let mut costs = [Vec::new(), Vec::new()];
    for round in 0..wanted.into_iter().max().unwrap_or_default() {
        for ((program, wanted), costs) in programs.iter().zip(wanted).zip(&mut costs) {
            if round < wanted {
                costs.push(measure::run(program, &dir)?);
            }
        }
    }
    if tree.objects <= 500 {
        ensure_same(&programs, &dir)?;
    }
    let [ours, theirs] = costs.map(|costs| measure::median(&costs));
    let outcome = Outcome {
        objects: tree.objects,
        ours,
        theirs: (tree.theirs > 0).then_some(theirs),
    };
    step.done(format_args!(
        "{}{}",
        shown(ours.wall),
        outcome
            .theirs
            .map_or_else(String::new, |it| format!(" against {}", shown(it.wall)))
    ));
    Ok(outcome)
}

fn ensure_same(programs: &[&[&str]; 2], dir: &Path) -> Result<()> {
    let print = |program: &[&str]| {
        let (name, args) = program.split_first().context("no program")?;
        let mut command = Command::new(name);
        command.args(args).arg(dir);
        quiet(command)
    };
    let [ours, theirs] = programs;
    ensure!(
        print(ours)? == print(theirs)?,
        "the programs do not print the same for {}",
        dir.display()
    );
    Ok(())
}

fn shown(time: Duration) -> String {
    let millis = time.as_secs_f64() * 1000.0;
    match millis {
        ..10.0 => format!("{millis:.1} ms"),
        10.0..1000.0 => format!("{millis:.0} ms"),
        _ => format!("{:.2} s", millis / 1000.0),
    }
}

fn describe(outcomes: &[Outcome]) -> Result<String> {
    let mut text = String::from(INTRODUCTION);
    writeln!(text, "\n{}\n", report::measured()?)?;
    writeln!(
        text,
        "| objects | | ferro-kustomize | kustomize | |\n|---:|---|---:|---:|---:|"
    )?;
    for it in outcomes {
        let mut row = |label: &str, value: fn(&Cost) -> f64, show: fn(&Cost) -> String| {
            let theirs = it.theirs.as_ref();
            writeln!(
                text,
                "| {} | {label} | **{}** | {} | {} |",
                it.objects,
                show(&it.ours),
                theirs.map_or_else(String::new, show),
                theirs.map_or_else(String::new, |theirs| format!(
                    "{:.1}×",
                    value(theirs) / value(&it.ours)
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
    }
    Ok(text)
}
