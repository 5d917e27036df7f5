//! The head of a manifest in the plain form that nearly all have, without a parser of YAML.
//!
//! Manifests are block mappings and lists with short keys and values on one line, and perhaps texts behind `|`. Here they are
//! read line by line. Whatever might not be what it seems ends that: the parser has the last word then. So what is accepted
//! here must be accepted by the parser, with the same head; a test compares them.

use std::collections::BTreeMap;

use super::head::Head;

/// Texts that are longer, and those that are nested deeper, are left to the parser.
const MAX_LEN: usize = 8 << 20;
const MAX_DEPTH: usize = 64;

/// Reads the head, if all of the manifest is plain.
pub(super) fn read(manifest: &str) -> Option<Head> {
    if manifest.len() > MAX_LEN || !is_printable(manifest) {
        return None;
    }
    let mut reader = Reader {
        rest: manifest,
        levels: Vec::with_capacity(16),
        open: None,
        head: Head::default(),
        seen: [false; FIELDS.len()],
    };
    while let Some((indent, content)) = reader.line() {
        reader.entry(indent, content)?;
    }
    let is_done = !reader.levels.is_empty() && matches!(reader.open, None | Some(Place::Elsewhere));
    is_done.then_some(reader.head)
}

/// Tells whether there are only characters that mean nothing special to YAML's reader: no tabs and no other line ends.
fn is_printable(text: &str) -> bool {
    let is_control = |byte: u8| byte < b' ' && byte != b'\n' || byte == 0x7F;
    if text.bytes().fold(false, |found, byte| found | is_control(byte)) {
        return false;
    }
    text.is_ascii()
        || text.chars().filter(|c| !c.is_ascii()).all(|c| {
            matches!(c, '\u{A0}'..='\u{2027}' | '\u{202A}'..='\u{D7FF}' | '\u{E000}'..='\u{FFFD}')
                && c != '\u{FEFF}'
        })
}

/// Which collection a level is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Top,
    Metadata,
    Annotations,
    Elsewhere,
}

/// The fields of the head; Go's decoder takes them in any case.
const FIELDS: [(Place, &str); 5] = [
    (Place::Top, "apiVersion"),
    (Place::Top, "kind"),
    (Place::Top, "metadata"),
    (Place::Metadata, "name"),
    (Place::Metadata, "annotations"),
];

/// A collection that has begun.
struct Level {
    indent: usize,
    is_list: bool,
    place: Place,
}

struct Reader<'m> {
    rest: &'m str,
    levels: Vec<Level>,
    /// The last entry has no value yet; the collection that may follow is this one.
    open: Option<Place>,
    head: Head,
    seen: [bool; FIELDS.len()],
}

/// A key and what follows its colon.
struct Entry<'m> {
    key: &'m str,
    is_quoted: bool,
    value: &'m str,
}

impl<'m> Reader<'m> {
    /// Takes the next line that is neither blank nor a comment.
    fn line(&mut self) -> Option<(usize, &'m str)> {
        while !self.rest.is_empty() {
            let (line, rest) = cut_line(self.rest);
            self.rest = rest;
            let content = line.trim_start_matches(' ');
            if !content.is_empty() && !content.starts_with('#') {
                return Some((line.len() - content.len(), content));
            }
        }
        None
    }

    fn entry(&mut self, indent: usize, content: &'m str) -> Option<()> {
        if matches!(content, "{}" | "[]") {
            return self.empty(indent, content);
        }
        self.settle(indent, is_item(content))?;
        let (mut indent, mut content) = (indent, content);
        while is_item(content) {
            let inner = content.get(1..)?.trim_start_matches(' ');
            if inner.is_empty() {
                self.open = Some(Place::Elsewhere);
                return Some(());
            }
            let column = indent + content.len() - inner.len();
            let is_list = is_item(inner);
            if !is_list && split_key(inner).is_none() {
                return self.value(inner, indent);
            }
            self.push(column, is_list, Place::Elsewhere)?;
            (indent, content) = (column, inner);
        }
        let entry = split_key(content)?;
        self.field(&entry, indent)
    }

    /// Takes an empty collection on a line of its own, as `toYaml` writes one below the key of its template.
    fn empty(&mut self, indent: usize, content: &str) -> Option<()> {
        let is_fit = match self.open.take()? {
            Place::Elsewhere => true,
            Place::Annotations => content == "{}",
            Place::Top | Place::Metadata => false,
        };
        (is_fit && indent > self.levels.last()?.indent).then_some(())
    }

