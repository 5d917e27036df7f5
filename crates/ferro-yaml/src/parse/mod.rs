//! From bytes to documents: `reader` decodes, `scan` makes tokens, `event` applies the grammar, `build` makes
//! trees, `expand` resolves references.

mod build;
mod event;
mod expand;
mod reader;
mod scan;
mod token;

pub(crate) use expand::{AliasBudget, alias_targets};

use crate::resolve::Dialect;
use crate::{Error, Node, Result};

/// Bounds on what a text may cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The longest text in bytes.
    pub bytes: usize,
    /// The deepest nesting of collections. Trees are walked recursively, so a large value needs a large
    /// stack.
    pub depth: usize,
    /// The most nodes in one text, and in one document after its aliases were expanded.
    pub nodes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            bytes: 256 << 20,
            depth: 400,
            nodes: 50_000_000,
        }
    }
}

/// How to read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ParseOptions {
    /// Whose rules give plain scalars their types.
    pub dialect: Dialect,
    /// Whether comments are attached to nodes; costs time, and most callers lose them anyway.
    pub comments: bool,
    /// Bounds.
    pub limits: Limits,
}

/// One document of a stream.
#[derive(Clone, Debug, PartialEq)]
pub struct Document {
    /// The content; an empty document is a null with empty text.
    pub root: Node,
    /// Comments before the content that belong to no node, and after it.
    pub comments: crate::Comments,
    /// Whether there is anything to expand.
    pub(crate) has_references: bool,
}

impl Document {
    /// Replaces aliases by what they refer to, applies merge keys and drops anchors, as kyaml does before
    /// it looks at a resource.
    pub fn expand(&mut self, limits: &Limits) -> Result<()> {
        if self.has_references {
            self.root = expand::expand(&self.root, limits)?;
            self.has_references = false;
        }
        Ok(())
    }
}

impl From<Node> for Document {
    fn from(root: Node) -> Self {
        Self {
            root,
            comments: crate::Comments::default(),
            has_references: true,
        }
    }
}

/// Reads all documents of a stream. Aliases are left in place; see [`Document::expand`].
pub fn parse_documents(input: impl AsRef<[u8]>, options: &ParseOptions) -> Result<Vec<Document>> {
    parse(input.as_ref(), options, usize::MAX)
}

/// Reads the first document and expands it, as Go's decoders do; nothing after it is looked at, and an
/// empty text is null.
pub fn parse_one(input: impl AsRef<[u8]>, options: &ParseOptions) -> Result<Node> {
    let Some(mut document) = parse_first(input, options)? else {
        return Ok(Node::null());
    };
    document.expand(&options.limits)?;
    Ok(document.root)
}

/// Reads the first document, if there is one. Aliases are left in place, and nothing after it is looked at.
pub fn parse_first(input: impl AsRef<[u8]>, options: &ParseOptions) -> Result<Option<Document>> {
    Ok(parse(input.as_ref(), options, 1)?.into_iter().next())
}

/// Reads all documents and keeps nothing: tells how many there are, or what is wrong with the syntax.
pub fn check(input: impl AsRef<[u8]>, options: &ParseOptions) -> Result<usize> {
    let input = input.as_ref();
    admit(input, options)?;
    build::check(&reader::decode(input), options)
}

fn admit(input: &[u8], options: &ParseOptions) -> Result<()> {
    let limit = options.limits.bytes;
    if input.len() <= limit {
        return Ok(());
    }
    let size = input.len();
    Err(Error::TooLarge { size, limit })
}

fn parse(input: &[u8], options: &ParseOptions, most: usize) -> Result<Vec<Document>> {
    admit(input, options)?;
    build::build(&reader::decode(input), options, most)
}
