//! mergo's `Merge` and `MergeWithOverwrite`, as sprig uses them on maps.

use ferro_template::{Kind, List, Map, Type, Value};

/// So deep maps are merged.
const MAX_DEPTH: usize = 10_000;

/// What happens to a value that is not empty and has a counterpart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Existing {
    Kept,
    Replaced,
}

/// Why maps cannot be merged.
#[derive(Debug)]
pub(crate) struct Problem {
    /// mergo says so, rather than panic.
    pub(crate) is_refusal: bool,
    pub(crate) message: String,
}

/// Merges `source` into `target`. Maps on both sides are merged where they are; anything else is shared with
/// the source afterwards.
pub(crate) fn merge(target: &Map, source: &Map, existing: Existing) -> Result<(), Problem> {
    merge_at(target, source, existing, 0)
}

fn merge_at(target: &Map, source: &Map, existing: Existing, depth: usize) -> Result<(), Problem> {
    if depth > MAX_DEPTH {
        return Err(Problem {
            is_refusal: false,
            message: format!("maps are nested deeper than {MAX_DEPTH} levels"),
        });
    }
    if target.is_same(source) && existing == Existing::Kept {
        return Ok(());
    }
    let replaces = existing == Existing::Replaced;
    for (key, value) in source.entries().iter() {
        let before = target.get_key(key);
        if is_nil(value) {
            // A nil is carried over only where values are replaced.
            if replaces {
                put(target, source, key, value.clone())?;
            }
            continue;
        }
        if let (Some(Value::Map(inner_target)), Value::Map(inner_source)) = (&before, value) {
            // A typed nil map cannot be filled; it is replaced below.
            if !inner_target.is_nil() {
                stacker::maybe_grow(64 << 10, 1 << 20, || {
                    merge_at(inner_target, inner_source, existing, depth + 1)
                })?;
            }
        } else {
            check_pointers(before.as_ref(), value, existing)?;
        }
        if is_list(value) {
            put_list(target, source, key, (before.as_ref(), value), replaces)?;
        }
        let is_filled = before.as_ref().is_some_and(|before| !is_empty(before));
        let both_maps = matches!((&before, value), (Some(Value::Map(_)), Value::Map(_)));
        if is_filled && (is_list(value) || both_maps) {
            continue;
        }
        if replaces || !is_filled {
            put(target, source, key, value.clone())?;
        }
    }
    Ok(())
}

/// Lists are replaced as a whole, also by an empty one.
fn put_list(
    target: &Map,
    source: &Map,
    key: &ferro_template::Key,
    (before, value): (Option<&Value>, &Value),
    replaces: bool,
) -> Result<(), Problem> {
    if replaces || target.is_empty() {
        return put(target, source, key, value.clone());
    }
    let kept = match before {
        Some(before) if !is_nil(before) => before.clone(),
        _ => match value {
            Value::List(list) => Value::List(List::with_type(list.ty(), Vec::new())),
            other => other.clone(),
        },
    };
    put(target, source, key, kept)
}

/// A pointer or struct in the way of another: mergo looks into both.
fn check_pointers(before: Option<&Value>, value: &Value, existing: Existing) -> Result<(), Problem> {
    let (Some(Value::Object(before)), Value::Object(_) | Value::Map(_)) = (before, value) else {
        return Ok(());
    };
    let is_pointer = |kind: Kind| kind == Kind::Ptr;
    let differs =
        is_pointer(before.go_type().kind()) && !is_pointer(value.kind()) && existing == Existing::Kept;
    if differs && !before.is_nil() {
        return Err(Problem {
            is_refusal: true,
            message: "src and dst must be of same type".to_owned(),
        });
    }
    Ok(())
}

/// Sets a value, if the map's type has room for it: the value of a map of another type is of that map's
/// element type.
fn put(target: &Map, source: &Map, key: &ferro_template::Key, value: Value) -> Result<(), Problem> {
    let (wanted, given) = (target.elem(), source.elem());
    if *wanted != Type::Any && !given.is_assignable_to(wanted) {
        return Err(Problem {
            is_refusal: false,
            message: format!(
                "reflect.Value.SetMapIndex: value of type {given} is not assignable to type {wanted}"
            ),
        });
    }
    target.insert_key(key.clone(), value);
    Ok(())
}

fn is_list(value: &Value) -> bool {
    value.kind() == Kind::Slice
}

/// Whether the interface itself holds nothing; a typed nil is a value.
fn is_nil(value: &Value) -> bool {
    matches!(value, Value::Nil)
}

/// mergo's notion of an empty value: pointers are followed, structs are never empty.
fn is_empty(value: &Value) -> bool {
    match value {
        Value::Object(object) => object.is_nil(),
        Value::Func(_) | Value::Complex(..) => false,
        other => !other.is_true(),
    }
}
