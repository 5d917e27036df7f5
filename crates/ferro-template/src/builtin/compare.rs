//! `eq`, `ne`, `lt`, `le`, `gt`, `ge`.

use std::cmp::Ordering;

use super::shown;
use crate::error::Error;
use crate::value::types::Kind;
use crate::value::{Int, Type, Value};

/// The kinds that compare with each other.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Basic {
    Bool,
    Complex,
    Int,
    Float,
    Text,
    Uint,
}

fn basic(value: &Value) -> Option<Basic> {
    match value.plain() {
        Value::Bool(_) => Some(Basic::Bool),
        Value::Int(int) if int.kind.is_signed() => Some(Basic::Int),
        Value::Int(_) => Some(Basic::Uint),
        Value::Float(_) | Value::Float32(_) => Some(Basic::Float),
        Value::Complex(..) => Some(Basic::Complex),
        Value::Str(_) => Some(Basic::Text),
        _ => None,
    }
}

fn bad_type() -> Error {
    Error::new("invalid type for comparison")
}

fn incompatible(a: &Value, b: &Value) -> Error {
    let (a, b) = (a.type_name(), b.type_name());
    Error::new(format!("incompatible types for comparison: {a} and {b}"))
}

/// `eq a b c`: whether `a` equals any of the others.
pub(super) fn eq(args: &[Value]) -> Result<bool, Error> {
    let Some((first, others)) = args.split_first() else {
        return Ok(false);
    };
    if others.is_empty() {
        return Err(Error::new("missing argument for comparison"));
    }
    for other in others {
        if equal(first, other)? {
            return Ok(true);
        }
    }
    Ok(false)
}

fn equal(a: &Value, b: &Value) -> Result<bool, Error> {
    match (basic(a), basic(b)) {
        (Some(Basic::Int), Some(Basic::Uint)) | (Some(Basic::Uint), Some(Basic::Int)) => {
            Ok(order(a, b) == Some(Ordering::Equal))
        }
        (None, None) => equal_other(a, b),
        (x, y) if x != y => {
            let is_nil = matches!(a, Value::Nil) || matches!(b, Value::Nil);
            if is_nil {
                Ok(false)
            } else {
                Err(incompatible(a, b))
            }
        }
        _ => Ok(match (a.plain(), b.plain()) {
            (Value::Bool(a), Value::Bool(b)) => a == b,
            (Value::Complex(a, x), Value::Complex(b, y)) => a == b && x == y,
            (a, b) => order(a, b) == Some(Ordering::Equal),
        }),
    }
}

/// Compares what is no number, boolean or string.
fn equal_other(a: &Value, b: &Value) -> Result<bool, Error> {
    let (x, y) = (a.kind(), b.kind());
    if x != y && x != Kind::Invalid && y != Kind::Invalid {
        let text = format!(
            "non-comparable types {}: {}, {}: {}",
            shown(a, 's'),
            a.type_name(),
            b.type_name(),
            shown(b, 'v')
        );
        return Err(Error::new(text));
    }
    if a.is_nil() || b.is_nil() {
        return Ok(a.is_nil() == b.is_nil());
    }
    match (a, b) {
        (Value::Object(a_object), Value::Object(b_object)) => match a_object.equals(&**b_object) {
            Some(equal) => Ok(equal && a_object.go_type() == b_object.go_type()),
            None => Err(not_comparable(b)),
        },
        (Value::List(a), Value::List(list)) if is_comparable(list.ty()) => {
            if a.ty() != list.ty() {
                return Ok(false);
            }
            for (a, b) in a.items().iter().zip(list.items()) {
                if !equal(a, b)? {
                    return Ok(false);
                }
            }
            Ok(true)
        }
        _ => Err(not_comparable(b)),
    }
}

fn not_comparable(value: &Value) -> Error {
    Error::new(format!(
        "non-comparable type {}: {}",
        shown(value, 's'),
        value.type_name()
    ))
}

fn is_comparable(ty: &Type) -> bool {
    match ty.underlying() {
        Type::Slice(_) | Type::Map(..) | Type::Func(_) => false,
        Type::Array(_, elem) => is_comparable(elem),
        _ => true,
    }
}

/// Orders two values of the same basic kind, or integers of any sign.
fn order(a: &Value, b: &Value) -> Option<Ordering> {
    let float = |value: &Value| match value {
        Value::Float(value) => Some(*value),
        Value::Float32(value) => Some(f64::from(*value)),
        _ => None,
    };
    match (a.plain(), b.plain()) {
        (Value::Int(a), Value::Int(b)) => Some(Int::as_i128(*a).cmp(&b.as_i128())),
        (Value::Str(a), Value::Str(b)) => Some(a.cmp(b)),
        (a, b) => float(a)?.partial_cmp(&float(b)?),
    }
}

/// `ne a b`
pub(super) fn ne(a: &Value, b: &Value) -> Result<bool, Error> {
    equal(a, b).map(|equal| !equal)
}

/// `lt a b`
pub(super) fn lt(a: &Value, b: &Value) -> Result<bool, Error> {
    let (Some(x), Some(y)) = (basic(a), basic(b)) else {
        return Err(bad_type());
    };
    let are_integers = matches!(x, Basic::Int | Basic::Uint) && matches!(y, Basic::Int | Basic::Uint);
    if x != y && !are_integers {
        return Err(incompatible(a, b));
    }
    if matches!(x, Basic::Bool | Basic::Complex) {
        return Err(bad_type());
    }
    Ok(order(a, b) == Some(Ordering::Less))
}

/// `le a b`
pub(super) fn le(a: &Value, b: &Value) -> Result<bool, Error> {
    Ok(lt(a, b)? || equal(a, b)?)
}

/// `gt a b`: not less or equal, also of not-a-number.
pub(super) fn gt(a: &Value, b: &Value) -> Result<bool, Error> {
    le(a, b).map(|is_le| !is_le)
}

/// `ge a b`
pub(super) fn ge(a: &Value, b: &Value) -> Result<bool, Error> {
    lt(a, b).map(|is_lt| !is_lt)
}
