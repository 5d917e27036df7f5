//! `make bench helm`: public charts rendered by our engine and by Helm, as whole processes and within one.
//!
//! Helm's program is built from its Go module once and kept under `target/`; its engine is asked through the oracle of the
//! conformance tests, which measures itself. What the programs print must be the same to the byte.

mod charts;

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use xtask::paths;
use xtask::term::{self, Step};

use self::charts::{CHARTS, Chart};
use super::super::programs::quiet;
use super::super::{Args, unexpected};
use super::launch::{self, Cost, shown};
use super::{document, report};

const HELM: &str = "helm.sh/helm/v4/cmd/helm@v4.2.4";
const KUBE_VERSION: &str = "1.34.0";

const INTRODUCTION: &str = "\
## helm template

Public charts of the conformance corpus, rendered with their default values and `--include-crds` by `helm template` 4.2.4 and by `ferro-helm`'s example program, as whole processes on the same machine in one run, alternately; the median of several runs.
Both print the same bytes; the benchmark checks it.
Of kube-prometheus-stack the corpus has the chart itself and its CRDs but no other subchart; these are taken out of its list and disabled, and Grafana's dashboards are rendered.
";

const IN_PROCESS: &str = "\
### Rendering again

The same charts, loaded once and rendered again and again in one process; the median, after some renders to warm up.
*templates* is Helm's `engine.Render` over values that are ready, which parses the templates each time, and ours over templates that were parsed before, which is what a controller does; *values and templates* begins with the user's values.
";

struct Outcome {
    name: &'static str,
    ours: Cost,
    theirs: Cost,
    /// Renders within a process: templates alone, and with values.
    again: [[Duration; 2]; 2],
}

struct Programs {
    ours: PathBuf,
    theirs: PathBuf,
    ours_again: PathBuf,
    oracle: PathBuf,
}

pub(super) fn run(mut args: Args) -> Result<ExitCode> {
    let (mut writes, mut only, mut rounds) = (true, None::<String>, 31);
    while let Some(arg) = args.word() {
        match arg.as_str() {
            "--no-report" => writes = false,
            "--charts" => only = Some(args.value("--charts")?),
            "--rounds" => rounds = args.value("--rounds")?,
            other => return unexpected(other),
        }
    }
    ensure!((1..=1000).contains(&rounds), "--rounds: from 1 to 1000");
    term::line(format_args!("\n{}", term::bold("helm template")));
    let Some(corpus) = charts::corpus() else {
        term::line("skipped: there are no charts; put the corpus beside the repository, as ../shared/corpus");
        return Ok(ExitCode::SUCCESS);
    };
    let programs = Programs {
        theirs: launch::go_program("helm", HELM)?,
        oracle: oracle()?,
        ours: launch::example("ferro-helm", "helm-template")?,
        ours_again: launch::example("ferro-helm", "render-again")?,
    };
    let dir = paths::target().join("bench/helm");
    let mut outcomes = Vec::new();
    let wanted = |name| {
        only.as_ref()
            .is_none_or(|only| only.split(',').any(|it| it == name))
    };
    for chart in CHARTS.iter().filter(|it| wanted(it.name)) {
        let to = dir.join(chart.name);
        charts::prepare(&corpus.join(chart.name).join("chart"), &to)?;
        outcomes.push(compare(chart, &to, &programs, rounds)?);
    }
    std::fs::remove_dir_all(&dir).context("removing the charts")?;
    let text = describe(&outcomes)?;
    if writes && outcomes.len() == CHARTS.len() {
        document::replace("helm", &text)?;
    } else {
        term::line(format_args!("\n{text}"));
    }
    Ok(ExitCode::SUCCESS)
}

/// The oracle of the conformance tests, built anew when it changed.
fn oracle() -> Result<PathBuf> {
    let program = paths::target().join("bench/bin/oracle");
    let mut command = Command::new("go");
    command
        .args(["build", "-trimpath", "-o"])
        .arg(&program)
        .arg(".")
        .current_dir(paths::root().join("tests/conformance/oracle"))
        .stdin(Stdio::null());
    quiet(command)?;
    Ok(program)
}

