//! Layouts taken apart: text and the elements that stand for parts of a time.

/// What an element stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Element {
    Year,
    LongYear,
    Month,
    LongMonth,
    NumMonth,
    ZeroMonth,
    WeekDay,
    LongWeekDay,
    Day,
    UnderDay,
    ZeroDay,
    UnderYearDay,
    ZeroYearDay,
    Hour,
    Hour12,
    ZeroHour12,
    Minute,
    ZeroMinute,
    Second,
    ZeroSecond,
    UpperPm,
    LowerPm,
    /// The zone's abbreviation.
    ZoneName,
    Offset(Offset),
    Fraction(Fraction),
}

/// A zone written as a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Offset {
    /// UTC is written `Z`.
    pub(super) zulu: bool,
    pub(super) colons: bool,
    pub(super) precision: Precision,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Precision {
    Hours,
    Minutes,
    Seconds,
}

/// The digits after the second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fraction {
    pub(super) separator: u8,
    pub(super) digits: usize,
    /// Zeros at the end are left out.
    pub(super) trim: bool,
}

/// A piece of a layout: text, and the element that follows it unless the layout ends.
pub(super) struct Chunk<'l> {
    pub(super) prefix: &'l [u8],
    pub(super) element: Option<(Element, &'l [u8])>,
    pub(super) rest: &'l [u8],
}

/// Splits off the text before the first element, and that element.
pub(super) fn next_chunk(layout: &[u8]) -> Chunk<'_> {
    for at in 0..layout.len() {
        let (prefix, tail) = layout.split_at(at);
        if let Some(found) = element_at(tail) {
            let prefix_len = at + found.skip;
            let (text, rest) = tail.split_at(found.skip).1.split_at(found.len);
            let prefix = if found.skip == 0 {
                prefix
            } else {
                layout.split_at(prefix_len).0
            };
            return Chunk {
                prefix,
                element: Some((found.element, text)),
                rest,
            };
        }
    }
    Chunk {
        prefix: layout,
        element: None,
        rest: &[],
    }
}

struct Found {
    /// Bytes that only look like part of the element.
    skip: usize,
    len: usize,
    element: Element,
}

fn found(element: Element, len: usize) -> Option<Found> {
    Some(Found {
        skip: 0,
        len,
        element,
    })
}

fn element_at(tail: &[u8]) -> Option<Found> {
    match tail.first()? {
        b'J' => name_at(tail, b"January", Element::LongMonth, Element::Month),
        b'M' if tail.starts_with(b"MST") => found(Element::ZoneName, 3),
        b'M' => name_at(tail, b"Monday", Element::LongWeekDay, Element::WeekDay),
        b'0' => padded_at(tail),
        b'1' if tail.starts_with(b"15") => found(Element::Hour, 2),
        b'1' => found(Element::NumMonth, 1),
        b'2' if tail.starts_with(b"2006") => found(Element::LongYear, 4),
        b'2' => found(Element::Day, 1),
        b'_' => under_at(tail),
        b'3' => found(Element::Hour12, 1),
        b'4' => found(Element::Minute, 1),
        b'5' => found(Element::Second, 1),
        b'P' if tail.starts_with(b"PM") => found(Element::UpperPm, 2),
        b'p' if tail.starts_with(b"pm") => found(Element::LowerPm, 2),
        b'-' | b'Z' => offset_at(tail),
        b'.' | b',' => fraction_at(tail),
        _ => None,
    }
}

/// `January` or `Jan`, the short one only when no lower-case letter follows.
fn name_at(tail: &[u8], long: &[u8], long_element: Element, short_element: Element) -> Option<Found> {
    if tail.starts_with(long) {
        return found(long_element, long.len());
    }
    let is_short =
        tail.get(..3) == long.get(..3) && tail.len() >= 3 && !tail.get(3).is_some_and(u8::is_ascii_lowercase);
    is_short.then(|| found(short_element, 3)).flatten()
}

fn padded_at(tail: &[u8]) -> Option<Found> {
    if tail.starts_with(b"002") {
        return found(Element::ZeroYearDay, 3);
    }
    let element = match tail.get(1)? {
        b'1' => Element::ZeroMonth,
        b'2' => Element::ZeroDay,
        b'3' => Element::ZeroHour12,
        b'4' => Element::ZeroMinute,
        b'5' => Element::ZeroSecond,
        b'6' => Element::Year,
        _ => return None,
    };
    found(element, 2)
}

fn under_at(tail: &[u8]) -> Option<Found> {
    if tail.starts_with(b"_2006") {
        // The underscore is text.
        return Some(Found {
            skip: 1,
            len: 4,
            element: Element::LongYear,
        });
    }
    if tail.starts_with(b"_2") {
        return found(Element::UnderDay, 2);
    }
    tail.starts_with(b"__2")
        .then(|| found(Element::UnderYearDay, 3))
        .flatten()
}

fn offset_at(tail: &[u8]) -> Option<Found> {
    let zulu = tail.first() == Some(&b'Z');
    let forms: [(&[u8], bool, Precision); 5] = [
        (b"070000", false, Precision::Seconds),
        (b"07:00:00", true, Precision::Seconds),
        (b"0700", false, Precision::Minutes),
        (b"07:00", true, Precision::Minutes),
        (b"07", false, Precision::Hours),
    ];
    let (form, colons, precision) = forms
        .into_iter()
        .find(|(form, ..)| tail.get(1..).is_some_and(|tail| tail.starts_with(form)))?;
    let offset = Offset {
        zulu,
        colons,
        precision,
    };
    found(Element::Offset(offset), form.len() + 1)
}

/// A run of zeros or nines, which no other digit may follow.
fn fraction_at(tail: &[u8]) -> Option<Found> {
    let (separator, digits) = tail.split_first()?;
    let digit = *digits.first().filter(|digit| matches!(digit, b'0' | b'9'))?;
    let run = digits.iter().take_while(|byte| **byte == digit).count();
    if digits.get(run).is_some_and(u8::is_ascii_digit) {
        return None;
    }
    let fraction = Fraction {
        separator: *separator,
        digits: run,
        trim: digit == b'9',
    };
    found(Element::Fraction(fraction), run + 1)
}
