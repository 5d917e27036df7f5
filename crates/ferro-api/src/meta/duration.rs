//! Durations as Go writes them: `1m0s`, `1.5s`, `300ms`.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

const NANOSECOND: u64 = 1;
const MICROSECOND: u64 = 1_000 * NANOSECOND;
const MILLISECOND: u64 = 1_000 * MICROSECOND;
const SECOND: u64 = 1_000 * MILLISECOND;
const MINUTE: u64 = 60 * SECOND;
const HOUR: u64 = 60 * MINUTE;

/// The magnitude of the most negative duration.
const LIMIT: u64 = 1 << 63;

/// A span of time with Go's range (±292 years in nanoseconds), text form and rounding.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Duration(i64);

/// A text that is not a duration. The message is the one that Go prints.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{problem} {text:?}")]
pub struct ParseDurationError {
    problem: Cow<'static, str>,
    text: String,
}

impl Duration {
    /// No time at all.
    pub const ZERO: Self = Self(0);

    /// Returns a duration of whole seconds, at most the longest that there is.
    #[must_use]
    pub const fn from_secs(seconds: u32) -> Self {
        // u32::MAX seconds are 4.3e18 ns, below i64::MAX.
        Self(seconds as i64 * SECOND as i64)
    }

    /// Returns a duration of whole minutes, at most the longest that there is.
    #[must_use]
    pub const fn from_mins(minutes: u32) -> Self {
        Self((minutes as i64).saturating_mul(MINUTE as i64))
    }

    /// Returns a duration of nanoseconds.
    #[must_use]
    pub const fn from_nanos(nanoseconds: i64) -> Self {
        Self(nanoseconds)
    }

    /// Returns the duration in nanoseconds.
    #[must_use]
    pub const fn as_nanos(self) -> i64 {
        self.0
    }

    /// Returns the duration as the standard library knows it; a negative one becomes zero.
    #[must_use]
    pub fn to_std(self) -> std::time::Duration {
        std::time::Duration::from_nanos(u64::try_from(self.0).unwrap_or(0))
    }

    /// Returns the difference, bounded by the range.
    #[must_use]
    pub const fn saturating_sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }
}

impl From<std::time::Duration> for Duration {
    /// Converts, bounded by the range.
    fn from(duration: std::time::Duration) -> Self {
        Self(i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX))
    }
}

impl From<Duration> for std::time::Duration {
    fn from(duration: Duration) -> Self {
        duration.to_std()
    }
}

impl fmt::Display for Duration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let magnitude = self.0.unsigned_abs();
        if self.0 < 0 {
            f.write_str("-")?;
        }
        match magnitude {
            0 => f.write_str("0s"),
            n if n < MICROSECOND => write!(f, "{n}ns"),
            n if n < MILLISECOND => write_fraction(f, n, MICROSECOND, "µs"),
            n if n < SECOND => write_fraction(f, n, MILLISECOND, "ms"),
            n => {
                if n >= HOUR {
                    write!(f, "{}h", n / HOUR)?;
                }
                if n >= MINUTE {
                    write!(f, "{}m", n % HOUR / MINUTE)?;
                }
                write_fraction(f, n % MINUTE, SECOND, "s")
            }
        }
    }
}

/// Writes `value` in `unit`s, with as many decimals as it has.
fn write_fraction(f: &mut fmt::Formatter<'_>, value: u64, unit: u64, suffix: &str) -> fmt::Result {
    write!(f, "{}", value / unit)?;
    let rest = value % unit;
    if rest != 0 {
        let digits = unit.ilog10() as usize;
        let decimals = format!("{rest:0digits$}");
        write!(f, ".{}", decimals.trim_end_matches('0'))?;
    }
    f.write_str(suffix)
}

impl FromStr for Duration {
    type Err = ParseDurationError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let error = |problem: Cow<'static, str>| ParseDurationError {
            problem,
            text: text.to_owned(),
        };
        let invalid = || error("time: invalid duration".into());
        let (negative, mut rest) = match text.as_bytes().first() {
            Some(b'-') => (true, &text[1..]),
            Some(b'+') => (false, &text[1..]),
            _ => (false, text),
        };
        if rest == "0" {
            return Ok(Self::ZERO);
        }
        if rest.is_empty() {
            return Err(invalid());
        }
        let mut total = 0_u64;
        while !rest.is_empty() {
            let number = Number::take(&mut rest).ok_or_else(invalid)?;
            let unit_len = rest
                .find(|c: char| c == '.' || c.is_ascii_digit())
                .unwrap_or(rest.len());
            let (unit_name, tail) = rest.split_at(unit_len);
            rest = tail;
            if unit_name.is_empty() {
                return Err(error("time: missing unit in duration".into()));
            }
            let unit = unit(unit_name)
                .ok_or_else(|| error(format!("time: unknown unit {unit_name:?} in duration").into()))?;
            total = number
                .scale(unit)
                .and_then(|part| total.checked_add(part))
                .filter(|sum| *sum <= LIMIT)
                .ok_or_else(invalid)?;
        }
        match (negative, i64::try_from(total)) {
            (false, Ok(nanoseconds)) => Ok(Self(nanoseconds)),
            (true, Ok(nanoseconds)) => Ok(Self(-nanoseconds)),
            // Only LIMIT itself is left: it has a place among the negative numbers alone.
            (true, Err(_)) => Ok(Self(i64::MIN)),
            (false, Err(_)) => Err(invalid()),
        }
    }
}

/// A decimal number: `integer + fraction / scale`.
struct Number {
    integer: u64,
    fraction: u64,
    scale: f64,
}

