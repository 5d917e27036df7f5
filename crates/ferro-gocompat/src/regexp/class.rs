//! Characters, escapes and classes.

use regex::Regex;

use super::Error;
use super::parse::Flags;

const BAD_RANGE: &str = "invalid character class range";
const BAD_ESCAPE: &str = "invalid escape sequence";
/// A class that no character is in.
const NOTHING: &str = r"[^\x{0}-\x{10FFFF}]";

/// Writes one character so that it stands for itself. Go knows surrogates as characters, which then match
/// nothing.
pub(super) fn literal(code: u32) -> String {
    match char::from_u32(code) {
        Some(c) if c.is_ascii_alphanumeric() || !c.is_ascii() => c.to_string(),
        Some(_) => format!(r"\x{{{code:X}}}"),
        None => NOTHING.to_owned(),
    }
}

/// Reads `\d`, `\pN` and their like, if they are next.
pub(super) fn named(rest: &mut &str) -> Result<Option<String>, Error> {
    let mut chars = rest.chars();
    let (Some('\\'), Some(kind)) = (chars.next(), chars.next()) else {
        return Ok(None);
    };
    let class = match kind {
        'd' => "[0-9]",
        'D' => "[^0-9]",
        's' => r"[\t\n\x0C\r ]",
        'S' => r"[^\t\n\x0C\r ]",
        'w' => "[0-9A-Za-z_]",
        'W' => "[^0-9A-Za-z_]",
        'p' | 'P' => return unicode_class(rest).map(Some),
        _ => return Ok(None),
    };
    *rest = chars.as_str();
    Ok(Some(class.to_owned()))
}

fn unicode_class(rest: &mut &str) -> Result<String, Error> {
    let text = *rest;
    let after = text.get(2..).unwrap_or("");
    let (name, end) = match after.chars().next() {
        Some('{') => {
            let Some(end) = text.find('}') else {
                return Err(Error::new(BAD_RANGE, text));
            };
            (text.get(3..end).unwrap_or(""), end + 1)
        }
        Some(c) => (after.get(..c.len_utf8()).unwrap_or(""), 2 + c.len_utf8()),
        None => return Err(Error::new(BAD_RANGE, text)),
    };
    let whole = text.get(..end).unwrap_or(text);
    *rest = text.get(end..).unwrap_or("");
    let mut negated = text.starts_with(r"\P");
    let name = match name.strip_prefix('^') {
        Some(name) => {
            negated = !negated;
            name
        }
        None => name,
    };
    let letter = if negated { 'P' } else { 'p' };
    // Categories and scripts only: Go has none of the other properties.
    let is_name = !name.is_empty()
        && name
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || " _-".contains(c));
    let lookup = |kind: &str| {
        let class = format!(r"\{letter}{{{kind}={name}}}");
        Regex::new(&class).ok().map(|_| class)
    };
    match is_name.then(|| lookup("gc").or_else(|| lookup("sc"))).flatten() {
        Some(class) => Ok(class),
        None if name == "Cs" => Ok(if negated { "(?s:.)" } else { NOTHING }.to_owned()),
        None => Err(Error::new(BAD_RANGE, whole)),
    }
}

/// Reads an escape that stands for one character.
pub(super) fn escape(rest: &mut &str) -> Result<u32, Error> {
    let text = *rest;
    let mut chars = text.chars();
    chars.next();
    let Some(c) = chars.next() else {
        return Err(Error::new("trailing backslash at end of expression", ""));
    };
    let code = match c {
        '1'..='7' if !chars.as_str().starts_with(|c| matches!(c, '0'..='7')) => None,
        '0'..='7' => {
            let mut code = u32::from(c) - u32::from('0');
            for _ in 0..2 {
                let mut ahead = chars.clone();
                let Some(digit) = ahead.next().and_then(|c| c.to_digit(8)) else {
                    break;
                };
                code = code * 8 + digit;
                chars = ahead;
            }
            Some(code)
        }
        'x' => hex(&mut chars),
        'a' => Some(7),
        'f' => Some(0xC),
        'n' => Some(0xA),
        'r' => Some(0xD),
        't' => Some(9),
        'v' => Some(0xB),
        c if c.is_ascii() && !c.is_ascii_alphanumeric() => Some(u32::from(c)),
        _ => None,
    };
    let read = text.len() - chars.as_str().len();
    let code = code.ok_or_else(|| Error::new(BAD_ESCAPE, text.get(..read).unwrap_or(text)))?;
    *rest = chars.as_str();
    Ok(code)
}

