//! The commands, and the small language of their arguments.

mod bench;
mod checks;
mod ci;
mod cluster;
mod demo;
mod programs;

use std::collections::VecDeque;
use std::process::ExitCode;
use std::str::FromStr;

use anyhow::{Context as _, Result, bail};
use xtask::term;

const USAGE: &str = "\
cargo xtask COMMAND

  cluster build                     builds the control plane into target/cluster/bin
  cluster up [--name N] [--count K] [--nodes N] [--dir D]
                                    starts clusters in the background and prints their kubeconfigs
  cluster down [--name N | --all]   ends them
  cluster restart-apiserver [--name N]
  cluster run [--nodes N] -- CMD…   runs a command with KUBECONFIG set to a cluster of its own

  layers | tidy | licenses          checks that no compiler makes
  lint                              formatting, those checks, and clippy
  test                              unit, conformance and end-to-end tests, and the demo
  e2e [ARGS…]                       the end-to-end tests alone; arguments go to the test program
  ci                                lint and test
  demo [--ci] [--bin DIR]                  a commit on its way to a cluster; with --ci it ends by itself
  bench                             all benchmarks; writes docs/benchmarks.md
  bench cluster [--count N,M] [--phases P,Q] [--samples N] [--no-report] [--bin DIR]
                                    reconciling on a cluster
  bench kustomize [--max-objects N] [--no-report] [--tree DIR]
                                    kustomize builds; --tree only writes the tree that is built
  bench helm [--charts NAME,NAME] [--rounds N] [--no-report]
                                    renders of the corpus' charts
  bench helm-releases [--count N,M] [--workload NAME] [--no-report] [--bin DIR]
                                    HelmReleases on a cluster; --bin has source- and helm-controller
  bench sources [--count N] [--no-report] [--bin DIR]
                                    sources from a registry; --bin has source-controller
  bench repository [--mebibytes N] [--no-report] [--bin DIR]
                                    a large Git repository
  bench bucket [--objects N] [--no-report] [--bin DIR]
                                    a large bucket, of which little changes
  build                             release programs in target/release
";

pub(crate) fn run(args: &[String]) -> Result<ExitCode> {
    let mut args = Args::new(args);
    match args.word().as_deref() {
        Some("cluster") => cluster::run(args),
        Some(check) if checks::ALL.contains(&check) => checks::run(check).map(|()| ExitCode::SUCCESS),
        Some("lint") => Ok(ci::lint()),
        Some("test") => Ok(ci::test()),
        Some("e2e") => Ok(ci::end_to_end(&args.rest())),
        Some("build") => Ok(ci::build()),
        Some("demo") => demo::run(args),
        Some("bench") => bench::run(args),
        Some("ci") => Ok(ci::all()),
        None | Some("help" | "--help" | "-h") => {
            term::line(USAGE.trim_end());
            Ok(ExitCode::SUCCESS)
        }
        Some(other) => bail!("unknown command `{other}`\n\n{USAGE}"),
    }
}

/// The rest of a command line.
#[derive(Debug)]
pub(crate) struct Args(VecDeque<String>);

impl Args {
    fn new(args: &[String]) -> Self {
        // `--name=N` is `--name N`.
        let split = |arg: &String| match arg.split_once('=') {
            Some((name, value)) if name.starts_with("--") => vec![name.to_owned(), value.to_owned()],
            _ => vec![arg.clone()],
        };
        let own = args.iter().position(|it| it == "--").unwrap_or(args.len());
        let (own, rest) = args.split_at(own);
        Self(own.iter().flat_map(split).chain(rest.iter().cloned()).collect())
    }

    /// The next argument, which stays.
    pub(crate) fn first(&self) -> Option<&str> {
        self.0.front().map(String::as_str)
    }

    /// The next argument.
    pub(crate) fn word(&mut self) -> Option<String> {
        self.0.pop_front()
    }

    /// The value that follows a flag.
    pub(crate) fn value<T>(&mut self, flag: &str) -> Result<T>
    where
        T: FromStr,
        T::Err: std::error::Error + Send + Sync + 'static,
    {
        let text = self.word().with_context(|| format!("{flag} needs a value"))?;
        text.parse()
            .with_context(|| format!("{flag}: bad value `{text}`"))
    }

    /// All that is left.
    pub(crate) fn rest(self) -> Vec<String> {
        self.0.into()
    }
}

/// The error for an argument that a command does not know.
pub(crate) fn unexpected<T>(arg: &str) -> Result<T> {
    bail!("unexpected argument `{arg}`\n\n{USAGE}")
}
