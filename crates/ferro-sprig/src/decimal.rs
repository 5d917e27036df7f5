//! Decimal arithmetic on floats, as shopspring/decimal does it: the shortest digits of a float are exact.

use ferro_gocompat::number::format_g;
use num_bigint::{BigInt, Sign};

/// A decimal: digits times a power of ten.
pub(crate) struct Decimal {
    digits: BigInt,
    exponent: i64,
}

/// Digits after the point that a division yields.
const DIVISION_PRECISION: i64 = 16;

impl Decimal {
    /// Takes a float; the error is the text of Go's panic.
    pub(crate) fn of(value: f64) -> Result<Self, String> {
        if !value.is_finite() {
            return Err(format!("Cannot create a Decimal from {}", format_g(value)));
        }
        let text = format!("{value:e}");
        let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
        let (integer, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let digits = format!("{integer}{fraction}").parse().unwrap_or_default();
        let exponent = exponent.parse::<i64>().unwrap_or(0) - fraction.len() as i64;
        Ok(Self { digits, exponent })
    }

    /// Brings two decimals to the same exponent.
    fn aligned(self, other: Self) -> (BigInt, BigInt, i64) {
        let exponent = self.exponent.min(other.exponent);
        (
            self.digits * power_of_ten(self.exponent - exponent),
            other.digits * power_of_ten(other.exponent - exponent),
            exponent,
        )
    }

    pub(crate) fn add(self, other: Self) -> Self {
        let (left, right, exponent) = self.aligned(other);
        Self {
            digits: left + right,
            exponent,
        }
    }

    pub(crate) fn sub(self, other: Self) -> Self {
        let (left, right, exponent) = self.aligned(other);
        Self {
            digits: left - right,
            exponent,
        }
    }

    pub(crate) fn mul(self, other: Self) -> Self {
        Self {
            digits: self.digits * other.digits,
            exponent: self.exponent + other.exponent,
        }
    }

    /// Divides to sixteen digits after the point, halves away from zero.
    pub(crate) fn div(self, other: Self) -> Result<Self, String> {
        if other.digits.sign() == Sign::NoSign {
            return Err("decimal division by 0".to_owned());
        }
        let shift = self.exponent - other.exponent + DIVISION_PRECISION;
        let (dividend, divisor) = if shift < 0 {
            (self.digits, other.digits * power_of_ten(-shift))
        } else {
            (self.digits * power_of_ten(shift), other.digits)
        };
        let quotient = &dividend / &divisor;
        let rest = &dividend % &divisor;
        let is_half = rest.magnitude() * 2_u32 >= *divisor.magnitude();
        let away = match (
            is_half,
            dividend.sign() == divisor.sign() || dividend.sign() == Sign::NoSign,
        ) {
            (false, _) => 0,
            (true, true) => 1,
            (true, false) => -1,
        };
        Ok(Self {
            digits: quotient + away,
            exponent: -DIVISION_PRECISION,
        })
    }

    /// Returns the nearest float.
    pub(crate) fn to_float(&self) -> f64 {
        format!("{}e{}", self.digits, self.exponent)
            .parse()
            .unwrap_or(f64::NAN)
    }
}

fn power_of_ten(exponent: i64) -> BigInt {
    BigInt::from(10).pow(u32::try_from(exponent).unwrap_or(0))
}
