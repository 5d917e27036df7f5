//! Events to trees, with a stack of its own instead of recursion.

use std::collections::BTreeSet;

use super::event::{Event, Events, Parsed, Properties};
use super::reader::Decoded;
use super::{Document, ParseOptions};
use crate::resolve::Dialect;
use crate::{Comments, Entry, Error, Mapping, Node, Position, Result, ScalarStyle, Sequence, Tag, Text};

/// A collection that is being read.
struct Frame {
    /// Where its children start among the builder's nodes.
    first: usize,
    /// The node without its children.
    shell: Node,
}

struct Builder<'o, 'a> {
    options: &'o ParseOptions,
    documents: Vec<Document>,
    /// The comments before the current document's content.
    head: Text,
    nodes: Vec<Node>,
    frames: Vec<Frame>,
    anchors: BTreeSet<&'a str>,
    has_references: bool,
    count: usize,
}

/// Reads at most `most` documents.
pub(super) fn build(decoded: &Decoded<'_>, options: &ParseOptions, most: usize) -> Result<Vec<Document>> {
    let mut events = Events::new(decoded, options.dialect, options.comments);
    let mut builder = Builder {
        options,
        documents: Vec::new(),
        head: Text::new(),
        nodes: Vec::new(),
        frames: Vec::new(),
        anchors: BTreeSet::new(),
        has_references: false,
        count: 0,
    };
    while builder.documents.len() < most {
        let parsed = events.next()?;
        if matches!(parsed.event, Event::StreamEnd) {
            break;
        }
        builder.accept(parsed)?;
    }
    Ok(builder.documents)
}

/// Counts the documents.
pub(super) fn check(decoded: &Decoded<'_>, options: &ParseOptions) -> Result<usize> {
    let mut events = Events::new(decoded, options.dialect, options.comments);
    let limit = options.limits.depth;
    let (mut documents, mut depth) = (0, 0);
    loop {
        let parsed = events.next()?;
        match parsed.event {
            Event::StreamEnd => return Ok(documents),
            Event::DocumentEnd => documents += 1,
            Event::SequenceStart { .. } | Event::MappingStart { .. } => depth += 1,
            Event::SequenceEnd | Event::MappingEnd => depth -= 1,
            _ => {}
        }
        if depth > limit {
            let line = parsed.position.line;
            return Err(Error::TooDeep { line, limit });
        }
    }
}

