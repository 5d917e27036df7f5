//! Streams and documents.

use std::borrow::Cow;

use super::{Event, Events, Parsed, State};
use crate::parse::token::{Data, Kind, Mark};
use crate::{Result, Text};

impl<'a> Events<'a> {
    pub(super) fn document_start(&mut self, implicit: bool) -> Result<Parsed<'a>> {
        let mut next = self.peek()?;
        while !implicit && next.kind == Kind::DocumentEnd {
            self.skip();
            next = self.peek()?;
        }
        if next.kind == Kind::StreamEnd {
            self.state = State::End;
            self.skip();
            return Ok(Parsed::new(Event::StreamEnd, next.start));
        }
        let is_marker = matches!(
            next.kind,
            Kind::VersionDirective | Kind::TagDirective | Kind::DocumentStart
        );
        self.directives()?;
        self.states.push(State::DocumentEnd);
        let mut parsed = Parsed::new(Event::DocumentStart, next.start);
        if implicit && !is_marker {
            self.state = State::BlockNode;
            parsed.comments = self.pending.split_document_head();
            return Ok(parsed);
        }
        let marker = self.peek()?;
        if marker.kind != Kind::DocumentStart {
            let problem = "did not find expected <document start>";
            return Err(self.error(Mark::default(), problem, marker.start));
        }
        self.skip();
        self.state = State::DocumentContent;
        Ok(parsed)
    }

    pub(super) fn document_content(&mut self) -> Result<Parsed<'a>> {
        let next = self.peek()?;
        match next.kind {
            Kind::VersionDirective
            | Kind::TagDirective
            | Kind::DocumentStart
            | Kind::DocumentEnd
            | Kind::StreamEnd => {
                self.pop_state();
                Ok(Self::empty_scalar(next.start))
            }
            _ => self.node(true, false),
        }
    }

    pub(super) fn document_end(&mut self) -> Result<Parsed<'a>> {
        let next = self.peek()?;
        if next.kind == Kind::DocumentEnd {
            self.skip();
        }
        self.tag_handles.clear();
        self.state = State::DocumentStart;
        let mut parsed = self.with_comments(Parsed::new(Event::DocumentEnd, next.start));
        if let Some(comments) = parsed
            .comments
            .as_mut()
            .filter(|comments| comments.foot.is_empty())
        {
            comments.foot = std::mem::replace(&mut comments.head, Text::new());
        }
        Ok(parsed)
    }

    fn directives(&mut self) -> Result<()> {
        let mut has_version = false;
        loop {
            let next = self.peek()?;
            if !matches!(next.kind, Kind::VersionDirective | Kind::TagDirective) {
                break;
            }
            let problem = match self.take() {
                Data::Version(..) if has_version => Some("found duplicate %YAML directive"),
                Data::Version(major, minor) => {
                    has_version = true;
                    ((major, minor) != (1, 1)).then_some("found incompatible YAML document")
                }
                Data::Tag(parts) if self.tag_prefix(parts.0).is_some() => {
                    Some("found duplicate %TAG directive")
                }
                Data::Tag(parts) => {
                    self.tag_handles.push(*parts);
                    None
                }
                _ => None,
            };
            if let Some(problem) = problem {
                return Err(self.error(Mark::default(), problem, next.start));
            }
        }
        for (handle, prefix) in [("!", "!"), ("!!", "tag:yaml.org,2002:")] {
            if self.tag_prefix(handle).is_none() {
                self.tag_handles.push((handle, Cow::Borrowed(prefix)));
            }
        }
        Ok(())
    }

    pub(super) fn tag_prefix(&self, handle: &str) -> Option<&str> {
        let known = self.tag_handles.iter().find(|(known, _)| *known == handle)?;
        Some(&known.1)
    }
}
