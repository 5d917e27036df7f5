//! `make bench kustomize`: `kustomize build` by our engine and by kustomize itself, as whole processes.
//!
//! The reference is built from its Go module once and kept under `target/`. Both build the same trees, alternately, and what
//! they print must be the same to the byte, or there is nothing to compare.

mod tree;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use xtask::paths;
use xtask::term::{self, Step};

use super::super::{Args, unexpected};
use super::launch::{self, Cost, shown};
use super::{document, report};

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
    let theirs = launch::go_program("kustomize", KUSTOMIZE)?;
    let ours = launch::example("ferro-kustomize", "kustomize-build")?;
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

fn compare(tree: &Tree, dir: &Path, ours: &Path, theirs: &Path) -> Result<Outcome> {
    let step = Step::begin(format!("{} objects", tree.objects));
    let dir = dir.join(tree.objects.to_string());
    tree::write(&dir, tree.objects)?;
    let dir = dir.join("overlay");
    let (ours, theirs, dir) = (
        ours.to_string_lossy(),
        theirs.to_string_lossy(),
        dir.to_string_lossy(),
    );
    let programs: [&[&str]; 2] = [&[&ours, &dir], &[&theirs, "build", &dir]];
    let [ours, theirs] = launch::compare(programs, [tree.ours, tree.theirs])?;
    if tree.objects <= 500 {
        launch::ensure_same(programs)?;
    }
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

fn describe(outcomes: &[Outcome]) -> Result<String> {
    let mut text = String::from(INTRODUCTION);
    writeln!(text, "\n{}\n", report::measured()?)?;
    writeln!(
        text,
        "| objects | | ferro-kustomize | kustomize | |\n|---:|---|---:|---:|---:|"
    )?;
    for it in outcomes {
        launch::rows(&mut text, &it.objects.to_string(), &it.ours, it.theirs.as_ref())?;
    }
    Ok(text)
}
