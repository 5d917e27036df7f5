//! JSON text as `encoding/json` writes it.

use std::cmp::Ordering;

use serde_json::{Map, Number, Value};

use crate::number::format_json;

/// How to write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options<'a> {
    /// Write `<`, `>` and `&` as escapes, which Go does unless told otherwise.
    pub escape_html: bool,
    /// What one level of indentation is; empty for compact output.
    pub indent: &'a str,
}

impl Default for Options<'_> {
    fn default() -> Self {
        Self {
            escape_html: true,
            indent: "",
        }
    }
}

/// Writes a value like `json.Marshal`: keys in byte order, no blanks.
///
/// ```
/// use ferro_gocompat::json::to_string;
///
/// assert_eq!(to_string(&serde_json::json!({"b": 1.0, "a": "<&\u{2028}\u{7}"})),
///     r#"{"a":"\u003c\u0026\u2028\u0007","b":1}"#);
/// ```
pub fn to_string(value: &Value) -> String {
    to_string_with(value, &Options::default())
}

/// Writes a value with options, like an encoder or `json.MarshalIndent`, without a final line break.
pub fn to_string_with(value: &Value, options: &Options<'_>) -> String {
    let mut writer = Writer {
        out: String::new(),
        options,
        depth: 0,
    };
    writer.value(value);
    writer.out
}

/// Appends `text` in quotes.
pub fn escape_into(out: &mut String, text: &str, escape_html: bool) {
    out.push('"');
    let mut written = 0;
    for (at, c) in text.char_indices() {
        let needs_escape = match c {
            '"' | '\\' | '\0'..='\u{1F}' | '\u{2028}' | '\u{2029}' => true,
            '<' | '>' | '&' => escape_html,
            _ => false,
        };
        if needs_escape {
            out.push_str(text.get(written..at).unwrap_or(""));
            push_escape(out, c);
            written = at + c.len_utf8();
        }
    }
    out.push_str(text.get(written..).unwrap_or(""));
    out.push('"');
}

/// Returns `text` in quotes, with HTML escapes.
pub fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    escape_into(&mut out, text, true);
    out
}

fn push_escape(out: &mut String, c: char) {
    let short = match c {
        '"' => "\\\"",
        '\\' => "\\\\",
        '\u{8}' => "\\b",
        '\u{C}' => "\\f",
        '\n' => "\\n",
        '\r' => "\\r",
        '\t' => "\\t",
        _ => {
            out.push_str(&format!("\\u{:04x}", u32::from(c)));
            return;
        }
    };
    out.push_str(short);
}

/// Writes a number: integers as they are, floats in Go's form.
pub fn number_to_string(number: &Number) -> String {
    if number.is_i64() || number.is_u64() {
        return number.to_string();
    }
    number
        .as_f64()
        .and_then(format_json)
        .unwrap_or_else(|| number.to_string())
}

struct Writer<'o> {
    out: String,
    options: &'o Options<'o>,
    depth: usize,
}

impl Writer<'_> {
    fn value(&mut self, value: &Value) {
        match value {
            Value::Null => self.out.push_str("null"),
            Value::Bool(value) => self.out.push_str(if *value { "true" } else { "false" }),
            Value::Number(number) => self.out.push_str(&number_to_string(number)),
            Value::String(text) => escape_into(&mut self.out, text, self.options.escape_html),
            Value::Array(items) => self.array(items),
            Value::Object(object) => self.object(object),
        }
    }

    fn array(&mut self, items: &[Value]) {
        self.out.push('[');
        self.depth += 1;
        for (index, item) in items.iter().enumerate() {
            self.separate(index);
            self.value(item);
        }
        self.depth -= 1;
        self.close(']', items.is_empty());
    }

    fn object(&mut self, object: &Map<String, Value>) {
        // The map's own order depends on a feature that another crate may switch on.
        let mut entries: Vec<_> = object.iter().collect();
        entries.sort_unstable_by(|left, right| -> Ordering { left.0.cmp(right.0) });
        self.out.push('{');
        self.depth += 1;
        for (index, (key, value)) in entries.into_iter().enumerate() {
            self.separate(index);
            escape_into(&mut self.out, key, self.options.escape_html);
            self.out
                .push_str(if self.options.indent.is_empty() { ":" } else { ": " });
            self.value(value);
        }
        self.depth -= 1;
        self.close('}', object.is_empty());
    }

    fn separate(&mut self, index: usize) {
        if index > 0 {
            self.out.push(',');
        }
        self.new_line();
    }

    fn close(&mut self, bracket: char, is_empty: bool) {
        if !is_empty {
            self.new_line();
        }
        self.out.push(bracket);
    }

    fn new_line(&mut self) {
        if !self.options.indent.is_empty() {
            self.out.push('\n');
            for _ in 0..self.depth {
                self.out.push_str(self.options.indent);
            }
        }
    }
}
