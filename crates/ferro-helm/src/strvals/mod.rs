//! The grammar of `--set` and its kin, which is also that of a HelmRelease's `targetPath`.
//!
//! `a.b[0].c=value,d={x,y}`: what is there is changed in place. The grammar has corners (`a[0]` without a
//! value is accepted and makes an empty list) that are kept, for people's command lines depend on them.

mod error;
mod literal;
mod parser;
mod tree;

use serde_json::{Map, Value as Json};

pub use error::Error;
use parser::{Parser, Scalar};
pub use tree::{Tree, TreeMap};

/// The deepest nesting of names.
pub const MAX_NESTED_NAME_LEVEL: usize = 30;
/// The largest index of a list.
pub const MAX_INDEX: i64 = 65536;

/// How the text after a `=` is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grammar {
    /// `--set`: booleans, integers and null are recognised.
    Typed,
    /// `--set-string`: everything is a string.
    Strings,
    /// `--set-json`: values are JSON.
    Json,
    /// `--set-literal`: everything after the first `=` is one string, nothing is special in it.
    Literal,
}

/// Reads assignments into values.
///
/// ```
/// use ferro_helm::strvals::{Grammar, parse_into};
/// use serde_json::json;
///
/// let mut values = json!({"image": {"tag": "v1"}}).as_object().cloned().unwrap_or_default();
/// parse_into(&mut values, "image.tag=v2,ports={80,443},debug=true", Grammar::Typed)?;
/// assert_eq!(json!(values), json!({"image": {"tag": "v2"}, "ports": [80, 443], "debug": true}));
/// # Ok::<(), ferro_helm::strvals::Error>(())
/// ```
pub fn parse_into(values: &mut Map<String, Json>, text: &str, grammar: Grammar) -> Result<(), Error> {
    change(values, |tree| parse_into_tree(tree, text, grammar))
}

/// Reads assignments like `--set-file`: `load` is called with each value for what to set.
pub fn parse_files_into(
    values: &mut Map<String, Json>,
    text: &str,
    mut load: impl FnMut(&str) -> Result<String, String>,
) -> Result<(), Error> {
    change(values, |tree| {
        Parser::new(text, Scalar::Loaded(&mut load)).parse(tree)
    })
}

/// Reads assignments into a tree whose parts may be shared with others.
pub fn parse_into_tree(tree: &TreeMap, text: &str, grammar: Grammar) -> Result<(), Error> {
    match grammar {
        Grammar::Typed => Parser::new(text, Scalar::Typed).parse(tree),
        Grammar::Strings => Parser::new(text, Scalar::String).parse(tree),
        Grammar::Json => Parser::new(text, Scalar::Json).parse(tree),
        Grammar::Literal => literal::parse(tree, text),
    }
}

fn change(
    values: &mut Map<String, Json>,
    change: impl FnOnce(&TreeMap) -> Result<(), Error>,
) -> Result<(), Error> {
    let tree = TreeMap::from_json(std::mem::take(values));
    let result = change(&tree);
    *values = tree.to_json();
    result
}

#[cfg(test)]
mod tests;
