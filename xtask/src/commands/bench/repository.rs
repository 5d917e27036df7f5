//! `make bench repository`: a large Git repository, fetched at depth one, stored and served, beside `git clone --depth 1`.

use std::fmt::Write as _;
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use serde_json::json;
use xtask::api::Api;
use xtask::cluster::{Cluster, Options};
use xtask::gitserver::{GitServer, Repository};
use xtask::process;
use xtask::term::{self, Step};

use super::super::programs::{self, Profile};
use super::super::{Args, unexpected};
use super::launch::{self, Cost};
use super::measure::{Meter, Usage};
use super::state::Observer;
use super::{document, driver, report};

const COLLECTION: &str = "/apis/source.toolkit.fluxcd.io/v1/namespaces/bench/gitrepositories";
const FILE: usize = 256 << 10;

const INTRODUCTION: &str = "\
## A large repository

A Git repository on the same machine, whose files hardly compress, served by `git http-backend`.
`git clone --depth 1` leaves its files in a folder; source-controller, with `--concurrent=4`, has them packed, compressed, stored and served as an artifact, which is what is waited for.

* **fetched**: from the request that creates the GitRepository until it is ready.
";

pub(super) fn run(mut args: Args) -> Result<ExitCode> {
    let (mut mebibytes, mut writes, mut bin) = (1024_usize, true, None::<PathBuf>);
    while let Some(arg) = args.word() {
        match arg.as_str() {
            "--mebibytes" => mebibytes = args.value("--mebibytes")?,
            "--bin" => bin = Some(args.value("--bin")?),
            "--no-report" => writes = false,
            other => return unexpected(other),
        }
    }
    ensure!((1..=4096).contains(&mebibytes), "--mebibytes: from 1 to 4096");
    process::end_on_signals()?;
    let bin = programs::build(bin.as_deref(), Profile::Release)?;
    term::line(format_args!(
        "\n{}",
        term::bold(&format!("a repository of {mebibytes} MiB"))
    ));
    let step = Step::begin("prepare a cluster and a repository");
    let options = Options {
        name: "bench".to_owned(),
        nodes: 0,
        ..Options::default()
    };
    let cluster = Cluster::start(&options)?;
    let server = GitServer::start(&cluster.dir().join("git"))?;
    let repository = server.create("large")?;
    fill(&repository, mebibytes)?;
    step.done("");

    let step = Step::begin("git clone --depth 1");
    let clone = cluster.dir().join("clone");
    let theirs = launch::run(&[
        "git",
        "clone",
        "--quiet",
        "--depth=1",
        repository.url(),
        &clone.to_string_lossy(),
    ])?;
    process::remove_dir(&clone);
    step.done(launch::shown(theirs.wall));

    let (fetched, usage) = fetch(&cluster, &repository, &bin)?;
    let text = written(mebibytes, (fetched, &usage), theirs)?;
    if writes && mebibytes == 1024 {
        document::replace("repository", &text)?;
    } else {
        term::line(format_args!("\n{text}"));
    }
    Ok(ExitCode::SUCCESS)
}

/// Commits files of text that hardly compresses: its 64 letters are as good as random.
fn fill(repository: &Repository, mebibytes: usize) -> Result<()> {
    let mut child = Command::new("git")
        .arg("--git-dir")
        .arg(repository.git_dir())
        .args(["fast-import", "--quiet"])
        .stdin(Stdio::piped())
        .spawn()
        .context("cannot start git fast-import")?;
    let stdin = child.stdin.take().context("git fast-import takes no input")?;
    let mut input = BufWriter::with_capacity(1 << 20, stdin);
    input.write_all(
        b"commit refs/heads/main\ncommitter Bench <bench@example.com> 1700000000 +0000\ndata 5\nlarge\n",
    )?;
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    for index in 0..mebibytes * (1 << 20) / FILE {
        let text: Vec<u8> = (0..FILE)
            .map(|_| {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                b'0' + (state >> 58) as u8
            })
            .collect();
        write!(
            input,
            "M 100644 inline files/{:02}/{index}.txt\ndata {FILE}\n",
            index % 64
        )?;
        input.write_all(&text)?;
        input.write_all(b"\n")?;
    }
    drop(input);
    ensure!(child.wait()?.success(), "git fast-import failed");
    Ok(())
}

/// Has source-controller fetch the repository.
fn fetch(cluster: &Cluster, repository: &Repository, bin: &Path) -> Result<(Duration, Usage)> {
    let step = Step::begin("fetched");
    let api = Arc::new(Api::start(cluster.kubectl(), cluster.nursery(), cluster.dir())?);
    driver::prepare(cluster, &api)?;
    let observer = Observer::start(Arc::clone(&api), COLLECTION.to_owned());
    let controller = driver::source_controller(cluster, bin, 4)?;
    let mut meter = Meter::new(vec![controller], cluster)?;
    meter.begin_phase()?;
    let start = Instant::now();
    let spec =
        json!({"interval": "1h", "timeout": "10m", "url": repository.url(), "ref": {"branch": "main"}});
    let object = json!({
        "apiVersion": "source.toolkit.fluxcd.io/v1", "kind": "GitRepository",
        "metadata": {"name": "large", "namespace": "bench"}, "spec": spec,
    });
    api.create(COLLECTION, &object)?;
    let is_done = |all: &std::collections::BTreeMap<String, super::state::Entry>| {
        !all.is_empty() && all.values().all(|it| it.is_ready)
    };
    let done = observer.wait(driver::LIMIT, is_done, || meter.check());
    let fetched = done
        .inspect_err(|_| term::line(meter.logs()))?
        .duration_since(start);
    step.done(format_args!(
        "{:.2} s, {}",
        fetched.as_secs_f64(),
        meter.phase_cost()?
    ));
    let usage = meter.usage()?.into_iter().find(|it| it.is_ours);
    Ok((fetched, usage.unwrap_or_default()))
}

fn written(mebibytes: usize, (fetched, usage): (Duration, &Usage), theirs: Cost) -> Result<String> {
    let mut text = String::from(INTRODUCTION);
    writeln!(text, "\n{}", report::measured()?)?;
    writeln!(text, "\n| {mebibytes} MiB | source-controller | git clone | |")?;
    writeln!(text, "|---|---:|---:|---:|")?;
    let (ours, clone) = (fetched.as_secs_f64(), theirs.wall.as_secs_f64());
    writeln!(
        text,
        "| fetched | **{ours:.2} s** | {clone:.2} s | {:.2} of it (≤ 1.2) |",
        ours / clone
    )?;
    writeln!(
        text,
        "| CPU | **{:.2} s** | {:.2} s | |",
        usage.cpu,
        theirs.cpu.as_secs_f64()
    )?;
    let peak = theirs.peak_kib as f64 / 1024.0;
    writeln!(
        text,
        "| peak memory | **{:.1} MiB** | {peak:.1} MiB | (≤ 100 MiB) |",
        usage.peak_mib
    )?;
    Ok(text)
}
