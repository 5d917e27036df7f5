//! The emitter proper: events in, text out.
//!
//! It follows the state machine that libyaml and its Go ports share, because their output depends on its
//! variables (whether the line so far is only indentation, whether whitespace was just written) in ways
//! that a plain tree walk would have to rediscover.

mod comment;
mod place;
mod style;

use super::analysis::analyze;
use super::{Flavor, Settings};
use crate::{Result, ScalarStyle};
use comment::Pending;
use style::{check_anchor, property_size};

/// What stands before a node.
#[derive(Clone, Copy, Default)]
pub(super) struct Properties<'a> {
    pub(super) anchor: &'a str,
    /// In its short form; empty if it is not to be written.
    pub(super) tag: &'a str,
}

/// A scalar to write.
#[derive(Clone, Copy, Default)]
pub(super) struct Scalar<'a> {
    pub(super) text: &'a str,
    pub(super) style: ScalarStyle,
    pub(super) properties: Properties<'a>,
}

/// A collection to start.
#[derive(Clone, Copy)]
pub(super) struct Open<'a> {
    pub(super) is_mapping: bool,
    pub(super) is_flow: bool,
    pub(super) is_empty: bool,
    pub(super) properties: Properties<'a>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Root,
    Done,
    FlowSequenceFirst,
    FlowSequenceItem,
    /// After an item whose comments already made it write the comma.
    FlowSequenceTrail,
    FlowMappingFirst,
    FlowMappingKey,
    FlowMappingTrail,
    FlowMappingSimpleValue,
    FlowMappingValue,
    BlockSequenceFirst,
    BlockSequenceItem,
    BlockMappingFirst,
    BlockMappingKey,
    BlockMappingSimpleValue,
    BlockMappingValue,
}

/// Where the current node stands.
#[derive(Clone, Copy, Default)]
struct Context {
    mapping: bool,
    simple_key: bool,
}

/// The state of the emitter.
pub(super) struct Machine<'a> {
    pub(super) out: String,
    pub(super) settings: Settings,
    state: State,
    states: Vec<State>,
    indent: Option<usize>,
    indents: Vec<Option<usize>>,
    pub(super) column: usize,
    flow_level: usize,
    context: Context,
    /// The last thing written was whitespace.
    pub(super) whitespace: bool,
    /// The line so far is indentation and indicators (`-`, `?`, `:`).
    pub(super) indention: bool,
    /// A foot comment was written at this indentation; what follows there needs a blank line before it.
    foot_indent: Option<usize>,
    pending: Pending<'a>,
}

impl<'a> Machine<'a> {
    pub(super) fn new(settings: Settings) -> Self {
        Self {
            out: String::new(),
            settings,
            state: State::Root,
            states: Vec::new(),
            indent: None,
            indents: Vec::new(),
            column: 0,
            flow_level: 0,
            context: Context::default(),
            whitespace: true,
            indention: true,
            foot_indent: None,
            pending: Pending::default(),
        }
    }

    /// Starts a further document.
    pub(super) fn next_document(&mut self) {
        self.state = State::Root;
        self.write_indent();
        self.write_indicator("---", true, false, false);
        if self.is_v3() {
            self.write_indent();
        }
    }

    /// Writes the comment that stands before a document's content.
    pub(super) fn document_head(&mut self, head: &'a str) {
        self.pending.head = head;
        if !head.is_empty() {
            self.process_head_comment();
            self.put_break();
        }
    }

    /// Ends the document.
    pub(super) fn end_document(&mut self, foot: &'a str) {
        if !foot.is_empty() {
            self.pending.foot = foot;
        }
        self.foot_indent = Some(0).filter(|_| self.is_v3());
        self.process_foot_comment();
        self.foot_indent = None;
        self.write_indent();
    }

    pub(super) fn is_v3(&self) -> bool {
        self.settings.flavor == Flavor::V3
    }

