//! The only place that knows which crate scans YAML: its events, reduced to what the builder needs.

use std::borrow::Cow;

use granit_parser::{
    ErrorKind, Event as Granit, Parser, ScalarStyle as Style, ScanError, Span, StructureStyle,
};

use super::Limits;
use crate::{Error, Position, Result, ScalarStyle};

/// A parsing event.
pub(super) enum Event<'a> {
    DocumentStart,
    DocumentEnd,
    Scalar {
        text: Cow<'a, str>,
        style: ScalarStyle,
        tag: Option<String>,
    },
    SequenceStart {
        flow: bool,
        tag: Option<String>,
    },
    MappingStart {
        flow: bool,
        tag: Option<String>,
    },
    CollectionEnd,
    /// The anchor of the node that was started last.
    Anchor {
        id: usize,
        name: Cow<'a, str>,
    },
    Alias {
        id: usize,
    },
}

/// Reads events from a text.
pub(super) struct Events<'a> {
    parser: Parser<'a, granit_parser::StrInput<'a>>,
    source: &'a str,
    limits: Limits,
}

impl<'a> Events<'a> {
    pub(super) fn new(text: &'a str, limits: Limits) -> Self {
        let options = granit_parser::options! {
            emit_anchor_events: true,
            emit_unresolved_aliases: true,
            emit_comments: false,
            flow_nesting_limit: limits.depth,
            block_nesting_limit: limits.depth,
        };
        Self {
            parser: Parser::new_from_str_with_options(text, options),
            source: text,
            limits,
        }
    }

    /// Returns the next event and where it starts; `None` at the end of the stream.
    pub(super) fn next(&mut self) -> Result<Option<(Event<'a>, Position)>> {
        loop {
            let (event, span) = match self.parser.next_event() {
                None => return Ok(None),
                Some(Err(error)) => return Err(self.error(&error)),
                Some(Ok(event)) => event,
            };
            let position = Position {
                line: u32::try_from(span.start.line()).unwrap_or(u32::MAX),
                column: u16::try_from(span.start.col() + 1).unwrap_or(u16::MAX),
            };
            let event = match event {
                Granit::StreamEnd => return Ok(None),
                Granit::DocumentStart(_, version) => {
                    if version.is_some_and(|version| (version.major, version.minor) > (1, 2)) {
                        let problem = "found incompatible YAML document".to_owned();
                        return Err(Error::Syntax {
                            line: position.line,
                            problem,
                        });
                    }
                    Event::DocumentStart
                }
                Granit::DocumentEnd => Event::DocumentEnd,
                Granit::Scalar(text, style, _, tag) => Event::Scalar {
                    text: self.scalar_text(text, style, &span),
                    style: scalar_style(style),
                    tag: tag.map(|tag| tag_name(&tag)),
                },
                Granit::SequenceStart(style, _, tag) => Event::SequenceStart {
                    flow: style == StructureStyle::Flow,
                    tag: tag.map(|tag| tag_name(&tag)),
                },
                Granit::MappingStart(style, _, tag) => Event::MappingStart {
                    flow: style == StructureStyle::Flow,
                    tag: tag.map(|tag| tag_name(&tag)),
                },
                Granit::SequenceEnd | Granit::MappingEnd => Event::CollectionEnd,
                Granit::Anchor(id, name) => Event::Anchor { id, name },
                Granit::Alias(id) => Event::Alias { id },
                Granit::UnresolvedAlias(name) => {
                    return Err(Error::UnknownAnchor {
                        name: name.into_owned(),
                        line: position.line,
                    });
                }
                _ => continue,
            };
            return Ok(Some((event, position)));
        }
    }

    /// Corrects where the parser's idea of a text is not that of libyaml.
    fn scalar_text(&self, text: Cow<'a, str>, style: Style, span: &Span) -> Cow<'a, str> {
        match style {
            // The parser writes a tilde where the source has nothing.
            Style::Plain if span.is_empty() => Cow::Borrowed(""),
            // It ends the last line of a block, where the source may not.
            Style::Literal | Style::Folded if text.ends_with('\n') && self.is_cut_off(&text, span) => {
                let mut text = text.into_owned();
                text.pop();
                Cow::Owned(text)
            }
            _ => text,
        }
    }

    /// Tells whether a block scalar reaches the end of a source that has no final line break.
    fn is_cut_off(&self, text: &str, span: &Span) -> bool {
        let ends_here = span
            .byte_range()
            .is_some_and(|range| range.end >= self.source.len());
        let (Some(written), Some(read)) = (self.source.rsplit(['\n', '\r']).next(), text.lines().next_back())
        else {
            return false;
        };
        ends_here && !written.is_empty() && written.ends_with(read) && !read.is_empty()
    }

    fn error(&self, error: &ScanError) -> Error {
        let line = u32::try_from(error.marker().line()).unwrap_or(u32::MAX);
        if matches!(error.kind(), ErrorKind::RecursionLimitExceeded) {
            return Error::TooDeep {
                line,
                limit: self.limits.depth,
            };
        }
        Error::Syntax {
            line,
            problem: error.kind().to_string(),
        }
    }
}

fn scalar_style(style: Style) -> ScalarStyle {
    match style {
        Style::Plain => ScalarStyle::Plain,
        Style::SingleQuoted => ScalarStyle::SingleQuoted,
        Style::DoubleQuoted => ScalarStyle::DoubleQuoted,
        Style::Literal => ScalarStyle::Literal,
        Style::Folded => ScalarStyle::Folded,
    }
}

/// Joins a resolved tag and shortens YAML's own prefix.
fn tag_name(tag: &granit_parser::Tag) -> String {
    let full = format!("{}{}", tag.handle(), tag.suffix());
    match full.strip_prefix("tag:yaml.org,2002:") {
        Some(core) => format!("!!{core}"),
        None => full,
    }
}
