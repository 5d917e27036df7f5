//! Literals of Go's syntax: quoted strings, characters and numbers, as `strconv` reads them.

use thiserror::Error;

/// Why `strconv` refuses a literal.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum LiteralError {
    /// It is no such literal.
    #[error("invalid syntax")]
    Syntax,
    /// It is too large for its type.
    #[error("value out of range")]
    Range,
}

/// A character of a quoted string.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unquoted {
    /// A character, which is written in UTF-8.
    Char(char),
    /// A byte given by number (`\xFF`, `\377`), which is written as it is.
    Byte(u8),
}

impl Unquoted {
    /// Returns the number of the character.
    pub fn code(self) -> u32 {
        match self {
            Self::Char(c) => u32::from(c),
            Self::Byte(byte) => u32::from(byte),
        }
    }
}

/// Reads a literal in double quotes, single quotes or backquotes, like `strconv.Unquote`.
///
/// ```
/// use ferro_gocompat::literal::unquote;
///
/// assert_eq!(unquote(br#""a\tb""#).as_deref(), Ok(&b"a\tb"[..]));
/// assert!(unquote(b"\"a").is_err());
/// ```
pub fn unquote(literal: &[u8]) -> Result<Vec<u8>, LiteralError> {
    let (&quote, rest) = literal.split_first().ok_or(LiteralError::Syntax)?;
    match quote {
        b'`' => {
            let (last, body) = rest.split_last().ok_or(LiteralError::Syntax)?;
            if *last != b'`' || body.contains(&b'`') {
                return Err(LiteralError::Syntax);
            }
            Ok(body.iter().copied().filter(|byte| *byte != b'\r').collect())
        }
        b'"' | b'\'' => unquote_escaped(rest, quote),
        _ => Err(LiteralError::Syntax),
    }
}

fn unquote_escaped(mut rest: &[u8], quote: u8) -> Result<Vec<u8>, LiteralError> {
    let mut out = Vec::with_capacity(rest.len());
    while rest.first().is_some_and(|first| *first != quote) {
        if rest.first() == Some(&b'\n') {
            return Err(LiteralError::Syntax);
        }
        let (unquoted, tail) = unquote_char(rest, quote)?;
        rest = tail;
        match unquoted {
            Unquoted::Char(c) => out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
            Unquoted::Byte(byte) => out.push(byte),
        }
        if quote == b'\'' {
            break;
        }
    }
    if rest == [quote] {
        Ok(out)
    } else {
        Err(LiteralError::Syntax)
    }
}

/// Reads the first character of the inside of a literal and returns what follows it, like
/// `strconv.UnquoteChar`.
pub fn unquote_char(text: &[u8], quote: u8) -> Result<(Unquoted, &[u8]), LiteralError> {
    let (&first, rest) = text.split_first().ok_or(LiteralError::Syntax)?;
    if first == quote && (quote == b'\'' || quote == b'"') {
        return Err(LiteralError::Syntax);
    }
    if first >= 0x80 {
        let (c, size) = decode(text);
        return Ok((Unquoted::Char(c), text.get(size..).unwrap_or_default()));
    }
    if first != b'\\' {
        return Ok((Unquoted::Char(char::from(first)), rest));
    }
    let (&escape, rest) = rest.split_first().ok_or(LiteralError::Syntax)?;
    let simple = match escape {
        b'a' => '\u{7}',
        b'b' => '\u{8}',
        b'f' => '\u{C}',
        b'n' => '\n',
        b'r' => '\r',
        b't' => '\t',
        b'v' => '\u{B}',
        b'\\' => '\\',
        b'\'' | b'"' if escape == quote => char::from(escape),
        b'x' | b'u' | b'U' => return unquote_hex(escape, rest),
        b'0'..=b'7' => return unquote_octal(escape, rest),
        _ => return Err(LiteralError::Syntax),
    };
    Ok((Unquoted::Char(simple), rest))
}

fn unquote_hex(escape: u8, text: &[u8]) -> Result<(Unquoted, &[u8]), LiteralError> {
    let len = match escape {
        b'x' => 2,
        b'u' => 4,
        _ => 8,
    };
    let (digits, rest) = text.split_at_checked(len).ok_or(LiteralError::Syntax)?;
    let mut code = 0_u32;
    for digit in digits {
        let digit = char::from(*digit).to_digit(16).ok_or(LiteralError::Syntax)?;
        code = code << 4 | digit;
    }
    if escape == b'x' {
        return Ok((Unquoted::Byte(code as u8), rest));
    }
    let c = char::from_u32(code).ok_or(LiteralError::Syntax)?;
    Ok((Unquoted::Char(c), rest))
}

