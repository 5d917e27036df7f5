//! From tokens to events: the grammar.

mod block;
mod comments;
mod document;
mod flow;
mod node;

use std::borrow::Cow;

use super::reader::Decoded;
use super::scan::Scanner;
use super::token::{Data, Kind, Mark, Token};
use crate::{Comments, Dialect, Error, Position, Result, ScalarStyle};
use comments::Pending;

/// A parsing event.
#[derive(Debug)]
pub(super) enum Event<'a> {
    StreamStart,
    StreamEnd,
    DocumentStart,
    DocumentEnd,
    Scalar {
        properties: Properties<'a>,
        text: Cow<'a, str>,
        style: ScalarStyle,
    },
    SequenceStart {
        properties: Properties<'a>,
        flow: bool,
    },
    MappingStart {
        properties: Properties<'a>,
        flow: bool,
    },
    SequenceEnd,
    MappingEnd,
    Alias {
        name: &'a str,
    },
}

/// What stands before a node.
#[derive(Debug, Default)]
pub(super) struct Properties<'a> {
    pub(super) anchor: Option<&'a str>,
    /// In its short form: `!!str`, `!mine`.
    pub(super) tag: Option<Cow<'a, str>>,
}

/// An event, where it starts, and the comments that belong to it.
#[derive(Debug)]
pub(super) struct Parsed<'a> {
    pub(super) event: Event<'a>,
    pub(super) position: Position,
    pub(super) comments: Option<Box<Comments>>,
}

impl<'a> Parsed<'a> {
    fn new(event: Event<'a>, mark: Mark) -> Self {
        Self {
            event,
            position: Position {
                line: mark.line.saturating_add(1),
                column: u16::try_from(mark.column.saturating_add(1)).unwrap_or(u16::MAX),
            },
            comments: None,
        }
    }
}

/// What the parser expects next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    StreamStart,
    ImplicitDocumentStart,
    DocumentStart,
    DocumentContent,
    DocumentEnd,
    BlockNode,
    BlockSequenceFirst,
    BlockSequenceEntry,
    IndentlessSequenceEntry,
    BlockMappingFirst,
    BlockMappingKey,
    BlockMappingValue,
    FlowSequenceFirst,
    FlowSequenceEntry,
    FlowSequenceEntryKey,
    FlowSequenceEntryValue,
    FlowSequenceEntryEnd,
    FlowMappingFirst,
    FlowMappingKey,
    FlowMappingValue,
    FlowMappingEmptyValue,
    End,
}

/// Reads events from a text.
pub(super) struct Events<'a> {
    scanner: Scanner<'a>,
    dialect: Dialect,
    state: State,
    states: Vec<State>,
    /// The lines where the open collections start.
    starts: Vec<Mark>,
    /// Handles of tags and what they stand for.
    tag_handles: Vec<(&'a str, Cow<'a, str>)>,
    pending: Pending,
    keeps_comments: bool,
}

/// A token without its data, as far as decisions need it.
#[derive(Clone, Copy)]
struct Next {
    kind: Kind,
    width: u8,
    start: Mark,
}

impl Next {
    /// Returns where an indicator ends.
    fn end(self) -> Mark {
        Mark {
            column: self.start.column + u32::from(self.width),
            ..self.start
        }
    }
}

impl<'a> Events<'a> {
    pub(super) fn new(decoded: &'a Decoded<'_>, dialect: Dialect, keeps_comments: bool) -> Self {
        let keeps_comments = keeps_comments && dialect == Dialect::V3;
        Self {
            scanner: Scanner::new(decoded, dialect, keeps_comments),
            dialect,
            state: State::StreamStart,
            states: Vec::new(),
            starts: Vec::new(),
            tag_handles: Vec::new(),
            pending: Pending::default(),
            keeps_comments,
        }
    }

