//! The proleptic Gregorian calendar over the whole range of 64-bit seconds.

use std::fmt;

const DAY: u64 = 86_400;
const DAYS_PER_ERA: u64 = 146_097;
/// Go counts days from 1 March of the year minus this, as unsigned numbers.
const FIRST_YEAR: i64 = 292_277_022_400;
/// Days from there to 1 March of year 0, and on to 1 January 1970.
const DAYS_TO_YEAR_0: u64 = 292_277_022_400 / 400 * DAYS_PER_ERA;
const DAYS_TO_1970: u64 = DAYS_TO_YEAR_0 + 719_468;

/// What a calendar and a clock show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Civil {
    /// The year; 0 is the one before year 1.
    pub year: i64,
    /// The month, from 1.
    pub month: i64,
    /// The day of the month, from 1.
    pub day: i64,
    /// The hour, from 0 to 23.
    pub hour: i64,
    /// The minute.
    pub minute: i64,
    /// The second.
    pub second: i64,
    /// The nanoseconds within the second.
    pub nanos: i64,
}

impl Civil {
    pub(super) fn of(seconds: i64, nanos: u32) -> Self {
        let absolute = absolute(seconds);
        let clock = signed(absolute % DAY);
        let days = absolute / DAY;
        let (era, day_of_era) = (days / DAYS_PER_ERA, days % DAYS_PER_ERA);
        let year_of_era =
            (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        // Months counted from March, so that the leap day is the last of its year.
        let from_march = (5 * day_of_year + 2) / 153;
        let month = if from_march < 10 {
            from_march + 3
        } else {
            from_march - 9
        };
        Self {
            year: signed(era * 400 + year_of_era) - FIRST_YEAR + i64::from(month <= 2),
            month: signed(month),
            day: signed(day_of_year - (153 * from_march + 2) / 5 + 1),
            hour: clock / 3_600,
            minute: clock / 60 % 60,
            second: clock % 60,
            nanos: i64::from(nanos),
        }
    }
}

fn absolute(seconds: i64) -> u64 {
    seconds
        .cast_unsigned()
        .wrapping_add(DAYS_TO_1970.wrapping_mul(DAY))
}

fn signed(value: u64) -> i64 {
    value.cast_signed()
}

/// Days from 1970 to a date; months and days out of range carry over.
pub(super) fn days_of(year: i64, month: i64, day: i64) -> i64 {
    let months = month.wrapping_sub(1);
    let (year, month) = (
        year.wrapping_add(months.div_euclid(12)),
        months.rem_euclid(12) + 1,
    );
    let year = if month <= 2 { year.wrapping_sub(1) } else { year };
    let (era, year_of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let from_march = (month + 9) % 12;
    let day_of_year = (153 * from_march + 2) / 5;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era.wrapping_mul(146_097)
        .wrapping_add(day_of_era)
        .wrapping_sub(719_468)
        .wrapping_add(day.wrapping_sub(1))
}

pub(super) fn is_leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

/// Days of a year before a month; month 13 stands for the whole year. The year is not a leap year.
pub(super) fn days_before(month: i64) -> i64 {
    days_of(2001, month, 1) - days_of(2001, 1, 1)
}

pub(super) fn days_in(month: i64, year: i64) -> i64 {
    if month == 2 && is_leap(year) {
        return 29;
    }
    days_before(month + 1) - days_before(month)
}

pub(super) fn year_day(civil: &Civil) -> i64 {
    let leap_day = i64::from(civil.month > 2 && is_leap(civil.year));
    days_before(civil.month) + civil.day + leap_day
}

/// A day of the week.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Weekday(pub i64);

/// A month, from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Month(pub i64);

pub(super) fn weekday(seconds: i64) -> Weekday {
    // 1 March of every year that ends an era is a Wednesday.
    Weekday(signed((absolute(seconds) / DAY + 3) % 7))
}

pub(super) const DAYS: [&str; 7] = [
    "Sunday",
    "Monday",
    "Tuesday",
    "Wednesday",
    "Thursday",
    "Friday",
    "Saturday",
];

pub(super) const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

fn name(names: &[&'static str], index: i64) -> Option<&'static str> {
    names.get(usize::try_from(index).ok()?).copied()
}

impl fmt::Display for Weekday {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match name(&DAYS, self.0) {
            Some(name) => f.write_str(name),
            None => write!(f, "%!Weekday({})", self.0),
        }
    }
}

impl fmt::Display for Month {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match name(&MONTHS, self.0 - 1) {
            Some(name) => f.write_str(name),
            None => write!(f, "%!Month({})", self.0),
        }
    }
}
