//! Numbers as decimals, for `0.3` is a multiple of `0.1`.

use std::cmp::Ordering;

use ferro_gocompat::number::format_g;
use serde_json::Number;

/// A number: a mantissa and an exponent of ten, or a float where these are too large.
#[derive(Clone, Copy, Debug)]
pub(super) struct Decimal {
    mantissa: i128,
    exponent: i32,
    float: f64,
}

impl Decimal {
    pub(super) fn of(number: &Number) -> Self {
        let float = number.as_f64().unwrap_or_default();
        let text = number.to_string();
        let (digits, exponent) = text.split_once(['e', 'E']).unwrap_or((&text, "0"));
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        let exponent: i32 = exponent.parse().unwrap_or_default();
        let mantissa: i128 = format!("{whole}{fraction}").parse().unwrap_or_default();
        let places = i32::try_from(fraction.len()).unwrap_or_default();
        let mut decimal = Self {
            mantissa,
            exponent: exponent - places,
            float,
        };
        decimal.normalize();
        decimal
    }

    fn normalize(&mut self) {
        if self.mantissa == 0 {
            self.exponent = 0;
        }
        while self.mantissa != 0 && self.mantissa % 10 == 0 {
            self.mantissa /= 10;
            self.exponent += 1;
        }
    }

    pub(super) fn is_integer(self) -> bool {
        self.exponent >= 0
    }

    /// Both mantissas at the same exponent, where they fit.
    fn aligned(self, other: Self) -> Option<(i128, i128)> {
        let exponent = self.exponent.min(other.exponent);
        let scale = |decimal: Self| {
            let places = u32::try_from(decimal.exponent - exponent).ok()?;
            decimal.mantissa.checked_mul(10_i128.checked_pow(places)?)
        };
        Some((scale(self)?, scale(other)?))
    }

    pub(super) fn compare(self, other: Self) -> Ordering {
        match self.aligned(other) {
            Some((a, b)) => a.cmp(&b),
            None => self.float.partial_cmp(&other.float).unwrap_or(Ordering::Equal),
        }
    }

    /// Tells whether it is a whole number of times another one; of zero nothing is.
    pub(super) fn is_multiple_of(self, other: Self) -> bool {
        match self.aligned(other) {
            Some((_, 0)) => false,
            Some((a, b)) => a % b == 0,
            None => (self.float / other.float).fract() == 0.0,
        }
    }

    /// Shows it as Go's localised printer does: in groups of three, exponents raised.
    pub(super) fn show(self) -> String {
        let text = format_g(self.float);
        let Some((mantissa, exponent)) = text.split_once('e') else {
            return grouped(&text);
        };
        let raised: String = exponent
            .chars()
            .filter_map(|c| match c {
                '-' => Some('⁻'),
                '0' => Some('⁰'),
                '1' => Some('¹'),
                '2' => Some('²'),
                '3' => Some('³'),
                '4'..='9' => char::from_u32(u32::from('⁴') + u32::from(c) - u32::from('4')),
                _ => None,
            })
            .collect();
        format!("{mantissa}×10{raised}")
    }
}

/// Puts commas between groups of three digits.
pub(super) fn grouped(number: &str) -> String {
    let (sign, digits) = match number.strip_prefix('-') {
        Some(digits) => ("-", digits),
        None => ("", number),
    };
    let (whole, fraction) = match digits.find('.') {
        Some(dot) => digits.split_at(dot),
        None => (digits, ""),
    };
    let mut text = sign.to_owned();
    for (index, digit) in whole.chars().enumerate() {
        if index > 0 && (whole.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text + fraction
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decimal(text: &str) -> Decimal {
        Decimal::of(&serde_json::from_str(text).unwrap())
    }

    #[test]
    fn decimals_are_exact() {
        assert!(decimal("0.3").is_multiple_of(decimal("0.1")));
        assert!(!decimal("0.35").is_multiple_of(decimal("0.1")));
        assert!(decimal("1e3").is_integer() && decimal("2.0").is_integer() && !decimal("0.5").is_integer());
        assert_eq!(decimal("1e300").compare(decimal("2")), Ordering::Greater);
    }

    #[test]
    fn numbers_are_shown_in_groups() {
        assert_eq!(decimal("5000.5").show(), "5,000.5");
        assert_eq!(decimal("1e20").show(), "1×10²⁰");
        assert_eq!(decimal("1234567.891").show(), "1.234567891×10⁰⁶");
        assert_eq!(grouped("1234567"), "1,234,567");
    }
}
