//! Go's regular expression grammar, read and written anew in that of the `regex` crate.

use super::Error;
use super::class;

/// The deepest nesting, as in Go.
pub(super) const MAX_DEPTH: u32 = 1000;
/// The most often that a repetition, or repetitions in one another, may repeat.
const MAX_REPEAT: i64 = 1000;

/// A pattern in the other grammar.
pub(super) struct Parsed {
    pub(super) translated: String,
    pub(super) names: Vec<String>,
}

/// The flags that `(?...)` sets.
#[derive(Clone, Copy, Default)]
pub(super) struct Flags {
    pub(super) fold_case: bool,
    multiline: bool,
    dot_newline: bool,
    lazy: bool,
}

/// A translated piece to which a repetition may apply.
struct Item {
    text: String,
    /// How often repetitions inside multiply.
    weight: i64,
    depth: u32,
}

/// An open group, or the pattern as a whole.
struct Scope {
    opening: String,
    flags_outside: Flags,
    branches: Vec<Item>,
    items: Vec<Item>,
}

struct Parser<'p> {
    pattern: &'p str,
    rest: &'p str,
    flags: Flags,
    scopes: Vec<Scope>,
    names: Vec<String>,
    /// From where on the last repetition was written, if nothing stands behind it yet.
    last_repeat: Option<&'p str>,
}

pub(super) fn parse(pattern: &str) -> Result<Parsed, Error> {
    let mut parser = Parser {
        pattern,
        rest: pattern,
        flags: Flags::default(),
        scopes: vec![Scope::new(String::new(), Flags::default())],
        names: vec![String::new()],
        last_repeat: None,
    };
    while let Some(c) = parser.rest.chars().next() {
        parser.step(c)?;
    }
    parser.finish()
}

impl Scope {
    fn new(opening: String, flags_outside: Flags) -> Self {
        Self {
            opening,
            flags_outside,
            branches: Vec::new(),
            items: Vec::new(),
        }
    }

    fn end_branch(&mut self) {
        let items = std::mem::take(&mut self.items);
        self.branches.push(join(items, ""));
    }

    fn into_item(mut self) -> Item {
        self.end_branch();
        let mut inner = join(self.branches, "|");
        inner.text = format!("{}{})", self.opening, inner.text);
        inner.depth += 1;
        inner
    }
}

fn join(items: Vec<Item>, separator: &str) -> Item {
    let weight = items.iter().map(|item| item.weight).max().unwrap_or(1);
    let depth = items.iter().map(|item| item.depth).max().unwrap_or(0);
    let texts: Vec<String> = items.into_iter().map(|item| item.text).collect();
    Item {
        text: texts.join(separator),
        weight,
        depth,
    }
}

impl<'p> Parser<'p> {
    fn step(&mut self, c: char) -> Result<(), Error> {
        let last_repeat = self.last_repeat.take();
        match c {
            '(' => self.open_group(),
            ')' => self.close_group(),
            '|' => {
                self.advance(1);
                if let Some(scope) = self.scopes.last_mut() {
                    scope.end_branch();
                }
                Ok(())
            }
            '*' | '+' | '?' => {
                let max = if c == '?' { Some(1) } else { None };
                let before = self.rest;
                self.advance(1);
                self.repeat(before, last_repeat, (i64::from(c == '+'), max), &c.to_string())
            }
            '{' => self.counted(last_repeat),
            '[' => {
                let text = class::bracketed(&mut self.rest, self.flags)?;
                self.push(text);
                Ok(())
            }
            '\\' => self.escape(),
            _ => {
                self.advance(c.len_utf8());
                self.plain(c);
                Ok(())
            }
        }
    }

    fn advance(&mut self, bytes: usize) {
        self.rest = self.rest.get(bytes..).unwrap_or("");
    }

    fn push(&mut self, text: String) {
        if let Some(scope) = self.scopes.last_mut() {
            scope.items.push(Item {
                text,
                weight: 1,
                depth: 1,
            });
        }
    }

    fn plain(&mut self, c: char) {
        let text = match c {
            '^' if self.flags.multiline => "(?m:^)".to_owned(),
            '^' => r"\A".to_owned(),
            '$' if self.flags.multiline => "(?m:$)".to_owned(),
            '$' => r"\z".to_owned(),
            '.' if self.flags.dot_newline => "(?s:.)".to_owned(),
            '.' => r"[^\n]".to_owned(),
            c => return self.literal(u32::from(c)),
        };
        self.push(text);
    }

