//! `index`, `slice`, `len`.

use std::sync::Arc;

use crate::error::Error;
use crate::exec::{Operand, zero};
use crate::value::types::Kind;
use crate::value::{IntKind, Key, Map, Text, Type, Value};

fn error<T>(text: impl Into<String>) -> Result<T, Error> {
    Err(Error::new(text))
}

/// `index x a b`: `x[a][b]`.
pub(super) fn index(args: &[Value]) -> Result<Value, Error> {
    let Some((first, indexes)) = args.split_first() else {
        return Ok(Value::Nil);
    };
    if matches!(first, Value::Nil) {
        return error("index of untyped nil");
    }
    let mut item = first.clone();
    for at in indexes {
        if is_nil_pointer(&item) {
            return error("index of nil pointer");
        }
        item = index_one(&item, at)?;
    }
    Ok(item)
}

/// Nil interfaces and nil pointers; a nil map or slice can be indexed.
fn is_nil_pointer(value: &Value) -> bool {
    match value {
        Value::Nil => true,
        Value::Object(object) => object.is_nil(),
        _ => false,
    }
}

/// The type of a value, or of what it points to.
fn pointed_type(item: &Value) -> String {
    if let Value::Object(object) = item
        && let Type::Ptr(target) = object.go_type()
    {
        return target.to_string();
    }
    item.type_name()
}

fn index_one(item: &Value, at: &Value) -> Result<Value, Error> {
    match item.plain() {
        Value::Str(text) => {
            let at = position(at, text.len())?;
            byte(text.as_bytes(), at, "string")
        }
        Value::Bytes(bytes) => {
            let at = position(at, bytes.len())?;
            byte(bytes, at, "slice")
        }
        Value::List(list) => {
            let at = position(at, list.len())?;
            let what = if list.ty().kind() == Kind::Array {
                "array"
            } else {
                "slice"
            };
            list.items().get(at).cloned().ok_or_else(|| out_of_range(what))
        }
        Value::Map(map) => index_map(map, at),
        _ => error(format!("can't index item of type {}", pointed_type(item))),
    }
}

fn byte(bytes: &[u8], at: usize, what: &str) -> Result<Value, Error> {
    let byte = bytes.get(at).ok_or_else(|| out_of_range(what))?;
    Ok(Value::int_of(IntKind::Uint8, i64::from(*byte)))
}

/// The position right after the end passes Go's own check.
fn out_of_range(what: &str) -> Error {
    Error::new(format!("reflect: {what} index out of range"))
}

fn index_map(map: &Map, at: &Value) -> Result<Value, Error> {
    let key = prepare(at, map.key_type()).map_err(Error::new)?;
    let found = Key::of(&key).and_then(|key| map.get_key(&key));
    Ok(found.unwrap_or_else(|| zero(map.elem())))
}

/// Checks that a value can be used as a parameter, key or argument of a type, and converts it. Integers
/// convert to each other.
pub(super) fn prepare(value: &Value, ty: &'static Type) -> Result<Value, String> {
    let Some(own) = value.go_type() else {
        if ty.can_be_nil() {
            return Ok(zero(ty));
        }
        return Err(format!("value is nil; should be of type {ty}"));
    };
    if own.is_assignable_to(ty) {
        return Ok(if *ty == Type::Any {
            value.clone()
        } else {
            value.clone().retyped(ty)
        });
    }
    if let (Some(int), Kind::Int(kind)) = (value.as_int(), ty.kind()) {
        let int = Value::int_of(kind, int.bits);
        return Ok(match ty {
            Type::Named(named) => Value::named(named, int),
            _ => int,
        });
    }
    Err(format!("value has type {}; should be {ty}", value.type_name()))
}

fn position(at: &Value, capacity: usize) -> Result<usize, Error> {
    let Some(int) = at.as_int() else {
        return error(match at {
            Value::Nil => "cannot index slice/array with nil".to_owned(),
            other => format!("cannot index slice/array with type {}", other.type_name()),
        });
    };
    match usize::try_from(int.bits) {
        Ok(at) if at <= capacity => Ok(at),
        _ => error(format!("index out of range: {}", int.bits)),
    }
}

/// `slice x a b c`: `x[a:b:c]`.
///
/// Unlike `index` it does not look into interfaces for an index, so a number out of a map is none to it.
pub(crate) fn slice(args: &[Operand]) -> Result<Value, Error> {
    let Some((Operand { value: item, .. }, indexes)) = args.split_first() else {
        return Ok(Value::Nil);
    };
    if matches!(item, Value::Nil) {
        return error("slice of untyped nil");
    }
    if is_nil_pointer(item) {
        return error("slice of nil pointer");
    }
    if indexes.len() > 3 {
        return error(format!("too many slice indexes: {}", indexes.len()));
    }
    let (len, capacity) = match item.plain() {
        Value::Str(_) if indexes.len() == 3 => return error("cannot 3-index slice a string"),
        Value::Str(text) => (text.len(), text.len()),
        Value::Bytes(bytes) => (bytes.len(), bytes.len()),
        Value::List(list) => (list.len(), list.capacity()),
        _ => return error(format!("can't slice item of type {}", pointed_type(item))),
    };
    let mut bounds = [0, len, capacity];
    for (bound, at) in bounds.iter_mut().zip(indexes) {
        if at.is_interface {
            return error("cannot index slice/array with type interface {}");
        }
        *bound = position(&at.value, capacity)?;
    }
    let [start, end, max] = bounds;
    if start > end {
        return error(format!("invalid slice index: {start} > {end}"));
    }
    if end > max {
        return error(format!("invalid slice index: {end} > {max}"));
    }
    let max = (indexes.len() == 3).then_some(max);
    Ok(cut(item, start, end, max))
}

fn cut(item: &Value, start: usize, end: usize, max: Option<usize>) -> Value {
    let cut = match item.plain() {
        Value::Str(text) => Value::Str(text.slice(start, end).unwrap_or_else(Text::new)),
        Value::Bytes(bytes) => Value::Bytes(Arc::from(bytes.get(start..end).unwrap_or_default())),
        Value::List(list) => list.slice(start, end, max).map_or(Value::Nil, Value::List),
        _ => Value::Nil,
    };
    match item {
        Value::Named(named) => Value::named(named.ty, cut),
        _ => cut,
    }
}

/// `len`; a nil interface is not the same as no value here.
pub(crate) fn length(args: &[Operand]) -> Result<Value, Error> {
    let Some(Operand {
        value: item,
        is_interface,
    }) = args.first()
    else {
        return Ok(Value::Nil);
    };
    let len = match item.plain() {
        Value::Nil if *is_interface => return error("len of nil pointer"),
        Value::Nil => return error("reflect: call of reflect.Value.Type on zero Value"),
        Value::Object(object) if object.is_nil() => return error("len of nil pointer"),
        Value::Str(text) => text.len(),
        Value::Bytes(bytes) => bytes.len(),
        Value::List(list) => list.len(),
        Value::Map(map) => map.len(),
        _ => return error(format!("len of type {}", pointed_type(item))),
    };
    Ok(Value::int(len as i64))
}
