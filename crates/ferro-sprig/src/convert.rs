//! Conversions to numbers by the rules of spf13/cast and `strconv`.

use ferro_template::{IntKind, Value};

use crate::dates::{MONTH, WEEKDAY};

/// Why a text is no integer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NotAnInteger {
    Syntax,
    /// It is beyond 64 bits; the nearest number that fits.
    Range(i64),
}

/// `cast.ToInt64`, and `cast.ToInt`, which is the same on 64 bits. What is no number is 0.
pub(crate) fn to_int(value: &Value) -> i64 {
    match value {
        Value::Int(int) => int.bits,
        Value::Float(value) => truncate(*value),
        Value::Float32(value) => truncate(f64::from(*value)),
        Value::Bool(value) => i64::from(*value),
        Value::Str(text) => parse_int(trim_zero_decimal(text.as_bytes()), 0).unwrap_or(0),
        // Of named types cast knows only these two.
        Value::Named(named) if is_calendar_name(named.ty) => to_int(&named.value),
        _ => 0,
    }
}

/// `cast.ToFloat64`.
pub(crate) fn to_float(value: &Value) -> f64 {
    match value {
        Value::Int(int) if int.kind.is_signed() => int.bits as f64,
        Value::Int(int) => int.bits.cast_unsigned() as f64,
        Value::Float(value) => *value,
        Value::Float32(value) => f64::from(*value),
        Value::Bool(value) => f64::from(u8::from(*value)),
        Value::Str(text) => parse_float(text.as_bytes()).unwrap_or(0.0),
        Value::Named(named) if is_calendar_name(named.ty) => to_float(&named.value),
        _ => 0.0,
    }
}

fn is_calendar_name(ty: &'static ferro_template::NamedType) -> bool {
    std::ptr::eq(ty, &MONTH) || std::ptr::eq(ty, &WEEKDAY)
}

/// A conversion as amd64 does it: what does not fit becomes the lowest number.
pub(crate) fn truncate(value: f64) -> i64 {
    const LIMIT: f64 = 9_223_372_036_854_775_808.0;
    if (-LIMIT..LIMIT).contains(&value) {
        value as i64
    } else {
        i64::MIN
    }
}

/// Cuts `.0`, `.00`, … from the end.
fn trim_zero_decimal(text: &[u8]) -> &[u8] {
    let zeros = text.iter().rev().take_while(|byte| **byte == b'0').count();
    let rest = text.get(..text.len() - zeros).unwrap_or_default();
    match rest.strip_suffix(b".") {
        Some(integer) if zeros > 0 => integer,
        _ => text,
    }
}

/// `strconv.ParseInt` for 64 bits; base 0 reads prefixes and underscores.
pub(crate) fn parse_int(text: &[u8], base: u32) -> Result<i64, NotAnInteger> {
    let (negative, digits) = match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        _ => (false, text),
    };
    let magnitude = parse_magnitude(digits, base)?;
    let limit = if negative { i64::MIN } else { i64::MAX };
    let value = i128::from(magnitude) * if negative { -1 } else { 1 };
    i64::try_from(value).map_err(|_| NotAnInteger::Range(limit))
}

/// The digits without a sign; a number beyond 64 bits is the largest one.
fn parse_magnitude(text: &[u8], base: u32) -> Result<u64, NotAnInteger> {
    let (digits, radix, prefixed) = match (base, text) {
        (0, [b'0', b'x' | b'X', rest @ ..]) => (rest, 16, true),
        (0, [b'0', b'b' | b'B', rest @ ..]) => (rest, 2, true),
        (0, [b'0', b'o' | b'O', rest @ ..]) => (rest, 8, true),
        (0, [b'0', rest @ ..]) if !rest.is_empty() => (rest, 8, true),
        (0, _) => (text, 10, false),
        (base, _) => (text, base, false),
    };
    let mut value = 0_u64;
    let mut previous = if prefixed { b'0' } else { b'_' };
    for &byte in digits {
        if byte == b'_' {
            // One may stand between digits, and after a prefix.
            if base != 0 || previous == b'_' {
                return Err(NotAnInteger::Syntax);
            }
        } else {
            let digit = char::from(byte).to_digit(radix).ok_or(NotAnInteger::Syntax)?;
            let next = value
                .checked_mul(u64::from(radix))
                .and_then(|value| value.checked_add(u64::from(digit)));
            // A number that is too large is so whatever follows.
            let Some(next) = next else { return Ok(u64::MAX) };
            value = next;
        }
        previous = byte;
    }
    if previous == b'_' || digits.is_empty() {
        return Err(NotAnInteger::Syntax);
    }
    Ok(value)
}

