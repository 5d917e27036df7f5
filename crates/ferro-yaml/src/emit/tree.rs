//! Trees as go-yaml v3 writes its nodes, styles and comments kept.

use super::machine::{Machine, Open, Properties, Scalar};
use crate::{Dialect, Entry, Kind, Node, Result, ScalarStyle, Tag};

pub(super) fn write<'a>(machine: &mut Machine<'a>, node: &'a Node) -> Result<()> {
    write_after(machine, node, "", true)
}

/// Writes a node; `tail` is the foot comment of the entry before, and the node's own is left out if it
/// will become the tail of the next.
fn write_after<'a>(machine: &mut Machine<'a>, node: &'a Node, tail: &'a str, with_foot: bool) -> Result<()> {
    let kind = node.kind();
    let is_leaf = matches!(kind, Kind::Scalar | Kind::Alias);
    if kind != Kind::Alias && kind != Kind::Sequence {
        machine.tail_comment(tail);
    }
    if let Some(comments) = node.comments() {
        if is_leaf {
            machine.comments(comments);
            if !with_foot {
                machine.forget_foot_comment();
            }
        } else {
            machine.head_comment(&comments.head);
        }
    }
    let (is_quoted, tag) = presentation(node);
    let properties = Properties {
        anchor: node.anchor(),
        tag,
    };
    match kind {
        Kind::Alias => return machine.alias(node.alias_name().unwrap_or_default()),
        Kind::Scalar => {
            let text = node.text().unwrap_or_default();
            let style = match node.style() {
                ScalarStyle::Plain if text.contains('\n') => ScalarStyle::Literal,
                ScalarStyle::Plain if is_quoted => ScalarStyle::DoubleQuoted,
                style => style,
            };
            return machine.scalar(&Scalar {
                text,
                style,
                properties,
            });
        }
        Kind::Sequence => {
            let is_empty = node.items().is_empty();
            machine.open(&Open {
                is_mapping: false,
                is_flow: node.is_flow(),
                is_empty,
                properties,
            })?;
            for item in node.items() {
                write(machine, item)?;
            }
        }
        Kind::Mapping => {
            let is_empty = node.entries().is_empty();
            machine.open(&Open {
                is_mapping: true,
                is_flow: node.is_flow(),
                is_empty,
                properties,
            })?;
            write_entries(machine, node.entries())?;
        }
    }
    if let Some(comments) = node.comments() {
        machine.line_and_foot_comments(&comments.line, &comments.foot, with_foot);
    }
    machine.close();
    Ok(())
}

/// A key's foot comment belongs below its whole value, so it is written before the next key, or at the
/// mapping's end.
fn write_entries<'a>(machine: &mut Machine<'a>, entries: &'a [Entry]) -> Result<()> {
    let mut tail = "";
    for entry in entries {
        write_after(machine, &entry.key, tail, false)?;
        tail = entry.key.comments().map_or("", |comments| comments.foot.as_str());
        write(machine, &entry.value)?;
    }
    machine.tail_comment(tail);
    Ok(())
}

/// Returns whether a plain string needs quotes to stay one, and the tag to write, which is left out where
/// it goes without saying.
fn presentation(node: &Node) -> (bool, &str) {
    let tag = node.tag();
    if node.has_explicit_tag() || tag == Tag::Unset {
        return (false, node.tag_name());
    }
    let implied = match node.kind() {
        Kind::Mapping => Tag::Map,
        Kind::Sequence => Tag::Seq,
        Kind::Alias => Tag::Unset,
        Kind::Scalar => {
            if tag == Tag::Str && node.style() != ScalarStyle::Plain {
                return (false, "");
            }
            let read = Dialect::V3.resolve(node.text().unwrap_or_default()).tag();
            if tag == Tag::Str {
                return (read != Tag::Str, "");
            }
            read
        }
    };
    (false, if implied == tag { "" } else { node.tag_name() })
}
