//! Bytes to text: encodings, byte order marks, forbidden characters.
//!
//! Go reads its input in pieces of 512 bytes and only as far as the scanner needs it, so that what is wrong
//! with a later piece is found after what is wrong with the syntax before, or never. [`Pieces`] keeps what
//! is needed to do the same; well-formed text, the usual case, goes without.

use std::borrow::Cow;

const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

/// How many raw bytes Go decodes at once.
const PIECE: usize = 512;

/// Text, as far as it can be decoded.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Decoded<'a> {
    pub(super) text: Cow<'a, str>,
    pub(super) pieces: Option<Pieces>,
}

/// In which pieces Go decodes the text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Pieces {
    /// The offset in the text where each piece ends.
    pub(super) ends: Vec<usize>,
    /// What is wrong with the piece after the last.
    pub(super) problem: Option<&'static str>,
}

/// Decodes UTF-8, or UTF-16 when a byte order mark says so.
pub(super) fn decode(input: &[u8]) -> Decoded<'_> {
    match input {
        [0xFF, 0xFE, rest @ ..] => utf16(rest, u16::from_le_bytes),
        [0xFE, 0xFF, rest @ ..] => utf16(rest, u16::from_be_bytes),
        _ => utf8(input),
    }
}

fn utf8(input: &[u8]) -> Decoded<'_> {
    let content = input.strip_prefix(BYTE_ORDER_MARK).unwrap_or(input);
    let (text, problem) = match std::str::from_utf8(content) {
        Ok(text) => (text, None),
        Err(error) => {
            let valid = content.get(..error.valid_up_to()).unwrap_or_default();
            let text = std::str::from_utf8(valid).unwrap_or_default();
            let rest = content.get(error.valid_up_to()..).unwrap_or_default();
            (text, Some(utf8_problem(rest)))
        }
    };
    let (text, problem) = match first_forbidden(text) {
        Some(offset) => (text.get(..offset).unwrap_or_default(), Some(CONTROL)),
        None => (text, problem),
    };
    if problem.is_none() && !may_contain_mark(text) {
        return Decoded {
            text: Cow::Borrowed(text),
            pieces: None,
        };
    }
    let ends = piece_ends(content, text.len(), input.len() - content.len());
    let visible = match problem {
        Some(_) => ends.last().copied().unwrap_or(0),
        None => text.len(),
    };
    Decoded {
        text: Cow::Borrowed(text.get(..visible).unwrap_or_default()),
        pieces: Some(Pieces { ends, problem }),
    }
}

/// Finds where Go's pieces end, those that are good to their end.
fn piece_ends(content: &[u8], good: usize, before: usize) -> Vec<usize> {
    let mut ends = Vec::new();
    let (mut start, mut raw_end) = (0, PIECE - before);
    while start < content.len() {
        let limit = raw_end.min(content.len());
        // A character that the piece cuts is left to the next one, whether it is a good one or not.
        let end = if limit > good {
            let width = content.get(good).map_or(0, |lead| char_width(*lead));
            if width == 0 || good + width <= limit {
                break;
            }
            good
        } else {
            let is_cut = |back: &usize| {
                let lead = limit.checked_sub(*back).and_then(|at| content.get(at));
                lead.is_some_and(|byte| char_width(*byte) > *back)
            };
            limit - (1..4).find(is_cut).unwrap_or(0)
        };
        if end <= start {
            break;
        }
        ends.push(end);
        start = end;
        raw_end = end + PIECE;
    }
    ends
}

fn utf16(input: &[u8], unit: fn([u8; 2]) -> u16) -> Decoded<'static> {
    let mut text = String::with_capacity(input.len());
    let mut pieces = Pieces::default();
    let mut rest = input;
    let mut raw_left = PIECE - 2;
    while !rest.is_empty() {
        let piece_start = text.len();
        match utf16_piece(rest, raw_left, unit, &mut text) {
            Ok(used) => rest = rest.get(used..).unwrap_or_default(),
            Err(problem) => {
                text.truncate(piece_start);
                pieces.problem = Some(problem);
                break;
            }
        }
        pieces.ends.push(text.len());
        raw_left = PIECE;
    }
    let is_plain = pieces.problem.is_none() && !may_contain_mark(&text);
    Decoded {
        text: Cow::Owned(text),
        pieces: Some(pieces).filter(|_| !is_plain),
    }
}

/// Decodes one piece and returns how many bytes it took.
fn utf16_piece(
    input: &[u8],
    limit: usize,
    unit: fn([u8; 2]) -> u16,
    text: &mut String,
) -> Result<usize, &'static str> {
    let mut used = 0;
    while used < limit.min(input.len()) {
        let at = |offset: usize| -> Option<u16> {
            let pair = input.get(used + offset..used + offset + 2)?;
            Some(unit(pair.try_into().ok()?))
        };
        // What is cut off is left to the next piece, and wrong when it starts that.
        let cut = |length: usize| used + length > input.len().min(limit);
        if cut(2) && used == 0 {
            return Err("incomplete UTF-16 character");
        }
        if cut(2) {
            break;
        }
        let first = at(0).unwrap_or_default();
        let decoded = match first {
            0xDC00..=0xDFFF => return Err("unexpected low surrogate area"),
            0xD800..=0xDBFF if cut(4) && used == 0 => return Err("incomplete UTF-16 surrogate pair"),
            0xD800..=0xDBFF if cut(4) => break,
            0xD800..=0xDBFF => {
                let second = at(2).unwrap_or_default();
                char::decode_utf16([first, second])
                    .next()
                    .and_then(Result::ok)
                    .ok_or("expected low surrogate area")?
            }
            unit => char::from_u32(u32::from(unit)).unwrap_or_default(),
        };
        if is_forbidden(decoded) {
            return Err(CONTROL);
        }
        text.push(decoded);
        used += decoded.len_utf16() * 2;
    }
    Ok(used)
}

