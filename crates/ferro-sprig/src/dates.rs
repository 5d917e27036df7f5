//! Dates.

mod methods;

use ferro_gocompat::duration;
use ferro_gocompat::time::{Month, Time, Weekday, Zone, round_duration};
use ferro_template::{Error, IntKind, Method, NamedType, Object, Text, Type, Value};

use crate::args::{ANY, Args, Outcome, STRING, Table, text};
use crate::numbers::clamped;

const SECOND: i64 = 1_000_000_000;

/// `time.Time`
pub static TIME: NamedType = NamedType {
    name: "time.Time",
    underlying: Type::Struct("struct { wall uint64; ext int64; loc *time.Location }"),
    methods: &methods::OF_TIME,
    display: None,
    is_error: false,
};

/// `time.Duration`
pub static DURATION: NamedType = NamedType {
    name: "time.Duration",
    underlying: Type::Int(IntKind::Int64),
    methods: &methods::OF_DURATION,
    display: Some(|value| Text::from(duration::format(bits(value)))),
    is_error: false,
};

/// `time.Month`
pub(crate) static MONTH: NamedType = NamedType {
    name: "time.Month",
    underlying: Type::Int(IntKind::Int),
    methods: &methods::WITH_STRING,
    display: Some(|value| Text::from(Month(bits(value)).to_string())),
    is_error: false,
};

/// `time.Weekday`
pub(crate) static WEEKDAY: NamedType = NamedType {
    name: "time.Weekday",
    underlying: Type::Int(IntKind::Int),
    methods: &methods::WITH_STRING,
    display: Some(|value| Text::from(Weekday(bits(value)).to_string())),
    is_error: false,
};

pub(crate) static TIME_TYPE: Type = Type::Named(&TIME);

fn bits(value: &Value) -> i64 {
    value.as_int().map_or(0, |int| int.bits)
}

/// A `time.Time` in a template.
///
/// ```
/// use ferro_gocompat::time::Time;
/// use ferro_sprig::TimeValue;
/// use ferro_template::Value;
///
/// let value = Value::object(TimeValue(Time::from_unix(0, 0)));
/// assert_eq!(value.type_name(), "time.Time");
/// ```
pub struct TimeValue(pub Time);

/// A `time.Duration` in a template, in nanoseconds.
pub struct Duration(pub i64);

impl From<Duration> for Value {
    fn from(duration: Duration) -> Self {
        Self::named(&DURATION, Self::int64(duration.0))
    }
}

impl Object for TimeValue {
    fn go_type(&self) -> Type {
        TIME_TYPE
    }

    fn method(&self, name: &str) -> Option<&'static Method> {
        TIME.methods.iter().find(|method| method.name == name)
    }

    fn display(&self) -> Option<Text> {
        Some(Text::from(self.0.to_string()))
    }

    fn equals(&self, other: &dyn Object) -> Option<bool> {
        let other: &dyn std::any::Any = other;
        Some(
            other
                .downcast_ref::<Self>()
                .is_some_and(|other| self.0 == other.0),
        )
    }
}

pub(crate) fn time_value(time: Time) -> Value {
    Value::object(TimeValue(time))
}

/// The time in an argument of type `time.Time`.
fn time_of(value: &Value) -> Result<&Time, Error> {
    match value.downcast::<TimeValue>() {
        Some(time) => Ok(&time.0),
        None => crate::args::nil_dereference(),
    }
}

/// A time, or seconds since 1970 as an `int`, `int64` or, for `date`, `int32`.
fn given_time(value: &Value, with_int32: bool) -> Option<Time> {
    if let Some(time) = value.downcast::<TimeValue>() {
        return Some(time.0.clone());
    }
    let Value::Int(int) = value else {
        return None;
    };
    let fits =
        matches!(int.kind, IntKind::Int | IntKind::Int64) || (with_int32 && int.kind == IntKind::Int32);
    fits.then(|| Time::from_unix(int.bits, 0))
}

