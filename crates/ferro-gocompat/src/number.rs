//! Floats as `strconv`, `fmt` and `encoding/json` print them.

/// The shortest digits that read back as the float, and the exponent of the first.
struct Shortest {
    negative: bool,
    digits: String,
    exponent: i32,
}

impl Shortest {
    fn of(value: f64) -> Self {
        let shortest = format!("{value:e}");
        Self::parse(&nearest(
            &shortest,
            |digits| format!("{value:.digits$e}"),
            |text| text.parse() == Ok(value),
        ))
    }

    fn of_narrow(value: f32) -> Self {
        let shortest = format!("{value:e}");
        Self::parse(&nearest(
            &shortest,
            |digits| format!("{value:.digits$e}"),
            |text| text.parse() == Ok(value),
        ))
    }

    /// Takes apart what Rust prints with `{:e}`.
    fn parse(scientific: &str) -> Self {
        let (mantissa, exponent) = scientific.split_once('e').unwrap_or((scientific, "0"));
        let negative = mantissa.starts_with('-');
        let digits = mantissa.chars().filter(char::is_ascii_digit).collect();
        Self {
            negative,
            digits,
            exponent: exponent.parse().unwrap_or(0),
        }
    }

    /// `d.ddde±dd`, with at least `width` digits of exponent.
    fn scientific(&self, width: usize) -> String {
        let (first, rest) = self.digits.split_at(1);
        let sign = if self.negative { "-" } else { "" };
        let point = if rest.is_empty() { "" } else { "." };
        let direction = if self.exponent < 0 { '-' } else { '+' };
        format!(
            "{sign}{first}{point}{rest}e{direction}{:0width$}",
            self.exponent.abs()
        )
    }

    /// Digits and a point, without an exponent.
    fn fixed(&self) -> String {
        let sign = if self.negative { "-" } else { "" };
        let Ok(whole) = usize::try_from(self.exponent + 1) else {
            let zeros = usize::try_from(-self.exponent - 1).unwrap_or(0);
            return format!("{sign}0.{}{}", "0".repeat(zeros), self.digits);
        };
        if whole == 0 {
            return format!("{sign}0.{}", self.digits);
        }
        if whole >= self.digits.len() {
            return format!("{sign}{}{}", self.digits, "0".repeat(whole - self.digits.len()));
        }
        let (integer, fraction) = self.digits.split_at(whole);
        format!("{sign}{integer}.{fraction}")
    }
}

/// Formats like `strconv.FormatFloat(value, 'g', -1, 64)`, which is also `fmt`'s `%v`.
///
/// ```
/// use ferro_gocompat::number::format_g;
///
/// assert_eq!(format_g(123456789.0), "1.23456789e+08");
/// assert_eq!(format_g(0.0001), "0.0001");
/// assert_eq!(format_g(f64::NEG_INFINITY), "-Inf");
/// ```
pub fn format_g(value: f64) -> String {
    non_finite(value).map_or_else(|| general(&Shortest::of(value)), str::to_owned)
}

/// Formats like `strconv.FormatFloat(value, 'g', -1, 32)`.
pub fn format_g32(value: f64) -> String {
    let narrow = value as f32;
    non_finite(f64::from(narrow)).map_or_else(|| general(&Shortest::of_narrow(narrow)), str::to_owned)
}

/// Formats like `strconv.FormatFloat(value, 'f', -1, 64)`.
pub fn format_f(value: f64) -> String {
    non_finite(value).map_or_else(|| Shortest::of(value).fixed(), str::to_owned)
}

/// Formats like `encoding/json`; `None` for infinities and not-a-number, which it refuses.
///
/// ```
/// use ferro_gocompat::number::format_json;
///
/// assert_eq!(format_json(1e20).as_deref(), Some("100000000000000000000"));
/// assert_eq!(format_json(1e21).as_deref(), Some("1e+21"));
/// assert_eq!(format_json(1e-7).as_deref(), Some("1e-7"));
/// ```
pub fn format_json(value: f64) -> Option<String> {
    if !value.is_finite() {
        return None;
    }
    let shortest = Shortest::of(value);
    let magnitude = value.abs();
    if magnitude != 0.0 && !(1e-6..1e21).contains(&magnitude) {
        // The exponent is cleaned of its leading zero only when it is negative; above it has two digits.
        return Some(shortest.scientific(1));
    }
    Some(shortest.fixed())
}

/// Where two shortest forms are equally near, Go takes the even one and Rust the upper: rounding exactly to
/// as many digits settles it.
fn nearest(shortest: &str, round: impl Fn(usize) -> String, reads_back: impl Fn(&str) -> bool) -> String {
    let digits = shortest
        .split('e')
        .next()
        .unwrap_or("")
        .bytes()
        .filter(u8::is_ascii_digit)
        .count();
    let rounded = round(digits.saturating_sub(1));
    if reads_back(&rounded) {
        rounded
    } else {
        shortest.to_owned()
    }
}

fn general(shortest: &Shortest) -> String {
    if shortest.exponent < -4 || shortest.exponent >= GENERAL_PRECISION {
        return shortest.scientific(2);
    }
    shortest.fixed()
}

/// From this decimal exponent on, the shortest form is written with an exponent.
const GENERAL_PRECISION: i32 = 6;

fn non_finite(value: f64) -> Option<&'static str> {
    if value.is_nan() {
        Some("NaN")
    } else if value.is_infinite() {
        Some(if value > 0.0 { "+Inf" } else { "-Inf" })
    } else {
        None
    }
}
