//! Reading by a layout.

use super::calendar::{self, Civil, DAYS, MONTHS};
use super::layout::{Element, Fraction, Offset, Precision, next_chunk};
use super::{RFC3339, RFC3339_NANO, Time, Zone};

/// Why a text does not fit a layout; prints like Go's `time.ParseError`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("parsing time {value}{reason}")]
pub struct ParseError {
    /// The text, quoted.
    pub value: String,
    /// What is wrong, beginning with a blank or a colon.
    pub reason: String,
}

/// What one element may find wrong.
enum Problem {
    /// The text at hand is not of the element's form.
    Mismatch,
    /// It is, but names no time.
    OutOfRange(&'static str),
}

use Problem::{Mismatch, OutOfRange};

type Parsed<T> = Result<T, Problem>;

pub(super) fn parse(layout: &[u8], value: &[u8]) -> Result<Time, ParseError> {
    let is_rfc3339 = [RFC3339, RFC3339_NANO]
        .iter()
        .any(|known| known.as_bytes() == layout);
    if let Some(time) = is_rfc3339.then(|| parse_rfc3339(value)).flatten() {
        return Ok(time);
    }
    Parser::new(layout, value).run()
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Half {
    Morning,
    Afternoon,
}

/// The fields seen so far.
struct Parser<'p> {
    whole_layout: &'p [u8],
    whole_value: &'p [u8],
    layout: &'p [u8],
    value: &'p [u8],
    year: i64,
    month: Option<i64>,
    day: Option<i64>,
    year_day: Option<i64>,
    hour: i64,
    minute: i64,
    second: i64,
    nanos: i64,
    half: (bool, bool),
    utc: bool,
    /// Go marks a missing offset with -1, so one second west counts as missing.
    offset: i32,
    zone_name: String,
}

impl<'p> Parser<'p> {
    fn new(layout: &'p [u8], value: &'p [u8]) -> Self {
        Self {
            whole_layout: layout,
            whole_value: value,
            layout,
            value,
            year: 0,
            month: None,
            day: None,
            year_day: None,
            hour: 0,
            minute: 0,
            second: 0,
            nanos: 0,
            half: (false, false),
            utc: false,
            offset: -1,
            zone_name: String::new(),
        }
    }

    fn run(mut self) -> Result<Time, ParseError> {
        loop {
            let chunk = next_chunk(self.layout);
            if let Err(rest) = skip(self.value, chunk.prefix).map(|rest| self.value = rest) {
                return Err(self.cannot_parse(chunk.prefix, rest));
            }
            let Some((element, text)) = chunk.element else {
                break;
            };
            self.layout = chunk.rest;
            let hold = self.value;
            match self.element(element) {
                Ok(()) => {}
                Err(Mismatch) => return Err(self.cannot_parse(text, hold)),
                Err(OutOfRange(what)) => return Err(self.wrong(&format!("{what} out of range"))),
            }
        }
        if !self.value.is_empty() {
            return Err(self.wrong(&format!("extra text: {}", quote(self.value))));
        }
        self.finish()
    }

    fn cannot_parse(&self, element: &[u8], at: &[u8]) -> ParseError {
        ParseError {
            value: quote(self.whole_value),
            reason: format!(
                " as {}: cannot parse {} as {}",
                quote(self.whole_layout),
                quote(at),
                quote(element)
            ),
        }
    }

    fn wrong(&self, what: &str) -> ParseError {
        ParseError {
            value: quote(self.whole_value),
            reason: format!(": {what}"),
        }
    }

