//! `time.Duration`: nanoseconds in 64 bits, read and printed as `1h30m`.

use std::fmt::Write as _;

/// Why a text is not a duration; the messages are Go's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// It has no digits, is out of range, or is otherwise malformed.
    #[error("time: invalid duration {0}")]
    Invalid(String),
    /// A number has no unit.
    #[error("time: missing unit in duration {0}")]
    MissingUnit(String),
    /// A unit is none of `ns us µs ms s m h`.
    #[error("time: unknown unit {unit} in duration {duration}")]
    UnknownUnit {
        /// The unit, quoted.
        unit: String,
        /// The whole text, quoted.
        duration: String,
    },
}

const LIMIT: u64 = 1 << 63;
const SECOND: u64 = 1_000_000_000;

/// Reads a duration such as `1h30m`, `-1.5s` or `100µs` to nanoseconds.
///
/// ```
/// assert_eq!(ferro_gocompat::duration::parse("1h0.5s"), Ok(3_600_500_000_000));
/// ```
pub fn parse(text: &str) -> Result<i64, Error> {
    let invalid = || Error::Invalid(quote(text));
    let (negative, mut rest) = match text.as_bytes().first() {
        Some(b'-') => (true, text.get(1..).unwrap_or("")),
        Some(b'+') => (false, text.get(1..).unwrap_or("")),
        _ => (false, text),
    };
    if rest == "0" {
        return Ok(0);
    }
    if rest.is_empty() {
        return Err(invalid());
    }
    let mut total: u64 = 0;
    while !rest.is_empty() {
        let (term, after) = parse_term(rest, text)?;
        total = total
            .checked_add(term)
            .filter(|total| *total <= LIMIT)
            .ok_or_else(invalid)?;
        rest = after;
    }
    if negative {
        return Ok(0_i64.wrapping_sub_unsigned(total));
    }
    i64::try_from(total).map_err(|_| invalid())
}

/// Reads one number with its unit.
fn parse_term<'t>(term: &'t str, whole: &str) -> Result<(u64, &'t str), Error> {
    let invalid = || Error::Invalid(quote(whole));
    let (integer, rest) = split_digits(term);
    let mut value = integer
        .bytes()
        .try_fold(0_u64, |value, digit| {
            if value > LIMIT / 10 {
                return None;
            }
            Some(value * 10 + u64::from(digit - b'0')).filter(|value| *value <= LIMIT)
        })
        .ok_or_else(invalid)?;
    let (fraction, rest) = match rest.strip_prefix('.') {
        Some(rest) => split_digits(rest),
        None => ("", rest),
    };
    if integer.is_empty() && fraction.is_empty() {
        return Err(invalid());
    }
    let end = rest
        .find(|c: char| c == '.' || c.is_ascii_digit())
        .unwrap_or(rest.len());
    let (unit, rest) = rest.split_at(end);
    if unit.is_empty() {
        return Err(Error::MissingUnit(quote(whole)));
    }
    let scale = match unit {
        "ns" => 1,
        "us" | "µs" | "μs" => 1_000,
        "ms" => 1_000_000,
        "s" => SECOND,
        "m" => 60 * SECOND,
        "h" => 3_600 * SECOND,
        _ => {
            return Err(Error::UnknownUnit {
                unit: quote(unit),
                duration: quote(whole),
            });
        }
    };
    if value > LIMIT / scale {
        return Err(invalid());
    }
    value *= scale;
    let (numerator, divisor) = leading_fraction(fraction);
    if numerator > 0 {
        // Go computes this in floating point, and so the last digit may be off in the same way.
        value += (numerator as f64 * (scale as f64 / divisor)) as u64;
        if value > LIMIT {
            return Err(invalid());
        }
    }
    Ok((value, rest))
}

fn split_digits(text: &str) -> (&str, &str) {
    text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()))
}

/// Reads the digits after the point; those that no longer fit are dropped.
fn leading_fraction(digits: &str) -> (u64, f64) {
    let (mut value, mut scale) = (0_u64, 1.0);
    for digit in digits.bytes() {
        if value > (LIMIT - 1) / 10 {
            break;
        }
        let next = value * 10 + u64::from(digit - b'0');
        if next > LIMIT {
            break;
        }
        value = next;
        scale *= 10.0;
    }
    (value, scale)
}

/// Prints nanoseconds as `Duration.String` does.
///
/// ```
/// use ferro_gocompat::duration::format;
///
/// assert_eq!(format(1_234_567_891), "1.234567891s");
/// assert_eq!(format(60_000_000_000), "1m0s");
/// ```
pub fn format(nanos: i64) -> String {
    let magnitude = nanos.unsigned_abs();
    let sign = if nanos < 0 { "-" } else { "" };
    if magnitude == 0 {
        return "0s".to_owned();
    }
    if magnitude < SECOND {
        let (scale, unit) = match magnitude {
            0..1_000 => (1, "ns"),
            1_000..1_000_000 => (1_000, "µs"),
            _ => (1_000_000, "ms"),
        };
        return format!("{sign}{}{unit}", with_fraction(magnitude, scale));
    }
    let mut out = sign.to_owned();
    let minutes = magnitude / (60 * SECOND);
    if minutes >= 60 {
        let _ = write!(out, "{}h", minutes / 60);
    }
    if minutes > 0 {
        let _ = write!(out, "{}m", minutes % 60);
    }
    let _ = write!(out, "{}s", with_fraction(magnitude % (60 * SECOND), SECOND));
    out
}

fn with_fraction(value: u64, scale: u64) -> String {
    let (whole, rest) = (value / scale, value % scale);
    if rest == 0 {
        return whole.to_string();
    }
    let width = scale.ilog10() as usize;
    let digits = format!("{rest:0width$}");
    format!("{whole}.{}", digits.trim_end_matches('0'))
}

/// Quotes as package `time` does for its errors: everything beyond printable ASCII byte by byte.
fn quote(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        if c < ' ' || !c.is_ascii() {
            for byte in c.encode_utf8(&mut [0; 4]).bytes() {
                let _ = write!(out, "\\x{byte:02x}");
            }
            continue;
        }
        if matches!(c, '"' | '\\') {
            out.push('\\');
        }
        out.push(c);
    }
    out.push('"');
    out
}
