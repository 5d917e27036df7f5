//! `make demo`: a commit on its way to a cluster, told step by step.

mod place;
mod story;

use std::env;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use anyhow::Result;
use xtask::process::Interrupt;
use xtask::term::{self, Step};

use super::programs::Profile;
use super::{Args, programs, unexpected};
use place::Place;
use story::Story;

pub(crate) fn run(mut args: Args) -> Result<ExitCode> {
    // Every CI system sets this variable.
    let mut is_ci = env::var_os("CI").is_some_and(|it| !it.is_empty() && it != "false");
    let mut bin = None;
    while let Some(arg) = args.word() {
        match arg.as_str() {
            "--ci" => is_ci = true,
            "--bin" => bin = Some(args.value::<PathBuf>("--bin")?),
            other => return unexpected(other),
        }
    }
    let interrupt = Interrupt::catch()?;
    match tell(is_ci, bin.as_deref(), &interrupt) {
        Err(_) if interrupt.is_set() => {
            term::line("\nInterrupted.");
            Ok(ExitCode::from(130))
        }
        Err(err) => Err(err),
        Ok(()) => Ok(ExitCode::SUCCESS),
    }
}

fn tell(is_ci: bool, bin: Option<&Path>, interrupt: &Interrupt) -> Result<()> {
    term::line(format_args!(
        "\n{}\n",
        term::bold("Ferroflux: from a commit to a cluster")
    ));
    let existing = env::var_os("KUBECONFIG").filter(|it| !it.is_empty() && !is_ci);
    if let Some(kubeconfig) = &existing
        && !place::agreed(kubeconfig)?
    {
        term::line("Nothing was changed. Without KUBECONFIG the demo makes a cluster of its own.");
        return Ok(());
    }
    let bin = step("build ferroflux and flux (minutes the first time)", || {
        programs::build(bin, Profile::Quick)
    })?;
    let place = match existing {
        Some(kubeconfig) => Place::existing(kubeconfig.into())?,
        None => step(
            "start a Kubernetes control plane (built first, minutes, the first time)",
            Place::new,
        )?,
    };
    let mut story = Story::begin(place, bin, interrupt.clone())?;
    let res = story.tell().and_then(|()| {
        if is_ci {
            Ok(())
        } else {
            linger(&mut story, interrupt)
        }
    });
    if let Err(err) = &res
        && !interrupt.is_set()
    {
        term::line(format_args!("\n  {} {err:#}", term::red("✗")));
        story.explain();
    }
    let cleaned = story.end();
    res.and(cleaned)
}

/// Leaves everything running for a person to play with.
fn linger(story: &mut Story, interrupt: &Interrupt) -> Result<()> {
    story.invite();
    while !interrupt.is_set() {
        story.check()?;
        thread::sleep(Duration::from_millis(100));
    }
    term::line("");
    Ok(())
}

/// Does one thing and says how long it took.
fn step<T>(text: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
    let step = Step::begin(text);
    match work() {
        Ok(value) => {
            step.done("");
            Ok(value)
        }
        Err(err) => {
            step.failed("");
            Err(err)
        }
    }
}