    fn element(&mut self, element: Element) -> Parsed<()> {
        match element {
            Element::Year => {
                let year = number(self.take(2)?)?;
                self.year = year + if year >= 69 { 1900 } else { 2000 };
            }
            Element::LongYear => {
                if !self.value.first().is_some_and(u8::is_ascii_digit) {
                    return Err(Mismatch);
                }
                self.year = number(self.take(4)?)?;
            }
            Element::Month => self.month = Some(self.name(&MONTHS, 3)? + 1),
            Element::LongMonth => self.month = Some(self.name(&MONTHS, usize::MAX)? + 1),
            Element::NumMonth | Element::ZeroMonth => {
                let month = self.two_digits(element == Element::ZeroMonth)?;
                self.month = Some(in_range(month, 1, 12, "month")?);
            }
            Element::WeekDay => self.name(&DAYS, 3).map(|_| ())?,
            Element::LongWeekDay => self.name(&DAYS, usize::MAX).map(|_| ())?,
            Element::Day | Element::UnderDay | Element::ZeroDay => {
                self.skip_blanks(usize::from(element == Element::UnderDay));
                self.day = Some(self.two_digits(element == Element::ZeroDay)?);
            }
            Element::UnderYearDay | Element::ZeroYearDay => {
                self.skip_blanks(if element == Element::UnderYearDay { 2 } else { 0 });
                self.year_day = Some(self.three_digits(element == Element::ZeroYearDay)?);
            }
            Element::Hour => self.hour = in_range(self.two_digits(false)?, 0, 23, "hour")?,
            Element::Hour12 | Element::ZeroHour12 => {
                let hour = self.two_digits(element == Element::ZeroHour12)?;
                self.hour = in_range(hour, 0, 12, "hour")?;
            }
            Element::Minute | Element::ZeroMinute => {
                let minute = self.two_digits(element == Element::ZeroMinute)?;
                self.minute = in_range(minute, 0, 59, "minute")?;
            }
            Element::Second | Element::ZeroSecond => self.second(element == Element::ZeroSecond)?,
            Element::UpperPm => self.half(b"AM", b"PM")?,
            Element::LowerPm => self.half(b"am", b"pm")?,
            Element::ZoneName => self.zone_name()?,
            Element::Offset(offset) => self.offset(offset)?,
            Element::Fraction(fraction) => self.fraction(fraction)?,
        }
        Ok(())
    }

    fn take(&mut self, len: usize) -> Parsed<&'p [u8]> {
        let (taken, rest) = self.value.split_at_checked(len).ok_or(Mismatch)?;
        self.value = rest;
        Ok(taken)
    }

    fn skip_blanks(&mut self, most: usize) {
        for _ in 0..most {
            self.value = self.value.strip_prefix(b" ").unwrap_or(self.value);
        }
    }

    /// Reads one or two digits, or exactly two.
    fn two_digits(&mut self, fixed: bool) -> Parsed<i64> {
        let len = self
            .value
            .iter()
            .take(2)
            .take_while(|byte| byte.is_ascii_digit())
            .count();
        if len == 0 || (fixed && len == 1) {
            return Err(Mismatch);
        }
        number(self.take(len)?)
    }

    fn three_digits(&mut self, fixed: bool) -> Parsed<i64> {
        let len = self
            .value
            .iter()
            .take(3)
            .take_while(|byte| byte.is_ascii_digit())
            .count();
        if len == 0 || (fixed && len != 3) {
            return Err(Mismatch);
        }
        number(self.take(len)?)
    }

    /// Finds which name the text starts with, whatever the case of its letters.
    fn name(&mut self, names: &[&str], len: usize) -> Parsed<i64> {
        for (index, name) in (0..).zip(names) {
            let name = name.get(..len).unwrap_or(name).as_bytes();
            if let Some(rest) = strip_prefix_ignore_case(self.value, name) {
                self.value = rest;
                return Ok(index);
            }
        }
        Err(Mismatch)
    }

    /// Reads the second, and its fraction even where the layout has none.
    fn second(&mut self, fixed: bool) -> Parsed<()> {
        self.second = in_range(self.two_digits(fixed)?, 0, 59, "second")?;
        let next = next_chunk(self.layout).element;
        if matches!(next, Some((Element::Fraction(_), _))) {
            return Ok(());
        }
        self.optional_fraction()
    }

    fn optional_fraction(&mut self) -> Parsed<()> {
        let [b'.' | b',', digits @ ..] = self.value else {
            return Ok(());
        };
        let len = digits.iter().take_while(|byte| byte.is_ascii_digit()).count();
        if len > 0 {
            self.nanos = nanoseconds(self.take(len + 1)?)?;
        }
        Ok(())
    }

