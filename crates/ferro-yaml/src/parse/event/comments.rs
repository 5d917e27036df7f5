//! Comments that wait for their event.

use super::Events;
use crate::Comments;
use crate::parse::scan::{Comment, Place};
use crate::parse::token::Kind;

#[derive(Default)]
pub(super) struct Pending {
    head: String,
    line: String,
    foot: String,
    /// The head comment of a `-` whose item is a block: it goes to the block, not to its first entry.
    stem: Option<String>,
}

impl Pending {
    pub(super) fn add(&mut self, comment: &Comment<'_>) {
        let slot = match comment.place {
            Place::Head => &mut self.head,
            Place::Line => &mut self.line,
            Place::Foot => &mut self.foot,
        };
        if !slot.is_empty() {
            slot.push('\n');
        }
        slot.push_str(&comment.text);
    }

    pub(super) fn take(&mut self) -> Option<Box<Comments>> {
        self.stem = None;
        if self.head.is_empty() && self.line.is_empty() && self.foot.is_empty() {
            return None;
        }
        Some(Box::new(Comments {
            head: std::mem::take(&mut self.head).into(),
            line: std::mem::take(&mut self.line).into(),
            foot: std::mem::take(&mut self.foot).into(),
        }))
    }

    pub(super) fn take_stem(&mut self) -> Option<Box<Comments>> {
        let head = self.stem.take()?.into();
        Some(Box::new(Comments {
            head,
            ..Comments::default()
        }))
    }

    pub(super) fn head_length(&self) -> usize {
        self.head.len()
    }

    /// Splits what goes to the document from the head comment: all before its last empty line.
    pub(super) fn split_document_head(&mut self) -> Option<Box<Comments>> {
        let bytes = self.head.as_bytes();
        let length = bytes.len();
        let last = (1..length).rev().find(|at| {
            let is_break = |at: usize| bytes.get(at) == Some(&b'\n');
            is_break(*at) && (at + 1 == length || is_break(at - 1))
        })?;
        let rest = self.head.split_off(last + 1);
        let mut head = std::mem::replace(&mut self.head, rest);
        head.truncate(if last + 1 == length { last } else { last - 1 });
        Some(Box::new(Comments {
            head: head.into(),
            ..Comments::default()
        }))
    }

    fn split_stem(&mut self, length: usize) {
        let rest = self.head.get(length + 1..).unwrap_or_default().to_owned();
        self.head.truncate(length);
        self.stem = Some(std::mem::replace(&mut self.head, rest));
    }
}

impl Events<'_> {
    /// Takes a `-`. The comment before it goes to the block that follows as a whole.
    pub(super) fn skip_entry_indicator(&mut self) {
        let length = self.pending.head_length();
        self.skip();
        if length == 0 {
            return;
        }
        match self.peek() {
            Ok(next) if matches!(next.kind, Kind::BlockSequenceStart | Kind::BlockMappingStart) => {
                self.pending.split_stem(length);
            }
            Ok(_) => {}
            // go-yaml does not notice here and scans on, so that a later error may take its place.
            Err(error) => self.scanner.postpone(error),
        }
    }
}
