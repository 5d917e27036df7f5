//! Plain scalars.

use std::borrow::Cow;

use super::super::token::{Data, Kind, Token};
use super::Scanner;
use super::cursor::Stops;
use crate::{Result, ScalarStyle};

/// The text of a scalar, borrowed as long as it stands in the source as it is.
pub(super) struct Content<'a> {
    text: Cow<'a, str>,
}

impl<'a> Content<'a> {
    pub(super) fn new() -> Self {
        Self {
            text: Cow::Borrowed(""),
        }
    }

    pub(super) fn push_str(&mut self, more: &'a str) {
        if self.text.is_empty() {
            self.text = Cow::Borrowed(more);
        } else {
            self.text.to_mut().push_str(more);
        }
    }

    pub(super) fn push(&mut self, c: char) {
        self.text.to_mut().push(c);
    }

    pub(super) fn finish(self) -> Cow<'a, str> {
        self.text
    }
}

/// Line breaks inside a scalar that is written over several lines.
#[derive(Default)]
pub(super) struct Folds {
    first: Option<char>,
    others: String,
}

impl Folds {
    pub(super) fn push(&mut self, line_break: Option<char>, is_first: bool) {
        if is_first {
            self.first = line_break;
        } else {
            self.others.extend(line_break);
        }
    }

    /// One break is a blank, and of several the first is dropped; the breaks of Unicode are all kept.
    pub(super) fn join(&mut self, content: &mut Content<'_>) {
        match self.first.take() {
            Some('\n') if self.others.is_empty() => content.push(' '),
            Some('\n') | None => {}
            Some(other) => content.push(other),
        }
        self.others.drain(..).for_each(|c| content.push(c));
    }
}

impl<'a> Scanner<'a> {
    pub(super) fn scan_plain(&mut self) -> Result<Token<'a>> {
        let start = self.cursor.mark();
        let indent = self.indent + 1;
        let stops = if self.flow_level > 0 {
            Stops::PLAIN_IN_FLOW
        } else {
            Stops::PLAIN
        };
        let mut content = Content::new();
        let mut folds = Folds::default();
        let mut on_new_line = false;
        let mut from = self.cursor.offset();
        let mut to = from;
        loop {
            self.cursor.need(4)?;
            if self.cursor.is_document_indicator() || self.cursor.at(0) == b'#' {
                break;
            }
            let word = self.cursor.offset();
            if self.skip_plain_words(stops)? {
                if on_new_line {
                    content.push_str(self.cursor.slice(from, to));
                    folds.join(&mut content);
                    on_new_line = false;
                    from = word;
                }
                to = self.cursor.offset();
            }
            if !self.cursor.is_blank(0) && !self.cursor.is_break(0) {
                break;
            }
            self.cursor.need(1)?;
            loop {
                if self.cursor.is_blank(0) {
                    let is_tab = self.cursor.at(0) == b'\t';
                    if on_new_line && i64::from(self.cursor.column()) < indent && is_tab {
                        let problem = "found a tab character that violates indentation";
                        return Err(self.error(start, problem));
                    }
                    self.cursor.skip();
                } else if self.cursor.is_break(0) {
                    self.cursor.need(2)?;
                    folds.push(self.cursor.read_break(), !on_new_line);
                    on_new_line = true;
                } else {
                    break;
                }
                self.cursor.need(1)?;
            }
            if self.flow_level == 0 && i64::from(self.cursor.column()) < indent {
                break;
            }
        }
        if on_new_line {
            self.simple_key_allowed = true;
        }
        content.push_str(self.cursor.slice(from, to));
        let data = Data::Scalar(content.finish(), ScalarStyle::Plain);
        Ok(Token::with(Kind::Scalar, start, data))
    }

    /// Steps over a word, and those behind it that single blanks separate. Tells whether there was one.
    fn skip_plain_words(&mut self, stops: Stops) -> Result<bool> {
        let start = self.cursor.offset();
        loop {
            let is_inner_colon = self.cursor.at(0) == b':' && !self.cursor.is_space_or_end(1);
            if !self.cursor.run(stops) {
                if !is_inner_colon && !self.cursor.is_between_words(stops) {
                    break;
                }
                self.cursor.skip();
            }
            self.cursor.need(2)?;
        }
        Ok(self.cursor.offset() > start)
    }
}
