//! Flow sequences and mappings.

use super::{Event, Events, Parsed, Properties, State};
use crate::Result;
use crate::parse::token::Kind;

impl<'a> Events<'a> {
    pub(super) fn flow_sequence_entry(&mut self, first: bool) -> Result<Parsed<'a>> {
        if first {
            self.enter()?;
        }
        let mut next = self.peek()?;
        if next.kind != Kind::FlowSequenceEnd {
            if !first {
                if next.kind != Kind::FlowEntry {
                    let start = self.leave();
                    return Err(self.error(start, "did not find expected ',' or ']'", next.start));
                }
                self.skip();
                next = self.peek()?;
            }
            if next.kind == Kind::Key {
                // `a: b` inside a sequence is a mapping with one entry.
                self.state = State::FlowSequenceEntryKey;
                self.skip();
                let event = Event::MappingStart {
                    properties: Properties::default(),
                    flow: true,
                };
                return Ok(Parsed::new(event, next.start));
            }
            if next.kind != Kind::FlowSequenceEnd {
                self.states.push(State::FlowSequenceEntry);
                return self.node(false, false);
            }
        }
        self.pop_state();
        self.leave();
        let parsed = self.with_comments(Parsed::new(Event::SequenceEnd, next.start));
        self.skip();
        Ok(parsed)
    }

    pub(super) fn flow_sequence_entry_key(&mut self) -> Result<Parsed<'a>> {
        let next = self.peek()?;
        if matches!(next.kind, Kind::Value | Kind::FlowEntry | Kind::FlowSequenceEnd) {
            // libyaml drops the token here, `:` included.
            self.skip();
            self.state = State::FlowSequenceEntryValue;
            return Ok(Self::empty_scalar(next.end()));
        }
        self.states.push(State::FlowSequenceEntryValue);
        self.node(false, false)
    }

    pub(super) fn flow_sequence_entry_value(&mut self) -> Result<Parsed<'a>> {
        let next = self.peek()?;
        if next.kind == Kind::Value {
            self.skip();
            let after = self.peek()?.kind;
            if !matches!(after, Kind::FlowEntry | Kind::FlowSequenceEnd) {
                self.states.push(State::FlowSequenceEntryEnd);
                return self.node(false, false);
            }
        }
        self.state = State::FlowSequenceEntryEnd;
        Ok(Self::empty_scalar(next.start))
    }

    pub(super) fn flow_sequence_entry_end(&mut self) -> Result<Parsed<'a>> {
        let next = self.peek()?;
        self.state = State::FlowSequenceEntry;
        Ok(Parsed::new(Event::MappingEnd, next.start))
    }

    pub(super) fn flow_mapping_key(&mut self, first: bool) -> Result<Parsed<'a>> {
        if first {
            self.enter()?;
        }
        let mut next = self.peek()?;
        if next.kind != Kind::FlowMappingEnd {
            if !first {
                if next.kind != Kind::FlowEntry {
                    let start = self.leave();
                    return Err(self.error(start, "did not find expected ',' or '}'", next.start));
                }
                self.skip();
                next = self.peek()?;
            }
            if next.kind == Kind::Key {
                self.skip();
                let after = self.peek()?;
                if matches!(after.kind, Kind::Value | Kind::FlowEntry | Kind::FlowMappingEnd) {
                    self.state = State::FlowMappingValue;
                    return Ok(Self::empty_scalar(after.start));
                }
                self.states.push(State::FlowMappingValue);
                return self.node(false, false);
            }
            if next.kind != Kind::FlowMappingEnd {
                self.states.push(State::FlowMappingEmptyValue);
                return self.node(false, false);
            }
        }
        self.pop_state();
        self.leave();
        let parsed = self.with_comments(Parsed::new(Event::MappingEnd, next.start));
        self.skip();
        Ok(parsed)
    }

    pub(super) fn flow_mapping_value(&mut self, empty: bool) -> Result<Parsed<'a>> {
        let mut next = self.peek()?;
        if !empty && next.kind == Kind::Value {
            self.skip();
            next = self.peek()?;
            if !matches!(next.kind, Kind::FlowEntry | Kind::FlowMappingEnd) {
                self.states.push(State::FlowMappingKey);
                return self.node(false, false);
            }
        }
        self.state = State::FlowMappingKey;
        Ok(Self::empty_scalar(next.start))
    }
}
