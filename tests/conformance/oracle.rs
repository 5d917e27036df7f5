//! A client of the oracle (see `oracle/README.md`), included by the tests that compare with it.

use std::ffi::{OsStr, OsString};
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde_json::{Value, json};

/// A running oracle.
pub(crate) struct Oracle {
    program: OsString,
    process: Child,
    requests: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

/// What the reference said.
#[derive(Debug, PartialEq)]
pub(crate) enum Answer {
    /// Its output.
    Output(Value),
    /// Its error.
    Error(String),
    /// It crashed, and was started again if need be; there is nothing to compare with.
    Crash,
}

impl Oracle {
    /// Starts the program that `FERRO_ORACLE` names; says so and returns nothing when it is not set.
    pub(crate) fn start() -> Option<Self> {
        let Some(program) = std::env::var_os("FERRO_ORACLE") else {
            eprintln!("skipped: FERRO_ORACLE does not name a built oracle");
            return None;
        };
        Some(Self::run(&program))
    }

    fn run(program: &OsStr) -> Self {
        let mut process = Command::new(program)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start {}: {error}", program.display()));
        let requests = process.stdin.take();
        let answers = BufReader::new(process.stdout.take().expect("stdout is a pipe"));
        Self {
            program: program.to_owned(),
            process,
            requests,
            answers,
        }
    }

    /// Asks one question; `fields` is a JSON object.
    pub(crate) fn ask(&mut self, op: &str, mut fields: Value) -> Answer {
        fields["op"] = json!(op);
        let requests = self.requests.as_mut().expect("open until dropped");
        writeln!(requests, "{fields}").expect("the oracle reads");
        let mut line = String::new();
        self.answers.read_line(&mut line).expect("the oracle answers");
        if line.is_empty() {
            // Go cannot catch a stack that overflows.
            *self = Self::run(&self.program);
            return Answer::Crash;
        }
        let answer: Value = serde_json::from_str(&line).expect("the oracle answers in JSON");
        match (answer.get("panic"), answer.get("error").and_then(Value::as_str)) {
            (Some(Value::Bool(true)), _) => Answer::Crash,
            (_, Some(error)) => Answer::Error(error.to_owned()),
            _ => Answer::Output(answer.get("output").cloned().unwrap_or(Value::Null)),
        }
    }
}

impl Drop for Oracle {
    fn drop(&mut self) {
        // Closing its input ends it.
        self.requests = None;
        self.process.wait().expect("the oracle was started by us");
    }
}

/// How many random cases to compare: few by default, more when `FERRO_CASES` says so.
pub(crate) fn cases() -> u32 {
    std::env::var("FERRO_CASES")
        .ok()
        .and_then(|cases| cases.parse().ok())
        .unwrap_or(500)
}
