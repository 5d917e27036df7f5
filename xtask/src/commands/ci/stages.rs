//! Stages in a row: a failure ends the row, and the end is a table of times and the count of tests.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Result;
use xtask::{paths, term};

use super::output::Tests;

#[derive(Debug, Default)]
pub(super) struct Stages {
    done: Vec<(&'static str, Duration)>,
    failed: Option<&'static str>,
    tests: Tests,
    has_tests: bool,
}

impl Stages {
    /// Runs a stage unless an earlier one failed. What it prints goes to the log.
    pub(super) fn run(&mut self, name: &'static str, stage: impl FnOnce(&Path) -> Result<()>) {
        if self.failed.is_some() {
            return;
        }
        term::line(format_args!("{} {name}", term::bold("==>")));
        let start = Instant::now();
        let res = log_file(name).and_then(|log| stage(&log));
        self.done.push((name, start.elapsed()));
        if let Err(err) = res {
            term::line(format_args!("{} {name}: {err:#}", term::red("✗")));
            self.failed = Some(name);
        }
    }

    /// Runs a stage whose tests are counted.
    pub(super) fn tests(&mut self, name: &'static str, stage: impl FnOnce(&Path, &mut Tests) -> Result<()>) {
        self.has_tests = true;
        let mut tests = Tests::default();
        self.run(name, |log| stage(log, &mut tests));
        self.tests += tests;
    }

    pub(super) fn finish(mut self) -> ExitCode {
        term::line("");
        for (name, time) in &self.done {
            term::line(format_args!("{:>14}  {name}", term::elapsed(*time)));
        }
        let total = self.done.iter().map(|(_, time)| *time).sum();
        term::line(format_args!("{:>14}  in all", term::elapsed(total)));
        if let Some(name) = self.failed {
            term::line(format_args!("failed: {name}"));
            // A stage may fail without any test having failed, for example because it does not compile.
            self.tests.failed = self.tests.failed.max(1);
        }
        if self.has_tests {
            let Tests {
                passed,
                failed,
                skipped,
            } = self.tests;
            term::line(format_args!(
                "{passed} passed, {failed} failed, {skipped} skipped"
            ));
        }
        if self.failed.is_some() {
            ExitCode::FAILURE
        } else {
            ExitCode::SUCCESS
        }
    }
}

fn log_file(stage: &str) -> Result<PathBuf> {
    let dir = paths::target().join("ci");
    fs::create_dir_all(&dir)?;
    Ok(dir.join(stage.replace(' ', "-")).with_extension("log"))
}