    fn fraction(&mut self, fraction: Fraction) -> Parsed<()> {
        if fraction.trim {
            return self.optional_fraction();
        }
        self.nanos = nanoseconds(self.take(fraction.digits + 1)?)?;
        Ok(())
    }

    fn half(&mut self, morning: &[u8], afternoon: &[u8]) -> Parsed<()> {
        let word = self.take(2)?;
        if word == afternoon {
            self.half.1 = true;
        } else if word == morning {
            self.half.0 = true;
        } else {
            return Err(Mismatch);
        }
        Ok(())
    }

    fn chosen_half(&self) -> Option<Half> {
        match self.half {
            (_, true) => Some(Half::Afternoon),
            (true, false) => Some(Half::Morning),
            (false, false) => None,
        }
    }

    fn zone_name(&mut self) -> Parsed<()> {
        if let Some(rest) = self.value.strip_prefix(b"UTC") {
            self.value = rest;
            self.utc = true;
            return Ok(());
        }
        let len = zone_name_len(self.value).ok_or(Mismatch)?;
        self.zone_name = String::from_utf8_lossy(self.take(len)?).into_owned();
        Ok(())
    }

    fn offset(&mut self, form: Offset) -> Parsed<()> {
        if form.zulu && self.value.first() == Some(&b'Z') {
            self.take(1)?;
            self.utc = true;
            return Ok(());
        }
        let parts = match form.precision {
            Precision::Hours => 1,
            Precision::Minutes => 2,
            Precision::Seconds => 3,
        };
        let separator = usize::from(form.colons);
        let text = self
            .value
            .get(..1 + 2 * parts + separator * (parts - 1))
            .ok_or(Mismatch)?;
        let (sign, digits) = text.split_first().ok_or(Mismatch)?;
        let mut fields = [0_i64; 3];
        let mut bad = None;
        for (field, group) in fields.iter_mut().zip(digits.chunks(2 + separator)) {
            let (number, colon) = group.split_at(group.len().min(2));
            if !colon.is_empty() && colon != b":" {
                return Err(Mismatch);
            }
            match digit_pair(number) {
                // After a field that is no number Go reads no further.
                Some(value) if bad.is_none() => *field = value,
                Some(_) => {}
                None => bad = Some(Mismatch),
            }
        }
        self.value = self.value.get(text.len()..).unwrap_or_default();
        let [hours, minutes, seconds] = fields;
        in_range(hours, 0, 24, "time zone offset hour")?;
        in_range(minutes, 0, 60, "time zone offset minute")?;
        in_range(seconds, 0, 60, "time zone offset second")?;
        let total = i32::try_from((hours * 60 + minutes) * 60 + seconds).unwrap_or(0);
        self.offset = match sign {
            b'+' => total,
            b'-' => -total,
            _ => return Err(Mismatch),
        };
        bad.map_or(Ok(()), Err)
    }

    fn finish(mut self) -> Result<Time, ParseError> {
        match self.chosen_half() {
            Some(Half::Afternoon) if self.hour < 12 => self.hour += 12,
            Some(Half::Morning) if self.hour == 12 => self.hour = 0,
            _ => {}
        }
        let (month, day) = self.date()?;
        if day < 1 || day > calendar::days_in(month, self.year) {
            return Err(self.wrong("day out of range"));
        }
        let time = Time::from_utc(&Civil {
            year: self.year,
            month,
            day,
            hour: self.hour,
            minute: self.minute,
            second: self.second,
            nanos: self.nanos,
        });
        Ok(self.in_zone(time))
    }

