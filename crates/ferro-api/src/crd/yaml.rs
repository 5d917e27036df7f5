//! Prints manifests: block style, keys in order, text unquoted where that is safe.
//!
//! This is for files of the repository. Users' YAML has an engine of its own, which this crate may not
//! depend on.

use std::fmt::Write as _;

use serde_json::Value;

/// Returns a document with its marker.
pub(super) fn document(value: &Value) -> String {
    let mut out = String::from("---");
    node(&mut out, value, 0, "\n");
    out.push('\n');
    out
}

/// Prints a node after a key or a dash; `first` is what stands before the first entry of a map.
fn node(out: &mut String, value: &Value, indent: usize, first: &str) {
    match value {
        Value::Object(map) if !map.is_empty() => {
            // serde_json keeps the order of insertion or that of the keys, depending on how the build
            // was configured elsewhere.
            let mut entries: Vec<_> = map.iter().collect();
            entries.sort_by_key(|(key, _)| *key);
            for (position, (key, value)) in entries.into_iter().enumerate() {
                if position == 0 && first == " " {
                    out.push(' ');
                } else {
                    line(out, indent);
                }
                out.push_str(&scalar(key));
                out.push(':');
                let inner = if value.is_array() { indent } else { indent + 2 };
                node(out, value, inner, "\n");
            }
        }
        Value::Array(items) if !items.is_empty() => {
            for item in items {
                line(out, indent);
                out.push('-');
                node(out, item, indent + 2, " ");
            }
        }
        Value::String(text) if text.contains('\n') => {
            out.push_str(" |-");
            for text in text.lines() {
                if text.is_empty() {
                    out.push('\n');
                } else {
                    line(out, indent);
                    out.push_str(text);
                }
            }
        }
        Value::String(text) => {
            out.push(' ');
            out.push_str(&scalar(text));
        }
        other => {
            // Numbers, booleans, null and empty collections look alike in JSON and YAML. Writing to a
            // string cannot fail.
            let _ = write!(out, " {other}");
        }
    }
}

fn line(out: &mut String, indent: usize) {
    out.push('\n');
    out.extend(std::iter::repeat_n(' ', indent));
}

/// Returns a string of one line, quoted unless it can mean nothing else.
fn scalar(text: &str) -> String {
    let is_word = |c: char| c.is_ascii_alphanumeric() || "-_./".contains(c);
    let is_plain = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '.')
        && text
            .chars()
            .all(|c| is_word(c) || "() ,;'=".contains(c) || !c.is_ascii())
        && !text.ends_with(' ')
        && ![
            "true", "false", "null", "yes", "no", "on", "off", "y", "n", ".nan", ".inf",
        ]
        .contains(&text.to_ascii_lowercase().as_str());
    if is_plain {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', "''"))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn prints_block_style() {
        let value = json!({
            "b": [{"name": "x", "list": ["1", "true"]}, [], {}],
            "a": {"text": "one\n\ntwo", "rule": "self == 'x'", "count": -1, "v": "it's: here", "e": ""},
        });
        let expected = "---\na:\n  count: -1\n  e: ''\n  rule: self == 'x'\n  text: |-\n    one\n\n    two\n  \
                        v: 'it''s: here'\nb:\n- list:\n  - '1'\n  - 'true'\n  name: x\n- []\n- {}\n";
        assert_eq!(document(&value), expected);
    }
}
