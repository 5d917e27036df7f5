//! Letter case by Go's rules: one rune becomes one rune, where Rust may need several.

use ferro_gocompat::unicode::{is_digit, is_letter};

use super::runes::{Rune, chars, collect, is_separator, is_space, push, runes};

/// Go's `unicode.ToUpper`.
pub(crate) fn to_upper(c: char) -> char {
    single(c.to_uppercase()).unwrap_or_else(|| match u32::from(c) {
        // Greek letters with a subscript iota have a one-rune form.
        code @ (0x1F80..=0x1F87 | 0x1F90..=0x1F97 | 0x1FA0..=0x1FA7) => shifted(code, 8),
        code @ (0x1FB3 | 0x1FC3 | 0x1FF3) => shifted(code, 9),
        _ => c,
    })
}

/// Go's `unicode.ToLower`.
pub(crate) fn to_lower(c: char) -> char {
    single(c.to_lowercase()).unwrap_or(if c == 'İ' { 'i' } else { c })
}

/// Go's `unicode.ToTitle`, which is the upper case but for digraphs and Georgian.
pub(crate) fn to_title(c: char) -> char {
    match c {
        'Ǆ'..='ǆ' => 'ǅ',
        'Ǉ'..='ǉ' => 'ǈ',
        'Ǌ'..='ǌ' => 'ǋ',
        'Ǳ'..='ǳ' => 'ǲ',
        '\u{10D0}'..='\u{10FF}' => c,
        _ => to_upper(c),
    }
}

/// Go's `unicode.IsUpper`: category Lu.
pub(crate) fn is_upper(c: char) -> bool {
    c.is_uppercase() && (c.is_ascii() || (is_letter(c) && !is_title(c)))
}

/// Go's `unicode.IsLower`: category Ll, which leaves out what Rust adds from `Other_Lowercase`.
pub(crate) fn is_lower(c: char) -> bool {
    c.is_ascii_lowercase()
        || (!c.is_ascii() && c.is_lowercase() && is_letter(c) && !is_modifier(c) && !matches!(c, 'ª' | 'º'))
}

/// Go's `unicode.IsTitle`: category Lt.
pub(crate) fn is_title(c: char) -> bool {
    matches!(c, 'ǅ' | 'ǈ' | 'ǋ' | 'ǲ' | '\u{1F88}'..='\u{1F8F}' | '\u{1F98}'..='\u{1F9F}' | '\u{1FA8}'..='\u{1FAF}'
        | '\u{1FBC}' | '\u{1FCC}' | '\u{1FFC}')
}

/// Letters of category Lm that Rust calls lower-case.
fn is_modifier(c: char) -> bool {
    matches!(c, '\u{2B0}'..='\u{2B8}' | '\u{2C0}'..='\u{2C1}' | '\u{2E0}'..='\u{2E4}' | '\u{37A}' | '\u{10FC}'
        | '\u{1D2C}'..='\u{1D6A}' | '\u{1D78}' | '\u{1D9B}'..='\u{1DBF}' | '\u{2071}' | '\u{207F}'
        | '\u{2090}'..='\u{209C}' | '\u{2C7C}'..='\u{2C7D}' | '\u{A69C}'..='\u{A69D}' | '\u{A770}'
        | '\u{A7F2}'..='\u{A7F4}' | '\u{A7F8}'..='\u{A7F9}' | '\u{AB5C}'..='\u{AB5F}' | '\u{AB69}'
        | '\u{10780}'..='\u{107BA}' | '\u{1E030}'..='\u{1E06D}')
}

fn single(mut mapped: impl Iterator<Item = char>) -> Option<char> {
    let first = mapped.next()?;
    mapped.next().is_none().then_some(first)
}

fn shifted(code: u32, by: u32) -> char {
    char::from_u32(code + by).unwrap_or(char::REPLACEMENT_CHARACTER)
}

/// Maps like `strings.Map`, which leaves a text alone in which nothing changes.
fn map(text: &[u8], mut mapping: impl FnMut(char) -> char) -> Vec<u8> {
    collect(chars(text).map(&mut mapping))
}

pub(crate) fn upper(text: &[u8]) -> Vec<u8> {
    if text.is_ascii() {
        return text.to_ascii_uppercase();
    }
    map(text, to_upper)
}

pub(crate) fn lower(text: &[u8]) -> Vec<u8> {
    if text.is_ascii() {
        return text.to_ascii_lowercase();
    }
    map(text, to_lower)
}

/// `strings.Title`: the first rune of each word in title case; an apostrophe ends a word too.
pub(crate) fn title(text: &[u8]) -> Vec<u8> {
    let mut previous = ' ';
    map(text, |c| {
        let starts_word = is_separator(previous);
        previous = c;
        if starts_word { to_title(c) } else { c }
    })
}

