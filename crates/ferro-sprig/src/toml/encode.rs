//! Writing.

use std::rc::Rc;

use ferro_gocompat::duration;
use ferro_gocompat::number::{format_g, format_g32};
use ferro_gocompat::time::RFC3339_NANO;
use ferro_template::{Key, Kind, Map, Text, Value};

use crate::DURATION;
use crate::dates::TimeValue;
use crate::text::runes;

/// Deeper values are refused.
const MAX_DEPTH: usize = 1_000;

/// Why a value has no TOML.
pub(super) struct Failure {
    pub(super) message: String,
    /// It is no error of the library but a panic.
    pub(super) is_panic: bool,
}

type Written = Result<(), Failure>;

fn fail<T>(message: impl Into<String>) -> Result<T, Failure> {
    Err(Failure {
        message: message.into(),
        is_panic: false,
    })
}

/// What BurntSushi takes a value for when it sorts keys and arrays.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Shape {
    Nil,
    Simple,
    Table,
    ArrayOfTables,
}

pub(super) fn encode(value: &Value) -> Result<Vec<u8>, Failure> {
    let mut writer = Writer { out: Vec::new() };
    if matches!(value, Value::Nil) {
        return Err(Failure {
            message: "reflect: call of reflect.Value.Type on zero Value".to_owned(),
            is_panic: true,
        });
    }
    writer.value(&[], value)?;
    Ok(writer.out)
}

struct Writer {
    out: Vec<u8>,
}

