//! Style and tag of a node, in one byte.

/// How a scalar is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum ScalarStyle {
    /// Without quotes.
    #[default]
    Plain,
    /// `'...'`
    SingleQuoted,
    /// `"..."`
    DoubleQuoted,
    /// `|`
    Literal,
    /// `>`
    Folded,
}

/// The type of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Tag {
    /// Not set: the text decides whenever the node is written or read.
    Unset,
    /// `!!null`
    Null,
    /// `!!bool`
    Bool,
    /// `!!int`
    Int,
    /// `!!float`
    Float,
    /// `!!str`
    Str,
    /// `!!timestamp`
    Timestamp,
    /// `!!binary`
    Binary,
    /// `!!merge`, the tag of a plain `<<`
    Merge,
    /// `!!seq`
    Seq,
    /// `!!map`
    Map,
    /// Any other; its name is with the node.
    Other,
}

const TAGS: [(Tag, &str); 12] = [
    (Tag::Unset, ""),
    (Tag::Null, "!!null"),
    (Tag::Bool, "!!bool"),
    (Tag::Int, "!!int"),
    (Tag::Float, "!!float"),
    (Tag::Str, "!!str"),
    (Tag::Timestamp, "!!timestamp"),
    (Tag::Binary, "!!binary"),
    (Tag::Merge, "!!merge"),
    (Tag::Seq, "!!seq"),
    (Tag::Map, "!!map"),
    (Tag::Other, ""),
];

impl Tag {
    /// Returns the short name, empty for [`Tag::Unset`] and [`Tag::Other`].
    pub fn name(self) -> &'static str {
        TAGS.get(self as usize).map_or("", |(_, name)| name)
    }

    /// Finds the tag of a short name; [`Tag::Other`] for what is not in YAML's core.
    pub fn from_name(name: &str) -> Self {
        TAGS.iter()
            .find(|(_, known)| *known == name)
            .map_or(Self::Other, |(tag, _)| *tag)
    }
}

const STYLE_BITS: u8 = 0b0000_0111;
const FLOW: u8 = 1;
const TAG_BITS: u8 = 0b0111_1000;
const TAG_SHIFT: u32 = 3;
const EXPLICIT: u8 = 0b1000_0000;

/// Bits 0-2 hold the style (of a collection: whether it is flow), 3-6 the tag, 7 whether the tag is
/// spelled out.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Form(u8);

impl Form {
    pub(super) fn new(style: ScalarStyle, tag: Tag) -> Self {
        Self(style as u8 | ((tag as u8) << TAG_SHIFT))
    }

    pub(super) fn collection(tag: Tag) -> Self {
        Self((tag as u8) << TAG_SHIFT)
    }

    pub(super) fn style(self) -> ScalarStyle {
        match self.0 & STYLE_BITS {
            1 => ScalarStyle::SingleQuoted,
            2 => ScalarStyle::DoubleQuoted,
            3 => ScalarStyle::Literal,
            4 => ScalarStyle::Folded,
            _ => ScalarStyle::Plain,
        }
    }

    pub(super) fn set_style(&mut self, style: ScalarStyle) {
        self.0 = (self.0 & !STYLE_BITS) | style as u8;
    }

    pub(super) fn is_flow(self) -> bool {
        self.0 & STYLE_BITS == FLOW
    }

    pub(super) fn set_flow(&mut self, flow: bool) {
        self.0 = (self.0 & !STYLE_BITS) | u8::from(flow);
    }

    pub(super) fn tag(self) -> Tag {
        let index = usize::from((self.0 & TAG_BITS) >> TAG_SHIFT);
        TAGS.get(index).map_or(Tag::Unset, |(tag, _)| *tag)
    }

    pub(super) fn set_tag(&mut self, tag: Tag) {
        self.0 = (self.0 & !TAG_BITS) | ((tag as u8) << TAG_SHIFT);
    }

    pub(super) fn is_explicit(self) -> bool {
        self.0 & EXPLICIT != 0
    }

    pub(super) fn set_explicit(&mut self, explicit: bool) {
        self.0 = (self.0 & !EXPLICIT) | if explicit { EXPLICIT } else { 0 };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_tag_and_style_survives_packing() {
        let styles = [
            ScalarStyle::Plain,
            ScalarStyle::SingleQuoted,
            ScalarStyle::DoubleQuoted,
            ScalarStyle::Literal,
            ScalarStyle::Folded,
        ];
        for (index, (tag, _)) in TAGS.iter().enumerate() {
            assert_eq!(*tag as usize, index);
            for style in styles {
                let mut form = Form::new(style, *tag);
                form.set_explicit(true);
                assert_eq!(
                    (form.style(), form.tag(), form.is_explicit()),
                    (style, *tag, true)
                );
            }
        }
    }
}