    pub(super) fn scalar(&mut self, scalar: &Scalar<'_>) -> Result<()> {
        let analysis = analyze(scalar.text, self.settings.flavor);
        let size = property_size(&scalar.properties) + scalar.text.len();
        let is_simple = !analysis.multiline && size <= MAX_SIMPLE_KEY;
        let after = self.before_node(is_simple, true, false);
        self.emit_scalar(scalar, analysis)?;
        self.after_node(after);
        Ok(())
    }

    pub(super) fn alias(&mut self, name: &str) -> Result<()> {
        let after = self.before_node(name.len() <= MAX_SIMPLE_KEY, false, false);
        check_anchor(name, true)?;
        self.write_indicator("*", true, false, false);
        self.write_name(name);
        self.pop_state();
        self.after_node(after);
        Ok(())
    }

    pub(super) fn open(&mut self, open: &Open<'_>) -> Result<()> {
        let is_simple = open.is_empty && property_size(&open.properties) <= MAX_SIMPLE_KEY;
        // A comment behind a key goes before the block that follows.
        let is_block = !open.is_flow;
        let after = self.before_node(is_simple, false, is_block);
        self.write_properties(&open.properties)?;
        let is_flow = self.flow_level > 0 || open.is_flow || open.is_empty;
        self.state = match (open.is_mapping, is_flow) {
            (false, true) => State::FlowSequenceFirst,
            (false, false) => State::BlockSequenceFirst,
            (true, true) => State::FlowMappingFirst,
            (true, false) => State::BlockMappingFirst,
        };
        self.after_node(after);
        Ok(())
    }

    /// Ends the innermost collection; its line and foot comments are announced before.
    pub(super) fn close(&mut self) {
        match self.state {
            State::FlowSequenceFirst | State::FlowSequenceItem | State::FlowSequenceTrail => {
                self.begin_flow("[", State::FlowSequenceFirst);
                self.end_flow("]", self.is_v3() && self.column == 0);
            }
            State::FlowMappingFirst | State::FlowMappingKey | State::FlowMappingTrail => {
                let first = self.state == State::FlowMappingFirst;
                self.begin_flow("{", State::FlowMappingFirst);
                let commented = !(self.pending.head.is_empty()
                    && self.pending.foot.is_empty()
                    && self.pending.tail.is_empty());
                if commented && !first && self.state != State::FlowMappingTrail {
                    self.write_indicator(",", false, false, false);
                }
                self.process_head_comment();
                self.end_flow("}", false);
            }
            State::BlockMappingFirst | State::BlockMappingKey => {
                self.process_head_comment();
                self.pop_indent();
                self.pop_state();
            }
            _ => {
                self.pop_indent();
                self.pop_state();
            }
        }
    }

    fn increase_indent(&mut self, flow: bool, compact: bool) {
        self.indents.push(self.indent);
        let step = self.settings.indent;
        self.indent = Some(match self.indent {
            None if flow => step,
            None => 0,
            Some(indent) if !self.is_v3() => indent + step,
            // Inside a sequence only the `- ` is skipped; all else aligns to multiples of the step.
            Some(indent) if self.states.last() == Some(&State::BlockSequenceItem) => indent + 2,
            Some(indent) => {
                let aligned = step * ((indent + step) / step);
                if compact {
                    aligned.saturating_sub(2)
                } else {
                    aligned
                }
            }
        });
    }

    fn pop_indent(&mut self) {
        self.indent = self.indents.pop().flatten();
    }

    fn pop_state(&mut self) {
        self.state = self.states.pop().unwrap_or(State::Done);
    }

    pub(super) fn write_indent(&mut self) {
        let indent = self.indent.unwrap_or(0);
        if !self.indention || self.column > indent || (self.column == indent && !self.whitespace) {
            self.put_break();
        }
        if self.foot_indent == Some(indent) {
            self.put_break();
        }
        while self.column < indent {
            self.put(' ');
        }
        self.whitespace = true;
        // In v3 only a line break makes the line count as indentation.
        self.indention |= !self.is_v3();
        self.foot_indent = None;
    }
}

/// The longest key (with its anchor and tag) that is written without `?`.
const MAX_SIMPLE_KEY: usize = 128;
