//! The last steps of an action, for the event that tells of its failure (`spec/helm.md` C.5).

use std::collections::VecDeque;
use std::fmt::Write as _;

use jiff::Timestamp;
use serde_json::Value;

/// How many lines are kept.
const CAPACITY: usize = 10;
/// The longest line that is kept: what a hook is called, or why it failed, is the chart's.
const MAX_LINE: usize = 1024;

/// The newest steps of an action; the same step several times in a row is one.
#[derive(Debug, Default)]
pub(crate) struct Log(VecDeque<Line>);

#[derive(Debug)]
struct Line {
    text: String,
    first: Timestamp,
    last: Timestamp,
    /// How often the step was repeated.
    repeats: u64,
}

impl Log {
    /// Notes a step with its details.
    pub(crate) fn note(&mut self, step: &str, details: &Value) {
        self.add(&format!("{step}: {details}"), Timestamp::now());
    }

    fn add(&mut self, text: &str, now: Timestamp) {
        let text: String = text.chars().take(MAX_LINE).collect();
        if let Some(newest) = self.0.back_mut().filter(|newest| newest.text == text) {
            newest.repeats += 1;
            newest.last = now;
            return;
        }
        if self.0.len() == CAPACITY {
            self.0.pop_front();
        }
        self.0.push_back(Line {
            text,
            first: now,
            last: now,
            repeats: 0,
        });
    }

    /// A message with what was noted behind it.
    pub(crate) fn behind(&self, message: &str) -> String {
        if self.0.is_empty() {
            return message.to_owned();
        }
        let mut told = format!("{message}\n\nLast Helm logs:\n");
        for Line {
            text,
            first,
            last,
            repeats,
        } in &self.0
        {
            _ = write!(told, "\n{first}: {text}");
            if *repeats > 0 {
                _ = write!(told, "\n{last}: {text}");
            }
            match repeats.saturating_sub(1) {
                0 => {}
                1 => told.push_str(" (1 duplicate line omitted)"),
                omitted => _ = write!(told, " ({omitted} duplicate lines omitted)"),
            }
        }
        told
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn log_keeps_the_newest_lines_and_counts_repeated_ones() {
        let mut log = Log::default();
        assert_eq!(log.behind("m"), "m");
        let at = |second: i64| Timestamp::from_second(second).unwrap();
        for second in 0..12 {
            log.add(&format!("line {second}"), at(second));
        }
        for second in 20..24 {
            log.add("waiting", at(second));
        }
        let told = log.behind("m");
        let lines: Vec<&str> = told.lines().collect();
        assert_eq!(lines[..4], ["m", "", "Last Helm logs:", ""]);
        assert_eq!(lines[4], "1970-01-01T00:00:03Z: line 3");
        assert_eq!(
            lines[13..],
            [
                "1970-01-01T00:00:20Z: waiting",
                "1970-01-01T00:00:23Z: waiting (2 duplicate lines omitted)"
            ]
        );
    }

    #[test]
    fn log_line_has_details_and_an_end() {
        let mut log = Log::default();
        log.note("running hook", &json!({ "name": "é".repeat(2000) }));
        let told = log.behind("");
        assert!(told.contains(": running hook: {\"name\":\"éé"), "{told}");
        assert!(told.chars().count() < MAX_LINE + 100);
    }
}
