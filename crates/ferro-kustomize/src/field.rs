//! Setting fields the way kyaml does.
//!
//! A value that takes another's place takes on its style too: what goes between quotes stays a string, whatever
//! its text looks like, and what goes where none were may become a number. Output depends on it, because a
//! tree is written as text and read back before it is printed.

use ferro_yaml::{
    Dialect, Entry, Kind, Node, ParseOptions, Position, ScalarStyle, Tag, Text, Value, parse_first,
};

use crate::error::Result;
use crate::fieldspec::wrong_node_kind;

/// Makes a string; several lines make it a block.
pub(crate) fn string(text: impl Into<Text>) -> Node {
    let mut node = Node::string(text);
    if node.text().is_some_and(|text| text.contains('\n')) {
        node.set_style(ScalarStyle::Literal);
    }
    node
}

/// Sets the value of a key. Null removes it.
pub(crate) fn put(map: &mut Node, key: impl Into<Text>, mut value: Node) {
    let key = key.into();
    if value.is_null() {
        map.remove(&key);
        return;
    }
    match map.get_mut(&key) {
        Some(old) => {
            keep_style(old, &mut value);
            *old = value;
        }
        None => {
            quote_for_old_readers(&mut value);
            if let Some(entries) = map.as_mapping_mut() {
                entries.push(Entry::new(new_key(key), value));
            }
        }
    }
}

/// A key that is made has no tag, so that `1` is a number, which no output can hold.
fn new_key(key: Text) -> Node {
    match Dialect::V3.resolve(&key) {
        Value::Str => Node::string(key),
        _ => Node::untagged(key),
    }
}

/// Sets the value of a key to a text whose type is what it looks like where an old value had no quotes.
pub(crate) fn put_text(map: &mut Node, key: impl Into<Text>, text: impl Into<Text>) {
    put(map, key, Node::untagged(text));
}

/// Puts a text in the place of a scalar.
pub(crate) fn overwrite(node: &mut Node, text: impl Into<Text>) -> Result<()> {
    overwrite_with(node, Node::untagged(text))
}

/// Puts a scalar in the place of another.
pub(crate) fn overwrite_with(node: &mut Node, mut value: Node) -> Result<()> {
    if !node.is_scalar() {
        return Err(wrong_node_kind(Kind::Scalar, node));
    }
    keep_style(node, &mut value);
    *node = value;
    Ok(())
}

/// Gives a new value the style of the old one.
pub(crate) fn keep_style(old: &Node, new: &mut Node) {
    new.set_flow(old.is_flow());
    if !new.is_scalar() {
        return;
    }
    new.set_style(old.style());
    if new.has_explicit_tag() == old.has_explicit_tag() || new.tag() == Tag::Other {
        return;
    }
    if !old.has_explicit_tag() {
        new.set_tag(new.tag());
    } else if !new.tag_name().is_empty() {
        let name = new.tag_name().to_owned();
        new.set_explicit_tag(&name);
    }
}

/// Puts a string into quotes that YAML 1.1 would not take for one.
pub(crate) fn quote_for_old_readers(node: &mut Node) {
    if is_bare_string(node) && node.text().is_some_and(is_no_string_in_old_yaml) {
        node.set_style(ScalarStyle::DoubleQuoted);
    }
}

/// Tells whether [`quote_for_old_readers`] would do anything.
pub(crate) fn lacks_quotes(node: &Node) -> bool {
    is_bare_string(node) && node.text().is_some_and(is_no_string_in_old_yaml)
}

fn is_bare_string(node: &Node) -> bool {
    node.is_scalar()
        && matches!(node.tag(), Tag::Str | Tag::Unset)
        && node.style() == ScalarStyle::Plain
        && !node.has_explicit_tag()
}