    fn literal(&mut self, code: u32) {
        let text = class::literal(code);
        self.push(if self.flags.fold_case {
            format!("(?i:{text})")
        } else {
            text
        });
    }

    fn open_group(&mut self) -> Result<(), Error> {
        if self.scopes.len() > MAX_DEPTH as usize {
            return Err(Error::new("expression nests too deeply", self.pattern));
        }
        if self.rest.starts_with("(?") {
            return self.open_perl_group();
        }
        self.advance(1);
        self.names.push(String::new());
        self.scopes.push(Scope::new("(".to_owned(), self.flags));
        Ok(())
    }

    fn open_perl_group(&mut self) -> Result<(), Error> {
        let text = self.rest;
        let name_start = if text.len() > 4 && text.starts_with("(?P<") {
            Some(4)
        } else if text.len() > 3 && text.starts_with("(?<") {
            Some(3)
        } else {
            None
        };
        let Some(name_start) = name_start else {
            return self.set_flags();
        };
        let Some(end) = text.find('>') else {
            return Err(Error::new("invalid named capture", text));
        };
        let name = text.get(name_start..end).unwrap_or("");
        let capture = text.get(..=end).unwrap_or(text);
        let is_valid = |name: &str| {
            name.bytes()
                .all(|byte| byte == b'_' || byte.is_ascii_alphanumeric())
        };
        if name.is_empty() || !is_valid(name) {
            return Err(Error::new("invalid named capture", capture));
        }
        // A name may be used twice.
        self.names.push(name.to_owned());
        self.advance(capture.len());
        self.scopes.push(Scope::new("(".to_owned(), self.flags));
        Ok(())
    }

    /// Reads `(?flags)` or `(?flags:`.
    fn set_flags(&mut self) -> Result<(), Error> {
        let mut flags = self.flags;
        let (mut negative, mut saw_flag) = (false, false);
        let mut chars = self.rest.chars();
        let _ = (chars.next(), chars.next());
        while let Some(c) = chars.next() {
            match c {
                'i' => flags.fold_case = !negative,
                'm' => flags.multiline = !negative,
                's' => flags.dot_newline = !negative,
                'U' => flags.lazy = !negative,
                '-' if !negative => {
                    (negative, saw_flag) = (true, false);
                    continue;
                }
                ':' | ')' if !negative || saw_flag => {
                    if c == ':' {
                        self.scopes.push(Scope::new("(?:".to_owned(), self.flags));
                    }
                    self.flags = flags;
                    self.rest = chars.as_str();
                    return Ok(());
                }
                _ => break,
            }
            saw_flag = true;
        }
        let read = self.rest.len() - chars.as_str().len();
        Err(Error::new(
            "invalid or unsupported Perl syntax",
            self.rest.get(..read).unwrap_or(self.rest),
        ))
    }

    fn close_group(&mut self) -> Result<(), Error> {
        let scope = self.scopes.pop().filter(|_| !self.scopes.is_empty());
        let Some(scope) = scope else {
            return Err(Error::new("unexpected )", self.pattern));
        };
        self.flags = scope.flags_outside;
        self.advance(1);
        let item = scope.into_item();
        self.check_depth(&item)?;
        if let Some(outer) = self.scopes.last_mut() {
            outer.items.push(item);
        }
        Ok(())
    }

    fn check_depth(&self, item: &Item) -> Result<(), Error> {
        if item.depth > MAX_DEPTH {
            return Err(Error::new("expression nests too deeply", self.pattern));
        }
        Ok(())
    }

    /// Reads `{n}`, `{n,}` or `{n,m}`; anything else with a brace is literal.
    fn counted(&mut self, last_repeat: Option<&'p str>) -> Result<(), Error> {
        let before = self.rest;
        let Some((min, max, after)) = counts(before) else {
            self.advance(1);
            self.literal(u32::from('{'));
            return Ok(());
        };
        self.rest = after;
        let out_of_range = |count: i64| !(0..=MAX_REPEAT).contains(&count);
        if out_of_range(min) || max.is_some_and(|max| out_of_range(max) || max < min) {
            return Err(Error::new("invalid repeat count", consumed(before, after)));
        }
        let operator = match max {
            Some(max) if max == min => format!("{{{min}}}"),
            Some(max) => format!("{{{min},{max}}}"),
            None => format!("{{{min},}}"),
        };
        self.repeat(before, last_repeat, (min, max), &operator)
    }

