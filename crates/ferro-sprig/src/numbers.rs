//! Numbers.

use ferro_template::{Error, List, Value};

use crate::args::{ANY, Args, FLOAT, INT, INT64, INTS, MAX_ITEMS, Outcome, STRING, Table, fail, text};
use crate::convert::{NotAnInteger, int_value, parse_int, to_float, to_int};
use crate::decimal::Decimal;

pub(crate) fn register(table: &mut Table<'_>) {
    register_conversions(table);
    register_integers(table);
    register_decimals(table);
    register_floats(table);
    register_sequences(table);
}

fn register_conversions(table: &mut Table<'_>) {
    table.add(&["int"], &[ANY], INT, |args| Ok(Value::int(to_int(args.any(0)))));
    table.add(&["int64"], &[ANY], INT64, |args| {
        Ok(Value::int64(to_int(args.any(0))))
    });
    table.add(&["float64"], &[ANY], FLOAT, |args| {
        Ok(Value::Float(to_float(args.any(0))))
    });
    // A number that is too large comes out as the largest one, what is no number as 0.
    table.add(&["atoi"], &[STRING], INT, |args| {
        Ok(Value::int(clamped(args.text(0))))
    });
    table.add(&["toDecimal"], &[ANY], INT64, |args| {
        let printed = ferro_template::sprint(&[args.any(0).clone()]);
        Ok(Value::int64(parse_int(printed.as_bytes(), 8).unwrap_or(0)))
    });
}

/// `strconv.Atoi` with its error ignored.
pub(crate) fn clamped(digits: &[u8]) -> i64 {
    match parse_int(digits, 10) {
        Ok(value) | Err(NotAnInteger::Range(value)) => value,
        Err(NotAnInteger::Syntax) => 0,
    }
}

fn register_integers(table: &mut Table<'_>) {
    table.add(&["add1"], &[ANY], INT64, |args| {
        Ok(Value::int64(to_int(args.any(0)).wrapping_add(1)))
    });
    table.add_variadic(&["add"], &[ANY], INT64, |args| {
        Ok(Value::int64(fold(args, 0, i64::wrapping_add)))
    });
    table.add(&["sub"], &[ANY, ANY], INT64, |args| {
        Ok(Value::int64(
            to_int(args.any(0)).wrapping_sub(to_int(args.any(1))),
        ))
    });
    table.add_variadic(&["mul"], &[ANY, ANY], INT64, |args| {
        Ok(Value::int64(fold(args, 1, i64::wrapping_mul)))
    });
    table.add(&["div"], &[ANY, ANY], INT64, |args| {
        divide(args, i64::wrapping_div)
    });
    table.add(&["mod"], &[ANY, ANY], INT64, |args| {
        divide(args, i64::wrapping_rem)
    });
    table.add_variadic(&["max", "biggest"], &[ANY, ANY], INT64, |args| {
        Ok(Value::int64(args.rest(0).iter().map(to_int).max().unwrap_or(0)))
    });
    table.add_variadic(&["min"], &[ANY, ANY], INT64, |args| {
        Ok(Value::int64(args.rest(0).iter().map(to_int).min().unwrap_or(0)))
    });
}

fn fold(args: Args<'_>, start: i64, step: fn(i64, i64) -> i64) -> i64 {
    args.rest(0).iter().map(to_int).fold(start, step)
}

fn divide(args: Args<'_>, operation: fn(i64, i64) -> i64) -> Outcome {
    let (dividend, divisor) = (to_int(args.any(0)), to_int(args.any(1)));
    if divisor == 0 {
        return fail("runtime error: integer divide by zero");
    }
    Ok(Value::int64(operation(dividend, divisor)))
}

fn register_decimals(table: &mut Table<'_>) {
    table.add(&["add1f"], &[ANY], FLOAT, |args| {
        decimals(to_float(args.any(0)), &[Value::int(1)], |a, b| Ok(a.add(b)))
    });
    table.add_variadic(&["addf"], &[ANY], FLOAT, |args| {
        decimals(0.0, args.rest(0), |a, b| Ok(a.add(b)))
    });
    table.add_variadic(&["subf"], &[ANY, ANY], FLOAT, |args| {
        decimals(to_float(args.any(0)), args.rest(1), |a, b| Ok(a.sub(b)))
    });
    table.add_variadic(&["mulf"], &[ANY, ANY], FLOAT, |args| {
        decimals(to_float(args.any(0)), args.rest(1), |a, b| Ok(a.mul(b)))
    });
    table.add_variadic(&["divf"], &[ANY, ANY], FLOAT, |args| {
        decimals(to_float(args.any(0)), args.rest(1), Decimal::div)
    });
}

fn decimals(
    start: f64,
    others: &[Value],
    operation: impl Fn(Decimal, Decimal) -> Result<Decimal, String>,
) -> Outcome {
    let mut result = Decimal::of(start).map_err(Error::new)?;
    for other in others {
        let other = Decimal::of(to_float(other)).map_err(Error::new)?;
        result = operation(result, other).map_err(Error::new)?;
    }
    Ok(Value::Float(result.to_float()))
}

fn register_floats(table: &mut Table<'_>) {
    table.add(&["floor"], &[ANY], FLOAT, |args| {
        Ok(Value::Float(to_float(args.any(0)).floor()))
    });
    table.add(&["ceil"], &[ANY], FLOAT, |args| {
        Ok(Value::Float(to_float(args.any(0)).ceil()))
    });
    table.add_variadic(&["maxf"], &[ANY, ANY], FLOAT, |args| {
        Ok(Value::Float(extreme(args, f64::INFINITY, |a, b| a > b)))
    });
    table.add_variadic(&["minf"], &[ANY, ANY], FLOAT, |args| {
        Ok(Value::Float(extreme(args, f64::NEG_INFINITY, |a, b| a < b)))
    });
    table.add_variadic(&["round"], &[ANY, INT, FLOAT], FLOAT, round);
}

