//! `time.Time`: instants with a zone, printed and read by layouts such as `2006-01-02 15:04:05 MST`.
//!
//! The machine's own zone is taken to be UTC, as it is in the images of Go programs; zones come from the
//! database that is compiled in, so that a result depends on nothing outside.
//!
//! ```
//! use ferro_gocompat::time::{Time, Zone};
//!
//! let time = Time::parse("Jan _2 2006 3:04PM", "Jul  4 2026 9:05AM")?;
//! let paris = time.with_zone(Zone::load("Europe/Paris").expect("it is in the database"));
//! assert_eq!(paris.format("Mon 02/01 15:04 MST"), "Sat 04/07 11:05 CEST");
//! # Ok::<(), ferro_gocompat::time::ParseError>(())
//! ```

mod calendar;
mod format;
mod layout;
mod parse;
mod zone;

use std::cmp::Ordering;
use std::fmt;

pub use calendar::{Civil, Month, Weekday};
pub use parse::ParseError;
pub use zone::Zone;

/// The layout of RFC 3339.
pub const RFC3339: &str = "2006-01-02T15:04:05Z07:00";
/// The layout of RFC 3339 with as many digits of the second as there are.
pub const RFC3339_NANO: &str = "2006-01-02T15:04:05.999999999Z07:00";
/// The layout in which a time prints itself.
pub const DEFAULT: &str = "2006-01-02 15:04:05.999999999 -0700 MST";

const NANOS: i64 = 1_000_000_000;
/// 1 January of year 1, which is Go's zero time.
const ZERO: i64 = -62_135_596_800;

/// An instant with the zone in which it is shown.
#[derive(Clone, Debug)]
pub struct Time {
    seconds: i64,
    nanos: u32,
    zone: Zone,
    monotonic: Option<i64>,
}

impl Default for Time {
    fn default() -> Self {
        Self::from_unix(ZERO, 0)
    }
}

impl Time {
    /// Makes a time in UTC from seconds and nanoseconds since 1970; nanoseconds beyond a second carry over.
    pub fn from_unix(seconds: i64, nanos: i64) -> Self {
        Self {
            seconds: seconds.wrapping_add(nanos.div_euclid(NANOS)),
            nanos: u32::try_from(nanos.rem_euclid(NANOS)).unwrap_or(0),
            zone: Zone::Utc,
            monotonic: None,
        }
    }

    /// Adds the reading of a monotonic clock in nanoseconds, which printing and differences show.
    #[must_use]
    pub fn with_monotonic(mut self, nanos: i64) -> Self {
        self.monotonic = Some(nanos);
        self
    }

    /// Returns the same instant in another zone.
    #[must_use]
    pub fn with_zone(mut self, zone: Zone) -> Self {
        self.zone = zone;
        self
    }

    /// Makes the time that a calendar and a clock in UTC show; parts out of range carry over.
    pub fn from_utc(civil: &Civil) -> Self {
        let days = calendar::days_of(civil.year, civil.month, civil.day);
        let seconds = days
            .wrapping_mul(86_400)
            .wrapping_add(civil.hour * 3_600 + civil.minute * 60 + civil.second);
        Self::from_unix(seconds, civil.nanos)
    }

    /// Returns what calendar and clock show in the time's zone.
    pub fn civil(&self) -> Civil {
        Civil::of(self.shown(), self.nanos)
    }

    /// Seconds since 1970 plus the zone's offset.
    fn shown(&self) -> i64 {
        self.seconds
            .wrapping_add(i64::from(self.zone.offset(self.seconds)))
    }

    /// Returns the name and the offset in seconds of the zone at this time.
    pub fn zone(&self) -> (String, i32) {
        self.zone.at(self.seconds)
    }

    /// Returns the seconds since 1970.
    pub fn unix(&self) -> i64 {
        self.seconds
    }

    /// Returns the nanoseconds since 1970, wrapping beyond the years 1678 to 2262.
    pub fn unix_nanos(&self) -> i64 {
        self.seconds
            .wrapping_mul(NANOS)
            .wrapping_add(i64::from(self.nanos))
    }

    /// Returns the nanoseconds within the second.
    pub fn nanos(&self) -> u32 {
        self.nanos
    }

    /// Tells whether this is the first instant of year 1.
    pub fn is_zero(&self) -> bool {
        self.seconds == ZERO && self.nanos == 0
    }

    /// Returns the day of the week.
    pub fn weekday(&self) -> Weekday {
        calendar::weekday(self.shown())
    }

