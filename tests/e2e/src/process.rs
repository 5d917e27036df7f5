//! Programs that run and end.

use std::io::{Read, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, bail, ensure};

/// No program that a test runs takes so long, on the slowest machine.
const LIMIT: Duration = Duration::from_secs(180);

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
/// When it cannot be started, or does not end within [`LIMIT`]; it is killed then.
pub fn run(program: &Path, args: &[&str], env: &[(&str, &str)], input: &str) -> Result<Output> {
    let name = program
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    let what = format!("{name} {}", args.join(" "));
    let mut command = Command::new(program);
    command.args(args).envs(env.iter().copied());
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command
        .spawn()
        .with_context(|| format!("cannot start {}", program.display()))?;
    let (stdout, stderr) = (read(child.stdout.take()), read(child.stderr.take()));
    if let Some(mut stdin) = child.stdin.take() {
        // A program that does not read its input is no error.
        drop(stdin.write_all(input.as_bytes()));
    }
    let end = Instant::now() + LIMIT;
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        if Instant::now() > end {
            child.kill()?;
            child.wait()?;
            bail!("{what} had not ended after {LIMIT:?}");
        }
        thread::sleep(Duration::from_millis(5));
    };
    Ok(Output {
        code: status.code().unwrap_or(-1),
        stdout: text(stdout)?,
        stderr: text(stderr)?,
        what,
    })
}

/// Reads a stream beside the others, so that no pipe fills up.
fn read(stream: Option<impl Read + Send + 'static>) -> JoinHandle<Vec<u8>> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut stream) = stream {
            // What was read before an error is worth showing.
            drop(stream.read_to_end(&mut bytes));
        }
        bytes
    })
}

fn text(reader: JoinHandle<Vec<u8>>) -> Result<String> {
    let bytes = reader.join().map_err(|_| anyhow!("the reader panicked"))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