/// `strconv.ParseFloat` for 64 bits; nothing also where the number is too large.
pub(crate) fn parse_float(text: &[u8]) -> Option<f64> {
    let text = std::str::from_utf8(text).ok()?;
    let (sign, magnitude) = match text.as_bytes() {
        [b'-', ..] => (-1.0, text.get(1..)?),
        [b'+', ..] => (1.0, text.get(1..)?),
        _ => (1.0, text),
    };
    let lower = magnitude.to_ascii_lowercase();
    match lower.as_str() {
        "inf" | "infinity" => return Some(sign * f64::INFINITY),
        // Go reads "nan" without a sign only.
        "nan" => return (magnitude.len() == text.len()).then_some(f64::NAN),
        _ => {}
    }
    if let Some(hex) = lower.strip_prefix("0x") {
        return parse_hex_float(hex).map(|value| sign * value);
    }
    if !underscores_separate(&lower) {
        return None;
    }
    let lower = lower.replace('_', "");
    let is_decimal = lower
        .bytes()
        .all(|byte| byte.is_ascii_digit() || matches!(byte, b'.' | b'e' | b'+' | b'-'));
    let value: f64 = is_decimal.then(|| lower.parse().ok()).flatten()?;
    value.is_finite().then_some(sign * value)
}

/// Tells whether every underscore stands between digits, those of hexadecimal numbers included.
fn underscores_separate(text: &str) -> bool {
    let is_digit = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_hexdigit);
    let bytes = text.as_bytes();
    bytes
        .iter()
        .enumerate()
        .filter(|(_, byte)| **byte == b'_')
        .all(|(at, _)| {
            let before = at.checked_sub(1).and_then(|at| bytes.get(at));
            is_digit(before) && is_digit(bytes.get(at + 1))
        })
}

/// `1.8p3` behind `0x`: the exponent is required.
fn parse_hex_float(text: &str) -> Option<f64> {
    let (mantissa, exponent) = text.split_once('p')?;
    let digits = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let far = if exponent.starts_with('-') {
        -100_000
    } else {
        100_000
    };
    let mut exponent: i64 = exponent.parse().unwrap_or(far);
    let (integer, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    // One may also stand behind the prefix.
    if !underscores_separate(&format!("0{text}")) {
        return None;
    }
    let (mut bits, mut seen, mut lost) = (0_u64, false, false);
    for (is_fraction, digit) in integer
        .bytes()
        .map(|digit| (false, digit))
        .chain(fraction.bytes().map(|digit| (true, digit)))
        .filter(|(_, digit)| *digit != b'_')
    {
        let value = u64::from(char::from(digit).to_digit(16)?);
        seen = true;
        if bits >> 58 == 0 {
            bits = bits << 4 | value;
            exponent -= if is_fraction { 4 } else { 0 };
        } else {
            lost |= value != 0;
            exponent += if is_fraction { 0 } else { 4 };
        }
    }
    if !seen {
        return None;
    }
    // A digit that was cut off must not look like an exact half.
    let value = scale(bits | u64::from(lost), exponent);
    value.is_finite().then_some(value)
}

/// `bits * 2^exponent`, rounded once.
fn scale(bits: u64, exponent: i64) -> f64 {
    if bits == 0 {
        return 0.0;
    }
    let top = i64::from(bits.ilog2()) + exponent;
    if top > 1_023 {
        return f64::INFINITY;
    }
    // The lowest bit that the result can hold.
    let unit = (top - 52).max(-1_074);
    let shift = unit - exponent;
    if shift <= 0 {
        return bits as f64 * power_of_two(exponent);
    }
    if shift > 64 {
        return 0.0;
    }
    let wide = u128::from(bits);
    let (kept, rest) = (wide >> shift, wide & ((1_u128 << shift) - 1));
    let half = 1_u128 << (shift - 1);
    let rounded = kept + u128::from(rest > half || (rest == half && kept & 1 == 1));
    rounded as f64 * power_of_two(unit)
}

/// A power of two, in two steps where one would leave the range.
fn power_of_two(exponent: i64) -> f64 {
    let exponent = i32::try_from(exponent).unwrap_or(i32::MIN).max(-1_074);
    if exponent < -1_022 {
        2.0_f64.powi(-1_022) * 2.0_f64.powi(exponent + 1_022)
    } else {
        2.0_f64.powi(exponent)
    }
}

/// Makes an `int`.
pub(crate) fn int_value(bits: i64) -> Value {
    Value::int_of(IntKind::Int, bits)
}
