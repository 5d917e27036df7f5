//! Numbers as `strconv` reads them.

use std::borrow::Cow;

use super::{Dialect, Value};

/// Reads an integer or a float that starts with a digit or a sign.
pub(super) fn parse(text: &str, dialect: Dialect) -> Option<Value> {
    let plain: Cow<'_, str> = if text.contains('_') {
        text.replace('_', "").into()
    } else {
        text.into()
    };
    integer(&plain)
        .or_else(|| decimal_float(&plain).map(Value::Float))
        .or_else(|| signed_after_prefix(&plain, dialect))
}

/// An integer with an optional sign and base prefix; a leading zero means octal.
fn integer(text: &str) -> Option<Value> {
    let (negative, digits) = match text.as_bytes().first()? {
        b'-' => (true, text.get(1..)?),
        b'+' => (false, text.get(1..)?),
        _ => (false, text),
    };
    let (radix, digits) = match digits.as_bytes() {
        [b'0', b'x' | b'X', _, ..] => (16, digits.get(2..)?),
        [b'0', b'o' | b'O', _, ..] => (8, digits.get(2..)?),
        [b'0', b'b' | b'B', _, ..] => (2, digits.get(2..)?),
        [b'0', _, ..] => (8, digits.get(1..)?),
        _ => (10, digits),
    };
    if !digits.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return None;
    }
    let magnitude = u64::from_str_radix(digits, radix).ok()?;
    if negative {
        return 0_i64.checked_sub_unsigned(magnitude).map(Value::Int);
    }
    Some(i64::try_from(magnitude).map_or(Value::Uint(magnitude), Value::Int))
}

/// `[-+]?(\.\d+|\d+(\.\d*)?)([eE][-+]?\d+)?`, in range.
fn decimal_float(text: &str) -> Option<f64> {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (
            mantissa,
            Some(exponent.strip_prefix(['-', '+']).unwrap_or(exponent)),
        ),
        None => (unsigned, None),
    };
    let is_digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    let well_formed = match mantissa.split_once('.') {
        Some((whole, fraction)) => is_digits(whole) && is_digits(fraction) && mantissa.len() > 1,
        None => is_digits(mantissa) && !mantissa.is_empty(),
    };
    if !well_formed || exponent.is_some_and(|exponent| exponent.is_empty() || !is_digits(exponent)) {
        return None;
    }
    text.parse().ok().filter(|float: &f64| float.is_finite())
}

/// A float that starts with a dot, where digits may be separated by single underscores.
pub(super) fn go_float(text: &str) -> Option<f64> {
    if !text.contains('_') {
        return decimal_float(text);
    }
    let bytes = text.as_bytes();
    let separates = |at: usize| {
        let digit = |index: Option<usize>| index.and_then(|i| bytes.get(i)).is_some_and(u8::is_ascii_digit);
        digit(at.checked_sub(1)) && digit(Some(at + 1))
    };
    let well_placed = bytes
        .iter()
        .enumerate()
        .all(|(at, byte)| *byte != b'_' || separates(at));
    well_placed
        .then(|| decimal_float(&text.replace('_', "")))
        .flatten()
}

/// A sign after the base prefix (`0b-1`): an accident of go-yaml that documents may rely on.
fn signed_after_prefix(text: &str, dialect: Dialect) -> Option<Value> {
    let (radix, digits) = if let Some(digits) = text.strip_prefix("0b") {
        (2, digits)
    } else if dialect == Dialect::V3 {
        (8, text.strip_prefix("0o")?)
    } else {
        return None;
    };
    i64::from_str_radix(digits, radix).ok().map(Value::Int)
}
