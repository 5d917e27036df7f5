//! Strings, numbers, booleans and dates.

use ferro_gocompat::quote::quote;
use ferro_gocompat::time::{Time, Zone};
use ferro_gocompat::unicode::is_letter;
use ferro_template::Value;

use super::cursor::{Cursor, Lexed, Problem, is_break, quoted};
use crate::convert::{NotAnInteger, parse_float, parse_int};
use crate::dates::time_value;

/// Reads a value that is no collection. `first` has been taken.
pub(super) fn read(cursor: &mut Cursor<'_>, first: Option<char>) -> Lexed<Value> {
    match first {
        Some('"') => string(cursor).map(Value::from),
        Some('\'') => literal(cursor).map(Value::from),
        Some('.') => Err(cursor.problem("floats must start with a digit, not '.'")),
        Some('0'..='9') => number_or_date(cursor, first == Some('0')),
        Some('-' | '+') => signed(cursor),
        Some('i' | 'n') if special_float(cursor)? => float(cursor),
        Some(c) if is_letter(c) => boolean(cursor),
        None => Err(cursor.problem("unexpected EOF; expected value")),
        Some('\n') => Err(cursor.on_previous_line(r"expected value but found '\n' instead")),
        other => Err(cursor.problem(format!("expected value but found {} instead", quoted(other)))),
    }
}

/// `inf` and `nan`, of which the first letter has been taken; otherwise goes back to the last one taken.
fn special_float(cursor: &mut Cursor<'_>) -> Lexed<bool> {
    let mut last = None;
    for (one, two) in [('n', 'f'), ('a', 'n')] {
        if cursor.accept(one)? {
            last = Some(one);
            if cursor.accept(two)? {
                return Ok(true);
            }
        }
    }
    // BurntSushi gives back one letter too many or too few, which shows in its message.
    if let Some(letter) = last {
        cursor.back(Some(letter));
        cursor.ignore();
        cursor.next()?;
    }
    Ok(false)
}

fn boolean(cursor: &mut Cursor<'_>) -> Lexed<Value> {
    cursor.take_while(is_letter)?;
    match cursor.token().as_str() {
        "true" => Ok(Value::Bool(true)),
        "false" => Ok(Value::Bool(false)),
        other => Err(cursor.problem(format!("expected value but found {} instead", quote(other)))),
    }
}

fn signed(cursor: &mut Cursor<'_>) -> Lexed<Value> {
    let first = cursor.next()?;
    match first {
        Some('i' | 'n') => {
            for letter in if first == Some('i') {
                ['n', 'f']
            } else {
                ['a', 'n']
            } {
                if !cursor.accept(letter)? {
                    return Err(cursor.problem(format!("invalid float: '{}'", cursor.token())));
                }
            }
            return float(cursor);
        }
        Some('0') => {
            if let Some(base @ ('b' | 'o' | 'x')) = cursor.peek()? {
                let token = cursor.token();
                return Err(cursor.problem(format!(
                    "cannot use sign with non-decimal numbers: '{token}{base}'"
                )));
            }
        }
        Some('.') => return Err(cursor.problem("floats must start with a digit, not '.'")),
        Some('1'..='9') => {}
        other => return Err(cursor.problem(format!("expected a digit but got {}", quoted(other)))),
    }
    decimal(cursor)
}

fn is_decimal(c: char) -> bool {
    c.is_ascii_digit() || c == '_'
}

fn is_of_float(c: char) -> bool {
    c.is_ascii_digit() || matches!(c, '_' | '.' | '-' | '+' | 'e' | 'E')
}

fn decimal(cursor: &mut Cursor<'_>) -> Lexed<Value> {
    cursor.take_while(is_decimal)?;
    if matches!(cursor.peek()?, Some('.' | 'e' | 'E')) {
        cursor.take_while(is_of_float)?;
        return float(cursor);
    }
    integer(cursor)
}