const CONTROL: &str = "control characters are not allowed";

/// How many bytes a character has that starts with this one; none for a byte that cannot start one.
pub(super) fn char_width(lead: u8) -> usize {
    match lead {
        0..=0x7F => 1,
        0xC0..=0xDF => 2,
        0xE0..=0xEF => 3,
        0xF0..=0xF7 => 4,
        _ => 0,
    }
}

/// Says what Go finds wrong with the bytes of which the first character is not UTF-8.
fn utf8_problem(bytes: &[u8]) -> &'static str {
    let lead = bytes.first().copied().unwrap_or_default();
    let width = char_width(lead);
    if width == 0 {
        return "invalid leading UTF-8 octet";
    }
    let Some(character) = bytes.get(..width) else {
        return "incomplete UTF-8 octet sequence";
    };
    let trail = character.get(1..).unwrap_or_default();
    if trail.iter().any(|byte| byte & 0xC0 != 0x80) {
        return "invalid trailing UTF-8 octet";
    }
    let value = trail
        .iter()
        .fold(u32::from(lead) & (0x7F >> width), |value, byte| {
            (value << 6) | u32::from(byte & 0x3F)
        });
    let least = match width {
        2 => 0x80,
        3 => 0x800,
        _ => 0x1_0000,
    };
    if value < least {
        "invalid length of a UTF-8 sequence"
    } else {
        "invalid Unicode character"
    }
}

/// Beyond ASCII only C1 controls (but not NEL) and the two non-characters are refused.
fn is_forbidden(c: char) -> bool {
    matches!(c, '\0'..='\u{8}' | '\u{B}' | '\u{C}' | '\u{E}'..='\u{1F}' | '\u{7F}'..='\u{84}'
        | '\u{86}'..='\u{9F}' | '\u{FFFE}' | '\u{FFFF}')
}

fn first_forbidden(text: &str) -> Option<usize> {
    // A yes or no over whole blocks is what compilers make fast.
    let is_suspect = |byte: u8| (byte < 0x20 && !matches!(byte, b'\t' | b'\n' | b'\r')) | (byte >= 0x7F);
    let mut offset = 0;
    for block in text.as_bytes().chunks(64) {
        if block.iter().fold(false, |found, byte| found | is_suspect(*byte)) {
            break;
        }
        offset += block.len();
    }
    let rest = text.as_bytes().get(offset..).unwrap_or_default();
    let mut at = 0;
    while let Some(byte) = rest.get(at).copied() {
        let next = rest.get(at + 1).copied().unwrap_or_default();
        let after = rest.get(at + 2).copied().unwrap_or_default();
        let forbidden = match byte {
            0..0x80 => is_forbidden(char::from(byte)),
            0xC2 => matches!(next, 0x80..=0x84 | 0x86..=0x9F),
            0xEF => next == 0xBF && after >= 0xBE,
            _ => false,
        };
        if forbidden {
            return Some(offset + at);
        }
        at += 1;
    }
    None
}

fn may_contain_mark(text: &str) -> bool {
    text.as_bytes().contains(&0xEF) && text.contains('\u{FEFF}')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(input: &[u8]) -> String {
        let decoded = decode(input);
        assert_eq!(decoded.pieces, None);
        decoded.text.into_owned()
    }

    #[test]
    fn encodings_are_told_by_their_mark() {
        assert_eq!(text(b"\xEF\xBB\xBFa"), "a");
        assert_eq!(text(b"\xFF\xFEa\0=\xD8\x00\xDE"), "a\u{1F600}");
        assert_eq!(text(b"\xFE\xFF\0a\xD8=\xDE\x00"), "a\u{1F600}");
    }

    #[test]
    fn broken_input_is_told_apart() {
        for (input, problem) in [
            (&b"a\x80"[..], "invalid leading UTF-8 octet"),
            (b"\xC3(", "invalid trailing UTF-8 octet"),
            (b"a\xE2\x82", "incomplete UTF-8 octet sequence"),
            (b"a\xC0\x80", "invalid length of a UTF-8 sequence"),
            (b"a\xED\xA0\x80", "invalid Unicode character"),
            (b"\xFF\xFEa", "incomplete UTF-16 character"),
            (b"\xFF\xFE\x00\xDC", "unexpected low surrogate area"),
            (b"\xFF\xFE\x00\xD8", "incomplete UTF-16 surrogate pair"),
            (b"\xFF\xFE\x00\xD8a\0", "expected low surrogate area"),
            (b"a: \x07", CONTROL),
            (b"a: \x7f", CONTROL),
            (b"a: \xC2\x80", CONTROL),
        ] {
            let pieces = decode(input).pieces.unwrap();
            assert_eq!(pieces.problem, Some(problem), "{input:?}");
        }
    }

    #[test]
    fn text_before_a_broken_piece_is_there() {
        let mut input = vec![b'a'; 511];
        input.extend("é".bytes().chain([b'b'; 600]).chain([0]));
        let decoded = decode(&input);
        assert_eq!(decoded.text.len(), 511 + 512);
        assert_eq!(decoded.pieces.unwrap().ends, [511, 1023]);
    }
}
