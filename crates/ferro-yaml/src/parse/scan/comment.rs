//! Comments, and to which token each belongs.
//!
//! go-yaml v3 tells three places: before a node (head), behind it on its line (line), and after it (foot).
//! A comment belongs to the first token that starts at or after `token_index`; the parser collects those up
//! to the token that it looks at. Nothing here is more than go-yaml's habits, which callers see in output.

use std::borrow::Cow;

use super::super::token::{Kind, Mark};
use super::Scanner;
use super::cursor::Stops;
use crate::Result;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::parse) enum Place {
    Head,
    Line,
    Foot,
}

#[derive(Clone, Debug)]
pub(in crate::parse) struct Comment<'a> {
    pub(in crate::parse) place: Place,
    pub(in crate::parse) text: Cow<'a, str>,
    pub(super) token_index: i64,
    /// Where the search for the next token started that found it.
    scan_index: i64,
    start: Mark,
    end_index: i64,
}

/// How far go-yaml looks ahead for a comment.
const LOOKAHEAD: usize = 512;

/// Comment lines that are being put together.
struct Lines<'a> {
    text: Cow<'a, str>,
    start: Mark,
    token_index: i64,
    scan_index: i64,
    keeps_text: bool,
}

impl<'a> Lines<'a> {
    fn push(&mut self, more: &'a str) {
        if self.text.is_empty() {
            self.text = Cow::Borrowed(more);
        } else if self.keeps_text {
            self.text.to_mut().push_str(more);
        }
    }

    fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    /// Ends a foot comment; further lines belong to what comes at `index`.
    fn cut_foot(&mut self, index: i64) -> Comment<'a> {
        let comment = self.comment(Place::Foot, self.token_index, index);
        self.scan_index = index;
        self.token_index = index;
        comment
    }

    fn comment(&mut self, place: Place, token_index: i64, end_index: i64) -> Comment<'a> {
        Comment {
            place,
            text: std::mem::take(&mut self.text),
            token_index,
            scan_index: self.scan_index,
            start: self.start,
            end_index,
        }
    }
}

impl<'a> Scanner<'a> {
    /// Returns to which token a comment on the line of the coming token belongs: before a `:` or a `,` it
    /// is the one before.
    pub(super) fn line_comment_index(&self, first: u8) -> i64 {
        let separator = if self.flow_level == 0 { b':' } else { b',' };
        match self.tokens.back().filter(|_| first == separator) {
            Some(token) => token.start.index,
            None => self.cursor.index(),
        }
    }

    /// Reads the comment behind a token, if there is one on its line.
    pub(super) fn scan_line_comment(&mut self, token_index: i64) -> Result<()> {
        if self.cursor.newlines > 0 {
            return Ok(());
        }
        let mut ahead = 0;
        while ahead < LOOKAHEAD && self.can_see(ahead) && self.cursor.is_blank(ahead) {
            ahead += 1;
        }
        if ahead >= LOOKAHEAD || self.late_error.is_some() || self.cursor.at(ahead) != b'#' {
            return Ok(());
        }
        self.cursor.skip_many(ahead);
        let start = self.cursor.mark();
        let text = self.rest_of_line()?;
        self.comments.push_back(Comment {
            place: Place::Line,
            text: Cow::Borrowed(text),
            token_index,
            scan_index: 0,
            start,
            end_index: 0,
        });
        Ok(())
    }

    /// Asks for the character `ahead`; what is wrong there is told when the next event is due.
    fn can_see(&mut self, ahead: usize) -> bool {
        match self.cursor.need(ahead + 1) {
            Ok(()) => true,
            Err(error) => {
                self.postpone(error);
                false
            }
        }
    }

