//! Events to trees, with a stack of its own instead of recursion.

use std::collections::BTreeMap;

use super::event::{Event, Events};
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

struct Builder<'o> {
    options: &'o ParseOptions,
    documents: Vec<Document>,
    nodes: Vec<Node>,
    frames: Vec<Frame>,
    anchors: BTreeMap<usize, Text>,
    has_references: bool,
    count: usize,
    /// Whether the last event started a collection, to which an anchor then belongs.
    opened: bool,
}

/// Reads at most `most` documents.
pub(super) fn build(text: &str, options: &ParseOptions, most: usize) -> Result<Vec<Document>> {
    let mut events = Events::new(text, options.limits);
    let mut builder = Builder {
        options,
        documents: Vec::new(),
        nodes: Vec::new(),
        frames: Vec::new(),
        anchors: BTreeMap::new(),
        has_references: false,
        count: 0,
        opened: false,
    };
    while let Some((event, position)) = events.next()? {
        builder.accept(event, position)?;
        if builder.documents.len() >= most {
            break;
        }
    }
    Ok(builder.documents)
}

impl Builder<'_> {
    fn accept(&mut self, event: Event<'_>, position: Position) -> Result<()> {
        match event {
            Event::DocumentStart => {
                self.anchors.clear();
                self.has_references = false;
            }
            Event::DocumentEnd => self.end_document(),
            Event::Scalar { text, style, tag } => {
                let node = scalar(text.into(), style, tag.as_deref(), self.options.dialect);
                self.has_references |= node.tag() == Tag::Merge;
                self.push(node, position)?;
            }
            Event::SequenceStart { flow, tag } => {
                self.open(Node::sequence(Sequence::new()), flow, tag, position)?;
            }
            Event::MappingStart { flow, tag } => {
                self.open(Node::mapping(Mapping::new()), flow, tag, position)?;
            }
            Event::CollectionEnd => self.close(),
            Event::Anchor { id, name } => self.anchor(id, name.into()),
            Event::Alias { id } => {
                let name = self.anchors.get(&id).cloned().unwrap_or_default();
                self.has_references = true;
                self.push(Node::alias(name), position)?;
            }
        }
        Ok(())
    }

    fn push(&mut self, mut node: Node, position: Position) -> Result<()> {
        node.set_position(position);
        self.opened = false;
        self.nodes.push(node);
        self.admit()
    }

    fn open(&mut self, mut shell: Node, flow: bool, tag: Option<String>, position: Position) -> Result<()> {
        shell.set_position(position);
        shell.set_flow(flow);
        if let Some(tag) = tag.filter(|tag| tag != "!") {
            shell.set_explicit_tag(&tag);
        }
        self.opened = true;
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

    fn close(&mut self) {
        self.opened = false;
        let Some(Frame { first, mut shell }) = self.frames.pop() else {
            return;
        };
        if let Some(items) = shell.as_sequence_mut() {
            *items = self.nodes.drain(first..).collect::<Sequence>();
        } else if let Some(entries) = shell.as_mapping_mut() {
            let mut children = self.nodes.drain(first..);
            let mut collected = Mapping::with_capacity(children.len() / 2);
            while let (Some(key), Some(value)) = (children.next(), children.next()) {
                collected.push(Entry { key, value });
            }
            *entries = collected;
        }
        self.nodes.push(shell);
    }

    fn anchor(&mut self, id: usize, name: Text) {
        let node = if self.opened {
            self.frames.last_mut().map(|frame| &mut frame.shell)
        } else {
            self.nodes.last_mut()
        };
        if let Some(node) = node {
            node.set_anchor(name.clone());
        }
        self.has_references = true;
        self.anchors.insert(id, name);
    }

    fn end_document(&mut self) {
        let root = self.nodes.pop().unwrap_or_default();
        let has_references = self.has_references;
        self.documents.push(Document {
            root,
            comments: Comments::default(),
            has_references,
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
