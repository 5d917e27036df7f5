//! Reading: tables, keys and collections.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};

use ferro_gocompat::quote::quote;
use ferro_template::{Key, List, Map, NamedType, Object, Type, Value};

use super::cursor::{Cursor, Lexed, Problem, is_blank, is_break, quoted, shown};
use super::scalar;
use crate::args::MAP;

/// `[]map[string]interface {}`
const TABLES: &Type = &Type::Slice(MAP);
/// Deeper nesting, of keys or of values, is refused.
const MAX_DEPTH: usize = 1_000;

/// Reads a document; the error prints like BurntSushi's.
pub(super) fn decode(input: &[u8]) -> Result<Map, String> {
    let input = [b"\xff\xfe".as_slice(), b"\xfe\xff", b"\xef\xbb\xbf"]
        .iter()
        .find_map(|mark| input.strip_prefix(*mark))
        .unwrap_or(input);
    if input.iter().take(6).any(|byte| *byte == 0) {
        return Err(
            "toml: line 1: files cannot contain NULL bytes; probably using UTF-16; TOML files must be UTF-8"
                .to_owned(),
        );
    }
    let mut parser = Parser {
        cursor: Cursor::new(input),
        root: Map::new(),
        context: Vec::new(),
        current: String::new(),
        key_line: 0,
        implicit: HashSet::new(),
        arrays: HashMap::new(),
        depth: 0,
    };
    match parser.document() {
        Ok(()) => {
            settle(&parser.root);
            Ok(parser.root)
        }
        Err(problem) => Err(parser.describe(&problem)),
    }
}

/// Tables that share a name in double brackets, while they are being read.
struct TableArray(RefCell<Vec<Map>>);

static TABLE_ARRAY: NamedType = NamedType::plain("toml.tables", Type::Struct("struct {}"));

impl Object for TableArray {
    fn go_type(&self) -> Type {
        Type::Named(&TABLE_ARRAY)
    }
}

/// Replaces the arrays that were being read by lists.
fn settle(root: &Map) {
    let mut left = vec![root.clone()];
    while let Some(map) = left.pop() {
        for (key, value) in map.entries().iter() {
            if let Value::Map(inner) = value {
                left.push(inner.clone());
            } else if let Some(tables) = value.downcast::<TableArray>() {
                let tables = tables.0.borrow().clone();
                left.extend(tables.iter().cloned());
                let items = tables.into_iter().map(Value::Map).collect();
                map.insert_key(key.clone(), Value::List(List::with_type(TABLES, items)));
            }
        }
    }
}

struct Parser<'i> {
    cursor: Cursor<'i>,
    root: Map,
    /// The key of the table at hand.
    context: Vec<String>,
    /// The key whose value is being read, within the context.
    current: String,
    key_line: usize,
    /// Tables that only longer keys have named.
    implicit: HashSet<String>,
    /// Keys, and whether they hold arrays.
    arrays: HashMap<String, bool>,
    depth: usize,
}

fn dotted(key: &[String]) -> String {
    let is_bare = |part: &str| {
        !part.is_empty()
            && part
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'))
    };
    let part = |part: &String| if is_bare(part) { part.clone() } else { quote(part) };
    key.iter().map(part).collect::<Vec<_>>().join(".")
}