    /// Month and day, which the day of the year may give.
    fn date(&self) -> Result<(i64, i64), ParseError> {
        let Some(mut year_day) = self.year_day else {
            return Ok((self.month.unwrap_or(1), self.day.unwrap_or(1)));
        };
        let mut date = None;
        if calendar::is_leap(self.year) {
            if year_day == 60 {
                date = Some((2, 29));
            } else if year_day > 60 {
                year_day -= 1;
            }
        }
        if !(1..=365).contains(&year_day) {
            return Err(self.wrong("day-of-year out of range"));
        }
        let (month, day) = date.unwrap_or_else(|| {
            let month = (1..=12)
                .rev()
                .find(|month| calendar::days_before(*month) < year_day)
                .unwrap_or(1);
            (month, year_day - calendar::days_before(month))
        });
        if self.month.is_some_and(|seen| seen != month) {
            return Err(self.wrong("day-of-year does not match month"));
        }
        if self.day.is_some_and(|seen| seen != day) {
            return Err(self.wrong("day-of-year does not match day"));
        }
        Ok((month, day))
    }

    /// Moves a time that was read as UTC to the zone that the text names.
    fn in_zone(self, time: Time) -> Time {
        if self.utc {
            return time;
        }
        if self.offset != -1 {
            let moved = Time::from_unix(time.unix() - i64::from(self.offset), i64::from(time.nanos()));
            if self.offset == 0 && matches!(self.zone_name.as_str(), "" | "UTC") {
                return moved;
            }
            return moved.with_zone(Zone::Fixed {
                name: self.zone_name,
                offset: self.offset,
            });
        }
        if self.zone_name.is_empty() {
            return time;
        }
        let hours = self
            .zone_name
            .strip_prefix("GMT")
            .filter(|hours| !hours.is_empty());
        let offset = hours.and_then(|hours| hours.parse::<i32>().ok()).unwrap_or(0) * 3_600;
        // Go shows the clock time as if it were UTC, and moves it by what an unknown name might mean.
        time.with_zone(Zone::Fixed {
            name: self.zone_name,
            offset,
        })
    }
}

fn in_range(value: i64, least: i64, most: i64, what: &'static str) -> Parsed<i64> {
    if (least..=most).contains(&value) {
        Ok(value)
    } else {
        Err(OutOfRange(what))
    }
}

/// Quotes as package `time` does: everything beyond printable ASCII byte by byte.
fn quote(text: &[u8]) -> String {
    let mut out = String::from("\"");
    for &byte in text {
        match byte {
            b'"' | b'\\' => out.extend(['\\', char::from(byte)]),
            b' '..=0x7F => out.push(char::from(byte)),
            _ => out.push_str(&format!("\\x{byte:02x}")),
        }
    }
    out.push('"');
    out
}

/// A whole number with an optional sign; a sign alone is zero.
fn number(text: &[u8]) -> Parsed<i64> {
    if matches!(text, b"+" | b"-") {
        return Ok(0);
    }
    std::str::from_utf8(text)
        .ok()
        .and_then(|text| text.parse().ok())
        .ok_or(Mismatch)
}

fn digit_pair(text: &[u8]) -> Option<i64> {
    if text.len() == 2 && text.iter().all(u8::is_ascii_digit) {
        number(text).ok()
    } else {
        None
    }
}

/// Reads a fraction with its separator; digits beyond the ninth are dropped.
fn nanoseconds(text: &[u8]) -> Parsed<i64> {
    let (b'.' | b',', digits) = text.split_first().ok_or(Mismatch)? else {
        return Err(Mismatch);
    };
    let digits = digits.get(..9).unwrap_or(digits);
    let value = number(digits)?;
    if value < 0 {
        return Err(OutOfRange("fractional second"));
    }
    let missing = u32::try_from(9 - digits.len()).unwrap_or(0);
    Ok(value * 10_i64.pow(missing))
}

/// Removes `prefix`, in which a blank stands for any number of blanks; the error is where they differ.
fn skip<'v>(mut value: &'v [u8], mut prefix: &[u8]) -> Result<&'v [u8], &'v [u8]> {
    while let Some((first, rest)) = prefix.split_first() {
        if *first == b' ' {
            if value.first().is_some_and(|byte| *byte != b' ') {
                return Err(value);
            }
            prefix = trim_blanks(prefix);
            value = trim_blanks(value);
            continue;
        }
        match value.split_first() {
            Some((byte, after)) if byte == first => value = after,
            _ => return Err(value),
        }
        prefix = rest;
    }
    Ok(value)
}

