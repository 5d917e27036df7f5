//! What the scanner makes of the text.

use std::borrow::Cow;

use crate::ScalarStyle;

/// A place in the text; all three count characters or lines from zero.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Mark {
    pub(super) index: i64,
    pub(super) line: u32,
    pub(super) column: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    StreamStart,
    StreamEnd,
    VersionDirective,
    TagDirective,
    DocumentStart,
    DocumentEnd,
    BlockSequenceStart,
    BlockMappingStart,
    BlockEnd,
    FlowSequenceStart,
    FlowSequenceEnd,
    FlowMappingStart,
    FlowMappingEnd,
    BlockEntry,
    FlowEntry,
    Key,
    Value,
    Alias,
    Anchor,
    Tag,
    Scalar,
}

/// What a token says beyond its kind.
#[derive(Clone, Debug)]
pub(super) enum Data<'a> {
    None,
    /// `%YAML major.minor`
    Version(u8, u8),
    /// The handle and the prefix of `%TAG`, or the handle and the suffix of a tag.
    Tag(Box<(&'a str, Cow<'a, str>)>),
    /// The name of an anchor or an alias.
    Name(&'a str),
    Scalar(Cow<'a, str>, ScalarStyle),
}

#[derive(Clone, Debug)]
pub(super) struct Token<'a> {
    pub(super) kind: Kind,
    /// How many characters of its line an indicator takes; none when it is implied.
    pub(super) width: u8,
    /// Which of the scanner's simple keys may start here.
    pub(super) simple_key: Option<u32>,
    pub(super) start: Mark,
    pub(super) data: Data<'a>,
}

impl<'a> Token<'a> {
    pub(super) fn new(kind: Kind, start: Mark, width: u8) -> Self {
        Self {
            kind,
            width,
            simple_key: None,
            start,
            data: Data::None,
        }
    }

    pub(super) fn with(kind: Kind, start: Mark, data: Data<'a>) -> Self {
        Self {
            data,
            ..Self::new(kind, start, 0)
        }
    }
}
