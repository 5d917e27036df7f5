//! Numeric constants, which are read as every type that can represent them.

use ferro_gocompat::literal::{LiteralError, parse_float, parse_int, parse_uint, unquote_char};
use ferro_gocompat::quote::quote;

use crate::ast::Number;
use crate::lex::Kind;

/// Reads a number, or says what is wrong with it.
pub(crate) fn parse(text: &str, kind: Kind) -> Result<Number, String> {
    match kind {
        Kind::CharConstant => character(text),
        Kind::Complex => complex(text),
        _ => {
            if let Some(imaginary) = text.strip_suffix('i').and_then(|text| parse_float(text).ok()) {
                return Ok(simplify(text, 0.0, imaginary));
            }
            real(text)
        }
    }
}

fn number(text: &str) -> Number {
    Number {
        text: text.into(),
        int: None,
        uint: None,
        float: None,
        complex: None,
    }
}

fn character(text: &str) -> Result<Number, String> {
    let inside = text.as_bytes().get(1..).unwrap_or_default();
    let (c, tail) = unquote_char(inside, b'\'').map_err(|error| error.to_string())?;
    if tail != b"'" {
        return Err(format!("malformed character constant: {text}"));
    }
    let code = c.code();
    Ok(Number {
        int: Some(i64::from(code)),
        uint: Some(u64::from(code)),
        float: Some(f64::from(code)),
        ..number(text)
    })
}

/// Reads `1+2i`.
fn complex(text: &str) -> Result<Number, String> {
    const BAD: &str = "syntax error scanning complex number";
    let (re, rest) = float_token(text);
    if !rest.starts_with(['+', '-']) {
        return Err(BAD.to_owned());
    }
    let (im, rest) = float_token(rest);
    // Go takes a lone "i" for the beginning of "inf".
    if rest != "i" || im.len() == 1 {
        return Err(BAD.to_owned());
    }
    let read = |text: &str| {
        parse_float(text).map_err(|error| format!("strconv.ParseFloat: parsing {}: {error}", quote(text)))
    };
    Ok(simplify(text, read(re)?, read(im)?))
}

/// Splits off the longest float that `fmt.Sscan` would take.
fn float_token(text: &str) -> (&str, &str) {
    let mut rest = text.strip_prefix(['+', '-']).unwrap_or(text);
    let is_hex = rest.starts_with("0x") || rest.starts_with("0X");
    if is_hex {
        rest = rest.get(2..).unwrap_or("");
    }
    let is_digit = |c: char| c == '_' || c.is_ascii_digit() || is_hex && c.is_ascii_hexdigit();
    rest = rest.trim_start_matches(is_digit);
    if let Some(fraction) = rest.strip_prefix('.') {
        rest = fraction.trim_start_matches(is_digit);
    }
    let exponent: &[char] = if is_hex {
        &['p', 'P']
    } else {
        &['e', 'E', 'p', 'P']
    };
    if let Some(digits) = rest.strip_prefix(exponent) {
        rest = digits.strip_prefix(['+', '-']).unwrap_or(digits);
        rest = rest.trim_start_matches(|c: char| c == '_' || c.is_ascii_digit());
    }
    text.split_at(text.len() - rest.len())
}

/// A complex number without an imaginary part is a float, and an integer if it is whole.
fn simplify(text: &str, re: f64, im: f64) -> Number {
    let is_real = im == 0.0;
    Number {
        int: to_int(re).filter(|_| is_real),
        uint: to_uint(re).filter(|_| is_real),
        float: is_real.then_some(re),
        complex: Some((re, im)),
        ..number(text)
    }
}

fn real(text: &str) -> Result<Number, String> {
    let int = parse_int(text).ok();
    let uint = match int {
        Some(0) => Some(0),
        _ => parse_uint(text).ok(),
    };
    if let Some(float) = int.map(|int| int as f64).or_else(|| uint.map(|uint| uint as f64)) {
        return Ok(Number {
            int,
            uint,
            float: Some(float),
            ..number(text)
        });
    }
    match parse_float(text) {
        // It looks like an integer and is too large for one.
        Ok(_) if !text.contains(['.', 'e', 'E', 'p', 'P']) => {
            Err(format!("integer overflow: {}", quote(text)))
        }
        Ok(float) => Ok(Number {
            int: to_int(float),
            uint: to_uint(float),
            float: Some(float),
            ..number(text)
        }),
        Err(LiteralError::Syntax | LiteralError::Range) => {
            Err(format!("illegal number syntax: {}", quote(text)))
        }
    }
}

fn to_int(value: f64) -> Option<i64> {
    const LIMIT: f64 = 9_223_372_036_854_775_808.0;
    (value.trunc() == value && (-LIMIT..LIMIT).contains(&value)).then_some(value as i64)
}

fn to_uint(value: f64) -> Option<u64> {
    const LIMIT: f64 = 18_446_744_073_709_551_616.0;
    (value.trunc() == value && (0.0..LIMIT).contains(&value)).then_some(value as u64)
}