fn unquote_octal(first: u8, text: &[u8]) -> Result<(Unquoted, &[u8]), LiteralError> {
    let (digits, rest) = text.split_at_checked(2).ok_or(LiteralError::Syntax)?;
    let mut code = u32::from(first - b'0');
    for digit in digits {
        let digit = char::from(*digit).to_digit(8).ok_or(LiteralError::Syntax)?;
        code = code << 3 | digit;
    }
    let byte = u8::try_from(code).map_err(|_| LiteralError::Syntax)?;
    Ok((Unquoted::Byte(byte), rest))
}

/// Decodes the first character; an invalid byte is a replacement character of length one.
pub fn decode(text: &[u8]) -> (char, usize) {
    let head = text.get(..text.len().min(4)).unwrap_or_default();
    let valid = match std::str::from_utf8(head) {
        Ok(valid) => valid,
        Err(error) => head
            .get(..error.valid_up_to())
            .and_then(|valid| std::str::from_utf8(valid).ok())
            .unwrap_or(""),
    };
    match valid.chars().next() {
        Some(c) => (c, c.len_utf8()),
        None => (char::REPLACEMENT_CHARACTER, usize::from(!text.is_empty())),
    }
}

/// Reads an unsigned integer with the prefixes and underscores of Go's syntax: `strconv.ParseUint(s, 0, 64)`.
pub fn parse_uint(text: &str) -> Result<u64, LiteralError> {
    let bytes = text.as_bytes();
    let (base, digits) = match bytes {
        [] => return Err(LiteralError::Syntax),
        [b'0', b'b' | b'B', rest @ ..] if !rest.is_empty() => (2, rest),
        [b'0', b'o' | b'O', rest @ ..] if !rest.is_empty() => (8, rest),
        [b'0', b'x' | b'X', rest @ ..] if !rest.is_empty() => (16, rest),
        [b'0', rest @ ..] => (8, rest),
        _ => (10, bytes),
    };
    let mut number = 0_u64;
    for byte in digits {
        if *byte == b'_' {
            continue;
        }
        let digit = char::from(*byte).to_digit(base).ok_or(LiteralError::Syntax)?;
        number = number
            .checked_mul(u64::from(base))
            .and_then(|number| number.checked_add(u64::from(digit)))
            .ok_or(LiteralError::Range)?;
    }
    if digits.contains(&b'_') && !underscores_separate_digits(bytes) {
        return Err(LiteralError::Syntax);
    }
    Ok(number)
}

/// Reads a signed integer likewise: `strconv.ParseInt(s, 0, 64)`.
///
/// ```
/// use ferro_gocompat::literal::parse_int;
///
/// assert_eq!(parse_int("-0x1_F"), Ok(-31));
/// assert_eq!(parse_int("017"), Ok(15));
/// ```
pub fn parse_int(text: &str) -> Result<i64, LiteralError> {
    let (is_negative, digits) = match text.as_bytes().first() {
        Some(b'-') => (true, text.get(1..).unwrap_or("")),
        Some(b'+') => (false, text.get(1..).unwrap_or("")),
        _ => (false, text),
    };
    let magnitude = i128::from(parse_uint(digits)?);
    let number = if is_negative { -magnitude } else { magnitude };
    i64::try_from(number).map_err(|_| LiteralError::Range)
}

/// Reads a float, also a hexadecimal one, as `strconv.ParseFloat(s, 64)` does but for `inf` and `nan`.
pub fn parse_float(text: &str) -> Result<f64, LiteralError> {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let is_negative = text.starts_with('-');
    if !unsigned.starts_with(|c: char| c.is_ascii_digit() || c == '.' || c == '_') {
        return Err(LiteralError::Syntax);
    }
    if unsigned.contains('_') && !underscores_separate_digits(text.as_bytes()) {
        return Err(LiteralError::Syntax);
    }
    let digits = unsigned.replace('_', "");
    let value = if digits.starts_with("0x") || digits.starts_with("0X") {
        parse_hex_float(digits.get(2..).unwrap_or(""))?
    } else {
        // Rust reads the same decimal floats, and "1." and ".5"; but not a lone point.
        digits.parse::<f64>().map_err(|_| LiteralError::Syntax)?
    };
    if value.is_infinite() {
        return Err(LiteralError::Range);
    }
    Ok(if is_negative { -value } else { value })
}