    /// Returns the day of the year, from 1.
    pub fn year_day(&self) -> i64 {
        calendar::year_day(&self.civil())
    }

    /// Adds a duration in nanoseconds.
    #[must_use]
    pub fn add(&self, duration: i64) -> Self {
        let nanos = i64::from(self.nanos) + duration % NANOS;
        let mut sum = Self::from_unix(self.seconds.wrapping_add(duration / NANOS), nanos);
        sum.zone = self.zone.clone();
        sum.monotonic = self.monotonic.and_then(|reading| reading.checked_add(duration));
        sum
    }

    /// Adds to the calendar date; a day that a month lacks carries over into the next.
    #[must_use]
    pub fn add_date(&self, years: i64, months: i64, days: i64) -> Self {
        let mut civil = self.civil();
        civil.year = civil.year.wrapping_add(years);
        civil.month = civil.month.wrapping_add(months);
        civil.day = civil.day.wrapping_add(days);
        let local = Self::from_utc(&civil);
        // The offset at the wanted clock time, corrected when a change of the clocks lies between.
        let guess = i64::from(self.zone.offset(local.seconds));
        let corrected = i64::from(self.zone.offset(local.seconds.wrapping_sub(guess)));
        Self {
            seconds: local.seconds.wrapping_sub(corrected),
            nanos: self.nanos,
            zone: self.zone.clone(),
            monotonic: None,
        }
    }

    /// Returns the nanoseconds from `earlier` to this time, clamped to what a duration holds.
    pub fn since(&self, earlier: &Self) -> i64 {
        if let (Some(now), Some(then)) = (self.monotonic, earlier.monotonic) {
            return now.saturating_sub(then);
        }
        let difference = (i128::from(self.seconds) - i128::from(earlier.seconds)) * i128::from(NANOS)
            + i128::from(self.nanos)
            - i128::from(earlier.nanos);
        let limit = if difference < 0 { i64::MIN } else { i64::MAX };
        i64::try_from(difference).unwrap_or(limit)
    }

    /// Compares the instants, whatever their zones.
    pub fn compare(&self, other: &Self) -> Ordering {
        (self.seconds, self.nanos).cmp(&(other.seconds, other.nanos))
    }

    /// Prints like `Time.Format`.
    pub fn format(&self, layout: &str) -> String {
        String::from_utf8_lossy(&format::format(self, layout.as_bytes())).into_owned()
    }

    /// Prints by a layout that may hold any bytes.
    pub fn format_bytes(&self, layout: &[u8]) -> Vec<u8> {
        format::format(self, layout)
    }

    /// Reads like `time.Parse`: without a zone in the text, the time is in UTC.
    pub fn parse(layout: &str, value: &str) -> Result<Self, ParseError> {
        parse::parse(layout.as_bytes(), value.as_bytes())
    }

    /// Reads text that may hold any bytes.
    pub fn parse_bytes(layout: &[u8], value: &[u8]) -> Result<Self, ParseError> {
        parse::parse(layout, value)
    }

    /// Prints like `Time.MarshalJSON`, without quotes; `None` where RFC 3339 has no form for the time.
    pub fn to_rfc3339(&self) -> Option<String> {
        let fits = (0..=9999).contains(&self.civil().year) && self.zone.offset(self.seconds).abs() < 86_400;
        fits.then(|| self.format(RFC3339_NANO))
    }
}

/// Equal are times that show the same instant in the same zone.
impl PartialEq for Time {
    fn eq(&self, other: &Self) -> bool {
        self.compare(other) == Ordering::Equal && self.zone == other.zone && self.monotonic == other.monotonic
    }
}

/// Prints like `Time.String`, with the reading of the monotonic clock if there is one.
impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.format(DEFAULT))?;
        let Some(reading) = self.monotonic else {
            return Ok(());
        };
        let sign = if reading < 0 { '-' } else { '+' };
        let (seconds, nanos) = (
            reading.unsigned_abs() / NANOS.unsigned_abs(),
            reading.unsigned_abs() % NANOS.unsigned_abs(),
        );
        write!(f, " m={sign}{seconds}.{nanos:09}")
    }
}

