//! Go programs of `tests/conformance` that cases run.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;
use std::sync::{Mutex, PoisonError};

use anyhow::{Result, anyhow};
use xtask::conformance;

type Built = Result<Option<PathBuf>, String>;

/// The program that `variable` names, or the one of this name, built once; nothing where one of the tools it `needs` is not there.
///
/// # Errors
/// When it does not compile.
pub(crate) fn program(name: &'static str, variable: &str, needs: &[&str]) -> Result<Option<PathBuf>> {
    // Held while it is built: others who want it wait.
    static BUILT: Mutex<BTreeMap<&str, Built>> = Mutex::new(BTreeMap::new());
    if let Some(program) = std::env::var_os(variable) {
        return Ok(Some(program.into()));
    }
    let is_missing = |tool: &&str| Command::new(tool).arg("--version").output().is_err();
    if needs.iter().any(is_missing) {
        return Ok(None);
    }
    let mut built = BUILT.lock().unwrap_or_else(PoisonError::into_inner);
    let build = || {
        conformance::build(name)
            .map(Some)
            .map_err(|error| format!("{error:#}"))
    };
    built
        .entry(name)
        .or_insert_with(build)
        .clone()
        .map_err(|error| anyhow!(error))
}
