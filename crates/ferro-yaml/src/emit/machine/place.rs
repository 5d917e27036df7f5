//! What a parent writes before and after its children.

use super::{Context, Machine, State};

/// What a parent writes after a child.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum After {
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

impl Machine<'_> {
    pub(super) fn begin_flow(&mut self, bracket: &str, first: State) {
        if self.state == first {
            self.write_indicator(bracket, true, true, false);
            self.increase_indent(true, false);
            self.flow_level += 1;
        }
    }

    pub(super) fn end_flow(&mut self, bracket: &str, on_new_line: bool) {
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
    pub(super) fn before_node(&mut self, is_simple: bool, is_scalar: bool, is_block: bool) -> After {
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

    pub(super) fn before_flow_item(&mut self, bracket: &str, first: State, trail: State) {
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

    pub(super) fn before_flow_value(&mut self) -> After {
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

    pub(super) fn before_key(&mut self, is_simple: bool, simple: State, complex: State) -> After {
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

    pub(super) fn before_block_value(&mut self, is_scalar: bool, is_block: bool) -> After {
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

    pub(super) fn after_node(&mut self, after: After) {
        if after == After::Nothing {
            return;
        }
        if after == After::CommaAndComments && self.pending.follow_node() {
            self.write_indicator(",", false, false, false);
        }
        self.process_line_comment();
        self.process_foot_comment();
    }

    pub(super) fn indent_sequence(&mut self) {
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
}
