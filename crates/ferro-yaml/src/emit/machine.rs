//! The emitter proper: events in, text out.
//!
//! It follows the state machine that libyaml and its Go ports share, because their output depends on its
//! variables (whether the line so far is only indentation, whether whitespace was just written) in ways
//! that a plain tree walk would have to rediscover.

use super::analysis::{Analysis, analyze};
use super::{Flavor, Settings};
use crate::{Comments, Error, Result, ScalarStyle};

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

/// Comments that wait to be written.
#[derive(Default)]
struct Pending<'a> {
    head: &'a str,
    line: &'a str,
    foot: &'a str,
    tail: &'a str,
    key_line: &'a str,
}

impl Pending<'_> {
    fn follow_node(&self) -> bool {
        !(self.line.is_empty() && self.foot.is_empty() && self.tail.is_empty())
    }
}

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

    /// Announces comments of the next event.
    pub(super) fn comments(&mut self, comments: &'a Comments) {
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
    pub(super) fn head_comment(&mut self, text: &'a str) {
        if !text.is_empty() {
            self.pending.head = text;
        }
    }

    /// Announces the comments at the end of a collection.
    pub(super) fn line_and_foot_comments(&mut self, line: &'a str, foot: &'a str, with_foot: bool) {
        if !line.is_empty() {
            self.pending.line = line;
        }
        if !foot.is_empty() && with_foot {
            self.pending.foot = foot;
        }
    }

    /// Announces the foot comment of the entry before.
    pub(super) fn tail_comment(&mut self, text: &'a str) {
        if !text.is_empty() {
            self.pending.tail = text;
        }
    }

    /// Drops the announced foot comment, which the caller passes as a tail later.
    pub(super) fn forget_foot_comment(&mut self) {
        self.pending.foot = "";
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

    fn begin_flow(&mut self, bracket: &str, first: State) {
        if self.state == first {
            self.write_indicator(bracket, true, true, false);
            self.increase_indent(true, false);
            self.flow_level += 1;
        }
    }

    fn end_flow(&mut self, bracket: &str, on_new_line: bool) {
        self.flow_level -= 1;
        self.pop_indent();
        if on_new_line {
            self.write_indent();
        }
        self.write_indicator(bracket, false, false, false);
        self.process_line_comment();
        self.process_foot_comment();
        self.pop_state();
    }

    /// Writes what precedes a node in its parent, and returns what its parent wants after it.
    fn before_node(&mut self, is_simple: bool, is_scalar: bool, is_block: bool) -> After {
        match self.state {
            State::Root | State::Done => {
                self.states.push(State::Done);
                self.process_head_comment();
                self.context = Context::default();
                After::Comments
            }
            State::FlowSequenceFirst | State::FlowSequenceItem | State::FlowSequenceTrail => {
                self.before_flow_item("[", State::FlowSequenceFirst, State::FlowSequenceTrail);
                let commented = self.pending.follow_node();
                self.states.push(if commented {
                    State::FlowSequenceTrail
                } else {
                    State::FlowSequenceItem
                });
                self.context = Context::default();
                After::flow(commented)
            }
            State::FlowMappingFirst | State::FlowMappingKey | State::FlowMappingTrail => {
                self.before_flow_item("{", State::FlowMappingFirst, State::FlowMappingTrail);
                self.before_key(is_simple, State::FlowMappingSimpleValue, State::FlowMappingValue)
            }
            State::FlowMappingSimpleValue | State::FlowMappingValue => self.before_flow_value(),
            State::BlockSequenceFirst | State::BlockSequenceItem => {
                if self.state == State::BlockSequenceFirst {
                    self.indent_sequence();
                }
                self.process_head_comment();
                self.write_indent();
                self.write_indicator("-", true, false, true);
                self.states.push(State::BlockSequenceItem);
                self.context = Context::default();
                After::Comments
            }
            State::BlockMappingFirst | State::BlockMappingKey => {
                if self.state == State::BlockMappingFirst {
                    self.increase_indent(false, false);
                }
                self.process_head_comment();
                self.write_indent();
                if !self.pending.line.is_empty() {
                    self.pending.key_line = std::mem::take(&mut self.pending.line);
                }
                self.before_key(
                    is_simple,
                    State::BlockMappingSimpleValue,
                    State::BlockMappingValue,
                )
            }
            State::BlockMappingSimpleValue | State::BlockMappingValue => {
                self.before_block_value(is_scalar, is_block)
            }
        }
    }

    fn before_flow_item(&mut self, bracket: &str, first: State, trail: State) {
        let state = self.state;
        self.begin_flow(bracket, first);
        if state != first && state != trail {
            self.write_indicator(",", false, false, false);
        }
        self.process_head_comment();
        if self.column > self.settings.width || (self.is_v3() && self.column == 0) {
            self.write_indent();
        }
    }

    fn before_flow_value(&mut self) -> After {
        if self.state == State::FlowMappingSimpleValue {
            self.write_indicator(":", false, false, false);
        } else {
            if self.column > self.settings.width {
                self.write_indent();
            }
            self.write_indicator(":", true, false, false);
        }
        let commented = self.pending.follow_node();
        self.states.push(if commented {
            State::FlowMappingTrail
        } else {
            State::FlowMappingKey
        });
        self.context = Context {
            mapping: true,
            simple_key: false,
        };
        After::flow(commented)
    }

    fn before_key(&mut self, is_simple: bool, simple: State, complex: State) -> After {
        if is_simple {
            self.states.push(simple);
        } else {
            let is_block = complex == State::BlockMappingValue;
            self.write_indicator("?", true, false, is_block);
            self.states.push(complex);
        }
        self.context = Context {
            mapping: true,
            simple_key: is_simple,
        };
        After::Nothing
    }

    fn before_block_value(&mut self, is_scalar: bool, is_block: bool) -> After {
        if self.state == State::BlockMappingSimpleValue {
            self.write_indicator(":", false, false, false);
        } else {
            self.write_indent();
            self.write_indicator(":", true, false, true);
        }
        if !self.pending.key_line.is_empty() {
            if is_scalar {
                if self.pending.line.is_empty() {
                    self.pending.line = std::mem::take(&mut self.pending.key_line);
                }
            } else if is_block {
                let line = std::mem::replace(&mut self.pending.line, self.pending.key_line);
                self.process_line_comment();
                self.pending.key_line = line;
            }
        }
        self.states.push(State::BlockMappingKey);
        self.context = Context {
            mapping: true,
            simple_key: false,
        };
        After::Comments
    }

    fn after_node(&mut self, after: After) {
        if after == After::Nothing {
            return;
        }
        if after == After::CommaAndComments && self.pending.follow_node() {
            self.write_indicator(",", false, false, false);
        }
        self.process_line_comment();
        self.process_foot_comment();
    }

    fn indent_sequence(&mut self) {
        if self.is_v3() {
            let compact = self.context.mapping
                && (self.column == 0 || !self.indention)
                && self.settings.compact_sequences;
            self.increase_indent(false, compact);
        } else if self.context.mapping && !self.indention {
            self.indents.push(self.indent);
        } else {
            self.increase_indent(false, false);
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

    fn emit_scalar(&mut self, scalar: &Scalar<'_>, analysis: Analysis) -> Result<()> {
        let style = self.select_style(scalar, analysis);
        self.write_properties(&scalar.properties)?;
        self.increase_indent(true, false);
        let may_fold = !self.context.simple_key;
        match style {
            ScalarStyle::Plain => self.write_plain(scalar.text, may_fold),
            ScalarStyle::SingleQuoted => self.write_single_quoted(scalar.text, may_fold),
            ScalarStyle::DoubleQuoted => self.write_double_quoted(scalar.text, may_fold),
            ScalarStyle::Literal => self.write_literal(scalar.text),
            ScalarStyle::Folded => self.write_folded(scalar.text),
        }
        self.pop_indent();
        self.pop_state();
        Ok(())
    }

    fn select_style(&self, scalar: &Scalar<'_>, analysis: Analysis) -> ScalarStyle {
        let in_flow = self.flow_level > 0;
        let mut style = scalar.style;
        if self.context.simple_key && analysis.multiline {
            style = ScalarStyle::DoubleQuoted;
        }
        if style == ScalarStyle::Plain {
            let allowed = if in_flow {
                analysis.flow_plain
            } else {
                analysis.block_plain
            };
            let hidden = scalar.text.is_empty() && (in_flow || self.context.simple_key);
            if !allowed || hidden {
                style = ScalarStyle::SingleQuoted;
            }
        }
        if style == ScalarStyle::SingleQuoted && !analysis.single_quoted {
            style = ScalarStyle::DoubleQuoted;
        }
        let is_block = matches!(style, ScalarStyle::Literal | ScalarStyle::Folded);
        if is_block && (!analysis.block || in_flow || self.context.simple_key) {
            style = ScalarStyle::DoubleQuoted;
        }
        style
    }

    fn write_properties(&mut self, properties: &Properties<'_>) -> Result<()> {
        if !properties.anchor.is_empty() {
            check_anchor(properties.anchor, false)?;
            self.write_indicator("&", true, false, false);
            self.write_name(properties.anchor);
        }
        if !properties.tag.is_empty() {
            self.write_tag(properties.tag);
        }
        Ok(())
    }

    fn process_head_comment(&mut self) {
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

    fn process_line_comment(&mut self) {
        let line = std::mem::take(&mut self.pending.line);
        if !line.is_empty() {
            if !self.whitespace {
                self.put(' ');
            }
            self.write_comment(line);
        }
    }

    /// Ends the header line of a block scalar.
    pub(super) fn end_block_header(&mut self) {
        if self.pending.line.is_empty() {
            self.put_break();
        } else {
            self.process_line_comment();
        }
    }

    fn process_foot_comment(&mut self) {
        let foot = std::mem::take(&mut self.pending.foot);
        if !foot.is_empty() {
            self.write_indent();
            self.write_comment(foot);
            self.foot_indent = Some(self.indent.unwrap_or(0));
        }
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

/// What a parent writes after a child.
#[derive(Clone, Copy, PartialEq, Eq)]
enum After {
    Nothing,
    Comments,
    CommaAndComments,
}

impl After {
    fn flow(commented: bool) -> Self {
        if commented {
            Self::CommaAndComments
        } else {
            Self::Comments
        }
    }
}

fn property_size(properties: &Properties<'_>) -> usize {
    properties.anchor.len() + properties.tag.len()
}

fn check_anchor(name: &str, alias: bool) -> Result<()> {
    let is_valid = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    if !name.is_empty() && name.bytes().all(is_valid) {
        return Ok(());
    }
    let what = if alias { "alias" } else { "anchor" };
    let why = if name.is_empty() {
        "not be empty"
    } else {
        "contain alphanumerical characters only"
    };
    Err(Error::Syntax {
        line: 0,
        problem: format!("{what} value must {why}"),
    })
}