fn number_or_date(cursor: &mut Cursor<'_>, starts_with_zero: bool) -> Lexed<Value> {
    if starts_with_zero && let Some(base @ ('b' | 'o' | 'x')) = cursor.peek()? {
        return based(cursor, base);
    }
    cursor.take_while(|c| c.is_ascii_digit())?;
    match cursor.peek()? {
        Some('_') => decimal(cursor),
        Some('.' | 'e' | 'E') => {
            cursor.take_while(is_of_float)?;
            float(cursor)
        }
        // A zero with something else behind it is over.
        Some('-' | ':') if cursor.token() != "0" => {
            cursor.take_while(|c| c.is_ascii_digit() || "-:Tt .Zz+".contains(c))?;
            date(cursor)
        }
        _ => integer(cursor),
    }
}

/// Hexadecimal, octal and binary integers, which need a digit of theirs.
fn based(cursor: &mut Cursor<'_>, base: char) -> Lexed<Value> {
    cursor.next()?;
    let (radix, name) = match base {
        'b' => (2, "a binary"),
        'o' => (8, "an octal"),
        _ => (16, "a hexadecimal"),
    };
    let next = cursor.peek()?;
    if !next.is_some_and(|c| c.is_digit(radix)) {
        let token = cursor.token();
        return Err(cursor.problem(format!("not {name} number: '{token}{}'", next.unwrap_or('\0'))));
    }
    cursor.take_while(|c| c.is_digit(radix) || c == '_')?;
    integer(cursor)
}

fn underscores_are_surrounded(text: &str) -> bool {
    let mut after_digit = false;
    for c in text.chars() {
        if c == '_' && !after_digit {
            return false;
        }
        after_digit = c.is_ascii_hexdigit();
    }
    after_digit
}

fn has_leading_zero(text: &str) -> bool {
    let unsigned = text.trim_start_matches(['+', '-']);
    let is_signed = unsigned.len() != text.len();
    unsigned.len() > 1
        && unsigned.starts_with('0')
        && (is_signed
            || !unsigned
                .get(1..)
                .is_some_and(|rest| rest.starts_with(['b', 'o', 'x'])))
}

fn integer(cursor: &Cursor<'_>) -> Lexed<Value> {
    let text = cursor.token();
    if !underscores_are_surrounded(&text) {
        let quoted = quote(&text);
        return Err(cursor.here(format!(
            "Invalid integer {quoted}: underscores must be surrounded by digits"
        )));
    }
    if has_leading_zero(&text) {
        return Err(cursor.here(format!(
            "Invalid integer {}: cannot have leading zeroes",
            quote(&text)
        )));
    }
    match parse_int(text.as_bytes(), 0) {
        Ok(value) => Ok(Value::int64(value)),
        Err(NotAnInteger::Range(_) | NotAnInteger::Syntax) => {
            Err(cursor.here(format!("{text} is out of range for int64")))
        }
    }
}

fn float(cursor: &Cursor<'_>) -> Lexed<Value> {
    let text = cursor.token();
    let is_special = matches!(text.trim_start_matches(['+', '-']), "nan" | "inf");
    let invalid = |problem: &str| Err(cursor.here(format!("Invalid float {}: {problem}", quote(&text))));
    let parts: Vec<&str> = text
        .split(['.', 'e', 'E'])
        .filter(|part| !part.is_empty())
        .collect();
    if !is_special && !parts.iter().all(|part| underscores_are_surrounded(part)) {
        return invalid("underscores must be surrounded by digits");
    }
    if parts.first().is_some_and(|part| has_leading_zero(part)) {
        return invalid("cannot have leading zeroes");
    }
    let point_without_digit = text
        .split('.')
        .skip(1)
        .any(|part| !part.starts_with(|c: char| c.is_ascii_digit()));
    if point_without_digit {
        return invalid("'.' must be followed by one or more digits");
    }
    if text.ends_with("nan") {
        return Ok(Value::Float(if text.starts_with('-') {
            -f64::NAN
        } else {
            f64::NAN
        }));
    }
    let digits = text.replace('_', "");
    match parse_float(digits.as_bytes()) {
        Some(value) => Ok(Value::Float(value)),
        None if digits.parse::<f64>().is_ok() => {
            Err(cursor.here(format!("{text} is out of range for float64")))
        }
        None => Err(cursor.here(format!("Invalid float value: {}", quote(&text)))),
    }
}