/// Reads `7F` or `{10FFFF}`.
fn hex(chars: &mut std::str::Chars<'_>) -> Option<u32> {
    let first = chars.next()?;
    if first != '{' {
        let second = chars.next()?;
        return Some(first.to_digit(16)? * 16 + second.to_digit(16)?);
    }
    let mut code = None;
    loop {
        let c = chars.next()?;
        if c == '}' {
            return code;
        }
        let value = code.unwrap_or(0) * 16 + c.to_digit(16)?;
        if value > 0x10_FFFF {
            return None;
        }
        code = Some(value);
    }
}

/// Reads a class in brackets.
pub(super) fn bracketed(rest: &mut &str, flags: Flags) -> Result<String, Error> {
    let whole = *rest;
    let mut text = whole.get(1..).unwrap_or("");
    let mut out = String::from("[");
    if let Some(after) = text.strip_prefix('^') {
        text = after;
        out.push('^');
    }
    let content = out.len();
    let mut is_first = true;
    while is_first || !text.starts_with(']') {
        is_first = false;
        if text.starts_with("[:")
            && let Some(end) = text.get(2..).and_then(|name| name.find(":]"))
        {
            let name = text.get(..end + 4).unwrap_or(text);
            out.push_str(posix(name).ok_or_else(|| Error::new(BAD_RANGE, name))?);
            text = text.get(name.len()..).unwrap_or("");
            continue;
        }
        if let Some(class) = named(&mut text)? {
            out.push_str(&class);
            continue;
        }
        let start = text;
        let low = class_char(&mut text, whole)?;
        let mut high = low;
        if text.len() >= 2 && text.starts_with('-') && !text.starts_with("-]") {
            text = text.get(1..).unwrap_or("");
            high = class_char(&mut text, whole)?;
            if high < low {
                let range = start.get(..start.len() - text.len()).unwrap_or(start);
                return Err(Error::new(BAD_RANGE, range));
            }
        }
        push_range(&mut out, low, high);
    }
    *rest = text.get(1..).unwrap_or("");
    if out.len() == content {
        // Only surrogates were named.
        out.push_str(NOTHING);
    }
    out.push(']');
    Ok(if flags.fold_case {
        format!("(?i:{out})")
    } else {
        out
    })
}

fn class_char(text: &mut &str, whole: &str) -> Result<u32, Error> {
    let Some(c) = text.chars().next() else {
        return Err(Error::new("missing closing ]", whole));
    };
    if c == '\\' {
        return escape(text);
    }
    *text = text.get(c.len_utf8()..).unwrap_or("");
    Ok(u32::from(c))
}

fn push_range(out: &mut String, low: u32, high: u32) {
    let surrogate = |code: u32| (0xD800..=0xDFFF).contains(&code);
    let low = if surrogate(low) { 0xE000 } else { low };
    let high = if surrogate(high) { 0xD7FF } else { high };
    if low < high {
        out.push_str(&format!(r"\x{{{low:X}}}-\x{{{high:X}}}"));
    } else if low == high {
        out.push_str(&format!(r"\x{{{low:X}}}"));
    }
}

fn posix(name: &str) -> Option<&'static str> {
    let class = match name {
        "[:alnum:]" => "0-9A-Za-z",
        "[:^alnum:]" => "[^0-9A-Za-z]",
        "[:alpha:]" => "A-Za-z",
        "[:^alpha:]" => "[^A-Za-z]",
        "[:ascii:]" => r"\x00-\x7F",
        "[:^ascii:]" => r"[^\x00-\x7F]",
        "[:blank:]" => r"\t ",
        "[:^blank:]" => r"[^\t ]",
        "[:cntrl:]" => r"\x00-\x1F\x7F",
        "[:^cntrl:]" => r"[^\x00-\x1F\x7F]",
        "[:digit:]" => "0-9",
        "[:^digit:]" => "[^0-9]",
        "[:graph:]" => "!-~",
        "[:^graph:]" => "[^!-~]",
        "[:lower:]" => "a-z",
        "[:^lower:]" => "[^a-z]",
        "[:print:]" => r"\x20-\x7E",
        "[:^print:]" => r"[^\x20-\x7E]",
        "[:punct:]" => r"!-/:-@\x5B-`\x7B-~",
        "[:^punct:]" => r"[^!-/:-@\x5B-`\x7B-~]",
        "[:space:]" => r"\t\n\x0B\x0C\r\x20",
        "[:^space:]" => r"[^\t\n\x0B\x0C\r\x20]",
        "[:upper:]" => "A-Z",
        "[:^upper:]" => "[^A-Z]",
        "[:word:]" => "0-9A-Za-z_",
        "[:^word:]" => "[^0-9A-Za-z_]",
        "[:xdigit:]" => "0-9A-Fa-f",
        "[:^xdigit:]" => "[^0-9A-Fa-f]",
        _ => return None,
    };
    Some(class)
}