fn trim_blanks(text: &[u8]) -> &[u8] {
    let blanks = text.iter().take_while(|byte| **byte == b' ').count();
    text.get(blanks..).unwrap_or_default()
}

fn strip_prefix_ignore_case<'v>(value: &'v [u8], name: &[u8]) -> Option<&'v [u8]> {
    let (start, rest) = value.split_at_checked(name.len())?;
    start.eq_ignore_ascii_case(name).then_some(rest)
}

/// How much of the text looks like the abbreviation of a zone.
fn zone_name_len(value: &[u8]) -> Option<usize> {
    if value.len() < 3 {
        return None;
    }
    if value.starts_with(b"ChST") || value.starts_with(b"MeST") {
        return Some(4);
    }
    if let Some(rest) = value.strip_prefix(b"GMT") {
        return Some(3 + signed_hours_len(rest).unwrap_or(0));
    }
    if matches!(value.first(), Some(b'+' | b'-')) {
        return signed_hours_len(value);
    }
    let letters = value
        .iter()
        .take(6)
        .take_while(|byte| byte.is_ascii_uppercase())
        .count();
    let ends_in_t = letters > 0 && value.get(letters - 1) == Some(&b'T');
    match letters {
        3 => Some(3),
        4 if ends_in_t || value.starts_with(b"WITA") => Some(4),
        5 if ends_in_t => Some(5),
        _ => None,
    }
}

/// The length of a sign and a number up to 23.
fn signed_hours_len(value: &[u8]) -> Option<usize> {
    let (b'+' | b'-', digits) = value.split_first()? else {
        return None;
    };
    let len = digits.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let hours: u64 = std::str::from_utf8(digits.get(..len)?).ok()?.parse().ok()?;
    (hours <= 23).then_some(len + 1)
}

/// The quick way for the most common layout, which is stricter in some places and laxer in others.
fn parse_rfc3339(value: &[u8]) -> Option<Time> {
    let (date, mut rest) = value.split_at_checked("2006-01-02T15:04:05".len())?;
    for (at, separator) in [(4, b'-'), (7, b'-'), (10, b'T'), (13, b':'), (16, b':')] {
        if date.get(at) != Some(&separator) {
            return None;
        }
    }
    let field = |from: usize, to: usize, least: i64, most: i64| -> Option<i64> {
        let digits = date
            .get(from..to)
            .filter(|text| text.iter().all(u8::is_ascii_digit))?;
        number(digits).ok().filter(|value| (least..=most).contains(value))
    };
    let (year, month) = (field(0, 4, 0, 9999)?, field(5, 7, 1, 12)?);
    let mut civil = Civil {
        year,
        month,
        day: field(8, 10, 1, calendar::days_in(month, year))?,
        hour: field(11, 13, 0, 23)?,
        minute: field(14, 16, 0, 59)?,
        second: field(17, 19, 0, 59)?,
        nanos: 0,
    };
    if let [b'.', digits @ ..] = rest {
        let len = digits.iter().take_while(|byte| byte.is_ascii_digit()).count();
        if len > 0 {
            civil.nanos = nanoseconds(rest.get(..=len)?).ok()?;
            rest = rest.get(len + 1..)?;
        }
    }
    let time = Time::from_utc(&civil);
    if rest == b"Z" {
        return Some(time);
    }
    let &[sign, h1, h2, b':', m1, m2] = rest else {
        return None;
    };
    let hours = digit_pair(&[h1, h2]).filter(|hours| *hours <= 23)?;
    let minutes = digit_pair(&[m1, m2]).filter(|minutes| *minutes <= 59)?;
    let offset = i32::try_from((hours * 60 + minutes) * 60).ok()?;
    let offset = match sign {
        b'+' => offset,
        b'-' => -offset,
        _ => return None,
    };
    let moved = Time::from_unix(time.unix() - i64::from(offset), civil.nanos);
    if offset == 0 {
        return Some(moved);
    }
    Some(moved.with_zone(Zone::Fixed {
        name: String::new(),
        offset,
    }))
}
