//! What a person reads: data on standard output, progress on standard error.

use std::fmt::Display;
use std::io::{self, IsTerminal as _, Write as _};
use std::time::{Duration, Instant};

/// Writes a line to standard output. A reader that went away is no error.
pub fn line(text: impl Display) {
    drop(writeln!(io::stdout().lock(), "{text}"));
}

/// Writes a line to standard error.
pub fn note(text: impl Display) {
    drop(writeln!(io::stderr().lock(), "{text}"));
}

/// A duration as people read it: `840 ms`, `3.4 s`, `2 min 05 s`.
#[must_use]
pub fn elapsed(duration: Duration) -> String {
    let seconds = duration.as_secs_f64();
    if seconds < 0.995 {
        format!("{} ms", duration.as_millis())
    } else if duration.as_secs() < 60 {
        format!("{seconds:.1} s")
    } else {
        format!("{} min {:02} s", duration.as_secs() / 60, duration.as_secs() % 60)
    }
}

/// One line of progress: what is being done while it lasts, then a tick or a cross and the time it took.
#[derive(Debug)]
pub struct Step {
    text: String,
    start: Instant,
    live: bool,
}

impl Step {
    /// Says what begins now. On a terminal the line is replaced when it ends; elsewhere only the end is printed.
    pub fn begin(text: impl Into<String>) -> Self {
        let text = text.into();
        let live = io::stdout().is_terminal();
        if live {
            drop(write!(io::stdout().lock(), "  … {text}"));
            drop(io::stdout().flush());
        }
        Self {
            text,
            start: Instant::now(),
            live,
        }
    }

    /// Ends the step well; `detail` says what came out of it.
    pub fn done(self, detail: impl Display) {
        self.end(&green("✔"), &detail.to_string());
    }

    /// Ends the step badly.
    pub fn failed(self, detail: impl Display) {
        self.end(&red("✗"), &detail.to_string());
    }

    fn end(self, mark: &str, detail: &str) {
        let back = if self.live { "\r\x1b[K" } else { "" };
        let gap = if detail.is_empty() { "" } else { ": " };
        let took = dim(&elapsed(self.start.elapsed()));
        line(format_args!("{back}  {mark} {}{gap}{detail}  {took}", self.text));
    }
}

/// Bold where the terminal can.
#[must_use]
pub fn bold(text: &str) -> String {
    styled("1", text)
}

/// Dimmed where the terminal can.
#[must_use]
pub fn dim(text: &str) -> String {
    styled("2", text)
}

/// Green where the terminal can.
#[must_use]
pub fn green(text: &str) -> String {
    styled("32", text)
}

/// Red where the terminal can.
#[must_use]
pub fn red(text: &str) -> String {
    styled("31", text)
}

fn styled(code: &str, text: &str) -> String {
    let plain = std::env::var_os("NO_COLOR").is_some_and(|it| !it.is_empty()) || !io::stdout().is_terminal();
    if plain {
        text.to_owned()
    } else {
        format!("\x1b[{code}m{text}\x1b[0m")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elapsed_changes_unit_where_a_reader_would() {
        let cases = [
            (0, "0 ms"),
            (994, "994 ms"),
            (996, "1.0 s"),
            (59_900, "59.9 s"),
            (60_000, "1 min 00 s"),
            (125_000, "2 min 05 s"),
        ];
        for (milliseconds, expected) in cases {
            assert_eq!(elapsed(Duration::from_millis(milliseconds)), expected);
        }
    }
}
