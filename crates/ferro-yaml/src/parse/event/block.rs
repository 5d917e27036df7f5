//! Block sequences and mappings.

use super::{Event, Events, Parsed, State};
use crate::Result;
use crate::parse::token::Kind;

impl<'a> Events<'a> {
    pub(super) fn block_sequence_entry(&mut self, first: bool) -> Result<Parsed<'a>> {
        if first {
            self.enter()?;
        }
        let next = self.peek()?;
        match next.kind {
            Kind::BlockEntry => {
                self.skip_entry_indicator();
                let after = self.peek()?.kind;
                if matches!(after, Kind::BlockEntry | Kind::BlockEnd) {
                    self.state = State::BlockSequenceEntry;
                    return Ok(Self::empty_scalar(next.end()));
                }
                self.states.push(State::BlockSequenceEntry);
                self.node(true, false)
            }
            Kind::BlockEnd => {
                self.pop_state();
                self.leave();
                self.skip();
                Ok(Parsed::new(Event::SequenceEnd, next.start))
            }
            _ => {
                let start = self.leave();
                Err(self.error(start, "did not find expected '-' indicator", next.start))
            }
        }
    }

    /// A sequence whose `-` are at the indentation of the key that it belongs to.
    pub(super) fn indentless_sequence_entry(&mut self) -> Result<Parsed<'a>> {
        let next = self.peek()?;
        if next.kind != Kind::BlockEntry {
            self.pop_state();
            return Ok(Parsed::new(Event::SequenceEnd, next.start));
        }
        self.skip_entry_indicator();
        let after = self.peek()?.kind;
        if matches!(after, Kind::BlockEntry | Kind::Key | Kind::Value | Kind::BlockEnd) {
            self.state = State::IndentlessSequenceEntry;
            return Ok(Self::empty_scalar(next.end()));
        }
        self.states.push(State::IndentlessSequenceEntry);
        self.node(true, false)
    }

    pub(super) fn block_mapping_key(&mut self, first: bool) -> Result<Parsed<'a>> {
        if first {
            self.enter()?;
        }
        let next = self.peek()?;
        match next.kind {
            Kind::Key => {
                self.skip();
                let after = self.peek()?.kind;
                if matches!(after, Kind::Key | Kind::Value | Kind::BlockEnd) {
                    self.state = State::BlockMappingValue;
                    return Ok(Self::empty_scalar(next.end()));
                }
                self.states.push(State::BlockMappingValue);
                self.node(true, true)
            }
            Kind::BlockEnd => {
                self.pop_state();
                self.leave();
                let parsed = self.with_comments(Parsed::new(Event::MappingEnd, next.start));
                self.skip();
                Ok(parsed)
            }
            _ => {
                let start = self.leave();
                Err(self.error(start, "did not find expected key", next.start))
            }
        }
    }

    pub(super) fn block_mapping_value(&mut self) -> Result<Parsed<'a>> {
        let next = self.peek()?;
        if next.kind != Kind::Value {
            self.state = State::BlockMappingKey;
            return Ok(Self::empty_scalar(next.start));
        }
        self.skip();
        let after = self.peek()?.kind;
        if matches!(after, Kind::Key | Kind::Value | Kind::BlockEnd) {
            self.state = State::BlockMappingKey;
            return Ok(Self::empty_scalar(next.end()));
        }
        self.states.push(State::BlockMappingKey);
        self.node(true, true)
    }
}
