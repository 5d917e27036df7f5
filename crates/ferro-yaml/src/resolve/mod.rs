//! What a plain scalar is: the rules of go-yaml v2 and v3.

mod number;
mod timestamp;

pub use timestamp::to_rfc3339;

use crate::Tag;

/// Whose rules apply.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Dialect {
    /// go-yaml v2, behind `sigs.k8s.io/yaml`: YAML 1.1's booleans.
    V2,
    /// go-yaml v3, behind kyaml: `true` and `false` only.
    #[default]
    V3,
}

/// The value of a plain scalar.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value {
    /// `null`, `~` or nothing.
    Null,
    /// A boolean.
    Bool(bool),
    /// An integer that fits.
    Int(i64),
    /// An integer above `i64::MAX`.
    Uint(u64),
    /// A number with a fraction or an exponent, or an integer above `u64::MAX`.
    Float(f64),
    /// A date, or a date and time.
    Timestamp,
    /// The merge key `<<`.
    Merge,
    /// Anything else.
    Str,
}

impl Value {
    /// Returns the tag of such a value.
    pub fn tag(self) -> Tag {
        match self {
            Self::Null => Tag::Null,
            Self::Bool(_) => Tag::Bool,
            Self::Int(_) | Self::Uint(_) => Tag::Int,
            Self::Float(_) => Tag::Float,
            Self::Timestamp => Tag::Timestamp,
            Self::Merge => Tag::Merge,
            Self::Str => Tag::Str,
        }
    }
}

impl Dialect {
    /// Tells what plain `text` is.
    pub fn resolve(self, text: &str) -> Value {
        let Some(first) = text.bytes().next() else {
            return Value::Null;
        };
        match first {
            b'+' | b'-' | b'0'..=b'9' => self.numeric(text),
            b'.' => named_float(text)
                .or_else(|| number::go_float(text))
                .map_or(Value::Str, Value::Float),
            b'~' | b'<' | b'y' | b'Y' | b'n' | b'N' | b't' | b'T' | b'f' | b'F' | b'o' | b'O' => {
                self.word(text)
            }
            _ => Value::Str,
        }
    }

    fn word(self, text: &str) -> Value {
        match text {
            "~" | "null" | "Null" | "NULL" => Value::Null,
            "true" | "True" | "TRUE" => Value::Bool(true),
            "false" | "False" | "FALSE" => Value::Bool(false),
            // To v2 a merge key is what stands unquoted in a key's place, not a type of scalar.
            "<<" if self == Self::V3 => Value::Merge,
            _ if self == Self::V3 => Value::Str,
            "y" | "Y" | "yes" | "Yes" | "YES" | "on" | "On" | "ON" => Value::Bool(true),
            "n" | "N" | "no" | "No" | "NO" | "off" | "Off" | "OFF" => Value::Bool(false),
            _ => Value::Str,
        }
    }

    fn numeric(self, text: &str) -> Value {
        if let Some(float) = named_float(text) {
            return Value::Float(float);
        }
        if timestamp::is_timestamp(text) {
            return Value::Timestamp;
        }
        number::parse(text, self).unwrap_or(Value::Str)
    }
}

fn named_float(text: &str) -> Option<f64> {
    match text {
        ".nan" | ".NaN" | ".NAN" => Some(f64::NAN),
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" => Some(f64::INFINITY),
        "-.inf" | "-.Inf" | "-.INF" => Some(f64::NEG_INFINITY),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Text, what v2 reads, what v3 reads.
    const VALUES: [(&str, Value, Value); 40] = [
        ("", Value::Null, Value::Null),
        ("~", Value::Null, Value::Null),
        ("nUll", Value::Str, Value::Str),
        ("yes", Value::Bool(true), Value::Str),
        ("N", Value::Bool(false), Value::Str),
        ("oN", Value::Str, Value::Str),
        ("True", Value::Bool(true), Value::Bool(true)),
        ("<<", Value::Str, Value::Merge),
        ("0644", Value::Int(420), Value::Int(420)),
        ("-0644", Value::Int(-420), Value::Int(-420)),
        ("00", Value::Int(0), Value::Int(0)),
        ("089", Value::Float(89.0), Value::Float(89.0)),
        ("0o644", Value::Int(420), Value::Int(420)),
        ("0o-7", Value::Str, Value::Int(-7)),
        ("0b-1", Value::Int(-1), Value::Int(-1)),
        ("0x1F", Value::Int(31), Value::Int(31)),
        ("0X1f", Value::Int(31), Value::Int(31)),
        ("0b11", Value::Int(3), Value::Int(3)),
        ("1_000", Value::Int(1000), Value::Int(1000)),
        ("1__0_", Value::Int(10), Value::Int(10)),
        ("+1", Value::Int(1), Value::Int(1)),
        ("+", Value::Str, Value::Str),
        ("-_", Value::Str, Value::Str),
        (
            "9007199254740993",
            Value::Int(9_007_199_254_740_993),
            Value::Int(9_007_199_254_740_993),
        ),
        (
            "18446744073709551615",
            Value::Uint(u64::MAX),
            Value::Uint(u64::MAX),
        ),
        (
            "18446744073709551616",
            Value::Float(18_446_744_073_709_551_616.0),
            Value::Float(18_446_744_073_709_551_616.0),
        ),
        (
            "-9223372036854775809",
            Value::Float(-9_223_372_036_854_775_808.0),
            Value::Float(-9_223_372_036_854_775_808.0),
        ),
        ("1e3", Value::Float(1000.0), Value::Float(1000.0)),
        ("1e400", Value::Str, Value::Str),
        ("0x1p4", Value::Str, Value::Str),
        ("1.", Value::Float(1.0), Value::Float(1.0)),
        (".5", Value::Float(0.5), Value::Float(0.5)),
        (".", Value::Str, Value::Str),
        (
            "-.inf",
            Value::Float(f64::NEG_INFINITY),
            Value::Float(f64::NEG_INFINITY),
        ),
        ("190:20:30", Value::Str, Value::Str),
        ("2001-01-01", Value::Timestamp, Value::Timestamp),
        ("2001-1-1 1:2:3.4", Value::Timestamp, Value::Timestamp),
        ("2001-02-30", Value::Str, Value::Str),
        ("1.2.3", Value::Str, Value::Str),
        ("a1", Value::Str, Value::Str),
    ];

    #[test]
    fn plain_text_has_the_type_that_go_gives_it() {
        for (text, v2, v3) in VALUES {
            assert_eq!(Dialect::V2.resolve(text), v2, "{text:?} in v2");
            assert_eq!(Dialect::V3.resolve(text), v3, "{text:?} in v3");
        }
    }
}