/// The forms of dates, with the name of the zone of those that have none.
const DATES: [(&str, &str); 7] = [
    ("2006-01-02T15:04:05.999999999Z07:00", ""),
    ("2006-01-02T15:04:05.999999999", "datetime-local"),
    ("2006-01-02", "date-local"),
    ("15:04:05.999999999", "time-local"),
    ("2006-01-02T15:04Z07:00", ""),
    ("2006-01-02T15:04", "datetime-local"),
    ("15:04", "time-local"),
];

fn date(cursor: &Cursor<'_>) -> Lexed<Value> {
    let text = cursor.token().trim().replace('z', "Z").replace(['t', ' '], "T");
    for (layout, zone) in DATES {
        let Ok(time) = Time::parse(layout, &text) else {
            continue;
        };
        if lacks_zero(&text, layout) {
            break;
        }
        let time = if zone.is_empty() {
            time
        } else {
            time.with_zone(Zone::Fixed {
                name: zone.to_owned(),
                offset: 0,
            })
        };
        return Ok(time_value(time));
    }
    Err(cursor.here(format!("invalid datetime: {}", quote(&text))))
}

/// Go reads numbers of one digit where two are meant; the separators then stand elsewhere.
fn lacks_zero(text: &str, layout: &str) -> bool {
    layout
        .bytes()
        .zip(text.bytes())
        .take_while(|(wanted, _)| !matches!(wanted, b'.' | b'Z'))
        .any(|(wanted, found)| !wanted.is_ascii_digit() && wanted != found)
}

/// Reads a string behind its first quote: one line, or several between three quotes.
pub(super) fn string(cursor: &mut Cursor<'_>) -> Lexed<String> {
    if cursor.accept('"')? {
        if cursor.accept('"')? {
            return long_string(cursor);
        }
        cursor.ignore();
        return Ok(String::new());
    }
    short_string(cursor)
}

