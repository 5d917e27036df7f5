//! Floats in every format of `strconv.FormatFloat`.

use std::fmt::Write;

/// The width of the float that a number came from, which decides its shortest form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Width {
    /// `float32`
    Single,
    /// `float64`
    Double,
}

/// The decimal digits of a number and where its point is: `0.d1d2d3… × 10^point`. Zero has no digits.
struct Decimal {
    digits: String,
    point: i32,
}

/// More digits after the point than any `f64` has; the rest are zeros, and the standard library refuses
/// precisions that do not fit 16 bits.
const MAX_DIGITS: usize = 1100;

/// Appends `strconv.FormatFloat(value, format, precision, width)`; the formats are `e E f g G b x X`, and
/// without a precision the number is as long as it must be to be read back.
///
/// ```
/// use ferro_gocompat::float::{Width, append};
///
/// let mut out = String::new();
/// append(&mut out, 1234.5678, b'e', Some(2), Width::Double);
/// assert_eq!(out, "1.23e+03");
/// ```
pub fn append(out: &mut String, value: f64, format: u8, precision: Option<usize>, width: Width) {
    if !value.is_finite() {
        out.push_str(match (value.is_nan(), value > 0.0) {
            (true, _) => "NaN",
            (false, true) => "+Inf",
            (false, false) => "-Inf",
        });
        return;
    }
    if value.is_sign_negative() {
        out.push('-');
    }
    let value = value.abs();
    match format {
        b'b' => append_binary(out, value, width),
        b'x' | b'X' => append_hex(out, value, format, precision, width),
        _ => append_decimal(out, value, format, precision, width),
    }
}

fn append_decimal(out: &mut String, value: f64, format: u8, precision: Option<usize>, width: Width) {
    let Some(precision) = precision else {
        let decimal = Decimal::shortest(value, width);
        let count = decimal.digits.len();
        return match format {
            b'e' | b'E' => scientific(out, &decimal, count.saturating_sub(1), format),
            b'f' => fixed(out, &decimal, after_point(count, decimal.point)),
            _ => general(out, &decimal, count, Some(6), format),
        };
    };
    match format {
        b'e' | b'E' => scientific(out, &Decimal::rounded(value, precision), precision, format),
        b'f' => {
            let _ = write!(out, "{value:.*}", precision.min(MAX_DIGITS));
            zeros(out, precision.saturating_sub(MAX_DIGITS));
        }
        _ => {
            let precision = precision.max(1);
            general(
                out,
                &Decimal::rounded(value, precision - 1),
                precision,
                None,
                format,
            );
        }
    }
}

/// `%g`: with an exponent when that is below -4 or from `threshold` on.
fn general(out: &mut String, decimal: &Decimal, precision: usize, threshold: Option<i32>, format: u8) {
    let count = decimal.digits.len();
    let limit = match threshold {
        Some(threshold) => threshold,
        None if precision > count && count as i32 >= decimal.point => count as i32,
        None => precision as i32,
    };
    let exponent = decimal.point - 1;
    if exponent < -4 || exponent >= limit {
        let letter = if format == b'g' { b'e' } else { b'E' };
        // Zero prints no digit but its own; a precision of zero cannot get here.
        return scientific(out, decimal, precision.min(count).saturating_sub(1), letter);
    }
    let precision = if precision as i32 > decimal.point {
        count
    } else {
        precision
    };
    fixed(out, decimal, after_point(precision, decimal.point));
}

fn after_point(digits: usize, point: i32) -> usize {
    usize::try_from(digits as i64 - i64::from(point)).unwrap_or(0)
}

impl Decimal {
    fn shortest(value: f64, width: Width) -> Self {
        Self::parse(&match width {
            Width::Double => {
                let shortest = format!("{value:e}");
                nearest(
                    shortest,
                    |digits| format!("{value:.digits$e}"),
                    |text| text.parse() == Ok(value),
                )
            }
            Width::Single => {
                let narrow = value as f32;
                let shortest = format!("{narrow:e}");
                nearest(
                    shortest,
                    |digits| format!("{narrow:.digits$e}"),
                    |text| text.parse() == Ok(narrow),
                )
            }
        })
    }

    /// Rounds to so many digits after the first.
    fn rounded(value: f64, digits: usize) -> Self {
        let mut decimal = Self::parse(&format!("{value:.*e}", digits.min(MAX_DIGITS)));
        let len = decimal.digits.trim_end_matches('0').len();
        decimal.digits.truncate(len);
        decimal
    }

    /// Takes apart what the standard library prints with `{:e}`.
    fn parse(text: &str) -> Self {
        let (mantissa, exponent) = text.split_once('e').unwrap_or((text, "0"));
        let digits: String = mantissa
            .bytes()
            .filter(u8::is_ascii_digit)
            .map(char::from)
            .collect();
        if digits.bytes().all(|digit| digit == b'0') {
            return Self {
                digits: String::new(),
                point: 0,
            };
        }
        let exponent: i32 = exponent.parse().unwrap_or(0);
        Self {
            digits,
            point: exponent + 1,
        }
    }
}

/// Where two shortest forms are equally near, Go takes the even one and Rust the upper: rounding exactly to
/// as many digits settles it.
fn nearest(shortest: String, round: impl Fn(usize) -> String, reads_back: impl Fn(&str) -> bool) -> String {
    let mantissa = shortest.split('e').next().unwrap_or("");
    let digits = mantissa.bytes().filter(u8::is_ascii_digit).count();
    let rounded = round(digits.saturating_sub(1));
    if reads_back(&rounded) { rounded } else { shortest }
}