fn compare(chart: &Chart, dir: &Path, programs: &Programs, rounds: usize) -> Result<Outcome> {
    let step = Step::begin(chart.name);
    let [dir, ours, theirs, ours_again] =
        [dir, &programs.ours, &programs.theirs, &programs.ours_again].map(|it| it.to_string_lossy());
    let flags = [
        "rel",
        &dir,
        "--namespace=ns1",
        "--include-crds",
        &format!("--kube-version={KUBE_VERSION}"),
        &format!("--set={}", chart.set),
    ];
    let with_flags = |program: &[&'_ str]| -> Vec<String> {
        let words = program.iter().chain(&flags);
        words.map(|it| (*it).to_owned()).collect()
    };
    let [ours, theirs] = [with_flags(&[&ours]), with_flags(&[&theirs, "template"])];
    let [ours, theirs] = [&ours, &theirs].map(|it| it.iter().map(String::as_str).collect::<Vec<_>>());
    launch::ensure_same([&ours, &theirs])?;
    let [ours, theirs] = launch::compare([&ours, &theirs], [rounds, rounds])?;
    let mut command = Command::new(&*ours_again);
    command.arg(rounds.to_string()).args(flags);
    let [ours_again, theirs_again] = [
        times(&quiet(command)?)?,
        ask(&programs.oracle, &dir, chart.set, rounds)?,
    ];
    step.done(format_args!(
        "{} against {}, again {} against {}",
        shown(ours.wall),
        shown(theirs.wall),
        shown(ours_again[0]),
        shown(theirs_again[0])
    ));
    Ok(Outcome {
        name: chart.name,
        ours,
        theirs,
        again: [ours_again, theirs_again],
    })
}

/// Has Helm's engine render the chart.
fn ask(oracle: &Path, dir: &str, set: &str, rounds: usize) -> Result<[Duration; 2]> {
    let request = json!({
        "op": "helm.bench", "path": dir, "set": [set], "kubeVersion": KUBE_VERSION, "rounds": rounds,
    });
    let mut child = Command::new(oracle)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .context("cannot start the oracle")?;
    if let Some(mut stdin) = child.stdin.take() {
        writeln!(stdin, "{request}")?;
    }
    let output = child.wait_with_output()?;
    let answer: Value = serde_json::from_slice(&output.stdout).context("the oracle's answer")?;
    let output = answer
        .get("output")
        .with_context(|| format!("the oracle answers {answer}"))?;
    times(&output.to_string())
}

/// Reads how long templates alone, and values and templates take.
fn times(text: &str) -> Result<[Duration; 2]> {
    let times: Value = serde_json::from_str(text).with_context(|| format!("not JSON: {text}"))?;
    let time = |key: &str| {
        let nanos = times.get(key).and_then(Value::as_u64);
        nanos
            .map(Duration::from_nanos)
            .with_context(|| format!("no {key} in {text}"))
    };
    Ok([time("templates")?, time("render")?])
}

fn describe(outcomes: &[Outcome]) -> Result<String> {
    let mut text = String::from(INTRODUCTION);
    writeln!(text, "\n{}\n", report::measured()?)?;
    writeln!(
        text,
        "| chart | | ferro-helm | helm | |\n|---|---|---:|---:|---:|"
    )?;
    for it in outcomes {
        launch::rows(&mut text, it.name, &it.ours, Some(&it.theirs))?;
    }
    writeln!(
        text,
        "\n{IN_PROCESS}\n| chart | | ferro-helm | helm | |\n|---|---|---:|---:|---:|"
    )?;
    for it in outcomes {
        let [ours, theirs] = it.again;
        for ((label, ours), theirs) in ["templates", "values and templates"].iter().zip(ours).zip(theirs) {
            let ratio = theirs.as_secs_f64() / ours.as_secs_f64();
            writeln!(
                text,
                "| {} | {label} | **{}** | {} | {ratio:.1}× |",
                it.name,
                shown(ours),
                shown(theirs)
            )?;
        }
    }
    text.push_str("\n### Against the aims\n\n");
    for it in outcomes {
        aims(&mut text, it)?;
    }
    Ok(text)
}

/// Says of each aim that was set for a chart whether this run reached it.
fn aims(text: &mut String, it: &Outcome) -> Result<()> {
    let time = match it.name {
        "vault" => Some(10.0),
        "kube-prometheus-stack" => Some(5.0),
        _ => None,
    };
    let seconds = Duration::as_secs_f64;
    let [[ours_again, _], [theirs_again, _]] = it.again;
    let aims = [
        (time, "time", seconds(&it.theirs.wall) / seconds(&it.ours.wall)),
        (
            Some(5.0),
            "peak memory",
            it.theirs.peak_kib as f64 / it.ours.peak_kib as f64,
        ),
        (
            Some(10.0),
            "templates again",
            seconds(&theirs_again) / seconds(&ours_again),
        ),
    ];
    for (aim, what, ratio) in aims {
        let Some(aim) = aim else { continue };
        let verdict = if ratio >= aim { "reached" } else { "**missed**" };
        writeln!(text, "* {}, {what}: {ratio:.1}× of {aim:.0}×, {verdict}", it.name)?;
    }
    Ok(())
}
