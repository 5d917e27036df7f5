//! The document model: ordered mappings, sequences, scalars and aliases.

mod access;
mod collection;
mod form;

use std::fmt;

pub use collection::{Entry, Mapping, Sequence};
pub use form::{ScalarStyle, Tag};

use crate::Text;
use form::Form;

/// What a node is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Text with a tag.
    Scalar,
    /// A list of nodes.
    Sequence,
    /// An ordered list of key and value nodes.
    Mapping,
    /// A reference to an anchored node, not yet expanded.
    Alias,
}

/// Where a node starts in its source; both count from 1, and 0 means that the node was made by code.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Position {
    /// The line.
    pub line: u32,
    /// The column in characters, at most 65535.
    pub column: u16,
}

/// Comments of a node, as go-yaml v3 assigns them; each text includes its `#`, lines are split by `\n`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Comments {
    /// Lines before the node.
    pub head: Text,
    /// The comment at the end of the node's line.
    pub line: Text,
    /// Lines after the node.
    pub foot: Text,
}

impl Comments {
    fn is_empty(&self) -> bool {
        self.head.is_empty() && self.line.is_empty() && self.foot.is_empty()
    }
}

/// What few nodes have, kept apart so that the others stay small.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Meta {
    comments: Comments,
    anchor: Text,
    /// The tag where [`Tag::Other`] stands in the form.
    tag: Text,
}

impl Meta {
    fn is_empty(&self) -> bool {
        self.comments.is_empty() && self.anchor.is_empty() && self.tag.is_empty()
    }
}

/// The form, position and content of a node share 24 bytes: every variant carries the first two itself
/// because an enum's padding is not open to the fields beside it.
#[derive(Clone)]
enum Data {
    Scalar {
        form: Form,
        column: u16,
        line: u32,
        text: Text,
    },
    Sequence {
        form: Form,
        column: u16,
        line: u32,
        items: Sequence,
    },
    Mapping {
        form: Form,
        column: u16,
        line: u32,
        entries: Mapping,
    },
    Alias {
        column: u16,
        line: u32,
        name: Text,
    },
}

/// A YAML node.
///
/// A clone costs a reference count, not a copy: collections are shared until one side is changed, and
/// then only the changed level is copied. A node is 32 bytes.
///
/// ```
/// use ferro_yaml::{Node, ParseOptions, parse_one};
///
/// let mut pod = parse_one("kind: Pod\nmetadata: {name: web}\n", &ParseOptions::default())?;
/// assert_eq!(pod.lookup(["metadata", "name"]).and_then(Node::as_str), Some("web"));
/// pod.set("kind", Node::string("Service"));
/// assert_eq!(pod.get("kind").and_then(Node::as_str), Some("Service"));
/// # Ok::<(), ferro_yaml::Error>(())
/// ```
#[derive(Clone)]
pub struct Node {
    data: Data,
    meta: Option<Box<Meta>>,
}

impl Node {
    /// Makes a plain scalar with the given tag.
    pub fn scalar(text: impl Into<Text>, tag: Tag) -> Self {
        let form = Form::new(ScalarStyle::Plain, tag);
        Data::Scalar {
            form,
            column: 0,
            line: 0,
            text: text.into(),
        }
        .into()
    }

    /// Makes a string; it is quoted on output where it would read back as something else.
    pub fn string(text: impl Into<Text>) -> Self {
        Self::scalar(text, Tag::Str)
    }

    /// Makes a scalar whose type is whatever its text reads as; it is never quoted to keep it a string.
    pub fn untagged(text: impl Into<Text>) -> Self {
        Self::scalar(text, Tag::Unset)
    }

    /// Makes a null, written `null`.
    pub fn null() -> Self {
        Self::scalar("null", Tag::Null)
    }

    /// Makes a boolean.
    pub fn bool(value: bool) -> Self {
        Self::scalar(if value { "true" } else { "false" }, Tag::Bool)
    }

    /// Makes an integer.
    pub fn int(value: i64) -> Self {
        Self::scalar(value.to_string(), Tag::Int)
    }

    /// Makes a sequence in block style.
    pub fn sequence(items: impl Into<Sequence>) -> Self {
        let form = Form::collection(Tag::Seq);
        Data::Sequence {
            form,
            column: 0,
            line: 0,
            items: items.into(),
        }
        .into()
    }

