//! Quoting as `strconv` does it.

use crate::unicode::is_print;

/// Quotes like `strconv.Quote` and `fmt`'s `%q`.
///
/// ```
/// assert_eq!(ferro_gocompat::quote::quote("a\"\n\u{200B}é"), r#""a\"\n\u200bé""#);
/// ```
pub fn quote(text: &str) -> String {
    quote_with(text, false)
}

/// Quotes like `strconv.QuoteToASCII` and `%+q`.
pub fn quote_to_ascii(text: &str) -> String {
    quote_with(text, true)
}

fn quote_with(text: &str, ascii_only: bool) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        push_escaped(&mut out, c, ascii_only);
    }
    out.push('"');
    out
}

/// Quotes bytes like `strconv.Quote` quotes a Go string, in which invalid UTF-8 is written as `\x..`.
pub fn quote_bytes(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len() + 2);
    out.push('"');
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            push_escaped(&mut out, c, false);
        }
        for byte in chunk.invalid() {
            out.push_str(&format!("\\x{byte:02x}"));
        }
    }
    out.push('"');
    out
}

fn push_escaped(out: &mut String, c: char, ascii_only: bool) {
    let short = match c {
        '"' => "\\\"",
        '\\' => "\\\\",
        '\u{7}' => "\\a",
        '\u{8}' => "\\b",
        '\u{C}' => "\\f",
        '\n' => "\\n",
        '\r' => "\\r",
        '\t' => "\\t",
        '\u{B}' => "\\v",
        _ if is_print(c) && (c.is_ascii() || !ascii_only) => return out.push(c),
        _ => {
            let code = u32::from(c);
            let escape = match code {
                0..=0x1F | 0x7F => format!("\\x{code:02x}"),
                0x80..=0xFFFF => format!("\\u{code:04x}"),
                _ => format!("\\U{code:08x}"),
            };
            return out.push_str(&escape);
        }
    };
    out.push_str(short);
}