fn is_no_string_in_old_yaml(text: &str) -> bool {
    let is_plain =
        |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'/' | b'-' | b'+');
    if text.is_empty() || text.contains('\n') {
        return false;
    }
    let is_name = text.starts_with(|c: char| c.is_ascii_alphanumeric()) && text.bytes().all(is_plain);
    let options = ParseOptions {
        dialect: Dialect::V2,
        ..ParseOptions::default()
    };
    let value = if is_name {
        Dialect::V2.resolve(text)
    } else {
        match parse_first(text, &options) {
            Err(_) => return false,
            Ok(None) => return true,
            Ok(Some(document)) if !document.root.is_scalar() => return true,
            Ok(Some(document)) if document.root.tag() == Tag::Str => return false,
            Ok(Some(document)) => Dialect::V2.resolve(document.root.text().unwrap_or_default()),
        }
    };
    // Dates are strings to the old library unless their tag says otherwise.
    !matches!(value, Value::Str | Value::Timestamp | Value::Merge)
}

/// Gives the strings below a node the styles in which plain data is written.
pub(crate) fn style_as_data(node: &mut Node) {
    node.set_flow(false);
    // It is as if it had been read, for those who ask where something comes from.
    node.set_position(Position { line: 1, column: 1 });
    if let Some(items) = node.as_sequence_mut() {
        items.as_mut_slice().iter_mut().for_each(style_as_data);
    } else if let Some(entries) = node.as_mapping_mut() {
        let values = entries.as_mut_slice().iter_mut().map(|entry| &mut entry.value);
        values.for_each(style_as_data);
    } else if node.tag() == Tag::Str {
        let style = style_of_data(node);
        node.set_style(style);
    }
}

fn style_of_data(node: &Node) -> ScalarStyle {
    let text = node.text().unwrap_or_default();
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'/' | b'-');
    let is_word = text.starts_with(|c: char| c.is_ascii_alphabetic()) && text.bytes().all(is_plain);
    if is_word && Dialect::V2.resolve(text) == Value::Str {
        return ScalarStyle::Plain;
    }
    let written = ferro_yaml::to_string(&Node::string(text), &ferro_yaml::EmitOptions::pretty());
    match written.unwrap_or_default().as_bytes().first() {
        Some(b'"') => ScalarStyle::DoubleQuoted,
        Some(b'\'') => ScalarStyle::SingleQuoted,
        Some(b'|') => ScalarStyle::Literal,
        _ => ScalarStyle::Plain,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ferro_yaml::parse_one;

    fn parsed(text: &str) -> Node {
        parse_one(text, &ParseOptions::default()).unwrap()
    }

    fn printed(node: &Node) -> String {
        crate::emit::json(node)
    }

    #[test]
    fn a_value_between_quotes_stays_there() {
        let mut map = parsed("{a: 'x', b: x}");
        for key in ["a", "b", "c"] {
            put_text(&mut map, key, "10");
        }
        assert_eq!(printed(&map), "{\"a\":\"10\",\"b\":10,\"c\":\"10\"}");
        put(&mut map, "a", Node::int(7));
        put(&mut map, "b", Node::null());
        assert_eq!(printed(&map), "{\"a\":\"7\",\"c\":\"10\"}");
    }

    #[test]
    fn texts_that_old_readers_take_for_something_else_are_known() {
        for (text, expected) in [
            ("", false),
            ("a", false),
            ("yes", true),
            ("010", true),
            ("a: b", true),
            ("a:b", false),
            ("- x", true),
            ("'x'", false),
            ("# x", true),
            ("2021-01-01", false),
            ("[", false),
        ] {
            assert_eq!(is_no_string_in_old_yaml(text), expected, "{text:?}");
        }
    }

    #[test]
    fn data_is_quoted_where_it_must_be() {
        for (text, expected) in [
            ("a", ScalarStyle::Plain),
            ("true", ScalarStyle::DoubleQuoted),
            ("yes", ScalarStyle::DoubleQuoted),
            ("a: b", ScalarStyle::SingleQuoted),
            ("a\nb", ScalarStyle::Literal),
        ] {
            let mut node = Node::string(text);
            style_as_data(&mut node);
            assert_eq!(node.style(), expected, "{text:?}");
        }
    }
}
