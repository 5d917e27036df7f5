//! `reflect.DeepEqual`.

use ferro_template::{Kind, List, Map, Value};

use crate::dates::TimeValue;

/// So deep two values are compared; what is nested deeper, such as a map that holds itself, is taken for
/// equal, as Go takes what it is already comparing.
const MAX_DEPTH: usize = 100_000;

/// Tells whether two values have the same types and contents. A nil list is not an empty one, and
/// not-a-number is not itself.
pub(crate) fn deep_equal(left: &Value, right: &Value) -> bool {
    equal(left, right, 0)
}

fn equal(left: &Value, right: &Value, depth: usize) -> bool {
    if depth > MAX_DEPTH {
        return true;
    }
    match (left, right) {
        (Value::Nil, Value::Nil) => true,
        (Value::Bool(a), Value::Bool(b)) => a == b,
        (Value::Int(a), Value::Int(b)) => a == b,
        (Value::Float(a), Value::Float(b)) => a == b,
        (Value::Float32(a), Value::Float32(b)) => a == b,
        (Value::Complex(a, b), Value::Complex(c, d)) => a == c && b == d,
        (Value::Str(a), Value::Str(b)) => a == b,
        (Value::Bytes(a), Value::Bytes(b)) => a == b,
        (Value::List(a), Value::List(b)) => nested(|| lists(a, b, depth)),
        (Value::Map(a), Value::Map(b)) => nested(|| maps(a, b, depth)),
        (Value::Named(a), Value::Named(b)) => {
            std::ptr::eq(a.ty, b.ty) && equal(&a.value, &b.value, depth + 1)
        }
        (Value::Object(_), Value::Object(_)) => nested(|| objects(left, right, depth)),
        // Functions are equal only when both are nil.
        _ => false,
    }
}

fn nested(compare: impl FnOnce() -> bool) -> bool {
    stacker::maybe_grow(64 << 10, 1 << 20, compare)
}

fn lists(left: &List, right: &List, depth: usize) -> bool {
    if left.ty() != right.ty() || left.is_nil() != right.is_nil() || left.len() != right.len() {
        return false;
    }
    left.is_same(right)
        || left
            .items()
            .iter()
            .zip(right.items())
            .all(|(a, b)| equal(a, b, depth + 1))
}

fn maps(left: &Map, right: &Map, depth: usize) -> bool {
    if left.ty() != right.ty() || left.is_nil() != right.is_nil() || left.len() != right.len() {
        return false;
    }
    left.is_same(right)
        || left.entries().iter().all(|(key, value)| {
            right
                .get_key(key)
                .is_some_and(|other| equal(value, &other, depth + 1))
        })
}

fn objects(left: &Value, right: &Value, depth: usize) -> bool {
    let (Value::Object(a), Value::Object(b)) = (left, right) else {
        return false;
    };
    if std::rc::Rc::ptr_eq(a, b) {
        return true;
    }
    if a.go_type() != b.go_type() || a.is_nil() != b.is_nil() {
        return false;
    }
    if let (Some(a), Some(b)) = (left.downcast::<TimeValue>(), right.downcast::<TimeValue>()) {
        return a.0 == b.0;
    }
    if a.equals(&**b) == Some(true) {
        return true;
    }
    let (a_fields, b_fields) = (a.fields(), b.fields());
    let is_opaque = a_fields.is_empty() && a.go_type().kind() != Kind::Struct;
    !is_opaque
        && a_fields.len() == b_fields.len()
        && a_fields
            .iter()
            .zip(&b_fields)
            .all(|((_, a), (_, b))| equal(a, b, depth + 1))
}