impl Number {
    /// Takes a number off the front of a text, `None` where there is none or it is too large.
    fn take(text: &mut &str) -> Option<Self> {
        let digits = |text: &str| text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        let (integer, rest) = text.split_at(digits(text));
        let (fraction, rest) = match rest.strip_prefix('.') {
            Some(rest) => rest.split_at(digits(rest)),
            None => ("", rest),
        };
        if integer.is_empty() && fraction.is_empty() {
            return None;
        }
        *text = rest;
        let mut number = Self {
            integer: 0,
            fraction: 0,
            scale: 1.0,
        };
        for digit in integer.bytes() {
            number.integer = push_digit(number.integer, digit)?;
        }
        for digit in fraction.bytes() {
            // Decimals that no longer fit do not matter: they are far below a nanosecond.
            let Some(next) = push_digit(number.fraction, digit).filter(|n| *n < LIMIT) else {
                break;
            };
            number.fraction = next;
            number.scale *= 10.0;
        }
        Some(number)
    }

    /// Returns the number of nanoseconds, `None` where it is out of range.
    fn scale(&self, unit: u64) -> Option<u64> {
        let whole = self.integer.checked_mul(unit).filter(|n| *n <= LIMIT)?;
        // Go multiplies in floating point and cuts off, so that 0.1 of a unit comes out alike. The
        // product is smaller than the unit, hence in range.
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss
        )]
        let part = (self.fraction as f64 * (unit as f64 / self.scale)) as u64;
        whole.checked_add(part)
    }
}

fn push_digit(number: u64, digit: u8) -> Option<u64> {
    number
        .checked_mul(10)?
        .checked_add(u64::from(digit.wrapping_sub(b'0')))
        .filter(|n| *n <= LIMIT)
}

fn unit(name: &str) -> Option<u64> {
    Some(match name {
        "ns" => NANOSECOND,
        // The two spellings of micro: the sign and the Greek letter.
        "us" | "\u{b5}s" | "\u{3bc}s" => MICROSECOND,
        "ms" => MILLISECOND,
        "s" => SECOND,
        "m" => MINUTE,
        "h" => HOUR,
        _ => return None,
    })
}

impl Serialize for Duration {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Duration {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}

impl schemars::JsonSchema for Duration {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Duration".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({"type": "string", "pattern": crate::crd::DURATION_PATTERN})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_as_go() {
        for (nanoseconds, text) in [
            (0, "0s"),
            (1, "1ns"),
            (1_100, "1.1µs"),
            (2_200_000, "2.2ms"),
            (300_000_000, "300ms"),
            (1_500_000_000, "1.5s"),
            (60_000_000_000, "1m0s"),
            (570_000_000_000, "9m30s"),
            (3_600_000_000_000, "1h0m0s"),
            (1_234_567_891, "1.234567891s"),
            (100 * HOUR as i64 + 1, "100h0m0.000000001s"),
            (-1_500_000_000, "-1.5s"),
            (i64::MAX, "2562047h47m16.854775807s"),
            (i64::MIN, "-2562047h47m16.854775808s"),
        ] {
            assert_eq!(Duration(nanoseconds).to_string(), text);
            assert_eq!(text.parse(), Ok(Duration(nanoseconds)), "{text}");
        }
    }

    #[test]
    fn reads_what_go_reads() {
        for (text, nanoseconds) in [
            ("0", 0),
            ("+0", 0),
            ("5s", 5_000_000_000),
            ("+5.s", 5_000_000_000),
            (".5s", 500_000_000),
            ("1h30m", 5_400_000_000_000),
            ("30m1h", 5_400_000_000_000),
            ("12us", 12_000),
            ("12μs", 12_000),
            ("0.3333333333333333333h", 1_200_000_000_000),
            ("0.100000000000000000000h", 360_000_000_000),
            ("0.830103483285477580700h", 2_988_372_539_827),
            ("9007199254.740993ms", 9_007_199_254_740_993),
            ("9223372036854775807ns", i64::MAX),
            ("-9223372036854775808ns", i64::MIN),
            ("9223372036s854ms775us807ns", i64::MAX),
        ] {
            assert_eq!(text.parse(), Ok(Duration(nanoseconds)), "{text}");
        }
    }

    #[test]
    fn refuses_what_go_refuses() {
        for (text, message) in [
            ("", "time: invalid duration \"\""),
            ("3", "time: missing unit in duration \"3\""),
            ("-", "time: invalid duration \"-\""),
            ("s", "time: invalid duration \"s\""),
            (".", "time: invalid duration \".\""),
            (".s", "time: invalid duration \".s\""),
            ("1d", "time: unknown unit \"d\" in duration \"1d\""),
            ("1s -1s", "time: unknown unit \"s -\" in duration \"1s -1s\""),
            (
                "9223372036854775808ns",
                "time: invalid duration \"9223372036854775808ns\"",
            ),
            ("3000000h", "time: invalid duration \"3000000h\""),
            (
                "99999999999999999999h",
                "time: invalid duration \"99999999999999999999h\"",
            ),
        ] {
            let error = text.parse::<Duration>().unwrap_err();
            assert_eq!(error.to_string(), message);
        }
    }

    #[test]
    fn is_a_string_in_json() {
        assert_eq!(
            serde_json::to_string(&Duration::from_mins(10)).unwrap(),
            "\"10m0s\""
        );
        assert_eq!(
            serde_json::from_str::<Duration>("\"90s\"").unwrap(),
            Duration::from_secs(90)
        );
        serde_json::from_str::<Duration>("90").unwrap_err();
    }

    #[test]
    fn converts_within_bounds() {
        assert_eq!(Duration(-5).to_std(), std::time::Duration::ZERO);
        assert_eq!(Duration::from(std::time::Duration::MAX), Duration(i64::MAX));
        assert_eq!(Duration::from_mins(u32::MAX), Duration(i64::MAX));
    }
}