    /// Makes the last level the one that an entry belongs to.
    fn settle(&mut self, indent: usize, is_item: bool) -> Option<()> {
        let Some(last) = self.levels.last() else {
            return if indent == 0 && !is_item {
                self.push(indent, false, Place::Top)
            } else {
                None
            };
        };
        if let Some(place) = self.open.take() {
            let may_be_level = is_item && !last.is_list;
            if indent > last.indent || indent == last.indent && may_be_level {
                let is_fit = place == Place::Elsewhere || !is_item;
                return if is_fit {
                    self.push(indent, is_item, place)
                } else {
                    None
                };
            }
            // Without a value.
            if place != Place::Elsewhere {
                return None;
            }
        }
        let is_over =
            |level: &Level| level.indent > indent || level.indent == indent && level.is_list && !is_item;
        while self.levels.last().is_some_and(is_over) {
            self.levels.pop();
        }
        let last = self.levels.last()?;
        (last.indent == indent && last.is_list == is_item).then_some(())
    }

    fn push(&mut self, indent: usize, is_list: bool, place: Place) -> Option<()> {
        self.levels.push(Level {
            indent,
            is_list,
            place,
        });
        (self.levels.len() <= MAX_DEPTH).then_some(())
    }

    fn field(&mut self, entry: &Entry<'m>, indent: usize) -> Option<()> {
        let place = self.levels.last()?.place;
        if place == Place::Annotations {
            return self.annotation(entry);
        }
        let named = |(field, (at, name)): (usize, &(Place, &str))| {
            (*at == place && name.eq_ignore_ascii_case(entry.key)).then_some(field)
        };
        let Some(field) = FIELDS.iter().enumerate().find_map(named) else {
            return self.value(entry.value, indent);
        };
        let (_, name) = FIELDS.get(field)?;
        let seen = self.seen.get_mut(field)?;
        if *name != entry.key || std::mem::replace(seen, true) {
            return None;
        }
        match *name {
            "apiVersion" => self.head.api_version = string(entry.value)?,
            "kind" => self.head.kind = string(entry.value)?,
            "name" => self.head.name = string(entry.value)?,
            _ if !without_comment(entry.value).is_empty() => return None,
            "metadata" => self.open = Some(Place::Metadata),
            _ => {
                self.head.annotations = Some(BTreeMap::new());
                self.open = Some(Place::Annotations);
            }
        }
        Some(())
    }

    fn annotation(&mut self, entry: &Entry<'m>) -> Option<()> {
        if !entry.is_quoted && is_special(entry.key) {
            return None;
        }
        let value = string(entry.value)?;
        let annotations = self.head.annotations.as_mut()?;
        let is_new = annotations.insert(entry.key.to_owned(), value).is_none();
        is_new.then_some(())
    }

    /// Takes a value that nobody asks for; it belongs to an entry of a collection with this indent.
    fn value(&mut self, value: &'m str, indent: usize) -> Option<()> {
        match value.bytes().next() {
            None | Some(b'#') => {
                self.open = Some(Place::Elsewhere);
                Some(())
            }
            Some(b'|' | b'>') => self.text(value, indent),
            Some(quote @ (b'"' | b'\'')) if quoted(value).is_none() => self.long_text(value, quote, indent),
            Some(b'[') => self.word_list(value, indent),
            Some(b'"' | b'\'' | b'{') => is_scalar(value).then_some(()),
            Some(_) if !is_scalar(value) => None,
            // A comment ends it.
            Some(_) if without_comment(value).len() < value.len() => Some(()),
            Some(_) => self.more_words(indent),
        }
    }

    /// Skips the lines on which words without quotes go on.
    fn more_words(&mut self, parent: usize) -> Option<()> {
        while !self.rest.is_empty() {
            let (line, rest) = cut_line(self.rest);
            let content = line.trim_start_matches(' ');
            if !content.is_empty() {
                if line.len() - content.len() <= parent || content.starts_with('#') {
                    break;
                }
                if !is_one_value(content.trim_end_matches(' ')) || content.contains(" #") {
                    return None;
                }
            }
            self.rest = rest;
        }
        Some(())
    }

