//! Commands whose output is long and mostly dull: all of it goes to a file, and a person sees what matters.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{BufRead as _, BufReader, BufWriter, Write as _};
use std::ops::AddAssign;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};
use serde_json::Value;
use xtask::term;

/// How much of a failed command's output is shown.
const TAIL: usize = 150;
/// How many failed tests are told again at the end, and how much of what each says.
const RETOLD: usize = 5;
const RETOLD_LINES: usize = 4;

/// How many tests ended how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tests {
    pub passed: u64,
    pub failed: u64,
    pub skipped: u64,
}

impl AddAssign for Tests {
    fn add_assign(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
    }
}

/// Runs a command; if it fails, shows the end of what it printed.
pub(super) fn run(command: Command, log: &Path) -> Result<()> {
    let mut last = VecDeque::new();
    follow(command, log, |line| keep(&mut last, line)).inspect_err(|_| last.iter().for_each(term::line))
}

/// Runs `cargo test --no-run` with its messages as JSON; gives the test program of the package in this directory.
pub(super) fn run_for_test(command: Command, log: &Path, directory: &str) -> Result<Option<PathBuf>> {
    let (mut program, mut last) = (None, VecDeque::new());
    follow(command, log, |line| match serde_json::from_str::<Value>(line) {
        Ok(message) => program = test_program(&message, directory).or_else(|| program.take()),
        Err(_) => keep(&mut last, line),
    })
    .inspect_err(|_| last.iter().for_each(term::line))?;
    Ok(program)
}

fn test_program(message: &Value, directory: &str) -> Option<PathBuf> {
    let is_test = message.pointer("/target/kind/0")? == "test";
    let manifest = message.get("manifest_path")?.as_str()?;
    let is_it = is_test && Path::new(manifest).parent()?.ends_with(directory);
    is_it.then(|| message.get("executable")?.as_str().map(PathBuf::from))?
}

fn keep(last: &mut VecDeque<String>, line: &str) {
    last.push_back(line.to_owned());
    if TAIL < last.len() {
        last.pop_front();
    }
}

/// Runs `cargo test`: one line for each test program, and everything of those that fail.
pub(super) fn run_tests(command: Command, log: &Path, tests: &mut Tests) -> Result<()> {
    // A test program that is run without Cargo has no other title.
    let title = Path::new(command.get_program())
        .file_name()
        .map(|it| it.to_string_lossy().into_owned());
    let mut programs = Programs {
        title: title.unwrap_or_default(),
        ..Programs::default()
    };
    let res = follow(command, log, |line| {
        programs.add(line).iter().for_each(term::line);
    });
    programs.end().iter().for_each(term::line);
    *tests += programs.total;
    // Whoever sees only the end of a long log still learns what to look at.
    programs.failures.iter().take(RETOLD).for_each(|failure| {
        term::line(failure.name.as_str());
        failure.says.iter().for_each(term::line);
    });
    res
}

/// The output of `cargo test`, taken apart into that of each program.
#[derive(Debug, Default)]
struct Programs {
    total: Tests,
    title: String,
    current: Tests,
    lines: VecDeque<String>,
    has_result: bool,
    /// Tests that said why they do nothing. For the test program, which knows no other way, they have passed.
    notes: u64,
    /// Of all programs.
    failures: Vec<Failure>,
}

/// A failed test, with the beginning of what it says.
#[derive(Debug, Default, PartialEq, Eq)]
struct Failure {
    name: String,
    says: Vec<String>,
}

impl Programs {
    /// Takes a line; gives what a person should see when a program's output ends with it.
    fn add(&mut self, line: &str) -> Vec<String> {
        let text = line.trim_start();
        if text.starts_with("Running ") || text.starts_with("Doc-tests ") {
            let shown = self.end();
            text.clone_into(&mut self.title);
            return shown;
        }
        if let Some(tests) = result(line) {
            self.current += tests;
            self.has_result = true;
        }
        if is_note(line) {
            self.notes += 1;
        }
        self.lines.push_back(line.to_owned());
        if 20 * TAIL < self.lines.len() {
            self.lines.pop_front();
        }
        Vec::new()
    }

    fn end(&mut self) -> Vec<String> {
        let mut shown = Vec::new();
        self.current.passed = self.current.passed.saturating_sub(self.notes);
        self.current.skipped += self.notes;
        let Tests {
            passed,
            failed,
            skipped,
        } = self.current;
        let is_bad = 0 < failed || !self.has_result;
        if !self.title.is_empty() {
            shown.extend(self.lines.iter().filter(|it| is_bad || is_note(it)).cloned());
            if self.current != Tests::default() {
                shown.push(format!(
                    "{passed:>6} passed {failed:>3} failed {skipped:>3} skipped  {}",
                    self.title
                ));
            }
        }
        self.total += self.current;
        if is_bad {
            self.failures.extend(failures(self.lines.iter()));
        }
        *self = Self {
            total: self.total,
            failures: std::mem::take(&mut self.failures),
            ..Self::default()
        };
        shown
    }
}