/// Go's `math.Max` or `math.Min` over all arguments: the extreme infinity wins over not-a-number.
fn extreme(args: Args<'_>, winner: f64, beats: fn(f64, f64) -> bool) -> f64 {
    let first = to_float(args.any(0));
    args.rest(1).iter().map(to_float).fold(first, |best, next| {
        if best == winner || next == winner {
            winner
        } else if best.is_nan() || next.is_nan() {
            f64::NAN
        } else if best == next {
            // Of two zeros the positive one is the larger.
            let next_wins = best == 0.0 && best.is_sign_negative() == (winner > 0.0);
            if next_wins { next } else { best }
        } else if beats(best, next) {
            best
        } else {
            next
        }
    })
}

/// Rounds up when the fraction is at least `.5` or the third argument, so `-2.5` becomes `-3`.
fn round(args: Args<'_>) -> Outcome {
    let round_on = if args.len() > 2 { args.float(2) } else { 0.5 };
    let power = ten_to(args.int(1));
    let digit = power * to_float(args.any(0));
    let fraction = if digit.is_infinite() {
        f64::NAN
    } else {
        digit.fract()
    };
    let rounded = if fraction >= round_on {
        digit.ceil()
    } else {
        digit.floor()
    };
    Ok(Value::Float(rounded / power))
}

/// `math.Pow(10, places)` by the steps of Go, whose last digit may differ from that of C.
fn ten_to(places: i64) -> f64 {
    let (mut factor, mut factor_exponent) = (0.625_f64, 4_i64);
    let (mut result, mut exponent) = (1.0_f64, 0_i64);
    let mut left = places.unsigned_abs();
    while left != 0 {
        if factor_exponent.abs() > 1 << 12 {
            exponent += factor_exponent;
            break;
        }
        if left & 1 == 1 {
            result *= factor;
            exponent += factor_exponent;
        }
        factor *= factor;
        factor_exponent <<= 1;
        if factor < 0.5 {
            factor += factor;
            factor_exponent -= 1;
        }
        left >>= 1;
    }
    if places < 0 {
        result = 1.0 / result;
        exponent = -exponent;
    }
    scaled(result, exponent)
}

/// `math.Ldexp` for a mantissa near one.
fn scaled(mut value: f64, exponent: i64) -> f64 {
    let mut left = exponent.clamp(-2_200, 2_200);
    while left != 0 {
        let step = left.clamp(-500, 500);
        value *= 2.0_f64.powi(step as i32);
        left -= step;
    }
    value
}

fn register_sequences(table: &mut Table<'_>) {
    table.add(&["until"], &[INT], INTS, |args| {
        let count = args.int(0);
        Ok(ints(until_step(0, count, if count < 0 { -1 } else { 1 })?))
    });
    table.add(&["untilStep"], &[INT, INT, INT], INTS, |args| {
        Ok(ints(until_step(args.int(0), args.int(1), args.int(2))?))
    });
    table.add_variadic(&["seq"], &[INT], STRING, seq);
}

fn ints(numbers: Vec<i64>) -> Value {
    Value::List(List::with_type(
        INTS,
        numbers.into_iter().map(int_value).collect(),
    ))
}

/// The numbers from `start` up or down to `stop`, without it.
fn until_step(start: i64, stop: i64, step: i64) -> Result<Vec<i64>, Error> {
    let distance = i128::from(stop) - i128::from(start);
    if step == 0 || distance == 0 || (distance > 0) != (step > 0) {
        return Ok(Vec::new());
    }
    let count = distance.unsigned_abs().div_ceil(u128::from(step.unsigned_abs()));
    let Some(count) = usize::try_from(count).ok().filter(|count| *count <= MAX_ITEMS) else {
        return fail(format!(
            "a list of {count} numbers is longer than the limit of {MAX_ITEMS}"
        ));
    };
    Ok(
        std::iter::successors(Some(start), |number| number.checked_add(step))
            .take(count)
            .collect(),
    )
}

/// `seq last`, `seq first last` or `seq first step last`, all inclusive; other counts give nothing.
fn seq(args: Args<'_>) -> Outcome {
    let number = |index| args.int(index);
    let (start, step, end) = match args.len() {
        1 => (1, direction(1, number(0)), number(0)),
        2 => (number(0), direction(number(0), number(1)), number(1)),
        3 => (number(0), number(1), number(2)),
        _ => return text(""),
    };
    let past = direction(start, end);
    if past < 0 && step > 0 {
        return text("");
    }
    let numbers = until_step(start, end.wrapping_add(past), step)?;
    text(numbers.iter().map(i64::to_string).collect::<Vec<_>>().join(" "))
}

fn direction(start: i64, end: i64) -> i64 {
    if end < start { -1 } else { 1 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn powers_of_ten_are_those_of_go() {
        assert_eq!(ten_to(0), 1.0);
        assert_eq!(ten_to(3), 1e3);
        assert_eq!(ten_to(-2), 0.01);
        assert_eq!(ten_to(22), 1e22);
        assert_eq!(ten_to(400), f64::INFINITY);
        assert_eq!(ten_to(-400), 0.0);
        assert_eq!(crate::convert::truncate(1e20), i64::MIN);
    }
}