/// Reads a string on one line behind its quote.
pub(super) fn short_string(cursor: &mut Cursor<'_>) -> Lexed<String> {
    cursor.ignore();
    let mut out = Escaped::default();
    loop {
        match cursor.next()? {
            None => return Err(cursor.problem(r#"unexpected EOF; expected '"'"#)),
            Some(c) if is_break(c) => return Err(cursor.on_previous_line("strings cannot contain newlines")),
            Some('\\') => out.escape(cursor)?,
            Some('"') => return out.finish(cursor),
            Some(c) => out.text.push(c),
        }
    }
}

fn long_string(cursor: &mut Cursor<'_>) -> Lexed<String> {
    cursor.ignore();
    let mut out = Escaped::default();
    let mut is_start = true;
    loop {
        let next = cursor.next()?;
        let was_start = std::mem::take(&mut is_start);
        match next {
            None => return Err(cursor.problem(r#"unexpected EOF; expected '"""'"#)),
            Some('\r') if was_start && cursor.peek()? == Some('\n') => is_start = true,
            Some('\n') if was_start => {}
            Some('\\') => {
                if !ends_line(cursor)? {
                    out.escape(cursor)?;
                }
            }
            Some('"') => {
                let count = quotes(cursor, '"', "unexpected '\"\"\"\"\"\"'")?;
                out.text.extend(std::iter::repeat_n(
                    '"',
                    if count >= 3 { count - 3 } else { count },
                ));
                if count >= 3 {
                    return out.finish(cursor);
                }
            }
            Some(c) => out.text.push(c),
        }
    }
}

/// Counts quotes behind the first; two of at most five belong to the string.
fn quotes(cursor: &mut Cursor<'_>, quote: char, too_many: &str) -> Lexed<usize> {
    let mut count = 1;
    while cursor.accept(quote)? {
        count += 1;
        if count > 5 {
            return Err(cursor.problem(too_many));
        }
    }
    Ok(count)
}

/// A backslash at the end of a line takes the blanks and breaks behind it along.
fn ends_line(cursor: &mut Cursor<'_>) -> Lexed<bool> {
    let mut taken = Vec::new();
    let mut has_break = false;
    loop {
        let next = cursor.next()?;
        match next {
            Some(c @ (' ' | '\t' | '\r' | '\n')) => {
                has_break |= c == '\n';
                taken.push(c);
            }
            _ => {
                cursor.back(next);
                break;
            }
        }
    }
    if !has_break {
        for c in taken.into_iter().rev() {
            cursor.back(Some(c));
        }
    }
    Ok(has_break)
}

/// Reads a string without escapes behind its first quote.
pub(super) fn literal(cursor: &mut Cursor<'_>) -> Lexed<String> {
    if !cursor.accept('\'')? {
        return short_literal(cursor);
    }
    if !cursor.accept('\'')? {
        return Ok(String::new());
    }
    let mut out = String::new();
    loop {
        match cursor.next()? {
            None => return Err(cursor.problem(r#"unexpected EOF; expected "'''""#)),
            Some('\'') => {
                let count = quotes(cursor, '\'', "unexpected \"''''''\"")?;
                out.extend(std::iter::repeat_n(
                    '\'',
                    if count >= 3 { count - 3 } else { count },
                ));
                if count >= 3 {
                    let cut = out.strip_prefix("\r\n").or_else(|| out.strip_prefix('\n'));
                    return Ok(cut.unwrap_or(&out).to_owned());
                }
            }
            Some(c) => out.push(c),
        }
    }
}

pub(super) fn short_literal(cursor: &mut Cursor<'_>) -> Lexed<String> {
    let mut out = String::new();
    loop {
        match cursor.next()? {
            None => return Err(cursor.problem(r#"unexpected EOF; expected "'""#)),
            Some(c) if is_break(c) => return Err(cursor.on_previous_line("strings cannot contain newlines")),
            Some('\'') => return Ok(out),
            Some(c) => out.push(c),
        }
    }
}

/// A string being read; what is wrong with an escape's meaning is said when the string is over.
#[derive(Default)]
struct Escaped {
    text: String,
    problem: Option<String>,
}

impl Escaped {
    fn escape(&mut self, cursor: &mut Cursor<'_>) -> Lexed<()> {
        let next = cursor.next()?;
        let plain = match next {
            Some('b') => '\u{8}',
            Some('t') => '\t',
            Some('n') => '\n',
            Some('f') => '\u{C}',
            Some('r') => '\r',
            Some('e') => '\u{1B}',
            Some(c @ ('"' | '\\')) => c,
            Some(c @ (' ' | '\t')) => {
                self.problem
                    .get_or_insert_with(|| format!(r"invalid escape: '\{c}'"));
                return Ok(());
            }
            Some('x') => return self.code(cursor, 2, r"two hexadecimal digits after '\x'"),
            Some('u') => return self.code(cursor, 4, r"four hexadecimal digits after '\u'"),
            Some('U') => return self.code(cursor, 8, r"eight hexadecimal digits after '\U'"),
            other => {
                let message = format!(r"invalid escape in string '\{}'", other.unwrap_or('\0'));
                return Err(if other.is_none() || other == Some('\n') {
                    cursor.on_previous_line(message)
                } else {
                    cursor.here(message)
                });
            }
        };
        self.text.push(plain);
        Ok(())
    }

    fn code(&mut self, cursor: &mut Cursor<'_>, digits: usize, wanted: &str) -> Lexed<()> {
        let mut text = String::new();
        for _ in 0..digits {
            match cursor.next()? {
                Some(c) if c.is_ascii_hexdigit() => text.push(c),
                _ => {
                    let token = quote(&cursor.token());
                    return Err(cursor.problem(format!("expected {wanted}, but got {token} instead")));
                }
            }
        }
        match u32::from_str_radix(&text, 16).ok().and_then(char::from_u32) {
            Some(c) => self.text.push(c),
            None => {
                self.problem
                    .get_or_insert_with(|| format!(r"Escaped character '\u{text}' is not valid UTF-8."));
            }
        }
        Ok(())
    }

    fn finish(self, cursor: &Cursor<'_>) -> Lexed<String> {
        match self.problem {
            Some(message) => Err(Problem {
                line: cursor.line(),
                message,
            }),
            None => Ok(self.text),
        }
    }
}
