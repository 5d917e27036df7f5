//! Where output goes: results to standard output, progress and errors to standard error.

use std::fmt::Arguments;
use std::io::{self, BufRead, Write};

/// Bytes of an answer that are looked at.
const LONGEST_ANSWER: u64 = 1024;

/// The streams of the program.
pub struct Terminal {
    out: Box<dyn Write + Send>,
    err: Box<dyn Write + Send>,
    answers: Box<dyn BufRead + Send>,
}

impl Terminal {
    /// Returns the streams of the process.
    #[must_use]
    pub fn standard() -> Self {
        let answers = Box::new(io::BufReader::new(io::stdin()));
        Self::new(Box::new(io::stdout()), Box::new(io::stderr())).with_answers(answers)
    }

    /// Returns a terminal that writes elsewhere, at which nobody answers.
    #[must_use]
    pub fn new(out: Box<dyn Write + Send>, err: Box<dyn Write + Send>) -> Self {
        Self {
            out,
            err,
            answers: Box::new(io::empty()),
        }
    }

    /// Returns the terminal with answers to what it asks.
    #[must_use]
    pub fn with_answers(self, answers: Box<dyn BufRead + Send>) -> Self {
        Self { answers, ..self }
    }

    /// Asks a question, and reports whether the answer is yes. No answer is none.
    pub fn confirm(&mut self, question: &str) -> bool {
        self.print(&format!("{question}? [y/N] "));
        let mut answer = String::new();
        let answered = io::Read::take(&mut self.answers, LONGEST_ANSWER).read_line(&mut answer);
        answered.is_ok() && ["y", "yes"].contains(&answer.trim().to_ascii_lowercase().as_str())
    }

    /// Prints a result.
    pub fn print(&mut self, text: &str) {
        // A reader that has gone away, such as `head`, is no reason to fail.
        self.out
            .write_all(text.as_bytes())
            .and_then(|()| self.out.flush())
            .unwrap_or_default();
    }

    /// Says what is being done.
    pub fn action(&mut self, text: Arguments<'_>) {
        self.line("►", text);
    }

    /// Says what is being made.
    pub fn generation(&mut self, text: Arguments<'_>) {
        self.line("✚", text);
    }

    /// Says what is being waited for.
    pub fn waiting(&mut self, text: Arguments<'_>) {
        self.line("◎", text);
    }

    /// Says what went well.
    pub fn success(&mut self, text: Arguments<'_>) {
        self.line("✔", text);
    }

    /// Says what went wrong.
    pub fn failure(&mut self, text: Arguments<'_>) {
        self.line("✗", text);
    }

    /// Says what may go wrong.
    pub fn warning(&mut self, text: Arguments<'_>) {
        self.line("⚠️", text);
    }

    fn line(&mut self, symbol: &str, text: Arguments<'_>) {
        writeln!(self.err, "{symbol} {text}").unwrap_or_default();
    }
}
