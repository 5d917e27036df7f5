//! The Go programs of `tests/conformance`: references that our own code is compared with.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use crate::paths;

/// For the database of Gitea; the other programs know no such tags.
const TAGS: &str = "-tags=sqlite,sqlite_unlock_notify";

/// Where a program is built.
#[must_use]
pub fn program(name: &str) -> PathBuf {
    paths::root().join("target").join(name)
}

/// Builds the program of a folder in `tests/conformance`.
///
/// # Errors
/// When there is no Go, or the program does not compile.
pub fn build(name: &str) -> Result<PathBuf> {
    let program = program(name);
    let output = Command::new("go")
        .args([
            "build",
            "-mod=readonly",
            "-buildvcs=false",
            "-trimpath",
            "-ldflags=-s -w",
            TAGS,
            "-o",
        ])
        .arg(&program)
        .arg(".")
        // What is in C is that database, and takes half a minute to optimise.
        .env("CGO_CFLAGS", "-O0 -g0")
        .current_dir(paths::root().join("tests/conformance").join(name))
        .output()
        .with_context(|| format!("cannot start `go`: the {name} is a Go module, install Go 1.26 or later"))?;
    let told = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "the {name} does not compile: {told}");
    Ok(program)
}

/// Installs the storages that `ferro-bucket` is tested against, by the package clients of their languages. Nothing where these are not
/// there: the tests say then that they were skipped.
///
/// # Errors
/// When one cannot be installed.
pub fn storages() -> Result<Option<PathBuf>> {
    let is_there = |client: &&str| Command::new(client).arg("--version").output().is_ok();
    if !["npm", "python3"].iter().all(is_there) {
        return Ok(None);
    }
    let folder = program("storages");
    let output = Command::new("sh")
        .arg(paths::root().join("crates/ferro-bucket/tests/servers/install.sh"))
        .arg(&folder)
        .output()
        .context("cannot start a shell")?;
    let told = String::from_utf8_lossy(&output.stderr);
    ensure!(
        output.status.success(),
        "the storages cannot be installed: {told}"
    );
    Ok(Some(folder))
}
