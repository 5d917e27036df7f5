//! Where output goes: results to standard output, progress and errors to standard error.

use std::fmt::Arguments;
use std::io::{self, Write};

/// The two output streams of the program.
pub struct Terminal {
    out: Box<dyn Write + Send>,
    err: Box<dyn Write + Send>,
}

impl Terminal {
    /// Returns the streams of the process.
    #[must_use]
    pub fn standard() -> Self {
        Self::new(Box::new(io::stdout()), Box::new(io::stderr()))
    }

    /// Returns a terminal that writes elsewhere.
    #[must_use]
    pub fn new(out: Box<dyn Write + Send>, err: Box<dyn Write + Send>) -> Self {
        Self { out, err }
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
