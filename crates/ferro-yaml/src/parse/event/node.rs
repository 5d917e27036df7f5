//! Nodes: properties, scalars, the starts of collections.

use std::borrow::Cow;

use super::{Event, Events, Next, Parsed, Properties, State};
use crate::parse::token::{Data, Kind, Mark};
use crate::{Result, ScalarStyle};

/// The prefix of YAML's own tags.
const CORE: &str = "tag:yaml.org,2002:";

impl<'a> Events<'a> {
    /// Parses a node; in a block value a sequence may stand at the indentation of its key.
    pub(super) fn node(&mut self, block: bool, indentless: bool) -> Result<Parsed<'a>> {
        let first = self.peek()?;
        if first.kind == Kind::Alias {
            self.pop_state();
            let name = match self.take() {
                Data::Name(name) => name,
                _ => "",
            };
            let parsed = Parsed::new(Event::Alias { name }, first.start);
            return Ok(self.with_comments(parsed));
        }
        let (properties, next) = self.properties(first)?;
        let start = first.start;
        let (state, event, takes_comments) = match next.kind {
            Kind::BlockEntry if indentless => {
                let event = Event::SequenceStart {
                    properties,
                    flow: false,
                };
                self.state = State::IndentlessSequenceEntry;
                return Ok(Parsed::new(event, start));
            }
            Kind::Scalar => return Ok(self.scalar(properties, start)),
            Kind::FlowSequenceStart => {
                let event = Event::SequenceStart {
                    properties,
                    flow: true,
                };
                (State::FlowSequenceFirst, event, true)
            }
            Kind::FlowMappingStart => {
                let event = Event::MappingStart {
                    properties,
                    flow: true,
                };
                (State::FlowMappingFirst, event, true)
            }
            Kind::BlockSequenceStart if block => {
                let event = Event::SequenceStart {
                    properties,
                    flow: false,
                };
                (State::BlockSequenceFirst, event, false)
            }
            Kind::BlockMappingStart if block => {
                let event = Event::MappingStart {
                    properties,
                    flow: false,
                };
                (State::BlockMappingFirst, event, false)
            }
            _ if properties.anchor.is_some() || properties.tag.is_some() => {
                self.pop_state();
                let event = Event::Scalar {
                    properties,
                    text: Cow::Borrowed(""),
                    style: ScalarStyle::Plain,
                };
                return Ok(Parsed::new(event, start));
            }
            _ => return Err(self.error(start, "did not find expected node content", next.start)),
        };
        self.state = state;
        let mut parsed = Parsed::new(event, start);
        if takes_comments {
            parsed = self.with_comments(parsed);
        } else {
            parsed.comments = self.pending.take_stem();
        }
        Ok(parsed)
    }

    fn scalar(&mut self, properties: Properties<'a>, start: Mark) -> Parsed<'a> {
        self.pop_state();
        let (text, style) = match self.take() {
            Data::Scalar(text, style) => (text, style),
            _ => (Cow::Borrowed(""), ScalarStyle::Plain),
        };
        let event = Event::Scalar {
            properties,
            text,
            style,
        };
        self.with_comments(Parsed::new(event, start))
    }

    /// Parses an anchor and a tag, in any order, and returns the token after them.
    fn properties(&mut self, first: Next) -> Result<(Properties<'a>, Next)> {
        let mut properties = Properties::default();
        let mut tag = None;
        let mut next = first;
        for _ in 0..2 {
            match next.kind {
                Kind::Anchor if properties.anchor.is_none() => {
                    if let Data::Name(name) = self.take() {
                        properties.anchor = Some(name);
                    }
                }
                Kind::Tag if tag.is_none() => {
                    if let Data::Tag(parts) = self.take() {
                        tag = Some((parts, next.start));
                    }
                }
                _ => break,
            }
            next = self.peek()?;
        }
        if let Some((parts, mark)) = tag {
            let (handle, suffix) = *parts;
            let name = self.tag(handle, suffix, first.start, mark)?;
            properties.tag = Some(name).filter(|name| !name.is_empty());
        }
        Ok((properties, next))
    }

    /// Puts a tag together and shortens YAML's own prefix.
    fn tag(&self, handle: &str, suffix: Cow<'a, str>, start: Mark, tag_start: Mark) -> Result<Cow<'a, str>> {
        let full = if handle.is_empty() {
            suffix
        } else {
            match self.tag_prefix(handle) {
                Some(prefix) if !(prefix.is_empty() && suffix.is_empty()) => {
                    format!("{prefix}{suffix}").into()
                }
                _ => return Err(self.error(start, "found undefined tag handle", tag_start)),
            }
        };
        Ok(match full.strip_prefix(CORE) {
            Some(core) => format!("!!{core}").into(),
            None => full,
        })
    }
}