impl Parser<'_> {
    fn describe(&self, problem: &Problem) -> String {
        let context = dotted(&self.context);
        let last = match (self.context.is_empty(), self.current.is_empty()) {
            (_, true) => context,
            (true, false) => self.current.clone(),
            (false, false) => format!("{context}.{}", self.current),
        };
        let last = if last.is_empty() {
            String::new()
        } else {
            format!(" (last key {})", quote(&last))
        };
        format!("toml: line {}{last}: {}", problem.line, problem.message)
    }

    /// A problem with the last key.
    fn key_problem<T>(&self, message: String) -> Lexed<T> {
        Err(Problem {
            line: self.key_line,
            message,
        })
    }

    fn document(&mut self) -> Lexed<()> {
        loop {
            let next = self.cursor.next()?;
            match next {
                None => return Ok(()),
                Some(c) if is_blank(c) || is_break(c) => continue,
                Some('#') => {
                    self.cursor.skip_comment()?;
                    continue;
                }
                Some('[') => self.table()?,
                other => {
                    self.cursor.back(other);
                    self.pair()?;
                }
            }
            self.end_of_line()?;
        }
    }

    fn end_of_line(&mut self) -> Lexed<()> {
        loop {
            match self.cursor.next()? {
                Some(c) if is_blank(c) => {}
                None => return Ok(()),
                Some(c) if is_break(c) => return Ok(()),
                Some('#') => return self.cursor.skip_comment(),
                other => {
                    let found = quoted(other);
                    return Err(self.cursor.problem(format!(
                        "expected a top-level item to end with a newline, comment, or EOF, but got {found} instead"
                    )));
                }
            }
        }
    }

    fn table(&mut self) -> Lexed<()> {
        let is_array = self.cursor.accept('[')?;
        let mut key = Vec::new();
        loop {
            self.cursor.skip_blanks()?;
            match self.cursor.peek()? {
                None | Some(']') => {
                    return Err(self
                        .cursor
                        .problem("unexpected end of table name (table names cannot be empty)"));
                }
                Some('.') => {
                    return Err(self
                        .cursor
                        .problem("unexpected table separator (table names cannot be empty)"));
                }
                _ => {}
            }
            self.name(&mut key)?;
            self.cursor.skip_blanks()?;
            match self.cursor.next()? {
                Some('.') => {}
                Some(']') => break,
                other => {
                    let found = quoted(other);
                    return Err(self.cursor.problem(format!(
                        "expected '.' or ']' to end table name, but got {found} instead"
                    )));
                }
            }
        }
        if is_array {
            let next = self.cursor.next()?;
            if next != Some(']') {
                return Err(self.cursor.problem(format!(
                    "expected end of table array name delimiter ']', but got {} instead",
                    quoted(next)
                )));
            }
        }
        self.enter(&key, is_array)?;
        self.arrays.insert(dotted(&self.context), false);
        Ok(())
    }

    /// Reads one part of a key.
    fn name(&mut self, key: &mut Vec<String>) -> Lexed<()> {
        if key.len() >= MAX_DEPTH {
            return Err(self
                .cursor
                .problem(format!("a key has more than {MAX_DEPTH} parts")));
        }
        if key.is_empty() {
            self.key_line = self.cursor.line();
        }
        let next = self.cursor.peek()?;
        let part = match next {
            Some('"') => {
                self.cursor.next()?;
                scalar::short_string(&mut self.cursor)?
            }
            Some('\'') => {
                self.cursor.next()?;
                scalar::short_literal(&mut self.cursor)?
            }
            _ => {
                self.cursor.ignore();
                self.cursor
                    .take_while(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-'))?;
                self.cursor.token()
            }
        };
        key.push(part);
        Ok(())
    }

    fn key(&mut self) -> Lexed<Vec<String>> {
        self.cursor.skip_blanks()?;
        match self.cursor.peek()? {
            None | Some('=') => return Err(self.cursor.problem("unexpected '=': key name appears blank")),
            Some('.') => {
                return Err(self
                    .cursor
                    .problem("unexpected '.': keys cannot start with a '.'"));
            }
            _ => {}
        }
        let mut key = Vec::new();
        loop {
            self.name(&mut key)?;
            self.cursor.skip_blanks()?;
            match self.cursor.next()? {
                Some('=') => return Ok(key),
                Some('.') => {
                    self.cursor.skip_blanks()?;
                    match self.cursor.peek()? {
                        None | Some('=') => return Err(self.cursor.problem("unexpected '='")),
                        Some('.') => return Err(self.cursor.problem("unexpected '.'")),
                        _ => {}
                    }
                }
                None => return Err(self.cursor.problem("unexpected EOF; expected key separator '='")),
                Some('\n') => {
                    return Err(self
                        .cursor
                        .on_previous_line(r"expected '.' or '=', but got '\n' instead"));
                }
                other => {
                    let found = quoted(other);
                    return Err(self
                        .cursor
                        .problem(format!("expected '.' or '=', but got {found} instead")));
                }
            }
        }
    }

    /// Reads `key = value` into the table at hand.
    fn pair(&mut self) -> Lexed<()> {
        let outer = self.context.clone();
        let mut path = self.key()?;
        self.current = path.pop().unwrap_or_default();
        self.add_implicit_tables(&path)?;
        let (value, is_array) = self.value(false)?;
        let name = self.current.clone();
        self.set(&name, value)?;
        self.set_array(is_array);
        self.context = outer;
        self.current = String::new();
        Ok(())
    }

    fn add_implicit_tables(&mut self, path: &[String]) -> Lexed<()> {
        for part in path {
            let mut key = self.context.clone();
            key.push(part.clone());
            self.implicit.insert(dotted(&key));
            self.enter(&key, false)?;
        }
        Ok(())
    }

    fn set_array(&mut self, is_array: bool) {
        let mut key = self.context.clone();
        key.push(self.current.clone());
        self.arrays.insert(dotted(&key), is_array);
    }

    /// Reads a value, and tells whether it is an array.
    fn value(&mut self, in_array: bool) -> Lexed<(Value, bool)> {
        self.cursor.skip_blanks()?;
        let first = self.cursor.next()?;
        if !matches!(first, Some('[' | '{')) {
            return Ok((scalar::read(&mut self.cursor, first)?, false));
        }
        if self.depth >= MAX_DEPTH {
            return Err(self
                .cursor
                .problem(format!("values are nested deeper than {MAX_DEPTH} levels")));
        }
        self.depth += 1;
        let is_array = first == Some('[');
        let value = stacker::maybe_grow(64 << 10, 1 << 20, || {
            if is_array {
                self.array()
            } else {
                self.inline_table(in_array)
            }
        })?;
        self.depth -= 1;
        Ok((value, is_array))
    }

    fn array(&mut self) -> Lexed<Value> {
        self.set_array(true);
        let mut items = Vec::new();
        let mut needs_comma = false;
        loop {
            let next = self.cursor.next()?;
            match next {
                Some(c) if is_blank(c) || is_break(c) => {}
                Some('#') => self.cursor.skip_comment()?,
                Some(']') => return Ok(Value::list(items)),
                Some(',') if needs_comma => needs_comma = false,
                Some(',') => return Err(self.cursor.problem("unexpected comma")),
                other if needs_comma => {
                    let found = shown(other);
                    return Err(self.cursor.problem(format!(
                        "expected a comma (',') or array terminator (']'), but got {found}"
                    )));
                }
                other => {
                    self.cursor.back(other);
                    items.push(self.value(true)?.0);
                    needs_comma = true;
                }
            }
        }
    }

    fn inline_table(&mut self, in_array: bool) -> Lexed<Value> {
        let top = Map::new();
        let (outer_context, outer_key) = (self.context.clone(), std::mem::take(&mut self.current));
        let mut context = outer_context.clone();
        context.push(outer_key.clone());
        self.implicit.insert(dotted(&context));
        self.context.clone_from(&context);
        self.enter(&context, in_array)?;
        let context = self.context.clone();
        let mut needs_comma = false;
        loop {
            let next = self.cursor.next()?;
            match next {
                Some(c) if is_blank(c) || is_break(c) => {}
                Some('#') => self.cursor.skip_comment()?,
                Some('}') => break,
                Some(',') if needs_comma => needs_comma = false,
                Some(',') => return Err(self.cursor.problem("unexpected comma")),
                other if needs_comma => {
                    let found = shown(other);
                    return Err(self.cursor.problem(format!(
                        "expected a comma or an inline table terminator '}}', but got {found} instead"
                    )));
                }
                other => {
                    self.cursor.back(other);
                    self.inline_pair(&top)?;
                    self.context.clone_from(&context);
                    needs_comma = true;
                }
            }
        }
        self.context = outer_context;
        self.current = outer_key;
        Ok(Value::Map(top))
    }

    /// Reads a pair into the document, where it is checked, and into the table that is the value.
    fn inline_pair(&mut self, top: &Map) -> Lexed<()> {
        let mut path = self.key()?;
        self.current = path.pop().unwrap_or_default();
        self.add_implicit_tables(&path)?;
        let (value, is_array) = self.value(false)?;
        let name = self.current.clone();
        self.set(&name, value.clone())?;
        self.set_array(is_array);
        let mut table = top.clone();
        for part in path {
            let inner = table.get(&part).unwrap_or_else(|| Value::Map(Map::new()));
            let Value::Map(inner) = inner else {
                return self.key_problem(format!("{} is not a table", quote(&dotted(&self.context))));
            };
            table.insert(part.as_str(), Value::Map(inner.clone()));
            table = inner;
        }
        table.insert(name, value);
        Ok(())
    }

    /// The table that a value is, or the last one of an array of tables.
    fn table_of(value: &Value) -> Option<Map> {
        match value {
            Value::Map(map) => Some(map.clone()),
            other => other.downcast::<TableArray>()?.0.borrow().last().cloned(),
        }
    }

    /// Makes a table the one at hand, and the tables on the way to it.
    fn enter(&mut self, key: &[String], is_array: bool) -> Lexed<()> {
        let Some((last, parents)) = key.split_last() else {
            return Ok(());
        };
        let mut table = self.root.clone();
        let mut context = Vec::new();
        for part in parents {
            context.push(part.clone());
            if !table.contains(part) {
                self.implicit.insert(dotted(&context));
                table.insert(part.as_str(), Value::Map(Map::new()));
            }
            let Some(next) = table.get(part).as_ref().and_then(Self::table_of) else {
                return self.key_problem(format!(
                    "Key '{}' was already created as a hash.",
                    dotted(&context)
                ));
            };
            table = next;
        }
        self.context = context;
        if is_array {
            if !table.contains(last) {
                table.insert(last.as_str(), Value::object(TableArray(RefCell::default())));
            }
            let value = table.get(last).unwrap_or_default();
            let Some(tables) = value.downcast::<TableArray>() else {
                let key = dotted(key);
                return self.key_problem(format!(
                    "Key '{key}' was already created and cannot be used as an array."
                ));
            };
            tables.0.borrow_mut().push(Map::new());
        } else {
            self.set(last, Value::Map(Map::new()))?;
        }
        self.context.push(last.clone());
        Ok(())
    }

    /// Sets a value in the table at hand, unless the key has one that may not be replaced.
    fn set(&mut self, name: &str, value: Value) -> Lexed<()> {
        let mut table = self.root.clone();
        for (index, part) in self.context.iter().enumerate() {
            let Some(next) = table.get(part).as_ref().and_then(Self::table_of) else {
                let key = dotted(self.context.get(..=index).unwrap_or_default());
                return self.key_problem(format!("Key '{key}' has already been defined."));
            };
            table = next;
        }
        let mut key = self.context.clone();
        key.push(name.to_owned());
        let key = dotted(&key);
        if !table.contains(name) {
            table.insert_key(Key::Str(name.into()), value);
            return Ok(());
        }
        // A table that only longer keys have named may still be defined, once.
        if !self.implicit.remove(&key) {
            return self.key_problem(format!("Key '{key}' has already been defined."));
        }
        if self.arrays.get(&key).copied().unwrap_or(false) {
            table.insert_key(Key::Str(name.into()), value);
        }
        Ok(())
    }
}