    fn rest_of_line(&mut self) -> Result<&'a str> {
        let start = self.cursor.offset();
        self.cursor.skip_ascii_line();
        self.cursor.need(1)?;
        while self.cursor.run(Stops::LINE) {
            self.cursor.need(1)?;
        }
        Ok(self.cursor.slice(start, self.cursor.offset()))
    }

    /// Makes the comment behind the first `-` of a sequence one before what follows.
    pub(super) fn turn_line_comment_to_head(&mut self) {
        let line = self.cursor.line();
        let mark = self.cursor.index();
        let Some(comment) = self
            .comments
            .back_mut()
            .filter(|comment| comment.place == Place::Line)
        else {
            return;
        };
        let mut last = self.tokens.iter().rev().map(|token| token.kind);
        let after_entry =
            last.next() == Some(Kind::BlockEntry) && last.next() == Some(Kind::BlockSequenceStart);
        if after_entry && !self.cursor.is_break(0) {
            comment.place = Place::Head;
            if comment.start.line + 1 == line {
                comment.token_index = mark;
            }
        }
    }

    /// Reads the comment that starts here. v3 reads those on the following lines, too.
    pub(super) fn scan_comments(&mut self, scan_start: Mark) -> Result<()> {
        if self.is_v3() {
            return self.scan_comment_lines(scan_start);
        }
        self.rest_of_line()?;
        Ok(())
    }

    fn scan_comment_lines(&mut self, scan_start: Mark) -> Result<()> {
        let (prior_kind, prior_index) = self.token_before_comment();
        let indent = self.indent.max(0);
        let foot_line = self.foot_line(scan_start);
        let mut first_empty = self.cursor.newlines <= 1;
        let mut recent_empty = false;
        let mut line = self.cursor.line();
        let mut column = self.cursor.column();
        let mut lines = Lines {
            text: Cow::Borrowed(""),
            start: Mark::default(),
            token_index: prior_index,
            scan_index: scan_start.index,
            keeps_text: self.keeps_comments,
        };
        let mut ahead = 0;
        while ahead < LOOKAHEAD && self.can_see(ahead) {
            column += 1;
            if self.cursor.is_blank(ahead) {
                ahead += 1;
                continue;
            }
            let here = self.cursor.index() + i64::try_from(ahead).unwrap_or(0);
            let closes_flow = self.flow_level > 0 && matches!(self.cursor.at(ahead), b']' | b'}');
            let is_dedented = i64::from(lines.start.column) - 1 < indent;
            if closes_flow || self.cursor.is_break_or_end(ahead) {
                let is_foot = closes_flow
                    || first_empty
                        && (i64::from(lines.start.line) == foot_line && prior_kind != Kind::Value
                            || is_dedented);
                if lines.is_empty() || (recent_empty && !closes_flow) {
                    // Nothing to end, or ended already.
                } else if is_foot {
                    if is_dedented {
                        lines.token_index = lines.start.index;
                    }
                    let foot = lines.cut_foot(here);
                    self.comments.push_back(foot);
                } else if self.cursor.at(ahead) != 0 {
                    lines.push("\n");
                }
                if !self.cursor.is_break(ahead) {
                    break;
                }
                first_empty = false;
                recent_empty = true;
                column = 0;
                line += 1;
                ahead += 1;
                continue;
            }
            let is_left_of_block = i64::from(column) - 1 < indent && column != lines.start.column;
            if !lines.is_empty() && is_left_of_block {
                let foot = lines.cut_foot(here);
                self.comments.push_back(foot);
            }
            if self.cursor.at(ahead) != b'#' {
                break;
            }
            if lines.is_empty() {
                lines.start = Mark {
                    index: here,
                    line,
                    column,
                };
            } else {
                lines.push("\n");
            }
            recent_empty = false;
            lines.push(self.comment_text(here)?);
            line = self.cursor.line();
            column = 0;
            // go-yaml starts over at one, and so does not see what ends the line.
            ahead = 1;
        }
        if !lines.is_empty() {
            let end = self.cursor.index() + i64::try_from(ahead).unwrap_or(0) - 1;
            let head = lines.comment(Place::Head, lines.start.index, end);
            self.comments.push_back(head);
        }
        Ok(())
    }

    fn token_before_comment(&self) -> (Kind, i64) {
        let mut last = self.tokens.iter().rev();
        let token = match last.next() {
            Some(entry) if entry.kind == Kind::FlowEntry => last.next().or(Some(entry)),
            token => token,
        };
        token.map_or((Kind::StreamStart, 0), |token| (token.kind, token.start.index))
    }

    /// Returns the line where a comment is still one after what stands before: the next one, unless the
    /// space before it started at the first line.
    fn foot_line(&self, scan_start: Mark) -> i64 {
        if scan_start.line == 0 {
            return -1;
        }
        let newlines = self.cursor.newlines;
        let line = i64::from(self.cursor.line()) - i64::from(newlines) + 1;
        line + i64::from(newlines == 0 && self.cursor.column() > 1)
    }

    /// Steps over blanks and line breaks up to `index`, and reads the comment there.
    fn comment_text(&mut self, index: i64) -> Result<&'a str> {
        while self.cursor.index() < index {
            self.cursor.need(1)?;
            if self.cursor.is_break_or_end(0) {
                self.cursor.need(2)?;
                if self.cursor.read_break().is_none() {
                    break;
                }
            } else {
                self.cursor.skip();
            }
        }
        self.rest_of_line()
    }

    /// Returns where a block ends: before the comments which follow it that stand at its indentation.
    pub(super) fn block_end_before_comments(&self, mut end: Mark) -> Mark {
        let mut stop = end.index;
        for comment in self.comments.iter().rev() {
            if comment.end_index < stop {
                break;
            }
            if i64::from(comment.start.column) == self.indent + 1 {
                end = comment.start;
            }
            stop = comment.scan_index;
        }
        end
    }
}