    /// Makes a mapping in block style.
    pub fn mapping(entries: impl Into<Mapping>) -> Self {
        let form = Form::collection(Tag::Map);
        Data::Mapping {
            form,
            column: 0,
            line: 0,
            entries: entries.into(),
        }
        .into()
    }

    /// Makes a reference to the anchor `name`.
    pub fn alias(name: impl Into<Text>) -> Self {
        Data::Alias {
            column: 0,
            line: 0,
            name: name.into(),
        }
        .into()
    }

    /// Returns what the node is.
    pub fn kind(&self) -> Kind {
        match self.data {
            Data::Scalar { .. } => Kind::Scalar,
            Data::Sequence { .. } => Kind::Sequence,
            Data::Mapping { .. } => Kind::Mapping,
            Data::Alias { .. } => Kind::Alias,
        }
    }

    /// Returns where the node starts in its source.
    pub fn position(&self) -> Position {
        match self.data {
            Data::Scalar { column, line, .. }
            | Data::Sequence { column, line, .. }
            | Data::Mapping { column, line, .. }
            | Data::Alias { column, line, .. } => Position { line, column },
        }
    }

    /// Sets where the node starts.
    pub fn set_position(&mut self, position: Position) {
        let (Data::Scalar { column, line, .. }
        | Data::Sequence { column, line, .. }
        | Data::Mapping { column, line, .. }
        | Data::Alias { column, line, .. }) = &mut self.data;
        *column = position.column;
        *line = position.line;
    }

    fn form(&self) -> Form {
        match self.data {
            Data::Scalar { form, .. } | Data::Sequence { form, .. } | Data::Mapping { form, .. } => form,
            Data::Alias { .. } => Form::new(ScalarStyle::Plain, Tag::Unset),
        }
    }

    fn form_mut(&mut self) -> Option<&mut Form> {
        match &mut self.data {
            Data::Scalar { form, .. } | Data::Sequence { form, .. } | Data::Mapping { form, .. } => {
                Some(form)
            }
            Data::Alias { .. } => None,
        }
    }

    /// Returns the tag; [`Tag::Other`] means that only [`Self::tag_name`] tells it.
    pub fn tag(&self) -> Tag {
        self.form().tag()
    }

    /// Returns the tag in its short form (`!!int`), or an empty text when it is not set.
    pub fn tag_name(&self) -> &str {
        match self.tag() {
            Tag::Other => self.meta.as_ref().map_or("", |meta| meta.tag.as_str()),
            tag => tag.name(),
        }
    }

    /// Replaces the tag; a tag that was written out in the source no longer is.
    pub fn set_tag(&mut self, tag: Tag) {
        self.write_tag(tag, false, "");
    }

    /// Replaces the tag by one that output spells out, such as `!!binary` or `!mine`.
    pub fn set_explicit_tag(&mut self, name: &str) {
        let tag = Tag::from_name(name);
        self.write_tag(tag, true, if tag == Tag::Other { name } else { "" });
    }

    fn write_tag(&mut self, tag: Tag, explicit: bool, name: &str) {
        if let Some(form) = self.form_mut() {
            form.set_tag(tag);
            form.set_explicit(explicit);
            self.update_meta(|meta| meta.tag = name.into());
        }
    }

    /// Tells whether the source spelled the tag out.
    pub fn has_explicit_tag(&self) -> bool {
        self.form().is_explicit()
    }

    /// Returns the style of a scalar; plain for anything else.
    pub fn style(&self) -> ScalarStyle {
        match self.data {
            Data::Scalar { form, .. } => form.style(),
            _ => ScalarStyle::Plain,
        }
    }

    /// Sets the style of a scalar; does nothing for anything else.
    pub fn set_style(&mut self, style: ScalarStyle) {
        if let Data::Scalar { form, .. } = &mut self.data {
            form.set_style(style);
        }
    }

    /// Tells whether a collection is written as `{...}` or `[...]`.
    pub fn is_flow(&self) -> bool {
        match self.data {
            Data::Sequence { form, .. } | Data::Mapping { form, .. } => form.is_flow(),
            _ => false,
        }
    }