/// `d.ddde±dd` with so many digits after the point.
fn scientific(out: &mut String, decimal: &Decimal, precision: usize, letter: u8) {
    let mut digits = decimal.digits.chars();
    out.push(digits.next().unwrap_or('0'));
    if precision > 0 {
        out.push('.');
        let rest = digits.as_str();
        let rest = rest.get(..precision.min(rest.len())).unwrap_or(rest);
        out.push_str(rest);
        zeros(out, precision - rest.len());
    }
    let exponent = if decimal.digits.is_empty() {
        0
    } else {
        decimal.point - 1
    };
    let sign = if exponent < 0 { '-' } else { '+' };
    let _ = write!(out, "{}{sign}{:02}", char::from(letter), exponent.abs());
}

/// `ddd.ddd` with so many digits after the point.
fn fixed(out: &mut String, decimal: &Decimal, precision: usize) {
    let digits = &decimal.digits;
    let whole = usize::try_from(decimal.point).unwrap_or(0);
    if whole == 0 {
        out.push('0');
    }
    let (integer, fraction) = digits.split_at(whole.min(digits.len()));
    out.push_str(integer);
    zeros(out, whole - integer.len());
    if precision == 0 {
        return;
    }
    out.push('.');
    let leading = usize::try_from(-i64::from(decimal.point))
        .unwrap_or(0)
        .min(precision);
    zeros(out, leading);
    let room = precision - leading;
    let fraction = fraction.get(..room.min(fraction.len())).unwrap_or(fraction);
    out.push_str(fraction);
    zeros(out, room - fraction.len());
}

fn zeros(out: &mut String, count: usize) {
    out.extend(std::iter::repeat_n('0', count));
}

/// The mantissa with its implicit bit, the binary exponent of that bit, and the size of the mantissa.
fn parts(value: f64, width: Width) -> (u64, i32, u32) {
    let (mantissa, exponent, size, bias) = match width {
        Width::Double => {
            let bits = value.to_bits();
            (bits & ((1 << 52) - 1), (bits >> 52) as i32 & 0x7FF, 52, 1023)
        }
        Width::Single => {
            let bits = u64::from((value as f32).to_bits());
            (bits & ((1 << 23) - 1), (bits >> 23) as i32 & 0xFF, 23, 127)
        }
    };
    if exponent == 0 {
        (mantissa, 1 - bias, size)
    } else {
        (mantissa | 1 << size, exponent - bias, size)
    }
}

/// `%b`: `ddddp±ddd`
fn append_binary(out: &mut String, value: f64, width: Width) {
    let (mantissa, exponent, size) = parts(value, width);
    let _ = write!(out, "{mantissa}p{:+}", exponent - size as i32);
}

/// `%x`: `0x1.yyyyp±dd`
fn append_hex(out: &mut String, value: f64, format: u8, precision: Option<usize>, width: Width) {
    let (mut mantissa, mut exponent, size) = parts(value, width);
    if mantissa == 0 {
        exponent = 0;
    }
    mantissa <<= 60 - size;
    while mantissa != 0 && mantissa & (1 << 60) == 0 {
        mantissa <<= 1;
        exponent -= 1;
    }
    if let Some(digits @ 0..15) = precision {
        let shift = digits as u32 * 4;
        let extra = (mantissa << shift) & ((1 << 60) - 1);
        mantissa >>= 60 - shift;
        if extra | (mantissa & 1) > 1 << 59 {
            mantissa += 1;
        }
        mantissa <<= 60 - shift;
        if mantissa & (1 << 61) != 0 {
            mantissa >>= 1;
            exponent += 1;
        }
    }
    out.push('0');
    out.push(char::from(format));
    out.push(if (mantissa >> 60) & 1 == 1 { '1' } else { '0' });
    let mut fraction = String::new();
    let mut rest = mantissa << 4;
    while precision.map_or(rest != 0, |precision| fraction.len() < precision) {
        fraction.push(char::from_digit((rest >> 60) as u32 & 15, 16).unwrap_or('0'));
        rest <<= 4;
    }
    if format == b'X' {
        fraction.make_ascii_uppercase();
    }
    if !fraction.is_empty() {
        out.push('.');
        out.push_str(&fraction);
    }
    let letter = if format == b'X' { 'P' } else { 'p' };
    let sign = if exponent < 0 { '-' } else { '+' };
    let _ = write!(out, "{letter}{sign}{:02}", exponent.abs());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(value: f64, format: u8, precision: Option<usize>) -> String {
        let mut out = String::new();
        append(&mut out, value, format, precision, Width::Double);
        out
    }

    #[test]
    fn formats_are_those_of_strconv() {
        let cases = [
            (1e6, b'g', None, "1e+06"),
            (999999.0, b'g', None, "999999"),
            (0.0001, b'g', None, "0.0001"),
            (0.00001, b'g', None, "1e-05"),
            (-0.0, b'g', None, "-0"),
            (0.0, b'e', Some(3), "0.000e+00"),
            (400.0, b'g', Some(2), "4e+02"),
            (400.0, b'g', Some(17), "400"),
            (1234567.0, b'g', Some(3), "1.23e+06"),
            (0.5, b'f', Some(0), "0"),
            (1.5, b'f', Some(0), "2"),
            (2.5, b'f', Some(0), "2"),
            (1e21, b'f', None, "1000000000000000000000"),
            (5e-324, b'e', None, "5e-324"),
            (1.0, b'b', None, "4503599627370496p-52"),
            (1.0, b'x', None, "0x1p+00"),
            (100.5, b'X', Some(2), "0X1.92P+06"),
            (0.0, b'x', Some(1), "0x0.0p+00"),
        ];
        for (value, format, precision, expected) in cases {
            assert_eq!(
                text(value, format, precision),
                expected,
                "{value} {}",
                char::from(format)
            );
        }
    }
}
