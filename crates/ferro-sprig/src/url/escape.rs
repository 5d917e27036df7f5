//! Percent-encoding by the part of the URL.

use ferro_gocompat::quote::quote_bytes;

/// The parts that differ in what is escaped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Path,
    Host,
    Zone,
    User,
    Fragment,
}

pub(super) fn needs_escape(byte: u8, part: Part) -> bool {
    if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~') {
        return false;
    }
    match part {
        Part::Host | Part::Zone => !br#"!$&'()*+,;=:[]<>""#.contains(&byte),
        Part::Path => !b"$&+,/:;=@".contains(&byte),
        Part::User => !b"$&+,;=".contains(&byte),
        Part::Fragment => !b"$&+,/:;=?@!()*".contains(&byte),
    }
}

pub(super) fn escape(text: &[u8], part: Part) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    for &byte in text {
        if needs_escape(byte, part) {
            out.extend_from_slice(format!("%{byte:02X}").as_bytes());
        } else {
            out.push(byte);
        }
    }
    out
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit)
        .to_digit(16)
        .and_then(|value| u8::try_from(value).ok())
}

pub(super) fn unescape(text: &[u8], part: Part) -> Result<Vec<u8>, String> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&byte, after)) = rest.split_first() {
        if byte != b'%' {
            if matches!(part, Part::Host | Part::Zone) && byte.is_ascii() && needs_escape(byte, part) {
                return Err(format!("invalid character {} in host name", quote_bytes(&[byte])));
            }
            out.push(byte);
            rest = after;
            continue;
        }
        let refused = || {
            let shown = rest.get(..3).unwrap_or(rest);
            format!("invalid URL escape {}", quote_bytes(shown))
        };
        let [high, low, after @ ..] = after else {
            return Err(refused());
        };
        let (Some(high), Some(low)) = (hex(*high), hex(*low)) else {
            return Err(refused());
        };
        let value = high << 4 | low;
        // A host may escape what is not ASCII, and the percent sign before a zone.
        let is_allowed = match part {
            Part::Host => high >= 8 || value == b'%',
            Part::Zone => value == b'%' || value == b' ' || !needs_escape(value, Part::Host),
            _ => true,
        };
        if !is_allowed {
            return Err(refused());
        }
        out.push(value);
        rest = after;
    }
    Ok(out)
}