/// Reads what stands under `---- name ----` in the part about failures; `--show-output` puts one about successes before it, and the
/// names alone stand at the end.
fn failures<'a>(lines: impl Iterator<Item = &'a String>) -> Vec<Failure> {
    let mut found: Vec<Failure> = Vec::new();
    let (mut is_about_failures, mut is_below_a_title) = (false, false);
    for line in lines {
        if line == "failures:" || line == "successes:" {
            is_about_failures = line == "failures:";
            is_below_a_title = false;
            continue;
        }
        let title = line.strip_prefix("---- ").and_then(|it| it.strip_suffix(" ----"));
        if let (true, Some(name)) = (is_about_failures, title) {
            is_below_a_title = true;
            found.push(Failure {
                name: name.to_owned(),
                says: Vec::new(),
            });
        } else if let (true, false, Some(failure)) = (is_below_a_title, line.is_empty(), found.last_mut())
            && failure.says.len() < RETOLD_LINES
        {
            failure.says.push(format!("    {line}"));
        }
    }
    found
}

/// Whether a test says why it does nothing; the start of the test's own line may stand before it.
fn is_note(line: &str) -> bool {
    let said = line.strip_prefix("test ").and_then(|it| it.split_once(" ... "));
    said.map_or(line, |(_, said)| said).starts_with("skipped:")
}

/// Reads `test result: ok. 3 passed; 0 failed; 1 ignored; …`.
fn result(line: &str) -> Option<Tests> {
    let counts = line.strip_prefix("test result: ")?.split_once(". ")?.1;
    let count = |name: &str| {
        let part = counts
            .split("; ")
            .find_map(|it| it.trim_end().strip_suffix(name))?;
        part.trim().parse().ok()
    };
    Some(Tests {
        passed: count("passed")?,
        failed: count("failed")?,
        skipped: count("ignored")?,
    })
}

fn follow(mut command: Command, log: &Path, mut see: impl FnMut(&str)) -> Result<()> {
    // One pipe for both, or the titles of the test programs would not stand before their results.
    let (reader, writer) = std::io::pipe()?;
    let mut child = command
        .stdin(Stdio::null())
        .stdout(writer.try_clone()?)
        .stderr(writer)
        .spawn()
        .with_context(|| format!("cannot start {}", command.get_program().display()))?;
    // The command keeps copies of the pipe's end, which would keep the reading from ending.
    let shown = format!("{command:?}");
    drop(command);
    let mut file =
        BufWriter::new(File::create(log).with_context(|| format!("cannot write {}", log.display()))?);
    let mut reader = BufReader::new(reader);
    let mut line = Vec::new();
    while 0 < reader.read_until(b'\n', &mut line)? {
        file.write_all(&line)?;
        see(String::from_utf8_lossy(&line).trim_end());
        line.clear();
    }
    file.flush()?;
    let status = child.wait()?;
    if status.success() {
        return Ok(());
    }
    bail!("{shown} failed ({status}); its output is in {}", log.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_summed_over_programs_and_skips_are_no_passes() {
        let output = [
            "   Compiling a v0.1.0",
            "     Running unittests src/lib.rs (target/a)",
            "test a ... ok",
            "skipped: no reference here",
            "test b ... skipped: nor here",
            "test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.1s",
            "   Doc-tests a",
            "why it failed",
            "test result: FAILED. 0 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.1s",
        ];
        let mut programs = Programs::default();
        let mut shown: Vec<String> = output.iter().flat_map(|it| programs.add(it)).collect();
        shown.extend(programs.end());
        assert_eq!(
            programs.total,
            Tests {
                passed: 1,
                failed: 2,
                skipped: 3
            }
        );
        assert_eq!(shown[0], "skipped: no reference here");
        assert_eq!(shown[3], "why it failed");
        assert_eq!(shown.len(), 6, "{shown:?}");
    }

    #[test]
    fn failures_are_told_with_the_beginning_of_their_output() {
        let output = [
            "successes:",
            "---- good stdout ----",
            "skipped: no reference here",
            "successes:",
            "    good",
            "failures:",
            "",
            "---- cli::bad ----",
            "the reason",
            "",
            "---- worse stdout ----",
            "1",
            "2",
            "3",
            "4",
            "5",
            "failures:",
            "    cli::bad",
            "    worse",
        ];
        let lines: Vec<String> = output.iter().map(|&it| it.to_owned()).collect();
        let found = failures(lines.iter());
        let told: Vec<_> = found.iter().map(|it| (it.name.as_str(), it.says.len())).collect();
        assert_eq!(told, [("cli::bad", 1), ("worse stdout", RETOLD_LINES)]);
        assert_eq!(found[0].says, ["    the reason"]);
    }

    #[test]
    fn follow_sees_both_streams_in_order() {
        let dir = xtask::paths::temporary("output").unwrap();
        let mut command = Command::new("/bin/sh");
        command.args(["-c", "echo one; echo two >&2; echo three; exit 3"]);
        let mut lines = Vec::new();
        let res = follow(command, &dir.join("log"), |it| lines.push(it.to_owned()));
        assert_eq!(lines, ["one", "two", "three"]);
        assert!(res.is_err());
        assert_eq!(
            std::fs::read_to_string(dir.join("log")).unwrap(),
            "one\ntwo\nthree\n"
        );
        std::fs::remove_dir_all(dir).unwrap();
    }
}