    /// Skips a list in brackets, of words and texts in quotes.
    fn word_list(&mut self, start: &'m str, parent: usize) -> Option<()> {
        let mut part = start.get(1..)?;
        let mut wants_word = true;
        loop {
            part = part.trim_start_matches(' ');
            while part.is_empty() {
                if self.rest.is_empty() {
                    return None;
                }
                let (line, rest) = cut_line(self.rest);
                self.rest = rest;
                let content = line.trim_start_matches(' ');
                part = if content.starts_with('#') { "" } else { content };
                if !part.is_empty() && line.len() - part.len() <= parent {
                    return None;
                }
            }
            if let Some(rest) = part.strip_prefix(']') {
                return is_end(rest).then_some(());
            }
            part = match part.strip_prefix(',') {
                Some(rest) if !wants_word => rest,
                None if wants_word => after_word(part)?,
                _ => return None,
            };
            wants_word = !wants_word;
        }
    }

    /// Skips a text in quotes that has escapes or goes on behind its first line.
    fn long_text(&mut self, start: &'m str, quote: u8, parent: usize) -> Option<()> {
        let mut part = start.get(1..)?;
        loop {
            if let Some(end) = closing_quote(part, quote)? {
                return is_end(part.get(end + 1..)?).then_some(());
            }
            if self.rest.is_empty() {
                return None;
            }
            let (line, rest) = cut_line(self.rest);
            self.rest = rest;
            part = line.trim_start_matches(' ');
            // One that stands further left may be a mistake.
            if !part.is_empty() && line.len() - part.len() <= parent {
                return None;
            }
        }
    }

    /// Skips a text behind `|` or `>`.
    fn text(&mut self, header: &str, parent: usize) -> Option<()> {
        if !matches!(header.trim_end_matches(' ').get(1..), Some("" | "-" | "+")) {
            return None;
        }
        let mut indent = None;
        let mut blanks = 0;
        while !self.rest.is_empty() {
            let (line, rest) = cut_line(self.rest);
            let content = line.trim_start_matches(' ');
            let column = line.len() - content.len();
            match indent {
                _ if content.is_empty() => blanks = blanks.max(column),
                Some(indent) if column < indent => break,
                Some(_) => {}
                None if column <= parent => break,
                // The parser takes blank lines into account to find the indent.
                None if blanks > column => return None,
                None => indent = Some(column),
            }
            self.rest = rest;
        }
        (indent.is_some() || blanks <= parent).then_some(())
    }
}

fn cut_line(text: &str) -> (&str, &str) {
    text.split_once('\n').unwrap_or((text, ""))
}

fn is_item(content: &str) -> bool {
    content == "-" || content.starts_with("- ")
}

/// Splits a line at the colon of its key.
fn split_key(content: &str) -> Option<Entry<'_>> {
    let (key, rest, is_quoted) = match content.bytes().next()? {
        b'"' | b'\'' => {
            let (key, rest) = quoted(content)?;
            (key, rest, true)
        }
        first if first.is_ascii_alphabetic() || matches!(first, b'_' | b'/') => {
            let is_key = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'/' | b'-');
            let end = content.bytes().position(|byte| !is_key(byte))?;
            let (key, rest) = content.split_at(end);
            (key, rest, false)
        }
        _ => return None,
    };
    let value = rest.strip_prefix(':')?;
    let is_separate = value.is_empty() || value.starts_with(' ');
    let is_null = !is_quoted && key.eq_ignore_ascii_case("null");
    (is_separate && !is_null && key.len() <= 512).then_some(Entry {
        key,
        is_quoted,
        value: value.trim_matches(' '),
    })
}

/// Splits off a quoted text without escapes.
fn quoted(text: &str) -> Option<(&str, &str)> {
    let (quote, rest) = text.split_at_checked(1)?;
    let (inner, after) = rest.split_once(quote)?;
    let is_plain = if quote == "\"" {
        !inner.contains('\\')
    } else {
        !after.starts_with('\'')
    };
    is_plain.then_some((inner, after))
}

/// Finds the quote that ends a text. Two single ones are one that is meant; double ones are escaped, like much else, of which only
/// the most usual is accepted.
#[expect(
    clippy::option_option,
    reason = "none is for what is not plain, as everywhere here"
)]
fn closing_quote(text: &str, quote: u8) -> Option<Option<usize>> {
    let bytes = text.as_bytes();
    let mut at = 0;
    loop {
        let rest = bytes.get(at..)?;
        let Some(found) = rest.iter().position(|byte| *byte == quote || *byte == b'\\') else {
            return Some(None);
        };
        at += found;
        let next = bytes.get(at + 1);
        if bytes.get(at) == Some(&quote) {
            if quote == b'"' || next != Some(&quote) {
                return Some(Some(at));
            }
            at += 2;
        } else if quote == b'\'' {
            at += 1;
        } else if matches!(next, None | Some(b'n' | b't' | b'r' | b'"' | b'\\' | b' ')) {
            at += 2;
        } else {
            return None;
        }
        if bytes.len() <= at {
            return Some(None);
        }
    }
}

