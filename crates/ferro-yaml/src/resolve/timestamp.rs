//! Dates and times in the forms that go-yaml accepts.

use std::fmt::Write as _;

/// A parsed timestamp.
struct Timestamp {
    year: u32,
    month: u32,
    day: u32,
    hour: u32,
    minute: u32,
    second: u32,
    nanos: u32,
    /// Offset from UTC in minutes.
    offset: i32,
}

pub(super) fn is_timestamp(text: &str) -> bool {
    parse(text).is_some()
}

/// Writes a timestamp as Go's `time.Time` prints itself in JSON, or `None` if the text is not one.
///
/// ```
/// assert_eq!(ferro_yaml::to_rfc3339("2021-1-2 3:4:5.60").as_deref(), Some("2021-01-02T03:04:05.6Z"));
/// ```
pub fn to_rfc3339(text: &str) -> Option<String> {
    let time = parse(text)?;
    let Timestamp {
        year,
        month,
        day,
        hour,
        minute,
        second,
        nanos,
        offset,
    } = time;
    let mut out = format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}");
    if nanos != 0 {
        let digits = format!("{nanos:09}");
        let _ = write!(out, ".{}", digits.trim_end_matches('0'));
    }
    if offset == 0 {
        out.push('Z');
    } else {
        let sign = if offset < 0 { '-' } else { '+' };
        let _ = write!(out, "{sign}{:02}:{:02}", offset.abs() / 60, offset.abs() % 60);
    }
    Some(out)
}

fn parse(text: &str) -> Option<Timestamp> {
    let bytes = text.as_bytes();
    if bytes.get(4) != Some(&b'-') || !bytes.iter().take(4).all(u8::is_ascii_digit) {
        return None;
    }
    let year = text.get(..4)?.parse().ok()?;
    let (month, rest) = two_digits(text.get(5..)?)?;
    let (day, rest) = two_digits(rest.strip_prefix('-')?)?;
    if !(1..=12).contains(&month) || !(1..=days_in(month, year)).contains(&day) {
        return None;
    }
    let mut time = Timestamp {
        year,
        month,
        day,
        hour: 0,
        minute: 0,
        second: 0,
        nanos: 0,
        offset: 0,
    };
    match rest.as_bytes().first() {
        None => Some(time),
        Some(b'T' | b't') => {
            let zone = time.clock(rest.get(1..)?)?;
            time.offset = offset(zone)?;
            Some(time)
        }
        Some(b' ') => {
            // A blank in Go's layout stands for any number of them.
            let zone = time.clock(rest.trim_start_matches(' '))?;
            zone.is_empty().then_some(time)
        }
        _ => None,
    }
}

impl Timestamp {
    /// Reads `h:m:s[.fraction]` and returns what follows.
    fn clock<'a>(&mut self, text: &'a str) -> Option<&'a str> {
        let (hour, rest) = two_digits(text)?;
        let (minute, rest) = two_digits(rest.strip_prefix(':')?)?;
        let (second, rest) = two_digits(rest.strip_prefix(':')?)?;
        if hour > 23 || minute > 59 || second > 59 {
            return None;
        }
        (self.hour, self.minute, self.second) = (hour, minute, second);
        let Some(fraction) = rest.strip_prefix(['.', ',']) else {
            return Some(rest);
        };
        let end = fraction
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(fraction.len());
        let (digits, rest) = fraction.split_at(end);
        if digits.is_empty() {
            return None;
        }
        let nanos: String = digits.chars().chain("000000000".chars()).take(9).collect();
        self.nanos = nanos.parse().ok()?;
        Some(rest)
    }
}

/// One or two digits, as many as there are.
fn two_digits(text: &str) -> Option<(u32, &str)> {
    let length = text.bytes().take(2).take_while(u8::is_ascii_digit).count();
    let (digits, rest) = text.split_at(length);
    Some((digits.parse().ok()?, rest))
}

/// `Z` or `+hh:mm`, in minutes.
fn offset(zone: &str) -> Option<i32> {
    if zone == "Z" {
        return Some(0);
    }
    let bytes: &[u8; 6] = zone.as_bytes().try_into().ok()?;
    let [sign, h1, h2, b':', m1, m2] = *bytes else {
        return None;
    };
    let number = |tens: u8, ones: u8| {
        (tens.is_ascii_digit() && ones.is_ascii_digit())
            .then(|| i32::from(tens - b'0') * 10 + i32::from(ones - b'0'))
    };
    let (hours, minutes) = (number(h1, h2)?, number(m1, m2)?);
    if hours > 24 || minutes > 59 {
        return None;
    }
    match sign {
        b'+' => Some(hours * 60 + minutes),
        b'-' => Some(-(hours * 60 + minutes)),
        _ => None,
    }
}

fn days_in(month: u32, year: u32) -> u32 {
    let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    match month {
        2 if leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}
