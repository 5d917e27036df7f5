//! Comments that are announced with their event, and written where its place has room for them.

use super::Machine;
use crate::Comments;

/// Comments that wait to be written.
#[derive(Default)]
pub(super) struct Pending<'a> {
    pub(super) head: &'a str,
    pub(super) line: &'a str,
    pub(super) foot: &'a str,
    pub(super) tail: &'a str,
    pub(super) key_line: &'a str,
}

impl Pending<'_> {
    pub(super) fn follow_node(&self) -> bool {
        !(self.line.is_empty() && self.foot.is_empty() && self.tail.is_empty())
    }
}

impl<'a> Machine<'a> {
    /// Announces comments of the next event.
    pub(in crate::emit) fn comments(&mut self, comments: &'a Comments) {
        for (slot, text) in [
            (&mut self.pending.head, &comments.head),
            (&mut self.pending.line, &comments.line),
            (&mut self.pending.foot, &comments.foot),
        ] {
            if !text.is_empty() {
                *slot = text;
            }
        }
    }

    /// Announces the comment before a collection.
    pub(in crate::emit) fn head_comment(&mut self, text: &'a str) {
        if !text.is_empty() {
            self.pending.head = text;
        }
    }

    /// Announces the comments at the end of a collection.
    pub(in crate::emit) fn line_and_foot_comments(&mut self, line: &'a str, foot: &'a str, with_foot: bool) {
        if !line.is_empty() {
            self.pending.line = line;
        }
        if !foot.is_empty() && with_foot {
            self.pending.foot = foot;
        }
    }

    /// Announces the foot comment of the entry before.
    pub(in crate::emit) fn tail_comment(&mut self, text: &'a str) {
        if !text.is_empty() {
            self.pending.tail = text;
        }
    }

    /// Drops the announced foot comment, which the caller passes as a tail later.
    pub(in crate::emit) fn forget_foot_comment(&mut self) {
        self.pending.foot = "";
    }

    pub(in crate::emit) fn process_head_comment(&mut self) {
        let tail = std::mem::take(&mut self.pending.tail);
        if !tail.is_empty() {
            self.write_indent();
            self.write_comment(tail);
            self.foot_indent = Some(self.indent.unwrap_or(0));
        }
        let head = std::mem::take(&mut self.pending.head);
        if !head.is_empty() {
            self.write_indent();
            self.write_comment(head);
        }
    }

    pub(in crate::emit) fn process_line_comment(&mut self) {
        let line = std::mem::take(&mut self.pending.line);
        if !line.is_empty() {
            if !self.whitespace {
                self.put(' ');
            }
            self.write_comment(line);
        }
    }

    /// Ends the header line of a block scalar.
    pub(in crate::emit) fn end_block_header(&mut self) {
        if self.pending.line.is_empty() {
            self.put_break();
        } else {
            self.process_line_comment();
        }
    }

    pub(in crate::emit) fn process_foot_comment(&mut self) {
        let foot = std::mem::take(&mut self.pending.foot);
        if !foot.is_empty() {
            self.write_indent();
            self.write_comment(foot);
            self.foot_indent = Some(self.indent.unwrap_or(0));
        }
    }
}