    /// Returns the next event; after the end of the stream there are only more ends.
    pub(super) fn next(&mut self) -> Result<Parsed<'a>> {
        let parsed = self.parse()?;
        self.scanner.postponed()?;
        Ok(parsed)
    }

    fn parse(&mut self) -> Result<Parsed<'a>> {
        match self.state {
            State::StreamStart => {
                let next = self.peek()?;
                self.skip();
                self.state = State::ImplicitDocumentStart;
                Ok(Parsed::new(Event::StreamStart, next.start))
            }
            State::ImplicitDocumentStart => self.document_start(true),
            State::DocumentStart => self.document_start(false),
            State::DocumentContent => self.document_content(),
            State::DocumentEnd => self.document_end(),
            State::BlockNode => self.node(true, false),
            State::BlockSequenceFirst => self.block_sequence_entry(true),
            State::BlockSequenceEntry => self.block_sequence_entry(false),
            State::IndentlessSequenceEntry => self.indentless_sequence_entry(),
            State::BlockMappingFirst => self.block_mapping_key(true),
            State::BlockMappingKey => self.block_mapping_key(false),
            State::BlockMappingValue => self.block_mapping_value(),
            State::FlowSequenceFirst => self.flow_sequence_entry(true),
            State::FlowSequenceEntry => self.flow_sequence_entry(false),
            State::FlowSequenceEntryKey => self.flow_sequence_entry_key(),
            State::FlowSequenceEntryValue => self.flow_sequence_entry_value(),
            State::FlowSequenceEntryEnd => self.flow_sequence_entry_end(),
            State::FlowMappingFirst => self.flow_mapping_key(true),
            State::FlowMappingKey => self.flow_mapping_key(false),
            State::FlowMappingValue => self.flow_mapping_value(false),
            State::FlowMappingEmptyValue => self.flow_mapping_value(true),
            State::End => Ok(Parsed::new(Event::StreamEnd, Mark::default())),
        }
    }

    /// Looks at the next token, and collects the comments before it.
    #[inline]
    fn peek(&mut self) -> Result<Next> {
        let token = self.scanner.peek()?;
        let next = Next {
            kind: token.kind,
            width: token.width,
            start: token.start,
        };
        let is_block_end = next.kind == Kind::BlockEnd;
        while let Some(comment) = self.scanner.next_comment(next.start.index, is_block_end) {
            if self.keeps_comments {
                self.pending.add(&comment);
            }
        }
        Ok(next)
    }

    /// Takes the token that was looked at.
    fn take(&mut self) -> Data<'a> {
        self.scanner.take().map_or(Data::None, |Token { data, .. }| data)
    }

    fn skip(&mut self) {
        self.scanner.take();
    }

    fn pop_state(&mut self) {
        self.state = self.states.pop().unwrap_or(State::End);
    }

    /// Makes the error of a parser. v3 names the line where the collection starts, v2 where it breaks.
    fn error(&self, context: Mark, problem: &str, at: Mark) -> Error {
        let (first, second) = match self.dialect {
            Dialect::V2 => (at.line, context.line),
            Dialect::V3 => (context.line, at.line),
        };
        Error::Syntax {
            line: if first != 0 { first } else { second },
            problem: problem.to_owned(),
        }
    }

    fn empty_scalar(mark: Mark) -> Parsed<'a> {
        let event = Event::Scalar {
            properties: Properties::default(),
            text: Cow::Borrowed(""),
            style: ScalarStyle::Plain,
        };
        Parsed::new(event, mark)
    }

    /// Gives the pending comments to an event.
    fn with_comments(&mut self, mut parsed: Parsed<'a>) -> Parsed<'a> {
        if self.keeps_comments {
            parsed.comments = self.pending.take();
        }
        parsed
    }

    /// Remembers where the collection starts whose first token is next, and takes that.
    fn enter(&mut self) -> Result<()> {
        let next = self.peek()?;
        self.starts.push(next.start);
        self.skip();
        Ok(())
    }

    fn leave(&mut self) -> Mark {
        self.starts.pop().unwrap_or_default()
    }
}
