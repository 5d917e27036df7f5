//! The methods of times and durations. Those with several results, such as `Clock`, cannot be called from a
//! template in Go either.

use ferro_gocompat::duration;
use ferro_gocompat::time::{Time, Zone, round_duration};
use ferro_template::types::MethodFn;
use ferro_template::{Error, Method, Type, Value};

use super::{DURATION, Duration, MONTH, TIME_TYPE, WEEKDAY, bits, display, time_of, time_value};
use crate::args::{BOOL, FLOAT, INT, INT64, Outcome, STRING, fail};

static DURATION_TYPE: Type = Type::Named(&DURATION);
static MONTH_TYPE: Type = Type::Named(&MONTH);
static WEEKDAY_TYPE: Type = Type::Named(&WEEKDAY);

const fn method(
    name: &'static str,
    params: &'static [&'static Type],
    result: &'static Type,
    run: MethodFn,
) -> Method {
    Method {
        name,
        params,
        is_variadic: false,
        result,
        run,
    }
}

pub(super) static WITH_STRING: [Method; 1] = [method("String", &[], STRING, |_, this, _| display(this))];

pub(super) static OF_DURATION: [Method; 10] = [
    method("String", &[], STRING, |_, this, _| display(this)),
    method("Hours", &[], FLOAT, |_, this, _| {
        Ok(Value::Float(parts(bits(this), 3_600_000_000_000)))
    }),
    method("Minutes", &[], FLOAT, |_, this, _| {
        Ok(Value::Float(parts(bits(this), 60_000_000_000)))
    }),
    method("Seconds", &[], FLOAT, |_, this, _| {
        Ok(Value::Float(parts(bits(this), 1_000_000_000)))
    }),
    method("Milliseconds", &[], INT64, |_, this, _| {
        Ok(Value::int64(bits(this) / 1_000_000))
    }),
    method("Microseconds", &[], INT64, |_, this, _| {
        Ok(Value::int64(bits(this) / 1_000))
    }),
    method("Nanoseconds", &[], INT64, |_, this, _| {
        Ok(Value::int64(bits(this)))
    }),
    method("Abs", &[], &DURATION_TYPE, |_, this, _| {
        Ok(Duration(bits(this).saturating_abs()).into())
    }),
    method("Round", &[&DURATION_TYPE], &DURATION_TYPE, |_, this, args| {
        Ok(Duration(round_duration(bits(this), int(args, 0))).into())
    }),
    method("Truncate", &[&DURATION_TYPE], &DURATION_TYPE, |_, this, args| {
        let (nanos, unit) = (bits(this), int(args, 0));
        Ok(Duration(if unit <= 0 { nanos } else { nanos - nanos % unit }).into())
    }),
];

/// Whole units and the rest apart, as Go adds them up.
fn parts(nanos: i64, unit: i64) -> f64 {
    (nanos / unit) as f64 + (nanos % unit) as f64 / unit as f64
}