/// Lowers the first rune of every word; only white space separates words.
pub(crate) fn untitle(text: &[u8]) -> Vec<u8> {
    let mut starts_word = true;
    map(text, |c| {
        if is_space(c) {
            starts_word = true;
            return c;
        }
        let lowered = if starts_word { to_lower(c) } else { c };
        starts_word = false;
        lowered
    })
}

/// Swaps cases; a lower-case letter at the start of a word becomes a title-case one.
pub(crate) fn swap_case(text: &[u8]) -> Vec<u8> {
    let mut starts_word = true;
    map(text, |c| {
        let is_start = starts_word;
        if is_upper(c) || is_title(c) {
            starts_word = false;
            return to_lower(c);
        }
        if is_lower(c) {
            starts_word = false;
            return if is_start { to_title(c) } else { to_upper(c) };
        }
        starts_word = is_space(c);
        c
    })
}

fn is_connector(c: char) -> bool {
    c == '-' || c == '_' || is_space(c)
}

/// `xstrings.ToPascalCase`: `some_words` becomes `SomeWords`; connectors at the start stay.
pub(crate) fn pascal_case(text: &[u8]) -> Vec<u8> {
    let all: Vec<char> = chars(text).collect();
    let start = all.iter().take_while(|c| is_connector(**c)).count();
    let (leading, rest) = all.split_at(start);
    let mut out = collect(leading.iter().copied());
    let Some((first, rest)) = rest.split_first() else {
        // A text of connectors alone gets its last one twice, as in the original.
        if let Some(last) = leading.last() {
            push(&mut out, *last);
        }
        return out;
    };
    let mut in_upper_run = is_upper(*first);
    let mut current = to_upper(*first);
    for &next in rest {
        let previous = current;
        current = next;
        if is_connector(current) && is_connector(previous) {
            push(&mut out, previous);
            continue;
        }
        if is_connector(previous) {
            in_upper_run = is_upper(current);
            current = to_upper(current);
            continue;
        }
        if in_upper_run {
            if is_upper(current) {
                current = to_lower(current);
            } else {
                in_upper_run = false;
            }
        }
        push(&mut out, previous);
    }
    push(&mut out, current);
    out
}

/// What a run of runes is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Word {
    Invalid,
    Number,
    Upper,
    Alphabet,
    Connector,
    Punctuation,
    Other,
}

/// `xstrings.ToSnakeCase` and `ToKebabCase`.
pub(crate) fn delimited_case(text: &[u8], connector: char) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len() + 8);
    if text.is_empty() {
        return out;
    }
    let mut words = Words { rest: text };
    let (mut kind, mut word) = words.next_word();
    while !words.rest.is_empty() {
        if kind != Word::Connector {
            push_lower(&mut out, kind, word, connector);
        }
        let (previous, last) = (kind, word);
        (kind, word) = words.next_word();
        match previous {
            Word::Number => {
                while matches!(kind, Word::Alphabet | Word::Number) {
                    push_lower(&mut out, kind, word, connector);
                    (kind, word) = words.next_word();
                }
                push_connector(&mut out, kind, connector);
            }
            Word::Connector => push_lower(&mut out, previous, last, connector),
            Word::Punctuation => {}
            _ => (kind, word) = words.after_letters(&mut out, (kind, word), connector),
        }
    }
    push_lower(&mut out, kind, word, connector);
    out
}

struct Words<'t> {
    rest: &'t [u8],
}

