//! Points in time as the API writes them: RFC 3339, UTC, whole seconds.

use std::borrow::Cow;
use std::fmt;

use k8s_openapi::apimachinery::pkg::apis::meta::v1;
use k8s_openapi::jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A point in time, in whole seconds. The default is the start of the Unix epoch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time(Timestamp);

impl Time {
    /// Returns the point in time with its fraction of a second.
    #[must_use]
    pub const fn timestamp(self) -> Timestamp {
        self.0
    }
}

impl From<Timestamp> for Time {
    /// Cuts off the fraction of a second, so that what is written equals what is read back.
    fn from(timestamp: Timestamp) -> Self {
        let seconds = timestamp.as_nanosecond().div_euclid(1_000_000_000);
        let whole = i64::try_from(seconds)
            .ok()
            .and_then(|s| Timestamp::from_second(s).ok());
        Self(whole.unwrap_or(timestamp))
    }
}

impl From<v1::Time> for Time {
    fn from(time: v1::Time) -> Self {
        Self::from(time.0)
    }
}

impl From<Time> for v1::Time {
    fn from(time: Time) -> Self {
        Self(time.0)
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.0}", self.0)
    }
}

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<'de, str>::deserialize(deserializer)?;
        text.parse::<Timestamp>()
            .map(Self::from)
            .map_err(de::Error::custom)
    }
}

impl schemars::JsonSchema for Time {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Time".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({"type": "string", "format": "date-time"})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_any_offset_and_writes_utc_seconds() {
        for (read, written) in [
            ("2026-01-01T00:00:00Z", "2026-01-01T00:00:00Z"),
            ("2026-01-01T02:00:00.987654+02:00", "2026-01-01T00:00:00Z"),
            ("1969-12-31T23:59:58.5Z", "1969-12-31T23:59:58Z"),
            ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00Z"),
        ] {
            let time: Time = serde_json::from_value(read.into()).unwrap();
            assert_eq!(serde_json::to_value(time).unwrap(), written);
        }
        serde_json::from_str::<Time>("\"yesterday\"").unwrap_err();
    }
}
