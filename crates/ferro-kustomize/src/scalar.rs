//! Scalars that code makes, and the numbers in them.

use ferro_gocompat::float::{Width, append};
use ferro_gocompat::number::{format_g, format_g32};
use ferro_yaml::{Dialect, Kind, Node, Tag, Text, Value};

/// Makes a mapping without entries.
pub(crate) fn empty_mapping() -> Node {
    Node::mapping(ferro_yaml::Mapping::new())
}

/// Makes a sequence without items.
pub(crate) fn empty_sequence() -> Node {
    Node::sequence(ferro_yaml::Sequence::new())
}

/// Makes a scalar whose type is what the text reads as in a resource.
pub(crate) fn resolved(text: impl Into<Text>) -> Node {
    let text = text.into();
    let tag = Dialect::V3.resolve(&text).tag();
    Node::scalar(text, tag)
}

/// Rewrites what was read by YAML 1.1 as JSON would hold it: plain words for booleans, decimal integers,
/// dates as texts.
pub(crate) fn to_json_types(node: &mut Node) {
    let (tag, text) = (node.tag(), node.text().unwrap_or_default());
    let plain = match Dialect::V2.resolve(text) {
        _ if !node.is_scalar() => None,
        Value::Bool(value) if tag == Tag::Bool => Some(Node::bool(value)),
        Value::Int(value) if tag == Tag::Int => Some(Node::int(value)),
        Value::Uint(value) if tag == Tag::Int => Some(Node::scalar(value.to_string(), Tag::Int)),
        _ if matches!(tag, Tag::Timestamp | Tag::Merge) => Some(Node::string(text)),
        _ if tag == Tag::Null => Some(Node::null()),
        _ => None,
    };
    if let Some(mut plain) = plain {
        plain.set_position(node.position());
        *node = plain;
    }
    if let Some(items) = node.as_sequence_mut() {
        items.as_mut_slice().iter_mut().for_each(to_json_types);
    } else if let Some(entries) = node.as_mapping_mut() {
        for entry in entries.as_mut_slice() {
            if entry.key.is_scalar() {
                entry.key = Node::string(json_key(&entry.key));
            }
            to_json_types(&mut entry.value);
        }
    }
}

/// The text of a key that was read by YAML 1.1, as a key of JSON.
pub(crate) fn json_key(key: &Node) -> Text {
    let text = key.shared_text().cloned().unwrap_or_default();
    match (key.tag(), Dialect::V2.resolve(&text)) {
        (Tag::Bool, Value::Bool(value)) => value.to_string().into(),
        (Tag::Int, Value::Int(value)) => value.to_string().into(),
        (Tag::Int, Value::Uint(value)) => value.to_string().into(),
        (Tag::Float, Value::Float(value)) if value.is_finite() => format_g32(value).into(),
        _ => text,
    }
}

/// What Go's messages call a value of JSON.
pub(crate) fn json_type(node: &Node) -> &'static str {
    match node.kind() {
        Kind::Mapping => "object",
        Kind::Sequence => "array",
        _ => match node.tag() {
            Tag::Bool => "bool",
            Tag::Int | Tag::Float => "number",
            _ => "string",
        },
    }
}

/// Reads an integer in any notation; a float without a fraction counts.
pub(crate) fn parse_int(text: &str) -> Option<i64> {
    match Dialect::V2.resolve(text) {
        Value::Int(number) => Some(number),
        // Two to the 63rd and beyond do not fit.
        #[allow(clippy::cast_possible_truncation)]
        Value::Float(number) if number.fract() == 0.0 && number.abs() < 9.2e18 => Some(number as i64),
        _ => None,
    }
}

/// Writes numbers as Go does when they come out of JSON, where all are 64-bit floats; integers that those cannot hold stay as
/// they are unless they may lose digits.
pub(crate) fn as_floats(node: &mut Node, may_lose: bool) {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    if let Some(items) = node.as_sequence_mut() {
        let items = items.as_mut_slice().iter_mut();
        items.for_each(|item| as_floats(item, may_lose));
    } else if let Some(entries) = node.as_mapping_mut() {
        let entries = entries.as_mut_slice().iter_mut();
        entries.for_each(|entry| as_floats(&mut entry.value, may_lose));
    } else if matches!(node.tag(), Tag::Int | Tag::Float) {
        #[allow(clippy::cast_precision_loss)]
        let float = match Dialect::V3.resolve(node.text().unwrap_or_default()) {
            Value::Int(number) => number as f64,
            Value::Uint(number) => number as f64,
            Value::Float(number) => number,
            _ => return,
        };
        // Small integers look the same.
        if float.abs() >= 1e6 && (may_lose || float.abs() <= EXACT) || node.tag() == Tag::Float {
            *node = resolved(format_g(float));
        }
    }
}

/// Writes large integers as a 64-bit float would hold them.
pub(crate) fn lose_precision(node: &mut Node) {
    const EXACT: u64 = 1 << 53;
    if node.is_scalar() && node.tag() == Tag::Int {
        let text = node.text().unwrap_or_default();
        #[allow(clippy::cast_precision_loss)]
        let float = match Dialect::V3.resolve(text) {
            Value::Int(number) if number.unsigned_abs() > EXACT => number as f64,
            Value::Uint(number) => number as f64,
            _ => return,
        };
        let mut text = String::new();
        append(&mut text, float, b'f', None, Width::Double);
        *node = resolved(text);
    } else if has_large_integer(node) {
        if let Some(items) = node.as_sequence_mut() {
            items.as_mut_slice().iter_mut().for_each(lose_precision);
        } else if let Some(entries) = node.as_mapping_mut() {
            entries
                .as_mut_slice()
                .iter_mut()
                .for_each(|entry| lose_precision(&mut entry.value));
        }
    }
}

fn has_large_integer(node: &Node) -> bool {
    (node.tag() == Tag::Int && node.text().is_some_and(|text| text.len() > 15))
        || node.items().iter().any(has_large_integer)
        || node.entries().iter().any(|entry| has_large_integer(&entry.value))
}

/// Tells whether there is nothing: null, an empty mapping or an empty sequence.
pub(crate) fn is_nil_or_empty(node: &Node) -> bool {
    node.is_null()
        || node.as_mapping().is_some_and(|entries| entries.is_empty())
        || node.as_sequence().is_some_and(|items| items.is_empty())
}

/// Returns the mapping below `key`, made if it is not there or null.
pub(crate) fn mapping_at<'n>(node: &'n mut Node, key: &str) -> Option<&'n mut Node> {
    let missing = node.get(key).is_none_or(Node::is_null);
    if missing {
        node.set(key, empty_mapping());
    }
    node.get_mut(key).filter(|child| child.is_mapping())
}

/// Tells whether the node is a string, or a text that nobody gave a type.
pub(crate) fn is_string(node: &Node) -> bool {
    node.is_scalar() && matches!(node.tag(), Tag::Str | Tag::Unset)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_in_all_notations() {
        assert_eq!(parse_int("010"), Some(8));
        assert_eq!(parse_int("3.0"), Some(3));
        assert_eq!(parse_int("3.5"), None);
        assert_eq!(parse_int("x"), None);
    }
}