    /// Chooses between flow and block style; does nothing for scalars and aliases.
    pub fn set_flow(&mut self, flow: bool) {
        if let Data::Sequence { form, .. } | Data::Mapping { form, .. } = &mut self.data {
            form.set_flow(flow);
        }
    }

    /// Returns the anchor's name, empty without one.
    pub fn anchor(&self) -> &str {
        self.meta.as_ref().map_or("", |meta| meta.anchor.as_str())
    }

    /// Sets the anchor; an empty name removes it.
    pub fn set_anchor(&mut self, name: impl Into<Text>) {
        let name = name.into();
        self.update_meta(|meta| meta.anchor = name);
    }

    /// Returns the comments, if there are any.
    pub fn comments(&self) -> Option<&Comments> {
        self.meta
            .as_ref()
            .map(|meta| &meta.comments)
            .filter(|comments| !comments.is_empty())
    }

    /// Replaces the comments.
    pub fn set_comments(&mut self, comments: Comments) {
        if self.meta.is_none() && comments.is_empty() {
            return;
        }
        self.update_meta(|meta| meta.comments = comments);
    }

    pub(crate) fn foot_comment(&self) -> &str {
        self.comments().map_or("", |comments| comments.foot.as_str())
    }

    pub(crate) fn set_foot_comment(&mut self, foot: Text) {
        self.update_meta(|meta| meta.comments.foot = foot);
    }

    pub(crate) fn take_foot_comment(&mut self) -> Option<Text> {
        if self.foot_comment().is_empty() {
            return None;
        }
        let mut foot = Text::new();
        self.update_meta(|meta| foot = std::mem::take(&mut meta.comments.foot));
        Some(foot)
    }

    fn update_meta(&mut self, change: impl FnOnce(&mut Meta)) {
        let mut meta = self.meta.take().unwrap_or_default();
        change(&mut meta);
        if !meta.is_empty() {
            self.meta = Some(meta);
        }
    }
}

impl From<Data> for Node {
    fn from(data: Data) -> Self {
        Self { data, meta: None }
    }
}

impl Default for Node {
    fn default() -> Self {
        Self::null()
    }
}

/// Nodes are equal when their content and tags are; style, comments, anchors and positions do not count.
impl PartialEq for Node {
    fn eq(&self, other: &Self) -> bool {
        if self.tag_name() != other.tag_name() {
            return false;
        }
        match (&self.data, &other.data) {
            (Data::Scalar { text: a, .. }, Data::Scalar { text: b, .. })
            | (Data::Alias { name: a, .. }, Data::Alias { name: b, .. }) => a == b,
            (Data::Sequence { items: a, .. }, Data::Sequence { items: b, .. }) => a == b,
            (Data::Mapping { entries: a, .. }, Data::Mapping { entries: b, .. }) => a == b,
            _ => false,
        }
    }
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.data {
            Data::Scalar { text, .. } => write!(f, "{} {:?}", self.tag_name(), text.as_str()),
            Data::Sequence { items, .. } => f.debug_list().entries(items.iter()).finish(),
            Data::Mapping { entries, .. } => f
                .debug_map()
                .entries(entries.iter().map(|entry| (&entry.key, &entry.value)))
                .finish(),
            Data::Alias { name, .. } => write!(f, "*{name}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_is_32_bytes_and_an_entry_64() {
        assert_eq!(size_of::<Node>(), 32);
        assert_eq!(size_of::<Entry>(), 64);
    }

    #[test]
    fn a_clone_is_independent() {
        let mut left = Node::mapping([("a", Node::sequence([Node::int(1)]))]);
        let right = left.clone();
        left.lookup_mut(["a"])
            .and_then(Node::as_sequence_mut)
            .unwrap()
            .push(Node::int(2));
        assert_eq!(right.get("a").and_then(Node::as_sequence).unwrap().len(), 1);
        assert_ne!(left, right);
    }

    #[test]
    fn tags_are_kept_and_replaced() {
        let mut node = Node::string("x");
        node.set_explicit_tag("!mine");
        assert_eq!(
            (node.tag(), node.tag_name(), node.has_explicit_tag()),
            (Tag::Other, "!mine", true)
        );
        node.set_tag(Tag::Int);
        assert_eq!((node.tag_name(), node.has_explicit_tag()), ("!!int", false));
        assert!(node.meta.is_none());
    }
}
