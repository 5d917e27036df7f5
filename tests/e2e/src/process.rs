//! Programs that run and end.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};

/// What a program printed and how it ended.
#[derive(Clone, Debug)]
pub struct Output {
    /// The exit code, or -1 if a signal ended it.
    pub code: i32,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
    what: String,
}

impl Output {
    /// The output itself if the program was successful.
    ///
    /// # Errors
    /// When it was not; the error has its standard error.
    pub fn success(self) -> Result<Self> {
        ensure!(
            self.code == 0,
            "{} exited with {}: {}",
            self.what,
            self.code,
            self.stderr.trim()
        );
        Ok(self)
    }
}

/// Runs a program to its end with `input` as standard input.
///
/// # Errors
/// When it cannot be started.
pub fn run(program: &Path, args: &[&str], env: &[(&str, &str)], input: &str) -> Result<Output> {
    let name = program
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    let mut command = Command::new(program);
    command.args(args).envs(env.iter().copied());
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command
        .spawn()
        .with_context(|| format!("cannot start {}", program.display()))?;
    if let Some(mut stdin) = child.stdin.take() {
        // A program that does not read its input is no error.
        drop(stdin.write_all(input.as_bytes()));
    }
    let output = child.wait_with_output()?;
    Ok(Output {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        what: format!("{name} {}", args.join(" ")),
    })
}