pub(crate) fn register(table: &mut Table<'_>) {
    register_formats(table);
    register_durations(table);
    let environment = table.environment();
    table.add(&["now"], &[], &TIME_TYPE, move |_| {
        Ok(time_value(environment.now()))
    });
    table.add(
        &["dateModify", "date_modify"],
        &[STRING, &TIME_TYPE],
        &TIME_TYPE,
        |args| {
            let time = time_of(args.any(1))?;
            Ok(duration::parse(&args.string(0))
                .map_or_else(|_| args.any(1).clone(), |nanos| time_value(time.add(nanos))))
        },
    );
    table.add(
        &["mustDateModify", "must_date_modify"],
        &[STRING, &TIME_TYPE],
        &TIME_TYPE,
        |args| {
            let nanos = duration::parse(&args.string(0)).map_err(|error| Error::new(error.to_string()))?;
            Ok(time_value(time_of(args.any(1))?.add(nanos)))
        },
    );
    table.add(&["toDate"], &[STRING, STRING], &TIME_TYPE, |args| {
        Ok(time_value(
            Time::parse_bytes(args.text(0), args.text(1)).unwrap_or_default(),
        ))
    });
    table.add(&["mustToDate"], &[STRING, STRING], &TIME_TYPE, |args| {
        let parsed = Time::parse_bytes(args.text(0), args.text(1));
        Ok(time_value(parsed.map_err(|error| Error::new(error.to_string()))?))
    });
    table.add(&["unixEpoch"], &[&TIME_TYPE], STRING, |args| {
        text(time_of(args.any(0))?.unix().to_string())
    });
}

fn register_formats(table: &mut Table<'_>) {
    const HTML: &[u8] = b"2006-01-02";
    let now = |table: &Table<'_>| {
        let environment = table.environment();
        move |value: &Value| given_time(value, true).unwrap_or_else(|| environment.now())
    };
    let time = now(table);
    table.add(&["date"], &[STRING, ANY], STRING, move |args| {
        text(time(args.any(1)).with_zone(Zone::Utc).format_bytes(args.text(0)))
    });
    let time = now(table);
    table.add(&["htmlDate"], &[ANY], STRING, move |args| {
        text(time(args.any(0)).with_zone(Zone::Utc).format_bytes(HTML))
    });
    let time = now(table);
    table.add(
        &["dateInZone", "date_in_zone"],
        &[STRING, ANY, STRING],
        STRING,
        move |args| text(in_zone(time(args.any(1)), &args.string(2)).format_bytes(args.text(0))),
    );
    let time = now(table);
    table.add(&["htmlDateInZone"], &[ANY, STRING], STRING, move |args| {
        text(in_zone(time(args.any(0)), &args.string(1)).format_bytes(HTML))
    });
}

/// A zone that does not exist is UTC.
fn in_zone(time: Time, zone: &str) -> Time {
    time.with_zone(Zone::load(zone).unwrap_or(Zone::Utc))
}

fn register_durations(table: &mut Table<'_>) {
    let environment = table.environment();
    table.add(&["ago"], &[ANY], STRING, move |args| {
        let now = environment.now();
        let then = given_time(args.any(0), false).unwrap_or_else(|| now.clone());
        text(duration::format(round_duration(now.since(&then), SECOND)))
    });
    table.add(&["duration"], &[ANY], STRING, |args| {
        text(duration::format(seconds(args).wrapping_mul(SECOND)))
    });
    let environment = table.environment();
    table.add(&["durationRound"], &[ANY], STRING, move |args| {
        let nanos = match args.any(0) {
            Value::Str(value) => duration::parse(&value.to_str()).unwrap_or(0),
            Value::Int(int) if int.kind == IntKind::Int64 => int.bits,
            value => value
                .downcast::<TimeValue>()
                .map_or(0, |time| environment.now().since(&time.0)),
        };
        text(rounded(nanos.unsigned_abs()))
    });
}

/// Only a text and an `int64` count; any other number is 0.
fn seconds(args: Args<'_>) -> i64 {
    match args.any(0) {
        Value::Str(digits) => clamped(digits.as_bytes()),
        Value::Int(int) if int.kind == IntKind::Int64 => int.bits,
        _ => 0,
    }
}

/// The largest unit of which there is more than one.
fn rounded(nanos: u64) -> String {
    const HOUR: u64 = 3_600_000_000_000;
    let units = [
        (HOUR * 24 * 365, "y"),
        (HOUR * 24 * 30, "mo"),
        (HOUR * 24, "d"),
        (HOUR, "h"),
        (HOUR / 60, "m"),
        (HOUR / 3_600, "s"),
    ];
    units.into_iter().find(|(unit, _)| nanos > *unit).map_or_else(
        || "0s".to_owned(),
        |(unit, name)| format!("{}{name}", nanos / unit),
    )
}

/// What a `String` method answers.
pub(crate) fn display(value: &Value) -> Outcome {
    Ok(value.display().map_or(Value::Nil, Value::Str))
}