fn without_comment(value: &str) -> &str {
    match value.find(" #") {
        _ if value.starts_with('#') => "",
        Some(at) => value.get(..at).unwrap_or(value).trim_end_matches(' '),
        None => value,
    }
}

/// Tells whether a value is a scalar on one line, or an empty or very simple list or map.
fn is_scalar(value: &str) -> bool {
    let Some(first) = value.bytes().next() else {
        return false;
    };
    match first {
        b'"' | b'\'' => quoted(value).is_some_and(|(_, rest)| is_end(rest)),
        b'{' => without_comment(value) == "{}",
        b'-' => {
            let rest = without_comment(value).get(1..).unwrap_or_default();
            match rest.bytes().next() {
                Some(b'0'..=b'9') => rest.bytes().all(|byte| byte.is_ascii_digit()),
                Some(next) => (next == b'-' || next.is_ascii_alphabetic()) && is_one_value(rest),
                None => false,
            }
        }
        b':' => {
            let word = without_comment(value).get(1..).unwrap_or_default();
            word.starts_with(|c: char| c.is_ascii_alphanumeric()) && is_one_value(word)
        }
        b'.' => {
            let word = without_comment(value).get(1..).unwrap_or_default();
            word.starts_with(|c: char| c.is_ascii_alphabetic()) && !is_no_number(word) && is_one_value(word)
        }
        _ => is_plain(first, without_comment(value)),
    }
}

fn is_plain(first: u8, value: &str) -> bool {
    let is_start = first.is_ascii_alphanumeric()
        || !first.is_ascii()
        || matches!(first, b'/' | b'(' | b'$' | b'_' | b'~' | b'^');
    is_start && is_one_value(value)
}

fn is_one_value(plain: &str) -> bool {
    !plain.contains(": ") && !plain.ends_with(':')
}

/// Tells whether it is what follows the dot of infinity, or of what is no number.
fn is_no_number(word: &str) -> bool {
    ["inf", "nan"].iter().any(|name| name.eq_ignore_ascii_case(word))
}

/// Tells whether nothing but a comment follows.
fn is_end(rest: &str) -> bool {
    rest.trim_start_matches(' ').is_empty()
        || rest.starts_with(' ') && without_comment(rest.trim_matches(' ')).is_empty()
}

/// What follows a word or a text in quotes.
fn after_word(text: &str) -> Option<&str> {
    let first = text.bytes().next()?;
    if matches!(first, b'"' | b'\'') {
        return quoted(text).map(|(_, rest)| rest);
    }
    let is_inner = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'/' | b'-');
    let end = text
        .bytes()
        .position(|byte| !is_inner(byte))
        .unwrap_or(text.len());
    first.is_ascii_alphabetic().then(|| text.get(end..))?
}

/// The text of a value that is surely a string.
fn string(value: &str) -> Option<String> {
    let first = value.bytes().next()?;
    if matches!(first, b'"' | b'\'') {
        let (inner, rest) = quoted(value)?;
        return is_end(rest).then(|| inner.to_owned());
    }
    let plain = without_comment(value);
    let is_word = first.is_ascii_alphabetic() && is_plain(first, plain) && !is_special(plain);
    (is_word || is_version(plain)).then(|| plain.to_owned())
}

/// Tells whether it is like `1.2.3`, which no number is.
fn is_version(word: &str) -> bool {
    word.starts_with(|c: char| c.is_ascii_digit())
        && word.bytes().filter(|byte| *byte == b'.').count() >= 2
        && word
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-'))
}

/// Tells whether a word may be a boolean or null in some version of YAML.
fn is_special(word: &str) -> bool {
    const SPECIAL: [&str; 9] = ["y", "n", "yes", "no", "on", "off", "true", "false", "null"];
    SPECIAL.iter().any(|special| special.eq_ignore_ascii_case(word))
}

#[cfg(test)]
mod tests;
