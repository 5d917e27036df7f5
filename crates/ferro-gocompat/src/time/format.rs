//! Printing by a layout.

use super::Time;
use super::calendar::{self, Civil, DAYS, MONTHS};
use super::layout::{Element, Fraction, Offset, Precision, next_chunk};

/// The most zeros that a layout such as `.0000…` gets, as in Go.
const FRACTION_MASK: usize = 0xFFF;

pub(super) fn format(time: &Time, layout: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(layout.len() + 10);
    let civil = time.civil();
    let mut rest = layout;
    while !rest.is_empty() {
        let chunk = next_chunk(rest);
        out.extend_from_slice(chunk.prefix);
        let Some((element, _)) = chunk.element else {
            break;
        };
        push_element(&mut out, time, &civil, element);
        rest = chunk.rest;
    }
    out
}

fn push_element(out: &mut Vec<u8>, time: &Time, civil: &Civil, element: Element) {
    match element {
        Element::Year => push_int(out, civil.year.abs() % 100, 2),
        Element::LongYear => push_int(out, civil.year, 4),
        Element::Month => push_name(out, &MONTHS, civil.month - 1, 3),
        Element::LongMonth => push_name(out, &MONTHS, civil.month - 1, usize::MAX),
        Element::NumMonth => push_int(out, civil.month, 0),
        Element::ZeroMonth => push_int(out, civil.month, 2),
        Element::WeekDay => push_name(out, &DAYS, time.weekday().0, 3),
        Element::LongWeekDay => push_name(out, &DAYS, time.weekday().0, usize::MAX),
        Element::Day => push_int(out, civil.day, 0),
        Element::UnderDay => push_blank_padded(out, civil.day, 2),
        Element::ZeroDay => push_int(out, civil.day, 2),
        Element::UnderYearDay => push_blank_padded(out, calendar::year_day(civil), 3),
        Element::ZeroYearDay => push_int(out, calendar::year_day(civil), 3),
        Element::Hour => push_int(out, civil.hour, 2),
        Element::Hour12 => push_int(out, hour12(civil.hour), 0),
        Element::ZeroHour12 => push_int(out, hour12(civil.hour), 2),
        Element::Minute => push_int(out, civil.minute, 0),
        Element::ZeroMinute => push_int(out, civil.minute, 2),
        Element::Second => push_int(out, civil.second, 0),
        Element::ZeroSecond => push_int(out, civil.second, 2),
        Element::UpperPm => out.extend_from_slice(if civil.hour >= 12 { b"PM" } else { b"AM" }),
        Element::LowerPm => out.extend_from_slice(if civil.hour >= 12 { b"pm" } else { b"am" }),
        Element::ZoneName => push_zone_name(out, time),
        Element::Offset(offset) => push_offset(out, time.zone().1, offset),
        Element::Fraction(fraction) => push_fraction(out, civil.nanos, fraction),
    }
}

/// Noon is 12 PM, midnight is 12 AM.
fn hour12(hour: i64) -> i64 {
    (hour + 11) % 12 + 1
}

fn push_int(out: &mut Vec<u8>, value: i64, width: usize) {
    if value < 0 {
        out.push(b'-');
    }
    out.extend_from_slice(format!("{:0width$}", value.unsigned_abs()).as_bytes());
}

fn push_blank_padded(out: &mut Vec<u8>, value: i64, width: usize) {
    out.extend_from_slice(format!("{value:width$}").as_bytes());
}

fn push_name(out: &mut Vec<u8>, names: &[&str], index: i64, len: usize) {
    let name = usize::try_from(index)
        .ok()
        .and_then(|index| names.get(index))
        .copied()
        .unwrap_or_default();
    out.extend(name.bytes().take(len));
}

fn push_zone_name(out: &mut Vec<u8>, time: &Time) {
    let (name, offset) = time.zone();
    if name.is_empty() {
        let numeric = Offset {
            zulu: false,
            colons: false,
            precision: Precision::Minutes,
        };
        return push_offset(out, offset, numeric);
    }
    out.extend_from_slice(name.as_bytes());
}

fn push_offset(out: &mut Vec<u8>, seconds: i32, form: Offset) {
    if form.zulu && seconds == 0 {
        out.push(b'Z');
        return;
    }
    let minutes = i64::from(seconds / 60);
    // The sign is that of the minutes: an offset of some seconds west prints as +00:00, as in Go.
    out.push(if minutes < 0 { b'-' } else { b'+' });
    push_int(out, minutes.abs() / 60, 2);
    if form.precision == Precision::Hours {
        return;
    }
    if form.colons {
        out.push(b':');
    }
    push_int(out, minutes.abs() % 60, 2);
    if form.precision == Precision::Seconds {
        if form.colons {
            out.push(b':');
        }
        let seconds = i64::from(seconds);
        let absolute = if minutes < 0 { -seconds } else { seconds };
        push_int(out, absolute % 60, 2);
    }
}

fn push_fraction(out: &mut Vec<u8>, nanos: i64, fraction: Fraction) {
    let digits = fraction.digits & FRACTION_MASK;
    if fraction.trim && (digits == 0 || nanos == 0) {
        return;
    }
    out.push(fraction.separator);
    let text = format!("{nanos:09}");
    let shown = text.get(..digits.min(9)).unwrap_or(&text);
    let shown = if fraction.trim {
        shown.trim_end_matches('0')
    } else {
        shown
    };
    if fraction.trim && shown.is_empty() {
        out.pop();
    }
    out.extend_from_slice(shown.as_bytes());
}