impl<'a> Builder<'_, 'a> {
    fn accept(&mut self, parsed: Parsed<'a>) -> Result<()> {
        let Parsed {
            event,
            position,
            comments,
        } = parsed;
        match event {
            Event::StreamStart | Event::StreamEnd => {}
            Event::DocumentStart => self.start_document(comments),
            Event::DocumentEnd => self.end_document(comments),
            Event::Scalar {
                properties,
                text,
                style,
            } => {
                let tag = properties.tag.as_deref();
                let node = scalar(text.into(), style, tag, self.options.dialect);
                // kyaml drops a key of that name, however it is tagged or quoted.
                self.has_references |= node.tag() == Tag::Merge || node.text() == Some("<<");
                self.push(node, position, properties.anchor, comments)?;
            }
            Event::SequenceStart { properties, flow } => {
                let shell = Node::sequence(Sequence::new());
                self.open(shell, flow, &properties, position, comments)?;
            }
            Event::MappingStart { properties, flow } => {
                let shell = Node::mapping(Mapping::new());
                self.open(shell, flow, &properties, position, comments)?;
            }
            Event::SequenceEnd | Event::MappingEnd => self.close(comments),
            Event::Alias { name } => {
                if !self.anchors.contains(name) {
                    return Err(Error::UnknownAnchor {
                        name: name.to_owned(),
                        line: position.line,
                    });
                }
                self.has_references = true;
                self.push(Node::alias(name), position, None, comments)?;
            }
        }
        Ok(())
    }

    fn push(
        &mut self,
        mut node: Node,
        position: Position,
        anchor: Option<&'a str>,
        comments: Option<Box<Comments>>,
    ) -> Result<()> {
        node.set_position(position);
        if let Some(name) = anchor {
            self.anchor(&mut node, name);
        }
        if let Some(comments) = comments {
            node.set_comments(*comments);
        }
        self.nodes.push(node);
        self.settle_comments();
        self.admit()
    }

    fn open(
        &mut self,
        mut shell: Node,
        flow: bool,
        properties: &Properties<'a>,
        position: Position,
        comments: Option<Box<Comments>>,
    ) -> Result<()> {
        let limit = self.options.limits.depth;
        if self.frames.len() >= limit {
            let line = position.line;
            return Err(Error::TooDeep { line, limit });
        }
        shell.set_position(position);
        shell.set_flow(flow);
        if let Some(tag) = properties.tag.as_deref().filter(|tag| *tag != "!") {
            shell.set_explicit_tag(tag);
        }
        if let Some(name) = properties.anchor {
            self.anchor(&mut shell, name);
        }
        if let Some(comments) = comments {
            shell.set_comments(*comments);
        }
        self.frames.push(Frame {
            first: self.nodes.len(),
            shell,
        });
        self.admit()
    }

    fn admit(&mut self) -> Result<()> {
        self.count += 1;
        let limit = self.options.limits.nodes;
        if self.count > limit {
            Err(Error::TooManyNodes { limit })
        } else {
            Ok(())
        }
    }

    fn anchor(&mut self, node: &mut Node, name: &'a str) {
        node.set_anchor(name);
        self.anchors.insert(name);
        self.has_references = true;
    }

    fn close(&mut self, comments: Option<Box<Comments>>) {
        let Some(Frame { first, mut shell }) = self.frames.pop() else {
            return;
        };
        self.end_comments(&mut shell, first, comments);
        if let Some(items) = shell.as_sequence_mut() {
            *items = self.nodes.drain(first..).collect::<Sequence>();
        } else if let Some(entries) = shell.as_mapping_mut() {
            let mut children = self.nodes.drain(first..);
            let mut collected = Mapping::with_capacity(children.len() / 2);
            while let (Some(key), Some(value)) = (children.next(), children.next()) {
                self.has_references |= key.is_null();
                collected.push(Entry { key, value });
            }
            *entries = collected;
        }
        self.nodes.push(shell);
        self.settle_comments();
    }

    /// Gives a collection the comments at its end; the foot of a block mapping is that of its last key.
    fn end_comments(&mut self, shell: &mut Node, first: usize, comments: Option<Box<Comments>>) {
        if !self.options.comments {
            return;
        }
        let end = comments.map(|comments| *comments).unwrap_or_default();
        let moves = shell.is_mapping() && !shell.is_flow() && !end.foot.is_empty();
        let last_key = match self.nodes.len().checked_sub(2) {
            Some(at) if moves && at >= first => self.nodes.get_mut(at),
            _ => None,
        };
        let head = shell.comments().map(|comments| comments.head.clone());
        let mut own = Comments {
            head: head.unwrap_or_default(),
            ..end
        };
        if let Some(key) = last_key {
            key.set_foot_comment(std::mem::take(&mut own.foot));
        }
        shell.set_comments(own);
    }

    /// Moves the foot comments of what was just added to a mapping to the key which they stand below.
    fn settle_comments(&mut self) {
        if !self.options.comments {
            return;
        }
        let Some(frame) = self.frames.last().filter(|frame| frame.shell.is_mapping()) else {
            return;
        };
        let is_key = (self.nodes.len() - frame.first) % 2 == 1;
        match self.nodes.get_mut(frame.first..) {
            Some([.., before, _, key]) if is_key && !frame.shell.is_flow() => {
                if let Some(foot) = key.take_foot_comment() {
                    before.set_foot_comment(foot);
                }
            }
            Some([.., key, value]) if !is_key && key.foot_comment().is_empty() => {
                if let Some(foot) = value.take_foot_comment() {
                    key.set_foot_comment(foot);
                }
            }
            _ => {}
        }
    }

    fn start_document(&mut self, comments: Option<Box<Comments>>) {
        self.head = comments.map(|comments| comments.head).unwrap_or_default();
        self.has_references = false;
        // In v3 the anchors of a stream are known in all documents after them.
        if self.options.dialect == Dialect::V2 {
            self.anchors.clear();
        }
    }

    fn end_document(&mut self, comments: Option<Box<Comments>>) {
        let root = self.nodes.pop().unwrap_or_default();
        let comments = Comments {
            head: std::mem::take(&mut self.head),
            line: Text::new(),
            foot: comments.map(|comments| comments.foot).unwrap_or_default(),
        };
        self.documents.push(Document {
            root,
            comments,
            has_references: self.has_references,
        });
        self.frames.clear();
        self.nodes.clear();
    }
}

/// Makes a scalar as go-yaml's parser does: an explicit tag wins, quotes make a string, plain text is
/// resolved.
fn scalar(text: Text, style: ScalarStyle, tag: Option<&str>, dialect: Dialect) -> Node {
    let explicit = tag.filter(|tag| *tag != "!");
    let resolved = match style {
        _ if explicit.is_some() => Tag::Unset,
        // go-yaml v2 takes what follows a lone `!` for a string, v3 ignores the mark.
        ScalarStyle::Plain if tag.is_some() && dialect == Dialect::V2 => Tag::Str,
        ScalarStyle::Plain => dialect.resolve(&text).tag(),
        _ => Tag::Str,
    };
    let mut node = Node::scalar(text, resolved);
    node.set_style(style);
    if let Some(tag) = explicit {
        node.set_explicit_tag(tag);
    }
    node
}