/// The entries of a table: those of a map, or the exported fields of a struct in their order.
enum Table {
    Map(Map),
    Struct(Vec<(&'static str, Value)>),
}

impl Table {
    fn of(value: &Value) -> Option<Self> {
        match value {
            Value::Map(map) => Some(Self::Map(map.clone())),
            Value::Object(object) if is_plain_object(value) => Some(Self::Struct(
                object
                    .fields()
                    .into_iter()
                    .filter(|(name, _)| name.starts_with(char::is_uppercase))
                    .collect(),
            )),
            _ => None,
        }
    }

    fn entries(&self) -> Result<Vec<(Text, Value)>, Failure> {
        match self {
            Self::Map(map) => {
                let text_key = |key: &Key| match key {
                    Key::Str(text) => Ok(text.clone()),
                    _ => fail("toml: cannot encode a map with non-string key type"),
                };
                if map.key_type().kind() != Kind::String {
                    return fail("toml: cannot encode a map with non-string key type");
                }
                let entries: Rc<_> = map.entries();
                entries
                    .iter()
                    .map(|(key, value)| Ok((text_key(key)?, value.clone())))
                    .collect()
            }
            Self::Struct(fields) => Ok(fields
                .iter()
                .map(|(name, value)| (Text::from(*name), value.clone()))
                .collect()),
        }
    }
}

/// Tells whether an object has neither a form of its own nor is nil.
fn is_plain_object(value: &Value) -> bool {
    value.downcast::<TimeValue>().is_none() && crate::semver::json_text(value).is_none() && !value.is_nil()
}

fn shape(value: &Value, depth: usize) -> Result<Shape, Failure> {
    if depth > MAX_DEPTH {
        return fail(format!("toml: a value is nested deeper than {MAX_DEPTH} levels"));
    }
    Ok(match value {
        _ if value.is_nil() => Shape::Nil,
        Value::Map(_) => Shape::Table,
        Value::Object(_) if is_plain_object(value) => Shape::Table,
        Value::List(list) => {
            let mut all_tables = !list.is_empty();
            for item in list.items() {
                match shape(item, depth + 1)? {
                    Shape::Nil => return fail("toml: cannot encode array with nil element"),
                    Shape::Table => {}
                    Shape::Simple | Shape::ArrayOfTables => all_tables = false,
                }
            }
            if all_tables {
                Shape::ArrayOfTables
            } else {
                Shape::Simple
            }
        }
        Value::Func(_) | Value::Complex(..) => {
            return fail(format!("unsupported type: {}", value.kind().name()));
        }
        _ => Shape::Simple,
    })
}

impl Writer {
    /// Writes what stands under a key, or the whole document.
    fn value(&mut self, key: &[Text], value: &Value) -> Written {
        if key.len() > MAX_DEPTH {
            return fail(format!("toml: a value is nested deeper than {MAX_DEPTH} levels"));
        }
        if matches!(value, Value::Func(_) | Value::Complex(..)) {
            let kind = value.kind().name();
            return fail(format!("unsupported type for key '{}': {kind}", dotted(key)));
        }
        if value.is_nil() && !matches!(value, Value::List(_)) {
            return Ok(());
        }
        if let Some(table) = Table::of(value) {
            return stacker::maybe_grow(64 << 10, 1 << 20, || self.table(key, &table));
        }
        match value {
            Value::List(list) if shape(value, key.len())? == Shape::ArrayOfTables => {
                self.array_of_tables(key, list.items())
            }
            _ => self.key_value(key, value, false),
        }
    }

    fn table(&mut self, key: &[Text], table: &Table) -> Written {
        if key.len() == 1 {
            self.new_line();
        }
        if !key.is_empty() {
            self.indent(key);
            self.out
                .extend_from_slice(format!("[{}]", dotted(key)).as_bytes());
            self.new_line();
        }
        self.entries(key, table)
    }

    fn array_of_tables(&mut self, key: &[Text], items: &[Value]) -> Written {
        if key.is_empty() {
            return fail("toml: top-level values must be Go maps or structs");
        }
        for item in items {
            self.new_line();
            self.indent(key);
            self.out
                .extend_from_slice(format!("[[{}]]", dotted(key)).as_bytes());
            self.new_line();
            if let Some(table) = Table::of(item) {
                self.entries(key, &table)?;
            }
        }
        Ok(())
    }

    /// Entries that are no tables come first, for they would belong to the table before them.
    fn entries(&mut self, key: &[Text], table: &Table) -> Written {
        let (simple, tables) = sorted(table)?;
        for (name, value) in simple.iter().chain(&tables) {
            if !value.is_nil() {
                let key = [key, std::slice::from_ref(name)].concat();
                self.value(&key, value)?;
            }
        }
        Ok(())
    }

    fn key_value(&mut self, key: &[Text], value: &Value, inline: bool) -> Written {
        let Some((last, _)) = key.split_last() else {
            return self.element(value, 0);
        };
        self.indent(key);
        self.out.extend(quoted_key(last));
        self.out.extend_from_slice(b" = ");
        self.element(value, key.len())?;
        if !inline {
            self.new_line();
        }
        Ok(())
    }

    fn element(&mut self, value: &Value, depth: usize) -> Written {
        if depth > MAX_DEPTH {
            return fail(format!("toml: a value is nested deeper than {MAX_DEPTH} levels"));
        }
        if let Some(time) = value.downcast::<TimeValue>() {
            let zone = time.0.zone().0;
            let layout = match zone.as_str() {
                "datetime-local" => "2006-01-02T15:04:05.999999999",
                "date-local" => "2006-01-02",
                "time-local" => "15:04:05.999999999",
                _ => RFC3339_NANO,
            };
            self.out.extend_from_slice(time.0.format(layout).as_bytes());
            return Ok(());
        }
        if let Some(version) = crate::semver::json_text(value) {
            self.out.extend(quoted(version.as_bytes()));
            return Ok(());
        }
        if let Some(table) = Table::of(value) {
            return stacker::maybe_grow(64 << 10, 1 << 20, || self.inline_table(&table, depth));
        }
        match value {
            Value::Str(text) => self.out.extend(quoted(text.as_bytes())),
            Value::Bool(value) => self.push(&value.to_string()),
            Value::Int(int) => self.push(&int.as_i128().to_string()),
            Value::Float(value) => self.push(&float(*value, format_g(*value))),
            Value::Float32(value) => self.push(&float(f64::from(*value), format_g32(f64::from(*value)))),
            Value::Bytes(bytes) => {
                let items: Vec<String> = bytes.iter().map(u8::to_string).collect();
                self.push(&format!("[{}]", items.join(", ")));
            }
            Value::List(list) => {
                self.push("[");
                for (index, item) in list.items().iter().enumerate() {
                    if index > 0 {
                        self.push(", ");
                    }
                    stacker::maybe_grow(64 << 10, 1 << 20, || self.element(item, depth + 1))?;
                }
                self.push("]");
            }
            Value::Named(named) if std::ptr::eq(named.ty, &DURATION) => {
                let nanos = value.as_int().map_or(0, |int| int.bits);
                self.out.extend(quoted(duration::format(nanos).as_bytes()));
            }
            Value::Named(named) => return self.element(&named.value, depth),
            _ => return fail(format!("unexpected type: {}", value.type_name())),
        }
        Ok(())
    }

    /// `{a = 1, b = 2}`; a nil leaves its comma behind only where BurntSushi counts it.
    fn inline_table(&mut self, table: &Table, depth: usize) -> Written {
        let (simple, tables) = sorted(table)?;
        self.push("{");
        for (group, has_more) in [(&simple, !tables.is_empty()), (&tables, false)] {
            for (index, (name, value)) in group.iter().enumerate() {
                if value.is_nil() {
                    continue;
                }
                self.out.extend(quoted_key(name));
                self.push(" = ");
                self.element(value, depth + 1)?;
                if has_more || index + 1 != group.len() {
                    self.push(", ");
                }
            }
        }
        self.push("}");
        Ok(())
    }

    fn push(&mut self, text: &str) {
        self.out.extend_from_slice(text.as_bytes());
    }

    /// A line break, but not at the very start.
    fn new_line(&mut self) {
        if !self.out.is_empty() {
            self.out.push(b'\n');
        }
    }

    fn indent(&mut self, key: &[Text]) {
        self.out.extend(b"  ".repeat(key.len().saturating_sub(1)));
    }
}

type Entries = Vec<(Text, Value)>;

/// The entries by shape: simple values, then tables.
fn sorted(table: &Table) -> Result<(Entries, Entries), Failure> {
    let (mut simple, mut tables) = (Vec::new(), Vec::new());
    for (name, value) in table.entries()? {
        match shape(&value, 0)? {
            Shape::Table | Shape::ArrayOfTables => tables.push((name, value)),
            Shape::Nil | Shape::Simple => simple.push((name, value)),
        }
    }
    Ok((simple, tables))
}

fn float(value: f64, digits: String) -> String {
    if value.is_nan() {
        let sign = if value.is_sign_negative() { "-" } else { "" };
        return format!("{sign}nan");
    }
    if value.is_infinite() {
        return if value < 0.0 { "-inf" } else { "inf" }.to_owned();
    }
    if digits.contains(['e', '.']) {
        digits
    } else {
        format!("{digits}.0")
    }
}

fn is_bare(key: &[u8]) -> bool {
    !key.is_empty()
        && key
            .iter()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'))
}

fn quoted_key(key: &Text) -> Vec<u8> {
    if is_bare(key.as_bytes()) {
        return key.as_bytes().to_vec();
    }
    quoted(key.as_bytes())
}

fn dotted(key: &[Text]) -> String {
    let parts: Vec<String> = key
        .iter()
        .map(|part| runes::chars(&quoted_key(part)).collect())
        .collect();
    parts.join(".")
}

fn quoted(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len() + 2);
    out.push(b'"');
    for &byte in text {
        let short: &[u8] = match byte {
            b'"' => b"\\\"",
            b'\\' => b"\\\\",
            8 => b"\\b",
            b'\t' => b"\\t",
            b'\n' => b"\\n",
            12 => b"\\f",
            b'\r' => b"\\r",
            0..b' ' | 0x7F => {
                out.extend_from_slice(format!("\\u{byte:04x}").as_bytes());
                continue;
            }
            _ => {
                out.push(byte);
                continue;
            }
        };
        out.extend_from_slice(short);
    }
    out.push(b'"');
    out
}