fn parse_hex_float(text: &str) -> Result<f64, LiteralError> {
    let (mantissa, exponent) = text.split_once(['p', 'P']).ok_or(LiteralError::Syntax)?;
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(LiteralError::Syntax);
    }
    if whole.is_empty() && fraction.is_empty() {
        return Err(LiteralError::Syntax);
    }
    let magnitude = digits.parse::<i64>().unwrap_or(100_000).min(100_000);
    let mut exponent = if exponent.starts_with('-') {
        -magnitude
    } else {
        magnitude
    };
    exponent -= 4 * fraction.len() as i64;
    let (mut bits, mut is_sticky) = (0_u128, false);
    for digit in whole.chars().chain(fraction.chars()) {
        let digit = digit.to_digit(16).ok_or(LiteralError::Syntax)?;
        if bits >> 120 == 0 {
            bits = bits << 4 | u128::from(digit);
        } else {
            is_sticky |= digit != 0;
            exponent += 4;
        }
    }
    Ok(round_binary(bits, exponent, is_sticky))
}

/// Rounds `bits × 2^exponent` to the nearest float, ties to even.
fn round_binary(bits: u128, exponent: i64, is_sticky: bool) -> f64 {
    if bits == 0 {
        return 0.0;
    }
    let top = 127 - i64::from(bits.leading_zeros());
    // Subnormal numbers keep fewer bits.
    let lowest = (top + exponent - 52).max(-1074);
    let drop = lowest - exponent;
    let mantissa = if drop <= 0 {
        bits << (-drop).min(127)
    } else if drop > 127 {
        0
    } else {
        let (kept, cut) = (bits >> drop, bits & ((1 << drop) - 1));
        let half = 1_u128 << (drop - 1);
        let rounds_up = cut > half || cut == half && (is_sticky || kept & 1 == 1);
        kept + u128::from(rounds_up)
    };
    if lowest > 1000 {
        return f64::INFINITY;
    }
    // Two steps keep each power of two within range.
    let half = (lowest / 2) as i32;
    mantissa as f64 * 2_f64.powi(half) * 2_f64.powi(lowest as i32 - half)
}

/// Tells whether each underscore stands between digits, or a base prefix and a digit.
fn underscores_separate_digits(text: &[u8]) -> bool {
    let text = match text {
        [b'-' | b'+', rest @ ..] => rest,
        _ => text,
    };
    let (mut previous, mut is_hex, mut rest) = (b'^', false, text);
    if let [
        b'0',
        prefix @ (b'b' | b'B' | b'o' | b'O' | b'x' | b'X'),
        tail @ ..,
    ] = text
    {
        (previous, is_hex, rest) = (b'0', prefix.eq_ignore_ascii_case(&b'x'), tail);
    }
    for byte in rest {
        previous = match byte {
            b'0'..=b'9' => b'0',
            b'a'..=b'f' | b'A'..=b'F' if is_hex => b'0',
            b'_' if previous == b'0' => b'_',
            b'_' => return false,
            _ if previous == b'_' => return false,
            _ => b'!',
        };
    }
    previous != b'_'
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_follow_go_syntax() {
        assert_eq!(parse_int("1_000"), Ok(1000));
        assert_eq!(parse_int("0b101"), Ok(5));
        assert_eq!(parse_int("0o17"), Ok(15));
        assert_eq!(parse_int("08"), Err(LiteralError::Syntax));
        assert_eq!(parse_int("1__0"), Err(LiteralError::Syntax));
        assert_eq!(parse_int("9223372036854775808"), Err(LiteralError::Range));
        assert_eq!(parse_int("-9223372036854775808"), Ok(i64::MIN));
        assert_eq!(parse_float("0x1p4"), Ok(16.0));
        assert_eq!(parse_float("0x.8p1"), Ok(1.0));
        assert_eq!(parse_float("0x1p-1074"), Ok(5e-324));
        assert_eq!(parse_float("0x1.fffffffffffff8p1023"), Err(LiteralError::Range));
        assert_eq!(parse_float("1_0.5"), Ok(10.5));
        assert_eq!(parse_float("."), Err(LiteralError::Syntax));
        assert_eq!(parse_float("1e999"), Err(LiteralError::Range));
    }

    #[test]
    fn escapes_follow_go_syntax() {
        assert_eq!(
            unquote(br#""\xff\u00e9\101""#).as_deref(),
            Ok(&b"\xff\xc3\xa9A"[..])
        );
        assert_eq!(unquote(br#""\'""#), Err(LiteralError::Syntax));
        assert_eq!(unquote(b"'ab'"), Err(LiteralError::Syntax));
        assert_eq!(unquote(b"`a\r\nb`").as_deref(), Ok(&b"a\nb"[..]));
        assert_eq!(unquote(br#""\ud800""#), Err(LiteralError::Syntax));
        assert_eq!(unquote(b"\"\xff\"").as_deref(), Ok("\u{FFFD}".as_bytes()));
    }
}
