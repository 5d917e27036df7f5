//! Runes: characters, with U+FFFD for each byte that is part of none.

use ferro_gocompat::unicode::{is_digit, is_letter};

/// A rune with its place in the text.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rune {
    pub(crate) at: usize,
    pub(crate) len: usize,
    pub(crate) c: char,
}

/// Decodes like a `range` over a Go string.
pub(crate) fn runes(text: &[u8]) -> impl Iterator<Item = Rune> {
    let mut start = 0;
    text.utf8_chunks().flat_map(move |chunk| {
        let valid_start = start;
        let invalid_start = valid_start + chunk.valid().len();
        start = invalid_start + chunk.invalid().len();
        let valid = chunk.valid().char_indices().map(move |(at, c)| Rune {
            at: valid_start + at,
            len: c.len_utf8(),
            c,
        });
        let invalid = (0..chunk.invalid().len()).map(move |at| Rune {
            at: invalid_start + at,
            len: 1,
            c: char::REPLACEMENT_CHARACTER,
        });
        valid.chain(invalid)
    })
}

/// Decodes to characters.
pub(crate) fn chars(text: &[u8]) -> impl Iterator<Item = char> {
    runes(text).map(|rune| rune.c)
}

/// Appends a character as UTF-8.
pub(crate) fn push(out: &mut Vec<u8>, c: char) {
    out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
}

/// Encodes characters.
pub(crate) fn collect(chars: impl IntoIterator<Item = char>) -> Vec<u8> {
    let mut out = Vec::new();
    for c in chars {
        push(&mut out, c);
    }
    out
}

/// Go's `unicode.IsSpace`, which is Rust's white space.
pub(crate) fn is_space(c: char) -> bool {
    c.is_whitespace()
}

/// Removes the runes that `unwanted` names from both ends.
pub(crate) fn trim(text: &[u8], unwanted: impl Fn(Rune) -> bool) -> &[u8] {
    let mut kept: Option<(usize, usize)> = None;
    for rune in runes(text).filter(|rune| !unwanted(*rune)) {
        let start = kept.map_or(rune.at, |(start, _)| start);
        kept = Some((start, rune.at + rune.len));
    }
    kept.and_then(|(start, end)| text.get(start..end))
        .unwrap_or_default()
}

/// `strings.Title`'s notion of what separates words.
pub(crate) fn is_separator(c: char) -> bool {
    if c.is_ascii() {
        return !c.is_ascii_alphanumeric() && c != '_';
    }
    !is_letter(c) && !is_digit(c) && is_space(c)
}

/// `strings.Index`.
pub(crate) fn find(text: &[u8], wanted: &[u8]) -> Option<usize> {
    if wanted.is_empty() {
        return Some(0);
    }
    memchr::memmem::find(text, wanted)
}

/// `strings.ReplaceAll`: an empty `old` matches before every rune and at the end.
pub(crate) fn replace(text: &[u8], old: &[u8], new: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    if old == new {
        out.extend_from_slice(text);
        return out;
    }
    if old.is_empty() {
        out.extend_from_slice(new);
        for rune in runes(text) {
            out.extend_from_slice(text.get(rune.at..rune.at + rune.len).unwrap_or_default());
            out.extend_from_slice(new);
        }
        return out;
    }
    let mut rest = text;
    while let Some(at) = find(rest, old) {
        let (before, after) = rest.split_at(at);
        out.extend_from_slice(before);
        out.extend_from_slice(new);
        rest = after.get(old.len()..).unwrap_or_default();
    }
    out.extend_from_slice(rest);
    out
}

/// `strings.SplitN`: an empty separator cuts into runes; `most` below zero means all, zero none.
pub(crate) fn split<'t>(text: &'t [u8], separator: &[u8], most: i64) -> Vec<&'t [u8]> {
    if most == 0 {
        return Vec::new();
    }
    let most = usize::try_from(most).unwrap_or(usize::MAX);
    let mut parts = Vec::new();
    let mut rest = text;
    while parts.len() + 1 < most {
        let cut = if separator.is_empty() {
            runes(rest)
                .next()
                .map(|rune| rune.len)
                .filter(|len| *len < rest.len())
        } else {
            find(rest, separator)
        };
        let Some(at) = cut else { break };
        let (part, after) = rest.split_at(at);
        parts.push(part);
        rest = after.get(separator.len()..).unwrap_or_default();
    }
    if !(separator.is_empty() && text.is_empty()) {
        parts.push(rest);
    }
    parts
}
