//! Formats of times.

use ferro_gocompat::time::Time;

use super::{fail, quoted};

pub(super) fn date(text: &str) -> Result<(), String> {
    let parsed = Time::parse("2006-01-02", text);
    parsed.map(drop).map_err(|error| error.to_string())
}

pub(super) fn time(text: &str) -> Result<(), String> {
    if text.len() < 9 {
        return fail("less than 9 characters long");
    }
    let bytes = text.as_bytes();
    if bytes.get(2) != Some(&b':') || bytes.get(5) != Some(&b':') {
        return fail("missing colon in correct place");
    }
    let clock: Vec<&[u8]> = bytes
        .get(..8)
        .unwrap_or_default()
        .splitn(3, |byte| *byte == b':')
        .collect();
    let mut parts = [0; 3];
    for (part, text) in parts.iter_mut().zip(clock) {
        *part = number(text).ok_or("invalid hour/min/sec")?;
        if *part < 0 {
            return fail("non-positive hour/min/sec");
        }
    }
    let [hour, minute, second] = parts;
    if hour > 23 || minute > 59 || second > 60 {
        return fail("hour/min/sec out of range");
    }
    let mut rest = bytes.get(8..).unwrap_or_default();
    if let Some(fraction) = rest.strip_prefix(b".") {
        let digits = fraction.iter().take_while(|byte| byte.is_ascii_digit()).count();
        if digits == 0 {
            return fail("no digits in second fraction");
        }
        rest = fraction.get(digits..).unwrap_or_default();
    }
    let minutes = hour * 60 + minute + offset(rest)?;
    let minutes = if minutes < 0 { minutes + 24 * 60 } else { minutes };
    if second >= 60 && minutes != 23 * 60 + 59 {
        return fail("invalid leap second");
    }
    Ok(())
}

/// Go's `strconv.Atoi`.
fn number(text: &[u8]) -> Option<i64> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// The minutes to add to reach UTC.
fn offset(text: &[u8]) -> Result<i64, String> {
    if matches!(text, b"z" | b"Z") {
        return Ok(0);
    }
    let (&[sign, ..], 6) = (text, text.len()) else {
        return Err("offset must be 6 characters long".to_owned());
    };
    let sign = match sign {
        b'+' => -1,
        b'-' => 1,
        _ => return Err("offset must begin with plus/minus".to_owned()),
    };
    if text.get(3) != Some(&b':') {
        return Err("missing colon in offset in correct place".to_owned());
    }
    let mut parts = [0; 2];
    let clock = text.get(1..).unwrap_or_default().splitn(2, |byte| *byte == b':');
    for (part, text) in parts.iter_mut().zip(clock) {
        *part = number(text).ok_or("invalid hour/min in offset")?;
        if *part < 0 {
            return Err("non-positive hour/min in offset".to_owned());
        }
    }
    let [hours, minutes] = parts;
    if hours > 23 || minutes > 59 {
        return Err("hour/min in offset out of range".to_owned());
    }
    Ok(sign * (hours * 60 + minutes))
}

pub(super) fn date_time(text: &str) -> Result<(), String> {
    if text.len() < 20 {
        return fail("less than 20 characters long");
    }
    let bytes = text.as_bytes();
    if !matches!(bytes.get(10), Some(b't' | b'T')) {
        return fail("11th character must be t or T");
    }
    let part = |range: &[u8]| String::from_utf8_lossy(range).into_owned();
    date(&part(bytes.get(..10).unwrap_or_default()))
        .map_err(|problem| format!("invalid date element: {problem}"))?;
    time(&part(bytes.get(11..).unwrap_or_default()))
        .map_err(|problem| format!("invalid time element: {problem}"))
}

pub(super) fn duration(text: &str) -> Result<(), String> {
    const UNITS: [&str; 2] = ["YMD", "HMS"];
    let Some(rest) = text.strip_prefix('P') else {
        return fail("must start with P");
    };
    if rest.is_empty() {
        return fail("nothing after P");
    }
    if let Some(weeks) = rest.strip_suffix('W') {
        return match weeks {
            "" => fail("no number in week"),
            weeks if weeks.bytes().all(|byte| byte.is_ascii_digit()) => Ok(()),
            _ => fail("invalid week"),
        };
    }
    for (index, part) in rest.split('T').enumerate() {
        if index != 0 && part.is_empty() {
            return fail("no time elements");
        }
        let Some(known) = UNITS.get(index) else {
            return fail("more than one T");
        };
        elements(part, known)?;
    }
    Ok(())
}

/// Numbers with units, in their order.
fn elements(mut part: &str, known: &str) -> Result<(), String> {
    let mut units = known;
    while !part.is_empty() {
        let rest = part.trim_start_matches(|c: char| c.is_ascii_digit());
        if rest.len() == part.len() {
            return fail("missing number");
        }
        let Some(&unit) = rest.as_bytes().first() else {
            return fail("missing unit");
        };
        let shown = quoted(char::from(unit));
        match units.bytes().position(|byte| byte == unit) {
            Some(at) => units = units.get(at + 1..).unwrap_or_default(),
            None if known.as_bytes().contains(&unit) => return fail(format!("unit {shown} out of order")),
            None => return fail(format!("invalid unit {shown}")),
        }
        part = rest.get(1..).unwrap_or_default();
    }
    Ok(())
}

pub(super) fn period(text: &str) -> Result<(), String> {
    let Some((start, end)) = text.split_once('/') else {
        return fail("missing slash");
    };
    let in_end = |problem| format!("invalid end date-time: {problem}");
    if start.starts_with('P') {
        duration(start).map_err(|problem| format!("invalid start duration: {problem}"))?;
        return date_time(end).map_err(in_end);
    }
    date_time(start).map_err(|problem| format!("invalid start date-time: {problem}"))?;
    if end.starts_with('P') {
        return duration(end).map_err(|problem| format!("invalid end duration: {problem}"));
    }
    date_time(end).map_err(in_end)
}