impl<'t> Words<'t> {
    /// Handles the number that may follow letters: alone it belongs to them, before letters to the next word.
    fn after_letters(
        &mut self,
        out: &mut Vec<u8>,
        found: (Word, &'t [u8]),
        connector: char,
    ) -> (Word, &'t [u8]) {
        let (mut kind, mut word) = found;
        if kind != Word::Number {
            if !matches!(kind, Word::Connector | Word::Punctuation) {
                push(out, connector);
            }
            return found;
        }
        if self.rest.is_empty() {
            return found;
        }
        let number = word;
        (kind, word) = self.next_word();
        if kind != Word::Alphabet {
            push_lower(out, Word::Number, number, connector);
            if !matches!(kind, Word::Connector | Word::Punctuation) {
                push(out, connector);
            }
            return (kind, word);
        }
        push(out, connector);
        push_lower(out, Word::Number, number, connector);
        while matches!(kind, Word::Alphabet | Word::Number) {
            push_lower(out, kind, word, connector);
            (kind, word) = self.next_word();
        }
        push_connector(out, kind, connector);
        (kind, word)
    }

    fn next_word(&mut self) -> (Word, &'t [u8]) {
        let text = self.rest;
        let Some(first) = next_valid(text) else {
            self.rest = &[];
            return (Word::Invalid, text);
        };
        let kind = classify(first.c);
        let len = match kind {
            Word::Upper => upper_word_len(text, first),
            _ => {
                first.end()
                    + run_len(text.get(first.end()..).unwrap_or_default(), first.c, |c| {
                        continues(kind, c)
                    })
            }
        };
        let (word, rest) = text.split_at(len.min(text.len()));
        self.rest = rest;
        (kind, word)
    }
}

impl Rune {
    fn end(&self) -> usize {
        self.at + self.len
    }
}

/// The first rune that is a character; U+FFFD itself counts as none.
fn next_valid(text: &[u8]) -> Option<Rune> {
    runes(text).find(|rune| rune.c != char::REPLACEMENT_CHARACTER)
}

fn classify(c: char) -> Word {
    if is_connector(c) {
        Word::Connector
    } else if is_punctuation(c) {
        Word::Punctuation
    } else if is_upper(c) {
        Word::Upper
    } else if is_alphabet(c) {
        Word::Alphabet
    } else if is_number(c) {
        Word::Number
    } else {
        Word::Other
    }
}

fn continues(kind: Word, c: char) -> bool {
    match kind {
        Word::Connector => is_connector(c),
        Word::Punctuation => is_punctuation(c),
        Word::Alphabet => is_alphabet(c) && !is_upper(c),
        Word::Number => is_number(c),
        _ => !(is_connector(c) || is_alphabet(c) || is_number(c) || is_punctuation(c)),
    }
}

/// How far a run goes. Invalid bytes are passed over together with the rune after them.
fn run_len(text: &[u8], previous: char, continues: impl Fn(char) -> bool) -> usize {
    let (mut len, mut last) = (0, previous);
    while len < text.len() {
        let rest = text.get(len..).unwrap_or_default();
        let (c, size) = next_valid(rest).map_or((last, rest.len()), |rune| (rune.c, rune.end()));
        if !continues(c) {
            break;
        }
        last = c;
        len += size;
    }
    len
}

/// `HTTPStatus` is `HTTP` and `Status`; `Status` alone takes its small letters along.
fn upper_word_len(text: &[u8], first: Rune) -> usize {
    let start = first.end();
    let rest = text.get(start..).unwrap_or_default();
    if rest.is_empty() {
        return start;
    }
    let second = next_valid(rest).map_or((first.c, rest.len()), |rune| (rune.c, rune.end()));
    if !is_upper(second.0) {
        if !is_alphabet(second.0) {
            return start;
        }
        return start + run_len(rest, first.c, |c| is_alphabet(c) && !is_upper(c));
    }
    let (mut len, mut last_size, mut last) = (start + second.1, second.1, second.0);
    while len < text.len() {
        let rest = text.get(len..).unwrap_or_default();
        let (c, size) = next_valid(rest).map_or((last, rest.len()), |rune| (rune.c, rune.end()));
        last = c;
        if !is_upper(c) {
            break;
        }
        last_size = size;
        len += size;
    }
    if len < text.len() && is_alphabet(last) {
        len -= last_size;
    }
    len
}

fn push_connector(out: &mut Vec<u8>, kind: Word, connector: char) {
    if !matches!(kind, Word::Invalid | Word::Punctuation | Word::Connector) {
        push(out, connector);
    }
}

fn push_lower(out: &mut Vec<u8>, kind: Word, word: &[u8], connector: char) {
    if !matches!(kind, Word::Upper | Word::Connector) {
        out.extend_from_slice(word);
        return;
    }
    for c in chars(word) {
        let c = if is_connector(c) {
            connector
        } else if is_upper(c) {
            to_lower(c)
        } else {
            c
        };
        push(out, c);
    }
}

/// A letter that is none of the common Chinese characters.
fn is_alphabet(c: char) -> bool {
    is_letter(c)
        && !matches!(c, '\u{4E00}'..='\u{9FCC}' | '\u{3400}'..='\u{4D85}' | '\u{20000}'..='\u{2B81D}')
}

fn is_number(c: char) -> bool {
    is_digit(c) || (!c.is_ascii() && c.is_numeric() && !is_letter(c))
}

fn is_punctuation(c: char) -> bool {
    static PUNCTUATION: std::sync::LazyLock<Option<regex::Regex>> =
        std::sync::LazyLock::new(|| regex::Regex::new(r"^[\p{P}&&\p{age=15.0}]$").ok());
    if c.is_ascii() {
        return c.is_ascii_punctuation() && !matches!(c, '$' | '+' | '<' | '=' | '>' | '^' | '`' | '|' | '~');
    }
    PUNCTUATION
        .as_ref()
        .is_some_and(|class| class.is_match(c.encode_utf8(&mut [0; 4])))
}
