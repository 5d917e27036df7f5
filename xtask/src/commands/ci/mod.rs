//! The stages of CI, each of which can run alone.

mod output;
mod stages;

use std::process::{Command, ExitCode};
use std::thread;

use anyhow::{Context as _, Result};
use xtask::cluster::build;
use xtask::{conformance, paths};

use super::programs::Profile;
use super::{checks, programs};
use output::Tests;
use stages::Stages;

/// What released programs do not have, and tests are for nevertheless.
const OPTIONAL: &str = "--features=ferro-runtime/profile";

/// Formatting, the rules of the house, clippy.
pub(crate) fn lint() -> ExitCode {
    let mut stages = Stages::default();
    lint_stages(&mut stages);
    stages.finish()
}

/// Unit, conformance and end-to-end tests, and the demo.
pub(crate) fn test() -> ExitCode {
    let mut stages = Stages::default();
    test_stages(&mut stages);
    stages.finish()
}

/// Everything that must pass before a merge.
pub(crate) fn all() -> ExitCode {
    let mut stages = Stages::default();
    lint_stages(&mut stages);
    test_stages(&mut stages);
    stages.finish()
}

/// The end-to-end tests alone, or those that the arguments choose.
pub(crate) fn end_to_end(args: &[String]) -> ExitCode {
    let mut stages = Stages::default();
    stages.run("control plane", |_| build::build().map(drop));
    stages.run("build", |log| {
        output::run(programs::build_command(Profile::Quick), log)
    });
    stages.run("end to end", |log| {
        let mut command = for_end_to_end(cargo(&["test", "--package=e2e", "--locked", "--"]));
        command.args(args);
        output::run(command, log)
    });
    stages.finish()
}

/// The release programs.
pub(crate) fn build() -> ExitCode {
    let mut stages = Stages::default();
    stages.run("release build", |log| {
        output::run(programs::build_command(Profile::Release), log)
    });
    stages.finish()
}

fn lint_stages(stages: &mut Stages) {
    stages.run("fetch", |log| output::run(cargo(&["fetch", "--locked"]), log));
    stages.run("format", |log| {
        output::run(cargo(&["fmt", "--all", "--check"]), log)
    });
    for check in checks::ALL {
        stages.run(check, |_| checks::run(check));
    }
    stages.run("clippy", |log| {
        let args = [
            "clippy",
            "--workspace",
            "--all-targets",
            OPTIONAL,
            "--locked",
            "--",
            "--deny=warnings",
        ];
        output::run(cargo(&args), log)
    });
}

fn test_stages(stages: &mut Stages) {
    // Beside the compilation, which leaves a core idle whenever it links or waits for one large crate.
    let servers = thread::spawn(|| {
        build::build()?;
        conformance::build("registry")?;
        conformance::build("gitea").map(drop)
    });
    let references = thread::spawn(|| {
        conformance::build("oracle")?;
        conformance::build("signer")?;
        conformance::storages()
    });

    // The end-to-end tests are compiled with the rest, because Cargo would compile their dependencies anew for them alone.
    let mut end_to_end = None;
    stages.run("compile tests", |log| {
        let args = [
            "test",
            "--workspace",
            OPTIONAL,
            "--locked",
            "--no-run",
            "--message-format=json-render-diagnostics",
        ];
        end_to_end = output::run_for_test(cargo(&args), log, "tests/e2e")?;
        Ok(())
    });
    let mut storages = None;
    stages.run("oracle, signer and storages", |_| {
        storages = join(references)?;
        Ok(())
    });
    stages.tests("tests", |log, tests| {
        let args = [
            "test",
            "--workspace",
            "--exclude=e2e",
            OPTIONAL,
            "--locked",
            "--no-fail-fast",
            "--",
            "--show-output",
        ];
        let mut command = cargo(&args);
        command
            .env("FERRO_ORACLE", conformance::program("oracle"))
            .env("FERRO_SIGNER", conformance::program("signer"));
        if let Some(storages) = &storages {
            command.env("FERRO_STORAGE_SERVERS", storages);
        }
        // The same questions in every run: a new one belongs to a search for faults, not in the way of a merge.
        command.env("PROPTEST_RNG_SEED", "20260101");
        output::run_tests(command, log, tests)
    });
    stages.run("build", |log| {
        output::run(programs::build_command(Profile::Quick), log)
    });
    stages.run("control plane and servers", |_| join(servers));
    stages.tests("end to end", |log, tests| {
        let program = end_to_end.context("no program of the end-to-end tests was compiled")?;
        let mut command = Command::new(program);
        command.current_dir(paths::root().join("tests/e2e"));
        let mut command = for_end_to_end(command);
        command
            .env("FERRO_SIGNER", conformance::program("signer"))
            .env("FERRO_GITEA", conformance::program("gitea"))
            .env("FERRO_REGISTRY", conformance::program("registry"));
        output::run_tests(command, log, tests)
    });
    stages.tests("demo", |log, tests| {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["demo", "--ci"]);
        output::run(command, log)?;
        *tests += Tests {
            passed: 1,
            ..Tests::default()
        };
        Ok(())
    });
}

fn join<T>(thread: thread::JoinHandle<Result<T>>) -> Result<T> {
    thread.join().map_err(|_| anyhow::anyhow!("a build panicked"))?
}

fn cargo(args: &[&str]) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(args).current_dir(paths::root());
    // Nothing is compiled twice here, so that what a second compilation would need is only written.
    command
        .env("CARGO_INCREMENTAL", "0")
        .env("CARGO_TERM_PROGRESS_WHEN", "never");
    command
}

/// What the end-to-end tests must know: where the programs are, and that nothing may be missing.
fn for_end_to_end(mut command: Command) -> Command {
    command
        .env("FERRO_E2E_REQUIRED", "1")
        .env("FERRO_E2E_BIN", Profile::Quick.dir());
    command
}
