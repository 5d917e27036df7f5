//! Escaping for HTML, JavaScript and URLs as Go's template packages do it.

use crate::literal::decode;
use crate::unicode::is_print;

/// Escapes for HTML: `template.HTMLEscapeString`.
pub fn html(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    for byte in text {
        match byte {
            0 => out.extend_from_slice("\u{FFFD}".as_bytes()),
            b'"' => out.extend_from_slice(b"&#34;"),
            b'\'' => out.extend_from_slice(b"&#39;"),
            b'&' => out.extend_from_slice(b"&amp;"),
            b'<' => out.extend_from_slice(b"&lt;"),
            b'>' => out.extend_from_slice(b"&gt;"),
            _ => out.push(*byte),
        }
    }
    out
}

/// Escapes for a JavaScript string: `template.JSEscapeString`.
///
/// ```
/// assert_eq!(ferro_gocompat::escape::js(b"<'a'>"), br"\u003C\'a\'\u003E");
/// ```
pub fn js(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&byte, tail)) = rest.split_first() {
        if byte >= 0x80 {
            let (c, size) = decode(rest);
            let (whole, tail) = rest.split_at(size.max(1));
            if is_print(c) {
                out.extend_from_slice(whole);
            } else {
                out.extend_from_slice(format!("\\u{:04X}", u32::from(c)).as_bytes());
            }
            rest = tail;
            continue;
        }
        match byte {
            b'\\' | b'\'' | b'"' => out.extend_from_slice(&[b'\\', byte]),
            b'<' | b'>' | b'&' | b'=' | 0..=0x1F => {
                out.extend_from_slice(format!("\\u00{byte:02X}").as_bytes());
            }
            _ => out.push(byte),
        }
        rest = tail;
    }
    out
}

/// Escapes for the query of a URL: `url.QueryEscape`.
///
/// ```
/// assert_eq!(ferro_gocompat::escape::query("a b/é".as_bytes()), "a+b%2F%C3%A9");
/// ```
pub fn query(text: &[u8]) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text {
        match byte {
            b' ' => out.push('+'),
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                out.push(char::from(*byte));
            }
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}
