//! Abbreviations and other cuts.

use super::runes::{is_space, push};

const MARKER: &[u8] = b"...";

/// goutils' `AbbreviateFull`; its errors are empty texts here, as they are for templates.
pub(crate) fn abbreviate(text: &[u8], offset: i64, width: i64) -> Vec<u8> {
    let Ok(width) = usize::try_from(width) else {
        return Vec::new();
    };
    if width < 4 {
        return Vec::new();
    }
    if text.len() <= width {
        return text.to_vec();
    }
    let kept = width - MARKER.len();
    // An offset below zero counts as one near the start.
    let offset = usize::try_from(offset)
        .unwrap_or(0)
        .min(text.len() - kept.min(text.len()));
    if offset <= 4 {
        return [text.get(..kept).unwrap_or_default(), MARKER].concat();
    }
    if width < 7 {
        return Vec::new();
    }
    if offset + kept < text.len() {
        let inner = abbreviate(text.get(offset..).unwrap_or_default(), 0, kept as i64);
        return [MARKER, &inner].concat();
    }
    [MARKER, text.get(text.len() - kept..).unwrap_or_default()].concat()
}

/// The first byte of every word, each as the Latin-1 character that goutils takes it for.
pub(crate) fn initials(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut after_gap = true;
    for c in text.iter().map(|byte| char::from(*byte)) {
        if is_space(c) {
            after_gap = true;
        } else if after_gap {
            push(&mut out, c);
            after_gap = false;
        }
    }
    out
}

/// Deletes white space byte by byte; when there is some, bytes beyond ASCII come out as Latin-1.
pub(crate) fn delete_space(text: &[u8]) -> Vec<u8> {
    let is_blank = |byte: &u8| is_space(char::from(*byte));
    if !text.iter().any(is_blank) {
        return text.to_vec();
    }
    let mut out = Vec::with_capacity(text.len());
    for byte in text.iter().filter(|byte| !is_blank(byte)) {
        push(&mut out, char::from(*byte));
    }
    out
}

/// Indents every line, the empty ones and the one after a final line break too.
pub(crate) fn indent(text: &[u8], pad: &[u8]) -> Vec<u8> {
    let lines = memchr::memchr_iter(b'\n', text).count();
    let mut out = Vec::with_capacity(text.len() + (lines + 1) * pad.len());
    out.extend_from_slice(pad);
    let mut start = 0;
    for at in memchr::memchr_iter(b'\n', text) {
        out.extend_from_slice(text.get(start..=at).unwrap_or_default());
        out.extend_from_slice(pad);
        start = at + 1;
    }
    out.extend_from_slice(text.get(start..).unwrap_or_default());
    out
}

/// The first bytes of a text, or the last ones for a count below zero.
pub(crate) fn trunc(text: &[u8], count: i64) -> &[u8] {
    let kept = usize::try_from(count.unsigned_abs()).unwrap_or(usize::MAX);
    if kept >= text.len() {
        // Go leaves the text alone also where the count is exactly its length below zero.
        return text;
    }
    if count < 0 {
        text.get(text.len() - kept..).unwrap_or(text)
    } else {
        text.get(..kept).unwrap_or(text)
    }
}

/// A part of a text by bytes; the error is Go's for bounds that make no slice.
pub(crate) fn substring(text: &[u8], start: i64, end: i64) -> Result<&[u8], String> {
    let len = text.len();
    let (from, to) = if start < 0 {
        (0, end)
    } else if end < 0 || usize::try_from(end).is_ok_and(|end| end > len) {
        (start, len as i64)
    } else {
        (start, end)
    };
    let range = usize::try_from(from).ok().zip(usize::try_from(to).ok());
    range
        .and_then(|(from, to)| text.get(from..to))
        .ok_or_else(|| bounds_error(start, end, len))
}

fn bounds_error(start: i64, end: i64, len: usize) -> String {
    let what = if start < 0 {
        if end < 0 {
            format!("[:{end}]")
        } else {
            format!("[:{end}] with length {len}")
        }
    } else if end < 0 || usize::try_from(end).is_ok_and(|end| end > len) {
        format!("[{start}:{len}]")
    } else {
        format!("[{start}:{end}]")
    };
    format!("runtime error: slice bounds out of range {what}")
}
