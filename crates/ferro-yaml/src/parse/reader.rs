//! Bytes to text: encodings, byte order marks, forbidden characters.

use std::borrow::Cow;

use crate::{Error, Result};

/// Decodes UTF-8, or UTF-16 when a byte order mark says so, and refuses what YAML does not allow in a
/// stream.
pub(super) fn decode(input: &[u8]) -> Result<Cow<'_, str>> {
    let text = match input {
        [0xFF, 0xFE, rest @ ..] => Cow::Owned(utf16(rest, u16::from_le_bytes)?),
        [0xFE, 0xFF, rest @ ..] => Cow::Owned(utf16(rest, u16::from_be_bytes)?),
        _ => Cow::Borrowed(utf8(input.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(input))?),
    };
    if has_forbidden(&text) {
        return Err(Error::Encoding {
            problem: "control characters are not allowed",
        });
    }
    Ok(text)
}

fn utf8(input: &[u8]) -> Result<&str> {
    std::str::from_utf8(input).map_err(|error| Error::Encoding {
        problem: match (error.error_len(), input.get(error.valid_up_to())) {
            (None, _) => "incomplete UTF-8 octet sequence",
            (Some(1), Some(0x80..=0xBF | 0xF8..=0xFF)) => "invalid leading UTF-8 octet",
            _ => "invalid trailing UTF-8 octet",
        },
    })
}

fn utf16(input: &[u8], unit: fn([u8; 2]) -> u16) -> Result<String> {
    let (pairs, rest) = input.as_chunks::<2>();
    if !rest.is_empty() {
        return Err(Error::Encoding {
            problem: "incomplete UTF-16 character",
        });
    }
    let mut text = String::with_capacity(pairs.len());
    for decoded in char::decode_utf16(pairs.iter().map(|pair| unit(*pair))) {
        text.push(decoded.map_err(|error| Error::Encoding {
            problem: match error.unpaired_surrogate() {
                0xDC00..=0xDFFF => "unexpected low surrogate area",
                _ => "expected low surrogate area",
            },
        })?);
    }
    Ok(text)
}

fn has_forbidden(text: &str) -> bool {
    let ascii = |byte: u8| matches!(byte, 0..=8 | 0x0B | 0x0C | 0x0E..=0x1F | 0x7F);
    // Beyond ASCII only C1 controls (but not NEL) and the two non-characters are refused.
    text.bytes().any(ascii)
        || (!text.is_ascii()
            && text
                .chars()
                .any(|c| matches!(c, '\u{80}'..='\u{84}' | '\u{86}'..='\u{9F}' | '\u{FFFE}' | '\u{FFFF}')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encodings_are_told_by_their_mark() {
        assert_eq!(decode(b"\xEF\xBB\xBFa").unwrap(), "a");
        assert_eq!(decode(b"\xFF\xFEa\0=\xD8\x00\xDE").unwrap(), "a\u{1F600}");
        assert_eq!(decode(b"\xFE\xFF\0a\xD8=\xDE\x00").unwrap(), "a\u{1F600}");
    }

    #[test]
    fn broken_input_is_refused() {
        for (input, problem) in [
            (&b"a\x80"[..], "invalid leading UTF-8 octet"),
            (b"\xC3(", "invalid trailing UTF-8 octet"),
            (b"a\xE2\x82", "incomplete UTF-8 octet sequence"),
            (b"\xFF\xFEa", "incomplete UTF-16 character"),
            (b"\xFF\xFE\x00\xDC", "unexpected low surrogate area"),
            (b"a: \x07", "control characters are not allowed"),
            (b"a: \x7f", "control characters are not allowed"),
            (b"a: \xC2\x80", "control characters are not allowed"),
        ] {
            assert_eq!(decode(input), Err(Error::Encoding { problem }), "{input:?}");
        }
    }
}