    fn repeat(
        &mut self,
        before: &'p str,
        last_repeat: Option<&'p str>,
        (min, max): (i64, Option<i64>),
        operator: &str,
    ) -> Result<(), Error> {
        let question = self.rest.starts_with('?');
        if question {
            self.advance(1);
        }
        if let Some(start) = last_repeat {
            return Err(Error::new(
                "invalid nested repetition operator",
                consumed(start, self.rest),
            ));
        }
        let item = self.scopes.last_mut().and_then(|scope| scope.items.pop());
        let Some(item) = item else {
            let fragment = consumed(before, self.rest);
            return Err(Error::new("missing argument to repetition operator", fragment));
        };
        let is_counted = operator.starts_with('{');
        let times = max.unwrap_or(min);
        let weight = if is_counted && max == Some(0) {
            1
        } else if is_counted {
            times.max(1) * item.weight
        } else {
            item.weight
        };
        if is_counted && weight > MAX_REPEAT {
            return Err(Error::new("invalid repeat count", consumed(before, self.rest)));
        }
        let lazy = if question != self.flags.lazy { "?" } else { "" };
        let item = Item {
            text: format!("(?:{}){operator}{lazy}", item.text),
            weight,
            depth: item.depth + 1,
        };
        self.check_depth(&item)?;
        if let Some(scope) = self.scopes.last_mut() {
            scope.items.push(item);
        }
        self.last_repeat = Some(before);
        Ok(())
    }

    fn escape(&mut self) -> Result<(), Error> {
        let escaped = self.rest.chars().nth(1);
        let assertion = match escaped {
            Some('A') => r"\A",
            Some('b') => r"(?-u:\b)",
            Some('B') => r"(?-u:\B)",
            Some('z') => r"\z",
            Some('C') => return Err(Error::new("invalid escape sequence", r"\C")),
            Some('Q') => {
                self.advance(2);
                let (literal, after) = self.rest.split_once(r"\E").unwrap_or((self.rest, ""));
                self.rest = after;
                literal.chars().for_each(|c| self.literal(u32::from(c)));
                return Ok(());
            }
            _ => {
                if let Some(set) = class::named(&mut self.rest)? {
                    self.push(if self.flags.fold_case {
                        format!("(?i:{set})")
                    } else {
                        set
                    });
                } else {
                    let code = class::escape(&mut self.rest)?;
                    self.literal(code);
                }
                return Ok(());
            }
        };
        self.advance(2);
        self.push(assertion.to_owned());
        Ok(())
    }

    fn finish(mut self) -> Result<Parsed, Error> {
        let scope = self.scopes.pop().filter(|_| self.scopes.is_empty());
        let Some(mut scope) = scope else {
            return Err(Error::new("missing closing )", self.pattern));
        };
        scope.end_branch();
        Ok(Parsed {
            translated: join(scope.branches, "|").text,
            names: self.names,
        })
    }
}

/// Returns the part of `before` that `after` no longer has.
fn consumed<'p>(before: &'p str, after: &str) -> &'p str {
    before.get(..before.len() - after.len()).unwrap_or(before)
}

fn counts(text: &str) -> Option<(i64, Option<i64>, &str)> {
    let (min, rest) = count(text.strip_prefix('{')?)?;
    let Some(rest) = rest.strip_prefix(',') else {
        return Some((min, Some(min), rest.strip_prefix('}')?));
    };
    if let Some(rest) = rest.strip_prefix('}') {
        return Some((min, None, rest));
    }
    let (max, rest) = count(rest)?;
    Some((min, Some(max), rest.strip_prefix('}')?))
}

/// Reads a number without leading zeros; a very large one becomes -1, which no count may be.
fn count(text: &str) -> Option<(i64, &str)> {
    let (digits, rest) = text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()));
    if digits.is_empty() || digits.len() > 1 && digits.starts_with('0') {
        return None;
    }
    Some((
        digits
            .parse()
            .ok()
            .filter(|count| *count < 100_000_000)
            .unwrap_or(-1),
        rest,
    ))
}