/// Rounds a duration to a multiple of `unit`, halves away from zero, like `Duration.Round`.
pub fn round_duration(nanos: i64, unit: i64) -> i64 {
    if unit <= 0 {
        return nanos;
    }
    let rest = (nanos % unit).abs();
    let toward_zero = nanos - nanos.signum() * rest;
    if i128::from(rest) * 2 < i128::from(unit) {
        return toward_zero;
    }
    let limit = if nanos < 0 { i64::MIN } else { i64::MAX };
    let step = if nanos < 0 { -unit } else { unit };
    toward_zero.checked_add(step).unwrap_or(limit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_element_of_a_layout_is_printed() {
        let time = Time::from_unix(951_782_467, 120_000_000).with_zone(Zone::load("Asia/Kolkata").unwrap());
        let expected = [
            ("2006 06 01 1 Jan January", "2000 00 02 2 Feb February"),
            ("02 2 _2 002 __2 Mon Monday", "29 29 29 060  60 Tue Tuesday"),
            ("15 03 3 04 4 05 5 PM pm", "05 05 5 31 31 07 7 AM am"),
            (".000 .999 ,000000 .00", ".120 .12 ,120000 .12"),
            ("MST -0700 -07:00 -07 -070000", "IST +0530 +05:30 +05 +053000"),
            ("Z0700 Z07:00 Z07 Z07:00:00", "+0530 +05:30 +05 +05:30:00"),
            ("_2006 Januar Mond .0001", "_2000 Januar Mond .0002"),
        ];
        for (layout, text) in expected {
            assert_eq!(time.format(layout), text, "{layout}");
        }
        assert_eq!(Time::default().to_string(), "0001-01-01 00:00:00 +0000 UTC");
        let now = Time::from_unix(0, 0).with_monotonic(1_500_000_000);
        assert_eq!(now.to_string(), "1970-01-01 00:00:00 +0000 UTC m=+1.500000000");
    }

    #[test]
    fn texts_are_read_with_the_errors_of_go() {
        let read = |layout, text| Time::parse(layout, text).map(|time| time.to_string());
        let expected = [
            ("2006-01-02", "2024-02-29", "2024-02-29 00:00:00 +0000 UTC"),
            (
                RFC3339,
                "2024-05-06T07:08:09.5+02:00",
                "2024-05-06 07:08:09.5 +0200 +0200",
            ),
            (
                "2006 002 3PM MST",
                "2024 060 12AM CET",
                "2024-02-29 00:00:00 +0000 CET",
            ),
            ("15:04 MST", "10:00 GMT+3", "0000-01-01 13:00:00 +0300 GMT+3"),
            ("Jan _2 06", "feb  3 69", "1969-02-03 00:00:00 +0000 UTC"),
        ];
        for (layout, text, time) in expected {
            assert_eq!(read(layout, text).as_deref(), Ok(time), "{text}");
        }
        let refused = [
            (
                "2006-01-02",
                "2023-02-29",
                r#"parsing time "2023-02-29": day out of range"#,
            ),
            (
                "2006-01-02",
                "2023-13-01",
                r#"parsing time "2023-13-01": month out of range"#,
            ),
            (
                "15:04",
                "1x:00",
                r#"parsing time "1x:00" as "15:04": cannot parse "x:00" as ":""#,
            ),
            ("2006", "2006!", r#"parsing time "2006!": extra text: "!""#),
        ];
        for (layout, text, error) in refused {
            assert_eq!(
                read(layout, text).map_err(|error| error.to_string()),
                Err(error.to_owned())
            );
        }
    }

    #[test]
    fn times_move_within_their_calendar() {
        let leap_day = Time::parse("2006-01-02", "2024-02-29").unwrap();
        assert_eq!(leap_day.add_date(1, 0, 0).format("2006-01-02"), "2025-03-01");
        assert_eq!(leap_day.add_date(0, -1, 3).format("2006-01-02"), "2024-02-01");
        assert_eq!(
            leap_day.add(-NANOS).format(DEFAULT),
            "2024-02-28 23:59:59 +0000 UTC"
        );
        assert_eq!(leap_day.since(&Time::default()), i64::MAX);
        assert_eq!(
            (leap_day.year_day(), leap_day.weekday().to_string()),
            (60, "Thursday".to_owned())
        );
        assert_eq!(round_duration(1_500_000_000, NANOS), 2 * NANOS);
        assert_eq!(round_duration(-1_500_000_000, NANOS), -2 * NANOS);
        // The clocks in Paris went from 2 to 3 o'clock on that day.
        let paris = Zone::load("Europe/Paris").unwrap();
        let before = Time::parse(RFC3339, "2024-03-30T01:30:00Z")
            .unwrap()
            .with_zone(paris);
        assert_eq!(before.add_date(0, 0, 1).format("15:04 MST"), "03:30 CEST");
        assert_eq!(Zone::load("europe/paris"), None);
    }
}
