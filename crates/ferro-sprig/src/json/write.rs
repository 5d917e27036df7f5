//! JSON text as `encoding/json` writes it.

use ferro_gocompat::json::{Options, escape_into, number_to_string};
use ferro_template::{Map, Text, Value};

use super::model::{Path, Rules, Shape, guarded, key_text, shape};

/// Writes a value as JSON text.
pub(super) fn write(value: &Value, options: Options<'static>) -> Result<String, String> {
    let mut writer = Writer {
        out: String::new(),
        options,
        path: Path::new(),
        level: 0,
    };
    writer.value(value)?;
    Ok(writer.out)
}

struct Writer {
    out: String,
    options: Options<'static>,
    path: Path,
    level: usize,
}

impl Writer {
    fn value(&mut self, value: &Value) -> Result<(), String> {
        match shape(value, Rules::Json)? {
            Shape::Null => self.out.push_str("null"),
            Shape::Bool(value) => self.out.push_str(if value { "true" } else { "false" }),
            Shape::Number(number) => self.out.push_str(&number_to_string(&number)),
            Shape::Text(text) => self.text(&text),
            // Bytes are texts here.
            Shape::Numbers(_) => {}
            Shape::List(list) => {
                self.path.enter()?;
                guarded(|| self.list(list.items()))?;
                self.path.leave();
            }
            Shape::Map(map) => {
                self.path.enter_map(map)?;
                guarded(|| self.map(map))?;
                self.path.leave_map();
            }
            Shape::Fields(fields) => {
                self.path.enter()?;
                guarded(|| self.fields(&fields))?;
                self.path.leave();
            }
        }
        Ok(())
    }

    fn list(&mut self, items: &[Value]) -> Result<(), String> {
        self.open('[');
        for (index, item) in items.iter().enumerate() {
            self.separate(index);
            self.value(item)?;
        }
        self.close(']', items.is_empty());
        Ok(())
    }

    /// Go sorts the keys as texts, which is another order than that of integers.
    fn map(&mut self, map: &Map) -> Result<(), String> {
        let entries = map.entries();
        let mut sorted = Vec::with_capacity(entries.len());
        for (key, value) in entries.iter() {
            sorted.push((key_text(key, map)?, value));
        }
        sorted.sort_by(|left, right| left.0.cmp(&right.0));
        self.open('{');
        for (index, (key, value)) in sorted.iter().enumerate() {
            self.separate(index);
            self.key(key);
            self.value(value)?;
        }
        self.close('}', sorted.is_empty());
        Ok(())
    }

    fn fields(&mut self, fields: &[(String, Value)]) -> Result<(), String> {
        self.open('{');
        for (index, (name, value)) in fields.iter().enumerate() {
            self.separate(index);
            self.key(&Text::from(name.as_str()));
            self.value(value)?;
        }
        self.close('}', fields.is_empty());
        Ok(())
    }

    fn key(&mut self, key: &Text) {
        self.text(key);
        self.out
            .push_str(if self.options.indent.is_empty() { ":" } else { ": " });
    }

    /// A byte that is no UTF-8 is written as an escape, a replacement character as itself.
    fn text(&mut self, text: &Text) {
        if let Some(text) = text.as_str() {
            return escape_into(&mut self.out, text, self.options.escape_html);
        }
        self.out.push('"');
        for chunk in text.as_bytes().utf8_chunks() {
            let mut quoted = String::new();
            escape_into(&mut quoted, chunk.valid(), self.options.escape_html);
            self.out
                .push_str(quoted.get(1..quoted.len() - 1).unwrap_or_default());
            for _ in chunk.invalid() {
                self.out.push_str("\\ufffd");
            }
        }
        self.out.push('"');
    }

    fn open(&mut self, bracket: char) {
        self.out.push(bracket);
        self.level += 1;
    }

    fn separate(&mut self, index: usize) {
        if index > 0 {
            self.out.push(',');
        }
        self.new_line();
    }

    fn close(&mut self, bracket: char, is_empty: bool) {
        self.level -= 1;
        if !is_empty {
            self.new_line();
        }
        self.out.push(bracket);
    }

    fn new_line(&mut self) {
        if !self.options.indent.is_empty() {
            self.out.push('\n');
            self.out.push_str(&self.options.indent.repeat(self.level));
        }
    }
}