pub(super) static OF_TIME: [Method; 27] = [
    method("String", &[], STRING, |_, this, _| display(this)),
    method("Format", &[STRING], STRING, |_, this, args| {
        let layout = args.first().and_then(Value::as_text).cloned().unwrap_or_default();
        Ok(Value::str(time_of(this)?.format_bytes(layout.as_bytes())))
    }),
    method("Year", &[], INT, |_, this, _| {
        Ok(Value::int(time_of(this)?.civil().year))
    }),
    method("Month", &[], &MONTH_TYPE, |_, this, _| {
        Ok(Value::named(&MONTH, Value::int(time_of(this)?.civil().month)))
    }),
    method("Day", &[], INT, |_, this, _| {
        Ok(Value::int(time_of(this)?.civil().day))
    }),
    method("Hour", &[], INT, |_, this, _| {
        Ok(Value::int(time_of(this)?.civil().hour))
    }),
    method("Minute", &[], INT, |_, this, _| {
        Ok(Value::int(time_of(this)?.civil().minute))
    }),
    method("Second", &[], INT, |_, this, _| {
        Ok(Value::int(time_of(this)?.civil().second))
    }),
    method("Nanosecond", &[], INT, |_, this, _| {
        Ok(Value::int(i64::from(time_of(this)?.nanos())))
    }),
    method("Weekday", &[], &WEEKDAY_TYPE, |_, this, _| {
        Ok(Value::named(&WEEKDAY, Value::int(time_of(this)?.weekday().0)))
    }),
    method("YearDay", &[], INT, |_, this, _| {
        Ok(Value::int(time_of(this)?.year_day()))
    }),
    method("Unix", &[], INT64, |_, this, _| {
        Ok(Value::int64(time_of(this)?.unix()))
    }),
    method("UnixMilli", &[], INT64, |_, this, _| unix(this, 1_000)),
    method("UnixMicro", &[], INT64, |_, this, _| unix(this, 1_000_000)),
    method("UnixNano", &[], INT64, |_, this, _| {
        Ok(Value::int64(time_of(this)?.unix_nanos()))
    }),
    method("IsZero", &[], BOOL, |_, this, _| {
        Ok(Value::Bool(time_of(this)?.is_zero()))
    }),
    method("UTC", &[], &TIME_TYPE, |_, this, _| in_utc(this)),
    method("Local", &[], &TIME_TYPE, |_, this, _| in_utc(this)),
    method("Add", &[&DURATION_TYPE], &TIME_TYPE, |_, this, args| {
        Ok(time_value(time_of(this)?.add(int(args, 0))))
    }),
    method("AddDate", &[INT, INT, INT], &TIME_TYPE, |_, this, args| {
        Ok(time_value(time_of(this)?.add_date(
            int(args, 0),
            int(args, 1),
            int(args, 2),
        )))
    }),
    method("Sub", &[&TIME_TYPE], &DURATION_TYPE, |_, this, args| {
        Ok(Duration(time_of(this)?.since(other(args)?)).into())
    }),
    method("After", &[&TIME_TYPE], BOOL, |_, this, args| {
        Ok(Value::Bool(time_of(this)?.compare(other(args)?).is_gt()))
    }),
    method("Before", &[&TIME_TYPE], BOOL, |_, this, args| {
        Ok(Value::Bool(time_of(this)?.compare(other(args)?).is_lt()))
    }),
    method("Equal", &[&TIME_TYPE], BOOL, |_, this, args| {
        Ok(Value::Bool(time_of(this)?.compare(other(args)?).is_eq()))
    }),
    method("Compare", &[&TIME_TYPE], INT, |_, this, args| {
        Ok(Value::int(time_of(this)?.compare(other(args)?) as i64))
    }),
    method("Truncate", &[&DURATION_TYPE], &TIME_TYPE, |_, this, args| {
        rounded(this, int(args, 0), |rest, _| -rest)
    }),
    method("Round", &[&DURATION_TYPE], &TIME_TYPE, |_, this, args| {
        rounded(this, int(args, 0), |rest, unit| {
            if rest < unit - rest { -rest } else { unit - rest }
        })
    }),
];

fn int(args: &[Value], index: usize) -> i64 {
    args.get(index).map_or(0, bits)
}

fn other(args: &[Value]) -> Result<&Time, Error> {
    time_of(args.first().unwrap_or(&Value::Nil))
}

fn unix(this: &Value, per_second: i64) -> Outcome {
    let time = time_of(this)?;
    let within = i64::from(time.nanos()) / (1_000_000_000 / per_second);
    Ok(Value::int64(
        time.unix().wrapping_mul(per_second).wrapping_add(within),
    ))
}

fn in_utc(this: &Value) -> Outcome {
    Ok(time_value(time_of(this)?.clone().with_zone(Zone::Utc)))
}

/// Moves a time by what `step` makes of its distance to the last multiple of `unit` since year 1.
fn rounded(this: &Value, unit: i64, step: fn(i64, i64) -> i64) -> Outcome {
    let time = time_of(this)?;
    if unit <= 0 {
        return Ok(time_value(time.clone()));
    }
    let zero = Time::default();
    let since =
        (i128::from(time.unix()) - i128::from(zero.unix())) * 1_000_000_000 + i128::from(time.nanos());
    let Ok(rest) = i64::try_from(since.rem_euclid(i128::from(unit))) else {
        return fail(format!("{} is no unit of time", duration::format(unit)));
    };
    Ok(time_value(time.add(step(rest, unit))))
}
